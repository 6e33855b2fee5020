//! Where the wrapped keys of data subjects are kept: the contract of a key store, and what it stores.
//!
//! Floor 4: opaque rows. A store never sees a key in clear, a name or a record, makes no cryptographic decision and
//! asks nobody; what it promises is that writes are whole, durable and compared before they are set.
//! Sections "Key store and subjects" of the [format](crate::manual::format) and the [page on erasure](crate::manual::erasure).

use std::fmt;

use async_trait::async_trait;

use crate::error::KeyStoreError;

/// Keeps the rows of one key store, for one process or for many.
///
/// # For implementors
///
/// - Every write is one step: done and durable as a whole when the call returns, or not done at all. A call that fails
///   with [`Unavailable`](crate::KeyStoreErrorKind::Unavailable), or whose future is dropped, may have been done or not; nothing
///   is ever half done, and every write may be repeated.
/// - Every write that changes something raises the [change number](Self::change) by at least one, and it never falls.
/// - Tombstones win: from the moment one is stored, the row of its reference is answered as [`Lookup::Erased`],
///   whether it is removed yet or not.
/// - Nothing is interpreted, and nothing is logged: pseudonyms are personal data to whoever can guess names.
/// - Reads see every write that returned before they began, of any process.
#[async_trait]
pub trait KeyStore: fmt::Debug + Send + Sync {
    /// What this store is, for an operator's eye and for receipts. No call, no path, no secret.
    fn describe(&self) -> StoreInfo;

    /// The number of the last change.
    async fn change(&self) -> Result<u64, KeyStoreError>;

    /// Gives an empty store its root envelope and its first epochs, in one step. A store that has a root already is left
    /// as it is, and the answer is `false`.
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

    /// Closes the open epoch `closes` and opens `epoch`, of the same class, in one step. From then on no row is
    /// inserted or moved under the closed one. `false` if `closes` is not the open epoch of its class (any more).
    async fn begin_epoch(&self, epoch: &EpochRow, closes: u64) -> Result<bool, KeyStoreError>;

    /// Marks a closed epoch as retired: its wrapping key is to be destroyed. `false` while a row is still under it, or while it
    /// is open. Repeated, it is `true` again.
    async fn retire_epoch(&self, epoch: u64) -> Result<bool, KeyStoreError>;

    /// Inserts one version of a subject's key, and the joint it belongs to if there is one.
    ///
    /// The answer is decided in this order: the epoch is not open ([`Inserted::EpochClosed`]); the name is a grave and `names`
    /// does not say that a new person bears it ([`Inserted::Erased`]); the version is not the one after the newest
    /// ([`Inserted::Exists`], with the newest); the reference is taken, by a row or by a tombstone ([`Inserted::ReferenceTaken`]).
    async fn insert(
        &self,
        row: &SubjectRow,
        joint: Option<&Joint>,
        names: Names,
    ) -> Result<Inserted, KeyStoreError>;

    /// For each reference, in this order, its row. At most [`MAX_BATCH`].
    async fn get(&self, references: &[u64]) -> Result<Vec<Lookup>, KeyStoreError>;

    /// For each pseudonym, in this order, its newest row. At most [`MAX_BATCH`].
    async fn find(&self, pseudonyms: &[Pseudonym]) -> Result<Vec<Found>, KeyStoreError>;

    /// Every version that a subject has, oldest first, without those that have a tombstone.
    async fn versions(&self, pseudonym: &Pseudonym) -> Result<Vec<SubjectRow>, KeyStoreError>;

    /// Rows under `epoch` whose reference is above `after`, by ascending reference, at most `limit`; without those that
    /// have a tombstone.
    async fn scan(&self, epoch: u64, after: u64, limit: usize) -> Result<Vec<SubjectRow>, KeyStoreError>;

    /// Moves rows from one epoch to another, which has to be open: each that is still under `from` and has no tombstone
    /// gets the new sealed key. Gives how many were moved, or `None` if `to` is not open.
    async fn reseal(&self, from: u64, to: u64, keys: &[ResealedKey]) -> Result<Option<usize>, KeyStoreError>;

    /// The joints that a subject belongs to, by ascending pseudonym.
    async fn joints(&self, member: &Pseudonym) -> Result<Vec<Joint>, KeyStoreError>;

    /// Puts a subject on hold for one case. `false` if that hold was there already.
    async fn hold(&self, hold: &Hold) -> Result<bool, KeyStoreError>;

    /// Ends the hold of one case. `false` if there was none.
    async fn release(&self, pseudonym: &Pseudonym, case: &[u8; 32]) -> Result<bool, KeyStoreError>;

    /// The holds on a subject, oldest first.
    async fn holds(&self, pseudonym: &Pseudonym) -> Result<Vec<Hold>, KeyStoreError>;

    /// Appends tombstones, makes graves of their names, and so ends those keys: one step, in the order below.
    async fn bury(&self, burial: &Burial) -> Result<Buried, KeyStoreError>;

    /// Removes the rows of these references that have a tombstone, and what the engine still keeps of their bytes (free
    /// pages, write-ahead logs), as far as the engine can. Gives how many rows were removed.
    async fn remove(&self, references: &[u64]) -> Result<usize, KeyStoreError>;

    /// References that have both a tombstone and a row still: what a crash left for [`remove`](Self::remove). At most `limit`.
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
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, KeyStoreError>;

    /// Fills a store that has no root with what a snapshot gave, page by page and in that order. With the last page,
    /// which has `last` set, the store has a root; what was interrupted before has none and is refused by every
    /// other call.
    async fn load(&self, entries: &[Entry], last: bool) -> Result<(), KeyStoreError>;
}

/// A key store whose erasures can be part of a transaction that the caller begins and ends, so that the caller's rows, the
/// key and the tombstone go together or not at all.
#[async_trait]
pub trait TransactionalKeyStore: KeyStore {
    /// The engine's transaction.
    type Transaction<'t>: Send;

    /// [`KeyStore::bury`] and [`KeyStore::remove`] within the caller's transaction.
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

    /// The next entries, at most `limit`; empty at the end. The order: root, epochs, subjects by reference, joints, holds,
    /// graves, tombstones, receipts.
    async fn next(&mut self, limit: usize) -> Result<Vec<Entry>, KeyStoreError>;
}

/// 32 bytes that stand for a name: equal for equal names of one scope, and nothing that leads back without the root key.
pub type Pseudonym = [u8; 32];

/// What a store says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreInfo {
    /// The store's name, such as `"sqlite"`.
    pub name: &'static str,
    /// Whether what it keeps survives the process.
    pub durable: bool,
    /// Whether removed rows are gone from what the engine keeps (as far as the engine can tell) when
    /// [`KeyStore::remove`] returns.
    pub removes_bytes: bool,
}

impl StoreInfo {
    /// Says what a store is.
    #[must_use]
    pub const fn new(name: &'static str, durable: bool, removes_bytes: bool) -> Self {
        Self { name, durable, removes_bytes }
    }
}

/// Which keys an epoch keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
#[repr(u8)]
pub enum EpochClass {
    /// Those of persons and retention classes.
    Subjects = 0,
    /// Those of credentials such as password hashes, whose wrapping key the roles for backup and analytics do not have.
    Credentials = 1,
}

/// How far an epoch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
#[repr(u8)]
pub enum EpochState {
    /// New rows go under it. One for each class.
    Open = 0,
    /// No new row; the rows under it are being moved.
    Closed = 1,
    /// No row; its wrapping key is to be destroyed, or is.
    Retired = 2,
}

/// One epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochRow {
    /// Its reference: random, never zero.
    pub reference: u64,
    /// Which keys it keeps.
    pub class: EpochClass,
    /// How far it is.
    pub state: EpochState,
    /// When it was opened, in Unix seconds.
    pub opened: u64,
    /// When it was closed, in Unix seconds.
    pub closed: Option<u64>,
    /// The key envelope of role `epoch`.
    pub envelope: Vec<u8>,
}

/// One version of one subject's key.
#[derive(Clone, PartialEq, Eq)]
pub struct SubjectRow {
    /// Its reference, which records carry: random, never zero, never used again.
    pub reference: u64,
    /// Stands for the name.
    pub pseudonym: Pseudonym,
    /// Stands for the scope.
    pub scope: [u8; 16],
    /// From 1, without gaps.
    pub version: u32,
    /// The epoch it is sealed under.
    pub epoch: u64,
    /// The subject's key, sealed.
    pub sealed_key: [u8; SEALED_KEY_LEN],
}

/// A subject's key, sealed anew for another epoch.
#[derive(Clone, PartialEq, Eq)]
pub struct ResealedKey {
    /// The row.
    pub reference: u64,
    /// What to put in it.
    pub sealed_key: [u8; SEALED_KEY_LEN],
}

/// Several persons who share one key, with a row of its own.
#[derive(Clone, PartialEq, Eq)]
pub struct Joint {
    /// Stands for all of them together.
    pub pseudonym: Pseudonym,
    /// When it is erased.
    pub ends: JointEnds,
    /// Stand for each of them; ascending, at least two.
    pub members: Vec<Pseudonym>,
}

/// When a joint key is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum JointEnds {
    /// With the last of its members: any of them is enough to keep it.
    WithTheLast = 0,
    /// With the first of its members: all of them are needed to keep it.
    WithTheFirst = 1,
}

/// Whether a name that was erased may be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Names {
    /// No.
    #[default]
    StayErased,
    /// A new person bears it; the grave is removed.
    MayBeNewPersons,
}

/// What became of an insertion.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inserted {
    /// It was done.
    Done,
    /// That version, or a newer one, is there: this is the newest.
    Exists(SubjectRow),
    /// The name is erased.
    Erased,
    /// The epoch is not open.
    EpochClosed,
    /// The reference is taken. Draw another.
    ReferenceTaken,
}

/// What a reference leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lookup {
    /// A row.
    Row(SubjectRow),
    /// A tombstone, of these Unix seconds.
    Erased {
        /// When, in Unix seconds.
        since: u64,
    },
    /// Nothing.
    Unknown,
}

/// What a pseudonym leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Found {
    /// The newest row.
    Row(SubjectRow),
    /// A grave: whoever bore that name was erased.
    Erased,
    /// Nothing.
    Unknown,
}

/// A hold: whoever is on hold is not erased.
#[derive(Clone, PartialEq, Eq)]
pub struct Hold {
    /// Whom it holds.
    pub pseudonym: Pseudonym,
    /// Stands for the case; one subject may be on hold for several.
    pub case: [u8; 32],
    /// Since when, in Unix seconds.
    pub since: u64,
}

/// A tombstone as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// The reference it ends (what its first eight bytes say).
    pub reference: u64,
    /// The whole of it.
    pub bytes: [u8; TOMBSTONE_LEN],
}

/// What [`KeyStore::bury`] is to do, and under which conditions.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Burial {
    /// The number of the tombstone after which these come: 0 for the first. Else [`Buried::Behind`].
    pub after: u64,
    /// The tombstones, in order.
    pub tombstones: Vec<Tombstone>,
    /// Names that become graves. Every row of theirs needs a tombstone, here or before; else [`Buried::RowsChanged`].
    pub names: Vec<Pseudonym>,
    /// None of these may be on hold; else [`Buried::OnHold`].
    pub unless_on_hold: Vec<Pseudonym>,
}

/// What became of a burial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Buried {
    /// It was done.
    Done,
    /// Others have appended tombstones meanwhile, or `after` is past the end: this is the number of the last one.
    Behind {
        /// The number of the last tombstone.
        last: u64,
    },
    /// A name has a row that no tombstone ends: it was rotated meanwhile.
    RowsChanged,
    /// Somebody is on hold.
    OnHold,
}

/// One thing that a snapshot gives.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// The root envelope.
    Root(Vec<u8>),
    /// An epoch.
    Epoch(EpochRow),
    /// A subject's key.
    Subject(SubjectRow),
    /// A joint.
    Joint(Joint),
    /// A hold.
    Hold(Hold),
    /// A grave.
    Grave(Pseudonym),
    /// A tombstone.
    Tombstone(Tombstone),
    /// A receipt.
    Receipt([u8; RECEIPT_LEN]),
}

/// Bytes of a sealed subject key.
pub const SEALED_KEY_LEN: usize = 81;
/// Bytes of a tombstone.
pub const TOMBSTONE_LEN: usize = 114;
/// Bytes of a receipt.
pub const RECEIPT_LEN: usize = 114;
/// The most references, pseudonyms, rows or tombstones in one call.
pub const MAX_BATCH: usize = 65_536;

/// `Debug` without what leads to a person.
macro_rules! redacted {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}
redacted!(SubjectRow, ResealedKey, Joint, Hold, Tombstone, Burial, Entry);
