//! The error of key stores at work: everything about data subjects that is not the sealing or opening of a record.

use std::sync::Arc;

use super::{Category, KeyStoreError, OpenError, RecordError, SealError};

/// Why something was not done to a key store or to the keys of data subjects.
///
/// Never holds a name, a scope, a value of a context or anything of a key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubjectError {
    /// The key store did not answer.
    #[error(transparent)]
    Store(Arc<KeyStoreError>),
    /// The store has no root: it was never initialised.
    #[error("the key store is empty: initialise it, or restore a backup into it")]
    NotInitialised,
    /// The store has a root already, and was left as it is.
    #[error("the key store is initialised already: open it")]
    AlreadyInitialised,
    /// The root's key could not be had, or its envelope is not intact.
    #[error("the key store's root does not open: {0}")]
    Root(#[source] OpenError),
    /// The key of a data subject could not be had; what a record would say.
    #[error(transparent)]
    Key(#[from] RecordError),
    /// A key envelope could not be made, or a message could not be begun.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A message could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The call was wrong in itself.
    #[error("{0}")]
    Usage(&'static str),
}

impl SubjectError {
    /// The category of this error.
    #[must_use]
    pub fn category(&self) -> Category {
        match self {
            Self::Store(error) => error.category(),
            Self::NotInitialised | Self::AlreadyInitialised | Self::Usage(_) => Category::Usage,
            Self::Root(error) | Self::Open(error) => error.category(),
            Self::Key(error) => error.category(),
            Self::Seal(error) => error.category(),
        }
    }
}

impl From<KeyStoreError> for SubjectError {
    fn from(error: KeyStoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}
