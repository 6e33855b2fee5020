//! The reading calls of the store in memory.
//!
//! Floor 4: looks into the maps and changes nothing.

use super::super::answers::{Found, Lookup};
use super::super::checks;
use super::super::rows::{Entry, EpochRow, Hold, Joint, Pseudonym, RECEIPT_LEN, SubjectRow, Tombstone};
use super::state::{Refusal, State};

type Answer<T> = Result<T, Refusal>;

impl State {
    pub(super) fn change(&self) -> Answer<u64> {
        self.not_loading()?;
        Ok(self.change)
    }

    pub(super) fn root(&self) -> Answer<Option<Vec<u8>>> {
        self.not_loading()?;
        Ok(self.root.clone())
    }

    pub(super) fn epochs(&self) -> Answer<Vec<EpochRow>> {
        self.ready()?;
        Ok(self.epochs.clone())
    }

    pub(super) fn get(&self, references: &[u64]) -> Answer<Vec<Lookup>> {
        self.ready()?;
        checks::batch(references.len())?;
        let look_up = |reference| match (self.ended.get(reference), self.rows.get(reference)) {
            (Some(since), _) => Lookup::Erased { since: *since },
            (None, Some(row)) => Lookup::Row(row.clone()),
            (None, None) => Lookup::Unknown,
        };
        Ok(references.iter().map(look_up).collect())
    }

    pub(super) fn find(&self, pseudonyms: &[Pseudonym]) -> Answer<Vec<Found>> {
        self.ready()?;
        checks::batch(pseudonyms.len())?;
        let find = |pseudonym| match self.newest(pseudonym) {
            _ if self.graves.contains(pseudonym) => Found::Erased,
            Some(row) => Found::Row(row.clone()),
            None => Found::Unknown,
        };
        Ok(pseudonyms.iter().map(find).collect())
    }

    pub(super) fn versions(&self, pseudonym: &Pseudonym) -> Answer<Vec<SubjectRow>> {
        self.ready()?;
        let of_name = self.names.range((*pseudonym, 0)..=(*pseudonym, u32::MAX));
        Ok(of_name.filter_map(|(_, reference)| self.rows.get(reference).cloned()).collect())
    }

    pub(super) fn scan(&self, epoch: u64, after: u64, limit: usize) -> Answer<Vec<SubjectRow>> {
        self.ready()?;
        let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
        let is_asked = |row: &&SubjectRow| row.epoch == epoch && !self.ended.contains_key(&row.reference);
        let rows = self.rows.range(first..).map(|(_, row)| row);
        Ok(rows.filter(is_asked).take(checks::limit(limit)).cloned().collect())
    }

    pub(super) fn joints(&self, member: &Pseudonym) -> Answer<Vec<Joint>> {
        self.ready()?;
        Ok(self.joints_of(member).cloned().collect())
    }

    pub(super) fn joints_of(&self, member: &Pseudonym) -> impl Iterator<Item = &Joint> {
        let of_member = self.members.range((*member, [0; 32])..=(*member, [0xff; 32]));
        of_member.filter_map(|(_, joint)| self.joints.get(joint))
    }

    pub(super) fn holds(&self, pseudonym: &Pseudonym) -> Answer<Vec<Hold>> {
        self.ready()?;
        let mut holds: Vec<Hold> = self.holds_of(pseudonym).cloned().collect();
        holds.sort_by_key(|hold| (hold.since, hold.case));
        Ok(holds)
    }

    pub(super) fn holds_of(&self, pseudonym: &Pseudonym) -> impl Iterator<Item = &Hold> {
        self.holds.range((*pseudonym, [0; 32])..=(*pseudonym, [0xff; 32])).map(|(_, hold)| hold)
    }

    pub(super) fn unremoved(&self, limit: usize) -> Answer<Vec<u64>> {
        self.ready()?;
        Ok(self.unremoved.iter().take(checks::limit(limit)).copied().collect())
    }

    pub(super) fn tombstones(&self, after: u64, limit: usize) -> Answer<Vec<Tombstone>> {
        self.ready()?;
        Ok(page(&self.tombstones, after, limit))
    }

    pub(super) fn receipts(&self, after: u64, limit: usize) -> Answer<Vec<[u8; RECEIPT_LEN]>> {
        self.ready()?;
        Ok(page(&self.receipts, after, limit))
    }

    /// Everything, in the order of a snapshot.
    pub(super) fn entries(&self) -> Answer<Vec<Entry>> {
        self.ready()?;
        let root = self.root.iter().cloned().map(Entry::Root);
        let all = root
            .chain(self.epochs.iter().cloned().map(Entry::Epoch))
            .chain(self.rows.values().cloned().map(Entry::Subject))
            .chain(self.joints.values().cloned().map(Entry::Joint))
            .chain(self.holds.values().cloned().map(Entry::Hold))
            .chain(self.graves.iter().copied().map(Entry::Grave))
            .chain(self.tombstones.iter().cloned().map(Entry::Tombstone))
            .chain(self.receipts.iter().copied().map(Entry::Receipt));
        Ok(all.collect())
    }
}

fn page<T: Clone>(all: &[T], after: u64, limit: usize) -> Vec<T> {
    let after = usize::try_from(after).unwrap_or(usize::MAX);
    all.iter().skip(after).take(checks::limit(limit)).cloned().collect()
}
