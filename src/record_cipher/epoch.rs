//! Seals and opens subject keys under one epoch: the record cipher, with a row's place as associated data.
//!
//! Floor 3: knows no store and no names. The bytes, and the order in which faults are told, are J-2 and J-7 of the
//! [format](crate::manual::format).

use std::{fmt, io};

#[cfg(test)]
use super::System;
use super::{Batch, Random, RecordCipher};
use crate::{
    format::{
        record,
        subject::{SEALED_KEY_LEN, SealedKeyFault, SubjectKey, SubjectPlace, claimed_epoch},
    },
    secret::Secret,
};

/// The key of an epoch at work. Shared by any number of threads.
pub(crate) struct EpochCipher(RecordCipher);

impl EpochCipher {
    /// Takes K_subject of the epoch.
    pub(crate) fn new(key: &Secret<32>, reference: u64) -> Self {
        Self(RecordCipher::new(key, reference))
    }

    /// The epoch's reference.
    pub(crate) const fn reference(&self) -> u64 {
        self.0.reference()
    }

    /// Seals one subject key.
    #[cfg(test)]
    pub(crate) fn seal(&self, place: &SubjectPlace, key: &SubjectKey) -> io::Result<SealedKey> {
        self.seal_by(&mut System, place, key)
    }

    /// Seals many, with one draw of random bytes for some hundreds of them.
    pub(crate) fn seal_many<'k>(
        &self,
        keys: impl ExactSizeIterator<Item = (SubjectPlace, &'k SubjectKey)>,
    ) -> io::Result<Vec<SealedKey>> {
        let mut sealed = Vec::with_capacity(keys.len());
        let mut left = keys.len();
        let mut batch = Batch::draw(left)?;
        for (number, (place, key)) in keys.enumerate() {
            if number > 0 && number % Batch::RECORDS == 0 {
                batch = Batch::draw(left)?;
            }
            left -= 1;
            sealed.push(self.seal_by(&mut batch, &place, key)?);
        }
        Ok(sealed)
    }

    /// Opens the sealed key of the row `place`.
    // fmt: J-2
    pub(crate) fn open(&self, place: &SubjectPlace, sealed: &[u8]) -> Result<SubjectKey, SealedKeyFault> {
        if claimed_epoch(sealed)? != self.reference() {
            return Err(SealedKeyFault::OtherEpoch);
        }
        let frame = record::decode(sealed, 32).map_err(|_| SealedKeyFault::Malformed)?;
        let mut key = Secret::zeroed();
        let aad = place.associated_data(self.reference());
        self.0.open_under(&frame, &aad, key.expose_mut()).map_err(|_| SealedKeyFault::Tampered)?;
        Ok(SubjectKey::new(key))
    }

    fn seal_by(
        &self,
        random: &mut impl Random,
        place: &SubjectPlace,
        key: &SubjectKey,
    ) -> io::Result<SealedKey> {
        let mut sealed = [0; SEALED_KEY_LEN];
        let aad = place.associated_data(self.reference());
        self.0.with_sealer(random, |sealer| sealer.seal_under(key.expose(), &aad, &mut sealed))?;
        Ok(sealed)
    }
}

impl fmt::Debug for EpochCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpochCipher").field("reference", &self.reference()).finish_non_exhaustive()
    }
}

/// A sealed subject key.
type SealedKey = [u8; SEALED_KEY_LEN];

#[cfg(test)]
mod tests;
