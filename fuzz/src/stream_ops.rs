//! Scripts of writes, flushes, copies and finishes over a writer that fails, then of reads over a reader that fails.
//!
//! The model of sealing is a number: how many bytes of [`TEXT`] were taken. The model of opening is another: how many
//! were given out. Faults of the inner side lose nothing; what was not finished never opens; of a damaged message the
//! chunks before the damage come out, and then the same error for ever.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, BufRead, ErrorKind, Read, Write},
    rc::Rc,
    sync::LazyLock,
};

use kuvert::{
    Category, EncryptionContext, Kuvert, Layout, MessageStart, OpenError, OpenOptions, SealError,
    SealOptions, Sealer,
    io::{OpenReader, SealReport, SealWriter},
};

use super::{
    fixtures::{self, Keys, block_on},
    input::{CHUNK, Input},
    model::{BODY_START, SEALED_CHUNK},
};

pub fn run(data: &[u8]) {
    check(data, &Crate);
}

/// What is tested.
pub trait Streams {
    fn writer(&self, sealer: Sealer, sink: Sink) -> Box<dyn WriterUnderTest>;
    fn reader(&self, opened: OpenReader<Source>) -> Box<dyn ReaderUnderTest>;
}

pub trait WriterUnderTest: Write {
    fn copy_from(&mut self, reader: &mut Source) -> io::Result<u64>;
    fn try_finish(&mut self) -> Result<SealReport, SealError>;
    fn taken(&self) -> u64;
    fn abort(self: Box<Self>);
}

pub trait ReaderUnderTest: BufRead {
    fn copy_to(&mut self, writer: &mut Sink) -> io::Result<u64>;
    fn is_complete(&self) -> bool;
    fn opened(&self) -> u64;
}

/// The crate itself.
#[derive(Debug)]
pub struct Crate;

impl Streams for Crate {
    fn writer(&self, sealer: Sealer, sink: Sink) -> Box<dyn WriterUnderTest> {
        Box::new(sealer.into_writer(sink))
    }

    fn reader(&self, opened: OpenReader<Source>) -> Box<dyn ReaderUnderTest> {
        Box::new(opened)
    }
}

impl WriterUnderTest for SealWriter<Sink> {
    fn copy_from(&mut self, reader: &mut Source) -> io::Result<u64> {
        self.copy_from(reader)
    }

    fn try_finish(&mut self) -> Result<SealReport, SealError> {
        self.try_finish()
    }

    fn taken(&self) -> u64 {
        self.plaintext_len()
    }

    fn abort(self: Box<Self>) {
        drop((*self).abort());
    }
}

impl ReaderUnderTest for OpenReader<Source> {
    fn copy_to(&mut self, writer: &mut Sink) -> io::Result<u64> {
        self.copy_to(writer)
    }

    fn is_complete(&self) -> bool {
        self.is_complete()
    }

    fn opened(&self) -> u64 {
        self.report().plaintext_len
    }
}

pub fn check(data: &[u8], streams: &impl Streams) {
    let mut input = Input::new(data);
    let layout = [Layout::Compact, Layout::Rewrappable, Layout::Detached][usize::from(input.u8()) % 3];
    let handle =
        Kuvert::seal_only(fixtures::provider()).with_options(SealOptions::default().with_layout(layout));
    let sealer = block_on(handle.sealer(&EncryptionContext::empty())).unwrap();
    let detached = if layout == Layout::Detached { sealer.header().to_vec() } else { Vec::new() };
    let attached = if layout == Layout::Detached { 0 } else { sealer.header().len() };
    let sink = Sink::new(input.short_bytes());
    let header = sealer.header().len();
    let script = Script {
        writer: streams.writer(sealer, sink.clone()),
        sink: sink.clone(),
        head: attached + BODY_START,
        header,
        taken: 0,
        finishing: false,
    };
    let sealed = script.run(&mut input);
    let body = sink.0.borrow().bytes.clone();
    match sealed {
        Sealed::Finished(taken) => open_script(&detached, body, taken, &mut input, streams),
        Sealed::Unfinished { taken, finishing } => never_opens(&detached, &body, taken, finishing),
    }
}

/// How sealing ended, and how many bytes of plaintext were taken.
enum Sealed {
    Finished(usize),
    Unfinished { taken: usize, finishing: bool },
}

/// A writer under a script, and what the model knows of it.
struct Script {
    writer: Box<dyn WriterUnderTest>,
    sink: Sink,
    /// Bytes that go out before the first chunk.
    head: usize,
    header: usize,
    taken: usize,
    /// Whether the end was asked for.
    finishing: bool,
}

impl Script {
    fn run(mut self, input: &mut Input<'_>) -> Sealed {
        for _ in 0..48 {
            assert_eq!(self.writer.taken(), self.taken as u64);
            self.sink.failed();
            // Behind the last operation everything is finished, so that a short script is a whole case.
            match if input.is_empty() { 6 } else { input.u8() % 9 } {
                0 | 1 => {
                    let more = input.boundary_len().min(TEXT.len() - self.taken);
                    self.write(more);
                }
                2..=4 => {
                    let more = input.boundary_len().min(TEXT.len() - self.taken);
                    self.copy(more, input.bytes(3));
                }
                5 => match self.writer.flush() {
                    Ok(()) => self.check_flushed(),
                    Err(error) => self.excuse(&error),
                },
                6 => {
                    self.finishing = true;
                    match self.writer.try_finish() {
                        Ok(report) => {
                            self.check_report(&report);
                            self.check_finished(&report);
                            return Sealed::Finished(self.taken);
                        }
                        Err(SealError::Io(error)) => self.excuse(&error),
                        Err(error) => panic!("finishing failed as {error}"),
                    }
                }
                7 => {
                    self.writer.abort();
                    return Sealed::Unfinished { taken: self.taken, finishing: self.finishing };
                }
                _ => break,
            }
        }
        // Dropped.
        Sealed::Unfinished { taken: self.taken, finishing: self.finishing }
    }

    fn write(&mut self, more: usize) {
        match self.writer.write(&TEXT[self.taken..self.taken + more]) {
            Ok(n) => {
                assert!(n <= more && (n > 0 || more == 0), "took {n} of {more}");
                assert!(!self.finishing, "took plaintext behind the end");
                self.taken += n;
            }
            Err(error) => self.excuse_late(&error),
        }
    }

    fn copy(&mut self, more: usize, plan: &[u8]) {
        let mut source = Source::new(&TEXT[self.taken..self.taken + more], plan);
        match self.writer.copy_from(&mut source) {
            Ok(n) => {
                assert_eq!(n, more as u64);
                assert!(!self.finishing, "took plaintext behind the end");
            }
            Err(error) if source.failed() => assert_ne!(error.kind(), ErrorKind::InvalidInput),
            Err(error) => self.excuse_late(&error),
        }
        // What was read is not lost, whichever side failed.
        self.taken += source.taken();
    }

    /// What is finished can be finished again, and takes nothing more.
    fn check_finished(&mut self, report: &SealReport) {
        match self.writer.try_finish() {
            Ok(again) => assert_eq!(again, *report),
            Err(error) => assert!(self.sink.failed(), "finishing again failed as {error}"),
        }
        let late = self.writer.write(b"late").expect_err("the message is finished");
        assert_eq!(late.kind(), ErrorKind::InvalidInput);
        let late = self.writer.copy_from(&mut Source::new(b"late", &[]));
        assert_eq!(late.expect_err("the message is finished").kind(), ErrorKind::InvalidInput);
    }

    /// Only a planned fault may fail a call,
    fn excuse(&self, error: &io::Error) {
        assert!(self.sink.failed(), "failed as {error} for no reason");
    }

    /// or that it comes behind the end.
    fn excuse_late(&self, error: &io::Error) {
        let late = self.finishing && error.kind() == ErrorKind::InvalidInput;
        assert!(late || self.sink.failed(), "failed as {error} for no reason");
    }

    /// After a flush every full chunk is out.
    fn check_flushed(&self) {
        let sink = self.sink.0.borrow();
        let full = self.head + self.taken / CHUNK * SEALED_CHUNK;
        let last = if self.finishing { self.taken % CHUNK + 16 } else { 0 };
        assert_eq!(sink.bytes.len(), full + last, "out after a flush at {}", self.taken);
        assert!(sink.flushed, "the inner writer was not flushed");
    }

    fn check_report(&self, report: &SealReport) {
        self.check_flushed();
        let body = BODY_START + self.taken / CHUNK * SEALED_CHUNK + self.taken % CHUNK + 16;
        let lens = (self.taken as u64, (self.header + body) as u64);
        assert_eq!((report.plaintext_len, report.sealed_len), lens);
        assert_eq!((report.recipients.len(), report.pending.len()), (1, 0));
    }
}

/// A message that was not finished opens for nobody, whatever is there of it.
fn never_opens(header: &[u8], body: &[u8], taken: usize, finishing: bool) {
    let opened = match start(header, body) {
        Ok(start) => {
            let chunks = usize::try_from(start.chunks_offset()).unwrap();
            let opener = opener(start);
            let mut reader = opener.into_reader(&body[chunks..]);
            let mut plaintext = Vec::new();
            let end = reader.read_to_end(&mut plaintext);
            assert!(TEXT.starts_with(&plaintext) && plaintext.len() <= taken, "other bytes came out");
            end.map(|_| plaintext.len()).map_err(OpenError::from)
        }
        Err(error) => Err(error),
    };
    match opened {
        // Its last byte went out, and only then something failed.
        Ok(len) => assert!(finishing && len == taken, "an unfinished message opens"),
        Err(error) => {
            let category = error.category();
            assert!(matches!(category, Category::Truncated | Category::Tampered), "refused as {error}");
        }
    }
}

fn start(header: &[u8], mut body: &[u8]) -> Result<MessageStart, OpenError> {
    if header.is_empty() {
        MessageStart::read(&mut body)
    } else {
        MessageStart::read_detached(&mut &*header, &mut body)
    }
}

fn opener(start: MessageStart) -> kuvert::Opener {
    let handle = Keys::new().handle(OpenOptions::default());
    block_on(handle.opener(start, &EncryptionContext::empty())).expect("the header is whole")
}

/// What is done to a finished message before it is opened.
struct Damage {
    /// Full chunks before the damage.
    good_chunks: usize,
    category: Category,
}

/// Changes the chunks of a message, and says what that must lead to.
fn damage(chunks: &mut Vec<u8>, input: &mut Input<'_>) -> Option<Damage> {
    let what = input.u8();
    let near = (input.below(chunks.len() / SEALED_CHUNK + 1) * SEALED_CHUNK)
        .saturating_add_signed(input.i8().into());
    let at = near.min(chunks.len());
    match what % 6 {
        1 if at < chunks.len() => {
            chunks[at] ^= 1 << (what >> 5);
            Some(Damage { good_chunks: at / SEALED_CHUNK, category: Category::Tampered })
        }
        2 if at < chunks.len() => {
            chunks.truncate(at);
            let category = if at % SEALED_CHUNK < 16 { Category::Truncated } else { Category::Tampered };
            Some(Damage { good_chunks: at / SEALED_CHUNK, category })
        }
        3 => {
            let good_chunks = chunks.len() / SEALED_CHUNK;
            chunks.extend_from_slice(&TEXT[..=usize::from(what)]);
            Some(Damage { good_chunks, category: Category::Tampered })
        }
        _ => None,
    }
}

/// Opens a finished message of `len` bytes in order.
fn open_script(header: &[u8], body: Vec<u8>, len: usize, input: &mut Input<'_>, streams: &impl Streams) {
    let start = start(header, &body).expect("what is finished can be read");
    let at = usize::try_from(start.chunks_offset()).unwrap();
    let mut chunks = body[at..].to_vec();
    let damage = damage(&mut chunks, input);
    let source = Source::new(&chunks, input.short_bytes());
    let mut reader = streams.reader(opener(start).into_reader(source.clone()));
    // With damage, so much comes out before the error.
    let end = damage.as_ref().map_or(len, |damage| damage.good_chunks * CHUNK);
    let mut opening = Opening { end, damage, given: 0, failed: false, ended: false };
    for _ in 0..4096 {
        source.failed();
        // Behind the script's end it is read to its own.
        let scripted = !input.is_empty();
        match if scripted { input.u8() % 4 } else { 0 } {
            op @ 0..=2 => {
                let mut out = vec![FILL; if scripted { input.boundary_len() } else { 4 * CHUNK }];
                let got = if op < 2 { reader.read(&mut out) } else { peek(&mut *reader, &mut out) };
                let taken = opening.got(got, &out, &*reader, &source);
                if op == 2 {
                    // All of what was seen, or a part of it.
                    let part = taken.min(input.boundary_len());
                    reader.consume(part);
                    opening.given -= taken - part;
                }
            }
            _ => {
                let copied = Sink::new(input.bytes(2));
                let got = reader.copy_to(&mut copied.clone());
                opening.copied(got, &copied, &*reader, &source);
            }
        }
        if !scripted && (opening.failed || opening.ended) {
            return;
        }
    }
    panic!("it neither ends nor fails");
}

/// How far opening has come, and what is expected of the rest.
struct Opening {
    /// Bytes that come out in all.
    end: usize,
    damage: Option<Damage>,
    given: usize,
    failed: bool,
    ended: bool,
}

impl Opening {
    /// A read that gave bytes, or the end, or failed. Says how many bytes it gave.
    fn got(
        &mut self,
        got: io::Result<usize>,
        out: &[u8],
        reader: &dyn ReaderUnderTest,
        source: &Source,
    ) -> usize {
        match got {
            Ok(n) => {
                self.gave(&out[..n]);
                if n == 0 && !out.is_empty() {
                    self.told_end(reader);
                }
                n
            }
            Err(error) => {
                // A chunk is opened straight into a large buffer, and wiped if it does not verify.
                assert!(out.iter().all(|&byte| byte == FILL || byte == 0), "bytes beside an error");
                self.refused(error, source.failed());
                0
            }
        }
    }

    fn copied(&mut self, got: io::Result<u64>, copied: &Sink, reader: &dyn ReaderUnderTest, source: &Source) {
        let written = copied.0.borrow().bytes.clone();
        self.gave(&written);
        match got {
            Ok(n) => {
                assert_eq!(n, written.len() as u64);
                self.told_end(reader);
            }
            Err(error) => self.refused(error, source.failed() || copied.failed()),
        }
    }

    fn gave(&mut self, bytes: &[u8]) {
        assert!(bytes.is_empty() || !self.failed, "an integrity error was forgotten");
        assert!(TEXT[self.given..self.end].starts_with(bytes), "other bytes at {}", self.given);
        self.given += bytes.len();
    }

    fn told_end(&mut self, reader: &dyn ReaderUnderTest) {
        assert!(self.damage.is_none() && self.given == self.end, "an end of file at {}", self.given);
        assert!(reader.is_complete());
        assert_eq!(reader.opened(), self.end as u64);
        self.ended = true;
    }

    fn refused(&mut self, error: io::Error, planned: bool) {
        let error = OpenError::from(error);
        match (error.category(), &self.damage) {
            (Category::Io, _) => assert!(planned, "{error} for no reason"),
            (category, Some(damage)) => {
                assert_eq!(category, damage.category);
                assert_eq!(self.given, self.end, "chunks before the damage were kept back");
                self.failed = true;
            }
            (_, None) => panic!("refused a whole message: {error}"),
        }
    }
}

/// Copies what can be read without consuming it.
fn peek(reader: &mut dyn ReaderUnderTest, out: &mut [u8]) -> io::Result<usize> {
    let available = reader.fill_buf()?;
    let n = available.len().min(out.len());
    out[..n].copy_from_slice(&available[..n]);
    Ok(n)
}

const FILL: u8 = 0xaa;

/// What is sealed: its first so many bytes.
static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| fixtures::plaintext(80 * CHUNK, 0));

/// Keeps what is written to it, and fails as planned: one entry of the plan a call, and behind its end all goes well.
#[derive(Debug, Clone)]
pub struct Sink(pub Rc<RefCell<SinkState>>);

#[derive(Debug)]
pub struct SinkState {
    pub bytes: Vec<u8>,
    plan: VecDeque<u8>,
    /// Whether nothing was written since the last flush.
    flushed: bool,
    failed: bool,
}

impl Sink {
    fn new(plan: &[u8]) -> Self {
        let plan = plan.iter().copied().collect();
        Self(Rc::new(RefCell::new(SinkState { bytes: Vec::new(), plan, flushed: true, failed: false })))
    }

    /// Whether a planned fault was given since this was last asked.
    fn failed(&self) -> bool {
        std::mem::take(&mut self.0.borrow_mut().failed)
    }
}

/// One call's fate: an error, or the most bytes that it may move.
fn fate(plan: Option<u8>, zero: bool) -> Result<usize, ErrorKind> {
    match plan.map_or(0, |plan| plan % 9) {
        1 => Ok(1),
        2 => Ok(100),
        3 => Ok(SEALED_CHUNK),
        4 => Err(ErrorKind::Interrupted),
        5 => Err(ErrorKind::WouldBlock),
        6 => Err(ErrorKind::StorageFull),
        7 if zero => Ok(0),
        _ => Ok(usize::MAX),
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.borrow_mut();
        let fate = fate(state.plan.pop_front(), true);
        state.failed |= matches!(fate, Err(_) | Ok(0));
        let n = bytes.len().min(fate?);
        state.bytes.extend_from_slice(&bytes[..n]);
        state.flushed = false;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        let fate = fate(state.plan.pop_front(), false);
        state.failed |= fate.is_err();
        fate?;
        state.flushed = true;
        Ok(())
    }
}

/// Gives bytes, and fails as planned.
#[derive(Debug, Clone)]
pub struct Source(Rc<RefCell<SourceState>>);

#[derive(Debug)]
struct SourceState {
    bytes: Vec<u8>,
    at: usize,
    plan: VecDeque<u8>,
    failed: bool,
    ended: bool,
}

impl Source {
    fn new(bytes: &[u8], plan: &[u8]) -> Self {
        let plan = plan.iter().copied().collect();
        let bytes = bytes.to_vec();
        Self(Rc::new(RefCell::new(SourceState { bytes, at: 0, plan, failed: false, ended: false })))
    }

    fn failed(&self) -> bool {
        std::mem::take(&mut self.0.borrow_mut().failed)
    }

    fn taken(&self) -> usize {
        self.0.borrow().at
    }
}

impl Read for Source {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        assert!(!out.is_empty(), "an empty read cannot tell an end from nothing");
        let mut state = self.0.borrow_mut();
        assert!(!state.ended, "read again after it said that there is no more");
        let fate = fate(state.plan.pop_front(), false);
        state.failed |= fate.is_err();
        let n = (state.bytes.len() - state.at).min(out.len()).min(fate?);
        out[..n].copy_from_slice(&state.bytes[state.at..][..n]);
        state.at += n;
        state.ended = n == 0;
        Ok(n)
    }
}
