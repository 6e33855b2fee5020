//! A folder with a key store, its anchor and its wrapping keys, as one service has it; another process can use the same.

use std::{
    fs::File,
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
};

use kuvert::{
    EncryptionContext, Kuvert, Subjects, SubjectsOptions,
    blocking::block_on,
    clock::TestClock,
    keystore::{KeyStore, SqliteKeyStore, SqliteOptions},
    provider::{KeyFile, MemoryProvider},
    subjects::{BackupReport, FileAnchor, VerifiedBackup},
};

/// Waits here for a future.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    block_on(future).expect("not within another wait")
}

/// The wrapping keys: of the root, of two weeks one after the other, of backups.
pub(crate) const ROOT: &str = "root";
pub(crate) const WEEK_1: &str = "week-1";
pub(crate) const WEEK_2: &str = "week-2";
const BACKUPS: &str = "backups";

/// The key store that is in use.
pub(crate) const LIVE: &str = "keys.sqlite";
pub(crate) const SCOPE: &str = "people";

pub(crate) struct World {
    folder: PathBuf,
    pub(crate) clock: TestClock,
}

impl World {
    /// With new wrapping keys.
    pub(crate) fn make(folder: &Path) -> Self {
        for id in [ROOT, WEEK_1, WEEK_2, BACKUPS] {
            KeyFile::generate(Some(id)).unwrap().write_new(&folder.join(id)).unwrap();
        }
        Self::at(folder)
    }

    /// As it was made before.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), clock: TestClock::starting_at(std::time::SystemTime::now()) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// These wrapping keys and no others; the first one seals.
    pub(crate) fn keys(&self, ids: &[&str]) -> Arc<MemoryProvider> {
        Arc::new(MemoryProvider::from_key_files(ids.iter().map(|id| self.path(id))).unwrap())
    }

    pub(crate) fn store(&self, name: &str) -> Arc<SqliteKeyStore> {
        Arc::new(SqliteKeyStore::open_or_create(self.path(name), &SqliteOptions::default()).unwrap())
    }

    pub(crate) fn anchor(&self) -> Arc<FileAnchor> {
        Arc::new(FileAnchor::new(self.path("tombstones.anchor")))
    }

    /// Without an anchor.
    pub(crate) fn bare_options(&self) -> SubjectsOptions {
        SubjectsOptions::default().with_clock(Arc::new(self.clock.clone()))
    }

    pub(crate) fn options(&self) -> SubjectsOptions {
        self.bare_options().with_anchor(self.anchor())
    }

    /// A new key store, under the key of the first week.
    pub(crate) fn init(&self) -> Subjects {
        let (root, week) = (self.keys(&[ROOT]), self.keys(&[WEEK_1]));
        wait(Subjects::init(self.store(LIVE), root, week, self.options())).unwrap()
    }

    /// The live key store, opened anew.
    pub(crate) fn open(&self) -> Subjects {
        let keys = self.keys(&[WEEK_2, WEEK_1, ROOT]);
        wait(Subjects::open(self.store(LIVE), keys, self.options())).unwrap()
    }

    pub(crate) fn backups(&self) -> Kuvert {
        Kuvert::from_arc(self.keys(&[BACKUPS]))
    }

    pub(crate) fn back_up(&self, subjects: &Subjects, name: &str) -> BackupReport {
        let file = File::create_new(self.path(name)).unwrap();
        wait(subjects.backup(self.backups().sealing(), file)).unwrap().1
    }

    pub(crate) fn check(&self, name: &str, keys: &[&str]) -> VerifiedBackup {
        let file = File::open(self.path(name)).unwrap();
        wait(Subjects::check_backup(file, self.backups().opening(), &*self.keys(keys))).unwrap()
    }

    /// A new key store of what is in a backup.
    pub(crate) fn restore(&self, backup: &str, name: &str) -> Arc<SqliteKeyStore> {
        let store = self.store(name);
        let file = File::open(self.path(backup)).unwrap();
        wait(Subjects::restore(&*store as &dyn KeyStore, file, self.backups().opening())).unwrap();
        store
    }

    /// The context of a backup of records.
    pub(crate) fn of_records() -> EncryptionContext {
        EncryptionContext::new([("content", "records")]).unwrap()
    }
}
