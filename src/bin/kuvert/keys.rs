//! From `-k` and `KUVERT_KEYS` to a key provider.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;

use kuvert::provider::{KeyProvider, MemoryProvider};

use crate::failure::Failure;
use crate::names;

/// The keys of all files that were given.
pub(crate) fn load(keys: &[OsString]) -> Result<MemoryProvider, Failure> {
    load_all(&given(keys)?)
}

/// The keys as they were given with `-k`, or else by the environment; at least one.
pub(crate) fn given(keys: &[OsString]) -> Result<Vec<OsString>, Failure> {
    let given = if keys.is_empty() { from_environment() } else { keys.to_vec() };
    if given.is_empty() {
        return Err(Failure::usage(
            "no key was given: name a key file with -k KEY, or in the variable KUVERT_KEYS",
        )
        .advise("'kuvert keygen -o KEYFILE' makes one"));
    }
    Ok(given)
}

/// The keys of all these files, of which the first one seals.
pub(crate) fn load_all(keys: &[OsString]) -> Result<MemoryProvider, Failure> {
    let paths = keys.iter().map(|key| key_path(key)).collect::<Result<Vec<_>, _>>()?;
    Ok(MemoryProvider::from_key_files(paths)?)
}

/// A provider for each of these files: each is to be able to open.
pub(crate) fn each(keys: &[OsString]) -> Result<Vec<Arc<dyn KeyProvider>>, Failure> {
    let one = |key: &OsString| Ok(Arc::new(load_all(std::slice::from_ref(key))?) as Arc<dyn KeyProvider>);
    keys.iter().map(one).collect()
}

/// The ids of the keys that were given, for messages about keys that were not.
pub(crate) fn ids(provider: &MemoryProvider) -> String {
    let ids: Vec<_> = provider.describe().keys.into_iter().map(|key| names::shown(&key.id)).collect();
    ids.join(", ")
}

fn from_environment() -> Vec<OsString> {
    let Some(keys) = std::env::var_os(VARIABLE) else { return Vec::new() };
    let is_blank = |byte: &u8| byte.is_ascii_whitespace();
    // Blanks are ASCII, so that cutting there leaves whole pieces of whatever encoding the rest has.
    let pieces = keys.as_encoded_bytes().split(is_blank).filter(|piece| !piece.is_empty());
    pieces.map(piece_of).collect()
}

#[cfg(unix)]
fn piece_of(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStrExt as _;
    OsStr::from_bytes(bytes).to_os_string()
}

#[cfg(not(unix))]
fn piece_of(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

fn key_path(key: &OsStr) -> Result<PathBuf, Failure> {
    let text = key.to_string_lossy();
    if let Some(scheme) = OTHERS.iter().find(|scheme| text.starts_with(**scheme)) {
        return Err(Failure::usage(format!(
            "this release has no provider for {scheme} keys: name a key file"
        ))
        .advise(format!("a file of that name is given as 'file:{scheme}...' or './{scheme}...'")));
    }
    Ok(strip(key, "file:").into())
}

/// The rest behind an ASCII prefix.
#[cfg(unix)]
fn strip(text: &OsStr, prefix: &str) -> OsString {
    use std::os::unix::ffi::OsStrExt as _;
    let bytes = text.as_bytes();
    OsStr::from_bytes(bytes.strip_prefix(prefix.as_bytes()).unwrap_or(bytes)).to_os_string()
}

#[cfg(not(unix))]
fn strip(text: &OsStr, prefix: &str) -> OsString {
    match text.to_str().and_then(|text| text.strip_prefix(prefix)) {
        Some(rest) => rest.into(),
        None => text.to_os_string(),
    }
}

const VARIABLE: &str = "KUVERT_KEYS";
/// Kinds of keys that later releases know.
const OTHERS: [&str; 2] = ["aws-kms:", "pkcs11:"];
