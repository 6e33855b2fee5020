//! A data subject by name: a person, a class, somebody's credentials, or several persons together.
//!
//! Floor 6. Names are borrowed and hashed, kept with the keys that a thread is busy with and nowhere else. Section "Key
//! store and subjects" of the [format](crate::manual::format).

use std::{borrow::Cow, fmt, sync::Arc};

use super::{
    Scope,
    cache::NameKey,
    create::Maker,
    key::Key,
    load::{Fault, Wanted},
};
use crate::{
    error::RecordError,
    format::subject::SubjectName,
    keystore::{EpochClass, Joint, JointEnds, Names, Pseudonym},
    limits::MAX_SUBJECT_NAME_LEN,
    observe::Operation,
};

/// A data subject of one [`Scope`]: whoever or whatever has keys of its own.
///
/// Made from a name, without a call. Its key is made when something is sealed for it first; from then on records carry a
/// random reference, and the store a pseudonym of the name.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use kuvert::{Cell, RecordError, Subjects, SubjectsOptions, keystore::MemoryKeyStore, provider::MemoryProvider};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # kuvert::blocking::block_on(async {
/// let store = Arc::new(MemoryKeyStore::new());
/// let [root, epoch] = [Arc::new(MemoryProvider::generate("root")?), Arc::new(MemoryProvider::generate("2026-w47")?)];
/// let subjects = Subjects::init(store, root, epoch, SubjectsOptions::default()).await?;
/// let tenant = subjects.scope("tenant-7");
///
/// let anna = tenant.subject("customer:42");
/// let email = anna.seal("anna@example.se", Cell::new("customers", "email", 42)).await?;
/// assert_eq!(*tenant.open(&email, Cell::new("customers", "email", 42)).await?, "anna@example.se");
///
/// // Another tenant's scope refuses it before anything is opened.
/// let refused = subjects.scope("tenant-8").open(&email, Cell::new("customers", "email", 42)).await;
/// assert!(matches!(refused, Err(RecordError::OtherOwner { .. })));
/// # Ok(()) })? }
/// ```
#[derive(Clone)]
#[must_use = "a subject does nothing until something is sealed, opened or erased"]
pub struct Subject<'a> {
    scope: &'a Scope,
    name: Name<'a>,
    names: Names,
}

#[derive(Clone)]
pub(super) enum Name<'a> {
    Person(Cow<'a, str>),
    Class(Cow<'a, str>),
    Credentials(Cow<'a, str>),
    Joint(JointEnds, Vec<Cow<'a, str>>),
}

impl<'a> Subject<'a> {
    pub(super) const fn new(scope: &'a Scope, name: Name<'a>) -> Self {
        Self { scope, name, names: Names::StayErased }
    }

    /// Says that a new person bears this name: if whoever bore it was erased, this one gets a key of its own when something
    /// is sealed. What was sealed before stays erased.
    ///
    /// As long as a [joint](Scope::joint) key of the one who was erased is kept by others, the name stays refused: who is a
    /// new person and who an earlier one could not be told apart when the others are erased.
    pub const fn of_new_person(mut self) -> Self {
        self.names = Names::MayBeNewPersons;
        self
    }

    /// The scope it is of.
    #[must_use]
    pub const fn scope(&self) -> &'a Scope {
        self.scope
    }

    /// What stands for the name in the store, in events, and before an [`Authorizer`](super::Authorizer).
    ///
    /// # Security
    ///
    /// Nobody gets from it to the name without the root's key; but whoever may call this can test guesses.
    ///
    /// # Errors
    ///
    /// [`RecordError::Usage`] for a name that cannot be one.
    pub fn pseudonym(&self) -> Result<Pseudonym, RecordError> {
        self.scope.tag()?;
        let root = &self.scope.shared().root;
        let pseudonym = |name: SubjectName<'_>| {
            self.check(&name)?;
            Ok(root.pseudonym(self.scope.name(), &name))
        };
        match &self.name {
            Name::Person(name) => pseudonym(SubjectName::Person(name)),
            Name::Class(name) => pseudonym(SubjectName::Class(name)),
            Name::Credentials(name) => pseudonym(SubjectName::Credentials(name)),
            Name::Joint(ends, members) => {
                let members = self.member_pseudonyms(members)?;
                pseudonym(SubjectName::Joint { ends: *ends as u8, members: &members })
            }
        }
    }

    /// Makes a new version of the key, which everything is sealed under from now on; what was sealed under older ones still
    /// opens, and [`needs_reseal`](Scope::needs_reseal). Gives the number of the version.
    ///
    /// Other processes go over to it within [`max_age`](super::SubjectsOptions#structfield.max_age).
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it done or not done.
    pub async fn rotate(&self) -> Result<u32, RecordError> {
        let mut telling = self.scope.telling(Operation::Rotate);
        telling.subject = Some(self.pseudonym()?);
        let version = self.rotate_and_say(&mut telling.subject).await;
        telling.end(version)
    }

    async fn rotate_and_say(&self, pseudonym: &mut Option<Pseudonym>) -> Result<u32, RecordError> {
        self.scope.authorize(Operation::Rotate, *pseudonym, None).await?;
        let maker = self.maker().await?;
        let shared = self.scope.shared();
        let evictions = shared.cache().evictions();
        let key = shared.make_next(&maker).await.map_err(|fault| fault.into_error(0))?;
        shared.cache().put_newest(&key, evictions, shared.now());
        Ok(key.version())
    }

    /// What stands for a person and for the person's credentials, where this is one of the two.
    pub(super) fn person_and_credentials(&self) -> Option<(Pseudonym, Pseudonym)> {
        let (Name::Person(name) | Name::Credentials(name)) = &self.name else { return None };
        let of = |name: SubjectName<'_>| self.scope.shared().root.pseudonym(self.scope.name(), &name);
        Some((of(SubjectName::Person(name)), of(SubjectName::Credentials(name))))
    }

    /// How its key is found, and made if there is none. Members of a joint get theirs first, so that the erasure of each
    /// leaves a tombstone that says so.
    pub(super) async fn maker(&self) -> Result<Maker, RecordError> {
        let maker = self.maker_alone()?;
        let Some(joint) = &maker.joint else { return Ok(maker) };
        let members = joint.members.iter().map(|member| Maker {
            pseudonym: *member,
            class: EpochClass::Subjects,
            names: maker.names,
            joint: None,
            ..maker
        });
        let members: Vec<Maker> = members.collect();
        for (answer, _) in self.scope.shared().resolve(Wanted::Newest(&members)).await {
            answer.map_err(|fault| fault.into_error(0))?;
        }
        Ok(maker)
    }

    /// The same without a call; the members of a joint may have no keys.
    pub(super) fn maker_alone(&self) -> Result<Maker, RecordError> {
        let (pseudonym, scope) = (self.pseudonym()?, *self.scope.tag()?);
        let joint = match &self.name {
            Name::Joint(ends, members) => {
                Some(Arc::new(Joint { pseudonym, ends: *ends, members: self.member_pseudonyms(members)? }))
            }
            _ => None,
        };
        let class = match &self.name {
            Name::Credentials(_) => EpochClass::Credentials,
            _ => EpochClass::Subjects,
        };
        Ok(Maker { pseudonym, scope, class, names: self.names, joint })
    }

    /// The newest key, which is made if there is none, and what the cache had to do with it.
    pub(super) async fn newest(&self) -> Result<super::load::Resolved, RecordError> {
        let maker = [self.maker().await?];
        let mut resolved = self.scope.shared().resolve(Wanted::Newest(&maker)).await;
        Ok(resolved.pop().expect("one was wanted"))
    }

    /// What stands for the members of a joint; nothing for anybody else.
    pub(super) fn members(&self) -> Result<Vec<Pseudonym>, RecordError> {
        match &self.name {
            Name::Joint(_, members) => self.member_pseudonyms(members),
            Name::Person(_) | Name::Class(_) | Name::Credentials(_) => Ok(Vec::new()),
        }
    }

    /// What a thread finds its key by, if it is one of those that are found so.
    #[inline]
    pub(super) fn name_key(&self) -> Option<NameKey<'_>> {
        let (kind, name) = match &self.name {
            Name::Person(name) => (0, name),
            Name::Class(name) => (1, name),
            Name::Credentials(name) => (2, name),
            Name::Joint(..) => return None,
        };
        Some(NameKey { scope: self.scope.tag().ok()?, kind, name: name.as_bytes() })
    }

    fn member_pseudonyms(&self, members: &[Cow<'_, str>]) -> Result<Vec<Pseudonym>, RecordError> {
        let pseudonym = |member: &Cow<'_, str>| {
            let name = SubjectName::Person(member);
            self.check(&name)?;
            Ok(self.scope.shared().root.pseudonym(self.scope.name(), &name))
        };
        let members: Result<Vec<Pseudonym>, RecordError> = members.iter().map(pseudonym).collect();
        members.map(|mut members| {
            members.sort_unstable();
            members
        })
    }

    // fmt: J-4
    fn check(&self, name: &SubjectName<'_>) -> Result<(), RecordError> {
        let limit = self.scope.shared().options.max_name_len.min(MAX_SUBJECT_NAME_LEN);
        match name {
            SubjectName::Person(name) | SubjectName::Class(name) | SubjectName::Credentials(name)
                if name.len() > limit =>
            {
                let what = "the name of a data subject (bytes)";
                Err(RecordError::LimitExceeded { what, limit: limit as u64 })
            }
            name => name.check().map_err(RecordError::Usage),
        }
    }
}

/// Refuses a key that is another scope's, or another subject's than was asked for.
pub(super) fn check_owner(
    key: &Key,
    scope: &[u8; 16],
    subject: Option<&Pseudonym>,
) -> Result<(), RecordError> {
    if key.scope() != scope || subject.is_some_and(|subject| key.pseudonym() != subject) {
        return Err(RecordError::OtherOwner { reference: key.reference() });
    }
    Ok(())
}

impl From<Fault> for RecordError {
    /// Of something that has no reference yet.
    fn from(fault: Fault) -> Self {
        fault.into_error(0)
    }
}

impl fmt::Debug for Subject<'_> {
    /// Without the name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject(..)")
    }
}
