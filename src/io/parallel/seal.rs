//! The writer.

use std::{
    fmt,
    io::{self, Read, Write},
};

use super::ready;
use crate::{
    error::SealError,
    format::body::body_len,
    io::{SealReport, blocking::read_into},
    stream::parallel::ParallelSealMachine,
};

/// Seals what is written to it into `W`, on several threads.
///
/// The bytes are those of a [`SealWriter`](super::super::SealWriter), and so is everything said there: only
/// [`finish`](Self::finish) ends a message, and an error of the inner writer leaves this one intact. The calling
/// thread works alone until 64 MiB have come, and takes its share from then on. Memory stays below 1 MiB for each
/// thread and 2 MiB more, however long the message is.
///
/// Dropping it waits for the threads to end what they have in hand, a fraction of a millisecond. In a forked child it
/// fails with [`SealError::Forked`]. A panic in one of its threads is an error that ends the message.
///
/// # Examples
///
/// ```
/// use kuvert::{EncryptionContext, Threads, blocking::Kuvert, provider::MemoryProvider};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let kuvert = Kuvert::new(MemoryProvider::generate("2026-11")?);
/// let context = EncryptionContext::new([("backup", "daily")])?;
/// let mut out = kuvert.sealer(&context)?.into_parallel_writer(Vec::new(), Threads::auto());
/// let mut dump = std::io::Read::take(std::io::repeat(7), 9_000_000);
/// out.copy_from(&mut dump)?;
/// let (message, report) = out.finish()?;
/// assert_eq!(report.plaintext_len, 9_000_000);
/// assert_eq!(kuvert.open(&message, &context)?.len(), 9_000_000);
/// # Ok(()) }
/// ```
#[must_use = "without `finish` the message is incomplete and never opens"]
pub struct ParallelSealWriter<W> {
    inner: W,
    machine: ParallelSealMachine,
    report: SealReport,
}

impl<W: Write> ParallelSealWriter<W> {
    /// `report` carries the header's length; the body's is added at the end.
    pub(crate) fn new(inner: W, machine: ParallelSealMachine, report: SealReport) -> Self {
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
    /// [`SealError::Io`] when writing fails or a thread panicked; [`SealError::Poisoned`] or [`SealError::Forked`]
    /// when the message cannot be completed any more.
    pub fn try_finish(&mut self) -> Result<SealReport, SealError> {
        self.machine.finish()?;
        self.drain().map_err(super::super::unwrap_seal_error)?;
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

    /// Writes what goes out next: all that is ready, and whatever must be out before more is taken.
    fn drain(&mut self) -> io::Result<()> {
        loop {
            ready(self.machine.poll_ready(None))?;
            if self.machine.pending().is_empty() {
                return Ok(());
            }
            match self.inner.write(self.machine.pending()) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.machine.advance(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl<W> ParallelSealWriter<W> {
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

impl<W: Write> Write for ParallelSealWriter<W> {
    /// Takes plaintext. Bytes of the message go to the inner writer in groups of about half a MiB.
    fn write(&mut self, plaintext: &[u8]) -> io::Result<usize> {
        self.drain()?;
        Ok(self.machine.push(plaintext)?)
    }

    /// Waits until every full 16 KiB chunk is sealed, writes them, and flushes the inner writer. The rest of the
    /// plaintext stays here until its chunk is full or the message is finished.
    fn flush(&mut self) -> io::Result<()> {
        self.machine.flush()?;
        self.drain()?;
        self.inner.flush()
    }
}

impl<W> fmt::Debug for ParallelSealWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParallelSealWriter").field("machine", &self.machine).finish_non_exhaustive()
    }
}
