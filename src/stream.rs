//! Sans-I/O machines for the body of a message: one a direction, over one chunk cipher.
//!
//! Floor 3: bytes in, bytes out; no reader, no writer, no header, no key provider. The format is
//! [section 3](crate::manual::format), the rules of the machines stand on each of them.

pub(crate) mod chunk;
pub(crate) mod open;
pub(crate) mod parallel;
pub(crate) mod seal;

#[cfg(test)]
mod tests;

use crate::limits::SEALED_CHUNK_LEN;

/// Full chunks that a machine collects before it asks for I/O: 256 KiB, which is where system calls stop to matter
/// and every second-level cache still holds what was just read or sealed.
pub(crate) const GROUP_CHUNKS: usize = 16;
/// Bytes of a group of sealed chunks.
pub(crate) const GROUP_LEN: usize = GROUP_CHUNKS * SEALED_CHUNK_LEN;
/// How many times as long a buffer gets while there is more and more: small messages stay small.
const GROWTH: usize = 4;
