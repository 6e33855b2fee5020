//! Rows of SQLite as rows of a key store, and back.
//!
//! Floor 4: conversions that refuse what does not fit, since other programs can write to the file as well.

use rusqlite::Row;

use super::super::rows::{
    EpochClass, EpochRow, EpochState, Hold, Joint, JointEnds, Pseudonym, SubjectRow, Tombstone,
};
use super::failure::{Answer, Failure};

/// A reference as it is stored: the order of unsigned numbers becomes that of signed ones.
pub(super) const fn stored(reference: u64) -> i64 {
    i64::from_be_bytes((reference ^ FIRST_BIT).to_be_bytes())
}

pub(super) const fn reference(stored: i64) -> u64 {
    u64::from_be_bytes(stored.to_be_bytes()) ^ FIRST_BIT
}

/// Times and counts, which the checks have kept small enough.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> Answer<u64> {
    u64::try_from(number).map_err(|_| DAMAGED)
}

pub(super) fn bytes<const N: usize>(row: &Row<'_>, column: usize) -> Answer<[u8; N]> {
    let blob = row.get_ref(column)?.as_blob().map_err(|_| DAMAGED)?;
    blob.try_into().map_err(|_| DAMAGED)
}

/// `reference, pseudonym, scope, version, epoch, sealed_key`
pub(super) fn subject(row: &Row<'_>) -> Answer<SubjectRow> {
    Ok(SubjectRow {
        reference: reference(row.get(0)?),
        pseudonym: bytes(row, 1)?,
        scope: bytes(row, 2)?,
        version: u32::try_from(row.get::<_, i64>(3)?).map_err(|_| DAMAGED)?,
        epoch: reference(row.get(4)?),
        sealed_key: bytes(row, 5)?,
    })
}

/// `reference, class, state, opened, closed, envelope`
pub(super) fn epoch(row: &Row<'_>) -> Answer<EpochRow> {
    let class = match row.get::<_, i64>(1)? {
        0 => EpochClass::Subjects,
        1 => EpochClass::Credentials,
        _ => return Err(DAMAGED),
    };
    let state = match row.get::<_, i64>(2)? {
        0 => EpochState::Open,
        1 => EpochState::Closed,
        2 => EpochState::Retired,
        _ => return Err(DAMAGED),
    };
    Ok(EpochRow {
        reference: reference(row.get(0)?),
        class,
        state,
        opened: unsigned(row.get(3)?)?,
        closed: row.get::<_, Option<i64>>(4)?.map(unsigned).transpose()?,
        envelope: row.get(5)?,
    })
}

/// `pseudonym, ends, members`
pub(super) fn joint(row: &Row<'_>) -> Answer<Joint> {
    let ends = match row.get::<_, i64>(1)? {
        0 => JointEnds::WithTheLast,
        1 => JointEnds::WithTheFirst,
        _ => return Err(DAMAGED),
    };
    let members = row.get_ref(2)?.as_blob().map_err(|_| DAMAGED)?;
    let members = members.chunks(32).map(Pseudonym::try_from).collect::<Result<_, _>>();
    Ok(Joint { pseudonym: bytes(row, 0)?, ends, members: members.map_err(|_| DAMAGED)? })
}

pub(super) fn members(members: &[Pseudonym]) -> Vec<u8> {
    members.as_flattened().to_vec()
}

/// `pseudonym, case, since`
pub(super) fn hold(row: &Row<'_>) -> Answer<Hold> {
    Ok(Hold { pseudonym: bytes(row, 0)?, case: bytes(row, 1)?, since: unsigned(row.get(2)?)? })
}

/// `reference, bytes`
pub(super) fn tombstone(row: &Row<'_>) -> Answer<Tombstone> {
    let stone = Tombstone { reference: reference(row.get(0)?), bytes: bytes(row, 1)? };
    if Tombstone::reference_of(&stone.bytes) == stone.reference { Ok(stone) } else { Err(DAMAGED) }
}

const FIRST_BIT: u64 = 1 << 63;
const DAMAGED: Failure = Failure::damaged("a column holds what was never written there");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_references_keep_their_order() {
        let ascending = [1, 2, 1 << 62, (1 << 63) - 1, 1 << 63, u64::MAX - 1, u64::MAX];
        let as_stored = ascending.map(stored);
        assert!(as_stored.is_sorted_by(|a, b| a < b), "{as_stored:?}");
        assert_eq!(as_stored.map(reference), ascending);
    }
}
