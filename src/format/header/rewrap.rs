//! New recipients for a body that stands: which slot may be written, what goes into it, what is zeroed after.
//!
//! Pure computation over a header that was opened: it reads and writes no file, and asks nobody whether the new wraps
//! unwrap. Section 13 of the [format](crate::manual::format).

use std::ops::Range;

use super::{
    Header, VerifiedSlots,
    build::{build_generation, check_recipients, slot_len_for},
    verify::slot_mac,
};
use crate::{
    error::{RewrapError, SealError},
    format::{
        context::BoundContext,
        slot::{self, MAC_LEN, Slot},
        stanza::Recipient,
    },
    limits::BODY_START_LEN,
    secret::Secret,
};

/// A change of a header that stands: first a new slot is written into the spare place, then the old one is zeroed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SlotEdit {
    /// Where the new slot goes, in bytes of the header.
    pub(crate) place: Range<usize>,
    /// The new slot, as long as its place.
    pub(crate) slot: Vec<u8>,
    /// The old slot's bytes, to be zeroed once the new slot is safely there.
    pub(crate) old: Range<usize>,
}

impl Header {
    /// The edit that replaces the recipients in place.
    ///
    /// `opened_in` is the place of the slot whose recipient unwrapped: as long as the new one is not safely there, that
    /// one stays, so that whoever rewraps can still open what a torn write leaves.
    ///
    /// # Errors
    ///
    /// [`RewrapError::NoRoom`] where the recipients do not fit, or there is one slot only; whatever a new header would
    /// refuse too.
    pub(crate) fn edit_in_place(
        &self,
        verified: &VerifiedSlots,
        opened_in: usize,
        recipients: &[Recipient],
        mac_key: &Secret<64>,
        body_start: &[u8; BODY_START_LEN],
    ) -> Result<SlotEdit, RewrapError> {
        check_recipients(self.prefix.kind, recipients)?;
        let generation = next_generation(verified)?;
        let needed = slot_len_for(recipients);
        if self.slots.len() < 2 {
            return Err(RewrapError::NoRoom { needed, available: 0 });
        }
        if needed > self.prefix.slot_len {
            return Err(RewrapError::NoRoom { needed, available: self.prefix.slot_len });
        }
        // fmt: W-3: a valid slot stays until its successor is there, so the only one is never written over.
        let stays = if verified.valid.contains(&opened_in) { opened_in } else { verified.active };
        let mut slot = Vec::with_capacity(self.prefix.slot_len);
        slot::encode(generation, recipients, self.prefix.slot_len, &mut slot);
        let mac_at = slot.len() - MAC_LEN;
        // fmt: W-1: for the header that stands, whose fixed start and stored context do not change.
        let mac = slot_mac(mac_key, self.before_slots(), &slot[..mac_at], body_start);
        slot[mac_at..].copy_from_slice(&mac);
        Ok(SlotEdit { place: self.slot_range(1 - stays), slot, old: self.slot_range(stays) })
    }

    /// A header of the same kind, flags and stored context, as long as the recipients need.
    // fmt: W-4
    pub(crate) fn rebuilt(
        &self,
        verified: &VerifiedSlots,
        bound: &BoundContext,
        recipients: &[Recipient],
        mac_key: &Secret<64>,
        body_start: &[u8; BODY_START_LEN],
    ) -> Result<Vec<u8>, SealError> {
        debug_assert_eq!(bound.stored_bytes(), &self.before_slots()[crate::limits::PREFIX_LEN..]);
        let (kind, layout) = (self.prefix.kind, self.claimed_layout());
        let generation = next_generation(verified)?;
        build_generation(generation, kind, layout, bound, recipients, mac_key, body_start)
    }

    /// The slot beside the header's own that is to be zeroed: torn, damaged, or left by a rewrap that stopped half way.
    // fmt: W-3: never the highest valid one.
    pub(crate) fn stale_slot(&self, verified: &VerifiedSlots) -> Option<Range<usize>> {
        let stale = self.slots.iter().enumerate();
        stale
            .filter(|(place, slot)| *place != verified.active && !matches!(slot, Slot::Empty))
            .map(|(place, _)| self.slot_range(place))
            .next()
    }

    /// Whether `other` differs in its slots only: the same body's header at another time.
    pub(crate) fn differs_in_slots_only(&self, other: &Self) -> bool {
        self.bytes.len() == other.bytes.len() && self.before_slots() == other.before_slots()
    }
}

// fmt: W-3
fn next_generation(verified: &VerifiedSlots) -> Result<u32, SealError> {
    verified.generation.checked_add(1).ok_or(SealError::Refused(
        "this header was rewrapped 2^32 - 2 times, which is the end: seal the content again",
    ))
}
