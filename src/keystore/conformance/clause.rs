//! The clauses of the contract that a store is held to.

use crate::conformance;

/// What the suite found.
pub type Report = conformance::Report<Clause>;

/// A clause that is not kept.
pub type Failure = conformance::Failure<Clause>;

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
