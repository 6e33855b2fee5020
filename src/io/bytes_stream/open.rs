//! [`OpenStream`]: a stream of a message's bytes in, a stream of plaintext out.
//!
//! It joins a stream to the opening machine, which decides what may come out. [Section 7](crate::manual::format) of the
//! format.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::{Stream, stream::FusedStream};

use super::Piece;
use crate::{
    error::OpenError,
    io::OpenReport,
    stream::{chunk::ChunkCipher, open::OpenMachine},
};

pin_project_lite::pin_project! {
    /// Opens a stream of a message's bytes, from its first chunk on, into a stream of plaintext, in pieces of whole
    /// chunks and at most 256 KiB.
    ///
    /// Every byte that comes out is verified, and is at its place in the plaintext. Whether the message is *complete* is
    /// known only when the stream has ended by itself, and [`is_complete`](Self::is_complete) says so: act on streamed
    /// plaintext only then. A message that was cut off ends in an error ([`io::ErrorKind::InvalidData`] with an
    /// [`OpenError`] inside) and not in an end. An error of the other stream comes out as it is. After the end or the
    /// first error there is nothing more.
    ///
    /// One poll opens at most 256 KiB, which takes less than 0.1 ms with AES instructions. At most that much is
    /// buffered, beside the piece of the other stream that is being taken.
    ///
    /// # Security
    ///
    /// A piece of plaintext that was given out is the caller's: `Bytes` are not wiped when they are dropped. What stays
    /// in here is. Where that matters use [`AsyncOpenReader::copy_to`](crate::io::AsyncOpenReader::copy_to), or read
    /// into a buffer of your own.
    ///
    /// # Cancel safety
    ///
    /// A future of `next` may be dropped and made again: nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::{pin::Pin, task::{Context, Poll}};
    /// use bytes::Bytes;
    /// use futures_core::Stream;
    /// use kuvert::{EncryptionContext, Kuvert, MessageStart, provider::MemoryProvider};
    ///
    /// # struct Pieces(Vec<Bytes>);
    /// # impl Stream for Pieces {
    /// #     type Item = std::io::Result<Bytes>;
    /// #     fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
    /// #         Poll::Ready(self.0.pop().map(Ok))
    /// #     }
    /// # }
    /// # async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    /// #     std::future::poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
    /// # }
    /// # fn download(message: &Bytes) -> Pieces { Pieces(vec![message.slice(9..), message.slice(..9)]) }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # kuvert::blocking::block_on(async {
    /// let kuvert = Kuvert::new(MemoryProvider::generate("2026-11")?);
    /// let context = EncryptionContext::new([("upload", "42")])?;
    /// let message = Bytes::from(kuvert.seal(b"all of it", &context).await?);
    ///
    /// let (start, rest) = MessageStart::read_stream(download(&message)).await?;
    /// let mut plaintext = kuvert.opener(start, &context).await?.into_stream(rest);
    /// assert_eq!(next(&mut plaintext).await.unwrap()?, "all of it");
    /// assert!(next(&mut plaintext).await.is_none() && plaintext.is_complete());
    ///
    /// let cut = message.slice(..message.len() - 1);
    /// let (start, rest) = MessageStart::read_stream(download(&cut)).await?;
    /// let mut plaintext = kuvert.opener(start, &context).await?.into_stream(rest);
    /// assert!(next(&mut plaintext).await.unwrap().is_err());
    /// assert!(next(&mut plaintext).await.is_none() && !plaintext.is_complete());
    /// # Ok(()) })? }
    /// ```
    #[must_use = "streams do nothing unless polled"]
    pub struct OpenStream<S> {
        #[pin]
        sealed: S,
        piece: Piece,
        cipher: ChunkCipher,
        machine: OpenMachine,
        report: OpenReport,
        failed: bool,
    }
}

impl<S> OpenStream<S> {
    pub(crate) fn new(sealed: S, cipher: ChunkCipher, report: OpenReport) -> Self {
        let machine = OpenMachine::starting_at(0);
        Self { sealed, piece: Piece::default(), cipher, machine, report, failed: false }
    }

    /// What opening established so far; `plaintext_len` counts what was opened, and is the message's length once it
    /// [is complete](Self::is_complete).
    #[must_use]
    pub fn report(&self) -> OpenReport {
        OpenReport { plaintext_len: self.machine.plaintext_len(), ..self.report.clone() }
    }

    /// Whether the last chunk was verified and everything was given out.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.machine.is_done()
    }
}

impl<S, B, E> Stream for OpenStream<S>
where
    S: Stream<Item = Result<B, E>>,
    B: Into<Bytes>,
    E: Into<io::Error>,
{
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        loop {
            if *this.failed || this.machine.is_done() {
                return Poll::Ready(None);
            }
            // What is here of the other stream, as far as there is room for it.
            let room = this.machine.space();
            let taken = room.len().min(this.piece.bytes().len());
            if taken > 0 {
                room[..taken].copy_from_slice(&this.piece.bytes()[..taken]);
                this.piece.advance(taken);
                this.machine.filled(taken);
            }
            let step = if this.machine.wants_input() {
                match ready!(this.piece.poll_next(this.sealed.as_mut(), cx)) {
                    Some(next) => next.map_err(OpenError::Io),
                    None => {
                        this.machine.filled(0);
                        Ok(())
                    }
                }
            } else {
                this.machine.open_all(this.cipher)
            };
            if let Err(error) = step {
                *this.failed = true;
                this.piece.clear();
                return Poll::Ready(Some(Err(error.into())));
            }
            if !this.machine.pending().is_empty() {
                return Poll::Ready(Some(Ok(take_all(this.machine))));
            }
        }
    }
}

impl<S, B, E> FusedStream for OpenStream<S>
where
    S: Stream<Item = Result<B, E>>,
    B: Into<Bytes>,
    E: Into<io::Error>,
{
    fn is_terminated(&self) -> bool {
        self.failed || self.is_complete()
    }
}

/// All the plaintext that is pending, in one allocation of its length.
fn take_all(machine: &mut OpenMachine) -> Bytes {
    let len = machine.all_pending().map(<[u8]>::len).sum();
    let mut plaintext = Vec::with_capacity(len);
    machine.all_pending().for_each(|piece| plaintext.extend_from_slice(piece));
    machine.advance(len);
    plaintext.into()
}

impl<S> fmt::Debug for OpenStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenStream").field("machine", &self.machine).finish_non_exhaustive()
    }
}
