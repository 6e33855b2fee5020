//! The loops of a reader that opens: read, fill, copy.
//!
//! Nothing is given out before its chunk is verified, and the inner reader is not asked again after it said that it
//! has ended: the machine wants no input from then on.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};

use super::{
    copy::PollFill,
    machine::{HowMuch, PollOpen},
    poll_read_into,
};
use crate::io::OpenReport;

/// A machine that opens, and what is known of its message.
pub(in crate::io) struct Opening<M> {
    pub(in crate::io) machine: M,
    report: OpenReport,
    /// An error of the inner reader that is told when everything before it was given out.
    failed: Option<io::Error>,
}

impl<M: PollOpen> Opening<M> {
    pub(in crate::io) fn new(machine: M, report: OpenReport) -> Self {
        Self { machine, report, failed: None }
    }

    /// What opening established so far.
    pub(in crate::io) fn report(&self) -> OpenReport {
        OpenReport { plaintext_len: self.machine.plaintext_len(), ..self.report.clone() }
    }

    /// Reads into `out`: whole chunks are opened straight into it, of others as much is copied as fits.
    pub(in crate::io) fn poll_read<R: AsyncRead + ?Sized>(
        &mut self,
        mut inner: Pin<&mut R>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            let direct = self.machine.open_into(out.initialize_unfilled())?;
            if direct > 0 {
                out.advance(direct);
                return Poll::Ready(Ok(()));
            }
            ready!(self.machine.poll_open(cx, HowMuch::Chunk))?;
            let pending = self.machine.pending();
            if !pending.is_empty() {
                let n = pending.len().min(out.remaining());
                out.put_slice(&pending[..n]);
                self.machine.advance(n);
                return Poll::Ready(Ok(()));
            }
            if self.machine.is_done() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_refill(inner.as_mut(), cx))?;
        }
    }

    /// Reads and opens until there is plaintext; `false` at the end of the message.
    pub(in crate::io) fn poll_fill<R: AsyncRead + ?Sized>(
        &mut self,
        mut inner: Pin<&mut R>,
        cx: &mut Context<'_>,
        how_much: HowMuch,
    ) -> Poll<io::Result<bool>> {
        loop {
            ready!(self.machine.poll_open(cx, how_much))?;
            if !self.machine.pending().is_empty() {
                return Poll::Ready(Ok(true));
            }
            if self.machine.is_done() {
                return Poll::Ready(Ok(false));
            }
            ready!(self.poll_refill(inner.as_mut(), cx))?;
        }
    }

    fn poll_refill<R: AsyncRead + ?Sized>(
        &mut self,
        inner: Pin<&mut R>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.machine.wants_input() {
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        match poll_read_into(inner, cx, self.machine.space()) {
            Poll::Ready(Ok(n)) => {
                self.machine.filled(n);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) if self.machine.deliver() => {
                self.failed = Some(error);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // Whoever waits for the answer to what is here must get it.
            Poll::Pending if self.machine.deliver() => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// A machine with its inner reader, for what is copied out of it.
pub(in crate::io) struct Joined<'a, R: ?Sized, M> {
    pub(in crate::io) opening: &'a mut Opening<M>,
    pub(in crate::io) inner: Pin<&'a mut R>,
}

impl<R: AsyncRead + ?Sized, M: PollOpen> PollFill for Joined<'_, R, M> {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.opening.poll_fill(self.inner.as_mut(), cx, HowMuch::All)
    }

    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.opening.machine.all_pending()
    }

    fn consume(&mut self, n: usize) {
        self.opening.machine.advance(n);
    }
}
