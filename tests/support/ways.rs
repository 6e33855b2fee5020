//! Every way to open a message that is in memory, behind one function.
//!
//! What a test says of one way it says of all of them: a released prefix is true, success is whole, and an error is of
//! the right category.

use std::io::{self, BufRead, Cursor, Read};
use std::num::NonZeroUsize;

use kuvert::io::OpenReport;
use kuvert::{Category, EncryptionContext, Kuvert, MessageStart, OpenError, OpenOptions, Opener, Threads};

#[cfg(feature = "tokio")]
use super::async_io::{Blocking, Pieces, Slow, collect};
use super::cancel::wait;

/// A way to open a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `Kuvert::open`.
    Whole,
    /// `Opener::open_into` the caller's buffer.
    Into,
    /// `OpenReader` by `read`, with a small buffer, from a source of unknown length.
    Read,
    /// `OpenReader` by `read` with a buffer of several chunks, which are opened straight into it.
    ReadLarge,
    /// `OpenReader` by `fill_buf` and `consume`.
    Buffered,
    /// `OpenReader::copy_to`.
    Copy,
    /// `SeekReader` that verified the length first.
    Seek,
    /// `SeekReader` that did not.
    SeekLazy,
    /// `SeekReader::copy_to`.
    SeekCopy,
    /// `RangeReader` that verified the length first.
    Ranges,
    /// `RangeReader` that did not.
    RangesLazy,
    /// `Opener::open_into` with several threads, for what is long enough.
    IntoParallel,
    /// `ParallelOpenReader` by `read`, with a small buffer, from a source that gives little at a time.
    Parallel,
    /// `ParallelOpenReader` by `fill_buf` and `consume`.
    ParallelBuffered,
    /// `ParallelOpenReader::copy_to`.
    ParallelCopy,
    /// `AsyncOpenReader` on several threads by `read`, with a buffer of several chunks.
    #[cfg(feature = "tokio")]
    AsyncParallel,
    /// The same by `copy_to`.
    #[cfg(feature = "tokio")]
    AsyncParallelCopy,
    /// `AsyncOpenReader` by `read`, with a small buffer.
    #[cfg(feature = "tokio")]
    AsyncRead,
    /// The same with a buffer of several chunks.
    #[cfg(feature = "tokio")]
    AsyncReadLarge,
    /// `AsyncOpenReader` by `fill_buf` and `consume`.
    #[cfg(feature = "tokio")]
    AsyncBuffered,
    /// `AsyncOpenReader::copy_to`.
    #[cfg(feature = "tokio")]
    AsyncCopy,
    /// `AsyncSeekReader` that verified the length first.
    #[cfg(feature = "tokio")]
    AsyncSeek,
    /// `AsyncSeekReader` that did not.
    #[cfg(feature = "tokio")]
    AsyncSeekLazy,
    /// `AsyncSeekReader::copy_to`.
    #[cfg(feature = "tokio")]
    AsyncSeekCopy,
    /// `OpenStream`.
    #[cfg(feature = "tokio")]
    Stream,
}

impl Way {
    #[cfg(feature = "tokio")]
    pub const ALL: [Self; 25] = [
        Self::Whole,
        Self::Into,
        Self::Read,
        Self::ReadLarge,
        Self::Buffered,
        Self::Copy,
        Self::Seek,
        Self::SeekLazy,
        Self::SeekCopy,
        Self::Ranges,
        Self::RangesLazy,
        Self::IntoParallel,
        Self::Parallel,
        Self::ParallelBuffered,
        Self::ParallelCopy,
        Self::AsyncParallel,
        Self::AsyncParallelCopy,
        Self::AsyncRead,
        Self::AsyncReadLarge,
        Self::AsyncBuffered,
        Self::AsyncCopy,
        Self::AsyncSeek,
        Self::AsyncSeekLazy,
        Self::AsyncSeekCopy,
        Self::Stream,
    ];
    #[cfg(not(feature = "tokio"))]
    pub const ALL: [Self; 15] = [
        Self::Whole,
        Self::Into,
        Self::Read,
        Self::ReadLarge,
        Self::Buffered,
        Self::Copy,
        Self::Seek,
        Self::SeekLazy,
        Self::SeekCopy,
        Self::Ranges,
        Self::RangesLazy,
        Self::IntoParallel,
        Self::Parallel,
        Self::ParallelBuffered,
        Self::ParallelCopy,
    ];
}

/// What came out, and how it ended.
#[derive(Debug)]
pub struct Outcome {
    /// All bytes that were given out before the end or the error.
    pub released: Vec<u8>,
    /// Of the one-shot call there is no report.
    pub result: Result<Option<OpenReport>, OpenError>,
}

impl Outcome {
    pub fn category(&self) -> Option<Category> {
        self.result.as_ref().err().map(OpenError::category)
    }

    pub fn is_degraded(&self) -> bool {
        matches!(&self.result, Ok(Some(report)) if report.degraded)
    }
}

/// Opens `message` in this way, to the end.
pub fn open(kuvert: &Kuvert, way: Way, message: &[u8], context: &EncryptionContext) -> Outcome {
    let mut released = Vec::new();
    let result = open_into(kuvert, way, message, context, &mut released);
    Outcome { released, result }
}

fn open_into(
    kuvert: &Kuvert,
    way: Way,
    message: &[u8],
    context: &EncryptionContext,
    out: &mut Vec<u8>,
) -> Result<Option<OpenReport>, OpenError> {
    match way {
        Way::Whole => {
            out.extend_from_slice(&wait(kuvert.open(message, context))?);
            Ok(None)
        }
        Way::Into | Way::IntoParallel => {
            let start = MessageStart::parse(message)?;
            let kuvert = &match way {
                Way::IntoParallel => kuvert.clone().with_open_options(parallel_options()),
                _ => kuvert.clone(),
            };
            let chunks = usize::try_from(start.chunks_offset()).expect("within a slice");
            let opener = wait(kuvert.opener(start, context))?;
            let len = usize::try_from(opener.report().plaintext_len).expect("shorter than a slice");
            let mut plaintext = vec![0; len];
            let report = opener.open_into(&message[chunks..], &mut plaintext).inspect_err(|_| {
                assert!(plaintext.iter().all(|byte| *byte == 0), "plaintext was left beside an error");
            })?;
            out.append(&mut plaintext);
            Ok(Some(report))
        }
        Way::Read | Way::ReadLarge | Way::Buffered | Way::Copy => {
            let mut source = message;
            let opener = opener(kuvert, MessageStart::read(&mut source)?, context, false)?;
            let mut reader = opener.into_reader(source);
            match way {
                Way::Read => read(&mut reader, 777, out)?,
                Way::ReadLarge => read(&mut reader, 70_000, out)?,
                Way::Buffered => read_buffered(&mut reader, out)?,
                _ => reader.copy_to(out).map(|_| ())?,
            }
            Ok(Some(reader.report()))
        }
        Way::Parallel | Way::ParallelBuffered | Way::ParallelCopy => {
            let mut source = message;
            let opener = opener(kuvert, MessageStart::read(&mut source)?, context, false)?;
            match way {
                Way::Parallel => {
                    let mut reader = opener.into_parallel_reader(Dribble(source), several_threads());
                    read(&mut reader, 777, out)?;
                    Ok(Some(reader.report()))
                }
                _ => {
                    let mut reader = opener.into_parallel_reader(source, several_threads());
                    match way {
                        Way::ParallelBuffered => read_buffered(&mut reader, out)?,
                        _ => reader.copy_to(out).map(|_| ())?,
                    }
                    Ok(Some(reader.report()))
                }
            }
        }
        Way::Seek | Way::SeekLazy | Way::SeekCopy => {
            let mut source = Cursor::new(message);
            let start = MessageStart::read_seekable(&mut source)?;
            let mut reader = opener(kuvert, start, context, way == Way::SeekLazy)?.into_seekable(source)?;
            match way {
                Way::SeekCopy => reader.copy_to(out).map(|_| ())?,
                _ => read(&mut reader, 5000, out)?,
            }
            Ok(Some(reader.report().expect("an end was reported that was not verified")))
        }
        Way::Ranges | Way::RangesLazy => {
            let start = MessageStart::parse(message)?;
            let reader = opener(kuvert, start, context, way == Way::RangesLazy)?.into_ranges(message)?;
            let mut buffer = vec![0; 20_000];
            loop {
                buffer.fill(0);
                let read = reader.read_at(&mut buffer, out.len() as u64).inspect_err(|_| {
                    assert!(buffer.iter().all(|byte| *byte == 0), "plaintext was left beside an error");
                })?;
                out.extend_from_slice(&buffer[..read]);
                if read < buffer.len() {
                    return Ok(Some(reader.report().expect("an end was reported that was not verified")));
                }
            }
        }
        #[cfg(feature = "tokio")]
        _ => open_async(kuvert, way, message, context, out),
    }
}

/// The async ways; the sources are `Pending` once before each call.
#[cfg(feature = "tokio")]
fn open_async(
    kuvert: &Kuvert,
    way: Way,
    message: &[u8],
    context: &EncryptionContext,
    out: &mut Vec<u8>,
) -> Result<Option<OpenReport>, OpenError> {
    match way {
        Way::AsyncSeek | Way::AsyncSeekLazy | Way::AsyncSeekCopy => {
            let mut source = Slow::new(Cursor::new(message), 1);
            let start = wait(MessageStart::read_seekable_async(&mut source))?;
            let opener = opener(kuvert, start, context, way == Way::AsyncSeekLazy)?;
            let mut reader = Blocking(wait(opener.into_async_seekable(source))?);
            match way {
                Way::AsyncSeekCopy => wait(reader.0.copy_to(out)).map(drop)?,
                _ => read(&mut reader, 5000, out)?,
            }
            Ok(Some(wait(reader.0.report()).expect("an end was reported that was not verified")))
        }
        Way::Stream => {
            let (start, rest) = wait(MessageStart::read_stream(Pieces::new(message, 7001, 1)))?;
            let mut stream = opener(kuvert, start, context, false)?.into_stream(rest);
            let result = collect(&mut stream, out);
            assert_eq!(stream.is_complete(), result.is_ok());
            result?;
            Ok(Some(stream.report()))
        }
        _ => {
            let mut source = Slow::new(message, 1);
            let start = wait(MessageStart::read_async(&mut source))?;
            let opener = opener(kuvert, start, context, false)?;
            let mut reader = Blocking(match way {
                Way::AsyncParallel | Way::AsyncParallelCopy => {
                    opener.into_parallel_async_reader(source, several_threads())
                }
                _ => opener.into_async_reader(source),
            });
            match way {
                Way::AsyncRead => read(&mut reader, 777, out)?,
                Way::AsyncReadLarge | Way::AsyncParallel => read(&mut reader, 70_000, out)?,
                Way::AsyncBuffered => read_buffered(&mut reader, out)?,
                _ => wait(reader.0.copy_to(out)).map(drop)?,
            }
            Ok(Some(reader.0.report()))
        }
    }
}

/// Two, at work from the first chunk on, with little at a time: what happens between two jobs happens in small messages.
pub fn several_threads() -> Threads {
    Threads::exactly(NonZeroUsize::new(2).expect("two")).eagerly()
}

fn parallel_options() -> OpenOptions {
    OpenOptions::default().with_threads(several_threads())
}

/// Gives at most 5000 bytes a call.
struct Dribble<'a>(&'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = out.len().min(5000);
        self.0.read(&mut out[..most])
    }
}

fn opener(
    kuvert: &Kuvert,
    start: MessageStart,
    context: &EncryptionContext,
    lazy: bool,
) -> Result<Opener, OpenError> {
    let options = OpenOptions::default().with_lazy_length(lazy);
    wait(kuvert.clone().with_open_options(options).opener(start, context))
}

fn read(reader: &mut impl Read, buffer: usize, out: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = vec![0; buffer];
    loop {
        buffer.fill(0);
        let result = reader.read(&mut buffer);
        let read = *result.as_ref().unwrap_or(&0);
        assert!(buffer[read..].iter().all(|byte| *byte == 0), "plaintext was left beside an error");
        if result? == 0 {
            return Ok(());
        }
        out.extend_from_slice(&buffer[..read]);
    }
}

fn read_buffered(reader: &mut impl BufRead, out: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let taken = match reader.fill_buf()? {
            [] => return Ok(()),
            bytes => {
                let taken = bytes.len().min(3001);
                out.extend_from_slice(&bytes[..taken]);
                taken
            }
        };
        reader.consume(taken);
    }
}
