//! Keys in AWS KMS, in a build that has no KMS: told, with the build that has one.

use std::sync::Arc;

use kuvert::ProviderError;
use kuvert::provider::KeyProvider;
use kuvert::provider::arn::KeyArn;

use super::Role;
use crate::failure::Failure;

pub(super) fn is_there() -> Result<(), Failure> {
    Err(Failure::usage("this build of kuvert has no AWS KMS")
        .advise("build it with: cargo install --path . --features cli,https"))
}

pub(super) fn provider(
    _: &KeyArn,
    _: &[String],
    _: &[(String, String)],
    _: Role,
) -> Result<Arc<dyn KeyProvider>, Failure> {
    is_there().and(Err(Failure::usage("no AWS KMS")))
}

pub(crate) const fn is_about_credentials(_: &ProviderError) -> bool {
    false
}

#[cfg(feature = "sqlite")]
pub(super) fn custody(_: &KeyArn) -> Result<super::Custody, Failure> {
    is_there().and(Err(Failure::usage("no AWS KMS")))
}
