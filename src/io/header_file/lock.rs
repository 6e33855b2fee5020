//! One process at a time: an exclusive lock that is not waited for, and that is given back when the file is dropped.
//!
//! `File::try_lock` of the standard library does this from Rust 1.89 on; this crate promises 1.85.

#![cfg_attr(unix, allow(unsafe_code, reason = "flock exists in no safe form in this version of Rust"))]

#[cfg(unix)]
use std::os::fd::AsRawFd;
use std::{
    fs::{File, OpenOptions},
    io,
    ops::{Deref, DerefMut},
    path::Path,
};

/// An open file, with its lock if it was opened to be changed.
pub(crate) struct Opened {
    file: File,
    /// The process that opened it: a fork that drops its copy leaves the lock alone.
    #[cfg(unix)]
    process: u64,
}

impl Opened {
    pub(crate) fn open(options: &OpenOptions, path: &Path) -> io::Result<Self> {
        let file = options.open(path)?;
        Ok(Self {
            file,
            #[cfg(unix)]
            process: crate::fork::generation(),
        })
    }
}

impl Deref for Opened {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl DerefMut for Opened {
    fn deref_mut(&mut self) -> &mut File {
        &mut self.file
    }
}

/// Closing is not enough: another thread may be starting a program, and until that runs, the new process has a copy of
/// each handle, and would keep the file locked for a moment longer.
#[cfg(unix)]
impl Drop for Opened {
    fn drop(&mut self) {
        if self.process == crate::fork::generation() {
            // SAFETY: the descriptor is that of `self.file`, which is open; flock touches no memory of ours. On a file
            // that is not locked it does nothing, and if it fails, closing gives the lock back.
            let _ = unsafe { libc::flock(self.file.as_raw_fd(), libc::LOCK_UN) };
        }
    }
}

/// Opens and locks; `None` if the file is locked already.
#[cfg(unix)]
pub(crate) fn open_exclusively(options: &OpenOptions, path: &Path) -> io::Result<Option<Opened>> {
    let file = Opened::open(options, path)?;
    loop {
        // SAFETY: the descriptor is that of `file`, which is open; flock touches no memory of ours.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(Some(file));
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock => return Ok(None),
            io::ErrorKind::Interrupted => {}
            _ => return Err(error),
        }
    }
}

/// Opens so that nobody else can open it before it is closed, other than to rename or remove it.
#[cfg(windows)]
pub(crate) fn open_exclusively(options: &OpenOptions, path: &Path) -> io::Result<Option<Opened>> {
    use std::os::windows::fs::OpenOptionsExt;
    const FILE_SHARE_DELETE: u32 = 4;
    const ERROR_SHARING_VIOLATION: i32 = 32;
    match Opened::open(options.clone().share_mode(FILE_SHARE_DELETE), path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.raw_os_error() == Some(ERROR_SHARING_VIOLATION) => Ok(None),
        Err(error) => Err(error),
    }
}

/// No lock is to be had here.
#[cfg(not(any(unix, windows)))]
pub(crate) fn open_exclusively(_: &OpenOptions, _: &Path) -> io::Result<Option<Opened>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "files cannot be locked here: rewrap into another file"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// What a process that is being started has of the handle, does not keep the lock.
    #[test]
    fn dropping_gives_the_lock_back_whoever_has_a_copy_of_the_handle() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let open = || open_exclusively(OpenOptions::new().read(true).write(true), file.path()).unwrap();
        let held = open().expect("nobody has it");
        let copy = held.try_clone().unwrap();
        assert!(open().is_none());
        drop(held);
        assert!(open().is_some());
        drop(copy);
    }
}
