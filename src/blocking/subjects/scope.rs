//! Scopes and subjects as plain calls.
//!
//! Floor 6. Each method is its async twin, waited for.

use std::borrow::Cow;

use super::{record, whole};
use crate::{
    error::{RecordError, SubjectError},
    format::context::EncryptionContext,
    front::{Cell, MessageStart, Opener, Sealer},
    keystore::{JointEnds, Pseudonym},
    secret::Opened,
    subjects::{self, ErasureRequest, Plaintext, Receipt, Sealed, Value},
};

/// [`Scope`](crate::Scope) for programs without `async`.
#[derive(Debug, Clone)]
pub struct Scope(subjects::Scope);

impl Scope {
    /// Says who does what is done by this handle.
    #[must_use]
    pub fn with_caller(self, caller: impl AsRef<str>) -> Self {
        Self(self.0.with_caller(caller))
    }

    /// Says what it is done for.
    #[must_use]
    pub fn with_purpose(self, purpose: impl AsRef<str>) -> Self {
        Self(self.0.with_purpose(purpose))
    }

    /// A person, by name. See [`crate::Scope::subject`].
    pub fn subject<'a>(&'a self, name: impl Into<Cow<'a, str>>) -> Subject<'a> {
        Subject(self.0.subject(name))
    }

    /// A class of data that is erased together. See [`crate::Scope::class`].
    pub fn class<'a>(&'a self, name: impl Into<Cow<'a, str>>) -> Subject<'a> {
        Subject(self.0.class(name))
    }

    /// The credentials of a person. See [`crate::Scope::credentials`].
    pub fn credentials<'a>(&'a self, name: impl Into<Cow<'a, str>>) -> Subject<'a> {
        Subject(self.0.credentials(name))
    }

    /// Several persons whom a record is about together. See [`crate::Scope::joint`].
    pub fn joint<'a, N: Into<Cow<'a, str>>>(
        &'a self,
        members: impl IntoIterator<Item = N>,
        ends: JointEnds,
    ) -> Subject<'a> {
        Subject(self.0.joint(members, ends))
    }

    /// Opens a record of any subject of this scope.
    ///
    /// # Errors
    ///
    /// As [`crate::Scope::open`].
    pub fn open<T: Value>(&self, sealed: &Sealed<T>, cell: Cell<'_>) -> Result<Opened<T>, RecordError> {
        record(self.0.open(sealed, cell))
    }

    /// Opens many records, with a result for each.
    ///
    /// # Errors
    ///
    /// As [`crate::Scope::open_many`].
    pub fn open_many<'r, T: Value + 'r>(
        &self,
        records: impl IntoIterator<Item = (&'r Sealed<T>, Cell<'r>)>,
    ) -> Result<Vec<Result<Opened<T>, RecordError>>, RecordError> {
        record(self.0.open_many(records))
    }

    /// Seals many values, with a result for each.
    ///
    /// # Errors
    ///
    /// As [`crate::Scope::seal_many`].
    #[allow(clippy::type_complexity, reason = "a result for the page and one for each value, as everywhere")]
    pub fn seal_many<'r, P: Plaintext + ?Sized + 'r>(
        &self,
        values: impl IntoIterator<Item = (Subject<'r>, &'r P, Cell<'r>)>,
    ) -> Result<Vec<Result<Sealed<P::Value>, RecordError>>, RecordError> {
        let values = values.into_iter().map(|(subject, value, cell)| (subject.0, value, cell));
        record(self.0.seal_many(values))
    }

    /// Whether a record should be sealed again.
    ///
    /// # Errors
    ///
    /// As [`crate::Scope::needs_reseal`].
    pub fn needs_reseal<T: ?Sized>(&self, sealed: &Sealed<T>) -> Result<bool, RecordError> {
        record(self.0.needs_reseal(sealed))
    }

    /// What to look a value up by without storing it.
    ///
    /// # Errors
    ///
    /// As [`crate::Scope::blind_index`].
    pub fn blind_index(
        &self,
        name: &str,
        value: impl AsRef<[u8]>,
        len: usize,
    ) -> Result<Vec<u8>, SubjectError> {
        self.0.blind_index(name, value, len)
    }

    /// Opens a message of any length that was sealed for a subject of this scope.
    ///
    /// # Errors
    ///
    /// As [`crate::Scope::opener`].
    pub fn opener(&self, start: MessageStart, context: &EncryptionContext) -> Result<Opener, SubjectError> {
        whole(self.0.opener(start, context))
    }

    /// Opens one whole message in memory.
    ///
    /// # Errors
    ///
    /// As [`crate::Scope::open_message`].
    pub fn open_message(
        &self,
        message: &[u8],
        context: &EncryptionContext,
    ) -> Result<Opened<Vec<u8>>, SubjectError> {
        whole(self.0.open_message(message, context))
    }

    /// Erases a data subject.
    ///
    /// # Errors
    ///
    /// As [`crate::Scope::erase`].
    pub fn erase<'r>(
        &self,
        subject: &Subject<'_>,
        request: impl Into<ErasureRequest<'r>>,
    ) -> Result<Receipt, SubjectError> {
        whole(self.0.erase(&subject.0, request))
    }

    /// Puts a data subject on hold for a case.
    ///
    /// # Errors
    ///
    /// As [`crate::Scope::hold`].
    pub fn hold(&self, subject: &Subject<'_>, case: &str) -> Result<bool, SubjectError> {
        whole(self.0.hold(&subject.0, case))
    }

    /// Ends the hold for one case.
    ///
    /// # Errors
    ///
    /// As [`crate::Scope::release`].
    pub fn release(&self, subject: &Subject<'_>, case: &str) -> Result<bool, SubjectError> {
        whole(self.0.release(&subject.0, case))
    }
}

impl From<subjects::Scope> for Scope {
    fn from(scope: subjects::Scope) -> Self {
        Self(scope)
    }
}

/// [`Subject`](crate::Subject) for programs without `async`.
#[derive(Debug, Clone)]
#[must_use = "a subject does nothing until something is sealed, opened or erased"]
pub struct Subject<'a>(subjects::Subject<'a>);

impl Subject<'_> {
    /// Says that a new person bears this name. See [`crate::Subject::of_new_person`].
    pub fn of_new_person(self) -> Self {
        Self(self.0.of_new_person())
    }

    /// What stands for the name in the store, in events, and before an authorizer.
    ///
    /// # Errors
    ///
    /// As [`crate::Subject::pseudonym`].
    pub fn pseudonym(&self) -> Result<Pseudonym, RecordError> {
        self.0.pseudonym()
    }

    /// Seals a value under the newest key of this subject.
    ///
    /// # Errors
    ///
    /// As [`crate::Subject::seal`].
    pub fn seal<P: Plaintext + ?Sized>(
        &self,
        value: &P,
        cell: Cell<'_>,
    ) -> Result<Sealed<P::Value>, RecordError> {
        record(self.0.seal(value, cell))
    }

    /// Opens a record of this subject, and of no other.
    ///
    /// # Errors
    ///
    /// As [`crate::Subject::open`].
    pub fn open<T: Value>(&self, sealed: &Sealed<T>, cell: Cell<'_>) -> Result<Opened<T>, RecordError> {
        record(self.0.open(sealed, cell))
    }

    /// Makes a new version of the key, and gives its number.
    ///
    /// # Errors
    ///
    /// As [`crate::Subject::rotate`].
    pub fn rotate(&self) -> Result<u32, RecordError> {
        record(self.0.rotate())
    }

    /// Begins a message of any length under the newest key of this subject.
    ///
    /// # Errors
    ///
    /// As [`crate::Subject::sealer`].
    pub fn sealer(&self, context: &EncryptionContext) -> Result<Sealer, SubjectError> {
        whole(self.0.sealer(context))
    }

    /// Seals `plaintext` into one message in memory.
    ///
    /// # Errors
    ///
    /// As [`crate::Subject::seal_message`].
    pub fn seal_message(
        &self,
        plaintext: &[u8],
        context: &EncryptionContext,
    ) -> Result<Vec<u8>, SubjectError> {
        whole(self.0.seal_message(plaintext, context))
    }
}
