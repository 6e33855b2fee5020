//! What no store takes, whatever it holds: calls that are wrong in themselves.
//!
//! Floor 4: judges arguments alone, so that every store of this crate refuses the same ones with the same words.

use super::answers::Burial;
use super::rows::{EpochRow, EpochState, Hold, Joint, MAX_BATCH, ResealedKey, SubjectRow, Tombstone};

/// `Err` says what is wrong, in words that hold nothing of the arguments.
pub(super) type Check = Result<(), &'static str>;

pub(super) fn batch(len: usize) -> Check {
    refuse_if(len > MAX_BATCH, "more than 65536 of them in one call; make it several")
}

/// How many to give of what `limit` asks for.
pub(super) fn limit(limit: usize) -> usize {
    limit.min(MAX_BATCH)
}

pub(super) fn first_epochs(epochs: &[EpochRow]) -> Check {
    for (place, row) in epochs.iter().enumerate() {
        new_epoch(row)?;
        let others = &epochs[..place];
        refuse_if(
            others.iter().any(|other| other.reference == row.reference || other.class == row.class),
            "two open epochs of one class or of one reference",
        )?;
    }
    Ok(())
}

pub(super) fn new_epoch(row: &EpochRow) -> Check {
    epoch(row)?;
    refuse_if(row.state != EpochState::Open || row.closed.is_some(), "a new epoch has to be open")
}

pub(super) fn epoch(row: &EpochRow) -> Check {
    refuse_if(row.reference == 0, "an epoch's reference is never zero")?;
    refuse_if(row.envelope.is_empty(), "an epoch needs its envelope")?;
    refuse_if(
        (row.state == EpochState::Open) != row.closed.is_none(),
        "an epoch is either open or has ended",
    )?;
    time(row.opened)?;
    time(row.closed.unwrap_or(0))
}

pub(super) fn subject(row: &SubjectRow) -> Check {
    refuse_if(row.reference == 0, "a subject key's reference is never zero")?;
    refuse_if(row.version == 0, "versions begin at 1")
}

pub(super) fn joint_of(row: &SubjectRow, joint: Option<&Joint>) -> Check {
    subject(row)?;
    let Some(joint) = joint else { return Ok(()) };
    refuse_if(joint.pseudonym != row.pseudonym, "the joint stands for others than the row")?;
    self::joint(joint)
}

pub(super) fn joint(joint: &Joint) -> Check {
    refuse_if(joint.members.len() < 2, "a joint has two members or more")?;
    batch(joint.members.len())?;
    refuse_if(
        joint.members.windows(2).any(|pair| pair[0] >= pair[1]),
        "a joint's members ascend, each of them once",
    )
}

pub(super) fn subjects(rows: &[SubjectRow]) -> Check {
    batch(rows.len())?;
    rows.iter().try_for_each(subject)
}

pub(super) fn reseal(from: u64, to: u64, keys: &[ResealedKey]) -> Check {
    batch(keys.len())?;
    refuse_if(from == to, "rows move from one epoch to another")
}

pub(super) fn hold(hold: &Hold) -> Check {
    time(hold.since)
}

pub(super) fn burial(burial: &Burial) -> Check {
    batch(burial.tombstones.len())?;
    batch(burial.names.len())?;
    batch(burial.unless_on_hold.len())?;
    burial.tombstones.iter().try_for_each(tombstone)?;
    let mut references: Vec<u64> = burial.tombstones.iter().map(|stone| stone.reference).collect();
    references.sort_unstable();
    refuse_if(references.windows(2).any(|pair| pair[0] == pair[1]), DOUBLE_TOMBSTONE)
}

pub(super) fn tombstone(tombstone: &Tombstone) -> Check {
    refuse_if(tombstone.reference == 0, "a tombstone's reference is never zero")?;
    refuse_if(
        Tombstone::reference_of(&tombstone.bytes) != tombstone.reference,
        "a tombstone that says another reference than its bytes",
    )?;
    time(tombstone.since())
}

/// Engines keep times as signed numbers.
fn time(seconds: u64) -> Check {
    refuse_if(seconds > i64::MAX.unsigned_abs(), "a time beyond 2^63 seconds")
}

fn refuse_if(is_wrong: bool, why: &'static str) -> Check {
    if is_wrong { Err(why) } else { Ok(()) }
}

pub(super) const DOUBLE_TOMBSTONE: &str = "two tombstones for one reference";
pub(super) const NO_ROOT: &str = "it has no root yet; create it, or load a backup into it";
pub(super) const HAS_ROOT: &str = "it has a root; a backup is loaded into an empty store only";
pub(super) const UNFINISHED_LOAD: &str = "a restore into it was begun and not finished; begin it anew";
pub(super) const OTHER_JOINT: &str = "the joint of that pseudonym has other members";
pub(super) const OTHER_CLASS: &str = "epochs of different classes";
pub(super) const FIRST_VERSION: &str = "the first version of a subject's key is 1";
pub(super) const EPOCH_TAKEN: &str = "that reference is another epoch's";
pub(super) const OUT_OF_ORDER: &str = "entries that are not in the order of a snapshot, or not whole";
