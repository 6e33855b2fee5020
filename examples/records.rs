//! Fields of a table: one key in memory, one record a field, no I/O between them.
//!
//! `cargo run --example records`

use std::collections::BTreeMap;

use kuvert::{Cell, EncryptionContext, RecordError, blocking::Kuvert, provider::MemoryProvider};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kuvert = Kuvert::new(MemoryProvider::generate("demo-2026")?);
    let context = EncryptionContext::new([("table", "customers")])?;

    // Once, when the table is made: a key for its records, and the envelope to keep beside the table.
    let (key, envelope) = kuvert.new_record_key(&context)?;

    // A table: customer number, sealed mail address. Each value is bound to its row.
    let mut table = BTreeMap::new();
    for (id, mail) in [(1, "anna@example.se"), (2, "bo@example.se")] {
        table.insert(id, key.seal(mail.as_bytes(), &Cell::new("customers", "email", id))?);
    }
    println!("anna's address, 15 bytes, is now {} bytes", table[&1].len());

    // Many at once: one draw of random bytes for all of them.
    let new = [(3, "carin@example.se"), (4, "david@example.se"), (5, "eva@example.se")];
    let sealed = key.seal_many(new.map(|(id, mail)| (mail, Cell::new("customers", "email", id))))?;
    table.extend(new.map(|(id, _)| id).into_iter().zip(sealed));

    // Another day, another process: the key is loaded from its envelope, once, and then opens what it likes.
    let key = kuvert.load_record_key(&envelope, &context)?;
    for (id, record) in &table {
        let mail = key.open(record, &Cell::new("customers", "email", *id))?;
        println!("customer {id}: {}", std::str::from_utf8(&mail)?);
    }

    // Somebody with write access to the database copies Anna's address into Bo's row.
    match key.open(&table[&1], &Cell::new("customers", "email", 2)) {
        Err(error @ RecordError::Tampered) => println!("anna's address in bo's row: {error}"),
        other => return Err(format!("this must not open: {other:?}").into()),
    }

    // Rows from before the migration are told apart: no text begins like a record.
    let plain = key.open(b"fredrik@example.se", &Cell::new("customers", "email", 6));
    assert!(matches!(plain, Err(RecordError::NotSealed { first_byte: b'f' })));
    println!("a row of before the migration: {plain:?}");

    // For a hot path: into buffers that are used again, without an allocation.
    let (mut record, mut mail) = (Vec::with_capacity(256), Vec::with_capacity(256));
    key.seal_into(b"gun@example.se", &Cell::new("customers", "email", 7), &mut record)?;
    key.open_into(&record, &Cell::new("customers", "email", 7), &mut mail)?;
    assert_eq!(mail, b"gun@example.se");
    println!("sealed with this loaded key so far: {}", key.records_sealed());
    Ok(())
}
