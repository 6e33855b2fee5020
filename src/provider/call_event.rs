//! Telling an observer of one call: exactly once, however the call ends, also if nobody waits for its end.
//!
//! Shared by the wrappers that observe. It knows names and times, and no answer's content. Section "Watching
//! providers" of the [operations manual](crate::manual::operations).

use std::time::{Duration, Instant};

use super::{GeneratedKey, Health, KeyInfo, KeyProvider, UnwrapAnswer, UnwrapAnswers};
use crate::{
    clock::Clock,
    error::{ProviderError, ProviderErrorKind},
    format::stanza::Recipient,
    observe::{Event, Observer, Operation, Outcome},
    secret::DataKey,
};

/// A call that is running. Dropped before it was ended, it counts as abandoned.
pub(super) struct CallEvent<'o> {
    observer: &'o dyn Observer,
    clock: &'o dyn Clock,
    operation: Operation,
    provider: &'static str,
    key: Option<(String, Option<String>)>,
    begun: Instant,
    attempts: u32,
    is_told: bool,
}

impl<'o> CallEvent<'o> {
    /// A call of `inner`, about `recipient` if it is about one.
    pub(super) fn begin(
        observer: &'o dyn Observer,
        clock: &'o dyn Clock,
        operation: Operation,
        inner: &dyn KeyProvider,
        recipient: Option<&Recipient>,
    ) -> Self {
        let info = inner.describe();
        let key = match recipient {
            Some(recipient) => info.keys.into_iter().find(|key| key.names(recipient)).map(|key| {
                // One version stands for the others.
                let id = if key.version_of.is_some() { recipient.id_lossy() } else { key.id };
                KeyInfo { id, ..key }
            }),
            None => the_only_one(info.keys.into_iter().filter(|key| key.seals)),
        };
        let key = key.map(|KeyInfo { id, region, .. }| (id, region)).filter(|(id, _)| !id.is_empty());
        let provider = info.provider;
        let begun = clock.now();
        Self { observer, clock, operation, provider, key, begun, attempts: 1, is_told: false }
    }

    /// Tells how the call ended.
    pub(super) fn end(mut self, outcome: Outcome) {
        self.tell(outcome, None);
    }

    /// Tells that it failed, and with which key where the error knows.
    pub(super) fn fail(mut self, error: &ProviderError) {
        self.tell(Outcome::Failed(error.kind()), error.key_id());
    }

    /// Tells how a call ended that took so many attempts below, if there is somebody to tell.
    pub(super) fn finish(event: Option<Self>, attempts: u32, outcome: Result<Outcome, &ProviderError>) {
        let Some(mut event) = event else { return };
        event.attempts = attempts;
        match outcome {
            Ok(outcome) => event.end(outcome),
            Err(error) => event.fail(error),
        }
    }

    fn tell(&mut self, outcome: Outcome, key_id: Option<&str>) {
        self.is_told = true;
        let region = |(_, region): &(String, Option<String>)| region.clone();
        let own_region = self.key.as_ref().and_then(region);
        let own_id = self.key.as_ref().map(|(id, _)| id.as_str());
        let mut event = Event::new(self.operation, self.provider);
        event.key_id = own_id.or(key_id);
        event.region = own_region.as_deref();
        event.outcome = outcome;
        event.attempts = if outcome == Outcome::NotMine { 0 } else { self.attempts };
        event.latency = self.latency();
        self.observer.event(&event);
    }

    fn latency(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.begun)
    }
}

impl Drop for CallEvent<'_> {
    fn drop(&mut self) {
        if !self.is_told {
            self.tell(Outcome::Abandoned, None);
        }
    }
}

/// How an answer counts, for observers and for whoever watches the provider's health.
pub(super) trait Answer {
    /// Nothing failed, one thing did, or it was nobody's business.
    fn outcome(&self) -> Result<Outcome, &ProviderError>;

    /// The kind of failure, if it is one.
    fn failure(&self) -> Option<ProviderErrorKind> {
        self.outcome().err().map(ProviderError::kind)
    }
}

impl Answer for Result<Vec<Recipient>, ProviderError> {
    fn outcome(&self) -> Result<Outcome, &ProviderError> {
        self.as_ref().map(|_| Outcome::Ok)
    }
}

impl Answer for Result<GeneratedKey, ProviderError> {
    fn outcome(&self) -> Result<Outcome, &ProviderError> {
        self.as_ref().map(|_| Outcome::Ok)
    }
}

impl Answer for Result<Option<DataKey>, ProviderError> {
    fn outcome(&self) -> Result<Outcome, &ProviderError> {
        self.as_ref().map(|key| if key.is_some() { Outcome::Ok } else { Outcome::NotMine })
    }
}

impl Answer for Result<Health, ProviderError> {
    fn outcome(&self) -> Result<Outcome, &ProviderError> {
        match self {
            Ok(health) => health.problems().first().map_or(Ok(Outcome::Ok), Err),
            Err(error) => Err(error),
        }
    }
}

impl Answer for UnwrapAnswers {
    /// A key is success; without one, the last failure counts, which is the one that ended the search.
    fn outcome(&self) -> Result<Outcome, &ProviderError> {
        let mut outcome = Ok(Outcome::NotMine);
        for (_, answer) in self.iter() {
            match answer {
                UnwrapAnswer::Key(_) => return Ok(Outcome::Ok),
                UnwrapAnswer::Failed(error) => outcome = Err(error),
                UnwrapAnswer::NotMine | UnwrapAnswer::Abandoned => {}
            }
        }
        outcome
    }
}

fn the_only_one<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}
