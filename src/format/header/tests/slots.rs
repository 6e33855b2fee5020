//! Two slots: which are tried, which are genuine, and what is said of the others.

use crate::{
    error::Category,
    format::{
        Kind,
        header::{ClaimedSlot, Header, VerifiedSlots},
        stanza::Recipient,
        testing::{BODY_START, bound, header_of, kwp, mac_key, parse, refusal, slot_of},
    },
    limits::BODY_START_LEN,
    secret::Secret,
};

const SLOT_LEN: usize = 256;
/// Where slot A begins: after the fixed start and the one stored pair.
const SLOTS_AT: usize = 32 + 2 + 4 + 5 + 5;

fn filled(generation: u32, id: &str) -> Vec<u8> {
    slot_of(generation, &[kwp(id)], SLOT_LEN)
}

fn empty() -> Vec<u8> {
    vec![0; SLOT_LEN]
}

fn bad() -> Vec<u8> {
    let mut slot = filled(9, "bad");
    slot[6] = 1;
    slot
}

fn bytes_of(slots: &[Vec<u8>]) -> Vec<u8> {
    let bound = bound();
    assert_eq!(SLOTS_AT, 32 + bound.stored_bytes().len());
    header_of(Kind::Message, bound.stored_bytes(), slots, 0)
}

fn header(slots: &[Vec<u8>]) -> Header {
    parse(&bytes_of(slots)).expect("the slots wait")
}

/// A header whose MAC of the slot `broken` does not verify.
fn broken(slots: &[Vec<u8>], broken: usize) -> Header {
    let mut bytes = bytes_of(slots);
    bytes[SLOTS_AT + (broken + 1) * SLOT_LEN - 1] ^= 1;
    parse(&bytes).expect("the MAC waits")
}

fn verify(header: &Header) -> Result<VerifiedSlots, Category> {
    header.verify_slots(&mac_key(), &BODY_START).map_err(|error| error.category())
}

/// Generation, the only recipient's id, degraded, unfinished rewrap.
fn summary(header: &Header) -> Result<(u32, String, bool, bool), Category> {
    verify(header).map(|found| {
        let id = found.recipients[0].id_lossy();
        (found.generation, id, found.degraded, found.unfinished_rewrap)
    })
}

fn ids(header: &Header) -> Vec<String> {
    let usable = header.usable_slots().expect("one parses");
    usable.iter().map(|(_, slot)| slot.recipients()[0].id_lossy()).collect()
}

#[test]
fn slots_are_tried_by_descending_generation() {
    assert_eq!(ids(&header(&[filled(1, "a")])), ["a"]);
    assert_eq!(ids(&header(&[filled(1, "a"), filled(2, "b")])), ["b", "a"]);
    assert_eq!(ids(&header(&[filled(2, "a"), filled(1, "b")])), ["a", "b"]);
    assert_eq!(ids(&header(&[filled(3, "a"), filled(3, "b")])), ["a", "b"]);
    assert_eq!(ids(&header(&[empty(), filled(1, "b")])), ["b"]);
    assert_eq!(ids(&header(&[bad(), filled(1, "b")])), ["b"]);
    assert_eq!(ids(&header(&[filled(1, "a"), bad()])), ["a"]);
}

#[test]
fn the_fault_of_the_first_slot_that_is_not_empty_is_told() {
    let mut many = filled(1, "many");
    many[5] = 33;
    for (slots, category) in [
        (vec![empty()], Category::Malformed),
        (vec![empty(), empty()], Category::Malformed),
        (vec![bad()], Category::Malformed),
        (vec![many.clone()], Category::LimitExceeded),
        (vec![many.clone(), bad()], Category::LimitExceeded),
        (vec![bad(), many.clone()], Category::Malformed),
        (vec![empty(), many.clone()], Category::LimitExceeded),
        (vec![many.clone(), empty()], Category::LimitExceeded),
        (vec![empty(), bad()], Category::Malformed),
    ] {
        assert_eq!(refusal(header(&slots).usable_slots()), category);
    }
    assert_eq!(ids(&header(&[many, filled(1, "b")])), ["b"]);
}

#[test]
fn one_slot_is_genuine_or_it_is_tampered() {
    assert_eq!(summary(&header(&[filled(5, "a")])), Ok((5, "a".to_owned(), false, false)));
    assert_eq!(summary(&broken(&[filled(5, "a")], 0)), Err(Category::Tampered));
    let whole = header(&[filled(5, "a")]);
    let other_key = Secret::copy_from(&[0x34; 64]);
    assert_eq!(refusal(whole.verify_slots(&other_key, &BODY_START)), Category::Tampered);
    for at in [0, 23, 24, 55] {
        let mut start = BODY_START;
        start[at] ^= 1;
        assert_eq!(refusal(whole.verify_slots(&mac_key(), &start)), Category::Tampered, "salt, commitment");
    }
}

#[test]
fn every_bit_before_the_padding_is_covered() {
    let bytes = bytes_of(&[filled(5, "a")]);
    let mut parsed = 0;
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(header) = Header::parse(flipped, Kind::Message, Some(72)) {
            parsed += 1;
            assert_eq!(summary(&header), Err(Category::Tampered), "bit {bit}");
        }
    }
    assert!(parsed > 256, "the MAC itself always parses, {parsed} did");
}

#[test]
fn two_slots_say_whether_something_is_left_to_do() {
    let named = |id: &str| id.to_owned();
    let (a, b) = (filled(1, "a"), filled(2, "b"));
    for (header, expected) in [
        (header(&[a.clone(), empty()]), Ok((1, named("a"), false, false))),
        (header(&[empty(), b.clone()]), Ok((2, named("b"), false, false))),
        (header(&[a.clone(), b.clone()]), Ok((2, named("b"), false, true))),
        (header(&[b.clone(), a.clone()]), Ok((2, named("b"), false, true))),
        (header(&[a.clone(), a.clone()]), Ok((1, named("a"), false, true))),
        (header(&[a.clone(), bad()]), Ok((1, named("a"), true, false))),
        (header(&[bad(), b.clone()]), Ok((2, named("b"), true, false))),
        (broken(&[a.clone(), b.clone()], 1), Ok((1, named("a"), true, false))),
        (broken(&[a.clone(), b.clone()], 0), Ok((2, named("b"), true, false))),
        (broken(&[a.clone(), bad()], 0), Err(Category::Tampered)),
        (broken(&[a.clone(), empty()], 0), Err(Category::Tampered)),
        (header(&[filled(3, "a"), filled(3, "b")]), Err(Category::Tampered)),
        (broken(&[filled(3, "a"), filled(3, "b")], 0), Ok((3, named("b"), true, false))),
    ] {
        assert_eq!(summary(&header), expected, "{header:?}");
    }
}

#[test]
fn a_slot_is_bound_to_its_header_but_not_to_its_place() {
    let bytes = bytes_of(&[filled(1, "a"), empty()]);
    let mut moved = bytes.clone();
    moved[SLOTS_AT..].rotate_left(SLOT_LEN);
    assert_eq!(summary(&parse(&moved).expect("well formed")), Ok((1, "a".to_owned(), false, false)));
    let other = header_of(Kind::Message, &[], &[filled(1, "a"), empty()], 0);
    let mut spliced = bytes;
    spliced[SLOTS_AT..SLOTS_AT + SLOT_LEN].copy_from_slice(&other[32..32 + SLOT_LEN]);
    assert_eq!(summary(&parse(&spliced).expect("well formed")), Err(Category::Tampered));
}

#[test]
fn recipients_cannot_be_removed_added_or_reordered() {
    let build = |recipients: &[Recipient]| bytes_of(&[slot_of(1, recipients, SLOT_LEN)]);
    let sealed = build(&[kwp("a"), kwp("b")]);
    let mac = sealed[sealed.len() - 32..].to_vec();
    for recipients in [&[kwp("b"), kwp("a")][..], &[kwp("a")], &[kwp("a"), kwp("b"), kwp("c")]] {
        let mut forged = build(recipients);
        let at = forged.len() - 32;
        forged[at..].copy_from_slice(&mac);
        assert_eq!(summary(&parse(&forged).expect("well formed")), Err(Category::Tampered));
    }
}

#[test]
fn a_header_claims_what_it_holds() {
    let header = header(&[filled(7, "a"), bad()]);
    let slots: Vec<_> = header.claimed_slots().collect();
    assert_eq!(slots[0], ClaimedSlot::Filled { generation: 7, recipients: &[kwp("a")] });
    assert!(matches!(slots[1], ClaimedSlot::Bad { reason } if !reason.is_empty()));
    assert_eq!(header.claimed_context().collect::<Vec<_>>(), [("table", "users")]);
    assert_eq!((header.claimed_version(), header.claimed_suite()), (1, 1));
    assert_eq!(header.claimed_kind(), Kind::Message);
    assert_eq!(header.claimed_header_len(), SLOTS_AT + 2 * SLOT_LEN);
    assert!(!header.is_detached());
    let shown = format!("{header:?}");
    assert!(shown.contains("table") && !shown.contains("users"), "{shown}");
    assert_eq!(BODY_START_LEN, BODY_START.len());
}
