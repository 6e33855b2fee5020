//! A key store in memory: for tests, and the plainest telling of the contract.
//!
//! Floor 4: one mutex over the maps of `state`, which decides everything. What it keeps is gone with the process.
//! Section "Key store and subjects" of the [format](crate::manual::format).

mod load;
mod read;
mod state;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, mem};

use async_trait::async_trait;

use self::state::{Refusal, State};
use super::answers::{Burial, Buried, Found, Inserted, Lookup, Names, StoreInfo};
use super::rows::{Entry, EpochRow, Hold, Joint, Pseudonym, RECEIPT_LEN, ResealedKey, SubjectRow, Tombstone};
use super::{KeyStore, Snapshot, TransactionalKeyStore};
use crate::error::{KeyStoreError, KeyStoreErrorKind};

/// A key store in memory. Clones are the same store.
///
/// It survives a fork as memory does: parent and child have a copy each.
///
/// # Examples
///
/// ```
/// use kuvert::blocking::block_on;
/// use kuvert::keystore::{Found, KeyStore, MemoryKeyStore};
///
/// let store = MemoryKeyStore::new();
/// assert_eq!(block_on(store.root())??, None);
/// // Nothing else can be asked before it has a root.
/// assert!(block_on(store.find(&[[7; 32]]))?.is_err());
/// assert!(block_on(store.create(b"an envelope", &[]))??);
/// assert_eq!(block_on(store.find(&[[7; 32]]))??, [Found::Unknown]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct MemoryKeyStore {
    state: Arc<Mutex<State>>,
}

impl MemoryKeyStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a transaction: what is done in it is seen by nobody before [`commit`](MemoryTransaction::commit).
    #[must_use]
    pub fn begin(&self) -> MemoryTransaction<'_> {
        let staged = self.lock().clone();
        MemoryTransaction { store: self, began: staged.change, staged }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is checked before it begins, so that a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, call: impl FnOnce(&mut State) -> Result<T, Refusal>) -> Result<T, KeyStoreError> {
        call(&mut self.lock()).map_err(error)
    }
}

/// A transaction of a [`MemoryKeyStore`]; dropped without a commit, it never was.
pub struct MemoryTransaction<'s> {
    store: &'s MemoryKeyStore,
    began: u64,
    staged: State,
}

impl MemoryTransaction<'_> {
    /// Makes everything that was done in it seen by all, in one step.
    ///
    /// # Errors
    ///
    /// `Busy` if others have written since it began; nothing was done then, and it can be begun anew.
    pub fn commit(self) -> Result<(), KeyStoreError> {
        let mut state = self.store.lock();
        if state.change != self.began {
            let detail = "others have written since the transaction began";
            return Err(KeyStoreError::new(KeyStoreErrorKind::Busy, NAME).with_detail(detail));
        }
        *state = self.staged;
        Ok(())
    }
}

#[async_trait]
impl TransactionalKeyStore for MemoryKeyStore {
    type Transaction<'t> = MemoryTransaction<'t>;

    async fn erase_in<'t>(
        &self,
        transaction: &mut MemoryTransaction<'t>,
        burial: &Burial,
    ) -> Result<Buried, KeyStoreError> {
        if !Arc::ptr_eq(&self.state, &transaction.store.state) {
            return Err(error(Refusal::Misuse("a transaction of another store")));
        }
        let buried = transaction.staged.bury(burial).map_err(error)?;
        if buried == Buried::Done {
            let references: Vec<u64> = burial.tombstones.iter().map(|stone| stone.reference).collect();
            transaction.staged.remove(&references).map_err(error)?;
        }
        Ok(buried)
    }
}

#[async_trait]
impl KeyStore for MemoryKeyStore {
    fn describe(&self) -> StoreInfo {
        StoreInfo::new(NAME, false, true)
    }

    async fn change(&self) -> Result<u64, KeyStoreError> {
        self.with(|state| state.change())
    }

    async fn create(&self, root_envelope: &[u8], epochs: &[EpochRow]) -> Result<bool, KeyStoreError> {
        self.with(|state| state.create(root_envelope, epochs))
    }

    async fn root(&self) -> Result<Option<Vec<u8>>, KeyStoreError> {
        self.with(|state| state.root())
    }

    async fn replace_envelope(
        &self,
        epoch: Option<u64>,
        old: &[u8],
        new: &[u8],
    ) -> Result<bool, KeyStoreError> {
        self.with(|state| state.replace_envelope(epoch, old, new))
    }

    async fn epochs(&self) -> Result<Vec<EpochRow>, KeyStoreError> {
        self.with(|state| state.epochs())
    }

    async fn begin_epoch(&self, epoch: &EpochRow, closes: u64) -> Result<bool, KeyStoreError> {
        self.with(|state| state.begin_epoch(epoch, closes))
    }

    async fn retire_epoch(&self, epoch: u64) -> Result<bool, KeyStoreError> {
        self.with(|state| state.retire_epoch(epoch))
    }

    async fn insert(
        &self,
        row: &SubjectRow,
        joint: Option<&Joint>,
        names: Names,
    ) -> Result<Inserted, KeyStoreError> {
        self.with(|state| state.insert(row, joint, names))
    }

    async fn insert_many(&self, rows: &[SubjectRow], names: Names) -> Result<Vec<Inserted>, KeyStoreError> {
        self.with(|state| state.insert_many(rows, names))
    }

    async fn get(&self, references: &[u64]) -> Result<Vec<Lookup>, KeyStoreError> {
        self.with(|state| state.get(references))
    }

    async fn find(&self, pseudonyms: &[Pseudonym]) -> Result<Vec<Found>, KeyStoreError> {
        self.with(|state| state.find(pseudonyms))
    }

    async fn versions(&self, pseudonym: &Pseudonym) -> Result<Vec<SubjectRow>, KeyStoreError> {
        self.with(|state| state.versions(pseudonym))
    }

    async fn scan(&self, epoch: u64, after: u64, limit: usize) -> Result<Vec<SubjectRow>, KeyStoreError> {
        self.with(|state| state.scan(epoch, after, limit))
    }

    async fn reseal(&self, from: u64, to: u64, keys: &[ResealedKey]) -> Result<Option<usize>, KeyStoreError> {
        self.with(|state| state.reseal(from, to, keys))
    }

    async fn joints(&self, member: &Pseudonym) -> Result<Vec<Joint>, KeyStoreError> {
        self.with(|state| state.joints(member))
    }

    async fn hold(&self, hold: &Hold) -> Result<bool, KeyStoreError> {
        self.with(|state| state.hold(hold))
    }

    async fn release(&self, pseudonym: &Pseudonym, case: &[u8; 32]) -> Result<bool, KeyStoreError> {
        self.with(|state| state.release(pseudonym, case))
    }

    async fn holds(&self, pseudonym: &Pseudonym) -> Result<Vec<Hold>, KeyStoreError> {
        self.with(|state| state.holds(pseudonym))
    }

    async fn bury(&self, burial: &Burial) -> Result<Buried, KeyStoreError> {
        self.with(|state| state.bury(burial))
    }

    async fn remove(&self, references: &[u64]) -> Result<usize, KeyStoreError> {
        self.with(|state| state.remove(references))
    }

    async fn unremoved(&self, limit: usize) -> Result<Vec<u64>, KeyStoreError> {
        self.with(|state| state.unremoved(limit))
    }

    async fn tombstones(&self, after: u64, limit: usize) -> Result<Vec<Tombstone>, KeyStoreError> {
        self.with(|state| state.tombstones(after, limit))
    }

    async fn append_receipts(
        &self,
        after: u64,
        receipts: &[[u8; RECEIPT_LEN]],
    ) -> Result<bool, KeyStoreError> {
        self.with(|state| state.append_receipts(after, receipts))
    }

    async fn receipts(&self, after: u64, limit: usize) -> Result<Vec<[u8; RECEIPT_LEN]>, KeyStoreError> {
        self.with(|state| state.receipts(after, limit))
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, KeyStoreError> {
        let (change, entries) = self.with(|state| Ok((state.change()?, state.entries()?)))?;
        Ok(Box::new(MemorySnapshot { change, entries: entries.into_iter() }))
    }

    async fn load(&self, entries: &[Entry], end: Option<u64>) -> Result<(), KeyStoreError> {
        self.with(|state| {
            let mut next = mem::take(state);
            // What is refused halfway must leave nothing.
            let before = next.clone();
            let loaded = next.load(entries, end);
            *state = if loaded.is_ok() { next } else { before };
            loaded
        })
    }
}

struct MemorySnapshot {
    change: u64,
    entries: std::vec::IntoIter<Entry>,
}

#[async_trait]
impl Snapshot for MemorySnapshot {
    fn change(&self) -> u64 {
        self.change
    }

    async fn next(&mut self, limit: usize) -> Result<Vec<Entry>, KeyStoreError> {
        Ok(self.entries.by_ref().take(super::checks::limit(limit)).collect())
    }
}

impl fmt::Debug for MemoryKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryKeyStore").finish_non_exhaustive()
    }
}

impl fmt::Debug for MemoryTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTransaction").finish_non_exhaustive()
    }
}

fn error(refusal: Refusal) -> KeyStoreError {
    let (kind, detail) = match refusal {
        Refusal::Misuse(detail) => (KeyStoreErrorKind::Misuse, detail),
        Refusal::Damaged(detail) => (KeyStoreErrorKind::Damaged, detail),
    };
    KeyStoreError::new(kind, NAME).with_detail(detail)
}

const NAME: &str = "memory";
