//! The maps that the store in memory consists of.
//!
//! Floor 4: plain data and the two questions that every call asks first. What is done with them stands in the modules beside it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::checks::{NO_ROOT, UNFINISHED_LOAD};
use super::super::rows::{EpochRow, Hold, Joint, Pseudonym, RECEIPT_LEN, SubjectRow, Tombstone};

#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) change: u64,
    pub(super) root: Option<Vec<u8>>,
    /// While a backup is being loaded: the root it will have, and which sort of entry came last.
    pub(super) loading: Option<(Vec<u8>, u8)>,
    /// In the order in which they began.
    pub(super) epochs: Vec<EpochRow>,
    pub(super) rows: BTreeMap<u64, SubjectRow>,
    /// By name and version, those without a tombstone.
    pub(super) names: BTreeMap<(Pseudonym, u32), u64>,
    pub(super) joints: BTreeMap<Pseudonym, Joint>,
    /// Member, joint.
    pub(super) members: BTreeSet<(Pseudonym, Pseudonym)>,
    /// By name and case.
    pub(super) holds: BTreeMap<(Pseudonym, [u8; 32]), Hold>,
    pub(super) graves: BTreeSet<Pseudonym>,
    pub(super) tombstones: Vec<Tombstone>,
    /// When each reference was ended.
    pub(super) ended: BTreeMap<u64, u64>,
    /// Those which have a row still.
    pub(super) unremoved: BTreeSet<u64>,
    pub(super) receipts: Vec<[u8; RECEIPT_LEN]>,
}

/// Why a call is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Misuse(&'static str),
    Damaged(&'static str),
}

impl From<&'static str> for Refusal {
    fn from(why: &'static str) -> Self {
        Self::Misuse(why)
    }
}

impl State {
    /// Refuses what cannot be asked of a store without a root.
    pub(super) fn ready(&self) -> Result<(), Refusal> {
        self.not_loading()?;
        if self.root.is_none() { Err(NO_ROOT.into()) } else { Ok(()) }
    }

    pub(super) fn not_loading(&self) -> Result<(), Refusal> {
        if self.loading.is_some() { Err(Refusal::Damaged(UNFINISHED_LOAD)) } else { Ok(()) }
    }

    pub(super) fn epoch(&self, reference: u64) -> Option<&EpochRow> {
        self.epochs.iter().find(|epoch| epoch.reference == reference)
    }

    pub(super) fn newest(&self, pseudonym: &Pseudonym) -> Option<&SubjectRow> {
        let (_, reference) = self.names.range((*pseudonym, 0)..=(*pseudonym, u32::MAX)).next_back()?;
        self.rows.get(reference)
    }
}
