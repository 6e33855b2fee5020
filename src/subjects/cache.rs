//! Keys of data subjects that were loaded a moment ago: a common table, and one of every thread's own before it.
//!
//! Floor 6. Knows keys by reference and by pseudonym; never asks the store itself. What is in it is used for no longer
//! than [`SubjectsOptions::max_age`](super::SubjectsOptions#structfield.max_age), after which an erasure elsewhere holds here too.
//! Page on [erasure](crate::manual::erasure).

mod flights;
mod lanes;
mod processes;
mod table;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

pub(super) use self::flights::{Seat, Taken, Waited, wait_for_some};
pub(super) use self::lanes::{Hot, NameKey};
pub(super) use self::processes::Processes;
use self::{lanes::Lanes, table::Table};
use super::{SubjectsOptions, key::Key, load::Fault};
use crate::{cache_slot::Wakers, keystore::Pseudonym, provider::cached::fingerprint::Seed};

/// What one process has cached.
pub(super) struct Cache {
    seed: Seed,
    lanes: Lanes,
    table: Mutex<Table>,
    misses: AtomicU64,
    joined: AtomicU64,
}

/// What is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Want {
    /// The key of this reference.
    Reference(u64),
    /// The newest key of this subject.
    Newest(Pseudonym),
}

impl Cache {
    pub(super) fn new(options: &SubjectsOptions) -> Self {
        Self {
            seed: Seed::new(),
            lanes: Lanes::new(options.max_entries),
            table: Mutex::new(Table::new(options)),
            misses: AtomicU64::new(0),
            joined: AtomicU64::new(0),
        }
    }

    /// Where a name stands in the lanes.
    #[inline]
    pub(super) fn print(&self, name: &NameKey<'_>) -> u64 {
        self.seed.of_parts(&[name.scope, name.name, &[name.kind]])
    }

    /// Uses the newest key of a name, if this thread has it at hand.
    #[inline]
    pub(super) fn with_name<R>(
        &self,
        print: u64,
        name: &NameKey<'_>,
        now: u64,
        work: impl FnOnce(&mut Hot) -> R,
    ) -> Option<R> {
        self.lanes.with_name(print, name, now, work)
    }

    /// Uses the key of a reference, if this thread has it at hand.
    #[inline]
    pub(super) fn with_reference<R>(
        &self,
        reference: u64,
        now: u64,
        work: impl FnOnce(&mut Hot) -> R,
    ) -> Option<R> {
        self.lanes.with_reference(reference, now, work)
    }

    /// Uses a key that was looked up, and puts it at hand for this thread. `None` if it was revoked meanwhile.
    pub(super) fn with_key<R>(
        &self,
        key: &Arc<Key>,
        name: Option<(u64, &NameKey<'_>)>,
        now: u64,
        work: impl FnOnce(&mut Hot) -> R,
    ) -> Option<R> {
        self.lanes.with_key(key, name, now, work)
    }

    /// Looks up what stands at these places of `wants`: puts into `answers` what is known, and says of the rest who has to
    /// load it.
    pub(super) fn enter<'c>(
        &'c self,
        wants: &[Want],
        places: &[usize],
        answers: &mut [Option<Result<Arc<Key>, Fault>>],
        now: u64,
    ) -> Taken<'c> {
        let mut taken = Taken::default();
        let mut table = self.table();
        for place in places.iter().copied() {
            answers[place] = table.find(&wants[place], now);
            if answers[place].is_none() {
                table.take_seat(self, wants[place], place, now, &mut taken);
            }
        }
        drop(table);
        self.misses.fetch_add(taken.leads.len() as u64, Ordering::Relaxed);
        self.joined.fetch_add(taken.waits.len() as u64, Ordering::Relaxed);
        taken
    }

    /// Keeps what was loaded for these seats and tells those who wait for it. What was evicted since they were taken is
    /// revoked.
    pub(super) fn land<'c>(
        &'c self,
        landed: impl IntoIterator<Item = (Seat<'c>, Result<Arc<Key>, Fault>)>,
        now: u64,
    ) {
        let mut wakers = Wakers::default();
        let mut seats = Vec::new();
        let mut table = self.table();
        for (mut seat, answer) in landed {
            wakers.extend(table.land(&mut seat, answer, now));
            seats.push(seat);
        }
        drop(table);
        // Dropped here: a seat looks at the table once more when it is given up.
        drop(seats);
        wakers.wake();
    }

    /// How often anything was evicted: what was looked up before the last of them may be what was meant.
    pub(super) fn evictions(&self) -> u64 {
        self.table().evictions
    }

    /// Puts a key that was just made in the place of an older one of its subject. It was made since there were so many
    /// `evictions`: if there are more by now, it may be one of those that were meant, and the store is asked.
    pub(super) fn put_newest(&self, key: &Arc<Key>, evictions: u64, now: u64) {
        let mut wakers = Wakers::default();
        self.forget_names(&HashSet::from([*key.pseudonym()]), &mut wakers);
        let mut table = self.table();
        if table.evictions == evictions {
            table.keep(key, true, now);
        }
        drop(table);
        wakers.wake();
    }

    /// Drops the keys of these references and subjects, everywhere in this process and for good: who looks them up from
    /// now on asks the store.
    pub(super) fn evict(&self, references: &[u64], pseudonyms: &[Pseudonym]) {
        let mut wakers = Wakers::default();
        let (references, pseudonyms): (HashSet<_>, HashSet<_>) =
            (references.iter().copied().collect(), pseudonyms.iter().copied().collect());
        let is_meant =
            |key: &Key| references.contains(&key.reference()) || pseudonyms.contains(key.pseudonym());
        self.table().evict(&references, &pseudonyms, &mut wakers);
        // After the table: whoever still has one of them in hand finds it revoked, or is found here.
        self.lanes.evict(is_meant);
        wakers.wake();
    }

    /// The reference of a subject's newest key, if it is cached.
    pub(super) fn peek_newest(&self, pseudonym: &Pseudonym, now: u64) -> Option<u64> {
        let found = self.table().find(&Want::Newest(*pseudonym), now)?;
        found.ok().map(|key| key.reference())
    }

    /// Has the newest keys of these subjects looked up anew.
    fn forget_names(&self, pseudonyms: &HashSet<Pseudonym>, wakers: &mut Wakers) {
        self.table().forget_newest(pseudonyms, wakers);
        self.lanes.forget_names(|key| pseudonyms.contains(key.pseudonym()));
    }

    /// Drops everything.
    pub(super) fn clear(&self) {
        let mut wakers = Wakers::default();
        self.table().clear(&mut wakers);
        self.lanes.evict(|_| true);
        wakers.wake();
    }

    /// Wipes what is past its age.
    pub(super) fn tidy(&self, now: u64) {
        self.table().tidy(now);
        self.lanes.evict(|key| !key.is_good(now));
    }

    pub(super) fn stats(&self) -> KeyCacheStats {
        let hits = self.lanes.hits();
        let table = self.table();
        KeyCacheStats {
            hits: hits + table.hits,
            misses: self.misses.load(Ordering::Relaxed),
            joined: self.joined.load(Ordering::Relaxed),
            known_absent: table.known_absent,
            evicted: table.evicted,
            entries: table.len(),
            bytes: table.bytes(),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // No code of others runs under the lock: a panic leaves nothing half done.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the cache of keys has done since it was made (or since the process was forked), and what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct KeyCacheStats {
    /// Keys that were there.
    pub hits: u64,
    /// Keys that the store was asked for.
    pub misses: u64,
    /// Keys that somebody else was asking for already.
    pub joined: u64,
    /// Look-ups that were answered "erased" or "unknown" without asking the store.
    pub known_absent: u64,
    /// Keys that had to go to make room.
    pub evicted: u64,
    /// Keys kept now.
    pub entries: usize,
    /// About how many bytes they take.
    pub bytes: usize,
}
