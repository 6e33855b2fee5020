//! Data subjects as plain calls.
//!
//! Floor 6: stands on [`crate::subjects`] and adds no behaviour of its own. What is not here, such as backups of the key
//! store, is asked of the [async handle](Subjects::as_async) by [`block_on`](super::block_on).

mod scope;
#[cfg(test)]
mod tests;

use std::{future::Future, sync::Arc};

pub use self::scope::{Scope, Subject};
use super::handles::NESTED;
use crate::{
    error::{RecordError, SubjectError},
    executor::{NestedError, block_on},
    keystore::KeyStore,
    provider::KeyProvider,
    subjects::{self, KeyCacheStats, ReceiptsReport, RollOptions, RollReport, SubjectsOptions},
};

/// [`Subjects`](crate::Subjects) for programs without `async`: every method waits for the key store itself.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use kuvert::{Cell, SubjectsOptions, blocking::Subjects, keystore::MemoryKeyStore, provider::MemoryProvider};
///
/// let store = Arc::new(MemoryKeyStore::new());
/// let [root, week] = [Arc::new(MemoryProvider::generate("root")?), Arc::new(MemoryProvider::generate("2026-w47")?)];
/// let subjects = Subjects::init(store, root, week, SubjectsOptions::default())?;
///
/// let tenant = subjects.scope("tenant-7");
/// let email = tenant.subject("customer:42").seal("anna@example.se", Cell::new("customers", "email", 42))?;
/// assert_eq!(*tenant.open(&email, Cell::new("customers", "email", 42))?, "anna@example.se");
///
/// tenant.erase(&tenant.subject("customer:42"), "request 2026-118")?;
/// let error = tenant.open(&email, Cell::new("customers", "email", 42)).unwrap_err();
/// assert!(matches!(error, kuvert::RecordError::Erased { .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Subjects(subjects::Subjects);

impl Subjects {
    /// Gives an empty store its root and its first epochs, and opens it.
    ///
    /// # Errors
    ///
    /// As [`crate::Subjects::init`].
    pub fn init(
        store: Arc<dyn KeyStore>,
        root_provider: Arc<dyn KeyProvider>,
        epoch_provider: Arc<dyn KeyProvider>,
        options: SubjectsOptions,
    ) -> Result<Self, SubjectError> {
        whole(subjects::Subjects::init(store, root_provider, epoch_provider, options)).map(Self)
    }

    /// Opens a store that was initialised.
    ///
    /// # Errors
    ///
    /// As [`crate::Subjects::open`].
    pub fn open(
        store: Arc<dyn KeyStore>,
        provider: Arc<dyn KeyProvider>,
        options: SubjectsOptions,
    ) -> Result<Self, SubjectError> {
        whole(subjects::Subjects::open(store, provider, options)).map(Self)
    }

    /// The same key store for `async` calls.
    #[must_use]
    pub const fn as_async(&self) -> &subjects::Subjects {
        &self.0
    }

    /// The data subjects of one scope.
    #[must_use]
    pub fn scope(&self, name: impl AsRef<str>) -> Scope {
        self.0.scope(name).into()
    }

    /// What the cache of keys has done so far, and what is in it.
    #[must_use]
    pub fn cache_stats(&self) -> KeyCacheStats {
        self.0.cache_stats()
    }

    /// Drops all cached keys of subjects.
    pub fn clear_cache(&self) {
        self.0.clear_cache();
    }

    /// Opens a new epoch and moves every live key into it.
    ///
    /// # Errors
    ///
    /// As [`crate::Subjects::roll_epoch`].
    pub fn roll_epoch(
        &self,
        new_provider: Arc<dyn KeyProvider>,
        options: RollOptions,
    ) -> Result<RollReport, SubjectError> {
        whole(self.0.roll_epoch(new_provider, options))
    }

    /// Verifies every tombstone and every receipt.
    ///
    /// # Errors
    ///
    /// As [`crate::Subjects::verify_receipts`].
    pub fn verify_receipts(&self) -> Result<ReceiptsReport, SubjectError> {
        whole(self.0.verify_receipts())
    }
}

impl From<subjects::Subjects> for Subjects {
    fn from(subjects: subjects::Subjects) -> Self {
        Self(subjects)
    }
}

fn whole<T>(call: impl Future<Output = Result<T, SubjectError>>) -> Result<T, SubjectError> {
    block_on(call).unwrap_or_else(|NestedError| Err(SubjectError::Usage(NESTED)))
}

fn record<T>(call: impl Future<Output = Result<T, RecordError>>) -> Result<T, RecordError> {
    block_on(call).unwrap_or_else(|NestedError| Err(RecordError::Usage(NESTED)))
}
