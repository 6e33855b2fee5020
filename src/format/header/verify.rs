//! Which slots are genuine, once the data key is known.

use super::Header;
use crate::{
    crypto::{self, kdf::hmac_sha512},
    error::OpenError,
    format::{
        label,
        slot::{MAC_LEN, Slot},
        stanza::Recipient,
    },
    limits::BODY_START_LEN,
    secret::Secret,
};

/// What the MACs confirm about a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VerifiedSlots {
    /// The generation of the header: the highest valid slot's.
    pub(crate) generation: u32,
    /// Which slot that is, by its place.
    pub(crate) active: usize,
    /// The places of all valid slots.
    pub(crate) valid: Vec<usize>,
    /// Its recipients.
    pub(crate) recipients: Vec<Recipient>,
    /// A slot beside it is bad, or its MAC does not verify: a rewrap was torn, or somebody damaged it.
    pub(crate) degraded: bool,
    /// A second slot is valid too: the last step of a rewrap is missing, and old recipients still open this.
    pub(crate) unfinished_rewrap: bool,
}

impl Header {
    /// Verifies the MAC of every well-formed slot. The valid one of the highest generation is the header.
    pub(crate) fn verify_slots(
        &self,
        mac_key: &Secret<64>,
        body_start: &[u8; BODY_START_LEN],
    ) -> Result<VerifiedSlots, OpenError> {
        // fmt: O-11
        let parsed = self.parsed_slots();
        let valid: Vec<_> = parsed.filter(|&(index, _)| self.is_valid(index, mac_key, body_start)).collect();
        // fmt: O-12
        if let [(a, first), (b, second)] = valid[..] {
            if first.generation() == second.generation() && self.slot_bytes(a) != self.slot_bytes(b) {
                return Err(OpenError::Tampered("two slots of one generation differ"));
            }
        }
        // fmt: O-13: the first of equals, which are the same bytes.
        let Some(&(place, active)) = valid.iter().rev().max_by_key(|(_, slot)| slot.generation()) else {
            return Err(OpenError::Tampered("the header's MAC does not verify"));
        };
        // fmt: O-14
        let filled = self.slots.iter().filter(|slot| !matches!(slot, Slot::Empty)).count();
        Ok(VerifiedSlots {
            generation: active.generation(),
            active: place,
            valid: valid.iter().map(|&(place, _)| place).collect(),
            recipients: active.recipients().to_vec(),
            degraded: filled > valid.len(),
            unfinished_rewrap: valid.len() > 1,
        })
    }

    /// Whether any slot is genuine, be the header as a whole acceptable or not.
    pub(crate) fn has_valid_slot(&self, mac_key: &Secret<64>, body_start: &[u8; BODY_START_LEN]) -> bool {
        self.parsed_slots().any(|(index, _)| self.is_valid(index, mac_key, body_start))
    }

    fn is_valid(&self, index: usize, mac_key: &Secret<64>, body_start: &[u8; BODY_START_LEN]) -> bool {
        let (covered, mac) = self.slot_bytes(index).split_at(self.prefix.slot_len - MAC_LEN);
        // fmt: N-5
        crypto::equal(&slot_mac(mac_key, self.before_slots(), covered, body_start), mac)
    }
}

/// The MAC of a slot: over the header before the slots (fixed start and stored context), the slot's own bytes
/// before its MAC, and the body's salt and commitment.
// fmt: S-5
pub(super) fn slot_mac(
    mac_key: &Secret<64>,
    before_slots: &[u8],
    slot: &[u8],
    body_start: &[u8; BODY_START_LEN],
) -> [u8; MAC_LEN] {
    let full = hmac_sha512(mac_key.expose(), &[label!("slot"), before_slots, slot, body_start]);
    let mut mac = [0; MAC_LEN];
    mac.copy_from_slice(&full[..MAC_LEN]);
    mac
}
