//! New slots for a header that stands.

use super::super::{Header, SlotEdit, VerifiedSlots, build::build_generation};
use crate::{
    error::{Category, RewrapError},
    format::{
        Kind, Layout,
        context::BoundContext,
        stanza::Recipient,
        testing::{BODY_START, bound, context, kwp, mac_key, pending, recipient},
    },
    limits::MAX_STANZAS,
};

fn header_of(kind: Kind, layout: Layout, generation: u32, recipients: &[Recipient]) -> Header {
    let bound = match kind {
        Kind::Message => bound(),
        Kind::KeyEnvelope => {
            BoundContext::for_envelope(&context(), crate::format::context::Role::Record, 5).expect("fits")
        }
    };
    let bytes = build_generation(generation, kind, layout, &bound, recipients, &mac_key(), &BODY_START)
        .expect("fits");
    Header::parse(bytes, kind, None).expect("just built")
}

fn verified(header: &Header) -> VerifiedSlots {
    header.verify_slots(&mac_key(), &BODY_START).expect("a valid slot")
}

fn edit(header: &Header, opened_in: usize, recipients: &[Recipient]) -> Result<SlotEdit, RewrapError> {
    header.edit_in_place(&verified(header), opened_in, recipients, &mac_key(), &BODY_START)
}

/// The header after one of the edit's two writes, or both.
fn after(header: &Header, edit: &SlotEdit, write: bool, zero: bool) -> Header {
    let mut bytes = header.as_bytes().to_vec();
    if write {
        bytes[edit.place.clone()].copy_from_slice(&edit.slot);
    }
    if zero {
        bytes[edit.old.clone()].fill(0);
    }
    Header::parse(bytes, Kind::Message, None).expect("slots do not matter here")
}

#[test]
fn the_spare_slot_is_written_and_the_other_one_zeroed() {
    let mut header = header_of(Kind::Message, Layout::Rewrappable, 1, &[kwp("a")]);
    for generation in 2..6 {
        let ids = [kwp("b"), kwp(&format!("{generation}"))];
        let active = verified(&header).active;
        assert_eq!(active, usize::from(generation % 2 == 1), "the slots take turns");
        let edit = edit(&header, active, &ids).expect("room for two");
        let between = verified(&after(&header, &edit, true, false));
        assert_eq!((between.generation, between.unfinished_rewrap), (generation, true));
        assert_eq!((between.active, &between.valid[..]), (1 - active, &[0, 1][..]));
        header = after(&header, &edit, true, true);
        let done = verified(&header);
        assert_eq!((done.generation, &done.recipients[..]), (generation, &ids[..]));
        assert!(!done.degraded && !done.unfinished_rewrap && header.stale_slot(&done).is_none());
    }
}

/// With two valid slots the one that our key opened stays until the new one is there, be it the older one.
#[test]
fn the_slot_that_opened_stays() {
    let first = header_of(Kind::Message, Layout::Rewrappable, 7, &[kwp("a")]);
    let edit_one = edit(&first, 0, &[kwp("b")]).expect("room");
    let both = after(&first, &edit_one, true, false);
    for opened_in in [0, 1] {
        let edit = edit(&both, opened_in, &[kwp("c")]).expect("room");
        assert_eq!(edit.place == edit_one.place, opened_in == 0);
        assert_ne!(edit.place, edit.old);
        let next = verified(&after(&both, &edit, true, true));
        assert_eq!((next.generation, next.recipients[0].id_lossy().as_str()), (9, "c"));
    }
    assert_eq!(both.stale_slot(&verified(&both)), Some(edit_one.old));
}

/// What opened may be a slot whose MAC is wrong: the valid one is the one to keep.
#[test]
fn the_only_valid_slot_is_never_written() {
    let first = header_of(Kind::Message, Layout::Rewrappable, 7, &[kwp("a")]);
    let edit_one = edit(&first, 0, &[kwp("b")]).expect("room");
    for damaged in [0, 1] {
        let mut bytes = after(&first, &edit_one, true, false).as_bytes().to_vec();
        let slot = if damaged == 0 { &edit_one.old } else { &edit_one.place };
        bytes[slot.end - 1] ^= 1;
        let header = Header::parse(bytes, Kind::Message, None).expect("the MAC is not looked at");
        assert_eq!(header.stale_slot(&verified(&header)), Some(slot.clone()));
        for opened_in in [0, 1] {
            let edit = edit(&header, opened_in, &[kwp("c")]).expect("room");
            assert_eq!(&edit.place, slot, "slot {damaged} damaged, {opened_in} opened");
        }
    }
}

#[test]
fn the_last_generation_is_the_end() {
    for (generation, is_end) in [(u32::MAX - 1, false), (u32::MAX, true)] {
        let header = header_of(Kind::Message, Layout::Rewrappable, generation, &[kwp("a")]);
        let rebuilt = header.rebuilt(&verified(&header), &bound(), &[kwp("b")], &mac_key(), &BODY_START);
        let results = [edit(&header, 0, &[kwp("b")]).map(drop), rebuilt.map(drop).map_err(Into::into)];
        for result in results {
            let category = result.err().map(|error: RewrapError| error.category());
            assert_eq!(category, is_end.then_some(Category::Refused), "{generation}");
        }
    }
}

#[test]
fn room() {
    let no_room = |header: &Header, recipients: &[Recipient]| match edit(header, 0, recipients) {
        Err(RewrapError::NoRoom { needed, available }) => Some((needed, available)),
        other => other.map(|_| None).expect("no other fault"),
    };
    for layout in [Layout::Compact, Layout::Detached] {
        let header = header_of(Kind::Message, layout, 1, &[kwp("a")]);
        assert_eq!(no_room(&header, &[kwp("b")]), Some((128, 0)));
    }
    let header = header_of(Kind::Message, Layout::Rewrappable, 1, &[kwp("a")]);
    let slot_len = edit(&header, 0, &[kwp("b")]).expect("room").slot.len();
    // A wrap of any length, so that the slot is filled to the byte.
    let filling = |len: usize| [kwp("b"), recipient(0x8000, b"x", &[], &vec![1; len - 44 - 53 - 13])];
    assert_eq!(no_room(&header, &filling(slot_len)), None);
    assert_eq!(no_room(&header, &filling(slot_len + 1)), Some((slot_len + 16, slot_len)));
}

#[test]
fn a_copy_has_kind_flags_and_context_of_the_old_one() {
    let cases = [
        (Kind::Message, Layout::Compact),
        (Kind::Message, Layout::Rewrappable),
        (Kind::Message, Layout::Detached),
        (Kind::KeyEnvelope, Layout::Compact),
    ];
    for (kind, layout) in cases {
        let old = header_of(kind, layout, 4, &[kwp("a")]);
        let bound = match kind {
            Kind::Message => old.bind(&context(), false),
            Kind::KeyEnvelope => old
                .bind_envelope(&context(), crate::format::context::Role::Record, None, false)
                .map(|(bound, _)| bound),
        };
        let bound = bound.expect("the right pairs");
        let ids: Vec<_> = (0..MAX_STANZAS).map(|n| kwp(&format!("{n}").repeat(40))).collect();
        let bytes = old.rebuilt(&verified(&old), &bound, &ids, &mac_key(), &BODY_START).expect("fits");
        let new = Header::parse(bytes, kind, None).expect("well formed");
        assert_eq!((new.claimed_kind(), new.claimed_layout()), (kind, layout));
        assert!(new.claimed_context().eq(old.claimed_context()));
        assert_eq!((verified(&new).generation, verified(&new).active), (5, 0));
        assert_eq!(verified(&new).recipients, ids);
        assert!(!new.differs_in_slots_only(&old) && new.differs_in_slots_only(&new));
    }
}

#[test]
fn what_a_new_header_refuses_no_edit_writes() {
    let header = header_of(Kind::Message, Layout::Rewrappable, 1, &[kwp("a")]);
    let too_many: Vec<_> = (0..=MAX_STANZAS).map(|n| kwp(&format!("{n}"))).collect();
    let cases = [
        (vec![], Category::Usage),
        (vec![pending(1, b"a", &[])], Category::Usage),
        (vec![recipient(0x0030, b"a", &[], &[1])], Category::Usage),
        (too_many, Category::LimitExceeded),
    ];
    for (recipients, category) in cases {
        assert_eq!(edit(&header, 0, &recipients).map(drop).map_err(|error| error.category()), Err(category));
    }
}
