//! A clock that stands still until a test turns it.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use super::{Clock, Sleep};

/// A clock for tests: time passes by [`advance`](Self::advance) only. Clones are the same clock.
///
/// # Examples
///
/// ```
/// use kuvert::clock::{Clock, TestClock};
/// use std::time::Duration;
///
/// let clock = TestClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now() - before, Duration::from_secs(3600));
/// ```
#[derive(Clone)]
pub struct TestClock(Arc<Mutex<State>>);

struct State {
    start: Instant,
    start_wall: SystemTime,
    /// Since `start`.
    passed: Duration,
    sleepers: BTreeMap<Key, Waker>,
    next_number: u64,
}

/// When to wake, counted from the clock's start, and a number that tells sleepers of one moment apart.
type Key = (Duration, u64);

impl TestClock {
    /// A clock that begins now, at 2026-01-01 00:00:00 UTC by the wall.
    #[must_use]
    pub fn new() -> Self {
        Self::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600))
    }

    /// A clock whose wall shows `wall`.
    #[must_use]
    pub fn starting_at(wall: SystemTime) -> Self {
        let (sleepers, passed) = (BTreeMap::new(), Duration::ZERO);
        let state = State { start: Instant::now(), start_wall: wall, passed, sleepers, next_number: 0 };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Lets time pass, a century altogether at most, and wakes every sleeper whose time has come, in order.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.lock();
        state.passed = state.passed.saturating_add(duration).min(CENTURY);
        let just_after = (state.passed + Duration::from_nanos(1), 0);
        let later = state.sleepers.split_off(&just_after);
        let due = std::mem::replace(&mut state.sleepers, later);
        drop(state);
        due.into_values().for_each(Waker::wake);
    }

    /// Lets time pass up to the next sleeper's end, and says how long that was: `None` if nobody sleeps.
    pub fn advance_to_next(&self) -> Option<Duration> {
        let state = self.lock();
        let (until, _) = *state.sleepers.first_key_value()?.0;
        let wait = until.saturating_sub(state.passed);
        drop(state);
        self.advance(wait);
        Some(wait)
    }

    /// How many sleeps have been polled and neither ended nor dropped.
    #[must_use]
    pub fn sleepers(&self) -> usize {
        self.lock().sleepers.len()
    }

    /// Sets the date and time of day, forwards or back. The clock of [`now`](Clock::now) does not notice.
    pub fn set_wall(&self, wall: SystemTime) {
        let mut state = self.lock();
        state.start_wall = wall.checked_sub(state.passed).unwrap_or(SystemTime::UNIX_EPOCH);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Instant {
        let state = self.lock();
        state.start + state.passed
    }

    fn wall(&self) -> SystemTime {
        let state = self.lock();
        state.start_wall + state.passed
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let mut state = self.lock();
        let key = (state.passed.saturating_add(duration), state.next_number);
        state.next_number += 1;
        Box::pin(Sleeper { clock: self.clone(), key })
    }
}

impl fmt::Debug for TestClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("TestClock")
            .field("passed", &state.passed)
            .field("sleepers", &state.sleepers.len())
            .finish_non_exhaustive()
    }
}

struct Sleeper {
    clock: TestClock,
    key: Key,
}

impl Future for Sleeper {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.clock.lock();
        if state.passed >= self.key.0 {
            return Poll::Ready(());
        }
        let previous = state.sleepers.insert(self.key, cx.waker().clone());
        drop(state);
        drop(previous);
        Poll::Pending
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let waker = self.clock.lock().sleepers.remove(&self.key);
        drop(waker);
    }
}

/// Far beyond any test, and within what `Instant` and `SystemTime` can count on every system.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
