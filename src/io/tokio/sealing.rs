//! The loops of a writer that seals: drain, push, flush, finish, shut down.
//!
//! Output is written before input is taken, and a byte counts as written when the inner writer said so: whatever
//! poll is the last one before a task is dropped, the next call goes on from there.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::AsyncWrite;

use super::{machine::PollSeal, retried};
use crate::{error::SealError, format::body::body_len, io::SealReport};

/// A machine that seals, and how far its writer is.
pub(in crate::io) struct Sealing<M> {
    pub(in crate::io) machine: M,
    report: SealReport,
    /// The inner writer was shut down, and is not to be touched again.
    shut_down: bool,
}

impl<M: PollSeal> Sealing<M> {
    /// `report` carries the header's length; the body's is added at the end.
    pub(in crate::io) fn new(machine: M, report: SealReport) -> Self {
        Self { machine, report, shut_down: false }
    }

    /// Takes plaintext, after all output is written.
    pub(in crate::io) fn poll_write<W: AsyncWrite + ?Sized>(
        &mut self,
        mut inner: Pin<&mut W>,
        cx: &mut Context<'_>,
        plaintext: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_drain(inner.as_mut(), cx))?;
            let taken = ready!(self.machine.poll_push(cx, plaintext))?;
            if taken > 0 || plaintext.is_empty() {
                return Poll::Ready(Ok(taken));
            }
        }
    }

    /// The same for several pieces at once.
    pub(in crate::io) fn poll_write_vectored<W: AsyncWrite + ?Sized>(
        &mut self,
        mut inner: Pin<&mut W>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some(first) = pieces.iter().position(|piece| !piece.is_empty()) else {
            return self.poll_write(inner, cx, &[]);
        };
        let mut total = ready!(self.poll_write(inner.as_mut(), cx, &pieces[first]))?;
        let mut is_whole = total == pieces[first].len();
        for piece in &pieces[first + 1..] {
            if !is_whole {
                break;
            }
            // What was taken is the caller's to know: a machine that has to wait now is asked again next time.
            let Poll::Ready(taken) = self.machine.poll_push(cx, piece) else { break };
            let taken = taken?;
            total += taken;
            is_whole = taken == piece.len();
        }
        Poll::Ready(Ok(total))
    }

    /// Writes every full chunk, and flushes the inner writer.
    pub(in crate::io) fn poll_flush<W: AsyncWrite + ?Sized>(
        &mut self,
        mut inner: Pin<&mut W>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.shut_down {
            return Poll::Ready(Ok(()));
        }
        self.machine.flush()?;
        ready!(self.poll_drain(inner.as_mut(), cx))?;
        poll_flush_inner(inner, cx)
    }

    /// Ends the message: writes its last chunk, and flushes the inner writer.
    pub(in crate::io) fn poll_finish<W: AsyncWrite + ?Sized>(
        &mut self,
        mut inner: Pin<&mut W>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<SealReport, SealError>> {
        if !self.shut_down {
            self.machine.finish()?;
            ready!(self.poll_drain(inner.as_mut(), cx)).map_err(seal_error)?;
            ready!(poll_flush_inner(inner, cx))?;
        }
        let plaintext_len = self.machine.plaintext_len();
        let sealed_len = self.report.sealed_len + body_len(plaintext_len);
        Poll::Ready(Ok(SealReport { plaintext_len, sealed_len, ..self.report.clone() }))
    }

    /// Ends the message and shuts the inner writer down; once that has happened, does nothing.
    pub(in crate::io) fn poll_shutdown<W: AsyncWrite + ?Sized>(
        &mut self,
        mut inner: Pin<&mut W>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.shut_down {
            return Poll::Ready(Ok(()));
        }
        self.machine.finish()?;
        ready!(self.poll_drain(inner.as_mut(), cx))?;
        // Shutting down flushes as well, by the trait's contract.
        let result = ready!(inner.poll_shutdown(cx));
        ready!(retried(result, cx))?;
        self.shut_down = true;
        Poll::Ready(Ok(()))
    }

    fn poll_drain<W: AsyncWrite + ?Sized>(
        &mut self,
        mut inner: Pin<&mut W>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let output = ready!(self.machine.poll_output(cx))?;
            if output.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let result = ready!(inner.as_mut().poll_write(cx, output));
            match ready!(retried(result, cx))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.machine.advance(n),
            }
        }
    }
}

fn poll_flush_inner<W: AsyncWrite + ?Sized>(
    inner: Pin<&mut W>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let result = ready!(inner.poll_flush(cx));
    retried(result, cx)
}

/// Takes our own error out of an [`io::Error`] that carried it.
fn seal_error(error: io::Error) -> SealError {
    crate::io::unwrap_seal_error(error)
}
