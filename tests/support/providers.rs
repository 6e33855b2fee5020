//! Key providers that behave by a script, over any real one.
//!
//! [`Scripted`] yields, waits, refuses, lies or panics at chosen calls and counts them; [`FixedKey`] hands out one
//! known data key. They know only the public contract of `KeyProvider`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kuvert::provider::{GeneratedKey, Health, KeyProvider, ProviderInfo, WrapContext};
use kuvert::{DataKey, ProviderError, ProviderErrorKind, Recipient};

use super::cancel::Yields;
use super::io::SCRIPTED_PANIC;

/// What a provider answers to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Fails with this kind.
    Fail(ProviderErrorKind),
    /// To unwrap: "not mine". To the others: as if nothing were scripted.
    NotMine,
    /// To unwrap and generate: this key in place of the true one.
    Key([u8; 32]),
    /// Panics after the provider has done its work.
    Panic,
    /// Blocks the calling thread this long first.
    Delay(Duration),
    /// To generate and wrap: no recipient at all.
    NoRecipient,
}

/// Every kind of error, for enumerations.
pub const ALL_KINDS: [ProviderErrorKind; 12] = [
    ProviderErrorKind::NotFound,
    ProviderErrorKind::Disabled,
    ProviderErrorKind::PendingDeletion,
    ProviderErrorKind::AccessDenied,
    ProviderErrorKind::Credentials,
    ProviderErrorKind::Rejected,
    ProviderErrorKind::Throttled,
    ProviderErrorKind::Unavailable,
    ProviderErrorKind::Timeout,
    ProviderErrorKind::Misconfigured,
    ProviderErrorKind::Refused,
    ProviderErrorKind::Other,
];

/// A provider over another one, with a script.
#[derive(Debug)]
pub struct Scripted<P> {
    inner: P,
    yields: usize,
    script: Mutex<Vec<(usize, Answer)>>,
    always: Option<Answer>,
    calls: AtomicUsize,
    finished: AtomicUsize,
    unwraps: AtomicUsize,
}

impl<P> Scripted<P> {
    pub fn new(inner: P) -> Self {
        Self {
            inner,
            yields: 0,
            script: Mutex::default(),
            always: None,
            calls: AtomicUsize::new(0),
            finished: AtomicUsize::new(0),
            unwraps: AtomicUsize::new(0),
        }
    }

    /// Every call is `Pending` this many times before the inner provider is asked, and as often after it answered.
    pub fn yielding(self, yields: usize) -> Self {
        Self { yields, ..self }
    }

    /// Call number `at` (from 0, over all methods) is answered so.
    pub fn answering(self, at: usize, answer: Answer) -> Self {
        self.script.lock().expect("no panic while held").push((at, answer));
        self
    }

    /// Every call is answered so.
    pub fn always(self, answer: Answer) -> Self {
        Self { always: Some(answer), ..self }
    }

    /// Calls begun.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Calls that came to their end (were not cancelled, did not panic).
    pub fn finished(&self) -> usize {
        self.finished.load(Ordering::SeqCst)
    }

    /// Calls of `unwrap_data_key` begun.
    pub fn unwraps(&self) -> usize {
        self.unwraps.load(Ordering::SeqCst)
    }

    /// Begins a call: yields, then the answers that come before the inner provider's.
    async fn begin(&self) -> Result<Option<Answer>, ProviderError> {
        let n = self.calls.fetch_add(1, Ordering::SeqCst);
        Yields(self.yields).await;
        let scripted =
            self.script.lock().expect("no panic while held").iter().find(|(at, _)| *at == n).map(|(_, a)| *a);
        match scripted.or(self.always) {
            Some(Answer::Fail(kind)) => {
                self.finished.fetch_add(1, Ordering::SeqCst);
                Err(ProviderError::new(kind, "scripted").with_key_id("a key of the script"))
            }
            Some(Answer::Delay(time)) => {
                std::thread::sleep(time);
                Ok(None)
            }
            other => Ok(other),
        }
    }

    async fn end(&self, answer: Option<Answer>) {
        if answer == Some(Answer::Panic) {
            std::panic::panic_any(SCRIPTED_PANIC);
        }
        Yields(self.yields).await;
        self.finished.fetch_add(1, Ordering::SeqCst);
    }
}

#[kuvert::async_trait]
impl<P: KeyProvider> KeyProvider for Scripted<P> {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        let answer = self.begin().await?;
        let mut recipients = self.inner.wrap_data_key(key, context).await?;
        if answer == Some(Answer::NoRecipient) {
            recipients.clear();
        }
        self.end(answer).await;
        Ok(recipients)
    }

    async fn generate_data_key(&self, context: &WrapContext) -> Result<GeneratedKey, ProviderError> {
        let answer = self.begin().await?;
        let mut generated = self.inner.generate_data_key(context).await?;
        match answer {
            Some(Answer::Key(key)) => generated.key = DataKey::copy_from(&key),
            Some(Answer::NoRecipient) => generated.recipients.clear(),
            _ => {}
        }
        self.end(answer).await;
        Ok(generated)
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        self.unwraps.fetch_add(1, Ordering::SeqCst);
        let answer = self.begin().await?;
        let key = match answer {
            Some(Answer::NotMine) => None,
            Some(Answer::Key(key)) => Some(DataKey::copy_from(&key)),
            _ => self.inner.unwrap_data_key(recipient, context).await?,
        };
        self.end(answer).await;
        Ok(key)
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        let answer = self.begin().await?;
        let health = self.inner.check().await?;
        self.end(answer).await;
        Ok(health)
    }

    fn describe(&self) -> ProviderInfo {
        self.inner.describe()
    }
}

/// Hands out one known data key, wrapped by the provider inside. Two messages of it have the same data key.
#[derive(Debug)]
pub struct FixedKey<P> {
    pub inner: P,
    pub key: [u8; 32],
}

#[kuvert::async_trait]
impl<P: KeyProvider> KeyProvider for FixedKey<P> {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        self.inner.wrap_data_key(key, context).await
    }

    async fn generate_data_key(&self, context: &WrapContext) -> Result<GeneratedKey, ProviderError> {
        let key = DataKey::copy_from(&self.key);
        let recipients = self.inner.wrap_data_key(&key, context).await?;
        Ok(GeneratedKey { key, recipients })
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        self.inner.unwrap_data_key(recipient, context).await
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.inner.check().await
    }

    fn describe(&self) -> ProviderInfo {
        self.inner.describe()
    }
}
