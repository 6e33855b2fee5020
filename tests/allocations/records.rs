//! Records: nothing into a reserved buffer, one block for a record of its own, nothing for a refusal.

use kuvert::{
    Cell, EncryptionContext, Kuvert, RecordKey, RecordOptions, blocking::block_on, provider::MemoryProvider,
};

use super::counting::allocations_of;

fn kuvert() -> Kuvert {
    Kuvert::new(MemoryProvider::generate("test").unwrap())
}

fn keys() -> [RecordKey; 2] {
    let key = block_on(kuvert().new_record_key(&EncryptionContext::empty())).unwrap().unwrap().0;
    let pool = RecordOptions::default().with_snapshot_unsafe_nonce_pool(true);
    [key.clone(), key.with_options(pool)]
}

/// Names of 150 bytes together: the longest that stay on the stack.
fn cell(row: &u64) -> Cell<'_> {
    const NAME: &str = "a_table_or_a_column_of_which_the_name_goes_on_and_on_and_on_and_on_and";
    Cell::new(NAME, NAME, *row)
}

#[test]
fn records_into_buffers_allocate_nothing() {
    for key in keys() {
        let plaintext = [7; 1000];
        let (mut record, mut opened) = (Vec::with_capacity(1049), Vec::with_capacity(1000));
        let mut round = |row: u64| {
            key.seal_into(&plaintext, &cell(&row), &mut record).unwrap();
            key.open_into(&record, &cell(&row), &mut opened).unwrap();
        };
        round(0); // makes the subkeys
        assert_eq!(allocations_of(|| (1..2000).for_each(&mut round)), 0);
        assert!(
            allocations_of(|| key.seal_into(&[7; 2000], &cell(&1), &mut record).unwrap()) > 0,
            "too small"
        );
    }
}

#[test]
fn a_record_of_its_own_is_one_allocation() {
    for key in keys() {
        let record = key.seal(&[7; 1000], &cell(&1)).unwrap();
        key.open(&record, &cell(&1)).unwrap();
        assert_eq!(allocations_of(|| drop(key.seal(&[7; 1000], &cell(&1)).unwrap())), 1);
        assert_eq!(allocations_of(|| drop(key.open(&record, &cell(&1)).unwrap())), 1);
        // Each record, the vector of them, and the batch that the iterator is read into.
        let hundred = || (0..100).map(|_| ([7; 1000], cell(&1)));
        assert_eq!(allocations_of(|| drop(key.seal_many(hundred()).unwrap())), 102);
        let (mut buffer, mut ends) = (Vec::with_capacity(104_900), Vec::with_capacity(100));
        assert_eq!(allocations_of(|| key.seal_many_into(hundred(), &mut buffer, &mut ends).unwrap()), 1);
    }
}

#[test]
fn a_refusal_allocates_nothing() {
    let [key, _] = keys();
    let mut record = key.seal(&[7; 100], &cell(&1)).unwrap();
    let mut opened = Vec::with_capacity(100);
    key.open_into(&record, &cell(&1), &mut opened).unwrap(); // makes the subkey
    *record.last_mut().unwrap() ^= 1;
    assert_eq!(allocations_of(|| assert!(key.open_into(&record, &cell(&1), &mut opened).is_err())), 0);
    assert_eq!(allocations_of(|| assert!(key.open_into(b"text", &cell(&1), &mut opened).is_err())), 0);
}

#[test]
fn a_new_subkey_is_one_allocation_at_most() {
    let (kuvert, context) = (kuvert(), EncryptionContext::empty());
    let (opening, envelope) = block_on(kuvert.new_record_key(&context)).unwrap().unwrap();
    // Each load begins with a subkey of its own: more of them than an opener keeps.
    let loaded = || block_on(kuvert.load_record_key(&envelope, &context)).unwrap().unwrap();
    let records: Vec<_> = (0..100).map(|row| loaded().seal(&[7; 1000], &cell(&row)).unwrap()).collect();
    let mut opened = Vec::with_capacity(1000);
    let mut open_all = || {
        for (row, record) in (0..).zip(&records) {
            opening.open_into(record, &cell(&row), &mut opened).unwrap();
        }
    };
    open_all();
    // With the default backend the key lies in one block of the C library's.
    let at_most = if cfg!(feature = "aws-lc") { 0 } else { records.len() };
    let made = allocations_of(open_all);
    assert!(made <= at_most, "{made} allocations for {} subkeys", records.len());
}
