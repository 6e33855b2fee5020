//! Plaintext by position: a reader that seeks, and one that many threads read ranges from.
//!
//! Plaintext offset p lies in chunk p / 16384. *Strict* readers verify the last chunk, and with it the length, when
//! they are made; *lazy* ones do so before they first report a length or an end. [Section 8](crate::manual::format).

use std::{
    fmt,
    io::{self, BufRead, Read, Seek, SeekFrom, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    OpenReport,
    blocking::{Fill, Open, copy_plaintext},
    source::{ReadAt, read_full_at},
};
use crate::{
    error::OpenError,
    format::body::plaintext_len,
    limits::{BODY_START_LEN, CHUNK_LEN, MAX_PLAINTEXT_LEN, SEALED_CHUNK_LEN},
    secret::wipe,
    stream::{GROUP_CHUNKS, chunk::ChunkCipher, open::OpenMachine},
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

/// Refuses an offset that no message reaches.
// fmt: B-4
fn check_offset(offset: u64) -> Result<u64, OpenError> {
    if offset <= MAX_PLAINTEXT_LEN { Ok(offset) } else { Err(BEYOND) }
}

/// The refusal of an offset that no message reaches, or that no 64 bits hold.
const BEYOND: OpenError =
    OpenError::LimitExceeded { what: "plaintext offset (bytes)", limit: MAX_PLAINTEXT_LEN };

/// A buffer that held plaintext: wiped on drop.
struct Scratch(Vec<u8>);

impl Drop for Scratch {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Opens a message from a source that seeks: [`Read`], [`BufRead`] and [`Seek`] over its plaintext.
///
/// A seek costs nothing until the next read. Reading on from there gives verified bytes, and an end of file only
/// after the last chunk was verified. Seeking behind the end is allowed, as in a file; reading there gives nothing.
pub struct SeekReader<R> {
    inner: R,
    cipher: ChunkCipher,
    machine: OpenMachine,
    report: OpenReport,
    base: u64,
    position: u64,
    length_verified: bool,
    /// Where the machine must go before the next read; `None` when it is there.
    seek_to: Option<u64>,
}

impl<R: Read + Seek> SeekReader<R> {
    /// `inner` stands on its first chunk; the length comes from its end, and is verified now unless `lazy`.
    pub(crate) fn new(
        mut inner: R,
        cipher: ChunkCipher,
        mut report: OpenReport,
        lazy: bool,
    ) -> Result<Self, OpenError> {
        let base = inner.stream_position()?;
        let body = inner.seek(SeekFrom::End(0))?.checked_sub(base);
        let body = body.ok_or(OpenError::Truncated("the body is missing"))?;
        report.plaintext_len = plaintext_len(body.saturating_add(BODY_START_LEN as u64))?;
        let machine = OpenMachine::starting_at(0);
        let mut reader = Self {
            inner,
            cipher,
            machine,
            report,
            base,
            position: 0,
            length_verified: false,
            seek_to: Some(0),
        };
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
    pub fn plaintext_len(&mut self) -> Result<u64, OpenError> {
        self.verify_length()?;
        Ok(self.report.plaintext_len)
    }

    /// What opening established.
    ///
    /// # Errors
    ///
    /// As [`plaintext_len`](Self::plaintext_len).
    pub fn report(&mut self) -> Result<OpenReport, OpenError> {
        self.verify_length()?;
        Ok(self.report.clone())
    }

    /// Writes the plaintext from the present position on to `writer`, without a copy in between, and says how many
    /// bytes that was.
    ///
    /// Like [`std::io::copy`], and faster; and unlike it, leaves no plaintext behind on the stack. `Ok` means that the
    /// message was complete from that position on.
    ///
    /// # Errors
    ///
    /// What reading, opening or writing fails with. Nothing is lost by an error of either side: call again.
    pub fn copy_to<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<u64> {
        copy_plaintext(self, writer)
    }

    /// Opens the last chunk, and checks that it ends where the length says.
    fn verify_length(&mut self) -> Result<(), OpenError> {
        if self.length_verified {
            return Ok(());
        }
        self.seek_to = Some(self.position);
        let last = self.report.plaintext_len / CHUNK_LEN as u64;
        let mut machine = OpenMachine::starting_at(last);
        self.inner.seek(SeekFrom::Start(self.chunk_offset(last)))?;
        while !machine.is_done() {
            if machine.wants_input() {
                match self.inner.read(machine.space()) {
                    Ok(n) => machine.filled(n),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            machine.open_next(&self.cipher)?;
            machine.advance(machine.pending().len());
        }
        if machine.plaintext_len() != self.report.plaintext_len % CHUNK_LEN as u64 {
            return Err(OpenError::Tampered("the source changed its length while it was read"));
        }
        self.length_verified = true;
        Ok(())
    }

    /// Brings machine and source to the position.
    fn settle(&mut self) -> io::Result<()> {
        let Some(position) = self.seek_to else { return Ok(()) };
        let index = position / CHUNK_LEN as u64;
        self.inner.seek(SeekFrom::Start(self.chunk_offset(index)))?;
        self.machine.restart_at(index);
        let mut skip = usize::try_from(position % CHUNK_LEN as u64).expect("less than a chunk");
        // The machine stands before its chunk; a failure from here on seeks again next time.
        while skip > 0 && !self.machine.is_done() {
            self.machine.open_next(&self.cipher)?;
            let n = self.machine.pending().len().min(skip);
            self.machine.advance(n);
            skip -= n;
            if n == 0 && self.machine.wants_input() {
                self.refill()?;
            }
        }
        self.seek_to = None;
        Ok(())
    }

    fn refill(&mut self) -> io::Result<()> {
        let n = self.inner.read(self.machine.space())?;
        self.machine.filled(n);
        Ok(())
    }

    fn chunk_offset(&self, index: u64) -> u64 {
        self.base + index * SEALED_CHUNK_LEN as u64
    }
}

impl<R: Read + Seek> Fill for SeekReader<R> {
    fn fill(&mut self, open: Open) -> io::Result<Option<&OpenMachine>> {
        if self.position >= self.report.plaintext_len {
            self.verify_length()?;
            return Ok(None);
        }
        self.settle()?;
        loop {
            open(&mut self.machine, &self.cipher)?;
            if !self.machine.pending().is_empty() {
                return Ok(Some(&self.machine));
            }
            if self.machine.is_done() {
                // The length said that there is more.
                let fault = OpenError::Truncated("the source has shrunk since it was opened");
                return Err(fault.into());
            }
            if self.machine.wants_input() {
                self.refill()?;
            }
        }
    }
}

impl<R: Read + Seek> BufRead for SeekReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.fill(OpenMachine::open_next)?.map_or(&[], OpenMachine::pending))
    }

    fn consume(&mut self, n: usize) {
        if n > 0 {
            self.machine.advance(n);
            self.position += n as u64;
        }
    }
}

impl<R: Read + Seek> Read for SeekReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.position < self.report.plaintext_len {
            self.settle()?;
            let direct = self.machine.open_into(&self.cipher, out)?;
            self.position += direct as u64;
            if direct > 0 {
                return Ok(direct);
            }
        }
        let available = self.fill_buf()?;
        let n = available.len().min(out.len());
        out[..n].copy_from_slice(&available[..n]);
        self.consume(n);
        Ok(n)
    }
}

impl<R: Read + Seek> Seek for SeekReader<R> {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        let moved = |from: u64, by: i64| match from.checked_add_signed(by) {
            Some(position) => Ok(position),
            None if by > 0 => Err(BEYOND),
            None => Err(OpenError::Usage("seek to a position before the beginning")),
        };
        let position = match target {
            SeekFrom::Start(position) => position,
            SeekFrom::Current(delta) => moved(self.position, delta)?,
            SeekFrom::End(delta) => {
                self.verify_length()?;
                moved(self.report.plaintext_len, delta)?
            }
        };
        check_offset(position)?;
        if position != self.position {
            self.position = position;
            self.seek_to = Some(position);
        }
        Ok(position)
    }
}

impl<R> fmt::Debug for SeekReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeekReader").field("position", &self.position).finish_non_exhaustive()
    }
}
