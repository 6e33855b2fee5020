//! What the store knows of a name: nothing, keys, or that whoever bore it was erased.
//!
//! Floor 6. One call of the store, and nothing from a cache. Page on [erasure](crate::manual::erasure).

use super::Subject;
use crate::{error::SubjectError, keystore::Found};

/// What the store knows of a data subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Standing {
    /// Nothing: nothing was ever sealed for it, or the name or the scope is another one.
    Unknown,
    /// It has keys, or its [credentials](super::Scope::credentials) have.
    Living,
    /// It was erased.
    Erased,
}

impl Subject<'_> {
    /// Asks the store what it knows of this name, before something is done about it that a mistyped name should not bring about.
    ///
    /// # Errors
    ///
    /// [`SubjectError::Key`] for a name that cannot be one; what the key store failed with.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn standing(&self) -> Result<Standing, SubjectError> {
        let own = self.pseudonym()?;
        let mut names = vec![own];
        // The person's credentials live and end with the person.
        names.extend(
            self.person_and_credentials()
                .filter(|(person, _)| *person == own)
                .map(|(_, credentials)| credentials),
        );
        let found = self.scope().shared().store.find(&names).await?;
        let has = |wanted: fn(&Found) -> bool| found.iter().any(wanted);
        Ok(if has(|found| matches!(found, Found::Row(_))) {
            Standing::Living
        } else if has(|found| matches!(found, Found::Erased)) {
            Standing::Erased
        } else {
            Standing::Unknown
        })
    }
}
