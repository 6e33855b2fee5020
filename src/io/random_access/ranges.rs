//! [`RangeReader`]: any range of a message's plaintext, from many threads at once.
//!
//! It reads at offsets and knows no reader that has a position. [Section 8](crate::manual::format).

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use super::check_offset;
use crate::{
    error::OpenError,
    format::body::plaintext_len,
    io::{
        OpenReport,
        source::{ReadAt, read_full_at},
    },
    limits::{BODY_START_LEN, CHUNK_LEN, SEALED_CHUNK_LEN},
    secret::wipe,
    stream::{GROUP_CHUNKS, chunk::ChunkCipher},
};

/// Reads any range of a message's plaintext, from many threads at once.
///
/// A range is authentic and whole or an error; it is never answered short of the message's end. Each call reads and
/// opens only the chunks that it touches: 16 KiB more than was asked for, in all.
pub struct RangeReader<S> {
    source: S,
    cipher: ChunkCipher,
    report: OpenReport,
    /// Where in the source the first chunk begins, in bytes.
    base: u64,
    length_verified: AtomicBool,
}

impl<S: ReadAt> RangeReader<S> {
    /// `base` is where the chunks begin; the length comes from the source, and is verified now unless `lazy`.
    pub(crate) fn new(
        source: S,
        base: u64,
        cipher: ChunkCipher,
        mut report: OpenReport,
        lazy: bool,
    ) -> Result<Self, OpenError> {
        let body =
            source.total_len()?.checked_sub(base).ok_or(OpenError::Truncated("the body is missing"))?;
        report.plaintext_len = plaintext_len(body.saturating_add(BODY_START_LEN as u64))?;
        let reader = Self { source, cipher, report, base, length_verified: AtomicBool::new(false) };
        if !lazy {
            reader.verify_length()?;
        }
        Ok(reader)
    }

    /// Bytes of plaintext, verified.
    ///
    /// # Errors
    ///
    /// What verifying the last chunk fails with, the first time and if the reader is lazy.
    pub fn plaintext_len(&self) -> Result<u64, OpenError> {
        self.verify_length()?;
        Ok(self.report.plaintext_len)
    }

    /// What opening established.
    ///
    /// # Errors
    ///
    /// As [`plaintext_len`](Self::plaintext_len).
    pub fn report(&self) -> Result<OpenReport, OpenError> {
        self.verify_length()?;
        Ok(self.report.clone())
    }

    /// Fills `out` from plaintext offset `offset` on, in bytes, and says how many there were: fewer than asked for
    /// only at the message's end, 0 at or behind it.
    ///
    /// # Errors
    ///
    /// [`OpenError::Tampered`] or [`OpenError::Truncated`] when a chunk that is needed does not verify, in which
    /// case all of `out` is wiped; [`OpenError::LimitExceeded`] for an offset beyond every possible message;
    /// [`OpenError::Io`] when reading fails.
    #[allow(clippy::missing_panics_doc, reason = "no longer than the caller's buffer")]
    pub fn read_at(&self, out: &mut [u8], offset: u64) -> Result<usize, OpenError> {
        check_offset(offset)?;
        let end = offset.saturating_add(out.len() as u64);
        // fmt: B-2
        if end > self.report.plaintext_len {
            self.verify_length()?;
        }
        let len = self.report.plaintext_len.saturating_sub(offset).min(out.len() as u64);
        let out = &mut out[..usize::try_from(len).expect("no longer than the caller's buffer")];
        if let Err(error) = self.read_chunks(out, offset) {
            wipe(out);
            return Err(error);
        }
        Ok(out.len())
    }

    /// Fills all of `out` from plaintext offset `offset` on.
    ///
    /// # Errors
    ///
    /// As [`read_at`](Self::read_at), and [`OpenError::Usage`] when the range reaches beyond the plaintext.
    pub fn read_exact_at(&self, out: &mut [u8], offset: u64) -> Result<(), OpenError> {
        if self.read_at(out, offset)? == out.len() {
            return Ok(());
        }
        wipe(out);
        Err(OpenError::Usage("the range reaches beyond the end of the plaintext"))
    }

    fn read_chunks(&self, mut out: &mut [u8], offset: u64) -> Result<(), OpenError> {
        let mut index = offset / CHUNK_LEN as u64;
        let mut skip = usize::try_from(offset % CHUNK_LEN as u64).expect("less than a chunk");
        let chunks = (skip + out.len()).div_ceil(CHUNK_LEN).min(GROUP_CHUNKS);
        let mut group = Scratch(vec![0; chunks * SEALED_CHUNK_LEN + 1]);
        while !out.is_empty() {
            let wanted = (skip + out.len()).div_ceil(CHUNK_LEN).min(GROUP_CHUNKS);
            let sealed = self.read_group(&mut group.0, index, wanted)?;
            for chunk in group.0[..sealed].chunks_mut(SEALED_CHUNK_LEN) {
                let len = self.open_chunk(index, chunk)?;
                // fmt: B-3
                let Some(text) = chunk.get(skip..len) else {
                    return Err(OpenError::Truncated("a chunk is short"));
                };
                let n = text.len().min(out.len());
                out[..n].copy_from_slice(&text[..n]);
                out = &mut out[n..];
                (skip, index) = (0, index + 1);
            }
        }
        Ok(())
    }

    /// Reads up to `wanted` sealed chunks from `index` on; behind the last chunk there must be nothing.
    fn read_group(&self, group: &mut [u8], index: u64, wanted: usize) -> Result<usize, OpenError> {
        let last = self.report.plaintext_len / CHUNK_LEN as u64;
        let chunks = (last - index + 1).min(wanted as u64);
        let ends_here = index + chunks > last;
        let mut expected = usize::try_from(chunks).expect("at most a group") * SEALED_CHUNK_LEN;
        if ends_here {
            expected -= CHUNK_LEN - self.last_chunk_len();
        }
        // One byte more at the end, so that a source that has grown since is noticed.
        let asked = expected + usize::from(ends_here);
        let found = read_full_at(&self.source, &mut group[..asked], self.chunk_offset(index))?;
        if found < expected {
            return Err(OpenError::Truncated("the source has shrunk, or ends before its last chunk"));
        }
        if found > expected {
            return Err(OpenError::Tampered("the source has grown behind its last chunk"));
        }
        Ok(expected)
    }

    fn open_chunk(&self, index: u64, sealed: &mut [u8]) -> Result<usize, OpenError> {
        let opened = self.cipher.open_in_place(index, sealed);
        let len = opened.map_err(|_| OpenError::Tampered("a chunk of the body does not verify"))?;
        if len < CHUNK_LEN {
            self.length_verified.store(true, Ordering::Relaxed);
        }
        Ok(len)
    }

    fn verify_length(&self) -> Result<(), OpenError> {
        if self.length_verified.load(Ordering::Relaxed) {
            return Ok(());
        }
        let last = self.report.plaintext_len / CHUNK_LEN as u64;
        let mut chunk = Scratch(vec![0; SEALED_CHUNK_LEN + 1]);
        let sealed = self.read_group(&mut chunk.0, last, 1)?;
        self.open_chunk(last, &mut chunk.0[..sealed]).map(drop)
    }

    fn last_chunk_len(&self) -> usize {
        usize::try_from(self.report.plaintext_len % CHUNK_LEN as u64).expect("less than a chunk")
    }

    fn chunk_offset(&self, index: u64) -> u64 {
        // At most 2^38 chunks of 16400 bytes behind a header: far from overflow.
        self.base + index * SEALED_CHUNK_LEN as u64
    }
}

impl<S> RangeReader<S> {
    /// Gives the source back.
    pub fn into_inner(self) -> S {
        self.source
    }
}

impl<S> fmt::Debug for RangeReader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeReader").field("report", &self.report).finish_non_exhaustive()
    }
}

/// A buffer that held plaintext: wiped on drop.
struct Scratch(Vec<u8>);

impl Drop for Scratch {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}
