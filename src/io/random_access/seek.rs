//! [`SeekReader`]: [`Read`], [`BufRead`] and [`Seek`] over a message's plaintext.
//!
//! It joins a source that seeks to a position, which knows what to do and does no I/O. [Section
//! 8](crate::manual::format).

use std::{
    fmt,
    io::{self, BufRead, Read, Seek, SeekFrom, Write},
};

use super::position::{Position, Step};
use crate::{
    error::OpenError,
    io::{
        OpenReport,
        blocking::{FillAll, copy_plaintext, unwrap_open_error},
    },
    stream::{
        chunk::ChunkCipher,
        open::{Open, OpenMachine},
    },
};

/// Opens a message from a source that seeks: [`Read`], [`BufRead`] and [`Seek`] over its plaintext.
///
/// A seek costs nothing until the next read. Reading on from there gives verified bytes, and an end of file only
/// after the last chunk was verified. Seeking behind the end is allowed, as in a file; reading there gives nothing.
pub struct SeekReader<R> {
    inner: R,
    position: Position,
}

impl<R: Read + Seek> SeekReader<R> {
    /// `inner` stands on its first chunk; the length comes from its end, and is verified now unless `lazy`.
    pub(crate) fn new(
        mut inner: R,
        cipher: ChunkCipher,
        report: OpenReport,
        lazy: bool,
    ) -> Result<Self, OpenError> {
        let base = inner.stream_position()?;
        let end = inner.seek(SeekFrom::End(0))?;
        let mut reader = Self { inner, position: Position::new(cipher, report, base, end)? };
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
        Ok(self.position.report().plaintext_len)
    }

    /// What opening established.
    ///
    /// # Errors
    ///
    /// As [`plaintext_len`](Self::plaintext_len).
    pub fn report(&mut self) -> Result<OpenReport, OpenError> {
        self.verify_length()?;
        Ok(self.position.report().clone())
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

    fn verify_length(&mut self) -> Result<(), OpenError> {
        loop {
            match self.go(Position::length_step) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map_err(unwrap_open_error),
            }
        }
    }

    /// Takes steps until what they are for is there.
    fn go(&mut self, mut step: impl FnMut(&mut Position) -> Result<Step, OpenError>) -> io::Result<()> {
        loop {
            match step(&mut self.position)? {
                Step::Seek(offset) => {
                    self.inner.seek(SeekFrom::Start(offset))?;
                    self.position.sought();
                }
                Step::Read => {
                    let n = self.inner.read(self.position.space())?;
                    self.position.filled(n);
                }
                Step::Ready => return Ok(()),
            }
        }
    }
}

impl<R: Read + Seek> SeekReader<R> {
    /// Reads and lets `open` open until there is plaintext; `None` at the end of the message.
    fn fill(&mut self, open: Open) -> io::Result<Option<&OpenMachine>> {
        self.go(|position| position.fill_step(open))?;
        Ok(self.position.filled_machine())
    }
}

impl<R: Read + Seek> FillAll for SeekReader<R> {
    fn fill_all(&mut self) -> io::Result<Option<impl Iterator<Item = &[u8]>>> {
        Ok(self.fill(OpenMachine::open_all)?.map(OpenMachine::all_pending))
    }
}

impl<R: Read + Seek> BufRead for SeekReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.fill(OpenMachine::open_next)?.map_or(&[], OpenMachine::pending))
    }

    fn consume(&mut self, n: usize) {
        self.position.consume(n);
    }
}

impl<R: Read + Seek> Read for SeekReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if !self.position.is_at_end() {
            self.go(Position::settle_step)?;
            let direct = self.position.open_into(out)?;
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
        if matches!(target, SeekFrom::End(_)) && !self.position.is_length_verified() {
            self.verify_length()?;
        }
        Ok(self.position.seek(target)?)
    }
}

impl<R> fmt::Debug for SeekReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeekReader").field("position", &self.position.get()).finish_non_exhaustive()
    }
}
