//! Seals and opens exactly one chunk: the nonce from the index, no additional data.
//!
//! Knows nothing of order or finality: which chunks exist, and which is the last, is the machines' and the
//! readers' business. [Section 3](crate::manual::format) of the format, Cobblestone-256.

use std::{fmt, sync::Arc};

use crate::{
    crypto::{AuthFailed, aead::AeadKey},
    format::schedule::BodyKeys,
    limits::{CHUNK_LEN, TAG_LEN},
};

/// The key of one body and its base nonce. Clones share the key, which is wiped with the last of them.
#[derive(Clone)]
pub(crate) struct ChunkCipher {
    key: Arc<AeadKey>,
    base_nonce: [u8; 12],
}

impl ChunkCipher {
    pub(crate) fn new(keys: &BodyKeys) -> Self {
        Self { key: Arc::new(AeadKey::new(keys.key.expose())), base_nonce: keys.base_nonce }
    }

    /// Seals `plaintext` into `sealed`, which is 16 bytes longer.
    pub(crate) fn seal_to(&self, index: u64, plaintext: &[u8], sealed: &mut [u8]) {
        debug_assert!(plaintext.len() <= CHUNK_LEN, "a chunk has at most 16 KiB");
        self.key.seal_to(&self.nonce(index), &[], plaintext, sealed);
    }

    /// Seals in place: `chunk` is the plaintext with 16 bytes of room behind it.
    pub(crate) fn seal_in_place(&self, index: u64, chunk: &mut [u8]) {
        let (text, tag) = chunk.split_last_chunk_mut::<TAG_LEN>().expect("callers leave room for the tag");
        self.key.seal_in_place(&self.nonce(index), &[], text, tag);
    }

    /// Opens `sealed` into `plaintext`, which is 16 bytes shorter; on failure `plaintext` is wiped.
    pub(crate) fn open_to(&self, index: u64, sealed: &[u8], plaintext: &mut [u8]) -> Result<(), AuthFailed> {
        self.key.open_to(&self.nonce(index), &[], sealed, plaintext)
    }

    /// Opens in place and returns the plaintext's length; on failure `sealed` is wiped.
    pub(crate) fn open_in_place(&self, index: u64, sealed: &mut [u8]) -> Result<usize, AuthFailed> {
        let (text, tag) = sealed.split_last_chunk_mut::<TAG_LEN>().ok_or(AuthFailed)?;
        self.key.open_in_place(&self.nonce(index), &[], text, tag)?;
        Ok(text.len())
    }

    /// The base nonce with the index XORed into its last eight bytes.
    // fmt: N-7
    fn nonce(&self, index: u64) -> [u8; 12] {
        let mut nonce = self.base_nonce;
        for (byte, counter) in nonce[4..].iter_mut().zip(index.to_be_bytes()) {
            *byte ^= counter;
        }
        nonce
    }
}

#[cfg(test)]
impl ChunkCipher {
    /// How many there are that share this key.
    pub(crate) fn shares_for_test(&self) -> usize {
        Arc::strong_count(&self.key)
    }
}

impl fmt::Debug for ChunkCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChunkCipher(..)")
    }
}
