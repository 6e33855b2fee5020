//! The file calls that replacing a header is made of, so that a test can log them and crash between any two.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::lock::{self, Opened};
use crate::io::atomic_file::disk::{Disk, RealDisk};

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// To be read and nothing else.
    Read,
    /// To be changed or replaced, by nobody else at the same time.
    Change,
}

/// What [`super::HeaderFile`] asks of a file system, beside what writing a new file takes.
pub(crate) trait HeaderDisk: Disk + Clone {
    /// An open file, which is locked for as long as it lives if it was opened to be changed.
    type Locked;

    /// The path without links.
    fn real_path(&self, path: &Path) -> io::Result<PathBuf>;
    /// Opens a regular file; `None` if somebody else has locked it.
    fn open(&self, path: &Path, access: Access) -> io::Result<Option<Self::Locked>>;
    /// Whether the open file is the one under this path.
    fn is_at(&self, file: &Self::Locked, path: &Path) -> io::Result<bool>;
    fn len(&self, file: &Self::Locked) -> io::Result<u64>;
    fn read_at(&self, file: &Self::Locked, buffer: &mut [u8], at: u64) -> io::Result<usize>;
    fn write_at(&self, file: &Self::Locked, bytes: &[u8], at: u64) -> io::Result<usize>;
    fn sync_locked(&self, file: &Self::Locked) -> io::Result<()>;
    /// The content of a file of at most `limit` bytes; one byte more if it is longer; `None` if there is none.
    fn read_small(&self, path: &Path, limit: usize) -> io::Result<Option<Vec<u8>>>;
    /// Gives a new file the owner and the permissions of another one.
    fn make_like(&self, new: &Self::File, old: &Self::Locked) -> io::Result<()>;
}

impl HeaderDisk for RealDisk {
    type Locked = Opened;

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Option<Opened>> {
        // Before opening: a pipe would block, and root may write to everything.
        check(&fs::metadata(path)?, access)?;
        let mut options = OpenOptions::new();
        options.read(true).write(access == Access::Change);
        if access == Access::Read {
            return Opened::open(&options, path).map(Some);
        }
        lock::open_exclusively(&options, path)
    }

    #[cfg(unix)]
    fn is_at(&self, file: &Opened, path: &Path) -> io::Result<bool> {
        use std::os::unix::fs::MetadataExt;
        let opened = file.metadata()?;
        match fs::metadata(path) {
            Ok(there) => Ok((there.dev(), there.ino()) == (opened.dev(), opened.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Elsewhere an open file that is locked keeps its name.
    #[cfg(not(unix))]
    fn is_at(&self, _: &Opened, _: &Path) -> io::Result<bool> {
        Ok(true)
    }

    fn len(&self, file: &Opened) -> io::Result<u64> {
        Ok(file.metadata()?.len())
    }

    fn read_at(&self, file: &Opened, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        crate::io::ReadAt::read_at(&**file, buffer, at)
    }

    #[cfg(unix)]
    fn write_at(&self, file: &Opened, bytes: &[u8], at: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::write_at(&**file, bytes, at)
    }

    #[cfg(not(unix))]
    fn write_at(&self, file: &Opened, bytes: &[u8], at: u64) -> io::Result<usize> {
        let mut file: &File = file;
        io::Seek::seek(&mut file, io::SeekFrom::Start(at))?;
        io::Write::write(&mut file, bytes)
    }

    fn sync_locked(&self, file: &Opened) -> io::Result<()> {
        file.sync_all()
    }

    fn read_small(&self, path: &Path, limit: usize) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut content = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut content)?;
        Ok(Some(content))
    }

    fn make_like(&self, new: &File, old: &Opened) -> io::Result<()> {
        let old = old.metadata()?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::{MetadataExt, fchown};
            let own = new.metadata()?;
            if (own.uid(), own.gid()) != (old.uid(), old.gid()) {
                fchown(new, Some(old.uid()), Some(old.gid())).map_err(|error| {
                    let what = "the rewrapped copy cannot be given to the owner and group of the file";
                    io::Error::new(error.kind(), format!("{what}: {error}"))
                })?;
            }
        }
        // After the owner, which resets some of them.
        new.set_permissions(old.permissions())
    }
}

fn check(found: &Metadata, access: Access) -> io::Result<()> {
    if found.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    // Root may write to it all the same; whoever took the right away meant something by it.
    if access == Access::Change && found.permissions().readonly() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the file is read-only: allow its owner to write (chmod u+w), or rewrap into another file",
        ));
    }
    Ok(())
}
