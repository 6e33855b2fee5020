//! The breaker: closed, open, half open, and what moves it from one to the other.
//!
//! Knows moments and outcomes, and makes no call. Section "When a key service is down" of the
//! [operations manual](crate::manual::operations).

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{BreakerOptions, jitter::Jitter};

/// Whether a guarded provider calls what is inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BreakerState {
    /// It does.
    Closed,
    /// It does not, and answers at once that the service is unavailable.
    Open,
    /// It has been open, and lets one call through to see.
    HalfOpen,
}

/// One breaker.
#[derive(Debug)]
pub(super) struct Breaker {
    options: BreakerOptions,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Times in a row that it opened without having been closed in between.
    opened: u32,
    /// The window, in ten parts: when each began, calls, and failures.
    counts: [(Option<Instant>, u32, u32); PARTS],
    /// Which opening or closing this is: a call that began in an earlier one says nothing about this one.
    generation: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed,
    OpenUntil(Instant),
    /// One probe runs, and might have since then.
    HalfOpen(Instant),
}

/// The right to make one call. Dropped without an outcome, it gives back the place of the probe.
#[derive(Debug)]
pub(super) struct Pass<'b> {
    breaker: &'b Breaker,
    generation: u64,
    is_probe: bool,
    is_used: bool,
}

/// What the outcome of a call changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    None,
    Opened,
    Closed,
}

impl Breaker {
    pub(super) const fn new(options: BreakerOptions) -> Self {
        let state = State { phase: Phase::Closed, opened: 0, counts: [(None, 0, 0); PARTS], generation: 0 };
        Self { options, state: Mutex::new(state) }
    }

    /// Whether a call may be made now; if not, how long it stays like that at least.
    pub(super) fn pass(&self, now: Instant) -> Result<Pass<'_>, Duration> {
        let mut state = self.lock();
        let is_probe = match state.phase {
            Phase::Closed => false,
            Phase::OpenUntil(until) if now < until => return Err(until - now),
            Phase::OpenUntil(until) => {
                state.phase = Phase::HalfOpen(until);
                true
            }
            Phase::HalfOpen(_) => return Err(Duration::ZERO),
        };
        Ok(Pass { breaker: self, generation: state.generation, is_probe, is_used: false })
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.lock().phase {
            Phase::Closed => BreakerState::Closed,
            Phase::OpenUntil(until) if now < until => BreakerState::Open,
            Phase::OpenUntil(_) | Phase::HalfOpen(_) => BreakerState::HalfOpen,
        }
    }

    fn open(&self, state: &mut State, now: Instant, jitter: &Jitter) {
        let doubled = self.options.open_for.saturating_mul(1 << state.opened.min(20));
        let base = doubled.min(self.options.max_open_for);
        state.phase = Phase::OpenUntil(now + jitter.around(base));
        state.opened = state.opened.saturating_add(1);
        state.counts = [(None, 0, 0); PARTS];
        state.generation += 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The call has ended: `is_failure` says that the service could not be reached or did not answer.
    pub(super) fn used(mut self, is_failure: bool, now: Instant, jitter: &Jitter) -> Change {
        self.is_used = true;
        let mut state = self.breaker.lock();
        if state.generation != self.generation {
            return Change::None;
        }
        if self.is_probe {
            if is_failure {
                self.breaker.open(&mut state, now, jitter);
                return Change::None;
            }
            state.phase = Phase::Closed;
            state.opened = 0;
            state.generation += 1;
            return Change::Closed;
        }
        let options = &self.breaker.options;
        let (calls, failures) = state.count(is_failure, now, options.window);
        let is_bad = u64::from(failures) * 100 >= u64::from(calls) * u64::from(options.failure_percent);
        if is_failure && calls >= options.min_calls && is_bad {
            self.breaker.open(&mut state, now, jitter);
            return Change::Opened;
        }
        Change::None
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.is_probe && !self.is_used {
            let mut state = self.breaker.lock();
            if let (true, Phase::HalfOpen(since)) = (state.generation == self.generation, state.phase) {
                // Whoever comes next is the probe.
                state.phase = Phase::OpenUntil(since);
            }
        }
    }
}

impl State {
    /// Counts a call, and gives the calls and failures of the window.
    fn count(&mut self, is_failure: bool, now: Instant, window: Duration) -> (u32, u32) {
        let part = (window / 10).max(Duration::from_nanos(1));
        for slot in &mut self.counts {
            if slot.0.is_some_and(|begun| now.saturating_duration_since(begun) >= window) {
                *slot = (None, 0, 0);
            }
        }
        let is_current = |slot: &&mut (Option<Instant>, u32, u32)| {
            slot.0.is_some_and(|begun| now.saturating_duration_since(begun) < part)
        };
        if let Some(slot) = self.counts.iter_mut().find(is_current) {
            *slot = (slot.0, slot.1.saturating_add(1), slot.2.saturating_add(u32::from(is_failure)));
        } else if let Some(slot) = self.counts.iter_mut().min_by_key(|slot| slot.0) {
            // An empty one, or else the oldest.
            *slot = (Some(now), 1, u32::from(is_failure));
        }
        let sum = |sums: (u32, u32), slot: &(Option<Instant>, u32, u32)| {
            (sums.0.saturating_add(slot.1), sums.1.saturating_add(slot.2))
        };
        self.counts.iter().fold((0, 0), sum)
    }
}

const PARTS: usize = 11;
