//! A file whose header is replaced while its body stays: lock, side copy, one slot written, one zeroed.
//!
//! The order of the file calls is all there is to it: at each of them a power cut leaves a header that opens. It knows
//! slots as ranges of bytes and no key; the calls go through [`disk::HeaderDisk`], so that tests can build every state
//! that a crash may leave. Section 13 of the [format](crate::manual::format).

pub(crate) mod disk;
pub(crate) mod lock;

use std::{
    ffi::OsString,
    io::{self, Read, Seek, SeekFrom, Write},
    ops::Range,
    path::{Path, PathBuf},
};

pub(crate) use self::disk::Access;
use self::disk::HeaderDisk;
use super::atomic_file::{Atomic, directory_of};
use crate::{error::RewrapError, format::header::SlotEdit, limits::MAX_HEADER_LEN};

/// A file that is open, and locked where it is to be changed. Dropping it gives the lock back.
pub(crate) struct HeaderFile<D: HeaderDisk> {
    disk: D,
    file: D::Locked,
    path: PathBuf,
    /// The first bytes as they were read, which everything was decided on, and the file's length at that time.
    standing: Vec<u8>,
    len: u64,
}

impl<D: HeaderDisk> HeaderFile<D> {
    /// Opens the file at `path`, through any links. To change it, nobody else may be changing it.
    pub(crate) fn open(disk: D, path: &Path, access: Access) -> Result<Self, RewrapError> {
        let path = disk.real_path(path)?;
        for _ in 0..OPENING_TRIES {
            let Some(file) = disk.open(&path, access)? else { return Err(RewrapError::Busy) };
            // A rewrap by copy puts another file under this name: a lock on the one that was there before is worth
            // nothing.
            if disk.is_at(&file, &path)? {
                let len = disk.len(&file)?;
                return Ok(Self { disk, file, path, standing: Vec::new(), len });
            }
        }
        Err(RewrapError::Changed("somebody keeps putting other files in this one's place"))
    }

    /// Reads from the file's beginning.
    pub(crate) fn reader(&self) -> FileReader<'_, D> {
        FileReader { file: self, at: 0 }
    }

    /// The file's own name, behind all links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Remembers what the file begins with: header and start of the body, as they were just read. Nothing is written
    /// later if that has changed.
    pub(crate) fn expect(&mut self, header: &[u8], body_start: &[u8]) {
        self.standing = [header, body_start].concat();
    }

    /// The whole edit of the header. `check` sees the header with the new slot as it was read back, before the old slot
    /// is zeroed.
    // fmt: W-2
    pub(crate) fn apply(
        &mut self,
        edit: &SlotEdit,
        header_len: usize,
        check: impl FnOnce(&[u8]) -> Result<(), RewrapError>,
    ) -> Result<(), RewrapError> {
        self.refuse_changes()?;
        self.save_side_copy(header_len)?;
        self.overwrite(edit.place.clone(), &edit.slot)?;
        check(&self.standing[..header_len])?;
        self.overwrite(edit.old.clone(), &vec![0; edit.old.len()])?;
        self.remove_side_copy()
    }

    /// Zeroes a slot that the header no longer needs. Also this is a write beside the slot that opens, and a disk may
    /// tear what it holds in one sector: the header is saved first.
    pub(crate) fn zero(&mut self, stale: Range<usize>, header_len: usize) -> Result<(), RewrapError> {
        self.refuse_changes()?;
        self.save_side_copy(header_len)?;
        let zeros = vec![0; stale.len()];
        self.overwrite(stale, &zeros)
    }

    /// Puts back a header whose slots were all lost. The side copy it comes from stays until the rewrap is through.
    pub(crate) fn restore(&mut self, header: &[u8]) -> Result<(), RewrapError> {
        self.refuse_changes()?;
        self.overwrite(0..header.len(), header)
    }

    /// The header that an earlier rewrap saved and had no time to remove.
    pub(crate) fn side_copy(&self) -> Result<Option<Vec<u8>>, RewrapError> {
        Ok(self.disk.read_small(&self.side_path(), MAX_HEADER_LEN)?)
    }

    /// Removes the side copy, if there is one, for good.
    pub(crate) fn remove_side_copy(&self) -> Result<(), RewrapError> {
        let path = self.side_path();
        match self.disk.remove(&path) {
            Ok(()) => Ok(self.disk.sync_directory(&directory_of(&path))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(at(&path, "removing the copy of the old header, ", &error).into()),
        }
    }

    /// Where the side copy is.
    pub(crate) fn side_path(&self) -> PathBuf {
        let mut path = OsString::from(&self.path);
        path.push(SIDE_COPY);
        path.into()
    }

    /// Writes `header` and everything behind this file's own header into the file `to`, which appears whole or not
    /// at all; `like_this` gives it this file's owner and permissions.
    pub(crate) fn copy_to(
        &self,
        header: &[u8],
        own_header_len: usize,
        to: &Path,
        replace: bool,
        like_this: bool,
    ) -> Result<(), RewrapError> {
        let mut copy = Atomic::create(self.disk.clone(), to, replace)?;
        copy.file_mut().write_all(header)?;
        let mut at = own_header_len as u64;
        let mut buffer = vec![0; COPY_LEN];
        while at < self.len {
            let found = self.read(&mut buffer, at)?;
            if found == 0 {
                return Err(SHRANK);
            }
            copy.file_mut().write_all(&buffer[..found])?;
            at += found as u64;
        }
        if like_this {
            self.disk.make_like(copy.file_mut(), &self.file)?;
        }
        // What came in between would be missing from the copy, and gone with the old file.
        if at != self.len {
            return Err(GREW);
        }
        self.refuse_changes()?;
        Ok(copy.commit()?)
    }

    fn save_side_copy(&self, header_len: usize) -> Result<(), RewrapError> {
        let path = self.side_path();
        let save = || {
            let mut copy = Atomic::create(self.disk.clone(), &path, true)?;
            copy.file_mut().write_all(&self.standing[..header_len])?;
            copy.commit()
        };
        save().map_err(|error| at(&path, "saving a copy of the header as ", &error).into())
    }

    /// Writes, flushes, reads back, and keeps the expectation up to date.
    fn overwrite(&mut self, place: Range<usize>, bytes: &[u8]) -> Result<(), RewrapError> {
        debug_assert_eq!(place.len(), bytes.len());
        let mut written = 0;
        while written < bytes.len() {
            match self.disk.write_at(&self.file, &bytes[written..], (place.start + written) as u64) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(n) => written += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        // After a failed sync nothing is known about the bytes: they are never counted on, and the next rewrap looks
        // at what is there.
        self.disk.sync_locked(&self.file)?;
        self.standing[place].copy_from_slice(bytes);
        self.refuse_changes()
    }

    /// Whether the file is still what everything was decided on.
    fn refuse_changes(&self) -> Result<(), RewrapError> {
        match self.disk.len(&self.file)? {
            len if len < self.len => return Err(SHRANK),
            len if len > self.len => return Err(GREW),
            _ => {}
        }
        let mut now = vec![0; self.standing.len()];
        let mut filled = 0;
        while filled < now.len() {
            match self.read(&mut now[filled..], filled as u64)? {
                0 => return Err(SHRANK),
                found => filled += found,
            }
        }
        if now == self.standing {
            Ok(())
        } else {
            Err(RewrapError::Changed("the file's header is another one than before"))
        }
    }

    fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        loop {
            match self.disk.read_at(&self.file, buffer, at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

/// Reads a [`HeaderFile`] in order.
pub(crate) struct FileReader<'a, D: HeaderDisk> {
    file: &'a HeaderFile<D>,
    at: u64,
}

impl<D: HeaderDisk> Read for FileReader<'_, D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let found = self.file.read(buffer, self.at)?;
        self.at += found as u64;
        Ok(found)
    }
}

impl<D: HeaderDisk> Seek for FileReader<'_, D> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.file.len.checked_add_signed(by),
        };
        self.at = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// The same error, with the path it is about.
fn at(path: &Path, doing: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{doing}{}: {error}", path.display()))
}

const SHRANK: RewrapError = RewrapError::Changed("the file became shorter");
const GREW: RewrapError = RewrapError::Changed("the file became longer");
/// What the side copy's name ends with.
const SIDE_COPY: &str = ".kuvert-header";
/// How often a file that was replaced between opening and locking is opened again.
const OPENING_TRIES: usize = 8;
/// Bytes copied at once.
const COPY_LEN: usize = 1 << 20;
