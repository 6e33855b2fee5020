//! Time as the cache counts it: milliseconds from some beginning, by the clock that it was given.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    clock::{Clock, SystemClock},
    fork,
};

pub(super) enum Time {
    /// The system's cheap clock, up to ten milliseconds behind: a hit has no time to ask for more.
    Coarse,
    Given(Arc<dyn Clock>, Instant),
}

impl Time {
    pub(super) fn by(clock: Arc<dyn Clock>) -> Self {
        let start = clock.now();
        Self::Given(clock, start)
    }

    /// Never 0, which stands for what is over in any case.
    #[inline]
    pub(super) fn millis(&self) -> u64 {
        match self {
            Self::Coarse => fork::coarse_millis() + 1,
            Self::Given(clock, start) => millis_of(clock.now().saturating_duration_since(*start)) + 1,
        }
    }

    pub(super) fn clock(&self) -> &dyn Clock {
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

pub(super) fn millis_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX >> 2).min(u64::MAX >> 2)
}
