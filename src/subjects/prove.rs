//! Trying what was erased: samples of records, opened as if by somebody who has everything that there is now.
//!
//! Floor 6. Nothing comes from a cache. Page on [erasure](crate::manual::erasure).

use std::collections::HashSet;

use super::{
    Scope, Subjects,
    receipt::ReceiptsReport,
    tombstones::{Chain, Head},
};
use crate::{
    error::SubjectError,
    format::{record, tombstone::Link},
    keystore::{Lookup, MAX_BATCH},
    limits::MAX_RECORD_LEN,
};

/// What [`Scope::prove_erased`] found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ErasureProof {
    /// Samples that were tried.
    pub tried: usize,
    /// Samples that do not open, since their keys were erased: the store has a tombstone, verified in its chain.
    pub erased: usize,
    /// Samples, by their places, whose keys are still there.
    pub keys_there: Vec<usize>,
    /// Samples, by their places, whose keys the store does not know at all, or which are no records: they prove nothing.
    pub unknown: Vec<usize>,
}

impl ErasureProof {
    /// Whether every sample is erased, and there was one.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.tried > 0 && self.erased == self.tried
    }
}

impl Scope {
    /// Tries whether records of erased data subjects, from wherever they were kept, have lost their keys: the store is asked
    /// for each, and its chain of tombstones verified. Caches are not looked at.
    ///
    /// It takes records as they lie in a database or an old backup of it; [`Sealed`](super::Sealed) gives its bytes.
    ///
    /// # Errors
    ///
    /// [`SubjectError::ChainTampered`], and what the key store failed with.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn prove_erased<R: AsRef<[u8]> + Sync>(
        &self,
        samples: &[R],
    ) -> Result<ErasureProof, SubjectError> {
        let shared = self.shared();
        let mut ended = HashSet::new();
        let note = |_, link: &Link, _: &_| {
            ended.insert(link.reference);
            Ok(())
        };
        shared.walk(Chain::Tombstones, Head::default(), note).await?;
        let mut proof = ErasureProof { tried: samples.len(), ..ErasureProof::default() };
        let mut places = Vec::new();
        for (place, sample) in samples.iter().enumerate() {
            match record::decode(sample.as_ref(), MAX_RECORD_LEN) {
                Ok(frame) => places.push((place, frame.reference)),
                Err(_) => proof.unknown.push(place),
            }
        }
        for places in places.chunks(MAX_BATCH) {
            let references: Vec<u64> = places.iter().map(|(_, reference)| *reference).collect();
            let found = shared.store.get(&references).await?;
            for ((place, reference), lookup) in places.iter().zip(found) {
                match lookup {
                    // A store that says so without a tombstone in the chain says too much.
                    Lookup::Erased { .. } if ended.contains(reference) => proof.erased += 1,
                    Lookup::Row(_) => proof.keys_there.push(*place),
                    _ => proof.unknown.push(*place),
                }
            }
        }
        proof.unknown.sort_unstable();
        Ok(proof)
    }
}

impl Subjects {
    /// Verifies every tombstone and every receipt, link by link, and counts them. A flipped bit, one that was left out, moved, or
    /// taken from another store is told by its number.
    ///
    /// # Errors
    ///
    /// [`SubjectError::ChainTampered`]; what the key store failed with.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn verify_receipts(&self) -> Result<ReceiptsReport, SubjectError> {
        self.shared().verify_receipts().await
    }
}
