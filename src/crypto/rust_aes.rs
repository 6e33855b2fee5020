//! The AES block cipher and AES-KWP of RustCrypto: what the ring backend lacks, and a part of the portable one.
//!
//! Floor 1, used by the two backends only.

#![allow(clippy::expect_used, reason = "lengths are fixed by type, and each states its invariant")]

use aes::Aes256;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes_kw::KwpAes256;

use super::{AuthFailed, BlockCipher};
use crate::secret::wipe;

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

pub(super) fn wrap_key(kek: &[u8; 32], key: &[u8; 32], wrapped: &mut [u8; 40]) {
    let written = KwpAes256::new(&Array(*kek)).wrap_key(key, wrapped).expect("32 bytes are wrapped into 40");
    debug_assert_eq!(written.len(), 40);
}

pub(super) fn unwrap_key(kek: &[u8; 32], wrapped: &[u8; 40], key: &mut [u8; 32]) -> Result<(), AuthFailed> {
    // A wrap of fewer bytes is a wrap of something else.
    match KwpAes256::new(&Array(*kek)).unwrap_key(wrapped, key) {
        Ok(opened) if opened.len() == 32 => Ok(()),
        _ => {
            wipe(key);
            Err(AuthFailed)
        }
    }
}
