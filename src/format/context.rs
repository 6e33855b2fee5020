//! The encryption context: pairs of names and values that are bound to the data.
//!
//! Floor 2. A context is compared byte by byte and nothing is normalised; it is not secret, but its values stay
//! out of `Debug` and of every error all the same. Section "Encryption context" of the
//! [format](crate::manual::format).

mod bound;
mod wire;

use std::{collections::BTreeMap, fmt};

#[cfg(test)]
pub(crate) use self::wire::encode;
pub(crate) use self::{bound::BoundContext, wire::decode};
use crate::{
    error::ContextError,
    limits::{MAX_CONTEXT_LEN, MAX_CONTEXT_NAME_LEN, MAX_CONTEXT_PAIRS, MAX_CONTEXT_VALUE_LEN},
};

/// Name-value pairs that are bound to what is sealed: whoever opens it must present the same ones.
///
/// A pair is either *stored*, in clear in the header, so that a backup describes itself, or *required*: not
/// stored, so the reader has to know it. Both are bound alike. When opening it makes no difference which way a
/// pair is given. Names are 1 to 255 bytes and unique, values 0 to 4096 bytes; at most 64 pairs and 16 384 bytes
/// in all. Bytes are compared: `"é"` written in two Unicode forms is two different values. Order does not matter.
///
/// # Security
///
/// Stored pairs are readable by everybody who can read the header. A required value is not stored, but it is
/// no secret either: whoever can have headers opened can test guesses.
///
/// # Examples
///
/// ```
/// use kuvert::{ContextError, EncryptionContext};
///
/// # fn main() -> Result<(), ContextError> {
/// let context = EncryptionContext::new([("table", "users"), ("backup", "2026-11-21")])?
///     .with_required("tenant", "acme")?;
/// assert_eq!(context.names().collect::<Vec<_>>(), ["backup", "table", "tenant"]);
///
/// let twice = context.with_stored("table", "orders");
/// assert!(matches!(twice, Err(ContextError::Duplicate(name)) if name == "table"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct EncryptionContext {
    pairs: BTreeMap<String, Pair>,
    /// Bytes of the serialised pairs without their count.
    pairs_len: usize,
}

#[derive(Clone, PartialEq, Eq)]
struct Pair {
    value: String,
    stored: bool,
}

impl EncryptionContext {
    /// A context of stored pairs.
    ///
    /// # Errors
    ///
    /// [`ContextError`], as [`with_stored`](Self::with_stored), for the first pair that cannot be added.
    pub fn new<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self, ContextError>
    where
        N: Into<String>,
        V: Into<String>,
    {
        pairs.into_iter().try_fold(Self::empty(), |context, (name, value)| context.with_stored(name, value))
    }

    /// A context without pairs.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Adds a pair that is kept in clear in the header.
    ///
    /// # Errors
    ///
    /// [`ContextError::TooLong`] above a limit (64 pairs; 255 and 4096 bytes of name and value; 16 384 bytes in
    /// all), [`ContextError::EmptyName`], [`ContextError::Reserved`] for names that begin `kuvert:` or
    /// `aws-crypto-`, [`ContextError::Duplicate`] for a name that is already there.
    pub fn with_stored(
        self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, ContextError> {
        self.with(name.into(), value.into(), true)
    }

    /// Adds a pair that is not kept: whoever opens the message must know it.
    ///
    /// # Errors
    ///
    /// As [`with_stored`](Self::with_stored).
    pub fn with_required(
        self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, ContextError> {
        self.with(name.into(), value.into(), false)
    }

    /// The number of pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are no pairs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The names, stored and required, in ascending byte order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.pairs.keys().map(String::as_str)
    }

    fn with(mut self, name: String, value: String, stored: bool) -> Result<Self, ContextError> {
        self.insert(name, Pair { value, stored }, Names::Callers)?;
        Ok(self)
    }

    /// The count is checked before anything else, lengths before what the bytes say.
    fn insert(&mut self, name: String, pair: Pair, names: Names) -> Result<(), ContextError> {
        // fmt: C-3, M-1
        if self.pairs.len() >= MAX_CONTEXT_PAIRS {
            return Err(too_long("number of pairs", MAX_CONTEXT_PAIRS));
        }
        // fmt: C-2: the type String sees to UTF-8.
        if name.is_empty() {
            return Err(ContextError::EmptyName);
        }
        if name.len() > MAX_CONTEXT_NAME_LEN {
            return Err(too_long("a name's length in bytes", MAX_CONTEXT_NAME_LEN));
        }
        if pair.value.len() > MAX_CONTEXT_VALUE_LEN {
            return Err(too_long("a value's length in bytes", MAX_CONTEXT_VALUE_LEN));
        }
        // fmt: C-4
        if names == Names::Callers && is_reserved(&name) {
            return Err(ContextError::Reserved(name));
        }
        // fmt: C-1, C-5: strings compare as bytes.
        if self.pairs.contains_key(&name) {
            return Err(ContextError::Duplicate(name));
        }
        let pairs_len = self.pairs_len + wire::pair_len(&name, &pair.value);
        if wire::COUNT_LEN + pairs_len > MAX_CONTEXT_LEN {
            return Err(too_long("the length of all pairs in bytes", MAX_CONTEXT_LEN));
        }
        self.pairs_len = pairs_len;
        self.pairs.insert(name, pair);
        Ok(())
    }
}

impl fmt::Debug for EncryptionContext {
    /// Names only: values may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            |stored| self.pairs.iter().filter(move |(_, pair)| pair.stored == stored).map(|(name, _)| name);
        f.debug_struct("EncryptionContext")
            .field("stored", &names(true).collect::<Vec<_>>())
            .field("required", &names(false).collect::<Vec<_>>())
            .finish()
    }
}

/// What a key envelope's key is for. The opener always states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Records and child keys.
    Record,
    /// The root of a key store.
    Root,
    /// One epoch of a key store.
    Epoch,
}

impl Role {
    pub(crate) const ALL: [Self; 3] = [Self::Record, Self::Root, Self::Epoch];

    /// The value of the pair `kuvert:role`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Root => "root",
            Self::Epoch => "epoch",
        }
    }
}

/// Whose names may be added: the caller's only, or the reserved ones of a key envelope too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Callers,
    Ours,
}

fn is_reserved(name: &str) -> bool {
    RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn too_long(what: &'static str, limit: usize) -> ContextError {
    ContextError::TooLong { what, limit: limit as u64 }
}

/// Names that begin so are not the caller's to use.
const RESERVED_PREFIXES: [&str; 2] = ["kuvert:", "aws-crypto-"];
/// The pair that says what a key envelope's key is for.
pub(crate) const ROLE_NAME: &str = "kuvert:role";
/// The pair that names a key envelope's key: 16 lower-case hex digits, not all zero.
pub(crate) const REFERENCE_NAME: &str = "kuvert:reference";

#[cfg(test)]
mod tests;
