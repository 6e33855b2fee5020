//! From references and names to keys: the cache first, then one call of the store for all that is missing.
//!
//! Floor 6. Callers who want the same key cause one question; what a caller that goes away was loading, the next of those
//! who wait loads anew. Making keys that are not there yet is `create.rs`'.

use std::{
    collections::{HashMap, hash_map::Entry},
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    cache::{Seat, Waited, Want, wait_for_some},
    create::Maker,
    key::Key,
    shared::Shared,
};
use crate::{
    error::{KeyStoreError, KeyStoreErrorKind, OpenError, RecordError},
    format::subject::{SealedKeyFault, SubjectPlace},
    keystore::{Lookup, MAX_BATCH, SubjectRow},
    observe::CacheState,
};

/// What is to be had.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// The keys of these references.
    References(&'a [u64]),
    /// The newest keys of these subjects, which are made where there is none.
    Newest(&'a [Maker]),
}

/// A key or why it is not to be had, and what the cache had to do with it.
pub(super) type Resolved = (Result<Arc<Key>, Fault>, CacheState);

/// Why a key is not to be had. Shared by all who waited for it.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// A tombstone, of these Unix seconds.
    Erased {
        since: u64,
    },
    /// The store has no such reference.
    Unknown,
    /// A grave, where a key was to be made.
    NameErased,
    /// The row of this reference is not what was stored.
    Damaged(u64),
    /// The epoch's key is not to be had.
    Epoch(u64, Arc<OpenError>),
    Store(Arc<KeyStoreError>),
    /// The operating system gave no random bytes.
    Random(io::ErrorKind),
}

impl Shared {
    /// Gives, for each thing that is wanted, its key. Things may be wanted twice.
    pub(super) async fn resolve(&self, wanted: Wanted<'_>) -> Vec<Resolved> {
        let cache = self.cache();
        let wants = wanted.wants();
        let mut answers: Vec<_> = vec![None; wants.len()];
        let mut states = vec![CacheState::Hit; wants.len()];
        let mut places: Vec<usize> = (0..wants.len()).collect();
        let mut waits = Vec::new();
        loop {
            let taken = cache.enter(&wants, &places, &mut answers, self.now());
            taken.waits.iter().for_each(|(place, _)| states[*place] = CacheState::Joined);
            waits.extend(taken.waits);
            self.lead(wanted, taken.leads, &mut answers, &mut states).await;
            places.clear();
            if waits.is_empty() {
                break;
            }
            let mut leads = Vec::new();
            for (place, waited) in wait_for_some(&mut waits).await {
                match waited {
                    Waited::Answer(answer) => answers[place] = Some(answer),
                    Waited::Lead(seat) => leads.push((place, seat)),
                    Waited::Again => places.push(place),
                }
            }
            // At once: others may wait for these while they load what is waited for here.
            self.lead(wanted, leads, &mut answers, &mut states).await;
        }
        let answer = |answer: Option<_>| answer.expect("whatever was not found was loaded or waited for");
        answers.into_iter().map(answer).zip(states).collect()
    }

    /// Begins one use of each key that was found. Those that were revoked or used up since they were looked up are looked up
    /// again; all of them, if anything was evicted since there were `seen` evictions, which was before: a key that is on
    /// nobody's list is not revoked. After a pause that others made (`waited`) also those that are past their age.
    pub(super) async fn take_up(
        &self,
        wanted: Wanted<'_>,
        resolved: &mut [Resolved],
        mut seen: u64,
        mut waited: bool,
    ) {
        loop {
            let (now, evictions) = (self.now(), self.cache().evictions());
            let is_late = evictions != seen;
            let places = |is_meant: &dyn Fn(&Key) -> bool| -> Vec<usize> {
                let found = resolved.iter().enumerate();
                found
                    .filter(|(_, (key, _))| key.as_ref().is_ok_and(|key| is_meant(key)))
                    .map(|(at, _)| at)
                    .collect()
            };
            let mut again =
                places(&|key| is_late || key.is_revoked() || key.is_spent() || (waited && !key.is_good(now)));
            if again.is_empty() {
                again = places(&|key| !key.begin_use());
            }
            if again.is_empty() {
                return;
            }
            (seen, waited) = (evictions, false);
            let renewed = match wanted {
                Wanted::References(references) => {
                    let some: Vec<u64> = again.iter().map(|place| references[*place]).collect();
                    self.resolve(Wanted::References(&some)).await
                }
                Wanted::Newest(makers) => {
                    let some: Vec<Maker> = again.iter().map(|place| makers[*place].clone()).collect();
                    self.resolve(Wanted::Newest(&some)).await
                }
            };
            for (place, renewed) in again.into_iter().zip(renewed) {
                resolved[place] = renewed;
            }
        }
    }

    /// Loads what is this caller's to load, and tells the others.
    async fn lead(
        &self,
        wanted: Wanted<'_>,
        leads: Vec<(usize, Seat<'_>)>,
        answers: &mut [Option<Result<Arc<Key>, Fault>>],
        states: &mut [CacheState],
    ) {
        if leads.is_empty() {
            return;
        }
        let places: Vec<usize> = leads.iter().map(|(place, _)| *place).collect();
        let loaded = match wanted {
            Wanted::References(references) => {
                self.load_references(places.iter().map(|place| references[*place]).collect()).await
            }
            Wanted::Newest(makers) => self.load_newest(places.iter().map(|place| &makers[*place])).await,
        };
        for (place, answer) in places.iter().zip(&loaded) {
            (answers[*place], states[*place]) = (Some(answer.clone()), CacheState::Miss);
        }
        self.cache().land(leads.into_iter().map(|(_, seat)| seat).zip(loaded), self.now());
    }

    async fn load_references(&self, references: Vec<u64>) -> Vec<Result<Arc<Key>, Fault>> {
        let mut loaded = Vec::with_capacity(references.len());
        for references in references.chunks(MAX_BATCH) {
            // An answer is as old as the question.
            let asked_at = self.now();
            let rows = match self.store.get(references).await {
                Ok(lookups) if lookups.len() == references.len() => references
                    .iter()
                    .zip(lookups)
                    .map(|(reference, lookup)| match lookup {
                        Lookup::Row(row) if row.reference == *reference => Ok(row),
                        Lookup::Row(_) => Err(Fault::Damaged(*reference)),
                        Lookup::Erased { since } => Err(Fault::Erased { since }),
                        Lookup::Unknown => Err(Fault::Unknown),
                    })
                    .collect(),
                answer => self.no_answer(answer.err(), references.len()),
            };
            loaded.extend(self.open_rows(rows, asked_at).await);
        }
        loaded
    }

    /// Opens the sealed keys of rows.
    pub(super) async fn open_rows(
        &self,
        rows: Vec<Result<SubjectRow, Fault>>,
        asked_at: u64,
    ) -> Vec<Result<Arc<Key>, Fault>> {
        let mut epochs = HashMap::new();
        for row in rows.iter().flatten() {
            if let Entry::Vacant(place) = epochs.entry(row.epoch) {
                place.insert(self.epoch_key(row.epoch).await);
            }
        }
        let open = |row: SubjectRow| {
            let epoch = epochs[&row.epoch].as_ref().map_err(Fault::clone)?;
            let place = place_of(&row);
            match epoch.cipher.open(&place, &row.sealed_key) {
                Ok(key) => Ok(self.key(place, &key, asked_at)),
                Err(
                    SealedKeyFault::Truncated
                    | SealedKeyFault::Malformed
                    | SealedKeyFault::OtherEpoch
                    | SealedKeyFault::Tampered,
                ) => Err(Fault::Damaged(row.reference)),
            }
        };
        rows.into_iter().map(|row| row.and_then(open)).collect()
    }

    /// What becomes of all that was asked when the store did not answer, or not what was asked.
    pub(super) fn no_answer<T>(&self, error: Option<KeyStoreError>, count: usize) -> Vec<Result<T, Fault>> {
        let fault = error.map_or_else(|| self.wrong_count(), Fault::from);
        (0..count).map(|_| Err(fault.clone())).collect()
    }

    pub(super) fn wrong_count(&self) -> Fault {
        let error = KeyStoreError::new(KeyStoreErrorKind::Damaged, self.store_name);
        error.with_detail("it gave another number of answers than it was asked for").into()
    }
}

impl Wanted<'_> {
    fn wants(self) -> Vec<Want> {
        match self {
            Self::References(references) => references.iter().copied().map(Want::Reference).collect(),
            Self::Newest(makers) => makers.iter().map(|maker| Want::Newest(maker.pseudonym)).collect(),
        }
    }
}

/// What a row's sealed key is bound to.
pub(super) const fn place_of(row: &SubjectRow) -> SubjectPlace {
    let SubjectRow { scope, pseudonym, reference, version, .. } = *row;
    SubjectPlace { scope, pseudonym, reference, version }
}

impl Fault {
    /// Whether the store says that there is nothing, and will go on saying so.
    pub(super) const fn is_absence(&self) -> bool {
        matches!(self, Self::Erased { .. } | Self::Unknown)
    }

    /// As the error of a record that names `reference`, which is 0 where there is no record yet.
    pub(super) fn into_error(self, reference: u64) -> RecordError {
        match self {
            Self::Erased { since } => RecordError::Erased { reference, since: moment(since) },
            Self::Unknown => RecordError::KeyUnavailable { reference },
            Self::NameErased => RecordError::NameErased,
            Self::Damaged(reference) => RecordError::KeyDamaged { reference },
            Self::Epoch(epoch, source) => RecordError::EpochUnavailable { epoch, source },
            Self::Store(error) => RecordError::Store(error),
            Self::Random(kind) => RecordError::Random(kind.into()),
        }
    }
}

impl From<KeyStoreError> for Fault {
    fn from(error: KeyStoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

/// Unix seconds as a moment, where it is one that can be shown.
fn moment(seconds: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}
