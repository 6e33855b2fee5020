//! Filling the store in memory from a snapshot's entries, and putting single rows in their places.
//!
//! Floor 4: the only way in for rows that other stores made, hence the looks at order and wholeness.

use std::mem;

use super::super::checks;
use super::super::rows::{Entry, EpochRow, EpochState, Joint, SubjectRow, Tombstone};
use super::state::{Refusal, State};

impl State {
    pub(super) fn load(&mut self, entries: &[Entry], end: Option<u64>) -> Result<(), Refusal> {
        checks::batch(entries.len())?;
        if self.root.is_some() {
            return Err(checks::HAS_ROOT.into());
        }
        if let Some(Entry::Root(envelope)) = entries.first() {
            *self = Self { change: self.change, loading: Some((envelope.clone(), 0)), ..Self::default() };
        }
        for (place, entry) in entries.iter().enumerate() {
            self.put(entry, place)?;
        }
        let Some((envelope, _)) = self.loading.as_mut() else { return Err(checks::OUT_OF_ORDER.into()) };
        if let Some(change) = end {
            let root = mem::take(envelope);
            (self.root, self.loading) = (Some(root), None);
            self.change = self.change.max(change);
            self.index_names()?;
        }
        self.change += 1;
        Ok(())
    }

    /// Once the tombstones are known: a removed name and its next bearer may both have a version 1.
    fn index_names(&mut self) -> Result<(), Refusal> {
        for row in self.rows.values().filter(|row| !self.ended.contains_key(&row.reference)) {
            if self.names.insert((row.pseudonym, row.version), row.reference).is_some() {
                return Err(checks::OUT_OF_ORDER.into());
            }
        }
        Ok(())
    }

    fn put(&mut self, entry: &Entry, place: usize) -> Result<(), Refusal> {
        let Some((_, last)) = self.loading.as_mut() else { return Err(checks::OUT_OF_ORDER.into()) };
        if entry.order() < *last || (entry.order() == 0 && place > 0) {
            return Err(checks::OUT_OF_ORDER.into());
        }
        *last = entry.order();
        let is_new = match entry {
            Entry::Root(_) => true,
            Entry::Epoch(row) => self.put_epoch(row)?,
            Entry::Subject(row) => {
                checks::subject(row)?;
                self.epoch(row.epoch).is_some() && self.rows.insert(row.reference, row.clone()).is_none()
            }
            Entry::Joint(joint) => {
                checks::joint(joint)?;
                !self.joints.contains_key(&joint.pseudonym) && {
                    self.put_joint(joint);
                    true
                }
            }
            Entry::Hold(hold) => {
                checks::hold(hold)?;
                self.holds.insert((hold.pseudonym, hold.case), hold.clone()).is_none()
            }
            Entry::Grave(pseudonym) => self.graves.insert(*pseudonym),
            Entry::Tombstone(stone) => {
                checks::tombstone(stone)?;
                !self.ended.contains_key(&stone.reference) && {
                    self.put_tombstone(stone.clone());
                    true
                }
            }
            Entry::Receipt(receipt) => {
                self.receipts.push(*receipt);
                true
            }
        };
        if is_new { Ok(()) } else { Err(checks::OUT_OF_ORDER.into()) }
    }

    fn put_epoch(&mut self, row: &EpochRow) -> Result<bool, Refusal> {
        checks::epoch(row)?;
        let is_open = |other: &EpochRow| other.class == row.class && other.state == EpochState::Open;
        let clashes = row.state == EpochState::Open && self.epochs.iter().any(is_open);
        if clashes || self.epoch(row.reference).is_some() {
            return Ok(false);
        }
        self.epochs.push(row.clone());
        Ok(true)
    }

    pub(super) fn put_row(&mut self, row: &SubjectRow) {
        self.names.insert((row.pseudonym, row.version), row.reference);
        self.rows.insert(row.reference, row.clone());
    }

    pub(super) fn put_joint(&mut self, joint: &Joint) {
        self.members.extend(joint.members.iter().map(|member| (*member, joint.pseudonym)));
        self.joints.insert(joint.pseudonym, joint.clone());
    }

    pub(super) fn put_tombstone(&mut self, stone: Tombstone) {
        self.ended.insert(stone.reference, stone.since());
        if let Some(row) = self.rows.get(&stone.reference) {
            self.names.remove(&(row.pseudonym, row.version));
            self.unremoved.insert(stone.reference);
        }
        self.tombstones.push(stone);
    }
}
