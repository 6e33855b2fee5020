//! Parse, then write again from what the parser says: the same bytes, for every header that is well formed.

use kuvert::{ClaimedSlot, Header, Kind, Layout, Recipient};

use super::ensure;

/// Writes `header` from its public claims and compares. Slot lengths, padding and MACs are taken from `bytes`, which
/// is where the header was parsed from: the parser does not repeat them.
pub fn check(header: &Header, bytes: &[u8]) -> Result<(), String> {
    let field = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
    let (slot_len, pad_len) = (field(16), usize::from(bytes[22]));
    let context = encode_context(header);
    let mut out = b"\x89KUV\r\n\x1a\n".to_vec();
    out.push(header.claimed_version());
    out.push(match header.claimed_kind() {
        Kind::Message => 1,
        _ => 2,
    });
    out.extend_from_slice(&header.claimed_suite().to_be_bytes());
    out.extend_from_slice(&len32(context.len()));
    out.extend_from_slice(&len32(slot_len));
    out.push(u8::try_from(header.claimed_slots().len()).expect("one or two"));
    out.push(u8::from(header.claimed_layout() == Layout::Detached));
    out.push(bytes[22]);
    out.extend_from_slice(&[0; 9]);
    out.extend_from_slice(&context);
    for slot in header.claimed_slots() {
        let raw = &bytes[out.len()..out.len() + slot_len];
        encode_slot(slot, raw, &mut out)?;
    }
    out.resize(out.len() + pad_len, 0);
    ensure(out.len() == header.claimed_header_len(), || "another length".to_owned())?;
    ensure(out == bytes[..out.len()], || "written again, the header has other bytes".to_owned())
}

fn encode_context(header: &Header) -> Vec<u8> {
    let pairs = header.claimed_context();
    if pairs.len() == 0 {
        return Vec::new();
    }
    let mut out = len16(pairs.len()).to_vec();
    for (name, value) in pairs {
        for text in [name, value] {
            out.extend_from_slice(&len16(text.len()));
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

fn encode_slot(slot: ClaimedSlot<'_>, raw: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    match slot {
        ClaimedSlot::Empty => out.resize(out.len() + raw.len(), 0),
        ClaimedSlot::Bad { reason } => {
            ensure(!reason.is_empty(), || "a bad slot without a reason".to_owned())?;
            out.extend_from_slice(raw);
        }
        ClaimedSlot::Filled { generation, recipients } => {
            let stanzas: Vec<u8> = recipients.iter().flat_map(encode_stanza).collect();
            let end = out.len() + raw.len();
            out.extend_from_slice(&generation.to_be_bytes());
            out.extend_from_slice(&len16(recipients.len()));
            out.extend_from_slice(&[0; 2]);
            out.extend_from_slice(&len32(stanzas.len()));
            out.extend_from_slice(&stanzas);
            out.resize(end - 32, 0);
            out.extend_from_slice(&raw[raw.len() - 32..]);
        }
        _ => return Err("a slot of a new sort".to_owned()),
    }
    Ok(())
}

fn encode_stanza(recipient: &Recipient) -> Vec<u8> {
    let mut out = recipient.recipient_type().0.to_be_bytes().to_vec();
    out.extend_from_slice(&[0; 2]);
    for part in [recipient.id(), recipient.params(), recipient.wrap()] {
        out.extend_from_slice(&len16(part.len()));
    }
    out.extend_from_slice(&[0; 2]);
    for part in [recipient.id(), recipient.params(), recipient.wrap()] {
        out.extend_from_slice(part);
    }
    out
}

fn len16(len: usize) -> [u8; 2] {
    u16::try_from(len).expect("within the format's limits").to_be_bytes()
}

fn len32(len: usize) -> [u8; 4] {
    u32::try_from(len).expect("within the format's limits").to_be_bytes()
}
