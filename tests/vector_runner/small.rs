//! Key envelopes, records, contexts and key files.

use std::sync::Arc;

use kuvert::blocking::Kuvert;
use kuvert::provider::{KeyFile, KeyProvider, MemoryProvider};
use kuvert::{
    Cell, EncryptionContext, Header, Kind, Layout, MessageStart, OpenError, RecordError, RecordKey,
    RecordOptions, SealOptions,
};

use super::custody::Keys;
use super::file::{Vector, hex};
use super::message::{Counted, check_plaintext};
use super::{Verdict, ensure};

/// A key envelope. The public face opens the role `record` only; of the others it must say that they are not it, before
/// anything that comes later. (The library's unit tests open those of key stores.)
pub fn envelope(vector: &Vector) -> Result<usize, String> {
    let header = Header::of_envelope(&vector.input).ok();
    let role =
        header.as_ref().and_then(|header| header.claimed_context().find(|(name, _)| *name == "kuvert:role"));
    let is_of_a_store = role.is_some_and(|(_, role)| role == "root" || role == "epoch");
    let as_record = match (vector.text("role"), vector.text("expect")) {
        ("record", expect) => Verdict::parse(expect),
        (_, "ok") => Verdict::parse("wrong-context"),
        _ if is_of_a_store => Verdict::parse("wrong-context"),
        // An envelope of role record, which is not what the vector's reader wanted.
        (_, "wrong-context") => Verdict::Opens,
        (_, expect) => Verdict::parse(expect),
    };
    let (result, asked) = load(vector, &vector.input, vector.one("reference"));
    let found = result.as_ref().map(|_| ()).map_err(OpenError::category);
    as_record.check(found, || result.as_ref().err().map_or_else(String::new, ToString::to_string))?;
    if let Ok(key) = &result {
        if let Some(reference) = vector.one("claimed-reference") {
            ensure(format!("{:016x}", key.reference()) == reference, || "another reference".to_owned())?;
        }
        check_round_trip(key)?;
    }
    if as_record == Verdict::parse(vector.text("expect")) {
        ensure(asked == 0 || !vector.flag("before-key"), || {
            format!("{asked} calls before the fault was told")
        })?;
        ensure(vector.len("calls").is_none_or(|calls| calls == asked), || format!("{asked} calls"))?;
    }
    Ok(1)
}

pub fn record(vector: &Vector) -> Result<usize, String> {
    let expected = Verdict::parse(vector.text("expect"));
    let key = match load(vector, &hex(vector.text("envelope")), None).0 {
        Ok(key) => key,
        Err(error) => return expected.check(Err(error.category()), || error.to_string()).map(|()| 1),
    };
    let options = RecordOptions::default().with_max_len(vector.len("max-record-len").unwrap_or(1 << 20));
    let key = key.with_options(options);
    let parts = vector.parts();
    let borrowed: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    // Twice: the second time the key may know the nonce's subkey already.
    let mut cells = vec![Cell::from_parts(&borrowed), Cell::from_parts(&borrowed)];
    if let [table, column, row] = &borrowed[..] {
        if let (Ok(table), Ok(column)) = (std::str::from_utf8(table), std::str::from_utf8(column)) {
            cells.push(Cell::new(table, column, *row));
        }
    }
    for cell in &cells {
        let result = key.open(&vector.input, cell);
        let found = result.as_ref().map(|_| ()).map_err(RecordError::category);
        expected.check(found, || result.as_ref().err().map_or_else(String::new, ToString::to_string))?;
        let mut into = b"before".to_vec();
        match (&result, key.open_into(&vector.input, cell, &mut into)) {
            (Ok(plaintext), Ok(())) => {
                check_plaintext(vector, plaintext)?;
                check_plaintext(vector, &into)?;
            }
            (Err(_), Err(_)) => ensure(into.is_empty(), || "open_into left something behind".to_owned())?,
            _ => return Err("open and open_into disagree".to_owned()),
        }
    }
    Ok(cells.len())
}

/// A context, whose serialisation stands in the header of a message that stores it.
pub fn context(vector: &Vector) -> Result<usize, String> {
    let expected = Verdict::parse(vector.text("expect"));
    let context = EncryptionContext::new(vector.pairs());
    let found = context.as_ref().map(|_| ()).map_err(kuvert::ContextError::category);
    expected.check(found, || format!("{:?}", context.as_ref().err()))?;
    if let Ok(context) = context {
        let provider = MemoryProvider::generate("k").map_err(|error| error.to_string())?;
        let options = SealOptions::default().with_layout(Layout::Compact);
        let message = Kuvert::new(provider).with_seal_options(options).seal(b"", &context);
        let message = message.map_err(|error| error.to_string())?;
        let found = &message[32..32 + vector.input.len()];
        let len = u32::from_be_bytes(message[12..16].try_into().expect("four bytes"));
        ensure(usize::try_from(len) == Ok(vector.input.len()), || format!("S has {len} bytes"))?;
        ensure(found == vector.input, || "another serialisation".to_owned())?;
    }
    Ok(1)
}

/// A key file: read as one, and the first of its keys seals.
pub fn key_file(vector: &Vector) -> Result<usize, String> {
    let expected = Verdict::parse(vector.text("expect"));
    let parsed = KeyFile::parse(&vector.input);
    let found = parsed.as_ref().map(|_| ()).map_err(kuvert::provider::KeyFileError::category);
    expected.check(found, || format!("{:?}", parsed.as_ref().err()))?;
    let text = std::str::from_utf8(&vector.input);
    if let Ok(text) = text {
        let provider = MemoryProvider::from_key_file_text(text);
        ensure(provider.is_ok() == parsed.is_ok(), || "the provider reads it differently".to_owned())?;
    }
    if let (Ok(file), Ok(text)) = (parsed, text) {
        ensure(file.ids().eq(vector.all("key-id")), || format!("ids {:?}", file.ids().collect::<Vec<_>>()))?;
        let provider = MemoryProvider::from_key_file_text(text).map_err(|error| error.to_string())?;
        let sealed = Kuvert::new(provider).seal(b"", &EncryptionContext::empty());
        let sealed = sealed.map_err(|error| error.to_string())?;
        let start = MessageStart::parse(&sealed).map_err(|error| error.to_string())?;
        assert_eq!(start.header().claimed_kind(), Kind::Message, "it was sealed as one");
        let shown = format!("{:?}", start.header().claimed_slots().next());
        let first = vector.all("key-id").next().unwrap_or_default();
        ensure(shown.contains(&format!("{first:?}")), || format!("sealed by another key: {shown}"))?;
    }
    Ok(1)
}

/// Loads the key, of the reference that is presented where one is.
fn load(vector: &Vector, envelope: &[u8], reference: Option<&str>) -> (Result<RecordKey, OpenError>, usize) {
    let counted = Counted::new(Keys::of(vector));
    let provider: Arc<dyn KeyProvider> = Arc::<Counted>::clone(&counted);
    let kuvert = Kuvert::from_arc(provider).with_open_options(vector.options());
    let reference = reference.map(|hex| u64::from_str_radix(hex, 16).expect("16 hexadecimal digits"));
    let result = match (vector.context(), reference) {
        (Ok(context), Some(reference)) => kuvert.load_record_key_of(envelope, reference, &context),
        (Ok(context), None) => kuvert.load_record_key(envelope, &context),
        (Err(error), _) => Err(error.into()),
    };
    (result, counted.asked())
}

fn check_round_trip(key: &RecordKey) -> Result<(), String> {
    let cell = Cell::new("t", "c", 1);
    let sealed = key.seal(b"x", &cell).map_err(|error| error.to_string())?;
    let opened = key.open(&sealed, &cell).map_err(|error| error.to_string())?;
    ensure(opened.as_slice() == b"x", || "the key does not open what it sealed".to_owned())
}
