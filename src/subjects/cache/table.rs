//! All keys of a cache: by reference, the newest ones by pseudonym, and references that lead nowhere.
//!
//! One lock is around it, held for moments and never across an await. What is not used goes first, and what is known to
//! be absent has room of its own, so that a flood of made-up references pushes out no key.

use std::{
    collections::{HashMap, HashSet, VecDeque, hash_map::Entry},
    iter,
    sync::Arc,
};

use super::{
    Cache, Want,
    flights::{Done, Flight, Role, Seat, Taken},
};
use crate::{
    cache_slot::{Failure, Held, Landing, Leaves, Slot, Step, Wakers},
    clock::ages::millis_of,
    keystore::Pseudonym,
    subjects::{SubjectsOptions, key::Key, load::Fault},
};

pub(super) struct Table {
    keys: HashMap<u64, Record>,
    subjects: HashMap<Pseudonym, Versions>,
    /// References in the order in which they are looked at when one has to go.
    queue: VecDeque<u64>,
    absent: HashMap<u64, (Fault, u64)>,
    absent_queue: VecDeque<u64>,
    flights: HashMap<Want, Arc<Flight>>,
    max_keys: usize,
    max_absent: usize,
    absent_age: u64,
    pub(super) hits: u64,
    pub(super) known_absent: u64,
    pub(super) evicted: u64,
    /// How often keys were dropped because they must not be used any more.
    pub(super) evictions: u64,
}

struct Record {
    key: Arc<Key>,
    was_used: bool,
    /// Another version of the same subject's key, and so on.
    next: Option<u64>,
}

/// What is kept of a subject: what ends with it is found without looking at everybody's.
#[derive(Default)]
struct Versions {
    /// The newest one, where that is known; it is in the chain, too.
    newest: Option<Arc<Key>>,
    /// Where the chain of references begins.
    first: Option<u64>,
}

impl Table {
    pub(super) fn new(options: &SubjectsOptions) -> Self {
        Self {
            keys: HashMap::new(),
            subjects: HashMap::new(),
            queue: VecDeque::new(),
            absent: HashMap::new(),
            absent_queue: VecDeque::new(),
            flights: HashMap::new(),
            max_keys: options.max_entries.min(options.max_bytes / KEY_BYTES),
            max_absent: options.max_absent,
            absent_age: millis_of(options.absent_age.min(options.max_age)),
            hits: 0,
            known_absent: 0,
            evicted: 0,
            evictions: 0,
        }
    }

    /// What is known of this, if anything is.
    pub(super) fn find(&mut self, want: &Want, now: u64) -> Option<Result<Arc<Key>, Fault>> {
        let found = match want {
            Want::Reference(reference) => match self.keys.get_mut(reference) {
                Some(record) => {
                    record.was_used = true;
                    Arc::clone(&record.key)
                }
                None => return self.known_absent(*reference, now).map(Err),
            },
            Want::Newest(pseudonym) => Arc::clone(self.subjects.get(pseudonym)?.newest.as_ref()?),
        };
        if !found.is_good(now) || found.is_spent() {
            self.drop_key(&found);
            return None;
        }
        self.hits += 1;
        Some(Ok(found))
    }

    fn known_absent(&mut self, reference: u64, now: u64) -> Option<Fault> {
        let (fault, until) = self.absent.get(&reference)?;
        if now >= *until {
            self.absent.remove(&reference);
            return None;
        }
        self.known_absent += 1;
        Some(fault.clone())
    }

    /// Sits down to load it, or to wait for who does.
    pub(super) fn take_seat<'c>(
        &mut self,
        cache: &'c Cache,
        want: Want,
        place: usize,
        now: u64,
        taken: &mut Taken<'c>,
    ) {
        let flight = self.flights.entry(want).or_insert_with(|| Arc::new(Slot::new()));
        let (role, list) = match Slot::enter(flight, now, |_| 1) {
            Step::Wait(waiter) => (Role::Waits(waiter), &mut taken.waits),
            Step::Lead(leader) => (Role::Leads(leader), &mut taken.leads),
            // A flight that landed is out of the table before anybody else comes: it holds nothing.
            Step::Hit { .. } | Step::Stale(_) | Step::Refused(_) | Step::Spent => {
                (Role::Is(Done), &mut taken.waits)
            }
        };
        list.push((place, Seat { cache, want, flight: Arc::clone(flight), role }));
    }

    /// Keeps the answer, and hands it to those who wait. If the flight was evicted, the answer is from before that: nobody
    /// gets to use it, not even who asked.
    pub(super) fn land(&mut self, seat: &mut Seat<'_>, answer: Result<Arc<Key>, Fault>, now: u64) -> Wakers {
        let Role::Leads(leader) = std::mem::replace(&mut seat.role, Role::Is(Done)) else {
            return Wakers::default();
        };
        let is_current = self.flights.get(&seat.want).is_some_and(|flight| Arc::ptr_eq(flight, &seat.flight));
        if is_current {
            self.flights.remove(&seat.want);
            match (&answer, seat.want) {
                (Ok(key), want) => self.keep(key, matches!(want, Want::Newest(_)), now),
                (Err(fault), Want::Reference(reference)) if fault.is_absence() => {
                    self.keep_absent(reference, fault, now);
                }
                (Err(_), _) => {}
            }
        } else if let Ok(key) = &answer {
            key.revoke();
        }
        let landing = match answer {
            Ok(value) => {
                let (refresh_at, hard_at, stale_until, uses_left) = (u64::MAX, u64::MAX, u64::MAX, u64::MAX);
                Landing::Loaded(Held { value, refresh_at, hard_at, stale_until, uses_left })
            }
            Err(error) => Landing::Failed(Failure { error, until: 0, leaves: Leaves::Nothing }),
        };
        leader.land(landing, now).2
    }

    pub(super) fn keep(&mut self, key: &Arc<Key>, is_newest: bool, now: u64) {
        if !key.is_good(now) {
            return;
        }
        self.absent.remove(&key.reference());
        let (versions, reference) = (self.subjects.entry(*key.pseudonym()).or_default(), key.reference());
        match self.keys.entry(reference) {
            Entry::Occupied(mut record) => {
                record.get_mut().key = Arc::clone(key);
                record.get_mut().was_used = true;
            }
            Entry::Vacant(place) => {
                let next = versions.first.replace(reference);
                place.insert(Record { key: Arc::clone(key), was_used: true, next });
                self.queue.push_back(reference);
            }
        }
        if is_newest || versions.newest.as_ref().is_some_and(|newest| newest.reference() == reference) {
            versions.newest = Some(Arc::clone(key));
        }
        while self.keys.len() > self.max_keys {
            self.drop_one(now);
        }
        self.shorten_queue();
    }

    /// Drops the next key that is past its age or was not used since it was looked at last.
    fn drop_one(&mut self, now: u64) {
        let Some(reference) = self.queue.pop_front() else {
            self.subjects.clear();
            return self.keys.clear();
        };
        let Some(record) = self.keys.get_mut(&reference) else { return };
        if record.was_used && record.key.is_good(now) {
            record.was_used = false;
            self.queue.push_back(reference);
            return;
        }
        let key = Arc::clone(&record.key);
        self.drop_key(&key);
        self.evicted += 1;
    }

    fn drop_key(&mut self, key: &Key) {
        let Some(gone) = self.keys.remove(&key.reference()) else { return };
        let Some(versions) = self.subjects.get_mut(gone.key.pseudonym()) else { return };
        if versions.newest.as_ref().is_some_and(|newest| newest.reference() == key.reference()) {
            versions.newest = None;
        }
        if versions.first == Some(key.reference()) {
            versions.first = gone.next;
        }
        let mut at = versions.first;
        while let Some(record) = at.and_then(|reference| self.keys.get_mut(&reference)) {
            if record.next == Some(key.reference()) {
                record.next = gone.next;
            }
            at = record.next;
        }
        if versions.first.is_none() {
            self.subjects.remove(gone.key.pseudonym());
        }
    }

    /// The keys of a subject that are kept.
    fn keys_of(&self, pseudonym: &Pseudonym) -> impl Iterator<Item = &Arc<Key>> {
        let first = self.subjects.get(pseudonym).and_then(|versions| self.keys.get(&versions.first?));
        iter::successors(first, |record| self.keys.get(&record.next?)).map(|record| &record.key)
    }

    /// Keys that went by another way leave their references in the queue.
    fn shorten_queue(&mut self) {
        if self.queue.len() > 2 * self.keys.len() + 64 {
            let mut seen = HashSet::new();
            self.queue.retain(|reference| self.keys.contains_key(reference) && seen.insert(*reference));
        }
    }

    fn keep_absent(&mut self, reference: u64, fault: &Fault, now: u64) {
        if self.max_absent == 0 || self.absent_age == 0 {
            return;
        }
        let until = now.saturating_add(self.absent_age);
        if self.absent.insert(reference, (fault.clone(), until)).is_none() {
            self.absent_queue.push_back(reference);
        }
        while self.absent.len() > self.max_absent || self.absent_queue.len() > 2 * self.max_absent {
            let Some(oldest) = self.absent_queue.pop_front() else { break };
            self.absent.remove(&oldest);
        }
    }

    /// Nobody sits at it any more: then it is no flight.
    pub(super) fn clear_flight(&mut self, want: &Want, flight: &Arc<Flight>) {
        let is_current = self.flights.get(want).is_some_and(|current| Arc::ptr_eq(current, flight));
        if is_current && !flight.is_in_use(0) {
            self.flights.remove(want);
        }
    }

    pub(super) fn evict(
        &mut self,
        references: &HashSet<u64>,
        pseudonyms: &HashSet<Pseudonym>,
        wakers: &mut Wakers,
    ) {
        self.evictions += 1;
        let by_reference = references.iter().filter_map(|reference| Some(&self.keys.get(reference)?.key));
        let by_subject = pseudonyms.iter().flat_map(|pseudonym| self.keys_of(pseudonym));
        let meant: Vec<Arc<Key>> = by_reference.chain(by_subject).cloned().collect();
        for key in meant {
            key.revoke();
            self.drop_key(&key);
        }
        references.iter().for_each(|reference| drop(self.absent.remove(reference)));
        // By reference nobody knows whose they will turn out to be: with a subject, all of those start over.
        let is_hit = |want: &Want| match want {
            Want::Reference(reference) => !pseudonyms.is_empty() || references.contains(reference),
            Want::Newest(pseudonym) => pseudonyms.contains(pseudonym),
        };
        self.purge_flights(is_hit, wakers);
        self.shorten_queue();
    }

    /// Has the newest keys of these subjects looked up anew.
    pub(super) fn forget_newest(&mut self, pseudonyms: &HashSet<Pseudonym>, wakers: &mut Wakers) {
        for pseudonym in pseudonyms {
            if let Some(versions) = self.subjects.get_mut(pseudonym) {
                versions.newest = None;
            }
        }
        let is_hit = |want: &Want| matches!(want, Want::Newest(newest) if pseudonyms.contains(newest));
        self.purge_flights(is_hit, wakers);
    }

    fn purge_flights(&mut self, is_hit: impl Fn(&Want) -> bool, wakers: &mut Wakers) {
        self.flights.retain(|want, flight| {
            let goes = is_hit(want);
            if goes {
                wakers.extend(flight.purge());
            }
            !goes
        });
    }

    pub(super) fn clear(&mut self, wakers: &mut Wakers) {
        self.evictions += 1;
        self.keys.values().for_each(|record| record.key.revoke());
        (self.keys, self.subjects, self.queue) = (HashMap::new(), HashMap::new(), VecDeque::new());
        (self.absent, self.absent_queue) = (HashMap::new(), VecDeque::new());
        self.purge_flights(|_| true, wakers);
    }

    /// Drops what is past its age.
    pub(super) fn tidy(&mut self, now: u64) {
        let aged = self.keys.values().map(|record| &record.key).filter(|key| !key.is_good(now));
        let aged: Vec<Arc<Key>> = aged.cloned().collect();
        aged.iter().for_each(|key| self.drop_key(key));
        self.absent.retain(|_, (_, until)| now < *until);
        let absent = &self.absent;
        self.absent_queue.retain(|reference| absent.contains_key(reference));
        self.shorten_queue();
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.keys.len() * KEY_BYTES
    }
}

/// About what a key takes, with what finds it again.
pub(super) const KEY_BYTES: usize = 384;
