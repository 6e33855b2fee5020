//! Copying plaintext out of a machine without leaving it anywhere else, a group a poll.
//!
//! It knows no machine: only what can be filled, looked at and consumed. Between two groups it lets other tasks run, so
//! that a copy from memory to memory does not hold up a thread for as long as the message is.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::AsyncWrite;

use super::{retried, yield_now};
use crate::stream::GROUP_CHUNKS;

/// Something that opens, and can be looked into.
pub(in crate::io) trait PollFill {
    /// Reads and opens until there is plaintext, as much as is here; `false` at the end of the message.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>>;

    /// The plaintext that was opened and not consumed, in order; the first piece is empty only if there is none.
    fn pieces(&self) -> impl Iterator<Item = &[u8]>;

    /// Says that the first `n` bytes of it were taken.
    fn consume(&mut self, n: usize);
}

/// Writes all plaintext to `writer`, and flushes it at the end; adds up the bytes in `written`.
pub(in crate::io) fn poll_copy<S, W>(
    source: &mut S,
    mut writer: Pin<&mut W>,
    cx: &mut Context<'_>,
    written: &mut u64,
) -> Poll<io::Result<u64>>
where
    S: PollFill,
    W: AsyncWrite + ?Sized,
{
    let mut may_open = true;
    loop {
        if source.pieces().all(<[u8]>::is_empty) && !std::mem::take(&mut may_open) {
            return yield_now(cx);
        }
        if !ready!(source.poll_fill(cx))? {
            let flushed = ready!(writer.poll_flush(cx));
            ready!(retried(flushed, cx))?;
            return Poll::Ready(Ok(*written));
        }
        let result = ready!(poll_write_pieces(writer.as_mut(), cx, source.pieces()));
        match ready!(retried(result, cx))? {
            0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            n => {
                source.consume(n);
                *written += n as u64;
            }
        }
    }
}

/// Takes all plaintext and gives it to nobody.
pub(in crate::io) fn poll_skip<S: PollFill>(source: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    if !ready!(source.poll_fill(cx))? {
        return Poll::Ready(Ok(()));
    }
    let opened = source.pieces().map(<[u8]>::len).sum();
    source.consume(opened);
    yield_now(cx)
}

fn poll_write_pieces<'a, W: AsyncWrite + ?Sized>(
    writer: Pin<&mut W>,
    cx: &mut Context<'_>,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Poll<io::Result<usize>> {
    let mut slices = [IoSlice::new(&[]); GROUP_CHUNKS];
    let mut count = 0;
    for (slice, piece) in slices.iter_mut().zip(pieces) {
        *slice = IoSlice::new(piece);
        count += 1;
    }
    // A writer that knows nothing of vectors takes the first.
    writer.poll_write_vectored(cx, &slices[..count])
}
