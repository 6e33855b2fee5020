//! What a key store keeps: epochs, keys of subjects, joints, holds, tombstones.
//!
//! Floor 4: plain data with a `Debug` that leads to nobody. It knows of no engine. Section "Key store and subjects" of the
//! [format](crate::manual::format).

use std::fmt;

/// 32 bytes that stand for a name: equal for equal names of one scope, and nothing that leads back without the root key.
pub type Pseudonym = [u8; 32];

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
redacted!(SubjectRow, ResealedKey, Joint, Hold, Tombstone, Entry);

impl Tombstone {
    /// When it was made, in Unix seconds, as its own bytes say.
    #[must_use]
    pub fn since(&self) -> u64 {
        let [_, _, _, _, _, _, _, _, time @ ..] = &self.bytes;
        time.first_chunk().map_or(0, |time| u64::from_be_bytes(*time))
    }

    /// The reference that its bytes end.
    pub(super) fn reference_of(bytes: &[u8; TOMBSTONE_LEN]) -> u64 {
        bytes.first_chunk().map_or(0, |reference| u64::from_be_bytes(*reference))
    }
}

impl Joint {
    /// Whether it has ended, given who of its members is a grave.
    pub(super) fn has_ended(&self, mut is_grave: impl FnMut(&Pseudonym) -> bool) -> bool {
        match self.ends {
            JointEnds::WithTheLast => self.members.iter().all(is_grave),
            JointEnds::WithTheFirst => self.members.iter().any(&mut is_grave),
        }
    }
}

impl Entry {
    /// The place of its sort in a snapshot; 0 is the root.
    pub(super) const fn order(&self) -> u8 {
        match self {
            Self::Root(_) => 0,
            Self::Epoch(_) => 1,
            Self::Subject(_) => 2,
            Self::Joint(_) => 3,
            Self::Hold(_) => 4,
            Self::Grave(_) => 5,
            Self::Tombstone(_) => 6,
            Self::Receipt(_) => 7,
        }
    }
}
