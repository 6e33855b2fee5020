//! What was done to a file, for people and for programs.

use std::path::Path;

use kuvert::io::RecipientName;
use kuvert::{RewrapMethod, RewrapOutcome, RewrapReport};
use serde_json::{Value, json};

use crate::failure::{Failure, warn};
use crate::names;

pub(super) fn text(file: &Path, is_detached: bool, report: &RewrapReport) -> String {
    let keys = ids(&report.recipients);
    let how = match (report.outcome, report.method) {
        (RewrapOutcome::Unchanged, _) => "unchanged: these are its keys already",
        (RewrapOutcome::Mended, _) => "mended: its header was damaged or unfinished",
        (_, RewrapMethod::Copy) if is_detached => "in its detached header",
        (_, RewrapMethod::Copy) => "written anew, since its header had no room",
        _ => "in place",
    };
    let restored = if report.restored { ", from the copy of its header" } else { "" };
    format!("{}: opens with {keys} (generation {}, {how}{restored})", names::path(file), report.generation)
}

/// What is done and yet has to be known.
pub(super) fn warn_of(file: &Path, report: &RewrapReport) {
    let name = names::path(file);
    if !report.pending.is_empty() {
        let keys = ids(&report.pending);
        warn(&format!(
            "{name}: not for {keys} yet, which could not be reached: 'kuvert repair' adds it later"
        ));
    }
    if !report.unverified.is_empty() {
        let keys = ids(&report.unverified);
        warn(&format!("{name}: whether {keys} opens it could not be tried"));
    }
}

pub(super) fn json(file: &Path, done: &Result<RewrapReport, Failure>) -> Value {
    let mut object = json!({ "file": file.to_string_lossy(), "ok": done.is_ok() });
    let more = match done {
        Ok(report) => json!({
            "status": 0,
            "outcome": match report.outcome {
                RewrapOutcome::Mended => "mended",
                RewrapOutcome::Unchanged => "unchanged",
                _ => "rewrapped",
            },
            "method": if report.method == RewrapMethod::Copy { "copy" } else { "in-place" },
            "generation": report.generation,
            "opened_by": name(&report.opened_by),
            "recipients": all(&report.recipients),
            "pending": all(&report.pending),
            "unverified": all(&report.unverified),
            "restored": report.restored,
        }),
        Err(failure) => json!({
            "status": failure.exit_status(),
            "category": failure.category().name(),
            "message": failure.lines(),
        }),
    };
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

fn all(recipients: &[RecipientName]) -> Vec<Value> {
    recipients.iter().map(name).collect()
}

fn name(recipient: &RecipientName) -> Value {
    let kind = recipient.recipient_type;
    json!({ "type": kind.0, "type_name": kind.name(), "id": recipient.id })
}

fn ids(recipients: &[RecipientName]) -> String {
    let ids: Vec<_> = recipients.iter().map(|name| format!("\"{}\"", names::shown(&name.id))).collect();
    format!("{} {}", if ids.len() == 1 { "key" } else { "keys" }, ids.join(", "))
}
