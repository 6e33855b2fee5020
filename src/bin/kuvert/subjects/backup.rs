//! `kuvert subjects backup`.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use kuvert::subjects::BackupReport;
use kuvert::{Category, Layout, SealHandle, SealOptions, SubjectError, Subjects};
use serde_json::{Value, json};

use super::note::Note;
use super::store::{Keys, Opened, sealing, wait};
use super::{Done, failure, good, hex, line};
use crate::args::BackupArguments;
use crate::failure::{Doing, Failure, FileFault};
use crate::output::Target;
use crate::{keys, names};

pub(super) fn run(arguments: &BackupArguments) -> Result<Done, Failure> {
    let target = Target::new(arguments.output.as_deref(), arguments.force)?;
    if target.path().is_none() && arguments.json.wanted {
        return Err(Failure::usage(
            "--json says on standard output what was written: name a file with -o OUT",
        ));
    }
    let to = keys::parse(&arguments.to)?;
    let sealing = SealHandle::from_arc(sealing(&to)?)
        .with_options(SealOptions::default().with_layout(Layout::Rewrappable));
    let checking = Keys::new(&arguments.store.keys, &to)?;
    let opened = Opened::new(&arguments.store, &[])?;
    let output = target.create()?;
    let (mut output, report) = opened.done(opened.subjects.backup(&sealing, output))?;
    output.flush().map_err(|error| opened.failure(&SubjectError::Io(error)))?;
    let Some(path) = target.path() else {
        output.commit()?;
        return Ok(Done::default());
    };
    let name = names::path(path);
    let mut warnings = Vec::new();
    let is_checked = match output.temporary_path().map(|written| check(written, &name, &checking)).transpose()
    {
        Ok(_) => true,
        // fmt: T-29
        Err(failure) if failure.category() == Category::KeyUnavailable => {
            warnings.push(format!(
                "{name}: not checked, since these keys do not open it: 'kuvert subjects check-backup' does"
            ));
            false
        }
        Err(failure) => return Err(failure),
    };
    output.commit()?;
    if is_checked {
        let file = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        warnings.extend(Note::write(&arguments.store.file.path, &file.to_string_lossy(), &report));
    }
    let mut json = good(as_json(&report));
    json["file"] = json!(path.to_string_lossy());
    json["checked"] = json!(is_checked);
    Ok(Done { text: text(&name, &report, is_checked), json: vec![json], warnings, failure: None })
}

fn check(path: &Path, name: &str, keys: &Keys) -> Result<(), Failure> {
    let file = File::open(path).map_err(|error| FileFault::failure(Doing::Read, path, error))?;
    let checked = wait(Subjects::check_backup(file, &keys.handle(), &*keys.provider))?;
    checked.map(|_| ()).map_err(|error| failure::of(&error, name, &keys.ids))
}

pub(super) fn text(name: &str, report: &BackupReport, is_checked: bool) -> String {
    let what = if is_checked { "whole, and everything in it opens" } else { "written" };
    [
        format!("{name}: {what}"),
        line("key store", &hex(report.store)),
        line("change", &report.change.to_string()),
        line("epochs", &report.epochs.to_string()),
        line("keys", &report.keys.to_string()),
        line("tombstones", &report.tombstones.to_string()),
    ]
    .join("\n")
}

pub(super) fn as_json(report: &BackupReport) -> Value {
    json!({
        "store": hex(report.store), "change": report.change, "epochs": report.epochs, "keys": report.keys,
        "tombstones": report.tombstones,
    })
}
