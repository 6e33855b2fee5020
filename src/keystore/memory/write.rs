//! The writing calls of the store in memory: each looks at everything first and then changes it.
//!
//! Floor 4: the order of the looks is the contract's, since it decides which of several answers is given.

use std::collections::BTreeSet;

use super::super::answers::{Burial, Buried, Inserted, Names};
use super::super::checks;
use super::super::rows::{
    EpochRow, EpochState, Hold, Joint, Pseudonym, RECEIPT_LEN, ResealedKey, SubjectRow,
};
use super::state::{Refusal, State};

type Answer<T> = Result<T, Refusal>;

impl State {
    pub(super) fn create(&mut self, root_envelope: &[u8], epochs: &[EpochRow]) -> Answer<bool> {
        checks::first_epochs(epochs)?;
        self.not_loading()?;
        if self.root.is_some() {
            return Ok(false);
        }
        self.root = Some(root_envelope.to_vec());
        self.epochs = epochs.to_vec();
        Ok(self.changed())
    }

    pub(super) fn replace_envelope(&mut self, epoch: Option<u64>, old: &[u8], new: &[u8]) -> Answer<bool> {
        self.ready()?;
        let place = match epoch {
            None => self.root.as_mut(),
            Some(reference) => {
                let row = self.epochs.iter_mut().find(|epoch| epoch.reference == reference);
                row.map(|epoch| &mut epoch.envelope)
            }
        };
        match place {
            Some(stored) if stored == old => {
                *stored = new.to_vec();
                Ok(self.changed())
            }
            _ => Ok(false),
        }
    }

    pub(super) fn begin_epoch(&mut self, epoch: &EpochRow, closes: u64) -> Answer<bool> {
        checks::new_epoch(epoch)?;
        self.ready()?;
        let taken = self.epoch(epoch.reference).is_some();
        let is_it = |old: &&mut EpochRow| old.reference == closes && old.state == EpochState::Open;
        let Some(old) = self.epochs.iter_mut().find(is_it) else { return Ok(false) };
        if old.class != epoch.class {
            return Err(checks::OTHER_CLASS.into());
        }
        if taken {
            return Err(checks::EPOCH_TAKEN.into());
        }
        (old.state, old.closed) = (EpochState::Closed, Some(epoch.opened));
        self.epochs.push(epoch.clone());
        Ok(self.changed())
    }

    pub(super) fn retire_epoch(&mut self, epoch: u64) -> Answer<bool> {
        self.ready()?;
        let is_empty = self.rows.values().all(|row| row.epoch != epoch);
        match self.epochs.iter_mut().find(|row| row.reference == epoch) {
            Some(row) if row.state == EpochState::Retired => Ok(true),
            Some(row) if row.state == EpochState::Closed && is_empty => {
                row.state = EpochState::Retired;
                Ok(self.changed())
            }
            _ => Ok(false),
        }
    }

    pub(super) fn insert(
        &mut self,
        row: &SubjectRow,
        joint: Option<&Joint>,
        names: Names,
    ) -> Answer<Inserted> {
        checks::joint_of(row, joint)?;
        self.ready()?;
        if self.epoch(row.epoch).is_none_or(|epoch| epoch.state != EpochState::Open) {
            return Ok(Inserted::EpochClosed);
        }
        let has_ended = joint.is_some_and(|joint| joint.has_ended(|name| self.graves.contains(name)));
        let is_grave = self.graves.contains(&row.pseudonym);
        let is_shared =
            is_grave && self.joints_of(&row.pseudonym).any(|joint| self.newest(&joint.pseudonym).is_some());
        if is_shared || (names == Names::StayErased && (is_grave || has_ended)) {
            return Ok(Inserted::Erased);
        }
        match self.newest(&row.pseudonym) {
            None if row.version != 1 => return Err(checks::FIRST_VERSION.into()),
            Some(newest) if newest.version.checked_add(1) != Some(row.version) => {
                return Ok(Inserted::Exists(newest.clone()));
            }
            _ => {}
        }
        if self.rows.contains_key(&row.reference) || self.ended.contains_key(&row.reference) {
            return Ok(Inserted::ReferenceTaken);
        }
        if let Some(joint) = joint {
            if self.joints.get(&joint.pseudonym).is_some_and(|stored| stored != joint) {
                return Err(checks::OTHER_JOINT.into());
            }
            self.put_joint(joint);
        }
        self.graves.remove(&row.pseudonym);
        self.put_row(row);
        self.changed();
        Ok(Inserted::Done)
    }

    pub(super) fn insert_many(&mut self, rows: &[SubjectRow], names: Names) -> Answer<Vec<Inserted>> {
        checks::subjects(rows)?;
        self.ready()?;
        let before = self.change;
        let (mut answers, mut done) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in rows {
            let was_grave = self.graves.contains(&row.pseudonym);
            match self.insert(row, None, names) {
                Ok(answer) => {
                    if answer == Inserted::Done {
                        done.push((row, was_grave));
                    }
                    answers.push(answer);
                }
                Err(refusal) => {
                    done.into_iter().rev().for_each(|(row, was_grave)| self.take_back(row, was_grave));
                    self.change = before;
                    return Err(refusal);
                }
            }
        }
        // One change, as it is one step.
        self.change = self.change.min(before + 1);
        Ok(answers)
    }

    fn take_back(&mut self, row: &SubjectRow, was_grave: bool) {
        self.rows.remove(&row.reference);
        self.names.remove(&(row.pseudonym, row.version));
        if was_grave {
            self.graves.insert(row.pseudonym);
        }
    }

    pub(super) fn reseal(&mut self, from: u64, to: u64, keys: &[ResealedKey]) -> Answer<Option<usize>> {
        checks::reseal(from, to, keys)?;
        self.ready()?;
        let Some(target) = self.epoch(to).filter(|epoch| epoch.state == EpochState::Open) else {
            return Ok(None);
        };
        if self.epoch(from).is_some_and(|source| source.class != target.class) {
            return Err(checks::OTHER_CLASS.into());
        }
        let mut moved = 0;
        for key in keys.iter().filter(|key| !self.ended.contains_key(&key.reference)) {
            let row = self.rows.get_mut(&key.reference).filter(|row| row.epoch == from);
            if let Some(row) = row {
                (row.epoch, row.sealed_key) = (to, key.sealed_key);
                moved += 1;
            }
        }
        self.change += u64::from(moved > 0);
        Ok(Some(moved))
    }

    pub(super) fn hold(&mut self, hold: &Hold) -> Answer<bool> {
        checks::hold(hold)?;
        self.ready()?;
        let key = (hold.pseudonym, hold.case);
        if self.holds.contains_key(&key) {
            return Ok(false);
        }
        self.holds.insert(key, hold.clone());
        Ok(self.changed())
    }

    pub(super) fn release(&mut self, pseudonym: &Pseudonym, case: &[u8; 32]) -> Answer<bool> {
        self.ready()?;
        Ok(self.holds.remove(&(*pseudonym, *case)).is_some() && self.changed())
    }

    pub(super) fn bury(&mut self, burial: &Burial) -> Answer<Buried> {
        checks::burial(burial)?;
        self.ready()?;
        let last = self.tombstones.len() as u64;
        if burial.after != last {
            return Ok(Buried::Behind { last });
        }
        if burial.tombstones.iter().any(|stone| self.ended.contains_key(&stone.reference)) {
            return Err(checks::DOUBLE_TOMBSTONE.into());
        }
        let ended: BTreeSet<u64> = burial.tombstones.iter().map(|stone| stone.reference).collect();
        let graves: BTreeSet<Pseudonym> = burial.names.iter().copied().collect();
        if graves.iter().any(|name| self.outlives(name, &graves, &ended)) {
            return Ok(Buried::RowsChanged);
        }
        if burial.unless_on_hold.iter().any(|name| self.holds_of(name).next().is_some()) {
            return Ok(Buried::OnHold);
        }
        let graves_before = self.graves.len();
        self.graves.extend(graves);
        burial.tombstones.iter().for_each(|stone| self.put_tombstone(stone.clone()));
        self.change += u64::from(!ended.is_empty() || self.graves.len() > graves_before);
        Ok(Buried::Done)
    }

    /// Whether a row of this name, or of a joint that ends with it, would be left without a tombstone.
    fn outlives(&self, name: &Pseudonym, graves: &BTreeSet<Pseudonym>, ended: &BTreeSet<u64>) -> bool {
        let is_grave = |name: &Pseudonym| graves.contains(name) || self.graves.contains(name);
        let joints = self.joints_of(name).filter(|joint| joint.has_ended(is_grave));
        joints.map(|joint| &joint.pseudonym).chain([name]).any(|name| {
            self.names.range((*name, 0)..=(*name, u32::MAX)).any(|(_, reference)| !ended.contains(reference))
        })
    }

    pub(super) fn remove(&mut self, references: &[u64]) -> Answer<usize> {
        checks::batch(references.len())?;
        self.ready()?;
        let mut removed = 0;
        for reference in references {
            if self.unremoved.remove(reference) {
                self.rows.remove(reference);
                removed += 1;
            }
        }
        self.change += u64::from(removed > 0);
        Ok(removed)
    }

    pub(super) fn append_receipts(&mut self, after: u64, receipts: &[[u8; RECEIPT_LEN]]) -> Answer<bool> {
        checks::batch(receipts.len())?;
        self.ready()?;
        if after != self.receipts.len() as u64 {
            return Ok(false);
        }
        self.receipts.extend_from_slice(receipts);
        self.change += u64::from(!receipts.is_empty());
        Ok(true)
    }

    /// Counts a change; `true`, as the answer of what was done.
    fn changed(&mut self) -> bool {
        self.change += 1;
        true
    }
}
