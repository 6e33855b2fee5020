//! Random headers, and random damage to them: one string of bytes for one meaning, and no panic.

use proptest::{prelude::*, sample::Index};

use crate::format::{
    Kind,
    context::Role,
    header::{ClaimedSlot, Header},
    slot,
    testing::{BODY_START, mac_key, strategies},
};

/// Writes a parsed header again from what was parsed; only MACs, which stand for themselves, are copied. `None` where
/// a slot is bad, which says nothing that could be written.
fn written_again(header: &Header) -> Option<Vec<u8>> {
    let original = header.as_bytes();
    let mut bytes = header.prefix.encode().to_vec();
    let pairs = header.stored.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    crate::format::context::encode(pairs, &mut bytes);
    for slot in header.claimed_slots() {
        let end = bytes.len() + header.prefix.slot_len;
        match slot {
            ClaimedSlot::Empty => bytes.resize(end, 0),
            ClaimedSlot::Bad { .. } => return None,
            ClaimedSlot::Filled { generation, recipients } => {
                slot::encode(generation, recipients, header.prefix.slot_len, &mut bytes);
                bytes[end - 32..].copy_from_slice(&original[end - 32..end]);
            }
        }
    }
    bytes.resize(bytes.len() + header.prefix.pad_len, 0);
    Some(bytes)
}

/// Everything a reader does before and after it has a key; nothing of it may panic.
fn read(bytes: &[u8], kind: Kind) -> Option<Header> {
    let peeked = Header::peek(&bytes[..bytes.len().min(32)], kind);
    let header = Header::parse(bytes, kind, Some(72)).ok()?;
    assert_eq!(peeked.ok(), Some(bytes.len()));
    let (none, _) = (crate::format::context::EncryptionContext::empty(), format!("{header:?}"));
    let usable = header.usable_slots().map(|slots| slots.len());
    let parsed = header.claimed_slots().filter(|slot| matches!(slot, ClaimedSlot::Filled { .. })).count();
    assert_eq!(usable.unwrap_or(0), parsed);
    let bound = match kind {
        Kind::Message => header.bind(&none, true).ok(),
        Kind::KeyEnvelope => {
            header.bind_envelope(&none, Role::Record, None, true).ok().map(|(bound, _)| bound)
        }
    };
    assert!(
        bound.is_none_or(|bound| bound.all_bytes() == header.before_slots().get(32..).expect("a prefix"))
    );
    Some(header)
}

/// One small damage.
#[derive(Debug, Clone)]
enum Damage {
    Flip(Index, u8),
    Set(Index, u8),
    Cut(Index),
    Insert(Index, u8),
    Copy(Index, Index, u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    // Half of it hits the first 96 bytes, where the fields are.
    prop_oneof![
        4 => (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        4 => (any::<Index>(), prop_oneof![Just(0), Just(1), Just(0xff), any::<u8>()])
            .prop_map(|(at, byte)| Damage::Set(at, byte)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        1 => (any::<Index>(), any::<Index>(), any::<u8>()).prop_map(|(from, to, len)| Damage::Copy(from, to, len)),
    ]
}

fn apply(damage: &Damage, start: bool, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        return;
    }
    let len = if start { bytes.len().min(96) } else { bytes.len() };
    match damage {
        Damage::Flip(at, bit) => bytes[at.index(len)] ^= 1 << bit,
        Damage::Set(at, byte) => bytes[at.index(len)] = *byte,
        Damage::Cut(at) => bytes.truncate(at.index(len)),
        Damage::Insert(at, byte) => bytes.insert(at.index(len), *byte),
        Damage::Copy(from, to, count) => {
            let (from, to) = (from.index(len), to.index(len));
            let count = usize::from(*count).min(len - from.max(to));
            bytes.copy_within(from..from + count, to);
        }
    }
}

fn kind_of(bytes: &[u8]) -> Kind {
    if bytes[9] == 2 { Kind::KeyEnvelope } else { Kind::Message }
}

proptest! {
    #[test]
    fn parse_and_write_give_the_same_bytes((bytes, context) in strategies::header()) {
        let kind = kind_of(&bytes);
        let header = read(&bytes, kind).expect("well formed");
        prop_assert_eq!(written_again(&header), Some(bytes.clone()));
        prop_assert!(header.usable_slots().is_ok());
        let bound = match kind {
            Kind::Message => header.bind(&context, false),
            Kind::KeyEnvelope => header.bind_envelope(&context, Role::Record, None, false).map(|(bound, _)| bound),
        };
        prop_assert!(bound.is_ok());
        let verified = header.verify_slots(&mac_key(), &BODY_START);
        prop_assert!(verified.is_ok_and(|verified| !verified.degraded));
    }

    #[test]
    fn damage_is_refused_or_means_exactly_what_it_says(
        (original, _) in strategies::header(),
        damages in proptest::collection::vec((damage(), any::<bool>()), 1..4),
    ) {
        let mut bytes = original.clone();
        damages.iter().for_each(|(damage, start)| apply(damage, *start, &mut bytes));
        for kind in [Kind::Message, Kind::KeyEnvelope] {
            if let Some(header) = read(&bytes, kind) {
                if let Some(written) = written_again(&header) {
                    prop_assert_eq!(&written, &bytes);
                }
                let verified = header.verify_slots(&mac_key(), &BODY_START);
                if bytes != original {
                    // One of two slots may survive, and then it says that the other did not.
                    prop_assert!(verified.is_err() || verified.is_ok_and(|verified| verified.degraded));
                }
            }
        }
    }

    #[test]
    fn any_bytes_at_all_are_answered(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        with_magic in any::<bool>(),
    ) {
        let bytes = if with_magic { [&b"\x89KUV\r\n\x1a\n\x01\x01\x00\x01"[..], &bytes].concat() } else { bytes };
        read(&bytes, Kind::Message);
    }
}
