//! The error of key stores at work: everything about data subjects that is not the sealing or opening of a record.

use std::sync::Arc;

use super::{AnchorError, Category, KeyStoreError, OpenError, ProviderError, RecordError, SealError};

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
    /// Somebody who would be erased is on hold for a case.
    #[error("on hold: release every hold before the erasure, or wait for it")]
    OnHold,
    /// The anchor did not answer.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// The anchor is of another key store.
    #[error("the anchor belongs to another key store: give the one of this store")]
    OtherAnchor,
    /// Store and anchor tell two histories: one of them is not what it was, or was used without the other.
    #[error(
        "the key store and its anchor contradict each other at tombstone {number}: restore the newest of both"
    )]
    Diverged {
        /// The first tombstone in which they differ, from 1.
        number: u64,
    },
    /// A tombstone or receipt was changed, left out, moved, or is of another store.
    #[error("the chain of {chain} was tampered with at number {number}")]
    ChainTampered {
        /// `"tombstones"` or `"receipts"`.
        chain: &'static str,
        /// The first that does not belong, from 1.
        number: u64,
    },
    /// Refused, since it would lose data or claim what is not known.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// A backup of a key store is not whole, or not one.
    #[error("backup of a key store: {what}")]
    Backup {
        /// What is wrong.
        what: &'static str,
        /// What kind of fault it is.
        category: Category,
    },
    /// A wrapping key could not be destroyed.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// Reading or writing a backup failed.
    #[error("reading or writing failed: {0}")]
    Io(#[from] std::io::Error),
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
            Self::OnHold | Self::OtherAnchor | Self::Diverged { .. } | Self::Refused(_) => Category::Refused,
            Self::Anchor(error) => error.category(),
            Self::ChainTampered { .. } => Category::Tampered,
            Self::Backup { category, .. } => *category,
            Self::Provider(_) => Category::KeyUnavailable,
            Self::Io(_) => Category::Io,
        }
    }
}

impl From<KeyStoreError> for SubjectError {
    fn from(error: KeyStoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}
