//! Receipts: what an erasure has reached, since when, and what it does not reach.
//!
//! Floor 6. A state is written down when it is known and never taken back. Page on [erasure](crate::manual::erasure).

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    time::{Duration, SystemTime},
};

use super::{
    shared::Shared,
    tombstones::{Chain, Head},
};
use crate::{
    error::SubjectError,
    format::tombstone::{Link, mac_of},
};

/// What became of an erasure, with the times from which on each state holds.
///
/// # Security
///
/// It speaks of keys. What was opened before and kept elsewhere in clear, it cannot reach: [`not_covered`](Self::not_covered).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The keys that were ended, by their references, with the time of each tombstone. None, if nothing was ever sealed
    /// for the data subject.
    pub keys: Vec<(u64, SystemTime)>,
    /// When the first of the tombstones was durable.
    pub requested: Option<SystemTime>,
    /// From when on no process uses any of these keys.
    pub unusable: Option<SystemTime>,
    /// From when on no copy of the key store gives any of them back, whatever medium it is on.
    pub irrevocable: Option<SystemTime>,
    /// Whether the data subject was erased before this call.
    pub was_erased_before: bool,
}

/// How far an erasure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u16)]
pub enum ReceiptState {
    /// The tombstones are durable: nothing that looks a key up from now on gets it.
    Requested = 1,
    /// The rows are gone, and so is every cached copy of the keys.
    Unusable = 2,
    /// The wrapping keys of all epochs that the keys may have been under are gone.
    Irrevocable = 3,
}

/// What an erasure does not reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotCovered {
    /// Plaintext that was opened before and lies elsewhere: logs, exports, caches and memory of applications, mail.
    OpenedPlaintext,
    /// Data that was never sealed for this data subject, or was sealed for another one too.
    DataSealedForOthers,
    /// Rows of blind indexes, which the application deletes.
    BlindIndexes,
    /// Older copies of the key store, as long as a wrapping key of an epoch of theirs exists.
    OlderCopiesOfTheKeyStore,
    /// The wrapping keys of epochs in key files, of which nobody can say that no copy exists.
    KeyFiles,
}

impl Receipt {
    /// The furthest state that is reached at `now`.
    #[must_use]
    pub fn state(&self, now: SystemTime) -> Option<ReceiptState> {
        let reached = |at: Option<SystemTime>| at.is_some_and(|at| at <= now);
        if reached(self.irrevocable) {
            Some(ReceiptState::Irrevocable)
        } else if reached(self.unusable) {
            Some(ReceiptState::Unusable)
        } else {
            self.requested.map(|_| ReceiptState::Requested)
        }
    }

    /// What this erasure does not reach, as far as it is now.
    #[must_use]
    pub fn not_covered(&self) -> Vec<NotCovered> {
        let mut list =
            vec![NotCovered::OpenedPlaintext, NotCovered::DataSealedForOthers, NotCovered::BlindIndexes];
        if self.irrevocable.is_none() {
            list.extend([NotCovered::OlderCopiesOfTheKeyStore, NotCovered::KeyFiles]);
        }
        list
    }
}

impl fmt::Display for NotCovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenedPlaintext => "what was opened before and kept elsewhere in clear",
            Self::DataSealedForOthers => "data that was not sealed under this data subject's keys",
            Self::BlindIndexes => "rows of blind indexes that were not deleted",
            Self::OlderCopiesOfTheKeyStore => {
                "older copies of the key store, until the wrapping keys of their epochs are destroyed"
            }
            Self::KeyFiles => "wrapping keys in key files, whose destruction nobody can confirm",
        })
    }
}

/// What [`Subjects::verify_receipts`](super::Subjects::verify_receipts) found: every link of both chains is in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ReceiptsReport {
    /// Keys that were ended.
    pub tombstones: u64,
    /// Of these, how many have a receipt that they are unusable.
    pub unusable: u64,
    /// Of these, how many have a receipt that they are irrevocably gone.
    pub irrevocable: u64,
    /// Epochs whose wrapping keys were seen to be gone.
    pub destroyed_epochs: u64,
}

/// What the receipts say about one reference.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct States([Option<u64>; 3]);

impl States {
    /// From when on a state holds, in Unix seconds.
    pub(crate) fn get(&self, state: ReceiptState) -> Option<u64> {
        self.0[state as usize - 1]
    }
}

/// A receipt to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slip {
    pub(crate) reference: u64,
    pub(crate) code: u16,
    pub(crate) time: u64,
    pub(crate) request: [u8; 32],
}

impl Slip {
    /// That the key of a tombstone has reached a state.
    pub(crate) const fn of(tombstone: &Link, state: ReceiptState, time: u64) -> Self {
        Self { reference: tombstone.reference, code: state as u16, time, request: tombstone.request }
    }
}

/// All that the receipts say.
#[derive(Debug, Default)]
pub(crate) struct Slips {
    pub(crate) keys: HashMap<u64, States>,
    /// Epochs whose wrapping keys are gone, with the time when that was seen.
    pub(crate) epochs: HashMap<u64, u64>,
}

impl Slips {
    pub(crate) fn note(&mut self, link: &Link) {
        match link.code {
            EPOCH_GONE => {
                self.epochs.entry(link.reference).or_insert(link.time);
            }
            code @ 1..=3 => {
                let states = self.keys.entry(link.reference).or_default();
                states.0[usize::from(code) - 1].get_or_insert(link.time);
            }
            // A later release knows more states.
            _ => {}
        }
    }
}

impl Shared {
    /// Everything that the receipts say, verified from the first one.
    pub(crate) async fn slips(&self) -> Result<Slips, SubjectError> {
        let mut slips = Slips::default();
        let note = |_, link: &Link, _: &_| {
            slips.note(link);
            Ok(())
        };
        let head = self.walk(Chain::Receipts, Head::default(), note).await?;
        self.note_head(Chain::Receipts, head);
        Ok(slips)
    }

    /// Appends receipts, after whatever others have appended.
    // fmt: J-11
    pub(crate) async fn write_slips(&self, slips: &[Slip]) -> Result<(), SubjectError> {
        for slips in slips.chunks(super::tombstones::PAGE) {
            let mut attempts = 0;
            loop {
                let mut head = self.head_of(Chain::Receipts).await?;
                let after = head.number;
                let mut bytes = Vec::with_capacity(slips.len());
                for Slip { reference, code, time, request } in slips.iter().copied() {
                    let link = Link { reference, time, code, request };
                    let receipt = self.root.receipts().append(&head.mac, &link);
                    head = Head { number: head.number + 1, mac: mac_of(&receipt) };
                    bytes.push(receipt);
                }
                if self.store.append_receipts(after, &bytes).await? {
                    self.note_head(Chain::Receipts, head);
                    break;
                }
                attempts += 1;
                if attempts > ATTEMPTS {
                    return Err(self.too_busy());
                }
            }
        }
        Ok(())
    }

    /// Writes what is missing: that keys were requested to be erased, and that they are unusable once their rows are gone.
    pub(crate) async fn complete_receipts(&self) -> Result<(), SubjectError> {
        let slips = self.slips().await?;
        // By number: a later tombstone never comes before an earlier one.
        let mut missing = BTreeMap::new();
        let find = |number, link: &Link, _: &_| {
            let states = slips.keys.get(&link.reference).copied().unwrap_or_default();
            if states.get(ReceiptState::Requested).is_none() || states.get(ReceiptState::Unusable).is_none() {
                missing.insert(number, (*link, states));
            }
            Ok(())
        };
        self.walk(Chain::Tombstones, Head::default(), find).await?;
        let unusable = self.unusable_from();
        let mut write = Vec::new();
        for (link, states) in missing.values() {
            if states.get(ReceiptState::Requested).is_none() {
                write.push(Slip::of(link, ReceiptState::Requested, link.time));
            }
            if states.get(ReceiptState::Unusable).is_none() {
                write.push(Slip::of(link, ReceiptState::Unusable, unusable));
            }
        }
        self.write_slips(&write).await
    }

    /// From when on no cache holds a key whose row is gone now.
    pub(crate) fn unusable_from(&self) -> u64 {
        let age = self.options.max_age;
        // Rounded up: a receipt never promises too early.
        let age = age.as_secs().saturating_add(u64::from(age.subsec_nanos() > 0)).saturating_add(1);
        self.unix_seconds().saturating_add(age)
    }

    /// The receipt over these tombstones.
    pub(crate) fn receipt(&self, tombstones: &[Link], slips: &Slips, was_erased_before: bool) -> Receipt {
        let all = |state| {
            let times: Option<Vec<u64>> = tombstones
                .iter()
                .map(|link| slips.keys.get(&link.reference).and_then(|states| states.get(state)))
                .collect();
            times.and_then(|times| times.into_iter().max()).map(moment)
        };
        Receipt {
            keys: tombstones.iter().map(|link| (link.reference, moment(link.time))).collect(),
            requested: tombstones.iter().map(|link| moment(link.time)).min(),
            unusable: all(ReceiptState::Unusable),
            irrevocable: all(ReceiptState::Irrevocable),
            was_erased_before,
        }
    }

    /// Verifies both chains, link by link.
    pub(crate) async fn verify_receipts(&self) -> Result<ReceiptsReport, SubjectError> {
        let slips = self.slips().await?;
        let mut report =
            ReceiptsReport { destroyed_epochs: slips.epochs.len() as u64, ..ReceiptsReport::default() };
        let count = |_, link: &Link, _: &_| {
            let states = slips.keys.get(&link.reference).copied().unwrap_or_default();
            report.tombstones += 1;
            report.unusable += u64::from(states.get(ReceiptState::Unusable).is_some());
            report.irrevocable += u64::from(states.get(ReceiptState::Irrevocable).is_some());
            Ok(())
        };
        self.walk(Chain::Tombstones, Head::default(), count).await?;
        Ok(report)
    }
}

/// Unix seconds as a moment. Links are verified before they are shown, so the times are those that a clock gave.
pub(crate) fn moment(seconds: u64) -> SystemTime {
    let seconds = Duration::from_secs(seconds.min(LAST_SECOND));
    SystemTime::UNIX_EPOCH.checked_add(seconds).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// In the code of a receipt: the wrapping keys of the epoch with this reference are gone.
pub(crate) const EPOCH_GONE: u16 = 4;
/// Times that a write is made anew because others were faster.
pub(crate) const ATTEMPTS: usize = 64;
/// A second that every system can express, in the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;
