//! The error of key stores.

use super::Category;

/// Why a key store did not do what it was asked.
///
/// What a store refuses by its contract (a name that is erased, an epoch that is closed) is no error but an answer of
/// the call. This is for what stands in the way of any answer.
#[derive(Debug, thiserror::Error)]
#[error("key store ({store}): {}{}", .kind.describe(), .detail.as_deref().map(|d| format!(": {d}")).unwrap_or_default())]
#[non_exhaustive]
pub struct KeyStoreError {
    /// What a caller can do about it.
    pub kind: KeyStoreErrorKind,
    /// The store's name, such as `"sqlite"`.
    pub store: &'static str,
    /// What was found, in words that hold nothing personal and nothing secret.
    pub detail: Option<String>,
    /// What the engine said.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl KeyStoreError {
    /// An error without a detail and without a source.
    #[must_use]
    pub const fn new(kind: KeyStoreErrorKind, store: &'static str) -> Self {
        Self { kind, store, detail: None, source: None }
    }

    /// Adds what was found, in words that hold nothing personal and nothing secret.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds what the engine said.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The category of this error.
    #[must_use]
    pub const fn category(&self) -> Category {
        match self.kind {
            KeyStoreErrorKind::Foreign | KeyStoreErrorKind::Damaged => Category::Malformed,
            KeyStoreErrorKind::NewerSchema => Category::Unsupported,
            KeyStoreErrorKind::Misuse => Category::Usage,
            KeyStoreErrorKind::ReadOnly
            | KeyStoreErrorKind::Full
            | KeyStoreErrorKind::Busy
            | KeyStoreErrorKind::Unavailable
            | KeyStoreErrorKind::Forked => Category::Io,
        }
    }
}

/// What stands in the way of a key store's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyStoreErrorKind {
    /// It can be read but not written.
    ReadOnly,
    /// There is no room for what was to be written; nothing of it was.
    Full,
    /// Others hold it for longer than this call waits. Worth trying again.
    Busy,
    /// It cannot be reached, or it did not do its work. What was asked may or may not have been done: ask again, every
    /// write can be repeated.
    Unavailable,
    /// What is there is no key store.
    Foreign,
    /// A newer release made it, in a layout that this one does not know.
    NewerSchema,
    /// What is there breaks the store's own rules: truncated, overwritten, or changed by other programs.
    Damaged,
    /// The call was wrong in itself.
    Misuse,
    /// The process forked while a store was open. What was opened is the parent's; whether the child can open one of its own
    /// is the store's to say.
    Forked,
}

impl KeyStoreErrorKind {
    /// The kind in words.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::ReadOnly => "it can only be read",
            Self::Full => "no room is left for what was to be written",
            Self::Busy => "others hold it; try again",
            Self::Unavailable => "it cannot be reached or does not work",
            Self::Foreign => "this is no key store of kuvert",
            Self::NewerSchema => "made by a newer release of kuvert",
            Self::Damaged => "its content is damaged; restore the newest backup",
            Self::Misuse => "wrong call",
            Self::Forked => "the process forked; open the store in a process that was started anew",
        }
    }
}
