//! Which pairs of a message's context KMS is told: by name, and in the recipient's parameters.
//!
//! Only names that are configured here, whoever asks. Type 0x0010 of the [format](crate::manual::format).

use std::collections::{BTreeSet, HashMap};

use super::super::WrapContext;
use crate::limits::MAX_PARAMS_LEN;

/// The pairs, as the SDK takes them; `None` for none.
pub(super) type Pairs = Option<HashMap<String, String>>;

/// The names that are passed to KMS: ascending and distinct.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// What keeps these names from standing in a recipient, if anything does.
    pub(super) fn fault(&self) -> Option<&'static str> {
        if self.0.iter().any(|name| name.is_empty() || name.len() > 255) {
            return Some("the name of a context pair for KMS has 1 to 255 bytes");
        }
        if self.0.len() > 255 || self.params().len() > MAX_PARAMS_LEN {
            return Some("the names of the context pairs for KMS are together longer than 1023 bytes");
        }
        None
    }

    pub(super) fn extend(&mut self, names: impl IntoIterator<Item = String>) {
        self.0.extend(names);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As a recipient's parameters. Their lengths were checked by [`fault`](Self::fault).
    // fmt: Z-6
    pub(super) fn params(&self) -> Vec<u8> {
        let byte = |len: usize| u8::try_from(len).unwrap_or(u8::MAX);
        let mut params = vec![byte(self.0.len())];
        for name in &self.0 {
            params.push(byte(name.len()));
            params.extend_from_slice(name.as_bytes());
        }
        params
    }

    /// From a recipient's parameters: `None` if they are not well formed, or hold a name that is not among these.
    // fmt: Z-7
    pub(super) fn allowed(&self, params: &[u8]) -> Option<Self> {
        let (&count, mut rest) = params.split_first()?;
        let mut named = BTreeSet::new();
        for _ in 0..count {
            let (&len, after) = rest.split_first()?;
            let (name, after) = after.split_at_checked(usize::from(len))?;
            named.insert(self.0.get(std::str::from_utf8(name).ok()?)?.clone());
            rest = after;
        }
        let named = Self(named);
        // Whatever is written in another way than it would be written here was not checked by the format's reader.
        (named.params() == params).then_some(named)
    }

    /// The pairs of these names: the name of one that `context` lacks, otherwise.
    pub(super) fn pairs(&self, context: &WrapContext) -> Result<Pairs, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let pair = |name: &String| match context.value(name) {
            Some(value) => Ok((name.clone(), value.to_owned())),
            None => Err(name.clone()),
        };
        self.0.iter().map(pair).collect::<Result<_, _>>().map(Some)
    }
}

impl FromIterator<String> for Names {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Names {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn parameters_come_back_as_they_were_written() {
        let own = names(&["tenant", "purpose"]);
        assert_eq!(own.params(), b"\x02\x07purpose\x06tenant");
        assert_eq!(own.allowed(&own.params()), Some(own.clone()));
        assert_eq!(own.allowed(b"\x00"), Some(names(&[])));
        assert_eq!(names(&[]).params(), [0]);
    }

    #[test]
    fn names_that_are_not_allowed_and_bytes_that_are_not_canonical_do_not_match() {
        let own = names(&["a", "b"]);
        for params in [
            &b""[..],
            b"\x01\x01c",
            b"\x02\x01a\x01c",
            b"\x02\x01b\x01a",
            b"\x02\x01a\x01a",
            b"\x01\x01a\x01",
            b"\x01\x02a",
            b"\x01\x01A",
            b"\x01\x01\xff",
        ] {
            assert_eq!(own.allowed(params), None, "{params:?}");
        }
    }

    #[test]
    fn a_missing_pair_is_named() {
        let context = WrapContext::new([0; 12], [("a".to_owned(), "1".to_owned())]);
        assert_eq!(names(&["a", "b"]).pairs(&context), Err("b".to_owned()));
        let pairs = names(&["a"]).pairs(&context).unwrap().unwrap();
        assert_eq!(pairs, HashMap::from([("a".to_owned(), "1".to_owned())]));
    }

    #[test]
    fn impossible_names_are_told() {
        assert_eq!(names(&["tenant"]).fault(), None);
        assert!(names(&[""]).fault().is_some() && names(&[&"x".repeat(256)]).fault().is_some());
        let many: Names = (0..200).map(|n| format!("name-{n:03}")).collect();
        assert!(many.fault().is_some());
    }
}
