//! All that a cache has in one process. A forked child gets its own, empty.
//!
//! What the parent's threads were doing when it forked they do not go on doing in the child: a load never ends there, a
//! lock is never given up, and a fresh key in stock would seal twice. So the child takes nothing over.

use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use super::{
    CacheOptions, CacheStats,
    denials::Denials,
    entry::{Kept, Wanted},
    fingerprint::Seed,
    lanes::Lanes,
    stats::Counts,
    stock::Stock,
    table::{Entered, Table},
};
use crate::{
    cache_slot::{Step, Wakers},
    fork,
};

/// The state of this process, and after it that of a child which this process became.
pub(super) struct Processes {
    generation: u64,
    state: State,
    child: OnceLock<Box<Self>>,
}

impl Processes {
    pub(super) fn new(options: &CacheOptions) -> Self {
        Self { generation: fork::generation(), state: State::new(options), child: OnceLock::new() }
    }

    #[inline]
    pub(super) fn current(&self, options: &CacheOptions) -> &State {
        let generation = fork::generation();
        if self.generation == generation { &self.state } else { self.after_fork(generation, options) }
    }

    #[cold]
    fn after_fork(&self, generation: u64, options: &CacheOptions) -> &State {
        let mut process = self;
        while process.generation != generation {
            process = process.child.get_or_init(|| Box::new(Self::new(options)));
        }
        &process.state
    }
}

pub(super) struct State {
    pub(super) seed: Seed,
    pub(super) lanes: Lanes,
    table: Mutex<Table>,
    stock: Mutex<Stock>,
    denials: Mutex<Denials>,
    pub(super) counts: Counts,
    randoms: AtomicU64,
}

impl State {
    fn new(options: &CacheOptions) -> Self {
        Self {
            seed: Seed::new(),
            lanes: Lanes::new(),
            table: Mutex::new(Table::new(options)),
            stock: Mutex::new(Stock::new(options.stock.clone())),
            denials: Mutex::default(),
            counts: Counts::default(),
            randoms: AtomicU64::new(0),
        }
    }

    // No code of others runs under any of these locks but `Drop` and `Clone` of plain data: a panic leaves nothing half done.
    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn denials(&self) -> MutexGuard<'_, Denials> {
        self.denials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops what was unwrapped by the wrapping key with this id, or the right to which, is gone; and what is being
    /// unwrapped by it now, as soon as that is answered.
    pub(super) fn heed_denial(&self, table: &mut Table, id: &[u8], wakers: &mut Wakers) {
        table.purge(|entry| entry.is_by(id), &self.lanes, wakers);
        self.stock().purge(id);
        self.denials().note(id);
    }

    /// Spread evenly; not for secrets.
    pub(super) fn random(&self) -> u64 {
        self.seed.scatter(self.randoms.fetch_add(1, Ordering::Relaxed))
    }

    /// A key of the common table that needs no load, with uses for the lane of this thread.
    #[cold]
    pub(super) fn lease(&self, print: u64, wanted: Wanted<'_>, now: u64) -> Option<Arc<Kept>> {
        let mut table = self.table();
        if !table.has_fresh(print, wanted, now) {
            return None;
        }
        let Entered::At(_, Step::Hit { value, .. }) = table.enter(print, wanted, now, &self.lanes) else {
            return None;
        };
        self.counts.hits.add_one();
        Some(value)
    }

    pub(super) fn stats(&self) -> CacheStats {
        let (counts, stock) = (&self.counts, self.stock().len());
        let hits = counts.hits.now() + self.lanes.hits();
        let table = self.table();
        CacheStats {
            hits,
            misses: counts.misses.now(),
            joined: counts.joined.now(),
            stale: counts.stale.now(),
            refused: counts.refused.now(),
            evicted: table.evicted,
            from_stock: counts.from_stock.now(),
            entries: table.len(),
            bytes: table.bytes(),
            stock,
        }
    }
}
