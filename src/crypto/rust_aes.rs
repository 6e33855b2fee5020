//! The AES block cipher and AES-KWP of RustCrypto: what the ring backend lacks, and a part of the portable one.
//!
//! Floor 1, used by the two backends only.

#![allow(clippy::expect_used, reason = "lengths are fixed by type, and each states its invariant")]

use aes::Aes256;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes_kw::KwpAes256;

use super::{AuthFailed, BlockCipher};

/// AES-256 with its round keys, which are wiped on drop.
pub(crate) type Aes = Aes256;

// Boxed, so that moving it leaves no round keys behind.
impl BlockCipher for Box<Aes> {
    fn new(key: &[u8; 32]) -> Self {
        Self::new(Aes256::new(&Array(*key)))
    }

    fn encrypt(&self, blocks: &mut [u8]) {
        let (blocks, rest) = Array::slice_as_chunks_mut(blocks);
        debug_assert!(rest.is_empty(), "whole blocks");
        self.encrypt_blocks(blocks);
    }
}

pub(super) fn wrap_key(kek: &[u8; 32], key: &[u8], wrapped: &mut [u8]) {
    KwpAes256::new(&Array(*kek)).wrap_key(key, wrapped).map(|_| ()).expect("the wrap has the right length");
}

pub(super) fn unwrap_key(kek: &[u8; 32], wrapped: &[u8], key: &mut [u8]) -> Result<usize, AuthFailed> {
    let unwrapped = KwpAes256::new(&Array(*kek)).unwrap_key(wrapped, key);
    unwrapped.map(|key| key.len()).map_err(|_| AuthFailed)
}
