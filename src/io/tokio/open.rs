//! [`AsyncOpenReader`]: an [`AsyncRead`] and [`AsyncBufRead`] that opens, over the same machine as the blocking reader.
//!
//! It only joins the inner reader to the loops of `opening`; the machine decides what may come out.
//! [Section 7](crate::manual::format) of the format.

use std::{
    fmt,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use super::{
    copy::{poll_copy, poll_skip},
    machine::HowMuch,
    opening::{Joined, Opening},
};
use crate::{
    error::OpenError,
    io::{OpenReport, unwrap_open_error},
    stream::parallel::ParallelOpenMachine,
};

pin_project! {
    /// Opens a message from `R`, in order, as [`OpenReader`](crate::io::OpenReader) does for blocking readers.
    ///
    /// Every byte it gives out is verified, and is at its place in the plaintext. Whether the message is *complete* is
    /// known only at its end: act on streamed plaintext only after a read gave no bytes. A message that was cut off
    /// ends in an error ([`io::ErrorKind::InvalidData`] with an [`OpenError`] inside), never in an end of file. For all
    /// or nothing [`verify`](Self::verify) a first time.
    ///
    /// One poll opens at most 256 KiB, which takes less than 0.1 ms with AES instructions: no `spawn_blocking` needed.
    /// Where a caller's buffer has room for whole chunks, they are opened straight into it.
    ///
    /// With [several threads](crate::Opener::into_parallel_async_reader) a poll opens half a MiB at most, and reads ahead
    /// as long as the source has something; dropping the reader then waits until the threads have put down what they
    /// have in hand.
    ///
    /// Errors of the inner reader leave it intact; integrity errors are final, and wipe what is buffered. Once the inner
    /// reader said that it has ended, it is not read again.
    ///
    /// # Cancel safety
    ///
    /// Whichever future is dropped at whichever await, nothing is lost: the next call goes on from there. Only the
    /// count of bytes that [`copy_to`](Self::copy_to) would have returned is gone.
    ///
    /// # Examples
    ///
    /// ```
    /// use kuvert::{EncryptionContext, Kuvert, MessageStart, provider::MemoryProvider};
    /// use tokio::io::AsyncReadExt;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # kuvert::blocking::block_on(async {
    /// let kuvert = Kuvert::new(MemoryProvider::generate("2026-11")?);
    /// let context = EncryptionContext::new([("backup", "daily")])?;
    /// let message = kuvert.seal(b"all of it", &context).await?;
    ///
    /// let mut source = message.as_slice(); // or a socket, or a `tokio::fs::File`
    /// let start = MessageStart::read_async(&mut source).await?;
    /// let mut reader = kuvert.opener(start, &context).await?.into_async_reader(source);
    /// let mut plaintext = Vec::new();
    /// reader.read_to_end(&mut plaintext).await?;
    /// assert_eq!(plaintext, b"all of it");
    ///
    /// let mut source = &message[..message.len() - 1];
    /// let start = MessageStart::read_async(&mut source).await?;
    /// let mut reader = kuvert.opener(start, &context).await?.into_async_reader(source);
    /// let error = reader.read_to_end(&mut plaintext).await.unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    /// # Ok(()) })? }
    /// ```
    pub struct AsyncOpenReader<R> {
        #[pin]
        inner: R,
        opening: Opening<ParallelOpenMachine>,
    }
}

impl<R: AsyncRead> AsyncOpenReader<R> {
    pub(crate) fn new(inner: R, machine: ParallelOpenMachine, report: OpenReport) -> Self {
        Self { inner, opening: Opening::new(machine, report) }
    }

    /// Writes the rest of the plaintext to `writer`, without a copy in between, flushes it at the end, and says how
    /// many bytes that was.
    ///
    /// Like `tokio::io::copy`, and faster; and unlike it, leaves no plaintext behind in a buffer of its own. `Ok` means
    /// that the message was complete.
    ///
    /// # Errors
    ///
    /// What reading, opening or writing fails with. Nothing is lost by an error of either side: call again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing but the count: call again.
    pub async fn copy_to<W>(&mut self, writer: &mut W) -> io::Result<u64>
    where
        R: Unpin,
        W: AsyncWrite + Unpin + ?Sized,
    {
        let mut written = 0;
        poll_fn(|cx| {
            let mut source = Joined { opening: &mut self.opening, inner: Pin::new(&mut self.inner) };
            poll_copy(&mut source, Pin::new(&mut *writer), cx, &mut written)
        })
        .await
    }

    /// Opens all that is left without giving it out: `Ok` means that the message is whole and untouched.
    ///
    /// # Errors
    ///
    /// [`OpenError::Truncated`], [`OpenError::Tampered`], or [`OpenError::Io`] when reading fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: call again.
    pub async fn verify(&mut self) -> Result<OpenReport, OpenError>
    where
        R: Unpin,
    {
        let skipped = poll_fn(|cx| {
            let mut source = Joined { opening: &mut self.opening, inner: Pin::new(&mut self.inner) };
            poll_skip(&mut source, cx)
        });
        skipped.await.map_err(unwrap_open_error)?;
        Ok(self.report())
    }
}

impl<R> AsyncOpenReader<R> {
    /// What opening established so far; `plaintext_len` counts what was opened, and is the message's length once a
    /// read gave no bytes.
    #[must_use]
    pub fn report(&self) -> OpenReport {
        self.opening.report()
    }

    /// Whether the last chunk was verified and everything was read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.opening.machine.is_done()
    }

    /// The inner reader.
    pub fn inner(&self) -> &R {
        &self.inner
    }

    /// Gives the inner reader back. It stands somewhere behind what was given out.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: AsyncRead> AsyncRead for AsyncOpenReader<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        this.opening.poll_read(this.inner, cx, out)
    }
}

impl<R: AsyncRead> AsyncBufRead for AsyncOpenReader<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.project();
        ready!(this.opening.poll_fill(this.inner, cx, HowMuch::Chunk))?;
        Poll::Ready(Ok(this.opening.machine.pending()))
    }

    fn consume(self: Pin<&mut Self>, n: usize) {
        self.project().opening.machine.advance(n);
    }
}

impl<R> fmt::Debug for AsyncOpenReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncOpenReader").field("report", &self.report()).finish_non_exhaustive()
    }
}
