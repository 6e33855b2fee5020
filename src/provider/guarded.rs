//! A provider that is called with care: in time, not too often at once, again when that may help, and not at all while
//! it is down.
//!
//! It knows how calls end and how long they take, and nothing of what they are about. Section "When a key service is
//! down" of the [operations manual](crate::manual::operations).

mod breaker;
mod jitter;
mod line;
mod options;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;

pub use self::breaker::BreakerState;
pub(super) use self::jitter::Jitter;
pub use self::options::{BreakerOptions, GuardedOptions};
use self::{
    breaker::{Breaker, Change},
    line::Line,
};
use super::{
    GeneratedKey, Health, KeyProvider, ProviderInfo, UnwrapAnswer, UnwrapAnswers, WrapContext,
    budget::Budget,
    call_event::{Answer, CallEvent},
};
use crate::{
    clock::{Clock, SystemClock, within},
    error::{ProviderError, ProviderErrorKind},
    format::stanza::Recipient,
    observe::{Event, Observer, Operation, Outcome},
    secret::DataKey,
};

/// Calls the provider inside with a deadline, a bound on calls at once, few retries, and a breaker.
///
/// For one provider in one place, such as a key service's region: put each member of an [`AnyOf`](super::AnyOf) into a
/// `Guarded` of its own. Nothing else should repeat calls: of a client inside, switch its own retries off.
///
/// * **Deadline**: [`GuardedOptions::deadline`] bounds a call with everything in it; then it is
///   [`ProviderErrorKind::Timeout`].
/// * **Calls at once**: the others wait in line, first come first served, at most [`GuardedOptions::max_wait`], and
///   then are [`ProviderErrorKind::Throttled`]. A service that throttles is given half as many calls at once, at most
///   once a second, and one more after each round of successes. After four throttled calls in a row it is called by one
///   caller at a time, after a pause of twice the [back-off](GuardedOptions::back_off) and then four times, until it
///   answers something else.
/// * **Retries**: throttling, unavailability and timeouts only, after a random wait, and at most 10 for 100 calls, so that
///   a service that is ill is not finished off. A denied call, a disabled key, a refused wrap are never tried again.
/// * **Breaker**: opens when half of at least 10 calls in 10 seconds found the service unavailable or timed out. While
///   it is open, calls are [`ProviderErrorKind::Unavailable`] at once. Then one call probes; if it fails, the breaker
///   stays open for twice as long, up to [`BreakerOptions::max_open_for`]. Throttling, denials and refused wraps do not open it.
///
/// Recipients that are not the provider's go past all of this.
///
/// # Cancel safety
///
/// A dropped future gives back its place and, if it was the probe, its turn, at any moment. It counts neither as success nor
/// as failure.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use kuvert::provider::{BreakerState, Guarded, GuardedOptions, MemoryProvider};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let options = GuardedOptions::default().with_deadline(Duration::from_secs(2)).with_max_concurrent(16);
/// let guarded = Guarded::new(MemoryProvider::generate("k")?, options);
/// assert_eq!(guarded.state().breaker, BreakerState::Closed);
/// # Ok(()) }
/// ```
pub struct Guarded {
    inner: Arc<dyn KeyProvider>,
    options: GuardedOptions,
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observer>>,
    line: Line,
    breaker: Breaker,
    retries: Budget,
    jitter: Jitter,
}

/// How a guarded provider stands, for a status page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuardedState {
    /// Whether it calls at all.
    pub breaker: BreakerState,
    /// Calls that run.
    pub running: usize,
    /// Calls that wait in line.
    pub waiting: usize,
    /// Calls that may run at once: fewer than configured after throttling.
    pub max_running: usize,
}

impl Guarded {
    /// Guards `inner`.
    pub fn new(inner: impl KeyProvider + 'static, options: GuardedOptions) -> Self {
        Self {
            inner: Arc::new(inner),
            clock: Arc::new(SystemClock),
            observer: None,
            line: Line::new(options.max_concurrent),
            breaker: Breaker::new(options.breaker.clone()),
            retries: Budget::new(options.retry_percent, options.retry_percent),
            jitter: Jitter::new(),
            options,
        }
    }

    /// Counts time by this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Has calls told, one event each with the number of attempts, and when the breaker opens and closes.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Makes its random waits the same in every run, for tests.
    #[must_use]
    pub const fn with_jitter_seed(mut self, seed: u64) -> Self {
        self.jitter = Jitter::seeded(seed);
        self
    }

    /// How it stands now.
    #[must_use]
    pub fn state(&self) -> GuardedState {
        let (running, waiting, max_running) = self.line.counts();
        GuardedState { breaker: self.breaker.state(self.clock.now()), running, waiting, max_running }
    }

    /// Makes a call with all that belongs to it; `failed` is its answer where there is none from inside.
    async fn guard<'c, A: Answer>(
        &self,
        operation: Operation,
        recipient: Option<&Recipient>,
        call: impl Fn() -> Call<'c, A> + Sync,
        failed: impl FnOnce(ProviderError) -> A,
    ) -> A {
        let observer = self.observer.as_deref();
        let event = observer
            .map(|observer| CallEvent::begin(observer, &*self.clock, operation, &*self.inner, recipient));
        self.retries.earn();
        let begun = self.clock.now();
        let (mut attempts, mut last) = (0, None);
        let answer = loop {
            match self.attempt(&call, begun).await {
                Err(error) => break last.unwrap_or_else(|| failed(error)),
                Ok(None) => {
                    attempts += 1;
                    break failed(self.error(ProviderErrorKind::Timeout, "no answer before the deadline"));
                }
                Ok(Some(answer)) => {
                    attempts += 1;
                    match self.next_wait(attempts, answer.failure(), begun) {
                        Some(wait) => self.clock.sleep(wait).await,
                        None => break answer,
                    }
                    last = Some(answer);
                }
            }
        };
        CallEvent::finish(event, attempts, answer.outcome());
        answer
    }

    /// One attempt: an error if nobody was called, and no answer if there was none in time.
    async fn attempt<'c, A: Answer>(
        &self,
        call: &(impl Fn() -> Call<'c, A> + Sync),
        begun: Instant,
    ) -> Result<Option<A>, ProviderError> {
        // Whoever comes while it is open does not wait in line to be told.
        if self.breaker.state(self.clock.now()) == BreakerState::Open {
            return Err(self.is_open());
        }
        self.line.settle(self.clock.now());
        let wait = self.options.max_wait.min(self.left(begun));
        let place = within(&*self.clock, wait, self.line.ticket()).await.ok_or_else(|| {
            self.error(ProviderErrorKind::Throttled, "not called: too many calls wait in line already")
        })?;
        // One at a time while it throttles, and not at once.
        if let Some(back_offs) = self.line.pause() {
            let pause = self.jitter.around(self.options.back_off.saturating_mul(back_offs));
            self.clock.sleep(pause.min(self.left(begun))).await;
        }
        if self.left(begun).is_zero() {
            return Err(self.error(ProviderErrorKind::Timeout, "not called: no time was left"));
        }
        let pass = self.breaker.pass(self.clock.now()).map_err(|_| self.is_open())?;
        let answer = within(&*self.clock, self.left(begun), call()).await;
        let now = self.clock.now();
        let outcome = answer.as_ref().map(Answer::outcome);
        let failure = match outcome {
            None => Some(ProviderErrorKind::Timeout),
            Some(Ok(Outcome::Ok)) => None,
            // Nobody was asked, so that nothing is known.
            Some(Ok(_)) => return Ok(answer),
            Some(Err(error)) => Some(error.kind()),
        };
        match failure {
            None => self.line.went_well(),
            Some(ProviderErrorKind::Throttled) => self.line.throttled(now),
            Some(ProviderErrorKind::Timeout) => {}
            Some(_) => self.line.answered(),
        }
        let is_down = failure
            .filter(|kind| matches!(kind, ProviderErrorKind::Unavailable | ProviderErrorKind::Timeout));
        match pass.used(is_down.is_some(), now, &self.jitter) {
            Change::None => {}
            Change::Closed => self.tell_health(Outcome::Ok),
            Change::Opened => self.tell_health(is_down.map_or(Outcome::Ok, Outcome::Failed)),
        }
        drop(place);
        Ok(answer)
    }

    /// How long to wait before trying again, if that is to be done.
    fn next_wait(
        &self,
        attempts: u32,
        failure: Option<ProviderErrorKind>,
        begun: Instant,
    ) -> Option<Duration> {
        if !failure?.is_retryable() || attempts >= self.options.attempts {
            return None;
        }
        let longest = self.options.back_off.saturating_mul(1 << attempts.min(20));
        let wait = self.jitter.up_to(longest);
        (wait < self.left(begun) && self.retries.spend()).then_some(wait)
    }

    fn left(&self, begun: Instant) -> Duration {
        self.options.deadline.saturating_sub(self.clock.now().saturating_duration_since(begun))
    }

    fn is_open(&self) -> ProviderError {
        self.error(
            ProviderErrorKind::Unavailable,
            "not called: the last calls failed, and it is too early to try again",
        )
    }

    fn error(&self, kind: ProviderErrorKind, reason: &'static str) -> ProviderError {
        let info = self.inner.describe();
        let error = ProviderError::new(kind, info.provider).with_source(reason);
        match info.keys.into_iter().find(|key| key.seals && !key.id.is_empty()) {
            Some(key) => error.with_key_id(key.id),
            None => error,
        }
    }

    fn tell_health(&self, outcome: Outcome) {
        let Some(observer) = &self.observer else { return };
        let info = self.inner.describe();
        let mut event = Event::new(Operation::Health, info.provider);
        let key = info.keys.first();
        event.key_id = key.map(|key| key.id.as_str());
        event.region = key.and_then(|key| key.region.as_deref());
        (event.outcome, event.attempts) = (outcome, 0);
        observer.event(&event);
    }
}

/// One call of what is inside.
type Call<'c, A> = Pin<Box<dyn Future<Output = A> + Send + 'c>>;

#[async_trait]
impl KeyProvider for Guarded {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        self.guard(Operation::Wrap, None, || self.inner.wrap_data_key(key, context), Err).await
    }

    async fn generate_data_key(&self, context: &WrapContext) -> Result<GeneratedKey, ProviderError> {
        self.guard(Operation::Generate, None, || self.inner.generate_data_key(context), Err).await
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        if !self.inner.describe().keys.iter().any(|key| key.names(recipient)) {
            return self.inner.unwrap_data_key(recipient, context).await;
        }
        let call = || self.inner.unwrap_data_key(recipient, context);
        let failed = |error: ProviderError| Err(error.with_key_id(recipient.id_lossy()));
        self.guard(Operation::Unwrap, Some(recipient), call, failed).await
    }

    async fn unwrap_any(
        &self,
        recipients: &[&Recipient],
        limit: usize,
        context: &WrapContext,
    ) -> UnwrapAnswers {
        let keys = self.inner.describe().keys;
        let is_ours = |recipient: &&Recipient| keys.iter().any(|key| key.names(recipient));
        let ours: Vec<usize> = (0..recipients.len()).filter(|place| is_ours(&recipients[*place])).collect();
        if ours.is_empty() || limit == 0 {
            return self.inner.unwrap_any(recipients, limit, context).await;
        }
        let call = || self.inner.unwrap_any(recipients, limit, context);
        let failed = |error: ProviderError| {
            let mut answers = UnwrapAnswers::new();
            let why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            for place in ours.iter().take(limit) {
                let of_it = ProviderError::new(error.kind(), error.provider()).with_source(why.as_str());
                let of_it = of_it.with_key_id(recipients[*place].id_lossy());
                answers.push(*place, UnwrapAnswer::Failed(of_it));
            }
            answers
        };
        let the_only_one = ours.first().map(|place| recipients[*place]).filter(|_| ours.len() == 1);
        self.guard(Operation::Unwrap, the_only_one, call, failed).await
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.guard(Operation::Check, None, || self.inner.check(), Err).await
    }

    fn describe(&self) -> ProviderInfo {
        self.inner.describe()
    }
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("inner", &self.inner)
            .field("options", &self.options)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
