//! The clauses of the contract that a provider is held to.

use crate::conformance;

/// What the suite found.
pub type Report = conformance::Report<Clause>;

/// A clause that is not kept.
pub type Failure = conformance::Failure<Clause>;

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
