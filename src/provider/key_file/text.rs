//! The text of a key file, line by line: strict, so that a mistyped key is told here and not by failing opens.
//!
//! Pure text and bytes; no file. Section 12 of the [format](crate::manual::format).

use std::fmt;

use base64ct::{Base64, Encoding as _};
use zeroize::Zeroizing;

use super::{KeyFileError, LineFault};
use crate::crypto::{equal, kdf};
use crate::secret::Secret;

/// A wrapping key and its public id.
pub(in crate::provider) struct Entry {
    id: String,
    key: Secret<KEY_LEN>,
}

impl Entry {
    pub(in crate::provider) const fn new(id: String, key: Secret<KEY_LEN>) -> Self {
        Self { id, key }
    }

    pub(in crate::provider) fn id(&self) -> &str {
        &self.id
    }

    pub(in crate::provider) fn key(&self) -> &[u8; KEY_LEN] {
        self.key.expose()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.id, f)
    }
}

/// Refuses an id that key files cannot hold.
pub(in crate::provider) fn check_id(id: &str) -> Result<(), KeyFileError> {
    if is_id(id) { Ok(()) } else { Err(KeyFileError::InvalidId { id: id.to_owned() }) }
}

pub(super) fn parse(text: &[u8]) -> Result<Vec<Entry>, (usize, LineFault)> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let before = text.get(..error.valid_up_to()).unwrap_or_default();
        (1 + before.iter().filter(|&&byte| byte == b'\n').count(), LineFault::NotUtf8)
    })?;
    if text.starts_with('\u{feff}') {
        return Err((1, LineFault::ByteOrderMark));
    }
    let mut entries: Vec<Entry> = Vec::new();
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let line = line.strip_suffix('\n').map_or(line, |line| line.strip_suffix('\r').unwrap_or(line));
        if line.contains('\r') {
            return Err((number, LineFault::CarriageReturn));
        }
        // fmt: F-1
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // fmt: F-7
        let entry = parse_entry(line).map_err(|fault| (number, fault))?;
        // fmt: F-4
        if entries.iter().any(|earlier| earlier.id == entry.id) {
            return Err((number, LineFault::DuplicateId));
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// The text of a file with these entries. Whoever takes it wipes it.
pub(super) fn print(entries: &[Entry]) -> String {
    let lines_len: usize = entries.iter().map(|entry| PREFIX.len() + entry.id.len() + KEY_CHARS + 2).sum();
    // The whole space at once: a growing string would leave copies of the keys in freed memory.
    let mut text = String::with_capacity(COMMENT.len() + lines_len);
    text.push_str(COMMENT);
    for entry in entries {
        let mut keyed = Secret::<CHECKED_LEN>::zeroed();
        let (key, check) = keyed.expose_mut().split_at_mut(KEY_LEN);
        key.copy_from_slice(entry.key.expose());
        check.copy_from_slice(&check_bytes(&entry.id, entry.key.expose()));
        let encoded = Zeroizing::new(Base64::encode_string(keyed.expose()));
        text.extend([PREFIX, &entry.id, ":", &encoded, "\n"]);
    }
    text
}

fn parse_entry(line: &str) -> Result<Entry, LineFault> {
    let Some(rest) = line.strip_prefix(PREFIX) else {
        return Err(not_an_entry(line));
    };
    if line.contains(char::is_whitespace) {
        return Err(LineFault::Blanks);
    }
    let (id, encoded) = rest.split_once(':').ok_or(LineFault::NotAnEntry)?;
    if !is_id(id) {
        return Err(LineFault::InvalidId);
    }
    if encoded.len() != KEY_CHARS {
        return Err(LineFault::KeyLength { found: encoded.chars().count() });
    }
    let mut keyed = Secret::<CHECKED_LEN>::zeroed();
    let decoded = Base64::decode(encoded, keyed.expose_mut()).map_err(|_| LineFault::KeyEncoding)?;
    let (key, check) = decoded.split_first_chunk::<KEY_LEN>().ok_or(LineFault::KeyEncoding)?;
    if !equal(check, &check_bytes(id, key)) {
        return Err(LineFault::CheckFailed);
    }
    Ok(Entry::new(id.to_owned(), Secret::copy_from(key)))
}

/// Why a line that does not begin as an entry is not one: what was most likely meant.
fn not_an_entry(line: &str) -> LineFault {
    let meant = line.trim();
    let version = meant.strip_prefix(ANY_PREFIX).and_then(|rest| rest.split(':').next()).unwrap_or_default();
    if meant.is_empty() || meant.starts_with(PREFIX) {
        LineFault::Blanks
    } else if version != "1" && !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()) {
        LineFault::UnknownVersion
    } else {
        LineFault::NotAnEntry
    }
}

fn is_id(id: &str) -> bool {
    // fmt: F-3
    (1..=MAX_ID_CHARS).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._/@-".contains(&byte))
}

fn check_bytes(id: &str, key: &[u8; KEY_LEN]) -> [u8; CHECK_LEN] {
    // fmt: F-2
    let hash = kdf::sha256(&[CHECK_LABEL, id.as_bytes(), key]);
    let [a, b, c, d, ..] = hash;
    [a, b, c, d]
}

const KEY_LEN: usize = 32;
/// Bytes of the hash that end a line: one mistyped line in four thousand million goes unnoticed.
const CHECK_LEN: usize = 4;
const CHECKED_LEN: usize = KEY_LEN + CHECK_LEN;
/// Base64 characters of key and check; 36 is a multiple of 3, so there is no padding.
const KEY_CHARS: usize = CHECKED_LEN / 3 * 4;
const MAX_ID_CHARS: usize = 256;
const CHECK_LABEL: &[u8] = b"kuvert-key-v1";
const PREFIX: &str = "kuvert-key-v1:";
const ANY_PREFIX: &str = "kuvert-key-v";
const COMMENT: &str = "\
# kuvert key file: a secret. Whoever has the line below can open everything sealed with it.
# Keep a copy in another safe place: if this key is lost, so is everything sealed with it.
";
