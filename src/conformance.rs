//! What a suite found of a contract, clause by clause, whatever the contract is about.
//!
//! Floor 0; must not know any clause. The suites are [`provider::conformance`](crate::provider::conformance) and
//! [`keystore::conformance`](crate::keystore::conformance).

use std::{
    error, fmt,
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

/// A clause of a contract that is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure<C> {
    clause: C,
    what: String,
}

impl<C: Copy> Failure<C> {
    /// Which clause.
    #[must_use]
    pub const fn clause(&self) -> C {
        self.clause
    }

    /// What happened, and what should have.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }
}

/// What a suite found.
#[derive(Debug, Clone)]
pub struct Report<C> {
    passed: Vec<C>,
    skipped: Vec<(C, &'static str)>,
    failures: Vec<Failure<C>>,
}

impl<C> Default for Report<C> {
    fn default() -> Self {
        Self { passed: Vec::new(), skipped: Vec::new(), failures: Vec::new() }
    }
}

impl<C> Report<C> {
    /// Whether no clause failed. Clauses may have been skipped: see [`skipped`](Self::skipped).
    #[must_use]
    pub fn is_conformant(&self) -> bool {
        self.failures.is_empty()
    }

    /// The clauses that are kept.
    #[must_use]
    pub fn passed(&self) -> &[C] {
        &self.passed
    }

    /// The clauses that were not tried, and what they lacked.
    #[must_use]
    pub fn skipped(&self) -> &[(C, &'static str)] {
        &self.skipped
    }

    /// The clauses that are not kept.
    #[must_use]
    pub fn failures(&self) -> &[Failure<C>] {
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

    pub(crate) fn add(&mut self, clause: C, verdict: Judged) {
        match verdict {
            Ok(Verdict::Kept) => self.passed.push(clause),
            Ok(Verdict::Skipped(why)) => self.skipped.push((clause, why)),
            Err(Fault(what)) => self.failures.push(Failure { clause, what }),
        }
    }
}

impl<C: fmt::Debug> fmt::Display for Report<C> {
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

impl<C: fmt::Debug> error::Error for Report<C> {}

/// How a clause ended that is not broken.
pub(crate) enum Verdict {
    Kept,
    Skipped(&'static str),
}

/// How a clause is broken, in words.
#[derive(Debug)]
pub(crate) struct Fault(pub(crate) String);

pub(crate) type Judged = Result<Verdict, Fault>;

/// `Err(Fault)` of a formatted message.
macro_rules! fault {
    ($($what:tt)*) => { Err($crate::conformance::Fault(format!($($what)*))) };
}
pub(crate) use fault;

/// Ends a clause unless it holds.
macro_rules! ensure {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            return $crate::conformance::fault!($($what)+);
        }
    };
}
pub(crate) use ensure;

/// Polls at most `polls` times and then drops the future: `None` if it had not ended by then.
pub(crate) async fn after_polls<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
