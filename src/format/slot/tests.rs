//! Every fault of a slot, and which one is told where there are two.

use super::*;
use crate::{
    error::Category,
    format::testing::{kwp, pending, recipient, slot_len_for, slot_of},
};

/// What is wrong with a slot, `None` if nothing is.
fn fault(slot: &[u8], kind: Kind) -> Option<SlotFault> {
    match parse(slot, kind) {
        Slot::Parsed(_) => None,
        Slot::Bad(fault) => Some(fault),
        Slot::Empty => panic!("the slot is empty"),
    }
}

/// What is wrong with a good slot after `damage`.
fn fault_after(damage: impl Fn(&mut Vec<u8>)) -> Option<SlotFault> {
    let mut slot = slot_of(1, &[kwp("k1")], 128);
    damage(&mut slot);
    fault(&slot, Kind::Message)
}

fn is_malformed(found: Option<SlotFault>) -> bool {
    matches!(found, Some(SlotFault::Malformed(_)))
}

#[test]
fn a_good_slot_says_what_was_written() {
    let recipients = [kwp("a"), kwp("a"), recipient(0x9000, b"", b"", &[1])];
    let Slot::Parsed(slot) = parse(&slot_of(u32::MAX, &recipients, 512), Kind::Message) else {
        panic!("it is well formed");
    };
    assert_eq!((slot.generation(), slot.recipients()), (u32::MAX, &recipients[..]));
}

#[test]
fn only_zero_bytes_are_empty() {
    assert!(matches!(parse(&[0; 128], Kind::Message), Slot::Empty));
    for at in 0..128 {
        let mut slot = [0; 128];
        slot[at] = 1;
        assert!(matches!(parse(&slot, Kind::Message), Slot::Bad(_)), "a one at {at}");
    }
}

#[test]
fn every_byte_before_the_stanzas_counts() {
    assert_eq!(fault_after(|_| ()), None);
    assert!(is_malformed(fault_after(|slot| slot[..4].fill(0))), "generation 0");
    assert!(is_malformed(fault_after(|slot| slot[5] = 0)), "no stanza");
    assert!(is_malformed(fault_after(|slot| slot[5] = 2)), "a stanza more than there are");
    assert!(is_malformed(fault_after(|slot| slot[6] = 1)), "reserved");
    assert!(is_malformed(fault_after(|slot| slot[7] = 1)), "reserved");
    assert!(is_malformed(fault_after(|slot| slot[11] -= 1)), "stanza_bytes too small");
    assert!(is_malformed(fault_after(|slot| slot[11] += 1)), "stanza_bytes too large");
    assert!(is_malformed(fault_after(|slot| slot[8..12].fill(0xff))), "stanza_bytes past the slot");
    assert!(is_malformed(fault_after(|slot| slot[11] = 85)), "stanza_bytes into the mac");
    assert!(is_malformed(fault_after(|slot| slot[95] = 1)), "padding");
    assert_eq!(fault_after(|slot| slot[96] = 1), None, "the mac is not padding");
}

#[test]
fn too_many_stanzas_are_told_before_everything_else() {
    let full = vec![recipient(0x9000, b"", b"", &[1]); 32];
    assert_eq!(fault(&slot_of(1, &full, slot_len_for(&full)), Kind::Message), None);
    let many = fault_after(|slot| slot[5] = 33);
    assert_eq!(many, Some(SlotFault::TooManyRecipients));
    let also_without_generation = fault_after(|slot| {
        slot[..4].fill(0);
        slot[4] = 1;
        slot[7] = 1;
    });
    assert_eq!(also_without_generation, Some(SlotFault::TooManyRecipients));
    assert_eq!(OpenError::from(SlotFault::TooManyRecipients).category(), Category::LimitExceeded);
    assert_eq!(OpenError::from(SlotFault::Malformed("x")).category(), Category::Malformed);
}

#[test]
fn a_bad_stanza_anywhere_is_a_bad_slot() {
    for bad in [recipient(1, b"k", b"", &[1; 41]), recipient(2, b"k", b"", &[1; 61]), pending(0x40, b"", b"")]
    {
        for recipients in [vec![bad.clone()], vec![kwp("a"), bad.clone()], vec![bad.clone(), kwp("a")]] {
            let slot = slot_of(1, &recipients, 512);
            assert!(is_malformed(fault(&slot, Kind::Message)), "{recipients:?}");
        }
    }
}

#[test]
fn pending_recipients_alone_open_nothing() {
    let wanted = pending(1, b"k", b"");
    let of = |recipients: &[Recipient]| fault(&slot_of(1, recipients, 512), Kind::Message);
    assert!(is_malformed(of(std::slice::from_ref(&wanted))));
    assert!(is_malformed(of(&[wanted.clone(), wanted.clone()])));
    assert_eq!(of(&[wanted.clone(), kwp("a")]), None);
    assert_eq!(of(&[wanted, recipient(0x9000, b"", b"", &[1])]), None, "somebody else may know the type");
}

#[test]
fn a_key_envelope_refuses_what_anybody_can_wrap_for() {
    for refused in [recipient(3, b"r", b"", &[1; 256]), recipient(0x20, b"", &[1; 8], &[1; 40])] {
        let slot = slot_of(1, &[kwp("a"), refused], 512);
        assert_eq!(fault(&slot, Kind::Message), None);
        assert!(is_malformed(fault(&slot, Kind::KeyEnvelope)));
    }
}

#[test]
fn the_longest_stanzas_fill_the_slot_to_the_last_byte() {
    let exact = recipient(0x9000, &[1; 2], b"", &[1; 70]);
    assert_eq!(exact.stanza_len(), 128 - SLOT_OVERHEAD);
    assert_eq!(fault(&slot_of(1, &[exact], 128), Kind::Message), None);
}
