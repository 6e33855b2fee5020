//! Sealers and openers under tokio's traits, and starts read from them.
//!
//! Feature `tokio`. It reads a start through the same collector as the blocking readers do, and hands the same machines
//! to [`crate::io`]. [Section 7](crate::manual::format) of the format.

use std::{future::poll_fn, io::SeekFrom, pin::Pin};

use bytes::Bytes;
use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncSeek, AsyncWrite};

use super::{MessageStart, Opener, Sealer, StartReader, start::collector::Collector};
use crate::{
    error::OpenError,
    io::{
        AsyncOpenReader, AsyncSealWriter, AsyncSeekReader, OpenStream, SealStream, StreamRest, Threads,
        poll_read_into, seek_async,
    },
    limits::MAX_HEADER_LEN,
    stream::parallel::ParallelOpenMachine,
};

impl Sealer {
    /// Seals what is written to the returned writer into `writer`: [`into_writer`](Self::into_writer) for tokio.
    ///
    /// Feature `tokio`.
    pub fn into_async_writer<W: AsyncWrite>(self, writer: W) -> AsyncSealWriter<W> {
        self.into_parallel_async_writer(writer, Threads::ONE)
    }

    /// As [`into_async_writer`](Self::into_async_writer), with the work done by several threads beside the runtime's,
    /// which the writer has for itself: the same bytes, sooner. They are started when more than 64 MiB have come.
    ///
    /// Feature `tokio`.
    pub fn into_parallel_async_writer<W: AsyncWrite>(
        self,
        writer: W,
        threads: Threads,
    ) -> AsyncSealWriter<W> {
        let (machine, report) = self.into_parallel_machine(threads);
        AsyncSealWriter::new(writer, machine, report)
    }

    /// Seals a stream of plaintext into a stream of the message's bytes.
    ///
    /// With [`Layout::Detached`](crate::Layout::Detached) they are the body's; store [`header`](Self::header) first.
    ///
    /// Feature `tokio`.
    pub fn into_stream<S, B, E>(self, plaintext: S) -> SealStream<S>
    where
        S: Stream<Item = Result<B, E>>,
        B: Into<Bytes>,
        E: Into<std::io::Error>,
    {
        let (machine, report) = self.into_machine();
        SealStream::new(plaintext, machine, report)
    }
}

impl Opener {
    /// Opens from `reader`, which stands on the first chunk, in order: [`into_reader`](Self::into_reader) for tokio.
    ///
    /// Feature `tokio`.
    pub fn into_async_reader<R: AsyncRead>(self, reader: R) -> AsyncOpenReader<R> {
        self.into_parallel_async_reader(reader, Threads::ONE)
    }

    /// As [`into_async_reader`](Self::into_async_reader), with the work done by several threads beside the runtime's,
    /// which the reader has for itself. They are started when more than 64 MiB have come.
    ///
    /// Feature `tokio`.
    pub fn into_parallel_async_reader<R: AsyncRead>(self, reader: R, threads: Threads) -> AsyncOpenReader<R> {
        let (cipher, report) = self.into_cipher();
        AsyncOpenReader::new(reader, ParallelOpenMachine::new(cipher, threads.plan()), report)
    }

    /// Opens from `reader`, which stands on the first chunk, at any position: [`into_seekable`](Self::into_seekable)
    /// for tokio.
    ///
    /// Feature `tokio`.
    ///
    /// # Errors
    ///
    /// As [`into_seekable`](Self::into_seekable).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops opener and reader.
    pub async fn into_async_seekable<R>(self, reader: R) -> Result<AsyncSeekReader<R>, OpenError>
    where
        R: AsyncRead + AsyncSeek + Unpin,
    {
        let lazy = self.options().lazy_length;
        let (cipher, report) = self.into_cipher();
        AsyncSeekReader::new(reader, cipher, report, lazy).await
    }

    /// Opens a stream of the message's bytes, from the first chunk on, into a stream of plaintext.
    ///
    /// Feature `tokio`.
    pub fn into_stream<S, B, E>(self, sealed: S) -> OpenStream<S>
    where
        S: Stream<Item = Result<B, E>>,
        B: Into<Bytes>,
        E: Into<std::io::Error>,
    {
        let (cipher, report) = self.into_cipher();
        OpenStream::new(sealed, cipher, report)
    }
}

/// # With feature `tokio`
impl MessageStart {
    /// [`read`](Self::read) from an [`AsyncRead`].
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses what was read until then: the source stands somewhere in the start.
    pub async fn read_async<R>(reader: &mut R) -> Result<Self, OpenError>
    where
        R: AsyncRead + Unpin + ?Sized,
    {
        Self::within(MAX_HEADER_LEN).read_async(reader).await
    }

    /// [`read_seekable`](Self::read_seekable) from an [`AsyncRead`] that seeks.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the source standing anywhere.
    pub async fn read_seekable_async<R>(reader: &mut R) -> Result<Self, OpenError>
    where
        R: AsyncRead + AsyncSeek + Unpin + ?Sized,
    {
        Self::within(MAX_HEADER_LEN).read_seekable_async(reader).await
    }

    /// [`read_detached`](Self::read_detached) from two [`AsyncRead`]s.
    ///
    /// # Errors
    ///
    /// As [`read_detached`](Self::read_detached).
    ///
    /// # Cancel safety
    ///
    /// As [`read_async`](Self::read_async).
    pub async fn read_detached_async<H, B>(header: &mut H, body: &mut B) -> Result<Self, OpenError>
    where
        H: AsyncRead + Unpin + ?Sized,
        B: AsyncRead + Unpin + ?Sized,
    {
        Self::within(MAX_HEADER_LEN).read_detached_async(header, body).await
    }

    /// [`read_detached_seekable`](Self::read_detached_seekable) from an [`AsyncRead`] and one that seeks.
    ///
    /// # Errors
    ///
    /// As [`read_detached`](Self::read_detached).
    ///
    /// # Cancel safety
    ///
    /// As [`read_seekable_async`](Self::read_seekable_async).
    pub async fn read_detached_seekable_async<H, B>(header: &mut H, body: &mut B) -> Result<Self, OpenError>
    where
        H: AsyncRead + Unpin + ?Sized,
        B: AsyncRead + AsyncSeek + Unpin + ?Sized,
    {
        Self::within(MAX_HEADER_LEN).read_detached_seekable_async(header, body).await
    }

    /// Reads from a stream of bytes, and gives back the rest of it, which begins with the first chunk and goes into
    /// [`Opener::into_stream`].
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    ///
    /// # Examples
    ///
    /// See [`OpenStream`].
    pub async fn read_stream<S, B, E>(sealed: S) -> Result<(Self, StreamRest<S>), OpenError>
    where
        S: Stream<Item = Result<B, E>> + Unpin,
        B: Into<Bytes>,
        E: Into<std::io::Error>,
    {
        Self::within(MAX_HEADER_LEN).read_stream(sealed).await
    }
}

/// # With feature `tokio`
impl StartReader {
    /// [`MessageStart::read_async`] under this limit.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn read_async<R>(&self, reader: &mut R) -> Result<MessageStart, OpenError>
    where
        R: AsyncRead + Unpin + ?Sized,
    {
        let mut start = self.header_async(reader, false).await?;
        fill(&mut start, reader, Collector::is_done).await?;
        start.parse(None)
    }

    /// [`MessageStart::read_seekable_async`] under this limit.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn read_seekable_async<R>(&self, reader: &mut R) -> Result<MessageStart, OpenError>
    where
        R: AsyncRead + AsyncSeek + Unpin + ?Sized,
    {
        let rest = rest_len(reader).await?;
        let mut start = self.header_async(reader, false).await?;
        let body_len = rest.saturating_sub(start.header_len() as u64);
        fill(&mut start, reader, Collector::is_done).await?;
        start.parse(Some(body_len))
    }

    /// [`MessageStart::read_detached_async`] under this limit.
    ///
    /// # Errors
    ///
    /// As [`read_detached`](Self::read_detached).
    pub async fn read_detached_async<H, B>(
        &self,
        header: &mut H,
        body: &mut B,
    ) -> Result<MessageStart, OpenError>
    where
        H: AsyncRead + Unpin + ?Sized,
        B: AsyncRead + Unpin + ?Sized,
    {
        let mut start = self.header_async(header, true).await?;
        fill(&mut start, body, Collector::is_done).await?;
        start.parse(None)
    }

    /// [`MessageStart::read_detached_seekable_async`] under this limit.
    ///
    /// # Errors
    ///
    /// As [`read_detached`](Self::read_detached).
    pub async fn read_detached_seekable_async<H, B>(
        &self,
        header: &mut H,
        body: &mut B,
    ) -> Result<MessageStart, OpenError>
    where
        H: AsyncRead + Unpin + ?Sized,
        B: AsyncRead + AsyncSeek + Unpin + ?Sized,
    {
        let mut start = self.header_async(header, true).await?;
        let body_len = rest_len(body).await?;
        fill(&mut start, body, Collector::is_done).await?;
        start.parse(Some(body_len))
    }

    /// [`MessageStart::read_stream`] under this limit.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn read_stream<S, B, E>(&self, sealed: S) -> Result<(MessageStart, StreamRest<S>), OpenError>
    where
        S: Stream<Item = Result<B, E>> + Unpin,
        B: Into<Bytes>,
        E: Into<std::io::Error>,
    {
        let mut rest = StreamRest::new(sealed);
        let start = self.read_async(&mut rest.as_reader()).await?;
        Ok((start, rest))
    }

    async fn header_async<R>(&self, reader: &mut R, body_beside: bool) -> Result<Collector, OpenError>
    where
        R: AsyncRead + Unpin + ?Sized,
    {
        let mut start = Collector::new(self.max_header_len, body_beside);
        fill(&mut start, reader, Collector::has_header).await?;
        Ok(start)
    }
}

/// Reads until that is here.
async fn fill<R>(
    start: &mut Collector,
    reader: &mut R,
    is_here: fn(&Collector) -> bool,
) -> Result<(), OpenError>
where
    R: AsyncRead + Unpin + ?Sized,
{
    while !is_here(start) {
        let n = poll_fn(|cx| poll_read_into(Pin::new(&mut *reader), cx, start.room())).await?;
        start.filled(n)?;
    }
    Ok(())
}

async fn rest_len<R: AsyncSeek + Unpin + ?Sized>(reader: &mut R) -> Result<u64, OpenError> {
    let here = seek_async(reader, SeekFrom::Current(0)).await?;
    let end = seek_async(reader, SeekFrom::End(0)).await?;
    seek_async(reader, SeekFrom::Start(here)).await?;
    Ok(end.saturating_sub(here))
}
