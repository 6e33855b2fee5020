//! Stored against presented context, in messages and in key envelopes.

use crate::{
    error::{Category, ContextError, OpenError},
    format::{
        Kind,
        context::{BoundContext, EncryptionContext, Role},
        header::Header,
        testing::{header_of, kwp, parse, refusal, slot_of, small_envelope, small_header},
    },
};

fn pairs(pairs: &[(&str, &str)]) -> EncryptionContext {
    EncryptionContext::new(pairs.iter().copied()).expect("few short pairs")
}

/// A message that stores these pairs.
fn message(stored: &[(&str, &str)]) -> Header {
    let bound = BoundContext::for_sealing(&pairs(stored)).expect("within the limits");
    parse(&header_of(Kind::Message, bound.stored_bytes(), &[slot_of(1, &[kwp("k")], 128)], 0))
        .expect("well formed")
}

fn envelope(stored: &[(&str, &str)]) -> Result<Header, OpenError> {
    let mut pairs: Vec<_> = stored.to_vec();
    pairs.sort_unstable();
    let mut bytes = u16::try_from(pairs.len()).expect("few").to_be_bytes().to_vec();
    for part in pairs.iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend_from_slice(&u16::try_from(part.len()).expect("short").to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    let stored = if pairs.is_empty() { &[][..] } else { &bytes };
    parse(&header_of(Kind::KeyEnvelope, stored, &[slot_of(1, &[kwp("k")], 128)], 0))
}

#[test]
fn every_stored_pair_is_presented_and_equal() {
    let header = message(&[("a", "1"), ("b", "2")]);
    for (presented, accept, fine) in [
        (pairs(&[("a", "1"), ("b", "2")]), false, true),
        (pairs(&[("b", "2"), ("a", "1")]), false, true),
        (pairs(&[("a", "1"), ("b", "2"), ("c", "3")]), false, true),
        (pairs(&[("a", "1")]), false, false),
        (pairs(&[("a", "1"), ("b", "3")]), false, false),
        (pairs(&[("a", "1"), ("B", "2")]), false, false),
        (pairs(&[]), false, false),
        (pairs(&[]), true, true),
        (pairs(&[("a", "1")]), true, true),
        (pairs(&[("a", "2")]), true, false),
        (pairs(&[("b", "")]), true, false),
    ] {
        let found = header.bind(&presented, accept);
        assert_eq!(found.is_ok(), fine, "{presented:?}, accept {accept}");
        if let Err(error) = found {
            assert_eq!(error.category(), Category::WrongContext);
        }
    }
}

#[test]
fn the_union_is_the_same_however_it_comes_together() {
    let sealed = pairs(&[("a", "1")]).with_required("b", "2").expect("two pairs");
    let all = BoundContext::for_sealing(&sealed).expect("within the limits").all_bytes().to_vec();
    let header = message(&[("a", "1")]);
    let required = EncryptionContext::empty().with_required("b", "2").expect("one pair");
    for (presented, accept) in [
        (sealed, false),
        (pairs(&[("a", "1"), ("b", "2")]), false),
        (pairs(&[("b", "2")]), true),
        (required, true),
    ] {
        let bound = header.bind(&presented, accept).expect("the same context");
        assert_eq!(bound.all_bytes(), all);
        let stored = message(&[("a", "1")]);
        let start = 32;
        assert_eq!(bound.stored_bytes(), &stored.as_bytes()[start..start + bound.stored_bytes().len()]);
    }
}

#[test]
fn the_limits_hold_for_the_union() {
    let names = |range: std::ops::Range<usize>| range.map(|i| (format!("{i:02}"), String::new()));
    let stored = EncryptionContext::new(names(0..40)).expect("40 pairs");
    let bound = BoundContext::for_sealing(&stored).expect("within the limits");
    let bytes = header_of(Kind::Message, bound.stored_bytes(), &[slot_of(1, &[kwp("k")], 128)], 0);
    let header = parse(&bytes).expect("well formed");
    let fits = EncryptionContext::new(names(40..64)).expect("24 pairs");
    assert_eq!(header.bind(&fits, true).expect("64 pairs").pairs().len(), 64);
    let too_many = EncryptionContext::new(names(40..65)).expect("25 pairs");
    let error = header.bind(&too_many, true).expect_err("65 pairs");
    assert!(matches!(error, OpenError::Context(ContextError::TooLong { limit: 64, .. })), "{error}");
    assert_eq!(error.category(), Category::LimitExceeded);
    assert_eq!(refusal(header.bind(&too_many, false)), Category::WrongContext, "what is missing comes first");
}

#[test]
fn the_bytes_of_the_union_are_limited() {
    let value = "v".repeat(4096);
    let stored = pairs(&[("a", &value), ("b", &value)]);
    let bound = BoundContext::for_sealing(&stored).expect("within the limits");
    let bytes = header_of(Kind::Message, bound.stored_bytes(), &[slot_of(1, &[kwp("k")], 128)], 0);
    let header = parse(&bytes).expect("well formed");
    // 2 bytes of count, and 4 + 1 bytes beside each value.
    let rest = 16_384 - 2 - 4 * 5 - 3 * 4096;
    let presented = |last: usize| pairs(&[("c", &value), ("d", &value[..last])]);
    assert_eq!(header.bind(&presented(rest), true).expect("exactly 16 384 bytes").all_bytes().len(), 16_384);
    assert_eq!(refusal(header.bind(&presented(rest + 1), true)), Category::LimitExceeded);
}

#[test]
fn an_envelope_says_its_role_and_reference() {
    let (role, reference) = (("kuvert:role", "record"), ("kuvert:reference", "00000000000000ff"));
    assert!(envelope(&[role, reference]).is_ok());
    assert!(envelope(&[role, reference, ("table", "users")]).is_ok());
    for bad in [
        &[][..],
        &[role],
        &[reference],
        &[role, ("kuvert:reference", "0000000000000000")],
        &[role, ("kuvert:reference", "00000000000000FF")],
        &[role, ("kuvert:reference", "0000000000000ff")],
        &[role, ("kuvert:reference", "000000000000000ff")],
        &[role, ("kuvert:reference", "+0000000000000ff")],
        &[role, ("kuvert:reference", "")],
        &[reference, ("kuvert:role", "Record")],
        &[reference, ("kuvert:role", "")],
        &[reference, ("kuvert:role", "subject")],
        &[role, reference, ("kuvert:other", "")],
        &[role, reference, ("aws-crypto-public-key", "")],
    ] {
        assert_eq!(refusal(envelope(bad)), Category::Malformed, "{bad:?}");
    }
}

#[test]
fn the_role_is_always_the_expected_one() {
    let context = pairs(&[("table", "users")]);
    for role in Role::ALL {
        let header = parse(&small_envelope(role, 7)).expect("well formed");
        for expected in Role::ALL {
            for accept in [false, true] {
                let found = header.bind_envelope(&context, expected, None, accept);
                match found {
                    Ok((bound, reference)) => {
                        assert_eq!((role, reference), (expected, 7));
                        assert_eq!(bound.pairs().len(), 3);
                    }
                    Err(error) => {
                        assert_ne!(role, expected);
                        assert_eq!(error.category(), Category::WrongContext);
                    }
                }
            }
        }
    }
}

#[test]
fn the_reference_is_compared_where_it_is_known() {
    let header = parse(&small_envelope(Role::Record, 7)).expect("well formed");
    let bind = |context: &EncryptionContext, reference, accept| {
        header.bind_envelope(context, Role::Record, reference, accept).map(|(_, reference)| reference)
    };
    let (context, none) = (pairs(&[("table", "users")]), EncryptionContext::empty());
    assert_eq!(bind(&context, None, false).ok(), Some(7));
    assert_eq!(bind(&context, Some(7), false).ok(), Some(7));
    assert_eq!(bind(&none, Some(7), true).ok(), Some(7));
    assert_eq!(refusal(bind(&context, Some(8), false)), Category::WrongContext);
    assert_eq!(refusal(bind(&context, Some(8), true)), Category::WrongContext);
    assert_eq!(refusal(bind(&none, Some(7), false)), Category::WrongContext);
    assert_eq!(refusal(bind(&pairs(&[("table", "x")]), Some(7), true)), Category::WrongContext);
}

#[test]
fn an_envelope_binds_what_it_was_sealed_with() {
    let context = pairs(&[("table", "users")]);
    let sealed = BoundContext::for_envelope(&context, Role::Root, 9).expect("three pairs");
    let header = parse(&small_envelope(Role::Root, 9)).expect("well formed");
    let (bound, _) = header.bind_envelope(&context, Role::Root, Some(9), false).expect("the same context");
    assert_eq!(bound.all_bytes(), sealed.all_bytes());
    assert_eq!(bound.stored_bytes(), sealed.stored_bytes());
}

#[test]
fn one_kind_is_not_bound_as_the_other() {
    let message = parse(&small_header()).expect("well formed");
    let envelope = parse(&small_envelope(Role::Record, 7)).expect("well formed");
    let context = pairs(&[("table", "users")]);
    assert_eq!(refusal(envelope.bind(&context, true)), Category::Usage);
    assert_eq!(refusal(message.bind_envelope(&context, Role::Record, None, true)), Category::Usage);
}
