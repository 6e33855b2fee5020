//! What a rewrap did.

use crate::{
    error::RewrapError,
    format::stanza::{Recipient, RecipientType},
    io::RecipientName,
};

/// What became of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RewrapOutcome {
    /// It has new recipients, under a new generation.
    Rewrapped,
    /// It had the recipients asked for. What was damaged, or left by a rewrap that stopped half way, was cleared away:
    /// old recipients that still opened it no longer do.
    Mended,
    /// It had the recipients asked for, and nothing was wrong with it.
    Unchanged,
}

/// How the new header came to the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RewrapMethod {
    /// It has the old one's length and place. Also reported where there was nothing to do.
    InPlace,
    /// A new file or message was written, with the same body.
    Copy,
}

/// What a [`Rewrap`](crate::Rewrap) did to one message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RewrapReport {
    /// What became of it.
    pub outcome: RewrapOutcome,
    /// In place, or by copy.
    pub method: RewrapMethod,
    /// The header's generation now.
    pub generation: u32,
    /// The wrapping key that opened the message.
    pub opened_by: RecipientName,
    /// The recipients now, in the order of the header, without the pending ones.
    pub recipients: Vec<RecipientName>,
    /// Recipients that are still waiting for [`repair`](crate::OpenHandle::repair).
    pub pending: Vec<RecipientName>,
    /// Those among `recipients` that were written without anybody having checked that they unwrap.
    pub unverified: Vec<RecipientName>,
    /// The file's header was lost, and was put back from the copy that an earlier rewrap had saved beside it.
    pub restored: bool,
}

/// What became of many files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RewrapSummary {
    /// Files that were rewrapped or mended.
    pub rewrapped: usize,
    /// Files in which there was nothing to do.
    pub unchanged: usize,
    /// Files that failed.
    pub failed: usize,
}

impl RewrapSummary {
    /// Counts one file.
    pub(crate) fn count(&mut self, result: &Result<RewrapReport, RewrapError>) {
        match result {
            Ok(report) if report.outcome == RewrapOutcome::Unchanged => self.unchanged += 1,
            Ok(_) => self.rewrapped += 1,
            Err(_) => self.failed += 1,
        }
    }
}

/// The names of recipients, pending ones apart, by what they are waiting for.
pub(super) fn names(recipients: &[Recipient]) -> (Vec<RecipientName>, Vec<RecipientName>) {
    let (pending, here): (Vec<_>, Vec<_>) =
        recipients.iter().partition(|recipient| recipient.recipient_type() == RecipientType::PENDING);
    let named = |list: Vec<&Recipient>| list.into_iter().map(name).collect();
    (named(here), named(pending))
}

pub(super) fn name(recipient: &Recipient) -> RecipientName {
    let recipient_type = recipient.pending_for().unwrap_or(recipient.recipient_type());
    RecipientName::new(recipient_type, recipient.id_lossy())
}
