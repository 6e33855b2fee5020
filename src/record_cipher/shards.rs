//! One state for each thread that runs, so that threads do not wait for each other.
//!
//! Floor 3; must not know what the states are for. A place is taken by `try_lock` only: whoever finds its own taken
//! goes on to the next, and works on a state of its own where all are. So nobody ever waits, not even in a forked
//! child for a thread that exists in its parent only.

use std::{
    sync::{
        Mutex, MutexGuard, TryLockError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

use crate::thread_number::thread_number;

pub(super) struct Shards<T> {
    shards: Box<[Shard<T>]>,
    /// What was counted without a place.
    overflow: AtomicU64,
}

/// Two cache lines to itself: processors fetch lines in pairs, and a shared one would make threads wait after all.
#[repr(align(128))]
#[derive(Default)]
struct Shard<T> {
    state: Mutex<T>,
    count: AtomicU64,
}

impl<T: Default> Shards<T> {
    pub(super) fn new() -> Self {
        Self { shards: (0..shard_count()).map(|_| Shard::default()).collect(), overflow: AtomicU64::new(0) }
    }

    /// Runs `work` on a state that nobody else touches meanwhile: this thread's own where it is free.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut T, Tally<'_>) -> R) -> R {
        let home = thread_number();
        for distance in 0..self.shards.len() {
            // The number of shards is a power of two.
            let shard = &self.shards[(home + distance) & (self.shards.len() - 1)];
            if let Some(mut state) = shard.take() {
                return work(&mut state, Tally::Owned(&shard.count));
            }
        }
        work(&mut T::default(), Tally::Shared(&self.overflow))
    }

    /// The sum of all counts.
    pub(super) fn total(&self) -> u64 {
        let counts = self.shards.iter().map(|shard| &shard.count).chain([&self.overflow]);
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

impl<T: Default> Shard<T> {
    fn take(&self) -> Option<MutexGuard<'_, T>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::WouldBlock) => None,
            // Somebody panicked in here: whatever it left half done is thrown away.
            Err(TryLockError::Poisoned(poisoned)) => {
                let mut state = poisoned.into_inner();
                *state = T::default();
                self.state.clear_poison();
                Some(state)
            }
        }
    }
}

/// Where the work on a state is counted; read by [`Shards::total`] without a lock.
pub(super) enum Tally<'a> {
    /// Only the holder of the state writes it.
    Owned(&'a AtomicU64),
    Shared(&'a AtomicU64),
}

impl Tally<'_> {
    pub(super) fn add_one(&self) {
        match self {
            Self::Owned(count) => count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed),
            Self::Shared(count) => {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// As many as threads can run at once, rounded up to a power of two. Asked once: the answer takes reading files.
fn shard_count() -> usize {
    static KNOWN: AtomicUsize = AtomicUsize::new(0);
    match KNOWN.load(Ordering::Relaxed) {
        0 => {
            let count =
                thread::available_parallelism().map_or(1, |n| n.get().min(MAX_SHARDS)).next_power_of_two();
            KNOWN.store(count, Ordering::Relaxed);
            count
        }
        count => count,
    }
}

/// Bounds the memory of one record key: 64 places of 128 bytes each way.
const MAX_SHARDS: usize = 64;

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_thread_comes_back_to_its_own_state() {
        let shards = Shards::<u32>::new();
        for expected in 0..5 {
            shards.with(|state, tally| {
                assert_eq!(*state, expected);
                *state += 1;
                tally.add_one();
            });
        }
        assert_eq!(shards.total(), 5);
    }

    #[test]
    fn within_itself_it_finds_other_places_and_then_none_but_its_own() {
        fn nest(shards: &Shards<u32>, depth: usize) {
            if depth > 0 {
                shards.with(|state, tally| {
                    assert_eq!(*state, 0, "nobody shares a state");
                    *state = 1;
                    tally.add_one();
                    nest(shards, depth - 1);
                    *state = 0;
                });
            }
        }
        let shards = Shards::new();
        nest(&shards, shard_count() + 3);
        assert_eq!(shards.total(), shard_count() as u64 + 3);
        assert_eq!(shards.overflow.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_panic_costs_its_state_only() {
        let shards = Shards::<u32>::new();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            shards.with(|state, _| {
                *state = 7;
                panic!("half done");
            });
        }));
        assert!(panicked.is_err());
        for _ in 0..2 {
            shards.with(|state, _| assert_eq!(*state, 0));
        }
    }
}
