//! New headers: their bytes, their geometry, and what is refused before a byte of them exists.

use crate::{
    error::{Category, SealError},
    format::{
        Kind, Layout,
        context::{BoundContext, EncryptionContext, Role},
        header::{ClaimedSlot, Header, build},
        schedule::Schedule,
        stanza::Recipient,
        testing::{BODY_START, DEK, SALT, all_of, bound, hex, kwp, mac_key, pending, recipient},
    },
    secret::DataKey,
};

const LAYOUTS: [Layout; 3] = [Layout::Compact, Layout::Rewrappable, Layout::Detached];

fn message(layout: Layout, recipients: &[Recipient]) -> Result<Vec<u8>, SealError> {
    build(Kind::Message, layout, &bound(), recipients, &mac_key(), &BODY_START)
}

fn envelope(recipients: &[Recipient]) -> Result<Vec<u8>, SealError> {
    let bound = BoundContext::for_envelope(&EncryptionContext::empty(), Role::Record, 1).expect("two pairs");
    build(Kind::KeyEnvelope, Layout::Compact, &bound, recipients, &mac_key(), &BODY_START)
}

/// Private-use recipients whose stanzas are `total` bytes together.
fn recipients_of(total: usize) -> Vec<Recipient> {
    let mut left = total;
    let mut recipients = Vec::new();
    while left > 0 {
        let len = if left > 9200 { left.min(9000) } else { left };
        let wrap = (len - 12).min(6144);
        let (params, id) = ((len - 12 - wrap).min(1024), (len - 12 - wrap).saturating_sub(1024));
        recipients.push(recipient(0x8001, &vec![1; id], &vec![2; params], &vec![3; wrap]));
        left -= len;
    }
    recipients
}

/// Computed by another program from the manual alone.
#[test]
fn a_header_is_the_independently_computed_one() {
    let context = EncryptionContext::new([("id", "42")]).and_then(|c| c.with_required("table", "users"));
    let bound = BoundContext::for_sealing(&context.expect("two pairs")).expect("within the limits");
    let key = DataKey::copy_from(&DEK);
    let core = *b"\x89KUV\r\n\x1a\n\x01\x01\x00\x01";
    let schedule = Schedule::new(&key, core, &bound);
    let mut body_start = [0; 56];
    body_start[..24].copy_from_slice(&SALT);
    body_start[24..].copy_from_slice(&schedule.body(&SALT).commitment);
    let header =
        build(Kind::Message, Layout::Compact, &bound, &[kwp("k1")], &schedule.mac_key(&SALT), &body_start);
    assert_eq!(
        hex(&header.expect("one recipient")),
        "894b55560d0a1a0a010100010000000a000000800100000000000000000000000001000269640002\
         34320000000100010000000000360001000000020000002800006b31777777777777777777777777\
         77777777777777777777777777777777777777777777777777777777000000000000000000000000\
         000000000000000000000000000000000000f01b2e4dd7e0078a24ef7c85f0b6f9c46c12f69da2c8\
         58ccb8d616c8a4576bb8"
    );
}

#[test]
fn every_layout_is_read_back() {
    for layout in LAYOUTS {
        let bytes = message(layout, &[kwp("a"), kwp("b")]).expect("two recipients");
        let header = Header::parse(&bytes, Kind::Message, Some(72)).expect("we wrote it");
        assert_eq!(header.as_bytes(), bytes);
        assert_eq!(header.claimed_layout(), layout);
        assert_eq!(header.is_detached(), layout == Layout::Detached);
        let verified = header.verify_slots(&mac_key(), &BODY_START).expect("we wrote it");
        assert_eq!((verified.generation, verified.degraded, verified.unfinished_rewrap), (1, false, false));
        assert_eq!(verified.recipients, [kwp("a"), kwp("b")]);
        let slots: Vec<_> = header.claimed_slots().collect();
        assert_eq!(slots.len(), if layout == Layout::Rewrappable { 2 } else { 1 });
        assert!(slots[1..].iter().all(|slot| *slot == ClaimedSlot::Empty));
    }
}

#[test]
fn compact_slots_are_the_shortest_there_are() {
    for total in [13, 84, 85, 100, 101, 131_028] {
        let bytes = message(Layout::Compact, &recipients_of(total)).expect("it fits");
        let slot_len = bytes.len() - 32 - bound().stored_bytes().len();
        assert_eq!(slot_len, (44 + total).next_multiple_of(16).max(128), "{total} bytes");
        let detached = message(Layout::Detached, &recipients_of(total)).expect("it fits");
        assert_eq!(detached.len(), bytes.len());
        assert_eq!((bytes[21], detached[21], bytes[22]), (0, 1, 0));
    }
    for layout in [Layout::Compact, Layout::Detached] {
        let error = message(layout, &recipients_of(131_029)).expect_err("it does not fit");
        assert_eq!(error.category(), Category::LimitExceeded);
    }
}

#[test]
fn rewrappable_headers_are_the_least_multiple_of_4096() {
    let context_len = bound().stored_bytes().len();
    for total in [13, 900, 1900, 1955, 1956, 1957, 2000, 2100, 60_000, 122_000] {
        let bytes = message(Layout::Rewrappable, &recipients_of(total)).expect("it fits");
        let header = Header::parse(&bytes, Kind::Message, None).expect("we wrote it");
        // The rule as the manual states it, tried from the smallest on.
        let (len, slot_len, pad_len) = (1..)
            .map(|i| 4096 * i)
            .map(|len| (len, (len - 32 - context_len) % 32))
            .map(|(len, pad_len)| (len, (len - 32 - context_len - pad_len) / 2, pad_len))
            .find(|(_, slot_len, _)| *slot_len >= 128 && *slot_len >= 44 + total)
            .expect("some length is enough");
        assert_eq!(bytes.len(), len, "{total} bytes");
        assert_eq!(usize::from(bytes[22]), pad_len);
        assert_eq!(bytes[16..20], u32::try_from(slot_len).expect("short").to_be_bytes());
        assert_eq!(header.claimed_slots().len(), 2);
    }
}

#[test]
fn a_rewrappable_slot_above_the_limit_is_refused() {
    // 65 pages hold slots of at most (266 240 - 32 - 16) / 2 > 131 072 bytes; 64 pages hold shorter ones.
    let fits = (64 * 4096 - 32 - 16) / 2 / 16 * 16 - 44;
    let bytes = message(Layout::Rewrappable, &recipients_of(fits)).expect("it fits");
    assert_eq!(bytes.len(), 64 * 4096);
    let error =
        message(Layout::Rewrappable, &recipients_of(fits + 1)).expect_err("its slot would be too long");
    assert_eq!(error.category(), Category::LimitExceeded);
    assert!(message(Layout::Compact, &recipients_of(fits + 1)).is_ok());
}

#[test]
fn recipients_that_no_reader_would_take_are_refused() {
    use Category::{LimitExceeded, Refused, Usage};
    let small = |n: usize| vec![recipient(0x8000, b"", b"", &[1]); n];
    for (recipients, category) in [
        (vec![], Usage),
        (small(33), LimitExceeded),
        (vec![recipient(0x8000, &[1; 2049], b"", &[1])], LimitExceeded),
        (vec![recipient(0x8000, b"", &[1; 1025], &[1])], LimitExceeded),
        (vec![recipient(0x8000, b"", b"", &[1; 6145])], LimitExceeded),
        (vec![recipient(0x8000, b"", b"", b"")], Usage),
        (vec![recipient(0x8000, &[1; 70_000], b"", &[1])], LimitExceeded),
        (vec![kwp("a"), recipient(1, b"b", b"", &[1; 48])], Usage),
        (vec![all_of(2, &[kwp("a"), kwp("a")])], Usage),
        (vec![pending(1, b"a", b"")], Usage),
        (vec![kwp("a"), pending(0x41, b"a", b"")], Usage),
        (vec![recipient(0x30, b"a", b"", &[1; 32])], Usage),
        (vec![recipient(5, b"a", b"", &[1; 32])], Usage),
        (vec![recipient(0xc000, b"a", b"", &[1; 32])], Usage),
    ] {
        for layout in LAYOUTS {
            let error = message(layout, &recipients).expect_err("no reader would take it");
            assert_eq!(error.category(), category, "{error}: {recipients:?}");
        }
    }
    let rsa = |of: u16| recipient(of, b"r", b"", &[1; 256]);
    let parent = recipient(0x20, b"", &[1; 8], &[1; 40]);
    for refused in [rsa(3), rsa(4), rsa(0x11), parent, all_of(2, &[rsa(3), rsa(4)]), pending(3, b"r", b"")] {
        let recipients = [kwp("a"), refused];
        assert!(message(Layout::Compact, &recipients).is_ok());
        assert_eq!(envelope(&recipients).expect_err("not in an envelope").category(), Refused);
    }
    assert!(message(Layout::Compact, &small(32)).is_ok());
    assert!(message(Layout::Compact, &[recipient(0x8000, &[1; 2048], &[1; 1024], &[1; 6144])]).is_ok());
}

#[test]
fn envelopes_are_compact() {
    let bound = BoundContext::for_envelope(&EncryptionContext::empty(), Role::Record, 1).expect("two pairs");
    for layout in [Layout::Rewrappable, Layout::Detached] {
        let error = build(Kind::KeyEnvelope, layout, &bound, &[kwp("a")], &mac_key(), &BODY_START);
        assert_eq!(error.expect_err("only compact").category(), Category::Usage);
    }
    let bytes = envelope(&[kwp("a")]).expect("compact");
    assert!(Header::parse(bytes, Kind::KeyEnvelope, Some(72)).is_ok());
}
