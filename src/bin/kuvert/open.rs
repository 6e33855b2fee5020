//! `kuvert open`.

use std::io::{self, Seek as _, SeekFrom, Write};
use std::ops::Range;
use std::path::Path;

use kuvert::blocking::OpenHandle;
use kuvert::io::{OpenReport, RangeReader};
use kuvert::{Kuvert, MessageStart, OpenError, OpenOptions, Opener, Threads};
use zeroize::Zeroizing;

use crate::args::{OpenArguments, OpeningKeyArguments, PresentedArguments};
use crate::context::Stored;
use crate::detached::header_path;
use crate::failure::{Failure, warn};
use crate::keys::KeyName;
use crate::output::{Output, Target};
use crate::progress::Progress;
use crate::source::Source;
use crate::terminal::TextOnly;
use crate::{context, keys, names, side_copy};

pub(crate) fn run(arguments: &OpenArguments) -> Result<(), Failure> {
    let target = Target::new(arguments.output.as_deref(), arguments.force)?;
    let range = arguments.range.as_deref().map(parse_range).transpose()?;
    let reading = Reading::new(&arguments.keys, &arguments.context)?;
    let message = reading.open(arguments.input.as_deref(), arguments.header.as_deref())?;
    let threads = arguments.threads.threads;
    match range {
        Some(range) => open_range(message, range, &target),
        // fmt: T-8
        None if message.source.len().is_some() && !arguments.stream => {
            let again = |source: &mut Source| reading.opener_again(source, arguments.header.as_deref());
            open_verified(message, again, &target, threads)
        }
        None => open_streaming(message, &target, threads),
    }
}

/// Keys and context, with which any number of messages can be opened.
pub(crate) struct Reading<'a> {
    handle: OpenHandle,
    keys: Vec<KeyName>,
    key: &'a OpeningKeyArguments,
    key_ids: String,
    context: kuvert::EncryptionContext,
    arguments: &'a PresentedArguments,
}

/// A message whose header is verified, and where its chunks come from.
pub(crate) struct Message {
    pub(crate) opener: Opener,
    pub(crate) source: Source,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(
        key: &'a OpeningKeyArguments,
        arguments: &'a PresentedArguments,
    ) -> Result<Self, Failure> {
        let context = context::presented(&arguments.context)?;
        let keys = keys::given(&key.key)?;
        key.manner().check(&keys)?;
        let opening = keys::opening(&keys, key.manner())?.cached();
        let options = OpenOptions::default().with_accept_stored_context(arguments.accept_stored_context);
        let handle = Kuvert::open_only(opening.provider).with_options(options).into();
        Ok(Self { handle, keys, key, key_ids: opening.ids, context, arguments })
    }

    /// Opens a file or standard input up to its first chunk, and warns of what is wrong and yet harmless.
    pub(crate) fn open(&self, path: Option<&Path>, header: Option<&Path>) -> Result<Message, Failure> {
        let mut source = Source::open(path)?;
        if source.is_terminal() {
            return Err(Failure::usage(
                "there is nothing to open: name a file, or send one to standard input",
            ));
        }
        let start = read_start(&mut source, header).map_err(|failure| point_to_header(failure, path, header));
        // Of a detached message, the header's file is the one that is rewrapped.
        let rewrapped = header.or(path);
        let with_copy =
            |failure| rewrapped.iter().fold(failure, |failure, path| side_copy::point_to(failure, path));
        let start = start.map_err(with_copy)?;
        let stored = Stored::of(start.header());
        let opener = self.handle.opener(start, &self.context).map_err(|error| {
            let failure = Failure::opening(&error, source.name());
            with_copy(self.explain(failure, &error, &stored))
        })?;
        // fmt: T-1
        warn_of(&opener.report(), source.name());
        rewrapped.iter().for_each(|path| side_copy::warn_of(path));
        Ok(Message { opener, source })
    }

    /// Another opener for the message that `source` was opened as, which is read from its start again.
    fn opener_again(&self, source: &mut Source, header: Option<&Path>) -> Result<Opener, Failure> {
        source.seek(SeekFrom::Start(0)).map_err(|error| failed(error, source.name()))?;
        let start = read_start(source, header)?;
        self.handle.opener(start, &self.context).map_err(|error| Failure::opening(&error, source.name()))
    }

    /// Adds to the failure of opening what can be told from the header and the arguments.
    pub(crate) fn explain(&self, failure: Failure, error: &OpenError, stored: &Stored) -> Failure {
        let failure = context::explain(failure, error, stored, self.arguments);
        let failure = keys::explain(failure, error, &stored.recipients, &self.keys, self.key.manner());
        match error {
            OpenError::KeyUnavailable(_) => failure.advise(format!("keys given: {}", self.key_ids)),
            _ => failure,
        }
    }
}

/// What is wrong with a header that opens all the same, and how it is mended.
fn warn_of(report: &OpenReport, name: &str) {
    if report.degraded {
        warn(&format!(
            "{name}: degraded: one of the two copies of its keys is damaged; look at the disk, copy the file \
             elsewhere, and mend it: kuvert rewrap -k KEY --to KEY {name}"
        ));
    }
    if report.unfinished_rewrap {
        warn(&format!(
            "{name}: a rewrap was not finished, and former keys still open it: run the same 'kuvert rewrap' again"
        ));
    }
}

fn read_start(source: &mut Source, header: Option<&Path>) -> Result<MessageStart, Failure> {
    let is_seekable = source.len().is_some();
    let start = match header {
        None if is_seekable => MessageStart::read_seekable(source),
        None => MessageStart::read(source),
        Some(path) => {
            let mut header = Source::open(Some(path))?;
            let start = if is_seekable {
                MessageStart::read_detached_seekable(&mut header, source)
            } else {
                MessageStart::read_detached(&mut header, source)
            };
            return start.map_err(|error| {
                let name = format!("{} (with header {})", source.name(), header.name());
                Failure::opening(&error, &name)
            });
        }
    };
    start.map_err(|error| Failure::opening(&error, source.name()))
}

/// A body without its header looks like nothing at all: says so where the header lies beside it.
fn point_to_header(failure: Failure, path: Option<&Path>, header: Option<&Path>) -> Failure {
    let (Some(path), None) = (path, header) else { return failure };
    let beside = header_path(path);
    if failure.category() == kuvert::Category::Malformed && beside.is_file() {
        return failure
            .advise(format!("a detached header lies beside it: add --header {}", names::path(&beside)));
    }
    let body = path.with_extension("");
    if failure.category() == kuvert::Category::Usage && header_path(&body) == path && body.is_file() {
        let (header, body) = (names::path(path), names::path(&body));
        return failure.advise(format!("kuvert open --header {header} {body}"));
    }
    failure
}

/// One pass: what was written before an error is authentic, and not all there is.
fn open_streaming(message: Message, target: &Target, threads: Threads) -> Result<(), Failure> {
    let Message { opener, mut source } = message;
    let name = source.name().to_owned();
    let progress = progress("opening", source.len(), target);
    source.show_progress(progress.clone());
    let mut output = target.create()?;
    let copied = opener.into_parallel_reader(source, threads).copy_to(&mut output);
    progress.clear();
    copied.map_err(|error| failed(error, &name))?;
    output.commit()
}

/// Two passes: the second begins when the first has verified everything. What it opens is verified once more.
fn open_verified(
    message: Message,
    again: impl FnOnce(&mut Source) -> Result<Opener, Failure>,
    target: &Target,
    threads: Threads,
) -> Result<(), Failure> {
    let Message { opener, mut source } = message;
    let name = source.name().to_owned();
    let progress = progress("verifying", source.len(), target);
    source.show_progress(progress.clone());
    let copy = |opener: Opener, source: &mut Source, writer: &mut dyn Write| {
        let copied = opener.into_parallel_reader(source, threads).copy_to(writer);
        copied.and_then(|_| writer.flush()).map_err(|error| failed(error, &name))
    };
    let both = || {
        let mut checked: Box<dyn Write> =
            if target.is_terminal() { Box::new(TextOnly::new(io::sink())) } else { Box::new(io::sink()) };
        copy(opener, &mut source, &mut checked)?;
        progress.restart("opening");
        let opener = again(&mut source)?;
        let mut output = target.create()?;
        copy(opener, &mut source, &mut output)?;
        Ok(output)
    };
    let copied: Result<Output, Failure> = both();
    progress.clear();
    copied?.commit()
}

fn open_range(message: Message, range: Range<u64>, target: &Target) -> Result<(), Failure> {
    let Message { opener, source } = message;
    let name = source.name().to_owned();
    if source.len().is_none() {
        return Err(Failure::usage(format!("--range needs a file, and {name} is a stream")));
    }
    let failed = |error: OpenError| Failure::opening(&error, &name);
    let reader = opener.into_ranges(source).map_err(failed)?;
    let len = reader.plaintext_len().map_err(failed)?;
    // fmt: T-9
    if range.end > len {
        return Err(Failure::usage(format!(
            "--range ends at {}, and the plaintext has {len} bytes",
            range.end
        )));
    }
    let mut output = target.create()?;
    write_range(&reader, range, &mut output, &name)?;
    output.commit()
}

fn write_range(
    reader: &RangeReader<Source>,
    range: Range<u64>,
    output: &mut impl Write,
    name: &str,
) -> Result<(), Failure> {
    let mut buffer = Zeroizing::new(vec![0; PIECE]);
    let mut at = range.start;
    while at < range.end {
        let left = range.end - at;
        let piece = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        let piece = &mut buffer[..piece];
        reader.read_exact_at(piece, at).map_err(|error| Failure::opening(&error, name))?;
        output.write_all(piece).map_err(|error| failed(error, name))?;
        at += piece.len() as u64;
    }
    Ok(())
}

fn failed(error: io::Error, name: &str) -> Failure {
    let error = error.downcast::<OpenError>().unwrap_or_else(OpenError::Io);
    Failure::opening(&error, name)
}

/// No bar where the plaintext itself goes to the terminal.
fn progress(what: &'static str, bytes: Option<u64>, target: &Target) -> Progress {
    if target.is_terminal() { Progress::none() } else { Progress::new(what, bytes) }
}

fn parse_range(text: &str) -> Result<Range<u64>, Failure> {
    let number = |digits: &str| {
        digits.parse::<u64>().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let ends = text.split_once("..").and_then(|(start, end)| Some(number(start)?..number(end)?));
    match ends {
        Some(range) if range.start <= range.end => Ok(range),
        Some(_) => Err(Failure::usage("--range starts behind its end")),
        None => Err(Failure::usage(
            "--range is START..END in bytes of the plaintext, END not included, such as 0..512",
        )),
    }
}

/// Bytes of a range that are opened and written at once.
const PIECE: usize = 1024 * 1024;
