//! `kuvert doctor`: can this be opened here and now, with these keys? And if not, what is missing?
//!
//! It asks every key for nothing, opens the header of the file, and reads no chunk.

mod file;
mod json;
mod key;
mod personal;
mod place;
mod text;

use std::path::Path;

use crate::args::DoctorArguments;
use crate::failure::{Failure, say};
use crate::{context, keys};
use file::FileFinding;
use key::KeyFinding;

/// Everything that was found out.
struct Findings {
    keys: Vec<KeyFinding>,
    file: Option<FileFinding>,
}

pub(crate) fn run(arguments: &DoctorArguments) -> Result<(), Failure> {
    if arguments.file.as_deref().is_some_and(|file| file == Path::new("-")) {
        return Err(Failure::usage("what is looked at has to be a file, and not a stream"));
    }
    // Faults of the call are told as `open` tells them, before anybody is asked.
    drop(context::presented(&arguments.context.context)?);
    let given = keys::given(&arguments.keys.key)?;
    arguments.keys.manner().check(&given)?;
    let probe = probe_pairs(arguments)?;
    let keys: Vec<KeyFinding> = given.iter().map(|key| KeyFinding::of(key, &probe)).collect();
    let file = arguments.file.as_deref().map(|file| FileFinding::of(file, arguments, &keys));
    let findings = Findings { keys, file };
    if arguments.json {
        say(&json::of(&findings).to_string())?;
    } else {
        say(&text::of(&findings))?;
    }
    // fmt: T-19
    findings.failure().map_or(Ok(()), |failure| Err(Failure::already_told(failure.category())))
}

impl Findings {
    /// Why it cannot be opened: the file, or without one the first key that cannot be asked.
    fn failure(&self) -> Option<&Failure> {
        match &self.file {
            Some(file) => file.opened.as_ref().err(),
            None => self.keys.iter().find_map(|key| key.opens.as_ref().err()),
        }
    }
}

/// The pairs that are told to AWS KMS, for a policy that asks for them.
fn probe_pairs(arguments: &DoctorArguments) -> Result<Vec<(String, String)>, Failure> {
    let mut pairs = Vec::new();
    for pair in &arguments.context.context {
        let (name, value) = context::split(pair, "-c")?;
        if arguments.keys.kms_context.iter().any(|own| own == name) {
            pairs.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(pairs)
}
