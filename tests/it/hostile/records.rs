//! Lines 71 to 82: records that are cut, changed, moved, foreign, too long, or no records at all.

use std::fmt::Debug;

use kuvert::{
    Cell, EncryptionContext, RecordError, RecordKey, RecordOptions, blocking::block_on,
    limits::RECORD_OVERHEAD,
};

use super::{
    KEY_UNAVAILABLE, LIMIT, MALFORMED, PLANTED, TAMPERED, TRUNCATED, Told, UNSUPPORTED, assert_silent,
    forge::{context, memory},
};

fn key() -> RecordKey {
    block_on(memory().new_record_key(&context())).unwrap().unwrap().0
}

fn cell() -> Cell<'static> {
    Cell::new("customers", "email", 42)
}

#[track_caller]
fn told_of<T: Debug>(result: Result<T, RecordError>) -> Told {
    let error = result.map(|opened| panic!("this must not open: {opened:?}")).unwrap_or_else(|error| error);
    assert_silent(&format!("{error} {error:?}"));
    (error.category(), error.category().exit_status())
}

/// What both ways of opening are told, which must be the same, and leave nothing behind.
#[track_caller]
fn told(key: &RecordKey, record: &[u8], cell: &Cell<'_>) -> Told {
    let mut out = b"former content".to_vec();
    let into = told_of(key.open_into(record, cell, &mut out));
    assert!(out.is_empty());
    assert_eq!(told_of(key.open(record, cell)), into);
    into
}

#[test]
fn line_71_nothing_or_too_little() {
    let key = key();
    let sealed = key.seal(b"", &cell()).unwrap();
    assert_eq!(sealed.len(), 49);
    for len in 0..49 {
        assert_eq!(told(&key, &sealed[..len], &cell()), TRUNCATED, "{len} bytes");
    }
}

#[test]
fn line_72_what_is_no_record() {
    let key = key();
    for first_byte in (0..=255_u8).filter(|&byte| byte != 0xf8) {
        for len in [1, 10, 49, 100] {
            let mut bytes = vec![b'a'; len];
            bytes[0] = first_byte;
            let expected = if matches!(first_byte, 0xf9..|0xc0| 0xc1) { UNSUPPORTED } else { MALFORMED };
            assert_eq!(told(&key, &bytes, &cell()), expected, "{first_byte:02x}, {len} bytes");
        }
    }
    let text = "fröken@example.se";
    assert!(matches!(key.open(text.as_bytes(), &cell()), Err(RecordError::NotSealed { first_byte: b'f' })));
    // What begins like a record is never taken for text, whatever follows.
    assert_eq!(told(&key, b"\xf8 smorrebrod", &cell()), TRUNCATED);
}

#[test]
fn line_74_a_reference_that_is_not_known() {
    let (mine, theirs) = (key(), key());
    let sealed = theirs.seal(PLANTED, &cell()).unwrap();
    assert_eq!(told(&mine, &sealed, &cell()), KEY_UNAVAILABLE);
    let named = mine.open(&sealed, &cell()).unwrap_err();
    assert!(matches!(named, RecordError::KeyUnavailable { reference } if reference == theirs.reference()));
}

#[test]
fn line_75_a_reference_that_leads_to_another_key() {
    let (mine, theirs) = (key(), key());
    let mut sealed = theirs.seal(PLANTED, &cell()).unwrap();
    sealed[1..9].copy_from_slice(&mine.reference().to_be_bytes());
    assert_eq!(told(&mine, &sealed, &cell()), TAMPERED);
}

#[test]
fn lines_76_and_77_every_bit() {
    let key = key();
    let sealed = key.seal(PLANTED, &cell()).unwrap();
    for bit in 8..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let expected = if bit < 9 * 8 { KEY_UNAVAILABLE } else { TAMPERED };
        assert_eq!(told(&key, &flipped, &cell()), expected, "bit {bit}");
    }
}

#[test]
fn line_78_moved_to_another_place() {
    let key = key();
    let sealed = key.seal(PLANTED, &cell()).unwrap();
    for elsewhere in [
        Cell::new("customer", "email", 42),
        Cell::new("customers", "phone", 42),
        Cell::new("customers", "email", 43),
        Cell::new("customers", "email", "42"),
        Cell::new("email", "customers", 42),
        Cell::new("Customers", "email", 42),
        Cell::from_parts(&[]),
        Cell::from_parts(&[b"customers", b"email"]),
    ] {
        assert_eq!(told(&key, &sealed, &elsewhere), TAMPERED, "{elsewhere:?}");
    }
    let error = key.open(&sealed, &Cell::new("customers", "email", 43)).unwrap_err();
    assert!(error.to_string().contains("another cell"), "it names the place as a possible cause: {error}");
}

#[test]
fn line_79_parts_split_otherwise() {
    let key = key();
    let sealed = key.seal(PLANTED, &Cell::from_parts(&[b"ab", b"c"])).unwrap();
    assert!(key.open(&sealed, &Cell::from_parts(&[b"ab", b"c"])).is_ok());
    for other in [
        &[&b"a"[..], b"bc"][..],
        &[b"abc"],
        &[b"abc", b""],
        &[b"", b"abc"],
        &[b"c", b"ab"],
        &[b"ab", b"c", b""],
    ] {
        assert_eq!(told(&key, &sealed, &Cell::from_parts(other)), TAMPERED, "{other:?}");
    }
}

#[test]
fn lines_80_and_81_cut_or_lengthened() {
    let key = key();
    let sealed = key.seal(PLANTED, &cell()).unwrap();
    for len in 0..sealed.len() {
        let expected = if len < RECORD_OVERHEAD { TRUNCATED } else { TAMPERED };
        assert_eq!(told(&key, &sealed[..len], &cell()), expected, "{len} bytes left");
    }
    for more in [1, 16, 49, 1000] {
        let longer = [&sealed[..], &vec![0; more]].concat();
        assert_eq!(told(&key, &longer, &cell()), TAMPERED, "{more} more");
    }
    assert_eq!(told(&key, &[&sealed[..], &sealed].concat(), &cell()), TAMPERED, "twice");
}

#[test]
fn line_82_a_plaintext_above_the_limit() {
    const MIB: usize = 1024 * 1024;
    let limited = |limit| key().with_options(RecordOptions::default().with_max_len(limit));
    for (key, limit) in [(key(), MIB), (limited(0), 0), (limited(100), 100), (limited(usize::MAX), 64 * MIB)]
    {
        let longest = vec![7; limit];
        let sealed = key.seal(&longest, &cell()).unwrap();
        assert_eq!(key.open(&sealed, &cell()).unwrap().len(), limit);
        let longer = vec![7; limit + 1];
        assert_eq!(told_of(key.seal(&longer, &cell())), LIMIT, "sealing {limit} + 1");
        let mut record = b"former content".to_vec();
        assert_eq!(told_of(key.seal_into(&longer, &cell(), &mut record)), LIMIT);
        assert!(record.is_empty());
        // The limit is told before the key and its tag are looked at.
        let longer = [&sealed[..], &[0]].concat();
        assert_eq!(told(&key, &longer, &cell()), LIMIT, "opening {limit} + 1");
    }
    let (generous, strict) = (key(), key());
    let sealed = generous.seal(&[7; 101], &cell()).unwrap();
    let strict = strict.with_options(RecordOptions::default().with_max_len(100));
    assert_eq!(told(&strict, &sealed, &cell()), LIMIT, "before the reference, which is another key's");
}

#[test]
fn line_82_a_cell_of_too_many_parts() {
    let key = key();
    let parts = vec![&b""[..]; 65_536];
    assert!(key.seal(PLANTED, &Cell::from_parts(&parts[..65_535])).is_ok());
    assert_eq!(told_of(key.seal(PLANTED, &Cell::from_parts(&parts))), LIMIT);
}

#[test]
fn an_envelope_that_is_loaded_again_is_the_same_key() {
    let (key, envelope) = block_on(memory().new_record_key(&context())).unwrap().unwrap();
    let again = super::load(&memory(), &envelope).unwrap();
    assert_eq!(again.reference(), key.reference());
    let sealed = key.seal(PLANTED, &cell()).unwrap();
    assert_eq!(again.open(&sealed, &cell()).unwrap().as_slice(), PLANTED);
    let other = EncryptionContext::new([("table", "another")]).unwrap();
    let refused = block_on(memory().load_record_key(&envelope, &other)).unwrap();
    assert_eq!(super::told(refused), super::WRONG_CONTEXT);
}
