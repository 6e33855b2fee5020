//! Opening what is there: the store, its keys, its anchor.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kuvert::blocking::block_on;
use kuvert::keystore::{KeyStore, SqliteKeyStore, SqliteOptions};
use kuvert::provider::KeyProvider;
use kuvert::subjects::FileAnchor;
use kuvert::{Category, OpenHandle, OpenOptions, SubjectError, Subjects, SubjectsOptions};

use super::failure;
use crate::args::{FileArguments, StoreArguments, StoreKeyArguments};
use crate::failure::Failure;
use crate::keys::{self, KeyName, Manner, Missing};
use crate::{names, times};

/// A store that was opened with its keys.
pub(super) struct Opened {
    pub(super) subjects: Subjects,
    pub(super) store: Arc<dyn KeyStore>,
    pub(super) keys: Keys,
    pub(super) name: String,
}

/// Keys that open.
pub(super) struct Keys {
    pub(super) provider: Arc<dyn KeyProvider>,
    pub(super) ids: String,
}

impl Opened {
    /// Opens the store with the keys of `-k`, and with `more` of them.
    pub(super) fn new(arguments: &StoreArguments, more: &[KeyName]) -> Result<Self, Failure> {
        let options = options(&arguments.file, &arguments.max_age)?;
        let path = &arguments.file.path;
        let keys = Keys::new(&arguments.keys, more)?;
        let store = existing(path)?;
        let name = names::path(path);
        let opened = wait(Subjects::open(Arc::clone(&store), Arc::clone(&keys.provider), options))?;
        let subjects = opened.map_err(|error| failure::of(&error, &name, &keys.ids))?;
        Ok(Self { subjects, store, keys, name })
    }

    /// Waits for something that is done with the store.
    pub(super) fn done<T>(&self, work: impl Future<Output = Result<T, SubjectError>>) -> Result<T, Failure> {
        wait(work)?.map_err(|error| self.failure(&error))
    }

    pub(super) fn failure(&self, error: &SubjectError) -> Failure {
        failure::of(error, &self.name, &self.keys.ids)
    }
}

impl Keys {
    pub(super) fn new(arguments: &StoreKeyArguments, more: &[KeyName]) -> Result<Self, Failure> {
        let mut all = keys::given(&arguments.key)?;
        for key in more {
            if !all.contains(key) {
                all.push(key.clone());
            }
        }
        let opening = keys::opening(&all, MANNER)?;
        Ok(Self { provider: opening.provider, ids: opening.ids })
    }

    /// What opens a backup.
    pub(super) fn handle(&self) -> OpenHandle {
        OpenHandle::from_arc(Arc::clone(&self.provider)).with_options(OpenOptions::default())
    }
}

/// What wraps for each of these keys.
pub(super) fn sealing(keys: &[KeyName]) -> Result<Arc<dyn KeyProvider>, Failure> {
    keys::sealing(keys, MANNER, None, &Arc::new(Missing::default()))
}

/// The store in that file, which has to be there.
pub(super) fn existing(path: &Path) -> Result<Arc<dyn KeyStore>, Failure> {
    if let Err(error) = path.metadata() {
        if error.kind() == std::io::ErrorKind::NotFound {
            return Err(failure::missing(path));
        }
    }
    let store = SqliteKeyStore::open(path, &SqliteOptions::default());
    Ok(Arc::new(store.map_err(|error| failure::of_store(&error, &names::path(path)))?))
}

/// Nothing but the root's key is needed before an epoch is.
pub(super) fn options(file: &FileArguments, max_age: &str) -> Result<SubjectsOptions, Failure> {
    let options = SubjectsOptions::default()
        .with_lazy_epochs(true)
        .with_max_age(times::parse_age("--max-age", max_age)?);
    let Some(path) = anchor_path(file) else { return Ok(options) };
    // A mistyped path would be a new anchor, and a restored store be taken for the newest.
    if !path.exists() {
        return Err(Failure::new(
            Category::Io,
            format!("anchor {}: there is no such file", names::path(&path)),
        )
        .advise("is the path right, and is its disk there? If the anchor is lost, put an empty file in its")
        .advise("place: it is filled from the store. Make sure first that the store is the newest one"));
    }
    Ok(options.with_anchor(Arc::new(FileAnchor::new(path))))
}

/// Of `--anchor`, or else of the environment.
pub(super) fn anchor_path(file: &FileArguments) -> Option<PathBuf> {
    let from_environment = || std::env::var_os("KUVERT_ANCHOR").filter(|path| !path.is_empty());
    file.anchor.clone().or_else(|| from_environment().map(PathBuf::from))
}

/// Waits for anything.
pub(super) fn wait<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    block_on(work).map_err(|error| Failure::new(Category::Io, error.to_string()))
}

pub(super) const MANNER: Manner<'static> = Manner { all_of: false, kms_context: &[] };
