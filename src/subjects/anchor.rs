//! Anchors: a second place for tombstones, so that a key store restored from an older copy is found out.
//!
//! Floor 6. An anchor keeps what it is given and judges nothing: the chain is verified by whoever has the root. Page on
//! [erasure](crate::manual::erasure).

mod file;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

pub use self::file::FileAnchor;
use crate::{error::AnchorError, keystore::TOMBSTONE_LEN};

/// Keeps the tombstones of one key store in a place that is not restored together with it.
///
/// It holds no names, no pseudonyms and no keys: a tombstone says that some random reference was ended, when, and why.
///
/// # For implementors
///
/// - [`append`](Self::append) is one step, durable when it returns, and compares before it sets: two processes may append.
/// - Nothing is ever removed or changed.
/// - What is kept is given back byte for byte, in the order in which it came.
/// - Every future may be dropped: the call was then done or not done.
#[async_trait]
pub trait Anchor: fmt::Debug + Send + Sync {
    /// How much it has, and of which store.
    ///
    /// # Errors
    ///
    /// [`AnchorError`] if that cannot be found out, also where what was begun is not there any more.
    async fn head(&self) -> Result<AnchorHead, AnchorError>;

    /// The tombstones after the one with the number `after` (they are numbered from 1), at most `limit`.
    ///
    /// # Errors
    ///
    /// [`AnchorError`] if they cannot be had.
    async fn tombstones(&self, after: u64, limit: usize) -> Result<Vec<[u8; TOMBSTONE_LEN]>, AnchorError>;

    /// Appends tombstones of the store `store` after the one with the number `after`. None after the one with the number 0 is
    /// how an anchor is begun, once, when its store is made: from then on one that is gone must not be answered for by an
    /// empty one. `false` if that is not the last one (any
    /// more), and nothing was done.
    ///
    /// # Errors
    ///
    /// [`AnchorError`] if it was not done, or it is not known whether it was; also for another store than the one that
    /// stands there already.
    async fn append(
        &self,
        store: u64,
        after: u64,
        tombstones: &[[u8; TOMBSTONE_LEN]],
    ) -> Result<bool, AnchorError>;
}

/// How much an anchor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AnchorHead {
    /// The reference of the store's root, once anything was appended.
    pub store: Option<u64>,
    /// The number of the last tombstone; 0 if there is none.
    pub tombstones: u64,
}

impl AnchorHead {
    /// Says how much there is.
    #[must_use]
    pub const fn new(store: Option<u64>, tombstones: u64) -> Self {
        Self { store, tombstones }
    }
}

/// An anchor in memory: for tests, and for services that keep the tombstones elsewhere by themselves.
#[derive(Debug, Default)]
pub struct MemoryAnchor(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    store: Option<u64>,
    tombstones: Vec<[u8; TOMBSTONE_LEN]>,
}

impl MemoryAnchor {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("tombstones", &self.tombstones.len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Anchor for MemoryAnchor {
    async fn head(&self) -> Result<AnchorHead, AnchorError> {
        let kept = self.lock();
        Ok(AnchorHead { store: kept.store, tombstones: kept.tombstones.len() as u64 })
    }

    async fn tombstones(&self, after: u64, limit: usize) -> Result<Vec<[u8; TOMBSTONE_LEN]>, AnchorError> {
        let kept = self.lock();
        let after = usize::try_from(after).unwrap_or(usize::MAX);
        Ok(kept.tombstones.iter().skip(after).take(limit).copied().collect())
    }

    async fn append(
        &self,
        store: u64,
        after: u64,
        tombstones: &[[u8; TOMBSTONE_LEN]],
    ) -> Result<bool, AnchorError> {
        let mut kept = self.lock();
        if *kept.store.get_or_insert(store) != store {
            return Err(OTHER_STORE);
        }
        if after != kept.tombstones.len() as u64 {
            return Ok(false);
        }
        kept.tombstones.extend_from_slice(tombstones);
        Ok(true)
    }
}

/// Two stores in one anchor would contradict each other for ever.
pub(super) const OTHER_STORE: AnchorError = AnchorError::damaged("it belongs to another key store");
