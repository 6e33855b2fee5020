//! Where the random bytes of nonces come from: the system for each record, one draw for a batch, or a thread's pool.
//!
//! Floor 3; must not know what they are for. The pool is the one place of the crate where random bytes wait before
//! they are used, and so the one that a copied machine can use twice of the
//! [format](crate::manual::format).

use std::{cell::RefCell, io, mem};

use crate::{
    crypto::random,
    fork,
    format::record::{HALF_NONCE_LEN, HalfNonce},
    secret::wipe,
};

/// When and in which process something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// As [`fork::coarse_millis`].
    pub(super) millis: u64,
    /// As [`fork::generation`].
    pub(super) generation: u64,
}

/// A source of random halves of nonces that never gives the same one twice.
pub(crate) trait Random {
    fn half(&mut self, now: Moment) -> io::Result<HalfNonce>;

    /// When the next record is sealed. A test has other times.
    fn now(&self) -> Moment {
        Moment { millis: fork::coarse_millis(), generation: fork::generation() }
    }
}

/// The operating system, asked for every record.
pub(crate) struct System;

impl Random for System {
    fn half(&mut self, _: Moment) -> io::Result<HalfNonce> {
        let mut half = [0; HALF_NONCE_LEN];
        // fmt: R-4
        random::fill(&mut half)?;
        Ok(HalfNonce::from_bytes(half))
    }
}

/// One draw from the operating system, for the records of one call.
pub(crate) struct Batch {
    halves: [[u8; HALF_NONCE_LEN]; BATCH_HALVES],
    used: usize,
    end: usize,
}

impl Batch {
    /// The most records that one draw serves.
    pub(crate) const RECORDS: usize = BATCH_HALVES - 1;

    /// Draws for `records` records, or for [`RECORDS`](Self::RECORDS) where that is less; and for one new subkey.
    pub(crate) fn draw(records: usize) -> io::Result<Self> {
        let end = records.min(Self::RECORDS) + 1;
        let mut batch = Self { halves: [[0; HALF_NONCE_LEN]; BATCH_HALVES], used: 0, end };
        random::fill(batch.halves[..end].as_flattened_mut())?;
        Ok(batch)
    }
}

impl Random for Batch {
    fn half(&mut self, now: Moment) -> io::Result<HalfNonce> {
        match self.halves[..self.end].get(self.used) {
            Some(half) => {
                self.used += 1;
                Ok(HalfNonce::from_bytes(*half))
            }
            // A second new subkey, for example.
            None => System.half(now),
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        wipe(self.halves[..self.end].as_flattened_mut());
    }
}

/// This thread's pool: drawn from the operating system 4 KiB at a time.
pub(crate) struct ThreadPool;

impl Random for ThreadPool {
    fn half(&mut self, now: Moment) -> io::Result<HalfNonce> {
        // While a thread ends it has no pool any more.
        POOL.try_with(|pool| pool.borrow_mut().half(now)).unwrap_or_else(|_| System.half(now))
    }
}

thread_local! {
    static POOL: RefCell<Pool> =
        const { RefCell::new(Pool { halves: None, left: 0, drawn: Moment { millis: 0, generation: 0 } }) };
}

struct Pool {
    /// The first `left` are unused; all after them are zero.
    halves: Option<Box<[[u8; HALF_NONCE_LEN]; POOL_HALVES]>>,
    left: usize,
    drawn: Moment,
}

impl Pool {
    fn half(&mut self, now: Moment) -> io::Result<HalfNonce> {
        // fmt: R-5
        let stale = now.generation != self.drawn.generation
            || now.millis.saturating_sub(self.drawn.millis) >= POOL_MILLIS;
        let halves = self.halves.get_or_insert_with(|| Box::new([[0; HALF_NONCE_LEN]; POOL_HALVES]));
        if stale || self.left == 0 {
            self.left = 0;
            random::fill(halves.as_flattened_mut())?;
            self.left = halves.len();
            self.drawn = now;
        }
        self.left -= 1;
        // Used once, gone: nobody who reads this memory later learns which nonces came from where.
        Ok(HalfNonce::from_bytes(mem::take(&mut halves[self.left])))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(halves) = &mut self.halves {
            wipe(halves.as_flattened_mut());
        }
    }
}

/// Halves of one draw for a batch: 4 KiB, about as many as one system call gives at its best rate.
const BATCH_HALVES: usize = 4096 / HALF_NONCE_LEN;
/// Halves of a thread's pool: 4 KiB.
const POOL_HALVES: usize = 4096 / HALF_NONCE_LEN;
/// Milliseconds until what is left in a pool is thrown away.
const POOL_MILLIS: u64 = 100;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn at(millis: u64, generation: u64) -> Moment {
        Moment { millis, generation }
    }

    fn empty() -> Pool {
        Pool { halves: None, left: 0, drawn: at(0, 0) }
    }

    #[test]
    fn a_pool_gives_each_half_once_and_wipes_it() {
        let mut pool = empty();
        let mut seen = HashSet::new();
        for count in 1..=3 * POOL_HALVES {
            assert!(seen.insert(pool.half(at(5, 1)).unwrap()), "repeated after {count}");
            let (unused, used) = pool.halves.as_ref().unwrap().split_at(pool.left);
            assert!(used.iter().all(|half| *half == [0; 12]));
            assert!(unused.iter().all(|half| *half != [0; 12]));
            assert_eq!(used.len(), (count - 1) % POOL_HALVES + 1);
        }
    }

    #[test]
    fn a_pool_is_drawn_anew_when_it_is_old_or_in_another_process() {
        for (now, fresh) in [(at(99, 1), false), (at(100, 1), true), (at(0, 2), true), (at(99, 0), true)] {
            let mut pool = empty();
            pool.half(at(0, 1)).unwrap();
            let waiting = pool.halves.as_ref().unwrap()[..POOL_HALVES - 2].to_vec();
            pool.half(now).unwrap();
            let kept = pool.halves.as_ref().unwrap()[..POOL_HALVES - 2] == waiting;
            assert_eq!(kept, !fresh, "{now:?}");
            assert_eq!(pool.left, if fresh { POOL_HALVES - 1 } else { POOL_HALVES - 2 });
        }
    }

    #[test]
    fn a_batch_serves_its_records_and_falls_back_on_the_system() {
        let mut batch = Batch::draw(2).unwrap();
        let mut seen = HashSet::new();
        for _ in 0..10 {
            let half = batch.half(at(0, 1)).unwrap();
            assert!(seen.insert(half) && half != HalfNonce::default());
        }
        assert_eq!((batch.used, batch.end), (3, 3));
        assert_eq!(Batch::draw(usize::MAX).unwrap().end, BATCH_HALVES);
        assert_eq!(Batch::draw(0).unwrap().end, 1);
    }

    #[test]
    fn threads_have_pools_of_their_own() {
        let draw = || {
            let halves: Vec<_> = (0..400).map(|_| ThreadPool.half(ThreadPool.now()).unwrap()).collect();
            halves
        };
        let other = std::thread::spawn(draw).join().unwrap();
        let all: HashSet<_> = draw().into_iter().chain(other).collect();
        assert_eq!(all.len(), 800);
    }
}
