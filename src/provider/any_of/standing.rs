//! How a member of a composition has fared lately: whether it comes last in line, and how long it usually takes.
//!
//! Knows moments and kinds of failure, and makes no call. Section "Two regions" of the
//! [operations manual](crate::manual::operations).

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::options::Hedge;
use crate::error::ProviderErrorKind;

/// One member's record.
#[derive(Debug, Default)]
pub(super) struct Standing(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Comes last until then, after which one caller tries it first again.
    last_until: Option<Instant>,
    throttled_in_a_row: u32,
    slow_in_a_row: u32,
    /// How long the last successes took, the oldest overwritten first.
    latencies: Vec<Duration>,
    next: usize,
}

impl Standing {
    /// Whether it comes last in line now. When its time is over, the one caller that is told first tries it, and the
    /// others leave it last for another while.
    pub(super) fn comes_last(&self, now: Instant) -> bool {
        let mut state = self.lock();
        match state.last_until {
            None => false,
            Some(until) if now < until => true,
            Some(_) => {
                state.last_until = Some(now + LAST_FOR);
                false
            }
        }
    }

    /// Whether it came last when it was looked at last; asks for no turn.
    pub(super) fn is_bad(&self) -> bool {
        self.lock().last_until.is_some()
    }

    /// Says whether it had been bad before.
    pub(super) fn succeeded(&self, latency: Duration) -> bool {
        let mut state = self.lock();
        (state.throttled_in_a_row, state.slow_in_a_row) = (0, 0);
        let next = state.next;
        match state.latencies.get_mut(next) {
            Some(oldest) => *oldest = latency,
            None => state.latencies.push(latency),
        }
        state.next = (next + 1) % REMEMBERED;
        state.last_until.take().is_some()
    }

    /// It did something else than what its latency is remembered of. Says whether it had been bad before.
    pub(super) fn works(&self) -> bool {
        let mut state = self.lock();
        (state.throttled_in_a_row, state.slow_in_a_row) = (0, 0);
        state.last_until.take().is_some()
    }

    /// Says whether it is bad from now on and was not before. A denial says nothing about a member: it comes in its turn.
    pub(super) fn failed(&self, kind: ProviderErrorKind, now: Instant) -> bool {
        let mut state = self.lock();
        match kind {
            ProviderErrorKind::Unavailable | ProviderErrorKind::Timeout => {}
            // One by itself says that there are many callers; another one after it, that going elsewhere helps.
            ProviderErrorKind::Throttled => {
                state.throttled_in_a_row += 1;
                if state.throttled_in_a_row < 2 {
                    return false;
                }
            }
            _ => return false,
        }
        state.last_until.replace(now + LAST_FOR).is_none()
    }

    /// Another one was faster. Now and then that happens to everybody; several times in a row, it is a failure. Says
    /// whether it is bad from now on and was not before.
    pub(super) fn was_slow(&self, now: Instant) -> bool {
        let mut state = self.lock();
        state.slow_in_a_row = state.slow_in_a_row.saturating_add(1);
        state.slow_in_a_row >= SLOW && state.last_until.replace(now + LAST_FOR).is_none()
    }

    /// How long to wait for it before another one is asked as well.
    pub(super) fn patience(&self, hedge: Hedge) -> Option<Duration> {
        match hedge {
            Hedge::Never => None,
            Hedge::After(delay) => Some(delay),
            Hedge::Usual => {
                let mut latencies = self.lock().latencies.clone();
                if latencies.len() < ENOUGH {
                    return Some(UNKNOWN);
                }
                latencies.sort_unstable();
                let usual = latencies[latencies.len() * 95 / 100];
                Some(usual.clamp(SHORTEST, LONGEST))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a member that failed comes last.
const LAST_FOR: Duration = Duration::from_secs(5);
/// Times in a row that a member may be slow: one of 20 answers takes longer than is usual.
const SLOW: u32 = 3;
/// Answers that are remembered.
const REMEMBERED: usize = 64;
/// Answers that say what is usual.
const ENOUGH: usize = 16;
/// Waited for while too few answers are known: longer than a healthy call to another continent.
const UNKNOWN: Duration = Duration::from_millis(300);
/// Waited for at least, so that a key at hand is not asked twice because of a hiccup of the scheduler.
const SHORTEST: Duration = Duration::from_millis(10);
/// Waited for at most, so that a member whose answers are all slow is left behind.
const LONGEST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn patience_is_what_is_usual_within_bounds() {
        let standing = Standing::default();
        assert_eq!(standing.patience(Hedge::Never), None);
        assert_eq!(standing.patience(Hedge::After(MS)), Some(MS));
        assert_eq!(standing.patience(Hedge::Usual), Some(UNKNOWN));
        (0..64).for_each(|i| assert!(!standing.succeeded(MS * (100 - i))));
        assert_eq!(standing.patience(Hedge::Usual), Some(MS * 97));
        (0..64).for_each(|_| assert!(!standing.succeeded(MS)));
        assert_eq!(standing.patience(Hedge::Usual), Some(SHORTEST));
        (0..64).for_each(|_| assert!(!standing.succeeded(MS * 60_000)));
        assert_eq!(standing.patience(Hedge::Usual), Some(LONGEST));
    }

    #[test]
    fn who_failed_comes_last_and_one_caller_tries_again() {
        let (standing, start) = (Standing::default(), Instant::now());
        assert!(!standing.comes_last(start));
        assert!(standing.failed(ProviderErrorKind::Unavailable, start));
        assert!(!standing.failed(ProviderErrorKind::Timeout, start), "told twice");
        assert!(standing.comes_last(start) && standing.comes_last(start + LAST_FOR - MS));
        let over = start + LAST_FOR;
        let first = (0..100).filter(|_| !standing.comes_last(over)).count();
        assert_eq!(first, 1, "one caller at a time tries it again");
        assert!(standing.is_bad() && standing.succeeded(MS) && !standing.comes_last(over));
        assert!(!standing.succeeded(MS), "told twice");
    }

    #[test]
    fn once_or_twice_slow_is_nothing() {
        let (standing, now) = (Standing::default(), Instant::now());
        for _ in 0..10 {
            assert!(!standing.was_slow(now) && !standing.was_slow(now) && !standing.comes_last(now));
            standing.succeeded(MS);
        }
        let told: Vec<_> = (0..5).map(|_| standing.was_slow(now)).collect();
        assert_eq!((told, standing.comes_last(now)), (vec![false, false, true, false, false], true));
    }

    #[test]
    fn throttling_counts_when_it_goes_on_and_denial_never() {
        let (standing, now) = (Standing::default(), Instant::now());
        for kind in
            [ProviderErrorKind::AccessDenied, ProviderErrorKind::Rejected, ProviderErrorKind::Throttled]
        {
            assert!(!standing.failed(kind, now), "{kind:?}");
        }
        standing.succeeded(MS);
        assert!(!standing.failed(ProviderErrorKind::Throttled, now));
        assert!(standing.failed(ProviderErrorKind::Throttled, now));
    }
}
