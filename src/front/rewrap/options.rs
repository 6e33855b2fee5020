//! What a rewrap may do beside the plain case, each by name.

/// What a [`Rewrap`](crate::Rewrap) is allowed. The defaults are strict.
///
/// # Examples
///
/// ```
/// use kuvert::RewrapOptions;
///
/// assert!(RewrapOptions::default().with_in_place_only(true).in_place_only);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct RewrapOptions {
    /// Refuses a header that cannot be rewritten in place ([`RewrapError::NoRoom`](crate::RewrapError::NoRoom)) instead
    /// of copying the whole message. Default: no.
    pub in_place_only: bool,
    /// Lets a message end up with no recipient of which it could be checked that it unwraps, such as public keys whose
    /// private halves are elsewhere. Default: no.
    ///
    /// # Security
    ///
    /// If such a key turns out to be the wrong one, the message is lost: the wraps it had are gone.
    pub allow_unverified: bool,
    /// Lets recipients be added to a message that hangs on the key of a data subject (type 0x0020). Default: no.
    ///
    /// # Security
    ///
    /// The message then outlives the erasure of that subject.
    pub allow_on_subject: bool,
    /// Whether [`file_to`](crate::Rewrap::file_to) may replace a file that is there. Default: no.
    pub replace_existing: bool,
    /// Wraps anew also where the recipients are those asked for already. Default: no. Needed where a key keeps its
    /// name while what is behind it was replaced, as a key service does when it rotates a key.
    pub even_if_unchanged: bool,
}

impl RewrapOptions {
    /// Refuses to copy.
    #[must_use]
    pub const fn with_in_place_only(mut self, only: bool) -> Self {
        self.in_place_only = only;
        self
    }

    /// Allows recipients that cannot be checked; see [`allow_unverified`](Self#structfield.allow_unverified).
    #[must_use]
    pub const fn with_allow_unverified(mut self, allow: bool) -> Self {
        self.allow_unverified = allow;
        self
    }

    /// Allows more recipients on a subject's message; see [`allow_on_subject`](Self#structfield.allow_on_subject).
    #[must_use]
    pub const fn with_allow_on_subject(mut self, allow: bool) -> Self {
        self.allow_on_subject = allow;
        self
    }

    /// Lets an existing output file be replaced.
    #[must_use]
    pub const fn with_replace_existing(mut self, replace: bool) -> Self {
        self.replace_existing = replace;
        self
    }

    /// Wraps anew in any case.
    #[must_use]
    pub const fn with_even_if_unchanged(mut self, even: bool) -> Self {
        self.even_if_unchanged = even;
        self
    }
}
