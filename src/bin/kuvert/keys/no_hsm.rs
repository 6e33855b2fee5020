//! Keys in PKCS#11 tokens, in a build that has none: told, with the build that has them.

use std::sync::Arc;
use std::time::Duration;

use kuvert::ProviderError;
use kuvert::provider::KeyProvider;

use super::Role;
use crate::failure::Failure;

/// There are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HsmKey {}

impl HsmKey {
    pub(crate) fn parse(_: &str) -> Result<Self, Failure> {
        is_there().and(Err(Failure::usage("no PKCS#11")))
    }

    pub(crate) const fn deadline(&self) -> Duration {
        match *self {}
    }

    pub(crate) fn shown(&self) -> String {
        match *self {}
    }
}

pub(crate) fn is_there() -> Result<(), Failure> {
    Err(Failure::usage("this build of kuvert has no PKCS#11")
        .advise("build it with: cargo install --path . --features cli,pkcs11"))
}

pub(super) fn provider(key: &HsmKey, _: Role) -> Result<Arc<dyn KeyProvider>, Failure> {
    match *key {}
}

pub(super) fn warnings(key: &HsmKey) -> Vec<String> {
    match *key {}
}

/// Nothing is about a token.
pub(crate) enum NoFailure {}

pub(crate) const fn failure_of(_: &ProviderError) -> Option<&'static NoFailure> {
    None
}

pub(crate) const fn remedy_of(failure: &NoFailure) -> Option<&'static str> {
    match *failure {}
}

#[cfg(feature = "sqlite")]
pub(super) fn custody(key: &HsmKey) -> Result<super::Custody, Failure> {
    match *key {}
}
