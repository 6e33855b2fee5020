//! A key store that appears whole under its name, or not at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kuvert::Category;
use kuvert::keystore::{KeyStore, SqliteKeyStore, SqliteOptions};

use super::failure;
use crate::failure::Failure;
use crate::interrupt::{self, Registered};
use crate::names;
use crate::output::Output;

/// A store under way, in a file that nobody looks for.
pub(super) struct NewStore {
    pub(super) store: Arc<dyn KeyStore>,
    file: NewFile,
}

/// A file of the engine's own, which goes with the store that was not made: the last connection to one on a full disk leaves
/// it behind.
struct Beside {
    path: PathBuf,
    _registered: Registered,
}

impl Drop for Beside {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}

/// The file, once the store that is in it is closed.
pub(super) struct NewFile {
    // The engine's own files go first, as long as the handler of signals knows them.
    beside: Vec<Beside>,
    output: Output,
    path: PathBuf,
}

impl NewStore {
    /// Begins one that is to appear at `path`, where nothing may be; else it fails as `taken`.
    // fmt: T-27
    pub(super) fn begin(path: &Path, taken: Category) -> Result<Self, Failure> {
        check_free(path, taken)?;
        let output = Output::file(path, false)?;
        let temporary = output.temporary_path().map(Path::to_owned).unwrap_or_default();
        let mut beside = Vec::new();
        for suffix in SUFFIXES {
            let name = with_suffix(&temporary, suffix);
            if let Ok((path, registered)) = interrupt::register(|| Ok(name), |name| name.as_path()) {
                beside.push(Beside { path, _registered: registered });
            }
        }
        let file = NewFile { beside, output, path: path.to_owned() };
        let store = SqliteKeyStore::open_or_create(&temporary, &SqliteOptions::default());
        let store = store.map_err(|error| failure::of_store(&error, &names::path(path)))?;
        Ok(Self { store: Arc::new(store), file })
    }

    /// Closes the store: whoever else has a hold on it has to have let go.
    pub(super) fn close(self) -> NewFile {
        drop(self.store);
        self.file
    }
}

impl NewFile {
    /// Lets the store appear.
    pub(super) fn commit(self) -> Result<(), Failure> {
        for Beside { path, .. } in &self.beside {
            // The last connection empties and removes them; what is left would be lost.
            if path.metadata().is_ok_and(|left| left.len() > 0) {
                let name = names::path(&self.path);
                return Err(Failure::new(Category::Io, format!("{name}: the new store could not be closed")));
            }
        }
        self.output.commit()
    }
}

/// Refuses a name under which anything is, also what an engine left beside a store that is gone: it would be taken for
/// changes of the new one.
pub(super) fn check_free(path: &Path, taken: Category) -> Result<(), Failure> {
    let files = [path.to_owned()].into_iter().chain(SUFFIXES.map(|suffix| with_suffix(path, suffix)));
    for (number, file) in files.enumerate() {
        if file.symlink_metadata().is_err() {
            continue;
        }
        let failure = Failure::new(taken, format!("{} exists and was left as it is", names::path(&file)));
        return Err(if number == 0 {
            failure.advise(
                "it may be newer than what you have: choose another name with --store, and compare them",
            )
        } else {
            failure
                .advise("it has the last changes of a store that is gone: keep it, and choose another name")
        });
    }
    Ok(())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// What the engine puts beside a file.
const SUFFIXES: [&str; 3] = ["-wal", "-shm", "-journal"];
