//! One process at a time: an exclusive lock that is not waited for, and that goes with the file's handle.
//!
//! `File::try_lock` of the standard library does this from Rust 1.89 on; this crate promises 1.85.

#![cfg_attr(unix, allow(unsafe_code, reason = "flock exists in no safe form in this version of Rust"))]

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
};

/// Opens and locks; `None` if the file is locked already.
#[cfg(unix)]
pub(crate) fn open_exclusively(options: &OpenOptions, path: &Path) -> io::Result<Option<File>> {
    use std::os::fd::AsRawFd;
    let file = options.open(path)?;
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
pub(crate) fn open_exclusively(options: &OpenOptions, path: &Path) -> io::Result<Option<File>> {
    use std::os::windows::fs::OpenOptionsExt;
    const FILE_SHARE_DELETE: u32 = 4;
    const ERROR_SHARING_VIOLATION: i32 = 32;
    match options.clone().share_mode(FILE_SHARE_DELETE).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.raw_os_error() == Some(ERROR_SHARING_VIOLATION) => Ok(None),
        Err(error) => Err(error),
    }
}

/// No lock is to be had here.
#[cfg(not(any(unix, windows)))]
pub(crate) fn open_exclusively(_: &OpenOptions, _: &Path) -> io::Result<Option<File>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "files cannot be locked here: rewrap into another file"))
}
