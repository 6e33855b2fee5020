//! Contexts at their limits, their bytes, and every way those bytes can be wrong.

use proptest::prelude::*;

use super::*;
use crate::{
    error::{Category, OpenError},
    format::{
        Kind,
        testing::{hex, strategies},
    },
};

fn stored_bytes(context: &EncryptionContext) -> Vec<u8> {
    BoundContext::for_sealing(context).expect("within the limits").stored_bytes().to_vec()
}

fn raw_pair(name: &[u8], value: &[u8]) -> Vec<u8> {
    let len = |bytes: &[u8]| u16::try_from(bytes.len()).expect("short").to_be_bytes();
    [&len(name)[..], name, &len(value)[..], value].concat()
}

fn raw(count: u16, pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
    let pairs: Vec<u8> = pairs.iter().flat_map(|(name, value)| raw_pair(name, value)).collect();
    [&count.to_be_bytes()[..], &pairs].concat()
}

#[track_caller]
fn refused(bytes: &[u8], expected: Category) {
    let error = decode(bytes, Kind::Message).expect_err("not canonical");
    assert_eq!(error.category(), expected, "{error}");
}

#[test]
fn the_bytes_are_those_of_the_manual() {
    let context = EncryptionContext::new([("table", "users"), ("id", "42")]).expect("two short pairs");
    assert_eq!(hex(&stored_bytes(&context)), "0002000269640002343200057461626c6500057573657273");
    assert!(stored_bytes(&EncryptionContext::empty()).is_empty());
    let required = EncryptionContext::empty().with_required("id", "42").expect("one short pair");
    let bound = BoundContext::for_sealing(&required).expect("within the limits");
    assert_eq!((bound.stored_bytes(), hex(bound.all_bytes())), (&[][..], "00010002696400023432".to_owned()));
}

#[test]
fn every_fault_of_the_bytes_has_its_category() {
    let (a, b) = ((&b"a"[..], &b"1"[..]), (&b"b"[..], &b"2"[..]));
    assert_eq!(decode(&raw(2, &[a, b]), Kind::Message).expect("canonical").len(), 2);
    for bad in [
        vec![0],
        raw(0, &[]),
        raw(0, &[a]),
        raw(1, &[]),
        raw(1, &[a, b]),
        raw(3, &[a, b]),
        raw(2, &[b, a]),
        raw(2, &[a, a]),
        raw(1, &[(b"", b"1")]),
        raw(1, &[(b"\xff", b"1")]),
        raw(1, &[(b"a", b"\xc3")]),
        raw(1, &[(b"kuvert:x", b"")]),
        raw(1, &[(b"kuvert:role", b"record")]),
        raw(1, &[(b"aws-crypto-public-key", b"")]),
        [&raw(1, &[a])[..], &[0]].concat(),
        vec![0, 1, 0, 1, b'a'],
        vec![0, 1, 0, 1, b'a', 0],
        vec![0, 1, 0, 5, b'a'],
        vec![0, 1, 0, 1, b'a', 0, 5, b'1'],
    ] {
        refused(&bad, Category::Malformed);
    }
}

#[test]
fn limits_are_told_before_the_bytes_are_looked_at() {
    let names: Vec<Vec<u8>> = (0..65).map(|i| format!("{i:03}").into_bytes()).collect();
    let pairs: Vec<(&[u8], &[u8])> = names.iter().map(|name| (&name[..], &b""[..])).collect();
    assert!(decode(&raw(64, &pairs[..64]), Kind::Message).is_ok());
    refused(&raw(65, &pairs), Category::LimitExceeded);
    refused(&raw(65, &[]), Category::LimitExceeded);
    refused(&raw(0xffff, &[(b"b", b""), (b"a", b"")]), Category::LimitExceeded);
    let (long, longer) = ([b'n'; 255], [b'n'; 256]);
    assert!(decode(&raw(1, &[(&long, b"")]), Kind::Message).is_ok());
    refused(&raw(1, &[(&longer, b"")]), Category::LimitExceeded);
    refused(&[0, 1, 1, 0], Category::LimitExceeded);
    let (long, longer) = ([b'v'; 4096], [b'v'; 4097]);
    assert!(decode(&raw(1, &[(b"n", &long)]), Kind::Message).is_ok());
    refused(&raw(1, &[(b"n", &longer)]), Category::LimitExceeded);
    refused(&[0, 1, 0, 1, b'n', 0x10, 1], Category::LimitExceeded);
    // Front to back: a fault of the first pair is told before a limit in the second, and the reverse.
    refused(&[&raw(2, &[(b"\xff", b"")])[..], &[1, 0]].concat(), Category::Malformed);
    refused(&[0, 2, 1, 0, 0, 1, 0xff], Category::LimitExceeded);
}

#[test]
fn only_our_two_names_and_only_in_envelopes() {
    let both = raw(2, &[(b"kuvert:reference", b"0000000000000001"), (b"kuvert:role", b"record")]);
    assert_eq!(decode(&both, Kind::KeyEnvelope).expect("ours").len(), 2);
    refused(&both, Category::Malformed);
    for name in [&b"kuvert:"[..], b"kuvert:Role", b"kuvert:role2", b"aws-crypto-x"] {
        let found = decode(&raw(1, &[(name, b"")]), Kind::KeyEnvelope);
        assert!(matches!(found, Err(OpenError::Malformed(_))), "{name:?}");
    }
    for name in [&b"kuvert"[..], b"Kuvert:x", b"aws-crypto", b"aws-Crypto-x"] {
        assert!(decode(&raw(1, &[(name, b"")]), Kind::Message).is_ok(), "{name:?}");
    }
}

#[test]
fn our_pairs_count_towards_the_limits_of_an_envelope() {
    let pairs = |n: usize| EncryptionContext::new((0..n).map(|i| (format!("{i}"), ""))).expect("at most 64");
    assert!(BoundContext::for_envelope(&pairs(62), Role::Record, 1).is_ok());
    let error = BoundContext::for_envelope(&pairs(63), Role::Record, 1).expect_err("65 with ours");
    assert_eq!(error.category(), Category::LimitExceeded);
    let error = BoundContext::for_envelope(&pairs(0), Role::Record, 0).expect_err("no reference");
    assert_eq!(error.category(), Category::Usage);
    let bound = BoundContext::for_envelope(&pairs(1), Role::Epoch, 0xab).expect("three pairs");
    let pairs: Vec<_> = bound.pairs().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(pairs, [("0", ""), ("kuvert:reference", "00000000000000ab"), ("kuvert:role", "epoch")]);
    assert_eq!(bound.stored_bytes(), bound.all_bytes());
}

#[test]
fn a_bound_context_shows_no_values() {
    let context =
        EncryptionContext::new([("name", "planted")]).and_then(|c| c.with_required("other", "planted"));
    let context = context.expect("two short pairs");
    let bound = BoundContext::for_sealing(&context).expect("within the limits");
    assert_eq!(format!("{bound:?}"), "[\"name\", \"other\"]");
    assert!(!format!("{context:?}").contains("planted"));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(context in strategies::context()) {
        let bound = BoundContext::for_sealing(&context).expect("few short pairs");
        let stored = decode(bound.stored_bytes(), Kind::Message).expect("we wrote it");
        let required: Vec<_> = bound.pairs().iter().filter(|pair| !stored.contains(pair)).cloned().collect();
        prop_assert_eq!(stored.len() + required.len(), context.len());
        let mut all = stored;
        all.extend(required);
        all.sort();
        prop_assert_eq!(&all[..], bound.pairs());
        let reread = decode(bound.all_bytes(), Kind::Message).expect("we wrote it");
        prop_assert_eq!(&reread[..], bound.pairs());
    }

    #[test]
    fn whatever_is_read_is_written_the_same(
        context in strategies::context(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = BoundContext::for_sealing(&context).expect("few short pairs").all_bytes().to_vec();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(pairs) = decode(&bytes, Kind::Message) {
            let mut written = Vec::new();
            wire::encode(pairs.iter().map(|(name, value)| (&**name, &**value)), &mut written);
            prop_assert_eq!(written, bytes);
        }
    }
}
