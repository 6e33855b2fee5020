//! The contract of [`KeyStore`] as a suite that any store can run in its own tests.
//!
//! It drives stores through their public methods only and needs no executor of a kind. A clause that lacks what it needs is
//! listed as skipped, never as passed. Feature `conformance`; section "Key store and subjects" of the
//! [format](crate::manual::format).

mod burials;
mod clause;
mod concurrency;
mod drive;
mod epochs;
mod kit;
mod people;
#[cfg(test)]
mod tests;
mod whole;

use std::fmt;

pub use self::clause::{Clause, Failure, Report};

use self::drive::Run;
use super::KeyStore;

/// A sort of key store to be held to the contract.
///
/// # Examples
///
/// ```
/// use kuvert::blocking::block_on;
/// use kuvert::keystore::{KeyStore, MemoryKeyStore, conformance::Conformance};
///
/// let make = || Box::new(MemoryKeyStore::new()) as Box<dyn KeyStore>;
/// let report = block_on(Conformance::new(&make).run())?;
/// assert!(report.is_conformant(), "{report}");
/// # Ok::<(), kuvert::blocking::NestedError>(())
/// ```
#[derive(Clone, Copy)]
pub struct Conformance<'m> {
    make: &'m (dyn Fn() -> Box<dyn KeyStore> + Sync),
    beside: Option<&'m (dyn Fn() -> Box<dyn KeyStore> + Sync)>,
    threads: usize,
}

impl<'m> Conformance<'m> {
    /// The suite for the stores that `make` gives: an empty one each time.
    #[must_use]
    pub const fn new(make: &'m (dyn Fn() -> Box<dyn KeyStore> + Sync)) -> Self {
        Self { make, beside: None, threads: 4 }
    }

    /// Opens once more the store that was made last, as another process would; it may also be asked when the first one is
    /// dropped. Only for stores that [are durable](super::StoreInfo::durable).
    #[must_use]
    pub const fn with_beside(mut self, beside: &'m (dyn Fn() -> Box<dyn KeyStore> + Sync)) -> Self {
        self.beside = Some(beside);
        self
    }

    /// How many threads race for one row: 4 unless said otherwise.
    #[must_use]
    pub const fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Runs every clause. One that fails does not keep the others from running.
    pub async fn run(&self) -> Report {
        let mut run = Run::new(self);
        run.all_clauses().await;
        run.into_report()
    }
}

impl fmt::Debug for Conformance<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conformance").field("threads", &self.threads).finish_non_exhaustive()
    }
}
