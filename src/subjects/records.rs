//! One record at a time: sealed for a subject by name, opened by the reference that it carries.
//!
//! Floor 6. What a thread is busy with is found without a call, a common line of memory or a wait; everything else goes the
//! long way, by [`load`](super::load). Section "Record" of the [format](crate::manual::format).

use super::{
    Plaintext, Scope, Sealed, Subject, Value, cache::Hot, events::Telling, load::Wanted, subject::check_owner,
};
use crate::{
    error::RecordError,
    format::record::{self, RecordFrame},
    front::{Cell, RecordOptions},
    keystore::Pseudonym,
    limits::{MAX_RECORD_LEN, RECORD_OVERHEAD, TAG_LEN},
    observe::{CacheState, Operation},
    record_cipher::{LocalCipher, Random, System, ThreadPool},
    secret::Opened,
};

impl Subject<'_> {
    /// Seals a value for `cell` under the newest key of this subject, which is made if there is none yet.
    ///
    /// While the key is cached: no call, no waiting for other threads. Else the store is asked once.
    ///
    /// # Errors
    ///
    /// - [`RecordError::NameErased`] if whoever bore this name was erased, unless this is
    ///   [a new person's](Self::of_new_person);
    /// - [`RecordError::Usage`] and [`RecordError::LimitExceeded`] for names, scopes and values that cannot be ones or are
    ///   too long;
    /// - [`RecordError::Denied`] by the [`Authorizer`](super::Authorizer);
    /// - [`RecordError::Store`], [`RecordError::EpochUnavailable`], [`RecordError::KeyDamaged`] where the key cannot be had;
    /// - [`RecordError::Random`] if the operating system gives no random bytes.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future seals nothing; the subject may have got a key by then.
    pub async fn seal<P: Plaintext + ?Sized>(
        &self,
        value: &P,
        cell: Cell<'_>,
    ) -> Result<Sealed<P::Value>, RecordError> {
        if !self.scope().shared().is_watched() {
            let mut hit = Hit::default();
            if self.seal_at_hand(value, &cell, &mut hit, |_| ()) {
                return hit.result().map(Sealed::from_bytes);
            }
        }
        // Boxed, so that a hit does not pay for the room that a miss needs.
        Box::pin(self.seal_and_tell(value, &cell)).await.map(Sealed::from_bytes)
    }

    /// Opens a record of this subject, and of no other: what [`Scope::open`] does, with one question more.
    ///
    /// # Errors
    ///
    /// As [`Scope::open`]; [`RecordError::OtherOwner`] also for another subject's record.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn open<T: Value>(&self, sealed: &Sealed<T>, cell: Cell<'_>) -> Result<Opened<T>, RecordError> {
        let scope = self.scope();
        let shared = scope.shared();
        let frame = scope.frame_of(sealed.as_bytes())?;
        if !shared.is_watched() {
            let mut hit = Hit::default();
            let open = |hot: &mut Hot| {
                let is_newest = hot.key.reference() == frame.reference;
                if is_newest {
                    hit.set(open_record(&mut hot.cipher, &frame, &cell));
                }
                is_newest
            };
            if self.with_hot(open) == Some(true) {
                return typed(hit.result()?);
            }
        }
        let subject = self.pseudonym()?;
        typed(Box::pin(scope.open_and_tell(&frame, &cell, Some(subject))).await?)
    }

    /// Seals with the key that this thread has at hand, if it has it.
    #[inline]
    fn seal_at_hand<P: Plaintext + ?Sized>(
        &self,
        value: &P,
        cell: &Cell<'_>,
        hit: &mut Hit,
        used: impl FnOnce(&Hot),
    ) -> bool {
        let options = &self.scope().shared().options.records;
        let seal = |bytes: &[u8]| {
            let seal = |hot: &mut Hot| {
                used(hot);
                hit.set(seal_record(&mut hot.cipher, options, bytes, cell));
            };
            self.with_hot(seal).is_some()
        };
        value.with_bytes(seal).unwrap_or_else(|_| {
            hit.set(Err(NO_BYTES));
            true
        })
    }

    #[inline]
    fn with_hot<R>(&self, work: impl FnOnce(&mut Hot) -> R) -> Option<R> {
        let (shared, name) = (self.scope().shared(), self.name_key()?);
        let cache = shared.cache();
        cache.with_name(cache.print(&name), &name, shared.now(), work)
    }

    async fn seal_and_tell<P: Plaintext + ?Sized>(
        &self,
        value: &P,
        cell: &Cell<'_>,
    ) -> Result<Vec<u8>, RecordError> {
        let mut telling = self.scope().telling(Operation::SealRecord);
        let sealed = self.seal_by_the_book(value, cell, &mut telling).await;
        telling.end(sealed)
    }

    async fn seal_by_the_book<P: Plaintext + ?Sized>(
        &self,
        value: &P,
        cell: &Cell<'_>,
        telling: &mut Telling<'_>,
    ) -> Result<Vec<u8>, RecordError> {
        let (scope, shared) = (self.scope(), self.scope().shared());
        if shared.is_watched() {
            telling.subject = Some(self.pseudonym()?);
            scope.authorize(Operation::SealRecord, telling.subject, None).await?;
            let mut hit = Hit::default();
            let is_hit = self.seal_at_hand(value, cell, &mut hit, |hot| {
                (telling.cache, telling.reference) = (CacheState::Hit, Some(hot.key.reference()));
            });
            if is_hit {
                return hit.result();
            }
        }
        loop {
            let seen = shared.cache().evictions();
            let (key, state) = self.newest().await?;
            let key = key?;
            if shared.cache().evictions() != seen {
                continue;
            }
            (telling.cache, telling.reference) = (state, Some(key.reference()));
            check_owner(&key, scope.tag()?, None)?;
            let cache = shared.cache();
            let name = self.name_key().map(|name| (cache.print(&name), name));
            let name = name.as_ref().map(|(print, name)| (*print, name));
            let seal = |bytes: &[u8]| {
                cache.with_key(&key, name, shared.now(), |hot| {
                    seal_record(&mut hot.cipher, &shared.options.records, bytes, cell)
                })
            };
            // Nothing, if it was revoked or used up since.
            if let Some(sealed) = value.with_bytes(seal).map_err(|_| NO_BYTES)? {
                return sealed;
            }
        }
    }
}

impl Scope {
    /// Opens a record of any subject of this scope, by the reference that it carries.
    ///
    /// While the key is cached: no call, no waiting for other threads. Else the store is asked once.
    ///
    /// # Errors
    ///
    /// In this order: as [`RecordKey::open`](crate::RecordKey::open) for what is no record of this size;
    /// [`RecordError::Denied`] by the [`Authorizer`](super::Authorizer); [`RecordError::Erased`] if the key was destroyed;
    /// [`RecordError::KeyUnavailable`] for a reference that the store does not know; [`RecordError::Store`],
    /// [`RecordError::EpochUnavailable`], [`RecordError::KeyDamaged`] where the key cannot be had;
    /// [`RecordError::OtherOwner`] for another scope's; [`RecordError::Tampered`] if it was changed, or sealed for another
    /// cell; [`RecordError::WrongType`] if it holds no `T`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn open<T: Value>(&self, sealed: &Sealed<T>, cell: Cell<'_>) -> Result<Opened<T>, RecordError> {
        let shared = self.shared();
        let frame = self.frame_of(sealed.as_bytes())?;
        if !shared.is_watched() {
            let mut hit = Hit::default();
            if self.open_at_hand(&frame, &cell, None, &mut hit, |_| ()) {
                return typed(hit.result()?);
            }
        }
        typed(Box::pin(self.open_and_tell(&frame, &cell, None)).await?)
    }

    /// Takes a record apart; what is none is told as one that did not open.
    #[inline]
    fn frame_of<'r>(&self, record: &'r [u8]) -> Result<RecordFrame<'r>, RecordError> {
        let frame = record::decode(record, max_len(&self.shared().options.records));
        frame.or_else(|error| self.telling(Operation::OpenRecord).end(Err(error)))
    }

    #[inline]
    fn open_at_hand(
        &self,
        frame: &RecordFrame<'_>,
        cell: &Cell<'_>,
        subject: Option<&Pseudonym>,
        hit: &mut Hit,
        used: impl FnOnce(&Hot),
    ) -> bool {
        let (shared, Ok(tag)) = (self.shared(), self.tag()) else { return false };
        let open = |hot: &mut Hot| {
            used(hot);
            match check_owner(&hot.key, tag, subject) {
                Ok(()) => hit.set(open_record(&mut hot.cipher, frame, cell)),
                Err(error) => hit.set(Err(error)),
            }
        };
        shared.cache().with_reference(frame.reference, shared.now(), open).is_some()
    }

    async fn open_and_tell(
        &self,
        frame: &RecordFrame<'_>,
        cell: &Cell<'_>,
        subject: Option<Pseudonym>,
    ) -> Result<Vec<u8>, RecordError> {
        let mut telling = self.telling(Operation::OpenRecord);
        (telling.subject, telling.reference) = (subject, Some(frame.reference));
        let opened = self.open_by_the_book(frame, cell, subject, &mut telling).await;
        telling.end(opened)
    }

    async fn open_by_the_book(
        &self,
        frame: &RecordFrame<'_>,
        cell: &Cell<'_>,
        subject: Option<Pseudonym>,
        telling: &mut Telling<'_>,
    ) -> Result<Vec<u8>, RecordError> {
        let (shared, tag, reference) = (self.shared(), self.tag()?, frame.reference);
        self.authorize(Operation::OpenRecord, subject, Some(reference)).await?;
        // Who has to be asked again, once it is known whose it is, cannot open it before.
        let mut is_asked_again = shared.options.authorizer.is_some() && subject.is_none();
        if shared.is_watched() && !is_asked_again {
            let mut hit = Hit::default();
            let is_hit = self.open_at_hand(frame, cell, subject.as_ref(), &mut hit, |hot| {
                (telling.cache, telling.subject) = (CacheState::Hit, Some(*hot.key.pseudonym()));
            });
            if is_hit {
                return hit.result();
            }
        }
        loop {
            let seen = shared.cache().evictions();
            let mut resolved = shared.resolve(Wanted::References(&[reference])).await;
            let (key, state) = resolved.pop().expect("one was wanted");
            telling.cache = state;
            let key = key.map_err(|fault| fault.into_error(reference))?;
            check_owner(&key, tag, subject.as_ref())?;
            telling.subject = Some(*key.pseudonym());
            if is_asked_again {
                self.authorize(Operation::OpenRecord, telling.subject, Some(reference)).await?;
                // A reference is one subject's for ever: the answer holds for the key that is looked up next, too.
                is_asked_again = false;
                if !key.is_good(shared.now()) {
                    continue;
                }
            }
            // Who is on no list of the cache was not revoked, but may be meant.
            if shared.cache().evictions() != seen {
                continue;
            }
            let open = |hot: &mut Hot| open_record(&mut hot.cipher, frame, cell);
            // Nothing, if it was revoked or used up since.
            if let Some(opened) = shared.cache().with_key(&key, None, shared.now(), open) {
                return opened;
            }
        }
    }
}

/// Where a hit leaves what came of it. A `Result` that is handed out through locks and options is copied at every step, in
/// pieces that no processor forwards from its stores: a tenth of the time of a small record.
#[derive(Default)]
struct Hit {
    bytes: Vec<u8>,
    error: Option<RecordError>,
}

impl Hit {
    #[inline]
    fn set(&mut self, result: Result<Vec<u8>, RecordError>) {
        match result {
            Ok(bytes) => self.bytes = bytes,
            Err(error) => self.error = Some(error),
        }
    }

    #[inline]
    fn result(self) -> Result<Vec<u8>, RecordError> {
        self.error.map_or(Ok(self.bytes), Err)
    }
}

/// Seals one record into a new buffer.
pub(super) fn seal_record(
    cipher: &mut LocalCipher,
    options: &RecordOptions,
    plaintext: &[u8],
    cell: &Cell<'_>,
) -> Result<Vec<u8>, RecordError> {
    if options.snapshot_unsafe_nonce_pool {
        seal_by(cipher, &mut ThreadPool, options, plaintext, cell)
    } else {
        seal_by(cipher, &mut System, options, plaintext, cell)
    }
}

/// The same with nonces from `random`.
pub(super) fn seal_by(
    cipher: &mut LocalCipher,
    random: &mut impl Random,
    options: &RecordOptions,
    plaintext: &[u8],
    cell: &Cell<'_>,
) -> Result<Vec<u8>, RecordError> {
    if plaintext.len() > max_len(options) {
        return Err(record::too_long(max_len(options)));
    }
    let mut sealed = vec![0; plaintext.len() + RECORD_OVERHEAD];
    cell.with_parts(|parts| cipher.sealer(random).seal(plaintext, parts, &mut sealed))?;
    Ok(sealed)
}

/// Opens one record into a new buffer, which is all zero if it does not open.
pub(super) fn open_record(
    cipher: &mut LocalCipher,
    frame: &RecordFrame<'_>,
    cell: &Cell<'_>,
) -> Result<Vec<u8>, RecordError> {
    let mut plaintext = vec![0; frame.sealed.len() - TAG_LEN];
    cell.with_parts(|parts| cipher.open(frame, parts, &mut plaintext))?;
    Ok(plaintext)
}

/// What was opened, as what it should be.
pub(super) fn typed<T: Value>(bytes: Vec<u8>) -> Result<Opened<T>, RecordError> {
    T::opened(bytes).map_err(|_| RecordError::WrongType { expected: T::NAME })
}

// fmt: R-10
pub(super) fn max_len(options: &RecordOptions) -> usize {
    options.max_len.min(MAX_RECORD_LEN)
}

pub(super) const NO_BYTES: RecordError =
    RecordError::Usage("a value that cannot be written as what its type is sealed as");
