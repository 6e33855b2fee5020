//! The sealing side of a record key: one subkey kept, and when it is given up.
//!
//! Floor 3. Each kept subkey belongs to one shard, so the records counted on it are all there are, whichever threads
//! sealed them. The bounds are of the [format](crate::manual::format).

use std::io;

use super::{
    nonces::{Moment, Random},
    shards::Tally,
};
use crate::{
    crypto::{aead::AeadKey, xaes::XaesKey},
    error::RecordError,
    format::record::{HalfNonce, Nonce, RecordAad, encode_start},
};

/// What a shard keeps between records.
#[derive(Default)]
pub(super) struct Sealing {
    kept: Option<Kept>,
}

/// A subkey, and the half of the nonces that it stands for.
struct Kept {
    first_half: HalfNonce,
    subkey: AeadKey,
    made: Moment,
    /// Records that it may still seal.
    left: u32,
}

/// Seals records, for the time that [`RecordCipher::with_sealer`](super::RecordCipher::with_sealer) runs.
pub(crate) struct Sealer<'a, R> {
    pub(super) key: &'a XaesKey,
    pub(super) reference: u64,
    pub(super) sealing: &'a mut Sealing,
    pub(super) tally: Tally<'a>,
    pub(super) random: &'a mut R,
}

impl<R: Random> Sealer<'_, R> {
    /// Writes a whole record into `record`, which has exactly 49 bytes more than `plaintext`.
    pub(crate) fn seal(
        &mut self,
        plaintext: &[u8],
        parts: &[&[u8]],
        record: &mut [u8],
    ) -> Result<(), RecordError> {
        let mut aad = RecordAad::empty();
        aad.write(self.reference, parts)?;
        self.seal_under(plaintext, aad.as_bytes(), record).map_err(RecordError::Random)
    }

    /// The same with the associated data given.
    #[inline]
    pub(super) fn seal_under(&mut self, plaintext: &[u8], aad: &[u8], record: &mut [u8]) -> io::Result<()> {
        let (subkey, nonce) = self.sealing.next(self.key, self.random)?;
        let sealed = encode_start(record, self.reference, &nonce);
        subkey.seal_to(&nonce.second_half.to_bytes(), aad, plaintext, sealed);
        self.tally.add_one();
        Ok(())
    }
}

impl Sealing {
    /// A nonce that was never given out before, and the subkey of its first half.
    fn next(&mut self, key: &XaesKey, random: &mut impl Random) -> io::Result<(&AeadKey, Nonce)> {
        let now = random.now();
        // Gone before anything can fail: what no longer serves never serves again.
        self.kept.take_if(|kept| !kept.serves(now));
        let second_half = random.half(now)?;
        let kept = match &mut self.kept {
            Some(kept) => kept,
            none => {
                let first_half = random.half(now)?;
                let subkey = key.subkey(&first_half.to_bytes());
                none.insert(Kept { first_half, subkey, made: now, left: RECORDS_PER_SUBKEY })
            }
        };
        kept.left -= 1;
        Ok((&kept.subkey, Nonce { first_half: kept.first_half, second_half }))
    }
}

impl Kept {
    fn serves(&self, now: Moment) -> bool {
        // fmt: R-4, R-5
        self.left > 0
            && now.generation == self.made.generation
            && now.millis.saturating_sub(self.made.millis) < MILLIS_PER_SUBKEY
    }
}

/// Records that one subkey seals at most.
const RECORDS_PER_SUBKEY: u32 = 1 << 12;
/// Milliseconds that one subkey seals at most: a minute, less what the coarse clock may be behind at either end.
const MILLIS_PER_SUBKEY: u64 = 60_000 - 20;
