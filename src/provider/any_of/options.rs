//! How a composition of several recipients seals and opens: defaults and their reasons.
//!
//! Plain data, for code and configuration files. Section "Two regions" of the
//! [operations manual](crate::manual::operations).

use std::time::Duration;

#[cfg(feature = "serde")]
use crate::provider::duration_text;

/// How [`AnyOf`](super::AnyOf) seals and opens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct AnyOfOptions {
    /// How many members must have wrapped a data key for the message to be sealed. `None` (default): all of them.
    pub min: Option<usize>,
    /// The longest a call may take, whatever members do. Default: 5 seconds.
    #[cfg_attr(feature = "serde", serde(with = "duration_text"))]
    pub deadline: Duration,
    /// How long sealing waits for the other members once `min` of them have wrapped. Default: 200 milliseconds.
    #[cfg_attr(feature = "serde", serde(with = "duration_text"))]
    pub grace: Duration,
    /// When opening asks a second member although the first has not failed. Default: after the usual time.
    pub hedge: Hedge,
    /// Whether opening asks the next member also when one was denied, or its key is disabled, pending deletion, gone, or
    /// set up wrongly. Default: no.
    ///
    /// # Security
    ///
    /// Somebody may have cut a region or a key off on purpose; with this, the other members open all the same.
    pub fail_over_on_denial: bool,
}

impl Default for AnyOfOptions {
    fn default() -> Self {
        Self {
            min: None,
            deadline: Duration::from_secs(5),
            grace: Duration::from_millis(200),
            hedge: Hedge::Usual,
            fail_over_on_denial: false,
        }
    }
}

impl AnyOfOptions {
    /// Sets how many members must have wrapped.
    #[must_use]
    pub const fn with_min(mut self, min: usize) -> Self {
        self.min = Some(min);
        self
    }

    /// Sets the longest a call may take.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sets how long sealing waits for members beyond the least number.
    #[must_use]
    pub const fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets when opening asks a second member.
    #[must_use]
    pub const fn with_hedge(mut self, hedge: Hedge) -> Self {
        self.hedge = hedge;
        self
    }

    /// Lets opening go past a member that refuses.
    #[must_use]
    pub const fn with_fail_over_on_denial(mut self, fail_over: bool) -> Self {
        self.fail_over_on_denial = fail_over;
        self
    }
}

/// When opening asks a second member although the first has not failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Hedge {
    /// Never.
    Never,
    /// When it takes longer than 95 of 100 of its last answers did, at least 10 milliseconds and at most 1 second;
    /// 300 milliseconds as long as few answers are known. At most 10 extra calls for 100, so that a slow key service is
    /// not made slower.
    #[default]
    Usual,
    /// When it has taken so long, and at most 10 extra calls for 100.
    After(#[cfg_attr(feature = "serde", serde(with = "duration_text"))] Duration),
}
