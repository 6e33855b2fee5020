//! Where what stands in a message or key envelope, and its key schedule, found again without the crate.
//!
//! Written from the manual's section on the formats alone, over `sha2` and nothing else, so that tests can aim at a
//! field and know keys that the crate never shows. It trusts its input: only for messages that tests sealed.

use std::ops::Range;

use sha2::{Digest, Sha512};

/// Bytes of a sealed full chunk.
pub const SEALED_CHUNK: usize = 16_400;
/// Bytes of plaintext in a full chunk.
pub const CHUNK: usize = 16_384;

/// The parts of one message as ranges of its bytes.
#[derive(Debug, Clone)]
pub struct Anatomy {
    pub prefix: Range<usize>,
    pub context: Range<usize>,
    pub slots: Vec<Range<usize>>,
    pub padding: Range<usize>,
    pub salt: Range<usize>,
    pub commitment: Range<usize>,
    pub chunks: Vec<Range<usize>>,
}

/// One recipient of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stanza {
    pub recipient_type: u16,
    pub id: Vec<u8>,
    pub params: Vec<u8>,
    pub wrap: Vec<u8>,
}

impl Anatomy {
    /// Of a whole message (header and body together).
    pub fn of(message: &[u8]) -> Self {
        let context_len = be32(message, 12);
        let slot_len = be32(message, 16);
        let slot_count = usize::from(message[20]);
        let pad_len = usize::from(message[22]);
        let slots_at = 32 + context_len;
        let pad_at = slots_at + slot_count * slot_len;
        let body = pad_at + pad_len;
        let mut chunks = Vec::new();
        let mut at = body + 56;
        while at < message.len() {
            let end = (at + SEALED_CHUNK).min(message.len());
            chunks.push(at..end);
            at = end;
        }
        Self {
            prefix: 0..32,
            context: 32..slots_at,
            slots: (0..slot_count).map(|n| slots_at + n * slot_len..slots_at + (n + 1) * slot_len).collect(),
            padding: pad_at..body,
            salt: body..body + 24,
            commitment: body + 24..body + 56,
            chunks,
        }
    }

    pub fn header_len(&self) -> usize {
        self.salt.start
    }

    /// The recipients of slot `n`.
    pub fn stanzas(&self, message: &[u8], n: usize) -> Vec<Stanza> {
        let slot = &message[self.slots[n].clone()];
        let mut at = 12;
        let mut take = |len: usize| {
            at += len;
            slot[at - len..at].to_vec()
        };
        (0..be16(slot, 4))
            .map(|_| {
                let head = take(12);
                let id = take(usize::from(be16(&head, 4)));
                let params = take(usize::from(be16(&head, 6)));
                let wrap = take(usize::from(be16(&head, 8)));
                Stanza { recipient_type: be16(&head, 0), id, params, wrap }
            })
            .collect()
    }
}

/// The keys that follow from a data key, for a context all of whose pairs are stored.
#[derive(Debug)]
pub struct Schedule {
    pub body_key: [u8; 32],
    pub base_nonce: [u8; 12],
    pub commitment: [u8; 32],
    pub mac_key: [u8; 64],
    pub record_key: [u8; 32],
    pub child_key: [u8; 32],
}

impl Schedule {
    pub fn of(message: &[u8], data_key: &[u8; 32]) -> Self {
        let anatomy = Anatomy::of(message);
        let context = &message[anatomy.context.clone()];
        let salt = &message[anatomy.salt];
        let mut bound = message[..12].to_vec();
        bound.extend(u32::try_from(context.len()).expect("at most 16 KiB").to_be_bytes());
        bound.extend(context);
        let label = |name: &str| [b"kuvert/v1/", name.as_bytes(), &[0]].concat();

        let body_context = [label("message"), bound.clone()].concat();
        let info = [&b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"[..], salt, &body_context].concat();
        let body = expand(data_key, &info, 32 + 12 + 32);
        let derive = |name: &str, len| expand(data_key, &[&label(name)[..], salt, &bound].concat(), len);
        Self {
            body_key: sized(&body[..32]),
            base_nonce: sized(&body[32..44]),
            commitment: sized(&body[44..]),
            mac_key: sized(&derive("header-mac", 64)),
            record_key: sized(&derive("record", 32)),
            child_key: sized(&derive("child", 32)),
        }
    }
}

/// HKDF-Expand with SHA-512 (RFC 5869), for any length of `prk`.
pub fn expand(prk: &[u8], info: &[u8], len: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut block = Vec::new();
    for counter in 1..=u8::MAX {
        if out.len() >= len {
            break;
        }
        block = hmac_sha512(prk, &[&block, info, &[counter]]).to_vec();
        out.extend_from_slice(&block);
    }
    out.truncate(len);
    out
}

/// HMAC-SHA-512 (RFC 2104).
pub fn hmac_sha512(key: &[u8], parts: &[&[u8]]) -> [u8; 64] {
    let mut block = [0; 128];
    if key.len() > block.len() {
        block[..64].copy_from_slice(&Sha512::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let mut inner = Sha512::new_with_prefix(block.map(|byte| byte ^ 0x36));
    parts.iter().for_each(|part| inner.update(part));
    let mut outer = Sha512::new_with_prefix(block.map(|byte| byte ^ 0x5c));
    outer.update(inner.finalize());
    outer.finalize().into()
}

fn sized<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("cut to this length")
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(sized(&bytes[at..at + 2]))
}

fn be32(bytes: &[u8], at: usize) -> usize {
    u32::from_be_bytes(sized(&bytes[at..at + 4])) as usize
}
