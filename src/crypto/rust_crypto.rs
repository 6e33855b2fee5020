//! The portable backend: RustCrypto throughout, no C and no assembler.
//!
//! Floor 1, seen only through [`Backend`]. Slower than the others by half an order of magnitude where the processor
//! has wide AES, and right where nothing else builds.

#![allow(
    clippy::expect_used,
    reason = "lengths are fixed by type or checked in `aead`, and each states its invariant"
)]

use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{Aes256Gcm, KeyInit};
use hmac::Mac;
use sha2::{Digest, Sha256, Sha512};

use super::rust_aes::{self, Aes};
use super::{AeadCipher, AuthFailed, Backend, Hmac};

pub(crate) struct RustCrypto;

impl Backend for RustCrypto {
    type Aead = Box<Aes256Gcm>;
    type Aes = Box<Aes>;
    type Hmac = hmac::Hmac<Sha512>;

    fn sha256(parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new();
        parts.iter().for_each(|part| hash.update(part));
        hash.finalize().into()
    }

    fn wrap_key(kek: &[u8; 32], key: &[u8], wrapped: &mut [u8]) {
        rust_aes::wrap_key(kek, key, wrapped);
    }

    fn unwrap_key(kek: &[u8; 32], wrapped: &[u8], key: &mut [u8]) -> Result<usize, AuthFailed> {
        rust_aes::unwrap_key(kek, wrapped, key)
    }
}

// Boxed: about a kilobyte of round keys and powers of H that would otherwise be moved about the stack.
impl AeadCipher for Box<Aes256Gcm> {
    fn new(key: &[u8; 32]) -> Self {
        Self::new(Aes256Gcm::new(&(*key).into()))
    }

    fn seal_in_place(&self, nonce: &[u8; 12], aad: &[u8], in_out: &mut [u8], tag: &mut [u8; 16]) {
        let made = self.encrypt_inout_detached(&(*nonce).into(), aad, in_out.into());
        tag.copy_from_slice(&made.expect(TOO_LONG));
    }

    fn seal_to(&self, nonce: &[u8; 12], aad: &[u8], plaintext: &[u8], out: &mut [u8], tag: &mut [u8; 16]) {
        let buffers = InOutBuf::new(plaintext, out).expect("the lengths are equal");
        let made = self.encrypt_inout_detached(&(*nonce).into(), aad, buffers);
        tag.copy_from_slice(&made.expect(TOO_LONG));
    }

    fn open_in_place(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        in_out: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), AuthFailed> {
        self.decrypt_inout_detached(&(*nonce).into(), aad, in_out.into(), &(*tag).into())
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
        let buffers = InOutBuf::new(ciphertext, plaintext).expect("the lengths are equal");
        self.decrypt_inout_detached(&(*nonce).into(), aad, buffers, &(*tag).into()).map_err(|_| AuthFailed)
    }
}

const TOO_LONG: &str = "nothing here comes near 64 GiB";

impl Hmac for hmac::Hmac<Sha512> {
    fn new(key: &[u8]) -> Self {
        <Self as hmac::KeyInit>::new_from_slice(key).expect("HMAC takes keys of every length")
    }

    fn update(&mut self, part: &[u8]) {
        Mac::update(self, part);
    }

    fn finish(self, mac: &mut [u8; 64]) {
        mac.copy_from_slice(&self.finalize().into_bytes());
    }
}
