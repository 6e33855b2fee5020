//! Where keys meet bytes: [`Kuvert`] and its two halves, one-shot calls, streams, files and record keys.
//!
//! Floor 5: asks a provider for a data key in one awaited step, and hands a machine to [`crate::io`] for the rest.
//! It holds no plaintext longer than a call and knows no key service by name.

pub(crate) mod envelope;
mod file;
mod opener;
mod options;
mod record_key;
mod rewrap;
mod sealer;
mod start;
#[cfg(feature = "tokio")]
mod tokio;

use std::{fmt, path::Path, sync::Arc};

pub use self::{
    opener::Opener,
    options::{OpenOptions, SealOptions},
    record_key::{Cell, RecordKey, RecordOptions, RowKey},
    rewrap::{Rewrap, RewrapMethod, RewrapOptions, RewrapOutcome, RewrapReport, RewrapSummary},
    sealer::Sealer,
    start::{MessageStart, StartReader},
};
use crate::{
    error::{OpenError, SealError},
    format::context::EncryptionContext,
    io::{OpenReport, SealReport},
    provider::KeyProvider,
    secret::Opened,
};

/// Seals and opens under the keys of one [`KeyProvider`]. The front door of this crate.
///
/// Cheap to clone; share one among all tasks. A service that only writes takes [`Kuvert::seal_only`], one that only
/// restores takes [`Kuvert::open_only`]: their handles cannot do the other thing, by type.
///
/// The futures of this type need no particular runtime: they wait for the key provider and nothing else.
///
/// # Security
///
/// Hides neither the plaintext's length, nor who the recipients are, nor the stored pairs of the context. Says who
/// *could* have sealed a message, not who did: whoever may wrap may seal, which for a public key is anybody.
///
/// # Examples
///
/// ```
/// use kuvert::{EncryptionContext, Kuvert, provider::MemoryProvider};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # kuvert::blocking::block_on(async {
/// let kuvert = Kuvert::new(MemoryProvider::generate("2026-11")?);
/// let context = EncryptionContext::new([("table", "users"), ("id", "42")])?;
/// let sealed = kuvert.seal(b"anna@example.se", &context).await?;
/// assert_eq!(kuvert.open(&sealed, &context).await?.as_slice(), b"anna@example.se");
///
/// // The context is part of the data: the same bytes open for no other row.
/// let other = EncryptionContext::new([("table", "users"), ("id", "43")])?;
/// let refused = kuvert.open(&sealed, &other).await.unwrap_err();
/// assert!(matches!(refused, kuvert::OpenError::WrongContext(_)));
/// # Ok(()) })? }
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
        Self { sealing: SealHandle::from_arc(Arc::clone(&provider)), opening: OpenHandle::from_arc(provider) }
    }

    /// A handle that can seal and cannot open.
    pub fn seal_only(provider: impl KeyProvider + 'static) -> SealHandle {
        SealHandle::from_arc(Arc::new(provider))
    }

    /// A handle that can open and cannot seal.
    pub fn open_only(provider: impl KeyProvider + 'static) -> OpenHandle {
        OpenHandle::from_arc(Arc::new(provider))
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
    pub fn sealing(&self) -> &SealHandle {
        &self.sealing
    }

    /// The half that opens.
    #[must_use]
    pub fn opening(&self) -> &OpenHandle {
        &self.opening
    }

    /// Seals `plaintext` into one message. See [`SealHandle::seal`].
    ///
    /// # Errors
    ///
    /// As [`SealHandle::seal`].
    pub async fn seal(&self, plaintext: &[u8], context: &EncryptionContext) -> Result<Vec<u8>, SealError> {
        self.sealing.seal(plaintext, context).await
    }

    /// Opens one whole message. See [`OpenHandle::open`].
    ///
    /// # Errors
    ///
    /// As [`OpenHandle::open`].
    pub async fn open(
        &self,
        message: &[u8],
        context: &EncryptionContext,
    ) -> Result<Opened<Vec<u8>>, OpenError> {
        self.opening.open(message, context).await
    }

    /// Begins a message of any length. See [`SealHandle::sealer`].
    ///
    /// # Errors
    ///
    /// As [`SealHandle::sealer`].
    pub async fn sealer(&self, context: &EncryptionContext) -> Result<Sealer, SealError> {
        self.sealing.sealer(context).await
    }

    /// Opens a message of any length from its start. See [`OpenHandle::opener`].
    ///
    /// # Errors
    ///
    /// As [`OpenHandle::opener`].
    pub async fn opener(
        &self,
        start: MessageStart,
        context: &EncryptionContext,
    ) -> Result<Opener, OpenError> {
        self.opening.opener(start, context).await
    }

    /// Seals the file `from` into the file `to`. See [`SealHandle::seal_file`].
    ///
    /// # Errors
    ///
    /// As [`SealHandle::seal_file`].
    pub async fn seal_file(
        &self,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        context: &EncryptionContext,
    ) -> Result<SealReport, SealError> {
        self.sealing.seal_file(from, to, context).await
    }

    /// Opens the file `from` into the file `to`. See [`OpenHandle::open_file`].
    ///
    /// # Errors
    ///
    /// As [`OpenHandle::open_file`].
    pub async fn open_file(
        &self,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        context: &EncryptionContext,
    ) -> Result<OpenReport, OpenError> {
        self.opening.open_file(from, to, context).await
    }

    /// Makes a key for records, and the envelope to keep. See [`SealHandle::new_record_key`].
    ///
    /// # Errors
    ///
    /// As [`SealHandle::new_record_key`].
    pub async fn new_record_key(
        &self,
        context: &EncryptionContext,
    ) -> Result<(RecordKey, Vec<u8>), SealError> {
        self.sealing.new_record_key(context).await
    }

    /// Loads a key for records from its envelope. See [`OpenHandle::load_record_key`].
    ///
    /// # Errors
    ///
    /// As [`OpenHandle::load_record_key`].
    pub async fn load_record_key(
        &self,
        envelope: &[u8],
        context: &EncryptionContext,
    ) -> Result<RecordKey, OpenError> {
        self.opening.load_record_key(envelope, context).await
    }

    /// Loads the record key of this reference. See [`OpenHandle::load_record_key_of`].
    ///
    /// # Errors
    ///
    /// As [`OpenHandle::load_record_key_of`].
    pub async fn load_record_key_of(
        &self,
        envelope: &[u8],
        reference: u64,
        context: &EncryptionContext,
    ) -> Result<RecordKey, OpenError> {
        self.opening.load_record_key_of(envelope, reference, context).await
    }
}

/// The sealing half of [`Kuvert`]: it cannot open anything.
#[derive(Clone)]
pub struct SealHandle {
    provider: Arc<dyn KeyProvider>,
    options: SealOptions,
}

impl SealHandle {
    /// Seals under the keys of `provider`, with default options.
    #[must_use]
    pub fn from_arc(provider: Arc<dyn KeyProvider>) -> Self {
        Self { provider, options: SealOptions::default() }
    }

    /// Changes how messages are sealed.
    #[must_use]
    pub fn with_options(mut self, options: SealOptions) -> Self {
        self.options = options;
        self
    }
}

impl fmt::Debug for SealHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealHandle")
            .field("provider", &self.provider)
            .field("options", &self.options)
            .finish()
    }
}

/// The opening half of [`Kuvert`]: it cannot seal anything.
#[derive(Clone)]
pub struct OpenHandle {
    provider: Arc<dyn KeyProvider>,
    options: OpenOptions,
}

impl OpenHandle {
    /// Opens with the keys of `provider`, with default options.
    #[must_use]
    pub fn from_arc(provider: Arc<dyn KeyProvider>) -> Self {
        Self { provider, options: OpenOptions::default() }
    }

    /// Changes what is accepted.
    #[must_use]
    pub fn with_options(mut self, options: OpenOptions) -> Self {
        self.options = options;
        self
    }

    /// The same, whatever stored pairs are not presented.
    pub(crate) fn accepting_stored_context(mut self) -> Self {
        self.options.accept_stored_context = true;
        self
    }
}

impl fmt::Debug for OpenHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenHandle")
            .field("provider", &self.provider)
            .field("options", &self.options)
            .finish()
    }
}
