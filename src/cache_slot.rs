//! One slot of a cache: who loads a value, who waits for it, who may use it and until when.
//!
//! Floor 3, a machine without I/O and without a clock: callers say what time it is, do the loading themselves, and
//! report what came of it. It must not know what the values are. Section "Caching data keys" of the
//! [operations manual](crate::manual::operations); `tests/model.rs` checks it under every order of its threads' steps.

use std::{
    collections::BTreeMap,
    fmt,
    sync::PoisonError,
    task::{Context, Poll, Waker},
};

use crate::sync::{Arc, Mutex, MutexGuard};

/// A value, at most one load at a time, and those who wait for it.
///
/// Whoever [enters](Self::enter) is told what to do: use the value, load it, wait, or give up. One caller at a time is the
/// leader. A leader that is dropped before it [landed](Leader::land) hands over to the first of those who wait; if that
/// one is dropped before it noticed, to the next. So any of them may go away at any moment, and the others go on.
pub(crate) struct Slot<V, E> {
    state: Mutex<State<V, E>>,
}

struct State<V, E> {
    held: Option<Held<V>>,
    /// Why the last load failed, and until when that is answer enough.
    refusal: Option<(E, u64)>,
    /// The number of the load that is under way.
    flight: Option<u64>,
    waiters: BTreeMap<u64, Waiting<V, E>>,
    /// For the next flight or waiter.
    next_number: u64,
}

/// A value and its limits. Times are in any one unit, from any one beginning.
#[derive(Debug, Clone)]
pub(crate) struct Held<V> {
    pub(crate) value: V,
    /// From here on, the first caller loads anew while the others use this one.
    pub(crate) refresh_at: u64,
    /// From here on it is used by nobody, unless loading fails for want of an answer.
    pub(crate) hard_at: u64,
    /// From here on it is used by nobody at all. Not before `hard_at`.
    pub(crate) stale_until: u64,
    /// How often it may still be handed out.
    pub(crate) uses_left: u64,
}

/// What to do now.
#[derive(Debug)]
pub(crate) enum Step<V: Clone, E: Clone> {
    /// Use this value, as often as `uses` says (at least once).
    Hit { value: V, uses: u64 },
    /// As `Hit`, once; it is older than it should be, and there is no better.
    Stale(V),
    /// Load it.
    Lead(Leader<V, E>),
    /// Wait for who loads it.
    Wait(Waiter<V, E>),
    /// It could not be loaded a moment ago.
    Refused(E),
    /// There is a value within its age that was used as often as it may. Give back what was handed out and not used,
    /// or [forget](Slot::forget_spent) it, and enter again.
    Spent,
}

/// What came of a load, for its leader and for everybody who waited.
#[derive(Debug, Clone)]
pub(crate) enum Outcome<V, E> {
    Value(V),
    /// The value from before: the load failed, and this is what is left.
    Stale(V),
    /// There is no such value.
    Nothing,
    Failed(E),
}

/// What a leader reports.
#[derive(Debug)]
pub(crate) enum Landing<V, E> {
    Loaded(Held<V>),
    Nothing,
    Failed(Failure<E>),
}

/// A load that failed.
#[derive(Debug)]
pub(crate) struct Failure<E> {
    pub(crate) error: E,
    /// Until when this is answer enough for others. Not after now: for nobody but those who wait already.
    pub(crate) until: u64,
    pub(crate) leaves: Leaves,
}

/// What a failure leaves of a value that was loaded before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    Nothing,
    /// It is good as long as it would have been.
    Fresh,
    /// And beyond that, as long as its `stale_until` allows.
    Stale,
}

/// Wakes those for whom something happened. To be called when no lock is held: a waker runs somebody else's code.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct Wakers(Vec<Waker>);

impl Wakers {
    pub(crate) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

impl<V: Clone, E: Clone> Slot<V, E> {
    pub(crate) fn new() -> Self {
        let (held, refusal, flight, waiters) = (None, None, None, BTreeMap::new());
        Self { state: Mutex::new(State { held, refusal, flight, waiters, next_number: 0 }) }
    }

    /// Says what to do. Of a value, takes as many uses at once as `wanted` makes of those that are left.
    pub(crate) fn enter(slot: &Arc<Self>, now: u64, wanted: impl FnOnce(u64) -> u64) -> Step<V, E> {
        let mut state = slot.lock();
        if state.held.as_ref().is_some_and(|held| now >= held.stale_until) {
            state.held = None;
        }
        let is_loading = state.flight.is_some();
        if let Some(held) = state.held.as_mut().filter(|held| now < held.hard_at) {
            if held.uses_left == 0 {
                return Step::Spent;
            }
            if now < held.refresh_at || is_loading {
                return held.hand_out(wanted(held.uses_left));
            }
        } else if let Some((error, until)) = &state.refusal {
            if now < *until {
                let refused = Step::Refused(error.clone());
                // Past its age: what is there is given to those who would be refused otherwise.
                return state.held.as_mut().and_then(Held::take_one).map_or(refused, Step::Stale);
            }
            state.refusal = None;
        }
        if is_loading {
            return Step::Wait(Waiter { number: state.add_waiter(), slot: Arc::clone(slot) });
        }
        Step::Lead(Leader { number: Some(state.take_off()), slot: Arc::clone(slot) })
    }

    /// Takes back uses that were handed out with this value and not made.
    pub(crate) fn give_back(&self, uses: u64) {
        if let Some(held) = &mut self.lock().held {
            held.uses_left += uses;
        }
    }

    /// Drops a value that was used up.
    pub(crate) fn forget_spent(&self) {
        let mut state = self.lock();
        state.held.take_if(|held| held.uses_left == 0);
    }

    /// Forgets everything. Whoever waits starts over, and the load under way will not be kept.
    pub(crate) fn purge(&self) -> Wakers {
        let mut state = self.lock();
        (state.held, state.refusal, state.flight) = (None, None, None);
        let mut wakers = Wakers::default();
        // Who was given an answer already keeps it.
        for waiting in state.waiters.values_mut().filter(|waiting| waiting.is_waiting()) {
            wakers.0.extend(waiting.become_other(Waiting::Again));
        }
        wakers
    }

    /// Forgets what is past its time. Whether anything is left, loads under way included.
    pub(crate) fn is_in_use(&self, now: u64) -> bool {
        let mut state = self.lock();
        state.held.take_if(|held| now >= held.stale_until);
        state.refusal.take_if(|(_, until)| now >= *until);
        state.held.is_some() || state.refusal.is_some() || state.flight.is_some() || !state.waiters.is_empty()
    }

    /// The value, whatever its age.
    pub(crate) fn peek(&self) -> Option<V> {
        self.lock().held.as_ref().map(|held| held.value.clone())
    }

    /// Until when the value may be used without entering again; 0 if there is none.
    pub(crate) fn fresh_until(&self) -> u64 {
        self.lock().held.as_ref().map_or(0, |held| held.refresh_at.min(held.hard_at))
    }

    fn lock(&self) -> MutexGuard<'_, State<V, E>> {
        // No code of others runs under the lock but `Clone` of two pointers; a state is never left half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Clone> Held<V> {
    fn hand_out<E: Clone>(&mut self, wanted: u64) -> Step<V, E> {
        let uses = wanted.clamp(1, self.uses_left);
        self.uses_left -= uses;
        Step::Hit { value: self.value.clone(), uses }
    }

    fn take_one(&mut self) -> Option<V> {
        self.uses_left = self.uses_left.checked_sub(1)?;
        Some(self.value.clone())
    }
}

impl<V: Clone, E: Clone> State<V, E> {
    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn take_off(&mut self) -> u64 {
        let number = self.number();
        self.flight = Some(number);
        number
    }

    fn add_waiter(&mut self) -> u64 {
        let number = self.number();
        self.waiters.insert(number, Waiting::For(None));
        number
    }

    /// Has the first of those who wait take over.
    fn hand_over(&mut self) -> Option<Waker> {
        let first = self.waiters.values_mut().find(|waiting| matches!(waiting, Waiting::For(_)));
        first.and_then(|waiting| waiting.become_other(Waiting::Heir))
    }

    /// Keeps what was loaded, or what its failure leaves. Gives back what those get for whom no value is left.
    fn keep(&mut self, landing: Landing<V, E>, now: u64) -> Option<Outcome<V, E>> {
        match landing {
            Landing::Loaded(held) => {
                (self.held, self.refusal) = (Some(held), None);
                None
            }
            Landing::Nothing => {
                (self.held, self.refusal) = (None, None);
                Some(Outcome::Nothing)
            }
            Landing::Failed(Failure { error, until, leaves }) => {
                self.held.take_if(|held| match leaves {
                    Leaves::Nothing => true,
                    Leaves::Fresh => now >= held.hard_at,
                    Leaves::Stale => now >= held.stale_until,
                });
                if let Some(held) = &mut self.held {
                    held.refresh_at = until.max(now.saturating_add(1));
                }
                self.refusal = (until > now).then(|| (error.clone(), until));
                Some(Outcome::Failed(error))
            }
        }
    }

    /// For the next of those who asked: a use of the value, or else `otherwise`.
    fn next_outcome(&mut self, otherwise: Option<&Outcome<V, E>>, now: u64) -> Option<Outcome<V, E>> {
        let is_past = self.held.as_ref().is_some_and(|held| now >= held.hard_at) && otherwise.is_some();
        match self.held.as_mut().and_then(Held::take_one) {
            Some(value) if is_past => Some(Outcome::Stale(value)),
            Some(value) => Some(Outcome::Value(value)),
            None => otherwise.cloned(),
        }
    }
}

/// The right and the duty to load. Dropped without [`land`](Self::land), it hands over.
pub(crate) struct Leader<V: Clone, E: Clone> {
    slot: Arc<Slot<V, E>>,
    /// `None` once it landed.
    number: Option<u64>,
}

impl<V: Clone, E: Clone> Leader<V, E> {
    /// Reports what came of the load: the outcome for the leader itself, and whom to wake for theirs.
    ///
    /// If the slot was purged since, nothing of it is kept: the answer is the leader's own alone.
    pub(crate) fn land(mut self, landing: Landing<V, E>, now: u64) -> (Outcome<V, E>, Landed, Wakers) {
        let number = self.number.take();
        let mut state = self.slot.lock();
        if state.flight != number {
            drop(state);
            let outcome = match landing {
                Landing::Loaded(held) => Outcome::Value(held.value),
                Landing::Nothing => Outcome::Nothing,
                Landing::Failed(failure) => Outcome::Failed(failure.error),
            };
            return (outcome, Landed::Alone, Wakers::default());
        }
        state.flight = None;
        // A value that may be used never at all is still the answer to who loaded it.
        let loaded = match &landing {
            Landing::Loaded(held) => Outcome::Value(held.value.clone()),
            _ => Outcome::Nothing,
        };
        let otherwise = state.keep(landing, now);
        let own = state.next_outcome(otherwise.as_ref(), now).unwrap_or(loaded);
        let waiting: Vec<u64> = state
            .waiters
            .iter()
            .filter(|(_, waiting)| waiting.is_waiting())
            .map(|(number, _)| *number)
            .collect();
        let mut wakers = Wakers::default();
        for number in waiting {
            // Once the value has no uses left, the others start over.
            let outcome = state.next_outcome(otherwise.as_ref(), now).map_or(Waiting::Again, Waiting::Done);
            let waiter = state.waiters.get_mut(&number);
            wakers.0.extend(waiter.and_then(|waiter| waiter.become_other(outcome)));
        }
        let landed = match (&state.held, &state.refusal) {
            (Some(_), _) => Landed::Held,
            (None, Some(_)) => Landed::Refusing,
            (None, None) => Landed::Empty,
        };
        (own, landed, wakers)
    }
}

/// What the slot keeps of a landing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Landed {
    /// A value.
    Held,
    /// An error, for a while.
    Refusing,
    /// Nothing.
    Empty,
    /// Whatever it keeps is not of this leader.
    Alone,
}

impl<V: Clone, E: Clone> Drop for Leader<V, E> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut state = self.slot.lock();
        let heir = if state.flight == Some(number) {
            state.flight = None;
            state.hand_over()
        } else {
            None
        };
        drop(state);
        heir.into_iter().for_each(Waker::wake);
    }
}

/// A place among those who wait. Dropped, it is given up.
pub(crate) struct Waiter<V: Clone, E: Clone> {
    slot: Arc<Slot<V, E>>,
    number: u64,
}

enum Waiting<V, E> {
    For(Option<Waker>),
    /// It is to take over, and does not know it yet.
    Heir,
    Done(Outcome<V, E>),
    Again,
}

/// What came of waiting.
#[derive(Debug)]
pub(crate) enum Turn<V: Clone, E: Clone> {
    Done(Outcome<V, E>),
    /// The leader went away: load it.
    Lead(Leader<V, E>),
    /// Enter again.
    Again,
}

impl<V, E> Waiting<V, E> {
    const fn is_waiting(&self) -> bool {
        matches!(self, Self::For(_) | Self::Heir)
    }

    /// Becomes `other`, and gives back whom to tell.
    fn become_other(&mut self, other: Self) -> Option<Waker> {
        match std::mem::replace(self, other) {
            Self::For(waker) => waker,
            _ => None,
        }
    }
}

impl<V: Clone, E: Clone> Waiter<V, E> {
    /// To be polled until it is ready, once.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Turn<V, E>> {
        let mut guard = self.slot.lock();
        let state = &mut *guard;
        let is_loading = state.flight.is_some();
        let Some(waiting) = state.waiters.get_mut(&self.number) else { return Poll::Ready(Turn::Again) };
        let previous = if waiting.is_waiting() && is_loading {
            waiting.become_other(Waiting::For(Some(cx.waker().clone())))
        } else {
            let turn = match state.waiters.remove(&self.number) {
                Some(Waiting::Done(outcome)) => Turn::Done(outcome),
                // Nobody loads: then it is whoever looks first, heir or not.
                Some(Waiting::For(_) | Waiting::Heir) => {
                    Turn::Lead(Leader { number: Some(state.take_off()), slot: Arc::clone(&self.slot) })
                }
                Some(Waiting::Again) | None => Turn::Again,
            };
            return Poll::Ready(turn);
        };
        drop(guard);
        // Dropping a waker runs somebody else's code.
        drop(previous);
        Poll::Pending
    }
}

impl<V: Clone, E: Clone> Drop for Waiter<V, E> {
    fn drop(&mut self) {
        let mut state = self.slot.lock();
        let own = state.waiters.remove(&self.number);
        let was_heir = matches!(own, Some(Waiting::Heir)) && state.flight.is_none();
        let heir = if was_heir { state.hand_over() } else { None };
        drop(state);
        drop(own);
        heir.into_iter().for_each(Waker::wake);
    }
}

impl<V, E> fmt::Debug for Slot<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot(..)")
    }
}

impl<V: Clone, E: Clone> fmt::Debug for Leader<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Leader(..)")
    }
}

impl<V: Clone, E: Clone> fmt::Debug for Waiter<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiter(..)")
    }
}
