//! Rewrapping as plain calls.

use std::future::Future;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::handles::NESTED;
use super::{Kuvert, OpenHandle};
use crate::error::RewrapError;
use crate::executor::{NestedError, block_on};
use crate::format::context::EncryptionContext;
use crate::front::{self, RewrapOptions, RewrapReport, RewrapSummary};
use crate::limits::BODY_START_LEN;
use crate::provider::KeyProvider;

/// [`Rewrap`](crate::Rewrap) for programs without `async`: a change of recipients, to be made in as many messages,
/// files and key envelopes as you like.
///
/// # Examples
///
/// ```
/// use kuvert::{EncryptionContext, blocking::Kuvert, provider::MemoryProvider};
///
/// let old = Kuvert::new(MemoryProvider::generate("2026")?);
/// let context = EncryptionContext::empty();
/// let message = old.seal(b"anna@example.se", &context)?;
/// let (rewrapped, _) = old.rewrap_to(MemoryProvider::generate("2027")?).message(&message, &context)?;
/// assert!(old.open(&rewrapped, &context).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is rewrapped before one of its methods is called"]
pub struct Rewrap(front::Rewrap);

impl Rewrap {
    /// Also wraps for the recipients of this provider. See [`crate::Rewrap::and_to`].
    pub fn and_to(self, new: Arc<dyn KeyProvider>) -> Self {
        Self(self.0.and_to(new))
    }

    /// Changes what is allowed.
    pub fn with_options(self, options: RewrapOptions) -> Self {
        Self(self.0.with_options(options))
    }

    /// Rewraps a file, in place if its header has room.
    ///
    /// # Errors
    ///
    /// As [`crate::Rewrap::file`].
    pub fn file(
        &self,
        path: impl AsRef<Path>,
        context: &EncryptionContext,
    ) -> Result<RewrapReport, RewrapError> {
        rewrapping(self.0.file(path, context))
    }

    /// Rewraps the file `from` into another file.
    ///
    /// # Errors
    ///
    /// As [`crate::Rewrap::file_to`].
    pub fn file_to(
        &self,
        from: impl AsRef<Path>,
        to: impl AsRef<Path>,
        context: &EncryptionContext,
    ) -> Result<RewrapReport, RewrapError> {
        rewrapping(self.0.file_to(from, to, context))
    }

    /// Rewraps a detached header's file.
    ///
    /// # Errors
    ///
    /// As [`crate::Rewrap::detached_file`].
    pub fn detached_file(
        &self,
        header: impl AsRef<Path>,
        body: impl AsRef<Path>,
        context: &EncryptionContext,
    ) -> Result<RewrapReport, RewrapError> {
        rewrapping(self.0.detached_file(header, body, context))
    }

    /// Rewraps a whole message in memory.
    ///
    /// # Errors
    ///
    /// As [`crate::Rewrap::message`].
    pub fn message(
        &self,
        message: &[u8],
        context: &EncryptionContext,
    ) -> Result<(Vec<u8>, RewrapReport), RewrapError> {
        rewrapping(self.0.message(message, context))
    }

    /// Rewraps a detached header.
    ///
    /// # Errors
    ///
    /// As [`crate::Rewrap::detached`].
    pub fn detached(
        &self,
        header: &[u8],
        body_start: &[u8; BODY_START_LEN],
        context: &EncryptionContext,
    ) -> Result<(Vec<u8>, RewrapReport), RewrapError> {
        rewrapping(self.0.detached(header, body_start, context))
    }

    /// Rewraps the envelope of a record key.
    ///
    /// # Errors
    ///
    /// As [`crate::Rewrap::envelope`].
    pub fn envelope(
        &self,
        envelope: &[u8],
        context: &EncryptionContext,
    ) -> Result<(Vec<u8>, RewrapReport), RewrapError> {
        rewrapping(self.0.envelope(envelope, context))
    }

    /// Rewraps many files, one after the other. See [`crate::Rewrap::files`].
    pub fn files<P: AsRef<Path>>(
        &self,
        paths: impl IntoIterator<Item = P>,
        context: &EncryptionContext,
        mut on_file: impl FnMut(&Path, &Result<RewrapReport, RewrapError>) -> ControlFlow<()>,
    ) -> RewrapSummary {
        let mut summary = RewrapSummary::default();
        for path in paths {
            let result = self.file(&path, context);
            summary.count(&result);
            if on_file(path.as_ref(), &result).is_break() {
                break;
            }
        }
        summary
    }
}

impl From<front::Rewrap> for Rewrap {
    fn from(rewrap: front::Rewrap) -> Self {
        Self(rewrap)
    }
}

impl OpenHandle {
    /// Replaces all recipients. See [`crate::OpenHandle::rewrap_to`].
    pub fn rewrap_to(&self, new: impl KeyProvider + 'static) -> Rewrap {
        self.front().rewrap_to(new).into()
    }

    /// Replaces all recipients. See [`crate::OpenHandle::rewrap_to_arc`].
    pub fn rewrap_to_arc(&self, new: Arc<dyn KeyProvider>) -> Rewrap {
        self.front().rewrap_to_arc(new).into()
    }

    /// Adds recipients. See [`crate::OpenHandle::add_recipient`].
    pub fn add_recipient(&self, new: impl KeyProvider + 'static) -> Rewrap {
        self.front().add_recipient(new).into()
    }

    /// Adds recipients. See [`crate::OpenHandle::add_recipient_arc`].
    pub fn add_recipient_arc(&self, new: Arc<dyn KeyProvider>) -> Rewrap {
        self.front().add_recipient_arc(new).into()
    }

    /// Removes recipients. See [`crate::OpenHandle::remove_recipient`].
    pub fn remove_recipient(&self, ids: impl IntoIterator<Item: Into<String>>) -> Rewrap {
        self.front().remove_recipient(ids).into()
    }

    /// Replaces pending recipients. See [`crate::OpenHandle::repair`].
    pub fn repair(&self, new: impl KeyProvider + 'static) -> Rewrap {
        self.front().repair(new).into()
    }

    /// Replaces pending recipients. See [`crate::OpenHandle::repair_arc`].
    pub fn repair_arc(&self, new: Arc<dyn KeyProvider>) -> Rewrap {
        self.front().repair_arc(new).into()
    }
}

impl Kuvert {
    /// Replaces all recipients. See [`crate::OpenHandle::rewrap_to`].
    pub fn rewrap_to(&self, new: impl KeyProvider + 'static) -> Rewrap {
        self.opening().rewrap_to(new)
    }

    /// Replaces all recipients. See [`crate::OpenHandle::rewrap_to_arc`].
    pub fn rewrap_to_arc(&self, new: Arc<dyn KeyProvider>) -> Rewrap {
        self.opening().rewrap_to_arc(new)
    }

    /// Adds recipients. See [`crate::OpenHandle::add_recipient`].
    pub fn add_recipient(&self, new: impl KeyProvider + 'static) -> Rewrap {
        self.opening().add_recipient(new)
    }

    /// Adds recipients. See [`crate::OpenHandle::add_recipient_arc`].
    pub fn add_recipient_arc(&self, new: Arc<dyn KeyProvider>) -> Rewrap {
        self.opening().add_recipient_arc(new)
    }

    /// Removes recipients. See [`crate::OpenHandle::remove_recipient`].
    pub fn remove_recipient(&self, ids: impl IntoIterator<Item: Into<String>>) -> Rewrap {
        self.opening().remove_recipient(ids)
    }

    /// Replaces pending recipients. See [`crate::OpenHandle::repair`].
    pub fn repair(&self, new: impl KeyProvider + 'static) -> Rewrap {
        self.opening().repair(new)
    }

    /// Replaces pending recipients. See [`crate::OpenHandle::repair_arc`].
    pub fn repair_arc(&self, new: Arc<dyn KeyProvider>) -> Rewrap {
        self.opening().repair_arc(new)
    }
}

fn rewrapping<T>(call: impl Future<Output = Result<T, RewrapError>>) -> Result<T, RewrapError> {
    block_on(call).unwrap_or_else(|NestedError| Err(RewrapError::Usage(NESTED)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Category;
    use crate::front::RewrapOutcome;
    use crate::provider::MemoryProvider;

    fn key(id: &str) -> MemoryProvider {
        let mut key = [7; 32];
        key[..id.len()].copy_from_slice(id.as_bytes());
        MemoryProvider::from_keys([(id, key)]).unwrap()
    }

    #[test]
    fn every_call_does_what_its_async_twin_does() {
        let (a, context) = (Kuvert::new(key("a")), EncryptionContext::empty());
        let folder = tempfile::tempdir().unwrap();
        let [plain, sealed, copy] = ["plain", "sealed", "copy"].map(|name| folder.path().join(name));
        std::fs::write(&plain, b"of a file").unwrap();
        a.seal_file(&plain, &sealed, &context).unwrap();
        let to_b = a.rewrap_to(key("b"));
        assert_eq!(to_b.file_to(&sealed, &copy, &context).unwrap().recipients[0].id, "b");
        let summary = to_b.files([&sealed, &copy, &plain], &context, |_, _| ControlFlow::Continue(()));
        assert_eq!((summary.rewrapped, summary.unchanged, summary.failed), (1, 1, 1));
        assert_eq!(to_b.file(&sealed, &context).unwrap().outcome, RewrapOutcome::Unchanged);
        let stopped = to_b.files([&sealed, &copy], &context, |_, _| ControlFlow::Break(()));
        assert_eq!((stopped.unchanged, stopped.failed), (1, 0));

        let message = a.seal(b"x", &context).unwrap();
        let (both, _) = a.add_recipient(key("b")).message(&message, &context).unwrap();
        let (one, _) = a.remove_recipient(["a"]).and_to(Arc::new(key("b"))).message(&both, &context).unwrap();
        assert!(a.open(&one, &context).is_err() && Kuvert::new(key("b")).open(&one, &context).is_ok());
        assert_eq!(a.repair(key("b")).message(&both, &context).unwrap().1.outcome, RewrapOutcome::Unchanged);
        let (_, envelope) = a.new_record_key(&context).unwrap();
        assert_eq!(to_b.envelope(&envelope, &context).unwrap().1.generation, 2);
        let error = to_b.detached(&message[..200], &[0; 56], &context).unwrap_err();
        assert_eq!(error.category(), Category::Usage);
        assert!(to_b.detached_file(&sealed, &copy, &context).is_err());
    }

    #[test]
    fn a_nested_call_is_a_usage_error_and_not_a_deadlock() {
        let (a, context) = (Kuvert::new(key("a")), EncryptionContext::empty());
        let message = a.seal(b"x", &context).unwrap();
        let nested = block_on(async { a.rewrap_to(key("b")).message(&message, &context) }).unwrap();
        assert_eq!(nested.unwrap_err().category(), Category::Usage);
    }
}
