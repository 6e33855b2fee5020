//! Contexts as bytes: the serialisation S(EC), written and read canonically.

use super::{REFERENCE_NAME, ROLE_NAME, is_reserved};
use crate::{
    error::OpenError,
    format::{Kind, u16_len},
    limits::{MAX_CONTEXT_NAME_LEN, MAX_CONTEXT_PAIRS, MAX_CONTEXT_VALUE_LEN},
};

/// Writes pairs that are already sorted and unique.
// fmt: C-6
pub(crate) fn encode<'a>(pairs: impl ExactSizeIterator<Item = (&'a str, &'a str)>, out: &mut Vec<u8>) {
    if pairs.len() == 0 {
        return;
    }
    out.extend_from_slice(&u16_len(pairs.len()));
    for (name, value) in pairs {
        out.extend_from_slice(&u16_len(name.len()));
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&u16_len(value.len()));
        out.extend_from_slice(value.as_bytes());
    }
}

/// Reads the stored context of a header of `kind`, or says why it is not one.
///
/// Whatever [`encode`] would not have written is refused: another order, a name twice, bytes left over.
pub(crate) fn decode(bytes: &[u8], kind: Kind) -> Result<Vec<(String, String)>, OpenError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut input = Input(bytes);
    // fmt: C-12, N-6: the count before anything else, and before memory is reserved for it.
    let count = input.len()?;
    if count > MAX_CONTEXT_PAIRS {
        return Err(OpenError::LimitExceeded {
            what: "number of context pairs",
            limit: MAX_CONTEXT_PAIRS as u64,
        });
    }
    // fmt: C-13, N-2: from here on every fault is malformed, but for lengths above their limits.
    if count == 0 {
        return Err(OpenError::Malformed("a stored context of no pairs has no bytes"));
    }
    let mut pairs: Vec<(String, String)> = Vec::with_capacity(count);
    for _ in 0..count {
        let name = input.text(MAX_CONTEXT_NAME_LEN, "a context pair's name")?;
        let value = input.text(MAX_CONTEXT_VALUE_LEN, "a context pair's value")?;
        if name.is_empty() {
            return Err(OpenError::Malformed("a stored context pair has an empty name"));
        }
        if !may_be_stored(name, kind) {
            return Err(OpenError::Malformed("a stored context pair has a reserved name"));
        }
        if pairs.last().is_some_and(|(last, _)| last.as_bytes() >= name.as_bytes()) {
            return Err(OpenError::Malformed(
                "the stored context pairs are not in ascending order of their names",
            ));
        }
        pairs.push((name.to_owned(), value.to_owned()));
    }
    if !input.0.is_empty() {
        return Err(OpenError::Malformed("bytes after the last pair of the stored context"));
    }
    Ok(pairs)
}

/// Bytes of one serialised pair.
pub(super) fn pair_len(name: &str, value: &str) -> usize {
    2 + name.len() + 2 + value.len()
}

/// Our own two names stand in key envelopes; nobody's reserved names stand anywhere else.
fn may_be_stored(name: &str, kind: Kind) -> bool {
    // fmt: E-3
    let ours = kind == Kind::KeyEnvelope && (name == ROLE_NAME || name == REFERENCE_NAME);
    ours || !is_reserved(name)
}

/// The bytes not read yet.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn len(&mut self) -> Result<usize, OpenError> {
        let (len, rest) = self.0.split_first_chunk().ok_or(PAST_END)?;
        self.0 = rest;
        Ok(usize::from(u16::from_be_bytes(*len)))
    }

    /// A length-prefixed string: the limit comes before the end, the end before UTF-8.
    // fmt: C-12
    fn text(&mut self, max_len: usize, what: &'static str) -> Result<&'a str, OpenError> {
        let len = self.len()?;
        if len > max_len {
            return Err(OpenError::LimitExceeded { what, limit: max_len as u64 });
        }
        let (text, rest) = self.0.split_at_checked(len).ok_or(PAST_END)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| OpenError::Malformed("a stored context pair is not UTF-8"))
    }
}

const PAST_END: OpenError = OpenError::Malformed("a stored context pair runs past the end of the context");
/// Bytes of the count before the pairs.
pub(super) const COUNT_LEN: usize = 2;
