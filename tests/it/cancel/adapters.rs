//! Tokio's adapters: futures dropped at every poll, polls that nobody asked for, and shutting down in every order.
//!
//! What is dropped is the future, never the adapter: the same call is made again and must go on as if nothing had been.
//! Sources and sinks are pending before each call. Planted bugs at the end.

use std::future::poll_fn;
use std::io::{self, Cursor, IoSlice, Read, SeekFrom, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use futures_core::Stream;
use kuvert::io::{AsyncOpenReader, AsyncSealWriter, AsyncSeekReader};
use kuvert::{Category, Layout, MessageStart, OpenOptions, Sealer, Threads};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWrite, AsyncWriteExt};

use crate::support::anatomy::CHUNK;
use crate::support::async_io::{Bell, Pieces, Slow};
use crate::support::cancel::{PATIENCE, Polled, cancel_at_every_poll, poll_at_most, wait};
use crate::support::fixture::{context, kuvert, message, text};
use crate::support::ways::{Way, open, several_threads};

/// Takes and gives at most so much a call.
#[derive(Debug, Default, Clone)]
struct Few<T>(T);

impl<T: Read> Read for Few<T> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = out.len().min(9_000);
        self.0.read(&mut out[..most])
    }
}

impl<T: io::Seek> io::Seek for Few<T> {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        self.0.seek(target)
    }
}

impl Write for Few<Vec<u8>> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut self.0, &bytes[..bytes.len().min(9_000)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Drops futures, and makes the same call again.
#[derive(Debug)]
struct Dropper {
    when: When,
    polls: usize,
    dropped: usize,
}

#[derive(Debug, Clone, Copy)]
enum When {
    /// Every future, after so many polls.
    Every(usize),
    /// One future, at this poll of all.
    Once(usize),
}

impl Dropper {
    fn new(when: When) -> Self {
        Self { when, polls: 0, dropped: 0 }
    }

    fn call<T>(&mut self, mut call: impl AsyncFnMut() -> T) -> T {
        loop {
            let most = match self.when {
                When::Every(polls) => polls,
                When::Once(at) if self.dropped == 0 => at - self.polls.min(at),
                When::Once(_) => usize::MAX,
            };
            match poll_at_most(call(), most, PATIENCE) {
                Polled::Ready(polls, value) => {
                    self.polls += polls;
                    return value;
                }
                Polled::Dropped => {
                    self.polls += most;
                    self.dropped += 1;
                }
                Polled::LostWakeUp(n) => panic!("{self:?}: pending at poll {n} without a wake-up"),
            }
        }
    }
}

/// Runs `run` with every future dropped after 1, 2 and 3 polls, and once with each single poll. Gives the number of
/// futures dropped.
fn at_every_poll(mut run: impl FnMut(&mut Dropper)) -> usize {
    let mut total = 0;
    for polls in 1..=3 {
        let mut dropper = Dropper::new(When::Every(polls));
        run(&mut dropper);
        total += dropper.dropped;
    }
    for at in 0.. {
        let mut dropper = Dropper::new(When::Once(at));
        run(&mut dropper);
        if dropper.dropped == 0 {
            break;
        }
        total += 1;
    }
    total
}

fn sealer() -> Sealer {
    wait(kuvert().sealer(&context())).unwrap()
}

fn writer() -> AsyncSealWriter<Slow<Few<Vec<u8>>>> {
    writer_on(Threads::ONE)
}

fn writer_on(threads: Threads) -> AsyncSealWriter<Slow<Few<Vec<u8>>>> {
    sealer().into_parallel_async_writer(Slow::new(Few::default(), 1), threads)
}

/// One thread, and several that are at work from the first chunk on.
fn thread_counts() -> [Threads; 2] {
    [Threads::ONE, several_threads()]
}

fn assert_opens_to(sealed: &[u8], plaintext: &[u8], what: &str) {
    let opened = open(&kuvert(), Way::Whole, sealed, &context());
    assert!(opened.result.is_ok() && opened.released == plaintext, "{what}: {:?}", opened.result);
}

/// How a writer is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    TryFinish,
    ShutDown,
}

/// Writes in pieces of odd lengths, by `write` and `write_vectored`, with flushes.
fn seal_by(dropper: &mut Dropper, plaintext: &[u8], end: End, threads: Threads) {
    let mut writer = writer_on(threads);
    let mut rest = plaintext;
    for n in 1.. {
        if rest.is_empty() {
            break;
        }
        let piece = &rest[..rest.len().min(n * 4_001)];
        let taken = if n % 2 == 0 {
            dropper.call(async || writer.write(piece).await).unwrap()
        } else {
            let (front, back) = piece.split_at(piece.len() / 3);
            let slices = [IoSlice::new(&[]), IoSlice::new(front), IoSlice::new(back)];
            dropper.call(async || writer.write_vectored(&slices).await).unwrap()
        };
        rest = &rest[taken..];
        if n % 4 == 0 {
            dropper.call(async || writer.flush().await).unwrap();
        }
    }
    assert_eq!(writer.plaintext_len(), plaintext.len() as u64);
    if end == End::ShutDown {
        dropper.call(async || writer.shutdown().await).unwrap();
    }
    let report = dropper.call(async || writer.try_finish().await).unwrap();
    assert_eq!(report.plaintext_len, plaintext.len() as u64);
    let sealed = writer.abort().into_inner().0;
    assert_eq!(report.sealed_len, sealed.len() as u64);
    assert_opens_to(&sealed, plaintext, &format!("{dropper:?} {end:?} {threads:?}"));
}

#[test]
fn a_writer_goes_on_after_every_poll() {
    for threads in thread_counts() {
        seals_at_every_poll(End::TryFinish, threads);
        seals_at_every_poll(End::ShutDown, threads);
    }
}

fn seals_at_every_poll(end: End, threads: Threads) {
    for len in [0, 100, CHUNK, 5 * CHUNK + 17] {
        let plaintext = text(len);
        let dropped = at_every_poll(|dropper| seal_by(dropper, &plaintext, end, threads));
        assert!(dropped > 4, "only {dropped} futures of {len} bytes were dropped");
    }
}

fn reader(message: &[u8]) -> AsyncOpenReader<Slow<Few<&[u8]>>> {
    reader_on(message, Threads::ONE)
}

fn reader_on(message: &[u8], threads: Threads) -> AsyncOpenReader<Slow<Few<&[u8]>>> {
    let mut source = Slow::new(Few(message), 1);
    let start = wait(MessageStart::read_async(&mut source)).unwrap();
    wait(kuvert().opener(start, &context())).unwrap().into_parallel_async_reader(source, threads)
}

#[test]
fn a_reader_goes_on_after_every_poll() {
    for threads in thread_counts() {
        for len in [0, 100, CHUNK, 5 * CHUNK + 17] {
            opens_at_every_poll(len, threads);
        }
    }
}

fn opens_at_every_poll(len: usize, threads: Threads) {
    let plaintext = text(len);
    let message = message(Layout::Compact, &plaintext);
    for buffer in [999, 3 * CHUNK] {
        let dropped = at_every_poll(|dropper| {
            let (mut reader, mut opened) = (reader_on(&message, threads), Vec::new());
            let mut out = vec![0; buffer];
            loop {
                let read = dropper.call(async || reader.read(&mut out).await).unwrap();
                opened.extend_from_slice(&out[..read]);
                let buffered = dropper.call(async || reader.fill_buf().await.map(<[u8]>::to_vec)).unwrap();
                let taken = buffered.len().min(buffer / 2);
                reader.consume(taken);
                opened.extend_from_slice(&buffered[..taken]);
                if read + taken == 0 {
                    break;
                }
            }
            assert!(reader.is_complete() && opened == plaintext, "{dropper:?}");
        });
        assert!(dropped > 4);
    }
    let dropped = at_every_poll(|dropper| {
        let (mut reader, mut sink) = (reader_on(&message, threads), Slow::new(Few(Vec::new()), 1));
        dropper.call(async || reader.copy_to(&mut sink).await).unwrap();
        assert!(reader.is_complete() && sink.into_inner().0 == plaintext, "{dropper:?}");
    });
    assert!(dropped > 4);
    let dropped = at_every_poll(|dropper| {
        let mut reader = reader_on(&message, threads);
        let report = dropper.call(async || reader.verify().await).unwrap();
        assert_eq!(report.plaintext_len, len as u64);
    });
    assert!(dropped > 4);
}

fn seekable(message: &[u8], lazy: bool) -> AsyncSeekReader<Slow<Few<Cursor<&[u8]>>>> {
    let mut source = Slow::new(Few(Cursor::new(message)), 1);
    let start = wait(MessageStart::read_seekable_async(&mut source)).unwrap();
    let options = OpenOptions::default().with_lazy_length(lazy);
    let opener = wait(kuvert().with_open_options(options).opener(start, &context())).unwrap();
    wait(opener.into_async_seekable(source)).unwrap()
}

#[test]
fn a_seeking_reader_goes_on_after_every_poll() {
    let plaintext = text(4 * CHUNK + 17);
    let message = message(Layout::Compact, &plaintext);
    let end = plaintext.len() as i64;
    for lazy in [false, true] {
        let dropped = at_every_poll(|dropper| {
            let mut reader = seekable(&message, lazy);
            let mut out = vec![0; CHUNK + 100];
            for (target, at) in [
                (SeekFrom::Start(CHUNK as u64 - 5), CHUNK - 5),
                (SeekFrom::End(-10), plaintext.len() - 10),
                (SeekFrom::End(-end), 0),
                (SeekFrom::Start(3), 3),
            ] {
                // A seek whose future is dropped happens all the same, before whatever comes next.
                assert_eq!(dropper.call(async || reader.seek(target).await).unwrap(), at as u64);
                let mut filled = 0;
                loop {
                    let read = dropper.call(async || reader.read(&mut out[filled..]).await).unwrap();
                    filled += read;
                    if read == 0 || filled == out.len() {
                        break;
                    }
                }
                assert!(
                    out[..filled] == plaintext[at..plaintext.len().min(at + out.len())],
                    "{dropper:?} {at}"
                );
            }
            let len = dropper.call(async || reader.plaintext_len().await).unwrap();
            assert_eq!(len, plaintext.len() as u64);
            dropper.call(async || reader.seek(SeekFrom::Start(5)).await).unwrap();
            let mut sink = Slow::new(Few(Vec::new()), 1);
            dropper.call(async || reader.copy_to(&mut sink).await).unwrap();
            assert!(sink.into_inner().0 == plaintext[5..], "{dropper:?}");
        });
        assert!(dropped > 20);
    }
}

/// Whatever is under way when a seek begins, a seek that was dropped or a read, has to end first: [`Slow`] panics
/// otherwise.
#[test]
fn what_is_under_way_ends_before_the_source_is_sent_elsewhere() {
    let plaintext = text(4 * CHUNK + 17);
    let message = message(Layout::Compact, &plaintext);
    for lazy in [false, true] {
        for polls in 0..12 {
            let mut reader = seekable(&message, lazy);
            let mut out = [0; 50];
            drop(poll_at_most(reader.read(&mut out), polls, PATIENCE));
            drop(poll_at_most(reader.seek(SeekFrom::End(-7)), polls / 2, PATIENCE));
            wait(reader.seek(SeekFrom::Start(2 * CHUNK as u64))).unwrap();
            wait(reader.read_exact(&mut out)).unwrap();
            assert_eq!(out, plaintext[2 * CHUNK..2 * CHUNK + 50]);
        }
    }
}

async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}

#[test]
fn streams_go_on_after_every_poll() {
    for len in [0, 100, CHUNK, 40 * CHUNK + 17] {
        let plaintext = text(len);
        let dropped = at_every_poll(|dropper| {
            let mut sealed = Vec::new();
            let mut stream = sealer().into_stream(Pieces::new(&plaintext[..], 30_000, 1));
            while let Some(piece) = dropper.call(async || next(&mut stream).await) {
                sealed.extend_from_slice(&piece.unwrap());
            }
            assert_eq!(stream.report().unwrap().sealed_len, sealed.len() as u64);
            let (start, rest) = wait(MessageStart::read_stream(Pieces::new(&sealed[..], 30_000, 1))).unwrap();
            let mut stream = wait(kuvert().opener(start, &context())).unwrap().into_stream(rest);
            let mut opened = Vec::new();
            while let Some(piece) = dropper.call(async || next(&mut stream).await) {
                opened.extend_from_slice(&piece.unwrap());
            }
            assert!(stream.is_complete() && opened == plaintext, "{dropper:?}");
        });
        assert!(dropped > 4);
    }
}

/// The functions that take their source with them: dropped at every poll, and made anew.
#[test]
fn starts_are_read_again_after_every_poll() {
    let plaintext = text(CHUNK + 17);
    let message = message(Layout::Compact, &plaintext);
    let source = || Slow::new(Few(Cursor::new(&message[..])), 2);
    let mut dropped = 0;
    let (polls, ()) = cancel_at_every_poll(
        || {
            Box::pin(async {
                let start = MessageStart::read_async(&mut source()).await.unwrap();
                assert_eq!(start.chunks_offset(), MessageStart::parse(&message).unwrap().chunks_offset());
                let mut source = source();
                let start = MessageStart::read_seekable_async(&mut source).await.unwrap();
                let opener = kuvert().opener(start, &context()).await.unwrap();
                let mut reader = opener.into_async_seekable(source).await.unwrap();
                assert_eq!(reader.report().await.unwrap().plaintext_len, plaintext.len() as u64);
                let (_, mut rest) = MessageStart::read_stream(Pieces::new(&message[..], 7, 1)).await.unwrap();
                assert!(next(&mut rest).await.unwrap().unwrap().len() <= 7);
            })
        },
        |_| dropped += 1,
    );
    assert_eq!(dropped, polls);
    assert!(polls > 50, "only {polls} polls");
}

/// One call of a writer's poll functions.
type Polling<'a> = dyn FnMut(Pin<&mut AsyncSealWriter<Slow<Vec<u8>>>>, &mut Context<'_>) -> Poll<usize> + 'a;

/// A waker that can be told from others.
struct Named;

impl Wake for Named {
    fn wake(self: Arc<Self>) {}
}

/// Polls that nobody asked for change nothing, and the waker of the last poll is the one that counts.
#[test]
fn spurious_polls_are_harmless() {
    let bell = Arc::new(Bell::default());
    let plaintext = text(40 * CHUNK);
    let mut writer = sealer().into_async_writer(Slow::with_bell(Vec::new(), &bell));
    let mut patiently = |poll: &mut Polling<'_>| {
        for _ in 0..100 {
            for _ in 0..3 {
                let waker = Waker::from(Arc::new(Named));
                let mut cx = Context::from_waker(&waker);
                if let Poll::Ready(value) = poll(Pin::new(&mut writer), &mut cx) {
                    return value;
                }
                assert!(bell.is_for(&waker), "an old waker would be woken");
            }
            writer.inner_mut().ready();
            bell.ring();
        }
        panic!("never ready");
    };
    let mut rest = &plaintext[..];
    while !rest.is_empty() {
        let taken = patiently(&mut |writer, cx| writer.poll_write(cx, rest).map(Result::unwrap));
        rest = &rest[taken..];
    }
    for _ in 0..2 {
        patiently(&mut |writer, cx| writer.poll_flush(cx).map(|result| result.map(|()| 0).unwrap()));
        patiently(&mut |writer, cx| writer.poll_shutdown(cx).map(|result| result.map(|()| 0).unwrap()));
    }
    assert_opens_to(&writer.abort().into_inner(), &plaintext, "spurious polls");
}

/// Flush and shutdown in any order, half way through each other.
#[test]
fn flush_before_during_and_after_shutdown() {
    let plaintext = text(3 * CHUNK + 5);
    for during in 0..12 {
        for flush_polls in 1..4 {
            let mut writer = writer();
            wait(writer.write_all(&plaintext)).unwrap();
            wait(writer.flush()).unwrap();
            drop(poll_at_most(writer.shutdown(), during, PATIENCE));
            drop(poll_at_most(writer.flush(), flush_polls, PATIENCE));
            wait(writer.shutdown()).unwrap();
            assert!(writer.inner().is_shut_down());
            // From here on the inner writer would panic.
            wait(writer.flush()).unwrap();
            wait(writer.shutdown()).unwrap();
            assert_eq!(wait(writer.try_finish()).unwrap().plaintext_len, plaintext.len() as u64);
            let late = wait(writer.write(b"more")).unwrap_err();
            assert_eq!(late.kind(), io::ErrorKind::InvalidInput);
            assert_opens_to(&writer.abort().into_inner().0, &plaintext, "flush and shutdown");
        }
    }
    // Finished first, shut down afterwards.
    let mut writer = writer();
    wait(writer.try_finish()).unwrap();
    assert!(!writer.inner().is_shut_down(), "finishing leaves the inner writer open");
    wait(writer.shutdown()).unwrap();
    let (inner, _) = wait(writer.finish()).unwrap();
    assert_opens_to(&inner.into_inner().0, b"", "finish and shutdown");
}

/// The detector: what was told to end opens to all of it or not at all, and what was not told never opens.
fn never_short(sealed: &[u8], plaintext: &[u8], ends: bool) -> Result<(), String> {
    let opened = open(&kuvert(), Way::Whole, sealed, &context());
    match opened.category() {
        None if ends && opened.released == plaintext => Ok(()),
        None => Err(format!("{} bytes of {} open", opened.released.len(), plaintext.len())),
        // Cut between two chunks, or within one.
        Some(Category::Truncated | Category::Tampered) => Ok(()),
        Some(other) => Err(format!("it is said to be {}", other.name())),
    }
}

/// A writer or stream that is dropped anywhere leaves nothing that opens, unless it was told to end: then nothing, or
/// all of it.
#[test]
fn what_is_dropped_never_opens_short() {
    for len in [0, 1, CHUNK - 1, CHUNK, 3 * CHUNK + 5] {
        let plaintext = text(len);
        for (ends, polls) in (0..60).flat_map(|polls| [(false, polls), (true, polls)]) {
            let mut writer = writer();
            let work = async {
                writer.write_all(&plaintext).await.unwrap();
                writer.flush().await.unwrap();
                if ends {
                    writer.shutdown().await.unwrap();
                }
            };
            let is_over = matches!(poll_at_most(work, polls, PATIENCE), Polled::Ready(..));
            let sealed = writer.inner().get_ref().0.clone();
            drop(writer);
            never_short(&sealed, &plaintext, ends).unwrap_or_else(|fault| panic!("{len}, {polls}: {fault}"));
            assert!(!is_over || !ends || sealed.len() > 56 + len, "told that it was over");
        }
        // A stream: what came out before its end never opens.
        let mut stream = sealer().into_stream(Pieces::new(&plaintext[..], 9_000, 0));
        let mut sealed = Vec::new();
        while let Some(piece) = wait(next(&mut stream)) {
            let opened = open(&kuvert(), Way::Whole, &sealed, &context());
            assert_eq!(opened.category(), Some(Category::Truncated));
            sealed.extend_from_slice(&piece.unwrap());
        }
        assert_opens_to(&sealed, &plaintext, "a whole stream");
    }
}

/// Gives what it has, then fails once, then would go on.
struct Failing(Vec<io::Result<Bytes>>);

impl Stream for Failing {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(if self.0.is_empty() { None } else { Some(self.0.remove(0)) })
    }
}

#[test]
fn an_error_of_the_other_stream_ends_a_stream() {
    let plaintext = text(20 * CHUNK);
    let failure = || Err(io::Error::from_raw_os_error(libc::EIO));
    let pieces = vec![Ok(Bytes::from(plaintext.clone())), failure(), Ok(Bytes::from_static(b"more"))];
    let mut stream = sealer().into_stream(Failing(pieces));
    let (mut sealed, mut errors) = (Vec::new(), Vec::new());
    while let Some(piece) = wait(next(&mut stream)) {
        match piece {
            Ok(piece) => sealed.extend_from_slice(&piece),
            Err(error) => errors.push(error.raw_os_error()),
        }
    }
    assert_eq!(errors, [Some(libc::EIO)]);
    assert!(stream.report().is_none() && wait(next(&mut stream)).is_none());
    assert_eq!(open(&kuvert(), Way::Whole, &sealed, &context()).category(), Some(Category::Truncated));

    let message = Bytes::from(message(Layout::Compact, &plaintext));
    let (front, back) = (message.slice(..100_000), message.slice(100_000..));
    let (start, rest) =
        wait(MessageStart::read_stream(Failing(vec![Ok(front), failure(), Ok(back)]))).unwrap();
    let mut stream = wait(kuvert().opener(start, &context())).unwrap().into_stream(rest);
    let (mut opened, mut errors) = (Vec::new(), Vec::new());
    while let Some(piece) = wait(next(&mut stream)) {
        match piece {
            Ok(piece) => opened.extend_from_slice(&piece),
            Err(error) => errors.push(error.raw_os_error()),
        }
    }
    assert_eq!(errors, [Some(libc::EIO)]);
    assert!(!stream.is_complete() && plaintext.starts_with(&opened) && opened.len() < plaintext.len());
}

/// A service's tasks move between threads.
#[test]
fn the_adapters_and_their_futures_are_send() {
    fn check<T: Send>(value: T) -> T {
        value
    }
    let message = message(Layout::Compact, b"");
    drop(check(check(writer()).finish()));
    drop(check(writer().try_finish()));
    drop(check(check(reader(&message)).copy_to(&mut Vec::new())));
    drop(check(reader(&message).verify()));
    drop(check(check(seekable(&message, true)).report()));
    drop(check(MessageStart::read_async(&mut &message[..])));
    drop(check(MessageStart::read_seekable_async(&mut Cursor::new(&message))));
    drop(check(MessageStart::read_stream(Pieces::new(&message[..], 7, 0))));
    drop(check(sealer().into_stream(Pieces::new(&message[..], 7, 0))));
}

/// `write_all` cannot say how much it wrote before it was dropped: whoever calls it again writes some of it twice. The
/// enumeration must see that.
#[test]
fn planted_a_call_that_is_not_cancel_safe_is_found() {
    let plaintext = text(40 * CHUNK);
    let mut wrong = 0;
    for at in 0..60 {
        let mut dropper = Dropper::new(When::Once(at));
        let mut writer = writer();
        dropper.call(async || writer.write_all(&plaintext).await).unwrap();
        wait(writer.try_finish()).unwrap();
        let sealed = writer.abort().into_inner().0;
        wrong += usize::from(open(&kuvert(), Way::Whole, &sealed, &context()).released != plaintext);
    }
    assert!(wrong > 10, "only {wrong} of 60 were found");
}

/// A writer that ends its message when it is flushed must be seen by whoever looks at what was dropped.
#[test]
fn planted_a_writer_that_ends_too_early_is_found() {
    struct Eager(AsyncSealWriter<Vec<u8>>);
    impl Eager {
        fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }
    let mut writer = Eager(sealer().into_async_writer(Vec::new()));
    wait(writer.0.write_all(b"half")).unwrap();
    wait(poll_fn(|cx| writer.poll_flush(cx))).unwrap();
    never_short(writer.0.inner(), b"half and the rest", true).expect_err("half of it opens");
    never_short(writer.0.inner(), b"half", false).expect_err("it was not told to end");
}
