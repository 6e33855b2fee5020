//! What can go wrong, as values a caller can act on.
//!
//! One error type an operation, and one [`Category`] over all of them, which is also the exit status of the
//! command-line tool. Floor 0: plain data, which knows of no format and no I/O beyond [`std::io::Error`].
//! The table of categories is section 11 of the [format](crate::manual::format).

mod anchor;
mod key_store;
mod message;
mod provider;
mod record;
mod rewrap;
mod subject;

pub use self::anchor::AnchorError;
pub use self::key_store::{KeyStoreError, KeyStoreErrorKind};
pub use self::message::{ContextError, OpenError, RecipientAttempt, SealError, UnavailableKeys};
pub use self::provider::{ProviderError, ProviderErrorKind};
pub use self::record::RecordError;
pub use self::rewrap::RewrapError;
pub use self::subject::SubjectError;

/// What kind of failure it was: one value for each thing a caller or an operator does differently.
///
/// Every variant of every error type of this crate belongs to exactly one category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Category {
    /// Reading, writing or the machine itself failed; the bytes may be fine. Exit status 1.
    Io,
    /// The call was wrong: it can never succeed with these arguments. Exit status 2.
    Usage,
    /// Not a kuvert message, or not a well-formed one. Exit status 3.
    Malformed,
    /// Well formed as far as one can tell, but of a version, kind or suite unknown here. Exit status 3.
    Unsupported,
    /// Larger than a limit of the format or of this reader. Exit status 3.
    LimitExceeded,
    /// The end is missing. Exit status 4.
    Truncated,
    /// Changed since it was sealed. Exit status 4.
    Tampered,
    /// The key fits, but the encryption context is another (or salt or commitment are damaged). Exit status 5.
    WrongContext,
    /// A configured key of that name was asked, and did not unwrap. Exit status 6.
    WrongKey,
    /// No configured key is named in the header, or the one that is could not be asked. Exit status 6.
    KeyUnavailable,
    /// Refused by rule: a policy, a hold, an erased person, an unsafe change of recipients. Exit status 7.
    Refused,
}

impl Category {
    /// The exit status that the command-line tool ends with (0 is success).
    #[must_use]
    pub const fn exit_status(self) -> u8 {
        match self {
            Self::Io => 1,
            Self::Usage => 2,
            Self::Malformed | Self::Unsupported | Self::LimitExceeded => 3,
            Self::Truncated | Self::Tampered => 4,
            Self::WrongContext => 5,
            Self::WrongKey | Self::KeyUnavailable => 6,
            Self::Refused => 7,
        }
    }

    /// The category's name in lower case with hyphens, as `--json` output and the test vectors write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Io => "io",
            Self::Usage => "usage",
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::LimitExceeded => "limit-exceeded",
            Self::Truncated => "truncated",
            Self::Tampered => "tampered",
            Self::WrongContext => "wrong-context",
            Self::WrongKey => "wrong-key",
            Self::KeyUnavailable => "key-unavailable",
            Self::Refused => "refused",
        }
    }
}
