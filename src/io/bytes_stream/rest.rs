//! [`StreamRest`]: what is left of a stream behind a message's start.
//!
//! A start ends anywhere in a piece of the stream, so the rest is the rest of that piece and the stream itself. While
//! the start is read, it is an [`AsyncRead`]; what the bytes mean is not its business.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use tokio::io::{AsyncRead, ReadBuf};

use super::Piece;

pin_project_lite::pin_project! {
    /// A stream of bytes of which the first were taken: from [`MessageStart::read_stream`](crate::MessageStart::read_stream).
    pub struct StreamRest<S> {
        piece: Piece,
        #[pin]
        stream: S,
        ended: bool,
    }
}

impl<S> StreamRest<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { piece: Piece::default(), stream, ended: false }
    }

    /// Reads from the stream instead of taking its pieces.
    pub(crate) fn as_reader(&mut self) -> RestReader<'_, S> {
        RestReader(self)
    }
}

impl<S, B, E> Stream for StreamRest<S>
where
    S: Stream<Item = Result<B, E>>,
    B: Into<Bytes>,
    E: Into<io::Error>,
{
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.project();
        if *this.ended {
            return Poll::Ready(None);
        }
        let next = ready!(this.piece.poll_next(this.stream, cx));
        *this.ended = next.is_none();
        Poll::Ready(next.map(|result| result.map(|()| std::mem::take(&mut this.piece.0))))
    }
}

impl<S> fmt::Debug for StreamRest<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamRest").field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// Reads no byte more than it is asked for.
pub(crate) struct RestReader<'a, S>(&'a mut StreamRest<S>);

impl<S, B, E> AsyncRead for RestReader<'_, S>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: Into<Bytes>,
    E: Into<io::Error>,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &mut *self.0;
        if rest.ended {
            return Poll::Ready(Ok(()));
        }
        match ready!(rest.piece.poll_next(Pin::new(&mut rest.stream), cx)) {
            Some(Ok(())) => {
                let n = out.remaining().min(rest.piece.bytes().len());
                out.put_slice(&rest.piece.bytes()[..n]);
                rest.piece.advance(n);
            }
            Some(Err(error)) => return Poll::Ready(Err(error)),
            None => rest.ended = true,
        }
        Poll::Ready(Ok(()))
    }
}
