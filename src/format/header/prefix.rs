//! The fixed 32 bytes that every header begins with, and that state every other length.

use crate::{
    error::OpenError,
    format::{Kind, u32_len},
    limits::{MAX_CONTEXT_LEN, MAX_PAD_LEN, MAX_SLOT_LEN, MIN_SLOT_LEN, PREFIX_LEN, SLOT_LEN_UNIT},
};

/// The lengths and flags of a header, each within its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) kind: Kind,
    pub(super) context_len: usize,
    pub(super) slot_len: usize,
    pub(super) slot_count: u8,
    pub(super) detached: bool,
    pub(super) pad_len: usize,
}

impl Prefix {
    /// Parses the first 32 bytes of `start`, refusing in the order of the format.
    // fmt: O-1, O-2
    pub(super) fn parse(start: &[u8], expected: Kind) -> Result<Self, OpenError> {
        check_magic(start)?;
        let Some(bytes) = start.first_chunk::<PREFIX_LEN>() else {
            return Err(OpenError::Truncated("the input ends before the header's first 32 bytes"));
        };
        let u32_at = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        check_version(bytes[8])?;
        let kind = check_kind(bytes[9], expected)?;
        check_suite(u16::from_be_bytes([bytes[10], bytes[11]]))?;
        let detached = check_flags(bytes[21], kind)?;
        // fmt: H-5, N-6
        let context_len = at_most(u32_at(12), MAX_CONTEXT_LEN, "the stored context's length")?;
        let slot_len = at_most(u32_at(16), MAX_SLOT_LEN, "a slot's length")?;
        let (slot_count, pad_len) = (bytes[20], usize::from(bytes[22]));
        // fmt: H-6
        if slot_len < MIN_SLOT_LEN || slot_len % SLOT_LEN_UNIT != 0 {
            return Err(OpenError::Malformed("a slot's length is at least 128 and a multiple of 16"));
        }
        if !matches!(slot_count, 1 | 2) {
            return Err(OpenError::Malformed("a header has one slot or two"));
        }
        // fmt: H-8
        if pad_len > MAX_PAD_LEN {
            return Err(OpenError::Malformed("a header has at most 31 bytes of padding"));
        }
        if bytes[23..].iter().any(|&byte| byte != 0) {
            return Err(OpenError::Malformed("the header's reserved bytes are not zero"));
        }
        Ok(Self { kind, context_len, slot_len, slot_count, detached, pad_len })
    }

    /// The 32 bytes.
    pub(super) fn encode(&self) -> [u8; PREFIX_LEN] {
        let mut bytes = [0; PREFIX_LEN];
        bytes[..12].copy_from_slice(&core(self.kind));
        bytes[12..16].copy_from_slice(&u32_len(self.context_len));
        bytes[16..20].copy_from_slice(&u32_len(self.slot_len));
        bytes[20] = self.slot_count;
        bytes[21] = u8::from(self.detached);
        bytes[22] = u8::try_from(self.pad_len).unwrap_or(u8::MAX);
        bytes
    }

    /// Bytes of the whole header. No overflow: every part is within its range.
    pub(super) fn header_len(&self) -> usize {
        PREFIX_LEN + self.context_len + usize::from(self.slot_count) * self.slot_len + self.pad_len
    }
}

/// The first 12 bytes of a header of `kind`.
pub(crate) fn core(kind: Kind) -> [u8; 12] {
    let mut core = [0; 12];
    core[..8].copy_from_slice(&MAGIC);
    core[8] = VERSION;
    core[9] = kind.to_byte();
    core[10..].copy_from_slice(&SUITE.to_be_bytes());
    core
}

/// Refuses what does not begin as a header does, however short it is.
fn check_magic(start: &[u8]) -> Result<(), OpenError> {
    // fmt: H-1, O-2
    let len = start.len().min(MAGIC.len());
    if start[..len] == MAGIC[..len] {
        return Ok(());
    }
    // The magic holds a byte above 7 bits, a CRLF, an end-of-file mark and an LF, so that the usual accidents show.
    let was_text = TEXT_DAMAGE.iter().any(|damaged| {
        let len = damaged.len().min(start.len());
        len >= TELLING_LEN && start[..len] == damaged[..len]
    });
    Err(OpenError::Malformed(if was_text {
        "it begins like a message that went through a text-mode transfer: transfer it again, as binary"
    } else {
        "it does not begin like one"
    }))
}

// fmt: H-2
fn check_version(found: u8) -> Result<(), OpenError> {
    if found == VERSION { Ok(()) } else { Err(unsupported("format version", found)) }
}

// fmt: H-3
fn check_kind(found: u8, expected: Kind) -> Result<Kind, OpenError> {
    let kind = [Kind::Message, Kind::KeyEnvelope].into_iter().find(|kind| kind.to_byte() == found);
    match kind.ok_or_else(|| unsupported("kind", found))? {
        kind if kind == expected => Ok(kind),
        Kind::KeyEnvelope => Err(OpenError::Malformed("this is a key envelope, not a message")),
        Kind::Message => Err(OpenError::Malformed("this is a message, not a key envelope")),
    }
}

// fmt: H-4
fn check_suite(found: u16) -> Result<(), OpenError> {
    if found == SUITE { Ok(()) } else { Err(unsupported("suite", found)) }
}

/// Whether the body is elsewhere.
// fmt: H-7
fn check_flags(found: u8, kind: Kind) -> Result<bool, OpenError> {
    match (found, kind) {
        (0, _) => Ok(false),
        (DETACHED, Kind::Message) => Ok(true),
        (DETACHED, Kind::KeyEnvelope) => Err(OpenError::Malformed("a key envelope is never detached")),
        _ => Err(unsupported("layout flags", found)),
    }
}

fn at_most(found: u32, limit: usize, what: &'static str) -> Result<usize, OpenError> {
    match usize::try_from(found) {
        Ok(len) if len <= limit => Ok(len),
        _ => Err(OpenError::LimitExceeded { what, limit: limit as u64 }),
    }
}

fn unsupported(what: &'static str, found: impl Into<u32>) -> OpenError {
    OpenError::Unsupported { what, found: found.into() }
}

/// What every header begins with.
pub(super) const MAGIC: [u8; 8] = *b"\x89KUV\r\n\x1a\n";
/// The version of the format.
pub(super) const VERSION: u8 = 1;
/// HKDF-SHA-512, AES-256-GCM in chunks, HMAC-SHA-512.
pub(super) const SUITE: u16 = 1;
/// The layout flag of a header whose body is elsewhere.
const DETACHED: u8 = 1;

/// Bytes that must look damaged in a known way before the error says so.
const TELLING_LEN: usize = 4;

/// How the magic begins after a transfer that took it for text: line ends changed or removed, the eighth bit
/// cleared, Latin-1 turned into UTF-8, what is not UTF-8 replaced.
const TEXT_DAMAGE: [&[u8]; 7] = [
    b"\x89KUV\n",
    b"\x89KUV\r\r",
    b"\x89KUV\r\x1a",
    b"\x89KUV\x1a",
    b"\x09KUV",
    b"\xc2\x89KUV",
    b"\xef\xbf\xbdKUV",
];
