//! The error of sealing and opening a record.

use std::{sync::Arc, time::SystemTime};

use super::{Category, KeyStoreError, OpenError};

/// Why a record could not be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The first byte says that this is not a sealed value at all, for example text from before a migration.
    #[error("not sealed: the first byte is 0x{first_byte:02x}, a sealed record begins with 0xf8")]
    NotSealed {
        /// The byte found.
        first_byte: u8,
    },
    /// A first byte that is reserved for later versions.
    #[error("unsupported record version 0x{first_byte:02x}: a newer release of kuvert may open this")]
    Unsupported {
        /// The byte found.
        first_byte: u8,
    },
    /// Empty, or shorter than the 49 bytes that every record adds.
    #[error("truncated: a record has at least {minimum} bytes, this has {found}")]
    Truncated {
        /// The least length, in bytes.
        minimum: usize,
        /// The length found, in bytes.
        found: usize,
    },
    /// Changed since it was sealed, or sealed for another cell, or under another key of the same reference.
    #[error("tampered with, damaged, or sealed for another cell (table, column or row)")]
    Tampered,
    /// Sealed under a key that is not loaded here.
    #[error("no key of reference {reference:016x} is loaded")]
    KeyUnavailable {
        /// The key reference that the record names.
        reference: u64,
    },
    /// The key was destroyed on purpose: the person was erased.
    #[error("erased: the key of reference {reference:016x} was destroyed")]
    Erased {
        /// The key reference that the record names.
        reference: u64,
        /// When the erasure was recorded, where that is known.
        since: Option<SystemTime>,
    },
    /// Nothing is sealed for this name any more: whoever bore it was erased. If a new person bears it, say so with
    /// [`Subject::of_new_person`](crate::subjects::Subject::of_new_person); that helps once no joint key of the one who was erased
    /// is left.
    #[error("erased: whoever bore this name was erased; say so if a new person bears it")]
    NameErased,
    /// The key is another scope's, or another data subject's, than the one that was asked. Its category is that of a reference
    /// which nobody knows: whoever hands in records of others learns nothing more from that.
    #[error("the key of reference {reference:016x} is not of this scope or data subject")]
    OtherOwner {
        /// The key reference that the record names.
        reference: u64,
    },
    /// The [`Authorizer`](crate::subjects::Authorizer) said no.
    #[error("denied: {0}")]
    Denied(&'static str),
    /// What the key store keeps in the row of this key is not what was put there.
    #[error("the key store's row of reference {reference:016x} is damaged, or was exchanged for another")]
    KeyDamaged {
        /// The key reference.
        reference: u64,
    },
    /// The epoch's key, under which the subject's key is sealed, could not be had.
    #[error("the key of epoch {epoch:016x} is not to be had: {source}")]
    EpochUnavailable {
        /// The epoch's reference.
        epoch: u64,
        /// Why not.
        source: Arc<OpenError>,
    },
    /// The key store did not answer.
    #[error(transparent)]
    Store(Arc<KeyStoreError>),
    /// It opened, and what is in it is of another type than was asked for.
    #[error("the record is intact, but holds no {expected}")]
    WrongType {
        /// The type that was asked for.
        expected: &'static str,
    },
    /// Longer than the limit of a record; use a message.
    #[error("{what} is above the limit of {limit}")]
    LimitExceeded {
        /// What was counted or measured.
        what: &'static str,
        /// The largest value allowed, in bytes unless `what` says otherwise.
        limit: u64,
    },
    /// The call was wrong in itself, for example an output buffer of the wrong length.
    #[error("{0}")]
    Usage(&'static str),
    /// The operating system gave no random bytes.
    #[error("the system's random source failed: {0}")]
    Random(#[source] std::io::Error),
}

impl RecordError {
    /// The category of this error.
    #[must_use]
    pub fn category(&self) -> Category {
        match self {
            Self::NotSealed { .. } | Self::WrongType { .. } => Category::Malformed,
            Self::Unsupported { .. } => Category::Unsupported,
            Self::Truncated { .. } => Category::Truncated,
            Self::Tampered | Self::KeyDamaged { .. } => Category::Tampered,
            Self::EpochUnavailable { source, .. } => source.category(),
            Self::Store(error) => error.category(),
            // fmt: J-8
            Self::KeyUnavailable { .. } | Self::OtherOwner { .. } => Category::KeyUnavailable,
            Self::Erased { .. } | Self::NameErased | Self::Denied(_) => Category::Refused,
            Self::LimitExceeded { .. } => Category::LimitExceeded,
            Self::Usage(_) => Category::Usage,
            Self::Random(_) => Category::Io,
        }
    }
}
