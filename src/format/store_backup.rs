//! The content of a key store's backup: framed entries behind a magic, closed by an entry that counts them.
//!
//! Floor 2: bytes only. It is the plaintext of a message, so whoever reads one has verified it already; it is
//! judged as hostile all the same. Section "Key store and subjects" of the [format](crate::manual::format).

mod fields;

use std::{fmt, mem};

pub(crate) use self::fields::BackupEntry;
use super::tombstone::LINK_LEN;
use crate::{
    error::Category,
    limits::{BODY_START_LEN, MAX_HEADER_LEN, MAX_JOINT_MEMBERS, TAG_LEN},
};

/// Writes a backup: entries in, bytes out, whenever the caller takes them.
#[derive(Debug, Default)]
pub(crate) struct BackupEncoder {
    order: Order,
    out: Vec<u8>,
}

impl BackupEncoder {
    pub(crate) fn new() -> Self {
        Self { order: Order::default(), out: MAGIC.to_vec() }
    }

    /// Adds the next entry. The order is that of a reader, so that nothing is written that none could read.
    pub(crate) fn push(&mut self, entry: &BackupEntry<'_>) -> Result<(), BackupFault> {
        self.order.accept(entry)?;
        self.frame(entry);
        Ok(())
    }

    /// Adds the last one, with the change number of the moment that was read.
    pub(crate) fn finish(&mut self, change: u64) -> Result<(), BackupFault> {
        let end = BackupEntry::End { change, counts: self.order.counts };
        self.push(&end)
    }

    /// Bytes written since this was asked last.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        mem::take(&mut self.out)
    }

    // fmt: J-14
    fn frame(&mut self, entry: &BackupEntry<'_>) {
        self.out.push(entry.kind());
        let len_at = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        entry.encode(&mut self.out);
        let len = super::u32_len(self.out.len() - len_at - 4);
        self.out[len_at..len_at + 4].copy_from_slice(&len);
    }
}

/// Reads a backup: bytes in as they come, entries out.
#[derive(Default)]
pub(crate) struct BackupDecoder {
    order: Order,
    buffer: Vec<u8>,
    /// Bytes at the start of the buffer that were read.
    used: usize,
    began: bool,
}

impl BackupDecoder {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds bytes. The buffer holds at most these and one entry.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.used);
        self.used = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next entry, or `None` if more bytes are needed for it.
    // fmt: J-14, J-15
    pub(crate) fn next(&mut self) -> Result<Option<BackupEntry<'_>>, BackupFault> {
        if !self.began {
            let seen = &self.buffer[..self.buffer.len().min(MAGIC.len())];
            if !MAGIC.starts_with(seen) {
                return Err(BackupFault::Malformed("this is no backup of a key store"));
            }
            if seen.len() < MAGIC.len() {
                return Ok(None);
            }
            self.began = true;
            self.used = MAGIC.len();
        }
        let rest = &self.buffer[self.used..];
        if self.order.ended {
            return if rest.is_empty() {
                Ok(None)
            } else {
                Err(BackupFault::Malformed("bytes follow the end"))
            };
        }
        let Some((kind, rest)) = rest.split_first() else { return Ok(None) };
        let limit = max_len(*kind)?;
        let Some((len, rest)) = rest.split_first_chunk() else { return Ok(None) };
        let len = usize::try_from(u32::from_be_bytes(*len)).unwrap_or(usize::MAX);
        if len > limit {
            return Err(BackupFault::LimitExceeded);
        }
        let Some(bytes) = rest.get(..len) else { return Ok(None) };
        self.used += FRAME_LEN + len;
        let entry = BackupEntry::decode(*kind, bytes)?;
        self.order.accept(&entry)?;
        Ok(Some(entry))
    }

    /// Whether the end was read, and nothing follows it. Else the backup is cut off.
    pub(crate) fn finish(&self) -> Result<(), BackupFault> {
        if self.order.ended && self.used == self.buffer.len() { Ok(()) } else { Err(BackupFault::Truncated) }
    }
}

impl fmt::Debug for BackupDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackupDecoder").field("counts", &self.order.counts).finish_non_exhaustive()
    }
}

/// What is wrong with a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BackupFault {
    /// It breaks a rule.
    Malformed(&'static str),
    /// An entry is longer than its type can be.
    LimitExceeded,
    /// It has an entry of a type that is unknown here.
    Unsupported,
    /// The end is missing.
    Truncated,
}

impl BackupFault {
    pub(crate) const fn category(self) -> Category {
        match self {
            Self::Malformed(_) => Category::Malformed,
            Self::LimitExceeded => Category::LimitExceeded,
            Self::Unsupported => Category::Unsupported,
            Self::Truncated => Category::Truncated,
        }
    }
}

/// How far a backup is, and what may come next.
#[derive(Debug, Default)]
struct Order {
    counts: [u64; KINDS],
    last_kind: u8,
    last_reference: u64,
    ended: bool,
}

impl Order {
    // fmt: J-15
    fn accept(&mut self, entry: &BackupEntry<'_>) -> Result<(), BackupFault> {
        const ORDER: BackupFault = BackupFault::Malformed("entries are out of order");
        let kind = entry.kind();
        if self.ended || kind < self.last_kind || (self.last_kind == 0 && kind != fields::ROOT) {
            return Err(ORDER);
        }
        match entry {
            BackupEntry::Root(_) if self.last_kind != 0 => return Err(ORDER),
            BackupEntry::Subject { reference, .. } => {
                if *reference <= self.last_reference {
                    return Err(ORDER);
                }
                self.last_reference = *reference;
            }
            BackupEntry::End { counts, .. } => {
                if *counts != self.counts {
                    return Err(BackupFault::Malformed("the counts at the end are not those of the entries"));
                }
                self.ended = true;
            }
            _ => {}
        }
        if let Some(count) = self.counts.get_mut(usize::from(kind).wrapping_sub(1)) {
            *count += 1;
        }
        self.last_kind = kind;
        Ok(())
    }
}

/// The longest that an entry of this kind can be.
fn max_len(kind: u8) -> Result<usize, BackupFault> {
    Ok(match kind {
        fields::ROOT => MAX_ENVELOPE_LEN,
        fields::EPOCH => fields::EPOCH_START_LEN + MAX_ENVELOPE_LEN,
        fields::SUBJECT => fields::SUBJECT_LEN,
        fields::JOINT => 33 + 32 * MAX_JOINT_MEMBERS,
        fields::HOLD => 72,
        fields::GRAVE => 32,
        fields::TOMBSTONE | fields::RECEIPT => LINK_LEN,
        fields::END => 8 + 8 * KINDS,
        _ => return Err(BackupFault::Unsupported),
    })
}

/// What a backup begins with.
// fmt: J-14
pub(crate) const MAGIC: [u8; 8] = *b"kuv-ks-1";
/// Bytes before an entry: its kind and its length.
const FRAME_LEN: usize = 5;
/// Kinds of entries that are counted.
const KINDS: usize = 8;
/// Bytes of the longest key envelope.
const MAX_ENVELOPE_LEN: usize = MAX_HEADER_LEN + BODY_START_LEN + TAG_LEN;

#[cfg(test)]
mod tests;
