//! The writing calls of the store in SQLite.
//!
//! Floor 4: each runs within a write transaction of its caller, which nobody else's write comes between; so it looks first,
//! in the order that the contract fixes, and then writes.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::super::answers::{Burial, Buried, Inserted, Names};
use super::super::checks;
use super::super::rows::{
    EpochRow, EpochState, Hold, Joint, Pseudonym, RECEIPT_LEN, ResealedKey, SubjectRow, Tombstone,
};
use super::columns::{self, signed, stored};
use super::failure::Answer;
use super::read::{self, Numbered};

pub(super) fn create(connection: &Connection, root_envelope: &[u8], epochs: &[EpochRow]) -> Answer<bool> {
    if read::root(connection)?.is_some() {
        return Ok(false);
    }
    connection.execute("UPDATE store SET root = ?1 WHERE one = 1", [root_envelope])?;
    for epoch in epochs {
        put_epoch(connection, epoch)?;
    }
    Ok(true)
}

pub(super) fn replace_envelope(
    connection: &Connection,
    epoch: Option<u64>,
    old: &[u8],
    new: &[u8],
) -> Answer<bool> {
    let replaced = match epoch {
        None => {
            connection.execute("UPDATE store SET root = ?2 WHERE one = 1 AND root = ?1", params![old, new])?
        }
        Some(epoch) => connection.execute(
            "UPDATE epoch SET envelope = ?2 WHERE reference = ?3 AND envelope = ?1",
            params![old, new, stored(epoch)],
        )?,
    };
    Ok(replaced > 0)
}

pub(super) fn begin_epoch(connection: &Connection, epoch: &EpochRow, closes: u64) -> Answer<bool> {
    let Some(old) = epoch_of(connection, closes)?.filter(|old| old.state == EpochState::Open) else {
        return Ok(false);
    };
    if old.class != epoch.class {
        return Err(checks::OTHER_CLASS.into());
    }
    if epoch_of(connection, epoch.reference)?.is_some() {
        return Err(checks::EPOCH_TAKEN.into());
    }
    connection.execute(
        "UPDATE epoch SET state = ?2, closed = ?3 WHERE reference = ?1",
        params![stored(closes), EpochState::Closed as u8, signed(epoch.opened)],
    )?;
    put_epoch(connection, epoch)?;
    Ok(true)
}

/// Whether it is retired now, and whether that is a change.
pub(super) fn retire_epoch(connection: &Connection, epoch: u64) -> Answer<(bool, bool)> {
    match epoch_of(connection, epoch)?.map(|row| row.state) {
        Some(EpochState::Retired) => return Ok((true, false)),
        Some(EpochState::Closed) => {}
        _ => return Ok((false, false)),
    }
    if read::exists(connection, "SELECT 1 FROM subject WHERE epoch = ?1", [stored(epoch)])? {
        return Ok((false, false));
    }
    let retire = "UPDATE epoch SET state = ?2 WHERE reference = ?1";
    connection.execute(retire, params![stored(epoch), EpochState::Retired as u8])?;
    Ok((true, true))
}

pub(super) fn insert(
    connection: &Connection,
    row: &SubjectRow,
    joint: Option<&Joint>,
    names: Names,
) -> Answer<Inserted> {
    if !is_open(connection, row.epoch)? {
        return Ok(Inserted::EpochClosed);
    }
    let is_grave = read::is_grave(connection, &row.pseudonym)?;
    if is_grave && (names == Names::StayErased || is_shared(connection, &row.pseudonym)?) {
        return Ok(Inserted::Erased);
    }
    if names == Names::StayErased && joint.map_or(Ok(false), |joint| read::has_ended(connection, joint))? {
        return Ok(Inserted::Erased);
    }
    match read::newest(connection, &row.pseudonym)? {
        None if row.version != 1 => return Err(checks::FIRST_VERSION.into()),
        Some(newest) if newest.version.checked_add(1) != Some(row.version) => {
            return Ok(Inserted::Exists(newest));
        }
        _ => {}
    }
    let is_taken = read::exists(
        connection,
        "SELECT 1 FROM subject WHERE reference = ?1 UNION ALL SELECT 1 FROM tombstone WHERE reference = ?1",
        [stored(row.reference)],
    )?;
    if is_taken {
        return Ok(Inserted::ReferenceTaken);
    }
    if let Some(joint) = joint {
        match read::joint(connection, &joint.pseudonym)? {
            None => put_joint(connection, joint)?,
            Some(stored) if stored == *joint => {}
            Some(_) => return Err(checks::OTHER_JOINT.into()),
        }
    }
    if names == Names::MayBeNewPersons {
        connection.prepare_cached("DELETE FROM grave WHERE pseudonym = ?1")?.execute([&row.pseudonym])?;
    }
    put_subject(connection, row)?;
    Ok(Inserted::Done)
}

/// Whether a joint of this name has a key.
fn is_shared(connection: &Connection, name: &Pseudonym) -> Answer<bool> {
    for joint in read::joints(connection, name)? {
        if read::newest(connection, &joint.pseudonym)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn reseal(
    connection: &Connection,
    from: u64,
    to: u64,
    keys: &[ResealedKey],
) -> Answer<Option<usize>> {
    let Some(target) = epoch_of(connection, to)?.filter(|epoch| epoch.state == EpochState::Open) else {
        return Ok(None);
    };
    if epoch_of(connection, from)?.is_some_and(|source| source.class != target.class) {
        return Err(checks::OTHER_CLASS.into());
    }
    let mut moves = connection.prepare_cached(
        "UPDATE subject SET epoch = ?3, sealed_key = ?4 WHERE reference = ?1 AND epoch = ?2 AND live = 1",
    )?;
    let mut moved = 0;
    for key in keys {
        moved += moves.execute(params![stored(key.reference), stored(from), stored(to), key.sealed_key])?;
    }
    Ok(Some(moved))
}

pub(super) fn hold(connection: &Connection, hold: &Hold) -> Answer<bool> {
    let insert = "INSERT INTO hold (pseudonym, \"case\", since) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    Ok(connection.execute(insert, params![hold.pseudonym, hold.case, signed(hold.since)])? > 0)
}

pub(super) fn release(connection: &Connection, pseudonym: &Pseudonym, case: &[u8; 32]) -> Answer<bool> {
    let delete = "DELETE FROM hold WHERE pseudonym = ?1 AND \"case\" = ?2";
    Ok(connection.execute(delete, params![pseudonym, case])? > 0)
}

/// What became of it, and whether that is a change.
pub(super) fn bury(connection: &Connection, burial: &Burial) -> Answer<(Buried, bool)> {
    let last = read::last(connection, Numbered::Tombstones)?;
    if burial.after != last {
        return Ok((Buried::Behind { last }, false));
    }
    for (number, stone) in (last + 1..).zip(&burial.tombstones) {
        if read::tombstone(connection, stone.reference)?.is_some() {
            return Err(checks::DOUBLE_TOMBSTONE.into());
        }
        put_tombstone(connection, number, stone)?;
    }
    let mut changes = !burial.tombstones.is_empty();
    for name in &burial.names {
        changes |= put_grave(connection, name)?;
    }
    // What was written is undone by the caller unless it was done.
    for name in &burial.names {
        if lives_on(connection, name)? {
            return Ok((Buried::RowsChanged, false));
        }
    }
    for name in &burial.unless_on_hold {
        if read::exists(connection, "SELECT 1 FROM hold WHERE pseudonym = ?1", [name])? {
            return Ok((Buried::OnHold, false));
        }
    }
    Ok((Buried::Done, changes))
}

/// Whether a row of this grave, or of a joint that ends with it, has no tombstone.
fn lives_on(connection: &Connection, name: &Pseudonym) -> Answer<bool> {
    if read::newest(connection, name)?.is_some() {
        return Ok(true);
    }
    for joint in read::joints(connection, name)? {
        if read::has_ended(connection, &joint)? && read::newest(connection, &joint.pseudonym)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn remove(connection: &Connection, references: &[u64]) -> Answer<usize> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM subject WHERE reference = ?1 \
         AND (live = 0 OR EXISTS (SELECT 1 FROM tombstone WHERE tombstone.reference = ?1))",
    )?;
    let mut removed = 0;
    for reference in references {
        removed += delete.execute([stored(*reference)])?;
    }
    Ok(removed)
}

pub(super) fn append_receipts(
    connection: &Connection,
    after: u64,
    receipts: &[[u8; RECEIPT_LEN]],
) -> Answer<bool> {
    if read::last(connection, Numbered::Receipts)? != after {
        return Ok(false);
    }
    for (number, receipt) in (after + 1..).zip(receipts) {
        put_receipt(connection, number, receipt)?;
    }
    Ok(true)
}

pub(super) fn epoch_of(connection: &Connection, reference: u64) -> Answer<Option<EpochRow>> {
    let by_reference =
        "SELECT reference, class, state, opened, closed, envelope FROM epoch WHERE reference = ?1";
    read::one(connection, by_reference, [stored(reference)], columns::epoch)
}

fn is_open(connection: &Connection, epoch: u64) -> Answer<bool> {
    let state = connection
        .prepare_cached("SELECT state FROM epoch WHERE reference = ?1")?
        .query_row([stored(epoch)], |row| row.get::<_, i64>(0))
        .optional()?;
    Ok(state == Some(i64::from(EpochState::Open as u8)))
}

pub(super) fn put_epoch(connection: &Connection, row: &EpochRow) -> Answer<()> {
    connection.execute(
        "INSERT INTO epoch (reference, class, state, opened, closed, envelope) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            stored(row.reference),
            row.class as u8,
            row.state as u8,
            signed(row.opened),
            row.closed.map(signed),
            row.envelope
        ],
    )?;
    Ok(())
}

pub(super) fn put_subject(connection: &Connection, row: &SubjectRow) -> Answer<()> {
    let insert = "INSERT INTO subject (reference, pseudonym, scope, version, epoch, live, sealed_key) \
                  VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6)";
    connection.prepare_cached(insert)?.execute(params![
        stored(row.reference),
        row.pseudonym,
        row.scope,
        row.version,
        stored(row.epoch),
        row.sealed_key
    ])?;
    Ok(())
}

pub(super) fn put_joint(connection: &Connection, joint: &Joint) -> Answer<()> {
    connection
        .prepare_cached("INSERT INTO joint (pseudonym, ends, members) VALUES (?1, ?2, ?3)")?
        .execute(params![joint.pseudonym, joint.ends as u8, columns::members(&joint.members)])?;
    let mut member = connection.prepare_cached("INSERT INTO joint_member (member, joint) VALUES (?1, ?2)")?;
    for name in &joint.members {
        member.execute(params![name, joint.pseudonym])?;
    }
    Ok(())
}

pub(super) fn put_grave(connection: &Connection, name: &Pseudonym) -> Answer<bool> {
    let insert = "INSERT INTO grave (pseudonym) VALUES (?1) ON CONFLICT DO NOTHING";
    Ok(connection.prepare_cached(insert)?.execute([name])? > 0)
}

/// The row that it ends has no name from here on.
pub(super) fn put_tombstone(connection: &Connection, number: u64, stone: &Tombstone) -> Answer<()> {
    connection
        .prepare_cached("INSERT INTO tombstone (number, reference, bytes) VALUES (?1, ?2, ?3)")?
        .execute(params![signed(number), stored(stone.reference), stone.bytes])?;
    connection
        .prepare_cached("UPDATE subject SET live = 0 WHERE reference = ?1")?
        .execute([stored(stone.reference)])?;
    Ok(())
}

pub(super) fn put_receipt(connection: &Connection, number: u64, receipt: &[u8; RECEIPT_LEN]) -> Answer<()> {
    connection
        .prepare_cached("INSERT INTO receipt (number, bytes) VALUES (?1, ?2)")?
        .execute(params![signed(number), receipt])?;
    Ok(())
}
