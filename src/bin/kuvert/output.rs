//! Where the result goes: a file that appears whole or not at all, or standard output.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use kuvert::io::AtomicFile;

use crate::failure::{Doing, Failure, FileFault};
use crate::interrupt::{self, Registered};
use crate::names;
use crate::terminal::TextOnly;

/// Where to write, checked as far as it can be before there is anything to write.
pub(crate) struct Target {
    path: Option<PathBuf>,
    replace: bool,
}

impl Target {
    /// A file, or standard output for none and for `-`. Refuses what exists and may not be replaced.
    pub(crate) fn new(path: Option<&Path>, replace: bool) -> Result<Self, Failure> {
        let path = path.filter(|path| path.as_os_str() != "-").map(Path::to_path_buf);
        let target = Self { path, replace };
        if let Some(path) = &target.path {
            check_free(path, replace)?;
        }
        Ok(target)
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.path.is_none() && io::stdout().is_terminal()
    }

    /// The file's path, where it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Begins the output. A file is not seen under its name before [`Output::commit`].
    // fmt: T-4
    pub(crate) fn create(&self) -> Result<Output, Failure> {
        match &self.path {
            Some(path) => Output::file(path, self.replace),
            None => Output::stdout(self.is_terminal()),
        }
    }
}

/// An output under way. Dropped without [`commit`](Self::commit), a file never appears.
pub(crate) struct Output {
    inner: Inner,
    name: String,
}

enum Inner {
    // The file goes first: it removes itself while the handler of signals still knows it.
    File { file: AtomicFile, path: PathBuf, registered: Registered },
    Stdout(Box<dyn Write + Send>),
}

impl Output {
    pub(crate) fn file(path: &Path, replace: bool) -> Result<Self, Failure> {
        let created = interrupt::register(|| AtomicFile::create(path, replace), AtomicFile::temporary_path);
        let (file, registered) = created.map_err(|error| cannot_create(path, error))?;
        let inner = Inner::File { file, path: path.to_owned(), registered };
        Ok(Self { inner, name: names::path(path) })
    }

    fn stdout(is_terminal: bool) -> Result<Self, Failure> {
        let name = "standard output".to_owned();
        let file =
            stdout_file().map_err(|error| FileFault::failure(Doing::Write, Path::new(&name), error))?;
        let writer: Box<dyn Write + Send> =
            if is_terminal { Box::new(TextOnly::new(file)) } else { Box::new(file) };
        Ok(Self { inner: Inner::Stdout(writer), name })
    }

    /// Makes the file durable and lets it appear.
    pub(crate) fn commit(mut self) -> Result<(), Failure> {
        self.flush()
            .map_err(|error| Failure::io(&error).unwrap_or_else(|| Failure::usage(error.to_string())))?;
        match self.inner {
            Inner::File { file, path, registered } => {
                let committed = file.commit();
                drop(registered);
                committed.map_err(|error| match error.kind() {
                    io::ErrorKind::AlreadyExists => cannot_create(&path, error),
                    _ => FileFault::failure(Doing::Write, &path, error),
                })
            }
            Inner::Stdout(_) => Ok(()),
        }
    }

    /// Where the bytes are until then, if it is a file.
    #[cfg(feature = "sqlite")]
    pub(crate) fn temporary_path(&self) -> Option<&Path> {
        match &self.inner {
            Inner::File { file, .. } => Some(file.temporary_path()),
            Inner::Stdout(_) => None,
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match &mut self.inner {
            Inner::File { file, .. } => file,
            Inner::Stdout(writer) => writer,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer().write(bytes).map_err(|error| FileFault::wrap(Doing::Write, &self.name, error))
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        let written = self.writer().write_vectored(pieces);
        written.map_err(|error| FileFault::wrap(Doing::Write, &self.name, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer().flush().map_err(|error| FileFault::wrap(Doing::Write, &self.name, error))
    }
}

/// Refuses an output that is there, before any work is done for it.
pub(crate) fn check_free(path: &Path, replace: bool) -> Result<(), Failure> {
    match path.symlink_metadata() {
        Ok(_) if path.is_dir() => Err(cannot_create(path, io::ErrorKind::IsADirectory.into())),
        Ok(_) if path.exists() && !path.is_file() => {
            Err(cannot_create(path, io::ErrorKind::InvalidInput.into()))
        }
        Ok(_) if !replace => Err(cannot_create(path, io::ErrorKind::AlreadyExists.into())),
        _ => Ok(()),
    }
}

fn cannot_create(path: &Path, error: io::Error) -> Failure {
    let name = names::path(path);
    match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::usage(format!("{name} exists and was left as it is"))
            .advise("choose another name with -o, or replace it with --force"),
        io::ErrorKind::IsADirectory => {
            Failure::usage(format!("{name} is a directory: name a file in it with -o"))
        }
        io::ErrorKind::InvalidInput => {
            Failure::usage(format!("{name} is not a regular file, and cannot be replaced by one"))
                .advise("to write into a device or a pipe, leave -o out and redirect standard output")
        }
        _ => FileFault::failure(Doing::Create, path, error),
    }
}

/// Standard output without the line buffer of [`io::Stdout`], which is for text.
#[cfg(unix)]
fn stdout_file() -> io::Result<File> {
    use std::os::fd::AsFd as _;
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

#[cfg(windows)]
fn stdout_file() -> io::Result<File> {
    use std::os::windows::io::AsHandle as _;
    Ok(io::stdout().as_handle().try_clone_to_owned()?.into())
}
