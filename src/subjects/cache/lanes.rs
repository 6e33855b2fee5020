//! Hits without a common line of memory: every thread that runs has its own table of ciphers at work.
//!
//! A lane holds pointers to keys of the common table, the cipher that its thread made of each, and uses that were taken
//! from their budgets in advance. A hit reads what nobody writes and writes what nobody else touches. A lane is small:
//! it holds the keys that its thread is busy with, ready to use; the common table holds many, at an eighth of the memory.

use std::{
    collections::HashMap,
    hash::BuildHasherDefault,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    thread,
};

use zeroize::Zeroize;

use crate::{
    provider::cached::lanes::IsHash, record_cipher::LocalCipher, subjects::key::Key,
    thread_number::thread_number,
};

pub(in crate::subjects) struct Lanes(Box<[Lane]>);

/// Two cache lines to itself: processors fetch lines in pairs.
#[repr(align(128))]
struct Lane(Mutex<Busy>);

/// The keys that a thread is busy with.
struct Busy {
    places: Vec<Option<Place>>,
    by_reference: Places,
    by_name: Places,
    /// Where a place is looked for next.
    hand: usize,
    room: usize,
    hits: u64,
}

type Places = HashMap<u64, usize, BuildHasherDefault<IsHash>>;

struct Place {
    hot: Hot,
    name: Option<Name>,
    uses: u64,
    was_used: bool,
}

/// A key, ready to seal and open.
pub(in crate::subjects) struct Hot {
    pub(in crate::subjects) key: Arc<Key>,
    pub(in crate::subjects) cipher: LocalCipher,
}

/// A name as a lane finds it again.
#[derive(Clone, Copy)]
pub(in crate::subjects) struct NameKey<'a> {
    pub(in crate::subjects) scope: &'a [u8; 16],
    /// Person, class and so on.
    pub(in crate::subjects) kind: u8,
    pub(in crate::subjects) name: &'a [u8],
}

/// The same, kept.
struct Name {
    print: u64,
    kind: u8,
    name: Box<[u8]>,
}

impl Lanes {
    pub(super) fn new(max_entries: usize) -> Self {
        let count = thread::available_parallelism().map_or(1, |n| n.get().min(MAX_LANES)).next_power_of_two();
        let room = max_entries.clamp(1, ROOM);
        Self((0..count).map(|_| Lane(Mutex::new(Busy::new(room)))).collect())
    }

    #[inline]
    pub(super) fn with_name<R>(
        &self,
        print: u64,
        name: &NameKey<'_>,
        now: u64,
        work: impl FnOnce(&mut Hot) -> R,
    ) -> Option<R> {
        let mut busy = self.any()?;
        let at = *busy.by_name.get(&print)?;
        let is_it = busy.places[at].as_ref().is_some_and(|place| place.is_of(print, name));
        if is_it { busy.hit(at, now, work) } else { None }
    }

    #[inline]
    pub(super) fn with_reference<R>(
        &self,
        reference: u64,
        now: u64,
        work: impl FnOnce(&mut Hot) -> R,
    ) -> Option<R> {
        let mut busy = self.any()?;
        let at = *busy.by_reference.get(&reference)?;
        busy.hit(at, now, work)
    }

    pub(super) fn with_key<R>(
        &self,
        key: &Arc<Key>,
        name: Option<(u64, &NameKey<'_>)>,
        now: u64,
        work: impl FnOnce(&mut Hot) -> R,
    ) -> Option<R> {
        match self.any() {
            Some(mut busy) => {
                // Looked at under the lane's lock: whoever revokes it comes by this lane afterwards.
                if key.is_revoked() {
                    return None;
                }
                let at = busy.place_of(key);
                if let Some((print, name)) = name {
                    busy.set_name(at, print, name);
                }
                busy.use_once(at, now, work)
            }
            // More threads than lanes, and all are at it.
            None if key.is_revoked() || key.take_uses(1) == 0 => None,
            None => Some(work(&mut Hot::new(key))),
        }
    }

    /// Drops what is meant from all lanes.
    pub(super) fn evict(&self, is_meant: impl Fn(&Key) -> bool) {
        for lane in &self.0 {
            let mut busy = lane.lock();
            for at in 0..busy.places.len() {
                if busy.places[at].as_ref().is_some_and(|place| is_meant(&place.hot.key)) {
                    busy.clear(at);
                }
            }
        }
    }

    /// Forgets the names of those keys; they are still found by reference.
    pub(super) fn forget_names(&self, is_meant: impl Fn(&Key) -> bool) {
        for lane in &self.0 {
            let mut busy = lane.lock();
            for at in 0..busy.places.len() {
                if busy.places[at].as_ref().is_some_and(|place| is_meant(&place.hot.key)) {
                    busy.clear_name(at);
                }
            }
        }
    }

    pub(super) fn hits(&self) -> u64 {
        self.0.iter().map(|lane| lane.lock().hits).sum()
    }

    /// This thread's lane, or another one that is free at this moment.
    #[inline]
    fn any(&self) -> Option<MutexGuard<'_, Busy>> {
        let home = thread_number();
        (0..self.0.len()).find_map(|distance| {
            // The number of lanes is a power of two.
            match self.0[(home + distance) & (self.0.len() - 1)].0.try_lock() {
                Ok(busy) => Some(busy),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            }
        })
    }
}

impl Lane {
    fn lock(&self) -> MutexGuard<'_, Busy> {
        // What runs under the lock is sealing and opening: a panic there leaves a key that still works.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Busy {
    fn new(room: usize) -> Self {
        let (places, hand, hits) = (Vec::new(), 0, 0);
        Self { places, by_reference: Places::default(), by_name: Places::default(), hand, room, hits }
    }

    /// Uses a key that is found here, if it is still good.
    #[inline]
    fn hit<R>(&mut self, at: usize, now: u64, work: impl FnOnce(&mut Hot) -> R) -> Option<R> {
        if !self.places[at].as_ref().is_some_and(|place| place.hot.key.is_good(now)) {
            self.clear(at);
            return None;
        }
        let used = self.use_once(at, now, work)?;
        self.hits += 1;
        Some(used)
    }

    #[inline]
    fn use_once<R>(&mut self, at: usize, now: u64, work: impl FnOnce(&mut Hot) -> R) -> Option<R> {
        let place = self.places[at].as_mut()?;
        if place.uses == 0 {
            place.uses = place.hot.key.take_uses(place.hot.key.lease());
        }
        if place.uses == 0 {
            self.clear(at);
            return None;
        }
        place.uses -= 1;
        place.was_used = true;
        let used = work(&mut place.hot);
        if !place.hot.key.is_good(now) {
            // Good for this once only.
            self.clear(at);
        }
        Some(used)
    }

    /// The place of a key, which is given one if it has none.
    fn place_of(&mut self, key: &Arc<Key>) -> usize {
        if let Some(at) = self.by_reference.get(&key.reference()).copied() {
            match &self.places[at] {
                Some(place) if Arc::ptr_eq(&place.hot.key, key) => return at,
                // Loaded anew meanwhile.
                _ => self.clear(at),
            }
        }
        let at = self.room_for_one();
        self.by_reference.insert(key.reference(), at);
        self.places[at] = Some(Place { hot: Hot::new(key), name: None, uses: 0, was_used: true });
        at
    }

    /// An empty place: that of a key which was not used for a while, if there is no other.
    fn room_for_one(&mut self) -> usize {
        if self.places.len() < self.room {
            self.places.push(None);
            return self.places.len() - 1;
        }
        loop {
            let at = self.hand;
            self.hand = (self.hand + 1) % self.places.len();
            match &mut self.places[at] {
                None => return at,
                Some(place) if place.was_used => place.was_used = false,
                Some(_) => {
                    self.clear(at);
                    return at;
                }
            }
        }
    }

    fn set_name(&mut self, at: usize, print: u64, name: &NameKey<'_>) {
        if self.places[at].as_ref().is_some_and(|place| place.is_of(print, name)) {
            return;
        }
        // Another version of the subject's key, or another name of the same print.
        if let Some(other) = self.by_name.get(&print).copied() {
            self.clear_name(other);
        }
        self.clear_name(at);
        if let Some(place) = &mut self.places[at] {
            place.name = Some(Name { print, kind: name.kind, name: name.name.into() });
            self.by_name.insert(print, at);
        }
    }

    fn clear_name(&mut self, at: usize) {
        if let Some(name) = self.places[at].as_mut().and_then(|place| place.name.take()) {
            self.by_name.remove(&name.print);
        }
    }

    fn clear(&mut self, at: usize) {
        self.clear_name(at);
        if let Some(place) = self.places[at].take() {
            self.by_reference.remove(&place.hot.key.reference());
        }
    }
}

impl Place {
    /// Compared in full: a print may stand for several names.
    #[inline]
    fn is_of(&self, print: u64, wanted: &NameKey<'_>) -> bool {
        self.name.as_ref().is_some_and(|name| {
            name.print == print
                && name.kind == wanted.kind
                && *name.name == *wanted.name
                && self.hot.key.scope() == wanted.scope
        })
    }
}

impl Hot {
    pub(in crate::subjects) fn new(key: &Arc<Key>) -> Self {
        let cipher = LocalCipher::new(key.record_key(), key.reference());
        Self { key: Arc::clone(key), cipher }
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        self.name.zeroize();
    }
}

/// Bounds the memory of all together.
const MAX_LANES: usize = 64;
/// Keys of one lane at most: about 2.5 KiB each.
const ROOM: usize = 512;
