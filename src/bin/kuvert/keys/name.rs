//! What names a key on the command line.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use kuvert::provider::arn::KeyArn;

use super::hsm::{self, HsmKey};
use super::kms;
use crate::failure::Failure;
use crate::names;

/// One key, or one file of keys, as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyName {
    File(PathBuf),
    Kms(KeyArn),
    /// A key in a PKCS#11 token.
    Hsm(Box<HsmKey>),
    /// A file that describes a tree of key providers.
    Config(PathBuf),
}

impl KeyName {
    // fmt: T-16
    pub(crate) fn parse(key: &OsStr) -> Result<Self, Failure> {
        let text = key.to_string_lossy();
        if text.get(..PKCS11.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(PKCS11)) {
            hsm::is_there().map_err(|failure| failure.advise(a_file_of_that_name(PKCS11)))?;
            return HsmKey::parse(&text).map(|key| Self::Hsm(Box::new(key)));
        }
        if let Some(arn) = text.strip_prefix(KMS) {
            kms::is_there().map_err(|failure| failure.advise(a_file_of_that_name(KMS)))?;
            let arn = KeyArn::parse(arn).map_err(|error| Failure::usage(error.to_string()))?;
            return Ok(Self::Kms(arn));
        }
        if text.starts_with(CONFIG) {
            return Ok(Self::Config(strip(key, CONFIG).into()));
        }
        Ok(Self::File(strip(key, "file:").into()))
    }

    /// Its path, if it is a key file.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Kms(_) | Self::Hsm(_) | Self::Config(_) => None,
        }
    }

    /// Whether somebody else decides who may use it.
    pub(crate) const fn has_rights(&self) -> bool {
        matches!(self, Self::Kms(_))
    }

    /// As it may be shown.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::File(path) => names::path(path),
            Self::Kms(arn) => format!("{KMS}{arn}"),
            Self::Hsm(key) => key.shown(),
            Self::Config(path) => format!("{CONFIG}{}", names::path(path)),
        }
    }
}

fn a_file_of_that_name(scheme: &str) -> String {
    format!("a file of that name is given as 'file:{scheme}...' or './{scheme}...'")
}

pub(super) fn from_environment() -> Vec<OsString> {
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
const KMS: &str = "aws-kms:";
const CONFIG: &str = "config:";
const PKCS11: &str = "pkcs11:";
