//! How often the Rust side allocates: never for a record into a buffer, never for a chunk.
//!
//! A process of its own, because it counts through the global allocator, for each thread by itself. What the C code of a
//! crypto library takes from `malloc` is not seen; it allocates when a key is made, not when it is used.
#![allow(
    unsafe_code,
    missing_docs,
    clippy::unwrap_used,
    reason = "an allocator exists in no safe form, and a test that cannot go on should say where"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell as Counter,
    hint::black_box,
    io::{Read, Write},
};

use kuvert::{
    Cell, EncryptionContext, Kuvert, MessageStart, RecordKey, RecordOptions, blocking::block_on,
    provider::MemoryProvider,
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Counter<usize> = const { Counter::new(0) };
}

fn count_one() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

// SAFETY: everything is the system allocator's doing; counting beside it touches a plain number of this thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: the caller keeps the contract of `alloc`, which is passed on unchanged.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count_one();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count_one();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, new_size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What this thread allocated while `work` ran.
fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.with(Counter::get);
    work();
    ALLOCATIONS.with(Counter::get) - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| ()), 0);
    assert_eq!(allocations(|| drop(black_box(Box::new(1)))), 1);
    assert_eq!(allocations(|| drop(black_box(vec![0_u8; 100]))), 1);
    let mut grown = Vec::with_capacity(1);
    assert_eq!(allocations(|| grown.extend([1, 2, 3])), 1);
}

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
        assert_eq!(allocations(|| (1..2000).for_each(&mut round)), 0);
        assert!(allocations(|| key.seal_into(&[7; 2000], &cell(&1), &mut record).unwrap()) > 0, "too small");
    }
}

#[test]
fn a_record_of_its_own_is_one_allocation() {
    for key in keys() {
        let record = key.seal(&[7; 1000], &cell(&1)).unwrap();
        key.open(&record, &cell(&1)).unwrap();
        assert_eq!(allocations(|| drop(key.seal(&[7; 1000], &cell(&1)).unwrap())), 1);
        assert_eq!(allocations(|| drop(key.open(&record, &cell(&1)).unwrap())), 1);
        // Each record, the vector of them, and the batch that the iterator is read into.
        let hundred = || (0..100).map(|_| ([7; 1000], cell(&1)));
        assert_eq!(allocations(|| drop(key.seal_many(hundred()).unwrap())), 102);
        let (mut buffer, mut ends) = (Vec::with_capacity(104_900), Vec::with_capacity(100));
        assert_eq!(allocations(|| key.seal_many_into(hundred(), &mut buffer, &mut ends).unwrap()), 1);
    }
}

#[test]
fn a_refusal_allocates_nothing() {
    let [key, _] = keys();
    let mut record = key.seal(&[7; 100], &cell(&1)).unwrap();
    let mut opened = Vec::with_capacity(100);
    key.open_into(&record, &cell(&1), &mut opened).unwrap(); // makes the subkey
    *record.last_mut().unwrap() ^= 1;
    assert_eq!(allocations(|| assert!(key.open_into(&record, &cell(&1), &mut opened).is_err())), 0);
    assert_eq!(allocations(|| assert!(key.open_into(b"text", &cell(&1), &mut opened).is_err())), 0);
}

#[test]
fn chunks_allocate_nothing() {
    let (kuvert, context) = (kuvert(), EncryptionContext::empty());
    let megabyte = vec![7; 1 << 20];
    let mut message = Vec::with_capacity(10 << 20);
    let mut writer = block_on(kuvert.sealer(&context)).unwrap().unwrap().into_writer(&mut message);
    writer.write_all(&megabyte).unwrap();
    let sealing = allocations(|| (0..7).for_each(|_| writer.write_all(&megabyte).unwrap()));
    writer.finish().unwrap();
    assert_eq!(sealing, 0);

    let mut source = message.as_slice();
    let start = MessageStart::read(&mut source).unwrap();
    let opener = block_on(kuvert.opener(start, &context)).unwrap().unwrap();
    let mut reader = opener.into_reader(source);
    let mut buffer = vec![0; 100_000];
    reader.read_exact(&mut buffer).unwrap();
    let opening = allocations(|| while reader.read(&mut buffer).unwrap() > 0 {});
    assert_eq!(opening, 0);
}
