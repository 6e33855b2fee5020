//! [`SealStream`]: a stream of plaintext in, a stream of a message's bytes out.
//!
//! It joins a stream to the sealing machine, which decides what the bytes are. [Section 3](crate::manual::format) of the
//! format.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::{Stream, stream::FusedStream};

use super::Piece;
use crate::{error::SealError, format::body::body_len, io::SealReport, stream::seal::SealMachine};

pin_project_lite::pin_project! {
    /// Seals a stream of plaintext into a stream of the message's bytes, in pieces of at most 256 KiB (262 400 bytes),
    /// or of the header.
    ///
    /// The message is complete when the stream has ended by itself: the last chunk is sealed after the other stream
    /// ended, and not before. An error of the other stream comes out as it is and ends this one, and what came out
    /// before it never opens. After the end or an error there is nothing more.
    ///
    /// One poll seals at most 256 KiB, which takes less than 0.1 ms with AES instructions. At most that much is
    /// buffered, beside the piece of the other stream that is being taken.
    ///
    /// # Security
    ///
    /// The plaintext's pieces are the caller's, and are dropped and not wiped after they were sealed.
    ///
    /// # Cancel safety
    ///
    /// A future of `next` may be dropped and made again: nothing is lost. Dropping the stream leaves what came out of
    /// it incomplete: it never opens.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{pin::Pin, task::{Context, Poll}};
    /// use bytes::Bytes;
    /// use futures_core::Stream;
    /// use kuvert::{EncryptionContext, Kuvert, provider::MemoryProvider};
    ///
    /// # struct Pieces(Vec<&'static str>);
    /// # impl Stream for Pieces {
    /// #     type Item = std::io::Result<Bytes>;
    /// #     fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
    /// #         Poll::Ready(self.0.pop().map(|text| Ok(Bytes::from(text))))
    /// #     }
    /// # }
    /// # async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    /// #     std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
    /// # }
    /// # fn upload() -> Pieces { Pieces(vec!["of it", "all "]) }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # kuvert::blocking::block_on(async {
    /// let kuvert = Kuvert::new(MemoryProvider::generate("2026-11")?);
    /// let context = EncryptionContext::new([("upload", "42")])?;
    /// let mut sealed = kuvert.sealer(&context).await?.into_stream(upload());
    /// let mut message = Vec::new();
    /// while let Some(piece) = next(&mut sealed).await {
    ///     message.extend_from_slice(&piece?);
    /// }
    /// assert_eq!(sealed.report().map(|report| report.plaintext_len), Some(9));
    /// assert_eq!(kuvert.open(&message, &context).await?.as_slice(), b"all of it");
    /// # Ok(()) })? }
    /// ```
    #[must_use = "streams do nothing unless polled"]
    pub struct SealStream<S> {
        #[pin]
        plaintext: S,
        piece: Piece,
        machine: SealMachine,
        report: SealReport,
        state: State,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Sealing,
    /// The other stream has ended, and the last chunk is on its way.
    Ending,
    Complete,
    Failed,
}

impl<S> SealStream<S> {
    /// `report` carries the header's length; the body's is added at the end.
    pub(crate) fn new(plaintext: S, machine: SealMachine, report: SealReport) -> Self {
        Self { plaintext, piece: Piece::default(), machine, report, state: State::Sealing }
    }

    /// What the message consists of, once the stream has ended and the message is complete; `None` before that and
    /// after an error.
    #[must_use]
    pub fn report(&self) -> Option<SealReport> {
        let plaintext_len = self.machine.plaintext_len();
        let sealed_len = self.report.sealed_len + body_len(plaintext_len);
        (self.state == State::Complete).then(|| SealReport {
            plaintext_len,
            sealed_len,
            ..self.report.clone()
        })
    }
}

impl<S, B, E> Stream for SealStream<S>
where
    S: Stream<Item = Result<B, E>>,
    B: Into<Bytes>,
    E: Into<io::Error>,
{
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            if matches!(this.state, State::Complete | State::Failed) {
                return Poll::Ready(None);
            }
            if !this.machine.pending().is_empty() {
                let piece = Bytes::copy_from_slice(this.machine.pending());
                this.machine.advance(piece.len());
                return Poll::Ready(Some(Ok(piece)));
            }
            if *this.state == State::Ending {
                *this.state = State::Complete;
                continue;
            }
            let step = match ready!(this.piece.poll_next(this.plaintext.as_mut(), cx)) {
                Some(Ok(())) => this.machine.push(this.piece.bytes()).map(|taken| this.piece.advance(taken)),
                Some(Err(error)) => Err(SealError::Io(error)),
                None => {
                    *this.state = State::Ending;
                    this.machine.finish()
                }
            };
            if let Err(error) = step {
                this.machine.abort();
                this.piece.clear();
                *this.state = State::Failed;
                return Poll::Ready(Some(Err(error.into())));
            }
        }
    }
}

impl<S, B, E> FusedStream for SealStream<S>
where
    S: Stream<Item = Result<B, E>>,
    B: Into<Bytes>,
    E: Into<io::Error>,
{
    fn is_terminated(&self) -> bool {
        matches!(self.state, State::Complete | State::Failed)
    }
}

impl<S> fmt::Debug for SealStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealStream").field("state", &self.state).finish_non_exhaustive()
    }
}
