//! The key schedule of suite 1: everything that is derived from one data key.
//!
//! Floor 2. Each derived key has its own label and depends on the salt, the suite and the whole context, so that
//! none can stand for another. Section "Key schedule" of the [format](crate::manual::format).

use super::{context::BoundContext, label};
use crate::{
    crypto::kdf::hkdf_expand,
    secret::{DataKey, Secret},
};

/// Derives the keys of one message or key envelope from its data key.
#[derive(Debug)]
pub(crate) struct Schedule<'a> {
    key: &'a DataKey,
    core: [u8; 12],
    context_len: [u8; 4],
    context: &'a [u8],
}

/// What seals and opens the chunks of a body, and proves that this is the right key and context.
#[derive(Debug)]
pub(crate) struct BodyKeys {
    /// The AES-256-GCM key of the chunks.
    pub(crate) key: Secret<32>,
    /// XORed with the chunk's number to give its nonce.
    pub(crate) base_nonce: [u8; 12],
    /// Commits to the data key and to the whole context. Not secret.
    pub(crate) commitment: [u8; 32],
}

impl<'a> Schedule<'a> {
    /// Binds every key to `core` (version, kind, suite) and to all pairs of the context.
    pub(crate) fn new(key: &'a DataKey, core: [u8; 12], bound: &'a BoundContext) -> Self {
        let context = bound.all_bytes();
        let context_len = u32::try_from(context.len()).unwrap_or(u32::MAX).to_be_bytes();
        Self { key, core, context_len, context }
    }

    /// The keys of the body: Cobblestone-256 with our context, bit for bit.
    pub(crate) fn body(&self, salt: &Salt) -> BodyKeys {
        let mut out = Secret::<76>::zeroed();
        let [core, context_len, context] = self.transcript();
        let info = [CHUNKED_ENCRYPTION, salt, label!("message"), core, context_len, context];
        hkdf_expand(self.key.expose_bytes(), &info, out.expose_mut());
        let mut keys = BodyKeys { key: Secret::zeroed(), base_nonce: [0; 12], commitment: [0; 32] };
        let (key, rest) = out.expose().split_at(32);
        let (base_nonce, commitment) = rest.split_at(12);
        keys.key.expose_mut().copy_from_slice(key);
        keys.base_nonce.copy_from_slice(base_nonce);
        keys.commitment.copy_from_slice(commitment);
        keys
    }

    /// The key of the slots' MACs.
    pub(crate) fn mac_key(&self, salt: &Salt) -> Secret<64> {
        self.derive(label!("header-mac"), salt)
    }

    /// The key of the records under a key envelope of role record.
    pub(crate) fn record_key(&self, salt: &Salt) -> Secret<32> {
        self.derive(label!("record"), salt)
    }

    /// The wrapping key of recipients of type 0x0020 under a key envelope of role record.
    pub(crate) fn child_key(&self, salt: &Salt) -> Secret<32> {
        self.derive(label!("child"), salt)
    }

    fn derive<const N: usize>(&self, label: &[u8], salt: &Salt) -> Secret<N> {
        let mut out = Secret::zeroed();
        let [core, context_len, context] = self.transcript();
        hkdf_expand(self.key.expose_bytes(), &[label, salt, core, context_len, context], out.expose_mut());
        out
    }

    /// T, in parts.
    fn transcript(&self) -> [&[u8]; 3] {
        [&self.core, &self.context_len, self.context]
    }
}

/// A body's salt.
pub(crate) type Salt = [u8; 24];

/// What every derivation of c2sp.org/chunked-encryption with this AEAD begins with.
const CHUNKED_ENCRYPTION: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";
