//! The error of anchors.

use super::Category;

/// Why an anchor did not answer.
#[derive(Debug, thiserror::Error)]
#[error("anchor: {what}{}", .source.as_ref().map(|source| format!(": {source}")).unwrap_or_default())]
pub struct AnchorError {
    what: &'static str,
    category: Category,
    #[source]
    source: Option<std::io::Error>,
}

impl AnchorError {
    /// What it keeps cannot be what was put there; or it was made for something else.
    #[must_use]
    pub const fn damaged(what: &'static str) -> Self {
        Self { what, category: Category::Malformed, source: None }
    }

    /// It is in use, or cannot be reached; later is better.
    #[must_use]
    pub const fn busy(what: &'static str) -> Self {
        Self { what, category: Category::Io, source: None }
    }

    /// It is not there, which is no reason to begin a new one: it may hold what the store does not know any more.
    pub(crate) const fn missing(source: std::io::Error) -> Self {
        let what = "there is no such file: is its disk there? If it is lost for good, and the key store certainly the \
                    newest one, put an empty file in its place";
        Self { what, category: Category::Io, source: Some(source) }
    }

    /// Whether the same call may succeed in a moment.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        matches!(self.category, Category::Io) && self.source.is_none()
    }

    /// The category of this error.
    #[must_use]
    pub const fn category(&self) -> Category {
        self.category
    }
}

impl From<std::io::Error> for AnchorError {
    fn from(error: std::io::Error) -> Self {
        Self { what: "it cannot be read or written", category: Category::Io, source: Some(error) }
    }
}
