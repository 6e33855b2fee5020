//! What a machine is to the async adapters: the one of a single core, and the one of several.
//!
//! It knows no reader and no writer. Machines that work on the calling thread never return `Pending`; those that wait
//! for other threads do, and wake the task that polled last.

use std::task::{Context, Poll, ready};

use crate::{
    error::{OpenError, SealError},
    stream::{
        open::OpenMachine,
        parallel::{ParallelOpenMachine, ParallelSealMachine},
        seal::SealMachine,
    },
};

/// Plaintext in, a message out.
pub(in crate::io) trait PollSeal {
    /// Takes plaintext and says how much of it: nothing only if there is output to take first.
    ///
    /// `Pending` when there is neither room nor output yet.
    fn poll_push(&mut self, cx: &mut Context<'_>, plaintext: &[u8]) -> Poll<Result<usize, SealError>>;

    /// The bytes to write next. Empty when the machine wants input, or is done.
    ///
    /// `Pending` when something that was asked to come out (by a flush or the end) is not sealed yet.
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], SealError>>;

    /// Says that the first `n` bytes of the output were written.
    fn advance(&mut self, n: usize);

    /// Asks every full chunk to come out.
    fn flush(&mut self) -> Result<(), SealError>;

    /// Asks the last chunk to come out. May be called again; does nothing then.
    fn finish(&mut self) -> Result<(), SealError>;

    /// Bytes of plaintext taken so far.
    fn plaintext_len(&self) -> u64;
}

impl PollSeal for SealMachine {
    fn poll_push(&mut self, _: &mut Context<'_>, plaintext: &[u8]) -> Poll<Result<usize, SealError>> {
        Poll::Ready(self.push(plaintext))
    }

    fn poll_output(&mut self, _: &mut Context<'_>) -> Poll<Result<&[u8], SealError>> {
        Poll::Ready(Ok(self.pending()))
    }

    fn advance(&mut self, n: usize) {
        Self::advance(self, n);
    }

    fn flush(&mut self) -> Result<(), SealError> {
        Self::flush(self);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SealError> {
        Self::finish(self)
    }

    fn plaintext_len(&self) -> u64 {
        Self::plaintext_len(self)
    }
}

impl PollSeal for ParallelSealMachine {
    fn poll_push(&mut self, _: &mut Context<'_>, plaintext: &[u8]) -> Poll<Result<usize, SealError>> {
        // Without room there is output to take first, which is waited for there.
        Poll::Ready(self.push(plaintext))
    }

    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], SealError>> {
        ready!(self.poll_ready(Some(cx)))?;
        Poll::Ready(Ok(self.pending()))
    }

    fn advance(&mut self, n: usize) {
        Self::advance(self, n);
    }

    fn flush(&mut self) -> Result<(), SealError> {
        Self::flush(self)
    }

    fn finish(&mut self) -> Result<(), SealError> {
        Self::finish(self)
    }

    fn plaintext_len(&self) -> u64 {
        Self::plaintext_len(self)
    }
}

/// A message in, plaintext out.
pub(in crate::io) trait PollOpen {
    /// Room to read ciphertext into. Never empty while the machine [wants input](Self::wants_input).
    fn space(&mut self) -> &mut [u8];

    /// Says that `n` bytes of [`space`](Self::space) now hold ciphertext; 0 means that the input has ended.
    fn filled(&mut self, n: usize);

    /// Whether more ciphertext is needed, or welcome, before plaintext comes out.
    fn wants_input(&self) -> bool;

    /// Has everything that is here given out before more is asked for, because the source has no more at the moment.
    /// Says whether there is anything, or a verdict: then it is to be opened again before the task waits.
    fn deliver(&mut self) -> bool {
        false
    }

    /// Opens one chunk, or all that are here, if nothing is pending.
    ///
    /// `Ready` without plaintext means that the machine wants input or is done. `Pending` when only other threads can
    /// go on, which wake the task.
    fn poll_open(&mut self, cx: &mut Context<'_>, how_much: HowMuch) -> Poll<Result<(), OpenError>>;

    /// Opens as many full chunks as are here and fit, straight into `out`. 0 if there are none, or plaintext is
    /// pending; a machine that cannot do this says so always.
    fn open_into(&mut self, out: &mut [u8]) -> Result<usize, OpenError>;

    /// Verified plaintext that was not taken yet: one piece of it.
    fn pending(&self) -> &[u8];

    /// All the verified plaintext that was not taken yet, in order.
    fn all_pending(&self) -> impl Iterator<Item = &[u8]>;

    /// Says that the first `n` pending bytes were taken.
    fn advance(&mut self, n: usize);

    /// Whether the message was complete and all of it was taken.
    fn is_done(&self) -> bool;

    /// Bytes of plaintext opened so far.
    fn plaintext_len(&self) -> u64;
}

/// How much to open before it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::io) enum HowMuch {
    /// One chunk: what is opened is given out at once, or stays in the cache of the processor.
    Chunk,
    /// Every chunk that is here.
    All,
}

impl PollOpen for ParallelOpenMachine {
    fn space(&mut self) -> &mut [u8] {
        Self::space(self)
    }

    fn filled(&mut self, n: usize) {
        Self::filled(self, n);
    }

    fn wants_input(&self) -> bool {
        Self::wants_input(self)
    }

    fn deliver(&mut self) -> bool {
        Self::deliver(self)
    }

    fn poll_open(&mut self, cx: &mut Context<'_>, how_much: HowMuch) -> Poll<Result<(), OpenError>> {
        let open = match how_much {
            HowMuch::Chunk => OpenMachine::open_next,
            HowMuch::All => OpenMachine::open_all,
        };
        Self::poll_open(self, open, Some(cx))
    }

    fn open_into(&mut self, out: &mut [u8]) -> Result<usize, OpenError> {
        Self::open_into(self, out)
    }

    fn pending(&self) -> &[u8] {
        Self::pending(self)
    }

    fn all_pending(&self) -> impl Iterator<Item = &[u8]> {
        Self::all_pending(self)
    }

    fn advance(&mut self, n: usize) {
        Self::advance(self, n);
    }

    fn is_done(&self) -> bool {
        Self::is_done(self)
    }

    fn plaintext_len(&self) -> u64 {
        Self::plaintext_len(self)
    }
}
