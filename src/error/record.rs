//! The error of sealing and opening a record.

use std::time::SystemTime;

use super::Category;

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
    pub const fn category(&self) -> Category {
        match self {
            Self::NotSealed { .. } => Category::Malformed,
            Self::Unsupported { .. } => Category::Unsupported,
            Self::Truncated { .. } => Category::Truncated,
            Self::Tampered => Category::Tampered,
            Self::KeyUnavailable { .. } => Category::KeyUnavailable,
            Self::Erased { .. } => Category::Refused,
            Self::LimitExceeded { .. } => Category::LimitExceeded,
            Self::Usage(_) => Category::Usage,
            Self::Random(_) => Category::Io,
        }
    }
}
