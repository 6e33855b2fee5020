//! [`AsyncSealWriter`]: an [`AsyncWrite`] that seals, over the same machine as the blocking writer.
//!
//! It only joins the inner writer to the loops of `sealing`; the machine decides what the bytes are.
//! [Section 3](crate::manual::format) of the format.

use std::{
    fmt,
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio::io::AsyncWrite;

use super::sealing::Sealing;
use crate::{error::SealError, io::SealReport, stream::parallel::ParallelSealMachine};

pin_project! {
    /// Seals what is written to it into `W`, as [`SealWriter`](crate::io::SealWriter) does for blocking writers.
    ///
    /// The message is complete only after [`finish`](Self::finish) or [`shutdown`] returned `Ok`. Dropping the writer
    /// without them leaves bytes that never open: a crash, a panic or a cancelled task cannot pass for a whole message.
    ///
    /// One poll seals at most 256 KiB, which takes less than 0.1 ms with AES instructions: no `spawn_blocking` needed.
    /// With [several threads](crate::Sealer::into_parallel_async_writer) it is half a MiB; dropping the writer then waits
    /// until they have put down what they have in hand, as long at most.
    /// Write large pieces, up to 256 KiB at once, where there is much to write: whole chunks are sealed straight from
    /// the caller's slice.
    ///
    /// `flush` writes every full 16 KiB chunk. The rest of the plaintext stays here until its chunk is full or the
    /// message ends: a chunk cut short would be the end of the message.
    ///
    /// An error of the inner writer leaves this writer intact, and the same call may be made again. Errors of sealing
    /// itself (a limit, a fork) end the message.
    ///
    /// # Cancel safety
    ///
    /// Bytes that `write` took stay taken, and nothing is written twice, whichever future is dropped at whichever
    /// await: call again. Only [`finish`](Self::finish) takes the writer with it; [`try_finish`](Self::try_finish) and
    /// [`shutdown`] do not. Of `write_all`, as ever, a dropped future does not tell how much it wrote.
    ///
    /// # Examples
    ///
    /// ```
    /// use kuvert::{EncryptionContext, Kuvert, provider::MemoryProvider};
    /// use tokio::io::AsyncWriteExt;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # kuvert::blocking::block_on(async {
    /// let kuvert = Kuvert::new(MemoryProvider::generate("2026-11")?);
    /// let context = EncryptionContext::new([("backup", "daily")])?;
    /// let mut out = kuvert.sealer(&context).await?.into_async_writer(Vec::new());
    /// out.write_all(b"all of it").await?;
    /// let (message, report) = out.finish().await?;
    /// assert_eq!(report.sealed_len, message.len() as u64);
    ///
    /// let mut out = kuvert.sealer(&context).await?.into_async_writer(Vec::new());
    /// out.write_all(b"not all of i").await?;
    /// let cut = out.abort();
    /// assert!(matches!(kuvert.open(&cut, &context).await, Err(kuvert::OpenError::Truncated(_))));
    /// # Ok(()) })? }
    /// ```
    ///
    /// [`shutdown`]: AsyncWrite::poll_shutdown
    #[must_use = "without `finish` the message is incomplete and never opens"]
    pub struct AsyncSealWriter<W> {
        #[pin]
        inner: W,
        sealing: Sealing<ParallelSealMachine>,
    }
}

impl<W: AsyncWrite> AsyncSealWriter<W> {
    /// `report` carries the header's length; the body's is added at the end.
    pub(crate) fn new(inner: W, machine: ParallelSealMachine, report: SealReport) -> Self {
        Self { inner, sealing: Sealing::new(machine, report) }
    }

    /// Ends the message: seals and writes its last chunk, and flushes the inner writer, without shutting it down.
    ///
    /// May be called again after an error of the inner writer, and after success, when it only reports again.
    ///
    /// # Errors
    ///
    /// [`SealError::Io`] when writing fails; [`SealError::Poisoned`] or [`SealError::Forked`] when the message
    /// cannot be completed any more.
    pub fn poll_finish(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<SealReport, SealError>> {
        let this = self.project();
        this.sealing.poll_finish(this.inner, cx)
    }

    /// [`poll_finish`](Self::poll_finish) as a future.
    ///
    /// # Errors
    ///
    /// As [`poll_finish`](Self::poll_finish).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: call again.
    pub async fn try_finish(&mut self) -> Result<SealReport, SealError>
    where
        W: Unpin,
    {
        poll_fn(|cx| Pin::new(&mut *self).poll_finish(cx)).await
    }

    /// Ends the message and gives the inner writer back, flushed, neither shut down nor synced: call `sync_all` on a
    /// file.
    ///
    /// # Errors
    ///
    /// As [`poll_finish`](Self::poll_finish), after which the inner writer is dropped; use
    /// [`try_finish`](Self::try_finish) to try again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the writer, and what the inner one holds by then may never open.
    pub async fn finish(mut self) -> Result<(W, SealReport), SealError>
    where
        W: Unpin,
    {
        let report = self.try_finish().await?;
        Ok((self.inner, report))
    }
}

impl<W> AsyncSealWriter<W> {
    /// Gives the inner writer back without ending the message: what it holds by then never opens.
    pub fn abort(mut self) -> W {
        self.sealing.machine.abort();
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

    /// The inner writer, pinned. Writing to it breaks the message.
    pub fn inner_pin_mut(self: Pin<&mut Self>) -> Pin<&mut W> {
        self.project().inner
    }

    /// Bytes of plaintext taken so far.
    pub fn plaintext_len(&self) -> u64 {
        self.sealing.machine.plaintext_len()
    }
}

impl<W: AsyncWrite> AsyncWrite for AsyncSealWriter<W> {
    /// Takes plaintext. Bytes of the message go to the inner writer in groups of 256 KiB.
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, plaintext: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.sealing.poll_write(this.inner, cx, plaintext)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.sealing.poll_write_vectored(this.inner, cx, pieces)
    }

    /// Many small pieces are taken at once, by one chunk.
    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Writes every full chunk and flushes the inner writer.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        this.sealing.poll_flush(this.inner, cx)
    }

    /// Ends the message and shuts the inner writer down. May be called again, and `flush` before, meanwhile and after.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        this.sealing.poll_shutdown(this.inner, cx)
    }
}

impl<W> fmt::Debug for AsyncSealWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncSealWriter").field("machine", &self.sealing.machine).finish_non_exhaustive()
    }
}
