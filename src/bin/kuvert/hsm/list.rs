//! `kuvert hsm list`.

use kuvert::Category;
use kuvert::provider::pkcs11::{KeyEntry, Pkcs11Failure, TokenEntry, UnreadableSlot};
use serde_json::{Value, json};

use super::{hex, in_words, line, pin_warning, token_json, wrap_name};
use crate::failure::{Failure, say};
use crate::keys::hsm::{self, HsmKey};
use crate::names;

pub(super) fn run(key: &HsmKey, as_json: bool) -> Result<(), Failure> {
    let surveyor = key.builder(None)?.surveyor().map_err(|error| hsm::misconfigured(&error))?;
    let survey = hsm::run(surveyor.tokens())?.map_err(|error| hsm::cannot_be_asked(&error))?;
    let tokens = &survey.tokens;
    let mut keys = Err("name one token by token= or serial= in a URI to see its keys");
    // A PIN is never tried on a token that may not be the one it is of.
    let is_clear = survey.unreadable.is_empty() || key.uri().names_a_token();
    if is_clear && tokens.iter().filter(|token| token.is_chosen).count() == 1 {
        let found = key.unlocked(|builder| {
            let surveyor = builder.surveyor().map_err(|error| hsm::misconfigured(&error))?;
            Ok(match hsm::run(surveyor.keys())? {
                Err(error) if wants_pin(&error) && !crate::pin::can_ask() => Ok(None),
                found => found.map(Some),
            })
        })?;
        keys = found.ok_or("the token shows its keys to who has the PIN: name its file by --pin-file FILE");
    }
    if as_json {
        let tokens: Vec<Value> = tokens.iter().map(|token| token_of(token, keys.as_deref().ok())).collect();
        let unreadable: Vec<Value> = survey.unreadable.iter().map(unreadable_json).collect();
        say(&json!({ "tokens": tokens, "unreadable": unreadable }).to_string())?;
    } else {
        if tokens.is_empty() {
            say("the module has no token that was set up")?;
        }
        tokens.iter().try_for_each(|token| say(&text_of(token, keys.as_deref().map_err(|why| *why))))?;
    }
    match &survey.unreadable[..] {
        [] => Ok(()),
        _ if as_json => Err(Failure::already_told(Category::Io)),
        slots => Err(Failure::new(
            Category::Io,
            slots.iter().map(unreadable_in_words).collect::<Vec<_>>().join("; "),
        )
        .advise("the other tokens are listed; the module's own log may say more")),
    }
}

fn unreadable_in_words(slot: &UnreadableSlot) -> String {
    format!("the token in slot {} cannot be read: {}", slot.slot, slot.failure)
}

fn unreadable_json(slot: &UnreadableSlot) -> Value {
    json!({ "slot": slot.slot, "message": slot.failure.to_string() })
}

fn wants_pin(error: &kuvert::ProviderError) -> bool {
    matches!(hsm::failure_of(error), Some(Pkcs11Failure::NoPin))
}

fn text_of(token: &TokenEntry, keys: Result<&[KeyEntry], &str>) -> String {
    let mut lines = vec![in_words(&token.facts), line("slot", &token.slot.to_string())];
    let mechanisms: Vec<String> =
        known(token).map(|(number, name)| format!("{name} (0x{number:x})")).collect();
    let mechanisms = if mechanisms.is_empty() { "none that wraps".to_owned() } else { mechanisms.join(", ") };
    lines.push(line("mechanisms", &mechanisms));
    lines.extend(pin_warning(&token.facts).map(|warning| line("warning", warning)));
    match keys {
        Ok(keys) if token.is_chosen => {
            if keys.is_empty() {
                lines.push(line("key", "none: 'kuvert hsm keygen' makes one"));
            }
            for key in keys {
                lines.push(line("key", &key_in_words(key)));
                lines.extend(key.warnings.iter().map(|warning| line("warning", warning)));
            }
        }
        Err(why) if token.is_chosen => lines.push(line("keys", why)),
        _ => {}
    }
    lines.join("\n")
}

fn key_in_words(key: &KeyEntry) -> String {
    let sort = if key.is_rsa { "RSA" } else { "AES" };
    let wraps: Vec<String> = key.wraps.iter().map(|wrap| wrap_name(*wrap)).collect();
    let wraps =
        if wraps.is_empty() { "cannot wrap".to_owned() } else { format!("wraps by {}", wraps.join(", ")) };
    let sensitive = if key.is_sensitive { "sensitive" } else { "not sensitive" };
    let extractable = match (key.is_extractable, key.was_never_extractable) {
        (true, _) => "extractable",
        (false, Some(true)) => "never extractable",
        (false, _) => "not extractable",
    };
    format!("\"{}\": {sort}, {} bits, {sensitive}, {extractable}; {wraps}", name(key), key.bits)
}

fn name(key: &KeyEntry) -> String {
    format!("{}/{}", names::shown(&key.label), hex(&key.id))
}

/// The mechanisms that are of any use here.
fn known(token: &TokenEntry) -> impl Iterator<Item = (u64, &'static str)> {
    MECHANISMS.into_iter().filter(|(number, _)| token.mechanisms.contains(number))
}

fn token_of(token: &TokenEntry, keys: Option<&[KeyEntry]>) -> Value {
    let mut object = token_json(&token.facts);
    object["slot"] = token.slot.into();
    object["wants_login"] = token.wants_login.into();
    object["mechanisms"] = token.mechanisms.clone().into();
    let keys = keys.filter(|_| token.is_chosen);
    object["keys"] = keys.map_or(Value::Null, |keys| keys.iter().map(key_of).collect());
    object
}

fn key_of(key: &KeyEntry) -> Value {
    json!({
        "label": key.label, "id": hex(&key.id), "type": if key.is_rsa { "rsa" } else { "aes" }, "bits": key.bits,
        "sensitive": key.is_sensitive, "extractable": key.is_extractable,
        "never_extractable": key.was_never_extractable,
        "wraps": key.wraps.iter().map(|wrap| wrap_name(*wrap)).collect::<Vec<_>>(),
        "warnings": key.warnings,
    })
}

const MECHANISMS: [(u64, &str); 4] =
    [(0x210b, "AES-KWP"), (0x210a, "AES-KEY-WRAP-PAD"), (0x1087, "AES-GCM"), (0x9, "RSA-OAEP")];
