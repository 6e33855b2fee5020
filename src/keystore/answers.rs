//! What a key store is asked and what it answers: conditions of writes and their outcomes, and what look-ups find.
//!
//! Floor 4: plain data. It knows of no engine. Section "Key store and subjects" of the [format](crate::manual::format).

use std::fmt;

use super::rows::{Pseudonym, SubjectRow, Tombstone};

/// What a store says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreInfo {
    /// The store's name, such as `"sqlite"`.
    pub name: &'static str,
    /// Whether what it keeps survives the process.
    pub durable: bool,
    /// Whether removed rows are gone from what the engine keeps (as far as the engine can tell) when
    /// [`KeyStore::remove`](super::KeyStore::remove) returns.
    pub removes_bytes: bool,
}

impl StoreInfo {
    /// Says what a store is.
    #[must_use]
    pub const fn new(name: &'static str, durable: bool, removes_bytes: bool) -> Self {
        Self { name, durable, removes_bytes }
    }
}

/// Whether a name that was erased may be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Names {
    /// No.
    #[default]
    StayErased,
    /// A new person bears it; the grave is removed. Not while a joint of whoever bore it before has a key: the grave is
    /// what that one is known by as erased when the joint's other members are.
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
    /// The name is erased, and may not be used again.
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

/// What [`KeyStore::bury`](super::KeyStore::bury) is to do, and under which conditions.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Burial {
    /// The number of the tombstone after which these come: 0 for the first. Else [`Buried::Behind`].
    pub after: u64,
    /// The tombstones, in order; one for each reference, and none for one that has a tombstone already.
    pub tombstones: Vec<Tombstone>,
    /// Names that become graves. Every row of theirs needs a tombstone, here or before, and so does every row of a joint
    /// that ends with them; else [`Buried::RowsChanged`].
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
    /// A name, or a joint that ends with it, has a row that no tombstone ends: it was rotated or added meanwhile.
    RowsChanged,
    /// Somebody is on hold.
    OnHold,
}

impl fmt::Debug for Burial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Burial(..)")
    }
}
