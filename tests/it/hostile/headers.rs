//! Lines 1 to 27, 38 to 45, 47 and 48: headers that are wrong, forged, spliced or put beside the wrong body.

use kuvert::{
    EncryptionContext, Kuvert, Layout, MessageStart, OpenOptions, Recipient, RecipientType, SealOptions,
    blocking::block_on,
};

use super::{
    LIMIT, MALFORMED, PLANTED, TAMPERED, TRUNCATED, Told, UNSUPPORTED, USAGE, WRONG_CONTEXT,
    forge::{Forged, Scripted, context, kwp, memory, sealed, slot},
    load, open, open_with, opened_as, opener, told,
};

const SLOT_LEN: usize = 256;
/// Bytes before the slots: the fixed start and the one stored pair.
const SLOTS_AT: usize = 32 + 2 + 4 + 5 + 13;

fn body() -> Vec<u8> {
    sealed(PLANTED, Layout::Compact).1
}

fn filled(generation: u32, ids: &[&str]) -> Vec<u8> {
    slot(generation, &ids.iter().map(|id| kwp(id)).collect::<Vec<_>>(), SLOT_LEN)
}

/// A message with these slots, and what `damage` did to it.
fn damaged(slots: &[Vec<u8>], damage: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut message = Forged::of(slots.to_vec()).message(&body());
    damage(&mut message);
    message
}

fn flip_mac(message: &mut [u8], slot: usize) {
    message[SLOTS_AT + (slot + 1) * SLOT_LEN - 1] ^= 0x80;
}

#[test]
fn lines_1_to_27_are_told_before_any_key_is_asked() {
    type Case = (&'static str, Told, fn(&mut Vec<u8>));
    const CASES: [Case; 24] = [
        ("1: nothing", TRUNCATED, |m| m.clear()),
        ("2: the magic's first byte", TRUNCATED, |m| m.truncate(1)),
        ("2: 31 bytes", TRUNCATED, |m| m.truncate(31)),
        ("3: another magic", MALFORMED, |m| m[0] = b'P'),
        ("4: a text-mode transfer", MALFORMED, |m| {
            m.remove(4);
        }),
        ("5: version 2", UNSUPPORTED, |m| m[8] = 2),
        ("6: kind 3", UNSUPPORTED, |m| m[9] = 3),
        ("6: a key envelope", MALFORMED, |m| m[9] = 2),
        ("7: suite 2", UNSUPPORTED, |m| m[11] = 2),
        ("8: pad_len 32", MALFORMED, |m| m[22] = 32),
        ("9: flag 7", UNSUPPORTED, |m| m[21] = 0x80),
        ("10: reserved", MALFORMED, |m| m[31] = 1),
        ("11: context_len", LIMIT, |m| m[12..16].fill(0xff)),
        ("12: slot_len 127", MALFORMED, |m| m[16..20].copy_from_slice(&[0, 0, 0, 127])),
        ("12: slot_len fffffff0", LIMIT, |m| m[16..20].copy_from_slice(&[0xff, 0xff, 0xff, 0xf0])),
        ("13: slot_count 3", MALFORMED, |m| m[20] = 3),
        ("14: H beyond the end", TRUNCATED, |m| m.truncate(300)),
        ("16: a count of 0", MALFORMED, |m| m[33] = 0),
        ("18: 65 pairs", LIMIT, |m| m[33] = 65),
        ("20: another stored value", WRONG_CONTEXT, |m| m[SLOTS_AT - 1] ^= 1),
        ("22: no stanza", MALFORMED, |m| m[SLOTS_AT + 5] = 0),
        ("22: 33 stanzas", LIMIT, |m| m[SLOTS_AT + 5] = 33),
        ("26: stanza flags", MALFORMED, |m| m[SLOTS_AT + 15] = 1),
        ("27: a wrap of 39", MALFORMED, |m| {
            m[SLOTS_AT + 11] -= 1;
            m[SLOTS_AT + 12 + 9] -= 1;
            m[SLOTS_AT + 12 + 12 + 2 + 39] = 0;
        }),
    ];
    let provider = Scripted::new();
    for (line, expected, damage) in CASES {
        let message = damaged(&[filled(1, &["k1"])], damage);
        assert_eq!(told(open(&provider.kuvert(), &message)), expected, "line {line}");
        let streamed =
            MessageStart::read(&mut &message[..]).and_then(|start| opener(&provider.kuvert(), start));
        assert_eq!(told(streamed), expected, "line {line}, as a stream");
    }
    assert_eq!(provider.asked(), 0);
    assert!(open(&provider.kuvert(), &damaged(&[filled(1, &["k1"])], |_| ())).is_ok());
}

#[test]
fn line_15_bytes_behind_a_key_envelope() {
    let provider = Scripted::new();
    let (_, envelope) = block_on(provider.kuvert().new_record_key(&context())).unwrap().unwrap();
    for len in 0..envelope.len() {
        assert_eq!(told(load(&provider.kuvert(), &envelope[..len])), TRUNCATED, "{len} bytes");
    }
    // What no body can be as long as is told first, as with messages.
    for (more, expected) in
        [(1, MALFORMED), (72, MALFORMED), (16_383, MALFORMED), (16_384, TRUNCATED), (16_400, MALFORMED)]
    {
        let longer = [&envelope[..], &vec![0; more]].concat();
        assert_eq!(told(load(&provider.kuvert(), &longer)), expected, "{more} bytes more");
    }
    assert_eq!(provider.asked(), 0);
    assert!(load(&provider.kuvert(), &envelope).is_ok());
    for bit in (envelope.len() - 16) * 8..envelope.len() * 8 {
        let mut flipped = envelope.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(told(load(&provider.kuvert(), &flipped)), TAMPERED, "the empty chunk's tag");
    }
}

#[test]
fn line_21_a_required_pair_that_is_missing() {
    let provider = Scripted::new();
    let sealed_with = context().with_required("row", "pl4nted-row").unwrap();
    let message = block_on(provider.kuvert().seal(PLANTED, &sealed_with)).unwrap().unwrap();
    assert_eq!(told(open(&provider.kuvert(), &message)), WRONG_CONTEXT);
    let accepting =
        provider.kuvert().with_open_options(OpenOptions::default().with_accept_stored_context(true));
    assert_eq!(told(open_with(&accepting, &message, &EncryptionContext::empty())), WRONG_CONTEXT);
    assert!(open_with(&provider.kuvert(), &message, &sealed_with).is_ok());
}

#[test]
fn lines_22_to_27_a_bad_slot_beside_a_good_one_opens_degraded() {
    let faults: [fn(&mut [u8]); 9] = [
        |slot| slot[5] = 0,
        |slot| slot[5] = 33,
        |slot| slot[..4].fill(0),
        |slot| slot[6] = 1,
        |slot| slot[11] += 1,
        |slot| slot[8] = 0xff,
        |slot| slot[12 + 4] = 0xff,
        |slot| slot[12 + 3] = 1,
        |slot| slot[SLOT_LEN - 33] = 1,
    ];
    let kuvert = Scripted::new().kuvert();
    for (i, fault) in faults.iter().enumerate() {
        for bad in [0, 1] {
            let mut slots = [filled(1, &["k1"]), filled(2, &["k1"])];
            fault(&mut slots[bad]);
            assert_eq!(
                opened_as(&kuvert, &damaged(&slots, |_| ())),
                (true, false),
                "fault {i} in slot {bad}"
            );
        }
    }
}

#[test]
fn line_27_an_impossible_wrap_of_every_known_type() {
    let provider = Scripted::new();
    let stanza = |of: u16, wrap: usize| Recipient::new(RecipientType(of), "k1", [], vec![1; wrap]);
    for (of, lengths) in [
        (0x0001, &[39, 41, 48][..]),
        (0x0002, &[59, 61, 63]),
        (0x0003, &[248, 255, 260, 1032]),
        (0x0004, &[248, 255, 260, 1032]),
        (0x0011, &[248, 255, 260, 1032]),
        (0x0040, &[41, 100]),
    ] {
        for &len in lengths {
            let message = Forged::of(vec![slot(1, &[stanza(of, len), kwp("k1")], 2048)]).message(&body());
            assert_eq!(told(open(&provider.kuvert(), &message)), MALFORMED, "type {of} of {len}");
        }
    }
    assert_eq!(provider.asked(), 0);
}

#[test]
fn line_38_a_flipped_mac_in_one_slot_or_in_one_of_two() {
    let kuvert = Scripted::new().kuvert();
    for bit in 0..32 * 8 {
        let flip = |message: &mut Vec<u8>| message[SLOTS_AT + SLOT_LEN - 32 + bit / 8] ^= 1 << (bit % 8);
        assert_eq!(told(open(&kuvert, &damaged(&[filled(1, &["k1"])], flip))), TAMPERED, "bit {bit}");
        let two = [filled(2, &["k1"]), filled(1, &["k1"])];
        assert_eq!(opened_as(&kuvert, &damaged(&two, flip)), (true, false), "bit {bit}");
    }
}

#[test]
fn line_39_no_slot_is_well_formed_or_none_is_genuine() {
    let provider = Scripted::new();
    let two = [filled(1, &["k1"]), filled(2, &["k1"])];
    let unparsable = damaged(&two, |message| {
        message[SLOTS_AT + 6] = 1;
        message[SLOTS_AT + SLOT_LEN + 6] = 1;
    });
    assert_eq!(told(open(&provider.kuvert(), &unparsable)), MALFORMED);
    assert_eq!(provider.asked(), 0);
    let forged = damaged(&two, |message| {
        flip_mac(message, 0);
        flip_mac(message, 1);
    });
    assert_eq!(told(open(&provider.kuvert(), &forged)), TAMPERED);
}

#[test]
fn line_40_two_genuine_slots_of_one_generation() {
    let kuvert = Scripted::new().kuvert();
    let differ = [filled(3, &["k1"]), filled(3, &["k1", "k2"])];
    assert_eq!(told(open(&kuvert, &damaged(&differ, |_| ()))), TAMPERED);
    let same = [filled(3, &["k1"]), filled(3, &["k1"])];
    assert_eq!(
        opened_as(&kuvert, &damaged(&same, |_| ())),
        (false, true),
        "identical ones: an unfinished rewrap"
    );
    let rewrapped = [filled(3, &["k1"]), filled(4, &["k1", "k2"])];
    assert_eq!(opened_as(&kuvert, &damaged(&rewrapped, |_| ())), (false, true));
}

#[test]
fn lines_41_and_43_empty_slots_and_generation_0() {
    let provider = Scripted::new();
    let empty = vec![0; SLOT_LEN];
    for slots in [vec![empty.clone()], vec![empty.clone(), empty.clone()], vec![filled(0, &["k1"])]] {
        assert_eq!(told(open(&provider.kuvert(), &damaged(&slots, |_| ()))), MALFORMED);
    }
    assert_eq!(provider.asked(), 0);
    assert_eq!(opened_as(&provider.kuvert(), &damaged(&[empty, filled(1, &["k1"])], |_| ())), (false, false));
}

#[test]
fn line_42_a_header_that_was_rolled_back() {
    let at_least = |generation| {
        Scripted::new().kuvert().with_open_options(OpenOptions::default().with_min_generation(generation))
    };
    let message = damaged(&[filled(5, &["k1"]), filled(4, &["k1"])], |_| ());
    for generation in [0, 4, 5] {
        assert!(open(&at_least(generation), &message).is_ok());
    }
    for generation in [6, u32::MAX] {
        assert_eq!(told(open(&at_least(generation), &message)), TAMPERED);
    }
    // The higher slot destroyed: what is left is the older header.
    let rolled_back = damaged(&[filled(5, &["k1"]), filled(4, &["k1"])], |message| flip_mac(message, 0));
    assert_eq!(told(open(&at_least(5), &rolled_back)), TAMPERED);
    assert_eq!(opened_as(&at_least(4), &rolled_back), (true, false));
}

#[test]
fn line_44_recipients_removed_added_or_reordered() {
    let kuvert = Scripted::new().kuvert();
    let body = body();
    let genuine = Forged::of(vec![filled(1, &["k1", "k2"])]).message(&body);
    assert_eq!(opened_as(&kuvert, &genuine), (false, false));
    for ids in [&["k2", "k1"][..], &["k1"], &["k1", "k2", "k3"], &["k1", "k3"]] {
        let mut forged = genuine.clone();
        forged[SLOTS_AT..SLOTS_AT + SLOT_LEN - 32].copy_from_slice(&filled(1, ids)[..SLOT_LEN - 32]);
        assert_eq!(told(open(&kuvert, &forged)), TAMPERED, "{ids:?}");
    }
}

#[test]
fn line_45_lengths_changed_and_bytes_moved_to_fit() {
    let kuvert = Scripted::new().kuvert();
    let body = body();
    let forged = Forged::of(vec![filled(1, &["k1"])]);
    let genuine = forged.message(&body);
    let slot = &genuine[SLOTS_AT..SLOTS_AT + SLOT_LEN];
    // A longer slot: zero padding and the old MAC at its new end.
    let mut longer = genuine[..SLOTS_AT].to_vec();
    longer[16..20].copy_from_slice(&512_u32.to_be_bytes());
    longer.extend_from_slice(&slot[..SLOT_LEN - 32]);
    longer.resize(SLOTS_AT + 512 - 32, 0);
    longer.extend_from_slice(&slot[SLOT_LEN - 32..]);
    longer.extend_from_slice(&body);
    assert_eq!(told(open(&kuvert, &longer)), TAMPERED);
    // The stored pair taken out of the header. The keys do not depend on where a pair stands; the MAC does.
    let mut unstored = genuine[..32].to_vec();
    unstored[12..16].fill(0);
    unstored.extend_from_slice(slot);
    unstored.extend_from_slice(&body);
    assert_eq!(told(open(&kuvert, &unstored)), TAMPERED, "the reader presents the pair");
    assert_eq!(told(open_with(&kuvert, &unstored, &EncryptionContext::empty())), WRONG_CONTEXT);
    // Another stored pair, which the reader is willing to take from the header.
    let replaced = Forged { stored: vec![("table", "0ther-value!!")], ..forged.clone() };
    let accepting = kuvert.with_open_options(OpenOptions::default().with_accept_stored_context(true));
    let empty = EncryptionContext::empty();
    assert_eq!(told(open_with(&accepting, &replaced.message(&body), &empty)), WRONG_CONTEXT);
    let detached = Forged { flags: 1, ..forged };
    let flagged = [&detached.header(&body)[..31], &genuine[31..]].concat();
    let (mut header, mut rest) = (&flagged[..SLOTS_AT + SLOT_LEN], &body[..]);
    let start = MessageStart::read_detached(&mut header, &mut rest).unwrap();
    assert_eq!(told(opener(&accepting, start)), TAMPERED, "the flag is under the MAC");
}

#[test]
fn line_47_the_mac_of_another_message_under_the_same_key() {
    let kuvert = Scripted::new().kuvert();
    let forged = Forged::of(vec![filled(1, &["k1"])]);
    let (mine, theirs) = (body(), body());
    assert_ne!(mine[..24], theirs[..24], "two messages have two salts");
    let header = forged.header(&theirs);
    assert_eq!(told(open(&kuvert, &[&header[..], &mine].concat())), TAMPERED);
    assert_eq!(opened_as(&kuvert, &[&header[..], &theirs].concat()), (false, false));
}

/// A detached header and its body, of a fresh data key.
fn detached(kuvert: &Kuvert) -> (Vec<u8>, Vec<u8>) {
    let kuvert = kuvert.clone().with_seal_options(SealOptions::default().with_layout(Layout::Detached));
    let sealer = block_on(kuvert.sealer(&context())).unwrap().unwrap();
    let header = sealer.header().to_vec();
    let mut body = vec![0; sealer.message_len(PLANTED.len()).unwrap()];
    sealer.seal_into(PLANTED, &mut body).unwrap();
    (header, body)
}

#[test]
fn line_48_a_header_in_another_place_than_it_says() {
    let kuvert = memory();
    let (header, body) = detached(&kuvert);
    let both = [&header[..], &body].concat();
    assert_eq!(told(MessageStart::parse(&both)), USAGE, "detached, but a body follows");
    assert_eq!(told(MessageStart::read(&mut &both[..])), USAGE);
    assert_eq!(told(MessageStart::parse(&header)), USAGE, "detached, and no body at all");
    assert_eq!(told(open(&kuvert, &both)), USAGE);
    let attached = block_on(kuvert.seal(PLANTED, &context())).unwrap().unwrap();
    let (attached_header, attached_body) = attached.split_at(attached.len() - body.len());
    let beside = MessageStart::read_detached(&mut &attached_header[..], &mut &attached_body[..]);
    assert_eq!(told(beside), USAGE, "attached, but a body is given");
    assert_eq!(told(MessageStart::parse(attached_header)), TRUNCATED, "attached, and no body");
    assert_eq!(told(MessageStart::read(&mut &attached_header[..])), TRUNCATED);
    let start = MessageStart::read_detached(&mut &header[..], &mut &body[..]).unwrap();
    assert!(opener(&kuvert, start).is_ok());
    let longer = [&header[..], &[0]].concat();
    assert_eq!(told(MessageStart::read_detached(&mut &longer[..], &mut &body[..])), MALFORMED);
    assert_eq!(told(MessageStart::read_detached(&mut &header[..], &mut &body[..55])), TRUNCATED);
}

#[test]
fn line_64_the_body_of_one_under_the_header_of_another() {
    let kuvert = memory();
    let ((header, _), (_, body)) = (detached(&kuvert), detached(&kuvert));
    let start = MessageStart::read_detached(&mut &header[..], &mut &body[..]).unwrap();
    assert_eq!(told(opener(&kuvert, start)), WRONG_CONTEXT, "two data keys");
    let kuvert = Scripted::new().kuvert();
    let ((header, _), (_, body)) = (detached(&kuvert), detached(&kuvert));
    let start = MessageStart::read_detached(&mut &header[..], &mut &body[..]).unwrap();
    assert_eq!(told(opener(&kuvert, start)), TAMPERED, "one data key");
}
