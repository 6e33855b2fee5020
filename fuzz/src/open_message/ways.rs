//! Every way in which the crate opens a message.

use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};

use kuvert::{Category, EncryptionContext, MessageStart, OpenError, OpenOptions, Opener, io::OpenReport};

use super::super::{
    fixtures::{Keys, block_on},
    input::CHUNK,
};

/// A message to open, where its body is, and what is presented.
#[derive(Debug)]
pub struct Case {
    /// Header and body, one behind the other.
    pub message: Vec<u8>,
    /// Of a message whose header is given by itself: where it is cut.
    pub detached: Option<usize>,
    pub context: EncryptionContext,
    pub options: OpenOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One call, all in memory. Not for detached messages.
    Whole,
    /// In order, the length known.
    InOrder,
    /// In order, from a source whose end nobody knows.
    Streamed,
    /// The same through [`BufRead`], from a source that gives few bytes at a time.
    Trickled,
    /// By a reader that seeks.
    Seeking { lazy: bool },
    /// By ranges of a chunk each.
    Ranges { lazy: bool },
}

impl Way {
    pub const ALL: [Self; 8] = [
        Self::Whole,
        Self::InOrder,
        Self::Streamed,
        Self::Trickled,
        Self::Seeking { lazy: false },
        Self::Seeking { lazy: true },
        Self::Ranges { lazy: false },
        Self::Ranges { lazy: true },
    ];

    pub fn knows_len(self) -> bool {
        !matches!(self, Self::Streamed | Self::Trickled)
    }

    pub fn is_strict(self) -> bool {
        matches!(self, Self::Seeking { lazy: false } | Self::Ranges { lazy: false })
    }
}

/// What came of opening.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The plaintext that was given out, before an error too.
    pub released: Vec<u8>,
    /// A single call reports nothing but its plaintext.
    pub result: Result<Option<OpenReport>, Category>,
}

/// What is tested.
pub trait Openers {
    fn open(&self, way: Way, case: &Case, keys: &Keys) -> Outcome;
}

/// The crate itself.
#[derive(Debug)]
pub struct Crate;

impl Openers for Crate {
    fn open(&self, way: Way, case: &Case, keys: &Keys) -> Outcome {
        let mut released = Vec::new();
        let result = open(way, case, keys, &mut released).map_err(|error| {
            assert!(!error.to_string().is_empty());
            error.category()
        });
        Outcome { released, result }
    }
}

fn open(way: Way, case: &Case, keys: &Keys, released: &mut Vec<u8>) -> Result<Option<OpenReport>, OpenError> {
    let lazy = matches!(way, Way::Seeking { lazy: true } | Way::Ranges { lazy: true });
    let handle = keys.handle(case.options.clone().with_lazy_length(lazy));
    if way == Way::Whole {
        released.extend_from_slice(&block_on(handle.open(&case.message, &case.context))?);
        return Ok(None);
    }
    let (header, body) = case.message.split_at(case.detached.unwrap_or(0));
    let most = if way == Way::Trickled { 7001 } else { usize::MAX };
    let mut source = Source { inner: Cursor::new(body), most };
    let start = match (way.knows_len(), case.detached) {
        (true, None) => MessageStart::read_seekable(&mut source)?,
        (false, None) => MessageStart::read(&mut source)?,
        (true, Some(_)) => MessageStart::read_detached_seekable(&mut &*header, &mut source)?,
        (false, Some(_)) => MessageStart::read_detached(&mut &*header, &mut source)?,
    };
    let opener = block_on(handle.opener(start, &case.context))?;
    read_body(way, opener, source, released).map(Some)
}

fn read_body(
    way: Way,
    opener: Opener,
    source: Source<'_>,
    released: &mut Vec<u8>,
) -> Result<OpenReport, OpenError> {
    match way {
        Way::Whole | Way::InOrder | Way::Streamed => {
            let mut reader = opener.into_reader(source);
            reader.read_to_end(released)?;
            Ok(reader.report())
        }
        Way::Trickled => {
            let mut reader = opener.into_reader(source);
            take_all(&mut reader, released)?;
            Ok(reader.report())
        }
        Way::Seeking { .. } => {
            let mut reader = opener.into_seekable(source)?;
            take_all(&mut reader, released)?;
            reader.report()
        }
        Way::Ranges { .. } => {
            let reader = opener.into_ranges(source.inner.into_inner())?;
            let mut piece = vec![0; CHUNK];
            loop {
                let n = reader.read_at(&mut piece, released.len() as u64)?;
                released.extend_from_slice(&piece[..n]);
                if n < CHUNK {
                    return reader.report();
                }
            }
        }
    }
}

fn take_all(reader: &mut impl BufRead, released: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let available = reader.fill_buf()?;
        let n = available.len();
        released.extend_from_slice(available);
        if n == 0 {
            return Ok(());
        }
        reader.consume(n);
    }
}

struct Source<'a> {
    inner: Cursor<&'a [u8]>,
    most: usize,
}

impl Read for Source<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = out.len().min(self.most);
        self.inner.read(&mut out[..most])
    }
}

impl Seek for Source<'_> {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        self.inner.seek(target)
    }
}
