//! Wrapping keys in AWS KMS, over the SDK's own clients.
//!
//! Data keys are made here and wrapped there; to an RSA key they are wrapped here, too, with its pinned public half.
//! Knows recipients and data keys, and nothing of messages. Section "Keys in AWS KMS" of the
//! [operations manual](crate::manual::operations); types 0x0010 and 0x0011 of the [format](crate::manual::format).

mod builder;
mod calls;
mod client;
mod connection;
mod context;
mod custodian;
mod failure;
mod options;
mod probe;
mod runtime;
mod state;
mod trip;

use std::{collections::HashMap, fmt, future::Future, sync::Arc};

use async_trait::async_trait;

pub use self::builder::{AwsKmsBuilder, AwsKmsConfigError, AwsKmsFault};
#[cfg(feature = "https")]
pub use self::client::client_for;
pub use self::client::fetch_public_key;
pub use self::custodian::AwsKmsCustodian;
pub use self::failure::KmsFailure;
pub use self::options::{AwsKmsOptions, AwsKmsRole};

use self::calls::{Key, SecretBytes};
use self::context::{Names, Pairs};
use self::runtime::Calls;
use self::trip::Trip;
use super::arn::KeyArn;
use super::{
    GeneratedKey, Health, KeyInfo, KeyProvider, ProviderInfo, WrapContext, random_data_key, two_sources,
};
use crate::error::{ProviderError, ProviderErrorKind};
use crate::format::stanza::{Recipient, RecipientType};
use crate::secret::DataKey;
use crate::{join, limits::MAX_WRAP_LEN};

/// Seals with one key in AWS KMS and opens with those on a list.
///
/// Takes ready [`aws_sdk_kms::Client`]s, one a region; feature `https` brings `client_for`, which builds one with time
/// limits that fit. Credentials, endpoints and retries are the clients' own (see
/// [`with_client_retries`](AwsKmsBuilder::with_client_retries)). The provider adds a deadline of its own and repeats a
/// call in one case only: once, with credentials that are fetched anew, when the service calls those that it got expired
/// or unknown, or says that the time of the signature is wrong; at most every 10 s.
///
/// Works with and without a tokio runtime. Within a multi-threaded one, which must have its timers and sockets
/// enabled, calls run in the caller's task; everywhere else on one thread that the provider starts with its first
/// call and ends when it is dropped. A provider that was used before a fork makes no more calls in the child. A client
/// keeps its connections in the runtime that made them: do not give it one that another, current-thread runtime has
/// used, or calls wait in vain on a connection that nobody drives.
///
/// # Security
///
/// Whoever may call `Decrypt` on the key in KMS opens what is sealed with it, and so does whoever can make AWS do so:
/// [`AllOf`](crate::provider::AllOf) is for when that must not be. The answers of KMS pass through buffers of the SDK, of
/// HTTP and of TLS, which nobody wipes: see the [threat model](crate::manual::threats).
///
/// # Examples
///
/// ```no_run
/// use kuvert::{EncryptionContext, Kuvert, provider::aws_kms::AwsKmsProvider};
///
/// # async fn run(client: aws_sdk_kms::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let provider = AwsKmsProvider::builder()
///     .with_client(client)
///     .with_sealing_key("arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab")
///     .with_kms_context(["tenant"])
///     .build()?;
/// let context = EncryptionContext::new([("tenant", "7f3a"), ("table", "users")])?;
/// let sealed = Kuvert::new(provider).seal(b"anna@example.se", &context).await?;
/// # Ok(()) }
/// ```
///
/// A configuration is refused as a whole, with all of its faults:
///
/// ```
/// use kuvert::provider::aws_kms::{AwsKmsFault, AwsKmsProvider};
///
/// let error = AwsKmsProvider::builder().with_sealing_key("alias/backup").build().unwrap_err();
/// assert!(matches!(error.faults(), [AwsKmsFault::Key(_)]));
/// ```
#[derive(Clone)]
pub struct AwsKmsProvider {
    shared: Arc<Shared>,
}

struct Shared {
    /// The key that seals first.
    keys: Vec<Arc<Key>>,
    /// Names of pairs that go to KMS when sealing.
    names: Names,
    /// The same when opening: those and more.
    readable: Names,
    probe_context: Option<HashMap<String, String>>,
    role: AwsKmsRole,
    mixes: bool,
    calls: Calls,
}

impl AwsKmsProvider {
    /// Begins without clients and keys, and with a deadline of 3 s.
    pub fn builder() -> AwsKmsBuilder {
        AwsKmsBuilder::new()
    }

    fn sealing_key(&self) -> Result<&Arc<Key>, ProviderError> {
        let missing = || misconfigured("this provider only opens");
        self.shared.keys.iter().find(|key| key.seals).ok_or_else(missing)
    }

    /// The configured key that opens this recipient, if any does.
    fn opening_key(&self, recipient: &Recipient) -> Option<&Arc<Key>> {
        let is_rsa = match recipient.recipient_type() {
            RecipientType::AWS_KMS => false,
            RecipientType::AWS_KMS_RSA => true,
            _ => return None,
        };
        let id = std::str::from_utf8(recipient.id()).ok()?;
        let fits = |key: &&Arc<Key>| {
            key.opens
                && key.public.is_some() == is_rsa
                // fmt: Z-5
                && key.public.as_ref().is_none_or(|public| public.wrap_len() == recipient.wrap().len())
        };
        let keys = || self.shared.keys.iter().filter(fits);
        keys().find(|key| key.arn.as_str() == id).or_else(|| {
            let named = KeyArn::parse(id).ok().filter(KeyArn::is_multi_region)?;
            keys().find(|key| is_replica(&key.arn, &named))
        })
    }

    /// The pairs for KMS of something that is sealed.
    fn sealing_pairs(&self, context: &WrapContext) -> Result<Pairs, ProviderError> {
        self.shared.names.pairs(context).map_err(|missing| {
            let what = format!(
                "the encryption context lacks the pair {missing:?}, which is configured to be passed to KMS"
            );
            ProviderError::new(ProviderErrorKind::Misconfigured, NAME).with_source(what)
        })
    }

    /// Runs a call about `key` under the deadline.
    async fn call<T: Send + 'static, C>(
        &self,
        key: &Key,
        call: impl FnOnce(Trip) -> C + Send,
    ) -> Result<T, ProviderError>
    where
        C: Future<Output = Result<T, ProviderError>> + Send + 'static,
    {
        let trip = self.shared.calls.trip();
        let answer = self.shared.calls.run(key.arn.region(), &trip, call(trip.clone())).await;
        answer.map_err(|error| match error.key_id() {
            Some(_) => error,
            None => error.with_key_id(key.arn.as_str()),
        })
    }

    fn wrap_for_rsa(key: &Key, data_key: &DataKey) -> Option<Result<Recipient, ProviderError>> {
        let public = key.public.as_ref()?;
        let failed = |_| key.error(ProviderErrorKind::Other, "the RSA wrap failed");
        let recipient = |wrap| Recipient::new(RecipientType::AWS_KMS_RSA, key.arn.as_str(), Vec::new(), wrap);
        Some(public.wrap(data_key.expose_bytes()).map(recipient).map_err(failed))
    }

    fn recipient(&self, key: &Key, wrap: Vec<u8>) -> Recipient {
        Recipient::new(RecipientType::AWS_KMS, key.arn.as_str(), self.shared.names.params(), wrap)
    }
}

#[async_trait]
impl KeyProvider for AwsKmsProvider {
    async fn wrap_data_key(
        &self,
        data_key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        let key = self.sealing_key()?;
        if let Some(wrapped) = Self::wrap_for_rsa(key, data_key) {
            return Ok(vec![wrapped?]);
        }
        let pairs = self.sealing_pairs(context)?;
        let bytes = SecretBytes::copy_of(data_key);
        let own = Arc::clone(key);
        let call = |trip| async move { own.encrypt(bytes, pairs, &trip).await };
        let wrap = self.call(key, call).await?;
        Ok(vec![self.recipient(key, wrap)])
    }

    async fn generate_data_key(&self, context: &WrapContext) -> Result<GeneratedKey, ProviderError> {
        let own = random_data_key()?;
        if !self.shared.mixes {
            let recipients = self.wrap_data_key(&own, context).await?;
            return Ok(GeneratedKey { key: own, recipients });
        }
        let key = self.sealing_key()?;
        let pairs = self.sealing_pairs(context)?;
        let called = Arc::clone(key);
        // Both calls under one deadline.
        let both = |trip| async move {
            let theirs = called.generate(pairs.clone(), &trip).await?;
            let mixed = two_sources::mix(&own, &theirs);
            let wrap = called.encrypt(SecretBytes::copy_of(&mixed), pairs, &trip).await?;
            Ok((mixed, wrap))
        };
        let (mixed, wrap) = self.call(key, both).await?;
        Ok(GeneratedKey { key: mixed, recipients: vec![self.recipient(key, wrap)] })
    }

    // fmt: Z-7
    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        let Some(key) = self.opening_key(recipient) else { return Ok(None) };
        let names = match key.public {
            Some(_) => recipient.params().is_empty().then(Names::default),
            None => self.shared.readable.allowed(recipient.params()),
        };
        let Some(names) = names else { return Ok(None) };
        // fmt: O-10
        let Ok(pairs) = names.pairs(context) else {
            return Err(key.error(
                ProviderErrorKind::Rejected,
                "a pair of the encryption context that KMS was told when sealing is not presented",
            ));
        };
        let wrap = recipient.wrap().to_vec();
        if wrap.is_empty() || wrap.len() > MAX_WRAP_LEN {
            return Err(key.error(ProviderErrorKind::Rejected, "the wrap has an impossible length"));
        }
        let called = Arc::clone(key);
        let call = |trip| async move { called.decrypt(wrap, pairs, &trip).await };
        self.call(key, call).await.map(Some)
    }

    /// Tries every key with a call that does nothing (`DryRun`), and where a service knows none, with a real round. The
    /// calls cost as much as others.
    async fn check(&self) -> Result<Health, ProviderError> {
        let probes = self.shared.keys.iter().map(|key| {
            let pairs = self.shared.probe_context.clone();
            self.call(key, |trip| probe::probe(Arc::clone(key), pairs, trip))
        });
        let answers = join::all(probes).await;
        let works = answers.iter().any(Result::is_ok);
        let mut problems = answers.into_iter().filter_map(Result::err);
        match problems.next() {
            Some(first) if !works => Err(first),
            first => Ok(first.into_iter().chain(problems).fold(Health::good(), Health::with_problem)),
        }
    }

    fn describe(&self) -> ProviderInfo {
        let info = ProviderInfo::new(NAME)
            .with_context_bound(!self.shared.names.is_empty())
            .with_unwrap(self.shared.role != AwsKmsRole::SealOnly)
            .with_key_destruction(true);
        self.shared.keys.iter().fold(info, |info, key| {
            let (recipient_type, params) = match key.public {
                Some(_) => (RecipientType::AWS_KMS_RSA, Vec::new()),
                None => (RecipientType::AWS_KMS, self.shared.names.params()),
            };
            let described = KeyInfo::new(recipient_type, key.arn.as_str()).with_params(params);
            info.with_key(described.with_region(key.arn.region()).with_sealing(key.seals))
        })
    }
}

impl fmt::Debug for AwsKmsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.shared.keys.iter().map(|key| key.arn.as_str()).collect();
        f.debug_struct("AwsKmsProvider")
            .field("keys", &keys)
            .field("kms_context", &self.shared.names)
            .field("role", &self.shared.role)
            .finish_non_exhaustive()
    }
}

/// Whether two multi-Region keys have the same material.
fn is_replica(own: &KeyArn, named: &KeyArn) -> bool {
    let parts = |arn: &KeyArn| [arn.partition(), arn.account(), arn.key_id()].map(str::to_owned);
    own.is_multi_region() && parts(own) == parts(named)
}

fn misconfigured(what: &'static str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::Misconfigured, NAME).with_source(what)
}

/// The provider's name in errors and descriptions.
const NAME: &str = "aws-kms";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_told_by_everything_but_the_region() {
        let arn = |text: &str| KeyArn::parse(text).unwrap();
        let own = arn("arn:aws:kms:eu-west-1:111122223333:key/mrk-0123456789abcdef0123456789abcdef");
        let is = |text: &str| is_replica(&own, &arn(text));
        assert!(is("arn:aws:kms:eu-central-1:111122223333:key/mrk-0123456789abcdef0123456789abcdef"));
        assert!(!is("arn:aws-cn:kms:eu-central-1:111122223333:key/mrk-0123456789abcdef0123456789abcdef"));
        assert!(!is("arn:aws:kms:eu-central-1:111122223334:key/mrk-0123456789abcdef0123456789abcdef"));
        assert!(!is("arn:aws:kms:eu-central-1:111122223333:key/mrk-0123456789abcdef0123456789abcdee"));
        let single = arn("arn:aws:kms:eu-west-1:111122223333:key/0123");
        assert!(!is_replica(&single, &arn("arn:aws:kms:eu-central-1:111122223333:key/0123")));
    }
}
