//! The keys of epochs: loaded with one provider call each, kept for the life of the process.
//!
//! Floor 6. Knows which epoch of each class new keys go under, as long as nobody says that it was closed. Section "Key
//! store and subjects" of the [format](crate::manual::format).

use std::{
    collections::HashMap,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{load::Fault, shared::Shared};
use crate::{
    cache_slot::{Failure, Held, Landing, Leader, Leaves, Outcome, Slot, Step, Turn},
    error::{KeyStoreError, KeyStoreErrorKind, OpenError, UnavailableKeys},
    front::envelope::{EpochKey, open_epoch},
    keystore::{EpochClass, EpochRow, EpochState},
};

/// The epochs that this process knows.
#[derive(Default)]
pub(super) struct Epochs(Mutex<Known>);

#[derive(Default)]
struct Known {
    keys: HashMap<u64, Arc<EpochSlot>>,
    /// Where new keys go.
    open: HashMap<EpochClass, u64>,
}

type EpochSlot = Slot<Arc<EpochKey>, Fault>;

impl Shared {
    /// The key of an epoch.
    pub(crate) async fn epoch_key(&self, reference: u64) -> Result<Arc<EpochKey>, Fault> {
        let slot = self.epochs().slot(reference, self.now());
        loop {
            let leader = match Slot::enter(&slot, self.now(), |_| 1) {
                Step::Hit { value, .. } | Step::Stale(value) => return Ok(value),
                Step::Refused(fault) => return Err(fault),
                Step::Lead(leader) => leader,
                Step::Wait(mut waiter) => match poll_fn(|cx| waiter.poll(cx)).await {
                    Turn::Done(Outcome::Value(key) | Outcome::Stale(key)) => return Ok(key),
                    Turn::Done(Outcome::Failed(fault)) => return Err(fault),
                    Turn::Lead(leader) => leader,
                    Turn::Done(Outcome::Nothing) | Turn::Again => continue,
                },
                Step::Spent => continue,
            };
            return self.load_epoch(reference, leader).await;
        }
    }

    async fn load_epoch(
        &self,
        reference: u64,
        leader: Leader<Arc<EpochKey>, Fault>,
    ) -> Result<Arc<EpochKey>, Fault> {
        let loaded = self.ask_for_epoch(reference).await;
        let now = self.now();
        let landing = match &loaded {
            Ok(key) => Landing::Loaded(for_ever(key)),
            Err(error) => {
                let until = now.saturating_add(RETRY_AFTER);
                Landing::Failed(Failure { error: error.clone(), until, leaves: Leaves::Fresh })
            }
        };
        leader.land(landing, now).2.wake();
        loaded
    }

    async fn ask_for_epoch(&self, reference: u64) -> Result<Arc<EpochKey>, Fault> {
        let rows = self.epoch_rows().await?;
        let Some(row) = rows.into_iter().find(|row| row.reference == reference) else {
            let nobody = OpenError::KeyUnavailable(UnavailableKeys::default());
            return Err(Fault::Epoch(reference, Arc::new(nobody)));
        };
        self.open_envelope(&row).await.map(Arc::new).map_err(|error| Fault::Epoch(reference, Arc::new(error)))
    }

    /// Asks one provider after the other.
    async fn open_envelope(&self, row: &EpochRow) -> Result<EpochKey, OpenError> {
        let (store, class) = (self.root.reference(), class_name(row.class));
        let mut failure = None;
        for provider in self.providers() {
            match open_epoch(&*provider, &row.envelope, row.reference, store, class).await {
                Ok(key) => return Ok(key),
                // This provider's key is not among the recipients, or cannot be had: another's may.
                Err(error @ OpenError::KeyUnavailable(_)) => {
                    failure.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(failure.unwrap_or(OpenError::KeyUnavailable(UnavailableKeys::default())))
    }

    /// All epochs, of which this process from now on knows which are open, and forgets the keys of those that are over.
    pub(crate) async fn epoch_rows(&self) -> Result<Vec<EpochRow>, Fault> {
        let rows = self.store.epochs().await?;
        self.epochs().learn(&rows);
        Ok(rows)
    }

    /// The epoch of this class that new keys go under.
    pub(crate) async fn open_epoch(&self, class: EpochClass) -> Result<Arc<EpochKey>, Fault> {
        let known = self.epochs().open(class);
        let reference = match known {
            Some(reference) => reference,
            None => {
                self.epoch_rows().await?;
                self.epochs().open(class).ok_or_else(|| {
                    let error = KeyStoreError::new(KeyStoreErrorKind::Damaged, self.store_name);
                    error.with_detail("no epoch of that class is open")
                })?
            }
        };
        self.epoch_key(reference).await
    }

    /// Notes that nothing goes under this epoch any more: the next one who asks looks which does.
    pub(crate) fn epoch_is_closed(&self, class: EpochClass, reference: u64) {
        self.epochs().closed(class, reference);
    }

    /// Puts a key in that was just made.
    pub(crate) fn put_epoch(&self, class: EpochClass, key: Arc<EpochKey>) {
        let mut known = self.epochs().lock();
        known.open.insert(class, key.reference);
        let slot = Arc::new(Slot::new());
        if let Step::Lead(leader) = Slot::enter(&slot, 0, |_| 1) {
            leader.land(Landing::Loaded(for_ever(&key)), 0).2.wake();
        }
        known.keys.insert(key.reference, slot);
    }
}

impl Epochs {
    fn slot(&self, reference: u64, now: u64) -> Arc<EpochSlot> {
        let mut known = self.lock();
        if known.keys.len() >= TIDY_ABOVE && !known.keys.contains_key(&reference) {
            known.keys.retain(|_, slot| slot.is_in_use(now));
        }
        Arc::clone(known.keys.entry(reference).or_insert_with(|| Arc::new(Slot::new())))
    }

    fn open(&self, class: EpochClass) -> Option<u64> {
        self.lock().open.get(&class).copied()
    }

    fn closed(&self, class: EpochClass, reference: u64) {
        let mut known = self.lock();
        if known.open.get(&class) == Some(&reference) {
            known.open.remove(&class);
        }
    }

    fn learn(&self, rows: &[EpochRow]) {
        let mut known = self.lock();
        let open = rows.iter().filter(|row| row.state == EpochState::Open);
        known.open = open.map(|row| (row.class, row.reference)).collect();
        for retired in rows.iter().filter(|row| row.state == EpochState::Retired) {
            known.keys.remove(&retired.reference);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // No code of others runs under the lock: a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn for_ever(key: &Arc<EpochKey>) -> Held<Arc<EpochKey>> {
    let value = Arc::clone(key);
    Held { value, refresh_at: u64::MAX, hard_at: u64::MAX, stale_until: u64::MAX, uses_left: u64::MAX }
}

/// As an epoch's envelope has it.
// fmt: J-13
pub(crate) const fn class_name(class: EpochClass) -> &'static str {
    match class {
        EpochClass::Subjects => "subjects",
        EpochClass::Credentials => "credentials",
    }
}

/// Milliseconds for which a provider that did not give an epoch's key is not asked for it again.
const RETRY_AFTER: u64 = 1000;
/// Epochs above which those that led to nothing are forgotten.
const TIDY_ABOVE: usize = 64;
