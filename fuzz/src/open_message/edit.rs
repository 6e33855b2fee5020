//! Edits of a message by somebody who knows its format, and its keys.

use kuvert::{ClaimedSlot, MessageStart, Recipient, RecipientType};

use super::super::{
    edits,
    fixtures::{FIXTURES, Fixture},
    header::encode_slot,
    input::Input,
    model::{self, BODY_START, Geometry, Kind, PREFIX, SEALED_CHUNK},
};

/// The message of `fixture` with up to twelve edits.
pub fn edited(fixture: &Fixture, input: &mut Input<'_>) -> Vec<u8> {
    let mut message = fixture.message.to_vec();
    for _ in 0..12 {
        if input.is_empty() {
            break;
        }
        match input.u8() % 10 {
            0..=2 => {
                let others = FIXTURES.each_ref().map(|other| other.message);
                edits::apply(&mut message, input, &others, &anchors(fixture));
            }
            3 => set_field(&mut message, input),
            4 => move_chunk(fixture, &mut message, input),
            5 => replace_body(fixture, &mut message, input),
            6 => with_slot(&mut message, input, |message, geometry, slot, _| sign(message, geometry, slot)),
            7 => with_slot(&mut message, input, change_slot),
            _ => with_slot(&mut message, input, change_recipients),
        }
    }
    message
}

fn anchors(fixture: &Fixture) -> Vec<usize> {
    let geometry = fixture.geometry();
    let body = geometry.header_len();
    let mut anchors = vec![8, 12, PREFIX, geometry.slot_at(0), geometry.slot_at(1), body - 32, body];
    anchors.extend((body + BODY_START..fixture.message.len()).step_by(SEALED_CHUNK));
    anchors.push(fixture.message.len());
    anchors
}

/// One of the first 32 bytes' fields gets a value worth a try.
fn set_field(message: &mut [u8], input: &mut Input<'_>) {
    const FIELDS: [(usize, usize); 10] =
        [(0, 1), (8, 1), (9, 1), (10, 2), (12, 4), (16, 4), (20, 1), (21, 1), (22, 1), (23, 1)];
    const VALUES: [u32; 16] =
        [0, 1, 2, 3, 16, 31, 32, 33, 127, 128, 144, 16_384, 16_385, 131_072, 131_088, u32::MAX];
    let (at, len) = FIELDS[usize::from(input.u8()) % FIELDS.len()];
    let value = VALUES[usize::from(input.u8()) % VALUES.len()];
    if let Some(field) = message.get_mut(at..at + len) {
        field.copy_from_slice(&value.to_be_bytes()[4 - len..]);
    }
}

/// Chunks change places, come twice, or are left out.
fn move_chunk(fixture: &Fixture, message: &mut Vec<u8>, input: &mut Input<'_>) {
    let first = fixture.header_len() + BODY_START;
    let chunk = |index: usize| first + index * SEALED_CHUNK..first + (index + 1) * SEALED_CHUNK;
    let count = message.len().saturating_sub(first) / SEALED_CHUNK;
    if count == 0 {
        return;
    }
    let (from, to) = (input.below(count), input.below(count));
    let bytes = message[chunk(from)].to_vec();
    match input.u8() % 4 {
        0 => {
            let other = message[chunk(to)].to_vec();
            message[chunk(to)].copy_from_slice(&bytes);
            message[chunk(from)].copy_from_slice(&other);
        }
        1 => message[chunk(to)].copy_from_slice(&bytes),
        2 => drop(message.drain(chunk(from))),
        _ => message.splice(chunk(to).start..chunk(to).start, bytes).for_each(drop),
    }
}

/// The body, its beginning or its end becomes another fixture's.
fn replace_body(fixture: &Fixture, message: &mut Vec<u8>, input: &mut Input<'_>) {
    let other = FIXTURES[usize::from(input.u8()) % FIXTURES.len()].body();
    let body = fixture.header_len().min(message.len());
    let start = (body + BODY_START).min(message.len());
    match input.u8() % 4 {
        0 => message.splice(body.., other.iter().copied()).for_each(drop),
        1 => message.splice(body..start, other[..BODY_START].iter().copied()).for_each(drop),
        2 => message.splice(start.., other[BODY_START..].iter().copied()).for_each(drop),
        _ => message.extend_from_slice(other),
    }
}

/// Does something to one slot of a message whose header is all there.
fn with_slot(
    message: &mut [u8],
    input: &mut Input<'_>,
    work: impl FnOnce(&mut [u8], &Geometry, usize, &mut Input<'_>),
) {
    let Ok(geometry) = model::geometry(message, Kind::Message) else { return };
    if message.len() >= geometry.header_len() {
        let slot = usize::from(input.u8()) % geometry.slot_count;
        work(message, &geometry, slot, input);
    }
}

/// Gives a slot the MAC that makes it valid for the fixture whose body follows.
fn sign(message: &mut [u8], geometry: &Geometry, slot: usize) {
    let (header, body) = message.split_at_mut(geometry.header_len());
    let Some(body_start) = body.get(..BODY_START) else { return };
    let Some(fixture) = of_body(body_start) else { return };
    let (before, slots) = header.split_at_mut(geometry.slot_at(0));
    let slot = &mut slots[slot * geometry.slot_len..][..geometry.slot_len];
    let mac = model::slot_mac(&fixture.mac_key(body_start), before, slot, body_start);
    slot[geometry.slot_len - 32..].copy_from_slice(&mac);
}

/// The fixture whose body begins so.
pub fn of_body(body_start: &[u8]) -> Option<&'static Fixture> {
    FIXTURES.iter().find(|fixture| fixture.body()[..BODY_START] == *body_start)
}

/// A slot becomes empty, or the other one's copy, or of another generation, and is signed or not.
fn change_slot(message: &mut [u8], geometry: &Geometry, slot: usize, input: &mut Input<'_>) {
    let at = geometry.slot_at(slot);
    let how = input.u8();
    match how % 4 {
        0 => message[at..at + geometry.slot_len].fill(0),
        1 => {
            let other = geometry.slot_at(geometry.slot_count - 1 - slot);
            message.copy_within(other..other + geometry.slot_len, at);
        }
        2 => {
            let generation = [0, 1, 2, 3, 7, u32::MAX - 1, u32::MAX][usize::from(input.u8()) % 7];
            message[at..at + 4].copy_from_slice(&generation.to_be_bytes());
        }
        _ => message[at + 4 + usize::from(input.u8() & 7)] = input.u8(),
    }
    if how & 0x80 > 0 {
        sign(message, geometry, slot);
    }
}

/// A slot gets other recipients, and is signed or not.
fn change_recipients(message: &mut [u8], geometry: &Geometry, slot: usize, input: &mut Input<'_>) {
    let mut recipients = recipients_of(message, slot).unwrap_or_default();
    for _ in 0..=input.u8() % 6 {
        let at = input.below(recipients.len() + 1);
        match input.u8() % 5 {
            0 if at < recipients.len() => drop(recipients.remove(at)),
            1 if at < recipients.len() => recipients.swap(at, 0),
            2 => {
                let other = &FIXTURES[usize::from(input.u8()) % FIXTURES.len()];
                let others = recipients_of(other.message, 0).unwrap_or_default();
                recipients.extend(others.into_iter().last());
            }
            3 => {
                recipients.insert(at, Recipient::new(RecipientType::AES_KWP, *b"fuzz", [], [input.u8(); 40]));
            }
            _ => recipients.insert(at, any_recipient(input)),
        }
    }
    let how = input.u8();
    let mut bytes = encode_slot(u32::from(how & 3) + 1, &recipients);
    if bytes.len() + 32 <= geometry.slot_len {
        bytes.resize(geometry.slot_len, 0);
        let at = geometry.slot_at(slot);
        message[at..at + geometry.slot_len].copy_from_slice(&bytes);
        if how & 0x80 > 0 {
            sign(message, geometry, slot);
        }
    }
}

fn any_recipient(input: &mut Input<'_>) -> Recipient {
    const TYPES: [u16; 12] = [1, 2, 3, 4, 0x10, 0x11, 0x20, 0x40, 0x41, 0x30, 0x9000, 0xffff];
    let recipient_type = RecipientType(TYPES[usize::from(input.u8()) % TYPES.len()]);
    let ids: [&[u8]; 4] = [b"fuzz", b"spare", b"", b"\xff"];
    let id = ids[usize::from(input.u8()) % ids.len()];
    let params_len = usize::from(input.u8() % 12);
    let params = input.bytes(params_len);
    let wrap_len = [1, 40, 60, 64, 39, 96][usize::from(input.u8()) % 6];
    Recipient::new(recipient_type, id, params, vec![input.u8(); wrap_len])
}

/// The recipients of a slot that is well formed.
pub fn recipients_of(message: &[u8], slot: usize) -> Option<Vec<Recipient>> {
    let geometry = model::geometry(message, Kind::Message).ok()?;
    // Only the header is asked for; a body that ends well is put behind it.
    let mut whole = message.get(..geometry.header_len())?.to_vec();
    whole[21] = 0;
    whole.resize(geometry.header_len() + 72, 0);
    let start = MessageStart::parse(&whole).ok()?;
    match start.header().claimed_slots().nth(slot)? {
        ClaimedSlot::Filled { recipients, .. } => Some(recipients.to_vec()),
        _ => None,
    }
}
