//! The temporary directory of one run, which is removed whatever happens and whatever modes are in it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::compare::make_readable;

pub(crate) struct WorkDir {
    path: PathBuf,
    directory: Option<tempfile::TempDir>,
}

impl WorkDir {
    pub(crate) fn new() -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("kuvert-backup-").tempdir()?;
        Ok(Self { path: directory.path().canonicalize()?, directory: Some(directory) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // A restored directory may be one that nobody may write to, and then nothing in it can be removed.
        let mut stack = vec![self.path.clone()];
        while let Some(directory) = stack.pop() {
            let Ok(metadata) = fs::symlink_metadata(&directory) else { continue };
            if make_readable(&directory, &metadata).is_ok() {
                let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
                stack.extend(entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
            }
        }
        if let Some(directory) = self.directory.take() {
            let path = directory.path().to_owned();
            if let Err(error) = directory.close() {
                eprintln!("backup: could not remove {}: {error}", path.display());
            }
        }
    }
}
