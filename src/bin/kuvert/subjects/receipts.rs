//! `kuvert subjects receipts`.

use kuvert::ProviderErrorKind as Kind;
use kuvert::provider::KeyProvider;
use kuvert::subjects::{ErasureReason, ReceiptsReport, RegisteredErasure};
use serde_json::{Value, json};

use super::store::{MANNER, Opened, wait};
use super::{Done, good, line, receipt};
use crate::args::ReceiptsArguments;
use crate::failure::Failure;
use crate::keys::{self, KeyName, Role};
use crate::times;

pub(super) fn run(arguments: &ReceiptsArguments) -> Result<Done, Failure> {
    let witnesses = keys::parse(&arguments.confirm)?;
    let opened = Opened::new(&arguments.store, &[])?;
    let (mut confirmed, mut warnings) = (0, Vec::new());
    for key in &witnesses {
        let witness = keys::one(key, MANNER, Role::Opens)?;
        confirmed += opened.done(opened.subjects.confirm_destruction(&*witness))?;
        warnings.extend(not_gone(key, &*witness)?);
    }
    if let (Some(scope), Some(request)) = (&arguments.scope, &arguments.request) {
        let found = opened.done(opened.subjects.scope(scope).erasure_of(request))?;
        return found.map_or_else(|| Err(no_such()), |found| Ok(Done { warnings, ..one(&found) }));
    }
    let report = opened.done(opened.subjects.verify_receipts())?;
    let mut done = Done { warnings, ..Done::default() };
    if !arguments.verify {
        for erasure in opened.done(opened.subjects.erasures())? {
            done.text.push_str(&in_one_line(&erasure));
            done.text.push('\n');
            done.json.push(as_json(&erasure));
        }
    }
    done.text.push_str(&in_words(&opened.name, &report, witnesses.is_empty(), confirmed));
    if arguments.verify {
        done.json.push(total(&report, confirmed));
    }
    Ok(done)
}

/// Why nothing is confirmed by this key, if so.
fn not_gone(key: &KeyName, witness: &dyn KeyProvider) -> Result<Option<String>, Failure> {
    let shown = key.shown();
    if key.file().is_some() {
        return Ok(Some(format!("{shown}: nobody can say that no copy of a key file exists")));
    }
    Ok(match wait(witness.check())? {
        Err(error) if error.kind() == Kind::NotFound => None,
        Err(error) if error.kind() == Kind::PendingDeletion => {
            Some(format!("{shown}: it is not gone yet: {error}"))
        }
        Err(error) => Some(format!("{shown}: it could not be asked whether it is gone: {error}")),
        Ok(_) => Some(format!("{shown}: it is there still")),
    })
}

fn no_such() -> Failure {
    Failure::usage("nothing was erased for this request in this scope")
        .advise("are --scope and --request those that were given to 'erase'?")
}

fn one(erasure: &RegisteredErasure) -> Done {
    let mut lines = vec![format!("{} erased: {}", receipt::keys(&erasure.receipt), reason(erasure))];
    lines.extend(receipt::text(&erasure.receipt));
    Done { text: lines.join("\n"), json: vec![as_json(erasure)], ..Done::default() }
}

fn in_one_line(erasure: &RegisteredErasure) -> String {
    let receipt = &erasure.receipt;
    let at = receipt.requested.map(|at| times::utc(times::unix(at))).unwrap_or_default();
    let state = receipt::state(receipt).unwrap_or("requested");
    let request = digest(erasure);
    format!("{at}  {request}  {}  {state}  {}", reason(erasure), receipt::keys(receipt))
}

/// The first half of the request's hash.
fn digest(erasure: &RegisteredErasure) -> String {
    erasure.request[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn reason(erasure: &RegisteredErasure) -> &'static str {
    match erasure.reason {
        Some(ErasureReason::Request) => "request",
        Some(ErasureReason::Expiry) => "expiry",
        Some(ErasureReason::ConsentWithdrawn) => "consent-withdrawn",
        Some(ErasureReason::Objection) => "objection",
        Some(ErasureReason::Other) => "other",
        _ => "private",
    }
}

fn as_json(erasure: &RegisteredErasure) -> Value {
    let mut object = good(receipt::json(&erasure.receipt));
    object["request"] = json!(digest(erasure));
    object["reason"] = json!(reason(erasure));
    object
}

fn in_words(name: &str, report: &ReceiptsReport, is_quiet: bool, confirmed: u64) -> String {
    let ReceiptsReport { tombstones, unusable, irrevocable, destroyed_epochs, .. } = report;
    let mut lines = vec![
        format!("{name}: the register is whole and untouched"),
        line("tombstones", &tombstones.to_string()),
        line("unusable", &format!("{unusable}, some of them perhaps from a time to come")),
        line("irrevocable", &irrevocable.to_string()),
        line("gone epochs", &destroyed_epochs.to_string()),
    ];
    if !is_quiet {
        lines.push(line("confirmed", &format!("{confirmed} more are irrevocable")));
    }
    lines.join("\n")
}

fn total(report: &ReceiptsReport, confirmed: u64) -> Value {
    good(json!({
        "tombstones": report.tombstones, "unusable": report.unusable, "irrevocable": report.irrevocable,
        "destroyed_epochs": report.destroyed_epochs, "confirmed": confirmed,
    }))
}
