//! What a provider is told about the message whose data key it wraps.
//!
//! Another type than the encryption context of a message, so that the two cannot be swapped: this one is
//! for the key service's eyes, and a provider passes on only what its own configuration names.

use std::fmt;

/// The message a data key belongs to, as far as a key provider may know: the first 12 bytes of its header and
/// the pairs of its encryption context.
///
/// # Security
///
/// The values are the caller's, and may be personal data. A provider hands none to a key service unless it is
/// configured to by name, and prints none.
#[derive(Clone, PartialEq, Eq)]
pub struct WrapContext {
    core: [u8; 12],
    pairs: Vec<(String, String)>,
}

impl WrapContext {
    /// Of the header's first 12 bytes (magic, version, kind and suite) and all context pairs, stored and required.
    #[must_use]
    pub fn new(core: [u8; 12], pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { core, pairs: pairs.into_iter().collect() }
    }

    /// The first 12 bytes of the header: the same for every message of one version, kind and suite.
    #[must_use]
    pub const fn core(&self) -> &[u8; 12] {
        &self.core
    }

    /// The value of the pair named `name`, compared byte by byte.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// All pairs, for who has to tell one context from another.
    pub(super) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// The names of all pairs.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|(name, _)| name.as_str())
    }
}

impl fmt::Debug for WrapContext {
    /// Shows the names of the pairs, never a value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WrapContext")?;
        f.debug_list().entries(self.names()).finish()
    }
}
