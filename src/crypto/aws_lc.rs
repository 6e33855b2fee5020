//! The backend over aws-lc-rs: the default, and the one that leaves no key bytes behind.
//!
//! Its prepared AEAD keys live in one heap block that it wipes when freed; for what it moves over the stack by value
//! this module cleans up. Floor 1, seen only through [`Backend`].

#![allow(
    clippy::expect_used,
    reason = "lengths are fixed by type or checked in `aead`, and each states its invariant"
)]

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, EncryptingKey, UnboundCipherKey};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use aws_lc_rs::{digest, hmac};

use super::{AeadCipher, AuthFailed, Backend, BlockCipher, Hmac};

pub(crate) struct AwsLc;

impl Backend for AwsLc {
    type Aead = LessSafeKey;
    type Aes = Box<EncryptingKey>;
    type Hmac = hmac::Context;

    fn sha256(parts: &[&[u8]]) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        parts.iter().for_each(|part| context.update(part));
        context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes")
    }

    fn wrap_key(kek: &[u8; 32], key: &[u8], wrapped: &mut [u8]) {
        let kek = AesKek::new(&AES_256, kek).expect("the key has 32 bytes");
        kek.wrap_with_padding(key, wrapped).map(|_| ()).expect("the wrap has the right length");
    }

    fn unwrap_key(kek: &[u8; 32], wrapped: &[u8], key: &mut [u8]) -> Result<usize, AuthFailed> {
        let kek = AesKek::new(&AES_256, kek).expect("the key has 32 bytes");
        kek.unwrap_with_padding(wrapped, key).map(|key| key.len()).map_err(|_| AuthFailed)
    }
}

impl AeadCipher for LessSafeKey {
    fn new(key: &[u8; 32]) -> Self {
        Self::new(UnboundKey::new(&AES_256_GCM, key).expect("the key has 32 bytes"))
    }

    fn seal_in_place(&self, nonce: &[u8; 12], aad: &[u8], in_out: &mut [u8], tag: &mut [u8; 16]) {
        self.seal_in_place_scatter(Nonce::from(nonce), Aad::from(aad), in_out, &[], tag).expect(TOO_LONG);
    }

    fn seal_to(&self, nonce: &[u8; 12], aad: &[u8], plaintext: &[u8], out: &mut [u8], tag: &mut [u8; 16]) {
        self.seal_out_of_place_scatter(Nonce::from(nonce), Aad::from(aad), plaintext, out, &[], tag)
            .expect(TOO_LONG);
    }

    fn open_in_place(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        in_out: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), AuthFailed> {
        self.open_in_place_separate_tag(Nonce::from(nonce), Aad::from(aad), tag, in_out)
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
        self.open_separate_gather(Nonce::from(nonce), Aad::from(aad), ciphertext, tag, plaintext)
            .map_err(|_| AuthFailed)
    }
}

const TOO_LONG: &str = "lengths were checked, and nothing here comes near 64 GiB";

// Boxed, because the round keys are stored inline: moving a box moves a pointer.
impl BlockCipher for Box<EncryptingKey> {
    fn new(key: &[u8; 32]) -> Self {
        let key = UnboundCipherKey::new(&cipher::AES_256, key).expect("the key has 32 bytes");
        Self::new(EncryptingKey::ecb(key).expect("AES has an ECB mode"))
    }

    fn encrypt(&self, blocks: &mut [u8]) {
        EncryptingKey::encrypt(self, blocks).map(|_| ()).expect("whole blocks");
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
