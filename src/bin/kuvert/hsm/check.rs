//! `kuvert hsm check`.

use kuvert::provider::pkcs11::{Pkcs11Provider, Pkcs11Report};
use kuvert::provider::{KeyInfo, KeyProvider as _};
use serde_json::json;

use super::{in_words, line, pin_warning, token_json};
use crate::failure::{Failure, say};
use crate::keys::hsm::{self, HsmKey};
use crate::names;

pub(super) fn run(key: &HsmKey, as_json: bool) -> Result<(), Failure> {
    let done = look(key);
    match (&done, as_json) {
        (Ok((provider, report)), true) => say(&json_of(provider, report)),
        (Ok((provider, report)), false) => say(&text_of(provider, report)),
        (Err(failure), true) => {
            say(&json!({
                "ok": false, "status": failure.exit_status(), "category": failure.category().name(),
                "message": failure.lines(),
            })
            .to_string())?;
            Err(Failure::already_told(failure.category()))
        }
        (Err(_), false) => done.map(|_| ()),
    }
}

/// Connects, which wraps and unwraps a key of no use, and does that once more when all is known.
fn look(key: &HsmKey) -> Result<(Pkcs11Provider, Pkcs11Report), Failure> {
    let provider = hsm::connect(key)?;
    hsm::run(provider.check())?.map_err(|error| hsm::cannot_be_asked(&error))?;
    let report = hsm::run(provider.report())?;
    Ok((provider, report))
}

fn text_of(provider: &Pkcs11Provider, report: &Pkcs11Report) -> String {
    let mut lines: Vec<String> = report.token.iter().map(in_words).collect();
    for key in provider.describe().keys {
        let mechanism = report.mechanism.filter(|_| key.seals);
        let mechanism = mechanism.map_or_else(String::new, |number| format!(", by mechanism 0x{number:x}"));
        let does = if key.seals { "seals and opens" } else { "opens" };
        lines.push(line(
            "key",
            &format!("{} \"{}\" {does}{mechanism}", key.recipient_type, names::shown(&key.id)),
        ));
    }
    lines.push(line("works", "yes: a test key was wrapped, unwrapped and compared"));
    let warnings = warnings(report);
    lines.extend(warnings.iter().map(|warning| line("warning", &names::shown(warning))));
    lines.join("\n")
}

fn json_of(provider: &Pkcs11Provider, report: &Pkcs11Report) -> String {
    let key = |key: &KeyInfo| {
        let kind = key.recipient_type;
        json!({ "type": kind.0, "type_name": kind.name(), "id": key.id, "seals": key.seals })
    };
    json!({
        "ok": true,
        "status": 0,
        "token": report.token.as_ref().map(token_json),
        "keys": provider.describe().keys.iter().map(key).collect::<Vec<_>>(),
        "mechanism": report.mechanism,
        "warnings": warnings(report),
    })
    .to_string()
}

fn warnings(report: &Pkcs11Report) -> Vec<String> {
    let of_pin = report.token.as_ref().and_then(pin_warning).map(str::to_owned);
    report.warnings.iter().cloned().chain(of_pin).collect()
}
