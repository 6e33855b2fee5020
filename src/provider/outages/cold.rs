//! Ten thousand keys at once, of which none is there, and a key service with a quota: who waits, and who storms it.

use std::{
    cell::Cell,
    collections::VecDeque,
    sync::Mutex,
    task::{Poll, Wake},
};

use super::*;
use crate::provider::guarded::Jitter;

const KEYS: usize = 10_000;
const QUOTA: usize = 500;

/// What it took to have all of them.
struct Warming {
    took: Duration,
    longest_call: Duration,
    calls: usize,
    throttled: usize,
    /// Answers to callers that it is too much, most of them without a call.
    told_to_wait: usize,
}

/// One task for each key, all at once, which come back some time in the next two seconds when they were told to wait.
fn warm(clock: &TestClock, region: &Region, provider: Arc<dyn KeyProvider>) -> Warming {
    let context = context();
    let source = MemoryProvider::from_keys([(region.id, [1; 32])]).unwrap();
    let wrap = |n: usize| {
        let mut bytes = [9; 32];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        run(clock, source.wrap_data_key(&DataKey::copy_from(&bytes), &context)).unwrap().remove(0)
    };
    let wraps: Vec<Recipient> = (0..KEYS).map(wrap).collect();
    let cache = Cached::from_arc(provider, CacheOptions::default()).with_clock(Arc::new(clock.clone()));
    region.set(Weather::Quota(QUOTA));
    let (start, longest, told_to_wait) = (clock.now(), Cell::new(Duration::ZERO), Cell::new(0));
    let jitter = Jitter::seeded(3);
    let task = async |wrap: &Recipient| {
        loop {
            let begun = clock.now();
            let answer = cache.unwrap_data_key(wrap, &context).await;
            longest.set(longest.get().max(clock.now() - begun));
            match answer {
                Ok(key) => return assert!(key.is_some()),
                Err(error) => assert_eq!(error.kind(), Kind::Throttled, "{error}"),
            }
            told_to_wait.set(told_to_wait.get() + 1);
            clock.sleep(jitter.up_to(2 * SECOND)).await;
        }
    };
    drive(clock, wraps.iter().map(|wrap| Box::pin(task(wrap)) as _).collect());
    let took = clock.now() - start;
    // And they are there.
    assert_eq!((cache.stats().entries, region.running().0), (KEYS, 0));
    let (calls, throttled) = (region.calls(), region.throttled());
    Warming { took, longest_call: longest.get(), calls, throttled, told_to_wait: told_to_wait.get() }
}

/// Polls whoever was woken, and turns the clock when nobody was.
fn drive(clock: &TestClock, mut tasks: Vec<Pin<Box<dyn Future<Output = ()> + '_>>>) {
    struct Bell(usize, Arc<Mutex<VecDeque<usize>>>);
    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.1.lock().expect("no panic while held").push_back(self.0);
        }
    }
    let woken: Arc<Mutex<VecDeque<usize>>> = Arc::new(Mutex::new((0..tasks.len()).collect()));
    let wakers: Vec<Waker> =
        (0..tasks.len()).map(|task| Arc::new(Bell(task, Arc::clone(&woken))).into()).collect();
    let mut is_done = vec![false; tasks.len()];
    let mut left = tasks.len();
    while left > 0 {
        let next = woken.lock().expect("no panic while held").pop_front();
        match next {
            Some(task) if is_done[task] => {}
            Some(task) => {
                let answer = tasks[task].as_mut().poll(&mut Context::from_waker(&wakers[task]));
                is_done[task] = answer == Poll::Ready(());
                left -= usize::from(is_done[task]);
            }
            None => drop(clock.advance_to_next().expect("nobody sleeps, and somebody waits: a lost wake-up")),
        }
    }
}

/// C9: a guard learns what the service serves, and keeps to it.
#[test]
fn ten_thousand_cold_keys_behind_a_guard_are_warm_in_time_and_without_a_storm() {
    let clock = TestClock::new();
    let region = Region::new("k", 1, &clock);
    let guarded = Guarded::new(region.clone(), GuardedOptions::default());
    let guarded = Arc::new(guarded.with_clock(Arc::new(clock.clone())).with_jitter_seed(1));
    let warming = warm(&clock, &region, guarded.clone());
    let ideal = Duration::from_secs((KEYS / QUOTA) as u64);
    assert!(warming.told_to_wait > 0, "the quota is felt");
    assert!(warming.took <= ideal * 12 / 10, "{:?}", warming.took);
    assert_eq!(warming.calls - warming.throttled, KEYS, "one call for each that was served");
    assert!(share(warming.calls, KEYS) <= 1.1, "{} calls", warming.calls);
    assert!(warming.longest_call <= 3 * SECOND, "{:?}", warming.longest_call);
    assert!(guarded.state().max_running < 64, "{:?}", guarded.state());
    assert_eq!(guarded.state().breaker, BreakerState::Closed);
    stand_in_the_manual("C9", &[seconds(warming.took), at_most(share(warming.calls, KEYS))]);
}

/// The same without a guard is the storm that the counts would show.
#[test]
fn a_planted_stampede_is_seen() {
    let clock = TestClock::new();
    let region = Region::new("k", 1, &clock);
    let warming = warm(&clock, &region, region.clone());
    assert!(share(warming.calls, KEYS) > 5.0, "{} calls", warming.calls);
}
