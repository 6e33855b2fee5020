//! `kuvert subjects restore`.

use std::sync::Arc;

use kuvert::{Category, Subjects};
use serde_json::json;

use super::new_store::{NewStore, check_free};
use super::store::{Keys, anchor_path, options, wait};
use super::{Done, backup, failure, good, line};
use crate::args::RestoreArguments;
use crate::failure::Failure;
use crate::names;
use crate::source::Source;

pub(super) fn run(arguments: &RestoreArguments) -> Result<Done, Failure> {
    let path = &arguments.store.file.path;
    // Before anybody is asked for a key. fmt: T-27
    check_free(path, Category::Refused)?;
    let options = options(&arguments.store.file, &arguments.store.max_age)?;
    let keys = Keys::new(&arguments.store.keys, &[])?;
    let source = Source::open(arguments.input.as_deref())?;
    let (from, name) = (source.name().to_owned(), names::path(path));
    let new = NewStore::begin(path, Category::Refused)?;
    let restored = wait(Subjects::restore(&*new.store, source, &keys.handle()))?;
    let report = restored.map_err(|error| failure::of(&error, &from, &keys.ids))?;
    // fmt: T-28
    let opened = wait(Subjects::open(Arc::clone(&new.store), Arc::clone(&keys.provider), options))?;
    let subjects = opened.map_err(|error| failure::of(&error, &name, &keys.ids))?;
    let after = wait(subjects.verify_receipts())?.map_err(|error| failure::of(&error, &name, &keys.ids))?;
    drop(subjects);
    new.close().commit()?;
    let again = after.tombstones.saturating_sub(report.tombstones);
    let has_anchor = anchor_path(&arguments.store.file).is_some();
    let mut text = backup::text(&name, &report, false).replacen("written", "restored", 1);
    if has_anchor {
        text = format!(
            "{text}\n{}",
            line("erased again", &names::counted(usize::try_from(again).unwrap_or(usize::MAX), "key"))
        );
    }
    let mut json = good(backup::as_json(&report));
    json["file"] = json!(path.to_string_lossy());
    json["erased_again"] = json!(again);
    let warning =
        "without --anchor, whoever was erased since the backup was made is back: erase them again before use";
    let warnings = if has_anchor { Vec::new() } else { vec![warning.to_owned()] };
    Ok(Done { text, json: vec![json], warnings, failure: None })
}
