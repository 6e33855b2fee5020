//! `kuvert hsm`: what is in a PKCS#11 module, new wrapping keys in a token, and whether a key works.

mod check;
mod keygen;
mod list;

use std::path::Path;

use kuvert::provider::pkcs11::{Pkcs11Uri, TokenFacts};
use serde_json::{Value, json};

use crate::args::{HsmAction, HsmArguments};
use crate::failure::Failure;
use crate::keys::hsm::HsmKey;
use crate::names;

pub(crate) fn run(arguments: &HsmArguments) -> Result<(), Failure> {
    if arguments.rsa && arguments.action != HsmAction::Keygen {
        return Err(Failure::usage("--rsa is about the key that 'kuvert hsm keygen' makes"));
    }
    let target = arguments.target.to_string_lossy();
    let with_pin = |key: HsmKey| key.with_pin_file(arguments.pin_file.clone());
    match arguments.action {
        HsmAction::List => list::run(&with_pin(of_module(&target)?), arguments.json),
        HsmAction::Keygen => keygen::run(with_pin(HsmKey::parse(&target)?), arguments.rsa, arguments.json),
        HsmAction::Check => check::run(&with_pin(HsmKey::parse(&target)?), arguments.json),
    }
}

/// A URI, or the file of a module alone.
fn of_module(target: &str) -> Result<HsmKey, Failure> {
    if target.starts_with("pkcs11:") {
        return HsmKey::parse_any(target);
    }
    let path = Path::new(target).canonicalize().map_err(|error| {
        let failure = format!("PKCS#11 module {} cannot be read: {error}", names::shown(target));
        Failure::usage(failure).advise("name the module's file, or a pkcs11: URI with module-path")
    })?;
    // The label is of no matter here, and there has to be one.
    HsmKey::parse_any(&Pkcs11Uri::new(path, "any").to_string())
}

/// A token in one line.
fn in_words(facts: &TokenFacts) -> String {
    let [label, serial, model, library] =
        [&facts.label, &facts.serial, &facts.model, &facts.library].map(|text| names::shown(text));
    format!("token \"{label}\" (serial {serial}): {model}, by {library}")
}

/// What its PIN's counter says, if that is of any matter.
fn pin_warning(facts: &TokenFacts) -> Option<&'static str> {
    if facts.is_pin_locked {
        Some("the token is locked: the security officer sets a new PIN")
    } else if facts.is_pin_final_try {
        Some("one more wrong PIN locks the token")
    } else if facts.is_pin_count_low {
        Some("a wrong PIN was tried since the last right one")
    } else {
        None
    }
}

fn token_json(facts: &TokenFacts) -> Value {
    json!({
        "label": facts.label, "serial": facts.serial, "model": facts.model, "library": facts.library,
        "pin_count_low": facts.is_pin_count_low, "pin_final_try": facts.is_pin_final_try,
        "pin_locked": facts.is_pin_locked,
    })
}

/// A URI's text with how the key wraps, so that it says everything without the token.
fn with_wrap(uri: &Pkcs11Uri, wrap: &str) -> String {
    let text = uri.to_string();
    if uri.vendor_attribute("x-wrap").is_some() { text } else { format!("{text}&x-wrap={wrap}") }
}

/// Wraps by the names that URIs have for them.
fn wrap_name(wrap: kuvert::provider::pkcs11::Pkcs11Wrap) -> String {
    let value = serde_json::to_value(wrap).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn line(title: &str, text: &str) -> String {
    format!("  {title:<10} {text}")
}
