//! Destroying the wrapping keys of retired epochs, and seeing that they are gone.
//!
//! Floor 6. What an envelope lists is a claim once its key is gone; a key that anything else still needs is never
//! destroyed, and one in a key file is never taken for gone. Page on [erasure](crate::manual::erasure).

use std::{collections::BTreeMap, time::SystemTime};

use crate::{
    crypto::kdf::sha256,
    error::{ProviderErrorKind, SubjectError},
    format::{
        header::{ClaimedSlot, Header},
        stanza::{Recipient, RecipientType},
        tombstone::Link,
    },
    keystore::{EpochRow, EpochState},
    provider::{KeyCustodian, KeyProvider, WrapContext},
    subjects::{
        Subjects, VerifiedBackup,
        receipt::{EPOCH_GONE, ReceiptState, Slip, Slips},
        shared::Shared,
        tombstones::{Chain, Head},
    },
};

/// A wrapping key that nothing but older copies of the key store needs any more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyToDestroy {
    /// The retired epoch that it wraps.
    pub epoch: u64,
    /// How it wraps.
    pub recipient_type: RecipientType,
    /// Its public id, such as an ARN or a label in a token.
    pub id: String,
}

impl KeyToDestroy {
    /// Those of one epoch.
    pub(super) fn all_of(row: &EpochRow) -> Vec<Self> {
        let recipients = Header::of_envelope(&row.envelope).map(|header| leaves(&header)).unwrap_or_default();
        let key = |recipient: Recipient| Self {
            epoch: row.reference,
            recipient_type: recipient.recipient_type(),
            id: recipient.id_lossy(),
        };
        let mut keys: Vec<Self> = recipients.into_iter().map(key).collect();
        keys.dedup();
        keys
    }
}

impl Subjects {
    /// The wrapping keys of all retired epochs that were not seen to be gone.
    ///
    /// # Errors
    ///
    /// What the key store failed with; [`SubjectError::ChainTampered`].
    pub async fn keys_to_destroy(&self) -> Result<Vec<KeyToDestroy>, SubjectError> {
        let slips = self.shared().slips().await?;
        let rows = self.shared().store.epochs().await?;
        let waiting = rows
            .iter()
            .filter(|row| row.state == EpochState::Retired && !slips.epochs.contains_key(&row.reference));
        Ok(waiting.flat_map(KeyToDestroy::all_of).collect())
    }

    /// Has wrapping keys of retired epochs destroyed, and says from when on each is gone for good. This cannot be undone: every copy
    /// of the key store from before the roll becomes noise.
    ///
    /// `backup` is what [`check_backup`](Self::check_backup) gave for a backup that was made after the roll.
    ///
    /// # Errors
    ///
    /// [`SubjectError::Refused`], and no key is touched, if the backup is another store's or from before the roll, or a key is not
    /// one of a retired epoch, or the root or a living epoch has a wrap by it; [`SubjectError::Provider`] for the first key that the
    /// custodian did not destroy.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves some of the keys destroyed.
    pub async fn destroy_epoch_keys(
        &self,
        keys: &[KeyToDestroy],
        custodian: &dyn KeyCustodian,
        backup: &VerifiedBackup,
    ) -> Result<Vec<SystemTime>, SubjectError> {
        let shared = self.shared();
        if backup.store() != shared.root.reference() {
            return Err(SubjectError::Refused("the backup is of another key store"));
        }
        if !keys.iter().all(|key| backup.has_retired(key.epoch)) {
            return Err(SubjectError::Refused(
                "the backup was made before the roll: make and check a new one",
            ));
        }
        shared.check_unneeded(keys).await?;
        let mut gone: Vec<SystemTime> = Vec::with_capacity(keys.len());
        for (place, key) in keys.iter().enumerate() {
            // One wrapping key may be that of several epochs, such as those of both classes: it is destroyed once.
            let is_same =
                |other: &KeyToDestroy| other.recipient_type == key.recipient_type && other.id == key.id;
            gone.push(match keys[..place].iter().position(is_same) {
                Some(before) => gone[before],
                None => custodian.schedule_destruction(&key.id).await?,
            });
        }
        Ok(gone)
    }

    /// Asks whether the wrapping keys of retired epochs are gone, and writes the receipts that follow: that an epoch's are, and
    /// that a data subject's keys are irrevocably gone, once that is so of every epoch they may have been under. Gives how
    /// many keys of data subjects it was.
    ///
    /// `witness` is a provider that is configured with those wrapping keys. Only its answer that a key does not exist counts: not
    /// that it is disabled, or waits for its destruction, or is unknown here; and a key file's never does. An epoch whose envelope was
    /// ever rewrapped is not taken for gone either, since its earlier recipients are not known.
    ///
    /// # Errors
    ///
    /// What the key store failed with; [`SubjectError::ChainTampered`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves receipts written or not.
    pub async fn confirm_destruction(&self, witness: &dyn KeyProvider) -> Result<u64, SubjectError> {
        let shared = self.shared();
        let mut slips = shared.slips().await?;
        let rows = shared.store.epochs().await?;
        let mut write = Vec::new();
        for row in rows.iter().filter(|row| row.state == EpochState::Retired) {
            if !slips.epochs.contains_key(&row.reference) && is_gone(row, witness).await {
                let (reference, time) = (row.reference, shared.unix_seconds());
                let request = sha256(&[&row.envelope]);
                write.push(Slip { reference, code: EPOCH_GONE, time, request });
                slips.epochs.insert(reference, time);
            }
        }
        let irrevocable = shared.irrevocable(&rows, &slips).await?;
        let count = irrevocable.len() as u64;
        write.extend(irrevocable);
        shared.write_slips(&write).await?;
        Ok(count)
    }
}

impl Shared {
    /// Refuses to destroy what anything but retired epochs needs.
    async fn check_unneeded(&self, keys: &[KeyToDestroy]) -> Result<(), SubjectError> {
        let rows = self.store.epochs().await?;
        for key in keys {
            let row = rows.iter().find(|row| row.reference == key.epoch && row.state == EpochState::Retired);
            if !row.is_some_and(|row| KeyToDestroy::all_of(row).contains(key)) {
                return Err(SubjectError::Refused("the wrapping key is not one of a retired epoch"));
            }
        }
        let living = rows.iter().filter(|row| row.state != EpochState::Retired).map(|row| &row.envelope);
        let root = self.store.root().await?;
        for envelope in living.chain(&root) {
            let header = Header::of_envelope(envelope).map_err(SubjectError::Root)?;
            let is_needed = |recipient: &Recipient| {
                keys.iter().any(|key| {
                    key.recipient_type == recipient.recipient_type() && key.id == recipient.id_lossy()
                })
            };
            if leaves(&header).iter().any(is_needed) {
                return Err(SubjectError::Refused("the root or a living epoch has a wrap by that key"));
            }
        }
        Ok(())
    }

    /// Receipts for keys of which every epoch that they may have been under is gone.
    async fn irrevocable(&self, rows: &[EpochRow], slips: &Slips) -> Result<Vec<Slip>, SubjectError> {
        // By the times at which they were opened: the last one that is not gone by then decides.
        let standing: BTreeMap<u64, u64> = rows
            .iter()
            .filter(|row| !slips.epochs.contains_key(&row.reference))
            .map(|row| (row.opened, row.reference))
            .collect();
        let first_standing = standing.keys().next().copied();
        let now = self.unix_seconds();
        let mut found = Vec::new();
        let note = |_, link: &Link, _: &_| {
            let states = slips.keys.get(&link.reference).copied().unwrap_or_default();
            // Not its tombstone's time: a copy from before that may have been rolled, and the key with it, before the
            // tombstone came to it again. The row was there until shortly before this.
            let ended = states.get(ReceiptState::Unusable).unwrap_or(u64::MAX).max(link.time);
            let is_gone = first_standing.is_none_or(|opened| opened > ended.saturating_add(CLOCK_ERROR));
            if is_gone && states.get(ReceiptState::Irrevocable).is_none() {
                found.push(Slip::of(link, ReceiptState::Irrevocable, now));
            }
            Ok(())
        };
        self.walk(Chain::Tombstones, Head::default(), note).await?;
        Ok(found)
    }
}

/// Whether every wrapping key of an epoch is known not to exist.
async fn is_gone(row: &EpochRow, witness: &dyn KeyProvider) -> bool {
    let Ok(header) = Header::of_envelope(&row.envelope) else { return false };
    let pairs = header.claimed_context().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let context = WrapContext::new(header.core(), pairs);
    let mut seen = 0;
    for slot in header.claimed_slots() {
        let recipients = match slot {
            ClaimedSlot::Empty => continue,
            ClaimedSlot::Filled { generation: 1, recipients } => recipients,
            // Rewrapped, or not whole: somebody may have been a recipient who is not told any more.
            _ => return false,
        };
        for recipient in recipients {
            seen += 1;
            let shares = recipient.claimed_shares();
            let mut gone =
                if shares.is_empty() { does_not_exist(recipient, &context, witness).await } else { false };
            // Every share of an all-of is needed: one that is gone is enough.
            for share in &shares {
                gone = gone || does_not_exist(share, &context, witness).await;
            }
            if !gone {
                return false;
            }
        }
    }
    seen > 0
}

async fn does_not_exist(recipient: &Recipient, context: &WrapContext, witness: &dyn KeyProvider) -> bool {
    match witness.unwrap_data_key(recipient, context).await {
        Err(error) => error.kind() == ProviderErrorKind::NotFound && error.provider() != KEY_FILE,
        Ok(_) => false,
    }
}

/// The recipients of a header, those of an all-of one by one.
fn leaves(header: &Header) -> Vec<Recipient> {
    let mut found = Vec::new();
    for slot in header.claimed_slots() {
        let ClaimedSlot::Filled { recipients, .. } = slot else { continue };
        for recipient in recipients {
            let shares = recipient.claimed_shares();
            if shares.is_empty() {
                found.push(recipient.clone());
            } else {
                found.extend(shares);
            }
        }
    }
    found
}

/// The name of the provider over key files: a copy of a file may be anywhere.
const KEY_FILE: &str = "key-file";
/// Seconds by which the clocks of two machines may differ: an epoch that was opened within them after an erasure is counted to
/// have been open before it.
const CLOCK_ERROR: u64 = 3600;
