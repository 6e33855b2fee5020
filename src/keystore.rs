//! Where the wrapped keys of data subjects are kept: the contract of a key store, and what it stores.
//!
//! Floor 4: opaque rows. A store never sees a key in clear, a name or a record, makes no cryptographic decision and
//! asks nobody; what it promises is that writes are whole, durable and compared before they are set.
//! Sections "Key store and subjects" of the [format](crate::manual::format) and the [page on erasure](crate::manual::erasure).

mod answers;
mod checks;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod memory;
mod rows;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(test)]
mod tests;

use std::fmt;

use async_trait::async_trait;

pub use self::answers::{Burial, Buried, Found, Inserted, Lookup, Names, StoreInfo};
pub use self::memory::{MemoryKeyStore, MemoryTransaction};
pub use self::rows::{
    Entry, EpochClass, EpochRow, EpochState, Hold, Joint, JointEnds, MAX_BATCH, Pseudonym, RECEIPT_LEN,
    ResealedKey, SEALED_KEY_LEN, SubjectRow, TOMBSTONE_LEN, Tombstone,
};

#[cfg(feature = "sqlite")]
pub use self::sqlite::{SqliteKeyStore, SqliteOptions};

use crate::error::KeyStoreError;

/// Keeps the rows of one key store, for one process or for many.
///
/// # For implementors
///
/// - Every write is one step: done and durable as a whole when the call returns, or not done at all. A call that fails
///   with [`Unavailable`](crate::KeyStoreErrorKind::Unavailable), or whose future is dropped, may have been done or not; nothing
///   is ever half done, and every write may be repeated.
/// - Every write that changes something raises the [change number](Self::change) by at least one, and it never falls.
/// - Tombstones win: from the moment one is stored, the row of its reference is answered as [`Lookup::Erased`], counts
///   for no version and is neither listed nor moved, whether it is removed yet or not.
/// - A joint has *ended* when its first member (if all of them are needed) or its last one (if any is enough) is a grave.
/// - Nothing is interpreted beyond that, and nothing is logged: pseudonyms are personal data to whoever can guess names.
/// - Reads see every write that returned before they began, of any process.
///
/// # Errors
///
/// What stands in the way of an answer is a [`KeyStoreError`] of every call:
///
/// - `Misuse`: the call breaks what its own documentation asks for (a batch above [`MAX_BATCH`], a version or reference
///   that is zero, a joint whose members do not ascend, a time beyond 2^63 seconds), or the store has no root yet and
///   the call is none of [`root`](Self::root), [`change`](Self::change), [`create`](Self::create) and [`load`](Self::load);
/// - `Damaged`: what is stored breaks the store's own rules, or a [`load`](Self::load) was begun and not finished;
/// - `Foreign`, `NewerSchema`: there is something else than a key store that this release knows;
/// - `ReadOnly`, `Full`, `Busy`: a write that was not done, nothing of it;
/// - `Unavailable`: not reachable, or not known whether it was done;
/// - `Forked`: the store was opened by a process of which this one is a fork.
///
/// # Cancel safety
///
/// Dropping the future of a read does nothing. Dropping that of a write leaves it done or not done, as `Unavailable`
/// does, and the store usable; a write that was handed to the engine goes on.
#[async_trait]
pub trait KeyStore: fmt::Debug + Send + Sync {
    /// What this store is, for an operator's eye and for receipts. No call, no path, no secret.
    fn describe(&self) -> StoreInfo;

    /// The number of the last change; 0 for a store that was never written to.
    async fn change(&self) -> Result<u64, KeyStoreError>;

    /// Gives an empty store its root envelope and its first epochs (open ones, at most one of each class), in one step.
    /// A store that has a root already is left as it is, and the answer is `false`.
    async fn create(&self, root_envelope: &[u8], epochs: &[EpochRow]) -> Result<bool, KeyStoreError>;

    /// The root envelope, or `None` for a store that was never [created](Self::create).
    async fn root(&self) -> Result<Option<Vec<u8>>, KeyStoreError>;

    /// Puts another wrap of the root envelope or of an epoch's in the place of `old`, if that still stands there.
    /// `epoch` is `None` for the root.
    async fn replace_envelope(
        &self,
        epoch: Option<u64>,
        old: &[u8],
        new: &[u8],
    ) -> Result<bool, KeyStoreError>;

    /// All epochs, in the order in which they began.
    async fn epochs(&self) -> Result<Vec<EpochRow>, KeyStoreError>;

    /// Closes the open epoch `closes` (at the moment when `epoch` was opened) and opens `epoch`, of the same class, in one
    /// step. From then on no row is inserted or moved under the closed one. `false` if `closes` is not the open epoch of
    /// its class (any more).
    async fn begin_epoch(&self, epoch: &EpochRow, closes: u64) -> Result<bool, KeyStoreError>;

    /// Marks a closed epoch as retired: its wrapping key is to be destroyed. `false` while a row is still under it, also one
    /// that has a tombstone, or while it is open. Repeated, it is `true` again.
    async fn retire_epoch(&self, epoch: u64) -> Result<bool, KeyStoreError>;

    /// Inserts one version of a subject's key, and the joint it belongs to if there is one.
    ///
    /// The answer is decided in this order: the epoch is not open ([`Inserted::EpochClosed`]); the name is a grave, or its joint
    /// has ended, and `names` does not say that a new person bears it, or it is a grave and a joint of it has a key still,
    /// whatever `names` says ([`Inserted::Erased`]); the version is not the one
    /// after the newest ([`Inserted::Exists`], with the newest); the reference is taken, by a row or by a tombstone
    /// ([`Inserted::ReferenceTaken`]). Whoever repeats an insertion that was done finds its own row in `Exists`.
    ///
    /// A first version that is not 1 is `Misuse`.
    async fn insert(
        &self,
        row: &SubjectRow,
        joint: Option<&Joint>,
        names: Names,
    ) -> Result<Inserted, KeyStoreError>;

    /// As [`insert`](Self::insert), for many rows without joints: an answer for each, in this order, decided as if they
    /// came one by one. At most [`MAX_BATCH`].
    ///
    /// A store should make what is inserted durable all at once: that is what makes many new subjects cheap.
    async fn insert_many(&self, rows: &[SubjectRow], names: Names) -> Result<Vec<Inserted>, KeyStoreError>;

    /// For each reference, in this order, its row. At most [`MAX_BATCH`].
    async fn get(&self, references: &[u64]) -> Result<Vec<Lookup>, KeyStoreError>;

    /// For each pseudonym, in this order, its newest row that has no tombstone. At most [`MAX_BATCH`].
    async fn find(&self, pseudonyms: &[Pseudonym]) -> Result<Vec<Found>, KeyStoreError>;

    /// Every version that a subject has, oldest first, without those that have a tombstone.
    async fn versions(&self, pseudonym: &Pseudonym) -> Result<Vec<SubjectRow>, KeyStoreError>;

    /// Rows under `epoch` whose reference is above `after`, by ascending reference, at most `limit`; without those that
    /// have a tombstone.
    async fn scan(&self, epoch: u64, after: u64, limit: usize) -> Result<Vec<SubjectRow>, KeyStoreError>;

    /// Moves rows from one epoch to another one of its class, which has to be open: each that is still under `from` and
    /// has no tombstone gets the new sealed key. Gives how many were moved, or `None` if `to` is not open.
    async fn reseal(&self, from: u64, to: u64, keys: &[ResealedKey]) -> Result<Option<usize>, KeyStoreError>;

    /// The joints that a subject belongs to, by ascending pseudonym.
    async fn joints(&self, member: &Pseudonym) -> Result<Vec<Joint>, KeyStoreError>;

    /// Puts a subject on hold for one case. `false` if that hold was there already.
    async fn hold(&self, hold: &Hold) -> Result<bool, KeyStoreError>;

    /// Ends the hold of one case. `false` if there was none.
    async fn release(&self, pseudonym: &Pseudonym, case: &[u8; 32]) -> Result<bool, KeyStoreError>;

    /// The holds on a subject, oldest first; those of one second by ascending case.
    async fn holds(&self, pseudonym: &Pseudonym) -> Result<Vec<Hold>, KeyStoreError>;

    /// Appends tombstones, makes graves of their names, and so ends those keys: one step, under the conditions of
    /// [`Burial`], which are looked at in the order of its fields.
    async fn bury(&self, burial: &Burial) -> Result<Buried, KeyStoreError>;

    /// Removes the rows of these references that have a tombstone, and what the engine still keeps of their bytes (free
    /// pages, write-ahead logs), as far as the engine can. Gives how many rows were removed.
    ///
    /// What was removed before and still has bytes somewhere is wiped as well, also when `references` is empty.
    ///
    /// # Errors
    ///
    /// Beside those of every call: `Busy` if the rows are removed and a reader still keeps their bytes; ask again.
    async fn remove(&self, references: &[u64]) -> Result<usize, KeyStoreError>;

    /// References that have both a tombstone and a row still: what a crash left for [`remove`](Self::remove). Ascending,
    /// at most `limit`.
    async fn unremoved(&self, limit: usize) -> Result<Vec<u64>, KeyStoreError>;

    /// The tombstones after the one with the number `after` (they are numbered from 1), at most `limit`.
    async fn tombstones(&self, after: u64, limit: usize) -> Result<Vec<Tombstone>, KeyStoreError>;

    /// Appends receipts after the one with the number `after`. `false` if that is not the last one (any more).
    async fn append_receipts(
        &self,
        after: u64,
        receipts: &[[u8; RECEIPT_LEN]],
    ) -> Result<bool, KeyStoreError>;

    /// The receipts after the one with the number `after` (they are numbered from 1), at most `limit`.
    async fn receipts(&self, after: u64, limit: usize) -> Result<Vec<[u8; RECEIPT_LEN]>, KeyStoreError>;

    /// Begins to read everything as it is now; writes go on meanwhile and are not seen.
    ///
    /// While it lives, [`remove`](Self::remove) may be unable to wipe bytes: keep it as short as a backup needs.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, KeyStoreError>;

    /// Fills a store that has no root with what a snapshot gave, page by page and in that order.
    ///
    /// A page that begins with the root begins anew: what an interrupted load left is thrown away. With the last page,
    /// whose `end` is the [change number](Snapshot::change) of the snapshot, the store has a root, and a change number above
    /// that one; until then every other call is refused as `Damaged`.
    ///
    /// # Errors
    ///
    /// Beside those of every call: `Misuse` if the store has a root, or if the entries come in another order, name an
    /// epoch that did not come before, or stand there twice. The page is not stored then.
    async fn load(&self, entries: &[Entry], end: Option<u64>) -> Result<(), KeyStoreError>;
}

/// A key store whose erasures can be part of a transaction that the caller begins and ends, so that the caller's rows, the
/// key and the tombstone go together or not at all.
///
/// # For implementors
///
/// A store in PostgreSQL takes a transaction of the caller's own pool, on a connection that sees both the caller's schema and
/// the key store's; it locks the row of the newest tombstone (`SELECT .. FOR UPDATE`), looks at the conditions, inserts
/// tombstones and graves and deletes the rows, all through that connection, and announces the references with `NOTIFY`, which
/// the server delivers if and when the caller commits. SQLite cannot do it across two files: with a write-ahead log a
/// transaction over attached databases is whole for each file and not for all of them.
#[async_trait]
pub trait TransactionalKeyStore: KeyStore {
    /// The engine's transaction.
    type Transaction<'t>: Send;

    /// [`KeyStore::bury`] and [`KeyStore::remove`] within the caller's transaction: seen by others when the caller commits,
    /// and undone if it does not. An answer other than [`Buried::Done`] has changed nothing in it.
    ///
    /// # Errors
    ///
    /// Those of [`KeyStore::bury`]; whether what failed may be repeated in the same transaction is the engine's business.
    async fn erase_in<'t>(
        &self,
        transaction: &mut Self::Transaction<'t>,
        burial: &Burial,
    ) -> Result<Buried, KeyStoreError>;
}

/// A view of a whole store at one moment.
#[async_trait]
pub trait Snapshot: Send {
    /// The change number of that moment.
    fn change(&self) -> u64;

    /// The next entries, at most `limit`; empty at the end. The order: root, epochs in the order in which they began, subjects
    /// by reference, joints by pseudonym, holds by pseudonym and case, graves by pseudonym, tombstones, receipts.
    ///
    /// # Errors
    ///
    /// Those of every call of the store.
    ///
    /// # Cancel safety
    ///
    /// A page whose future was dropped comes again.
    async fn next(&mut self, limit: usize) -> Result<Vec<Entry>, KeyStoreError>;
}
