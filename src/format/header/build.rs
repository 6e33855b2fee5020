//! Writing a new header: geometry, recipients, MAC.

use super::{prefix::Prefix, verify::slot_mac};
use crate::{
    error::SealError,
    format::{
        Kind, Layout,
        context::BoundContext,
        slot::{self, MAC_LEN, SLOT_OVERHEAD},
        stanza::{self, Recipient, RecipientType},
    },
    limits::{
        BODY_START_LEN, MAX_ID_LEN, MAX_PARAMS_LEN, MAX_SLOT_LEN, MAX_STANZAS, MAX_WRAP_LEN, MIN_SLOT_LEN,
        PREFIX_LEN, SLOT_LEN_UNIT,
    },
    secret::Secret,
};

/// The header of a new message: all recipients in its first slot, generation 1.
///
/// Recipients that do not fit, that no reader would take, or that a key envelope must not have are refused here,
/// before anything is written.
pub(crate) fn build(
    kind: Kind,
    layout: Layout,
    bound: &BoundContext,
    recipients: &[Recipient],
    mac_key: &Secret<64>,
    body_start: &[u8; BODY_START_LEN],
) -> Result<Vec<u8>, SealError> {
    build_generation(FIRST_GENERATION, kind, layout, bound, recipients, mac_key, body_start)
}

/// As [`build`], for a body that has had headers before.
pub(super) fn build_generation(
    generation: u32,
    kind: Kind,
    layout: Layout,
    bound: &BoundContext,
    recipients: &[Recipient],
    mac_key: &Secret<64>,
    body_start: &[u8; BODY_START_LEN],
) -> Result<Vec<u8>, SealError> {
    check_recipients(kind, recipients)?;
    let stored = bound.stored_bytes();
    let prefix = lay_out(kind, layout, stored.len(), recipients)?;
    let mut header = Vec::with_capacity(prefix.header_len());
    header.extend_from_slice(&prefix.encode());
    header.extend_from_slice(stored);
    let slot_at = header.len();
    // fmt: S-8: the second slot, where there is one, stays all zero.
    slot::encode(generation, recipients, prefix.slot_len, &mut header);
    let mac_at = header.len() - MAC_LEN;
    let mac = slot_mac(mac_key, &header[..slot_at], &header[slot_at..mac_at], body_start);
    header[mac_at..].copy_from_slice(&mac);
    header.resize(prefix.header_len(), 0);
    Ok(header)
}

/// Chooses the lengths.
fn lay_out(
    kind: Kind,
    layout: Layout,
    context_len: usize,
    recipients: &[Recipient],
) -> Result<Prefix, SealError> {
    let detached = layout == Layout::Detached;
    // fmt: E-2
    if kind == Kind::KeyEnvelope && layout != Layout::Compact {
        return Err(SealError::Usage("a key envelope has the compact layout"));
    }
    let needed = slot_len_for(recipients);
    let (slot_len, slot_count, pad_len) = match layout {
        // fmt: L-1, L-3
        Layout::Compact | Layout::Detached => (needed, 1, 0),
        // fmt: L-2
        Layout::Rewrappable => {
            let fixed = PREFIX_LEN + context_len;
            let for_slots = (fixed + 2 * needed).next_multiple_of(REWRAPPABLE_UNIT) - fixed;
            let pad_len = for_slots % (2 * SLOT_LEN_UNIT);
            ((for_slots - pad_len) / 2, 2, pad_len)
        }
    };
    // fmt: L-5
    if slot_len > MAX_SLOT_LEN {
        return Err(SealError::LimitExceeded { what: "all recipients together", limit: MAX_SLOT_LEN as u64 });
    }
    Ok(Prefix { kind, context_len, slot_len, slot_count, detached, pad_len })
}

/// Bytes of the shortest slot that holds these recipients.
pub(super) fn slot_len_for(recipients: &[Recipient]) -> usize {
    let needed = SLOT_OVERHEAD + recipients.iter().map(Recipient::stanza_len).sum::<usize>();
    needed.next_multiple_of(SLOT_LEN_UNIT).max(MIN_SLOT_LEN)
}

/// Refuses what a reader would refuse, each for its own reason.
pub(super) fn check_recipients(kind: Kind, recipients: &[Recipient]) -> Result<(), SealError> {
    let at_most = |what, found: usize, limit: usize| {
        if found > limit { Err(SealError::LimitExceeded { what, limit: limit as u64 }) } else { Ok(()) }
    };
    at_most("number of recipients", recipients.len(), MAX_STANZAS)?;
    for recipient in recipients {
        at_most("a recipient's id", recipient.id().len(), MAX_ID_LEN)?;
        at_most("a recipient's parameters", recipient.params().len(), MAX_PARAMS_LEN)?;
        at_most("a recipient's wrapped key", recipient.wrap().len(), MAX_WRAP_LEN)?;
        if recipient.wrap().is_empty() {
            return Err(SealError::Usage("a recipient's wrapped key is empty"));
        }
        let recipient_type = recipient.recipient_type();
        // fmt: Z-11
        if recipient_type.name().is_none() && !recipient_type.is_private_use() {
            return Err(SealError::Usage(
                "a recipient's type is reserved: private types are 0x8000 to 0xbfff",
            ));
        }
        stanza::check(recipient).map_err(SealError::Usage)?;
        // fmt: E-6
        if kind == Kind::KeyEnvelope && stanza::refused_in_envelope(recipient) {
            return Err(SealError::Refused(
                "a key envelope must not have recipients that anybody can wrap for (RSA), nor a parent key",
            ));
        }
    }
    // fmt: S-4
    if recipients.iter().all(|recipient| recipient.recipient_type() == RecipientType::PENDING) {
        return Err(SealError::Usage(
            "none of the recipients can open what is sealed: at least one must be reached",
        ));
    }
    Ok(())
}

/// The generation of a new header's only filled slot.
const FIRST_GENERATION: u32 = 1;
/// Bytes that the length of a rewrappable header is a multiple of: what a disk writes at once.
const REWRAPPABLE_UNIT: usize = 4096;
