//! Rolling epochs: every live key moved under a new wrapping key, so that the old one can be destroyed with all that is erased.
//!
//! Floor 6. Each step may be repeated: whoever comes after a crash goes on where the store stands. Destroying is done when
//! told to, through a custodian, and after a verified backup only. Page on [erasure](crate::manual::erasure).

mod destruction;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

pub use self::destruction::KeyToDestroy;
use super::{Subjects, load::place_of, make_epoch, shared::Shared};
use crate::{
    crypto::equal,
    error::{RecordError, SubjectError},
    format::subject::SubjectKey,
    front::envelope::EpochKey,
    keystore::{EpochClass, EpochRow, EpochState, Lookup, MAX_BATCH, ResealedKey, SubjectRow},
    provider::KeyProvider,
};

/// How an epoch is rolled.
#[derive(Clone)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct RollOptions {
    /// Which keys. Default: those of persons and retention classes.
    pub class: EpochClass,
    /// Keys that are moved in one step of the store, 1 to 65 536. Default: 4096.
    pub batch: usize,
    #[cfg_attr(feature = "serde", serde(skip))]
    progress: Option<Arc<dyn Fn(u64) + Send + Sync>>,
}

impl Default for RollOptions {
    fn default() -> Self {
        Self { class: EpochClass::Subjects, batch: 4096, progress: None }
    }
}

impl RollOptions {
    /// Rolls the epoch of this class.
    #[must_use]
    pub const fn with_class(mut self, class: EpochClass) -> Self {
        self.class = class;
        self
    }

    /// Moves so many keys at a time.
    #[must_use]
    pub const fn with_batch(mut self, batch: usize) -> Self {
        self.batch = batch;
        self
    }

    /// Tells after each step how many keys were moved so far.
    #[must_use]
    pub fn with_progress(mut self, progress: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(progress));
        self
    }
}

impl fmt::Debug for RollOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RollOptions")
            .field("class", &self.class)
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}

/// What a roll has done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RollReport {
    /// The epoch that keys are under now.
    pub opened: u64,
    /// Whether an epoch was still being left when this began: it was then finished, and no new one was opened.
    pub resumed: bool,
    /// Keys that this call moved.
    pub moved: u64,
    /// References of keys that do not open, and were left where they are, or that are not there any more after they were
    /// moved. While there is one, no epoch is retired. Erase them, or restore their rows from a backup, and roll again.
    pub damaged: Vec<u64>,
    /// Epochs that nothing is under any more.
    pub retired: Vec<u64>,
    /// The wrapping keys of these, which may now be destroyed: [`Subjects::destroy_epoch_keys`].
    pub keys: Vec<KeyToDestroy>,
}

impl Subjects {
    /// Opens a new epoch under the wrapping key of `new_provider`, moves every live key into it, verifies each, and retires the
    /// old one. From then on the old wrapping key is needed for nothing but older copies of the key store.
    ///
    /// Keys can be used, made and erased meanwhile, by any process; none that is made meanwhile goes under the old epoch. Where
    /// a roll was interrupted, this finishes it, with the epoch that it had opened, and opens no other.
    ///
    /// # Errors
    ///
    /// What the key store or a provider failed with. Call again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves every key under one of the two epochs.
    pub async fn roll_epoch(
        &self,
        new_provider: Arc<dyn KeyProvider>,
        options: RollOptions,
    ) -> Result<RollReport, SubjectError> {
        let shared = self.shared();
        let mut report = RollReport::default();
        shared.begin_roll(&new_provider, options.class, &mut report).await?;
        for closed in shared.epochs_of(options.class, EpochState::Closed).await? {
            shared.empty_epoch(&closed, &options, &mut report).await?;
        }
        // Rows that have a tombstone are not moved: they go.
        shared.finish().await?;
        // What was lost on the way is in older copies only, under the key that would be destroyed next.
        let left = if report.damaged.is_empty() {
            shared.epochs_of(options.class, EpochState::Closed).await?
        } else {
            Vec::new()
        };
        for closed in left {
            if shared.store.retire_epoch(closed.reference).await? {
                report.keys.extend(KeyToDestroy::all_of(&closed));
                report.retired.push(closed.reference);
            }
        }
        report.opened = shared.open_row(options.class).await?.reference;
        Ok(report)
    }
}

impl Shared {
    /// Closes the open epoch and opens a new one, unless one was left half way.
    async fn begin_roll(
        &self,
        provider: &Arc<dyn KeyProvider>,
        class: EpochClass,
        report: &mut RollReport,
    ) -> Result<(), SubjectError> {
        report.resumed = !self.epochs_of(class, EpochState::Closed).await?.is_empty();
        if !report.resumed {
            let open = self.open_row(class).await?;
            // An epoch that is left has to open: told before anything is changed.
            self.epoch_key(open.reference).await.map_err(RecordError::from)?;
            let began = self.unix_seconds().max(open.opened);
            let (key, row) = make_epoch(&**provider, self.root.reference(), class, began).await?;
            if self.store.begin_epoch(&row, open.reference).await? {
                self.put_epoch(class, Arc::new(key));
            } else {
                // Somebody else has begun a roll just now: it is helped.
                report.resumed = true;
            }
        }
        self.add_provider(Arc::clone(provider));
        Ok(())
    }

    async fn epochs_of(&self, class: EpochClass, state: EpochState) -> Result<Vec<EpochRow>, SubjectError> {
        let rows = self.epoch_rows().await.map_err(RecordError::from)?;
        Ok(rows.into_iter().filter(|row| row.class == class && row.state == state).collect())
    }

    async fn open_row(&self, class: EpochClass) -> Result<EpochRow, SubjectError> {
        let open = self.epochs_of(class, EpochState::Open).await?.pop();
        open.ok_or(SubjectError::Usage("the key store has no epoch of this class"))
    }

    /// Moves all keys that are under `closed`.
    async fn empty_epoch(
        &self,
        closed: &EpochRow,
        options: &RollOptions,
        report: &mut RollReport,
    ) -> Result<(), SubjectError> {
        let from = self.epoch_key(closed.reference).await.map_err(RecordError::from)?;
        let mut after = 0;
        loop {
            let batch = options.batch.clamp(1, MAX_BATCH);
            let rows = self.store.scan(closed.reference, after, batch).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.reference;
            self.move_keys(&from, rows, options.class, report).await?;
            if let Some(progress) = &options.progress {
                progress(report.moved);
            }
        }
    }

    async fn move_keys(
        &self,
        from: &EpochKey,
        rows: Vec<SubjectRow>,
        class: EpochClass,
        report: &mut RollReport,
    ) -> Result<(), SubjectError> {
        let mut keys = Vec::with_capacity(rows.len());
        for row in &rows {
            match from.cipher.open(&place_of(row), &row.sealed_key) {
                Ok(key) => keys.push((row, key)),
                Err(_) => report.damaged.push(row.reference),
            }
        }
        loop {
            let to = self.open_epoch(class).await.map_err(RecordError::from)?;
            let places = keys.iter().map(|(row, key)| (place_of(row), key));
            let sealed = to.cipher.seal_many(places).map_err(RecordError::Random)?;
            let resealed: Vec<_> = keys
                .iter()
                .zip(sealed)
                .map(|((row, _), sealed_key)| ResealedKey { reference: row.reference, sealed_key })
                .collect();
            match self.store.reseal(from.reference, to.reference, &resealed).await? {
                Some(moved) => {
                    report.moved += moved as u64;
                    return self.verify_moved(&to, &keys, report).await;
                }
                // Another roll has closed that one, too.
                None => self.epoch_is_closed(class, to.reference),
            }
        }
    }

    /// Reads back what was written: nothing is retired that could have been moved wrongly.
    async fn verify_moved(
        &self,
        to: &EpochKey,
        keys: &[(&SubjectRow, SubjectKey)],
        report: &mut RollReport,
    ) -> Result<(), SubjectError> {
        let references: Vec<u64> = keys.iter().map(|(row, _)| row.reference).collect();
        let found = self.store.get(&references).await?;
        for ((before, key), found) in keys.iter().zip(found) {
            match found {
                Lookup::Row(row) if row.epoch == to.reference => {
                    let opened = to.cipher.open(&place_of(&row), &row.sealed_key);
                    if !opened.is_ok_and(|opened| equal(opened.expose(), key.expose())) {
                        report.damaged.push(before.reference);
                    }
                }
                // Still where it was, or moved on by another roll; or erased just now.
                Lookup::Row(_) | Lookup::Erased { .. } => {}
                Lookup::Unknown => report.damaged.push(before.reference),
            }
        }
        Ok(())
    }
}
