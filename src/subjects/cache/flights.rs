//! One question at a time: who asks the store for a key, who waits for the answer, and what becomes of both.
//!
//! Who leads and who waits is decided by the slot machine of floor 3; a slot lives here only while somebody sits at it.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use super::{Cache, Want};
use crate::{
    cache_slot::{Leader, Outcome, Slot, Turn, Waiter},
    subjects::{key::Key, load::Fault},
};

pub(super) type Flight = Slot<Arc<Key>, Fault>;

/// What was not found, and so has to be loaded by this caller or is being loaded by another one. With each the place
/// in the caller's list.
#[derive(Default)]
pub(in crate::subjects) struct Taken<'c> {
    pub(in crate::subjects) leads: Vec<(usize, Seat<'c>)>,
    pub(in crate::subjects) waits: Vec<(usize, Seat<'c>)>,
}

/// Somebody who loads or waits. Given up without an answer, it hands over; the last one to leave clears the table.
pub(in crate::subjects) struct Seat<'c> {
    pub(super) cache: &'c Cache,
    pub(super) want: Want,
    pub(super) flight: Arc<Flight>,
    pub(super) role: Role,
}

pub(super) enum Role {
    Leads(Leader<Arc<Key>, Fault>),
    Waits(Waiter<Arc<Key>, Fault>),
    Is(Done),
}

/// Nothing is left to be done here.
pub(super) struct Done;

/// What came of waiting.
pub(in crate::subjects) enum Waited<'c> {
    Answer(Result<Arc<Key>, Fault>),
    /// Whoever loaded it went away: now it is this caller's to load.
    Lead(Seat<'c>),
    /// Look it up again.
    Again,
}

/// Waits until something came of at least one of these, takes all of which that is so out of the list, and gives it.
pub(in crate::subjects) async fn wait_for_some<'c>(
    waits: &mut Vec<(usize, Seat<'c>)>,
) -> Vec<(usize, Waited<'c>)> {
    poll_fn(|cx| {
        let mut some = Vec::new();
        let mut at = 0;
        while let Some((_, seat)) = waits.get_mut(at) {
            match seat.poll(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(turn) => {
                    let (place, seat) = waits.swap_remove(at);
                    some.push((place, seat.after(turn)));
                }
            }
        }
        if some.is_empty() && !waits.is_empty() { Poll::Pending } else { Poll::Ready(some) }
    })
    .await
}

impl Seat<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Turn<Arc<Key>, Fault>> {
        match &mut self.role {
            Role::Waits(waiter) => waiter.poll(cx),
            Role::Leads(_) | Role::Is(Done) => Poll::Ready(Turn::Again),
        }
    }
}

impl<'c> Seat<'c> {
    fn after(mut self, turn: Turn<Arc<Key>, Fault>) -> Waited<'c> {
        match turn {
            Turn::Done(Outcome::Value(key) | Outcome::Stale(key)) => Waited::Answer(Ok(key)),
            Turn::Done(Outcome::Failed(fault)) => Waited::Answer(Err(fault)),
            Turn::Lead(leader) => {
                self.role = Role::Leads(leader);
                Waited::Lead(self)
            }
            Turn::Done(Outcome::Nothing) | Turn::Again => Waited::Again,
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        // The seat itself first: a leader hands over to one of those who wait.
        self.role = Role::Is(Done);
        self.cache.table().clear_flight(&self.want, &self.flight);
    }
}
