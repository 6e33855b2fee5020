//! What is read: a file, or standard input.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use kuvert::io::ReadAt;

use crate::failure::{Doing, Failure, FileFault};
use crate::names;
use crate::progress::Progress;

/// An open input. Its errors know its name, and a progress bar is told of what is read.
pub(crate) struct Source {
    file: File,
    name: String,
    /// Bytes in it, if it is a regular file that is read from its start: then it can be sought in.
    len: Option<u64>,
    progress: Progress,
}

impl Source {
    /// Opens a file, or standard input for none and for `-`.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        match path {
            Some(path) if path.as_os_str() != "-" => Self::open_file(path),
            _ => Self::stdin(),
        }
    }

    fn open_file(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| FileFault::failure(Doing::Read, path, error))?;
        Self::new(file, names::path(path))
    }

    fn stdin() -> Result<Self, Failure> {
        let name = "standard input";
        let file =
            stdin_file().map_err(|error| Failure::new(kuvert::Category::Io, format!("{name}: {error}")))?;
        Self::new(file, name.to_owned())
    }

    fn new(mut file: File, name: String) -> Result<Self, Failure> {
        let metadata =
            file.metadata().map_err(|error| FileFault::failure(Doing::Read, Path::new(&name), error))?;
        if metadata.is_dir() {
            return Err(Failure::usage(format!(
                "{name} is a directory, and kuvert seals and opens one file or stream"
            ))
            .advise("pack it first, for example: kuvert seal -k KEY -o OUT -- tar -c DIRECTORY"));
        }
        // Standard input may be a file that somebody has read from already.
        let is_at_start = metadata.is_file() && file.stream_position().is_ok_and(|position| position == 0);
        let len = is_at_start.then_some(metadata.len());
        Ok(Self { file, name, len, progress: Progress::none() })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes in it, if it can be sought in.
    pub(crate) const fn len(&self) -> Option<u64> {
        self.len
    }

    pub(crate) fn is_terminal(&self) -> bool {
        io::IsTerminal::is_terminal(&self.file)
    }

    /// Has a progress bar count what is read from now on.
    pub(crate) fn show_progress(&mut self, progress: Progress) {
        self.progress = progress;
    }

    fn fault(&self, error: io::Error) -> io::Error {
        FileFault::wrap(Doing::Read, &self.name, error)
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer).map_err(|error| self.fault(error))?;
        self.progress.add(n as u64);
        Ok(n)
    }
}

impl Seek for Source {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        self.file.seek(target).map_err(|error| self.fault(error))
    }
}

impl ReadAt for Source {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let n = self.file.read_at(buffer, offset).map_err(|error| self.fault(error))?;
        self.progress.add(n as u64);
        Ok(n)
    }

    fn total_len(&self) -> io::Result<u64> {
        self.file.total_len().map_err(|error| self.fault(error))
    }
}

/// Standard input as a file: without the buffer of [`io::Stdin`], and with its position where it is one.
#[cfg(unix)]
fn stdin_file() -> io::Result<File> {
    use std::os::fd::AsFd as _;
    Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
}

#[cfg(windows)]
fn stdin_file() -> io::Result<File> {
    use std::os::windows::io::AsHandle as _;
    Ok(io::stdin().as_handle().try_clone_to_owned()?.into())
}
