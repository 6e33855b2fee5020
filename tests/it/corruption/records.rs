//! The same for records, their cells, and key envelopes.

use std::collections::BTreeMap;

use kuvert::{Category, Cell, RecordKey};

use crate::support::cancel::wait;
use crate::support::fixture::{cell, context, kuvert, text};

fn record_key() -> (RecordKey, Vec<u8>) {
    wait(kuvert().new_record_key(&context())).expect("a key in memory")
}

/// Records: every bit, every cut, every byte more, in both ways to open them.
#[test]
fn every_bit_and_cut_of_records() {
    let (key, _) = record_key();
    for len in [0, 1, 15, 16, 17, 200] {
        let plaintext = text(len);
        let record = key.seal(&plaintext, &cell()).expect("a small record");
        assert_eq!(*key.open(&record, &cell()).expect("unchanged"), plaintext);
        for at in 0..record.len() {
            for bit in 0..8 {
                let mut changed = record.clone();
                changed[at] ^= 1 << bit;
                let expected = match at {
                    0 => None,
                    1..9 => Some(Category::KeyUnavailable),
                    _ => Some(Category::Tampered),
                };
                refuse_record(&key, &changed, expected);
            }
        }
        for cut in 0..record.len() {
            let expected = if cut < 49 { Category::Truncated } else { Category::Tampered };
            refuse_record(&key, &record[..cut], Some(expected));
        }
        for more in [1, 16, 49, 300] {
            let changed = [record.clone(), vec![0; more]].concat();
            refuse_record(&key, &changed, Some(Category::Tampered));
        }
    }
}

fn refuse_record(key: &RecordKey, record: &[u8], expected: Option<Category>) {
    let category = key.open(record, &cell()).expect_err("a changed record").category();
    let mut out = Vec::new();
    let same = key.open_into(record, &cell(), &mut out).expect_err("a changed record").category();
    assert_eq!(category, same, "the two ways to open a record agree");
    assert_eq!(out, b"", "nothing is left in the caller's buffer");
    if let Some(expected) = expected {
        assert_eq!(category, expected, "{record:02x?}");
    }
}

#[test]
fn records_stay_in_their_cell() {
    let (key, _) = record_key();
    let record =
        key.seal(b"anna@example.se", &Cell::new("customers", "email", "42")).expect("a small record");
    for (table, column, row) in [
        ("customers", "email", "43"),
        ("customers", "name", "42"),
        ("suppliers", "email", "42"),
        ("customer", "semail", "42"),
        ("customers", "email4", "2"),
        ("customersemail", "", "42"),
        ("", "", ""),
        ("42", "email", "customers"),
    ] {
        let refused = key.open(&record, &Cell::new(table, column, row)).expect_err("another cell");
        assert_eq!(refused.category(), Category::Tampered, "{table}.{column} of {row}");
    }
    let (other, _) = record_key();
    let refused = other.open(&record, &Cell::new("customers", "email", "42")).expect_err("another key");
    assert_eq!(refused.category(), Category::KeyUnavailable);
}

/// Key envelopes: every bit, every cut, and anything behind.
#[test]
fn every_bit_and_cut_of_a_key_envelope() {
    let kuvert = kuvert();
    let (_, envelope) = record_key();
    let load = |bytes: &[u8]| wait(kuvert.load_record_key(bytes, &context())).map(drop);
    load(&envelope).expect("unchanged");
    let mut seen = BTreeMap::<_, usize>::new();
    let mut refuse = |what: &str, at: usize, changed: &[u8]| {
        let error = load(changed).expect_err(what);
        assert!(!matches!(error.category(), Category::Io | Category::Refused), "{what} {at}: {error:?}");
        *seen.entry(error.category().name()).or_default() += 1;
    };
    for at in 0..envelope.len() {
        for bit in 0..8 {
            let mut changed = envelope.clone();
            changed[at] ^= 1 << bit;
            refuse("a flipped bit", at, &changed);
        }
        refuse("cut to", at, &envelope[..at]);
    }
    for more in [1, 16, 72] {
        refuse("more by", more, &[envelope.clone(), vec![0; more]].concat());
    }
    for name in
        ["malformed", "unsupported", "truncated", "tampered", "wrong-context", "wrong-key", "key-unavailable"]
    {
        assert!(seen.contains_key(name), "{name} was never seen: {seen:?}");
    }
}
