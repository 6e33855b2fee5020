//! A range is the slice: `SeekReader` and `RangeReader` against the plaintext in memory.
//!
//! Seek scripts run against a ten-line model; ranges are compared with slices, also from many threads, from sources
//! that shrink and grow, and behind an offset.

use std::io::{BufRead, Cursor, ErrorKind, Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(feature = "tokio")]
use kuvert::io::AsyncSeekReader;
use kuvert::io::{RangeReader, ReadAt, SeekReader};
use kuvert::limits::MAX_PLAINTEXT_LEN;
use kuvert::{Category, Layout, MessageStart, OpenError, OpenOptions, Opener};
use proptest::prelude::*;

use crate::support::anatomy::{Anatomy, CHUNK, SEALED_CHUNK};
#[cfg(feature = "tokio")]
use crate::support::async_io::{Blocking, Slow};
use crate::support::cancel::wait;
use crate::support::fixture::{context, kuvert, message, text};
use crate::support::io::OneByte;

fn opener(message: &[u8], lazy: bool) -> Opener {
    let options = OpenOptions::default().with_lazy_length(lazy);
    let start = MessageStart::parse(message).expect("a whole message");
    wait(kuvert().with_open_options(options).opener(start, &context())).expect("a whole message")
}

fn ranges(message: &[u8], lazy: bool) -> RangeReader<&[u8]> {
    opener(message, lazy).into_ranges(message).expect("a whole message")
}

fn seekable(message: &[u8], lazy: bool) -> SeekReader<Cursor<&[u8]>> {
    let mut source = Cursor::new(message);
    source.set_position(Anatomy::of(message).commitment.end as u64);
    opener(message, lazy).into_seekable(source).expect("a whole message")
}

#[cfg(feature = "tokio")]
fn seekable_async(message: &[u8], lazy: bool) -> Blocking<AsyncSeekReader<Slow<Cursor<&[u8]>>>> {
    let mut source = Slow::new(Cursor::new(message), 1);
    let start = wait(MessageStart::read_seekable_async(&mut source)).expect("a whole message");
    let options = OpenOptions::default().with_lazy_length(lazy);
    let opener = wait(kuvert().with_open_options(options).opener(start, &context())).expect("whole");
    Blocking(wait(opener.into_async_seekable(source)).expect("a whole message"))
}

/// What seeks, of either kind.
trait Seeks: BufRead + Seek {
    fn plaintext_len(&mut self) -> Result<u64, OpenError>;
}

impl<R: Read + Seek> Seeks for SeekReader<R> {
    fn plaintext_len(&mut self) -> Result<u64, OpenError> {
        Self::plaintext_len(self)
    }
}

#[cfg(feature = "tokio")]
impl<R: tokio::io::AsyncRead + tokio::io::AsyncSeek + Unpin> Seeks for Blocking<AsyncSeekReader<R>> {
    fn plaintext_len(&mut self) -> Result<u64, OpenError> {
        wait(self.0.plaintext_len())
    }
}

/// What one step of a script does.
#[derive(Debug, Clone)]
enum Step {
    Read(usize),
    Fill(usize),
    Start(u64),
    Current(i64),
    End(i64),
    Length,
}

/// The model: a position in a slice.
struct Model<'a> {
    text: &'a [u8],
    at: u64,
}

impl Model<'_> {
    fn read(&mut self, most: usize) -> &[u8] {
        let from = usize::try_from(self.at).unwrap_or(usize::MAX).min(self.text.len());
        let to = from.saturating_add(most).min(self.text.len());
        self.at += (to - from) as u64;
        &self.text[from..to]
    }

    /// Anywhere that a message of some length could reach.
    fn seek(&mut self, target: Option<u64>) -> Option<u64> {
        let target = target.filter(|at| *at <= MAX_PLAINTEXT_LEN);
        self.at = target?;
        target
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let near = prop_oneof![Just(0), Just(CHUNK), Just(2 * CHUNK), Just(3 * CHUNK), 0..4 * CHUNK];
    let position = (near, -3_i64..4).prop_map(|(at, by)| (at as u64).saturating_add_signed(by));
    let delta = prop_oneof![-5_i64..5, -60_000_i64..60_000, Just(i64::MIN), Just(i64::MAX)];
    let len = prop_oneof![0..100_usize, 0..3 * CHUNK];
    let step = prop_oneof![
        4 => len.clone().prop_map(Step::Read),
        2 => len.prop_map(Step::Fill),
        2 => prop_oneof![position, any::<u64>()].prop_map(Step::Start),
        2 => delta.clone().prop_map(Step::Current),
        2 => delta.prop_map(Step::End),
        1 => Just(Step::Length),
    ];
    proptest::collection::vec(step, 0..30)
}

/// Plays one step on both and compares.
fn play(reader: &mut dyn Seeks, model: &mut Model<'_>, step: &Step) {
    let seek = match step {
        Step::Read(len) => {
            let mut out = vec![0; *len];
            let mut filled = 0;
            // A reader may give less than asked for, but nothing only at the end.
            while filled < *len {
                match reader.read(&mut out[filled..]).expect("a whole message") {
                    0 => break,
                    read => filled += read,
                }
            }
            assert!(out[..filled] == *model.read(*len), "{step:?}");
            return;
        }
        Step::Fill(most) => {
            let bytes = reader.fill_buf().expect("a whole message");
            let taken = bytes.len().min(*most);
            let bytes = bytes[..taken].to_vec();
            assert!(bytes == model.read(taken), "{step:?}");
            reader.consume(taken);
            return;
        }
        Step::Length => {
            assert_eq!(reader.plaintext_len().expect("a whole message"), model.text.len() as u64);
            return;
        }
        Step::Start(at) => SeekFrom::Start(*at),
        Step::Current(by) => SeekFrom::Current(*by),
        Step::End(by) => SeekFrom::End(*by),
    };
    let target = match seek {
        SeekFrom::Start(at) => Some(at),
        SeekFrom::Current(by) => model.at.checked_add_signed(by),
        SeekFrom::End(by) => (model.text.len() as u64).checked_add_signed(by),
    };
    let found = reader.seek(seek);
    match model.seek(target) {
        Some(at) => assert_eq!(found.expect("a position"), at, "{step:?}"),
        None => assert_eq!(found.expect_err("no position").kind(), ErrorKind::InvalidInput, "{step:?}"),
    }
    assert_eq!(reader.stream_position().expect("no I/O"), model.at, "{step:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if long() { 20_000 } else { 300 }, ..ProptestConfig::default() })]

    #[test]
    fn seek_scripts_against_the_model(
        len in prop_oneof![0..50_usize, Just(CHUNK), Just(2 * CHUNK), 0..3 * CHUNK],
        lazy: bool,
        steps in steps(),
    ) {
        let text = text(len);
        let message = message(Layout::Compact, &text);
        let (mut reader, mut model) = (seekable(&message, lazy), Model { text: &text, at: 0 });
        for step in &steps {
            play(&mut reader, &mut model, step);
        }
        #[cfg(feature = "tokio")]
        {
            let (mut reader, mut model) = (seekable_async(&message, lazy), Model { text: &text, at: 0 });
            for step in &steps {
                play(&mut reader, &mut model, step);
            }
        }
    }

    #[test]
    fn a_range_is_the_slice(
        len in prop_oneof![0..50_usize, Just(CHUNK), Just(2 * CHUNK), 0..4 * CHUNK],
        lazy: bool,
        wanted in proptest::collection::vec((0..5 * CHUNK as u64, 0..3 * CHUNK), 1..12),
    ) {
        let text = text(len);
        let message = message(Layout::Rewrappable, &text);
        let reader = ranges(&message, lazy);
        for (at, len) in wanted {
            check_range(&reader, &text, at, len);
        }
    }
}

fn check_range<S: ReadAt>(reader: &RangeReader<S>, text: &[u8], at: u64, len: usize) {
    let truth = Model { text, at }.read(len).to_vec();
    let mut out = vec![0xee; len];
    let read = reader.read_at(&mut out, at).expect("a whole message");
    assert!(out[..read] == truth, "{len} bytes at {at}");
    let mut out = vec![0xee; len];
    match reader.read_exact_at(&mut out, at) {
        Ok(()) => assert!(out == truth, "{len} bytes at {at}"),
        Err(error) => {
            assert!(truth.len() < len, "{len} bytes at {at}: {error}");
            assert_eq!(error.category(), Category::Usage);
            assert!(out.iter().all(|byte| *byte == 0 || *byte == 0xee), "no plaintext beside an error");
        }
    }
}

/// Every pair of borders, exhaustively.
#[test]
fn ranges_between_all_borders() {
    for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 33 * CHUNK + 9] {
        let text = text(len);
        let message = message(Layout::Compact, &text);
        let borders: Vec<usize> = [0, 1, CHUNK, 2 * CHUNK, 32 * CHUNK, 33 * CHUNK, len]
            .into_iter()
            .flat_map(|at| [at.saturating_sub(1), at, at + 1])
            .filter(|at| *at <= len + 1)
            .collect();
        for lazy in [false, true] {
            let reader = ranges(&message, lazy);
            for from in &borders {
                for to in borders.iter().filter(|to| *to >= from) {
                    check_range(&reader, &text, *from as u64, to - from);
                }
            }
            check_range(&reader, &text, MAX_PLAINTEXT_LEN, 10);
            check_range(&reader, &text, MAX_PLAINTEXT_LEN - 5, 10);
            for beyond in [MAX_PLAINTEXT_LEN + 1, u64::MAX - 5, u64::MAX] {
                let refused = reader.read_at(&mut [0; 10], beyond).expect_err("no message reaches there");
                assert_eq!(refused.category(), Category::LimitExceeded);
            }
        }
    }
}

/// Counts the bytes that a range costs.
struct Counting<'a>(&'a [u8], AtomicUsize);

impl ReadAt for Counting<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let read = self.0.read_at(buffer, offset)?;
        self.1.fetch_add(read, Ordering::SeqCst);
        Ok(read)
    }

    fn total_len(&self) -> std::io::Result<u64> {
        self.0.total_len()
    }
}

#[test]
fn a_small_range_reads_one_chunk() {
    let text = text(20 * CHUNK);
    let message = message(Layout::Compact, &text);
    let reader = opener(&message, false).into_ranges(Counting(&message, AtomicUsize::new(0))).expect("whole");
    reader.plaintext_len().expect("whole");
    let source = reader.into_inner();
    assert!(source.1.load(Ordering::SeqCst) <= 2 * SEALED_CHUNK, "opening costs the last chunk");
    let reader = opener(&message, true).into_ranges(Counting(&message, AtomicUsize::new(0))).expect("whole");
    check_range(&reader, &text, 7 * CHUNK as u64 + 5, 1024);
    // Twice: by `read_at` and by `read_exact_at`.
    assert_eq!(
        reader.into_inner().1.load(Ordering::SeqCst),
        2 * SEALED_CHUNK,
        "and a range in one chunk that chunk"
    );
}

#[test]
fn many_threads_read_ranges() {
    let text = text(9 * CHUNK + 5);
    let message = message(Layout::Compact, &text);
    let reader = ranges(&message, true);
    std::thread::scope(|scope| {
        for thread in 0..8_usize {
            let (reader, text) = (&reader, &text);
            scope.spawn(move || {
                for n in 0..60 {
                    check_range(reader, text, ((thread * 7919 + n * 4099) % text.len()) as u64, n * 500);
                }
            });
        }
    });
}

/// A file that is read by a path of its own, and a message behind other bytes.
#[test]
fn files_and_offsets() {
    let text = text(3 * CHUNK + 5);
    let message = message(Layout::Compact, &text);
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(&message).expect("a working disk");
    let start = MessageStart::parse(&message).expect("whole");
    let reader = wait(kuvert().opener(start, &context())).expect("whole").into_ranges(file).expect("whole");
    check_range(&reader, &text, CHUNK as u64 - 3, CHUNK);

    // A seekable source that does not begin with the message: positions count from where the reader stands.
    let shifted = [vec![0x11; 1000], message].concat();
    let mut source = OneByte(Cursor::new(shifted));
    source.seek(SeekFrom::Start(1000)).expect("in memory");
    let start = MessageStart::read_seekable(&mut source).expect("whole");
    let mut reader =
        wait(kuvert().opener(start, &context())).expect("whole").into_seekable(source).expect("whole");
    let mut model = Model { text: &text, at: 0 };
    for step in
        [Step::Read(5), Step::End(-9), Step::Read(20), Step::Start(CHUNK as u64 - 1), Step::Read(CHUNK + 2)]
    {
        play(&mut reader, &mut model, &step);
    }
}

/// A source that changes its length between opening and reading: an error, never a short or a wrong answer.
#[test]
fn sources_that_shrink_and_grow() {
    for len in [CHUNK - 1, CHUNK, 2 * CHUNK + 100] {
        let text = text(len);
        let message = message(Layout::Compact, &text);
        for by in [1, 15, 16, 100, SEALED_CHUNK] {
            let shrunk = message[..message.len() - by.min(message.len())].to_vec();
            let grown = [message.clone(), vec![0; by]].concat();
            for changed in [shrunk, grown] {
                let shrinks = changed.len() < message.len();
                let reader = opener(&message, true).into_ranges(Changing(&message, &changed)).expect("lazy");
                refuse_all("ranges", &text, shrinks, |at, out| {
                    reader.read_at(out, at).map_err(|error| match error {
                        OpenError::Io(error) => panic!("{error}"),
                        other => other.category(),
                    })
                });
                // Strict: told when the reader is made.
                let refused = opener(&message, false).into_ranges(Changing(&message, &changed));
                let category = refused.expect_err("another length").category();
                assert!(matches!(category, Category::Truncated | Category::Tampered), "{category:?}");
            }
        }
    }
}

/// Whatever reaches the end is refused; what lies before may be answered, truly.
fn refuse_all(
    what: &str,
    text: &[u8],
    shrinks: bool,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<usize, Category>,
) {
    for at in (0..=text.len()).step_by(4_001).chain([text.len() - 1, text.len()]) {
        for len in [1, 100, CHUNK, text.len() + 5] {
            let mut out = vec![0; len];
            let result = read(at as u64, &mut out);
            let truth = Model { text, at: at as u64 }.read(len).to_vec();
            match result {
                Ok(read) => assert!(read == len && out == truth, "{what}: {read} of {len} bytes at {at}"),
                Err(category) => {
                    assert!(
                        matches!(category, Category::Truncated | Category::Tampered),
                        "{what}: {category:?}"
                    );
                    assert!(
                        shrinks || at + len >= text.len() / CHUNK * CHUNK,
                        "{what}: {len} at {at} was there"
                    );
                }
            }
        }
    }
}

/// Tells the first length, and has the second content.
struct Changing<'a>(&'a [u8], &'a [u8]);

impl ReadAt for Changing<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.1.read_at(buffer, offset)
    }

    fn total_len(&self) -> std::io::Result<u64> {
        self.0.total_len()
    }
}

fn long() -> bool {
    std::env::var_os("KUVERT_TEST_LONG").is_some()
}
