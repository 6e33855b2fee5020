//! Keys on first use, and new versions: made here, put into the store if nobody else was faster.
//!
//! Floor 6. Whoever loses a race uses the winner's key. An epoch that was closed meanwhile is followed to the one that is
//! open now. Section "Key store and subjects" of the [format](crate::manual::format).

use std::{io, sync::Arc};

use super::{key::Key, load::Fault, shared::Shared};
use crate::{
    error::{KeyStoreError, KeyStoreErrorKind, SealError},
    format::subject::{SubjectKey, SubjectPlace},
    front::envelope::{EpochKey, random_reference},
    keystore::{EpochClass, Found, Inserted, Joint, MAX_BATCH, Names, Pseudonym, SubjectRow},
};

/// Whose key is wanted, and how it is made if there is none.
#[derive(Clone)]
pub(crate) struct Maker {
    pub(crate) pseudonym: Pseudonym,
    pub(crate) scope: [u8; 16],
    pub(crate) class: EpochClass,
    pub(crate) names: Names,
    pub(crate) joint: Option<Arc<Joint>>,
}

/// A key that is to be put into the store.
struct Draft<'m> {
    /// In the caller's list.
    place: usize,
    maker: &'m Maker,
    version: u32,
}

impl Shared {
    /// The newest keys of these subjects, which are made where there is none.
    pub(super) async fn load_newest<'m>(
        &self,
        makers: impl Iterator<Item = &'m Maker>,
    ) -> Vec<Result<Arc<Key>, Fault>> {
        let makers: Vec<&Maker> = makers.collect();
        let mut loaded = Vec::with_capacity(makers.len());
        for makers in makers.chunks(MAX_BATCH) {
            loaded.extend(self.find_or_make(makers).await);
        }
        loaded
    }

    async fn find_or_make(&self, makers: &[&Maker]) -> Vec<Result<Arc<Key>, Fault>> {
        let asked_at = self.now();
        let pseudonyms: Vec<Pseudonym> = makers.iter().map(|maker| maker.pseudonym).collect();
        let found = match self.store.find(&pseudonyms).await {
            Ok(found) if found.len() == makers.len() => found,
            answer => return self.no_answer(answer.err(), makers.len()),
        };
        let (mut rows, mut drafts) = (Vec::new(), Vec::new());
        for (place, (maker, found)) in makers.iter().copied().zip(found).enumerate() {
            rows.push(match found {
                Found::Row(row) if row.pseudonym == maker.pseudonym => Ok(row),
                Found::Row(row) => Err(Fault::Damaged(row.reference)),
                Found::Erased if maker.names == Names::StayErased => Err(Fault::NameErased),
                Found::Erased | Found::Unknown => {
                    drafts.push(Draft { place, maker, version: 1 });
                    Err(Fault::Unknown)
                }
            });
        }
        let mut loaded = self.open_rows(rows, asked_at).await;
        if !drafts.is_empty() {
            self.make(drafts, &mut loaded).await;
        }
        loaded
    }

    /// Makes the version after the newest one of this subject's key; the first one, if it has none.
    pub(super) async fn make_next(&self, maker: &Maker) -> Result<Arc<Key>, Fault> {
        let versions = self.store.versions(&maker.pseudonym).await?;
        let version = versions.last().map_or(0, |row| row.version).checked_add(1);
        let Some(version) = version else {
            let error = KeyStoreError::new(KeyStoreErrorKind::Damaged, self.store_name);
            return Err(error.with_detail("a key that has all versions there are").into());
        };
        let mut made = [Err(Fault::Unknown)];
        self.make(vec![Draft { place: 0, maker, version }], &mut made).await;
        let [made] = made;
        made
    }

    /// Makes keys and inserts them, until each has a key: its own or that of whoever was faster.
    async fn make(&self, mut drafts: Vec<Draft<'_>>, made: &mut [Result<Arc<Key>, Fault>]) {
        for _ in 0..ATTEMPTS {
            let mut again = Vec::new();
            let mut theirs = Vec::new();
            let asked_at = self.now();
            for (draft, answer) in self.insert_all(drafts).await {
                match answer {
                    Ok(Attempt::Done(place, key)) => made[draft.place] = Ok(self.key(place, &key, asked_at)),
                    Ok(Attempt::Exists(row)) if row.pseudonym == draft.maker.pseudonym => {
                        theirs.push((draft.place, row));
                    }
                    Ok(Attempt::Exists(row)) => made[draft.place] = Err(Fault::Damaged(row.reference)),
                    Ok(Attempt::Erased) => made[draft.place] = Err(Fault::NameErased),
                    Ok(Attempt::Again) => again.push(draft),
                    Err(fault) => made[draft.place] = Err(fault),
                }
            }
            let (places, rows): (Vec<_>, Vec<_>) =
                theirs.into_iter().map(|(place, row)| (place, Ok(row))).unzip();
            for (place, key) in places.into_iter().zip(self.open_rows(rows, asked_at).await) {
                made[place] = key;
            }
            if again.is_empty() {
                return;
            }
            drafts = again;
        }
        let error = KeyStoreError::new(KeyStoreErrorKind::Busy, self.store_name);
        let fault = Fault::from(error.with_detail("epochs were closed as fast as they were opened"));
        drafts.iter().for_each(|draft| made[draft.place] = Err(fault.clone()));
    }

    /// One call for all of a kind; joints, which have more to say, each with their own.
    async fn insert_all<'m>(&self, drafts: Vec<Draft<'m>>) -> Vec<(Draft<'m>, Result<Attempt, Fault>)> {
        let mut attempts = Vec::with_capacity(drafts.len());
        let mut groups: Vec<(_, Vec<Draft<'m>>)> = Vec::new();
        for draft in drafts {
            let kind =
                (draft.maker.class, draft.maker.names, draft.maker.joint.as_ref().map(|_| draft.place));
            match groups.iter_mut().find(|(other, _)| *other == kind) {
                Some((_, group)) => group.push(draft),
                None => groups.push((kind, vec![draft])),
            }
        }
        for ((class, names, _), group) in groups {
            match self.insert_group(class, names, &group).await {
                Ok(answers) => attempts.extend(group.into_iter().zip(answers.into_iter().map(Ok))),
                Err(fault) => attempts.extend(group.into_iter().map(|draft| (draft, Err(fault.clone())))),
            }
        }
        attempts
    }

    async fn insert_group(
        &self,
        class: EpochClass,
        names: Names,
        group: &[Draft<'_>],
    ) -> Result<Vec<Attempt>, Fault> {
        let epoch = self.open_epoch(class).await?;
        let (keys, rows) = self.draw(&epoch, group)?;
        let answers = match group {
            [Draft { maker: Maker { joint: Some(joint), .. }, .. }] => {
                vec![self.store.insert(&rows[0], Some(joint), names).await?]
            }
            _ => self.store.insert_many(&rows, names).await?,
        };
        if answers.len() != rows.len() {
            return Err(self.wrong_count());
        }
        let attempt = |((place, key), inserted)| match inserted {
            Inserted::Done => Attempt::Done(place, key),
            Inserted::Exists(row) => Attempt::Exists(row),
            Inserted::Erased => Attempt::Erased,
            Inserted::EpochClosed => {
                self.epoch_is_closed(class, epoch.reference);
                Attempt::Again
            }
            Inserted::ReferenceTaken => Attempt::Again,
        };
        Ok(keys.into_iter().zip(answers).map(attempt).collect())
    }

    /// Draws keys and references, and seals the keys under an epoch.
    fn draw(&self, epoch: &EpochKey, group: &[Draft<'_>]) -> Result<(Vec<Drawn>, Vec<SubjectRow>), Fault> {
        let mut keys = Vec::with_capacity(group.len());
        for Draft { maker, version, .. } in group {
            let reference = random_reference().map_err(|error| match error {
                SealError::Random(error) => Fault::Random(error.kind()),
                _ => Fault::Random(io::ErrorKind::Other),
            })?;
            let (scope, pseudonym, version) = (maker.scope, maker.pseudonym, *version);
            let place = SubjectPlace { scope, pseudonym, reference, version };
            keys.push((place, SubjectKey::generate().map_err(|error| Fault::Random(error.kind()))?));
        }
        let sealed = epoch.cipher.seal_many(keys.iter().map(|(place, key)| (*place, key)));
        let sealed = sealed.map_err(|error| Fault::Random(error.kind()))?;
        let row = |((place, _), sealed_key): (&Drawn, _)| {
            let SubjectPlace { scope, pseudonym, reference, version } = *place;
            SubjectRow { reference, pseudonym, scope, version, epoch: epoch.reference, sealed_key }
        };
        let rows = keys.iter().zip(sealed).map(row).collect();
        Ok((keys, rows))
    }
}

/// A key and where it belongs.
type Drawn = (SubjectPlace, SubjectKey);

/// What came of an insertion.
enum Attempt {
    Done(SubjectPlace, SubjectKey),
    /// Somebody was faster.
    Exists(SubjectRow),
    /// The name is a grave.
    Erased,
    /// Under another epoch or with another reference.
    Again,
}

/// Epochs that are followed before giving up. One is closed every few days.
const ATTEMPTS: usize = 8;
