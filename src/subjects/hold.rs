//! Holds: whoever is on hold for a case is not erased before the hold is released.
//!
//! Floor 6. The store checks them in the same step in which it would bury. Page on [erasure](crate::manual::erasure).

use super::{Scope, Subject, erasure::Named, events::Telling};
use crate::{error::SubjectError, keystore::Hold, limits::MAX_SUBJECT_NAME_LEN, observe::Operation};

impl Scope {
    /// Puts a data subject on hold for a case, such as a law suit's number: it is not erased while any hold is on it. A hold on a
    /// person is also one on the person's credentials, and on joint keys that end with any of their members. `false` if
    /// that hold was there already.
    ///
    /// Nobody has to have a key to be put on hold.
    ///
    /// # Security
    ///
    /// The case is hashed under the root, and stored nowhere else.
    ///
    /// # Errors
    ///
    /// [`SubjectError::Usage`] for a case that is not of 1 to 1024 bytes, or a data subject of another scope; a denial; what
    /// the key store failed with.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it done or not done.
    pub async fn hold(&self, subject: &Subject<'_>, case: &str) -> Result<bool, SubjectError> {
        let mut telling = self.telling(Operation::Hold);
        let held = async {
            let (named, case) = self.about_to(&mut telling, Operation::Hold, subject, case).await?;
            let hold = Hold { pseudonym: named.pseudonym, case, since: self.shared().unix_seconds() };
            Ok(self.shared().store.hold(&hold).await?)
        };
        let held: Result<bool, SubjectError> = held.await;
        telling.end(held)
    }

    /// Ends the hold for one case. `false` if there was none.
    ///
    /// # Errors
    ///
    /// As [`hold`](Self::hold).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it done or not done.
    pub async fn release(&self, subject: &Subject<'_>, case: &str) -> Result<bool, SubjectError> {
        let mut telling = self.telling(Operation::Release);
        let released = async {
            let (named, case) = self.about_to(&mut telling, Operation::Release, subject, case).await?;
            Ok(self.shared().store.release(&named.pseudonym, &case).await?)
        };
        let released: Result<bool, SubjectError> = released.await;
        telling.end(released)
    }

    /// For how many cases a data subject is on hold.
    ///
    /// # Errors
    ///
    /// [`SubjectError::Usage`] for a data subject of another scope; what the key store failed with.
    pub async fn holds(&self, subject: &Subject<'_>) -> Result<usize, SubjectError> {
        self.check_own(subject)?;
        let named = subject.named()?;
        Ok(self.shared().store.holds(&named.pseudonym).await?.len())
    }

    async fn about_to(
        &self,
        telling: &mut Telling<'_>,
        operation: Operation,
        subject: &Subject<'_>,
        case: &str,
    ) -> Result<(Named, [u8; 32]), SubjectError> {
        if case.is_empty() || case.len() > MAX_SUBJECT_NAME_LEN {
            return Err(SubjectError::Usage("the reference of a case has 1 to 1024 bytes"));
        }
        self.check_own(subject)?;
        let named = subject.named()?;
        telling.subject = Some(named.pseudonym);
        self.authorize(operation, telling.subject, None).await?;
        Ok((named, self.shared().root.request_hash(self.name(), case)))
    }
}
