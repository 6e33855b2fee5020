//! XAES-256-GCM's key derivation (c2sp.org/XAES-256-GCM): from a key and 12 bytes to an AES-256-GCM subkey.
//!
//! The first half of a 24-byte nonce chooses the subkey, the second half is the subkey's own nonce, so random nonces
//! never run out. Floor 1; what is sealed with it is in the section on records of the [format](crate::manual::format).

use std::fmt;

use super::aead::Aead;
use super::{Backend, BlockCipher, Chosen, with_clean_stack};
use crate::secret::{Secret, wipe};

/// The derivation on the chosen backend.
pub(crate) type XaesKey = Xaes<Chosen>;

/// An XAES-256-GCM key with what all its subkeys have in common worked out.
pub(crate) struct Xaes<B: Backend> {
    cipher: B::Aes,
    /// The CMAC subkey K1 of SP 800-38B: messages are always one whole block, so K2 is never needed.
    k1: Secret<16>,
}

impl<B: Backend> Xaes<B> {
    /// Prepares a key, whose bytes the caller wipes.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let cipher = with_clean_stack(|| B::Aes::new(key));
        let mut k1 = Secret::zeroed();
        cipher.encrypt(k1.expose_mut());
        double(k1.expose_mut());
        Self { cipher, k1 }
    }

    /// The AES-256-GCM key for all nonces that begin with these 12 bytes.
    pub(crate) fn subkey(&self, first_half: &[u8; 12]) -> Aead<B> {
        let mut key = [0; 32];
        for (counter, block) in (1..).zip(key.chunks_exact_mut(16)) {
            block[..4].copy_from_slice(&[0, counter, b'X', 0]);
            block[4..].copy_from_slice(first_half);
            block.iter_mut().zip(self.k1.expose()).for_each(|(byte, k1)| *byte ^= k1);
        }
        self.cipher.encrypt(&mut key);
        let subkey = Aead::new(&key);
        wipe(&mut key);
        subkey
    }
}

impl<B: Backend> fmt::Debug for Xaes<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("XaesKey(..)")
    }
}

/// Doubles in GF(2^128) as SP 800-38B does, most significant bit first, without a branch on the secret.
fn double(block: &mut [u8; 16]) {
    let value = u128::from_be_bytes(*block);
    let reduction = (value >> 127) * 0b1000_0111;
    *block = ((value << 1) ^ reduction).to_be_bytes();
}
