//! What can be wrong with a key file: said with the path, the line's number and the remedy, never with the line.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use crate::error::Category;

/// Why wrapping keys could not be read, made or written. Shows paths, ids and line numbers, never a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The file could not be opened or read.
    #[error("key file {} cannot be read: {source}", Shown(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A directory, a pipe or a device.
    #[error("key file {} is not a regular file", Shown(path))]
    NotAFile {
        /// What was given as a key file.
        path: PathBuf,
    },
    /// Others than its owner may use the file.
    #[error(
        "key file {} has mode {mode:04o}: its group or others may use the key; run: chmod 600 {}",
        Shown(path),
        ShellWord(path)
    )]
    LooseMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Longer than any key file.
    #[error("key file {} is longer than {limit} bytes: it is not a key file", Shown(path))]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read, in bytes.
        limit: usize,
    },
    /// A line that cannot be read.
    #[error("{}, line {line}: {fault}", Named(path))]
    Line {
        /// The file, where the text came from one.
        path: Option<PathBuf>,
        /// The line's number, from 1.
        line: usize,
        /// What is wrong with it.
        fault: LineFault,
    },
    /// No line holds a key.
    #[error("{} holds no key: it needs a line made by \"kuvert keygen\"", Named(path))]
    NoKey {
        /// The file, where the text came from one.
        path: Option<PathBuf>,
    },
    /// One id stands for two different keys.
    #[error("two different keys have the id \"{id}\": leave one of the key files out")]
    Conflict {
        /// The id.
        id: String,
    },
    /// An id that is empty, too long, or has characters that ids do not have.
    #[error("\"{}\" cannot be a key's id: 1 to 256 of the characters A-Z a-z 0-9 . _ / @ -", shortened(id))]
    InvalidId {
        /// What was given.
        id: String,
    },
    /// No key of this id is here.
    #[error("there is no key of the id \"{}\"", shortened(id))]
    UnknownId {
        /// What was asked for.
        id: String,
    },
    /// There is something where the new file should be.
    #[error("{} already exists and was left as it is: choose another name for the new key file", Shown(path))]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// The new file could not be written.
    #[error("key file {} cannot be written: {source}", Shown(path))]
    Write {
        /// The path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system gave no random bytes.
    #[error("the system's random source failed: {0}")]
    Random(#[source] io::Error),
}

impl KeyFileError {
    /// [`Category::Io`] if writing a file or making a key failed; every other fault is [`Category::Usage`]: the
    /// call cannot succeed until somebody changes the file or names another.
    #[must_use]
    pub const fn category(&self) -> Category {
        match self {
            Self::Write { .. } | Self::Random(_) => Category::Io,
            _ => Category::Usage,
        }
    }

    pub(super) fn with_path(mut self, of: &Path) -> Self {
        if let Self::Line { path, .. } | Self::NoKey { path } = &mut self {
            *path = Some(of.to_owned());
        }
        self
    }
}

/// What is wrong with one line of a key file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineFault {
    /// Bytes that are not UTF-8.
    #[error("not UTF-8 text; is this a key file?")]
    NotUtf8,
    /// The file begins with U+FEFF.
    #[error("the file begins with a byte-order mark; save it as UTF-8 without one")]
    ByteOrderMark,
    /// A carriage return elsewhere than before a line feed.
    #[error("a carriage return that does not end the line; save the file with LF or CR LF line ends")]
    CarriageReturn,
    /// Not a comment, not empty, and not `kuvert-key-v1:…`.
    #[error(
        "not an entry: expected \"kuvert-key-v1:<id>:<48 base64 characters>\", a line that begins with #, or an empty line"
    )]
    NotAnEntry,
    /// `kuvert-key-v` and another number than 1.
    #[error("a key of a version unknown here; a newer release of kuvert may read it")]
    UnknownVersion,
    /// White space before, in or after an entry, or a line of nothing else.
    #[error("white space before, in or after the entry; remove it")]
    Blanks,
    /// The id is empty, too long, or has other characters than ids have.
    #[error("the id must have 1 to 256 of the characters A-Z a-z 0-9 . _ / @ -")]
    InvalidId,
    /// The part after the id has another length than 48 characters.
    #[error("the key has {found} characters instead of 48; copy the whole line again")]
    KeyLength {
        /// Characters found.
        found: usize,
    },
    /// Not standard base64.
    #[error("the key is not standard base64; copy the whole line again")]
    KeyEncoding,
    /// The check bytes do not fit the id and the key.
    #[error(
        "the check at the line's end does not fit: a character of the id or the key is mistyped; copy the whole line again"
    )]
    CheckFailed,
    /// An earlier line of the same file has the same id.
    #[error("the id stands in an earlier line too; remove one of them")]
    DuplicateId,
}

/// A path in quotes, its control characters escaped.
struct Shown<'a>(&'a Path);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.to_string_lossy().escape_debug())
    }
}

/// A path as one word of a shell's command line.
struct ShellWord<'a>(&'a Path);

impl fmt::Display for ShellWord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
        let text = self.0.to_string_lossy();
        if text.starts_with('-') {
            f.write_str("-- ")?;
        }
        if text.chars().all(plain) {
            return f.write_str(&text);
        }
        // A control character has no place on a terminal; such a name must be typed by other means.
        let quoted: String =
            text.replace('\'', r"'\''").chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        write!(f, "'{quoted}'")
    }
}

struct Named<'a>(&'a Option<PathBuf>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => write!(f, "key file {}", Shown(path)),
            None => f.write_str("key file"),
        }
    }
}

fn shortened(id: &str) -> String {
    id.chars().take(64).flat_map(char::escape_debug).collect()
}
