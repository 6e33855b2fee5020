//! One key, one context, recognisable plaintext, and messages of every layout.
//!
//! The wrapping key is known and the data keys are fresh, unless a test brings its own provider.

use base64ct::{Base64, Encoding};
use kuvert::provider::MemoryProvider;
use kuvert::{Cell, EncryptionContext, Kuvert, Layout, SealOptions};
use sha2::{Digest, Sha256};

use super::anatomy::{CHUNK, SEALED_CHUNK};
use super::cancel::wait;

/// The wrapping key's id and bytes.
pub const KEY_ID: &str = "test-key";
pub const WRAPPING_KEY: [u8; 32] = *b"a wrapping key that is no secret";

pub fn provider() -> MemoryProvider {
    MemoryProvider::from_keys([(KEY_ID, WRAPPING_KEY)]).expect("one well-named key")
}

/// The text of a key file with one key.
pub fn key_file_text(id: &str, key: &[u8; 32]) -> String {
    let check = Sha256::digest([b"kuvert-key-v1", id.as_bytes(), key].concat());
    let line = Base64::encode_string(&[&key[..], &check[..4]].concat());
    format!("# a key of the tests\nkuvert-key-v1:{id}:{line}\n")
}

/// Writes it as a file that only its owner may read.
#[cfg(unix)]
pub fn write_key_file(path: &std::path::Path, id: &str, key: &[u8; 32]) {
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create_new(true), 0o600);
    let mut file = options.open(path).expect("a new file");
    std::io::Write::write_all(&mut file, key_file_text(id, key).as_bytes()).expect("a working disk");
}

pub fn kuvert() -> Kuvert {
    Kuvert::new(provider())
}

/// One stored and one required pair.
pub fn context() -> EncryptionContext {
    let stored = EncryptionContext::new([("table", "users")]).expect("within the limits");
    stored.with_required("tenant", "7").expect("within the limits")
}

pub fn cell() -> Cell<'static> {
    Cell::new("customers", "email", "42")
}

/// Plaintext in which every 8 bytes tell where they stand, so that any mix-up shows.
pub fn text(len: usize) -> Vec<u8> {
    let words = len.div_ceil(8) as u64;
    let mut text: Vec<u8> = (0..words).flat_map(|n| (0x5a17_0000_0000_0000 | n).to_be_bytes()).collect();
    text.truncate(len);
    text
}

/// A message in one piece: compact or rewrappable.
pub fn message(layout: Layout, plaintext: &[u8]) -> Vec<u8> {
    let kuvert = kuvert().with_seal_options(SealOptions::default().with_layout(layout));
    wait(kuvert.seal(plaintext, &context())).expect("sealing in memory")
}

/// Bytes of the sealed chunks of so much plaintext, from the formula in the manual.
pub fn chunks_len(plaintext: usize) -> usize {
    plaintext / CHUNK * SEALED_CHUNK + plaintext % CHUNK + 16
}

/// Sizes around every border: none, one, a chunk, a machine's group of 32 chunks, several of each.
pub const SIZES: [usize; 17] = [
    0,
    1,
    15,
    16,
    100,
    CHUNK - 1,
    CHUNK,
    CHUNK + 1,
    2 * CHUNK - 1,
    2 * CHUNK,
    2 * CHUNK + 1,
    5 * CHUNK + 777,
    32 * CHUNK - 1,
    32 * CHUNK,
    32 * CHUNK + 1,
    33 * CHUNK,
    64 * CHUNK + 5,
];
