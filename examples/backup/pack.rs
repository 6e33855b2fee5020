//! Packs a tree with `tar` into any writer, and remembers where each file went.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use indicatif::ProgressBar;

use crate::{
    report::Notes,
    scan::{Entry, Tree},
};

/// What was packed.
pub(crate) struct Archive {
    pub(crate) root: PathBuf,
    pub(crate) entries: Vec<Packed>,
    /// Bytes in all files.
    pub(crate) bytes: u64,
    pub(crate) notes: Notes,
    len: u64,
}

pub(crate) struct Packed {
    pub(crate) path: PathBuf,
    pub(crate) what: What,
    stamp: Stamp,
}

pub(crate) enum What {
    Directory,
    File { offset: u64, len: u64 },
    Symlink,
}

/// By what it is noticed that a file was written to meanwhile.
#[derive(PartialEq, Eq)]
struct Stamp {
    len: u64,
    modified: Option<SystemTime>,
    changed: i128,
}

impl Archive {
    /// Bytes of the archive.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The file with content nearest to the archive's middle: its entry, where it begins, and its length.
    pub(crate) fn middle_file(&self) -> Option<(&Packed, u64, u64)> {
        let files = self.entries.iter().filter_map(|entry| match entry.what {
            What::File { offset, len } if len > 0 => Some((entry, offset, len)),
            _ => None,
        });
        files.min_by_key(|(_, offset, len)| (offset + len / 2).abs_diff(self.len / 2))
    }
}

impl Packed {
    /// Whether the original is another one than was packed (or is gone).
    pub(crate) fn has_changed(&self, root: &Path) -> bool {
        fs::symlink_metadata(root.join(&self.path))
            .map_or(true, |metadata| Stamp::of(&metadata) != self.stamp)
    }
}

/// Packs `tree` into `out`, entry by entry. What cannot be read is left out with a note.
pub(crate) fn pack(tree: Tree, out: &mut impl Write, bar: &ProgressBar) -> io::Result<Archive> {
    let mut archive = Archive {
        root: tree.root,
        entries: Vec::with_capacity(tree.entries.len()),
        bytes: 0,
        notes: tree.notes,
        len: 0,
    };
    let mut tar = tar::Builder::new(Counted { inner: out, count: 0, bar });
    let mut buffer = vec![0; AT_ONCE];
    for entry in tree.entries {
        archive.pack_one(entry, &mut tar, &mut buffer)?;
    }
    archive.len = tar.into_inner()?.count;
    Ok(archive)
}

impl Archive {
    fn pack_one<W: Write>(
        &mut self,
        entry: Entry,
        tar: &mut tar::Builder<Counted<'_, W>>,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        let Entry { path, metadata } = entry;
        let mut stamp = Stamp::of(&metadata);
        let what = if metadata.is_dir() {
            tar.append_data(&mut header(&metadata, tar::EntryType::Directory, 0), &path, io::empty())?;
            What::Directory
        } else if metadata.is_file() {
            match open(&self.root.join(&path), buffer) {
                Ok(opened) => {
                    stamp = Stamp::of(&opened.metadata);
                    self.pack_file(&path, opened, tar, buffer)?
                }
                Err(error) => {
                    self.notes.left_out(&path, &error.to_string());
                    return Ok(());
                }
            }
        } else {
            match fs::read_link(self.root.join(&path)) {
                Ok(target) => {
                    tar.append_link(&mut header(&metadata, tar::EntryType::Symlink, 0), &path, target)?;
                    What::Symlink
                }
                Err(error) => {
                    self.notes.left_out(&path, &error.to_string());
                    return Ok(());
                }
            }
        };
        self.entries.push(Packed { path, what, stamp });
        Ok(())
    }

    fn pack_file<W: Write>(
        &mut self,
        path: &Path,
        opened: Opened,
        tar: &mut tar::Builder<Counted<'_, W>>,
        buffer: &[u8],
    ) -> io::Result<What> {
        let Opened { file, metadata, len, at_hand } = opened;
        let rest = Exactly { file: &file, left: len - at_hand as u64, path };
        let mut header = header(&metadata, tar::EntryType::Regular, len);
        tar.append_data(&mut header, path, buffer[..at_hand].chain(rest))?;
        if Stamp::of(&file.metadata()?) != Stamp::of(&metadata) {
            self.notes.remark(path, "was written to while it was packed: the backup has a mixture");
        }
        self.bytes += len;
        // Nothing follows a file's content but the zeros that fill its last block of 512.
        Ok(What::File { offset: tar.get_ref().count - len.next_multiple_of(512), len })
    }
}

/// A file whose first bytes are in the buffer already, so that a short one is either read whole or left out.
struct Opened {
    file: File,
    metadata: Metadata,
    len: u64,
    at_hand: usize,
}

fn open(path: &Path, buffer: &mut [u8]) -> io::Result<Opened> {
    let mut options = OpenOptions::new();
    options.read(true);
    // Were it replaced meanwhile by a link, it is not followed; by a named pipe, nobody waits for its writer.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY,
    );
    let mut file = options.open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("was replaced by something else while this ran"));
    }
    let mut at_hand = 0;
    while at_hand < buffer.len() {
        match file.read(&mut buffer[at_hand..]) {
            Ok(0) => return Ok(Opened { file, metadata, len: at_hand as u64, at_hand }),
            Ok(n) => at_hand += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    // A long file is archived as long as it is now; what is appended later is for the next backup.
    let len = metadata.len();
    if len < at_hand as u64 {
        return Err(io::Error::other("grows while it is read"));
    }
    Ok(Opened { file, metadata, len, at_hand })
}

/// The rest of a file, or an error: an entry shorter than its header says would ruin all that follows.
struct Exactly<'a> {
    file: &'a File,
    left: u64,
    path: &'a Path,
}

impl Read for Exactly<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        if most == 0 {
            return Ok(0);
        }
        let failed = |kind, what: &str| io::Error::new(kind, format!("{}: {what}", self.path.display()));
        match self.file.read(&mut out[..most]) {
            Ok(0) => Err(failed(
                io::ErrorKind::InvalidData,
                "became shorter while it was packed; run the backup again",
            )),
            Ok(n) => {
                self.left -= n as u64;
                Ok(n)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => Err(failed(error.kind(), &error.to_string())),
        }
    }
}

/// Counts what passes, and moves the progress bar.
struct Counted<'a, W> {
    inner: W,
    count: u64,
    bar: &'a ProgressBar,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.count += n as u64;
        self.bar.inc(n as u64);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn header(metadata: &Metadata, entry_type: tar::EntryType, len: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(entry_type);
    header.set_size(len);
    header.set_mode(mode(metadata));
    let since = metadata.modified().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    header.set_mtime(since.map_or(0, |since| since.as_secs()));
    header
}

/// Who may do what, without the bits that lend the owner's rights: they are for the system's own backup.
#[cfg(unix)]
pub(crate) fn mode(metadata: &Metadata) -> u32 {
    std::os::unix::fs::MetadataExt::mode(metadata) & 0o777
}

#[cfg(not(unix))]
pub(crate) fn mode(metadata: &Metadata) -> u32 {
    if metadata.permissions().readonly() { 0o444 } else { 0o644 }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let changed = {
            use std::os::unix::fs::MetadataExt as _;
            i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec())
        };
        #[cfg(not(unix))]
        let changed = 0;
        Self { len: metadata.len(), modified: metadata.modified().ok(), changed }
    }
}

/// Bytes read before an entry is begun: shorter files are read whole first, and cost no partial entry if they fail.
const AT_ONCE: usize = 1024 * 1024;
