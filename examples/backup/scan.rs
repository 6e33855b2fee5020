//! What there is to back up: directories, files and symbolic links below a path, in a fixed order.

use std::{
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
};

use crate::report::Notes;

pub(crate) struct Tree {
    /// Paths of entries are relative to this.
    pub(crate) root: PathBuf,
    pub(crate) entries: Vec<Entry>,
    /// Bytes in all files.
    pub(crate) bytes: u64,
    pub(crate) notes: Notes,
}

pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    pub(crate) metadata: Metadata,
}

impl Tree {
    /// About how long the archive will be; long names take a little more.
    pub(crate) fn archive_len(&self) -> u64 {
        let padded = |entry: &Entry| {
            if entry.metadata.is_file() { entry.metadata.len().next_multiple_of(512) } else { 0 }
        };
        self.entries.iter().map(|entry| 512 + padded(entry)).sum::<u64>() + 1024
    }
}

/// Walks without following symbolic links, staying on one file system and out of `work`, which grows meanwhile.
pub(crate) fn scan(root: &Path, work: &Path) -> io::Result<Tree> {
    let metadata = fs::symlink_metadata(root)?;
    let mut tree = Tree { root: root.to_owned(), entries: Vec::new(), bytes: 0, notes: Notes::default() };
    if !metadata.is_dir() {
        let name = root.file_name().map(PathBuf::from).unwrap_or_default();
        tree.root = root.parent().unwrap_or(root).to_owned();
        tree.add(name, metadata);
        return Ok(tree);
    }
    let device = device(&metadata);
    // Deepest-first stack of paths still to look at; children are pushed in reverse, so that they come out in order.
    let mut stack = children(root, Path::new(""))?;
    while let Some(path) = stack.pop() {
        let full = root.join(&path);
        let metadata = match fs::symlink_metadata(&full) {
            Ok(metadata) => metadata,
            Err(error) => {
                tree.notes.left_out(&path, &error.to_string());
                continue;
            }
        };
        if !metadata.is_dir() {
            tree.add(path, metadata);
        } else if full == work {
            tree.notes.left_out(&path, "where this backup is being made");
        } else if self::device(&metadata) != device {
            tree.notes.left_out(&path, "another file system");
        } else if is_cache(&full) {
            tree.notes.left_out(&path, "marked as a cache by its CACHEDIR.TAG");
        } else {
            match children(root, &path) {
                Ok(children) => stack.extend(children),
                Err(error) => tree.notes.left_out(&path, &format!("what is in it: {error}")),
            }
            tree.add(path, metadata);
        }
    }
    Ok(tree)
}

impl Tree {
    fn add(&mut self, path: PathBuf, metadata: Metadata) {
        let kind = metadata.file_type();
        if metadata.is_file() {
            self.bytes += metadata.len();
        } else if !(kind.is_dir() || (kind.is_symlink() && cfg!(unix))) {
            self.notes.left_out(&path, "neither a file, a directory nor a link that can be made again");
            return;
        }
        self.entries.push(Entry { path, metadata });
    }
}

/// Relative paths of what is in a directory, last name first.
fn children(root: &Path, directory: &Path) -> io::Result<Vec<PathBuf>> {
    let names = fs::read_dir(root.join(directory))?.map(|entry| entry.map(|entry| entry.file_name()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names.iter().map(|name| directory.join(name)).collect())
}

/// Whether the directory holds a tag by which tools mark what can be made again (bford.info/cachedir).
fn is_cache(directory: &Path) -> bool {
    let tag = directory.join("CACHEDIR.TAG");
    let is_file = fs::symlink_metadata(&tag).is_ok_and(|metadata| metadata.is_file());
    is_file
        && crate::compare::starts_with(&tag, b"Signature: 8a477f597d28d172789f06886806bc55").unwrap_or(false)
}

#[cfg(unix)]
fn device(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::dev(metadata)
}

#[cfg(not(unix))]
fn device(_: &Metadata) -> u64 {
    0
}
