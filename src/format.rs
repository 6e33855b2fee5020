//! The wire formats: bytes on one side, headers, contexts, keys' places and record frames on the other.
//!
//! Floor 2: it does no I/O, asks no key provider, and takes nothing it parses for true before a MAC says so.
//! Every rule it keeps is in the [format](crate::manual::format), cited here by its id.

pub(crate) mod body;
pub(crate) mod context;
pub(crate) mod header;
pub(crate) mod record;
pub(crate) mod schedule;
pub(crate) mod slot;
pub(crate) mod stanza;
pub(crate) mod store_backup;
pub(crate) mod subject;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod tombstone;

/// What a header belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A message: a header and the body it describes.
    Message,
    /// A key envelope: a message without content, kept for its data key.
    KeyEnvelope,
}

/// How a header is laid out, which decides how it can be rewrapped later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Layout {
    /// One slot, as short as its recipients allow. For messages of a few KiB and for key envelopes.
    Compact,
    /// Two equal slots in a header of a multiple of 4096 bytes, so that recipients can be replaced in place.
    /// What files and streams get unless told otherwise.
    Rewrappable,
    /// A compact header in a file of its own, the body elsewhere. For stores whose objects cannot be changed.
    Detached,
}

impl Layout {
    /// The layout's name in lower case, as the command line and `--json` output write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::Rewrappable => "rewrappable",
            Self::Detached => "detached",
        }
    }
}

impl Kind {
    /// The kind's name in lower case, as `--json` output writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::KeyEnvelope => "key-envelope",
        }
    }

    /// The byte that stands for the kind.
    pub(crate) const fn to_byte(self) -> u8 {
        match self {
            Self::Message => 1,
            Self::KeyEnvelope => 2,
        }
    }
}

/// A length as two bytes on the wire. The limits, checked before, are all below 65 536.
fn u16_len(len: usize) -> [u8; 2] {
    debug_assert!(
        len <= usize::from(u16::MAX),
        "lengths are checked against their limits before they are written"
    );
    // fmt: N-1
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

/// A length as four bytes on the wire.
fn u32_len(len: usize) -> [u8; 4] {
    debug_assert!(
        u32::try_from(len).is_ok(),
        "lengths are checked against their limits before they are written"
    );
    u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes()
}

/// `LABEL(x)`: what every derivation and MAC of this format begins with, so that none can stand for another.
// fmt: N-3
macro_rules! label {
    ($name:literal) => {
        concat!("kuvert/v1/", $name, "\0").as_bytes()
    };
}
pub(crate) use label;
