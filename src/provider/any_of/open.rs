//! Unwrapping where any one of several keys will do: who is asked first, when the next one is, and when nobody is.
//!
//! It gives a key and does not judge it: the asker finds out whether it is the message's, and may ask about the rest.
//! Section "Two regions" of the [operations manual](crate::manual::operations).

use std::{
    collections::BTreeSet,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use super::{AnyOf, Member, seal::Call};
use crate::{
    clock::{Clock, Sleep},
    error::{ProviderError, ProviderErrorKind},
    format::stanza::Recipient,
    provider::{UnwrapAnswer, UnwrapAnswers, WrapContext, failures::NotPassedBy},
    secret::DataKey,
};

/// One member and one of the recipients that it can unwrap.
struct Entry {
    member: usize,
    place: usize,
    state: State,
}

enum State {
    Waiting,
    Running,
    NotMine,
    Failed(ProviderError),
    /// Begun and dropped.
    Dropped,
}

/// Asking members one after the other, or a little beside each other.
pub(super) struct Race<'a> {
    any_of: &'a AnyOf,
    recipients: &'a [&'a Recipient],
    context: &'a WrapContext,
    limit: usize,
    /// In the order in which they are asked.
    entries: Vec<Entry>,
    /// Places in `entries`, with when they were asked.
    running: Vec<(usize, Instant, Call<'a, Option<DataKey>>)>,
    /// Places of recipients that were tried.
    tried: BTreeSet<usize>,
    /// Nobody else is asked: somebody was denied.
    is_final: bool,
    key: Option<(usize, DataKey)>,
    hedge: Option<Sleep>,
}

/// What a member answered, and when it was asked.
type Answered = (Instant, Result<Option<DataKey>, ProviderError>);

impl<'a> Race<'a> {
    pub(super) fn new(
        any_of: &'a AnyOf,
        recipients: &'a [&'a Recipient],
        limit: usize,
        context: &'a WrapContext,
    ) -> Self {
        let (running, tried) = (Vec::new(), BTreeSet::new());
        let entries = entries(any_of, recipients);
        Self {
            any_of,
            recipients,
            context,
            limit,
            entries,
            running,
            tried,
            is_final: false,
            key: None,
            hedge: None,
        }
    }

    /// How many members were asked.
    pub(super) fn attempts(&self) -> u32 {
        let asked = |entry: &&Entry| !matches!(entry.state, State::Waiting | State::NotMine);
        u32::try_from(self.entries.iter().filter(asked).count()).unwrap_or(u32::MAX)
    }

    pub(super) async fn run(&mut self) {
        let mut deadline = self.clock().sleep(self.any_of.options.deadline);
        if self.begin_next() {
            self.any_of.extra.earn();
        }
        poll_fn(|cx| {
            if self.poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if deadline.as_mut().poll(cx).is_ready() {
                self.give_up();
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
        self.hedge = None;
        self.running.clear();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            while let Some((at, answer)) = self.next_answer(cx) {
                self.take(at, answer);
                if self.key.is_some() {
                    return Poll::Ready(());
                }
            }
            if self.running.is_empty() {
                return Poll::Ready(());
            }
            let is_due = self.hedge.as_mut().is_some_and(|hedge| hedge.as_mut().poll(cx).is_ready());
            if !is_due {
                return Poll::Pending;
            }
            self.hedge = None;
            if self.may_hedge() {
                self.begin_next();
            } else {
                self.set_hedge();
            }
        }
    }

    /// The answer of a member, with its entry, which runs no more.
    fn next_answer(&mut self, cx: &mut Context<'_>) -> Option<(usize, Answered)> {
        let ready = |(_, _, call): &mut (_, _, Call<'_, _>)| match call.as_mut().poll(cx) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        };
        let (at, answer) =
            self.running.iter_mut().map(ready).enumerate().find_map(|(at, a)| Some((at, a?)))?;
        let (entry, begun, call) = self.running.remove(at);
        drop(call);
        Some((entry, (begun, answer)))
    }

    fn take(&mut self, at: usize, (begun, answer): Answered) {
        let now = self.clock().now();
        let Entry { member: index, place, .. } = self.entries[at];
        match answer {
            Ok(Some(key)) => {
                self.any_of.succeeded(index, now.saturating_duration_since(begun));
                self.leave_behind(|_| true, Some(begun));
                self.key = Some((place, key));
            }
            Ok(None) => {
                self.entries[at].state = State::NotMine;
                // It cost nothing, so that it does not count.
                self.tried.remove(&place);
                self.begin_next();
            }
            Err(error) => {
                let kind = error.kind();
                self.any_of.failed(index, &error);
                self.entries[at].state = State::Failed(error);
                if self.any_of.goes_past(kind) {
                    self.begin_next();
                } else {
                    // Those who come after it are asked no more; those before it have their say.
                    self.is_final = true;
                    self.leave_behind(|entry| entry > at, None);
                }
            }
        }
    }

    /// Drops calls that are running. One that was begun before the one that has the key counts as slow; one that was begun
    /// after it had no chance to show what it can do.
    fn leave_behind(&mut self, whom: impl Fn(usize) -> bool, winner: Option<Instant>) {
        let (left, kept) = std::mem::take(&mut self.running).into_iter().partition(|(at, ..)| whom(*at));
        self.running = kept;
        let left: Vec<_> = left;
        for (at, begun, _) in left {
            self.entries[at].state = State::Dropped;
            if winner.is_some_and(|winner| begun < winner) {
                self.any_of.was_slow(self.entries[at].member);
            }
        }
    }

    /// Asks the next in line, if there is one that may be asked.
    fn begin_next(&mut self) -> bool {
        if self.is_final {
            return false;
        }
        let is_within = self.tried.len() < self.limit;
        let may_begin = |entry: &Entry| {
            matches!(entry.state, State::Waiting) && (is_within || self.tried.contains(&entry.place))
        };
        let Some(at) = self.entries.iter().position(may_begin) else { return false };
        let entry = &mut self.entries[at];
        entry.state = State::Running;
        self.tried.insert(entry.place);
        let any_of: &'a AnyOf = self.any_of;
        let provider = &*any_of.members[entry.member].provider;
        let call = provider.unwrap_data_key(self.recipients[entry.place], self.context);
        self.running.push((at, any_of.clock.now(), call));
        self.set_hedge();
        true
    }

    fn set_hedge(&mut self) {
        let waiting = self.entries.iter().any(|entry| matches!(entry.state, State::Waiting));
        let last = self.running.last().map(|(at, ..)| self.entries[*at].member).filter(|_| waiting);
        let patience = last.and_then(|member| {
            let Member { standing, .. } = &self.any_of.members[member];
            standing.patience(self.any_of.options.hedge)
        });
        self.hedge = patience.map(|patience| self.clock().sleep(patience));
    }

    /// Whether one more may be asked: within the budget of extra calls, or in place of those who are known to be bad.
    fn may_hedge(&self) -> bool {
        let is_bad =
            |(at, ..): &(usize, _, _)| self.any_of.members[self.entries[*at].member].standing.is_bad();
        self.running.iter().all(is_bad) || self.any_of.extra.spend()
    }

    /// The deadline has passed, for those who were asked and for those who have not been.
    fn give_up(&mut self) {
        for (at, ..) in std::mem::take(&mut self.running) {
            let error = self.timed_out(at);
            self.any_of.failed(self.entries[at].member, &error);
            self.entries[at].state = State::Failed(error);
        }
        for at in 0..self.entries.len() {
            let place = self.entries[at].place;
            let may_count = self.tried.contains(&place) || self.tried.len() < self.limit;
            if matches!(self.entries[at].state, State::Waiting) && may_count && !self.is_final {
                self.tried.insert(place);
                self.entries[at].state = State::Failed(self.timed_out(at));
            }
        }
    }

    fn timed_out(&self, at: usize) -> ProviderError {
        super::timed_out(self.recipients[self.entries[at].place].id_lossy())
    }

    fn clock(&self) -> &'a Arc<dyn Clock> {
        &self.any_of.clock
    }

    /// What became of every recipient that was looked at.
    pub(super) fn into_answers(self) -> UnwrapAnswers {
        let mut answers = UnwrapAnswers::new();
        let others = self.entries.iter().any(|entry| matches!(entry.state, State::Waiting | State::Dropped));
        let is_passed_by = self.is_final && self.key.is_none() && others;
        let (key_place, key) = self.key.unzip();
        let mut of_place: Vec<Vec<State>> = self.recipients.iter().map(|_| Vec::new()).collect();
        for entry in self.entries {
            of_place[entry.place].push(entry.state);
        }
        for (place, states) in of_place.into_iter().enumerate() {
            if key_place != Some(place) {
                if let Some(answer) = answer(states, |kind| is_passed_by && !self.any_of.goes_past(kind)) {
                    answers.push(place, answer);
                }
            }
        }
        if let (Some(place), Some(key)) = (key_place, key) {
            answers.push(place, UnwrapAnswer::Key(key));
        }
        if self.is_final {
            answers.set_final();
        }
        answers
    }
}

/// What became of one recipient, by what became of those who could be asked about it; nothing if nobody was.
fn answer(states: Vec<State>, is_last_word: impl Fn(ProviderErrorKind) -> bool) -> Option<UnwrapAnswer> {
    let (mut failure, mut is_waiting, mut is_dropped) = (None, false, false);
    for state in states {
        match state {
            State::Waiting => is_waiting = true,
            State::Running | State::Dropped => is_dropped = true,
            State::NotMine => {}
            State::Failed(error) if is_last_word(error.kind()) => {
                failure = Some(NotPassedBy::into_error(super::NAME, error));
            }
            State::Failed(error) => failure = failure.or(Some(error)),
        }
    }
    match (failure, is_dropped, is_waiting) {
        (Some(error), ..) => Some(UnwrapAnswer::Failed(error)),
        (None, true, _) => Some(UnwrapAnswer::Abandoned),
        (None, false, true) => None,
        (None, false, false) => Some(UnwrapAnswer::NotMine),
    }
}

/// Everybody who can be asked about any of the recipients, in order: members that work before those that lately did not,
/// then as they were configured; the recipients of one member as they stand in the message.
fn entries(any_of: &AnyOf, recipients: &[&Recipient]) -> Vec<Entry> {
    let mut found = Vec::new();
    for (member, Member { provider, .. }) in any_of.members.iter().enumerate() {
        let keys = provider.describe().keys;
        for (place, recipient) in recipients.iter().enumerate() {
            if keys.iter().any(|key| key.names(recipient)) {
                found.push(Entry { member, place, state: State::Waiting });
            }
        }
    }
    let members: BTreeSet<usize> = found.iter().map(|entry| entry.member).collect();
    // With nobody else to turn to, there is no order, and nobody is given a turn.
    if members.len() > 1 {
        let now = any_of.clock.now();
        let last: BTreeSet<usize> =
            members.into_iter().filter(|member| any_of.members[*member].standing.comes_last(now)).collect();
        found.sort_by_key(|entry| last.contains(&entry.member));
    }
    found
}
