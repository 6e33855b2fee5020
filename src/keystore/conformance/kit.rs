//! What the clauses store: rows whose bytes are seen wherever they turn up.

use super::super::answers::{Burial, Inserted, Names};
use super::super::rows::{
    EpochClass, EpochRow, EpochState, Hold, Joint, JointEnds, Pseudonym, ResealedKey, SEALED_KEY_LEN,
    SubjectRow, TOMBSTONE_LEN, Tombstone,
};
use super::{KeyStore, drive::asked};
use crate::conformance::{Fault, ensure};

pub(super) const ROOT: &[u8] = b"the envelope of the root";
pub(super) const FIRST: u64 = 0x8000_0000_0000_0001;
pub(super) const SECOND: u64 = 0x0000_0000_0000_0e02;
pub(super) const CREDENTIALS: u64 = 0x0000_0000_0000_c0de;

pub(super) fn epoch(reference: u64, class: EpochClass, opened: u64) -> EpochRow {
    let envelope = format!("the envelope of epoch {reference:x}").into_bytes();
    EpochRow { reference, class, state: EpochState::Open, opened, closed: None, envelope }
}

/// A pseudonym that no text of an honest store repeats.
pub(super) fn name(of: u32) -> Pseudonym {
    let mut name = *b"pseudonym-of-nobody-\x91\xe2\x07\xb3\x5c\xd8\x4f\xaa____";
    name[28..].copy_from_slice(&of.to_be_bytes());
    name
}

pub(super) fn row(of: u32, version: u32, epoch: u64) -> SubjectRow {
    let mut sealed_key = [0xa7; SEALED_KEY_LEN];
    sealed_key[..4].copy_from_slice(&of.to_be_bytes());
    sealed_key[4..8].copy_from_slice(&version.to_be_bytes());
    SubjectRow {
        reference: reference(of, version),
        pseudonym: name(of),
        scope: [0x5c; 16],
        version,
        epoch,
        sealed_key,
    }
}

/// References on both sides of 2^63, in another order than the names.
pub(super) const fn reference(of: u32, version: u32) -> u64 {
    ((of as u64) << 8 | version as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

pub(super) fn tombstone(reference: u64) -> Tombstone {
    let mut bytes = [0x7b; TOMBSTONE_LEN];
    bytes[..8].copy_from_slice(&reference.to_be_bytes());
    bytes[8..16].copy_from_slice(&SINCE.to_be_bytes());
    Tombstone { reference, bytes }
}

pub(super) fn burial(after: u64, rows: &[&SubjectRow]) -> Burial {
    let tombstones = rows.iter().map(|row| tombstone(row.reference)).collect();
    let mut names: Vec<Pseudonym> = rows.iter().map(|row| row.pseudonym).collect();
    names.dedup();
    Burial { after, tombstones, names, unless_on_hold: Vec::new() }
}

pub(super) fn joint(of: u32, ends: JointEnds, members: &[u32]) -> Joint {
    Joint { pseudonym: name(of), ends, members: members.iter().map(|member| name(*member)).collect() }
}

pub(super) fn hold(of: u32, case: u8, since: u64) -> Hold {
    Hold { pseudonym: name(of), case: [case; 32], since }
}

pub(super) fn resealed(row: &SubjectRow, with: u8) -> ResealedKey {
    ResealedKey { reference: row.reference, sealed_key: [with; SEALED_KEY_LEN] }
}

/// Creates the store with an epoch of each class.
pub(super) async fn found(store: &dyn KeyStore) -> Result<(), Fault> {
    let epochs = [epoch(FIRST, EpochClass::Subjects, 10), epoch(CREDENTIALS, EpochClass::Credentials, 11)];
    ensure!(asked("create", store.create(ROOT, &epochs)).await?, "create of an empty store was `false`");
    Ok(())
}

/// Inserts first versions under [`FIRST`].
pub(super) async fn people(
    store: &dyn KeyStore,
    all: impl IntoIterator<Item = u32>,
) -> Result<Vec<SubjectRow>, Fault> {
    let mut rows = Vec::new();
    for of in all {
        let row = row(of, 1, FIRST);
        inserted(store, &row, None).await?;
        rows.push(row);
    }
    Ok(rows)
}

pub(super) async fn inserted(
    store: &dyn KeyStore,
    row: &SubjectRow,
    joint: Option<&Joint>,
) -> Result<(), Fault> {
    let answer = asked("insert", store.insert(row, joint, Names::StayErased)).await?;
    ensure!(answer == Inserted::Done, "insert of a new row was not done");
    Ok(())
}

/// What tombstones of the kit say.
pub(super) const SINCE: u64 = 1_900_000_000;
