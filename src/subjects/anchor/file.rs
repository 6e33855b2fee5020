//! An anchor in a file that only grows: a start that names the store, then one entry of fixed length each tombstone.
//!
//! Floor 6. The check bytes of an entry find what a crash tore, not what somebody forged: for that a tombstone has its
//! MAC. Appending takes an exclusive lock; reading takes none.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use async_trait::async_trait;

use super::{Anchor, AnchorHead, OTHER_STORE};
use crate::{
    crypto::kdf::sha256,
    error::AnchorError,
    io::{Opened, lock_exclusively, sync_parent},
    keystore::TOMBSTONE_LEN,
};

/// An anchor in a file, which belongs on another disk or machine than the key store, or at least out of what a restore
/// of the key store puts back.
///
/// 32 bytes, and 118 for each tombstone; each append is on the disk when it returns. Calls read and write in place: a few
/// system calls each.
///
/// [`Subjects::init`](crate::Subjects::init) makes the file. From then on a file that is not there is an error of every call:
/// a path that was mistyped, or a disk that is not mounted, would otherwise be a new anchor, and every older copy of the key
/// store be taken for the newest. An empty file in its place says that there is none yet, or none any more; it is filled from
/// the store.
///
/// A tail that a crash tore is left out when reading, and written over by the next append. Damage before the last good entry
/// is an error of every call.
#[derive(Debug, Clone)]
pub struct FileAnchor {
    path: PathBuf,
}

impl FileAnchor {
    /// Uses the file at this path. Nothing is looked at yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self) -> Result<File, AnchorError> {
        File::open(&self.path).map_err(missing)
    }

    /// Opens for appending, alone; to begin an anchor, a file is made.
    fn open_locked(&self, begins: bool) -> Result<Opened, AnchorError> {
        if !begins {
            self.path.metadata().map_err(missing)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(begins).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = lock_exclusively(&options, &self.path)?;
        file.ok_or(AnchorError::busy("another process appends to it"))
    }
}

#[async_trait]
impl Anchor for FileAnchor {
    async fn head(&self) -> Result<AnchorHead, AnchorError> {
        let mut file = self.open()?;
        let Some(store) = read_start(&mut file)? else { return Ok(AnchorHead::default()) };
        Ok(AnchorHead { store: Some(store), tombstones: count(&mut file)? })
    }

    async fn tombstones(&self, after: u64, limit: usize) -> Result<Vec<[u8; TOMBSTONE_LEN]>, AnchorError> {
        let mut file = self.open()?;
        if read_start(&mut file)?.is_none() {
            return Ok(Vec::new());
        }
        let count = count(&mut file)?;
        let wanted = count.saturating_sub(after).min(limit as u64);
        file.seek(SeekFrom::Start(place(after.min(count))))?;
        let mut found = Vec::new();
        for _ in 0..wanted {
            found.push(read_entry(&mut file)?.ok_or(DAMAGED)?);
        }
        Ok(found)
    }

    async fn append(
        &self,
        store: u64,
        after: u64,
        tombstones: &[[u8; TOMBSTONE_LEN]],
    ) -> Result<bool, AnchorError> {
        let mut file = self.open_locked(after == 0 && tombstones.is_empty())?;
        let count = match read_start(&mut file)? {
            Some(found) if found != store => return Err(OTHER_STORE),
            Some(_) => count(&mut file)?,
            None => {
                file.set_len(0)?;
                file.rewind()?;
                file.write_all(&start_of(store))?;
                file.sync_all()?;
                sync_parent(&self.path)?;
                0
            }
        };
        if after != count {
            return Ok(false);
        }
        let mut bytes = Vec::with_capacity(tombstones.len() * ENTRY_LEN);
        for tombstone in tombstones {
            bytes.extend_from_slice(tombstone);
            bytes.extend_from_slice(&check(tombstone));
        }
        // What a crash tore goes first, so that nothing of it can ever stand behind a good entry.
        file.set_len(place(count))?;
        file.seek(SeekFrom::Start(place(count)))?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        Ok(true)
    }
}

fn missing(error: std::io::Error) -> AnchorError {
    if error.kind() == std::io::ErrorKind::NotFound { AnchorError::missing(error) } else { error.into() }
}

/// The store that the file is of, or `None` where a crash left less than a start.
fn read_start(file: &mut File) -> Result<Option<u64>, AnchorError> {
    let mut start = Vec::new();
    file.rewind()?;
    file.take(START_LEN as u64).read_to_end(&mut start)?;
    let Some((said, checked)) = start.split_first_chunk::<28>().filter(|(_, checked)| checked.len() == 4)
    else {
        // The start is written and synced before anything else is: behind a torn one there is nothing. What is something else
        // is not written over.
        let is_torn = start.iter().zip(&MAGIC).all(|(byte, magic)| byte == magic);
        if is_torn || start.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        return Err(NO_ANCHOR);
    };
    let (magic, rest) = said.split_first_chunk::<8>().expect("28 bytes begin with 8");
    let store = u64::from_be_bytes(*rest.first_chunk().expect("20 bytes begin with 8"));
    let is_whole = *magic == MAGIC && *checked == check(said);
    if is_whole {
        return Ok(Some(store));
    }
    if start.iter().all(|byte| *byte == 0) && file.metadata()?.len() == START_LEN as u64 {
        return Ok(None);
    }
    Err(NO_ANCHOR)
}

fn start_of(store: u64) -> [u8; START_LEN] {
    let mut start = [0; START_LEN];
    start[..8].copy_from_slice(&MAGIC);
    start[8..16].copy_from_slice(&store.to_be_bytes());
    let checked = check(&start[..28]);
    start[28..].copy_from_slice(&checked);
    start
}

/// Whole entries, without a torn tail: from the end back to the last good one.
fn count(file: &mut File) -> Result<u64, AnchorError> {
    let len = file.metadata()?.len();
    let mut count = len.saturating_sub(START_LEN as u64) / ENTRY_LEN as u64;
    while count > 0 {
        file.seek(SeekFrom::Start(place(count - 1)))?;
        if read_entry(file)?.is_some() {
            break;
        }
        count -= 1;
    }
    Ok(count)
}

/// The next entry, or `None` if it is not whole.
fn read_entry(file: &mut File) -> Result<Option<[u8; TOMBSTONE_LEN]>, AnchorError> {
    let mut entry = [0; ENTRY_LEN];
    match file.read_exact(&mut entry) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let (tombstone, checked) = entry.split_first_chunk().expect("118 bytes begin with 114");
    Ok((*checked == check(tombstone)).then_some(*tombstone))
}

const fn place(number: u64) -> u64 {
    START_LEN as u64 + number * ENTRY_LEN as u64
}

fn check(bytes: &[u8]) -> [u8; 4] {
    *sha256(&[&MAGIC, bytes]).first_chunk().expect("32 bytes begin with 4")
}

const NO_ANCHOR: AnchorError = AnchorError::damaged("the file is no anchor, or its start is damaged");
const DAMAGED: AnchorError = AnchorError::damaged("an entry before the last one is damaged");
/// What the file begins with.
const MAGIC: [u8; 8] = *b"kuv-an-1";
/// Bytes before the first entry: magic 8, the root's reference 8, zero 12, check 4.
const START_LEN: usize = 32;
/// Bytes of an entry: a tombstone and its check bytes.
const ENTRY_LEN: usize = TOMBSTONE_LEN + 4;
