//! Compares what was restored with the originals: names, kinds, modes, link targets, and every byte.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use crate::{
    pack::{Archive, Packed, What, mode},
    report::escaped,
};

#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) directories: u64,
    pub(crate) files: u64,
    pub(crate) symlinks: u64,
    /// Not as the original is.
    pub(crate) different: Vec<(PathBuf, String)>,
    /// The original was changed after it was packed, so there is nothing to compare with.
    pub(crate) changed: Vec<PathBuf>,
}

/// Compares everything below `restored`. An error is one of reading what was restored.
pub(crate) fn compare(archive: &Archive, restored: &Path) -> io::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut buffers = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    for entry in &archive.entries {
        match entry.what {
            What::Directory => outcome.directories += 1,
            What::File { .. } => outcome.files += 1,
            What::Symlink => outcome.symlinks += 1,
        }
        let difference =
            difference(entry, &archive.root.join(&entry.path), &restored.join(&entry.path), &mut buffers);
        match difference {
            Ok(None) => {}
            _ if entry.has_changed(&archive.root) => outcome.changed.push(entry.path.clone()),
            Ok(Some(what)) => outcome.different.push((entry.path.clone(), what.to_owned())),
            Err(error) => outcome.different.push((entry.path.clone(), error.to_string())),
        }
    }
    let found = count_below(restored)?;
    if found != archive.entries.len() {
        let what = format!("{found} entries restored, {} packed", archive.entries.len());
        outcome.different.push((PathBuf::from("."), what));
    }
    Ok(outcome)
}

/// Whether the file begins with these bytes.
pub(crate) fn starts_with(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let mut start = Vec::with_capacity(bytes.len());
    File::open(path)?.take(bytes.len() as u64).read_to_end(&mut start)?;
    Ok(start == bytes)
}

/// An original that is compared piece by piece.
pub(crate) struct Original {
    file: io::Result<File>,
    buffer: Vec<u8>,
    difference: Option<String>,
}

impl Original {
    pub(crate) fn open(path: &Path) -> Self {
        Self { file: File::open(path), buffer: Vec::new(), difference: None }
    }

    /// Compares the next bytes of the file with these.
    pub(crate) fn compare(&mut self, bytes: &[u8]) {
        self.buffer.resize(bytes.len(), 0);
        let read = match &mut self.file {
            Ok(file) => read_full(file, &mut self.buffer).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok(n) if self.buffer[..n] == *bytes => {}
            Ok(_) => self.difference = Some("not equal".to_owned()),
            Err(error) => self.difference = Some(error),
        }
    }

    /// What the first difference was, or why nothing could be compared.
    pub(crate) fn difference(self) -> Option<String> {
        self.difference
    }
}

fn difference(
    entry: &Packed,
    original: &Path,
    restored: &Path,
    buffers: &mut (Vec<u8>, Vec<u8>),
) -> io::Result<Option<&'static str>> {
    let (was, is) = (fs::symlink_metadata(original)?, fs::symlink_metadata(restored)?);
    if was.file_type() != is.file_type() {
        return Ok(Some("another kind of entry"));
    }
    if let What::Symlink = entry.what {
        let same = fs::read_link(original)? == fs::read_link(restored)?;
        return Ok((!same).then_some("another link target"));
    }
    if mode(&was) != mode(&is) {
        return Ok(Some("another mode"));
    }
    // Modes are compared; from here on they may not stand in the way. (Somebody else's file may be one that its
    // owner cannot read, and the restored one is ours.)
    make_readable(restored, &is)?;
    match entry.what {
        What::File { .. } if was.len() != is.len() => Ok(Some("another length")),
        What::File { .. } if !same_content(original, restored, buffers)? => Ok(Some("another content")),
        _ => Ok(None),
    }
}

fn same_content(a: &Path, b: &Path, buffers: &mut (Vec<u8>, Vec<u8>)) -> io::Result<bool> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    loop {
        let (n, m) = (read_full(&mut a, &mut buffers.0)?, read_full(&mut b, &mut buffers.1)?);
        if buffers.0[..n] != buffers.1[..m] {
            return Ok(false);
        }
        if n == 0 {
            return Ok(true);
        }
    }
}

fn read_full(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Lets the owner read a file, and list and enter a directory.
#[cfg(unix)]
pub(crate) fn make_readable(path: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let needed = if metadata.is_dir() { 0o700 } else { 0o400 };
    if mode(metadata) & needed == needed {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode(metadata) | needed))
}

#[cfg(not(unix))]
pub(crate) fn make_readable(_: &Path, _: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

fn count_below(directory: &Path) -> io::Result<usize> {
    let (mut count, mut stack) = (0, vec![directory.to_owned()]);
    while let Some(directory) = stack.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            count += 1;
            if entry.file_type()?.is_dir() {
                stack.push(entry.path());
            }
        }
    }
    Ok(count)
}

impl Outcome {
    /// Says how it went, and whether everything came back.
    pub(crate) fn print(&self) -> bool {
        for path in &self.changed {
            say!("changed since it was packed, not compared: {}", escaped(&path.to_string_lossy()));
        }
        for (path, what) in &self.different {
            say!("DIFFERENT: {}: {}", escaped(&path.to_string_lossy()), escaped(what));
        }
        let Self { directories, files, symlinks, .. } = self;
        let all = files + directories + symlinks;
        if !self.different.is_empty() {
            say!("\n{} of {all} entries differ from their originals.", self.different.len());
        } else if !self.changed.is_empty() {
            say!(
                "\n{} of {all} entries changed meanwhile, all others came back as they were.",
                self.changed.len()
            );
        } else {
            say!("\nAll came back as they were: {files} files, {directories} directories, {symlinks} links.");
        }
        self.different.is_empty()
    }
}
