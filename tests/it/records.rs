//! Record keys through the public face: what a record is, what buffers hold, many at once, many threads.
//!
//! What is refused, bit by bit and line by line, is in `hostile/records.rs` and `corruption/records.rs`; forks are in
//! `tests/fork.rs`, allocations in `tests/allocations.rs`.

use std::{collections::HashSet, thread};

use kuvert::{Category, Cell, EncryptionContext, RecordError, RecordKey, RecordOptions, blocking::block_on};
use proptest::prelude::*;

use crate::support::fixture::{kuvert, text};

fn key() -> RecordKey {
    block_on(kuvert().new_record_key(&EncryptionContext::empty())).unwrap().unwrap().0
}

fn pooled(key: &RecordKey) -> RecordKey {
    key.clone().with_options(RecordOptions::default().with_snapshot_unsafe_nonce_pool(true))
}

fn cell() -> Cell<'static> {
    Cell::new("customers", "email", 42)
}

fn nonce(record: &[u8]) -> [u8; 24] {
    record[9..33].try_into().unwrap()
}

#[test]
fn a_record_is_49_bytes_longer_and_names_its_key() {
    let key = key();
    for len in [0, 1, 15, 16, 17, 63, 64, 65, 1023, 1024, 16_384, 100_000, 1 << 20] {
        let plaintext = text(len);
        let record = key.seal(&plaintext, &cell()).unwrap();
        assert_eq!(record.len(), len + 49);
        assert_eq!(record[0], 0xf8);
        assert_eq!(record[1..9], key.reference().to_be_bytes());
        assert_eq!(*key.open(&record, &cell()).unwrap(), plaintext);
    }
    assert_ne!(key.reference(), 0);
}

#[test]
fn the_same_value_never_gives_the_same_record() {
    let key = key();
    for key in [key.clone(), pooled(&key)] {
        let records: HashSet<_> = (0..1000).map(|_| key.seal(b"yes", &cell()).unwrap()).collect();
        let nonces: HashSet<_> = records.iter().map(|record| nonce(record)).collect();
        let ciphertexts: HashSet<_> = records.iter().map(|record| record[33..].to_vec()).collect();
        assert_eq!([records.len(), nonces.len(), ciphertexts.len()], [1000; 3]);
    }
}

#[test]
fn buffers_are_replaced_whatever_they_held() {
    let key = key();
    let (mut record, mut opened) = (Vec::new(), Vec::new());
    for len in [0, 100, 3, 5000, 5000, 16, 0, 70_000] {
        let plaintext = text(len);
        key.seal_into(&plaintext, &cell(), &mut record).unwrap();
        assert_eq!(record.len(), len + 49);
        key.open_into(&record, &cell(), &mut opened).unwrap();
        assert_eq!(opened, plaintext);
    }
}

#[test]
fn a_failed_call_leaves_its_buffer_empty() {
    let key = key();
    let small = key.clone().with_options(RecordOptions::default().with_max_len(10));
    let mut record = b"former content".to_vec();
    let refused = small.seal_into(&[0; 11], &cell(), &mut record).unwrap_err();
    assert_eq!(refused.category(), Category::LimitExceeded);
    assert_eq!(record, b"");

    let sealed = key.seal(b"text", &cell()).unwrap();
    for (bytes, expected) in [
        (&b""[..], Category::Truncated),
        (b"text", Category::Malformed),
        (b"\xf9", Category::Unsupported),
        (&sealed[..48], Category::Truncated),
    ] {
        let mut opened = b"former content".to_vec();
        assert_eq!(key.open_into(bytes, &cell(), &mut opened).unwrap_err().category(), expected);
        assert_eq!(opened, b"");
    }
    let mut opened = vec![0xaa; 100];
    let refused = key.open_into(&sealed, &Cell::new("customers", "email", 43), &mut opened);
    assert!(matches!(refused, Err(RecordError::Tampered)));
    assert_eq!(opened, b"");
}

#[test]
fn clones_and_loads_are_the_same_key() {
    let kuvert = kuvert();
    let context = EncryptionContext::new([("table", "customers")]).unwrap();
    let (key, envelope) = block_on(kuvert.new_record_key(&context)).unwrap().unwrap();
    let loaded = block_on(kuvert.load_record_key(&envelope, &context)).unwrap().unwrap();
    assert_eq!(key.reference(), loaded.reference());
    let record = key.clone().seal(b"text", &cell()).unwrap();
    assert_eq!(loaded.open(&record, &cell()).unwrap().as_slice(), b"text");
    assert_eq!((key.records_sealed(), loaded.records_sealed()), (1, 0));
    assert!(!key.is_due_for_rotation());

    let other = block_on(kuvert.new_record_key(&context)).unwrap().unwrap().0;
    let refused = other.open(&record, &cell());
    assert!(
        matches!(refused, Err(RecordError::KeyUnavailable { reference }) if reference == key.reference())
    );
}

#[test]
fn many_at_once_are_what_one_by_one_would_be() {
    let key = key();
    for count in [0, 1, 2, 100, 340, 341, 1000, 5000] {
        let values: Vec<Vec<u8>> = (0..count).map(|i| text(i % 50)).collect();
        let cells = || (0..count).map(|i| Cell::new("customers", "email", i as u64));
        let sealed = key.seal_many(values.iter().zip(cells())).unwrap();

        let (mut buffer, mut ends) = (b"before".to_vec(), vec![6]);
        key.seal_many_into(values.iter().zip(cells()), &mut buffer, &mut ends).unwrap();
        assert_eq!(&buffer[..6], b"before");
        assert_eq!(*ends.last().unwrap(), buffer.len());
        let in_one_buffer: Vec<&[u8]> = ends.windows(2).map(|ends| &buffer[ends[0]..ends[1]]).collect();

        assert_eq!([sealed.len(), in_one_buffer.len()], [count; 2]);
        let mut nonces = HashSet::new();
        for (i, (cell, value)) in cells().zip(&values).enumerate() {
            for record in [&sealed[i], in_one_buffer[i]] {
                assert_eq!(record.len(), value.len() + 49);
                assert_eq!(*key.open(record, &cell).unwrap(), *value);
                assert!(nonces.insert(nonce(record)));
            }
        }
    }
}

#[test]
fn many_at_once_fail_as_one() {
    let key = key().with_options(RecordOptions::default().with_max_len(10));
    let values = [&b"short"[..], b"short too", b"longer than ten bytes"];
    let rows = || values.iter().map(|value| (value, cell()));
    assert!(matches!(key.seal_many(rows()), Err(RecordError::LimitExceeded { limit: 10, .. })));
    let (mut buffer, mut ends) = (b"before".to_vec(), vec![6]);
    key.seal_many_into(rows(), &mut buffer, &mut ends).unwrap_err();
    assert_eq!((buffer.as_slice(), ends.as_slice()), (&b"before"[..], &[6][..]));
}

#[test]
fn an_iterator_may_use_the_key_that_it_feeds() {
    let key = key();
    let inner = key.clone();
    let nested =
        (0..700_u64).map(|i| (inner.seal(&i.to_be_bytes(), &cell()).unwrap(), Cell::new("t", "c", i)));
    let sealed = key.seal_many(nested).unwrap();
    for (i, record) in sealed.iter().enumerate() {
        let outer = key.open(record, &Cell::new("t", "c", i as u64)).unwrap();
        assert_eq!(key.open(&outer, &cell()).unwrap().as_slice(), (i as u64).to_be_bytes());
    }
    assert_eq!(key.records_sealed(), 1400);
}

#[test]
fn threads_share_a_key() {
    let key = key();
    let nonces: Vec<HashSet<[u8; 24]>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|thread| {
                let key = if thread % 2 == 0 { key.clone() } else { pooled(&key) };
                scope.spawn(move || {
                    (0..2000_u64)
                        .map(|i| {
                            let cell = Cell::new("t", "c", i);
                            let record = key.seal(&i.to_be_bytes(), &cell).unwrap();
                            assert_eq!(key.open(&record, &cell).unwrap().as_slice(), i.to_be_bytes());
                            nonce(&record)
                        })
                        .collect()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let all: HashSet<_> = nonces.iter().flatten().collect();
    assert_eq!(all.len(), 16_000);
    assert_eq!(key.records_sealed(), 16_000);
}

#[test]
fn nothing_of_a_key_is_shown() {
    let key = key();
    let shown = format!("{key:?}");
    assert_eq!(
        shown,
        format!(
            "RecordKey {{ reference: {:016x}, options: RecordOptions {{ max_len: 1048576, \
             snapshot_unsafe_nonce_pool: false }}, .. }}",
            key.reference()
        )
    );
    let opened = key.open(&key.seal(b"secret", &cell()).unwrap(), &cell()).unwrap();
    assert_eq!(format!("{opened:?}"), "Opened(..)");
}

#[test]
fn keys_and_cells_go_where_they_are_needed() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    fn sent<T: Copy + Send + Sync>() {}
    shared::<RecordKey>();
    sent::<Cell<'_>>();
}

fn parts() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sealed_opens_in_its_cell_and_in_no_other(
        plaintext in prop::collection::vec(any::<u8>(), 0..2000),
        mine in parts(),
        other in parts(),
        pool in any::<bool>(),
    ) {
        let key = if pool { pooled(&key()) } else { key() };
        let mine: Vec<&[u8]> = mine.iter().map(Vec::as_slice).collect();
        let other: Vec<&[u8]> = other.iter().map(Vec::as_slice).collect();
        let record = key.seal(&plaintext, &Cell::from_parts(&mine)).unwrap();
        prop_assert_eq!(record.len(), plaintext.len() + 49);
        prop_assert_eq!(&*key.open(&record, &Cell::from_parts(&mine)).unwrap(), &plaintext);
        let elsewhere = key.open(&record, &Cell::from_parts(&other));
        prop_assert_eq!(elsewhere.is_ok(), mine == other);
    }

    #[test]
    fn any_edit_is_refused(
        plaintext in prop::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
        cut in any::<prop::sample::Index>(),
    ) {
        let key = key();
        let record = key.seal(&plaintext, &cell()).unwrap();
        let mut changed = record.clone();
        changed[at.index(record.len())] ^= flip;
        prop_assert!(key.open(&changed, &cell()).is_err());
        prop_assert!(key.open(&record[..cut.index(record.len())], &cell()).is_err());
    }
}
