//! Lines 65 to 70: sources that lie about their length, change, or fail, and writers that are dropped.

use std::{
    cell::RefCell,
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    rc::Rc,
};

use kuvert::{
    Category, Kuvert, MessageStart, OpenError, OpenOptions, Opener,
    blocking::block_on,
    io::{RangeReader, ReadAt, SeekReader},
};

use super::{
    LIMIT, TAMPERED, TRUNCATED, Told, USAGE,
    bodies::{CHUNKS_AT, kuvert, message},
    forge::{Scripted, context},
    in_io, open, opener, plaintext, told,
};

const CHUNK: usize = 16_384;
const SEALED: u64 = 16_400;
/// The longest body's chunks.
const LONGEST: u64 = (1 << 38) * SEALED - 1;

/// Bytes that change under their reader's hands, and say of their length whatever they are told to say.
#[derive(Clone, Default)]
struct Shared {
    bytes: Rc<RefCell<Vec<u8>>>,
    claimed: Option<u64>,
    position: u64,
}

impl Shared {
    fn new(bytes: &[u8]) -> Self {
        Self { bytes: Rc::new(RefCell::new(bytes.to_vec())), ..Self::default() }
    }

    fn claiming(self, len: u64) -> Self {
        Self { claimed: Some(len), ..self }
    }

    fn at(self, position: u64) -> Self {
        Self { position, ..self }
    }

    fn len(&self) -> u64 {
        self.claimed.unwrap_or(self.bytes.borrow().len() as u64)
    }
}

impl ReadAt for Shared {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.bytes.borrow().read_at(buffer, offset)
    }

    fn total_len(&self) -> io::Result<u64> {
        Ok(self.len())
    }
}

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.read_at(buffer, self.position)?;
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for Shared {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let found = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
            SeekFrom::End(delta) => self.len().checked_add_signed(delta),
        };
        self.position = found.ok_or(ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

fn lazy() -> Kuvert {
    kuvert().with_open_options(OpenOptions::default().with_lazy_length(true))
}

/// An opener that does not know the source's length yet.
fn started(kuvert: &Kuvert, message: &[u8]) -> Opener {
    opener(kuvert, MessageStart::read(&mut &message[..]).unwrap()).unwrap()
}

fn ranges(kuvert: &Kuvert, source: &Shared) -> Result<RangeReader<Shared>, OpenError> {
    let opener = started(kuvert, &source.bytes.borrow());
    opener.into_ranges(source.clone())
}

fn seekable(kuvert: &Kuvert, source: &Shared) -> Result<SeekReader<Shared>, OpenError> {
    let opener = started(kuvert, &source.bytes.borrow());
    opener.into_seekable(source.clone().at(CHUNKS_AT as u64))
}

#[track_caller]
fn is_truncated_or_tampered(found: Told, what: &str) {
    assert!(found == TRUNCATED || found == TAMPERED, "{what}: {found:?}");
}

#[test]
fn line_65_a_source_longer_than_any_message() {
    let whole = Shared::new(&message(100));
    let base = CHUNKS_AT as u64;
    for chunks in [LONGEST + 17, LONGEST + SEALED, u64::MAX - base] {
        let source = whole.clone().claiming(base + chunks);
        assert_eq!(told(MessageStart::read_seekable(&mut source.clone())), LIMIT, "before any key");
        for kuvert in [kuvert(), lazy()] {
            assert_eq!(told(ranges(&kuvert, &source)), LIMIT);
            assert_eq!(told(seekable(&kuvert, &source)), LIMIT);
        }
    }
    for chunks in [LONGEST, LONGEST - 1] {
        let source = whole.clone().claiming(base + chunks);
        assert!(ranges(&lazy(), &source).is_ok(), "possible, until something of it is read");
        is_truncated_or_tampered(told(ranges(&kuvert(), &source)), "the last chunk is not there");
        is_truncated_or_tampered(told(seekable(&kuvert(), &source)), "the last chunk is not there");
    }
    // A source that stands at its beginning although its start was read elsewhere.
    let unread = started(&kuvert(), &message(100)).into_seekable(whole.claiming(u64::MAX));
    assert_eq!(told(unread), LIMIT);
}

#[test]
fn line_65_an_offset_beyond_every_message() {
    const MAX: u64 = (1 << 52) - 1;
    let source = Shared::new(&message(100));
    for kuvert in [kuvert(), lazy()] {
        let reader = ranges(&kuvert, &source).unwrap();
        let mut out = [0xaa; 10];
        for offset in [MAX + 1, u64::MAX - 5, u64::MAX] {
            assert_eq!(told(reader.read_at(&mut out, offset)), LIMIT, "{offset}");
            assert_eq!(told(reader.read_exact_at(&mut out, offset)), LIMIT, "{offset}");
        }
        assert_eq!(reader.read_at(&mut out, MAX).unwrap(), 0, "behind the end, as in a file");
        assert_eq!(told(reader.read_exact_at(&mut out, MAX)), USAGE);
        assert_eq!(told(reader.read_exact_at(&mut out, 95)), USAGE);
        let mut reader = seekable(&kuvert, &source).unwrap();
        for beyond in [SeekFrom::Start(MAX + 1), SeekFrom::Start(u64::MAX), SeekFrom::End(i64::MAX)] {
            assert_eq!(told(in_io(reader.seek(beyond))), LIMIT, "{beyond:?}");
        }
        assert_eq!(reader.seek(SeekFrom::Start(MAX)).unwrap(), MAX);
        assert_eq!(told(in_io(reader.seek(SeekFrom::Current(i64::MAX)))), LIMIT);
        assert_eq!(told(in_io(reader.seek(SeekFrom::Current(1)))), LIMIT);
        let before = reader.seek(SeekFrom::Current(i64::MIN)).unwrap_err();
        assert_eq!(before.kind(), ErrorKind::InvalidInput, "before the beginning");
        assert_eq!(reader.stream_position().unwrap(), MAX, "a refused seek moves nothing");
        assert_eq!(reader.read(&mut out).unwrap(), 0);
        reader.seek(SeekFrom::Start(90)).unwrap();
        let mut rest = Vec::new();
        assert_eq!(reader.read_to_end(&mut rest).unwrap(), 10);
        assert_eq!(rest, plaintext(100)[90..]);
    }
}

#[test]
fn line_66_an_end_of_file_only_after_the_last_chunk_is_verified() {
    let mut damaged = message(CHUNK + 100);
    *damaged.last_mut().unwrap() ^= 1;
    let cut = message(CHUNK + 100)[..CHUNKS_AT + 16_400].to_vec();
    for (bytes, expected) in [(damaged, TAMPERED), (cut, TRUNCATED)] {
        let source = Shared::new(&bytes);
        assert_eq!(told(ranges(&kuvert(), &source)), expected, "strict: at once");
        assert_eq!(told(seekable(&kuvert(), &source)), expected, "strict: at once");
        let Ok(reader) = ranges(&lazy(), &source) else {
            assert_eq!(expected, TRUNCATED, "shown by the length alone");
            continue;
        };
        let mut out = vec![0; CHUNK];
        reader.read_exact_at(&mut out, 0).unwrap();
        assert_eq!(out, plaintext(CHUNK));
        for offset in [CHUNK as u64, CHUNK as u64 + 100, CHUNK as u64 + 101, 1 << 40] {
            assert_eq!(told(reader.read_at(&mut out, offset)), expected, "{offset}");
        }
        assert_eq!(told(reader.plaintext_len()), expected);
        assert_eq!(told(reader.report()), expected);
        let mut reader = seekable(&lazy(), &source).unwrap();
        reader.read_exact(&mut out).unwrap();
        for offset in [CHUNK as u64 + 100, 1 << 40] {
            reader.seek(SeekFrom::Start(offset)).unwrap();
            assert_eq!(told(in_io(reader.read(&mut out))), expected, "{offset}");
        }
        assert_eq!(told(in_io(reader.seek(SeekFrom::End(0)))), expected);
    }
}

#[test]
fn line_67_a_source_that_changes_after_it_was_opened() {
    let len = CHUNK + 100;
    let whole = message(len);
    for (what, change) in [
        ("shrunk by 1", -1_isize),
        ("shrunk by 100", -100),
        ("shrunk by its last chunk", -116),
        ("shrunk into the first chunk", -5000),
        ("grown by 1", 1),
        ("grown by 16", 16),
        ("grown by a chunk", 16_400),
    ] {
        let source = Shared::new(&whole);
        let (at_once, mut in_order) =
            (ranges(&kuvert(), &source).unwrap(), seekable(&kuvert(), &source).unwrap());
        let late = (ranges(&lazy(), &source).unwrap(), seekable(&lazy(), &source).unwrap());
        let mut stream = started(&kuvert(), &whole).into_reader(source.clone().at(CHUNKS_AT as u64));
        source.bytes.borrow_mut().resize(whole.len().checked_add_signed(change).unwrap(), 0);
        let mut out = vec![0; len];
        is_truncated_or_tampered(told(at_once.read_at(&mut out, 0)), what);
        assert!(out.iter().all(|&byte| byte == 0), "{what}: wiped");
        is_truncated_or_tampered(told(in_io(in_order.read_to_end(&mut Vec::new()))), what);
        is_truncated_or_tampered(told(in_io(stream.read_to_end(&mut Vec::new()))), what);
        let (ranges, mut seekable) = late;
        is_truncated_or_tampered(told(ranges.plaintext_len()), what);
        is_truncated_or_tampered(told(in_io(seekable.seek(SeekFrom::End(0)))), what);
    }
}

/// Gives what it has in small pieces, with an interruption before each, and fails once at an offset.
struct Choppy<'a> {
    bytes: &'a [u8],
    piece: usize,
    interrupted: bool,
    fails_at: Option<(usize, ErrorKind)>,
    given: usize,
}

impl<'a> Choppy<'a> {
    fn new(bytes: &'a [u8], piece: usize) -> Self {
        Self { bytes, piece, interrupted: false, fails_at: None, given: 0 }
    }
}

impl Read for Choppy<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupted = !self.interrupted;
        if self.interrupted {
            return Err(ErrorKind::Interrupted.into());
        }
        let mut n = self.piece.min(buffer.len()).min(self.bytes.len() - self.given);
        if let Some((at, kind)) = self.fails_at {
            if self.given == at {
                self.fails_at = None;
                return Err(kind.into());
            }
            n = n.min(at.saturating_sub(self.given)).max(usize::from(at < self.given) * n);
        }
        buffer[..n].copy_from_slice(&self.bytes[self.given..self.given + n]);
        self.given += n;
        Ok(n)
    }
}

#[test]
fn line_68_short_reads_are_read_on() {
    let whole = message(CHUNK + 100);
    for piece in [1, 7, 56, 16_399, 16_400, 16_401, 1 << 20] {
        let mut source = Choppy::new(&whole, piece);
        let start = MessageStart::read(&mut source).unwrap();
        let mut reader = opener(&kuvert(), start).unwrap().into_reader(source);
        let mut out = Vec::new();
        reader.read_to_end(&mut out).unwrap();
        assert_eq!(out, plaintext(CHUNK + 100), "pieces of {piece}");
        assert!(reader.is_complete());
    }
}

#[test]
fn line_68_a_failure_in_the_middle_is_never_a_short_success() {
    let whole = message(CHUNK + 100);
    for at in [0, 1, 31, 32, 200, 312, 367].into_iter().chain((CHUNKS_AT..whole.len()).step_by(997)) {
        let mut source = Choppy { fails_at: Some((at, ErrorKind::TimedOut)), ..Choppy::new(&whole, 500) };
        let start = match MessageStart::read(&mut source) {
            Ok(start) => start,
            Err(error) => {
                assert!(at < CHUNKS_AT);
                assert_eq!(told::<()>(Err(error)), (Category::Io, 1), "at {at}");
                continue;
            }
        };
        assert!(at >= CHUNKS_AT);
        let mut reader = opener(&kuvert(), start).unwrap().into_reader(source);
        let mut out = Vec::new();
        let error = reader.read_to_end(&mut out).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "the source's own error, at {at}");
        assert!(!reader.is_complete());
        assert!(out.is_empty() || out.len() == CHUNK, "whole chunks only, {} bytes", out.len());
        // The source works again: nothing was lost.
        reader.read_to_end(&mut out).unwrap();
        assert_eq!(out, plaintext(CHUNK + 100), "after a failure at {at}");
    }
}

#[test]
fn line_69_an_end_that_a_forged_length_shows() {
    let len = 2 * CHUNK + 100;
    let whole = message(len);
    let real = whole.len() as u64;
    for forged in [
        CHUNKS_AT as u64,
        CHUNKS_AT as u64 + 15,
        CHUNKS_AT as u64 + 16,
        real - 16_400,
        real - 116,
        real - 17,
        real - 1,
        real + 1,
        real + 16,
        real + 16_284,
        real + 16_400,
        real + (1 << 40),
    ] {
        let source = Shared::new(&whole).claiming(forged);
        let what = format!("{forged} instead of {real}");
        is_truncated_or_tampered(told(ranges(&kuvert(), &source)), &what);
        is_truncated_or_tampered(told(seekable(&kuvert(), &source)), &what);
        if let Ok(reader) = ranges(&lazy(), &source) {
            is_truncated_or_tampered(told(reader.plaintext_len()), &what);
        }
        if let Ok(mut reader) = seekable(&lazy(), &source) {
            is_truncated_or_tampered(told(in_io(reader.seek(SeekFrom::End(0)))), &what);
            is_truncated_or_tampered(told(in_io(reader.seek(SeekFrom::End(-50)))), &what);
        }
    }
    let honest = Shared::new(&whole);
    assert_eq!(ranges(&lazy(), &honest).unwrap().plaintext_len().unwrap(), len as u64);
    assert_eq!(seekable(&lazy(), &honest).unwrap().seek(SeekFrom::End(-50)).unwrap(), len as u64 - 50);
}

#[test]
fn line_70_a_writer_that_is_dropped_leaves_nothing_that_opens() {
    let provider = Scripted::new();
    for len in [0, 1, 100, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 40 * CHUNK + 5] {
        for (flushes, aborts) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut message = Vec::new();
            let sealer = block_on(provider.kuvert().sealer(&context())).unwrap().unwrap();
            let mut writer = sealer.into_writer(&mut message);
            writer.write_all(&plaintext(len)).unwrap();
            if flushes {
                writer.flush().unwrap();
            }
            if aborts {
                writer.abort();
            } else {
                drop(writer);
            }
            assert_eq!(
                told(open(&provider.kuvert(), &message)),
                TRUNCATED,
                "{len} bytes, flushed: {flushes}"
            );
            let mut source = &message[..];
            if let Ok(start) = MessageStart::read(&mut source) {
                let mut reader = opener(&provider.kuvert(), start).unwrap().into_reader(source);
                assert_eq!(told(in_io(reader.read_to_end(&mut Vec::new()))), TRUNCATED);
            }
        }
    }
}
