//! Everything without `async`: a parking executor, and the front as plain calls.
//!
//! For programs that own no async runtime. Floor 6: stands on the front and adds no behaviour of its own. What may
//! block for how long is in the [operations manual](crate::manual::operations).
//!
//! The types here have the names of those at the crate's root, and the same methods; a handle of the one sort
//! becomes one of the other by `into`. Called from within [`block_on`] on the same thread, every method is a
//! usage error and not a deadlock.

mod handles;
mod rewrap;
mod subjects;

use std::path::Path;
use std::sync::Arc;

pub use self::handles::{OpenHandle, SealHandle};
pub use self::rewrap::Rewrap;
pub use self::subjects::{Scope, Subject, Subjects};
pub use crate::executor::{NestedError, block_on};

use crate::error::{OpenError, SealError};
use crate::format::context::EncryptionContext;
use crate::front::{self, MessageStart, OpenOptions, Opener, RecordKey, SealOptions, Sealer};
use crate::io::{OpenReport, SealReport};
use crate::provider::KeyProvider;
use crate::secret::Opened;

/// [`Kuvert`](crate::Kuvert) for programs without `async`: every method waits for the key provider itself.
///
/// # Examples
///
/// ```
/// use kuvert::{EncryptionContext, blocking::Kuvert, provider::MemoryProvider};
///
/// let kuvert = Kuvert::new(MemoryProvider::generate("2026")?);
/// let context = EncryptionContext::new([("table", "users"), ("id", "42")])?;
/// let sealed = kuvert.seal(b"anna@example.se", &context)?;
/// assert_eq!(kuvert.open(&sealed, &context)?.as_slice(), b"anna@example.se");
///
/// let error = kuvert.open(&sealed, &EncryptionContext::empty()).unwrap_err();
/// assert_eq!(error.category(), kuvert::Category::WrongContext);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Kuvert {
    sealing: SealHandle,
    opening: OpenHandle,
}

impl Kuvert {
    /// Seals and opens under the keys of `provider`, with default options.
    pub fn new(provider: impl KeyProvider + 'static) -> Self {
        Self::from_arc(Arc::new(provider))
    }

    /// The same over a provider that is shared already.
    #[must_use]
    pub fn from_arc(provider: Arc<dyn KeyProvider>) -> Self {
        front::Kuvert::from_arc(provider).into()
    }

    /// A handle that can seal and cannot open.
    pub fn seal_only(provider: impl KeyProvider + 'static) -> SealHandle {
        front::Kuvert::seal_only(provider).into()
    }

    /// A handle that can open and cannot seal.
    pub fn open_only(provider: impl KeyProvider + 'static) -> OpenHandle {
        front::Kuvert::open_only(provider).into()
    }

    /// Changes how messages are sealed.
    #[must_use]
    pub fn with_seal_options(mut self, options: SealOptions) -> Self {
        self.sealing = self.sealing.with_options(options);
        self
    }

    /// Changes what is accepted when opening.
    #[must_use]
    pub fn with_open_options(mut self, options: OpenOptions) -> Self {
        self.opening = self.opening.with_options(options);
        self
    }

    /// The half that seals.
    #[must_use]
    pub const fn sealing(&self) -> &SealHandle {
        &self.sealing
    }

    /// The half that opens.
    #[must_use]
    pub const fn opening(&self) -> &OpenHandle {
        &self.opening
    }

    /// Seals `plaintext` into one message.
    ///
    /// # Errors
    ///
    /// As [`crate::SealHandle::seal`].
    pub fn seal(&self, plaintext: &[u8], context: &EncryptionContext) -> Result<Vec<u8>, SealError> {
        self.sealing.seal(plaintext, context)
    }

    /// Opens one whole message.
    ///
    /// # Errors
    ///
    /// As [`crate::OpenHandle::open`].
    pub fn open(&self, message: &[u8], context: &EncryptionContext) -> Result<Opened<Vec<u8>>, OpenError> {
        self.opening.open(message, context)
    }

    /// Begins a message of any length.
    ///
    /// # Errors
    ///
    /// As [`crate::SealHandle::sealer`].
    pub fn sealer(&self, context: &EncryptionContext) -> Result<Sealer, SealError> {
        self.sealing.sealer(context)
    }

    /// Opens a message of any length from its start.
    ///
    /// # Errors
    ///
    /// As [`crate::OpenHandle::opener`].
    pub fn opener(&self, start: MessageStart, context: &EncryptionContext) -> Result<Opener, OpenError> {
        self.opening.opener(start, context)
    }

    /// Seals the file `from` into the file `to`.
    ///
    /// # Errors
    ///
    /// As [`crate::SealHandle::seal_file`].
    pub fn seal_file(
        &self,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        context: &EncryptionContext,
    ) -> Result<SealReport, SealError> {
        self.sealing.seal_file(from, to, context)
    }

    /// Opens the file `from` into the file `to`.
    ///
    /// # Errors
    ///
    /// As [`crate::OpenHandle::open_file`].
    pub fn open_file(
        &self,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        context: &EncryptionContext,
    ) -> Result<OpenReport, OpenError> {
        self.opening.open_file(from, to, context)
    }

    /// Makes a key for records, and the envelope to keep.
    ///
    /// # Errors
    ///
    /// As [`crate::SealHandle::new_record_key`].
    pub fn new_record_key(&self, context: &EncryptionContext) -> Result<(RecordKey, Vec<u8>), SealError> {
        self.sealing.new_record_key(context)
    }

    /// Loads a key for records from its envelope.
    ///
    /// # Errors
    ///
    /// As [`crate::OpenHandle::load_record_key`].
    pub fn load_record_key(
        &self,
        envelope: &[u8],
        context: &EncryptionContext,
    ) -> Result<RecordKey, OpenError> {
        self.opening.load_record_key(envelope, context)
    }

    /// Loads the record key of this reference from its envelope.
    ///
    /// # Errors
    ///
    /// As [`crate::OpenHandle::load_record_key_of`].
    pub fn load_record_key_of(
        &self,
        envelope: &[u8],
        reference: u64,
        context: &EncryptionContext,
    ) -> Result<RecordKey, OpenError> {
        self.opening.load_record_key_of(envelope, reference, context)
    }
}

impl From<front::Kuvert> for Kuvert {
    fn from(kuvert: front::Kuvert) -> Self {
        Self { sealing: kuvert.sealing().clone().into(), opening: kuvert.opening().clone().into() }
    }
}
