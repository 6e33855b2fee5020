//! What is derived for data subjects: pseudonyms, scope tags, blind indexes, and the frame of a sealed subject key.
//!
//! Floor 2: bytes and keyed hashes. It knows no store, no cache and no ciphers: what seals a subject key under an
//! epoch is [`crate::record_cipher`]'s. Section "Key store and subjects" of the [format](crate::manual::format).

mod root;

use std::{fmt, io};

pub(crate) use self::root::RootKeys;
use super::{label, record};
use crate::{
    crypto::{kdf::hkdf_expand, random},
    error::Category,
    limits::{MAX_JOINT_MEMBERS, MAX_SCOPE_LEN, MAX_SUBJECT_NAME_LEN},
    secret::Secret,
};

/// Whom or what a subject key is for, before it is hashed.
#[derive(Clone, Copy)]
pub(crate) enum SubjectName<'a> {
    /// A person.
    Person(&'a str),
    /// A retention class.
    Class(&'a str),
    /// A person's credentials, whose keys are in epochs of their own.
    Credentials(&'a str),
    /// Several persons together.
    Joint {
        /// 0 with the last, 1 with the first.
        ends: u8,
        /// Their pseudonyms: ascending, distinct.
        members: &'a [[u8; 32]],
    },
}

impl SubjectName<'_> {
    /// Says what is wrong with a name.
    // fmt: J-4
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Person(name) | Self::Class(name) | Self::Credentials(name) => {
                if name.is_empty() {
                    Err("the name of a data subject is empty")
                } else if name.len() > MAX_SUBJECT_NAME_LEN {
                    Err("the name of a data subject is longer than 1024 bytes")
                } else {
                    Ok(())
                }
            }
            Self::Joint { members, .. } => {
                if !(2..=MAX_JOINT_MEMBERS).contains(&members.len()) {
                    Err("a joint has 2 to 64 members")
                } else if members.is_sorted_by(|a, b| a < b) {
                    Ok(())
                } else {
                    Err("the members of a joint are not distinct")
                }
            }
        }
    }

    /// The bytes that stand for the name, in parts. What is no person's name begins with a byte that no UTF-8 has.
    // fmt: J-5
    fn parts(&self) -> ([u8; 3], usize, &[u8]) {
        match self {
            Self::Person(name) => ([0; 3], 0, name.as_bytes()),
            Self::Class(name) => ([0xff, 1, 0], 2, name.as_bytes()),
            Self::Joint { ends, members } => ([0xff, 2, *ends], 3, members.as_flattened()),
            Self::Credentials(name) => ([0xff, 3, 0], 2, name.as_bytes()),
        }
    }
}

impl fmt::Debug for SubjectName<'_> {
    /// Without the name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectName(..)")
    }
}

/// Says what is wrong with a scope.
// fmt: J-4
pub(crate) fn check_scope(scope: &str) -> Result<(), &'static str> {
    if scope.len() > MAX_SCOPE_LEN { Err("a scope is longer than 255 bytes") } else { Ok(()) }
}

/// One version of one subject's key: 32 random bytes, from which everything under it is derived.
pub(crate) struct SubjectKey(Secret<32>);

impl SubjectKey {
    /// A new one.
    // fmt: J-1
    pub(crate) fn generate() -> io::Result<Self> {
        let mut key = Secret::zeroed();
        random::fill(key.expose_mut())?;
        Ok(Self(key))
    }

    /// Takes what was opened.
    pub(crate) const fn new(key: Secret<32>) -> Self {
        Self(key)
    }

    pub(crate) fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// The key of its records.
    // fmt: J-6
    pub(crate) fn record_key(&self, reference: u64) -> Secret<32> {
        self.derive(label!("record"), reference)
    }

    /// The wrapping key of recipients of type 0x0020 that name it.
    // fmt: J-6, K-5
    pub(crate) fn child_key(&self, reference: u64) -> Secret<32> {
        self.derive(label!("child"), reference)
    }

    fn derive(&self, label: &[u8], reference: u64) -> Secret<32> {
        let mut out = Secret::zeroed();
        hkdf_expand(self.0.expose(), &[label, &reference.to_be_bytes()], out.expose_mut());
        out
    }
}

impl fmt::Debug for SubjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectKey(..)")
    }
}

/// The row that a sealed key belongs in: all of it is bound, so that no two rows can be swapped or changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SubjectPlace {
    pub(crate) scope: [u8; 16],
    pub(crate) pseudonym: [u8; 32],
    pub(crate) reference: u64,
    pub(crate) version: u32,
}

impl SubjectPlace {
    /// The associated data of this row's key under `epoch`.
    // fmt: J-7
    pub(crate) fn associated_data(&self, epoch: u64) -> [u8; AAD_LEN] {
        let mut aad = [0; AAD_LEN];
        let mut rest = aad.as_mut_slice();
        record::put(&mut rest, label!("subject"));
        record::put(&mut rest, &[record::FIRST_BYTE]);
        record::put(&mut rest, &epoch.to_be_bytes());
        record::put(&mut rest, &self.scope);
        record::put(&mut rest, &self.pseudonym);
        record::put(&mut rest, &self.reference.to_be_bytes());
        record::put(&mut rest, &self.version.to_be_bytes());
        debug_assert!(rest.is_empty(), "the parts fill the associated data");
        aad
    }
}

impl fmt::Debug for SubjectPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectPlace(..)")
    }
}

/// Why a sealed subject key does not open, in the order in which it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SealedKeyFault {
    /// Below 81 bytes.
    Truncated,
    /// Of another length, or another first byte.
    Malformed,
    /// Of another epoch than the key at hand.
    OtherEpoch,
    /// Changed, or another row's.
    Tampered,
}

impl SealedKeyFault {
    pub(crate) const fn category(self) -> Category {
        match self {
            Self::Truncated => Category::Truncated,
            Self::Malformed => Category::Malformed,
            Self::OtherEpoch => Category::KeyUnavailable,
            Self::Tampered => Category::Tampered,
        }
    }
}

/// The epoch that a sealed key says it is under, if it has the form of one.
// fmt: J-2
pub(crate) fn claimed_epoch(sealed: &[u8]) -> Result<u64, SealedKeyFault> {
    if sealed.len() < SEALED_KEY_LEN {
        return Err(SealedKeyFault::Truncated);
    }
    match sealed {
        [record::FIRST_BYTE, rest @ ..] if sealed.len() == SEALED_KEY_LEN => {
            Ok(u64::from_be_bytes(*rest.first_chunk().expect("80 bytes begin with 8")))
        }
        _ => Err(SealedKeyFault::Malformed),
    }
}

/// Bytes of a sealed subject key.
pub(crate) const SEALED_KEY_LEN: usize = 32 + crate::limits::RECORD_OVERHEAD;
/// Bytes of the associated data of a sealed subject key.
pub(crate) const AAD_LEN: usize = label!("subject").len() + 1 + 8 + 16 + 32 + 8 + 4;

#[cfg(test)]
mod tests;
