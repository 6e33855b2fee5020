//! What the tests of this floor share: headers made by hand, and recipients of every type.

pub(crate) mod strategies;
pub(crate) mod vectors;

use super::{
    Kind,
    body::EMPTY_BODY_LEN,
    context::{BoundContext, EncryptionContext, Role},
    header::Header,
    schedule::Salt,
    slot,
    stanza::{Recipient, RecipientType, STANZA_START_LEN},
};
use crate::{
    error::{Category, OpenError},
    secret::Secret,
};

pub(crate) const DEK: [u8; 32] = {
    let mut key = [0; 32];
    let mut i = 0;
    while i < 32 {
        key[i as usize] = i;
        i += 1;
    }
    key
};

pub(crate) const SALT: Salt = {
    let mut salt = [0; 24];
    let mut i = 0;
    while i < 24 {
        salt[i as usize] = 0x20 + i;
        i += 1;
    }
    salt
};

/// Some salt and commitment.
pub(crate) const BODY_START: [u8; 56] = [0x5a; 56];

pub(crate) fn mac_key() -> Secret<64> {
    Secret::copy_from(&[0x33; 64])
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn kwp(id: &str) -> Recipient {
    Recipient::new(RecipientType::AES_KWP, id, [], [0x77; 40])
}

pub(crate) fn recipient(recipient_type: u16, id: &[u8], params: &[u8], wrap: &[u8]) -> Recipient {
    Recipient::new(RecipientType(recipient_type), id, params, wrap)
}

/// An all-of of these shares, well formed or not.
pub(crate) fn all_of(count: u8, shares: &[Recipient]) -> Recipient {
    let mut wrap = vec![count];
    shares.iter().for_each(|share| share.encode(&mut wrap));
    wrap.extend_from_slice(&[0x66; 40]);
    Recipient::new(RecipientType::ALL_OF, [], [], wrap)
}

/// A pending recipient.
pub(crate) fn pending(wanted: u16, id: &[u8], params: &[u8]) -> Recipient {
    Recipient::new(RecipientType::PENDING, id, [&wanted.to_be_bytes(), params].concat(), [0])
}

/// The context of a small message: one stored pair.
pub(crate) fn context() -> EncryptionContext {
    EncryptionContext::new([("table", "users")]).expect("one short pair")
}

pub(crate) fn bound() -> BoundContext {
    BoundContext::for_sealing(&context()).expect("within the limits")
}

/// A header of these parts, with the MACs of [`mac_key`] in whatever slots are not empty.
pub(crate) fn header_of(kind: Kind, stored: &[u8], slots: &[Vec<u8>], pad_len: u8) -> Vec<u8> {
    let slot_len = slots[0].len();
    let mut bytes = b"\x89KUV\r\n\x1a\n\x01".to_vec();
    bytes.push(kind.to_byte());
    bytes.extend_from_slice(&[0, 1]);
    bytes.extend_from_slice(&u32::try_from(stored.len()).expect("short").to_be_bytes());
    bytes.extend_from_slice(&u32::try_from(slot_len).expect("short").to_be_bytes());
    bytes.extend_from_slice(&[u8::try_from(slots.len()).expect("few"), 0, pad_len]);
    bytes.resize(32, 0);
    bytes.extend_from_slice(stored);
    let before_slots = bytes.clone();
    for slot in slots {
        let mut slot = slot.clone();
        if slot.iter().any(|&byte| byte != 0) {
            let (covered, mac) = slot.split_at_mut(slot_len - slot::MAC_LEN);
            let parts = [&b"kuvert/v1/slot\0"[..], &before_slots, covered, &BODY_START];
            mac.copy_from_slice(&crate::crypto::kdf::hmac_sha512(mac_key().expose(), &parts)[..32]);
        }
        bytes.extend_from_slice(&slot);
    }
    bytes.resize(bytes.len() + usize::from(pad_len), 0);
    bytes
}

/// A slot of `slot_len` bytes, its MAC zero.
pub(crate) fn slot_of(generation: u32, recipients: &[Recipient], slot_len: usize) -> Vec<u8> {
    let mut slot = Vec::new();
    slot::encode(generation, recipients, slot_len, &mut slot);
    slot
}

/// The least `slot_len` for these recipients.
pub(crate) fn slot_len_for(recipients: &[Recipient]) -> usize {
    let stanzas: usize = recipients.iter().map(Recipient::stanza_len).sum();
    (44 + stanzas).next_multiple_of(16).max(128)
}

/// A message header with one slot of one recipient, and one stored pair.
pub(crate) fn small_header() -> Vec<u8> {
    header_of(Kind::Message, bound().stored_bytes(), &[slot_of(1, &[kwp("k1")], 128)], 0)
}

/// The header of a key envelope with one recipient.
pub(crate) fn small_envelope(role: Role, reference: u64) -> Vec<u8> {
    let bound = BoundContext::for_envelope(&context(), role, reference).expect("within the limits");
    header_of(Kind::KeyEnvelope, bound.stored_bytes(), &[slot_of(1, &[kwp("k1")], 128)], 0)
}

pub(crate) fn parse(bytes: &[u8]) -> Result<Header, OpenError> {
    let kind = if bytes.get(9) == Some(&2) { Kind::KeyEnvelope } else { Kind::Message };
    Header::parse(bytes, kind, Some(EMPTY_BODY_LEN))
}

/// The category of what should have failed.
pub(crate) fn refusal<T>(result: Result<T, OpenError>) -> Category {
    match result {
        Ok(_) => panic!("this must be refused"),
        Err(error) => error.category(),
    }
}

/// The stanza's start and its parts, none of which need be right.
pub(crate) fn raw_stanza(start: [u16; 6], rest: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = start.iter().flat_map(|field| field.to_be_bytes()).collect();
    assert_eq!(bytes.len(), STANZA_START_LEN);
    bytes.extend_from_slice(rest);
    bytes
}
