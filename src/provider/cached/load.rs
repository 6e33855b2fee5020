//! What happens to a key that is not at hand: one caller asks the provider inside, the others wait for its answer.
//!
//! All locks are held for moments, none across an await. Whoever is dropped on the way leaves nothing behind: the slot's
//! machine hands the lead over, and [`Visit`] removes what nobody is at any more.

use std::{future::poll_fn, sync::Arc};

use super::{
    Cached, State, UnwrapAnswer, UnwrapAnswers,
    entry::{Entry, Faults, Kept, Wanted},
    table::{Entered, Table},
};
use crate::{
    cache_slot::{Failure, Held, Landing, Leader, Leaves, Outcome, Step, Turn, Wakers},
    error::ProviderErrorKind,
    observe::CacheState,
    secret::DataKey,
};

type Answered = (UnwrapAnswers, CacheState);

impl Cached {
    /// The slow way to a key: by the common table, and by the provider inside if it is not there.
    pub(super) async fn load(&self, wanted: Wanted<'_>) -> Answered {
        loop {
            let state = self.state();
            let (print, now) = (state.seed.of(wanted), self.time.millis());
            let entered = state.table().enter(print, wanted, now, &state.lanes);
            let (entry, step) = match entered {
                Entered::At(entry, step) => (entry, step),
                Entered::Gone(fault) => return state.refused(&Faults::of(fault)),
                Entered::Occupied => return (self.ask(wanted).await, CacheState::Miss),
            };
            match step {
                Step::Hit { value, .. } => return state.given(&value, CacheState::Hit),
                Step::Stale(value) => return state.given(&value, CacheState::Stale),
                Step::Refused(faults) => return state.refused(&faults),
                Step::Lead(leader) => {
                    let visit = Visit { cached: self, state, entry };
                    return self.lead(&visit, leader, wanted).await;
                }
                Step::Wait(waiter) => {
                    let visit = Visit { cached: self, state, entry };
                    // After `visit`, so that it is dropped before.
                    let mut waiter = waiter;
                    match poll_fn(|cx| waiter.poll(cx)).await {
                        Turn::Lead(leader) => return self.lead(&visit, leader, wanted).await,
                        Turn::Done(outcome) => return state.joined(&outcome, wanted),
                        Turn::Again => {}
                    }
                }
                // The table has dealt with it.
                Step::Spent => {}
            }
        }
    }

    /// Asks the provider inside, and lets everybody know.
    async fn lead(
        &self,
        visit: &Visit<'_>,
        leader: Leader<Arc<Kept>, Arc<Faults>>,
        wanted: Wanted<'_>,
    ) -> Answered {
        let (state, entry) = (visit.state, &visit.entry);
        // An answer is as old as the question.
        let asked_at = self.time.millis();
        let denials = state.denials().count();
        let (key, faults) = take_apart(self.ask(wanted).await);
        let faults = Arc::new(faults);
        let by = key.as_ref().and_then(|(place, _)| wanted.recipients.get(*place));
        let now = self.time.millis();
        let before = entry.slot.peek();
        let landing = match key {
            Some((place, key)) => Landing::Loaded(self.held(state, key, place, asked_at)),
            None if faults.failures().next().is_none() => Landing::Nothing,
            None => Landing::Failed(self.failure(&faults, before.as_deref(), now)),
        };
        let mut wakers = Wakers::default();
        let mut table = state.table();
        // A right that was denied since this was asked is not kept on the strength of an older answer.
        if by.is_some_and(|by| state.denials().has_hit_since(denials, by)) {
            table.purge(|other| std::ptr::eq(other, &**entry), &state.lanes, &mut wakers);
        }
        let (outcome, landed, waiting) = leader.land(landing, now);
        wakers.extend(waiting);
        if let Some(before) = before {
            if entry.slot.peek().is_some_and(|kept| Arc::ptr_eq(&kept, &before)) {
                before.extend(entry.slot.fresh_until());
            } else {
                before.revoke();
                state.lanes.take_back(entry.print, &before);
            }
        }
        table.settle(entry, landed, &state.lanes, &mut wakers);
        self.heed(state, &mut table, wanted, &faults, now, &mut wakers);
        drop(table);
        wakers.wake();
        match outcome {
            Outcome::Stale(kept) => state.given(&kept, CacheState::Stale),
            outcome => {
                state.counts.misses.add_one();
                (own_answers(&outcome, faults, by.is_some(), wanted), CacheState::Miss)
            }
        }
    }

    async fn ask(&self, wanted: Wanted<'_>) -> UnwrapAnswers {
        if let [recipient] = wanted.recipients {
            let mut answers = UnwrapAnswers::new();
            answers.push(0, self.inner.unwrap_data_key(recipient, wanted.context).await);
            return answers;
        }
        self.inner.unwrap_any(wanted.recipients, wanted.limit, wanted.context).await
    }

    fn held(&self, state: &State, key: DataKey, place: usize, asked_at: u64) -> Held<Arc<Kept>> {
        let ages = &self.ages;
        // A fifth at most, and for each key another part of it.
        let early =
            u64::try_from((u128::from(ages.soft / 5) * u128::from(state.random())) >> 64).unwrap_or(0);
        let hard_at = asked_at.saturating_add(ages.hard);
        let refresh_at = asked_at.saturating_add(ages.soft - early).min(hard_at);
        let stale_until = hard_at.saturating_add(ages.stale);
        let value = Arc::new(Kept::new(key, place, refresh_at.max(1)));
        Held { value, refresh_at, hard_at, stale_until, uses_left: self.options.max_uses }
    }

    /// How long a failure is believed, and what it leaves of the key from before.
    fn failure(&self, faults: &Arc<Faults>, before: Option<&Kept>, now: u64) -> Failure<Arc<Faults>> {
        let kinds = || faults.failures().map(|(_, fault)| fault.kind());
        let until = if kinds().all(says_gone) {
            now.saturating_add(self.ages.negative)
        } else if kinds().any(ProviderErrorKind::is_retryable) {
            now.saturating_add(self.ages.retry)
        } else {
            now
        };
        // What was said about the very wrap that the key came from, if anything was.
        let about = |place: usize| faults.failures().find(|(tried, _)| *tried == place);
        let decisive = before.and_then(|kept| about(kept.place)).or_else(|| faults.failures().next());
        let leaves = match decisive.map(|(_, fault)| fault.kind()) {
            Some(kind) if kind.is_retryable() => Leaves::Stale,
            Some(
                ProviderErrorKind::Credentials | ProviderErrorKind::Misconfigured | ProviderErrorKind::Other,
            ) => Leaves::Fresh,
            _ => Leaves::Nothing,
        };
        Failure { error: Arc::clone(faults), until, leaves }
    }

    /// Drops what was unwrapped by keys of which the provider now says that they, or the right to them, are gone.
    fn heed(
        &self,
        state: &State,
        table: &mut Table,
        wanted: Wanted<'_>,
        faults: &Faults,
        now: u64,
        wakers: &mut Wakers,
    ) {
        for (place, fault) in faults.failures().filter(|(_, fault)| says_gone(fault.kind())) {
            let Some(recipient) = wanted.recipients.get(place) else { continue };
            if says_unusable(fault.kind()) {
                table.note_gone(recipient, fault, now, now.saturating_add(self.ages.negative));
            }
            let ids = [Some(recipient.id()), fault.key_id().map(str::as_bytes)];
            for id in ids.into_iter().flatten().filter(|id| !id.is_empty()) {
                state.heed_denial(table, id, wakers);
            }
        }
    }
}

/// Somebody who loads or waits. Whoever is the last to leave, without an answer to keep, takes the entry out.
struct Visit<'c> {
    cached: &'c Cached,
    state: &'c State,
    entry: Arc<Entry>,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.state.table().tidy(&self.entry, self.cached.time.millis(), &self.state.lanes);
    }
}

impl State {
    fn given(&self, kept: &Kept, how: CacheState) -> Answered {
        match how {
            CacheState::Stale => self.counts.stale.add_one(),
            CacheState::Joined => self.counts.joined.add_one(),
            _ => self.counts.hits.add_one(),
        }
        (only_key(kept), how)
    }

    fn refused(&self, faults: &Faults) -> Answered {
        self.counts.refused.add_one();
        (faults.to_answers(), CacheState::Hit)
    }

    fn joined(&self, outcome: &Outcome<Arc<Kept>, Arc<Faults>>, wanted: Wanted<'_>) -> Answered {
        match outcome {
            Outcome::Value(kept) => self.given(kept, CacheState::Joined),
            Outcome::Stale(kept) => self.given(kept, CacheState::Stale),
            Outcome::Failed(faults) => {
                self.counts.joined.add_one();
                (faults.to_answers(), CacheState::Joined)
            }
            Outcome::Nothing => {
                self.counts.joined.add_one();
                (nothing(wanted), CacheState::Joined)
            }
        }
    }
}

impl Faults {
    fn of(fault: Arc<crate::error::ProviderError>) -> Self {
        Self { by_place: vec![(0, Some(fault))], is_final: false }
    }
}

/// The key, if there is one, and what became of the other recipients.
fn take_apart(answers: UnwrapAnswers) -> (Option<(usize, DataKey)>, Faults) {
    let mut faults = Faults { by_place: Vec::new(), is_final: answers.is_final() };
    let mut found = None;
    for (place, answer) in answers.into_answers() {
        match answer {
            UnwrapAnswer::Key(key) => found = found.or(Some((place, key))),
            UnwrapAnswer::NotMine => faults.by_place.push((place, None)),
            UnwrapAnswer::Failed(error) => faults.by_place.push((place, Some(Arc::new(error)))),
            // It may be asked about again, as one that is not mentioned.
            UnwrapAnswer::Abandoned => {}
        }
    }
    // One answer about each recipient: the key outweighs what else a provider may say.
    if let Some((own, _)) = &found {
        faults.by_place.retain(|(place, _)| place != own);
    }
    (found, faults)
}

/// For who asked: beside a key that was just loaded, what was said about other recipients.
fn own_answers(
    outcome: &Outcome<Arc<Kept>, Arc<Faults>>,
    faults: Arc<Faults>,
    was_loaded: bool,
    wanted: Wanted<'_>,
) -> UnwrapAnswers {
    match outcome {
        Outcome::Value(kept) if was_loaded => {
            let mut answers = to_answers(faults);
            answers.push(kept.place, UnwrapAnswer::Key(kept.copy()));
            answers
        }
        // The key from before, since asking anew failed: the same answer as everybody else's.
        Outcome::Value(kept) => only_key(kept),
        _ if faults.by_place.is_empty() => nothing(wanted),
        _ => to_answers(faults),
    }
}

fn only_key(kept: &Kept) -> UnwrapAnswers {
    let mut answers = UnwrapAnswers::new();
    answers.push(kept.place, UnwrapAnswer::Key(kept.copy()));
    answers
}

fn to_answers(faults: Arc<Faults>) -> UnwrapAnswers {
    Arc::try_unwrap(faults).map_or_else(|shared| shared.to_answers(), Faults::into_answers)
}

fn nothing(wanted: Wanted<'_>) -> UnwrapAnswers {
    let mut answers = UnwrapAnswers::new();
    (0..wanted.recipients.len()).for_each(|place| answers.push(place, UnwrapAnswer::NotMine));
    answers
}

/// Whether the key, or the right to use it, is gone. That is believed for a while, and against what is kept.
pub(super) const fn says_gone(kind: ProviderErrorKind) -> bool {
    says_unusable(kind) || matches!(kind, ProviderErrorKind::AccessDenied | ProviderErrorKind::Refused)
}

/// Whether nobody can use the key, whatever for. A denial may be about one context only.
const fn says_unusable(kind: ProviderErrorKind) -> bool {
    matches!(
        kind,
        ProviderErrorKind::NotFound | ProviderErrorKind::Disabled | ProviderErrorKind::PendingDeletion
    )
}
