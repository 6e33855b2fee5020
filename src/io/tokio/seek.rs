//! [`AsyncSeekReader`]: [`AsyncRead`], [`AsyncBufRead`] and [`AsyncSeek`] over a message's plaintext.
//!
//! It joins a source that seeks to the same position as the blocking reader, which knows what to do and does no I/O.
//! [Section 8](crate::manual::format).

use std::{
    fmt,
    future::poll_fn,
    io::{self, SeekFrom},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

use super::{
    copy::{PollFill, poll_copy},
    poll_read_into, retried,
};
use crate::{
    error::OpenError,
    io::{
        OpenReport,
        random_access::position::{Position, Step},
        unwrap_open_error,
    },
    stream::{
        chunk::ChunkCipher,
        open::{Open, OpenMachine},
    },
};

/// Opens a message from a source that seeks: [`AsyncRead`], [`AsyncBufRead`] and [`AsyncSeek`] over its plaintext, as
/// [`SeekReader`](crate::io::SeekReader) for blocking sources.
///
/// A seek costs nothing until the next read; only one that counts from the end of a lazy reader verifies the length
/// first. Reading on from there gives verified bytes, and an end of file only after the last chunk was verified.
/// Seeking behind the end is allowed, as in a file; reading there gives nothing.
///
/// One poll opens at most 256 KiB.
///
/// # Cancel safety
///
/// Whichever future is dropped at whichever await, nothing is lost: the next call goes on from there. A seek from the
/// end that was begun and not awaited happens before whatever comes next.
///
/// # Examples
///
/// ```
/// use std::io::{Cursor, SeekFrom};
/// use kuvert::{EncryptionContext, Kuvert, MessageStart, provider::MemoryProvider};
/// use tokio::io::{AsyncReadExt, AsyncSeekExt};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # kuvert::blocking::block_on(async {
/// let kuvert = Kuvert::new(MemoryProvider::generate("2026-11")?);
/// let context = EncryptionContext::new([("backup", "daily")])?;
/// let message = kuvert.seal(b"all of it", &context).await?;
///
/// let mut source = Cursor::new(message); // or a `tokio::fs::File`
/// let start = MessageStart::read_seekable_async(&mut source).await?;
/// let opener = kuvert.opener(start, &context).await?;
/// let mut reader = opener.into_async_seekable(source).await?;
/// reader.seek(SeekFrom::End(-5)).await?;
/// let mut end = String::new();
/// reader.read_to_string(&mut end).await?;
/// assert_eq!(end, "of it");
/// assert!(reader.seek(SeekFrom::End(-10)).await.is_err());
/// # Ok(()) })? }
/// ```
pub struct AsyncSeekReader<R> {
    inner: R,
    position: Position,
    /// Where the source is on its way to: it must arrive before it is sent elsewhere.
    sent_to: Option<u64>,
    /// A seek that counts from the end, and waits for the length to be verified.
    from_end: Option<i64>,
}

impl<R: AsyncRead + AsyncSeek + Unpin> AsyncSeekReader<R> {
    /// `inner` stands on its first chunk; the length comes from its end, and is verified now unless `lazy`.
    pub(crate) async fn new(
        mut inner: R,
        cipher: ChunkCipher,
        report: OpenReport,
        lazy: bool,
    ) -> Result<Self, OpenError> {
        let base = seek_async(&mut inner, SeekFrom::Current(0)).await?;
        let end = seek_async(&mut inner, SeekFrom::End(0)).await?;
        let position = Position::new(cipher, report, base, end)?;
        let mut reader = Self { inner, position, sent_to: None, from_end: None };
        if !lazy {
            reader.verify_length().await?;
        }
        Ok(reader)
    }

    /// Bytes of plaintext, verified.
    ///
    /// # Errors
    ///
    /// What verifying the last chunk fails with, the first time and if the reader is lazy.
    pub async fn plaintext_len(&mut self) -> Result<u64, OpenError> {
        self.verify_length().await?;
        Ok(self.position.report().plaintext_len)
    }

    /// What opening established.
    ///
    /// # Errors
    ///
    /// As [`plaintext_len`](Self::plaintext_len).
    pub async fn report(&mut self) -> Result<OpenReport, OpenError> {
        self.verify_length().await?;
        Ok(self.position.report().clone())
    }

    /// Writes the plaintext from the present position on to `writer`, without a copy in between, flushes it at the
    /// end, and says how many bytes that was. `Ok` means that the message was complete from that position on.
    ///
    /// # Errors
    ///
    /// What reading, opening or writing fails with. Nothing is lost by an error of either side: call again.
    pub async fn copy_to<W: AsyncWrite + Unpin + ?Sized>(&mut self, writer: &mut W) -> io::Result<u64> {
        let mut written = 0;
        poll_fn(|cx| poll_copy(self, Pin::new(&mut *writer), cx, &mut written)).await
    }

    async fn verify_length(&mut self) -> Result<(), OpenError> {
        poll_fn(|cx| self.poll_go(cx, Position::length_step)).await.map_err(unwrap_open_error)
    }

    /// Takes steps until what they are for is there.
    fn poll_go(
        &mut self,
        cx: &mut Context<'_>,
        mut step: impl FnMut(&mut Position) -> Result<Step, OpenError>,
    ) -> Poll<io::Result<()>> {
        loop {
            match step(&mut self.position)? {
                Step::Seek(offset) => {
                    ready!(self.poll_send_to(cx, offset))?;
                    self.position.sought();
                }
                Step::Read => {
                    let n = ready!(poll_read_into(Pin::new(&mut self.inner), cx, self.position.space()))?;
                    self.position.filled(n);
                }
                Step::Ready => return Poll::Ready(Ok(())),
            }
        }
    }

    fn poll_send_to(&mut self, cx: &mut Context<'_>, offset: u64) -> Poll<io::Result<()>> {
        if self.sent_to != Some(offset) {
            // Whatever the source is busy with, an older seek or a read that nobody waits for, has to end first.
            let idle = ready!(Pin::new(&mut self.inner).poll_complete(cx));
            self.sent_to = None;
            ready!(retried(idle, cx))?;
            let started = Pin::new(&mut self.inner).start_seek(SeekFrom::Start(offset));
            ready!(retried(started, cx))?;
            self.sent_to = Some(offset);
        }
        let arrived = ready!(Pin::new(&mut self.inner).poll_complete(cx));
        self.sent_to = None;
        ready!(retried(arrived, cx))?;
        Poll::Ready(Ok(()))
    }

    /// Does the seek that counts from the end, if one is waiting.
    fn poll_seek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(delta) = self.from_end else { return Poll::Ready(Ok(())) };
        let verified = ready!(self.poll_go(cx, Position::length_step));
        self.from_end = None;
        verified?;
        self.position.seek(SeekFrom::End(delta))?;
        Poll::Ready(Ok(()))
    }

    fn poll_plaintext(&mut self, cx: &mut Context<'_>, open: Open) -> Poll<io::Result<Option<&OpenMachine>>> {
        ready!(self.poll_seek(cx))?;
        ready!(self.poll_go(cx, |position| position.fill_step(open)))?;
        Poll::Ready(Ok(self.position.filled_machine()))
    }
}

impl<R> AsyncSeekReader<R> {
    /// The inner source.
    pub fn inner(&self) -> &R {
        &self.inner
    }

    /// Gives the inner source back. It stands anywhere.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: AsyncRead + AsyncSeek + Unpin> PollFill for AsyncSeekReader<R> {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.poll_plaintext(cx, OpenMachine::open_all).map_ok(|machine| machine.is_some())
    }

    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.position.filled_machine().into_iter().flat_map(OpenMachine::all_pending)
    }

    fn consume(&mut self, n: usize) {
        self.position.consume(n);
    }
}

impl<R: AsyncRead + AsyncSeek + Unpin> AsyncBufRead for AsyncSeekReader<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let machine = ready!(self.get_mut().poll_plaintext(cx, OpenMachine::open_next))?;
        Poll::Ready(Ok(machine.map_or(&[], OpenMachine::pending)))
    }

    fn consume(mut self: Pin<&mut Self>, n: usize) {
        self.position.consume(n);
    }
}

impl<R: AsyncRead + AsyncSeek + Unpin> AsyncRead for AsyncSeekReader<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_seek(cx))?;
        if !self.position.is_at_end() {
            ready!(self.poll_go(cx, Position::settle_step))?;
            let direct = self.position.open_into(out.initialize_unfilled())?;
            if direct > 0 {
                out.advance(direct);
                return Poll::Ready(Ok(()));
            }
        }
        let machine = ready!(self.poll_plaintext(cx, OpenMachine::open_next))?;
        let available = machine.map_or(&[][..], OpenMachine::pending);
        let n = available.len().min(out.remaining());
        out.put_slice(&available[..n]);
        self.position.consume(n);
        Poll::Ready(Ok(()))
    }
}

impl<R: AsyncRead + AsyncSeek + Unpin> AsyncSeek for AsyncSeekReader<R> {
    /// Begins a seek; a refused one moves nothing. A newer one replaces one that was not awaited.
    fn start_seek(mut self: Pin<&mut Self>, target: SeekFrom) -> io::Result<()> {
        if let (SeekFrom::End(delta), false) = (target, self.position.is_length_verified()) {
            self.from_end = Some(delta);
            return Ok(());
        }
        if matches!(target, SeekFrom::Current(_)) && self.from_end.is_some() {
            return Err(OpenError::Usage("a seek from the end is under way: complete it first").into());
        }
        self.position.seek(target)?;
        self.from_end = None;
        Ok(())
    }

    fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        ready!(self.poll_seek(cx))?;
        Poll::Ready(Ok(self.position.get()))
    }
}

impl<R> fmt::Debug for AsyncSeekReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncSeekReader").field("position", &self.position.get()).finish_non_exhaustive()
    }
}

/// One seek of the source, from beginning to end.
pub(crate) async fn seek_async<R: AsyncSeek + Unpin + ?Sized>(
    source: &mut R,
    target: SeekFrom,
) -> io::Result<u64> {
    let mut is_sent = false;
    poll_fn(|cx| {
        if !is_sent {
            let idle = ready!(Pin::new(&mut *source).poll_complete(cx));
            ready!(retried(idle, cx))?;
            let started = Pin::new(&mut *source).start_seek(target);
            ready!(retried(started, cx))?;
            is_sent = true;
        }
        match ready!(Pin::new(&mut *source).poll_complete(cx)) {
            // Begun again: what was interrupted did not happen.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                is_sent = false;
                super::yield_now(cx)
            }
            result => Poll::Ready(result),
        }
    })
    .await
}
