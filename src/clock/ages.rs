//! Time as caches count it: milliseconds from some beginning, by the clock that they were given.
//!
//! Floor 0. Cheap by default: a cache is asked far more often than its ages are long.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Clock, SystemClock};
use crate::fork;

/// Where a cache has its time from.
pub(crate) enum Time {
    /// The system's cheap clock, up to ten milliseconds behind: a hit has no time to ask for more.
    Coarse,
    Given(Arc<dyn Clock>, Instant),
}

impl Time {
    pub(crate) fn by(clock: Arc<dyn Clock>) -> Self {
        let start = clock.now();
        Self::Given(clock, start)
    }

    /// Never 0, which stands for what is over in any case.
    #[inline]
    pub(crate) fn millis(&self) -> u64 {
        match self {
            Self::Coarse => fork::coarse_millis() + 1,
            Self::Given(clock, start) => millis_of(clock.now().saturating_duration_since(*start)) + 1,
        }
    }

    /// How much longer than meant an age may look: the cheap clock can be behind.
    pub(crate) const fn slack(&self) -> u64 {
        match self {
            Self::Coarse => 20,
            Self::Given(..) => 0,
        }
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        match self {
            Self::Coarse => &SystemClock,
            Self::Given(clock, _) => &**clock,
        }
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coarse => f.write_str("SystemClock"),
            Self::Given(clock, _) => clock.fmt(f),
        }
    }
}

pub(crate) fn millis_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX >> 2).min(u64::MAX >> 2)
}
