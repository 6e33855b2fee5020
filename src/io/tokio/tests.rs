//! The same bytes as the blocking adapters, under the same chopping; what an inner writer sees; vectors.

use std::io::{self, BufRead, Read, Write};

use proptest::prelude::*;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{
    executor::block_on,
    fork,
    format::{schedule::BodyKeys, stanza::RecipientType},
    io::{OpenReader, OpenReport, OpenStream, RecipientName, SealReport, SealStream, SealWriter},
    limits::CHUNK_LEN,
    secret::Secret,
    stream::{
        chunk::ChunkCipher,
        parallel::{ParallelOpenMachine, ParallelSealMachine, Plan},
        seal::SealMachine,
    },
};

/// Blocking and async at once: moves so many bytes a call, in turn, and is `Pending` or interrupted before each.
struct Chopped<T> {
    inner: T,
    most: Vec<usize>,
    calls: usize,
    rested: bool,
}

impl<T> Chopped<T> {
    fn new(inner: T, most: &[usize]) -> Self {
        Self { inner, most: most.to_vec(), calls: 0, rested: false }
    }

    fn next(&mut self, len: usize) -> usize {
        self.calls += 1;
        len.min(self.most[self.calls % self.most.len()])
    }

    /// `Pending`, then an interruption, then the call.
    fn rest(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.rested = !self.rested;
        if self.rested {
            return yield_now(cx);
        }
        Poll::Ready(if self.calls % 3 == 1 {
            self.calls += 1;
            Err(io::ErrorKind::Interrupted.into())
        } else {
            Ok(())
        })
    }
}

impl<T: Read> Read for Chopped<T> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = self.next(out.len());
        self.inner.read(&mut out[..most])
    }
}

impl<T: Write> Write for Chopped<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = self.next(bytes.len());
        self.inner.write(&bytes[..most])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<T: Read + Unpin> AsyncRead for Chopped<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.rest(cx))?;
        let read = Read::read(&mut *self, out.initialize_unfilled())?;
        out.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl<T: Write + Unpin> tokio::io::AsyncWrite for Chopped<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.rest(cx))?;
        Poll::Ready(Write::write(&mut *self, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.rest(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// A stream of these pieces.
struct Pieces(Vec<Vec<u8>>);

impl futures_core::Stream for Pieces {
    type Item = io::Result<Vec<u8>>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(if self.0.is_empty() { None } else { Some(Ok(self.0.remove(0))) })
    }
}

async fn collect<S>(mut stream: S) -> io::Result<Vec<Vec<u8>>>
where
    S: futures_core::Stream<Item = io::Result<bytes::Bytes>> + Unpin,
{
    let mut pieces = Vec::new();
    while let Some(piece) = std::future::poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await {
        pieces.push(piece?.to_vec());
    }
    Ok(pieces)
}

fn wait<F: Future>(future: F) -> F::Output {
    block_on(future).unwrap()
}

fn cipher() -> ChunkCipher {
    ChunkCipher::new(&BodyKeys { key: Secret::copy_from(&[7; 32]), base_nonce: [9; 12], commitment: [0; 32] })
}

/// What the writers have, on the calling thread alone: those of several write as it gets ready.
fn alone() -> (ParallelSealMachine, SealReport) {
    let (one, report) = machine();
    (ParallelSealMachine::new(one, cipher(), Plan::new(1)), report)
}

fn alone_opening() -> ParallelOpenMachine {
    ParallelOpenMachine::new(cipher(), Plan::new(1))
}

fn machine() -> (SealMachine, SealReport) {
    let report = SealReport { plaintext_len: 0, sealed_len: 4, recipients: Vec::new(), pending: Vec::new() };
    (SealMachine::new(cipher(), b"head".to_vec(), fork::generation()), report)
}

fn report() -> OpenReport {
    let opened_by = RecipientName::new(RecipientType::AES_KWP, "test".to_owned());
    OpenReport { plaintext_len: 0, opened_by, generation: 1, degraded: false, unfinished_rewrap: false }
}

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 3 % 251).to_le_bytes()[0]).collect()
}

/// One step of a caller that writes.
#[derive(Debug, Clone)]
enum Step {
    Write(usize),
    Flush,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let len = prop_oneof![0..100_usize, 1..3 * CHUNK_LEN, Just(CHUNK_LEN), Just(20 * CHUNK_LEN)];
    proptest::collection::vec(prop_oneof![3 => len.prop_map(Step::Write), 1 => Just(Step::Flush)], 0..12)
}

fn chops() -> impl Strategy<Value = Vec<usize>> {
    let most = prop_oneof![1..50_usize, 1_000..40_000_usize, Just(usize::MAX)];
    proptest::collection::vec(most, 1..6).prop_filter("not too slow", |all| all.iter().any(|n| *n > 900))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn sealing_gives_the_same_bytes(steps in steps(), most in chops()) {
        let text = text(250 * CHUNK_LEN);
        let (blocking, report) = machine();
        let mut blocking = SealWriter::new(Chopped::new(Vec::new(), &most), blocking, report);
        let (tokio, report) = alone();
        let mut tokio = AsyncSealWriter::new(Chopped::new(Vec::new(), &most), tokio, report);
        let (mut at, mut pieces) = (0, Vec::new());
        for step in &steps {
            match step {
                Step::Write(len) => {
                    let piece = &text[at..at + len];
                    blocking.write_all(piece).unwrap();
                    wait(tokio.write_all(piece)).unwrap();
                    at += len;
                    pieces.push(piece.to_vec());
                }
                Step::Flush => {
                    blocking.flush().unwrap();
                    wait(tokio.flush()).unwrap();
                }
            }
            prop_assert_eq!(&blocking.inner().inner, &tokio.inner().inner, "so far");
        }
        let (blocking, expected) = blocking.finish().unwrap();
        let (tokio, found) = wait(tokio.finish()).unwrap();
        prop_assert_eq!(expected, found);
        prop_assert_eq!(&blocking.inner, &tokio.inner);

        let (machine, report) = machine();
        let streamed = wait(collect(SealStream::new(Pieces(pieces), machine, report))).unwrap();
        prop_assert!(streamed.iter().all(|piece| !piece.is_empty() && piece.len() <= 262_400));
        prop_assert_eq!(&streamed.concat(), &blocking.inner);
    }

    #[test]
    fn opening_gives_the_same_bytes_read_by_read(
        len in prop_oneof![0..100_usize, 0..40 * CHUNK_LEN],
        wanted in proptest::collection::vec(prop_oneof![1..100_usize, 1..20 * CHUNK_LEN], 1..8),
        most in chops(),
        cut in prop_oneof![3 => Just(0), 1 => 1..300_usize],
        damaged in prop_oneof![3 => Just(false), 1 => Just(true)],
    ) {
        let text = text(len);
        let mut sealed = seal(&text);
        if damaged {
            let middle = sealed.len() / 2;
            sealed[middle] ^= 1;
        }
        sealed.truncate(sealed.len().saturating_sub(cut));
        let mut readers = Readers {
            blocking: OpenReader::new(Chopped::new(&sealed[..], &most), cipher(), report()),
            tokio: AsyncOpenReader::new(Chopped::new(&sealed[..], &most), alone_opening(), report()),
        };
        let mut released = Vec::new();
        for (n, wanted) in wanted.iter().cycle().enumerate() {
            let bytes = if n % 3 == 2 { readers.fill() } else { readers.read(*wanted) };
            if bytes.is_empty() {
                break;
            }
            released.extend_from_slice(&bytes);
        }
        let Readers { blocking, tokio } = readers;
        prop_assert!(text.starts_with(&released));
        prop_assert_eq!(blocking.is_complete(), tokio.is_complete());
        prop_assert_eq!(blocking.is_complete(), released == text && cut == 0 && !damaged);
    }

    #[test]
    fn a_stream_opens_the_same_bytes(len in 0..40 * CHUNK_LEN, most in chops()) {
        let text = text(len);
        let sealed = seal(&text);
        let mut source = Chopped::new(&sealed[..], &most);
        let mut pieces = Vec::new();
        loop {
            let mut piece = vec![0; 300_000];
            let read = Read::read(&mut source, &mut piece).unwrap();
            if read == 0 {
                break;
            }
            piece.truncate(read);
            pieces.push(piece);
        }
        let opened = wait(collect(OpenStream::new(Pieces(pieces), cipher(), report()))).unwrap();
        prop_assert!(opened.iter().all(|piece| !piece.is_empty() && piece.len() <= 262_144));
        prop_assert!(opened.concat() == text);
    }
}

/// Both readers over the same bytes, which must do the same.
struct Readers<'a> {
    blocking: OpenReader<Chopped<&'a [u8]>>,
    tokio: AsyncOpenReader<Chopped<&'a [u8]>>,
}

impl Readers<'_> {
    /// What both gave out; nothing at the end, or after the same error.
    fn read(&mut self, wanted: usize) -> Vec<u8> {
        let blocking = by_read(wanted, |out| Read::read(&mut self.blocking, out));
        let tokio = by_read(wanted, |out| wait(self.tokio.read(out)));
        self.agree(blocking, tokio)
    }

    fn fill(&mut self) -> Vec<u8> {
        let blocking = self.blocking.fill_buf().map(<[u8]>::to_vec);
        let tokio = wait(self.tokio.fill_buf()).map(<[u8]>::to_vec);
        self.blocking.consume(blocking.as_ref().map_or(0, Vec::len));
        AsyncBufReadExt::consume(&mut self.tokio, tokio.as_ref().map_or(0, Vec::len));
        self.agree(blocking, tokio)
    }

    /// How much one call gives depends on how much the source gave so far, and one of the two is interrupted: the rest
    /// must be there at the next call.
    fn agree(&mut self, blocking: io::Result<Vec<u8>>, tokio: io::Result<Vec<u8>>) -> Vec<u8> {
        match (blocking, tokio) {
            (Ok(mut blocking), Ok(mut tokio)) => {
                while blocking.len() < tokio.len() {
                    let missing = tokio.len() - blocking.len();
                    let more = by_read(missing, |out| Read::read(&mut self.blocking, out)).unwrap();
                    assert!(!more.is_empty(), "the blocking reader has ended");
                    blocking.extend(more);
                }
                while tokio.len() < blocking.len() {
                    let missing = blocking.len() - tokio.len();
                    let more = by_read(missing, |out| wait(self.tokio.read(out))).unwrap();
                    assert!(!more.is_empty(), "tokio's reader has ended");
                    tokio.extend(more);
                }
                assert!(blocking == tokio);
                tokio
            }
            (Err(blocking), Err(tokio)) => {
                assert_eq!(blocking.to_string(), tokio.to_string());
                Vec::new()
            }
            (blocking, tokio) => panic!("{:?} and {:?}", blocking.map(drop), tokio.map(drop)),
        }
    }
}

fn by_read(most: usize, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<Vec<u8>> {
    let mut out = vec![0; most];
    let read = read(&mut out)?;
    out.truncate(read);
    Ok(out)
}

/// A body without its head.
fn seal(text: &[u8]) -> Vec<u8> {
    let (_, report) = machine();
    let machine = SealMachine::new(cipher(), Vec::new(), fork::generation());
    let mut writer = SealWriter::new(Vec::new(), machine, report);
    writer.write_all(text).unwrap();
    writer.finish().unwrap().0
}

/// Empty pieces of a stream are no end, and no reason to go round in circles within one poll.
#[test]
fn empty_pieces_are_passed_over() {
    let mut pieces = vec![Vec::new(); 50];
    pieces.push(b"all of it".to_vec());
    pieces.extend(vec![Vec::new(); 50]);
    let (machine, report) = machine();
    let sealed = wait(collect(SealStream::new(Pieces(pieces), machine, report))).unwrap().concat();
    assert_eq!(sealed[4..], seal(b"all of it"));
}

/// A writer that counts its calls: a group goes out whole, and many small pieces are one chunk.
#[test]
fn large_writes_go_out_in_groups_and_small_pieces_are_taken_together() {
    let (machine, report) = alone();
    let mut writer = AsyncSealWriter::new(Chopped::new(Vec::new(), &[usize::MAX]), machine, report);
    let text = text(64 * CHUNK_LEN);
    wait(writer.write_all(&text)).unwrap();
    wait(writer.flush()).unwrap();
    let calls = writer.inner().calls;
    assert!(calls <= 10, "{calls} calls for four groups and the head");
    let pieces: Vec<_> = text[..3_000].chunks(10).map(io::IoSlice::new).collect();
    assert_eq!(wait(writer.write_vectored(&pieces)).unwrap(), 3_000);
    assert!(tokio::io::AsyncWrite::is_write_vectored(&writer));
}
