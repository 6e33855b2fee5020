//! The key schedule of suite 1: everything that is derived from one data key.
//!
//! Floor 2. Each derived key has its own label and depends on the salt, the suite and the whole context, so that
//! none can stand for another. Section "Key schedule" of the [format](crate::manual::format).

use std::fmt;

use super::{context::BoundContext, label, u16_len, u32_len};
use crate::{
    crypto::kdf::hkdf_expand,
    secret::{DataKey, Secret},
};

/// Derives the keys of one message or key envelope from its data key.
pub(crate) struct Schedule<'a> {
    key: &'a DataKey,
    core: [u8; 12],
    context_len: [u8; 4],
    context: &'a [u8],
}

/// What seals and opens the chunks of a body, and proves that this is the right key and context.
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
        Self { key, core, context_len: u32_len(context.len()), context }
    }

    /// The keys of the body: Cobblestone-256 with our context, bit for bit.
    pub(crate) fn body(&self, salt: &Salt) -> BodyKeys {
        let mut out = Secret::<76>::zeroed();
        let [core, context_len, context] = self.transcript();
        // fmt: N-7, K-3
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
    // fmt: K-4
    pub(crate) fn mac_key(&self, salt: &Salt) -> Secret<64> {
        self.derive(label!("header-mac"), salt)
    }

    /// The key of the records under a key envelope of role record.
    // fmt: K-4
    pub(crate) fn record_key(&self, salt: &Salt) -> Secret<32> {
        self.derive(label!("record"), salt)
    }

    /// The wrapping key of recipients of type 0x0020 under a key envelope of role record.
    // fmt: K-5
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "only subject keys have recipients of type 0x0020 so far")
    )]
    pub(crate) fn child_key(&self, salt: &Salt) -> Secret<32> {
        self.derive(label!("child"), salt)
    }

    /// The key of what stands for names and scopes. This and the next four: key envelopes of role root.
    // fmt: J-1
    pub(crate) fn pseudonym_key(&self, salt: &Salt) -> Secret<64> {
        self.derive(label!("pseudonym"), salt)
    }

    /// The key of the chain of tombstones.
    pub(crate) fn tombstone_key(&self, salt: &Salt) -> Secret<64> {
        self.derive(label!("tombstone"), salt)
    }

    /// The key of the chain of receipts.
    pub(crate) fn receipt_key(&self, salt: &Salt) -> Secret<64> {
        self.derive(label!("receipt"), salt)
    }

    /// The key of what stands for requests and cases.
    pub(crate) fn request_key(&self, salt: &Salt) -> Secret<64> {
        self.derive(label!("request"), salt)
    }

    /// What the keys of blind indexes are derived from later, one for each name.
    pub(crate) fn index_schedule(&self, salt: &Salt) -> IndexSchedule {
        let transcript = [label!("index"), salt].into_iter().chain(self.transcript()).flatten().copied();
        IndexSchedule { key: DataKey::copy_from(self.key.expose_bytes()), info: transcript.collect() }
    }

    /// The key that seals subject keys: key envelopes of role epoch, and their only use.
    // fmt: J-1
    pub(crate) fn subject_key(&self, salt: &Salt) -> Secret<32> {
        self.derive(label!("subject"), salt)
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

impl fmt::Debug for Schedule<'_> {
    /// Without the context, whose values may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Schedule(..)")
    }
}

impl fmt::Debug for BodyKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyKeys(..)")
    }
}

/// Derives the keys of blind indexes from a root's data key.
pub(crate) struct IndexSchedule {
    key: DataKey,
    /// Label, salt and T.
    info: Vec<u8>,
}

impl IndexSchedule {
    /// The key of the indexes of this name, which has 1 to 255 bytes.
    // fmt: J-10
    pub(crate) fn derive(&self, name: &str) -> Secret<64> {
        let mut out = Secret::zeroed();
        let info: [&[u8]; 3] = [&self.info, &u16_len(name.len()), name.as_bytes()];
        hkdf_expand(self.key.expose_bytes(), &info, out.expose_mut());
        out
    }
}

impl fmt::Debug for IndexSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IndexSchedule(..)")
    }
}

/// A body's salt.
pub(crate) type Salt = [u8; 24];

/// What every derivation of c2sp.org/chunked-encryption with this AEAD begins with.
const CHUNKED_ENCRYPTION: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{
        context::EncryptionContext,
        testing::{DEK, SALT, hex},
    };

    /// Computed by another program from the manual alone, for the context of the manual's example.
    #[test]
    fn every_key_is_the_independently_computed_one() {
        let context = EncryptionContext::new([("table", "users"), ("id", "42")]).expect("two short pairs");
        let bound = BoundContext::for_sealing(&context).expect("within the limits");
        let key = DataKey::copy_from(&DEK);
        let schedule = Schedule::new(&key, *b"\x89KUV\r\n\x1a\n\x01\x01\x00\x01", &bound);
        let body = schedule.body(&SALT);
        assert_eq!(
            hex(body.key.expose()),
            "3de7750a9b49179e37c925bd65f2d22fd58beb4f77a86b1a434daf985fdc2a9c"
        );
        assert_eq!(hex(&body.base_nonce), "7e40529ddd06a3104799b8b4");
        assert_eq!(hex(&body.commitment), "9fb05c881ec81e97c8822167313540e6a124a919fc20f2ac2b7116495d212dc2");
        assert_eq!(
            hex(schedule.mac_key(&SALT).expose()),
            "93f0da34f1b3281870e3433c90310c1cd4d722d9f255784c28a37b5b8c5a8897\
             b42ad450830cea9afbd69ac42e60a30d7bca4bf4e28e0f837bc41b334e46ec9b"
        );
        let (record, child) = (schedule.record_key(&SALT), schedule.child_key(&SALT));
        assert_eq!(hex(record.expose()), "04c66ca953be3e99ca723a364a7b491c0097750079757eb3cd6e01aa56bea408");
        assert_eq!(hex(child.expose()), "4762a6e6cda02adc93ceb2fd1d043e08bbf132e2d4c31fa90f3f164ce32f8e82");
    }

    #[test]
    fn every_input_changes_every_key() {
        let derive = |dek: [u8; 32], core: [u8; 12], value: &str, salt: [u8; 24]| {
            let context = EncryptionContext::new([("id", value)]).expect("one short pair");
            let bound = BoundContext::for_sealing(&context).expect("within the limits");
            let key = DataKey::copy_from(&dek);
            let schedule = Schedule::new(&key, core, &bound);
            let body = schedule.body(&salt);
            let (mac, record, child) =
                (schedule.mac_key(&salt), schedule.record_key(&salt), schedule.child_key(&salt));
            [
                body.key.expose().to_vec(),
                body.base_nonce.to_vec(),
                body.commitment.to_vec(),
                mac.expose().to_vec(),
                record.expose().to_vec(),
                child.expose().to_vec(),
            ]
        };
        let core = [7; 12];
        let keys = [
            derive(DEK, core, "42", SALT),
            derive([1; 32], core, "42", SALT),
            derive(DEK, [8; 12], "42", SALT),
            derive(DEK, core, "43", SALT),
            derive(DEK, core, "42", [1; 24]),
        ];
        let all: std::collections::BTreeSet<_> = keys.iter().flatten().collect();
        assert_eq!(all.len(), 5 * 6, "two derived values are the same");
    }

    #[test]
    fn the_split_into_stored_and_required_changes_nothing() {
        let stored = EncryptionContext::new([("a", "1"), ("b", "2")]).expect("two short pairs");
        let mixed = EncryptionContext::empty().with_required("b", "2").and_then(|c| c.with_stored("a", "1"));
        let key = DataKey::copy_from(&DEK);
        let mac_key = |context: &EncryptionContext| {
            let bound = BoundContext::for_sealing(context).expect("within the limits");
            *Schedule::new(&key, [0; 12], &bound).mac_key(&SALT).expose()
        };
        assert_eq!(mac_key(&stored), mac_key(&mixed.expect("two short pairs")));
    }

    #[test]
    fn neither_keys_nor_values_are_shown() {
        let context = EncryptionContext::new([("id", "planted")]).expect("one short pair");
        let bound = BoundContext::for_sealing(&context).expect("within the limits");
        let key = DataKey::copy_from(&[0xab; 32]);
        let schedule = Schedule::new(&key, [0; 12], &bound);
        let body = schedule.body(&SALT);
        let shown = format!("{schedule:?} {body:?} {:?} {key:?}", body.key);
        assert_eq!(shown, "Schedule(..) BodyKeys(..) Secret<32>(..) DataKey(..)");
    }
}
