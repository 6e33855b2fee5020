//! Who may do what: asked before anything is opened, sealed or erased.
//!
//! Floor 6. What is asked holds no plaintext and no key; the scope's name is the caller's own. Page on
//! [erasure](crate::manual::erasure).

use std::fmt;

use async_trait::async_trait;

use crate::{error::RecordError, keystore::Pseudonym, observe::Operation};

/// Says whether something may be done.
///
/// It is asked before the store and before any provider, so that a denial costs neither a call; records are asked about one
/// by one, also in a batch. Whoever opens by reference alone knows the data subject only once its key is looked up: then it
/// is asked before with `subject` empty, and again, with it, before anything is opened.
///
/// # Examples
///
/// ```
/// use kuvert::subjects::{AccessRequest, Authorizer, Denied};
///
/// /// Nothing is opened without a purpose.
/// #[derive(Debug)]
/// struct Purposes;
///
/// #[kuvert::async_trait]
/// impl Authorizer for Purposes {
///     async fn authorize(&self, request: &AccessRequest<'_>) -> Result<(), Denied> {
///         match request.purpose {
///             Some("invoicing" | "support") => Ok(()),
///             _ => Err(Denied::new("no purpose that is known")),
///         }
///     }
/// }
/// ```
#[async_trait]
pub trait Authorizer: fmt::Debug + Send + Sync {
    /// Whether it may be done. What cannot be found out is denied.
    ///
    /// # Errors
    ///
    /// [`Denied`], which is what the caller gets as [`RecordError::Denied`](crate::RecordError::Denied).
    async fn authorize(&self, request: &AccessRequest<'_>) -> Result<(), Denied>;
}

/// What somebody is about to do.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct AccessRequest<'a> {
    /// What is to be done.
    pub operation: Operation,
    /// The scope's name.
    pub scope: &'a str,
    /// Who does it, as [`Scope::with_caller`](super::Scope::with_caller) said.
    pub caller: Option<&'a str>,
    /// What for, as [`Scope::with_purpose`](super::Scope::with_purpose) said.
    pub purpose: Option<&'a str>,
    /// The data subject, where it is known already.
    pub subject: Option<Pseudonym>,
    /// The reference of the key, where there is a record or message already.
    pub reference: Option<u64>,
}

impl fmt::Debug for AccessRequest<'_> {
    /// Without the scope's name, and without the pseudonym, which leads to a person for whoever can guess names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessRequest")
            .field("operation", &self.operation)
            .field("caller", &self.caller)
            .field("purpose", &self.purpose)
            .field("reference", &self.reference)
            .finish_non_exhaustive()
    }
}

/// That something may not be done, and by which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("denied: {0}")]
pub struct Denied(&'static str);

impl Denied {
    /// Names the rule.
    #[must_use]
    pub const fn new(rule: &'static str) -> Self {
        Self(rule)
    }

    /// The rule.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        self.0
    }
}

impl From<Denied> for RecordError {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied.0)
    }
}
