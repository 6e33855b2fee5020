//! A receipt, for people and for programs.

use std::time::SystemTime;

use kuvert::subjects::{Receipt, ReceiptState};
use serde_json::{Value, json};

use super::{hex, line};
use crate::{names, times};

pub(super) fn text(receipt: &Receipt) -> Vec<String> {
    let at = |time: Option<SystemTime>| time.map(times::unix).map(times::utc);
    let mut lines = Vec::new();
    if let Some(requested) = at(receipt.requested) {
        lines.push(line("requested", &requested));
    }
    if let Some(unusable) = at(receipt.unusable) {
        lines.push(line("unusable", &format!("from {unusable} on, wherever the newest key store is")));
    }
    let not_yet = "not yet: see 'kuvert subjects roll --help'".to_owned();
    let irrevocable = at(receipt.irrevocable).map_or(not_yet, |time| format!("from {time} on"));
    if receipt.requested.is_some() {
        lines.push(line("irrevocable", &irrevocable));
    }
    lines.extend(receipt.not_covered().iter().map(|not| line("not covered", &not.to_string())));
    lines
}

pub(super) fn json(receipt: &Receipt) -> Value {
    let key = |(reference, since): &(u64, SystemTime)| json!({ "reference": hex(*reference), "erased": times::unix(*since) });
    json!({
        "keys": receipt.keys.iter().map(key).collect::<Vec<_>>(),
        "state": state(receipt),
        "requested": receipt.requested.map(times::unix),
        "unusable": receipt.unusable.map(times::unix),
        "irrevocable": receipt.irrevocable.map(times::unix),
        "not_covered": receipt.not_covered().iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

pub(super) fn state(receipt: &Receipt) -> Option<&'static str> {
    receipt.state(SystemTime::now()).map(|state| match state {
        ReceiptState::Irrevocable => "irrevocable",
        ReceiptState::Unusable => "unusable",
        _ => "requested",
    })
}

/// How many keys it speaks of.
pub(super) fn keys(receipt: &Receipt) -> String {
    names::counted(receipt.keys.len(), "key")
}
