//! A provider whose calls are told to an observer, one event each, and whose health is told when it changes.
//!
//! It changes no answer and holds none back. Section "Watching providers" of the
//! [operations manual](crate::manual::operations).

mod health;

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use self::health::HealthWatch;
use super::call_event::{Answer, CallEvent};
use super::{GeneratedKey, Health, KeyProvider, ProviderInfo, UnwrapAnswers, WrapContext};
use crate::{
    clock::{Clock, SystemClock},
    error::ProviderError,
    format::stanza::Recipient,
    observe::{Event, Observer, Operation, Outcome},
    secret::DataKey,
};

/// Tells an [`Observer`] of every call of the provider inside.
///
/// One event a call, in the same moment; a call whose future is dropped is told as [`Outcome::Abandoned`]. And one event
/// of [`Operation::Health`] when the provider stops working, in the same moment, and one when a call succeeds again after
/// a second without failures: at most one such pair a second, however it flaps. What counts as not working is a key that
/// cannot be used or reached; a wrap that is refused, a policy's refusal and an abandoned call say nothing about it.
///
/// Put it around each provider that calls somebody, inside of caches and compositions: what they answer without a call is
/// theirs to tell. It asks the provider to describe itself at each call.
///
/// # Examples
///
/// The example of [`Observer`] counts failures.
pub struct Observed<P> {
    inner: P,
    observer: Arc<dyn Observer>,
    clock: Arc<dyn Clock>,
    health: HealthWatch,
}

impl<P: KeyProvider> Observed<P> {
    /// Has every call of `inner` told to `observer`.
    pub fn new(inner: P, observer: impl Observer + 'static) -> Self {
        Self { inner, observer: Arc::new(observer), clock: Arc::new(SystemClock), health: HealthWatch::new() }
    }

    /// Counts time by this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    async fn told<A>(
        &self,
        operation: Operation,
        recipient: Option<&Recipient>,
        call: impl Future<Output = A>,
    ) -> A
    where
        A: Answer,
    {
        let event = CallEvent::begin(&*self.observer, &*self.clock, operation, &self.inner, recipient);
        let answer = call.await;
        let outcome = answer.outcome();
        match outcome {
            Ok(outcome) => event.end(outcome),
            Err(error) => event.fail(error),
        }
        self.watch(outcome);
        answer
    }

    fn watch(&self, outcome: Result<Outcome, &ProviderError>) {
        let seen = match outcome {
            Ok(outcome) => outcome,
            Err(error) => Outcome::Failed(error.kind()),
        };
        if let Some(change) = self.health.see(seen, self.clock.now()) {
            let info = self.inner.describe();
            let mut event = Event::new(Operation::Health, info.provider);
            let id = outcome.err().and_then(ProviderError::key_id);
            let key = match (id, &info.keys[..]) {
                (Some(id), keys) => keys.iter().find(|key| id == key.id),
                // Of several keys nobody knows which one works again.
                (None, [only]) => Some(only),
                (None, _) => None,
            };
            event.key_id = id.or(key.map(|key| key.id.as_str()).filter(|id| !id.is_empty()));
            event.region = key.and_then(|key| key.region.as_deref());
            (event.outcome, event.attempts) = (change, 0);
            self.observer.event(&event);
        }
    }
}

#[async_trait]
impl<P: KeyProvider> KeyProvider for Observed<P> {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        self.told(Operation::Wrap, None, self.inner.wrap_data_key(key, context)).await
    }

    async fn generate_data_key(&self, context: &WrapContext) -> Result<GeneratedKey, ProviderError> {
        self.told(Operation::Generate, None, self.inner.generate_data_key(context)).await
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        self.told(Operation::Unwrap, Some(recipient), self.inner.unwrap_data_key(recipient, context)).await
    }

    async fn unwrap_any(
        &self,
        recipients: &[&Recipient],
        limit: usize,
        context: &WrapContext,
    ) -> UnwrapAnswers {
        let the_only_one = if let [recipient] = recipients { Some(*recipient) } else { None };
        self.told(Operation::Unwrap, the_only_one, self.inner.unwrap_any(recipients, limit, context)).await
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.told(Operation::Check, None, self.inner.check()).await
    }

    fn describe(&self) -> ProviderInfo {
        self.inner.describe()
    }
}

impl<P: fmt::Debug> fmt::Debug for Observed<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed")
            .field("inner", &self.inner)
            .field("observer", &self.observer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
