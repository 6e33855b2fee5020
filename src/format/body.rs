//! How long a body is for a given plaintext, and the reverse.
//!
//! Floor 2: arithmetic only, all of it checked. Section "Body" of the [format](crate::manual::format).

use crate::{
    error::OpenError,
    limits::{BODY_START_LEN, CHUNK_LEN, MAX_CHUNKS, MAX_PLAINTEXT_LEN, SEALED_CHUNK_LEN, TAG_LEN},
};

/// The plaintext's length, from the body's: the one that every chunk's tag will have to confirm.
///
/// A length that no body has is refused, in this order: no first chunk, a last chunk that is missing or shorter
/// than its tag, more chunks than there can be.
// fmt: O-4, N-6
pub(crate) fn plaintext_len(body_len: u64) -> Result<u64, OpenError> {
    let Some(chunks_len) = body_len.checked_sub(BODY_START_LEN as u64) else {
        return Err(OpenError::Truncated("the body ends before its first chunk"));
    };
    let (full, last) = (chunks_len / SEALED_CHUNK_LEN as u64, chunks_len % SEALED_CHUNK_LEN as u64);
    let Some(last) = last.checked_sub(TAG_LEN as u64) else {
        return Err(OpenError::Truncated("the last chunk is missing"));
    };
    if full >= MAX_CHUNKS {
        return Err(OpenError::LimitExceeded { what: "plaintext of a message", limit: MAX_PLAINTEXT_LEN });
    }
    Ok(full * CHUNK_LEN as u64 + last)
}

/// The body's length for `plaintext_len` bytes, which must not be above [`MAX_PLAINTEXT_LEN`].
pub(crate) fn body_len(plaintext_len: u64) -> u64 {
    debug_assert!(
        plaintext_len <= MAX_PLAINTEXT_LEN,
        "longer plaintexts are refused before they are measured"
    );
    let (full, last) = (plaintext_len / CHUNK_LEN as u64, plaintext_len % CHUNK_LEN as u64);
    full.saturating_mul(SEALED_CHUNK_LEN as u64).saturating_add(BODY_START_LEN as u64 + last + TAG_LEN as u64)
}

/// Bytes of the body of an empty message, which is the whole body of a key envelope.
pub(crate) const EMPTY_BODY_LEN: u64 = (BODY_START_LEN + TAG_LEN) as u64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Category;

    fn category(body_len: u64) -> Category {
        plaintext_len(body_len).expect_err("no body is that long").category()
    }

    #[test]
    fn every_length_around_a_chunk_has_its_inverse() {
        for plaintext in (0..40).chain(16_380..16_390).chain(32_760..32_776).chain([MAX_PLAINTEXT_LEN]) {
            assert_eq!(plaintext_len(body_len(plaintext)).expect("a real length"), plaintext);
        }
        assert_eq!(body_len(0), EMPTY_BODY_LEN);
        assert_eq!(body_len(16_383), 56 + 16_399);
        assert_eq!(body_len(16_384), 56 + 16_400 + 16);
        assert_eq!(body_len(MAX_PLAINTEXT_LEN), 56 + (MAX_CHUNKS - 1) * 16_400 + 16_399);
    }

    #[test]
    fn impossible_lengths_are_truncated_or_too_long() {
        for len in (0..72).chain(56 + 16_400..56 + 16_416).chain(56 + 3 * 16_400..56 + 3 * 16_400 + 16) {
            assert_eq!(category(len), Category::Truncated, "at {len}");
        }
        let longest = body_len(MAX_PLAINTEXT_LEN);
        for len in longest + 1..=longest + 16 {
            assert_eq!(category(len), Category::Truncated, "at {len}: the last chunk is missing first");
        }
        assert_eq!(category(longest + 17), Category::LimitExceeded);
        assert_eq!(category(u64::MAX - 56), Category::LimitExceeded);
        assert_eq!(category(u64::MAX), Category::LimitExceeded);
    }

    proptest! {
        #[test]
        fn inverse_everywhere(plaintext in 0..=MAX_PLAINTEXT_LEN, any in any::<u64>()) {
            prop_assert_eq!(plaintext_len(body_len(plaintext)).ok(), Some(plaintext));
            if let Ok(found) = plaintext_len(any) {
                prop_assert_eq!(body_len(found), any);
            }
        }
    }
}
