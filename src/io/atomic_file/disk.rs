//! The file calls that atomic writing is made of, so that a test can log them and crash between any two.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
};

/// What [`super::Atomic`] asks of a file system.
pub(crate) trait Disk {
    type File: io::Write;

    /// Refuses a target that must not be written, before anything is created.
    fn check_target(&self, target: &Path, replace: bool) -> io::Result<()>;
    /// Creates a file that is not there yet, for its owner only.
    fn create_new(&self, path: &Path) -> io::Result<Self::File>;
    fn sync_file(&self, file: &Self::File) -> io::Result<()>;
    /// Puts `from` in the place of `to`, whether that is there or not.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Puts `from` at `to`, which must not be there.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The real one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    type File = File;

    fn check_target(&self, target: &Path, replace: bool) -> io::Result<()> {
        match fs::metadata(target) {
            Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            // Renaming over a device or a pipe would replace it for everybody.
            Ok(found) if !found.is_file() => {
                Err(io::Error::new(io::ErrorKind::InvalidInput, "the output is not a regular file"))
            }
            Ok(_) if !replace => Err(io::ErrorKind::AlreadyExists.into()),
            // A link that leads nowhere is there as well.
            Err(_) if !replace && fs::symlink_metadata(target).is_ok() => {
                Err(io::ErrorKind::AlreadyExists.into())
            }
            _ => Ok(()),
        }
    }

    fn create_new(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path)
    }

    fn sync_file(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        // A hard link fails if the target is there, which `rename` does not.
        match fs::hard_link(from, to) {
            // The file is whole and in place: a second name that cannot be removed is litter, not a failure.
            Ok(()) => {
                drop(fs::remove_file(from));
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // No hard links here (FAT, some network file systems): look, then rename.
            Err(_) if fs::symlink_metadata(to).is_err() => fs::rename(from, to),
            Err(_) => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        // Only Unix opens a directory as a file; elsewhere the rename is as durable as it gets.
        if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }
}
