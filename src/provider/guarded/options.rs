//! How a guarded provider is called: defaults and their reasons.
//!
//! Plain data, for code and configuration files. Section "When a key service is down" of the
//! [operations manual](crate::manual::operations).

use std::time::Duration;

#[cfg(feature = "serde")]
use crate::provider::duration_text;

/// How [`Guarded`](super::Guarded) calls what is inside.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct GuardedOptions {
    /// The longest a call may take, with all of its attempts and the time it waits in line. Default: 3 seconds.
    #[cfg_attr(feature = "serde", serde(with = "duration_text"))]
    pub deadline: Duration,
    /// Calls that may run at once, at least 1. Throttling halves it for a while, down to 1. Default: 64.
    pub max_concurrent: usize,
    /// How long a call waits in line for its turn. Default: 1 second.
    #[cfg_attr(feature = "serde", serde(with = "duration_text"))]
    pub max_wait: Duration,
    /// How often a call is tried altogether, at least 1. Only throttling, unavailability and timeouts are tried
    /// again. Default: 2.
    pub attempts: u32,
    /// The mean wait before the second attempt; twice as long before each further one. The wait itself is
    /// random, from nothing to twice the mean. Where a service throttles every call, one caller at a time waits two, then
    /// four of these before asking. Default: 50 milliseconds.
    #[cfg_attr(feature = "serde", serde(with = "duration_text"))]
    pub back_off: Duration,
    /// Repeated attempts for 100 calls, at most. Default: 10.
    pub retry_percent: u32,
    /// When to stop calling.
    pub breaker: BreakerOptions,
}

impl Default for GuardedOptions {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(3),
            max_concurrent: 64,
            max_wait: Duration::from_secs(1),
            attempts: 2,
            back_off: Duration::from_millis(50),
            retry_percent: 10,
            breaker: BreakerOptions::default(),
        }
    }
}

impl GuardedOptions {
    /// Sets the longest a call may take.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets how many calls may run at once.
    #[must_use]
    pub const fn with_max_concurrent(mut self, max: usize) -> Self {
        self.max_concurrent = max;
        self
    }

    /// Sets how long a call waits in line.
    #[must_use]
    pub const fn with_max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// Sets how often a call is tried altogether.
    #[must_use]
    pub const fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets the mean wait before the second attempt.
    #[must_use]
    pub const fn with_back_off(mut self, back_off: Duration) -> Self {
        self.back_off = back_off;
        self
    }

    /// Sets how many repeated attempts there may be for 100 calls.
    #[must_use]
    pub const fn with_retry_percent(mut self, percent: u32) -> Self {
        self.retry_percent = percent;
        self
    }

    /// Sets when to stop calling.
    #[must_use]
    pub const fn with_breaker(mut self, breaker: BreakerOptions) -> Self {
        self.breaker = breaker;
        self
    }
}

/// When a guarded provider stops calling, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct BreakerOptions {
    /// The time over which calls are counted. Default: 10 seconds.
    #[cfg_attr(feature = "serde", serde(with = "duration_text"))]
    pub window: Duration,
    /// Calls in that time below which nothing is decided. Default: 10.
    pub min_calls: u32,
    /// Of 100 calls in that time, the failures that open it. Default: 50.
    pub failure_percent: u32,
    /// How long it stays open the first time; twice as long each time the probe fails. Up to a fifth longer or
    /// shorter, so that many processes do not come back in one moment. Default: 1 second.
    #[cfg_attr(feature = "serde", serde(with = "duration_text"))]
    pub open_for: Duration,
    /// The longest it stays open before it lets a probe through. Default: 4 seconds, so that no more than 5 pass between
    /// the end of an outage and the first call; longer for a fleet of thousands of processes.
    #[cfg_attr(feature = "serde", serde(with = "duration_text"))]
    pub max_open_for: Duration,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            min_calls: 10,
            failure_percent: 50,
            open_for: Duration::from_secs(1),
            max_open_for: Duration::from_secs(4),
        }
    }
}

impl BreakerOptions {
    /// Sets the time over which calls are counted.
    #[must_use]
    pub const fn with_window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Sets how many calls decide.
    #[must_use]
    pub const fn with_min_calls(mut self, calls: u32) -> Self {
        self.min_calls = calls;
        self
    }

    /// Sets how many failures of 100 calls open it.
    #[must_use]
    pub const fn with_failure_percent(mut self, percent: u32) -> Self {
        self.failure_percent = percent;
        self
    }

    /// Sets how long it stays open, the first time and at most.
    #[must_use]
    pub const fn with_open_for(mut self, first: Duration, at_most: Duration) -> Self {
        (self.open_for, self.max_open_for) = (first, at_most);
        self
    }
}
