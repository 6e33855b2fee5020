//! Tokio's adapters: no allocation for a chunk, and one for each piece of a stream, which is given away.

use std::{
    future::poll_fn,
    hint::black_box,
    io::{self, SeekFrom},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures_core::Stream;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWrite, AsyncWriteExt};

use super::{MIB, counting::allocations_of, in_message, setting};

/// Takes everything at once.
struct Sink;

impl AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(black_box(bytes).len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// An executor that allocates nothing.
fn run<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

#[test]
fn sealing_a_chunk_allocates_nothing() {
    let piece = vec![7; 3 * MIB];
    let mut writer = setting().sealer().into_async_writer(Sink);
    run(writer.write_all(&piece)).unwrap();
    let whole = allocations_of(|| run(writer.write_all(&piece)).unwrap());
    let odd = allocations_of(|| piece.chunks(1000).for_each(|few| run(writer.write_all(few)).unwrap()));
    let flushed = allocations_of(|| {
        piece.chunks(50_000).for_each(|some| {
            run(writer.write_all(some)).unwrap();
            run(writer.flush()).unwrap();
        });
    });
    assert_eq!([whole, odd, flushed], [0; 3]);
}

#[test]
fn opening_a_chunk_allocates_nothing() {
    let setting = setting();
    let message = setting.seal(&vec![7; 16 * MIB]);
    let (opener, chunks) = setting.opener(&message);
    let mut reader = opener.into_async_reader(chunks);
    let mut out = vec![0; 100_000];
    run(reader.read_exact(&mut out)).unwrap();
    let by_read = allocations_of(|| {
        for _ in 0..20 {
            run(reader.read_exact(&mut out)).unwrap();
        }
    });
    let by_few = allocations_of(|| {
        for _ in 0..500 {
            run(reader.read_exact(&mut out[..999])).unwrap();
        }
    });
    let by_buffer = allocations_of(|| {
        for _ in 0..100 {
            let len = run(reader.fill_buf()).unwrap().len();
            reader.consume(len);
        }
    });
    let by_copy = allocations_of(|| {
        run(reader.copy_to(&mut Sink)).unwrap();
    });
    assert!(reader.is_complete());
    assert_eq!([by_read, by_few, by_buffer, by_copy], [0; 4]);
}

#[test]
fn a_seek_allocates_nothing() {
    let setting = setting();
    let message = setting.seal(&vec![7; 4 * MIB]);
    let (opener, chunks) = setting.opener(&message);
    let mut reader = run(opener.into_async_seekable(in_message(&message, chunks))).unwrap();
    let mut out = vec![0; 40_000];
    run(reader.read_exact(&mut out)).unwrap();
    let seeking = allocations_of(|| {
        for offset in (0..100).map(|n| n * 40_009) {
            run(reader.seek(SeekFrom::Start(offset))).unwrap();
            run(reader.read_exact(&mut out[..20_000])).unwrap();
        }
    });
    assert_eq!(seeking, 0);
}

/// The same piece again and again.
struct Repeated(Bytes, usize);

impl Stream for Repeated {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.1 == 0 {
            return Poll::Ready(None);
        }
        self.1 -= 1;
        Poll::Ready(Some(Ok(self.0.clone())))
    }
}

#[test]
fn a_piece_of_a_stream_allocates_itself() {
    let mut stream = setting().sealer().into_stream(Repeated(Bytes::from(vec![7; MIB]), 64));
    let mut next = || run(poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)));
    // The head, and the groups until the buffer has its length.
    (0..5).for_each(|_| drop(next()));
    let mut largest = 0;
    let made = allocations_of(|| {
        (0..100).for_each(|_| largest = largest.max(next().unwrap().unwrap().len()));
    });
    // Bytes and, once it is shared, its count; never anything that grows with the message.
    assert!((100..=200).contains(&made), "{made} allocations for 100 pieces");
    assert_eq!(largest, 262_400);
}
