//! Key providers: what gives, wraps and unwraps data keys, and the contract for those who write one.
//!
//! Floor 4: knows recipients and data keys, and never sees plaintext, a header or a stream. The built-in
//! provider is [`MemoryProvider`], over wrapping keys in memory or in a key file; the others wrap providers, to
//! compose, limit or watch them. How to choose and run providers is a section of the [operations manual](crate::manual::operations).

mod all_of;
mod answers;
mod any_of;
pub mod arn;
#[cfg(feature = "aws-kms")]
pub mod aws_kms;
mod budget;
pub(crate) mod cached;
mod call_event;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod describe;
mod failures;
mod guarded;
mod key_file;
mod memory;
mod observed;
#[cfg(test)]
mod outages;
pub(crate) mod parent_key;
#[cfg(feature = "pkcs11")]
pub mod pkcs11;
mod policy;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(any(feature = "aws-kms", feature = "pkcs11"))]
mod two_sources;
mod wrap_context;

use std::{fmt, sync::Arc, time::SystemTime};

use async_trait::async_trait;

pub use self::all_of::AllOf;
pub use self::answers::{UnwrapAnswer, UnwrapAnswers};
pub use self::any_of::{AnyOf, AnyOfOptions, Hedge};
pub use self::cached::{CacheOptions, CacheStats, Cached, StockOptions};
pub use self::describe::{Health, KeyInfo, ProviderInfo};
pub use self::guarded::{BreakerOptions, BreakerState, Guarded, GuardedOptions, GuardedState};
pub use self::key_file::{KeyFile, KeyFileError, LineFault};
pub use self::memory::MemoryProvider;
pub use self::observed::Observed;
pub use self::policy::{KeyPolicy, Policy, ResidencyPreset};
pub use self::wrap_context::WrapContext;

#[cfg(feature = "serde")]
pub(crate) use crate::duration_text;

use crate::crypto::random;
use crate::error::{ProviderError, ProviderErrorKind};
use crate::format::stanza::Recipient;
use crate::secret::DataKey;

/// Gives, wraps and unwraps data keys under wrapping keys that it keeps or reaches.
///
/// Write `#[kuvert::async_trait]` above the implementation. Only
/// [`wrap_data_key`](Self::wrap_data_key), [`check`](Self::check) and [`describe`](Self::describe) have to be
/// written; a provider without [`unwrap_data_key`](Self::unwrap_data_key) can seal and never open.
///
/// # Contract
///
/// * **Mine or not.** `unwrap_data_key` is asked about every recipient of a header. `Ok(None)` means that no
///   wrapping key configured here has this type and id, and it must be said without any call or cost. `Err`
///   means that the key is configured here and the unwrap failed. Never fetch a key because a header names it:
///   whoever can write a header would choose what is called.
/// * **All or nothing.** A returned data key has exactly the 32 bytes that were wrapped; what comes out shorter
///   or longer is [`ProviderErrorKind::Rejected`], never padded or cut. What is wrong otherwise, such as another
///   key, is caught by the message's own commitment.
/// * **Errors** name the wrapping key by its public id and carry the kind a caller acts on. Neither an error,
///   with its sources, nor `Debug` may show key bytes, credentials or values of the context.
/// * **Cancellation.** Every future may be dropped at any await. That must lose nothing, block nobody, and leave
///   the provider usable at once. Whatever must not be cut short belongs on a thread or task of its own.
/// * **Time.** A remote provider has a deadline of its own for every call and answers
///   [`ProviderErrorKind::Timeout`] when it has passed. It does not retry inside: retries happen in one layer.
/// * **Many callers.** All methods are called concurrently through one shared reference.
/// * **Wrappers** forward every method, also those with a default, or they change what they wrap.
///
/// The feature `conformance` brings this list as a suite, `kuvert::provider::conformance`, which runs against any
/// provider.
///
/// # Examples
///
/// `examples/custom_provider.rs` is a complete provider in a few lines.
#[async_trait]
pub trait KeyProvider: fmt::Debug + Send + Sync {
    /// Wraps a data key for every recipient that this provider seals for: at least one.
    ///
    /// The recipients stand in the message in this order. A later call with the same key may give other bytes.
    ///
    /// # Errors
    ///
    /// If any of them could not be wrapped. A partial answer must not be given as if it were whole.
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError>;

    /// Makes a fresh data key and wraps it.
    ///
    /// The default takes 32 bytes from the operating system's random source and calls
    /// [`wrap_data_key`](Self::wrap_data_key). Write it only where the key service must take part in making the
    /// key, and then mix in what the operating system gives, so that neither source alone decides.
    ///
    /// # Errors
    ///
    /// As `wrap_data_key`; [`ProviderErrorKind::Other`] if the operating system gives no random bytes.
    async fn generate_data_key(&self, context: &WrapContext) -> Result<GeneratedKey, ProviderError> {
        let key = random_data_key()?;
        let recipients = self.wrap_data_key(&key, context).await?;
        Ok(GeneratedKey { key, recipients })
    }

    /// Unwraps the data key of one recipient: `Ok(None)` if it is not one of this provider's.
    ///
    /// The default answers `Ok(None)` to everything: a provider that can only seal.
    ///
    /// # Errors
    ///
    /// If the recipient is this provider's and the data key could not be had:
    /// [`ProviderErrorKind::Rejected`] if the wrap is damaged, of another key or of another context; another
    /// kind if the key could not be asked.
    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        let _ = (recipient, context);
        Ok(None)
    }

    /// Unwraps the data key of any one of several recipients of a message, trying at most `limit` of those that are
    /// this provider's. This is what opening calls, with all recipients of a header's slot.
    ///
    /// The answer says what became of each recipient that was looked at, and stops at the first key. Whether that key
    /// is the message's is not known here: if it is not, this is called again with the recipients that are left. The
    /// default asks [`unwrap_data_key`](Self::unwrap_data_key) about one after the other, which is right for a provider
    /// with keys in one place. Write it where it matters which of several keys is asked first, or whether another is
    /// asked at all: as [`AnyOf`] does, and as every wrapper must that does not want to take that away.
    ///
    /// To be kept by whoever writes it: no more than `limit` recipients are tried, each at most once in a call; one that
    /// is not this provider's costs nothing; [`UnwrapAnswers::set_final`] where another recipient must not be tried.
    async fn unwrap_any(
        &self,
        recipients: &[&Recipient],
        limit: usize,
        context: &WrapContext,
    ) -> UnwrapAnswers {
        answers::one_by_one(self, recipients, limit, context).await
    }

    /// Asks whether sealing and opening would work now. For readiness checks; may call the key service.
    ///
    /// # Errors
    ///
    /// If nothing would work. Where some keys work and others do not, the answer is a [`Health`] that lists
    /// the problems.
    async fn check(&self) -> Result<Health, ProviderError>;

    /// What this provider is, for logs, policies and an operator's eye. No call, no secret.
    fn describe(&self) -> ProviderInfo;
}

/// A data key from the operating system's random source.
fn random_data_key() -> Result<DataKey, ProviderError> {
    DataKey::try_filled_by(|bytes| random::fill(bytes))
        .map_err(|error| ProviderError::new(ProviderErrorKind::Other, "random-source").with_source(error))
}

/// A fresh data key and its wraps.
#[derive(Debug)]
pub struct GeneratedKey {
    /// The data key.
    pub key: DataKey,
    /// The same key wrapped, in the order in which the recipients stand in the message. At least one.
    pub recipients: Vec<Recipient>,
}

/// Creates and destroys wrapping keys. Deliberately not part of [`KeyProvider`]: a service that seals and opens
/// must not hold the right to destroy.
#[async_trait]
pub trait KeyCustodian: fmt::Debug + Send + Sync {
    /// Creates a wrapping key named `name` and gives back its public id, as recipients will carry it.
    ///
    /// # Errors
    ///
    /// [`ProviderErrorKind::Misconfigured`] if the name is impossible or taken.
    async fn create_wrapping_key(&self, name: &str) -> Result<String, ProviderError>;

    /// Has the wrapping key of this public id destroyed, and says from when on it is gone for good.
    ///
    /// From this call on the key must not seal or open any more, also while its destruction is still to come.
    ///
    /// # Errors
    ///
    /// [`ProviderErrorKind::NotFound`] if there is no such key.
    async fn schedule_destruction(&self, id: &str) -> Result<SystemTime, ProviderError>;
}

/// Forwards every method, also those that have a default, to what is inside.
macro_rules! forward_key_provider {
    ($($wrapper:ident),*) => {$(
        #[async_trait]
        impl<P: KeyProvider + ?Sized> KeyProvider for $wrapper<P> {
            async fn wrap_data_key(
                &self,
                key: &DataKey,
                context: &WrapContext,
            ) -> Result<Vec<Recipient>, ProviderError> {
                (**self).wrap_data_key(key, context).await
            }

            async fn generate_data_key(&self, context: &WrapContext) -> Result<GeneratedKey, ProviderError> {
                (**self).generate_data_key(context).await
            }

            async fn unwrap_data_key(
                &self,
                recipient: &Recipient,
                context: &WrapContext,
            ) -> Result<Option<DataKey>, ProviderError> {
                (**self).unwrap_data_key(recipient, context).await
            }

            async fn unwrap_any(
                &self,
                recipients: &[&Recipient],
                limit: usize,
                context: &WrapContext,
            ) -> UnwrapAnswers {
                (**self).unwrap_any(recipients, limit, context).await
            }

            async fn check(&self) -> Result<Health, ProviderError> {
                (**self).check().await
            }

            fn describe(&self) -> ProviderInfo {
                (**self).describe()
            }
        }
    )*};
}

forward_key_provider!(Arc, Box);
