//! AES-256-GCM: 96-bit nonce, 128-bit tag, in place or from slice to slice.
//!
//! The face over the backends' ciphers, which checks lengths once and wipes what a failed open wrote. Floor 1;
//! must not know what is sealed. Who makes keys and nonces unique is said in the [format](crate::manual::format).

#![allow(clippy::expect_used, reason = "the caller sizes the buffers by the contract of each function")]

use std::fmt;

use super::{AeadCipher, AuthFailed, Backend, Chosen};
use crate::secret::wipe;

/// The AEAD of the chosen backend.
pub(crate) type AeadKey = Aead<Chosen>;

/// An AES-256-GCM key, ready for use. Wiped on drop where the backend can; neither `Clone` nor readable.
///
/// The caller never repeats a nonce under one key.
pub(crate) struct Aead<B: Backend>(B::Aead);

impl<B: Backend> Aead<B> {
    /// Prepares a key, whose bytes the caller wipes.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(B::Aead::new(key))
    }

    /// Replaces plaintext by ciphertext and writes the tag.
    pub(crate) fn seal_in_place(&self, nonce: &[u8; 12], aad: &[u8], in_out: &mut [u8], tag: &mut [u8; 16]) {
        self.0.seal_in_place(nonce, aad, in_out, tag);
    }

    /// Writes ciphertext and tag into `sealed`, which has exactly 16 bytes more than `plaintext`.
    pub(crate) fn seal_to(&self, nonce: &[u8; 12], aad: &[u8], plaintext: &[u8], sealed: &mut [u8]) {
        let (out, tag) = sealed.split_last_chunk_mut().expect("sealed has room for the tag");
        self.0.seal_to(nonce, aad, plaintext, out, tag);
    }

    /// Replaces ciphertext by plaintext, or by zeros if the tag does not fit.
    pub(crate) fn open_in_place(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        in_out: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), AuthFailed> {
        self.0.open_in_place(nonce, aad, in_out, tag).inspect_err(|_| wipe(in_out))
    }

    /// Writes the plaintext of `sealed` (ciphertext and tag) into `plaintext`, which has exactly 16 bytes less; or
    /// zeros if the tag does not fit.
    pub(crate) fn open_to(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        sealed: &[u8],
        plaintext: &mut [u8],
    ) -> Result<(), AuthFailed> {
        let (ciphertext, tag) = sealed.split_last_chunk().expect("sealed has a tag");
        assert_eq!(ciphertext.len(), plaintext.len(), "plaintext has room for exactly what is opened");
        self.0.open_to(nonce, aad, ciphertext, tag, plaintext).inspect_err(|_| wipe(plaintext))
    }
}

impl<B: Backend> fmt::Debug for Aead<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AeadKey(..)")
    }
}
