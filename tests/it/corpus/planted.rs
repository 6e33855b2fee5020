//! Every oracle must find what it is for: here is something broken for each of them, over the committed corpora.

use std::{
    io::{self, BufRead, ErrorKind, Read, Seek, SeekFrom, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

use kuvert::{
    Category, EncryptionContext, OpenError, Opener, RecordError, SealError, Sealer,
    io::{OpenReader, SealReport},
};

use super::{
    bodies::{
        context::{self, Sealing},
        fixtures::{CELL, ENVELOPE, FIXTURES, Keys},
        header::{self, Claims, Parser, Slot},
        key_file::{self, Refused},
        open_message::{self, Case, Openers, Outcome, Way},
        open_record::{self, Records},
        seek_ops::{self, RangesUnderTest, Readers, SeekUnderTest},
        stream_ops::{self, ReaderUnderTest, Sink, Source, Streams, WriterUnderTest},
    },
    corpus,
};

/// Whether the body says of any input that something is wrong.
pub(super) fn finds(target: &str, check: impl Fn(&[u8])) -> bool {
    corpus(target).iter().any(|(_, data)| catch_unwind(AssertUnwindSafe(|| check(data))).is_err())
}

macro_rules! assert_found {
    ($target:literal, $check:path, $broken:ident: $($fault:path),+ $(,)?) => {
        let missed: Vec<&str> = [$((stringify!($fault), $fault)),+]
            .into_iter()
            .filter(|(_, fault)| !finds($target, |data| $check(data, &$broken(*fault))))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(missed, [""; 0], "planted and not found");
    };
}

#[derive(Clone, Copy, PartialEq)]
enum HeaderFault {
    ForgetsARecipient,
    TakesABadSlotForEmpty,
    JudgesAStreamByItsContextFirst,
    AsksForAKeyFirst,
    LoadsWhatIsMalformed,
    ShiftsTheChunks,
}

struct BrokenParser(HeaderFault);

impl BrokenParser {
    fn spoil(&self, claims: Result<Claims, OpenError>) -> Result<Claims, OpenError> {
        let mut claims = claims?;
        match self.0 {
            HeaderFault::ShiftsTheChunks => claims.chunks_offset += 1,
            HeaderFault::TakesABadSlotForEmpty => {
                claims
                    .slots
                    .iter_mut()
                    .filter(|slot| **slot == Slot::Bad)
                    .for_each(|slot| *slot = Slot::Empty);
            }
            HeaderFault::ForgetsARecipient => {
                for slot in &mut claims.slots {
                    if let Slot::Filled(_, recipients) = slot {
                        recipients.truncate(1);
                    }
                }
            }
            _ => {}
        }
        Ok(claims)
    }
}

impl Parser for BrokenParser {
    fn whole(&self, data: &[u8]) -> Result<Claims, OpenError> {
        self.spoil(header::Crate.whole(data))
    }

    fn streamed(&self, data: &[u8]) -> Result<Claims, OpenError> {
        if self.0 == HeaderFault::JudgesAStreamByItsContextFirst {
            // What a reader told that parsed the header before it looked for the body's first bytes.
            let mut longer = data.to_vec();
            longer.resize(data.len() + 56, 0);
            header::Crate.streamed(&longer)?;
        }
        self.spoil(header::Crate.streamed(data))
    }

    fn detached(&self, header: &[u8], body: &[u8], known: bool) -> Result<Claims, OpenError> {
        self.spoil(header::Crate.detached(header, body, known))
    }

    fn envelope(&self, data: &[u8], keys: &Keys) -> Result<(), OpenError> {
        if self.0 == HeaderFault::AsksForAKeyFirst {
            header::Crate.envelope(ENVELOPE, keys)?;
        }
        match header::Crate.envelope(data, keys) {
            Err(OpenError::Malformed(_)) if self.0 == HeaderFault::LoadsWhatIsMalformed => Ok(()),
            loaded => loaded,
        }
    }
}

#[test]
fn broken_parsers_are_found() {
    use HeaderFault::*;
    assert_found!("header", header::check, BrokenParser: ForgetsARecipient, TakesABadSlotForEmpty,
        JudgesAStreamByItsContextFirst, AsksForAKeyFirst, LoadsWhatIsMalformed, ShiftsTheChunks);
}

#[derive(Clone, Copy, PartialEq)]
enum OpenFault {
    ReleasesAnUnverifiedChunk,
    TakesTheEndOfInputForTheEnd,
    NeverVerifiesTheLength,
    GivesPlaintextBesideAnError,
    ForgetsThatItIsDegraded,
    ForgetsAnUnfinishedRewrap,
    AcceptsStoredPairs,
    ForgetsTheLeastGeneration,
    TriesEveryRecipient,
    ConfusesWrongAndMissingKeys,
    TellsAnotherGeneration,
    OpensTheWrongBody,
}

struct BrokenOpeners(OpenFault);

impl Openers for BrokenOpeners {
    fn open(&self, way: Way, case: &Case, keys: &Keys) -> Outcome {
        let options = case.options.clone();
        let options = match self.0 {
            OpenFault::AcceptsStoredPairs => options.with_accept_stored_context(true),
            OpenFault::ForgetsTheLeastGeneration => options.with_min_generation(0),
            OpenFault::TriesEveryRecipient => options.with_max_stanzas_tried(32),
            _ => options,
        };
        let context = case.context.clone();
        let case = Case { message: case.message.clone(), detached: case.detached, context, options };
        let mut outcome = open_message::Crate.open(way, &case, keys);
        self.spoil(way, &case, &mut outcome);
        outcome
    }
}

impl BrokenOpeners {
    fn spoil(&self, way: Way, case: &Case, outcome: &mut Outcome) {
        match (self.0, &mut outcome.result) {
            (OpenFault::ReleasesAnUnverifiedChunk, Err(Category::Tampered)) if way == Way::Streamed => {
                outcome.released.extend_from_slice(&case.message[..16]);
            }
            (OpenFault::TakesTheEndOfInputForTheEnd, result) if *result == Err(Category::Truncated) => {
                *result = Ok(None);
            }
            (OpenFault::NeverVerifiesTheLength, result)
                if way == (Way::Seeking { lazy: true }) && *result == Err(Category::Tampered) =>
            {
                *result = Ok(None);
            }
            (OpenFault::GivesPlaintextBesideAnError, Err(_)) if way == Way::Whole => {
                outcome.released = FIXTURES[1].plaintext();
            }
            (OpenFault::ForgetsThatItIsDegraded, Ok(Some(report))) => report.degraded = false,
            (OpenFault::ForgetsAnUnfinishedRewrap, Ok(Some(report))) => report.unfinished_rewrap = false,
            (OpenFault::TellsAnotherGeneration, Ok(Some(report))) => report.generation = 1,
            (OpenFault::ConfusesWrongAndMissingKeys, Err(category)) if *category == Category::WrongKey => {
                *category = Category::KeyUnavailable;
            }
            (OpenFault::OpensTheWrongBody, Ok(_)) => {
                if let Some(byte) = outcome.released.last_mut() {
                    *byte ^= 1;
                }
            }
            _ => {}
        }
    }
}

#[test]
fn broken_openers_are_found() {
    use OpenFault::*;
    assert_found!("open_message", open_message::check, BrokenOpeners: ReleasesAnUnverifiedChunk,
        TakesTheEndOfInputForTheEnd, NeverVerifiesTheLength, GivesPlaintextBesideAnError,
        ForgetsThatItIsDegraded, ForgetsAnUnfinishedRewrap, AcceptsStoredPairs, ForgetsTheLeastGeneration,
        TriesEveryRecipient, ConfusesWrongAndMissingKeys, TellsAnotherGeneration, OpensTheWrongBody);
}

#[derive(Clone, Copy, PartialEq)]
enum RecordFault {
    ForgetsTheCell,
    ForgetsTheLimit,
    TellsAnUnknownKeyAsTampered,
    TakesTextForARecord,
    LoadsAnyEnvelope,
    SealsLonger,
}

struct BrokenRecords(RecordFault);

impl Records for BrokenRecords {
    fn open(&self, record: &[u8], parts: &[&[u8]], max_len: usize) -> Result<Vec<u8>, RecordError> {
        let own = CELL.map(str::as_bytes);
        match self.0 {
            RecordFault::ForgetsTheCell => open_record::Crate.open(record, &own, max_len),
            RecordFault::ForgetsTheLimit => open_record::Crate.open(record, parts, usize::MAX),
            fault => match open_record::Crate.open(record, parts, max_len) {
                Err(RecordError::KeyUnavailable { .. })
                    if fault == RecordFault::TellsAnUnknownKeyAsTampered =>
                {
                    Err(RecordError::Tampered)
                }
                Err(RecordError::NotSealed { .. }) if fault == RecordFault::TakesTextForARecord => {
                    Err(RecordError::Tampered)
                }
                opened => opened,
            },
        }
    }

    fn seal(&self, plaintext: &[u8], parts: &[&[u8]], max_len: usize) -> Result<Vec<u8>, RecordError> {
        let mut record = open_record::Crate.seal(plaintext, parts, max_len)?;
        if self.0 == RecordFault::SealsLonger {
            record.push(0);
        }
        Ok(record)
    }

    fn load(&self, envelope: &[u8], context: &EncryptionContext) -> Result<u64, Category> {
        let envelope = if self.0 == RecordFault::LoadsAnyEnvelope { ENVELOPE } else { envelope };
        open_record::Crate.load(envelope, context)
    }
}

#[test]
fn broken_record_keys_are_found() {
    use RecordFault::*;
    assert_found!("open_record", open_record::check, BrokenRecords: ForgetsTheCell, ForgetsTheLimit,
        TellsAnUnknownKeyAsTampered, TakesTextForARecord, LoadsAnyEnvelope, SealsLonger);
}

#[derive(Clone, Copy, PartialEq)]
enum ContextFault {
    OpensUnderAnyContext,
    NeverOpensUnderTwoPairs,
    AlwaysAcceptsStoredPairs,
    StoresNothing,
    EnvelopeOpensUnderAnyContext,
    EnvelopeHasNoLimit,
}

struct BrokenContexts(ContextFault);

impl Sealing for BrokenContexts {
    fn seal(&self, context: &EncryptionContext) -> Result<Vec<u8>, SealError> {
        let empty = EncryptionContext::empty();
        let context = if self.0 == ContextFault::StoresNothing { &empty } else { context };
        context::Crate::default().seal(context)
    }

    fn open(&self, message: &[u8], context: &EncryptionContext, accept: bool) -> Result<(), OpenError> {
        let accept = accept || self.0 == ContextFault::AlwaysAcceptsStoredPairs;
        match context::Crate::default().open(message, context, accept) {
            Err(OpenError::WrongContext(_)) if self.0 == ContextFault::OpensUnderAnyContext => Ok(()),
            Ok(()) if self.0 == ContextFault::NeverOpensUnderTwoPairs && context.len() == 2 => {
                Err(OpenError::WrongContext("planted"))
            }
            opened => opened,
        }
    }

    fn seal_envelope(&self, context: &EncryptionContext) -> Result<Vec<u8>, SealError> {
        match context::Crate::default().seal_envelope(context) {
            Err(_) if self.0 == ContextFault::EnvelopeHasNoLimit => Ok(ENVELOPE.to_vec()),
            sealed => sealed,
        }
    }

    fn open_envelope(&self, envelope: &[u8], context: &EncryptionContext) -> Result<(), OpenError> {
        match context::Crate::default().open_envelope(envelope, context) {
            Err(_) if self.0 == ContextFault::EnvelopeOpensUnderAnyContext => Ok(()),
            opened => opened,
        }
    }
}

#[test]
fn broken_contexts_are_found() {
    use ContextFault::*;
    assert_found!("context", context::check, BrokenContexts: OpensUnderAnyContext, NeverOpensUnderTwoPairs,
        AlwaysAcceptsStoredPairs, StoresNothing, EnvelopeOpensUnderAnyContext, EnvelopeHasNoLimit);
}

#[derive(Clone, Copy, PartialEq)]
enum KeyFileFault {
    ShowsTheLine,
    ShowsTheKeys,
    CountsLinesFromZero,
    TakesAnIdTwice,
    ForgetsTheLastKey,
    WritesAnotherOrder,
}

struct BrokenKeyFiles(KeyFileFault);

impl key_file::Reader for BrokenKeyFiles {
    fn read(&self, text: &[u8]) -> Result<key_file::Read, Refused> {
        let shown = String::from_utf8_lossy(text);
        match key_file::Crate.read(text) {
            Ok(mut read) => {
                match self.0 {
                    KeyFileFault::ShowsTheKeys => read.debug.push_str(&shown),
                    KeyFileFault::ForgetsTheLastKey => drop(read.ids.pop()),
                    KeyFileFault::WritesAnotherOrder => {
                        let mut lines: Vec<&str> = read.text.lines().collect();
                        lines.reverse();
                        read.text = lines.join("\n");
                    }
                    _ => {}
                }
                Ok(read)
            }
            Err(mut refused) => {
                match self.0 {
                    KeyFileFault::ShowsTheLine => refused.shown.push_str(&shown),
                    KeyFileFault::CountsLinesFromZero => refused.line = refused.line.map(|line| line - 1),
                    KeyFileFault::TakesAnIdTwice if refused.shown.contains("DuplicateId") => {
                        let (ids, text, debug) = (Vec::new(), String::new(), String::new());
                        return Ok(key_file::Read { ids, text, debug });
                    }
                    _ => {}
                }
                Err(refused)
            }
        }
    }
}

#[test]
fn broken_key_file_readers_are_found() {
    use KeyFileFault::*;
    assert_found!("key_file", key_file::check, BrokenKeyFiles: ShowsTheLine, ShowsTheKeys, CountsLinesFromZero,
        TakesAnIdTwice, ForgetsTheLastKey, WritesAnotherOrder);
}

#[derive(Clone, Copy, PartialEq)]
enum StreamFault {
    FinishesWhenDropped,
    FinishesWhenAborted,
    DoesNotFlush,
    LosesWhatCouldNotBeWritten,
    FinishesTwice,
    TakesTheCutForTheEnd,
    ForgetsAnIntegrityError,
    EndsAtAnInnerError,
    IsCompleteTooEarly,
}

struct BrokenStreams(StreamFault);

impl Streams for BrokenStreams {
    fn writer(&self, sealer: Sealer, sink: Sink) -> Box<dyn WriterUnderTest> {
        let inner = Some(stream_ops::Crate.writer(sealer, sink.clone()));
        Box::new(BrokenWriter { fault: self.0, inner, sink, lost: 0 })
    }

    fn reader(&self, opened: OpenReader<Source>) -> Box<dyn ReaderUnderTest> {
        let inner = stream_ops::Crate.reader(opened);
        Box::new(BrokenReader { fault: self.0, inner, failed: false })
    }
}

struct BrokenWriter {
    fault: StreamFault,
    inner: Option<Box<dyn WriterUnderTest>>,
    sink: Sink,
    lost: u64,
}

impl BrokenWriter {
    fn inner(&mut self) -> &mut dyn WriterUnderTest {
        &mut **self.inner.as_mut().unwrap()
    }
}

impl Write for BrokenWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.inner().write(bytes) {
            Err(error)
                if self.fault == StreamFault::LosesWhatCouldNotBeWritten
                    && error.kind() != ErrorKind::InvalidInput =>
            {
                self.lost += bytes.len() as u64;
                Ok(bytes.len())
            }
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.fault == StreamFault::DoesNotFlush { Ok(()) } else { self.inner().flush() }
    }
}

impl WriterUnderTest for BrokenWriter {
    fn copy_from(&mut self, reader: &mut Source) -> io::Result<u64> {
        self.inner().copy_from(reader)
    }

    fn try_finish(&mut self) -> Result<SealReport, SealError> {
        let report = self.inner().try_finish()?;
        if self.fault == StreamFault::FinishesTwice {
            self.sink.0.borrow_mut().bytes.extend_from_slice(&[0; 16]);
        }
        Ok(report)
    }

    fn taken(&self) -> u64 {
        self.inner.as_ref().unwrap().taken() + self.lost
    }

    fn abort(mut self: Box<Self>) {
        if self.fault == StreamFault::FinishesWhenAborted {
            drop(self.inner().try_finish());
        }
        self.inner.take().unwrap().abort();
    }
}

impl Drop for BrokenWriter {
    fn drop(&mut self) {
        if let (StreamFault::FinishesWhenDropped, Some(inner)) = (self.fault, &mut self.inner) {
            drop(inner.try_finish());
        }
    }
}

struct BrokenReader {
    fault: StreamFault,
    inner: Box<dyn ReaderUnderTest>,
    failed: bool,
}

impl BrokenReader {
    /// What becomes of an error: something else, where that is the fault.
    fn spoil<T>(&mut self, error: io::Error, end: T) -> io::Result<T> {
        let ours = error.kind() == ErrorKind::InvalidData;
        let cut = ours && error.to_string().contains("truncated");
        let again = ours && std::mem::replace(&mut self.failed, ours);
        match self.fault {
            StreamFault::TakesTheCutForTheEnd if cut => Ok(end),
            StreamFault::ForgetsAnIntegrityError if again => Ok(end),
            StreamFault::EndsAtAnInnerError if !ours => Ok(end),
            _ => Err(error),
        }
    }
}

impl Read for BrokenReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.inner.read(out).or_else(|error| self.spoil(error, 0))
    }
}

impl BufRead for BrokenReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.inner.consume(n);
    }
}

impl ReaderUnderTest for BrokenReader {
    fn copy_to(&mut self, writer: &mut Sink) -> io::Result<u64> {
        self.inner.copy_to(writer).or_else(|error| self.spoil(error, 0))
    }

    fn is_complete(&self) -> bool {
        self.inner.is_complete() && self.fault != StreamFault::IsCompleteTooEarly
    }

    fn opened(&self) -> u64 {
        self.inner.opened()
    }
}

#[test]
fn broken_streams_are_found() {
    use StreamFault::*;
    assert_found!("stream_ops", stream_ops::check, BrokenStreams: FinishesWhenDropped, FinishesWhenAborted,
        DoesNotFlush, LosesWhatCouldNotBeWritten, FinishesTwice, TakesTheCutForTheEnd, ForgetsAnIntegrityError,
        EndsAtAnInnerError, IsCompleteTooEarly);
}

#[derive(Clone, Copy, PartialEq)]
enum SeekFault {
    StandsOneOff,
    TellsAnUnverifiedEnd,
    EndsAtADamagedChunk,
    CutsARangeShort,
    LeavesBytesBesideAnError,
    FillsBeyondTheEnd,
    TellsAnUnverifiedLength,
}

struct BrokenReaders(SeekFault);

impl Readers for BrokenReaders {
    fn seekable(
        &self,
        opener: Opener,
        source: seek_ops::Source,
    ) -> Result<Box<dyn SeekUnderTest>, OpenError> {
        Ok(Box::new(BrokenSeeks { fault: self.0, inner: seek_ops::Crate.seekable(opener, source)? }))
    }

    fn ranges(
        &self,
        opener: Opener,
        source: seek_ops::Source,
    ) -> Result<Box<dyn RangesUnderTest>, OpenError> {
        Ok(Box::new(BrokenRanges { fault: self.0, inner: seek_ops::Crate.ranges(opener, source)? }))
    }
}

struct BrokenSeeks {
    fault: SeekFault,
    inner: Box<dyn SeekUnderTest>,
}

impl Read for BrokenSeeks {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(out) {
            Err(_) if self.fault == SeekFault::EndsAtADamagedChunk => Ok(0),
            Err(error) => {
                if self.fault == SeekFault::LeavesBytesBesideAnError {
                    out.fill(1);
                }
                Err(error)
            }
            read => read,
        }
    }
}

impl BufRead for BrokenSeeks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.inner.consume(n);
    }
}

impl Seek for BrokenSeeks {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        match (self.fault, target) {
            (SeekFault::StandsOneOff, SeekFrom::Start(to)) => {
                self.inner.seek(SeekFrom::Start(to + 1)).map(|_| to)
            }
            (SeekFault::TellsAnUnverifiedEnd, SeekFrom::End(_)) => self.inner.seek(target).or(Ok(0)),
            _ => self.inner.seek(target),
        }
    }
}

impl SeekUnderTest for BrokenSeeks {
    fn copy_to(&mut self, out: &mut Vec<u8>) -> io::Result<u64> {
        self.inner.copy_to(out)
    }

    fn len(&mut self) -> Result<u64, OpenError> {
        match self.inner.len() {
            Err(OpenError::Tampered(_)) if self.fault == SeekFault::TellsAnUnverifiedLength => Ok(1),
            len => len,
        }
    }
}

struct BrokenRanges {
    fault: SeekFault,
    inner: Box<dyn RangesUnderTest>,
}

impl RangesUnderTest for BrokenRanges {
    fn read_at(&self, out: &mut [u8], offset: u64) -> Result<usize, OpenError> {
        let read = self.inner.read_at(out, offset);
        match (self.fault, &read) {
            (SeekFault::CutsARangeShort, Ok(n)) => Ok(n.saturating_sub(1)),
            (SeekFault::LeavesBytesBesideAnError, Err(_)) => {
                out.fill(1);
                read
            }
            _ => read,
        }
    }

    fn read_exact_at(&self, out: &mut [u8], offset: u64) -> Result<(), OpenError> {
        match self.inner.read_exact_at(out, offset) {
            Err(OpenError::Usage(_)) if self.fault == SeekFault::FillsBeyondTheEnd => Ok(()),
            read => read,
        }
    }

    fn len(&self) -> Result<u64, OpenError> {
        self.inner.len()
    }
}

#[test]
fn broken_seeking_readers_are_found() {
    use SeekFault::*;
    assert_found!("seek_ops", seek_ops::check, BrokenReaders: StandsOneOff, TellsAnUnverifiedEnd, EndsAtADamagedChunk,
        CutsARangeShort, LeavesBytesBesideAnError, FillsBeyondTheEnd, TellsAnUnverifiedLength);
}
