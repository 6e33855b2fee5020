//! Hits without a common line of memory: every thread that runs has a table of its own.
//!
//! A lane holds pointers to keys of the common table, and uses of them that were taken from their budgets in advance.
//! While a key is fresh, a hit reads what nobody writes and writes what nobody else touches, so that cores do not wait
//! for each other. Whatever needs more than that goes to the common table.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    thread,
};

use super::entry::{Entry, Kept, Wanted};
use crate::thread_number::thread_number;

pub(super) struct Lanes(Box<[Lane]>);

/// Two cache lines to itself: processors fetch lines in pairs.
#[repr(align(128))]
#[derive(Default)]
struct Lane(Mutex<Leases>);

#[derive(Default)]
struct Leases {
    by_print: HashMap<u64, Lease, BuildHasherDefault<IsHash>>,
    hits: u64,
}

struct Lease {
    entry: Arc<Entry>,
    kept: Arc<Kept>,
    uses: u64,
}

impl Lanes {
    pub(super) fn new() -> Self {
        let count = thread::available_parallelism().map_or(1, |n| n.get().min(MAX_LANES)).next_power_of_two();
        Self((0..count).map(|_| Lane::default()).collect())
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Uses the key, if there is a lease for it on the lane of this thread.
    #[inline]
    pub(super) fn hit<R>(
        &self,
        print: u64,
        wanted: Wanted<'_>,
        now: u64,
        with: impl FnOnce(&Kept) -> R,
    ) -> Option<R> {
        let mut leases = self.any()?;
        let lease = leases.by_print.get_mut(&print)?;
        if lease.uses == 0 || !lease.kept.is_fresh(now) || !lease.entry.is(wanted) {
            return None;
        }
        lease.uses -= 1;
        lease.kept.note_use();
        let used = with(&lease.kept);
        leases.hits += 1;
        Some(used)
    }

    /// Adds uses of a key to the lane of this thread. Gives back how many it could not take.
    pub(super) fn lease(&self, entry: &Arc<Entry>, kept: &Arc<Kept>, uses: u64) -> u64 {
        let Some(mut leases) = self.any() else { return uses };
        // Looked at under the lane's lock: whoever revokes it comes by this lane afterwards.
        if uses == 0 || kept.is_revoked() {
            return uses;
        }
        let lease = leases.by_print.entry(entry.print);
        let lease =
            lease.or_insert_with(|| Lease { entry: Arc::clone(entry), kept: Arc::clone(kept), uses: 0 });
        if !Arc::ptr_eq(&lease.kept, kept) {
            *lease = Lease { entry: Arc::clone(entry), kept: Arc::clone(kept), uses: 0 };
        }
        lease.uses += uses;
        0
    }

    /// Takes the leases of this key off all lanes, and gives back their uses.
    pub(super) fn take_back(&self, print: u64, kept: &Arc<Kept>) -> u64 {
        let mut uses = 0;
        for lane in &self.0 {
            let mut leases = lane.lock();
            if leases.by_print.get(&print).is_some_and(|lease| Arc::ptr_eq(&lease.kept, kept)) {
                uses += leases.by_print.remove(&print).map_or(0, |lease| lease.uses);
            }
        }
        uses
    }

    /// Drops everything.
    pub(super) fn clear(&self) {
        for lane in &self.0 {
            lane.lock().by_print.clear();
        }
    }

    pub(super) fn hits(&self) -> u64 {
        self.0.iter().map(|lane| lane.lock().hits).sum()
    }

    /// This thread's lane, or another one that is free at this moment.
    #[inline]
    fn any(&self) -> Option<MutexGuard<'_, Leases>> {
        let home = thread_number();
        (0..self.0.len()).find_map(|distance| {
            // The number of lanes is a power of two.
            match self.0[(home + distance) & (self.0.len() - 1)].0.try_lock() {
                Ok(leases) => Some(leases),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            }
        })
    }
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, Leases> {
        // Nothing of others runs under the lock but the copying of 32 bytes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For keys that are keyed hashes already.
#[derive(Default)]
pub(crate) struct IsHash(u64);

impl Hasher for IsHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Bounds what a key is leased to.
const MAX_LANES: usize = 64;
