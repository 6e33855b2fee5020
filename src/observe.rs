//! What happened at a key provider or to records: one event a call, for audit, metrics and alarms.
//!
//! Floor 0: plain data, and who is told. It knows no provider, and never sees a key or a value of an encryption
//! context, so that neither can end up in a log. Section "Watching providers" of the
//! [operations manual](crate::manual::operations).

#[cfg(test)]
mod tests;
#[cfg(feature = "tracing")]
mod tracing;

use std::{fmt, time::Duration};

#[cfg(feature = "tracing")]
pub use self::tracing::TracingObserver;
use crate::error::{Category, ProviderErrorKind};

/// Is told of every call that a provider makes, and of every change of its health.
///
/// `event` is called inside the call it tells of, on whatever thread that runs: it must return soon, must not block, and
/// must not call the provider. Hand what takes longer to a channel.
///
/// # Examples
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
/// use kuvert::{EncryptionContext, blocking::Kuvert};
/// use kuvert::observe::{Event, Observer, Operation, Outcome};
/// use kuvert::provider::{MemoryProvider, Observed};
///
/// #[derive(Debug, Default)]
/// struct Failures(AtomicU64);
///
/// impl Observer for Failures {
///     fn event(&self, event: &Event<'_>) {
///         if matches!(event.outcome, Outcome::Failed(_)) && event.operation != Operation::Health {
///             self.0.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let failures = Arc::new(Failures::default());
/// let kuvert = Kuvert::new(Observed::new(MemoryProvider::generate("k")?, failures.clone()));
/// let mut sealed = kuvert.seal(b"x", &EncryptionContext::empty())?;
/// sealed[60] ^= 1; // a bit of the wrapped key
/// assert!(kuvert.open(&sealed, &EncryptionContext::empty()).is_err());
/// assert_eq!(failures.0.load(Ordering::Relaxed), 1);
/// # Ok(()) }
/// ```
pub trait Observer: fmt::Debug + Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event<'_>);
}

impl<O: Observer + ?Sized> Observer for std::sync::Arc<O> {
    fn event(&self, event: &Event<'_>) {
        (**self).event(event);
    }
}

/// One call of a provider, one change of its health, or one thing done to a record or message of a data subject.
///
/// It holds names of keys only: no key bytes, no wrapped key, no value of an encryption context, no name of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event<'a> {
    /// What was asked.
    pub operation: Operation,
    /// The provider's name, such as `"key-file"`; of records and messages, the key store's, such as `"sqlite"`.
    pub provider: &'static str,
    /// The wrapping key's public id, where it is one and known; of records and messages, the key's reference in
    /// hexadecimal digits.
    pub key_id: Option<&'a str>,
    /// Where the key is kept, where that has a name.
    pub region: Option<&'a str>,
    /// The key service's own number for the request, for looking it up in that service's log.
    pub request_id: Option<&'a str>,
    /// How it ended.
    pub outcome: Outcome,
    /// How many calls were made for it below: 0 if it was answered without any, more than 1 if some were repeated.
    pub attempts: u32,
    /// How long it took, by the clock of whoever tells.
    pub latency: Duration,
    /// What a cache had to do with it.
    pub cache: CacheState,
    /// Of records and messages: the data subject's pseudonym in hexadecimal digits, where it is known.
    pub subject: Option<&'a str>,
    /// Of records and messages: what the caller [said](crate::subjects::Scope::with_purpose) that it does it for.
    pub purpose: Option<&'a str>,
}

impl Event<'_> {
    /// A call that ended well, at the first attempt, in no time, without a cache: until said otherwise.
    #[must_use]
    pub const fn new(operation: Operation, provider: &'static str) -> Self {
        Self {
            operation,
            provider,
            key_id: None,
            region: None,
            request_id: None,
            outcome: Outcome::Ok,
            attempts: 1,
            latency: Duration::ZERO,
            cache: CacheState::None,
            subject: None,
            purpose: None,
        }
    }
}

/// What was asked: of a provider, or of a data subject's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// To make a data key and wrap it.
    Generate,
    /// To wrap a data key.
    Wrap,
    /// To unwrap a data key.
    Unwrap,
    /// Whether it works.
    Check,
    /// Nothing: its health has changed. [`Outcome::Ok`] says that it works again, [`Outcome::Failed`] that it does not,
    /// and why.
    Health,
    /// To seal a record of a data subject.
    SealRecord,
    /// To open one.
    OpenRecord,
    /// To begin a message of a data subject.
    SealMessage,
    /// To open one.
    OpenMessage,
    /// To make a new version of a data subject's key.
    Rotate,
    /// To erase a data subject.
    Erase,
    /// To put a data subject on hold.
    Hold,
    /// To end a hold.
    Release,
}

impl Operation {
    /// The operation in one lower-case word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Wrap => "wrap",
            Self::Unwrap => "unwrap",
            Self::Check => "check",
            Self::Health => "health",
            Self::SealRecord => "seal-record",
            Self::OpenRecord => "open-record",
            Self::SealMessage => "seal-message",
            Self::OpenMessage => "open-message",
            Self::Rotate => "rotate",
            Self::Erase => "erase",
            Self::Hold => "hold",
            Self::Release => "release",
        }
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It did what was asked.
    Ok,
    /// The recipient is of no key that is configured here; nobody was asked.
    NotMine,
    /// It failed.
    Failed(ProviderErrorKind),
    /// Whoever had asked did not wait for the answer.
    Abandoned,
    /// A record, a message or the key of a data subject: it failed or was refused, with an error of this category.
    Refused(Category),
}

impl Outcome {
    /// The outcome in words.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotMine => "not mine",
            Self::Failed(kind) => kind.describe(),
            Self::Abandoned => "abandoned",
            Self::Refused(category) => category.name(),
        }
    }
}

/// What a cache had to do with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheState {
    /// There was no cache.
    None,
    /// The answer was in the cache.
    Hit,
    /// It was not, and the key service was asked.
    Miss,
    /// Somebody else was asking the key service already, and the answer was shared.
    Joined,
    /// The key service could not be asked, and an answer that is past its age was used because that is allowed.
    Stale,
}

impl CacheState {
    /// The state in one lower-case word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Joined => "joined",
            Self::Stale => "stale",
        }
    }
}
