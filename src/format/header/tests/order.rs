//! Every fault alone, and every two faults together: the one that the format names first is told.

use crate::{
    error::{Category, OpenError},
    format::{
        Kind,
        context::{BoundContext, EncryptionContext, Role},
        header::Header,
        testing::{bound, context, header_of, kwp, refusal, slot_of},
    },
};

/// What an opener is given.
struct Input {
    bytes: Vec<u8>,
    body_len: u64,
    presented: EncryptionContext,
}

/// A fault: its name, the field it is in (two faults of one field exclude each other), its category, and how to make it.
type Fault = (&'static str, u8, Category, fn(&mut Input));

/// In the order of the format's sections 7 and 2.
const FAULTS: [Fault; 31] = [
    ("magic", 0, Category::Malformed, |i| i.bytes[0] = 0x88),
    ("magic's end", 0, Category::Malformed, |i| i.bytes[7] = 0x0d),
    ("version 0", 1, Category::Unsupported, |i| i.bytes[8] = 0),
    ("version 2", 1, Category::Unsupported, |i| i.bytes[8] = 2),
    ("kind 0", 2, Category::Unsupported, |i| i.bytes[9] = 0),
    ("kind 3", 2, Category::Unsupported, |i| i.bytes[9] = 3),
    ("kind ff", 2, Category::Unsupported, |i| i.bytes[9] = 0xff),
    ("another opener's", 2, Category::Malformed, |i| i.bytes[9] ^= 3),
    ("suite 0", 3, Category::Unsupported, |i| i.bytes[11] = 0),
    ("suite 257", 3, Category::Unsupported, |i| i.bytes[10] = 1),
    ("layout flag 1", 4, Category::Unsupported, |i| i.bytes[21] = 2),
    ("layout flags 7 and 0", 4, Category::Unsupported, |i| i.bytes[21] = 0x81),
    ("context_len 16385", 5, Category::LimitExceeded, |i| i.bytes[12..16].copy_from_slice(&[0, 0, 0x40, 1])),
    ("context_len max", 5, Category::LimitExceeded, |i| i.bytes[12..16].fill(0xff)),
    ("slot_len 131088", 6, Category::LimitExceeded, |i| i.bytes[16..20].copy_from_slice(&[0, 2, 0, 0x10])),
    ("slot_len 131073", 6, Category::LimitExceeded, |i| i.bytes[16..20].copy_from_slice(&[0, 2, 0, 1])),
    ("slot_len 0", 6, Category::Malformed, |i| i.bytes[16..20].fill(0)),
    ("slot_len 112", 6, Category::Malformed, |i| i.bytes[19] = 112),
    ("slot_len 136", 6, Category::Malformed, |i| i.bytes[19] = 136),
    ("slot_count 0", 7, Category::Malformed, |i| i.bytes[20] = 0),
    ("slot_count 3", 7, Category::Malformed, |i| i.bytes[20] = 3),
    ("pad_len 32", 8, Category::Malformed, |i| i.bytes[22] = 32),
    ("reserved, first byte", 9, Category::Malformed, |i| i.bytes[23] = 1),
    ("reserved, last byte", 9, Category::Malformed, |i| i.bytes[31] = 0x80),
    ("header's end", 10, Category::Truncated, |i| {
        i.bytes.pop();
    }),
    ("padding", 11, Category::Malformed, |i| {
        let at = i.bytes.len() - 2;
        i.bytes[at] = 1;
    }),
    ("no body", 12, Category::Truncated, |i| i.body_len = 0),
    ("a body of 71", 12, Category::Truncated, |i| i.body_len = 71),
    ("stored context", 13, Category::Malformed, |i| i.bytes[36] = 0xff),
    ("another context", 14, Category::WrongContext, |i| i.presented = EncryptionContext::empty()),
    ("slot", 15, Category::Malformed, |i| {
        let slot_at = i.bytes.len() - 3 - 128;
        i.bytes[slot_at + 6] = 1;
    }),
];

fn input(kind: Kind) -> Input {
    let bound = match kind {
        Kind::Message => bound(),
        Kind::KeyEnvelope => BoundContext::for_envelope(&context(), Role::Record, 7).expect("three pairs"),
    };
    let bytes = header_of(kind, bound.stored_bytes(), &[slot_of(1, &[kwp("k1")], 128)], 3);
    Input { bytes, body_len: 72, presented: context() }
}

/// Steps 1 to 3 of opening.
fn open(input: &Input, kind: Kind) -> Result<(), OpenError> {
    let len = Header::peek(&input.bytes[..input.bytes.len().min(32)], kind)?;
    let header = Header::parse(&input.bytes[..], kind, Some(input.body_len))?;
    assert_eq!(header.as_bytes().len(), len);
    match kind {
        Kind::Message => header.bind(&input.presented, false).map(|_| ())?,
        Kind::KeyEnvelope => {
            header.bind_envelope(&input.presented, Role::Record, Some(7), false).map(|_| ())?;
        }
    }
    header.usable_slots().map(|_| ())
}

#[test]
fn one_fault_has_its_category() {
    for kind in [Kind::Message, Kind::KeyEnvelope] {
        assert!(open(&input(kind), kind).is_ok());
        for (name, _, category, damage) in FAULTS {
            let mut input = input(kind);
            damage(&mut input);
            assert_eq!(refusal(open(&input, kind)), category, "{name}");
        }
    }
}

#[test]
fn of_two_faults_the_first_is_told() {
    for kind in [Kind::Message, Kind::KeyEnvelope] {
        for (i, (first, field, _, damage)) in FAULTS.iter().enumerate() {
            let mut alone = input(kind);
            damage(&mut alone);
            let told = open(&alone, kind).expect_err("a fault").to_string();
            for (second, other_field, _, other_damage) in &FAULTS[i + 1..] {
                // Damage to the end first: it counts from the end, which the other may move.
                let mut both = input(kind);
                if field != other_field {
                    other_damage(&mut both);
                    damage(&mut both);
                    let found = open(&both, kind).expect_err("two faults").to_string();
                    assert_eq!(found, told, "{first} and {second}");
                }
            }
        }
    }
}

#[test]
fn faults_of_envelopes_alone() {
    let mut detached = input(Kind::KeyEnvelope);
    detached.bytes[21] = 1;
    detached.bytes[12] = 0xff;
    assert_eq!(refusal(open(&detached, Kind::KeyEnvelope)), Category::Malformed, "before context_len");
    for (body_len, category) in [
        (0, Category::Truncated),
        (71, Category::Truncated),
        (73, Category::Malformed),
        (144, Category::Malformed),
        (56 + 16_400, Category::Truncated),
        (56 + 16_400 + 16, Category::Malformed),
        (u64::MAX, Category::LimitExceeded),
    ] {
        let envelope = Input { body_len, ..input(Kind::KeyEnvelope) };
        assert_eq!(refusal(open(&envelope, Kind::KeyEnvelope)), category, "a body of {body_len}");
    }
    let mut message = input(Kind::Message);
    message.bytes[21] = 1;
    assert!(open(&message, Kind::Message).is_ok(), "a message may be detached");
}

#[test]
fn a_body_of_unknown_length_is_not_judged() {
    for kind in [Kind::Message, Kind::KeyEnvelope] {
        assert!(Header::parse(input(kind).bytes, kind, None).is_ok());
    }
    for (body_len, category) in [
        (72 + 16_400 - 16, Category::Truncated),
        (56 + 16_415, Category::Truncated),
        (u64::MAX, Category::LimitExceeded),
    ] {
        let found = Header::parse(input(Kind::Message).bytes, Kind::Message, Some(body_len));
        assert_eq!(refusal(found), category, "a body of {body_len}");
    }
    assert!(Header::parse(input(Kind::Message).bytes, Kind::Message, Some(72 + 16_400)).is_ok());
}

#[test]
fn a_short_start_is_truncated_only_if_the_magic_is_right() {
    let bytes = input(Kind::Message).bytes;
    for len in 0..32 {
        assert_eq!(refusal(Header::peek(&bytes[..len], Kind::Message)), Category::Truncated, "{len} bytes");
        let mut version = bytes[..len].to_vec();
        version.iter_mut().skip(8).for_each(|byte| *byte = 0xee);
        assert_eq!(refusal(Header::peek(&version, Kind::Message)), Category::Truncated, "{len} bytes");
        for at in 0..len.min(8) {
            let mut wrong = bytes[..len].to_vec();
            wrong[at] ^= 0x40;
            assert_eq!(
                refusal(Header::peek(&wrong, Kind::Message)),
                Category::Malformed,
                "{len} bytes, {at} wrong"
            );
        }
    }
    assert_eq!(Header::peek(&bytes[..32], Kind::Message).ok(), Some(bytes.len()));
    assert_eq!(Header::peek(&bytes, Kind::Message).ok(), Some(bytes.len()));
}

#[test]
fn a_header_cut_anywhere_is_truncated() {
    let bytes = input(Kind::Message).bytes;
    for len in 0..bytes.len() {
        assert_eq!(
            refusal(Header::parse(&bytes[..len], Kind::Message, Some(72))),
            Category::Truncated,
            "{len}"
        );
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(refusal(Header::parse(longer, Kind::Message, Some(72))), Category::Malformed);
}

#[test]
fn text_mode_damage_is_named() {
    let text = |start: &[u8]| match Header::peek(start, Kind::Message) {
        Err(OpenError::Malformed(why)) => why.contains("text-mode"),
        other => panic!("{other:?}"),
    };
    let bytes = input(Kind::Message).bytes;
    let replaced = |from: &str, to: &str| -> Vec<u8> {
        let latin1: String = bytes.iter().map(|&byte| char::from(byte)).collect();
        let swapped = latin1.replace(from, to);
        swapped.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect()
    };
    assert!(text(&replaced("\r\n", "\n")));
    assert!(text(&replaced("\r\n", "\r")));
    assert!(text(&replaced("\r\n", "")));
    assert!(text(&replaced("\n", "\r\n")));
    assert!(text(&replaced("\n", "\r")));
    assert!(text(&bytes.iter().map(|byte| byte & 0x7f).collect::<Vec<_>>()));
    assert!(text(&bytes.iter().map(|&byte| char::from(byte)).collect::<String>().into_bytes()));
    assert!(text(String::from_utf8_lossy(&bytes).as_bytes()));
    assert!(text(b"\x89KUV\n"));
    assert!(!text(b"\x09"));
    assert!(!text(b"PK\x03\x04"));
    assert!(!text(b"age-encryption.org/v1\n"));
    assert!(!text(b"\x89PNG\r\n\x1a\n"));
    assert!(!text(b"\x89KUX\r\n\x1a\n"));
}

#[test]
fn the_largest_header_is_the_documented_limit() {
    let mut bytes = input(Kind::Message).bytes;
    bytes[12..16].copy_from_slice(&16_384_u32.to_be_bytes());
    bytes[16..20].copy_from_slice(&131_072_u32.to_be_bytes());
    (bytes[20], bytes[22]) = (2, 31);
    assert_eq!(Header::peek(&bytes, Kind::Message).ok(), Some(278_591));
    assert_eq!(crate::limits::MAX_HEADER_LEN, 278_591);
    (bytes[20], bytes[22]) = (1, 0);
    bytes[12..16].fill(0);
    bytes[16..20].copy_from_slice(&128_u32.to_be_bytes());
    assert_eq!(Header::peek(&bytes, Kind::Message).ok(), Some(160));
}
