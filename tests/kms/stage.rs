//! What every test here starts from: clients, providers over one server, and the context they seal under.

use std::error::Error;
use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::{BehaviorVersion, Builder, Credentials, Region};
use kuvert::provider::WrapContext;
use kuvert::provider::aws_kms::{AwsKmsBuilder, AwsKmsProvider, KmsFailure};
use kuvert::{EncryptionContext, ProviderError};

pub(crate) const REGION: &str = "eu-central-1";
/// Longer than any answer of a machine that is busy with other tests.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) fn config(endpoint: &str, region: &str) -> Builder {
    let credentials = Credentials::builder()
        .access_key_id("AKID")
        .secret_access_key("secret-of-nobody")
        .provider_name("test");
    aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .endpoint_url(endpoint)
        .credentials_provider(credentials.build())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(RetryConfig::disabled())
}

pub(crate) fn client(endpoint: &str, region: &str) -> Client {
    Client::from_conf(config(endpoint, region).build())
}

/// With a client for every region that a test may use.
pub(crate) fn builder(endpoint: &str) -> AwsKmsBuilder {
    [REGION, "eu-west-1"]
        .into_iter()
        .fold(AwsKmsProvider::builder().with_deadline(LONG), |builder, region| {
            builder.with_client(client(endpoint, region))
        })
}

pub(crate) fn provider(endpoint: &str, arn: &str) -> AwsKmsProvider {
    builder(endpoint).with_sealing_key(arn).build().unwrap()
}

pub(crate) fn context() -> EncryptionContext {
    EncryptionContext::new([("tenant", "value-of-a-pair-93ac"), ("table", "users")]).unwrap()
}

pub(crate) fn wrap_context() -> WrapContext {
    let pairs = [("tenant", "value-of-a-pair-93ac"), ("table", "users")];
    WrapContext::new(*b"\x89KUV\r\n\x1a\n\x01\x01\x00\x01", pairs.map(|(n, v)| (n.to_owned(), v.to_owned())))
}

/// What the service answered, out of the error's sources.
pub(crate) fn failure(error: &ProviderError) -> &KmsFailure {
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = next {
        if let Some(failure) = error.downcast_ref() {
            return failure;
        }
        next = error.source();
    }
    panic!("{error:?} does not come from the service");
}
