//! The contract of [`KeyProvider`] as a suite that any provider can run in its own tests.
//!
//! It drives the provider through its public methods only and needs no executor of a kind. What the suite cannot
//! bring about by itself, such as a backend that hangs, is handed to it by whoever wrote the provider; a clause
//! that lacks what it needs is listed as skipped, never as passed. Feature `conformance`; section "Providers" of the
//! [operations manual](crate::manual::operations).

mod cancel;
mod clause;
mod clauses;
mod custody;
mod drive;
mod faults;
mod leaks;
mod several;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

pub use self::clause::{Clause, Failure, Report};

use self::drive::Run;
use super::{KeyCustodian, KeyProvider, WrapContext};
use crate::clock::TestClock;
use crate::error::ProviderErrorKind;
use crate::format::stanza::Recipient;

/// A provider to be held to the contract, and what the clauses need beside it.
///
/// # Examples
///
/// ```
/// use kuvert::blocking::block_on;
/// use kuvert::provider::{MemoryProvider, conformance::{Clause, Conformance}};
///
/// let provider = MemoryProvider::from_keys([("k", [1; 32])])?;
/// let stranger = MemoryProvider::from_keys([("other", [1; 32])])?;
/// let impostor = MemoryProvider::from_keys([("k", [2; 32])])?;
/// let suite = Conformance::new(&provider).with_stranger(&stranger).with_impostor(&impostor);
/// let report = block_on(suite.run())?;
/// assert!(report.is_conformant(), "{report}");
///
/// // A provider that takes others' recipients for its own is found out.
/// let report = block_on(Conformance::new(&provider).with_stranger(&impostor).run())?;
/// assert_eq!(report.failures()[0].clause(), Clause::NotMine);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Conformance<'p> {
    provider: &'p dyn KeyProvider,
    context: WrapContext,
    stranger: Option<&'p dyn KeyProvider>,
    impostor: Option<&'p dyn KeyProvider>,
    wrong_length: Vec<Recipient>,
    failing: Vec<(&'p dyn KeyProvider, ProviderErrorKind)>,
    slow: Option<(&'p dyn KeyProvider, TestClock)>,
    hung: Option<(&'p dyn KeyProvider, TestClock, Duration)>,
    custodian: Option<(&'p dyn KeyCustodian, String)>,
    secrets: Vec<Vec<u8>>,
    callers: usize,
    threads: usize,
    bit_step: usize,
    patience: Duration,
}

impl<'p> Conformance<'p> {
    /// The suite for one working provider.
    #[must_use]
    pub fn new(provider: &'p dyn KeyProvider) -> Self {
        let pairs = [("table", "conformance-value-7d1f"), ("tenant", "conformance-value-93ac")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            provider,
            context: WrapContext::new(*b"\x89KUV\r\n\x1a\n\x01\x01\x00\x01", pairs),
            stranger: None,
            impostor: None,
            wrong_length: Vec::new(),
            failing: Vec::new(),
            slow: None,
            hung: None,
            custodian: None,
            secrets: Vec::new(),
            callers: 1000,
            threads: 0,
            bit_step: 1,
            patience: Duration::from_secs(60),
        }
    }

    /// The context that every call is given; needed where a provider is configured to pass on certain pairs. Its
    /// values must occur nowhere in what the provider shows.
    #[must_use]
    pub fn with_context(mut self, context: WrapContext) -> Self {
        self.context = context;
        self
    }

    /// A provider of the same sort with other keys of other ids: its recipients are not mine.
    #[must_use]
    pub fn with_stranger(mut self, stranger: &'p dyn KeyProvider) -> Self {
        self.stranger = Some(stranger);
        self
    }

    /// A provider with another key under the same id: its recipients are refused.
    #[must_use]
    pub fn with_impostor(mut self, impostor: &'p dyn KeyProvider) -> Self {
        self.impostor = Some(impostor);
        self
    }

    /// A recipient of the provider's own wrapping key that wraps something shorter or longer than 32 bytes.
    #[must_use]
    pub fn with_wrong_length(mut self, recipient: Recipient) -> Self {
        self.wrong_length.push(recipient);
        self
    }

    /// The same provider over a backend that fails in one way, such as a disabled key, and the kind it must give.
    #[must_use]
    pub fn with_failing(mut self, provider: &'p dyn KeyProvider, kind: ProviderErrorKind) -> Self {
        self.failing.push((provider, kind));
        self
    }

    /// The same provider over a backend that answers late by this clock, but within every deadline.
    #[must_use]
    pub fn with_slow(mut self, provider: &'p dyn KeyProvider, clock: TestClock) -> Self {
        self.slow = Some((provider, clock));
        self
    }

    /// The same provider over a backend that never answers, and the longest a call may take by this clock.
    #[must_use]
    pub fn with_hung(mut self, provider: &'p dyn KeyProvider, clock: TestClock, deadline: Duration) -> Self {
        self.hung = Some((provider, clock, deadline));
        self
    }

    /// Who destroys the provider's keys, and a name for a key that it may create.
    ///
    /// **The keys that the provider seals with are destroyed**, at the end of the run.
    #[must_use]
    pub fn with_custodian(mut self, custodian: &'p dyn KeyCustodian, new_name: impl Into<String>) -> Self {
        self.custodian = Some((custodian, new_name.into()));
        self
    }

    /// Bytes that nothing the provider shows may contain, such as a wrapping key, a PIN or a token.
    #[must_use]
    pub fn with_secret(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.secrets.push(secret.into());
        self
    }

    /// How many callers there are at once: 1000 unless said otherwise.
    #[must_use]
    pub const fn with_callers(mut self, callers: usize) -> Self {
        self.callers = callers;
        self
    }

    /// Spreads the callers over that many threads of their own, each with a parking executor; for providers that
    /// need no runtime. Unless said, all callers share the task that runs the suite.
    #[must_use]
    pub const fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Flips only every n-th bit of a wrap, where each try costs a call to a service.
    #[must_use]
    pub const fn with_bit_step(mut self, bit_step: usize) -> Self {
        self.bit_step = if bit_step == 0 { 1 } else { bit_step };
        self
    }

    /// The longest that a call may take by the real clock before it counts as stuck: a minute unless said
    /// otherwise.
    #[must_use]
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
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
        f.debug_struct("Conformance").field("provider", &self.provider).finish_non_exhaustive()
    }
}
