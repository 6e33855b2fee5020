//! Async I/O over blocking I/O, and back: every mean reader and writer serves both kinds of adapters.
//!
//! [`Slow`] is async around anything of `std::io`, is `Pending` as often as told, and panics when it is used against
//! the rules of tokio's traits. [`Blocking`] is the way back, so that one test body drives either side.

use std::future::poll_fn;
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use futures_core::Stream;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

use super::cancel::wait;

/// Wakes whoever was told `Pending` last, when the test says so and not before.
#[derive(Debug, Default)]
pub struct Bell {
    waiting: Mutex<Option<Waker>>,
}

impl Bell {
    pub fn ring(&self) {
        self.waiting.lock().expect("no panic while held").take().expect("somebody waits").wake();
    }

    /// Whether the waker that would be woken is this one's.
    pub fn is_for(&self, waker: &Waker) -> bool {
        self.waiting.lock().expect("no panic while held").as_ref().is_some_and(|own| own.will_wake(waker))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Busy {
    Idle,
    Reading,
    Writing,
    Seeking(SeekFrom),
}

/// Async I/O over `T`: `Pending` this many times before every call.
#[derive(Debug)]
pub struct Slow<T> {
    inner: T,
    pending: usize,
    left: Option<usize>,
    bell: Option<Arc<Bell>>,
    busy: Busy,
    position: u64,
    shut_down: bool,
}

impl<T> Slow<T> {
    /// Wakes its caller itself.
    pub fn new(inner: T, pending: usize) -> Self {
        Self { inner, pending, left: None, bell: None, busy: Busy::Idle, position: 0, shut_down: false }
    }

    /// Leaves the waking to `bell`, and is ready only after it rang: [`Slow::ready`].
    pub fn with_bell(inner: T, bell: &Arc<Bell>) -> Self {
        Self { bell: Some(Arc::clone(bell)), ..Self::new(inner, usize::MAX) }
    }

    /// Lets the call that waits go on.
    pub fn ready(&mut self) {
        self.left = Some(0);
    }

    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    pub fn into_inner(self) -> T {
        self.inner
    }

    pub fn is_shut_down(&self) -> bool {
        self.shut_down
    }

    fn delay(&mut self, cx: &Context<'_>) -> Poll<()> {
        let left = self.left.unwrap_or(self.pending);
        if left == 0 {
            self.left = None;
            return Poll::Ready(());
        }
        match &self.bell {
            Some(bell) => *bell.waiting.lock().expect("no panic while held") = Some(cx.waker().clone()),
            None => {
                self.left = Some(left - 1);
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }
}

impl<T: Read + Unpin> AsyncRead for Slow<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        assert!(!matches!(self.busy, Busy::Seeking(_)), "read while a seek is under way");
        assert!(out.remaining() > 0, "read into nothing");
        self.busy = Busy::Reading;
        ready!(self.delay(cx));
        self.busy = Busy::Idle;
        let read = self.inner.read(out.initialize_unfilled())?;
        out.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl<T: Write + Unpin> AsyncWrite for Slow<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        assert!(!self.shut_down, "written to after it was shut down");
        assert!(!bytes.is_empty(), "written nothing to");
        self.busy = Busy::Writing;
        ready!(self.delay(cx));
        self.busy = Busy::Idle;
        Poll::Ready(self.inner.write(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        assert!(!self.shut_down, "flushed after it was shut down");
        ready!(self.delay(cx));
        Poll::Ready(self.inner.flush())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        assert!(!self.shut_down, "shut down twice");
        ready!(self.delay(cx));
        self.inner.flush()?;
        self.shut_down = true;
        Poll::Ready(Ok(()))
    }
}

impl<T: Seek + Unpin> AsyncSeek for Slow<T> {
    fn start_seek(mut self: Pin<&mut Self>, target: SeekFrom) -> io::Result<()> {
        assert_eq!(self.busy, Busy::Idle, "seek while something else is under way");
        self.busy = Busy::Seeking(target);
        Ok(())
    }

    fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        if self.busy == Busy::Idle {
            return Poll::Ready(Ok(self.position));
        }
        ready!(self.delay(cx));
        let busy = std::mem::replace(&mut self.busy, Busy::Idle);
        if let Busy::Seeking(target) = busy {
            self.position = self.inner.seek(target)?;
        }
        Poll::Ready(Ok(self.position))
    }
}

/// Blocking I/O over async I/O.
#[derive(Debug)]
pub struct Blocking<A>(pub A);

impl<A: AsyncRead + Unpin> Read for Blocking<A> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut room = ReadBuf::new(out);
        wait(poll_fn(|cx| Pin::new(&mut self.0).poll_read(cx, &mut room)))?;
        Ok(room.filled().len())
    }
}

impl<A: AsyncBufRead + Unpin> BufRead for Blocking<A> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        wait(poll_fn(|cx| Pin::new(&mut self.0).poll_fill_buf(cx).map_ok(drop)))?;
        match Pin::new(&mut self.0).poll_fill_buf(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => panic!("what was ready is not ready any more"),
        }
    }

    fn consume(&mut self, n: usize) {
        Pin::new(&mut self.0).consume(n);
    }
}

impl<A: AsyncWrite + Unpin> Write for Blocking<A> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        wait(poll_fn(|cx| Pin::new(&mut self.0).poll_write(cx, bytes)))
    }

    fn flush(&mut self) -> io::Result<()> {
        wait(poll_fn(|cx| Pin::new(&mut self.0).poll_flush(cx)))
    }
}

impl<A: AsyncSeek + Unpin> Seek for Blocking<A> {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        wait(poll_fn(|cx| Pin::new(&mut self.0).poll_complete(cx)))?;
        Pin::new(&mut self.0).start_seek(target)?;
        wait(poll_fn(|cx| Pin::new(&mut self.0).poll_complete(cx)))
    }
}

/// A stream of what `reader` gives, a read a piece; `Pending` this many times before each.
#[derive(Debug)]
pub struct Pieces<R> {
    reader: Slow<R>,
    most: usize,
    ended: bool,
}

impl<R> Pieces<R> {
    pub fn new(reader: R, most: usize, pending: usize) -> Self {
        Self { reader: Slow::new(reader, pending), most, ended: false }
    }
}

impl<R: Read + Unpin> Stream for Pieces<R> {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        assert!(!self.ended, "polled again after the end");
        let mut piece = vec![0; self.most];
        let mut room = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut self.reader).poll_read(cx, &mut room))?;
        let read = room.filled().len();
        piece.truncate(read);
        self.ended = read == 0;
        Poll::Ready((read > 0).then(|| Ok(piece.into())))
    }
}

/// The next piece of a stream.
pub fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    wait(poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)))
}

/// All pieces of a stream up to its end or first error, after which there must be nothing.
pub fn collect<S: Stream<Item = io::Result<Bytes>> + Unpin>(
    stream: &mut S,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let mut result = Ok(());
    while let Some(piece) = next(stream) {
        assert!(result.is_ok(), "something follows an error");
        match piece {
            Ok(piece) => {
                assert!(!piece.is_empty() && piece.len() <= 16 * 16_400, "a piece of {} bytes", piece.len());
                out.extend_from_slice(&piece);
            }
            Err(error) => result = Err(error),
        }
    }
    assert!(next(stream).is_none(), "something follows the end");
    result
}
