//! A key service with a script, on a test clock: late, down, throttled or lying, and counting its calls.
//!
//! For the tests of compositions. It stands for a region where no server is at hand.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use async_trait::async_trait;

use super::{Health, KeyInfo, KeyProvider, MemoryProvider, ProviderInfo, UnwrapAnswers, WrapContext};
use crate::{
    clock::{Clock as _, TestClock},
    error::{ProviderError, ProviderErrorKind},
    format::stanza::{Recipient, RecipientType},
    observe::{Event, Observer, Operation, Outcome},
    secret::DataKey,
};

/// What a region does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    /// Answers after its usual time.
    Good,
    /// Answers after so long.
    Slow(Duration),
    /// Fails after its usual time.
    Fails(ProviderErrorKind),
    /// Of 100 calls so many fail, evenly spread.
    Sometimes(usize, ProviderErrorKind),
    /// Serves so many calls in each second, and throttles the others.
    Quota(usize),
    /// Never answers.
    Hangs,
}

/// A provider with one key, which travels for a while in every call.
#[derive(Debug)]
pub(super) struct Region {
    pub(super) id: &'static str,
    inner: MemoryProvider,
    pub(super) clock: TestClock,
    usual: Duration,
    weather: Mutex<Weather>,
    calls: AtomicUsize,
    running: AtomicUsize,
    peak: AtomicUsize,
    throttled: AtomicUsize,
    /// The second of the clock, and the calls that were served in it.
    served: Mutex<(u64, usize)>,
    start: Instant,
}

impl Region {
    pub(super) fn new(id: &'static str, byte: u8, clock: &TestClock) -> Arc<Self> {
        Arc::new(Self {
            id,
            inner: MemoryProvider::from_keys([(id, [byte; 32])]).expect("a good id"),
            clock: clock.clone(),
            usual: Duration::from_millis(20),
            weather: Mutex::new(Weather::Good),
            calls: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            throttled: AtomicUsize::new(0),
            served: Mutex::new((0, 0)),
            start: clock.now(),
        })
    }

    pub(super) fn set(&self, weather: Weather) {
        *self.weather.lock().expect("no panic while held") = weather;
    }

    /// Calls that were begun since this was asked last.
    pub(super) fn calls(&self) -> usize {
        self.calls.swap(0, Ordering::SeqCst)
    }

    /// Calls that run now, and the most that ever ran at once.
    pub(super) fn running(&self) -> (usize, usize) {
        (self.running.load(Ordering::SeqCst), self.peak.load(Ordering::SeqCst))
    }

    /// Calls beyond the quota.
    pub(super) fn throttled(&self) -> usize {
        self.throttled.load(Ordering::SeqCst)
    }

    fn is_within(&self, quota: usize) -> bool {
        let second = (self.clock.now() - self.start).as_secs();
        let mut served = self.served.lock().expect("no panic while held");
        if served.0 != second {
            *served = (second, 0);
        }
        served.1 += 1;
        if served.1 > quota {
            self.throttled.fetch_add(1, Ordering::SeqCst);
        }
        served.1 <= quota
    }

    async fn travel(&self) -> Result<(), ProviderError> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let now = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(now, Ordering::SeqCst);
        let _running = Running(&self.running);
        let weather = *self.weather.lock().expect("no panic while held");
        let is_within = !matches!(weather, Weather::Quota(quota) if !self.is_within(quota));
        match weather {
            Weather::Good | Weather::Fails(_) | Weather::Sometimes(..) | Weather::Quota(_) => {
                self.clock.sleep(self.usual).await;
            }
            Weather::Slow(time) => self.clock.sleep(time).await,
            Weather::Hangs => std::future::pending().await,
        }
        match weather {
            // 61 and 100 have no common divisor: every remainder comes once in a hundred.
            Weather::Sometimes(percent, kind) if number * 61 % 100 < percent => {
                Err(ProviderError::new(kind, "region").with_key_id(self.id))
            }
            Weather::Quota(_) if !is_within => {
                Err(ProviderError::new(ProviderErrorKind::Throttled, "region").with_key_id(self.id))
            }
            Weather::Fails(kind) => Err(ProviderError::new(kind, "region").with_key_id(self.id)),
            _ => Ok(()),
        }
    }
}

struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl KeyProvider for Region {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        self.travel().await?;
        self.inner.wrap_data_key(key, context).await
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        let is_mine = self.describe().keys.iter().any(|key| key.names(recipient));
        if !is_mine {
            return Ok(None);
        }
        self.travel().await?;
        self.inner.unwrap_data_key(recipient, context).await
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.travel().await?;
        Ok(Health::good())
    }

    fn describe(&self) -> ProviderInfo {
        ProviderInfo::new("region").with_key(
            KeyInfo::new(RecipientType::AES_KWP, self.id).with_region(format!("region of {}", self.id)),
        )
    }
}

/// Remembers which methods of it were called, each of which it implements itself.
#[derive(Debug)]
pub(super) struct Recorder {
    inner: MemoryProvider,
    called: Mutex<Vec<&'static str>>,
}

impl Recorder {
    pub(super) fn new() -> Arc<Self> {
        let inner = MemoryProvider::from_keys([("k", [1; 32])]).expect("a good id");
        Arc::new(Self { inner, called: Mutex::default() })
    }

    fn note(&self, method: &'static str) {
        self.called.lock().expect("no panic while held").push(method);
    }
}

#[async_trait]
impl KeyProvider for Recorder {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        self.note("wrap_data_key");
        self.inner.wrap_data_key(key, context).await
    }

    async fn generate_data_key(&self, context: &WrapContext) -> Result<super::GeneratedKey, ProviderError> {
        self.note("generate_data_key");
        self.inner.generate_data_key(context).await
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        self.note("unwrap_data_key");
        self.inner.unwrap_data_key(recipient, context).await
    }

    async fn unwrap_any(
        &self,
        recipients: &[&Recipient],
        limit: usize,
        context: &WrapContext,
    ) -> UnwrapAnswers {
        self.note("unwrap_any");
        self.inner.unwrap_any(recipients, limit, context).await
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.note("check");
        self.inner.check().await
    }

    fn describe(&self) -> ProviderInfo {
        self.inner.describe()
    }
}

/// Which methods a wrapper around `recorder` does not forward: each is called on the wrapper once, and has to arrive.
pub(super) fn not_forwarded(wrapper: &dyn KeyProvider, recorder: &Recorder) -> Vec<&'static str> {
    let clock = TestClock::new();
    let made = run(&clock, recorder.generate_data_key(&context())).expect("in memory");
    let recipient = &made.recipients[0];
    let mut missing = Vec::new();
    let mut arrives = |method, call: &dyn Fn()| {
        recorder.called.lock().expect("no panic while held").clear();
        call();
        if *recorder.called.lock().expect("no panic while held") != [method] {
            missing.push(method);
        }
    };
    let context = context();
    arrives("wrap_data_key", &|| drop(run(&clock, wrapper.wrap_data_key(&made.key, &context))));
    arrives("generate_data_key", &|| drop(run(&clock, wrapper.generate_data_key(&context))));
    arrives("unwrap_data_key", &|| drop(run(&clock, wrapper.unwrap_data_key(recipient, &context))));
    arrives("unwrap_any", &|| drop(run(&clock, wrapper.unwrap_any(&[recipient], 1, &context))));
    arrives("check", &|| drop(run(&clock, wrapper.check())));
    if wrapper.describe().keys != recorder.describe().keys {
        missing.push("describe");
    }
    missing
}

/// An operation, how it ended, the attempts, and the key's id.
pub(super) type Told = (Operation, Outcome, u32, Option<String>);

/// What an observer was told.
#[derive(Debug, Default)]
pub(super) struct Log {
    events: Mutex<Vec<Told>>,
    text: Mutex<String>,
}

impl Observer for Log {
    fn event(&self, event: &Event<'_>) {
        let row = (event.operation, event.outcome, event.attempts, event.key_id.map(ToOwned::to_owned));
        self.events.lock().expect("no panic while held").push(row);
        self.text.lock().expect("no panic while held").push_str(&format!("{event:?}\n"));
    }
}

impl Log {
    pub(super) fn take(&self) -> Vec<Told> {
        std::mem::take(&mut self.events.lock().expect("no panic while held"))
    }

    /// Changes of health: whose, and to what.
    pub(super) fn health(&self) -> Vec<(String, Outcome)> {
        let health = |(operation, outcome, _, id): Told| {
            (operation == Operation::Health).then(|| (id.unwrap_or_default(), outcome))
        };
        self.take().into_iter().filter_map(health).collect()
    }

    pub(super) fn text(&self) -> String {
        self.text.lock().expect("no panic while held").clone()
    }
}

/// A value of the context that nothing may show.
pub(super) const PLANTED: &str = "planted-value-5e1b";

pub(super) fn context() -> WrapContext {
    WrapContext::new(*b"\x89KUV\r\n\x1a\n\x01\x01\x00\x01", [("table".to_owned(), PLANTED.to_owned())])
}

/// Turns the clock until the future is done, and says how long that took by it.
pub(super) fn timed<F: Future>(clock: &TestClock, future: F) -> (F::Output, Duration) {
    let start = clock.now();
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return (output, clock.now() - start);
        }
        clock.advance_to_next().expect("nobody sleeps, and the future waits");
    }
}

/// [`timed`] for those who have time.
pub(super) fn run<F: Future>(clock: &TestClock, future: F) -> F::Output {
    timed(clock, future).0
}

/// Polls a future so often and drops it: whether it was still pending.
pub(super) fn dropped_after<F: Future>(clock: &TestClock, polls: usize, future: F) -> bool {
    let mut future = pin!(future);
    for _ in 0..polls {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            return false;
        }
        clock.advance_to_next();
    }
    true
}
