//! Key files: wrapping keys as short lines of text in a file that only its owner may read.
//!
//! Reads, checks and writes the file; what is done with the keys is next door, in
//! [`MemoryProvider`](super::MemoryProvider). Section 12 of the [format](crate::manual::format).

mod error;
#[cfg(test)]
mod tests;
mod text;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use zeroize::Zeroizing;

pub use self::error::{KeyFileError, LineFault};
pub(super) use self::text::{Entry, check_id};

use crate::crypto::random;
use crate::secret::{Opened, Secret};

/// The wrapping keys of one key file: ids and keys, the first being the one that seals.
///
/// # Security
///
/// Keys and the file's text are wiped when dropped. `Debug` shows ids only.
///
/// # Examples
///
/// ```
/// use kuvert::provider::{KeyFile, MemoryProvider};
///
/// let dir = tempfile::tempdir()?;
/// let path = dir.path().join("backup.key");
/// KeyFile::generate(Some("backup-2026"))?.write_new(&path)?;
/// let provider = MemoryProvider::from_key_file(&path)?;
///
/// // A key is not lightly written over.
/// let error = KeyFile::generate(None)?.write_new(&path).unwrap_err();
/// assert!(error.to_string().contains("already exists"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct KeyFile {
    entries: Vec<Entry>,
}

impl KeyFile {
    /// Makes one new key from the operating system's random source, named `id`, or by 16 random hex digits.
    ///
    /// # Errors
    ///
    /// [`KeyFileError::InvalidId`] and [`KeyFileError::Random`].
    pub fn generate(id: Option<&str>) -> Result<Self, KeyFileError> {
        let id = match id {
            Some(id) => id.to_owned(),
            None => {
                let mut name = [0; 8];
                random::fill(&mut name).map_err(KeyFileError::Random)?;
                format!("{:016x}", u64::from_be_bytes(name))
            }
        };
        Ok(Self { entries: vec![Entry::generate(id)?] })
    }

    /// Reads the text of a key file.
    ///
    /// # Errors
    ///
    /// [`KeyFileError::Line`] with the line's number and without the line; [`KeyFileError::NoKey`].
    pub fn parse(text: &[u8]) -> Result<Self, KeyFileError> {
        let entries =
            text::parse(text).map_err(|(line, fault)| KeyFileError::Line { path: None, line, fault })?;
        if entries.is_empty() { Err(KeyFileError::NoKey { path: None }) } else { Ok(Self { entries }) }
    }

    /// Reads a key file.
    ///
    /// # Security
    ///
    /// On Unix a file that its group or others may read, write or execute is refused, and so is whatever is not
    /// a regular file. Symbolic links are followed; the mode that counts is that of the file they lead to.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`], always with the path.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let text = read_text(path)?;
        Self::parse(&text).map_err(|error| error.with_path(path))
    }

    /// Writes a new file that only its owner may read (mode 0600), and has it on the disk before it returns.
    ///
    /// # Errors
    ///
    /// [`KeyFileError::Exists`] if there is something at `path`, which is left as it is;
    /// [`KeyFileError::Write`] if writing failed, and then nothing stays behind.
    pub fn write_new(&self, path: &Path) -> Result<(), KeyFileError> {
        let failed = |source: io::Error| KeyFileError::Write { path: path.to_owned(), source };
        let file = create_private(path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.to_owned() },
            _ => failed(source),
        })?;
        write_synced(file, path, self.expose_text().as_bytes()).map_err(|source| {
            // The file is ours and incomplete; that it cannot be removed either changes nothing for the caller.
            drop(fs::remove_file(path));
            failed(source)
        })
    }

    /// The file's text, secret as the keys in it.
    #[must_use]
    pub fn expose_text(&self) -> Opened<String> {
        Opened::new(text::print(&self.entries))
    }

    /// The ids of the keys, the one that seals first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(Entry::id)
    }

    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}

impl Entry {
    /// A new random key of this id.
    pub(super) fn generate(id: String) -> Result<Self, KeyFileError> {
        check_id(&id)?;
        let mut key = Secret::zeroed();
        random::fill(key.expose_mut()).map_err(KeyFileError::Random)?;
        Ok(Self::new(id, key))
    }
}

fn read_text(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    let failed = |source: io::Error| KeyFileError::Read { path: path.to_owned(), source };
    let file = open_without_waiting(path).map_err(failed)?;
    // Of the open file, not of the path, so that what was checked is what is read.
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(KeyFileError::NotAFile { path: path.to_owned() });
    }
    refuse_loose_mode(path, &metadata)?;
    // The whole space at once: a growing vector would leave copies of the keys in freed memory.
    let mut text = Zeroizing::new(vec![0; MAX_FILE_LEN + 1]);
    let mut len = 0;
    loop {
        match (&file).read(&mut text[len..]) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    if len > MAX_FILE_LEN {
        return Err(KeyFileError::TooLarge { path: path.to_owned(), limit: MAX_FILE_LEN });
    }
    text.truncate(len);
    Ok(text)
}

/// Opens for reading; on Unix without waiting for the writer of a named pipe, which is then refused by its type.
fn open_without_waiting(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK | libc::O_NOCTTY);
    options.open(path)
}

#[cfg(unix)]
fn refuse_loose_mode(path: &Path, metadata: &fs::Metadata) -> Result<(), KeyFileError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o7777;
    // fmt: F-8
    if mode & 0o077 == 0 { Ok(()) } else { Err(KeyFileError::LooseMode { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn refuse_loose_mode(_: &Path, _: &fs::Metadata) -> Result<(), KeyFileError> {
    Ok(())
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // fmt: T-12
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn write_synced(mut file: File, path: &Path, text: &[u8]) -> io::Result<()> {
    file.write_all(text)?;
    file.sync_all()?;
    // Without this, the name itself may be gone after a power cut.
    #[cfg(unix)]
    {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// Bytes of the longest key file that is read: room for some 3000 keys, and a bound on what a wrong path costs.
const MAX_FILE_LEN: usize = 1024 * 1024;
