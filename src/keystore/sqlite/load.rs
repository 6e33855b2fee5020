//! Filling a store in SQLite from a snapshot's entries.
//!
//! Floor 4: a page is a transaction, and the root comes with the last. The name index is built at the end, which is faster and
//! lets the rows of an erased name and of its next bearer in before the tombstones that tell them apart.

use rusqlite::{Connection, params};

use super::super::checks::{self, HAS_ROOT, OUT_OF_ORDER};
use super::super::rows::{Entry, EpochRow, EpochState, SubjectRow};
use super::columns::{signed, stored};
use super::failure::{Answer, Failure};
use super::schema;
use super::{read, write};

pub(super) fn load(connection: &Connection, entries: &[Entry], end: Option<u64>) -> Answer<()> {
    if read::root(connection)?.is_some() {
        return Err(HAS_ROOT.into());
    }
    if let Some(Entry::Root(envelope)) = entries.first() {
        begin_anew(connection, envelope)?;
    }
    let order = "SELECT loading_order FROM store WHERE one = 1";
    let last: Option<i64> = connection.query_row(order, [], |row| row.get(0))?;
    let mut last = u8::try_from(last.ok_or(OUT_OF_ORDER)?).map_err(|_| OUT_OF_ORDER)?;
    for (place, entry) in entries.iter().enumerate() {
        if entry.order() < last || (entry.order() == 0 && place > 0) {
            return Err(OUT_OF_ORDER.into());
        }
        last = entry.order();
        put(connection, entry).map_err(doubled)?;
    }
    connection.execute("UPDATE store SET loading_order = ?1 WHERE one = 1", [last])?;
    match end {
        Some(change) => finish(connection, change),
        None => Ok(()),
    }
}

fn begin_anew(connection: &Connection, envelope: &[u8]) -> Answer<()> {
    connection.execute_batch(schema::DROP_NAMES_INDEX)?;
    for table in ["epoch", "subject", "joint", "joint_member", "hold", "grave", "tombstone", "receipt"] {
        connection.execute_batch(&format!("DELETE FROM {table}"))?;
    }
    connection.execute("UPDATE store SET loading = ?1, loading_order = 0 WHERE one = 1", [envelope])?;
    Ok(())
}

fn finish(connection: &Connection, change: u64) -> Answer<()> {
    connection.execute_batch(schema::NAMES_INDEX).map_err(Failure::from).map_err(doubled)?;
    connection.execute(
        "UPDATE store SET root = loading, loading = NULL, loading_order = NULL, change = max(change, ?1) \
         WHERE one = 1",
        [signed(change)],
    )?;
    Ok(())
}

fn put(connection: &Connection, entry: &Entry) -> Answer<()> {
    match entry {
        Entry::Root(_) => Ok(()),
        Entry::Epoch(row) => put_epoch(connection, row),
        Entry::Subject(row) => put_subject(connection, row),
        Entry::Joint(joint) => {
            checks::joint(joint)?;
            write::put_joint(connection, joint)
        }
        Entry::Hold(hold) => {
            checks::hold(hold)?;
            if write::hold(connection, hold)? { Ok(()) } else { Err(OUT_OF_ORDER.into()) }
        }
        Entry::Grave(name) => {
            if write::put_grave(connection, name)? {
                Ok(())
            } else {
                Err(OUT_OF_ORDER.into())
            }
        }
        Entry::Tombstone(stone) => {
            checks::tombstone(stone)?;
            let last = read::last(connection, read::Numbered::Tombstones)?;
            write::put_tombstone(connection, last + 1, stone)
        }
        Entry::Receipt(receipt) => {
            let last = read::last(connection, read::Numbered::Receipts)?;
            write::put_receipt(connection, last + 1, receipt)
        }
    }
}

fn put_epoch(connection: &Connection, row: &EpochRow) -> Answer<()> {
    checks::epoch(row)?;
    let clashes = "SELECT 1 FROM epoch WHERE class = ?1 AND state = 0";
    if row.state == EpochState::Open && read::exists(connection, clashes, params![row.class as u8])? {
        return Err(OUT_OF_ORDER.into());
    }
    write::put_epoch(connection, row)
}

fn put_subject(connection: &Connection, row: &SubjectRow) -> Answer<()> {
    checks::subject(row)?;
    if !read::exists(connection, "SELECT 1 FROM epoch WHERE reference = ?1", [stored(row.epoch)])? {
        return Err(OUT_OF_ORDER.into());
    }
    write::put_subject(connection, row)
}

/// What stands there twice breaks a constraint of the engine's, and is the caller's mistake here.
fn doubled(failure: Failure) -> Failure {
    match failure {
        Failure::Engine(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) =>
        {
            Failure::Misuse(OUT_OF_ORDER)
        }
        other => other,
    }
}
