//! `kuvert subjects`: the keys of data subjects in a file, and what an operator does with them.
//!
//! Nobody's name is shown, whatever happens: what is told of one of many names is told by its line. Sections 14 and 16 of
//! the format; the operations manual says what to do at night.

mod backup;
mod census;
mod check_backup;
mod destroy;
mod erase;
mod failure;
mod holds;
mod init;
mod new_store;
mod note;
mod people;
mod receipt;
mod receipts;
mod restore;
mod roll;
mod status;
mod store;

use serde_json::{Value, json};

use crate::args::{SubjectsAction, SubjectsArguments};
use crate::failure::{Failure, say, warn};

pub(crate) fn run(arguments: &SubjectsArguments) -> Result<(), Failure> {
    match &arguments.action {
        SubjectsAction::Init(given) => end(init::run(given), given.json.wanted),
        SubjectsAction::Status(given) => end(status::run(given), given.json.wanted),
        SubjectsAction::Erase(given) => end(erase::run(given), given.json.wanted),
        SubjectsAction::Hold(given) => end(holds::hold(given), given.json.wanted),
        SubjectsAction::Release(given) => end(holds::release(given), given.json.wanted),
        SubjectsAction::Roll(given) => end(roll::run(given), given.json.wanted),
        SubjectsAction::Receipts(given) => end(receipts::run(given), given.json.wanted),
        SubjectsAction::Backup(given) => end(backup::run(given), given.json.wanted),
        SubjectsAction::Restore(given) => end(restore::run(given), given.json.wanted),
        SubjectsAction::CheckBackup(given) => end(check_backup::run(given), given.json.wanted),
    }
}

/// What there is to say of something that was done.
#[derive(Default)]
struct Done {
    /// For people; nothing is said if it is empty.
    text: String,
    /// For programs, one object each; with the fields `ok` and `status`.
    json: Vec<Value>,
    warnings: Vec<String>,
    /// Of what was not done beside it.
    failure: Option<Failure>,
}

fn end(done: Result<Done, Failure>, as_json: bool) -> Result<(), Failure> {
    let done = match done {
        Ok(done) => done,
        Err(failure) if as_json => {
            say(&failed_json(&failure).to_string())?;
            return Err(Failure::already_told(failure.category()));
        }
        Err(failure) => return Err(failure),
    };
    if as_json {
        done.json.iter().try_for_each(|object| say(&object.to_string()))?;
    } else if !done.text.is_empty() {
        say(&done.text)?;
    }
    done.warnings.iter().for_each(|warning| warn(warning));
    match done.failure {
        Some(failure) if as_json => Err(Failure::already_told(failure.category())),
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

fn failed_json(failure: &Failure) -> Value {
    json!({
        "ok": false, "status": failure.exit_status(), "category": failure.category().name(),
        "message": failure.lines(),
    })
}

/// The fields of an object that says that something was done.
fn good(fields: Value) -> Value {
    let mut object = json!({ "ok": true, "status": 0 });
    if let (Value::Object(object), Value::Object(fields)) = (&mut object, fields) {
        object.extend(fields);
    }
    object
}

fn hex(reference: u64) -> String {
    format!("{reference:016x}")
}

fn line(title: &str, text: &str) -> String {
    format!("  {title:<12} {text}")
}
