//! Slots: where a header keeps its recipients, with a generation and a MAC.
//!
//! Floor 2. A header has one or two; a slot that is not canonical is *bad*, and that is a fault only if there is
//! no better one. Section "Slot" of the [format](crate::manual::format).

use super::{
    Kind,
    stanza::{self, Recipient, RecipientType},
    u16_len, u32_len,
};
use crate::{error::OpenError, limits::MAX_STANZAS};

/// What stands in a slot, as far as the bytes tell.
#[derive(Debug)]
pub(crate) enum Slot {
    /// All bytes are zero.
    Empty,
    /// Not canonical: torn, damaged or forged.
    Bad(SlotFault),
    /// Well formed. Whether it is genuine, the MAC tells.
    Parsed(ParsedSlot),
}

/// A well-formed slot, unverified.
#[derive(Debug)]
pub(crate) struct ParsedSlot {
    generation: u32,
    recipients: Vec<Recipient>,
}

impl ParsedSlot {
    /// Counts up with every rewrap, from 1.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// The recipients in the order of the header.
    pub(crate) fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }
}

/// Why a slot is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotFault {
    TooManyRecipients,
    Malformed(&'static str),
}

impl SlotFault {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::TooManyRecipients => "more recipients than a slot may have",
            Self::Malformed(reason) => reason,
        }
    }
}

impl From<&'static str> for SlotFault {
    fn from(reason: &'static str) -> Self {
        Self::Malformed(reason)
    }
}

impl From<SlotFault> for OpenError {
    fn from(fault: SlotFault) -> Self {
        match fault {
            SlotFault::TooManyRecipients => {
                Self::LimitExceeded { what: "number of recipients", limit: MAX_STANZAS as u64 }
            }
            SlotFault::Malformed(reason) => Self::Malformed(reason),
        }
    }
}

/// Parses a whole slot (its length was checked with the header's).
pub(crate) fn parse(slot: &[u8], kind: Kind) -> Slot {
    if slot.iter().all(|&byte| byte == 0) {
        return Slot::Empty;
    }
    match parse_filled(slot, kind) {
        Ok(parsed) => Slot::Parsed(parsed),
        Err(fault) => Slot::Bad(fault),
    }
}

fn parse_filled(slot: &[u8], kind: Kind) -> Result<ParsedSlot, SlotFault> {
    let inner = slot.split_last_chunk::<MAC_LEN>().map(|(inner, _)| inner);
    let (start, space) =
        inner.and_then(<[u8]>::split_first_chunk::<SLOT_START_LEN>).ok_or("a slot is too short")?;
    let [g0, g1, g2, g3, c0, c1, r0, r1, len @ ..] = *start;
    let (generation, count) = (u32::from_be_bytes([g0, g1, g2, g3]), u16::from_be_bytes([c0, c1]));
    // fmt: S-7: too many is told before every other fault.
    if usize::from(count) > MAX_STANZAS {
        return Err(SlotFault::TooManyRecipients);
    }
    // fmt: S-1, S-2
    if generation == 0 || count == 0 || [r0, r1] != [0, 0] {
        return Err("a slot's generation, recipient count or reserved bytes are impossible".into());
    }
    // fmt: S-3
    let (mut stanzas, padding) = usize::try_from(u32::from_be_bytes(len))
        .ok()
        .and_then(|len| space.split_at_checked(len))
        .ok_or("a slot's recipients are longer than the slot")?;
    let recipients = (0..count).map(|_| stanza::take(&mut stanzas)).collect::<Result<Vec<_>, _>>()?;
    if !stanzas.is_empty() {
        return Err("a slot's recipients are not as long as it says".into());
    }
    // fmt: S-2, N-2
    if padding.iter().any(|&byte| byte != 0) {
        return Err("a slot's padding is not zero".into());
    }
    check_recipients(&recipients, kind)?;
    Ok(ParsedSlot { generation, recipients })
}

/// The rules that concern a slot's recipients as a whole, or depend on what the header belongs to.
fn check_recipients(recipients: &[Recipient], kind: Kind) -> Result<(), &'static str> {
    // fmt: S-4
    if recipients.iter().all(|recipient| recipient.recipient_type() == RecipientType::PENDING) {
        return Err("every recipient of a slot is pending");
    }
    // fmt: E-6
    if kind == Kind::KeyEnvelope && recipients.iter().any(stanza::refused_in_envelope) {
        return Err("a key envelope has a recipient of a type that it must not have");
    }
    Ok(())
}

/// Writes a slot of `slot_len` bytes, MAC left zero, with recipients that were checked to fit.
pub(crate) fn encode(generation: u32, recipients: &[Recipient], slot_len: usize, out: &mut Vec<u8>) {
    let end = out.len() + slot_len;
    let stanza_bytes: usize = recipients.iter().map(Recipient::stanza_len).sum();
    debug_assert!(
        recipients.len() <= MAX_STANZAS && SLOT_OVERHEAD + stanza_bytes <= slot_len,
        "checked to fit"
    );
    out.extend_from_slice(&generation.to_be_bytes());
    out.extend_from_slice(&u16_len(recipients.len()));
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&u32_len(stanza_bytes));
    for recipient in recipients {
        recipient.encode(out);
    }
    out.resize(end, 0);
}

/// Bytes before a slot's stanzas: generation, count, reserved, length.
const SLOT_START_LEN: usize = 12;
/// Bytes of a slot's MAC.
pub(crate) const MAC_LEN: usize = 32;
/// Bytes of a slot that are not stanzas or padding.
pub(crate) const SLOT_OVERHEAD: usize = SLOT_START_LEN + MAC_LEN;

#[cfg(test)]
mod tests;
