//! The tables of a key store in SQLite, their version, and the numbers that tell its files from others.
//!
//! Floor 4: text and its comparison with what is there. Section "Key store and subjects" of the
//! [format](crate::manual::format).

use rusqlite::{Connection, Transaction};

use super::failure::{Answer, Failure};
use crate::error::KeyStoreErrorKind as Kind;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Empty: nothing was ever stored in it.
    Nothing,
    /// A key store that this release knows.
    Ours,
}

/// Looks at a file without changing it. Within a transaction: another process may be making the tables just now.
pub(super) fn recognise(connection: &Transaction<'_>) -> Answer<Found> {
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    let things = number("SELECT count(*) FROM sqlite_schema")?;
    match (application, version) {
        (APPLICATION_ID, VERSION) => Ok(Found::Ours),
        (APPLICATION_ID, newer) if newer > VERSION => {
            Err(Failure::Of(Kind::NewerSchema, "its schema is newer than the one this release knows"))
        }
        // Without any byte, or with what an interrupted beginning left: a header and no table.
        (0, 0) if things == 0 => Ok(Found::Nothing),
        (APPLICATION_ID, _) => Err(Failure::damaged("its schema has a version that there never was")),
        _ => Err(Failure::Of(Kind::Foreign, "an SQLite database of something else")),
    }
}

/// Makes the tables, within a transaction of the caller's.
pub(super) fn create(connection: &Connection) -> Answer<()> {
    for (_, statement) in TABLES {
        connection.execute_batch(statement)?;
    }
    connection.execute_batch(NAMES_INDEX)?;
    connection.execute("INSERT INTO store (one, change) VALUES (1, 0)", [])?;
    connection.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}"))?;
    connection.execute_batch(&format!("PRAGMA user_version = {VERSION}"))?;
    Ok(())
}

/// Refuses tables that others have changed, and triggers and views that they have added: whatever runs beside the
/// statements of this crate could keep what is erased.
pub(super) fn verify(connection: &Connection) -> Answer<()> {
    let mut statement =
        connection.prepare("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")?;
    let mut rows = statement.query([])?;
    let mut expected = TABLES.len();
    let mut has_names_index = false;
    while let Some(row) = rows.next()? {
        let (name, sql): (String, String) = (row.get(0)?, row.get(1)?);
        if sql == NAMES_INDEX {
            has_names_index = true;
        } else if TABLES.contains(&(name.as_str(), sql.as_str())) {
            expected -= 1;
        } else {
            return Err(Failure::damaged("other programs have changed its schema"));
        }
    }
    let is_loading: bool =
        connection.query_row("SELECT loading IS NOT NULL FROM store WHERE one = 1", [], |row| row.get(0))?;
    if expected == 0 && (has_names_index || is_loading) {
        Ok(())
    } else {
        Err(Failure::damaged("a part of its schema is missing"))
    }
}

/// "KuvS".
pub(super) const APPLICATION_ID: i64 = 0x4b75_7653;
pub(super) const VERSION: i64 = 1;

/// References are unsigned and SQLite's integers are not: they are stored with the first bit flipped, which keeps the order.
/// `live` is 0 for rows that have a tombstone, which no name leads to.
pub(super) const TABLES: [(&str, &str); 10] = [
    (
        "store",
        "CREATE TABLE store (one INTEGER PRIMARY KEY CHECK (one = 1), change INTEGER NOT NULL, root BLOB, \
         loading BLOB, loading_order INTEGER) STRICT",
    ),
    (
        "epoch",
        "CREATE TABLE epoch (number INTEGER PRIMARY KEY, reference INTEGER NOT NULL UNIQUE, class INTEGER NOT NULL, \
         state INTEGER NOT NULL, opened INTEGER NOT NULL, closed INTEGER, envelope BLOB NOT NULL) STRICT",
    ),
    (
        "subject",
        "CREATE TABLE subject (reference INTEGER PRIMARY KEY, pseudonym BLOB NOT NULL, scope BLOB NOT NULL, \
         version INTEGER NOT NULL, epoch INTEGER NOT NULL, live INTEGER NOT NULL, sealed_key BLOB NOT NULL) STRICT",
    ),
    ("subject_buried", "CREATE INDEX subject_buried ON subject (reference) WHERE live = 0"),
    (
        "joint",
        "CREATE TABLE joint (pseudonym BLOB PRIMARY KEY, ends INTEGER NOT NULL, members BLOB NOT NULL) \
         STRICT, WITHOUT ROWID",
    ),
    (
        "joint_member",
        "CREATE TABLE joint_member (member BLOB NOT NULL, joint BLOB NOT NULL, PRIMARY KEY (member, joint)) \
         STRICT, WITHOUT ROWID",
    ),
    (
        "hold",
        "CREATE TABLE hold (pseudonym BLOB NOT NULL, \"case\" BLOB NOT NULL, since INTEGER NOT NULL, \
         PRIMARY KEY (pseudonym, \"case\")) STRICT, WITHOUT ROWID",
    ),
    ("grave", "CREATE TABLE grave (pseudonym BLOB PRIMARY KEY) STRICT, WITHOUT ROWID"),
    (
        "tombstone",
        "CREATE TABLE tombstone (number INTEGER PRIMARY KEY, reference INTEGER NOT NULL UNIQUE, \
         bytes BLOB NOT NULL) STRICT",
    ),
    ("receipt", "CREATE TABLE receipt (number INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT"),
];

/// Dropped while a backup is loaded, and built at its end: sorting is faster than a million look-ups.
pub(super) const NAMES_INDEX: &str =
    "CREATE UNIQUE INDEX subject_name ON subject (pseudonym, version) WHERE live = 1";
pub(super) const DROP_NAMES_INDEX: &str = "DROP INDEX IF EXISTS subject_name";
