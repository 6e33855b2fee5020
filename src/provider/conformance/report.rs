//! What the suite found, clause by clause.

use std::{error, fmt};

/// One clause of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Clause {
    /// `describe` lists the keys that seal, and is true about unwrapping.
    Describe,
    /// `check` says that a working provider works.
    Check,
    /// `generate_data_key` gives a fresh key and wraps of it.
    Generate,
    /// `wrap_data_key` gives at least one well-formed recipient, of keys that are described as sealing.
    Wrap,
    /// Every wrap gives back the very key.
    Unwrap,
    /// `unwrap_any` finds the key among other recipients, tries no more than it may, and tells of each at most once.
    UnwrapAny,
    /// Recipients of other types and ids are `Ok(None)`.
    NotMine,
    /// A wrap of the same id under another key is refused.
    WrongKey,
    /// A damaged wrap is refused, whichever bit it is, and however short or long.
    DamagedWrap,
    /// A wrap is refused under another context, where the provider says that it binds it.
    Context,
    /// A wrap of something that is not 32 bytes is refused, and neither padded nor cut.
    WrongLength,
    /// A failing backend gives an error of the right kind.
    Failing,
    /// A slow backend is waited for.
    Slow,
    /// A backend that never answers is given up in time.
    Hung,
    /// A future dropped after any number of polls leaves the provider usable.
    Cancelled,
    /// Many callers at once each get their own answer.
    Concurrent,
    /// A destroyed wrapping key neither opens nor seals, from the call on.
    Custody,
    /// Nothing that is shown holds a secret: no `Debug`, no error with its sources.
    Secrets,
}

impl Clause {
    /// All of them, in the order in which they are run.
    pub const ALL: [Self; 18] = [
        Self::Describe,
        Self::Check,
        Self::Generate,
        Self::Wrap,
        Self::Unwrap,
        Self::UnwrapAny,
        Self::NotMine,
        Self::WrongKey,
        Self::DamagedWrap,
        Self::Context,
        Self::WrongLength,
        Self::Failing,
        Self::Slow,
        Self::Hung,
        Self::Cancelled,
        Self::Concurrent,
        // After the others, whose key it destroys.
        Self::Custody,
        // The last, since it searches what all the others brought to light.
        Self::Secrets,
    ];
}

/// A clause that is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    clause: Clause,
    what: String,
}

impl Failure {
    /// Which clause.
    #[must_use]
    pub const fn clause(&self) -> Clause {
        self.clause
    }

    /// What happened, and what should have.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }
}

/// What the suite found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    passed: Vec<Clause>,
    skipped: Vec<(Clause, &'static str)>,
    failures: Vec<Failure>,
}

impl Report {
    /// Whether no clause failed. Clauses may have been skipped: see [`skipped`](Self::skipped).
    #[must_use]
    pub fn is_conformant(&self) -> bool {
        self.failures.is_empty()
    }

    /// The clauses that are kept.
    #[must_use]
    pub fn passed(&self) -> &[Clause] {
        &self.passed
    }

    /// The clauses that were not tried, and what they lacked.
    #[must_use]
    pub fn skipped(&self) -> &[(Clause, &'static str)] {
        &self.skipped
    }

    /// The clauses that are not kept.
    #[must_use]
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// The report as an error, for a test that ends with `?`.
    ///
    /// # Errors
    ///
    /// This report, if a clause failed.
    pub fn into_result(self) -> Result<Self, Self> {
        if self.is_conformant() { Ok(self) } else { Err(self) }
    }

    pub(super) fn add(&mut self, clause: Clause, verdict: Result<Verdict, Fault>) {
        match verdict {
            Ok(Verdict::Kept) => self.passed.push(clause),
            Ok(Verdict::Skipped(why)) => self.skipped.push((clause, why)),
            Err(Fault(what)) => self.failures.push(Failure { clause, what }),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [passed, failed, skipped] = [self.passed.len(), self.failures.len(), self.skipped.len()];
        write!(f, "{passed} clauses kept, {failed} not, {skipped} skipped")?;
        for Failure { clause, what } in &self.failures {
            write!(f, "\nnot kept: {clause:?}: {what}")?;
        }
        for (clause, why) in &self.skipped {
            write!(f, "\nskipped: {clause:?}: {why}")?;
        }
        Ok(())
    }
}

impl error::Error for Report {}

/// How a clause ended that is not broken.
pub(super) enum Verdict {
    Kept,
    Skipped(&'static str),
}

/// How a clause is broken, in words.
pub(super) struct Fault(pub(super) String);

/// `Err(Fault)` of a formatted message.
macro_rules! fault {
    ($($arg:tt)*) => { Err($crate::provider::conformance::report::Fault(format!($($arg)*))) };
}
pub(super) use fault;
