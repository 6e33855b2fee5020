//! The comparison of backends must find a backend that is wrong: here is one for each way to be wrong.

use super::*;
use crate::crypto::{AeadCipher, AuthFailed, Chosen, differential};

type Sound = <Chosen as Backend>::Aead;

/// The chosen backend with a fault. `FAULT` says which.
struct Flawed<const FAULT: u8>;
struct FlawedAead<const FAULT: u8>(Sound);

const SOUND: u8 = 0;
const LAST_BYTE_OF_AAD_IGNORED: u8 = 1;
const LEFTOVER_AFTER_FAILED_OPEN: u8 = 2;
const SLICES_DIFFER_AT_256: u8 = 3;
const OTHER_BYTES: u8 = 4;

impl<const FAULT: u8> Backend for Flawed<FAULT> {
    type Aead = FlawedAead<FAULT>;
    type Aes = <Chosen as Backend>::Aes;
    type Hmac = <Chosen as Backend>::Hmac;

    fn sha256(parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Chosen::sha256(parts);
        hash[31] ^= u8::from(FAULT == OTHER_BYTES);
        hash
    }

    fn wrap_key(kek: &[u8; 32], key: &[u8], wrapped: &mut [u8]) {
        Chosen::wrap_key(kek, key, wrapped);
    }

    fn unwrap_key(kek: &[u8; 32], wrapped: &[u8], key: &mut [u8]) -> Result<usize, AuthFailed> {
        Chosen::unwrap_key(kek, wrapped, key)
    }
}

fn seen<const FAULT: u8>(aad: &[u8]) -> &[u8] {
    if FAULT == LAST_BYTE_OF_AAD_IGNORED { &aad[..aad.len().saturating_sub(1)] } else { aad }
}

impl<const FAULT: u8> AeadCipher for FlawedAead<FAULT> {
    fn new(key: &[u8; 32]) -> Self {
        Self(<Sound as AeadCipher>::new(key))
    }

    fn seal_in_place(&self, nonce: &[u8; 12], aad: &[u8], in_out: &mut [u8], tag: &mut [u8; 16]) {
        AeadCipher::seal_in_place(&self.0, nonce, seen::<FAULT>(aad), in_out, tag);
    }

    fn seal_to(&self, nonce: &[u8; 12], aad: &[u8], plaintext: &[u8], out: &mut [u8], tag: &mut [u8; 16]) {
        AeadCipher::seal_to(&self.0, nonce, seen::<FAULT>(aad), plaintext, out, tag);
        tag[15] ^= u8::from(FAULT == SLICES_DIFFER_AT_256 && plaintext.len() == 256);
    }

    fn open_in_place(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        in_out: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), AuthFailed> {
        AeadCipher::open_in_place(&self.0, nonce, seen::<FAULT>(aad), in_out, tag)
    }

    fn open_to(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8; 16],
        plaintext: &mut [u8],
    ) -> Result<(), AuthFailed> {
        let verdict = AeadCipher::open_to(&self.0, nonce, seen::<FAULT>(aad), ciphertext, tag, plaintext);
        // Answers `Ok` beside a wrong result, since what is left after an error is wiped above it.
        if FAULT == LEFTOVER_AFTER_FAILED_OPEN { Ok(()) } else { verdict }
    }
}

/// Whether the comparison of the sound backend with the flawed one finds the fault on some length.
fn found<const FAULT: u8>() -> bool {
    let data: Vec<u8> = (0_u8..253).cycle().take(91 + 5 + 300).collect();
    let lengths = [91, 95, 96, 100, 91 + 256, data.len()];
    lengths.iter().any(|len| {
        let compare = || differential::same_by::<Chosen, Flawed<FAULT>>(&data[..*len]);
        std::panic::catch_unwind(compare).map_or(true, |same| !same)
    })
}

#[test]
fn every_planted_fault_is_found_and_a_sound_backend_is_not_accused() {
    assert!(!found::<SOUND>());
    assert!(found::<LAST_BYTE_OF_AAD_IGNORED>());
    assert!(found::<LEFTOVER_AFTER_FAILED_OPEN>());
    assert!(found::<SLICES_DIFFER_AT_256>());
    assert!(found::<OTHER_BYTES>());
}
