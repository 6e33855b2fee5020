//! Messages of a data subject: files and documents whose data key the subject's key wraps, and which end with it.
//!
//! Floor 6. The key is looked up here, before the front opens anything, so that an erasure is told as one. Rule K-5 of the
//! [format](crate::manual::format).

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use super::{Scope, Subject, load::Wanted, subject::check_owner};
use crate::{
    error::{OpenError, ProviderError, RecordError, SubjectError},
    format::context::EncryptionContext,
    front::{MessageStart, OpenHandle, Opener, SealHandle, Sealer},
    observe::Operation,
    provider::parent_key::{ChildKeys, ParentKey, ParentKeys, parent_reference},
    secret::{Opened, Secret},
};

impl Subject<'_> {
    /// Begins a message of any length under the newest key of this subject. It opens by [`Scope::opener`], until the subject
    /// is erased.
    ///
    /// # Errors
    ///
    /// [`SubjectError::Key`] as [`seal`](Self::seal); [`SubjectError::Seal`] as
    /// [`SealHandle::sealer`](crate::SealHandle::sealer).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn sealer(&self, context: &EncryptionContext) -> Result<Sealer, SubjectError> {
        Ok(self.seal_handle().await?.sealer(context).await?)
    }

    /// Seals `plaintext` into one message in memory.
    ///
    /// # Errors
    ///
    /// As [`sealer`](Self::sealer).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use kuvert::{EncryptionContext, Subjects, SubjectsOptions, keystore::MemoryKeyStore, provider::MemoryProvider};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # kuvert::blocking::block_on(async {
    /// # let keys = Arc::new(MemoryProvider::generate("root")?);
    /// # let store = Arc::new(MemoryKeyStore::new());
    /// # let subjects = Subjects::init(store, keys.clone(), keys, SubjectsOptions::default()).await?;
    /// let tenant = subjects.scope("tenant-7");
    /// let context = EncryptionContext::new([("document", "cv.pdf")])?;
    /// let message = tenant.subject("applicant:9").seal_message(b"%PDF-1.7", &context).await?;
    /// assert_eq!(tenant.open_message(&message, &context).await?.as_slice(), b"%PDF-1.7");
    /// assert!(subjects.scope("tenant-8").open_message(&message, &context).await.is_err());
    /// # Ok(()) })? }
    /// ```
    pub async fn seal_message(
        &self,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<Vec<u8>, SubjectError> {
        Ok(self.seal_handle().await?.seal(plaintext, context).await?)
    }

    async fn seal_handle(&self) -> Result<SealHandle, SubjectError> {
        let mut telling = self.scope().telling(Operation::SealMessage);
        let handle = async {
            let (scope, subject) = (self.scope(), self.pseudonym()?);
            telling.subject = Some(subject);
            scope.authorize(Operation::SealMessage, Some(subject), None).await?;
            let (key, state) = loop {
                let seen = scope.shared().cache().evictions();
                let (key, state) = self.newest().await?;
                let key = key?;
                if scope.shared().cache().evictions() == seen && key.begin_use() {
                    break (key, state);
                }
            };
            (telling.cache, telling.reference) = (state, Some(key.reference()));
            check_owner(&key, scope.tag()?, Some(&subject))?;
            Ok::<_, RecordError>(ParentKey::new(key.reference(), key.child_key()))
        }
        .await;
        let key = telling.end(handle)?;
        Ok(SealHandle::from_arc(Arc::new(key)))
    }
}

impl Scope {
    /// Opens a message of any length that was sealed for a subject of this scope: one look-up, ordinary I/O from then on.
    ///
    /// # Errors
    ///
    /// [`SubjectError::Key`] as [`open`](Self::open), [`RecordError::Erased`] first of all; [`SubjectError::Open`] as
    /// [`OpenHandle::opener`](crate::OpenHandle::opener).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing but the start, which was taken.
    pub async fn opener(
        &self,
        start: MessageStart,
        context: &EncryptionContext,
    ) -> Result<Opener, SubjectError> {
        Ok(self.open_handle(&start).await?.opener(start, context).await?)
    }

    /// Opens one whole message in memory.
    ///
    /// # Errors
    ///
    /// As [`opener`](Self::opener).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn open_message(
        &self,
        message: &[u8],
        context: &EncryptionContext,
    ) -> Result<Opened<Vec<u8>>, SubjectError> {
        let start = MessageStart::parse(message)?;
        Ok(self.open_handle(&start).await?.open(message, context).await?)
    }

    async fn open_handle(&self, start: &MessageStart) -> Result<OpenHandle, SubjectError> {
        let references = references(start)?;
        let mut telling = self.telling(Operation::OpenMessage);
        telling.reference = references.first().copied();
        let found = async {
            let tag = self.tag()?;
            for reference in &references {
                self.authorize(Operation::OpenMessage, None, Some(*reference)).await?;
            }
            let (shared, wanted) = (self.shared(), Wanted::References(&references));
            let seen = shared.cache().evictions();
            let mut resolved = shared.resolve(wanted).await;
            if shared.options.authorizer.is_some() {
                for (reference, (key, _)) in references.iter().zip(&resolved) {
                    let own = key.as_ref().ok().filter(|key| check_owner(key, tag, None).is_ok());
                    if let Some(key) = own {
                        telling.subject = Some(*key.pseudonym());
                        self.authorize(Operation::OpenMessage, telling.subject, Some(*reference)).await?;
                    }
                }
            }
            shared.take_up(wanted, &mut resolved, seen, shared.options.authorizer.is_some()).await;
            let (mut found, mut failure) = (Vec::new(), None);
            for (reference, (key, state)) in references.iter().zip(resolved) {
                let checked = key
                    .map_err(|fault| fault.into_error(*reference))
                    .and_then(|key| check_owner(&key, tag, None).map(|()| key));
                match checked {
                    Ok(key) => {
                        let subject = Some(*key.pseudonym());
                        (telling.cache, telling.subject, telling.reference) =
                            (state, subject, Some(*reference));
                        found.push((*reference, key.child_key()));
                    }
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
            match failure {
                Some(error) if found.is_empty() => Err(error),
                _ => Ok(found),
            }
        }
        .await;
        let found = telling.end(found)?;
        Ok(OpenHandle::from_arc(Arc::new(ParentKeys(Children(found)))))
    }
}

/// The subject keys that a message says it is sealed under: a few at most.
fn references(start: &MessageStart) -> Result<Vec<u64>, OpenError> {
    let mut references = Vec::new();
    for (_, slot) in start.header().usable_slots()? {
        for reference in slot.recipients().iter().filter_map(parent_reference) {
            if references.len() < TRIED && !references.contains(&reference) {
                references.push(reference);
            }
        }
    }
    Ok(references)
}

/// What was found for one message.
struct Children(Vec<(u64, Secret<32>)>);

#[async_trait]
impl ChildKeys for Children {
    async fn child_key(&self, reference: u64) -> Result<Option<Secret<32>>, ProviderError> {
        let found = self.0.iter().find(|(own, _)| *own == reference);
        Ok(found.map(|(_, key)| Secret::copy_from(key.expose())))
    }
}

impl fmt::Debug for Children {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Children").field(&self.0.len()).finish()
    }
}

/// References of one message that are looked up.
const TRIED: usize = crate::limits::MAX_STANZAS_TRIED;
