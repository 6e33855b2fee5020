//! Every rule of every recipient type, at its edges.

use proptest::prelude::*;

use super::*;
use crate::format::testing::{all_of, kwp, pending, raw_stanza, recipient, strategies};

fn is_fine(recipient: &Recipient) -> bool {
    check(recipient).is_ok()
}

#[track_caller]
fn assert_fine(of: u16, id: &[u8], params: &[u8], wrap_len: usize, fine: bool) {
    let made = recipient(of, id, params, &vec![1; wrap_len]);
    assert_eq!(is_fine(&made), fine, "{made:?}");
}

#[test]
fn wraps_have_the_lengths_of_their_type() {
    for len in 1..=80 {
        assert_fine(1, b"k", b"", len, len == 40);
        assert_fine(2, b"k", b"", len, len == 60 || len == 64);
        assert_fine(0x20, b"", &1_u64.to_be_bytes(), len, len == 40);
    }
    for of in [3, 4, 0x11] {
        for len in 240..=1040 {
            assert_fine(of, b"k", b"", len, (256..=1024).contains(&len) && len % 8 == 0);
        }
    }
    for len in [1, 184, 6144] {
        assert_fine(0x10, b"arn", &[0], len, true);
        assert_fine(0x8000, b"", b"", len, true);
    }
}

#[test]
fn parameters_are_empty_where_a_type_has_none() {
    for (of, len) in [(1, 40), (2, 60), (3, 256), (4, 256), (0x11, 256)] {
        assert_fine(of, b"k", b"", len, true);
        assert_fine(of, b"k", &[0], len, false);
        assert_fine(of, b"", b"", len, true);
        assert_fine(of, b"\xff\xfe", b"", len, true);
    }
}

#[test]
fn kms_names_are_counted_ascending_and_distinct() {
    let fine = |params: &[u8]| is_fine(&recipient(0x10, b"arn", params, &[1; 184]));
    assert!(fine(&[0]));
    assert!(fine(b"\x01\x01a"));
    assert!(fine(b"\x03\x01a\x02ab\x01b"));
    assert!(fine("\u{1}\u{2}é".as_bytes()));
    let longest = [&[1, 255][..], &[b'x'; 255]].concat();
    assert!(fine(&longest));
    for bad in [
        &b""[..],
        &[0, 0],
        &[1],
        &[1, 0],
        &[1, 2, b'a'],
        &[1, 1, b'a', 1],
        &[1, 1, b'a', 1, b'b'],
        &[2, 1, b'a', 1, b'a'],
        &[2, 1, b'b', 1, b'a'],
        &[2, 2, b'a', b'b', 1, b'a'],
        &[2, 1, b'a'],
        &[2, 1, b'a', 0],
        &[1, 1, 0xff],
        &[1, 2, 0xc3, b'a'],
        &[255, 1, b'a'],
    ] {
        assert!(!fine(bad), "{bad:?}");
    }
}

#[test]
fn a_parent_key_is_named_by_its_reference_alone() {
    for (id, params, fine) in [
        (&b""[..], &[0, 0, 0, 0, 0, 0, 0, 1][..], true),
        (b"", &[255; 8], true),
        (b"", &[0; 8], false),
        (b"", &[1; 7], false),
        (b"", &[1; 9], false),
        (b"", b"", false),
        (b"k", &[1; 8], false),
    ] {
        assert_fine(0x20, id, params, 40, fine);
        assert_eq!(is_fine(&pending(0x20, id, params)), fine);
    }
}

#[test]
fn an_all_of_has_two_to_eight_different_shares() {
    let shares = |n: u8| (0..n).map(|i| kwp(&format!("k{i}"))).collect::<Vec<_>>();
    for n in 0..=10 {
        assert_eq!(is_fine(&all_of(n, &shares(n))), (2..=8).contains(&n), "{n} shares");
    }
    assert!(!is_fine(&all_of(3, &shares(2))), "fewer than it says");
    assert!(!is_fine(&all_of(2, &shares(3))), "more than it says");
    assert!(!is_fine(&all_of(2, &[kwp("a"), kwp("a")])), "one key twice");
    let same_id = recipient(2, b"a", b"", &[1; 60]);
    assert!(is_fine(&all_of(2, &[kwp("a"), same_id])), "one id of two types is two keys");
    let unknown = recipient(0x9000, b"a", b"x", &[1]);
    assert!(is_fine(&all_of(2, &[kwp("a"), unknown.clone()])));
    assert!(
        !is_fine(&all_of(2, &[unknown.clone(), recipient(0x9000, b"a", b"y", &[2])])),
        "unknown, but one key"
    );
    let Recipient { wrap, .. } = all_of(2, &shares(2));
    for (id, params) in [(&b"k"[..], &b""[..]), (b"", b"p")] {
        assert!(!is_fine(&recipient(0x40, id, params, &wrap)));
    }
    for wrap in [&wrap[..wrap.len() - 1], &[&wrap[..], &[0]].concat(), &[2], &[]] {
        assert!(!is_fine(&recipient(0x40, b"", b"", wrap)), "{} bytes", wrap.len());
    }
}

#[test]
fn shares_keep_the_rules_of_their_types() {
    let inner = all_of(2, &[kwp("a"), kwp("b")]);
    let parent = recipient(0x20, b"", &[1; 8], &[1; 40]);
    for bad in [
        inner,
        parent,
        pending(1, b"z", b""),
        recipient(1, b"z", b"", &[1; 39]),
        recipient(3, b"z", b"", &[1; 260]),
        recipient(1, b"z", b"p", &[1; 40]),
        recipient(0x10, b"z", b"", &[1; 40]),
    ] {
        assert!(!is_fine(&all_of(2, &[kwp("a"), bad.clone()])), "{bad:?}");
        assert!(!is_fine(&all_of(2, &[bad.clone(), kwp("a")])), "{bad:?}");
    }
}

#[test]
fn a_pending_recipient_is_valid_for_what_it_wants() {
    for (recipient, fine) in [
        (pending(1, b"k", b""), true),
        (pending(1, b"", b""), true),
        (pending(1, b"k", b"x"), false),
        (pending(0x10, b"arn", &[0]), true),
        (pending(0x10, b"arn", b""), false),
        (pending(0x9000, b"any", b"thing"), true),
        (pending(0x40, b"", b""), false),
        (pending(0x41, b"k", &[0, 1]), false),
        (recipient(0x41, b"k", &[0, 1], &[1]), false),
        (recipient(0x41, b"k", &[0, 1], &[0, 0]), false),
        (recipient(0x41, b"k", &[0], &[0]), false),
        (recipient(0x41, b"k", b"", &[0]), false),
    ] {
        assert_eq!(is_fine(&recipient), fine, "{recipient:?}");
    }
    assert_eq!(pending(0x10, b"arn", &[0]).pending_for(), Some(RecipientType::AWS_KMS));
    assert_eq!(kwp("a").pending_for(), None);
}

#[test]
fn what_a_key_envelope_must_not_have() {
    let rsa = |of: u16| recipient(of, b"r", b"", &[1; 256]);
    let unknown = recipient(0x9000, b"u", b"", &[1]);
    for (recipient, refused) in [
        (rsa(3), true),
        (rsa(4), true),
        (rsa(0x11), true),
        (recipient(0x20, b"", &[1; 8], &[1; 40]), true),
        (pending(3, b"r", b""), true),
        (pending(4, b"r", b""), true),
        (pending(0x11, b"r", b""), true),
        (pending(0x20, b"", &[1; 8]), true),
        (all_of(2, &[rsa(3), rsa(4)]), true),
        (all_of(3, &[rsa(3), rsa(4), rsa(0x11)]), true),
        (all_of(2, &[rsa(3), kwp("k")]), false),
        (all_of(2, &[rsa(3), unknown.clone()]), false),
        (kwp("k"), false),
        (recipient(2, b"h", b"", &[1; 60]), false),
        (recipient(0x10, b"arn", &[0], &[1; 184]), false),
        (pending(1, b"k", b""), false),
        (pending(0x9000, b"k", b""), false),
        (unknown, false),
    ] {
        assert!(is_fine(&recipient), "{recipient:?}");
        assert_eq!(refused_in_envelope(&recipient), refused, "{recipient:?}");
    }
}

#[test]
fn only_a_name_in_utf_8_names_a_key() {
    for (recipient, names_a_key) in [
        (kwp("k"), true),
        (recipient(1, "é".as_bytes(), b"", &[1; 40]), true),
        (recipient(1, b"", b"", &[1; 40]), false),
        (recipient(1, b"k\xff", b"", &[1; 40]), false),
        (recipient(0x9000, b"k\xff", b"", &[1]), false),
        (recipient(0x20, b"", &[1; 8], &[1; 40]), true),
        (all_of(2, &[kwp("a"), kwp("b")]), true),
        (pending(1, b"k", b""), false),
    ] {
        assert_eq!(recipient.names_a_key(), names_a_key, "{recipient:?}");
    }
}

#[test]
fn the_start_of_a_stanza_is_checked() {
    let take = |start: [u16; 6], rest: &[u8]| take(&mut &raw_stanza(start, rest)[..]).is_ok();
    assert!(take([0x9000, 0, 1, 2, 3, 0], &[0; 6]));
    assert!(take([0x9000, 0, 1, 2, 3, 0], &[0; 7]), "what follows is the next one's");
    assert!(!take([0x9000, 1, 1, 2, 3, 0], &[0; 6]), "flags");
    assert!(!take([0x9000, 0, 1, 2, 3, 1], &[0; 6]), "reserved");
    for len in 0..6 {
        assert!(!take([0x9000, 0, 1, 2, 3, 0], &vec![0; len]), "past the end");
    }
    for (lengths, fine) in [
        ([2048, 0, 1], true),
        ([2049, 0, 1], false),
        ([0, 1024, 1], true),
        ([0, 1025, 1], false),
        ([0, 0, 6144], true),
        ([0, 0, 6145], false),
        ([0, 0, 0], false),
        ([0xffff, 0xffff, 0xffff], false),
    ] {
        let [id, params, wrap] = lengths;
        assert_eq!(take([0x9000, 0, id, params, wrap, 0], &[0; 20_000]), fine, "{lengths:?}");
    }
    let stanza = raw_stanza([1, 0, 0, 0, 40, 0], &[0; 40]);
    for len in 0..stanza.len() {
        assert!(super::take(&mut &stanza[..len]).is_err(), "cut at {len}");
    }
}

#[test]
fn types_show_their_number_and_name() {
    assert_eq!(RecipientType::AES_KWP.to_string(), "0x0001 (aes-kwp)");
    assert_eq!(format!("{:?}", RecipientType(0x8001)), "0x8001");
    for (of, private) in [(0x7fff, false), (0x8000, true), (0xbfff, true), (0xc000, false)] {
        assert_eq!(RecipientType(of).is_private_use(), private);
    }
    let shown = format!("{:?}", recipient(1, b"key\n\xff", b"", &[0xab; 40]));
    assert_eq!(
        shown,
        "Recipient { type: 0x0001 (aes-kwp), id: \"key\\n\u{fffd}\", params_len: 0, wrap_len: 40 }"
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(recipient in strategies::recipient(), after in any::<[u8; 3]>()) {
        let mut bytes = Vec::new();
        recipient.encode(&mut bytes);
        prop_assert_eq!(bytes.len(), recipient.stanza_len());
        bytes.extend_from_slice(&after);
        let mut rest = &bytes[..];
        prop_assert_eq!(take(&mut rest), Ok(recipient));
        prop_assert_eq!(rest, &after[..]);
    }

    #[test]
    fn whatever_is_taken_is_written_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut rest = &bytes[..];
        if let Ok(recipient) = take(&mut rest) {
            let mut written = Vec::new();
            recipient.encode(&mut written);
            prop_assert_eq!(&written[..], &bytes[..bytes.len() - rest.len()]);
        }
    }
}
