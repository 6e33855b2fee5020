//! `kuvert verify`.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use kuvert::Category;
use kuvert::io::OpenReport;
use serde_json::{Value, json};

use crate::args::VerifyArguments;
use crate::failure::{Doing, Failure, FileFault, say};
use crate::open::{Message, Reading};
use crate::progress::Progress;
use crate::{names, side_copy, times};

pub(crate) fn run(arguments: &VerifyArguments) -> Result<(), Failure> {
    let newest =
        arguments.newer_than.as_deref().map(|age| times::parse_age("--newer-than", age)).transpose()?;
    if arguments.header.is_some() && arguments.files.len() != 1 {
        return Err(Failure::usage("--header belongs to one body: name one FILE"));
    }
    let reading = Reading::new(&arguments.keys, &arguments.context)?;
    let mut first_failure = None;
    for file in &arguments.files {
        let verified = verify(&reading, file, arguments, newest);
        if arguments.json {
            say(&as_json(file, &verified).to_string())?;
        } else {
            match &verified {
                Ok(report) => say(&as_text(file, report))?,
                Err(failure) => failure.print(),
            }
        }
        if let Err(failure) = verified {
            // fmt: T-2
            first_failure.get_or_insert(failure.category());
        }
    }
    first_failure.map_or(Ok(()), |category| Err(Failure::already_told(category)))
}

fn verify(
    reading: &Reading<'_>,
    file: &Path,
    arguments: &VerifyArguments,
    age: Option<Duration>,
) -> Result<OpenReport, Failure> {
    if let Some(age) = age {
        refuse_older(file, age)?;
    }
    let Message { opener, mut source } = reading.open(Some(file), arguments.header.as_deref())?;
    let name = source.name().to_owned();
    let progress = Progress::new("verifying", source.len());
    source.show_progress(progress.clone());
    let verified = opener.into_parallel_reader(source, arguments.threads.threads).verify();
    progress.clear();
    verified.map_err(|error| Failure::opening(&error, &name))
}

fn refuse_older(file: &Path, age: Duration) -> Result<(), Failure> {
    let found = age_of(file).map_err(|error| FileFault::failure(Doing::Read, file, error))?;
    if found <= age {
        return Ok(());
    }
    let message = format!("{} was last written {} ago: too old", names::path(file), in_words(found));
    Err(Failure::new(Category::Refused, message).advise("has the job that writes it stopped running?"))
}

/// How long ago a file was written. What was written in the future, by another machine's clock, is new.
fn age_of(file: &Path) -> io::Result<Duration> {
    let written = file.metadata()?.modified()?;
    Ok(SystemTime::now().duration_since(written).unwrap_or_default())
}

fn as_text(file: &Path, report: &OpenReport) -> String {
    let (name, id) = (names::path(file), names::shown(&report.opened_by.id));
    format!(
        "{name}: whole and untouched, {} bytes of plaintext, opened with key \"{id}\"",
        report.plaintext_len
    )
}

fn as_json(file: &Path, verified: &Result<OpenReport, Failure>) -> Value {
    let age = age_of(file).ok().map(|age| age.as_secs());
    let copy = side_copy::beside(file).map(|copy| copy.to_string_lossy().into_owned());
    let mut object = json!({
        "file": file.to_string_lossy(), "ok": verified.is_ok(), "age_seconds": age, "side_copy": copy,
    });
    let more = match verified {
        Ok(report) => json!({
            "status": 0,
            "plaintext_bytes": report.plaintext_len,
            "opened_by": {
                "type": report.opened_by.recipient_type.0,
                "type_name": report.opened_by.recipient_type.name(),
                "id": report.opened_by.id,
            },
            "generation": report.generation,
            "degraded": report.degraded,
            "unfinished_rewrap": report.unfinished_rewrap,
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

/// A whole number and its unit.
fn in_words(age: Duration) -> String {
    let hours = age.as_secs() / 3600;
    match hours {
        0 => format!("{} minutes", age.as_secs() / 60),
        1..48 => format!("{hours} hours"),
        _ => format!("{} days", hours / 24),
    }
}
