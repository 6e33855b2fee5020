//! The keys of a key store's root: what stands for names, and what chains tombstones and receipts.
//!
//! Floor 2. All of them come from one data key, which stays here for blind indexes, whose number is the caller's
//! business. Section "Key store and subjects" of the [format](crate::manual::format).

use std::fmt;

use super::SubjectName;
use crate::{
    crypto::kdf::hmac_sha512,
    format::{
        schedule::{IndexSchedule, Salt, Schedule},
        tombstone::ChainKey,
        u32_len,
    },
    secret::Secret,
};

/// The keys of a root, ready for use.
pub(crate) struct RootKeys {
    reference: u64,
    pseudonym: Secret<64>,
    request: Secret<64>,
    index: IndexSchedule,
    tombstones: ChainKey,
    receipts: ChainKey,
}

impl RootKeys {
    pub(crate) fn new(schedule: &Schedule<'_>, salt: &Salt, reference: u64) -> Self {
        Self {
            reference,
            pseudonym: schedule.pseudonym_key(salt),
            request: schedule.request_key(salt),
            index: schedule.index_schedule(salt),
            tombstones: ChainKey::of_tombstones(schedule.tombstone_key(salt)),
            receipts: ChainKey::of_receipts(schedule.receipt_key(salt)),
        }
    }

    /// The root's reference, which names the store.
    pub(crate) const fn reference(&self) -> u64 {
        self.reference
    }

    /// Stands for a scope in a row.
    // fmt: J-8
    pub(crate) fn scope_tag(&self, scope: &str) -> [u8; 16] {
        first(&hmac_sha512(self.pseudonym.expose(), &[&u32_len(scope.len()), scope.as_bytes()]))
    }

    /// Stands for a name of one scope.
    // fmt: J-5
    pub(crate) fn pseudonym(&self, scope: &str, name: &SubjectName<'_>) -> [u8; 32] {
        let (prefix, prefix_len, rest) = name.parts();
        self.pseudonym_of(scope, &prefix[..prefix_len], rest)
    }

    fn pseudonym_of(&self, scope: &str, prefix: &[u8], rest: &[u8]) -> [u8; 32] {
        let (scope_len, len) = (u32_len(scope.len()), u32_len(prefix.len() + rest.len()));
        first(&hmac_sha512(self.pseudonym.expose(), &[&scope_len, scope.as_bytes(), &len, prefix, rest]))
    }

    /// Stands for the reference of a request, or of a case that holds somebody.
    // fmt: J-9
    pub(crate) fn request_hash(&self, scope: &str, request: &str) -> [u8; 32] {
        let (scope_len, len) = (u32_len(scope.len()), u32_len(request.len()));
        let parts: [&[u8]; 4] = [&scope_len, scope.as_bytes(), &len, request.as_bytes()];
        first(&hmac_sha512(self.request.expose(), &parts))
    }

    /// The key of the blind indexes of this name, which has 1 to 255 bytes.
    // fmt: J-10
    pub(crate) fn blind_index(&self, name: &str) -> BlindIndexKey {
        BlindIndexKey(self.index.derive(name))
    }

    pub(crate) const fn tombstones(&self) -> &ChainKey {
        &self.tombstones
    }

    pub(crate) const fn receipts(&self) -> &ChainKey {
        &self.receipts
    }
}

impl fmt::Debug for RootKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootKeys").field("reference", &self.reference).finish_non_exhaustive()
    }
}

/// Makes the blind indexes of one name.
pub(crate) struct BlindIndexKey(Secret<64>);

impl BlindIndexKey {
    /// All 32 bytes, of which an index is the first 8 to 32.
    pub(crate) fn of(&self, scope: &str, value: &[u8]) -> [u8; 32] {
        first(&hmac_sha512(self.0.expose(), &[&u32_len(scope.len()), scope.as_bytes(), value]))
    }
}

impl fmt::Debug for BlindIndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlindIndexKey(..)")
    }
}

/// What a MAC is cut to.
fn first<const N: usize>(mac: &[u8; 64]) -> [u8; N] {
    *mac.first_chunk().expect("a MAC has 64 bytes, and none of ours is longer")
}
