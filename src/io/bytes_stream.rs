//! The machines under [`Stream`]s of [`Bytes`]: [`SealStream`], [`OpenStream`], and what is left of a stream behind a
//! message's start.
//!
//! Floor 4, feature `tokio`: knows neither a key provider nor a runtime. Nothing is buffered but one group of chunks and
//! the piece of the other stream that is being taken. [Section 3](crate::manual::format) of the format.

mod open;
mod rest;
mod seal;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use futures_core::Stream;

pub use self::{open::OpenStream, rest::StreamRest, seal::SealStream};

/// The piece of the other stream that was not taken whole yet.
#[derive(Default)]
struct Piece(Bytes);

impl Piece {
    /// Takes the next piece of `stream` if nothing is left of this one; `None` at the stream's end.
    fn poll_next<S, B, E>(
        &mut self,
        stream: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(), io::Error>>>
    where
        S: Stream<Item = Result<B, E>> + ?Sized,
        B: Into<Bytes>,
        E: Into<io::Error>,
    {
        if self.0.is_empty() {
            match ready!(stream.poll_next(cx)) {
                Some(Ok(piece)) => self.0 = piece.into(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(None),
            }
            if self.0.is_empty() {
                // However many empty pieces there are, other tasks run in between.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        Poll::Ready(Some(Ok(())))
    }

    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn advance(&mut self, n: usize) {
        self.0.advance(n);
    }

    /// Forgets the piece, and lets go of its memory.
    fn clear(&mut self) {
        self.0 = Bytes::new();
    }
}
