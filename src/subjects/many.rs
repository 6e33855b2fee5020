//! Whole result sets: the keys of many subjects in one call of the store, and a result for each record.
//!
//! Floor 6. One erased row does not fail the page; a store that does not answer does. Section "Record" of the
//! [format](crate::manual::format).

use std::{collections::HashMap, hash::BuildHasherDefault, sync::Arc};

use super::{
    Plaintext, Scope, Sealed, Subject, Value,
    create::Maker,
    events::Telling,
    key::Key,
    load::{Fault, Resolved, Wanted},
    records::{NO_BYTES, max_len, open_record, seal_by, typed},
    subject::check_owner,
};
use crate::{
    error::RecordError,
    format::record::{self, RecordFrame},
    front::Cell,
    keystore::{Found, MAX_BATCH, Pseudonym},
    observe::Operation,
    provider::cached::lanes::IsHash,
    record_cipher::{Batch, LocalCipher},
    secret::Opened,
};

impl Scope {
    /// Opens many records, of any subjects of this scope, with a result for each in the same order.
    ///
    /// Keys that are not cached are fetched in one call of the store for all. An observer is told of each record, and
    /// an authorizer is asked about each.
    ///
    /// # Errors
    ///
    /// As a whole: [`RecordError::Store`] if a key was missing and the store did not answer; [`RecordError::Usage`] for a
    /// scope that cannot be one. Of each record: as [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use kuvert::{Cell, Sealed, Subjects, SubjectsOptions, keystore::MemoryKeyStore, provider::MemoryProvider};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # kuvert::blocking::block_on(async {
    /// # let keys = Arc::new(MemoryProvider::generate("root")?);
    /// # let store = Arc::new(MemoryKeyStore::new());
    /// # let subjects = Subjects::init(store, keys.clone(), keys, SubjectsOptions::default()).await?;
    /// let tenant = subjects.scope("tenant-7");
    /// let cell = |id: i64| Cell::new("customers", "email", id);
    /// let rows = [(1, "anna@example.se"), (2, "bo@example.se")];
    /// let sealed = tenant
    ///     .seal_many(rows.iter().map(|(id, mail)| (tenant.subject(format!("customer:{id}")), *mail, cell(*id))))
    ///     .await?;
    /// let sealed: Vec<Sealed<String>> = sealed.into_iter().collect::<Result<_, _>>()?;
    ///
    /// let opened = tenant.open_many(sealed.iter().zip(1..).map(|(mail, id)| (mail, cell(id)))).await?;
    /// assert_eq!(**opened[1].as_ref().unwrap(), "bo@example.se");
    /// # Ok(()) })? }
    /// ```
    pub async fn open_many<'r, T: Value + 'r>(
        &self,
        records: impl IntoIterator<Item = (&'r Sealed<T>, Cell<'r>)>,
    ) -> Result<Vec<Result<Opened<T>, RecordError>>, RecordError> {
        let records: Vec<(&[u8], Cell<'_>)> =
            records.into_iter().map(|(sealed, cell)| (sealed.as_bytes(), cell)).collect();
        let opened = Box::pin(self.open_page(&records)).await?;
        Ok(opened.into_iter().map(|opened| opened.and_then(typed)).collect())
    }

    /// Seals many values, each for a subject of this scope and for its cell, with a result for each in the same order.
    ///
    /// Keys that are not cached are fetched, and those that are not there are made, in one call of the store each.
    ///
    /// # Errors
    ///
    /// As a whole: as [`open_many`](Self::open_many), and [`RecordError::Random`]. Of each record: as [`Subject::seal`];
    /// [`RecordError::OtherOwner`] for a subject of another scope.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future seals nothing; some subjects may have got keys by then.
    pub async fn seal_many<'r, P: Plaintext + ?Sized + 'r>(
        &self,
        values: impl IntoIterator<Item = (Subject<'r>, &'r P, Cell<'r>)>,
    ) -> Result<Vec<Result<Sealed<P::Value>, RecordError>>, RecordError> {
        let values: Vec<_> = values.into_iter().collect();
        let sealed = Box::pin(self.seal_page(&values)).await?;
        Ok(sealed.into_iter().map(|sealed| sealed.map(Sealed::from_bytes)).collect())
    }

    /// Whether a record should be sealed again: its key opens it, but its subject has a newer one by now.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), as far as the key is concerned.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    #[allow(clippy::missing_panics_doc, reason = "one answer for one question")]
    pub async fn needs_reseal<T: ?Sized>(&self, sealed: &Sealed<T>) -> Result<bool, RecordError> {
        self.need_reseal([sealed]).await?.pop().expect("one was asked about")
    }

    /// The same for many, in two calls of the store at most.
    ///
    /// # Errors
    ///
    /// As a whole: as [`open_many`](Self::open_many). Of each record: as [`needs_reseal`](Self::needs_reseal).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn need_reseal<'r, T: ?Sized + 'r>(
        &self,
        records: impl IntoIterator<Item = &'r Sealed<T>>,
    ) -> Result<Vec<Result<bool, RecordError>>, RecordError> {
        let tag = *self.tag()?;
        let frames: Vec<_> =
            records.into_iter().map(|sealed| record::decode(sealed.as_bytes(), usize::MAX)).collect();
        let (references, places) = distinct(frames.iter().flatten().map(|frame| frame.reference));
        let resolved = self.shared().resolve(Wanted::References(&references)).await;
        refuse_if_no_answer(&resolved)?;
        let keys = resolved.iter().filter_map(|(key, _)| key.as_ref().ok());
        let newest = self.newest_references(keys.map(|key| *key.pseudonym()).collect()).await?;
        let answer = |frame: RecordFrame<'_>| {
            let key = key_of(&resolved[places[&frame.reference]], frame.reference)?;
            check_owner(key, &tag, None)?;
            match newest.get(key.pseudonym()) {
                Some(Some(newest)) => Ok(*newest != frame.reference),
                // Erased since.
                _ => Err(RecordError::NameErased),
            }
        };
        Ok(frames.into_iter().map(|frame| frame.and_then(answer)).collect())
    }

    /// The references of the newest keys of these subjects, of those that have one.
    async fn newest_references(
        &self,
        subjects: Vec<Pseudonym>,
    ) -> Result<HashMap<Pseudonym, Option<u64>>, RecordError> {
        let (shared, now) = (self.shared(), self.shared().now());
        let mut newest: HashMap<Pseudonym, Option<u64>> = HashMap::new();
        for subject in subjects {
            newest.entry(subject).or_insert_with(|| shared.cache().peek_newest(&subject, now));
        }
        let missing: Vec<Pseudonym> =
            newest.iter().filter(|(_, known)| known.is_none()).map(|(subject, _)| *subject).collect();
        for subjects in missing.chunks(MAX_BATCH) {
            let found = shared.store.find(subjects).await.map_err(Fault::from)?;
            for (subject, found) in subjects.iter().zip(found) {
                if let Found::Row(row) = found {
                    newest.insert(*subject, Some(row.reference));
                }
            }
        }
        Ok(newest)
    }

    async fn open_page(
        &self,
        records: &[(&[u8], Cell<'_>)],
    ) -> Result<Vec<Result<Vec<u8>, RecordError>>, RecordError> {
        let (shared, tag) = (self.shared(), *self.tag()?);
        let limit = max_len(&shared.options.records);
        let mut items = Vec::with_capacity(records.len());
        for (bytes, _) in records {
            items.push(Item {
                frame: record::decode(bytes, limit),
                telling: self.telling(Operation::OpenRecord),
            });
        }
        for item in &mut items {
            item.telling.reference = item.frame.as_ref().ok().map(|frame| frame.reference);
            self.ask_about(item, None).await;
        }
        let wanted = items.iter().filter_map(|item| item.frame.as_ref().ok().map(|frame| frame.reference));
        let (references, places) = distinct(wanted);
        let (wanted, seen) = (Wanted::References(&references), shared.cache().evictions());
        let mut resolved = shared.resolve(wanted).await;
        refuse_if_no_answer(&resolved)?;
        for item in &mut items {
            let Ok(frame) = &item.frame else { continue };
            let resolved = &resolved[places[&frame.reference]];
            item.telling.cache = resolved.1;
            match key_of(resolved, frame.reference).and_then(|key| check_owner(key, &tag, None).map(|()| key))
            {
                Err(error) => item.frame = Err(error),
                Ok(key) => {
                    item.telling.subject = Some(*key.pseudonym());
                    self.ask_about(item, Some(*key.pseudonym())).await;
                }
            }
        }
        shared.take_up(wanted, &mut resolved, seen, shared.options.authorizer.is_some()).await;
        refuse_if_no_answer(&resolved)?;
        let mut current = None;
        let open = |(item, (_, cell)): (Item<'_, '_>, &(_, Cell<'_>))| {
            let opened = item.frame.and_then(|frame| {
                let key = key_of(&resolved[places[&frame.reference]], frame.reference)?;
                check_owner(key, &tag, None)?;
                open_record(cipher_of(&mut current, key), &frame, cell)
            });
            item.telling.end(opened)
        };
        Ok(items.into_iter().zip(records).map(open).collect())
    }

    /// Asks the authorizer, if there is one; a denial takes the record's place.
    async fn ask_about(&self, item: &mut Item<'_, '_>, subject: Option<Pseudonym>) {
        if let (Ok(frame), Some(_)) = (&item.frame, &self.shared().options.authorizer) {
            let asked = self.authorize(Operation::OpenRecord, subject, Some(frame.reference)).await;
            if let Err(denied) = asked {
                item.frame = Err(denied);
            }
        }
    }

    async fn seal_page<P: Plaintext + ?Sized>(
        &self,
        values: &[(Subject<'_>, &P, Cell<'_>)],
    ) -> Result<Vec<Result<Vec<u8>, RecordError>>, RecordError> {
        let (shared, tag) = (self.shared(), *self.tag()?);
        let mut tellings: Vec<_> = values.iter().map(|_| self.telling(Operation::SealRecord)).collect();
        let mut makers = Vec::new();
        let mut seen = HashMap::new();
        let mut places = Vec::with_capacity(values.len());
        for ((subject, ..), telling) in values.iter().zip(&mut tellings) {
            let place = match self.maker_of(subject, telling).await {
                Ok(maker) => Ok(*seen.entry(maker.pseudonym).or_insert_with(|| {
                    makers.push(maker);
                    makers.len() - 1
                })),
                Err(RecordError::Store(error)) => return Err(RecordError::Store(error)),
                Err(error) => Err(error),
            };
            places.push(place);
        }
        let (wanted, seen) = (Wanted::Newest(&makers), shared.cache().evictions());
        let mut resolved = shared.resolve(wanted).await;
        shared.take_up(wanted, &mut resolved, seen, false).await;
        refuse_if_no_answer(&resolved)?;
        let mut random = Nonces::new(values.len())?;
        let mut current = None;
        let mut seal = |place: Result<usize, RecordError>, value: &P, cell, telling: &mut Telling<'_>| {
            let resolved: &Resolved = &resolved[place?];
            let key = resolved.0.as_ref().map_err(|fault| fault.clone().into_error(0))?;
            (telling.cache, telling.reference) = (resolved.1, Some(key.reference()));
            check_owner(key, &tag, None)?;
            let (cipher, random) = (cipher_of(&mut current, key), random.next()?);
            let seal = |bytes: &[u8]| seal_by(cipher, random, &shared.options.records, bytes, cell);
            value.with_bytes(seal).map_err(|_| NO_BYTES)?
        };
        let sealed =
            values.iter().zip(places).zip(tellings).map(|(((_, value, cell), place), mut telling)| {
                let sealed = seal(place, value, cell, &mut telling);
                telling.end(sealed)
            });
        Ok(sealed.collect())
    }

    async fn maker_of(&self, subject: &Subject<'_>, telling: &mut Telling<'_>) -> Result<Maker, RecordError> {
        if !Arc::ptr_eq(subject.scope().shared(), self.shared()) || subject.scope().tag()? != self.tag()? {
            return Err(RecordError::OtherOwner { reference: 0 });
        }
        if self.shared().options.authorizer.is_some() {
            telling.subject = Some(subject.pseudonym()?);
            self.authorize(Operation::SealRecord, telling.subject, None).await?;
        }
        let maker = subject.maker().await?;
        telling.subject = Some(maker.pseudonym);
        Ok(maker)
    }
}

impl Subject<'_> {
    /// Seals many values of this subject, each for its cell, with a result for each in the same order.
    ///
    /// # Errors
    ///
    /// As [`Scope::seal_many`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future seals nothing.
    pub async fn seal_many<'r, P: Plaintext + ?Sized + 'r>(
        &'r self,
        values: impl IntoIterator<Item = (&'r P, Cell<'r>)>,
    ) -> Result<Vec<Result<Sealed<P::Value>, RecordError>>, RecordError> {
        self.scope().seal_many(values.into_iter().map(|(value, cell)| (self.clone(), value, cell))).await
    }
}

/// A record of a page on its way.
struct Item<'r, 's> {
    frame: Result<RecordFrame<'r>, RecordError>,
    telling: Telling<'s>,
}

/// Random bytes for so many records, each of which may need a new subkey.
struct Nonces {
    batch: Batch,
    left_in_batch: usize,
    left: usize,
}

impl Nonces {
    fn new(records: usize) -> Result<Self, RecordError> {
        let batch = Batch::draw(2 * records.min(Batch::RECORDS / 2)).map_err(RecordError::Random)?;
        Ok(Self { batch, left_in_batch: Batch::RECORDS / 2, left: records })
    }

    fn next(&mut self) -> Result<&mut Batch, RecordError> {
        if self.left_in_batch == 0 {
            *self = Self::new(self.left)?;
        }
        self.left_in_batch -= 1;
        self.left = self.left.saturating_sub(1);
        Ok(&mut self.batch)
    }
}

type Places = HashMap<u64, usize, BuildHasherDefault<IsHash>>;

/// Each reference once, and where in the list it stands.
fn distinct(references: impl Iterator<Item = u64>) -> (Vec<u64>, Places) {
    let (mut list, mut places) = (Vec::new(), Places::default());
    for reference in references {
        places.entry(reference).or_insert_with(|| {
            list.push(reference);
            list.len() - 1
        });
    }
    (list, places)
}

/// A page without the rows whose keys the store did not give for want of an answer would look like a whole one.
fn refuse_if_no_answer(resolved: &[Resolved]) -> Result<(), RecordError> {
    let fault = resolved.iter().find_map(|(key, _)| match key {
        Err(Fault::Store(error)) => Some(Arc::clone(error)),
        _ => None,
    });
    fault.map_or(Ok(()), |error| Err(RecordError::Store(error)))
}

fn key_of(resolved: &Resolved, reference: u64) -> Result<&Arc<Key>, RecordError> {
    resolved.0.as_ref().map_err(|fault| fault.clone().into_error(reference))
}

/// The cipher of this key: records of one subject mostly stand side by side.
fn cipher_of<'c>(current: &'c mut Option<LocalCipher>, key: &Key) -> &'c mut LocalCipher {
    current.take_if(|cipher| cipher.reference() != key.reference());
    current.get_or_insert_with(|| LocalCipher::new(key.record_key(), key.reference()))
}
