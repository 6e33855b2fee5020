//! What becomes of a message or key envelope when its recipients are changed: one result, to the byte.

use std::fs;

use kuvert::blocking::{Kuvert, Rewrap};
use kuvert::provider::MemoryProvider;
use kuvert::{EncryptionContext, RewrapError};
use sha2::{Digest as _, Sha256};

use super::ensure;
use super::file::Vector;

/// Makes the change in memory, and in files. Gives the number of ways; none for a vector that states no change.
pub fn run(vector: &Vector) -> Result<usize, String> {
    let Some(change) = vector.one("rewrap") else { return Ok(0) };
    let rewrap = rewrap(vector, change);
    let context = vector.context().map_err(|error| error.to_string())?;
    let mut results = vec![in_memory(vector, &rewrap, &context)];
    if vector.text("kind") == "message" {
        results.push(in_files(vector, &rewrap, &context)?);
    }
    let expected = vector.one("rewrap-expect");
    for (way, result) in results.iter().enumerate() {
        match result {
            Ok(message) => {
                ensure(expected.is_none(), || format!("way {way}: rewrapped"))?;
                let hash: String = Sha256::digest(message).iter().map(|byte| format!("{byte:02x}")).collect();
                ensure(hash == vector.text("rewrapped-sha256"), || format!("way {way}: other bytes"))?;
            }
            Err(error) => {
                ensure(expected == Some(error.category().name()), || format!("way {way}: {error}"))?;
            }
        }
    }
    Ok(results.len())
}

fn rewrap(vector: &Vector, change: &str) -> Rewrap {
    let provider = |field: &'static str| {
        let text: String = vector.all(field).map(|line| format!("{line}\n")).collect();
        MemoryProvider::from_key_file_text(&text).expect("the vector's keys are good")
    };
    let holder = Kuvert::new(provider("key")).with_open_options(vector.options());
    match change.split_once(' ').unwrap_or((change, "")) {
        ("to", "") => holder.rewrap_to(provider("rewrap-key")),
        ("add", "") => holder.add_recipient(provider("rewrap-key")),
        ("repair", "") => holder.repair(provider("rewrap-key")),
        ("remove", id) => holder.remove_recipient([id]),
        _ => panic!("{}: no change is called {change:?}", vector.name),
    }
}

type Rewrapped = Result<Vec<u8>, RewrapError>;

fn in_memory(vector: &Vector, rewrap: &Rewrap, context: &EncryptionContext) -> Rewrapped {
    let input = &vector.input[..];
    if vector.text("kind") == "envelope" {
        return rewrap.envelope(input, context).map(|(envelope, _)| envelope);
    }
    let Some(header_len) = vector.len("detached-header") else {
        return rewrap.message(input, context).map(|(message, _)| message);
    };
    let (header, body) = input.split_at(header_len);
    let start = body.first_chunk().expect("a vector to be rewrapped has a body");
    let (header, _) = rewrap.detached(header, start, context)?;
    Ok([&header, body].concat())
}

fn in_files(vector: &Vector, rewrap: &Rewrap, context: &EncryptionContext) -> Result<Rewrapped, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let [header, body] = ["header", "body"].map(|name| folder.path().join(name));
    let at = vector.len("detached-header").unwrap_or(vector.input.len());
    let write = fs::write(&header, &vector.input[..at]).and_then(|()| fs::write(&body, &vector.input[at..]));
    write.map_err(|error| error.to_string())?;
    let done = match vector.one("detached-header") {
        Some(_) => rewrap.detached_file(&header, &body, context),
        None => rewrap.file(&header, context),
    };
    let read = |path| fs::read(path).map_err(|error| error.to_string());
    let found = [read(&header)?, read(&body)?].concat();
    ensure(done.is_ok() || found == vector.input, || "refused, and changed all the same".to_owned())?;
    let names = fs::read_dir(folder.path()).map_err(|error| error.to_string())?.count();
    ensure(names == 2, || "something was left beside the file".to_owned())?;
    Ok(done.map(|_| found))
}
