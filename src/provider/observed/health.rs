//! Whether a provider works, as its calls show it: two states, and when to tell a change.
//!
//! Knows outcomes and moments, and no provider. Section "Watching providers" of the
//! [operations manual](crate::manual::operations).

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{error::ProviderErrorKind, observe::Outcome};

/// Sees every outcome and says which of them changes the health.
#[derive(Debug)]
pub(super) struct HealthWatch {
    /// When the last failure was, while the provider counts as not working.
    failing_since: Mutex<Option<Instant>>,
}

impl HealthWatch {
    pub(super) const fn new() -> Self {
        Self { failing_since: Mutex::new(None) }
    }

    /// The change to be told, if this outcome is one.
    pub(super) fn see(&self, outcome: Outcome, now: Instant) -> Option<Outcome> {
        let mut last_failure = self.failing_since.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Outcome::Failed(kind) if says_something(kind) => {
                let is_new = last_failure.replace(now).is_none();
                is_new.then_some(outcome)
            }
            Outcome::Ok => {
                last_failure.take_if(|last| now.saturating_duration_since(*last) >= SETTLED)?;
                Some(Outcome::Ok)
            }
            _ => None,
        }
    }
}

/// Whether a failure is one of the provider, and not of what it was asked.
const fn says_something(kind: ProviderErrorKind) -> bool {
    !matches!(kind, ProviderErrorKind::Rejected | ProviderErrorKind::Refused)
}

/// Without a failure for so long, a success means that it works again.
const SETTLED: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const DOWN: Outcome = Outcome::Failed(ProviderErrorKind::Unavailable);

    fn told(seen: &[(u64, Outcome)]) -> Vec<(u64, Outcome)> {
        let (watch, start) = (HealthWatch::new(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        seen.iter()
            .filter_map(|(millis, outcome)| Some((*millis, watch.see(*outcome, at(*millis))?)))
            .collect()
    }

    #[test]
    fn a_failure_is_told_at_once_and_a_recovery_when_it_has_settled() {
        let seen = [(0, Outcome::Ok), (10, DOWN), (20, DOWN), (30, Outcome::Ok), (1019, Outcome::Ok)];
        assert_eq!(told(&seen), [(10, DOWN)]);
        let later = [&seen[..], &[(1020, Outcome::Ok), (1021, Outcome::Ok), (1022, DOWN)]].concat();
        assert_eq!(told(&later), [(10, DOWN), (1020, Outcome::Ok), (1022, DOWN)]);
    }

    #[test]
    fn flapping_is_told_once_a_second_at_most() {
        let seen: Vec<_> = (0..10_000).map(|i| (i, if i % 2 == 0 { DOWN } else { Outcome::Ok })).collect();
        assert_eq!(told(&seen), [(0, DOWN)]);
    }

    #[test]
    fn what_is_asked_is_not_the_providers_health() {
        for kind in [ProviderErrorKind::Rejected, ProviderErrorKind::Refused] {
            assert_eq!(told(&[(0, Outcome::Failed(kind))]), []);
        }
        assert_eq!(told(&[(0, Outcome::NotMine), (1, Outcome::Abandoned)]), []);
        let denied = Outcome::Failed(ProviderErrorKind::AccessDenied);
        assert_eq!(told(&[(0, denied), (2000, Outcome::NotMine), (3000, Outcome::Abandoned)]), [(0, denied)]);
    }
}
