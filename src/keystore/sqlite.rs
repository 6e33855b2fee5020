//! A key store in an SQLite file: the embedded default.
//!
//! Floor 4: two threads, one that writes and one that reads, each with a connection of its own; what is asked of them waits in
//! bounded queues. It must not know what the rows mean beyond the contract. Section "Key store and subjects" of the
//! [format](crate::manual::format).

mod columns;
mod engine;
mod failure;
mod load;
mod options;
mod read;
mod schema;
mod snapshot;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use rusqlite::Connection;

pub use self::options::SqliteOptions;

use self::engine::{Engine, Use};
use self::failure::{Answer, Failure, lost};
use self::snapshot::SqliteSnapshot;
use super::answers::{Burial, Buried, Found, Inserted, Lookup, Names, StoreInfo};
use super::rows::{Entry, EpochRow, Hold, Joint, Pseudonym, RECEIPT_LEN, ResealedKey, SubjectRow, Tombstone};
use super::{KeyStore, Snapshot, checks};
use crate::error::{KeyStoreError, KeyStoreErrorKind};
use crate::worker::Worker;

/// A key store in an SQLite file, for any number of processes of one machine.
///
/// Every write that returned is on the disk; what is removed is overwritten with zeros, and the write-ahead log is emptied
/// before [`remove`](KeyStore::remove) returns. A file that it makes can be read by its owner only. Calls are done on two
/// threads of its own, so that nothing blocks an async runtime, and none is needed either. Dropped, it first does
/// what was asked.
///
/// Copy the file only through [`snapshot`](KeyStore::snapshot) or a sealed backup: what was written last is in the log
/// beside it. Not on a network file system, which locks nothing. A process that forks must not have one open: in the child
/// every call, and every opening, is refused as [`Forked`](KeyStoreErrorKind::Forked); what is started by `exec` is free.
///
/// # Security
///
/// What the file system, the disk or the host's snapshots keep of overwritten blocks is beyond it: older copies become
/// useless by an epoch roll, and by nothing else.
///
/// # Examples
///
/// ```
/// use kuvert::KeyStoreErrorKind;
/// use kuvert::blocking::block_on;
/// use kuvert::keystore::{KeyStore, SqliteKeyStore, SqliteOptions};
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("keys.sqlite");
/// // A path that leads nowhere is no new store: lose the key store, lose the data.
/// let missing = SqliteKeyStore::open(&path, &SqliteOptions::default()).unwrap_err();
/// assert_eq!(missing.kind, KeyStoreErrorKind::Unavailable);
/// let store = SqliteKeyStore::open_or_create(&path, &SqliteOptions::default())?;
/// assert_eq!(block_on(store.root())??, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SqliteKeyStore {
    path: PathBuf,
    options: SqliteOptions,
    reader: Worker<Engine>,
    writer: Worker<Engine>,
}

impl SqliteKeyStore {
    /// Opens the key store in that file. Blocks for as long as it takes to read a few pages.
    ///
    /// # Errors
    ///
    /// - `Unavailable`: no such file, or it cannot be opened;
    /// - `Foreign`: something else than a key store;
    /// - `NewerSchema`: the key store of a later release;
    /// - `Damaged`: empty, truncated, or with tables that other programs changed;
    /// - `ReadOnly`: it, or its folder, may not be written;
    /// - `Busy`: others hold it;
    /// - `Forked`: this process is a fork of one that had a key store open.
    pub fn open(path: impl AsRef<Path>, options: &SqliteOptions) -> Result<Self, KeyStoreError> {
        let path = path.as_ref();
        Ok(Engine::open(path, options, Use::Writes).and_then(|writer| Self::start(path, options, writer))?)
    }

    /// Opens the key store in that file, or makes an empty one if there is no file or an empty one.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), but for a file that is missing or empty; and `Full`.
    pub fn open_or_create(path: impl AsRef<Path>, options: &SqliteOptions) -> Result<Self, KeyStoreError> {
        let path = path.as_ref();
        Ok(Engine::open_or_create(path, options).and_then(|writer| Self::start(path, options, writer))?)
    }

    /// Reads the whole file and holds it to the engine's rules and its own: for after a crash of the machine, or an
    /// alarm of the file system. A second or so for a million rows.
    ///
    /// # Errors
    ///
    /// `Damaged` with the engine's first finding, and those of every call.
    pub async fn check(&self) -> Result<(), KeyStoreError> {
        let found = self.read_any(|connection| {
            schema::verify(connection)?;
            let check = "PRAGMA integrity_check(1)";
            Ok(connection.query_row(check, [], |row| row.get::<_, String>(0))?)
        });
        match found.await? {
            sound if sound == "ok" => Ok(()),
            finding => Err(KeyStoreError::new(KeyStoreErrorKind::Damaged, NAME).with_detail(finding)),
        }
    }

    fn start(path: &Path, options: &SqliteOptions, writer: Engine) -> Answer<Self> {
        // What a crash left in the log after a removal; if others use it now, it is for a later removal to do.
        writer.connection.busy_timeout(std::time::Duration::ZERO)?;
        writer.wipe()?;
        writer.connection.busy_timeout(options.busy_timeout)?;
        let reader = Engine::open(path, options, Use::Reads)?;
        let spawn =
            |name, engine| Worker::spawn(name, engine, options.queue, Engine::tidy).map_err(Failure::Io);
        Ok(Self {
            path: path.to_owned(),
            options: options.clone(),
            reader: spawn("kuvert-read", reader)?,
            writer: spawn("kuvert-write", writer)?,
        })
    }

    async fn read<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Connection) -> Answer<T> + Send + 'static,
    ) -> Result<T, KeyStoreError> {
        Ok(self.reader.call(|engine| engine.read(call)).await.map_err(lost)??)
    }

    async fn read_any<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Connection) -> Answer<T> + Send + 'static,
    ) -> Result<T, KeyStoreError> {
        Ok(self.reader.call(|engine| engine.read_any(call)).await.map_err(lost)??)
    }

    async fn write<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Connection) -> Answer<T> + Send + 'static,
        is_change: fn(&T) -> bool,
    ) -> Result<T, KeyStoreError> {
        Ok(self.writer.call(move |engine| engine.write(call, is_change)).await.map_err(lost)??)
    }
}

/// Arguments are checked on the caller's thread, before anything is asked of the file.
fn sound(check: checks::Check) -> Result<(), KeyStoreError> {
    check.map_err(|why| Failure::Misuse(why).into())
}

const NAME: &str = "sqlite";

#[async_trait]
impl KeyStore for SqliteKeyStore {
    fn describe(&self) -> StoreInfo {
        StoreInfo::new(NAME, true, true)
    }

    async fn change(&self) -> Result<u64, KeyStoreError> {
        let change = |connection: &_| {
            engine::not_loading(connection)?;
            read::change(connection)
        };
        self.read_any(change).await
    }

    async fn create(&self, root_envelope: &[u8], epochs: &[EpochRow]) -> Result<bool, KeyStoreError> {
        sound(checks::first_epochs(epochs))?;
        let (root_envelope, epochs) = (root_envelope.to_vec(), epochs.to_vec());
        let create = move |connection: &_| {
            engine::not_loading(connection)?;
            write::create(connection, &root_envelope, &epochs)
        };
        Ok(self.writer.call(|engine| engine.write_any(create, |done| *done)).await.map_err(lost)??)
    }

    async fn root(&self) -> Result<Option<Vec<u8>>, KeyStoreError> {
        let root = |connection: &_| {
            engine::not_loading(connection)?;
            read::root(connection)
        };
        self.read_any(root).await
    }

    async fn replace_envelope(
        &self,
        epoch: Option<u64>,
        old: &[u8],
        new: &[u8],
    ) -> Result<bool, KeyStoreError> {
        let (old, new) = (old.to_vec(), new.to_vec());
        self.write(move |connection| write::replace_envelope(connection, epoch, &old, &new), |done| *done)
            .await
    }

    async fn epochs(&self) -> Result<Vec<EpochRow>, KeyStoreError> {
        self.read(read::epochs).await
    }

    async fn begin_epoch(&self, epoch: &EpochRow, closes: u64) -> Result<bool, KeyStoreError> {
        sound(checks::new_epoch(epoch))?;
        let epoch = epoch.clone();
        self.write(move |connection| write::begin_epoch(connection, &epoch, closes), |done| *done).await
    }

    async fn retire_epoch(&self, epoch: u64) -> Result<bool, KeyStoreError> {
        let retired = self.write(move |connection| write::retire_epoch(connection, epoch), |(_, now)| *now);
        Ok(retired.await?.0)
    }

    async fn insert(
        &self,
        row: &SubjectRow,
        joint: Option<&Joint>,
        names: Names,
    ) -> Result<Inserted, KeyStoreError> {
        sound(checks::joint_of(row, joint))?;
        let (row, joint) = (row.clone(), joint.cloned());
        let insert = move |connection: &_| write::insert(connection, &row, joint.as_ref(), names);
        self.write(insert, |answer| *answer == Inserted::Done).await
    }

    async fn insert_many(&self, rows: &[SubjectRow], names: Names) -> Result<Vec<Inserted>, KeyStoreError> {
        sound(checks::subjects(rows))?;
        let rows = rows.to_vec();
        let insert = move |connection: &_| {
            rows.iter().map(|row| write::insert(connection, row, None, names)).collect::<Answer<Vec<_>>>()
        };
        self.write(insert, |answers| answers.contains(&Inserted::Done)).await
    }

    async fn get(&self, references: &[u64]) -> Result<Vec<Lookup>, KeyStoreError> {
        sound(checks::batch(references.len()))?;
        let references = references.to_vec();
        self.read(move |connection| read::get(connection, &references)).await
    }

    async fn find(&self, pseudonyms: &[Pseudonym]) -> Result<Vec<Found>, KeyStoreError> {
        sound(checks::batch(pseudonyms.len()))?;
        let pseudonyms = pseudonyms.to_vec();
        self.read(move |connection| read::find(connection, &pseudonyms)).await
    }

    async fn versions(&self, pseudonym: &Pseudonym) -> Result<Vec<SubjectRow>, KeyStoreError> {
        let pseudonym = *pseudonym;
        self.read(move |connection| read::versions(connection, &pseudonym)).await
    }

    async fn scan(&self, epoch: u64, after: u64, limit: usize) -> Result<Vec<SubjectRow>, KeyStoreError> {
        self.read(move |connection| read::scan(connection, epoch, after, limit)).await
    }

    async fn reseal(&self, from: u64, to: u64, keys: &[ResealedKey]) -> Result<Option<usize>, KeyStoreError> {
        sound(checks::reseal(from, to, keys))?;
        let keys = keys.to_vec();
        let reseal = move |connection: &_| write::reseal(connection, from, to, &keys);
        self.write(reseal, |moved| moved.is_some_and(|moved| moved > 0)).await
    }

    async fn joints(&self, member: &Pseudonym) -> Result<Vec<Joint>, KeyStoreError> {
        let member = *member;
        self.read(move |connection| read::joints(connection, &member)).await
    }

    async fn hold(&self, hold: &Hold) -> Result<bool, KeyStoreError> {
        sound(checks::hold(hold))?;
        let hold = hold.clone();
        self.write(move |connection| write::hold(connection, &hold), |done| *done).await
    }

    async fn release(&self, pseudonym: &Pseudonym, case: &[u8; 32]) -> Result<bool, KeyStoreError> {
        let (pseudonym, case) = (*pseudonym, *case);
        self.write(move |connection| write::release(connection, &pseudonym, &case), |done| *done).await
    }

    async fn holds(&self, pseudonym: &Pseudonym) -> Result<Vec<Hold>, KeyStoreError> {
        let pseudonym = *pseudonym;
        self.read(move |connection| read::holds(connection, &pseudonym)).await
    }

    async fn bury(&self, burial: &Burial) -> Result<Buried, KeyStoreError> {
        sound(checks::burial(burial))?;
        let burial = burial.clone();
        Ok(self.write(move |connection| write::bury(connection, &burial), |(_, now)| *now).await?.0)
    }

    async fn remove(&self, references: &[u64]) -> Result<usize, KeyStoreError> {
        sound(checks::batch(references.len()))?;
        let references = references.to_vec();
        let remove = move |engine: &mut Engine| {
            let remove = |connection: &_| write::remove(connection, &references);
            let removed = engine.write(remove, |removed| *removed > 0)?;
            let readers = "the rows are removed, but a reader keeps their bytes in the log; ask again";
            if engine.wipe()? { Ok(removed) } else { Err(Failure::Of(KeyStoreErrorKind::Busy, readers)) }
        };
        Ok(self.writer.call(remove).await.map_err(lost)??)
    }

    async fn unremoved(&self, limit: usize) -> Result<Vec<u64>, KeyStoreError> {
        self.read(move |connection| read::unremoved(connection, limit)).await
    }

    async fn tombstones(&self, after: u64, limit: usize) -> Result<Vec<Tombstone>, KeyStoreError> {
        self.read(move |connection| read::tombstones(connection, after, limit)).await
    }

    async fn append_receipts(
        &self,
        after: u64,
        receipts: &[[u8; RECEIPT_LEN]],
    ) -> Result<bool, KeyStoreError> {
        sound(checks::batch(receipts.len()))?;
        let receipts = receipts.to_vec();
        let is_empty = receipts.is_empty();
        let append =
            move |connection: &_| Ok((write::append_receipts(connection, after, &receipts)?, is_empty));
        Ok(self.write(append, |(done, is_empty)| *done && !is_empty).await?.0)
    }

    async fn receipts(&self, after: u64, limit: usize) -> Result<Vec<[u8; RECEIPT_LEN]>, KeyStoreError> {
        self.read(move |connection| read::receipts(connection, after, limit)).await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, KeyStoreError> {
        let (path, options) = (self.path.clone(), self.options.clone());
        // The reading thread opens it, so that nothing blocks here.
        let open = move |_: &mut Engine| {
            let mut engine = Engine::open(&path, &options, Use::Reads)?;
            engine.read(|_| Ok(()))?;
            engine.connection.execute_batch("BEGIN")?;
            let change = read::change(&engine.connection)?;
            let worker = Worker::spawn("kuvert-snapshot", engine.connection, 1, |_| {});
            Ok::<_, Failure>(SqliteSnapshot::new(worker.map_err(Failure::Io)?, change))
        };
        Ok(Box::new(self.reader.call(open).await.map_err(lost)??))
    }

    async fn load(&self, entries: &[Entry], end: Option<u64>) -> Result<(), KeyStoreError> {
        sound(checks::batch(entries.len()))?;
        let entries = entries.to_vec();
        let load = move |connection: &_| load::load(connection, &entries, end);
        Ok(self.writer.call(|engine| engine.write_any(load, |()| true)).await.map_err(lost)??)
    }
}

impl fmt::Debug for SqliteKeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteKeyStore").field("options", &self.options).finish_non_exhaustive()
    }
}
