//! Seals and opens records under one record key: XAES-256-GCM with subkeys kept for a while.
//!
//! Deriving a subkey costs more than sealing a short record, so a sealer keeps the one it has for some records, and
//! an opener those that it met last. Floor 3: bytes, keys and counts; knows no cell, no table and no provider.
//! The rules are in the section "Record" of the [format](crate::manual::format).

pub(crate) mod epoch;
mod local;
mod nonces;
mod opening;
mod sealing;
mod shards;

use std::fmt;

pub(crate) use self::local::LocalCipher;
pub(crate) use self::nonces::{Batch, Random, System, ThreadPool};
pub(crate) use self::sealing::Sealer;
use self::{opening::Opening, sealing::Sealing, shards::Shards};
use crate::{
    crypto::{AuthFailed, xaes::XaesKey},
    error::RecordError,
    fork,
    format::record::{RecordAad, RecordFrame},
    secret::Secret,
};

/// A record key at work. Shared by any number of threads.
pub(crate) struct RecordCipher {
    reference: u64,
    key: XaesKey,
    sealing: Shards<Sealing>,
    opening: Shards<Opening>,
}

impl RecordCipher {
    pub(crate) fn new(record_key: &Secret<32>, reference: u64) -> Self {
        Self {
            reference,
            key: XaesKey::new(record_key.expose()),
            sealing: Shards::new(),
            opening: Shards::new(),
        }
    }

    pub(crate) const fn reference(&self) -> u64 {
        self.reference
    }

    /// Lets `work` seal one record or several, with nonces from `random` and a subkey that no other thread uses
    /// meanwhile. `work` should not wait for anything: it holds one of few places.
    pub(crate) fn with_sealer<R: Random, T>(
        &self,
        random: &mut R,
        work: impl FnOnce(&mut Sealer<'_, R>) -> T,
    ) -> T {
        self.sealing.with(|sealing, tally| {
            work(&mut Sealer { key: &self.key, reference: self.reference, sealing, tally, random })
        })
    }

    /// Records sealed with this key in this process.
    pub(crate) fn records_sealed(&self) -> u64 {
        self.sealing.total()
    }

    /// Opens a record's frame that lies in the context of `parts`. `plaintext` has 16 bytes less than what is sealed in
    /// the frame; on failure it is all zero.
    pub(crate) fn open(
        &self,
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
        // fmt: R-9
        self.open_under(frame, aad.as_bytes(), plaintext).map_err(|_| RecordError::Tampered)
    }

    /// Opens a frame of this key's reference with the associated data given.
    fn open_under(
        &self,
        frame: &RecordFrame<'_>,
        aad: &[u8],
        plaintext: &mut [u8],
    ) -> Result<(), AuthFailed> {
        self.opening
            .with(|opening, tally| opening.open(&self.key, fork::generation(), frame, aad, plaintext, tally))
    }
}

impl fmt::Debug for RecordCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordCipher").field("reference", &self.reference).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
