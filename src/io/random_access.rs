//! Plaintext by position: a reader that seeks, and one that many threads read ranges from.
//!
//! Plaintext offset p lies in chunk p / 16384. *Strict* readers verify the last chunk, and with it the length, when
//! they are made; *lazy* ones do so before they first report a length or an end. Where a reader stands is
//! `position`, without I/O; the adapters join it to a source. [Section 8](crate::manual::format).

pub(in crate::io) mod position;
mod ranges;
mod seek;

pub use self::{ranges::RangeReader, seek::SeekReader};
use crate::{error::OpenError, limits::MAX_PLAINTEXT_LEN};

/// Refuses an offset that no message reaches.
// fmt: B-4
fn check_offset(offset: u64) -> Result<u64, OpenError> {
    if offset <= MAX_PLAINTEXT_LEN { Ok(offset) } else { Err(BEYOND) }
}

/// The refusal of an offset that no message reaches, or that no 64 bits hold.
const BEYOND: OpenError =
    OpenError::LimitExceeded { what: "plaintext offset (bytes)", limit: MAX_PLAINTEXT_LEN };
