//! Messages: every way of opening one, each judged by what the vector states.

use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kuvert::blocking::Kuvert;
use kuvert::io::OpenReport;
use kuvert::provider::{Health, KeyProvider, ProviderInfo, WrapContext};
use kuvert::{
    Category, DataKey, EncryptionContext, MessageStart, OpenError, Opener, ProviderError, Recipient, Threads,
};
use sha2::{Digest as _, Sha256};

use super::custody::Keys;
use super::file::Vector;
use super::{Verdict, ensure};

/// A way to open a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Whole,
    Slices,
    Seek,
    SeekLazy,
    Ranges,
    RangesLazy,
    Stream,
    StreamCopied,
    /// On two threads, by little jobs.
    Threads,
    ThreadsCopied,
    #[cfg(feature = "tokio")]
    Async,
    #[cfg(feature = "tokio")]
    AsyncCopied,
    #[cfg(feature = "tokio")]
    AsyncSeek,
    #[cfg(feature = "tokio")]
    AsyncSeekLazy,
    #[cfg(feature = "tokio")]
    Bytes,
}

impl Way {
    const BLOCKING: [Self; 10] = [
        Self::Whole,
        Self::Slices,
        Self::Seek,
        Self::SeekLazy,
        Self::Ranges,
        Self::RangesLazy,
        Self::Stream,
        Self::StreamCopied,
        Self::Threads,
        Self::ThreadsCopied,
    ];
    #[cfg(feature = "tokio")]
    const ASYNC: [Self; 5] =
        [Self::Async, Self::AsyncCopied, Self::AsyncSeek, Self::AsyncSeekLazy, Self::Bytes];
    #[cfg(not(feature = "tokio"))]
    const ASYNC: [Self; 0] = [];

    fn all() -> impl Iterator<Item = Self> {
        Self::BLOCKING.into_iter().chain(Self::ASYNC)
    }

    /// Whether the reader knows the input's length from the start.
    const fn knows_length(self) -> bool {
        #[cfg(feature = "tokio")]
        if matches!(self, Self::Async | Self::AsyncCopied | Self::Bytes) {
            return false;
        }
        !matches!(self, Self::Stream | Self::StreamCopied | Self::Threads | Self::ThreadsCopied)
    }

    const fn is_lazy(self) -> bool {
        #[cfg(feature = "tokio")]
        if matches!(self, Self::AsyncSeekLazy) {
            return true;
        }
        matches!(self, Self::SeekLazy | Self::RangesLazy)
    }

    /// One call takes the whole message in one slice, and no header beside it.
    fn suits(self, vector: &Vector) -> bool {
        self != Self::Whole || vector.one("detached-header").is_none()
    }
}

/// Runs one vector in every way that suits it. Gives the number of ways.
pub fn run(vector: &Vector) -> Result<usize, String> {
    let context = match vector.context() {
        Ok(context) => context,
        Err(error) => {
            ensure(vector.text("expect") == error.category().name(), || format!("context: {error}"))?;
            return Ok(1);
        }
    };
    let mut ways = 0;
    for way in Way::all() {
        if way.suits(vector) {
            run_way(vector, way, &context).map_err(|fault| format!("{way:?}: {fault}"))?;
            ways += 1;
        }
    }
    ensure(ways > 0, || "no way suits it".to_owned())?;
    Ok(ways)
}

fn run_way(vector: &Vector, way: Way, context: &EncryptionContext) -> Result<(), String> {
    let counted = Arc::new(Counted { inner: Keys::of(vector), asked: AtomicUsize::new(0) });
    let options = vector.options().with_lazy_length(way.is_lazy());
    let provider: Arc<dyn KeyProvider> = Arc::<Counted>::clone(&counted);
    let kuvert = Kuvert::from_arc(provider).with_open_options(options);
    let mut released = Vec::new();
    let result = open(vector, way, &kuvert, context, &mut released);

    if result.is_err() && way == Way::Slices {
        // Whole or nothing: the caller's slice is as long as it was, and must be wiped.
        ensure(released.iter().all(|&byte| byte == 0), || "plaintext beside an error".to_owned())?;
        released.clear();
    }
    let expected = if way.knows_length() { None } else { vector.one("expect-stream") };
    let expected = Verdict::parse(expected.unwrap_or_else(|| vector.text("expect")));
    let found = result.as_ref().map(|_| ()).map_err(OpenError::category);
    expected.check(found, || result.as_ref().err().map_or_else(String::new, ToString::to_string))?;

    let asked = counted.asked.load(Ordering::SeqCst);
    if way.knows_length() {
        ensure(asked == 0 || !vector.flag("before-key"), || {
            format!("{asked} calls before the fault was told")
        })?;
        let calls = vector.len("calls").unwrap_or(asked);
        ensure(asked == calls, || format!("{asked} calls, not {calls}"))?;
    }
    if let Some(most) = vector.len("released-at-most") {
        ensure(released.len() <= most, || {
            format!("{} bytes were released before the error", released.len())
        })?;
    }
    match result {
        Ok(report) => {
            check_plaintext(vector, &released)?;
            report.map_or(Ok(()), |report| check_report(vector, &report))
        }
        Err(_) => Ok(()),
    }
}

fn open(
    vector: &Vector,
    way: Way,
    kuvert: &Kuvert,
    context: &EncryptionContext,
    out: &mut Vec<u8>,
) -> Result<Option<OpenReport>, OpenError> {
    if way == Way::Whole {
        out.extend_from_slice(&kuvert.open(&vector.input, context)?);
        return Ok(None);
    }
    let (header, body) = match vector.len("detached-header") {
        Some(len) => (Some(&vector.input[..len]), &vector.input[len..]),
        None => (None, &vector.input[..]),
    };
    let starts = MessageStart::within(vector.options().max_header_len);
    #[cfg(feature = "tokio")]
    if Way::ASYNC.contains(&way) {
        return in_async::open(starts, way, kuvert, context, (header, body), out).map(Some);
    }
    if way.knows_length() {
        let mut source = Cursor::new(body);
        let start = match header {
            Some(mut header) => starts.read_detached_seekable(&mut header, &mut source)?,
            None => starts.read_seekable(&mut source)?,
        };
        let chunks = usize::try_from(start.chunks_offset()).expect("within the input");
        let opener = kuvert.opener(start, context)?;
        return open_known(way, opener, source, body, chunks, out).map(Some);
    }
    // One byte at a time at first, so that nothing depends on how a source cuts its bytes.
    let (mut first, rest) = (Dribble(&body[..body.len().min(700)]), &body[body.len().min(700)..]);
    let mut source = Read::chain(&mut first, rest);
    let start = match header {
        Some(mut header) => starts.read_detached(&mut header, &mut source)?,
        None => starts.read(&mut source)?,
    };
    let opener = kuvert.opener(start, context)?;
    if matches!(way, Way::Threads | Way::ThreadsCopied) {
        let threads = Threads::exactly(2.try_into().expect("two")).eagerly();
        let mut reader = opener.into_parallel_reader(source, threads);
        match way {
            Way::ThreadsCopied => reader.copy_to(out).map(drop).map_err(open_error)?,
            _ => read(&mut reader, 5001, out)?,
        }
        return Ok(Some(reader.report()));
    }
    let mut reader = opener.into_reader(source);
    if way == Way::StreamCopied {
        reader.copy_to(out).map_err(open_error)?;
    } else {
        read(&mut reader, 5001, out)?;
    }
    Ok(Some(reader.report()))
}

fn open_known(
    way: Way,
    opener: Opener,
    source: Cursor<&[u8]>,
    body: &[u8],
    chunks: usize,
    out: &mut Vec<u8>,
) -> Result<OpenReport, OpenError> {
    match way {
        Way::Slices => {
            let len = usize::try_from(opener.report().plaintext_len).expect("within the input");
            out.resize(len, 0xEE);
            opener.open_into(&body[chunks..], out)
        }
        Way::Seek | Way::SeekLazy => {
            let mut reader = opener.into_seekable(source)?;
            read(&mut reader, 5001, out)?;
            reader.report()
        }
        _ => {
            let reader = opener.into_ranges(body)?;
            let mut buffer = vec![0; 20_000];
            loop {
                let read = reader.read_at(&mut buffer, out.len() as u64)?;
                out.extend_from_slice(&buffer[..read]);
                if read < buffer.len() {
                    return reader.report();
                }
            }
        }
    }
}

fn read(reader: &mut impl Read, buffer: usize, out: &mut Vec<u8>) -> Result<(), OpenError> {
    let mut buffer = vec![0; buffer];
    loop {
        match reader.read(&mut buffer).map_err(open_error)? {
            0 => return Ok(()),
            read => out.extend_from_slice(&buffer[..read]),
        }
    }
}

/// An error of the crate that came through `std::io`, taken out of its wrapping as a caller would.
fn open_error(error: io::Error) -> OpenError {
    match error.downcast::<OpenError>() {
        Ok(error) => error,
        Err(error) => error.into(),
    }
}

/// The ways of feature `tokio`, from sources that are `Pending` before each call.
#[cfg(feature = "tokio")]
mod in_async {
    use kuvert::StartReader;

    use super::*;
    use crate::async_io::{Blocking, Pieces, Slow, collect};
    use crate::cancel::wait;

    pub fn open(
        starts: StartReader,
        way: Way,
        kuvert: &Kuvert,
        context: &EncryptionContext,
        (header, mut body): (Option<&[u8]>, &[u8]),
        out: &mut Vec<u8>,
    ) -> Result<OpenReport, OpenError> {
        match way {
            Way::AsyncSeek | Way::AsyncSeekLazy => {
                let mut source = Slow::new(Cursor::new(body), 1);
                let start = match header {
                    Some(mut header) => wait(starts.read_detached_seekable_async(&mut header, &mut source))?,
                    None => wait(starts.read_seekable_async(&mut source))?,
                };
                let opener = kuvert.opener(start, context)?;
                let mut reader = Blocking(wait(opener.into_async_seekable(source))?);
                read(&mut reader, 5001, out)?;
                wait(reader.0.report())
            }
            Way::Bytes => {
                if let Some(mut header) = header {
                    let start = wait(starts.read_detached_async(&mut header, &mut body))?;
                    let mut stream = kuvert.opener(start, context)?.into_stream(Pieces::new(body, 5001, 1));
                    collect(&mut stream, out).map_err(open_error)?;
                    return Ok(stream.report());
                }
                let (start, rest) = wait(starts.read_stream(Pieces::new(body, 5001, 1)))?;
                let mut stream = kuvert.opener(start, context)?.into_stream(rest);
                collect(&mut stream, out).map_err(open_error)?;
                Ok(stream.report())
            }
            _ => {
                let (first, rest) = (Dribble(&body[..body.len().min(700)]), &body[body.len().min(700)..]);
                let mut source = Slow::new(Read::chain(first, rest), 1);
                let start = match header {
                    Some(mut header) => wait(starts.read_detached_async(&mut header, &mut source))?,
                    None => wait(starts.read_async(&mut source))?,
                };
                let mut reader = Blocking(kuvert.opener(start, context)?.into_async_reader(source));
                match way {
                    Way::AsyncCopied => wait(reader.0.copy_to(out)).map(drop).map_err(open_error)?,
                    _ => read(&mut reader, 5001, out)?,
                }
                Ok(reader.0.report())
            }
        }
    }
}

pub fn check_plaintext(vector: &Vector, plaintext: &[u8]) -> Result<(), String> {
    ensure(Some(plaintext.len()) == vector.len("plaintext-len"), || format!("{} bytes", plaintext.len()))?;
    let hash: String = Sha256::digest(plaintext).iter().map(|byte| format!("{byte:02x}")).collect();
    ensure(hash == vector.text("plaintext-sha256"), || "another plaintext".to_owned())
}

fn check_report(vector: &Vector, report: &OpenReport) -> Result<(), String> {
    ensure(report.degraded == vector.flag("degraded"), || format!("degraded: {}", report.degraded))?;
    ensure(report.unfinished_rewrap == vector.flag("unfinished"), || "unfinished rewrap".to_owned())?;
    let generation = u64::from(report.generation);
    ensure(Some(generation) == vector.number("generation"), || format!("generation {generation}"))?;
    let by = format!("{:04x} {}", report.opened_by.recipient_type.0, report.opened_by.id);
    ensure(by == vector.text("opened-by"), || format!("opened by {by}"))?;
    let len = report.plaintext_len;
    ensure(Some(len) == vector.number("plaintext-len"), || format!("the report says {len} bytes"))
}

/// The vector's keys, and how often one of them was asked: not how often somebody said "not mine".
#[derive(Debug)]
pub struct Counted {
    inner: Keys,
    asked: AtomicUsize,
}

impl Counted {
    pub fn new(inner: Keys) -> Arc<Self> {
        Arc::new(Self { inner, asked: AtomicUsize::new(0) })
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[kuvert::async_trait]
impl KeyProvider for Counted {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        self.inner.wrap_data_key(key, context).await
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        let answer = self.inner.unwrap_data_key(recipient, context).await;
        if !matches!(answer, Ok(None)) {
            self.asked.fetch_add(1, Ordering::SeqCst);
        }
        answer
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.inner.check().await
    }

    fn describe(&self) -> ProviderInfo {
        self.inner.describe()
    }
}

/// A source that gives one byte at a time.
struct Dribble<'a>(&'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(1);
        self.0.read(&mut buffer[..len])
    }
}

/// The category of the manual's section 11 by its name, with the exit status that stands there.
pub fn category(name: &str) -> (Category, u8) {
    match name {
        "io" => (Category::Io, 1),
        "usage" => (Category::Usage, 2),
        "malformed" => (Category::Malformed, 3),
        "unsupported" => (Category::Unsupported, 3),
        "limit-exceeded" => (Category::LimitExceeded, 3),
        "truncated" => (Category::Truncated, 4),
        "tampered" => (Category::Tampered, 4),
        "wrong-context" => (Category::WrongContext, 5),
        "wrong-key" => (Category::WrongKey, 6),
        "key-unavailable" => (Category::KeyUnavailable, 6),
        "refused" => (Category::Refused, 7),
        other => panic!("no category is named {other:?}"),
    }
}
