//! The crypto floor: the only place that names a cryptographic library.
//!
//! One face, [`Backend`], over three libraries that give the same bytes; features choose which of them the crate
//! runs on. Floor 1: knows keys, nonces and bytes, and nothing of headers, records or streams.
//! Which standard does what is said at the top of the [format](crate::manual::format).

pub(crate) mod aead;
#[cfg(any(test, fuzzing))]
pub(crate) mod differential;
pub(crate) mod kdf;
pub(crate) mod key_wrap;
pub(crate) mod random;
#[cfg(any(feature = "aws-kms", feature = "pkcs11"))]
pub(crate) mod rsa;
pub(crate) mod xaes;

// A backend that is not the chosen one is compiled for the tests that compare them, and for nothing else.
#[cfg(feature = "aws-lc")]
mod aws_lc;
#[cfg(all(feature = "ring", any(test, fuzzing, not(feature = "aws-lc"))))]
mod ring;
#[cfg(all(any(feature = "ring", feature = "portable"), any(test, fuzzing, not(feature = "aws-lc"))))]
mod rust_aes;
#[cfg(all(feature = "portable", any(test, fuzzing, not(any(feature = "aws-lc", feature = "ring")))))]
mod rust_crypto;

#[cfg(not(any(feature = "aws-lc", feature = "ring", feature = "portable")))]
compile_error!(
    "kuvert needs a crypto backend: enable the feature `aws-lc` (the default, fastest), `ring` or `portable`"
);

#[cfg(feature = "aws-lc")]
type Chosen = aws_lc::AwsLc;
#[cfg(all(feature = "ring", not(feature = "aws-lc")))]
type Chosen = ring::Ring;
#[cfg(all(feature = "portable", not(any(feature = "aws-lc", feature = "ring"))))]
type Chosen = rust_crypto::RustCrypto;

/// A tag, a key wrap or a commitment did not verify. Says nothing more, so that nothing more can leak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AuthFailed;

/// What a library has to give. Everything above it is written once, over this.
pub(crate) trait Backend {
    /// AES-256-GCM with a 96-bit nonce and a 128-bit tag.
    type Aead: AeadCipher;
    /// The AES-256 block cipher, encrypting only.
    type Aes: BlockCipher;
    /// HMAC-SHA-512.
    type Hmac: Hmac;

    fn sha256(parts: &[&[u8]]) -> [u8; 32];
    /// AES-KWP (RFC 5649). `wrapped` is as long as `key`, rounded up to whole 8 bytes, and 8 more.
    fn wrap_key(kek: &[u8; 32], key: &[u8], wrapped: &mut [u8]);
    /// The reverse: the length of the key that `key` now begins with. `key` is 8 bytes shorter than `wrapped`; on
    /// failure its content is undefined.
    fn unwrap_key(kek: &[u8; 32], wrapped: &[u8], key: &mut [u8]) -> Result<usize, AuthFailed>;
}

/// See [`aead::Aead`] for the meaning; lengths are checked there, and whatever a failed open wrote is wiped there.
pub(crate) trait AeadCipher: Send + Sync {
    fn new(key: &[u8; 32]) -> Self;
    fn seal_in_place(&self, nonce: &[u8; 12], aad: &[u8], in_out: &mut [u8], tag: &mut [u8; 16]);
    fn seal_to(&self, nonce: &[u8; 12], aad: &[u8], plaintext: &[u8], out: &mut [u8], tag: &mut [u8; 16]);
    fn open_in_place(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        in_out: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), AuthFailed>;
    fn open_to(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        ciphertext: &[u8],
        tag: &[u8; 16],
        plaintext: &mut [u8],
    ) -> Result<(), AuthFailed>;
}

pub(crate) trait BlockCipher: Send + Sync {
    fn new(key: &[u8; 32]) -> Self;
    /// Encrypts each 16-byte block of `blocks` by itself.
    fn encrypt(&self, blocks: &mut [u8]);
}

/// A keyed HMAC in the making. A clone of a fresh one saves preparing the key again.
pub(crate) trait Hmac: Clone {
    fn new(key: &[u8]) -> Self;
    fn update(&mut self, part: &[u8]);
    fn finish(self, mac: &mut [u8; 64]);
}

/// Compares without telling by its duration where the first difference is. Lengths are not secret.
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    // fmt: N-5
    let differences = a.iter().zip(b).fold(0, |seen, (a, b)| seen | (a ^ b));
    std::hint::black_box(differences) == 0
}

/// Runs `work`, then overwrites the stack that it used.
///
/// Libraries move prepared keys about by value and wipe only the last place. Those copies lie below the caller's
/// frame, where the next call would overwrite some of them some day; this does so at once.
fn with_clean_stack<R>(work: impl FnOnce() -> R) -> R {
    // Never inlined: only what lies in a frame of its own lies where `overwrite` writes.
    #[inline(never)]
    fn below<R>(work: impl FnOnce() -> R) -> R {
        work()
    }
    #[inline(never)]
    fn overwrite() {
        let mut stack = [0_u8; CLEANED_STACK];
        std::hint::black_box(&mut stack);
    }
    let result = below(work);
    overwrite();
    result
}

/// Bytes of stack that [`with_clean_stack`] overwrites: several times what the deepest of the operations uses.
const CLEANED_STACK: usize = 8 * 1024;

#[cfg(test)]
mod tests;
