//! The fields of each entry of a backup.
//!
//! Floor 2: lengths and numbers; whether what they say fits together is for whoever restores.

use std::fmt;

use super::{BackupFault, KINDS};
use crate::format::{subject::SEALED_KEY_LEN, tombstone::LINK_LEN};

/// One entry of a backup. Nothing of it is verified.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum BackupEntry<'a> {
    Root(&'a [u8]),
    Epoch {
        reference: u64,
        class: u8,
        state: u8,
        opened: u64,
        /// 0 while it is open.
        closed: u64,
        envelope: &'a [u8],
    },
    Subject {
        reference: u64,
        pseudonym: &'a [u8; 32],
        scope: &'a [u8; 16],
        version: u32,
        epoch: u64,
        sealed_key: &'a [u8; SEALED_KEY_LEN],
    },
    Joint {
        pseudonym: &'a [u8; 32],
        ends: u8,
        /// 32 bytes each.
        members: &'a [u8],
    },
    Hold {
        pseudonym: &'a [u8; 32],
        case: &'a [u8; 32],
        since: u64,
    },
    Grave(&'a [u8; 32]),
    Tombstone(&'a [u8; LINK_LEN]),
    Receipt(&'a [u8; LINK_LEN]),
    End {
        change: u64,
        counts: [u64; KINDS],
    },
}

impl<'a> BackupEntry<'a> {
    pub(super) const fn kind(&self) -> u8 {
        match self {
            Self::Root(_) => ROOT,
            Self::Epoch { .. } => EPOCH,
            Self::Subject { .. } => SUBJECT,
            Self::Joint { .. } => JOINT,
            Self::Hold { .. } => HOLD,
            Self::Grave(_) => GRAVE,
            Self::Tombstone(_) => TOMBSTONE,
            Self::Receipt(_) => RECEIPT,
            Self::End { .. } => END,
        }
    }

    // fmt: J-14
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
        match self {
            Self::Root(envelope) => put(&[envelope]),
            Self::Epoch { reference, class, state, opened, closed, envelope } => put(&[
                &reference.to_be_bytes(),
                &[*class, *state],
                &opened.to_be_bytes(),
                &closed.to_be_bytes(),
                envelope,
            ]),
            Self::Subject { reference, pseudonym, scope, version, epoch, sealed_key } => put(&[
                &reference.to_be_bytes(),
                *pseudonym,
                *scope,
                &version.to_be_bytes(),
                &epoch.to_be_bytes(),
                *sealed_key,
            ]),
            Self::Joint { pseudonym, ends, members } => put(&[*pseudonym, &[*ends], members]),
            Self::Hold { pseudonym, case, since } => put(&[*pseudonym, *case, &since.to_be_bytes()]),
            Self::Grave(pseudonym) => put(&[*pseudonym]),
            Self::Tombstone(bytes) | Self::Receipt(bytes) => put(&[*bytes]),
            Self::End { change, counts } => {
                put(&[&change.to_be_bytes()]);
                counts.iter().for_each(|count| put(&[&count.to_be_bytes()]));
            }
        }
    }

    /// The entry of this kind that these bytes are.
    // fmt: J-14
    pub(super) fn decode(kind: u8, bytes: &'a [u8]) -> Result<Self, BackupFault> {
        let mut rest = Fields(bytes);
        let entry = match kind {
            ROOT => Self::Root(rest.others()?),
            EPOCH => Self::Epoch {
                reference: rest.reference()?,
                class: rest.byte_up_to(1)?,
                state: rest.byte_up_to(2)?,
                opened: rest.u64()?,
                closed: rest.u64()?,
                envelope: rest.others()?,
            },
            SUBJECT => Self::Subject {
                reference: rest.reference()?,
                pseudonym: rest.take()?,
                scope: rest.take()?,
                version: rest.version()?,
                epoch: rest.reference()?,
                sealed_key: rest.take()?,
            },
            JOINT => {
                Self::Joint { pseudonym: rest.take()?, ends: rest.byte_up_to(1)?, members: rest.members()? }
            }
            HOLD => Self::Hold { pseudonym: rest.take()?, case: rest.take()?, since: rest.u64()? },
            GRAVE => Self::Grave(rest.take()?),
            TOMBSTONE => Self::Tombstone(rest.take()?),
            RECEIPT => Self::Receipt(rest.take()?),
            END => Self::End { change: rest.u64()?, counts: rest.counts()? },
            _ => return Err(BackupFault::Unsupported),
        };
        if rest.0.is_empty() { Ok(entry) } else { Err(LENGTH) }
    }
}

impl fmt::Debug for BackupEntry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BackupEntry({}, ..)", self.kind())
    }
}

/// What is left of an entry.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], BackupFault> {
        let (field, rest) = self.0.split_first_chunk().ok_or(LENGTH)?;
        self.0 = rest;
        Ok(field)
    }

    fn u64(&mut self) -> Result<u64, BackupFault> {
        self.take().map(|bytes| u64::from_be_bytes(*bytes))
    }

    fn reference(&mut self) -> Result<u64, BackupFault> {
        match self.u64()? {
            0 => Err(BackupFault::Malformed("a reference is zero")),
            reference => Ok(reference),
        }
    }

    fn version(&mut self) -> Result<u32, BackupFault> {
        match self.take().map(|bytes| u32::from_be_bytes(*bytes))? {
            0 => Err(BackupFault::Malformed("a version is zero")),
            version => Ok(version),
        }
    }

    fn byte_up_to(&mut self, max: u8) -> Result<u8, BackupFault> {
        match self.take()? {
            [byte] if *byte <= max => Ok(*byte),
            _ => Err(BackupFault::Malformed("a class, state or end is unknown")),
        }
    }

    fn others(&mut self) -> Result<&'a [u8], BackupFault> {
        if self.0.is_empty() { Err(LENGTH) } else { Ok(std::mem::take(&mut self.0)) }
    }

    fn members(&mut self) -> Result<&'a [u8], BackupFault> {
        let members = std::mem::take(&mut self.0);
        if members.len() % 32 != 0 || members.len() < 64 {
            return Err(LENGTH);
        }
        if !members.chunks_exact(32).is_sorted_by(|a, b| a < b) {
            return Err(BackupFault::Malformed("the members of a joint are out of order"));
        }
        Ok(members)
    }

    fn counts(&mut self) -> Result<[u64; KINDS], BackupFault> {
        let mut counts = [0; KINDS];
        for count in &mut counts {
            *count = self.u64()?;
        }
        Ok(counts)
    }
}

const LENGTH: BackupFault = BackupFault::Malformed("an entry has another length than its type");
pub(super) const ROOT: u8 = 1;
pub(super) const EPOCH: u8 = 2;
pub(super) const SUBJECT: u8 = 3;
pub(super) const JOINT: u8 = 4;
pub(super) const HOLD: u8 = 5;
pub(super) const GRAVE: u8 = 6;
pub(super) const TOMBSTONE: u8 = 7;
pub(super) const RECEIPT: u8 = 8;
pub(super) const END: u8 = 255;
/// Bytes of an epoch before its envelope.
pub(super) const EPOCH_START_LEN: usize = 8 + 2 + 8 + 8;
/// Bytes of a subject's key.
pub(super) const SUBJECT_LEN: usize = 8 + 32 + 16 + 4 + 8 + SEALED_KEY_LEN;
