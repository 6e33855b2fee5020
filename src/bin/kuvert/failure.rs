//! Why the program ends with another status than 0, in words for whoever reads it at night.
//!
//! The library's errors name the thing; here it gets the file's name in front and the next step behind.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::{error, fmt};

use kuvert::provider::KeyFileError;
use kuvert::{Category, ContextError, OpenError, SealError};

use crate::terminal::Binary;
use crate::{names, remedy};

/// What went wrong, what to do next, and the exit status.
#[derive(Debug)]
pub(crate) struct Failure {
    category: Category,
    message: String,
    advice: Vec<String>,
    is_silent: bool,
}

impl Failure {
    pub(crate) fn new(category: Category, message: impl Into<String>) -> Self {
        Self { category, message: message.into(), advice: Vec::new(), is_silent: false }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Category::Usage, message)
    }

    /// Of whatever was printed for each file already: only the exit status counts.
    pub(crate) fn already_told(category: Category) -> Self {
        Self { is_silent: true, ..Self::new(category, "") }
    }

    pub(crate) fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice.push(advice.into());
        self
    }

    /// Of sealing.
    pub(crate) fn sealing(error: &SealError) -> Self {
        let told = if let SealError::Io(inner) = error { Self::io(inner) } else { None };
        let failure = told.unwrap_or_else(|| Self::new(error.category(), error.to_string()));
        match error {
            // fmt: T-20
            SealError::Provider(error) => {
                remedy::advise(Self { category: remedy::category(error), ..failure }, [error])
            }
            _ => failure,
        }
    }

    /// Of opening what is called `name`.
    pub(crate) fn opening(error: &OpenError, name: &str) -> Self {
        if let Some(failure) = as_io(error).and_then(Self::io) {
            return failure;
        }
        let failure = Self::new(error.category(), format!("{name}: {error}"));
        if let OpenError::KeyUnavailable(keys) = error {
            let asked: Vec<_> = keys.0.iter().filter_map(|attempt| attempt.error.as_ref()).collect();
            if !asked.is_empty() {
                return remedy::advise(failure, asked);
            }
        }
        match next_step(error.category()) {
            Some(advice) => failure.advise(advice),
            None => failure,
        }
    }

    /// Of reading or writing, if the error says which file it was.
    pub(crate) fn io(error: &io::Error) -> Option<Self> {
        let inner = error.get_ref()?;
        let fault = inner.downcast_ref::<FileFault>();
        if inner.is::<Binary>()
            || fault.is_some_and(|fault| fault.source.get_ref().is_some_and(|inner| inner.is::<Binary>()))
        {
            return Some(
                Self::usage(Binary.to_string())
                    .advise("name a file with -o OUT, or send standard output somewhere else"),
            );
        }
        let fault = fault?;
        let failure = Self::new(fault.category(), fault.to_string());
        Some(match fault {
            // Whoever closed the pipe knows, and a message would only be in the way.
            FileFault { source, doing: Doing::Write, .. } if source.kind() == io::ErrorKind::BrokenPipe => {
                Self { is_silent: true, ..failure }
            }
            FileFault { source, doing: Doing::Write | Doing::Create, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => failure.advise(
                    "make room there, or write to another place with -o; nothing partial was left behind",
                ),
                io::ErrorKind::NotFound => failure.advise("make the directory first"),
                _ => failure,
            },
            FileFault { .. } => failure,
        })
    }

    pub(crate) const fn category(&self) -> Category {
        self.category
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) const fn exit_status(&self) -> u8 {
        self.category.exit_status()
    }

    pub(crate) fn print(&self) {
        if self.is_silent {
            return;
        }
        // If standard error is gone too, there is nobody left to tell.
        drop(writeln!(io::stderr(), "kuvert: {}", self.lines()));
    }

    /// The end of the program.
    pub(crate) fn end(&self) -> ExitCode {
        self.print();
        ExitCode::from(self.exit_status())
    }

    /// The message, and the advice on lines of its own.
    pub(crate) fn lines(&self) -> String {
        [&self.message].into_iter().chain(&self.advice).map(String::as_str).collect::<Vec<_>>().join("\n  ")
    }
}

/// Something that is no failure and yet has to be known.
pub(crate) fn warn(text: &str) {
    drop(writeln!(io::stderr(), "kuvert: warning: {text}"));
}

/// A line of the result, on standard output.
pub(crate) fn say(line: &str) -> Result<(), Failure> {
    let written = writeln!(io::stdout(), "{line}");
    written.map_err(|error| FileFault::failure(Doing::Write, Path::new("standard output"), error))
}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        Self::new(error.category(), error.to_string())
    }
}

impl From<ContextError> for Failure {
    fn from(error: ContextError) -> Self {
        Self::new(error.category(), error.to_string())
    }
}

fn as_io(error: &OpenError) -> Option<&io::Error> {
    if let OpenError::Io(inner) = error { Some(inner) } else { None }
}

/// What to try, where the message does not say it already.
fn next_step(category: Category) -> Option<&'static str> {
    Some(match category {
        Category::Malformed => {
            "is it the right file, and was it copied in binary? 'kuvert inspect' shows what a sealed file says"
        }
        Category::Unsupported => "open it with a newer kuvert",
        Category::Truncated => {
            "the file is not complete: compare its size with the original's, and fetch it again"
        }
        Category::Tampered => {
            "nothing of it can be trusted: fetch another copy, and keep this one for whoever looks into it"
        }
        Category::WrongKey => {
            "another key has the same name, or the header is damaged: try the right key file with -k, or another copy"
        }
        Category::KeyUnavailable => "give the key that has one of these ids with -k",
        _ => return None,
    })
}

/// An [`io::Error`] that knows what was done to which file, so that a full disk is not taken for a bad input.
#[derive(Debug)]
pub(crate) struct FileFault {
    doing: Doing,
    name: String,
    source: io::Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    Read,
    Create,
    Write,
}

impl FileFault {
    /// Wraps an error. Keeps its kind, so that whoever retries interrupted calls still does.
    pub(crate) fn wrap(doing: Doing, name: &str, source: io::Error) -> io::Error {
        let kind = source.kind();
        if kind == io::ErrorKind::Interrupted {
            return source;
        }
        io::Error::new(kind, Self { doing, name: name.to_owned(), source })
    }

    /// As [`wrap`](Self::wrap), for a failure on the spot.
    pub(crate) fn failure(doing: Doing, path: &Path, source: io::Error) -> Failure {
        let wrapped = Self::wrap(doing, &names::path(path), source);
        Failure::io(&wrapped).unwrap_or_else(|| Failure::new(Category::Io, wrapped.to_string()))
    }

    fn category(&self) -> Category {
        match (self.doing, self.source.kind()) {
            (
                Doing::Create,
                io::ErrorKind::AlreadyExists | io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput,
            ) => Category::Usage,
            (Doing::Read, io::ErrorKind::IsADirectory) => Category::Usage,
            _ => Category::Io,
        }
    }
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doing = match self.doing {
            Doing::Read => "cannot be read",
            Doing::Create => "cannot be created",
            Doing::Write => "cannot be written",
        };
        write!(f, "{} {doing}: {}", self.name, self.source)
    }
}

impl error::Error for FileFault {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}
