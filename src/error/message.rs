//! Errors of sealing and opening messages.

use std::{fmt, io};

use super::{Category, ProviderError};

/// Why an encryption context was refused. Category: [`Category::Usage`], or [`Category::LimitExceeded`] for sizes.
///
/// Names of pairs are shown, values never.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// A pair without a name.
    #[error("a context pair has an empty name")]
    EmptyName,
    /// Two pairs of one name, even if the values agree or one is stored and the other required.
    #[error("context pair {0:?} is given twice")]
    Duplicate(String),
    /// The name begins with `kuvert:` or `aws-crypto-`.
    #[error("context pair {0:?}: names that begin with \"kuvert:\" or \"aws-crypto-\" are reserved")]
    Reserved(String),
    /// More or longer than the format allows.
    #[error("context: {what} is above the limit of {limit}")]
    TooLong {
        /// What was counted or measured.
        what: &'static str,
        /// The largest value allowed (bytes, or pairs).
        limit: u64,
    },
}

impl ContextError {
    /// The category of this error.
    #[must_use]
    pub const fn category(&self) -> Category {
        match self {
            Self::TooLong { .. } => Category::LimitExceeded,
            _ => Category::Usage,
        }
    }
}

/// Why sealing failed. Nothing usable was produced: what was written so far is not a valid message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The key provider did not give or wrap a data key.
    #[error("no data key to seal with: {0}")]
    Provider(#[from] ProviderError),
    /// The encryption context cannot be sealed.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// A limit of the format would be passed: too much plaintext, too many or too large recipients.
    #[error("{what} is above the limit of {limit}")]
    LimitExceeded {
        /// What was counted or measured.
        what: &'static str,
        /// The largest value allowed, in bytes unless `what` says otherwise.
        limit: u64,
    },
    /// The call was wrong in itself.
    #[error("{0}")]
    Usage(&'static str),
    /// Refused by rule, for example a recipient that a key envelope must not have.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// The process forked while this sealer was open; the child must not go on with the parent's keys.
    #[error("the process forked while sealing: begin a new message in the child")]
    Forked,
    /// An earlier failure ended this message; nothing more can be sealed into it.
    #[error("an earlier error ended this message; begin a new one")]
    Poisoned,
    /// The operating system gave no random bytes.
    #[error("the system's random source failed: {0}")]
    Random(#[source] io::Error),
    /// Reading the plaintext or writing the message failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl SealError {
    /// The category of this error.
    #[must_use]
    pub fn category(&self) -> Category {
        match self {
            Self::Provider(error) => error.category(),
            Self::Context(error) => error.category(),
            Self::LimitExceeded { .. } => Category::LimitExceeded,
            Self::Usage(_) | Self::Poisoned => Category::Usage,
            Self::Refused(_) => Category::Refused,
            Self::Forked | Self::Random(_) => Category::Io,
            // An error of ours that travelled through `io::Error` keeps its own category.
            Self::Io(error) => error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<Self>())
                .map_or(Category::Io, Self::category),
        }
    }
}

impl From<SealError> for io::Error {
    /// An [`SealError::Io`] gives back the error it holds; everything else becomes [`io::ErrorKind::Other`]
    /// with the original inside (limits and misuse: [`io::ErrorKind::InvalidInput`]).
    fn from(error: SealError) -> Self {
        match error {
            SealError::Io(inner) => inner,
            SealError::LimitExceeded { .. } | SealError::Usage(_) | SealError::Context(_) => {
                Self::new(io::ErrorKind::InvalidInput, error)
            }
            _ => Self::other(error),
        }
    }
}

/// One recipient that was tried or could not be tried, for the error that lists them.
#[derive(Debug)]
#[non_exhaustive]
pub struct RecipientAttempt {
    /// The stanza type, such as 0x0001.
    pub recipient_type: u16,
    /// The wrapping key's public id as the header claims it; bytes that are not UTF-8 are replaced.
    pub claimed_id: String,
    /// What the provider said; `None` where no configured key has this type and id.
    pub error: Option<ProviderError>,
}

impl RecipientAttempt {
    /// Records an attempt.
    #[must_use]
    pub fn new(recipient_type: u16, claimed_id: String, error: Option<ProviderError>) -> Self {
        Self { recipient_type, claimed_id, error }
    }
}

/// The recipients of a message that no configured key opens, and why.
#[derive(Debug, Default)]
pub struct UnavailableKeys(pub Vec<RecipientAttempt>);

impl fmt::Display for UnavailableKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A hostile header may name 64 recipients with ids of 2 KiB each: show a few, shortened and escaped.
        const SHOWN: usize = 8;
        const ID_CHARS: usize = 128;
        if self.0.is_empty() {
            return f.write_str("the header names no recipient");
        }
        for (i, attempt) in self.0.iter().take(SHOWN).enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            let id: String = attempt.claimed_id.chars().take(ID_CHARS).flat_map(char::escape_debug).collect();
            write!(f, "type 0x{:04x} id \"{id}\"", attempt.recipient_type)?;
            match &attempt.error {
                Some(error) => write!(f, " ({error})")?,
                None => f.write_str(" (not configured here)")?,
            }
        }
        if self.0.len() > SHOWN {
            write!(f, "; and {} more", self.0.len() - SHOWN)?;
        }
        Ok(())
    }
}

/// Why a message or key envelope could not be opened.
///
/// For bytes that an attacker may have written, the variant tells no more than the format's rules allow: a
/// damaged salt, a damaged commitment and another context are one variant, and so are all kinds of tampering.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Not a kuvert message, or one that breaks a rule of the format.
    #[error("not a well-formed kuvert message: {0}")]
    Malformed(&'static str),
    /// A version, kind, suite or layout flag that this release does not know.
    #[error("unsupported {what} {found}: a newer release of kuvert may open this")]
    Unsupported {
        /// The field.
        what: &'static str,
        /// Its value.
        found: u32,
    },
    /// Larger than the format or this reader's options allow.
    #[error("{what} is above the limit of {limit}")]
    LimitExceeded {
        /// What was counted or measured.
        what: &'static str,
        /// The largest value allowed, in bytes unless `what` says otherwise.
        limit: u64,
    },
    /// The end is missing.
    #[error("truncated: {0}")]
    Truncated(&'static str),
    /// Something was changed after sealing: a chunk, the header, the order, the end.
    #[error("tampered with or damaged: {0}")]
    Tampered(&'static str),
    /// Another encryption context than the one it was sealed with (or salt or commitment are damaged).
    #[error("wrong encryption context: {0}")]
    WrongContext(&'static str),
    /// A configured key of that name was asked, and did not unwrap the data key.
    #[error("wrong key: a key of that name was tried and does not fit: {0}")]
    WrongKey(UnavailableKeys),
    /// No configured key is among the recipients, or one that is could not be asked.
    #[error("no usable key: {0}")]
    KeyUnavailable(UnavailableKeys),
    /// The call was wrong in itself.
    #[error("{0}")]
    Usage(&'static str),
    /// Refused by rule.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// The presented context cannot be one.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// Reading the message or writing the plaintext failed; the message itself may be fine.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl OpenError {
    /// The category of this error.
    #[must_use]
    pub fn category(&self) -> Category {
        match self {
            Self::Malformed(_) => Category::Malformed,
            Self::Unsupported { .. } => Category::Unsupported,
            Self::LimitExceeded { .. } => Category::LimitExceeded,
            Self::Truncated(_) => Category::Truncated,
            Self::Tampered(_) => Category::Tampered,
            Self::WrongContext(_) => Category::WrongContext,
            Self::WrongKey(_) => Category::WrongKey,
            Self::KeyUnavailable(_) => Category::KeyUnavailable,
            Self::Usage(_) => Category::Usage,
            Self::Refused(_) => Category::Refused,
            Self::Context(error) => error.category(),
            // An error of ours that travelled through `io::Error` keeps its own category.
            Self::Io(error) => error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<Self>())
                .map_or(Category::Io, Self::category),
        }
    }
}

impl From<OpenError> for io::Error {
    /// The one table of how opening errors look through [`std::io`]:
    ///
    /// | error | kind |
    /// |---|---|
    /// | [`OpenError::Io`] | the error it holds |
    /// | malformed, truncated, tampered, wrong context, wrong key | `InvalidData` |
    /// | unsupported | `Unsupported` |
    /// | limit, usage, context | `InvalidInput` |
    /// | key unavailable, refused | `PermissionDenied` |
    ///
    /// A truncated message is never `UnexpectedEof`, which code that tolerates short files might swallow.
    fn from(error: OpenError) -> Self {
        let kind = match &error {
            OpenError::Io(_) => {
                let OpenError::Io(inner) = error else { unreachable!("matched just above") };
                return inner;
            }
            OpenError::Malformed(_)
            | OpenError::Truncated(_)
            | OpenError::Tampered(_)
            | OpenError::WrongContext(_)
            | OpenError::WrongKey(_) => io::ErrorKind::InvalidData,
            OpenError::Unsupported { .. } => io::ErrorKind::Unsupported,
            OpenError::LimitExceeded { .. } | OpenError::Usage(_) | OpenError::Context(_) => {
                io::ErrorKind::InvalidInput
            }
            OpenError::KeyUnavailable(_) | OpenError::Refused(_) => io::ErrorKind::PermissionDenied,
        };
        Self::new(kind, error)
    }
}
