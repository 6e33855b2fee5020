//! Keys in AWS KMS, over clients from the usual AWS environment.

use std::error::Error;
use std::sync::Arc;

use kuvert::ProviderError;
use kuvert::blocking::block_on;
use kuvert::provider::KeyProvider;
use kuvert::provider::arn::KeyArn;
use kuvert::provider::aws_kms::{AwsKmsProvider, KmsFailure, client_for};

use super::Role;
use crate::failure::Failure;
use crate::remedy;

/// Whether this build has them.
#[allow(clippy::unnecessary_wraps, reason = "a build without KMS fails here")]
pub(super) const fn is_there() -> Result<(), Failure> {
    Ok(())
}

/// A provider for one key, which passes KMS the pairs of these names, and no others.
// fmt: T-17, Z-7
pub(super) fn provider(
    arn: &KeyArn,
    context: &[String],
    probe: &[(String, String)],
    role: Role,
) -> Result<Arc<dyn KeyProvider>, Failure> {
    let client = block_on(client_for(arn.region().to_owned()))
        .map_err(|error| Failure::new(kuvert::Category::Io, error.to_string()))?;
    let builder = AwsKmsProvider::builder().with_client(client).with_probe_context(probe.to_vec());
    let builder = match role {
        Role::Opens => builder.with_opening_key(arn.as_str()).open_only().with_readable_kms_context(context),
        Role::Seals => builder.with_sealing_key(arn.as_str()).seal_only().with_kms_context(context),
        Role::Both => builder.with_sealing_key(arn.as_str()).with_kms_context(context),
    };
    let provider = builder.build().map_err(|error| Failure::new(error.category(), error.to_string()))?;
    Ok(Arc::new(provider))
}

/// Whoever may destroy keys in the region of this one. KMS waits 30 days before it does, in which it can still be stopped.
#[cfg(feature = "sqlite")]
pub(super) fn custody(arn: &KeyArn) -> Result<super::Custody, Failure> {
    let client = block_on(client_for(arn.region().to_owned()))
        .map_err(|error| Failure::new(kuvert::Category::Io, error.to_string()))?;
    let custodian = kuvert::provider::aws_kms::AwsKmsCustodian::new(client)
        .map_err(|error| Failure::new(error.category(), error.to_string()))?;
    Ok(super::Custody { id: arn.to_string(), custodian: Arc::new(custodian), holder: None })
}

/// Whether it is about who asks, and not about the key.
pub(crate) fn is_about_credentials(error: &ProviderError) -> bool {
    remedy::causes(error).find_map(<dyn Error>::downcast_ref).is_some_and(KmsFailure::is_about_credentials)
}
