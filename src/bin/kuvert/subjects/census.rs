//! What lies in a store, counted without any key.

use std::sync::Arc;

use kuvert::keystore::{Entry, EpochClass, EpochRow, EpochState, KeyStore};
use kuvert::{ClaimedSlot, Header, KeyStoreError, Recipient};

use crate::names;

/// Everything that there is in one moment of a store.
#[derive(Default)]
pub(super) struct Census {
    /// The reference of the root, as its envelope claims.
    pub(super) store: Option<u64>,
    pub(super) change: u64,
    pub(super) epochs: Vec<EpochCount>,
    /// Keys, and those of them that are somebody's first.
    pub(super) keys: u64,
    pub(super) subjects: u64,
    pub(super) joints: u64,
    pub(super) holds: u64,
    pub(super) graves: u64,
    pub(super) tombstones: u64,
    pub(super) receipts: u64,
}

pub(super) struct EpochCount {
    pub(super) row: EpochRow,
    pub(super) keys: u64,
}

impl Census {
    /// `None` for a store that was never initialised.
    pub(super) async fn of(store: &Arc<dyn KeyStore>) -> Result<Option<Self>, KeyStoreError> {
        if store.root().await?.is_none() {
            return Ok(None);
        }
        let mut snapshot = store.snapshot().await?;
        let mut census = Self { change: snapshot.change(), ..Self::default() };
        loop {
            let page = snapshot.next(PAGE).await?;
            if page.is_empty() {
                return Ok(Some(census));
            }
            page.into_iter().for_each(|entry| census.count(entry));
        }
    }

    fn count(&mut self, entry: Entry) {
        match entry {
            Entry::Root(envelope) => self.store = store_of(&envelope),
            Entry::Epoch(row) => self.epochs.push(EpochCount { row, keys: 0 }),
            Entry::Subject(row) => {
                self.keys += 1;
                self.subjects += u64::from(row.version == 1);
                if let Some(epoch) = self.epochs.iter_mut().find(|epoch| epoch.row.reference == row.epoch) {
                    epoch.keys += 1;
                }
            }
            Entry::Joint(_) => self.joints += 1,
            Entry::Hold(_) => self.holds += 1,
            Entry::Grave(_) => self.graves += 1,
            Entry::Tombstone(_) => self.tombstones += 1,
            Entry::Receipt(_) => self.receipts += 1,
            _ => {}
        }
    }
}

/// The reference that a root envelope claims.
pub(super) fn store_of(envelope: &[u8]) -> Option<u64> {
    let header = Header::of_envelope(envelope).ok()?;
    let reference = header.claimed_context().find(|(name, _)| *name == "kuvert:reference");
    reference.and_then(|(_, hex)| u64::from_str_radix(hex, 16).ok())
}

/// Who can unwrap an envelope, as it claims.
pub(super) fn recipients(envelope: &[u8]) -> Vec<Recipient> {
    let Ok(header) = Header::of_envelope(envelope) else { return Vec::new() };
    let mut found = Vec::new();
    for slot in header.claimed_slots() {
        if let ClaimedSlot::Filled { recipients, .. } = slot {
            found.extend(recipients.iter().cloned());
        }
    }
    found
}

/// The same, with the shares of an all-of one by one.
pub(super) fn leaves(envelope: &[u8]) -> Vec<Recipient> {
    let each = |recipient: Recipient| {
        let shares = recipient.claimed_shares();
        if shares.is_empty() { vec![recipient] } else { shares }
    };
    recipients(envelope).into_iter().flat_map(each).collect()
}

/// The same in words.
pub(super) fn wrapped_by(envelope: &[u8]) -> String {
    let shown: Vec<String> = recipients(envelope).iter().map(names::recipient).collect();
    if shown.is_empty() { "nobody knows: its envelope is damaged".to_owned() } else { shown.join(" or ") }
}

pub(super) const fn class_name(class: EpochClass) -> &'static str {
    match class {
        EpochClass::Credentials => "credentials",
        _ => "subjects",
    }
}

pub(super) const fn state_name(state: EpochState) -> &'static str {
    match state {
        EpochState::Open => "open",
        EpochState::Closed => "closed",
        _ => "retired",
    }
}

const PAGE: usize = 4096;
