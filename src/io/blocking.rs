//! The machines under [`std::io`]: three short loops a direction.

use std::{
    fmt,
    io::{self, BufRead, IoSlice, IoSliceMut, Read, Write},
};

use super::{OpenReport, SealReport};
use crate::{
    error::{OpenError, SealError},
    format::body::body_len,
    stream::{
        GROUP_CHUNKS,
        chunk::ChunkCipher,
        open::{Open, OpenMachine},
        seal::SealMachine,
    },
};

/// Seals what is written to it into `W`.
///
/// The message is complete only after [`finish`](Self::finish) returned `Ok`. Dropping the writer without it
/// leaves bytes that never open: a crash, a panic or a cancelled backup cannot pass for a whole one.
///
/// An error of the inner writer leaves this writer intact, and the same call may be made again. Errors of
/// sealing itself (a limit, a fork) end the message.
///
/// # Examples
///
/// ```
/// use std::io::Write;
/// use kuvert::{EncryptionContext, Kuvert, provider::MemoryProvider};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let kuvert = Kuvert::new(MemoryProvider::generate("2026-11")?);
/// let context = EncryptionContext::new([("backup", "daily")])?;
/// let sealer = kuvert::blocking::block_on(kuvert.sealer(&context))??;
/// let mut out = sealer.into_writer(Vec::new());
/// out.write_all(b"all of it")?;
/// let (message, report) = out.finish()?;
/// assert_eq!(report.plaintext_len, 9);
/// assert_eq!(report.sealed_len, message.len() as u64);
/// # Ok(()) }
/// ```
#[must_use = "without `finish` the message is incomplete and never opens"]
pub struct SealWriter<W> {
    inner: W,
    machine: SealMachine,
    report: SealReport,
}

impl<W: Write> SealWriter<W> {
    /// `report` carries the header's length; the body's is added at the end.
    pub(crate) fn new(inner: W, machine: SealMachine, report: SealReport) -> Self {
        Self { inner, machine, report }
    }

    /// Writes everything that `reader` has, without a copy in between, and says how many bytes that was.
    ///
    /// Like [`std::io::copy`], and faster. Does not finish the message.
    ///
    /// # Errors
    ///
    /// What reading, sealing or writing fails with ([`SealError`] inside the [`io::Error`] where it is ours). What
    /// was read is not lost: after an error of the inner writer the call may be made again with the same reader.
    pub fn copy_from<R: Read + ?Sized>(&mut self, reader: &mut R) -> io::Result<u64> {
        let before = self.machine.plaintext_len();
        loop {
            self.drain()?;
            let read = read_into(reader, self.machine.spaces()?);
            match read {
                Ok(0) => return Ok(self.machine.plaintext_len() - before),
                Ok(n) => self.machine.filled(n)?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends the message: seals and writes its last chunk, and flushes the inner writer.
    ///
    /// May be called again after an error of the inner writer, and after success, when it only reports again.
    ///
    /// # Errors
    ///
    /// [`SealError::Io`] when writing fails; [`SealError::Poisoned`] or [`SealError::Forked`] when the message
    /// cannot be completed any more.
    pub fn try_finish(&mut self) -> Result<SealReport, SealError> {
        self.machine.finish()?;
        self.drain()?;
        self.inner.flush()?;
        let plaintext_len = self.machine.plaintext_len();
        let sealed_len = self.report.sealed_len + body_len(plaintext_len);
        Ok(SealReport { plaintext_len, sealed_len, ..self.report.clone() })
    }

    /// Ends the message and gives the inner writer back, neither closed nor synced: call `sync_all` on a file.
    ///
    /// # Errors
    ///
    /// As [`try_finish`](Self::try_finish), after which the inner writer is dropped; use that one to try again.
    pub fn finish(mut self) -> Result<(W, SealReport), SealError> {
        let report = self.try_finish()?;
        Ok((self.inner, report))
    }

    fn drain(&mut self) -> io::Result<()> {
        while !self.machine.pending().is_empty() {
            match self.inner.write(self.machine.pending()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.machine.advance(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl<W> SealWriter<W> {
    /// Gives the inner writer back without ending the message: what it holds by then never opens.
    pub fn abort(mut self) -> W {
        self.machine.abort();
        self.inner
    }

    /// The inner writer.
    pub fn inner(&self) -> &W {
        &self.inner
    }

    /// The inner writer. Writing to it breaks the message.
    pub fn inner_mut(&mut self) -> &mut W {
        &mut self.inner
    }

    /// Bytes of plaintext taken so far.
    pub fn plaintext_len(&self) -> u64 {
        self.machine.plaintext_len()
    }
}

impl<W: Write> Write for SealWriter<W> {
    /// Takes plaintext. Bytes of the message go to the inner writer in groups of about half a MiB.
    fn write(&mut self, plaintext: &[u8]) -> io::Result<usize> {
        self.drain()?;
        Ok(self.machine.push(plaintext)?)
    }

    /// Writes every full 16 KiB chunk and flushes the inner writer. The rest of the plaintext stays here until
    /// its chunk is full or the message is finished: a chunk cut short would be the end of the message.
    fn flush(&mut self) -> io::Result<()> {
        self.machine.flush();
        self.drain()?;
        self.inner.flush()
    }
}

impl<W> fmt::Debug for SealWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealWriter").field("machine", &self.machine).finish_non_exhaustive()
    }
}

/// Reads once, into as many of the spaces as one call takes.
pub(super) fn read_into<'a, R: Read + ?Sized>(
    reader: &mut R,
    spaces: impl Iterator<Item = &'a mut [u8]>,
) -> io::Result<usize> {
    let mut rooms: [_; GROUP_CHUNKS] = std::array::from_fn(|_| IoSliceMut::new(&mut []));
    let mut count = 0;
    for (room, space) in rooms.iter_mut().zip(spaces) {
        *room = IoSliceMut::new(space);
        count += 1;
    }
    // A reader that knows nothing of vectors fills the first.
    reader.read_vectored(&mut rooms[..count])
}

/// Opens a message from `R`, in order.
///
/// Every byte it gives out is verified, and is at its place in the plaintext. Whether the message is *complete* is
/// known only at its end: act on streamed plaintext only after a read returned `Ok(0)`. A message that was cut off
/// ends in an error ([`io::ErrorKind::InvalidData`] with an [`OpenError`] inside), never in an end of file. For all
/// or nothing use [`crate::Kuvert::open_file`], or [`verify`](Self::verify) a first time.
///
/// Errors of the inner reader leave it intact; integrity errors are final, and wipe what is buffered.
pub struct OpenReader<R> {
    inner: R,
    cipher: ChunkCipher,
    machine: OpenMachine,
    report: OpenReport,
}

impl<R: Read> OpenReader<R> {
    pub(crate) fn new(inner: R, cipher: ChunkCipher, report: OpenReport) -> Self {
        Self { inner, cipher, machine: OpenMachine::starting_at(0), report }
    }

    /// Writes the rest of the plaintext to `writer`, without a copy in between, and says how many bytes that was.
    ///
    /// Like [`std::io::copy`], and faster; and unlike it, leaves no plaintext behind on the stack. `Ok` means that the
    /// message was complete.
    ///
    /// # Errors
    ///
    /// What reading, opening or writing fails with. Nothing is lost by an error of either side: call again.
    pub fn copy_to<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<u64> {
        copy_plaintext(self, writer)
    }

    /// Opens all that is left without giving it out: `Ok` means that the message is whole and untouched.
    ///
    /// # Errors
    ///
    /// [`OpenError::Truncated`], [`OpenError::Tampered`], or [`OpenError::Io`] when reading fails.
    pub fn verify(mut self) -> Result<OpenReport, OpenError> {
        self.copy_to(&mut io::sink()).map_err(unwrap_open_error)?;
        Ok(self.report())
    }

    fn refill(&mut self) -> io::Result<()> {
        let n = self.inner.read(self.machine.space())?;
        self.machine.filled(n);
        Ok(())
    }
}

impl<R> OpenReader<R> {
    /// What opening established so far; `plaintext_len` counts what was opened, and is the message's length once a
    /// read returned `Ok(0)`.
    #[must_use]
    pub fn report(&self) -> OpenReport {
        OpenReport { plaintext_len: self.machine.plaintext_len(), ..self.report.clone() }
    }

    /// Whether the last chunk was verified and everything was read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.machine.is_done()
    }

    /// Gives the inner reader back. It stands somewhere behind what was given out.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: Read> Read for OpenReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let direct = self.machine.open_into(&self.cipher, out)?;
            if direct > 0 {
                return Ok(direct);
            }
            self.machine.open_next(&self.cipher)?;
            let pending = self.machine.pending();
            if !pending.is_empty() {
                let n = pending.len().min(out.len());
                out[..n].copy_from_slice(&pending[..n]);
                self.machine.advance(n);
                return Ok(n);
            }
            if self.machine.is_done() {
                return Ok(0);
            }
            if self.machine.wants_input() {
                self.refill()?;
            }
        }
    }
}

impl<R: Read> OpenReader<R> {
    /// Reads and lets `open` open until there is plaintext; `None` at the end of the message.
    fn fill(&mut self, open: Open) -> io::Result<Option<&OpenMachine>> {
        loop {
            open(&mut self.machine, &self.cipher)?;
            if !self.machine.pending().is_empty() {
                return Ok(Some(&self.machine));
            }
            if self.machine.is_done() {
                return Ok(None);
            }
            if self.machine.wants_input() {
                self.refill()?;
            }
        }
    }
}

impl<R: Read> FillAll for OpenReader<R> {
    fn fill_all(&mut self) -> io::Result<Option<impl Iterator<Item = &[u8]>>> {
        Ok(self.fill(OpenMachine::open_all)?.map(OpenMachine::all_pending))
    }
}

impl<R: Read> BufRead for OpenReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.fill(OpenMachine::open_next)?.map_or(&[], OpenMachine::pending))
    }

    fn consume(&mut self, n: usize) {
        self.machine.advance(n);
    }
}

impl<R> fmt::Debug for OpenReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenReader").field("machine", &self.machine).finish_non_exhaustive()
    }
}

/// A reader that can be looked into.
pub(super) trait FillAll: BufRead {
    /// Reads and opens until there is plaintext, and shows all that there is, piece by piece; `None` at the end of the
    /// message.
    fn fill_all(&mut self) -> io::Result<Option<impl Iterator<Item = &[u8]>>>;
}

/// Copies from machine to writer until the end, and leaves the plaintext nowhere else.
pub(super) fn copy_plaintext<R, W>(reader: &mut R, writer: &mut W) -> io::Result<u64>
where
    R: FillAll,
    W: Write + ?Sized,
{
    let mut copied = 0;
    loop {
        let pending = match reader.fill_all() {
            Ok(Some(pending)) => pending,
            Ok(None) => return Ok(copied),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut pieces = [IoSlice::new(&[]); GROUP_CHUNKS];
        let mut count = 0;
        for (piece, plaintext) in pieces.iter_mut().zip(pending) {
            *piece = IoSlice::new(plaintext);
            count += 1;
        }
        // A writer that knows nothing of vectors takes the first.
        let written = writer.write_vectored(&pieces[..count]);
        match written {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                reader.consume(n);
                copied += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Takes our own error out of an [`io::Error`] that carried it.
pub(crate) fn unwrap_open_error(error: io::Error) -> OpenError {
    match error.downcast::<OpenError>() {
        Ok(ours) => ours,
        Err(other) => OpenError::Io(other),
    }
}

/// Takes our own error out of an [`io::Error`] that carried it.
pub(crate) fn unwrap_seal_error(error: io::Error) -> SealError {
    match error.downcast::<SealError>() {
        Ok(ours) => ours,
        Err(other) => SealError::Io(other),
    }
}

#[cfg(test)]
mod tests;
