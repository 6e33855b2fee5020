//! A scope: the tenant, register or service whose data subjects have nothing to do with those of others.
//!
//! Floor 6. The scope stands in every name and in every row, so that a reference of another scope is refused before
//! anything is opened. Section "Key store and subjects" of the [format](crate::manual::format).

use std::{borrow::Cow, fmt, sync::Arc};

use super::{
    access::AccessRequest,
    events::Telling,
    shared::Shared,
    subject::{Name, Subject},
};
use crate::{
    error::{RecordError, SubjectError},
    format::subject::check_scope,
    keystore::{JointEnds, Pseudonym},
    limits::MAX_INDEX_NAME_LEN,
    observe::Operation,
};

/// The data subjects of one scope. Cheap to clone; make it once for each tenant and share it.
///
/// Made by [`Subjects::scope`](super::Subjects::scope), without a call.
#[derive(Clone)]
pub struct Scope {
    shared: Arc<Shared>,
    name: Arc<str>,
    /// What stands for it in rows, or why it cannot be a scope.
    tag: Result<[u8; 16], &'static str>,
    caller: Option<Arc<str>>,
    purpose: Option<Arc<str>>,
}

impl Scope {
    pub(super) fn new(shared: Arc<Shared>, name: &str) -> Self {
        // fmt: J-4
        let tag = check_scope(name).map(|()| shared.root.scope_tag(name));
        Self { shared, name: name.into(), tag, caller: None, purpose: None }
    }

    /// Says who does what is done by this handle, for the [`Authorizer`](super::Authorizer).
    #[must_use]
    pub fn with_caller(mut self, caller: impl AsRef<str>) -> Self {
        self.caller = Some(caller.as_ref().into());
        self
    }

    /// Says what it is done for, for the [`Authorizer`](super::Authorizer) and in events. It should be one of a few words, never
    /// something about a person.
    #[must_use]
    pub fn with_purpose(mut self, purpose: impl AsRef<str>) -> Self {
        self.purpose = Some(purpose.as_ref().into());
        self
    }

    /// A person, by a name that stays the same for the life of the data: 1 to 1024 bytes, such as a customer's number.
    ///
    /// A name that cannot be one is told by the first call that needs it.
    pub fn subject<'a>(&'a self, name: impl Into<Cow<'a, str>>) -> Subject<'a> {
        Subject::new(self, Name::Person(name.into()))
    }

    /// A class of data that is erased together, for example all that is kept until one date. No class has the key of a person of
    /// the same name.
    pub fn class<'a>(&'a self, name: impl Into<Cow<'a, str>>) -> Subject<'a> {
        Subject::new(self, Name::Class(name.into()))
    }

    /// The credentials of a person, such as a password's hash: their keys lie in epochs of their own, whose wrapping key the
    /// roles for backup and analytics do not have.
    pub fn credentials<'a>(&'a self, name: impl Into<Cow<'a, str>>) -> Subject<'a> {
        Subject::new(self, Name::Credentials(name.into()))
    }

    /// Several persons whom a record is about together, by their names as for [`subject`](Self::subject), in any order, at
    /// most 64. Their key is erased with the last or with the first of them.
    pub fn joint<'a, N: Into<Cow<'a, str>>>(
        &'a self,
        members: impl IntoIterator<Item = N>,
        ends: JointEnds,
    ) -> Subject<'a> {
        Subject::new(self, Name::Joint(ends, members.into_iter().map(Into::into).collect()))
    }

    /// What to look a value up by without storing it: the same for the same value, under `name` in this scope, for the life of
    /// the key store. `len` bytes, 8 to 32.
    ///
    /// # Security
    ///
    /// It shows which rows have equal values, and so how often each occurs; a short one matches a few others as well. It does
    /// not end with the data subject: delete the rows that hold it when you erase.
    ///
    /// # Errors
    ///
    /// [`SubjectError::Usage`] for a name that is not of 1 to 255 bytes, a length that is not of 8 to 32, or a scope that
    /// cannot be one.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use kuvert::{Subjects, SubjectsOptions, keystore::MemoryKeyStore, provider::MemoryProvider};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let keys = Arc::new(MemoryProvider::generate("root")?);
    /// # let store = Arc::new(MemoryKeyStore::new());
    /// # let subjects = kuvert::blocking::block_on(Subjects::init(store, keys.clone(), keys, SubjectsOptions::default()))??;
    /// let tenant = subjects.scope("tenant-7");
    /// let index = tenant.blind_index("email", "anna@example.se", 16)?;
    /// assert_eq!(tenant.blind_index("email", "anna@example.se", 16)?, index);
    /// assert_ne!(tenant.blind_index("phone", "anna@example.se", 16)?, index);
    /// assert!(tenant.blind_index("email", "anna@example.se", 4).is_err());
    /// # Ok(()) }
    /// ```
    pub fn blind_index(
        &self,
        name: &str,
        value: impl AsRef<[u8]>,
        len: usize,
    ) -> Result<Vec<u8>, SubjectError> {
        self.tag()?;
        // fmt: J-10
        if name.is_empty() || name.len() > MAX_INDEX_NAME_LEN {
            return Err(SubjectError::Usage("the name of a blind index has 1 to 255 bytes"));
        }
        if !(8..=32).contains(&len) {
            return Err(SubjectError::Usage("a blind index has 8 to 32 bytes"));
        }
        Ok(self.shared.root.blind_index(name).of(&self.name, value.as_ref())[..len].to_vec())
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What stands for it in rows.
    #[inline]
    pub(crate) fn tag(&self) -> Result<&[u8; 16], RecordError> {
        self.tag.as_ref().map_err(|what| RecordError::Usage(what))
    }

    /// Refuses a data subject of another scope or key store: a receipt for it would speak of somebody else.
    pub(super) fn check_own(&self, subject: &Subject<'_>) -> Result<(), SubjectError> {
        let other = subject.scope();
        let is_own = other.shared.root.reference() == self.shared.root.reference() && other.name == self.name;
        if is_own {
            Ok(())
        } else {
            Err(SubjectError::Usage("the data subject is of another scope or key store"))
        }
    }

    /// Asks whether this may be done, if there is somebody to ask.
    pub(crate) async fn authorize(
        &self,
        operation: Operation,
        subject: Option<Pseudonym>,
        reference: Option<u64>,
    ) -> Result<(), RecordError> {
        let Some(authorizer) = &self.shared.options.authorizer else { return Ok(()) };
        let (caller, purpose) = (self.caller.as_deref(), self.purpose.as_deref());
        let request = AccessRequest { operation, scope: &self.name, caller, purpose, subject, reference };
        authorizer.authorize(&request).await.map_err(RecordError::from)
    }

    /// Tells the observer, if there is one, what becomes of something that begins now.
    pub(crate) fn telling(&self, operation: Operation) -> Telling<'_> {
        Telling::new(&self.shared, operation, self.purpose.as_deref())
    }
}

impl fmt::Debug for Scope {
    /// Without its name, which may be a customer's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("purpose", &self.purpose).finish_non_exhaustive()
    }
}
