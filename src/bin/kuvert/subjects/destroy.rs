//! `kuvert subjects roll --destroy`: the end of a wrapping key, and of every older copy of the key store with it.

use kuvert::subjects::KeyToDestroy;
use kuvert::{Category, Subjects};
use serde_json::{Value, json};

use super::store::{Opened, wait};
use super::{Done, failure, good, line, roll};
use crate::args::RollArguments;
use crate::failure::Failure;
use crate::keys::{self, Custody, KeyName};
use crate::source::Source;
use crate::{names, times};

pub(super) fn run(arguments: &RollArguments) -> Result<Done, Failure> {
    // All of them first, so that none is destroyed where another one cannot be.
    let parsed = keys::parse(&arguments.destroy)?;
    let custodies = parsed.iter().map(custody).collect::<Result<Vec<_>, _>>()?;
    let opened = Opened::new(&arguments.store, &[])?;
    let waiting = opened.done(opened.subjects.keys_to_destroy())?;
    let mut chosen: Vec<Vec<KeyToDestroy>> = Vec::new();
    for (key, custody) in parsed.iter().zip(&custodies) {
        let own: Vec<_> = waiting.iter().filter(|key| key.id == custody.id).cloned().collect();
        if own.is_empty() {
            return Err(not_waiting(key, &waiting));
        }
        chosen.push(own);
    }
    // fmt: T-31
    let backup = arguments.backup.as_deref();
    let source = Source::open(backup)?;
    let name = source.name().to_owned();
    let checked = wait(Subjects::check_backup(source, &opened.keys.handle(), &*opened.keys.provider))?;
    let checked = checked.map_err(|error| failure::of(&error, &name, &opened.keys.ids))?;
    let (mut lines, mut objects) = (Vec::new(), Vec::new());
    for (own, custody) in chosen.iter().zip(&custodies) {
        // One destruction serves every epoch that the key has wrapped.
        let own = &own[..1];
        let gone = opened.done(opened.subjects.destroy_epoch_keys(own, &*custody.custodian, &checked))?;
        for (key, gone) in own.iter().zip(gone) {
            let gone = times::unix(gone);
            lines.push(format!("{}: gone for good from {} on", roll::shown(key), times::utc(gone)));
            objects.push(destroyed(key, gone));
        }
    }
    lines.push(line(
        "next",
        "after that: 'kuvert subjects receipts --confirm KEY' makes the receipts irrevocable",
    ));
    let json = vec![good(json!({ "destroyed": objects }))];
    Ok(Done { text: lines.join("\n"), json, ..Done::default() })
}

fn custody(key: &KeyName) -> Result<Custody, Failure> {
    match keys::custody(key)? {
        Some(custody) => Ok(custody),
        None => Err(Failure::new(
            Category::Refused,
            format!("{}: nobody can say that no copy of a key file exists", key.shown()),
        )
        .advise("delete every copy of it yourself, also in backups; its receipts never become irrevocable")),
    }
}

fn not_waiting(key: &KeyName, waiting: &[KeyToDestroy]) -> Failure {
    let failure = Failure::new(
        Category::Refused,
        format!("{}: it is not the wrapping key of a retired epoch, or it is gone already", key.shown()),
    );
    let shown: Vec<String> = waiting.iter().map(roll::shown).collect();
    let advice = if shown.is_empty() { "none is waiting".to_owned() } else { shown.join(", ") };
    failure.advise(format!("keys that may be destroyed: {}", names::shown(&advice)))
}

fn destroyed(key: &KeyToDestroy, gone: u64) -> Value {
    let mut object = roll::key_json(key);
    object["gone"] = json!(gone);
    object
}
