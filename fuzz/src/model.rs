//! The format as the manual tells it, in as few lines as possible and independent of the crate's code: the order in
//! which a header's first faults are told, the serialisation of a context, the MAC of a slot.

use kuvert::Category;
use sha2::{Digest, Sha512};

pub const MAGIC: [u8; 8] = *b"\x89KUV\r\n\x1a\n";
pub const PREFIX: usize = 32;
/// Salt and commitment.
pub const BODY_START: usize = 56;
pub const SEALED_CHUNK: usize = 16_400;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Message = 1,
    Envelope = 2,
}

/// The lengths that a header's first 32 bytes state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    pub context_len: usize,
    pub slot_len: usize,
    pub slot_count: usize,
    pub pad_len: usize,
    pub detached: bool,
}

impl Geometry {
    pub fn header_len(&self) -> usize {
        PREFIX + self.context_len + self.slot_count * self.slot_len + self.pad_len
    }

    /// Where slot `index` begins.
    pub fn slot_at(&self, index: usize) -> usize {
        PREFIX + self.context_len + index * self.slot_len
    }
}

/// Section 7, step 1, the first 32 bytes.
pub fn geometry(data: &[u8], kind: Kind) -> Result<Geometry, Category> {
    let begins_right = data.len().min(8);
    if data[..begins_right] != MAGIC[..begins_right] {
        return Err(Category::Malformed);
    }
    if data.len() < PREFIX {
        return Err(Category::Truncated);
    }
    let number = |at: usize| u32::from_be_bytes(data[at..at + 4].try_into().unwrap());
    if data[8] != 1 || !matches!(data[9], 1 | 2) {
        return Err(Category::Unsupported);
    }
    if data[9] != kind as u8 {
        return Err(Category::Malformed);
    }
    if data[10..12] != [0, 1] || data[21] > 1 {
        return Err(Category::Unsupported);
    }
    if kind == Kind::Envelope && data[21] != 0 {
        return Err(Category::Malformed);
    }
    if number(12) > 16_384 || number(16) > 131_072 {
        return Err(Category::LimitExceeded);
    }
    let geometry = Geometry {
        context_len: number(12) as usize,
        slot_len: number(16) as usize,
        slot_count: data[20].into(),
        pad_len: data[22].into(),
        detached: data[21] == 1,
    };
    let sound = geometry.slot_len >= 128
        && geometry.slot_len % 16 == 0
        && matches!(geometry.slot_count, 1 | 2)
        && geometry.pad_len <= 31
        && data[23..32] == [0; 9];
    if sound { Ok(geometry) } else { Err(Category::Malformed) }
}

/// Where the body of a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyPlace {
    /// Behind the header, in an input of known length.
    Behind,
    /// Behind the header, in an input whose end nobody knows.
    Streamed,
    /// In an input of its own, of this length.
    Beside(usize),
}

/// Section 7, steps 1 and 2, before anything presented is looked at: the header's geometry and stored context.
pub fn first_steps(data: &[u8], kind: Kind, body: BodyPlace) -> Result<(Geometry, Pairs), Category> {
    let geometry = geometry(data, kind)?;
    let len = geometry.header_len();
    if data.len() < len {
        return Err(Category::Truncated);
    }
    if data[len - geometry.pad_len..len].iter().any(|&byte| byte != 0) {
        return Err(Category::Malformed);
    }
    let beside = matches!(body, BodyPlace::Beside(_));
    if geometry.detached != beside {
        return Err(Category::Usage);
    }
    if beside && data.len() > len {
        return Err(Category::Malformed);
    }
    let body_len = match body {
        BodyPlace::Behind => Some(data.len() - len),
        BodyPlace::Beside(body_len) => Some(body_len),
        BodyPlace::Streamed => None,
    };
    if let Some(body_len) = body_len {
        if body_len < 72 || (body_len - BODY_START) % SEALED_CHUNK < 16 {
            return Err(Category::Truncated);
        }
        if kind == Kind::Envelope && body_len > 72 {
            return Err(Category::Malformed);
        }
    }
    if data.len() < len + BODY_START && !beside {
        return Err(Category::Truncated);
    }
    let pairs = decode_context(&data[PREFIX..PREFIX + geometry.context_len], kind)?;
    Ok((geometry, pairs))
}

pub type Pairs = Vec<(String, String)>;

/// Section 2: the stored context, decoded front to back.
pub fn decode_context(data: &[u8], kind: Kind) -> Result<Pairs, Category> {
    let mut rest = data;
    let mut take = |len: usize| {
        let (taken, behind) = rest.split_at_checked(len).ok_or(Category::Malformed)?;
        rest = behind;
        Ok::<_, Category>(taken)
    };
    if data.is_empty() && kind == Kind::Message {
        return Ok(Vec::new());
    }
    let number = |bytes: &[u8]| usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
    let count = number(take(2)?);
    if count > 64 {
        return Err(Category::LimitExceeded);
    }
    let mut pairs = Pairs::new();
    for _ in 0..count {
        let mut texts = Vec::new();
        for limit in [255, 4096] {
            let len = number(take(2)?);
            if len > limit {
                return Err(Category::LimitExceeded);
            }
            let text = std::str::from_utf8(take(len)?).map_err(|_| Category::Malformed)?;
            texts.push(text.to_owned());
        }
        let (value, name) = (texts.pop().unwrap(), texts.pop().unwrap());
        let ours = kind == Kind::Envelope && matches!(&*name, "kuvert:role" | "kuvert:reference");
        let sorted = pairs.last().is_none_or(|(last, _)| last.as_bytes() < name.as_bytes());
        if name.is_empty() || !sorted || (is_reserved(&name) && !ours) {
            return Err(Category::Malformed);
        }
        pairs.push((name, value));
    }
    if count == 0 || !rest.is_empty() {
        return Err(Category::Malformed);
    }
    if kind == Kind::Envelope { envelope_pairs(&pairs).map(|()| pairs) } else { Ok(pairs) }
}

pub fn is_reserved(name: &str) -> bool {
    name.starts_with("kuvert:") || name.starts_with("aws-crypto-")
}

/// Section 9: role and reference, each in its one spelling.
fn envelope_pairs(pairs: &Pairs) -> Result<(), Category> {
    let value = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let hex = |text: &str| {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        text.len() == 16 && digits && text != "0000000000000000"
    };
    let role = value("kuvert:role").is_some_and(|role| matches!(role, "record" | "root" | "epoch"));
    if role && value("kuvert:reference").is_some_and(hex) { Ok(()) } else { Err(Category::Malformed) }
}

/// S of pairs in any order.
pub fn serialise<N: AsRef<str>, V: AsRef<str>>(pairs: &[(N, V)]) -> Vec<u8> {
    let mut sorted: Vec<(&str, &str)> =
        pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
    sorted.sort_unstable();
    let mut out = Vec::new();
    let mut push = |len: usize, text: &[u8]| {
        out.extend_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
        out.extend_from_slice(text);
    };
    if !sorted.is_empty() {
        push(sorted.len(), b"");
        for (name, value) in sorted {
            push(name.len(), name.as_bytes());
            push(value.len(), value.as_bytes());
        }
    }
    out
}

/// Bytes of S of pairs.
pub fn serialised_len<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> usize {
    let len: usize = pairs.into_iter().map(|(name, value)| 2 + name.len() + 2 + value.len()).sum();
    if len == 0 { 0 } else { 2 + len }
}

/// Section 4: the key of the slots' MACs.
pub fn mac_key(dek: &[u8; 32], core: &[u8], salt: &[u8], all_pairs: &[(&str, &str)]) -> [u8; 64] {
    let context = serialise(all_pairs);
    let len = u32::try_from(context.len()).unwrap().to_be_bytes();
    // HKDF-Expand to the length of one hash is a single HMAC.
    hmac(dek, &[b"kuvert/v1/header-mac\0", salt, core, &len, &context, &[1]])
}

/// Section 3: the MAC of a slot that is given with its own MAC at the end.
pub fn slot_mac(key: &[u8; 64], prefix_and_context: &[u8], slot: &[u8], body_start: &[u8]) -> [u8; 32] {
    let covered = &slot[..slot.len() - 32];
    let mac = hmac(key, &[b"kuvert/v1/slot\0", prefix_and_context, covered, body_start]);
    mac[..32].try_into().unwrap()
}

/// HMAC-SHA-512, of RFC 2104, for keys of at most one block.
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 64] {
    let mut block = [0; 128];
    block[..key.len()].copy_from_slice(key);
    let mut inner = Sha512::new_with_prefix(block.map(|byte| byte ^ 0x36));
    parts.iter().for_each(|part| inner.update(part));
    let outer = Sha512::new_with_prefix(block.map(|byte| byte ^ 0x5c)).chain_update(inner.finalize());
    outer.finalize().into()
}
