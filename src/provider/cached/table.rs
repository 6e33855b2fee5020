//! All entries of a cache, by hash: who is in, who has to go, and which wrapping keys are known to be gone.
//!
//! One lock is around it, held for moments and never across an await. Entries that hold a key and entries that
//! remember a failure have room of their own each, so that a flood of failures pushes out no key. Entries whose key is
//! just being loaded are as many as there are callers.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::BuildHasherDefault,
    sync::Arc,
};

use super::{
    CacheOptions,
    entry::{Entry, Faults, Kept, Wanted},
    lanes::{IsHash, Lanes},
};
use crate::{
    cache_slot::{Landed, Slot, Step, Wakers},
    error::ProviderError,
    format::stanza::{Recipient, RecipientType},
};

pub(super) struct Table {
    entries: HashMap<u64, Record, BuildHasherDefault<IsHash>>,
    keys: Pool,
    failures: Pool,
    /// Wrapping keys that do not exist or are switched off, and until when that is believed.
    gone: HashMap<(RecipientType, Vec<u8>), (Arc<ProviderError>, u64)>,
    pub(super) evicted: u64,
}

struct Record {
    entry: Arc<Entry>,
    class: Class,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Loading,
    Key,
    Failure,
}

/// Entries of one class, in the order in which they are looked at when one has to go.
struct Pool {
    class: Class,
    queue: VecDeque<u64>,
    count: usize,
    bytes: usize,
    max_count: usize,
    max_bytes: usize,
}

/// What [`Table::enter`] found.
pub(super) enum Entered {
    At(Arc<Entry>, Step<Arc<Kept>, Arc<Faults>>),
    /// The wrapping key is known to be gone.
    Gone(Arc<ProviderError>),
    /// Two wraps of one hash, of which the other was first.
    Occupied,
}

impl Table {
    pub(super) fn new(options: &CacheOptions) -> Self {
        let (max_count, max_bytes) = (options.max_entries, options.max_bytes);
        Self {
            entries: HashMap::default(),
            keys: Pool::new(Class::Key, max_count, max_bytes),
            failures: Pool::new(Class::Failure, (max_count / 8).clamp(16, 1024), max_bytes / 8),
            gone: HashMap::new(),
            evicted: 0,
        }
    }

    pub(super) fn enter(&mut self, print: u64, wanted: Wanted<'_>, now: u64, lanes: &Lanes) -> Entered {
        if let Some(fault) = self.known_gone(wanted, now) {
            return Entered::Gone(fault);
        }
        let record = self
            .entries
            .entry(print)
            .or_insert_with(|| Record { entry: Arc::new(Entry::new(print, wanted)), class: Class::Loading });
        if !record.entry.is(wanted) {
            return Entered::Occupied;
        }
        let entry = Arc::clone(&record.entry);
        let among = 2 * lanes.count() as u64;
        let step = loop {
            match Slot::enter(&entry.slot, now, |left| (left / among).clamp(1, MAX_LEASE)) {
                Step::Spent => {
                    let kept = entry.slot.peek();
                    match kept.as_ref().map_or(0, |kept| lanes.take_back(print, kept)) {
                        0 => {
                            entry.slot.forget_spent();
                            kept.iter().for_each(|kept| kept.revoke());
                        }
                        uses => entry.slot.give_back(uses),
                    }
                }
                Step::Hit { value, uses } => {
                    let returned = lanes.lease(&entry, &value, uses - 1);
                    entry.slot.give_back(returned);
                    value.note_use();
                    break Step::Hit { value, uses: 1 };
                }
                step => break step,
            }
        };
        if matches!(step, Step::Lead(_)) && record.class == Class::Failure {
            record.class = Class::Loading;
            self.failures.sub(&entry);
        }
        Entered::At(entry, step)
    }

    /// Whether there is a key that can be used now.
    pub(super) fn has_fresh(&self, print: u64, wanted: Wanted<'_>, now: u64) -> bool {
        let entry = self.entries.get(&print).map(|record| &record.entry).filter(|entry| entry.is(wanted));
        entry.and_then(|entry| entry.slot.peek()).is_some_and(|kept| kept.is_fresh(now))
    }

    /// Puts an entry where it belongs after a load, and makes room for it.
    pub(super) fn settle(&mut self, entry: &Arc<Entry>, landed: Landed, lanes: &Lanes, out: &mut Wakers) {
        let class = match landed {
            Landed::Alone => return,
            Landed::Empty => return self.remove(entry.print, lanes, out),
            Landed::Held => Class::Key,
            Landed::Refusing => Class::Failure,
        };
        let Some(record) = self.entries.get_mut(&entry.print) else { return };
        let before = std::mem::replace(&mut record.class, class);
        if before != class {
            self.pool(before).into_iter().for_each(|pool| pool.sub(entry));
            self.pool(class).into_iter().for_each(|pool| pool.add(entry));
        }
        self.make_room(lanes, out);
    }

    /// Removes an entry in which nothing is left and which nobody is at.
    pub(super) fn tidy(&mut self, entry: &Arc<Entry>, now: u64, lanes: &Lanes) {
        let is_there = |record: &Record| Arc::ptr_eq(&record.entry, entry);
        if self.entries.get(&entry.print).is_some_and(is_there) && !entry.slot.is_in_use(now) {
            let mut nobody = Wakers::default();
            self.remove(entry.print, lanes, &mut nobody);
            nobody.wake();
        }
    }

    /// Removes all that is past its time.
    pub(super) fn tidy_all(&mut self, now: u64, lanes: &Lanes) {
        let entries: Vec<_> = self.entries.values().map(|record| Arc::clone(&record.entry)).collect();
        entries.iter().for_each(|entry| self.tidy(entry, now, lanes));
        self.gone.retain(|_, (_, until)| now < *until);
    }

    /// Removes everything of which `needs` is true.
    pub(super) fn purge(&mut self, needs: impl Fn(&Entry) -> bool, lanes: &Lanes, out: &mut Wakers) {
        let prints: Vec<u64> =
            self.entries.iter().filter(|(_, record)| needs(&record.entry)).map(|(print, _)| *print).collect();
        prints.into_iter().for_each(|print| self.remove(print, lanes, out));
    }

    /// Removes everything.
    pub(super) fn purge_all(&mut self, lanes: &Lanes, out: &mut Wakers) {
        self.purge(|_| true, lanes, out);
        // What a lane may have got hold of beside that.
        lanes.clear();
        self.gone.clear();
    }

    /// Believes, until then, that this recipient's wrapping key is gone.
    pub(super) fn note_gone(
        &mut self,
        recipient: &Recipient,
        fault: &Arc<ProviderError>,
        now: u64,
        until: u64,
    ) {
        if recipient.id().is_empty() || until <= now {
            return;
        }
        if self.gone.len() >= MAX_GONE {
            self.gone.retain(|_, (_, until)| now < *until);
        }
        if self.gone.len() < MAX_GONE {
            let key = (recipient.recipient_type(), recipient.id().to_vec());
            self.gone.insert(key, (Arc::clone(fault), until));
        }
    }

    /// Believes no longer that this wrapping key is gone.
    pub(super) fn ask_again(&mut self, id: &[u8]) {
        self.gone.retain(|(_, gone), _| gone != id);
    }

    pub(super) const fn len(&self) -> usize {
        self.keys.count
    }

    pub(super) const fn bytes(&self) -> usize {
        self.keys.bytes + self.failures.bytes
    }

    /// Entries of every class.
    #[cfg(test)]
    pub(super) fn total(&self) -> usize {
        self.entries.len()
    }

    /// Where there are other recipients, they may do.
    fn known_gone(&self, wanted: Wanted<'_>, now: u64) -> Option<Arc<ProviderError>> {
        let [recipient] = wanted.recipients else { return None };
        if self.gone.is_empty() {
            return None;
        }
        let (fault, until) = self.gone.get(&(recipient.recipient_type(), recipient.id().to_vec()))?;
        (now < *until).then(|| Arc::clone(fault))
    }

    fn remove(&mut self, print: u64, lanes: &Lanes, out: &mut Wakers) {
        let Some(Record { entry, class }) = self.entries.remove(&print) else { return };
        self.pool(class).into_iter().for_each(|pool| pool.sub(&entry));
        let kept = entry.slot.peek();
        out.extend(entry.slot.purge());
        if let Some(kept) = kept {
            kept.revoke();
            lanes.take_back(print, &kept);
        }
    }

    fn pool(&mut self, class: Class) -> Option<&mut Pool> {
        match class {
            Class::Loading => None,
            Class::Key => Some(&mut self.keys),
            Class::Failure => Some(&mut self.failures),
        }
    }

    fn make_room(&mut self, lanes: &Lanes, out: &mut Wakers) {
        while let Some(print) = self.keys.next_to_go(&self.entries) {
            self.remove(print, lanes, out);
            self.evicted += 1;
        }
        while let Some(print) = self.failures.next_to_go(&self.entries) {
            self.remove(print, lanes, out);
        }
    }
}

impl Pool {
    const fn new(class: Class, max_count: usize, max_bytes: usize) -> Self {
        Self { class, queue: VecDeque::new(), count: 0, bytes: 0, max_count, max_bytes }
    }

    fn add(&mut self, entry: &Entry) {
        self.count += 1;
        self.bytes += entry.bytes;
        // One that would push out everything is the first to go.
        if entry.bytes > self.max_bytes {
            self.queue.push_front(entry.print);
        } else {
            self.queue.push_back(entry.print);
        }
    }

    const fn sub(&mut self, entry: &Entry) {
        self.count -= 1;
        self.bytes -= entry.bytes;
    }

    /// Whoever was not used since the last time round, if there is not room for all.
    fn next_to_go(&mut self, entries: &HashMap<u64, Record, BuildHasherDefault<IsHash>>) -> Option<u64> {
        if self.queue.len() > 2 * self.count + SLACK {
            let mut seen = HashSet::new();
            self.queue.retain(|print| {
                entries.get(print).is_some_and(|record| record.class == self.class) && seen.insert(*print)
            });
        }
        if self.count <= self.max_count && self.bytes <= self.max_bytes {
            return None;
        }
        // Twice round clears every mark; one that is set meanwhile does not save its entry for ever.
        for look in 0..=2 * self.queue.len() {
            let print = self.queue.pop_front()?;
            let Some(record) = entries.get(&print).filter(|record| record.class == self.class) else {
                continue;
            };
            let is_too_large = record.entry.bytes > self.max_bytes;
            if !is_too_large
                && look < 2 * self.queue.len()
                && record.entry.slot.peek().is_some_and(|kept| kept.forget_use())
            {
                self.queue.push_back(print);
            } else {
                return Some(print);
            }
        }
        None
    }
}

/// Uses that a lane takes at once.
const MAX_LEASE: u64 = 4096;
/// Wrapping keys that are remembered as gone: far more than a provider has.
const MAX_GONE: usize = 256;
/// Places in a queue that may be of entries which are there no more.
const SLACK: usize = 64;
