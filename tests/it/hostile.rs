//! The list of hostile inputs, line by line, as far as a vector cannot express it: what needs a provider that
//! misbehaves, counts or returns a known key, a source that lies, or two messages under one key.
//!
//! Each test is named by its line. Each asserts the category and the exit status, and that the error shows nothing
//! of what was planted as plaintext, context value or key.

#[path = "hostile/bodies.rs"]
mod bodies;
#[path = "hostile/forge.rs"]
pub(crate) mod forge;
#[path = "hostile/headers.rs"]
mod headers;
#[path = "hostile/keys.rs"]
mod keys;
#[path = "hostile/records.rs"]
mod records;
#[path = "hostile/sources.rs"]
mod sources;

use std::fmt;

use kuvert::{
    Category, EncryptionContext, Kuvert, MessageStart, OpenError, Opened, Opener, RecordKey,
    blocking::block_on,
};

/// What an opener is told, and with which status the program ends.
type Told = (Category, u8);

const USAGE: Told = (Category::Usage, 2);
const MALFORMED: Told = (Category::Malformed, 3);
const UNSUPPORTED: Told = (Category::Unsupported, 3);
const LIMIT: Told = (Category::LimitExceeded, 3);
const TRUNCATED: Told = (Category::Truncated, 4);
const TAMPERED: Told = (Category::Tampered, 4);
const WRONG_CONTEXT: Told = (Category::WrongContext, 5);
const WRONG_KEY: Told = (Category::WrongKey, 6);
const KEY_UNAVAILABLE: Told = (Category::KeyUnavailable, 6);

/// What every plaintext here begins with.
const PLANTED: &[u8] = b"pl4nted-plaintext";

/// What was told, after a look whether the error is silent about what was planted.
#[track_caller]
fn told<T>(result: Result<T, OpenError>) -> Told {
    let Err(error) = result else { panic!("this must not open") };
    let mut shown = format!("{error} {error:?}");
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        shown += &format!(" {error} {error:?}");
        cause = error.source();
    }
    assert_silent(&shown);
    (error.category(), error.category().exit_status())
}

/// Text, hexadecimal and lists of numbers: the planted bytes in the forms that an error could show them in.
#[track_caller]
fn assert_silent(shown: &str) {
    for planted in
        ["pl4nted", "424242", "BBB", "66, 66, 66", "111111", "17, 17, 17", "706c346e", "112, 108, 52"]
    {
        assert!(!shown.contains(planted), "{planted} is in: {shown}");
    }
}

fn open_with(
    kuvert: &Kuvert,
    message: &[u8],
    context: &EncryptionContext,
) -> Result<Opened<Vec<u8>>, OpenError> {
    block_on(kuvert.open(message, context)).unwrap()
}

/// Opens with the context that everything here is sealed with.
fn open(kuvert: &Kuvert, message: &[u8]) -> Result<Opened<Vec<u8>>, OpenError> {
    open_with(kuvert, message, &forge::context())
}

fn opener(kuvert: &Kuvert, start: MessageStart) -> Result<Opener, OpenError> {
    block_on(kuvert.opener(start, &forge::context())).unwrap()
}

fn load(kuvert: &Kuvert, envelope: &[u8]) -> Result<RecordKey, OpenError> {
    block_on(kuvert.load_record_key(envelope, &forge::context())).unwrap()
}

/// Whether a message opens degraded, and whether as an unfinished rewrap.
fn opened_as(kuvert: &Kuvert, message: &[u8]) -> (bool, bool) {
    let report = opener(kuvert, MessageStart::parse(message).unwrap()).unwrap().report();
    assert!(open(kuvert, message).unwrap().starts_with(PLANTED));
    (report.degraded, report.unfinished_rewrap)
}

/// Something to seal that shows when it leaks.
fn plaintext(len: usize) -> Vec<u8> {
    PLANTED.iter().copied().cycle().take(len).collect()
}

fn in_io<T: fmt::Debug>(result: std::io::Result<T>) -> Result<T, OpenError> {
    result.map_err(OpenError::from)
}
