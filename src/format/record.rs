//! The frame of a sealed record and the associated data that ties it to its place.
//!
//! Floor 2: bytes only. It knows neither keys nor ciphers, and nothing of tables or rows beyond "parts". The
//! layout is the section "Record" of the [format](crate::manual::format).

use crate::{
    error::RecordError,
    format::label,
    limits::{RECORD_OVERHEAD, TAG_LEN},
};

/// A sealed record taken apart. Nothing of it is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordFrame<'a> {
    /// The reference of the key that the record claims to be sealed under.
    pub(crate) reference: u64,
    /// The XAES-256-GCM nonce.
    pub(crate) nonce: &'a [u8; NONCE_LEN],
    /// Ciphertext and tag: at least [`TAG_LEN`] bytes.
    pub(crate) sealed: &'a [u8],
}

/// Takes a record apart, refusing in the order of the format: empty, first byte, length, limit.
///
/// `max_plaintext_len` is in bytes. The key comes after this, so that a foreign value never reaches one.
pub(crate) fn decode(record: &[u8], max_plaintext_len: usize) -> Result<RecordFrame<'_>, RecordError> {
    let truncated = RecordError::Truncated { minimum: RECORD_OVERHEAD, found: record.len() };
    let Some(&first_byte) = record.first() else { return Err(truncated) };
    // fmt: R-6, R-7
    match first_byte {
        FIRST_BYTE => {}
        // Like 0xf8 these never occur in UTF-8, so they are kept for later versions and never taken for text.
        0xf9..=0xff | 0xc0 | 0xc1 => return Err(RecordError::Unsupported { first_byte }),
        _ => return Err(RecordError::NotSealed { first_byte }),
    }
    let Some((reference, nonce, sealed)) = split(&record[1..]) else { return Err(truncated) };
    // fmt: R-10
    if sealed.len() - TAG_LEN > max_plaintext_len {
        return Err(too_long(max_plaintext_len));
    }
    Ok(RecordFrame { reference: u64::from_be_bytes(*reference), nonce, sealed })
}

/// Reference, nonce, and at least a tag; `None` where the bytes do not suffice.
fn split(rest: &[u8]) -> Option<(&[u8; 8], &[u8; NONCE_LEN], &[u8])> {
    let (reference, rest) = rest.split_first_chunk()?;
    let (nonce, sealed) = rest.split_first_chunk()?;
    (sealed.len() >= TAG_LEN).then_some((reference, nonce, sealed))
}

/// The refusal of a plaintext above `max_plaintext_len` bytes, the same when sealing and when opening.
pub(crate) fn too_long(max_plaintext_len: usize) -> RecordError {
    RecordError::LimitExceeded { what: "record plaintext", limit: max_plaintext_len as u64 }
}

/// What stands before the ciphertext: first byte, key reference, nonce.
// fmt: R-1
pub(crate) fn encode_start(reference: u64, nonce: &[u8; NONCE_LEN]) -> [u8; START_LEN] {
    let mut start = [0; START_LEN];
    start[0] = FIRST_BYTE;
    start[1..9].copy_from_slice(&reference.to_be_bytes());
    start[9..].copy_from_slice(nonce);
    start
}

/// The associated data of one record: label, first byte, key reference, and the record's context C.
///
/// Short ones (nearly all) live on the stack, so that sealing a record allocates nothing.
pub(crate) struct RecordAad {
    inline: [u8; INLINE_LEN],
    len: usize,
    spilled: Vec<u8>,
}

impl RecordAad {
    /// Binds a record of the key `reference` to its context `parts` (such as table, column, row).
    ///
    /// Each part is counted and length-prefixed, so that no two lists of parts give the same bytes.
    pub(crate) fn new(reference: u64, parts: &[&[u8]]) -> Result<Self, RecordError> {
        let count = u16::try_from(parts.len()).map_err(|_| RecordError::LimitExceeded {
            what: "parts in a record's context",
            limit: u16::MAX.into(),
        })?;
        let mut aad = Self { inline: [0; INLINE_LEN], len: 0, spilled: Vec::new() };
        aad.reserve(parts);
        // fmt: R-2
        aad.push(label!("record"));
        aad.push(&[FIRST_BYTE]);
        aad.push(&reference.to_be_bytes());
        // fmt: R-3
        aad.push(&count.to_be_bytes());
        for part in parts {
            let len = u32::try_from(part.len()).map_err(|_| RecordError::LimitExceeded {
                what: "a part of a record's context",
                limit: u32::MAX.into(),
            })?;
            aad.push(&len.to_be_bytes());
            aad.push(part);
        }
        Ok(aad)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        if self.spilled.is_empty() { &self.inline[..self.len] } else { &self.spilled }
    }

    /// Decides between stack and heap once, before the first push.
    fn reserve(&mut self, parts: &[&[u8]]) {
        let fixed = label!("record").len() + 1 + 8 + 2;
        let len = parts.iter().fold(fixed, |len, part| len.saturating_add(4).saturating_add(part.len()));
        if len > INLINE_LEN {
            self.spilled.reserve_exact(len);
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.spilled.capacity() > 0 {
            self.spilled.extend_from_slice(bytes);
        } else {
            self.inline[self.len..self.len + bytes.len()].copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }
}

/// The first byte of every sealed record. It occurs in no UTF-8 text.
pub(crate) const FIRST_BYTE: u8 = 0xf8;
/// Bytes of a record's nonce.
pub(crate) const NONCE_LEN: usize = 24;
/// Bytes before a record's ciphertext: first byte 1, reference 8, nonce 24.
pub(crate) const START_LEN: usize = 33;
/// Bytes of associated data kept on the stack: room for a table, a column and a row key of 200 B together.
const INLINE_LEN: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Category;

    fn record(first_byte: u8, len: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..len).map(|i| u8::try_from(i).unwrap_or(0)).collect();
        if let Some(first) = bytes.first_mut() {
            *first = first_byte;
        }
        bytes
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        let nonce = std::array::from_fn(|i| u8::try_from(i).expect("24 values") + 1);
        let mut bytes = encode_start(0x0102_0304_0506_0708, &nonce).to_vec();
        assert_eq!(bytes[..9], [0xf8, 1, 2, 3, 4, 5, 6, 7, 8]);
        bytes.extend_from_slice(&[0xaa; 16]);
        assert_eq!(bytes.len(), RECORD_OVERHEAD);
        let frame = decode(&bytes, 0).expect("an empty record is well formed");
        assert_eq!(
            frame,
            RecordFrame { reference: 0x0102_0304_0506_0708, nonce: &nonce, sealed: &[0xaa; 16] }
        );
    }

    #[test]
    fn the_first_byte_decides_before_the_length() {
        for first_byte in 0..=255_u8 {
            for len in [1, 48, 49, 60] {
                let found = decode(&record(first_byte, len), 11).map(|frame| frame.sealed.len());
                match first_byte {
                    0xf8 if len < 49 => {
                        assert!(
                            matches!(found, Err(RecordError::Truncated { minimum: 49, found }) if found == len)
                        );
                    }
                    0xf8 => assert_eq!(found.expect("long enough"), len - 33),
                    0xf9..=0xff | 0xc0 | 0xc1 => {
                        assert!(
                            matches!(found, Err(RecordError::Unsupported { first_byte: b }) if b == first_byte)
                        );
                    }
                    _ => assert!(
                        matches!(found, Err(RecordError::NotSealed { first_byte: b }) if b == first_byte)
                    ),
                }
            }
        }
    }

    #[test]
    fn empty_is_truncated_and_the_limit_is_exact() {
        assert_eq!(decode(&[], 0).expect_err("empty").category(), Category::Truncated);
        assert!(decode(&record(0xf8, 49 + 100), 100).is_ok());
        let error = decode(&record(0xf8, 49 + 101), 100).expect_err("one byte above");
        assert!(matches!(error, RecordError::LimitExceeded { limit: 100, .. }));
    }

    #[test]
    fn the_aad_is_the_documented_bytes() {
        let aad = RecordAad::new(7, &[b"t", b"", b"row"]).expect("small");
        let mut expected = b"kuvert/v1/record\0\xf8".to_vec();
        expected.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 7, 0, 3, 0, 0, 0, 1, b't', 0, 0, 0, 0, 0, 0, 0, 3]);
        expected.extend_from_slice(b"row");
        assert_eq!(aad.as_bytes(), expected);
        let none = RecordAad::new(7, &[]).expect("no parts");
        assert_eq!(none.as_bytes()[26..], [0, 0]);
    }

    #[test]
    fn parts_cannot_be_split_otherwise() {
        let split = |parts: &[&[u8]]| RecordAad::new(1, parts).expect("small").as_bytes().to_vec();
        assert_ne!(split(&[b"ab", b"c"]), split(&[b"a", b"bc"]));
        assert_ne!(split(&[b"abc"]), split(&[b"abc", b""]));
        assert_ne!(split(&[]), split(&[b""]));
    }

    #[test]
    fn stack_and_heap_give_the_same_bytes() {
        for len in [0, 221, 222, 223, 224, 225, 226, 300, 70_000] {
            let part = vec![b'x'; len];
            let aad = RecordAad::new(9, &[&part]).expect("within the limits");
            let bytes = aad.as_bytes();
            assert_eq!(bytes.len(), 28 + 4 + len);
            assert_eq!(bytes[32..], part);
            assert_eq!(aad.spilled.is_empty(), 32 + len <= INLINE_LEN, "at {len}");
        }
        assert!(RecordAad::new(1, &vec![&b""[..]; 65_535]).is_ok());
        let error = RecordAad::new(1, &vec![&b""[..]; 65_536]).err().expect("one part too many");
        assert_eq!(error.category(), Category::LimitExceeded);
    }
}
