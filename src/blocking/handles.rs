//! The two halves of the front as plain calls.

use std::future::Future;
use std::path::Path;

use crate::error::{OpenError, SealError};
use crate::executor::{NestedError, block_on};
use crate::format::context::EncryptionContext;
use crate::front::{self, MessageStart, OpenOptions, Opener, RecordKey, SealOptions, Sealer};
use crate::io::{OpenReport, SealReport};
use crate::secret::Opened;

/// [`SealHandle`](crate::SealHandle) for programs without `async`: it cannot open anything.
#[derive(Debug, Clone)]
pub struct SealHandle(front::SealHandle);

impl SealHandle {
    /// Changes how messages are sealed.
    #[must_use]
    pub fn with_options(self, options: SealOptions) -> Self {
        Self(self.0.with_options(options))
    }

    /// Seals `plaintext` into one message.
    ///
    /// # Errors
    ///
    /// As [`crate::SealHandle::seal`].
    pub fn seal(&self, plaintext: &[u8], context: &EncryptionContext) -> Result<Vec<u8>, SealError> {
        sealing(self.0.seal(plaintext, context))
    }

    /// Begins a message of any length.
    ///
    /// # Errors
    ///
    /// As [`crate::SealHandle::sealer`].
    pub fn sealer(&self, context: &EncryptionContext) -> Result<Sealer, SealError> {
        sealing(self.0.sealer(context))
    }

    /// Seals the file `from` into the file `to`, which appears whole or not at all.
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
        sealing(self.0.seal_file(from, to, context))
    }

    /// Makes a key for millions of records, and the envelope that keeps it wrapped.
    ///
    /// # Errors
    ///
    /// As [`crate::SealHandle::new_record_key`].
    pub fn new_record_key(&self, context: &EncryptionContext) -> Result<(RecordKey, Vec<u8>), SealError> {
        sealing(self.0.new_record_key(context))
    }
}

impl From<front::SealHandle> for SealHandle {
    fn from(handle: front::SealHandle) -> Self {
        Self(handle)
    }
}

/// [`OpenHandle`](crate::OpenHandle) for programs without `async`: it cannot seal anything.
#[derive(Debug, Clone)]
pub struct OpenHandle(front::OpenHandle);

impl OpenHandle {
    pub(super) fn front(&self) -> &front::OpenHandle {
        &self.0
    }

    /// Changes what is accepted.
    #[must_use]
    pub fn with_options(self, options: OpenOptions) -> Self {
        Self(self.0.with_options(options))
    }

    /// Opens one whole message in memory.
    ///
    /// # Errors
    ///
    /// As [`crate::OpenHandle::open`].
    pub fn open(&self, message: &[u8], context: &EncryptionContext) -> Result<Opened<Vec<u8>>, OpenError> {
        opening(self.0.open(message, context))
    }

    /// Opens a message of any length from its start.
    ///
    /// # Errors
    ///
    /// As [`crate::OpenHandle::opener`].
    pub fn opener(&self, start: MessageStart, context: &EncryptionContext) -> Result<Opener, OpenError> {
        opening(self.0.opener(start, context))
    }

    /// Opens the file `from` into the file `to`, which appears whole or not at all.
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
        opening(self.0.open_file(from, to, context))
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
        opening(self.0.load_record_key(envelope, context))
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
        opening(self.0.load_record_key_of(envelope, reference, context))
    }
}

impl From<front::OpenHandle> for OpenHandle {
    fn from(handle: front::OpenHandle) -> Self {
        Self(handle)
    }
}

fn sealing<T>(call: impl Future<Output = Result<T, SealError>>) -> Result<T, SealError> {
    block_on(call).unwrap_or_else(|NestedError| Err(SealError::Usage(NESTED)))
}

fn opening<T>(call: impl Future<Output = Result<T, OpenError>>) -> Result<T, OpenError> {
    block_on(call).unwrap_or_else(|NestedError| Err(OpenError::Usage(NESTED)))
}

pub(super) const NESTED: &str =
    "a blocking call inside another one on the same thread: use the async one, or a thread of its own";

#[cfg(test)]
mod tests {
    use super::super::Kuvert;
    use super::*;
    use crate::error::Category;
    use crate::provider::MemoryProvider;

    #[test]
    fn a_nested_call_is_a_usage_error_and_not_a_deadlock() {
        let kuvert = Kuvert::new(MemoryProvider::generate("k").unwrap());
        let context = EncryptionContext::empty();
        let message = kuvert.seal(b"x", &context).unwrap();
        let (sealed, opened) =
            block_on(async { (kuvert.seal(b"x", &context), kuvert.open(&message, &context)) }).unwrap();
        assert_eq!(sealed.unwrap_err().category(), Category::Usage);
        assert_eq!(opened.unwrap_err().category(), Category::Usage);
        assert!(kuvert.open(&message, &context).is_ok());
    }

    #[test]
    fn every_call_does_what_its_async_twin_does() {
        let provider = MemoryProvider::from_keys([("k", [1; 32])]).unwrap();
        let kuvert = Kuvert::new(provider);
        let context = EncryptionContext::new([("a", "b")]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let [plain, sealed, opened] = ["plain", "sealed", "opened"].map(|name| dir.path().join(name));
        std::fs::write(&plain, b"of a file").unwrap();
        kuvert.seal_file(&plain, &sealed, &context).unwrap();
        assert_eq!(kuvert.open_file(&sealed, &opened, &context).unwrap().plaintext_len, 9);
        assert_eq!(std::fs::read(&opened).unwrap(), b"of a file");

        let mut writer = kuvert.sealer(&context).unwrap().into_writer(Vec::new());
        std::io::Write::write_all(&mut writer, b"streamed").unwrap();
        let (message, _) = writer.finish().unwrap();
        let mut source = message.as_slice();
        let start = MessageStart::read(&mut source).unwrap();
        let reader = kuvert.opener(start, &context).unwrap().into_reader(source);
        assert_eq!(reader.verify().unwrap().plaintext_len, 8);

        let (_, envelope) = kuvert.new_record_key(&context).unwrap();
        kuvert.load_record_key(&envelope, &context).unwrap();
        let other = EncryptionContext::empty();
        assert_eq!(kuvert.load_record_key(&envelope, &other).unwrap_err().category(), Category::WrongContext);
    }

    #[test]
    fn halves_and_options_are_those_of_the_front() {
        let context = EncryptionContext::empty();
        let keys = || MemoryProvider::from_keys([("k", [1; 32])]).unwrap();
        let writer = Kuvert::seal_only(keys());
        let reader = Kuvert::open_only(keys());
        let message = writer.seal(b"x", &context).unwrap();
        assert_eq!(reader.open(&message, &context).unwrap().as_slice(), b"x");

        let strict = OpenOptions::default().with_min_generation(2);
        let both = Kuvert::from(front::Kuvert::new(keys()))
            .with_seal_options(SealOptions::default().with_layout(crate::format::Layout::Rewrappable))
            .with_open_options(strict.clone());
        assert_eq!(both.seal(b"x", &context).unwrap().len(), 4096 + 56 + 17);
        assert_eq!(both.open(&message, &context).unwrap_err().category(), Category::Tampered);
        assert_eq!(both.sealing().seal(b"x", &context).unwrap().len(), 4096 + 56 + 17);
        let refused = reader.with_options(strict).open(&message, &context);
        assert_eq!(refused.unwrap_err().category(), Category::Tampered);
    }
}
