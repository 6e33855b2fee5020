//! The machines under tokio's traits: [`AsyncSealWriter`], [`AsyncOpenReader`], [`AsyncSeekReader`].
//!
//! Floor 4, feature `tokio`: traits of tokio only, nothing of a runtime. The loops are written once, over
//! [`machine`]'s two traits, in [`sealing`] and [`opening`]; each public type joins them to its inner reader or writer.
//! The format is [section 3](crate::manual::format).

mod copy;
pub(in crate::io) mod machine;
mod open;
pub(in crate::io) mod opening;
mod seal;
pub(in crate::io) mod sealing;
mod seek;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};

pub(crate) use self::seek::seek_async;
pub use self::{open::AsyncOpenReader, seal::AsyncSealWriter, seek::AsyncSeekReader};

/// Reads into `space` and says how many bytes there were; 0 is the end of the input.
pub(crate) fn poll_read_into<R: AsyncRead + ?Sized>(
    inner: Pin<&mut R>,
    cx: &mut Context<'_>,
    space: &mut [u8],
) -> Poll<io::Result<usize>> {
    let mut room = ReadBuf::new(space);
    let result = ready!(inner.poll_read(cx, &mut room)).map(|()| room.filled().len());
    retried(result, cx)
}

/// An interruption is tried again, as the blocking adapters do, but not within this poll: whoever interrupts for ever
/// must not hold up the thread.
pub(in crate::io) fn retried<T>(result: io::Result<T>, cx: &Context<'_>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => yield_now(cx),
        result => Poll::Ready(result),
    }
}

/// Lets other tasks run, and asks to be polled again.
pub(in crate::io) fn yield_now<T>(cx: &Context<'_>) -> Poll<T> {
    cx.waker().wake_by_ref();
    Poll::Pending
}

#[cfg(test)]
mod tests;
