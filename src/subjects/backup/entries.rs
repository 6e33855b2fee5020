//! Between what a key store gives and what stands in a backup.

use super::malformed;
use crate::{
    error::SubjectError,
    format::store_backup::BackupEntry,
    keystore::{Entry, EpochClass, EpochRow, EpochState, Hold, Joint, JointEnds, SubjectRow, Tombstone},
};

pub(in crate::subjects) fn fields_of(entry: &Entry) -> Result<BackupEntry<'_>, SubjectError> {
    Ok(match entry {
        Entry::Root(envelope) => BackupEntry::Root(envelope),
        Entry::Epoch(row) => BackupEntry::Epoch {
            reference: row.reference,
            class: row.class as u8,
            state: row.state as u8,
            opened: row.opened,
            closed: row.closed.unwrap_or(0),
            envelope: &row.envelope,
        },
        Entry::Subject(row) => BackupEntry::Subject {
            reference: row.reference,
            pseudonym: &row.pseudonym,
            scope: &row.scope,
            version: row.version,
            epoch: row.epoch,
            sealed_key: &row.sealed_key,
        },
        Entry::Joint(joint) => BackupEntry::Joint {
            pseudonym: &joint.pseudonym,
            ends: joint.ends as u8,
            members: joint.members.as_flattened(),
        },
        Entry::Hold(hold) => {
            BackupEntry::Hold { pseudonym: &hold.pseudonym, case: &hold.case, since: hold.since }
        }
        Entry::Grave(pseudonym) => BackupEntry::Grave(pseudonym),
        Entry::Tombstone(stone) => BackupEntry::Tombstone(&stone.bytes),
        Entry::Receipt(receipt) => BackupEntry::Receipt(receipt),
    })
}

pub(super) fn entry_of(fields: &BackupEntry<'_>) -> Result<Entry, SubjectError> {
    Ok(match *fields {
        BackupEntry::Root(envelope) => Entry::Root(envelope.to_vec()),
        BackupEntry::Epoch { reference, class, state, opened, closed, envelope } => Entry::Epoch(EpochRow {
            reference,
            class: if class == 0 { EpochClass::Subjects } else { EpochClass::Credentials },
            state: match state {
                0 => EpochState::Open,
                1 => EpochState::Closed,
                _ => EpochState::Retired,
            },
            opened,
            closed: (closed != 0).then_some(closed),
            envelope: envelope.to_vec(),
        }),
        BackupEntry::Subject { reference, pseudonym, scope, version, epoch, sealed_key } => {
            Entry::Subject(SubjectRow {
                reference,
                pseudonym: *pseudonym,
                scope: *scope,
                version,
                epoch,
                sealed_key: *sealed_key,
            })
        }
        BackupEntry::Joint { pseudonym, ends, members } => Entry::Joint(Joint {
            pseudonym: *pseudonym,
            ends: if ends == 0 { JointEnds::WithTheLast } else { JointEnds::WithTheFirst },
            members: members
                .chunks_exact(32)
                .map(|member| member.try_into().map_err(|_| malformed("a member of a joint")))
                .collect::<Result<_, _>>()?,
        }),
        BackupEntry::Hold { pseudonym, case, since } => {
            Entry::Hold(Hold { pseudonym: *pseudonym, case: *case, since })
        }
        BackupEntry::Grave(pseudonym) => Entry::Grave(*pseudonym),
        BackupEntry::Tombstone(bytes) => {
            let reference = crate::format::tombstone::decode(bytes).reference;
            Entry::Tombstone(Tombstone { reference, bytes: *bytes })
        }
        BackupEntry::Receipt(bytes) => Entry::Receipt(*bytes),
        BackupEntry::End { .. } => return Err(malformed("an end in the middle")),
    })
}
