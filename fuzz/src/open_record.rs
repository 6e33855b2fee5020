//! Records and key envelopes, edited and arbitrary, under a known key.
//!
//! A record opens exactly if it is the very record for that very cell, and then to the right plaintext; any other is
//! refused with the category that section 10 of the format gives it. What is sealed opens again, by every way in and
//! out. An edited key envelope loads exactly if nothing was edited.

use std::sync::OnceLock;

use kuvert::{Category, Cell, EncryptionContext, OpenOptions, RecordError, RecordKey, RecordOptions};

use super::{
    edits,
    fixtures::{
        self, CELL, ENVELOPE, ENVELOPE_CONTEXT, ENVELOPE_DEK, FIXTURES, Keys, OTHER_ENVELOPE, RECORDS,
        block_on,
    },
    input::Input,
};

pub fn run(data: &[u8]) {
    check(data, &Crate);
}

/// What is tested: a record key, and how it is loaded.
pub trait Records {
    fn open(&self, record: &[u8], parts: &[&[u8]], max_len: usize) -> Result<Vec<u8>, RecordError>;
    fn seal(&self, plaintext: &[u8], parts: &[&[u8]], max_len: usize) -> Result<Vec<u8>, RecordError>;
    fn load(&self, envelope: &[u8], context: &EncryptionContext) -> Result<u64, Category>;
}

/// The crate itself.
#[derive(Debug)]
pub struct Crate;

impl Records for Crate {
    fn open(&self, record: &[u8], parts: &[&[u8]], max_len: usize) -> Result<Vec<u8>, RecordError> {
        let key = key().clone().with_options(RecordOptions::default().with_max_len(max_len));
        let cell = Cell::from_parts(parts);
        let mut buffer = b"what was here before".to_vec();
        let into = key.open_into(record, &cell, &mut buffer);
        let opened = key.open(record, &cell).map(|plaintext| plaintext.to_vec());
        assert_eq!(
            into.as_ref().err().map(category),
            opened.as_ref().err().map(category),
            "two ways to open"
        );
        assert_eq!(&buffer, opened.as_ref().unwrap_or(&Vec::new()));
        // A cell of a table is the same as its three parts.
        if let [table, column, row] = parts {
            if let (Ok(table), Ok(column)) = (std::str::from_utf8(table), std::str::from_utf8(column)) {
                let by_name = key.open(record, &Cell::new(table, column, *row));
                assert_eq!(by_name.is_ok(), opened.is_ok());
            }
        }
        opened
    }

    fn seal(&self, plaintext: &[u8], parts: &[&[u8]], max_len: usize) -> Result<Vec<u8>, RecordError> {
        let key = key().clone().with_options(RecordOptions::default().with_max_len(max_len));
        let cell = Cell::from_parts(parts);
        let mut into = b"what was here before".to_vec();
        let sealed = key.seal_into(plaintext, &cell, &mut into);
        assert_eq!(into.is_empty(), sealed.is_err());
        let many = key.seal_many([(plaintext, cell), (plaintext, cell)]);
        assert_eq!(many.is_ok(), sealed.is_ok());
        for record in many.into_iter().flatten().chain(sealed.is_ok().then_some(into)) {
            assert_eq!(key.open(&record, &cell).expect("what was sealed opens").as_slice(), plaintext);
        }
        key.seal(plaintext, &cell)
    }

    fn load(&self, envelope: &[u8], context: &EncryptionContext) -> Result<u64, Category> {
        let loaded = block_on(Keys::new().handle(OpenOptions::default()).load_record_key(envelope, context));
        loaded.map(|key| key.reference()).map_err(|error| error.category())
    }
}

pub fn check(data: &[u8], records: &impl Records) {
    // What no script begins with is a record as it is.
    if data.first().is_some_and(|&first| first >= 0xc0) {
        return check_record(data, &CELL.map(str::as_bytes), MAX, records);
    }
    let mut input = Input::new(data);
    match input.u8() % 4 {
        0 => check_envelope(&mut input, records),
        1 => check_sealing(&mut input, records),
        what => {
            let (_, record) = RECORDS[usize::from(input.u8()) % RECORDS.len()];
            let max_len = if what == 2 { MAX } else { input.u16().into() };
            let cell = take_parts(&mut input);
            let cell: Vec<&[u8]> = cell.iter().map(Vec::as_slice).collect();
            let mut record = record.to_vec();
            for _ in 0..8 {
                if input.is_empty() {
                    break;
                }
                let others = [RECORDS[1].1, RECORDS[2].1];
                let anchors = [1, 9, 21, 33, record.len()];
                edits::apply(&mut record, &mut input, &others, &anchors);
            }
            check_record(&record, &cell, max_len, records);
        }
    }
}

fn check_record(record: &[u8], cell: &[&[u8]], max_len: usize, records: &impl Records) {
    let expected = verdict(record, cell, max_len);
    let found = records.open(record, cell, max_len);
    assert_eq!(
        found.as_ref().map_err(category),
        expected.as_ref().map_err(|category| *category),
        "{found:?}"
    );
}

/// Section 10, in its order.
fn verdict(record: &[u8], cell: &[&[u8]], max_len: usize) -> Result<Vec<u8>, Category> {
    match record.first() {
        None => return Err(Category::Truncated),
        Some(0xf8) => {}
        Some(0xf9..=0xff | 0xc0 | 0xc1) => return Err(Category::Unsupported),
        Some(_) => return Err(Category::Malformed),
    }
    if record.len() < 49 {
        return Err(Category::Truncated);
    }
    if record.len() - 49 > max_len {
        return Err(Category::LimitExceeded);
    }
    if record[1..9] != RECORDS[0].1[1..9] {
        return Err(Category::KeyUnavailable);
    }
    let known = RECORDS.iter().find(|(_, known)| *known == record);
    match known {
        Some(&(len, _)) if *cell == CELL.map(str::as_bytes) => Ok(fixtures::plaintext(len, ENVELOPE_DEK)),
        _ => Err(Category::Tampered),
    }
}

fn check_sealing(input: &mut Input<'_>, records: &impl Records) {
    let parts = take_parts(input);
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let (len, max_len) = (input.below(3000), input.below(3000));
    let plaintext = fixtures::plaintext(len, input.u8());
    match records.seal(&plaintext, &parts, max_len) {
        Ok(record) => {
            assert!(len <= max_len, "sealed above the limit");
            assert_eq!((record.len(), record[0]), (len + 49, 0xf8));
            assert_eq!(records.open(&record, &parts, max_len).expect("it opens again"), plaintext);
            let other = take_parts(input);
            let other: Vec<&[u8]> = other.iter().map(Vec::as_slice).collect();
            let elsewhere = records.open(&record, &other, max_len).map_err(|error| error.category());
            let expected = if other == parts { Ok(plaintext) } else { Err(Category::Tampered) };
            assert_eq!(elsewhere, expected, "{other:?} instead of {parts:?}");
        }
        Err(error) => {
            assert!(len > max_len && error.category() == Category::LimitExceeded, "not sealed: {error}");
        }
    }
}

fn check_envelope(input: &mut Input<'_>, records: &impl Records) {
    let context = EncryptionContext::new(ENVELOPE_CONTEXT).unwrap();
    let mut envelope = ENVELOPE.to_vec();
    for _ in 0..8 {
        if input.is_empty() {
            break;
        }
        let others = [OTHER_ENVELOPE, FIXTURES[1].message];
        let anchors = [12, 32, ENVELOPE.len() - 72, ENVELOPE.len() - 16, ENVELOPE.len()];
        edits::apply(&mut envelope, input, &others, &anchors);
    }
    match records.load(&envelope, &context) {
        Ok(reference) => {
            assert_eq!(envelope, ENVELOPE, "a changed envelope was loaded");
            assert_eq!(reference.to_be_bytes(), RECORDS[0].1[1..9]);
        }
        Err(category) => {
            assert_ne!(envelope, ENVELOPE, "refused as {category:?}");
            let impossible = [Category::Io, Category::Usage, Category::Refused];
            assert!(!impossible.contains(&category), "refused as {category:?}");
        }
    }
}

/// The fixtures' cell, something like it, or any parts.
fn take_parts(input: &mut Input<'_>) -> Vec<Vec<u8>> {
    let mut parts: Vec<Vec<u8>> = CELL.map(|part| part.as_bytes().to_vec()).into();
    match input.u8() % 8 {
        0..=2 => {}
        3 => parts.swap(0, 1),
        4 => {
            // The same bytes, cut elsewhere.
            let moved: Vec<u8> = parts[1].drain(..input.below(3)).collect();
            parts[0].extend(moved);
        }
        5 => parts.push(input.short_bytes().to_vec()),
        6 => drop(parts.pop()),
        _ => parts = (0..input.u8() % 6).map(|_| input.short_bytes().to_vec()).collect(),
    }
    parts
}

fn key() -> &'static RecordKey {
    static KEY: OnceLock<RecordKey> = OnceLock::new();
    KEY.get_or_init(|| {
        let context = EncryptionContext::new(ENVELOPE_CONTEXT).unwrap();
        block_on(Keys::new().handle(OpenOptions::default()).load_record_key(ENVELOPE, &context)).unwrap()
    })
}

fn category(error: &RecordError) -> Category {
    error.category()
}

/// Bytes of plaintext that a record may have unless a script says otherwise.
const MAX: usize = 1024 * 1024;
