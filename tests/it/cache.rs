//! The cache of data keys through the public face: the outages that it is there for, and whoever goes away.
//!
//! Time is a test clock's. The providers below it fail by script; nothing asserts on real time.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use kuvert::clock::{Clock, TestClock};
use kuvert::provider::{
    AnyOf, CacheOptions, Cached, Guarded, GuardedOptions, Health, KeyProvider, MemoryProvider, ProviderInfo,
    WrapContext,
};
use kuvert::{DataKey, EncryptionContext, Kuvert, OpenError, ProviderError, ProviderErrorKind, Recipient};

use crate::support::cancel::{cancel_at_every_poll, wait};
use crate::support::io::{catching_scripted, hush_scripted_panics};
use crate::support::providers::{Answer, Scripted};
use crate::support::rng::Rng;

fn context() -> WrapContext {
    WrapContext::new([7; 12], [("table".to_owned(), "users".to_owned())])
}

fn memory(id: &str, byte: u8) -> MemoryProvider {
    MemoryProvider::from_keys([(id, [byte; 32])]).unwrap()
}

/// A region: a provider that can be down, and that serves so many calls a second by its clock.
#[derive(Debug)]
struct Region {
    inner: MemoryProvider,
    is_down: AtomicBool,
    calls: AtomicUsize,
    throttled: AtomicUsize,
    quota: Option<(u64, TestClock)>,
    served: std::sync::Mutex<BTreeMap<u64, u64>>,
    start: std::time::Instant,
}

impl Region {
    fn new(id: &str, byte: u8) -> Self {
        Self {
            inner: memory(id, byte),
            is_down: AtomicBool::new(false),
            calls: AtomicUsize::new(0),
            throttled: AtomicUsize::new(0),
            quota: None,
            served: std::sync::Mutex::default(),
            start: std::time::Instant::now(),
        }
    }

    fn with_quota(mut self, a_second: u64, clock: &TestClock) -> Self {
        self.start = clock.now();
        self.quota = Some((a_second, clock.clone()));
        self
    }

    fn answer(&self) -> Result<(), ProviderError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.is_down.load(Ordering::SeqCst) {
            return Err(ProviderError::new(ProviderErrorKind::Unavailable, "region"));
        }
        if let Some((a_second, clock)) = &self.quota {
            let second = (clock.now() - self.start).as_secs();
            let mut served = self.served.lock().unwrap();
            let served = served.entry(second).or_default();
            if *served >= *a_second {
                self.throttled.fetch_add(1, Ordering::SeqCst);
                return Err(ProviderError::new(ProviderErrorKind::Throttled, "region"));
            }
            *served += 1;
        }
        Ok(())
    }
}

#[kuvert::async_trait]
impl KeyProvider for Region {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        self.answer()?;
        self.inner.wrap_data_key(key, context).await
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        if recipient.id() != self.describe().keys[0].id.as_bytes() {
            return Ok(None);
        }
        self.answer()?;
        self.inner.unwrap_data_key(recipient, context).await
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.answer()?;
        Ok(Health::good())
    }

    fn describe(&self) -> ProviderInfo {
        self.inner.describe()
    }
}

const KEYS: usize = 10_000;
const CACHED: usize = KEYS / 100 * 99;
const OPENS_A_SECOND: u64 = 1000;
const OUTAGE: Duration = Duration::from_secs(30 * 60);

/// How often a key is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Uses {
    /// As often as any other.
    Alike,
    /// In inverse proportion to its rank: the first twice as often as the second, and ten times as often as the tenth.
    ByRank,
}

impl Uses {
    /// Which key is used next.
    fn pick(self, rng: &mut Rng, sums: &[f64]) -> usize {
        match self {
            Self::Alike => rng.below(KEYS),
            Self::ByRank => {
                let at = rng.below(1 << 30) as f64 / f64::from(1 << 30) * sums[KEYS - 1];
                sums.partition_point(|sum| *sum <= at).min(KEYS - 1)
            }
        }
    }
}

/// Openings that succeeded, that failed, and that were of keys which nobody had opened before.
struct Served {
    good: u64,
    bad: u64,
    cold: u64,
}

/// What a service has in front of each region.
fn guarded(region: &Arc<Region>, clock: &TestClock) -> Arc<Guarded> {
    let guarded = Guarded::new(Arc::clone(region), GuardedOptions::default().with_attempts(1));
    Arc::new(guarded.with_clock(Arc::new(clock.clone())).with_jitter_seed(1))
}

/// An outage of 30 minutes: 10 000 keys, of which the first 9 900 were opened before.
fn outage(
    cache: &Cached,
    clock: &TestClock,
    messages: &[Vec<Recipient>],
    uses: Uses,
    begin: impl Fn(),
) -> Served {
    let context = context();
    let open = |n: usize| {
        let recipients: Vec<&Recipient> = messages[n].iter().collect();
        at_once(cache.unwrap_any(&recipients, 4, &context)).into_answers().pop().unwrap().1
    };
    for n in 0..CACHED {
        assert!(matches!(open(n), kuvert::provider::UnwrapAnswer::Key(_)));
    }
    begin();
    let mut rng = Rng::new("an outage");
    let sums: Vec<f64> = (1..=KEYS)
        .scan(0.0, |sum, rank| {
            *sum += 1.0 / rank as f64;
            Some(*sum)
        })
        .collect();
    let mut served = Served { good: 0, bad: 0, cold: 0 };
    for _ in 0..OUTAGE.as_secs() * OPENS_A_SECOND {
        clock.advance(Duration::from_secs(1) / u32::try_from(OPENS_A_SECOND).unwrap());
        let key = uses.pick(&mut rng, &sums);
        served.cold += u64::from(key >= CACHED);
        match open(key) {
            kuvert::provider::UnwrapAnswer::Key(_) => served.good += 1,
            kuvert::provider::UnwrapAnswer::Failed(error) => {
                assert_eq!(error.kind(), ProviderErrorKind::Unavailable);
                served.bad += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    served
}

/// The output of a future that waits for nothing.
fn at_once<T>(mut future: Pin<Box<dyn Future<Output = T> + Send + '_>>) -> T {
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

fn messages(provider: &dyn KeyProvider) -> Vec<Vec<Recipient>> {
    let context = context();
    (0..KEYS).map(|_| wait(provider.generate_data_key(&context)).unwrap().recipients).collect()
}

/// C7, one region alone: every opening of a key that was there succeeds, the rest says what it is, and the region is asked
/// for a fraction of them.
#[test]
fn a_region_that_is_down_for_half_an_hour_costs_only_what_was_not_cached() {
    for (uses, row) in [(Uses::Alike, "C7a"), (Uses::ByRank, "C7b")] {
        let (region, clock) = (Arc::new(Region::new("eu-north-1", 1)), TestClock::new());
        let options = CacheOptions::default().with_stale_on_outage(Some(OUTAGE));
        let cache = Cached::from_arc(guarded(&region, &clock), options).with_clock(Arc::new(clock.clone()));
        let messages = messages(&*region);
        let Served { good, bad, cold } =
            outage(&cache, &clock, &messages, uses, || region.is_down.store(true, Ordering::SeqCst));
        let calls = region.calls.load(Ordering::SeqCst) - KEYS - CACHED;
        assert_eq!(bad, cold, "exactly the openings of keys that were not there");
        // A breaker that probes every 4 seconds, and what it takes to open it.
        assert!((1..1000).contains(&calls), "{calls}");
        assert_eq!(cache.stats().entries, CACHED, "and nothing was lost");
        assert!(good * 1000 >= (good + bad) * if uses == Uses::Alike { 989 } else { 998 });
        stands_in_the_manual(row, good, good + bad);
    }
}

/// C7 as a service would have it, with a second region: what is not cached is opened there.
#[test]
fn with_a_second_region_an_outage_of_half_an_hour_goes_unnoticed() {
    let (north, west) = (Arc::new(Region::new("eu-north-1", 1)), Arc::new(Region::new("eu-west-1", 2)));
    let clock = TestClock::new();
    let members = [&north, &west].map(|region| guarded(region, &clock) as _);
    let both = Arc::new(AnyOf::new(members).unwrap().with_clock(Arc::new(clock.clone())));
    let cache = Cached::from_arc(both.clone(), CacheOptions::default()).with_clock(Arc::new(clock.clone()));
    let messages = messages(&*both);
    let calls = || [&north, &west].map(|region| region.calls.load(Ordering::SeqCst));
    let before = std::cell::Cell::new([0; 2]);
    let Served { good, bad, .. } = outage(&cache, &clock, &messages, Uses::Alike, || {
        before.set(calls());
        north.is_down.store(true, Ordering::SeqCst);
    });
    let [north, west] = [0, 1].map(|region| calls()[region] - before.get()[region]);
    assert!(good * 1000 >= (good + bad) * 999, "{good} of {}", good + bad);
    // Each key is due about three times in half an hour, and nobody asks more than one time in ten twice.
    assert!((2 * KEYS..=4 * KEYS).contains(&west) && north * 10 <= west, "{north} {west}");
    stands_in_the_manual("C7c", good, good + bad);
}

/// The row of the manual's table of outages holds what was measured.
fn stands_in_the_manual(row: &str, good: u64, all: u64) {
    let grouped = |number: u64| {
        let digits = number.to_string();
        let split = |at: usize| &digits[digits.len().saturating_sub(at + 3)..digits.len() - at];
        (0..digits.len()).step_by(3).rev().map(split).collect::<Vec<_>>().join(" ")
    };
    let share = format!("{}.{:03} %", good * 100 / all, good * 100_000 / all % 1000);
    let figure = format!("{} of {} ({share})", grouped(good), grouped(all));
    println!("{row}: {figure}");
    let manual = include_str!("../../src/manual/operations.md");
    let line = manual.lines().find(|line| line.starts_with(&format!("| {row} |"))).expect("such a row");
    assert!(line.contains(&figure), "{figure} does not stand in {line}");
}

/// C8, over threads as well as tasks.
#[test]
fn ten_thousand_tasks_on_one_cold_key_make_one_call() {
    let provider = Arc::new(Scripted::new(memory("k", 1)).yielding(20));
    let kuvert = Kuvert::new(Cached::from_arc(provider.clone(), CacheOptions::default()));
    let message = wait(kuvert.seal(b"cold", &EncryptionContext::empty())).unwrap();
    let before = provider.calls();
    let opened: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let empty = EncryptionContext::empty();
                    let mut tasks: Vec<_> =
                        (0..1250).map(|_| Box::pin(kuvert.open(&message, &empty))).collect();
                    let mut opened = 0;
                    while !tasks.is_empty() {
                        tasks.retain_mut(|task| {
                            match task.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                                Poll::Ready(text) => {
                                    assert_eq!(text.unwrap().as_slice(), b"cold");
                                    opened += 1;
                                    false
                                }
                                Poll::Pending => true,
                            }
                        });
                    }
                    opened
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((opened, provider.calls() - before), (10_000, 1));
}

/// C9: callers that come back after what the cache tells them warm up ten thousand keys in hardly more time than the quota
/// needs, and the cache keeps them from storming.
#[test]
fn ten_thousand_cold_keys_under_a_quota_are_warm_in_time() {
    let clock = TestClock::new();
    let region = Region::new("k", 1).with_quota(500, &clock);
    let source = memory("k", 1);
    let context = context();
    let wraps: Vec<_> =
        (0..KEYS).map(|_| wait(source.generate_data_key(&context)).unwrap().recipients.remove(0)).collect();
    let region = Arc::new(region);
    let cache = Cached::from_arc(region.clone(), CacheOptions::default()).with_clock(Arc::new(clock.clone()));
    // A service works on 100 keys at a time, and asks ten times a second for each, until it has it.
    let mut open: Vec<usize> = (0..KEYS).rev().collect();
    let mut at_work: Vec<usize> = Vec::new();
    let begun = clock.now();
    while !open.is_empty() || !at_work.is_empty() {
        while at_work.len() < 100 && !open.is_empty() {
            at_work.extend(open.pop());
        }
        at_work.retain(|n| wait(cache.unwrap_data_key(&wraps[*n], &context)).is_err());
        clock.advance(Duration::from_millis(100));
    }
    let took = clock.now() - begun;
    let (calls, throttled) = (region.calls.load(Ordering::SeqCst), region.throttled.load(Ordering::SeqCst));
    println!("10 000 cold keys at 500 a second: {took:?}, {calls} calls, {throttled} of them throttled");
    let ideal = Duration::from_secs((KEYS / 500) as u64);
    assert!(took <= ideal * 12 / 10, "{took:?}");
    assert_eq!(calls - throttled, KEYS);
    assert!(throttled * 5 <= calls, "no storm: {throttled} of {calls}");
}

/// A leader and one who waits for it, dropped together after any number of polls: the slot works, and so it does if only
/// one of them goes on.
#[test]
fn the_slot_works_after_callers_are_dropped_at_any_poll() {
    for yields in [0, 1, 3] {
        let provider = Arc::new(Scripted::new(memory("k", 1)).yielding(yields));
        let cache = Cached::from_arc(provider, CacheOptions::default());
        let context = context();
        let recipient = wait(cache.generate_data_key(&context)).unwrap().recipients.remove(0);
        let open = || cache.unwrap_data_key(&recipient, &context);
        let (polls, answers) = cancel_at_every_poll(
            || {
                cache.purge();
                let (mut one, mut other) = (open(), open());
                let (mut first, mut second) = (None, None);
                Box::pin(std::future::poll_fn(move |cx| {
                    for (future, answer) in [(&mut one, &mut first), (&mut other, &mut second)] {
                        if let (None, Poll::Ready(ready)) = (&answer, future.as_mut().poll(cx)) {
                            *answer = Some(ready);
                        }
                        if answer.is_some() {
                            *future = Box::pin(std::future::pending());
                        }
                    }
                    match (first.take(), second.take()) {
                        (Some(one), Some(other)) => Poll::Ready([one, other]),
                        (one, other) => {
                            (first, second) = (one, other);
                            Poll::Pending
                        }
                    }
                }))
            },
            |_| {
                assert_eq!(cache.stats().bytes, 0, "nothing is left of those who went");
                assert!(wait(open()).unwrap().is_some());
                assert!(cache.cached_key(&recipient, &context).is_some());
            },
        );
        assert!(polls > yields && answers.iter().all(|answer| matches!(answer, Ok(Some(_)))));
    }
}

/// Two that wait while the leader is dropped after every number of polls: both are woken and answered.
#[test]
fn those_who_wait_go_on_when_the_leader_is_dropped_at_any_poll() {
    for polls in 1..10 {
        let provider = Arc::new(Scripted::new(memory("k", 1)).yielding(3));
        let cache = Cached::from_arc(provider.clone(), CacheOptions::default());
        let context = context();
        let recipient = wait(cache.generate_data_key(&context)).unwrap().recipients.remove(0);
        let mut leader = cache.unwrap_data_key(&recipient, &context);
        let mut is_done = false;
        let waiters = std::thread::scope(|scope| {
            let mut cx = Context::from_waker(Waker::noop());
            is_done |= leader.as_mut().poll(&mut cx).is_ready();
            let waiters = [(); 2].map(|()| scope.spawn(|| wait(cache.unwrap_data_key(&recipient, &context))));
            for _ in 1..polls {
                if !is_done {
                    is_done = leader.as_mut().poll(&mut cx).is_ready();
                }
            }
            drop(leader);
            waiters.map(|waiter| waiter.join().unwrap())
        });
        assert!(waiters.iter().all(|answer| matches!(answer, Ok(Some(_)))), "{polls}");
        assert!(provider.unwraps() <= 2, "{polls}");
    }
}

#[test]
fn panics_of_the_provider_leave_the_cache_as_it_was() {
    hush_scripted_panics();
    let provider =
        Arc::new(Scripted::new(memory("k", 1)).answering(1, Answer::Panic).answering(2, Answer::Panic));
    let cache = Arc::new(Cached::from_arc(provider, CacheOptions::default()));
    let kuvert = Kuvert::from_arc(cache.clone());
    let message = wait(kuvert.seal(b"x", &EncryptionContext::empty())).unwrap();
    for _ in 0..2 {
        assert!(catching_scripted(|| wait(kuvert.open(&message, &EncryptionContext::empty()))).is_none());
        assert_eq!(cache.stats().bytes, 0);
    }
    assert_eq!(wait(kuvert.open(&message, &EncryptionContext::empty())).unwrap().as_slice(), b"x");
}

/// A message that a cached key does not open says so as if there were no cache, however often.
#[test]
fn errors_are_the_same_with_a_cache() {
    let kuvert = Kuvert::new(Cached::new(memory("k", 1), CacheOptions::default()));
    let stranger = Kuvert::new(Cached::new(memory("x", 2), CacheOptions::default()));
    let context = EncryptionContext::new([("table", "users")]).unwrap();
    let other = EncryptionContext::new([("table", "orders")]).unwrap();
    let message = wait(kuvert.seal(b"x", &context)).unwrap();
    let mut damaged = message.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for _ in 0..3 {
        assert!(matches!(wait(kuvert.open(&message, &other)), Err(OpenError::WrongContext(_))));
        assert!(matches!(wait(kuvert.open(&damaged, &context)), Err(OpenError::Tampered(_))));
        assert!(matches!(wait(stranger.open(&message, &context)), Err(OpenError::KeyUnavailable(_))));
        assert_eq!(wait(kuvert.open(&message, &context)).unwrap().as_slice(), b"x");
    }
}

/// The contract of providers, over a provider that yields.
#[cfg(feature = "conformance")]
#[test]
fn a_cache_keeps_the_contract() {
    use kuvert::provider::conformance::Conformance;

    let cached = |id: &str, byte| {
        let options = CacheOptions::default().with_stock(Some(kuvert::provider::StockOptions::default()));
        Cached::new(Scripted::new(memory(id, byte)).yielding(2), options)
    };
    let (provider, stranger, impostor) = (cached("k", 1), cached("other", 1), cached("k", 2));
    let kinds = crate::support::providers::ALL_KINDS;
    let failing = kinds.map(|kind| {
        Cached::new(Scripted::new(memory("k", 1)).always(Answer::Fail(kind)), CacheOptions::default())
    });
    let mut suite = Conformance::new(&provider)
        .with_stranger(&stranger)
        .with_impostor(&impostor)
        .with_secret([1; 32])
        .with_threads(4);
    for (failing, kind) in failing.iter().zip(kinds) {
        suite = suite.with_failing(failing, kind);
    }
    let report = wait(suite.run());
    assert!(report.is_conformant(), "{report}");
}
