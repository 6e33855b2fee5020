//! `kuvert inspect --keys`: which keys many files name, and which files could not be asked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kuvert::{ClaimedSlot, Recipient, RecipientType};
use serde_json::{Value, json};

use super::{json, read};
use crate::args::InspectArguments;
use crate::failure::{Failure, say};
use crate::names;

/// A key as headers name it.
type Key = (RecipientType, Vec<u8>);

pub(super) fn run(arguments: &InspectArguments) -> Result<(), Failure> {
    let mut files_of_key: BTreeMap<Key, u64> = BTreeMap::new();
    let mut unreadable = Vec::new();
    for file in &arguments.files {
        match read(file) {
            Ok(claims) => {
                // A file counts once for a key, however many of its recipients name it.
                let slots = claims.header().claimed_slots();
                for key in slots.flat_map(recipients).map(key).collect::<BTreeSet<_>>() {
                    *files_of_key.entry(key).or_default() += 1;
                }
            }
            Err(failure) => unreadable.push((file.as_path(), failure)),
        }
    }
    let read = arguments.files.len() - unreadable.len();
    if arguments.json {
        say(&as_json(&files_of_key, read, &unreadable).to_string())?;
    } else {
        print(&files_of_key, read, &unreadable)?;
    }
    // fmt: T-2
    unreadable.first().map_or(Ok(()), |(_, failure)| Err(Failure::already_told(failure.category())))
}

// fmt: T-10
fn print(
    files_of_key: &BTreeMap<Key, u64>,
    read: usize,
    unreadable: &[(&Path, Failure)],
) -> Result<(), Failure> {
    say(&format!(
        "keys that {} name, by their headers' claims and not verified:",
        names::counted(read, "file")
    ))?;
    for ((kind, id), files) in files_of_key {
        say(&format!("{files:>8}  {kind} \"{}\"", names::shown(&String::from_utf8_lossy(id))))?;
    }
    if !unreadable.is_empty() {
        say(&format!(
            "{} could not be read, and may name any key:",
            names::counted(unreadable.len(), "file")
        ))?;
    }
    for (_, failure) in unreadable {
        say(&format!("          {}", failure.message()))?;
    }
    Ok(())
}

fn as_json(files_of_key: &BTreeMap<Key, u64>, read: usize, unreadable: &[(&Path, Failure)]) -> Value {
    let key = |((kind, id), files): (&Key, &u64)| json!({ "type": kind.0, "type_name": kind.name(), "id": String::from_utf8_lossy(id), "files": files });
    let fault = |(file, failure): &(&Path, Failure)| json!({ "file": file.to_string_lossy(), "error": json::error(failure) });
    let keys: Vec<Value> = files_of_key.iter().map(key).collect();
    let unreadable: Vec<Value> = unreadable.iter().map(fault).collect();
    json!({ "verified": false, "files_read": read, "claimed_keys": keys, "unreadable": unreadable })
}

fn recipients(slot: ClaimedSlot<'_>) -> &[Recipient] {
    if let ClaimedSlot::Filled { recipients, .. } = slot { recipients } else { &[] }
}

/// Of a pending recipient, the key that was wanted.
fn key(recipient: &Recipient) -> Key {
    (recipient.pending_for().unwrap_or(recipient.recipient_type()), recipient.id().to_vec())
}
