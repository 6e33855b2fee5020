//! The reading calls of the store in SQLite.
//!
//! Floor 4: statements and what their rows mean. Each runs within a read transaction of its caller.

use rusqlite::{Connection, Params, Row};

use super::super::answers::{Found, Lookup};
use super::super::checks;
use super::super::rows::{EpochRow, Hold, Joint, Pseudonym, RECEIPT_LEN, SubjectRow, Tombstone};
use super::columns::{self, signed, stored, unsigned};
use super::failure::{Answer, Failure};

/// Of a row: no tombstone ends it. Its own word alone is not enough: rows of an older file may have been put back.
macro_rules! is_live {
    () => {
        "live = 1 AND NOT EXISTS (SELECT 1 FROM tombstone WHERE tombstone.reference = subject.reference)"
    };
}

pub(super) fn change(connection: &Connection) -> Answer<u64> {
    unsigned(connection.query_row("SELECT change FROM store WHERE one = 1", [], |row| row.get(0))?)
}

pub(super) fn root(connection: &Connection) -> Answer<Option<Vec<u8>>> {
    Ok(connection.query_row("SELECT root FROM store WHERE one = 1", [], |row| row.get(0))?)
}

pub(super) fn epochs(connection: &Connection) -> Answer<Vec<EpochRow>> {
    let all = "SELECT reference, class, state, opened, closed, envelope FROM epoch ORDER BY number";
    many(connection, all, [], columns::epoch)
}

pub(super) fn get(connection: &Connection, references: &[u64]) -> Answer<Vec<Lookup>> {
    let mut rows = connection.prepare_cached(BY_REFERENCE)?;
    let mut answers = Vec::with_capacity(references.len());
    for reference in references {
        let mut found = rows.query([stored(*reference)])?;
        answers.push(match found.next()? {
            Some(row) => Lookup::Row(columns::subject(row)?),
            None => match tombstone(connection, *reference)? {
                Some(stone) => Lookup::Erased { since: stone.since() },
                None => Lookup::Unknown,
            },
        });
    }
    Ok(answers)
}

pub(super) fn find(connection: &Connection, pseudonyms: &[Pseudonym]) -> Answer<Vec<Found>> {
    let find = |pseudonym| match newest(connection, pseudonym)? {
        // A name that is a grave has no row that is live.
        Some(row) => Ok(Found::Row(row)),
        None if is_grave(connection, pseudonym)? => Ok(Found::Erased),
        None => Ok(Found::Unknown),
    };
    pseudonyms.iter().map(find).collect()
}

pub(super) fn newest(connection: &Connection, pseudonym: &Pseudonym) -> Answer<Option<SubjectRow>> {
    one(connection, NEWEST, [pseudonym], columns::subject)
}

pub(super) fn versions(connection: &Connection, pseudonym: &Pseudonym) -> Answer<Vec<SubjectRow>> {
    let all = concat!(
        "SELECT reference, pseudonym, scope, version, epoch, sealed_key FROM subject WHERE pseudonym = ?1 AND ",
        is_live!(),
        " ORDER BY version"
    );
    many(connection, all, [pseudonym], columns::subject)
}

pub(super) fn scan(connection: &Connection, epoch: u64, after: u64, limit: usize) -> Answer<Vec<SubjectRow>> {
    // Without an index over epochs: rows of the others are few while one is emptied, and each is read once.
    let page = concat!(
        "SELECT reference, pseudonym, scope, version, epoch, sealed_key FROM subject \
         WHERE reference > ?1 AND epoch = ?2 AND ",
        is_live!(),
        " ORDER BY reference LIMIT ?3"
    );
    many(connection, page, (stored(after), stored(epoch), page_len(limit)), columns::subject)
}

pub(super) fn joints(connection: &Connection, member: &Pseudonym) -> Answer<Vec<Joint>> {
    let all = "SELECT joint.pseudonym, joint.ends, joint.members FROM joint_member \
               JOIN joint ON joint.pseudonym = joint_member.joint \
               WHERE joint_member.member = ?1 ORDER BY joint_member.joint";
    many(connection, all, [member], columns::joint)
}

pub(super) fn joint(connection: &Connection, pseudonym: &Pseudonym) -> Answer<Option<Joint>> {
    one(
        connection,
        "SELECT pseudonym, ends, members FROM joint WHERE pseudonym = ?1",
        [pseudonym],
        columns::joint,
    )
}

pub(super) fn has_ended(connection: &Connection, joint: &Joint) -> Answer<bool> {
    let mut failure = None;
    let ended = joint.has_ended(|name| match is_grave(connection, name) {
        Ok(is_grave) => is_grave,
        Err(error) => {
            failure = Some(error);
            false
        }
    });
    failure.map_or(Ok(ended), Err)
}

pub(super) fn is_grave(connection: &Connection, pseudonym: &Pseudonym) -> Answer<bool> {
    exists(connection, "SELECT 1 FROM grave WHERE pseudonym = ?1", [pseudonym])
}

pub(super) fn holds(connection: &Connection, pseudonym: &Pseudonym) -> Answer<Vec<Hold>> {
    let all = "SELECT pseudonym, \"case\", since FROM hold WHERE pseudonym = ?1 ORDER BY since, \"case\"";
    many(connection, all, [pseudonym], columns::hold)
}

pub(super) fn unremoved(connection: &Connection, limit: usize) -> Answer<Vec<u64>> {
    // The second half for rows of an older file that were put back; one look-up for each tombstone.
    let first = "SELECT reference FROM subject WHERE live = 0 UNION \
                 SELECT subject.reference FROM tombstone CROSS JOIN subject \
                 ON subject.reference = tombstone.reference ORDER BY 1 LIMIT ?1";
    many(connection, first, [page_len(limit)], |row| Ok(columns::reference(row.get(0)?)))
}

pub(super) fn tombstone(connection: &Connection, reference: u64) -> Answer<Option<Tombstone>> {
    let by_reference = "SELECT reference, bytes FROM tombstone WHERE reference = ?1";
    one(connection, by_reference, [stored(reference)], columns::tombstone)
}

pub(super) fn tombstones(connection: &Connection, after: u64, limit: usize) -> Answer<Vec<Tombstone>> {
    let page = "SELECT reference, bytes FROM tombstone WHERE number > ?1 ORDER BY number LIMIT ?2";
    many(connection, page, (signed(after), page_len(limit)), columns::tombstone)
}

pub(super) fn receipts(connection: &Connection, after: u64, limit: usize) -> Answer<Vec<[u8; RECEIPT_LEN]>> {
    let page = "SELECT bytes FROM receipt WHERE number > ?1 ORDER BY number LIMIT ?2";
    many(connection, page, (signed(after), page_len(limit)), |row| columns::bytes(row, 0))
}

pub(super) const BY_REFERENCE: &str = concat!(
    "SELECT reference, pseudonym, scope, version, epoch, sealed_key FROM subject WHERE reference = ?1 AND ",
    is_live!()
);
pub(super) const NEWEST: &str = concat!(
    "SELECT reference, pseudonym, scope, version, epoch, sealed_key FROM subject WHERE pseudonym = ?1 AND ",
    is_live!(),
    " ORDER BY version DESC LIMIT 1"
);

/// How many are numbered from 1 without gaps in that table.
pub(super) fn last(connection: &Connection, table: Numbered) -> Answer<u64> {
    let last = match table {
        Numbered::Tombstones => "SELECT coalesce(max(number), 0) FROM tombstone",
        Numbered::Receipts => "SELECT coalesce(max(number), 0) FROM receipt",
    };
    unsigned(connection.prepare_cached(last)?.query_row([], |row| row.get(0))?)
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Numbered {
    Tombstones,
    Receipts,
}

pub(super) fn exists(connection: &Connection, statement: &str, params: impl Params) -> Answer<bool> {
    Ok(connection.prepare_cached(statement)?.exists(params)?)
}

pub(super) fn one<T>(
    connection: &Connection,
    statement: &str,
    params: impl Params,
    read: fn(&Row<'_>) -> Answer<T>,
) -> Answer<Option<T>> {
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

pub(super) fn many<T>(
    connection: &Connection,
    statement: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Answer<T>,
) -> Answer<Vec<T>> {
    let mut statement = connection.prepare_cached(statement)?;
    statement.query_and_then(params, |row| read(row))?.collect::<Result<_, Failure>>()
}

pub(super) fn page_len(limit: usize) -> i64 {
    i64::try_from(checks::limit(limit)).unwrap_or(i64::MAX)
}
