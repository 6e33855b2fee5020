//! Runs every file of `tests/vectors`: one rule each, what a reader must answer, and who may be asked for a key.
//!
//! The files are made by an independent writer (`tests/python`), from the manual alone; their format is section 17 of
//! the manual. They are discovered, never listed, and released ones are never edited.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a test that cannot go on should say where"
)]

#[cfg(feature = "tokio")]
#[path = "support/async_io.rs"]
#[allow(dead_code, reason = "this runner uses half of it")]
mod async_io;
#[path = "support/cancel.rs"]
#[allow(dead_code, reason = "this runner uses half of it")]
mod cancel;
#[path = "vector_runner/custody.rs"]
mod custody;
#[path = "vector_runner/encode.rs"]
mod encode;
#[path = "vector_runner/file.rs"]
mod file;
#[path = "vector_runner/message.rs"]
mod message;
#[path = "vector_runner/rewrap.rs"]
mod rewrap;
#[path = "vector_runner/small.rs"]
mod small;

use std::collections::BTreeMap;

use kuvert::{Category, MessageStart};

use file::{Vector, discover};

#[test]
fn every_vector_gives_what_it_states() {
    let (mut faults, mut kinds) = (Vec::new(), BTreeMap::<String, (usize, usize)>::new());
    for path in discover() {
        let vector = Vector::load(&path);
        if is_of_a_key_store(&vector) {
            continue;
        }
        let (vectors, ways) = kinds.entry(vector.text("kind").to_owned()).or_default();
        match run(&vector) {
            Ok(0) => faults.push(format!("{}: nothing ran", vector.name)),
            Ok(more) => (*vectors, *ways) = (*vectors + 1, *ways + more),
            Err(fault) => faults.push(format!("{}: {fault}", vector.name)),
        }
    }
    let ran: usize = kinds.values().map(|(vectors, _)| vectors).sum();
    println!("{ran} vectors ran; by kind, and in how many ways: {kinds:?}");
    assert!(faults.is_empty(), "{} vectors:\n{}", faults.len(), faults.join("\n"));
    assert!(ran >= 320, "only {ran} vectors ran");
}

#[test]
fn a_header_that_is_parsed_is_written_again_with_the_same_bytes() {
    let (mut attached, mut detached) = (0, 0);
    for path in discover() {
        let vector = Vector::load(&path);
        if vector.text("kind") != "message" {
            continue;
        }
        let (start, count) = match vector.len("detached-header") {
            Some(len) => {
                let (mut header, mut body) = vector.input.split_at(len);
                (MessageStart::read_detached(&mut header, &mut body), &mut detached)
            }
            None => (MessageStart::read(&mut vector.input.as_slice()), &mut attached),
        };
        if let Ok(start) = start {
            encode::check(start.header(), &vector.input)
                .unwrap_or_else(|fault| panic!("{}: {fault}", vector.name));
            *count += 1;
        }
    }
    println!("{attached} headers with their body, {detached} detached ones");
    assert!(attached > 300 && detached > 10);
}

#[test]
fn every_change_of_recipients_has_one_right_result() {
    let (mut vectors, mut lies) = (0, 0);
    for path in discover() {
        let vector = Vector::load(&path);
        if rewrap::run(&vector).unwrap_or_else(|fault| panic!("{}: {fault}", vector.name)) == 0 {
            continue;
        }
        vectors += 1;
        let mut false_ones = vec![vector.clone().with("rewrapped-sha256", "0")];
        if vector.one("rewrap-expect").is_some() {
            false_ones = vec![vector.clone().with("rewrap-expect", "usage")];
        }
        for lie in false_ones {
            assert!(rewrap::run(&lie).is_err(), "{}: the runner believed {lie:?}", vector.name);
            lies += 1;
        }
    }
    println!("{vectors} vectors");
    assert!(vectors >= 30 && lies == vectors, "{vectors} vectors, {lies} lies");
}

/// A runner that believes everything would pass as well: give it false statements, and each must be found.
#[test]
fn a_false_statement_in_a_vector_is_found() {
    let mut tried = 0;
    for path in discover() {
        let vector = Vector::load(&path);
        if is_of_a_key_store(&vector) {
            continue;
        }
        let expect = vector.text("expect").to_owned();
        let other = if expect == "tampered" { "truncated" } else { "tampered" };
        let mut lies = vec![vector.clone().with("expect", other).with("expect-stream", other)];
        if vector.text("kind") == "message" && expect == "ok" {
            let hash = vector.text("plaintext-sha256").replace('0', "1");
            lies.push(vector.clone().with("plaintext-sha256", &hash));
            lies.push(vector.clone().with("plaintext-len", "3"));
            lies.push(vector.clone().with("calls", "31"));
            lies.push(vector.clone().with("before-key", "true"));
            lies.push(vector.clone().with("opened-by", "0001 somebody"));
            lies.push(vector.clone().with("generation", "77"));
            lies.push(
                vector.clone().with("degraded", if vector.flag("degraded") { "false" } else { "true" }),
            );
            lies.push(
                vector.clone().with("unfinished", if vector.flag("unfinished") { "false" } else { "true" }),
            );
        }
        if vector.text("kind") == "record" && expect == "ok" {
            lies.push(vector.clone().with("plaintext-len", "3"));
        }
        for lie in lies {
            // A length is a lie only if it is not the true one.
            let is_true = vector.text("kind") == "message"
                && lie.number("plaintext-len") == Some(3)
                && vector.number("plaintext-len") == Some(3);
            if !is_true {
                assert!(run(&lie).is_err(), "{}: the runner believed {lie:?}", vector.name);
                tried += 1;
            }
        }
        if tried > 600 {
            break;
        }
    }
    assert!(tried > 300, "{tried}");
}

/// What is inside a key store has no public face of its own: the library's unit tests run these vectors, all of them
/// (`front::envelope::store` and `format::store_backup`).
fn is_of_a_key_store(vector: &Vector) -> bool {
    matches!(vector.text("kind"), "names" | "sealed-key" | "chain" | "store-backup")
}

fn run(vector: &Vector) -> Result<usize, String> {
    match vector.text("kind") {
        "message" => message::run(vector),
        "envelope" => small::envelope(vector),
        "record" => small::record(vector),
        "context" => small::context(vector),
        "key-file" => small::key_file(vector),
        other => panic!("{}: a kind {other:?} that this runner does not know", vector.name),
    }
}

/// What a vector expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Opens,
    Fails(Category, u8),
}

impl Verdict {
    fn parse(expect: &str) -> Self {
        if expect == "ok" {
            return Self::Opens;
        }
        let (category, status) = message::category(expect);
        assert_eq!(category.name(), expect, "the crate names the category otherwise");
        Self::Fails(category, status)
    }

    fn check(self, found: Result<(), Category>, error: impl FnOnce() -> String) -> Result<(), String> {
        match (self, found) {
            (Self::Opens, Ok(())) => Ok(()),
            (Self::Fails(expected, status), Err(found)) if found == expected => {
                ensure(found.exit_status() == status, || {
                    format!("exit status {} and not {status}", found.exit_status())
                })
            }
            (expected, Ok(())) => Err(format!("it opens; {expected:?} was expected")),
            (expected, Err(found)) => {
                Err(format!("{} ({}); {expected:?} was expected", found.name(), error()))
            }
        }
    }
}

fn ensure(holds: bool, fault: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(fault()) }
}
