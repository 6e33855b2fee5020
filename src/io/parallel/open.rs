//! The reader.

use std::{
    fmt,
    io::{self, BufRead, Read, Write},
};

use super::ready;
use crate::{
    error::OpenError,
    io::{
        OpenReport,
        blocking::{FillAll, copy_plaintext, unwrap_open_error},
    },
    stream::{
        open::{Open, OpenMachine},
        parallel::ParallelOpenMachine,
    },
};

/// Opens a message from `R`, in order, on several threads.
///
/// What it gives out and when it fails is as for an [`OpenReader`](super::super::OpenReader): every byte is verified,
/// and the message is known to be *complete* only after a read returned `Ok(0)`. The calling thread works alone for
/// the first 64 MiB, and takes its share from then on. Memory stays below 1 MiB for each thread and 2 MiB more.
///
/// From then on it **reads ahead**, up to that much, as long as the source gives 64 KiB or more at a time; what
/// a slower one gave is handed out before it is asked again. Where the other side waits in the middle of a message
/// for an answer to it, use an [`OpenReader`](super::super::OpenReader).
///
/// Errors of the inner reader leave this one intact, and come after what was read before them. Integrity errors are
/// final, as are a panic in one of its threads and a fork. Dropping it waits for the threads to end what they have in
/// hand, a fraction of a millisecond.
///
/// # Examples
///
/// ```
/// use kuvert::{EncryptionContext, MessageStart, Threads, blocking::Kuvert, provider::MemoryProvider};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let kuvert = Kuvert::new(MemoryProvider::generate("2026-11")?);
/// let context = EncryptionContext::new([("backup", "daily")])?;
/// let mut message = kuvert.seal(&vec![7; 9_000_000], &context)?;
///
/// let mut source = message.as_slice();
/// let opener = kuvert.opener(MessageStart::read(&mut source)?, &context)?;
/// let mut plaintext = Vec::new();
/// opener.into_parallel_reader(source, Threads::auto()).copy_to(&mut plaintext)?;
/// assert_eq!(plaintext.len(), 9_000_000);
///
/// // Cut short: what is there comes out, and then an error instead of an end.
/// message.truncate(5_000_000);
/// let mut source = message.as_slice();
/// let opener = kuvert.opener(MessageStart::read(&mut source)?, &context)?;
/// assert!(opener.into_parallel_reader(source, Threads::auto()).verify().is_err());
/// # Ok(()) }
/// ```
pub struct ParallelOpenReader<R> {
    inner: R,
    machine: ParallelOpenMachine,
    report: OpenReport,
    /// An error of the inner reader that is told when everything before it was given out.
    failed: Option<io::Error>,
}

impl<R: Read> ParallelOpenReader<R> {
    pub(crate) fn new(inner: R, machine: ParallelOpenMachine, report: OpenReport) -> Self {
        Self { inner, machine, report, failed: None }
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

    /// Opens until there is plaintext, and says whether there is any left.
    fn fill(&mut self, open: Open) -> io::Result<bool> {
        loop {
            ready(self.machine.poll_open(open, None))?;
            if !self.machine.pending().is_empty() {
                return Ok(true);
            }
            if self.machine.is_done() {
                return Ok(false);
            }
            if self.machine.wants_input() {
                self.refill()?;
            }
        }
    }

    fn refill(&mut self) -> io::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let space = self.machine.space();
        let fast = space.len().min(FAST);
        match self.inner.read(space) {
            Ok(n) => {
                self.machine.filled(n);
                if n < fast {
                    self.machine.deliver();
                }
                Ok(())
            }
            Err(error) if error.kind() != io::ErrorKind::Interrupted && self.machine.deliver() => {
                self.failed = Some(error);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

impl<R> ParallelOpenReader<R> {
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

impl<R: Read> Read for ParallelOpenReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let direct = self.machine.open_into(out)?;
            if direct > 0 {
                return Ok(direct);
            }
            ready(self.machine.poll_open(OpenMachine::open_next, None))?;
            let mut copied = 0;
            for piece in self.machine.all_pending() {
                if copied == out.len() {
                    break;
                }
                let n = piece.len().min(out.len() - copied);
                out[copied..copied + n].copy_from_slice(&piece[..n]);
                copied += n;
            }
            if copied > 0 || self.machine.is_done() {
                self.machine.advance(copied);
                return Ok(copied);
            }
            if self.machine.wants_input() {
                self.refill()?;
            }
        }
    }
}

impl<R: Read> FillAll for ParallelOpenReader<R> {
    fn fill_all(&mut self) -> io::Result<Option<impl Iterator<Item = &[u8]>>> {
        Ok(self.fill(OpenMachine::open_all)?.then(|| self.machine.all_pending()))
    }
}

impl<R: Read> BufRead for ParallelOpenReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.fill(OpenMachine::open_next)?;
        Ok(self.machine.pending())
    }

    fn consume(&mut self, n: usize) {
        self.machine.advance(n);
    }
}

impl<R> fmt::Debug for ParallelOpenReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParallelOpenReader").field("machine", &self.machine).finish_non_exhaustive()
    }
}

/// A source that gives as much at a time has more: a full pipe gives exactly this.
const FAST: usize = 64 * 1024;
