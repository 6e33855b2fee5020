//! Pairs of the encryption context, from the command line and back to it.

use std::ffi::{OsStr, OsString};

use kuvert::{EncryptionContext, Header, OpenError, Recipient};

use crate::args::PresentedArguments;
use crate::failure::Failure;
use crate::{keys, names};

/// What `-c` presents when opening: stored and required pairs alike.
pub(crate) fn presented(pairs: &[OsString]) -> Result<EncryptionContext, Failure> {
    stored_and_required(pairs, &[])
}

/// What `-c` stores and `-r` requires when sealing.
pub(crate) fn stored_and_required(
    stored: &[OsString],
    required: &[OsString],
) -> Result<EncryptionContext, Failure> {
    let mut context = EncryptionContext::empty();
    for pair in stored {
        let (name, value) = split(pair, "-c")?;
        context = context.with_stored(name, value)?;
    }
    for pair in required {
        let (name, value) = split(pair, "-r")?;
        context = context.with_required(name, value)?;
    }
    Ok(context)
}

/// What a header says about pairs and keys: kept for the case that opening it fails.
pub(crate) struct Stored {
    pairs: Vec<(String, String)>,
    pub(crate) recipients: Vec<Recipient>,
}

impl Stored {
    pub(crate) fn of(header: &Header) -> Self {
        let pairs = header.claimed_context().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { pairs: pairs.collect(), recipients: keys::recipients(header) }
    }
}

/// Adds to the failure of a wrong context what can be told from the header without showing a value.
pub(crate) fn explain(
    failure: Failure,
    error: &OpenError,
    stored: &Stored,
    arguments: &PresentedArguments,
) -> Failure {
    if !matches!(error, OpenError::WrongContext(_)) {
        return failure;
    }
    let presented: Vec<(&str, &str)> =
        arguments.context.iter().filter_map(|pair| split(pair, "-c").ok()).collect();
    let value = |name: &str| presented.iter().find(|(own, _)| *own == name).map(|(_, value)| *value);
    let missing: Vec<String> = stored
        .pairs
        .iter()
        .filter(|(name, _)| !arguments.accept_stored_context && value(name).is_none())
        .map(|(name, _)| flag(name))
        .collect();
    let differing = stored.pairs.iter().filter(|(name, own)| value(name).is_some_and(|value| value != own));
    let differing: Vec<String> = differing.map(|(name, _)| names::shown(name)).collect();
    let unknown = presented.iter().filter(|(name, _)| !stored.pairs.iter().any(|(own, _)| own == name));
    let unknown: Vec<String> = unknown.map(|(name, _)| names::shown(name)).collect();

    let is_told = !missing.is_empty() || !differing.is_empty();
    let mut failure = failure;
    if !missing.is_empty() {
        failure = failure.advise(format!("add: {}", missing.join(" ")));
    }
    if !differing.is_empty() {
        failure = failure.advise(format!("another value is stored for: {}", differing.join(", ")));
    }
    if is_told {
        failure = failure.advise(
            "'kuvert inspect' shows the stored values; --accept-stored-context takes them from the file",
        );
    }
    if !unknown.is_empty() {
        let names = unknown.join(", ");
        failure = failure
            .advise(format!("not stored, so right only if it was sealed with -r and this value: {names}"));
    }
    if !is_told {
        failure = failure
            .advise("no stored pair is missing or wrong: one sealed with -r is, or there is one too many")
            .advise("if they are certainly right, the file is damaged after its header: fetch another copy");
    }
    failure
}

/// The flag that presents a pair of this name, for a shell.
fn flag(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@%+,".contains(c);
    let name = names::shown(name);
    if name.chars().all(is_plain) {
        format!("-c {name}=...")
    } else {
        format!("-c '{}=...'", name.replace('\'', r"'\''"))
    }
}

/// Splits at the first `=`. The error shows nothing of the pair, which may be a value given without its name.
// fmt: T-3
pub(crate) fn split<'a>(pair: &'a OsStr, of: &str) -> Result<(&'a str, &'a str), Failure> {
    let Some(text) = pair.to_str() else {
        return Err(Failure::usage(format!("a pair given with {of} is not UTF-8 text")));
    };
    text.split_once('=')
        .ok_or_else(|| Failure::usage(format!("a pair given with {of} has no \"=\": write {of} NAME=VALUE")))
}
