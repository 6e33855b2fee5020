//! The error of a key provider: a kind a caller can act on, and where it came from.

use std::{error::Error, fmt};

use super::Category;

/// What a caller can do about a provider's failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProviderErrorKind {
    /// The wrapping key does not exist (any more).
    NotFound,
    /// The wrapping key exists and is switched off.
    Disabled,
    /// The wrapping key is about to be destroyed.
    PendingDeletion,
    /// The caller has no right to use the wrapping key.
    AccessDenied,
    /// Whoever asks could not show who it is: no credentials, expired ones, a signature or a clock that is wrong, a PIN that
    /// a token refused or that is locked. This says nothing about the wrapping key, nor about the right to it.
    Credentials,
    /// The wrapped key was refused: damaged, of another key, of another context, or of a wrong length.
    Rejected,
    /// Too many requests; later is better.
    Throttled,
    /// The key service could not be reached or failed.
    Unavailable,
    /// No answer before the deadline.
    Timeout,
    /// The provider is set up wrongly; retrying is useless.
    Misconfigured,
    /// A policy forbids this key or this call; no call was made.
    Refused,
    /// Something else.
    Other,
}

impl ProviderErrorKind {
    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable | Self::Timeout)
    }

    /// The kind in words.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::NotFound => "key not found",
            Self::Disabled => "key is disabled",
            Self::PendingDeletion => "key is pending deletion",
            Self::AccessDenied => "access denied",
            Self::Credentials => "no valid credentials",
            Self::Rejected => "wrapped key rejected",
            Self::Throttled => "throttled",
            Self::Unavailable => "key service unavailable",
            Self::Timeout => "timed out",
            Self::Misconfigured => "provider is misconfigured",
            Self::Refused => "refused by policy",
            Self::Other => "provider error",
        }
    }
}

/// A key provider's failure. Says which provider and which key, never any key material or context value.
#[derive(Debug)]
pub struct ProviderError {
    kind: ProviderErrorKind,
    provider: &'static str,
    key_id: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl ProviderError {
    /// A failure of `kind` in the provider named `provider` (such as `"key-file"`).
    #[must_use]
    pub fn new(kind: ProviderErrorKind, provider: &'static str) -> Self {
        Self { kind, provider, key_id: None, source: None }
    }

    /// Names the wrapping key by its public id.
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// Keeps the error behind this one. It must not print secrets: it is shown to whoever asks for the chain.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What a caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ProviderErrorKind {
        self.kind
    }

    /// The provider's name.
    #[must_use]
    pub const fn provider(&self) -> &'static str {
        self.provider
    }

    /// The wrapping key's public id, where one is known.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }

    /// The category: `Rejected` is [`Category::WrongKey`], `Refused` is [`Category::Refused`], `Misconfigured`
    /// is [`Category::Usage`], `Other` is [`Category::Io`]; the rest is [`Category::KeyUnavailable`].
    #[must_use]
    pub const fn category(&self) -> Category {
        match self.kind {
            ProviderErrorKind::Rejected => Category::WrongKey,
            ProviderErrorKind::Refused => Category::Refused,
            ProviderErrorKind::Misconfigured => Category::Usage,
            ProviderErrorKind::Other => Category::Io,
            _ => Category::KeyUnavailable,
        }
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.provider, self.kind.describe())?;
        if let Some(id) = &self.key_id {
            write!(f, " (key \"{}\")", id.escape_debug())?;
        }
        if let Some(source) = &self.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl Error for ProviderError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
