//! `kuvert subjects check-backup`.

use kuvert::Subjects;
use serde_json::json;

use super::note::Note;
use super::store::{Keys, existing, wait};
use super::{Done, backup, census, failure, good, line};
use crate::args::CheckBackupArguments;
use crate::failure::Failure;
use crate::names;
use crate::source::Source;

pub(super) fn run(arguments: &CheckBackupArguments) -> Result<Done, Failure> {
    let keys = Keys::new(&arguments.keys, &[])?;
    let source = Source::open(arguments.input.as_deref())?;
    let name = source.name().to_owned();
    let checked = wait(Subjects::check_backup(source, &keys.handle(), &*keys.provider))?;
    let checked = checked.map_err(|error| failure::of(&error, &name, &keys.ids))?;
    let report = checked.report();
    let mut done = Done { text: backup::text(&name, report, true), ..Done::default() };
    let mut json = good(backup::as_json(report));
    if let Some(path) = &arguments.store {
        let store = existing(path)?;
        let told = |error| failure::of_store(&error, &names::path(path));
        let root = wait(store.root())?.map_err(told)?;
        if root.as_deref().and_then(census::store_of) != Some(report.store) {
            return Err(Failure::new(
                kuvert::Category::Refused,
                format!("{name}: it is the backup of another key store than {}", names::path(path)),
            ));
        }
        let change = wait(store.change())?.map_err(told)?;
        let behind = change.saturating_sub(report.change);
        let text = if behind == 0 {
            "nothing".to_owned()
        } else {
            names::counted(usize::try_from(behind).unwrap_or(usize::MAX), "change")
        };
        done.text = format!("{}\n{}", done.text, line("behind by", &text));
        json["behind_by"] = json!(behind);
        if let Some(input) = arguments.input.as_deref().filter(|input| input.as_os_str() != "-") {
            let file = input.canonicalize().unwrap_or_else(|_| input.to_owned());
            done.warnings.extend(Note::write(path, &file.to_string_lossy(), report));
        }
    }
    done.json = vec![json];
    Ok(done)
}
