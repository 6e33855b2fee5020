//! Messages, a key envelope and records that were sealed once, under keys that everybody knows.
//!
//! The files under `fuzz/fixtures/` were written by `cargo run --manifest-path fuzz/Cargo.toml --example fixtures`.
//! They are never written again: the corpora are edits of exactly these bytes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use kuvert::{
    DataKey, EncryptionContext, OpenHandle, OpenOptions, ProviderError, Recipient,
    provider::{Health, KeyProvider, MemoryProvider, ProviderInfo, WrapContext},
};

use super::model::{self, Geometry, Kind};

/// A sealed message, all of whose secrets are known.
#[derive(Debug)]
pub struct Fixture {
    pub name: &'static str,
    /// Header and body; of a detached message too, the header first.
    pub message: &'static [u8],
    /// The byte that is repeated to make the data key.
    pub dek: u8,
    pub stored: &'static [(&'static str, &'static str)],
    pub required: &'static [(&'static str, &'static str)],
    pub plaintext_len: usize,
}

macro_rules! fixture {
    ($name:literal, dek: $dek:literal, stored: $stored:expr, required: $required:expr, len: $len:expr) => {
        Fixture {
            name: $name,
            message: include_bytes!(concat!("../fixtures/", $name)),
            dek: $dek,
            stored: $stored,
            required: $required,
            plaintext_len: $len,
        }
    };
}

/// Their order is part of what the corpora mean: new ones go to the end.
pub const FIXTURES: [Fixture; 8] = [
    fixture!("empty.kv", dek: 1, stored: &[], required: &[], len: 0),
    fixture!("small.kv", dek: 2, stored: USER, required: TENANT, len: 100),
    fixture!("chunks.kv", dek: 3, stored: BACKUP, required: &[], len: 2 * 16_384 + 1000),
    fixture!("rewrappable.kv", dek: 4, stored: USER, required: TENANT, len: 300),
    fixture!("twin-a.kv", dek: 5, stored: BACKUP, required: &[], len: 16_384),
    fixture!("twin-b.kv", dek: 5, stored: BACKUP, required: &[], len: 16_384 + 50),
    fixture!("detached.kv", dek: 6, stored: BACKUP, required: &[], len: 200),
    fixture!("recipients.kv", dek: 7, stored: &[], required: TENANT, len: 1),
];

const USER: &[(&str, &str)] = &[("id", "42"), ("table", "users")];
const TENANT: &[(&str, &str)] = &[("tenant", "acme")];
const BACKUP: &[(&str, &str)] = &[("backup", "daily")];

/// A key envelope of the context `purpose = customers`, under the same wrapping key, and its data key.
pub const ENVELOPE: &[u8] = include_bytes!("../fixtures/envelope.kv");
pub const ENVELOPE_DEK: u8 = 8;
pub const ENVELOPE_CONTEXT: [(&str, &str); 1] = [("purpose", "customers")];
/// Another one, of the context `purpose = orders`.
pub const OTHER_ENVELOPE: &[u8] = include_bytes!("../fixtures/other-envelope.kv");

/// The cell of every record below.
pub const CELL: [&str; 3] = ["customers", "email", "42"];
/// Records of that cell under the first envelope: their plaintexts' lengths, and their bytes.
pub const RECORDS: [(usize, &[u8]); 3] = [
    (0, include_bytes!("../fixtures/record-0.kv")),
    (16, include_bytes!("../fixtures/record-16.kv")),
    (1000, include_bytes!("../fixtures/record-1000.kv")),
];

impl Fixture {
    pub fn plaintext(&self) -> Vec<u8> {
        plaintext(self.plaintext_len, self.dek)
    }

    pub fn geometry(&self) -> Geometry {
        model::geometry(self.message, Kind::Message).unwrap()
    }

    pub fn header_len(&self) -> usize {
        self.geometry().header_len()
    }

    pub fn body(&self) -> &'static [u8] {
        &self.message[self.header_len()..]
    }

    pub fn is_detached(&self) -> bool {
        self.geometry().detached
    }

    /// The right context to present.
    pub fn context(&self) -> EncryptionContext {
        EncryptionContext::new(self.all_pairs()).unwrap()
    }

    pub fn all_pairs(&self) -> Vec<(&'static str, &'static str)> {
        [self.stored, self.required].concat()
    }

    /// The key of the slots' MACs, for a body that begins so.
    pub fn mac_key(&self, body_start: &[u8]) -> [u8; 64] {
        model::mac_key(&[self.dek; 32], &self.message[..12], &body_start[..24], &self.all_pairs())
    }
}

/// Bytes that differ from chunk to chunk and from message to message.
pub fn plaintext(len: usize, seed: u8) -> Vec<u8> {
    let byte = |at: usize| (at ^ at >> 8 ^ at >> 14).to_le_bytes()[0].wrapping_mul(31).wrapping_add(seed);
    (0..len).map(byte).collect()
}

/// The wrapping key of every fixture; one that seals nothing; and the one that most of `tests/vectors` are sealed
/// under, so that they open as they are.
pub const KEYS: [(&str, [u8; 32]); 3] = [
    ("fuzz", [0x42; 32]),
    ("spare", [0x43; 32]),
    (
        "backup-2026",
        *b"\x7c\x92\x39\x79\x06\xde\x08\x80\x6a\xf4\x8d\xf0\xe3\xb4\xaf\xf7\
        \x6a\xa9\x3f\x30\x67\xcf\x38\x2b\xb5\xa6\x37\x55\x1d\xeb\xb0\x2b",
    ),
];

pub fn provider() -> MemoryProvider {
    MemoryProvider::from_keys(KEYS).unwrap()
}

/// The fixtures' wrapping keys, and how often they were asked to unwrap.
#[derive(Debug, Clone)]
pub struct Keys(Arc<Counting>);

impl Keys {
    pub fn new() -> Self {
        Self(Arc::new(Counting { inner: provider(), unwraps: AtomicUsize::new(0) }))
    }

    pub fn handle(&self, options: OpenOptions) -> OpenHandle {
        OpenHandle::from_arc(self.0.clone()).with_options(options)
    }

    /// Unwraps since this was last asked.
    pub fn take_calls(&self) -> usize {
        self.0.unwraps.swap(0, Ordering::Relaxed)
    }
}

/// Runs a future of the crate to its end.
pub fn block_on<F: Future>(future: F) -> F::Output {
    kuvert::blocking::block_on(future).unwrap()
}

/// Counts how often one of its keys was asked to unwrap.
#[derive(Debug)]
struct Counting {
    inner: MemoryProvider,
    unwraps: AtomicUsize,
}

#[kuvert::async_trait]
impl KeyProvider for Counting {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        self.inner.wrap_data_key(key, context).await
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        let answer = self.inner.unwrap_data_key(recipient, context).await;
        if !matches!(answer, Ok(None)) {
            self.unwraps.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.inner.check().await
    }

    fn describe(&self) -> ProviderInfo {
        self.inner.describe()
    }
}
