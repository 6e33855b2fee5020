//! New recipients for what is sealed already: the data key stays, and so does every byte of the body.
//!
//! Floor 5: asks the old and the new providers, decides, checks, and lets [`crate::io`] do the file work. It never
//! opens a chunk. The order of the steps, and why a power cut at any of them loses nothing, is section 13 of the
//! [format](crate::manual::format).

mod change;
mod files;
mod memory;
mod options;
mod plan;
mod report;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use self::change::Change;
pub use self::{
    options::RewrapOptions,
    report::{RewrapMethod, RewrapOutcome, RewrapReport, RewrapSummary},
};
use super::{Kuvert, OpenHandle};
use crate::provider::KeyProvider;

/// A change of recipients, to be made in as many messages, files and key envelopes as you like.
///
/// Made by [`rewrap_to`](OpenHandle::rewrap_to), [`add_recipient`](OpenHandle::add_recipient),
/// [`remove_recipient`](OpenHandle::remove_recipient) and [`repair`](OpenHandle::repair). A terabyte takes as long as
/// a kilobyte: a file whose header has two slots (what [`seal_file`](crate::SealHandle::seal_file) makes) gets a new
/// header of the same length in place. Other layouts are rewrapped by copy, where the body is copied as it stands.
///
/// Doing it again is harmless: what has the recipients asked for already is left alone
/// ([`RewrapOutcome::Unchanged`]), and what a crash left half done is finished. The keys of the new providers are tried
/// as well as the handle's, so that a file that was rewrapped before opens, too. The handle's
/// [`OpenOptions`](crate::OpenOptions) hold for what is opened.
///
/// # Security
///
/// **This revokes nobody who has seen the data key.** Whoever could open the message before may have kept its data key,
/// or a copy of the old header, and can open this body for ever. Rewrap because a key is being retired, not because it
/// was stolen; then seal again, under a new data key.
///
/// # Examples
///
/// ```
/// use kuvert::{EncryptionContext, Kuvert, RewrapOutcome, provider::MemoryProvider};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # kuvert::blocking::block_on(async {
/// let old = Kuvert::new(MemoryProvider::generate("2026")?);
/// let new = std::sync::Arc::new(MemoryProvider::generate("2027")?);
/// let context = EncryptionContext::new([("table", "users")])?;
/// let message = old.seal(b"anna@example.se", &context).await?;
///
/// let rewrap = old.rewrap_to_arc(new.clone());
/// let (rewrapped, report) = rewrap.message(&message, &context).await?;
/// assert_eq!((report.outcome, report.generation), (RewrapOutcome::Rewrapped, 2));
///
/// let new = Kuvert::from_arc(new);
/// assert_eq!(new.open(&rewrapped, &context).await?.as_slice(), b"anna@example.se");
/// assert!(old.open(&rewrapped, &context).await.is_err());
///
/// // Once more: nothing is left to do.
/// let (_, report) = rewrap.message(&rewrapped, &context).await?;
/// assert_eq!(report.outcome, RewrapOutcome::Unchanged);
/// # Ok(()) })? }
/// ```
#[derive(Clone)]
#[must_use = "nothing is rewrapped before one of its methods is called"]
pub struct Rewrap {
    opening: OpenHandle,
    change: Change,
    new: Vec<Arc<dyn KeyProvider>>,
    options: RewrapOptions,
}

impl Rewrap {
    /// Also wraps for the recipients of this provider. When removing recipients, its keys are used for checking that
    /// those who remain can open.
    pub fn and_to(mut self, new: Arc<dyn KeyProvider>) -> Self {
        self.new.push(new);
        self
    }

    /// Changes what is allowed.
    pub fn with_options(mut self, options: RewrapOptions) -> Self {
        self.options = options;
        self
    }

    /// Everybody who may be asked to unwrap. The new ones first: it is their keys that will be needed, and what is not
    /// theirs costs them nothing.
    fn providers(&self) -> Vec<&dyn KeyProvider> {
        self.new.iter().map(|provider| &**provider).chain([&*self.opening.provider]).collect()
    }
}

impl fmt::Debug for Rewrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rewrap")
            .field("change", &self.change)
            .field("opening", &self.opening)
            .field("new", &self.new)
            .field("options", &self.options)
            .finish()
    }
}

impl OpenHandle {
    /// Replaces all recipients by those of `new`. The keys of this handle open what is rewrapped.
    pub fn rewrap_to(&self, new: impl KeyProvider + 'static) -> Rewrap {
        self.rewrap_to_arc(Arc::new(new))
    }

    /// [`rewrap_to`](Self::rewrap_to) over a provider that is shared already.
    pub fn rewrap_to_arc(&self, new: Arc<dyn KeyProvider>) -> Rewrap {
        self.rewrap(Change::Replace, vec![new])
    }

    /// Adds the recipients of `new` and keeps those that are there.
    pub fn add_recipient(&self, new: impl KeyProvider + 'static) -> Rewrap {
        self.add_recipient_arc(Arc::new(new))
    }

    /// [`add_recipient`](Self::add_recipient) over a provider that is shared already.
    pub fn add_recipient_arc(&self, new: Arc<dyn KeyProvider>) -> Rewrap {
        self.rewrap(Change::Add, vec![new])
    }

    /// Removes the recipients of these public ids and keeps the others, of whom this handle must hold a key. A
    /// recipient of type 0x0020 is named by the 16 hexadecimal digits of its key reference.
    pub fn remove_recipient(&self, ids: impl IntoIterator<Item: Into<String>>) -> Rewrap {
        self.rewrap(Change::Remove(ids.into_iter().map(Into::into).collect()), Vec::new())
    }

    /// Replaces pending recipients, which could not be reached when sealing, by wraps of `new`.
    pub fn repair(&self, new: impl KeyProvider + 'static) -> Rewrap {
        self.repair_arc(Arc::new(new))
    }

    /// [`repair`](Self::repair) over a provider that is shared already.
    pub fn repair_arc(&self, new: Arc<dyn KeyProvider>) -> Rewrap {
        self.rewrap(Change::Repair, vec![new])
    }

    fn rewrap(&self, change: Change, new: Vec<Arc<dyn KeyProvider>>) -> Rewrap {
        Rewrap { opening: self.clone(), change, new, options: RewrapOptions::default() }
    }
}

impl Kuvert {
    /// Replaces all recipients. See [`OpenHandle::rewrap_to`].
    pub fn rewrap_to(&self, new: impl KeyProvider + 'static) -> Rewrap {
        self.opening().rewrap_to(new)
    }

    /// Replaces all recipients. See [`OpenHandle::rewrap_to_arc`].
    pub fn rewrap_to_arc(&self, new: Arc<dyn KeyProvider>) -> Rewrap {
        self.opening().rewrap_to_arc(new)
    }

    /// Adds recipients. See [`OpenHandle::add_recipient`].
    pub fn add_recipient(&self, new: impl KeyProvider + 'static) -> Rewrap {
        self.opening().add_recipient(new)
    }

    /// Adds recipients. See [`OpenHandle::add_recipient_arc`].
    pub fn add_recipient_arc(&self, new: Arc<dyn KeyProvider>) -> Rewrap {
        self.opening().add_recipient_arc(new)
    }

    /// Removes recipients. See [`OpenHandle::remove_recipient`].
    pub fn remove_recipient(&self, ids: impl IntoIterator<Item: Into<String>>) -> Rewrap {
        self.opening().remove_recipient(ids)
    }

    /// Replaces pending recipients. See [`OpenHandle::repair`].
    pub fn repair(&self, new: impl KeyProvider + 'static) -> Rewrap {
        self.opening().repair(new)
    }

    /// Replaces pending recipients. See [`OpenHandle::repair_arc`].
    pub fn repair_arc(&self, new: Arc<dyn KeyProvider>) -> Rewrap {
        self.opening().repair_arc(new)
    }
}
