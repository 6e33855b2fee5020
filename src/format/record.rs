//! The frame of a sealed record and the associated data that ties it to its place.
//!
//! Floor 2: bytes only. It knows neither keys nor ciphers, and nothing of tables or rows beyond "parts". The
//! layout is the section "Record" of the [format](crate::manual::format).

use std::mem;

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
    pub(crate) nonce: Nonce,
    /// Ciphertext and tag: at least [`TAG_LEN`] bytes.
    pub(crate) sealed: &'a [u8],
}

/// A nonce of 24 bytes by its halves: the one that chooses the subkey, and the subkey's own nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Nonce {
    pub(crate) first_half: HalfNonce,
    pub(crate) second_half: HalfNonce,
}

/// Twelve bytes of a nonce, as two integers, which stay in registers. The compiler moves arrays of twelve bytes by
/// overlapping pieces, and the processor then waits for the one written to be read as the other: for a short
/// record that is as long as all else that is done here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct HalfNonce {
    start: u64,
    end: u32,
}

impl HalfNonce {
    pub(crate) fn from_bytes(bytes: [u8; HALF_NONCE_LEN]) -> Self {
        let [s0, s1, s2, s3, s4, s5, s6, s7, end @ ..] = bytes;
        Self { start: u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]), end: u32::from_le_bytes(end) }
    }

    pub(crate) fn to_bytes(self) -> [u8; HALF_NONCE_LEN] {
        let mut bytes = [0; HALF_NONCE_LEN];
        self.write(&mut bytes);
        bytes
    }

    fn write(self, bytes: &mut [u8; HALF_NONCE_LEN]) {
        bytes[..8].copy_from_slice(&self.start.to_le_bytes());
        bytes[8..].copy_from_slice(&self.end.to_le_bytes());
    }
}

/// Takes a record apart, refusing in the order of the format: empty, first byte, length, limit.
///
/// `max_plaintext_len` is in bytes. The key comes after this, so that a foreign value never reaches one.
#[inline(always)] // returned through memory it costs a tenth of opening a short record
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
#[inline(always)]
fn split(rest: &[u8]) -> Option<(&[u8; 8], Nonce, &[u8])> {
    let (reference, rest) = rest.split_first_chunk()?;
    let (first_half, rest) = rest.split_first_chunk()?;
    let (second_half, sealed) = rest.split_first_chunk()?;
    let [first_half, second_half] = [first_half, second_half].map(|half| HalfNonce::from_bytes(*half));
    let nonce = Nonce { first_half, second_half };
    (sealed.len() >= TAG_LEN).then_some((reference, nonce, sealed))
}

/// The refusal of a plaintext above `max_plaintext_len` bytes, the same when sealing and when opening.
pub(crate) fn too_long(max_plaintext_len: usize) -> RecordError {
    RecordError::LimitExceeded { what: "record plaintext", limit: max_plaintext_len as u64 }
}

/// Writes what stands before the ciphertext into `record`, which has at least 49 bytes, and gives the place of
/// ciphertext and tag.
pub(crate) fn encode_start<'a>(record: &'a mut [u8], reference: u64, nonce: &Nonce) -> &'a mut [u8] {
    let (start, sealed) = record.split_first_chunk_mut().expect("a record has at least 49 bytes");
    // fmt: R-1
    let [first_byte, fields @ ..]: &mut [u8; START_LEN] = start;
    *first_byte = FIRST_BYTE;
    let (place, nonce_place) = fields.split_first_chunk_mut().expect("32 bytes begin with 8");
    *place = reference.to_be_bytes();
    let (first_half, second_half) = nonce_place.split_first_chunk_mut().expect("24 bytes begin with 12");
    nonce.first_half.write(first_half);
    nonce.second_half.write(second_half.first_chunk_mut().expect("24 bytes are twice 12"));
    sealed
}

/// Room for the associated data of one record: label, first byte, key reference, and the record's context C.
///
/// Short ones (nearly all) fit on the stack, so that sealing a record allocates nothing. Made empty, written in place
/// and then looked at: a record of a few bytes takes less time than moving this would.
pub(crate) struct RecordAad {
    inline: [u8; INLINE_LEN],
    /// Bytes written, here or there.
    len: usize,
    spilled: Vec<u8>,
}

impl RecordAad {
    pub(crate) const fn empty() -> Self {
        Self { inline: [0; INLINE_LEN], len: 0, spilled: Vec::new() }
    }

    /// Binds a record of the key `reference` to its context `parts` (such as table, column, row).
    ///
    /// Each part is counted and length-prefixed, so that no two lists of parts give the same bytes.
    pub(crate) fn write(&mut self, reference: u64, parts: &[&[u8]]) -> Result<(), RecordError> {
        let count = u16::try_from(parts.len()).map_err(|_| RecordError::LimitExceeded {
            what: "parts in a record's context",
            limit: u16::MAX.into(),
        })?;
        let len =
            parts.iter().fold(AAD_START_LEN, |len, part| len.saturating_add(4).saturating_add(part.len()));
        let aad = match self.inline.get_mut(..len) {
            Some(inline) => inline,
            None => {
                self.spilled.resize(len, 0);
                self.spilled.as_mut_slice()
            }
        };
        let (start, mut rest) = aad.split_first_chunk_mut().expect("every one has this start");
        *start = aad_start(reference, count);
        for part in parts {
            let len = u32::try_from(part.len()).map_err(|_| RecordError::LimitExceeded {
                what: "a part of a record's context",
                limit: u32::MAX.into(),
            })?;
            put(&mut rest, &len.to_be_bytes());
            put(&mut rest, part);
        }
        self.len = len;
        Ok(())
    }

    /// What was written last.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.inline.get(..self.len).unwrap_or(&self.spilled)
    }
}

/// What the associated data of every record begins with.
fn aad_start(reference: u64, count: u16) -> [u8; AAD_START_LEN] {
    let mut start = [0; AAD_START_LEN];
    let mut rest = start.as_mut_slice();
    // fmt: R-2
    put(&mut rest, label!("record"));
    put(&mut rest, &[FIRST_BYTE]);
    put(&mut rest, &reference.to_be_bytes());
    // fmt: R-3
    put(&mut rest, &count.to_be_bytes());
    start
}

/// Writes `bytes` at the start of `rest`, which then begins behind them.
#[inline]
pub(super) fn put(rest: &mut &mut [u8], bytes: &[u8]) {
    let (start, behind) = mem::take(rest).split_at_mut(bytes.len());
    start.copy_from_slice(bytes);
    *rest = behind;
}

/// The first byte of every sealed record. It occurs in no UTF-8 text.
pub(crate) const FIRST_BYTE: u8 = 0xf8;
/// Bytes of half a record's nonce.
pub(crate) const HALF_NONCE_LEN: usize = 12;
/// Bytes before a record's ciphertext: first byte 1, reference 8, nonce 24.
const START_LEN: usize = 33;
/// Bytes of associated data before the parts: label, first byte, reference, count.
const AAD_START_LEN: usize = label!("record").len() + 1 + 8 + 2;
/// Bytes of associated data kept on the stack: room for a table, a column and a row key of 150 B together.
const INLINE_LEN: usize = 192;

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
        let [first_half, second_half] = [*b"first  first", *b"second  seco"].map(HalfNonce::from_bytes);
        assert_eq!(first_half.to_bytes(), *b"first  first");
        let nonce = Nonce { first_half, second_half };
        let mut bytes = [0; RECORD_OVERHEAD];
        encode_start(&mut bytes, 0x0102_0304_0506_0708, &nonce).copy_from_slice(&[0xaa; 16]);
        assert_eq!(bytes[..33], *b"\xf8\x01\x02\x03\x04\x05\x06\x07\x08first  firstsecond  seco");
        let frame = decode(&bytes, 0).expect("an empty record is well formed");
        assert_eq!(frame, RecordFrame { reference: 0x0102_0304_0506_0708, nonce, sealed: &[0xaa; 16] });
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
        let mut room = RecordAad::empty();
        room.write(7, &[b"t", b"", b"row"]).expect("small");
        let mut expected = b"kuvert/v1/record\0\xf8".to_vec();
        expected.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 7, 0, 3, 0, 0, 0, 1, b't', 0, 0, 0, 0, 0, 0, 0, 3]);
        expected.extend_from_slice(b"row");
        assert_eq!(room.as_bytes(), expected);
        let mut room = RecordAad::empty();
        room.write(7, &[]).expect("no parts");
        assert_eq!(room.as_bytes()[26..], [0, 0]);
    }

    #[test]
    fn parts_cannot_be_split_otherwise() {
        let split = |parts: &[&[u8]]| {
            let mut aad = RecordAad::empty();
            aad.write(1, parts).expect("small");
            aad.as_bytes().to_vec()
        };
        assert_ne!(split(&[b"ab", b"c"]), split(&[b"a", b"bc"]));
        assert_ne!(split(&[b"abc"]), split(&[b"abc", b""]));
        assert_ne!(split(&[]), split(&[b""]));
    }

    #[test]
    fn stack_and_heap_give_the_same_bytes() {
        for len in [0, 158, 159, 160, 161, 162, 300, 70_000] {
            let part = vec![b'x'; len];
            let mut aad = RecordAad::empty();
            aad.write(9, &[&part]).expect("within the limits");
            let bytes = aad.as_bytes();
            assert_eq!(bytes.len(), 28 + 4 + len);
            assert_eq!(bytes[32..], part);
            assert_eq!(aad.spilled.is_empty(), 32 + len <= INLINE_LEN, "at {len}");
        }
        assert!(RecordAad::empty().write(1, &vec![&b""[..]; 65_535]).is_ok());
        let mut aad = RecordAad::empty();
        let error = aad.write(1, &vec![&b""[..]; 65_536]).expect_err("one part too many");
        assert_eq!(error.category(), Category::LimitExceeded);
    }
}
