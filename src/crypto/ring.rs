//! The backend over ring, with the AES block cipher of RustCrypto, which ring does not offer.
//!
//! Floor 1, seen only through [`Backend`]. Neither the AEAD keys nor the HMAC states are wiped on drop: the library has
//! no way to.

#![allow(
    clippy::expect_used,
    reason = "lengths are fixed by type or checked in `aead`, and each states its invariant"
)]

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use ring::{digest, hmac};

use super::rust_aes::{self, Aes};
use super::{AeadCipher, AuthFailed, Backend, Hmac};

pub(crate) struct Ring;

impl Backend for Ring {
    type Aead = Box<LessSafeKey>;
    type Aes = Box<Aes>;
    type Hmac = hmac::Context;

    fn sha256(parts: &[&[u8]]) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        parts.iter().for_each(|part| context.update(part));
        context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes")
    }

    fn wrap_key(kek: &[u8; 32], key: &[u8], wrapped: &mut [u8]) {
        rust_aes::wrap_key(kek, key, wrapped);
    }

    fn unwrap_key(kek: &[u8; 32], wrapped: &[u8], key: &mut [u8]) -> Result<usize, AuthFailed> {
        rust_aes::unwrap_key(kek, wrapped, key)
    }
}

// Boxed: several hundred bytes of round keys that would otherwise be moved about the stack.
impl AeadCipher for Box<LessSafeKey> {
    fn new(key: &[u8; 32]) -> Self {
        Self::new(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("the key has 32 bytes")))
    }

    fn seal_in_place(&self, nonce: &[u8; 12], aad: &[u8], in_out: &mut [u8], tag: &mut [u8; 16]) {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let made = self.seal_in_place_separate_tag(nonce, Aad::from(aad), in_out);
        tag.copy_from_slice(made.expect("nothing here comes near 64 GiB").as_ref());
    }

    fn seal_to(&self, nonce: &[u8; 12], aad: &[u8], plaintext: &[u8], out: &mut [u8], tag: &mut [u8; 16]) {
        out.copy_from_slice(plaintext);
        self.seal_in_place(nonce, aad, out, tag);
    }

    fn open_in_place(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        in_out: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), AuthFailed> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        self.open_in_place_separate_tag(nonce, Aad::from(aad), Tag::from(*tag), in_out, 0..)
            .map(|_| ())
            .map_err(|_| AuthFailed)
    }

    fn open_to(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8; 16],
        plaintext: &mut [u8],
    ) -> Result<(), AuthFailed> {
        plaintext.copy_from_slice(ciphertext);
        self.open_in_place(nonce, aad, plaintext, tag)
    }
}

impl Hmac for hmac::Context {
    fn new(key: &[u8]) -> Self {
        Self::with_key(&hmac::Key::new(hmac::HMAC_SHA512, key))
    }

    fn update(&mut self, part: &[u8]) {
        self.update(part);
    }

    fn finish(self, mac: &mut [u8; 64]) {
        mac.copy_from_slice(self.sign().as_ref());
    }
}
