//! `kuvert subjects roll`.

use kuvert::Category;
use kuvert::keystore::EpochClass;
use kuvert::subjects::{KeyToDestroy, RollOptions, RollReport};
use serde_json::{Value, json};

use super::store::{Opened, sealing, wait};
use super::{Done, census, destroy, failure, good, hex, line};
use crate::args::RollArguments;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::{keys, names};

pub(super) fn run(arguments: &RollArguments) -> Result<Done, Failure> {
    if !arguments.destroy.is_empty() {
        return destroy::run(arguments);
    }
    let to = keys::parse(&arguments.to)?;
    let provider = sealing(&to)?;
    // The new keys open as well: a roll that was interrupted has put keys under them already.
    let opened = Opened::new(&arguments.store, &to)?;
    let class = if arguments.credentials { EpochClass::Credentials } else { EpochClass::Subjects };
    let progress = Progress::of_keys("moving");
    let shown = progress.clone();
    let options = RollOptions::default().with_class(class).with_progress(move |moved| shown.set(moved));
    // fmt: T-30
    let rolled = opened.done(opened.subjects.roll_epoch(provider, options));
    progress.clear();
    let report = rolled.map_err(|failure| {
        failure.advise(
            "every key is under the old epoch or under the new one: run the same command again to go on",
        )
    })?;
    let by = open_epoch(&opened, report.opened)?;
    let mut done =
        Done { text: text(&opened, &report, &by), json: vec![as_json(&report)], ..Done::default() };
    if report.resumed {
        done.warnings.push(format!(
            "a roll that was interrupted was finished, under {by}; for another epoch, run this once more"
        ));
    }
    if !report.damaged.is_empty() {
        let count = names::counted(report.damaged.len(), "key");
        done.failure = Some(
            Failure::new(
                Category::Tampered,
                format!("{}: {count} did not open, and stayed where they were", opened.name),
            )
            .advise("their epoch stays, too: do not destroy its wrapping key")
            .advise(
                "'kuvert subjects restore' brings them back from a backup, if it is older than the damage",
            ),
        );
        done.json = vec![with_failure(&report, done.failure.as_ref())];
    }
    Ok(done)
}

/// By which key the epoch is wrapped that is open now.
fn open_epoch(opened: &Opened, reference: u64) -> Result<String, Failure> {
    let rows = wait(opened.store.epochs())?.map_err(|error| failure::of_store(&error, &opened.name))?;
    let row = rows.iter().find(|row| row.reference == reference);
    Ok(row.map(|row| census::wrapped_by(&row.envelope)).unwrap_or_default())
}

fn text(opened: &Opened, report: &RollReport, by: &str) -> String {
    let moved = names::counted(usize::try_from(report.moved).unwrap_or(usize::MAX), "key");
    let mut lines = vec![format!("{}: {moved} moved; the epoch is under {by}", opened.name)];
    for key in &report.keys {
        lines.push(line("not needed", &format!("{} but for older copies of the key store", shown(key))));
    }
    if !report.keys.is_empty() {
        lines.push(line(
            "next",
            "a backup; then 'roll --destroy KEY --backup FILE' makes the older copies noise",
        ));
    }
    lines.join("\n")
}

/// A wrapping key in words.
pub(super) fn shown(key: &KeyToDestroy) -> String {
    format!("{} \"{}\"", key.recipient_type, names::shown(&key.id))
}

pub(super) fn key_json(key: &KeyToDestroy) -> Value {
    let kind = key.recipient_type;
    json!({ "epoch": hex(key.epoch), "type": kind.0, "type_name": kind.name(), "id": key.id })
}

fn as_json(report: &RollReport) -> Value {
    let all = |references: &[u64]| references.iter().copied().map(hex).collect::<Vec<_>>();
    good(json!({
        "epoch": hex(report.opened),
        "resumed": report.resumed,
        "moved": report.moved,
        "damaged": all(&report.damaged),
        "retired": all(&report.retired),
        "keys_to_destroy": report.keys.iter().map(key_json).collect::<Vec<_>>(),
    }))
}

fn with_failure(report: &RollReport, failure: Option<&Failure>) -> Value {
    let mut object = as_json(report);
    if let (Value::Object(object), Some(Value::Object(more))) = (&mut object, failure.map(super::failed_json))
    {
        object.extend(more);
    }
    object
}
