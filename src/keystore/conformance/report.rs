//! What the suite found, clause by clause.

use std::{error, fmt};

/// One clause of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Clause {
    /// `describe` gives a name and stays the same.
    Describe,
    /// Without a root, everything but `create` and `load` is refused.
    Empty,
    /// `create` gives the root and the epochs, once.
    Create,
    /// `replace_envelope` compares before it sets.
    Envelopes,
    /// `begin_epoch` closes the one and opens the other; `retire_epoch` waits for the last row.
    Epochs,
    /// `insert` gives the answers of the contract, in their order.
    Insert,
    /// `insert_many` does as many insertions would.
    InsertMany,
    /// `get`, `find` and `versions` give what is there, in the order of what is asked.
    Look,
    /// `scan` gives every row of its epoch once, in pages.
    Scan,
    /// `reseal` moves what is still where it was, to open epochs only.
    Reseal,
    /// Joints are found by each member, and end with the first or the last of them.
    Joints,
    /// Holds are kept by case.
    Holds,
    /// `bury` looks at its conditions, and does nothing if one fails.
    Bury,
    /// From the tombstone on nothing leads to the row.
    TombstonesWin,
    /// `remove` removes rows with a tombstone and no others; `unremoved` names them.
    Remove,
    /// A name that was erased is used again only if that is said.
    NewPersons,
    /// Receipts are appended after the one that the caller knows.
    Receipts,
    /// The change number rises with every change, and with nothing else.
    Change,
    /// Every write can be repeated.
    Repeat,
    /// What is wrong in itself is `Misuse`, and nothing is done.
    Misuse,
    /// A snapshot gives everything of one moment, in order.
    Snapshot,
    /// `load` makes the same store of it, and a whole one only with the last page.
    Load,
    /// A future dropped after any number of polls leaves a write done or not done.
    Cancelled,
    /// Of many threads that want the same, one gets it.
    Races,
    /// Another opening of the same store sees every write, and races as threads do.
    Beside,
    /// What was written is there when it is opened again.
    Durable,
    /// Nothing that is shown leads to a person: no `Debug`, no error.
    Silent,
}

impl Clause {
    /// All of them, in the order in which they are run.
    pub const ALL: [Self; 27] = [
        Self::Describe,
        Self::Empty,
        Self::Create,
        Self::Envelopes,
        Self::Epochs,
        Self::Insert,
        Self::InsertMany,
        Self::Look,
        Self::Scan,
        Self::Reseal,
        Self::Joints,
        Self::Holds,
        Self::Bury,
        Self::TombstonesWin,
        Self::Remove,
        Self::NewPersons,
        Self::Receipts,
        Self::Change,
        Self::Repeat,
        Self::Misuse,
        Self::Snapshot,
        Self::Load,
        Self::Cancelled,
        Self::Races,
        Self::Beside,
        Self::Durable,
        // The last, since it searches what all the others brought to light.
        Self::Silent,
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
        write!(f, "{} clauses kept", self.passed.len())?;
        for failure in &self.failures {
            write!(f, "\nFAILED {:?}: {}", failure.clause, failure.what)?;
        }
        for (clause, why) in &self.skipped {
            write!(f, "\nskipped {clause:?}: {why}")?;
        }
        Ok(())
    }
}

impl error::Error for Report {}

/// How a clause ended that did not fail.
pub(super) enum Verdict {
    Kept,
    Skipped(&'static str),
}

/// Why a clause failed.
#[derive(Debug)]
pub(super) struct Fault(pub(super) String);

pub(super) type Judged = Result<Verdict, Fault>;

/// Ends a clause unless it holds.
macro_rules! ensure {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            return Err(super::report::Fault(format!($($what)+)));
        }
    };
}
pub(super) use ensure;
