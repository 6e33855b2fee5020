//! One connection to the file, and how calls run on it: each in one transaction, on a store that is whole.
//!
//! Floor 4: opens files, sets what the engine has to keep to, and knows no call of the contract.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{io, thread};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::super::checks::{NO_ROOT, UNFINISHED_LOAD};
use super::failure::{Answer, Failure};
use super::options::SqliteOptions;
use super::schema::{self, Found};
use crate::error::KeyStoreErrorKind as Kind;
use crate::fork;

/// A connection, owned by one thread.
pub(super) struct Engine {
    pub(super) connection: Connection,
    /// Once a store has a root it never loses it.
    is_ready: bool,
}

/// For what a connection is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Reads,
    Writes,
}

impl Engine {
    /// Opens the file, which has to be a key store of this release.
    pub(super) fn open(path: &Path, options: &SqliteOptions, what: Use) -> Answer<Self> {
        let mut connection = connect(path, options)?;
        if schema::recognise(&connection.transaction()?)? == Found::Nothing {
            return Err(Failure::damaged("the file is empty"));
        }
        Self::over(connection, what)
    }

    /// Opens the file, or makes it if nothing is there.
    pub(super) fn open_or_create(path: &Path, options: &SqliteOptions) -> Answer<Self> {
        let is_new = make_file(path)?;
        let mut connection = connect(path, options)?;
        if schema::recognise(&connection.transaction()?)? == Found::Nothing {
            use_a_log(&connection, options.busy_timeout)?;
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            // Others may have been faster.
            if schema::recognise(&transaction)? == Found::Nothing {
                schema::create(&transaction)?;
            }
            transaction.commit()?;
        }
        if is_new {
            sync_folder(path).map_err(Failure::Io)?;
        }
        Self::over(connection, Use::Writes)
    }

    fn over(connection: Connection, what: Use) -> Answer<Self> {
        let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        if mode != "wal" {
            return Err(Failure::damaged("other programs have switched its write-ahead log off"));
        }
        // At one moment: another process may be at the end of a load.
        schema::verify(&*connection.unchecked_transaction()?)?;
        if what == Use::Reads {
            connection.pragma_update(None, "query_only", true)?;
        }
        Ok(Self { connection, is_ready: false })
    }

    /// Reads at one moment, also from a store that has no root.
    pub(super) fn read_any<T>(&mut self, call: impl FnOnce(&Connection) -> Answer<T>) -> Answer<T> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        call(&transaction)
    }

    /// Reads at one moment.
    pub(super) fn read<T>(&mut self, call: impl FnOnce(&Connection) -> Answer<T>) -> Answer<T> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        ready(&transaction, &mut self.is_ready)?;
        call(&transaction)
    }

    /// Writes in one step. An error undoes all of it, and so does an answer that is no change.
    pub(super) fn write<T>(
        &mut self,
        call: impl FnOnce(&Connection) -> Answer<T>,
        is_change: impl FnOnce(&T) -> bool,
    ) -> Answer<T> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        ready(&transaction, &mut self.is_ready)?;
        finish(transaction, call, is_change)
    }

    /// As `write`, also in a store that has no root: `call` looks at that itself.
    pub(super) fn write_any<T>(
        &mut self,
        call: impl FnOnce(&Connection) -> Answer<T>,
        is_change: impl FnOnce(&T) -> bool,
    ) -> Answer<T> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        finish(transaction, call, is_change)
    }

    /// Moves the log into the file and empties it, so that no older bytes of a page are left in either.
    ///
    /// `false` if a reader, or a writer of another process, kept it from doing so for as long as calls wait.
    pub(super) fn wipe(&self) -> Answer<bool> {
        let is_busy: i64 =
            self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        Ok(is_busy == 0)
    }

    /// After a panic in the middle of a call.
    pub(super) fn tidy(&mut self) {
        if !self.connection.is_autocommit() {
            // If even that fails, the next call's transaction does not begin and says why.
            drop(self.connection.execute_batch("ROLLBACK"));
        }
    }
}

fn finish<T>(
    transaction: Transaction<'_>,
    call: impl FnOnce(&Connection) -> Answer<T>,
    is_change: impl FnOnce(&T) -> bool,
) -> Answer<T> {
    let answer = call(&transaction)?;
    if is_change(&answer) {
        transaction.prepare_cached("UPDATE store SET change = change + 1 WHERE one = 1")?.execute([])?;
        transaction.commit()?;
    }
    Ok(answer)
}

/// Refuses what cannot be asked of a store without a root.
fn ready(transaction: &Transaction<'_>, is_ready: &mut bool) -> Answer<()> {
    if !*is_ready {
        not_loading(transaction)?;
        let has_root = "SELECT root IS NOT NULL FROM store WHERE one = 1";
        if !transaction.query_row(has_root, [], |row| row.get(0))? {
            return Err(NO_ROOT.into());
        }
        *is_ready = true;
    }
    Ok(())
}

pub(super) fn not_loading(connection: &Connection) -> Answer<()> {
    let is_loading = "SELECT loading IS NOT NULL FROM store WHERE one = 1";
    if connection.query_row(is_loading, [], |row| row.get(0))? {
        return Err(Failure::damaged(UNFINISHED_LOAD));
    }
    Ok(())
}

fn connect(path: &Path, options: &SqliteOptions) -> Answer<Connection> {
    not_forked()?;
    // The engine takes what is shorter than its header for an empty file, and would write over it.
    if path.metadata().is_ok_and(|found| found.is_file() && (1..HEADER).contains(&found.len())) {
        return Err(Failure::Of(Kind::Foreign, "shorter than any SQLite database"));
    }
    // Without URIs: a file name is a file name. Each connection is used by one thread at a time.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| unopened(path, error))?;
    // Before anything is read: for that the engine would make files beside it, which the owner could then not write.
    if connection.is_readonly("main")? {
        return Err(Failure::Of(Kind::ReadOnly, "the file or its folder may not be written"));
    }
    connection.busy_timeout(options.busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(64);
    // Else the engine takes a statement over a partial index apart anew for every value, since another plan might suit it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let kibibytes = i64::try_from(options.cache_bytes >> 10).unwrap_or(i64::MAX).min(i64::from(i32::MAX));
    for (pragma, value) in [
        // A schema that was tampered with runs no functions.
        ("trusted_schema", 0),
        // Pages that do not add up are found when they are read.
        ("cell_size_check", 1),
        // A write that returned is on the disk.
        ("synchronous", FULL),
        // Bytes of what is deleted become zeros.
        ("secure_delete", 1),
        // Nothing of the rows is written to files beside.
        ("temp_store", IN_MEMORY),
        ("cache_size", -kibibytes),
    ] {
        connection.pragma_update(None, pragma, value).map_err(|error| unopened(path, error))?;
    }
    Ok(connection)
}

/// The engine keeps one list of its locks for a process. A forked child has a copy of it and none of the locks, so that a
/// connection that it opens may take for locked what is not: better none.
fn not_forked() -> Answer<()> {
    let now = fork::generation();
    match OPENED_IN.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed) {
        Err(first) if first != now => {
            Err(Failure::Of(Kind::Forked, "a key store was open when this process was forked from another"))
        }
        _ => Ok(()),
    }
}

/// The generation of processes in which the engine was first used.
static OPENED_IN: AtomicU64 = AtomicU64::new(0);

/// "Unable to open" has many reasons, of which the engine tells none.
fn unopened(path: &Path, error: rusqlite::Error) -> Failure {
    if error.sqlite_error_code() != Some(rusqlite::ErrorCode::CannotOpen) {
        return Failure::Engine(error);
    }
    match path.metadata() {
        Err(missing) => Failure::Io(missing),
        Ok(found) if !found.is_file() => Failure::Of(Kind::Foreign, "not a file"),
        Ok(_) => Failure::Of(Kind::ReadOnly, "the file or its folder may not be written"),
    }
}

/// Makes an empty file that only its owner may read. A file that is there is not touched, nor opened: closing it would
/// take away the locks that another connection of this process has on it.
fn make_file(path: &Path) -> Answer<bool> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(Failure::Io(error)),
    }
}

/// Switches a new file to a write-ahead log. Two processes may do so at once, and the engine does not wait for the other.
fn use_a_log(connection: &Connection, patience: Duration) -> Answer<()> {
    let until = Instant::now() + patience;
    loop {
        match connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())) {
            Err(error) if is_busy(&error) && Instant::now() < until => {
                thread::sleep(Duration::from_millis(5));
            }
            done => return Ok(done?),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked))
}

/// A new file's name is as durable as what is in it.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Bytes that every database begins with.
const HEADER: u64 = 100;
const FULL: i64 = 2;
const IN_MEMORY: i64 = 2;
