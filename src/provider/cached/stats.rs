//! What a cache has done, and what is in it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the cache was made (or since the process was forked), and what is in it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CacheStats {
    /// Openings for which the key was there.
    pub hits: u64,
    /// Openings for which the provider inside was asked.
    pub misses: u64,
    /// Openings that waited for the answer to somebody else's question.
    pub joined: u64,
    /// Openings with a key past its age, because the provider inside could not be asked.
    pub stale: u64,
    /// Openings that were refused without asking, because of a failure a moment ago.
    pub refused: u64,
    /// Keys that had to go to make room.
    pub evicted: u64,
    /// Messages sealed with a key from stock.
    pub from_stock: u64,
    /// Keys kept now.
    pub entries: usize,
    /// Bytes of memory for them, and for failures that are remembered.
    pub bytes: usize,
    /// Fresh keys in stock now.
    pub stock: usize,
}

#[derive(Default)]
pub(super) struct Counts {
    /// Those beside the lanes' own.
    pub(super) hits: Count,
    pub(super) misses: Count,
    pub(super) joined: Count,
    pub(super) stale: Count,
    pub(super) refused: Count,
    pub(super) from_stock: Count,
}

#[derive(Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
