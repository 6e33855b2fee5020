//! Where the random bytes of nonces come from: the system for each record, one draw for a batch, or a thread's pool.
//!
//! Floor 3; must not know what they are for. The pool is the one place of the crate where random bytes wait before
//! they are used, and so the one that a copied machine can use twice of the
//! [format](crate::manual::format).

use std::{cell::RefCell, io};

use crate::{crypto::random, fork, format::record::NONCE_LEN, secret::wipe};

/// When and in which process something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// As [`fork::coarse_millis`].
    pub(super) millis: u64,
    /// As [`fork::generation`].
    pub(super) generation: u64,
}

/// A source of random bytes that never gives the same ones twice.
pub(crate) trait Random {
    fn fill(&mut self, bytes: &mut [u8], now: Moment) -> io::Result<()>;

    /// When the next record is sealed. A test has other times.
    fn now(&self) -> Moment {
        Moment { millis: fork::coarse_millis(), generation: fork::generation() }
    }
}

/// The operating system, asked for every record.
pub(crate) struct System;

impl Random for System {
    fn fill(&mut self, bytes: &mut [u8], _: Moment) -> io::Result<()> {
        // fmt: R-4
        random::fill(bytes)
    }
}

/// One draw from the operating system, for the records of one call.
pub(crate) struct Batch {
    bytes: [u8; BATCH_BYTES],
    used: usize,
    end: usize,
}

impl Batch {
    /// The most records that one draw serves.
    pub(crate) const RECORDS: usize = BATCH_BYTES / HALF_NONCE - 1;

    /// Draws for `records` records, or for [`RECORDS`](Self::RECORDS) where that is less; and for one new subkey.
    pub(crate) fn draw(records: usize) -> io::Result<Self> {
        let mut batch =
            Self { bytes: [0; BATCH_BYTES], used: 0, end: HALF_NONCE * (records.min(Self::RECORDS) + 1) };
        random::fill(&mut batch.bytes[..batch.end])?;
        Ok(batch)
    }
}

impl Random for Batch {
    fn fill(&mut self, bytes: &mut [u8], _: Moment) -> io::Result<()> {
        match self.bytes[..self.end].get(self.used..self.used + bytes.len()) {
            Some(drawn) => {
                bytes.copy_from_slice(drawn);
                self.used += bytes.len();
                Ok(())
            }
            // A second new subkey, for example.
            None => random::fill(bytes),
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

/// This thread's pool: drawn from the operating system 4 KiB at a time.
pub(crate) struct ThreadPool;

impl Random for ThreadPool {
    fn fill(&mut self, bytes: &mut [u8], now: Moment) -> io::Result<()> {
        // While a thread ends it has no pool any more.
        POOL.try_with(|pool| pool.borrow_mut().take(bytes, now)).unwrap_or_else(|_| random::fill(bytes))
    }
}

/// The two halves of a nonce: the one that chooses the subkey, and the subkey's own nonce.
pub(super) fn halves(nonce: &[u8; NONCE_LEN]) -> (&[u8; HALF_NONCE], &[u8; HALF_NONCE]) {
    nonce.first_chunk().zip(nonce.last_chunk()).expect("24 bytes are twice 12")
}

thread_local! {
    static POOL: RefCell<Pool> =
        const { RefCell::new(Pool { bytes: None, left: 0, drawn: Moment { millis: 0, generation: 0 } }) };
}

struct Pool {
    /// The first `left` bytes are unused; all after them are zero.
    bytes: Option<Box<[u8; POOL_BYTES]>>,
    left: usize,
    drawn: Moment,
}

impl Pool {
    fn take(&mut self, out: &mut [u8], now: Moment) -> io::Result<()> {
        // fmt: R-5
        let stale = now.generation != self.drawn.generation
            || now.millis.saturating_sub(self.drawn.millis) >= POOL_MILLIS;
        let pool = self.bytes.get_or_insert_with(|| Box::new([0; POOL_BYTES]));
        if stale || self.left < out.len() {
            self.left = 0;
            random::fill(pool.as_mut_slice())?;
            self.left = pool.len();
            self.drawn = now;
        }
        let drawn = &mut pool[self.left - out.len()..self.left];
        out.copy_from_slice(drawn);
        // Used once, gone: nobody who reads this memory later learns which nonces came from where.
        drawn.fill(0);
        self.left -= out.len();
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(bytes) = &mut self.bytes {
            wipe(bytes.as_mut_slice());
        }
    }
}

/// Bytes that are drawn for one record: half a nonce.
const HALF_NONCE: usize = 12;
/// Bytes of one draw for a batch: about as many as one system call gives at its best rate.
const BATCH_BYTES: usize = 4092;
/// Bytes of a thread's pool.
const POOL_BYTES: usize = 4096;
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
        Pool { bytes: None, left: 0, drawn: at(0, 0) }
    }

    #[test]
    fn a_pool_gives_each_byte_once_and_wipes_it() {
        let mut pool = empty();
        let mut seen = HashSet::new();
        for count in 1..=1000_usize {
            let mut half = [0; 12];
            pool.take(&mut half, at(5, 1)).unwrap();
            assert!(seen.insert(half), "repeated after {count}");
            let (unused, used) = pool.bytes.as_ref().unwrap().split_at(pool.left);
            assert!(used.iter().all(|byte| *byte == 0));
            assert!(unused.len() < 64 || unused.iter().any(|byte| *byte != 0));
            assert_eq!(unused.len(), POOL_BYTES - 12 * ((count - 1) % (POOL_BYTES / 12) + 1));
        }
    }

    #[test]
    fn a_pool_is_drawn_anew_when_it_is_old_or_in_another_process() {
        for (now, fresh) in [(at(99, 1), false), (at(100, 1), true), (at(0, 2), true), (at(99, 0), true)] {
            let mut pool = empty();
            pool.take(&mut [0; 12], at(0, 1)).unwrap();
            let waiting = *pool.bytes.as_ref().unwrap().last_chunk::<24>().unwrap();
            let before = **pool.bytes.as_ref().unwrap();
            assert_eq!(waiting[12..], [0; 12]);
            pool.take(&mut [0; 12], now).unwrap();
            let after = **pool.bytes.as_ref().unwrap();
            let same_start = before[..1000] == after[..1000];
            assert_eq!(same_start, !fresh, "{now:?}");
            assert_eq!(pool.left, if fresh { POOL_BYTES - 12 } else { POOL_BYTES - 24 });
        }
    }

    #[test]
    fn a_batch_serves_its_records_and_falls_back_on_the_system() {
        let mut batch = Batch::draw(2).unwrap();
        let mut seen = HashSet::new();
        for _ in 0..10 {
            let mut half = [0; 12];
            batch.fill(&mut half, at(0, 1)).unwrap();
            assert!(seen.insert(half) && half != [0; 12]);
        }
        assert_eq!(batch.used, 36);
        assert_eq!(Batch::draw(usize::MAX / 16).unwrap().end, BATCH_BYTES);
        assert_eq!(Batch::draw(0).unwrap().end, 12);
    }

    #[test]
    fn threads_have_pools_of_their_own() {
        let draw = || {
            let mut halves = [[0; 12]; 400];
            halves.iter_mut().for_each(|half| ThreadPool.fill(half, ThreadPool.now()).unwrap());
            halves
        };
        let other = std::thread::spawn(draw).join().unwrap();
        let all: HashSet<_> = draw().into_iter().chain(other).collect();
        assert_eq!(all.len(), 800);
    }
}
