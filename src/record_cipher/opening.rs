//! The opening side of a record key: the subkeys met last.
//!
//! Floor 3. Records sealed together share the first half of their nonces, so a few subkeys serve most of what is read
//! in one go. Only a record that opens is worth remembering: a flood of forged ones displaces nothing.

use super::shards::Tally;
use crate::{
    crypto::{AuthFailed, aead::AeadKey, xaes::XaesKey},
    format::record::{HalfNonce, Nonce, RecordFrame},
};

/// What a shard keeps between records.
pub(super) struct Opening {
    kept: Vec<Kept>,
    /// How many of them at most.
    room: usize,
    /// The process that they were derived in.
    generation: u64,
    /// Records opened here so far, by which the subkey used longest ago is found.
    records: u64,
}

/// A subkey, and the half of the nonces that it stands for.
struct Kept {
    first_half: HalfNonce,
    subkey: AeadKey,
    last_record: u64,
}

impl Default for Opening {
    fn default() -> Self {
        Self::with_room(MAX_KEPT)
    }
}

impl Opening {
    pub(super) const fn with_room(room: usize) -> Self {
        Self { kept: Vec::new(), room, generation: 0, records: 0 }
    }

    /// Opens what `frame` holds. Derivations are counted in `tally`.
    pub(super) fn open(
        &mut self,
        key: &XaesKey,
        generation: u64,
        frame: &RecordFrame<'_>,
        aad: &[u8],
        plaintext: &mut [u8],
        tally: Tally<'_>,
    ) -> Result<(), AuthFailed> {
        // fmt: R-5
        if self.generation != generation {
            self.kept.clear();
            self.generation = generation;
        }
        self.records += 1;
        let Nonce { first_half, second_half } = frame.nonce;
        let second_half = second_half.to_bytes();
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.first_half == first_half) {
            kept.last_record = self.records;
            return kept.subkey.open_to(&second_half, aad, frame.sealed, plaintext);
        }
        tally.add_one();
        let subkey = key.subkey(&first_half.to_bytes());
        subkey.open_to(&second_half, aad, frame.sealed, plaintext)?;
        self.keep(Kept { first_half, subkey, last_record: self.records });
        Ok(())
    }

    fn keep(&mut self, new: Kept) {
        if self.kept.len() < self.room {
            self.kept.reserve_exact(self.room - self.kept.len());
            self.kept.push(new);
        } else if let Some(oldest) = self.kept.iter_mut().min_by_key(|kept| kept.last_record) {
            *oldest = new;
        }
    }
}

/// Subkeys that a shard keeps where nothing else is said: about 700 bytes each.
const MAX_KEPT: usize = 8;
