//! A file that appears whole or not at all, also when the power fails.
//!
//! Temporary file in the same directory, write, fsync, rename, fsync of the directory. It knows nothing of sealing;
//! the file calls go through [`disk::Disk`], so that tests can build every state that a crash may leave.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

pub(crate) mod disk;

#[cfg(test)]
pub(crate) mod crash_tests;

use self::disk::{Disk, RealDisk};
use crate::crypto::random;

/// A new file that nobody sees before [`commit`](Self::commit): then it is there, whole and on disk.
///
/// Until then the bytes are in a temporary file in the same directory, with mode 0600 and a name that begins with
/// `.kuvert-` and ends with `.tmp`. Dropping the file without `commit` removes that. A power cut or a SIGKILL may
/// leave it behind: it holds nothing that was ever promised, and may be deleted.
///
/// The committed file keeps mode 0600. A symbolic link at the target is replaced by the file, not followed.
///
/// # Examples
///
/// ```
/// use std::io::Write;
/// use kuvert::io::AtomicFile;
///
/// # fn main() -> std::io::Result<()> {
/// # let directory = tempfile::tempdir()?;
/// # let target = directory.path().join("report");
/// let mut file = AtomicFile::create(&target, false)?;
/// file.write_all(b"all or nothing")?;
/// assert!(!target.exists());
/// file.commit()?;
/// assert_eq!(std::fs::read(&target)?, b"all or nothing");
///
/// // The second argument says whether a file that is there may be replaced.
/// let refused = AtomicFile::create(&target, false).unwrap_err();
/// assert_eq!(refused.kind(), std::io::ErrorKind::AlreadyExists);
/// # Ok(()) }
/// ```
#[must_use = "without `commit` the file never appears"]
pub struct AtomicFile(Atomic<RealDisk>);

impl AtomicFile {
    /// Begins a file that is to appear at `target`, in place of one that is there if `replace` is true.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`] if `target` is there and `replace` is false;
    /// [`io::ErrorKind::IsADirectory`] if it is a directory, [`io::ErrorKind::InvalidInput`] if it is another
    /// thing that is not a regular file, or has no file name; whatever creating a file fails with.
    pub fn create(target: &Path, replace: bool) -> io::Result<Self> {
        Atomic::create(RealDisk, target, replace).map(Self)
    }

    /// Refuses what [`create`](Self::create) would refuse, before any work is done for it.
    pub(crate) fn check(target: &Path, replace: bool) -> io::Result<()> {
        RealDisk.check_target(target, replace)
    }

    /// Where the bytes are until [`commit`](Self::commit).
    #[must_use]
    pub fn temporary_path(&self) -> &Path {
        &self.0.temporary
    }

    /// Makes the file durable and lets it appear.
    ///
    /// # Errors
    ///
    /// Whatever syncing or renaming fails with; [`io::ErrorKind::AlreadyExists`] if somebody else made the target
    /// meanwhile and it must not be replaced. The target is untouched, and the temporary file removed, unless only
    /// the last step failed, the sync of the directory: then the file is there, and a power cut may undo that.
    pub fn commit(self) -> io::Result<()> {
        self.0.commit()
    }
}

impl io::Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.file_mut().write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.file_mut().write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.file_mut().flush()
    }
}

impl fmt::Debug for AtomicFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtomicFile").field("target", &self.0.target).finish_non_exhaustive()
    }
}

/// [`AtomicFile`] over any disk.
pub(crate) struct Atomic<D: Disk> {
    disk: D,
    file: Option<D::File>,
    target: PathBuf,
    temporary: PathBuf,
    replace: bool,
    /// Whether the temporary file is still ours to remove.
    armed: bool,
}

impl<D: Disk> Atomic<D> {
    pub(crate) fn create(disk: D, target: &Path, replace: bool) -> io::Result<Self> {
        disk.check_target(target, replace)?;
        if target.file_name().is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the output path has no file name"));
        }
        let mut random = [0; 8];
        random::fill(&mut random)?;
        // The name does not repeat the target's, which may already be as long as the file system allows.
        let name = format!(".kuvert-{:016x}.tmp", u64::from_be_bytes(random));
        let temporary = directory_of(target).join(name);
        let file = disk.create_new(&temporary)?;
        Ok(Self { disk, file: Some(file), target: target.to_owned(), temporary, replace, armed: true })
    }

    pub(crate) fn file_mut(&mut self) -> &mut D::File {
        self.file.as_mut().expect("the file is only taken by `commit`, which consumes")
    }

    pub(crate) fn commit(mut self) -> io::Result<()> {
        let mut file = self.file.take().expect("the file is only taken here, by value");
        io::Write::flush(&mut file)?;
        // After a failed sync nothing is known about the file: it is given up, never synced again.
        self.disk.sync_file(&file)?;
        drop(file);
        if self.replace {
            self.disk.rename(&self.temporary, &self.target)?;
        } else {
            self.disk.rename_new(&self.temporary, &self.target)?;
        }
        self.armed = false;
        self.disk.sync_directory(&directory_of(&self.target))
    }
}

impl<D: Disk> Drop for Atomic<D> {
    fn drop(&mut self) {
        if self.armed {
            // Best effort: the error that led here is the one to report.
            drop(self.disk.remove(&self.temporary));
        }
    }
}

/// Makes the name of a file that was just created durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    RealDisk.sync_directory(&directory_of(path))
}

pub(crate) fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
