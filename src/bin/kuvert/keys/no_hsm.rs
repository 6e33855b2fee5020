//! Keys in PKCS#11 tokens, in a build that has no PKCS#11: told, with the build that has it.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use kuvert::provider::KeyProvider;

use crate::failure::Failure;

/// There are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uri(Infallible);

impl fmt::Display for Uri {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

pub(crate) fn parse(_: &str) -> Result<Uri, Failure> {
    Err(Failure::usage("this build of kuvert has no PKCS#11")
        .advise("build it with: cargo install --path . --features cli,pkcs11"))
}

pub(super) fn provider(uri: &Uri) -> Result<Arc<dyn KeyProvider>, Failure> {
    match uri.0 {}
}
