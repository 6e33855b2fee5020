//! The error of replacing the recipients of a message.

use std::{io, path::PathBuf};

use super::{Category, OpenError, SealError};

/// Why the recipients of a message were not replaced.
///
/// Whatever the variant, nothing is lost: what was to be rewrapped still opens with the keys it opened with before, or
/// with the new ones, and its body was not touched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RewrapError {
    /// The message could not be opened with the keys given, so that its data key is not at hand.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The data key could not be wrapped for the new recipients, or they are beyond a limit of the format.
    #[error("the new recipients: {0}")]
    Seal(SealError),
    /// Somebody else is rewrapping this file at this moment.
    #[error("another program is rewrapping this file: nothing was changed; try again when it has finished")]
    Busy,
    /// The recipients do not fit into the header, and rewrapping by copy was not allowed.
    #[error(
        "no room in the header: the recipients need {needed} bytes and a slot has {available}; allow a copy, or \
         give fewer recipients"
    )]
    NoRoom {
        /// Bytes of a slot that holds the recipients.
        needed: usize,
        /// Bytes of a slot of this header that can be written in place, 0 where there is none to spare.
        available: usize,
    },
    /// The file was changed by somebody else meanwhile.
    #[error("changed meanwhile: {0}")]
    Changed(&'static str),
    /// Refused by rule; nothing was changed.
    #[error("refused: {0}")]
    Refused(&'static str),
    /// The call was wrong in itself.
    #[error("{0}")]
    Usage(&'static str),
    /// The file has no intact header any more, and the copy of the header beside it cannot be put in its place.
    #[error("{error}; the copy of its header, {}, was not put in its place: {reason}", .path.display())]
    SideCopy {
        /// The copy, `FILE.kuvert-header`. It is left where it is.
        path: PathBuf,
        /// Why it was not used.
        reason: &'static str,
        /// What is wrong with the file.
        #[source]
        error: OpenError,
    },
    /// Reading or writing a file failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl RewrapError {
    /// The category of this error. [`Busy`](Self::Busy) and [`Changed`](Self::Changed) are [`Category::Io`], since a
    /// later try may succeed; [`NoRoom`](Self::NoRoom) is [`Category::Refused`].
    #[must_use]
    pub fn category(&self) -> Category {
        match self {
            Self::Open(error) | Self::SideCopy { error, .. } => error.category(),
            Self::Seal(error) => error.category(),
            Self::NoRoom { .. } | Self::Refused(_) => Category::Refused,
            Self::Usage(_) => Category::Usage,
            Self::Busy | Self::Changed(_) | Self::Io(_) => Category::Io,
        }
    }
}

impl From<SealError> for RewrapError {
    /// What building a header refuses by rule or limit, and what a file call failed with, is told as such.
    fn from(error: SealError) -> Self {
        match error {
            SealError::Refused(reason) => Self::Refused(reason),
            SealError::Usage(reason) => Self::Usage(reason),
            SealError::Io(error) => Self::Io(error),
            other => Self::Seal(other),
        }
    }
}
