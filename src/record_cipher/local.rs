//! A record key at work for one thread at a time: no places for others, and few subkeys kept.
//!
//! Floor 3. For keys of which there are many, each used a little: whoever has one sees to it that nobody else uses it
//! meanwhile. The records are those of [`RecordCipher`](super::RecordCipher).

use std::{fmt, sync::atomic::AtomicU64};

use super::{Sealer, opening::Opening, sealing::Sealing, shards::Tally};
use crate::{
    crypto::xaes::XaesKey,
    error::RecordError,
    fork,
    format::record::{RecordAad, RecordFrame},
};

/// A record key at work.
pub(crate) struct LocalCipher {
    reference: u64,
    key: XaesKey,
    sealing: Sealing,
    opening: Opening,
    /// Nobody asks for it; the machines beside count.
    tally: AtomicU64,
}

impl LocalCipher {
    /// Takes a record key, whose own copy the caller wipes.
    pub(crate) fn new(record_key: &[u8; 32], reference: u64) -> Self {
        Self {
            reference,
            key: XaesKey::new(record_key),
            sealing: Sealing::default(),
            opening: Opening::with_room(KEPT),
            tally: AtomicU64::new(0),
        }
    }

    pub(crate) const fn reference(&self) -> u64 {
        self.reference
    }

    /// Seals one record or several, with nonces from `random`.
    pub(crate) fn sealer<'a, R>(&'a mut self, random: &'a mut R) -> Sealer<'a, R> {
        Sealer {
            key: &self.key,
            reference: self.reference,
            sealing: &mut self.sealing,
            tally: Tally::Owned(&self.tally),
            random,
        }
    }

    /// Opens a record's frame, as [`RecordCipher::open`](super::RecordCipher::open).
    pub(crate) fn open(
        &mut self,
        frame: &RecordFrame<'_>,
        parts: &[&[u8]],
        plaintext: &mut [u8],
    ) -> Result<(), RecordError> {
        // fmt: R-8
        if frame.reference != self.reference {
            return Err(RecordError::KeyUnavailable { reference: frame.reference });
        }
        let mut aad = RecordAad::empty();
        aad.write(self.reference, parts)?;
        let tally = Tally::Owned(&self.tally);
        let opened =
            self.opening.open(&self.key, fork::generation(), frame, aad.as_bytes(), plaintext, tally);
        // fmt: R-9
        opened.map_err(|_| RecordError::Tampered)
    }
}

impl fmt::Debug for LocalCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCipher").field("reference", &self.reference).finish_non_exhaustive()
    }
}

/// Subkeys kept for opening.
const KEPT: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        format::record,
        record_cipher::{RecordCipher, System},
        secret::Secret,
    };

    #[test]
    fn its_records_are_those_of_the_shared_one() {
        let key = Secret::copy_from(&[7; 32]);
        let (shared, mut local) = (RecordCipher::new(&key, 9), LocalCipher::new(key.expose(), 9));
        let parts: [&[u8]; 2] = [b"t", b"row"];
        for _ in 0..KEPT + 2 {
            let mut record = [0; 49 + 4];
            local.sealer(&mut System).seal(b"text", &parts, &mut record).unwrap();
            let frame = record::decode(&record, 4).unwrap();
            let mut opened = [0; 4];
            shared.open(&frame, &parts, &mut opened).unwrap();
            assert_eq!(&opened, b"text");

            let mut other = RecordCipher::new(&key, 9);
            other.with_sealer(&mut System, |sealer| sealer.seal(b"more", &parts, &mut record)).unwrap();
            let frame = record::decode(&record, 4).unwrap();
            local.open(&frame, &parts, &mut opened).unwrap();
            assert_eq!(&opened, b"more");
            assert!(matches!(local.open(&frame, &parts[..1], &mut opened), Err(RecordError::Tampered)));
            other = RecordCipher::new(&key, 8);
            other.with_sealer(&mut System, |sealer| sealer.seal(b"more", &parts, &mut record)).unwrap();
            let frame = record::decode(&record, 4).unwrap();
            let refused = local.open(&frame, &parts, &mut opened);
            assert!(matches!(refused, Err(RecordError::KeyUnavailable { reference: 8 })));
        }
    }
}
