//! Helpers over the SDK that are no provider: a ready client, and the public half of an RSA key.
//!
//! The client is feature `https`, which brings an HTTPS stack. Section "Keys in AWS KMS" of the
//! [operations manual](crate::manual::operations).

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::types::{EncryptionAlgorithmSpec, KeyUsageType};

use super::failure::{self, KmsFailure};
use super::runtime::Calls;
use super::{KeyArn, NAME};
use crate::clock::SystemClock;
use crate::crypto::rsa;
use crate::error::{ProviderError, ProviderErrorKind};

/// Gets the public half of an RSA key from KMS, to be pinned in a configuration: a SubjectPublicKeyInfo in DER.
///
/// Once, by whoever sets a service up: the right to it is `kms:GetPublicKey`. At most 10 s.
///
/// # Errors
///
/// [`ProviderErrorKind::Misconfigured`] if it is no RSA key for encryption, or no key ARN;
/// [`ProviderErrorKind::Rejected`] if KMS answers with another key.
pub async fn fetch_public_key(client: &Client, key_arn: &str) -> Result<Vec<u8>, ProviderError> {
    let misconfigured = |source| error(ProviderErrorKind::Misconfigured, key_arn).with_source(source);
    let arn = KeyArn::parse(key_arn)
        .map_err(|fault| ProviderError::new(ProviderErrorKind::Misconfigured, NAME).with_source(fault))?;
    let region = arn.region().to_owned();
    let (client, called) = (client.clone(), arn.clone());
    let calls = Calls::new(Arc::new(SystemClock), FETCH_DEADLINE);
    let trip = calls.trip();
    let own = trip.clone();
    let call = async move {
        let call = client.get_public_key().key_id(called.as_str());
        let answer = call.customize().interceptor(own).send().await;
        answer.map_err(|failed| {
            let (kind, failure) = failure::sort(&failed, called.region());
            error(kind, called.as_str()).with_source(failure)
        })
    };
    let answer = calls.run(&region, &trip, call).await?;
    if answer.key_id() != Some(key_arn) {
        let what = "the answer is of another key than was asked for";
        return Err(error(ProviderErrorKind::Rejected, key_arn).with_source(KmsFailure::local(what, &region)));
    }
    let is_for_encryption = answer.key_usage() == Some(&KeyUsageType::EncryptDecrypt)
        && answer.encryption_algorithms().contains(&EncryptionAlgorithmSpec::RsaesOaepSha256);
    if !is_for_encryption {
        let what = "it is not an RSA key for encryption";
        return Err(misconfigured(KmsFailure::local(what, &region)));
    }
    let spki = answer.public_key.map(aws_sdk_kms::primitives::Blob::into_inner).unwrap_or_default();
    rsa::PublicKey::from_spki(&spki).map_err(|what| misconfigured(KmsFailure::local(what, &region)))?;
    Ok(spki)
}

fn error(kind: ProviderErrorKind, key_arn: &str) -> ProviderError {
    ProviderError::new(kind, NAME).with_key_id(key_arn)
}

const FETCH_DEADLINE: Duration = Duration::from_secs(10);

#[cfg(feature = "https")]
pub use self::https::client_for;

#[cfg(feature = "https")]
mod https {
    use std::borrow::Cow;
    use std::time::Duration;

    use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
    use aws_sdk_kms::Client;
    use aws_sdk_kms::config::retry::RetryPartition;
    use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

    /// A client for one region with everything else from the usual AWS environment: credentials from variables,
    /// profile files, a container or the instance; an endpoint from `AWS_ENDPOINT_URL_KMS` or `AWS_ENDPOINT_URL`.
    ///
    /// Connecting takes at most 500 ms, one attempt 1 s, a call 3 s, with two attempts and a retry budget that is
    /// shared with nothing else in the process. TLS is rustls over aws-lc, which prefers a post-quantum key exchange.
    pub async fn client_for(region: impl Into<Cow<'static, str>>) -> Client {
        let region = region.into();
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build_https();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_millis(500))
            .operation_attempt_timeout(Duration::from_secs(1))
            .operation_timeout(Duration::from_secs(3))
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(2)
            .with_initial_backoff(Duration::from_millis(50))
            .with_max_backoff(Duration::from_secs(1));
        let shared = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(region.clone()))
            .http_client(http)
            .timeout_config(timeouts)
            .retry_config(retries)
            .load()
            .await;
        let config = aws_sdk_kms::config::Builder::from(&shared)
            .retry_partition(RetryPartition::custom(format!("kuvert-{region}")).build())
            .build();
        Client::from_conf(config)
    }
}
