//! Lines 28 to 37, 46 and 85: headers that name keys, and providers that answer.

use kuvert::{
    DataKey, EncryptionContext, Kuvert, Layout, MessageStart, OpenOptions, ProviderErrorKind, Recipient,
    RecipientType, blocking::block_on, provider::MemoryProvider,
};

use super::{
    KEY_UNAVAILABLE, MALFORMED, PLANTED, WRONG_CONTEXT, WRONG_KEY, assert_silent,
    forge::{DEK, Forged, Scripted, WRAP, fails, kwp, memory, sealed, serialise, slot, stanza},
    load, open, open_with, opened_as, plaintext, told,
};

fn body() -> Vec<u8> {
    sealed(PLANTED, Layout::Compact).1
}

fn garbage(id: &str) -> Recipient {
    Recipient::new(RecipientType::AES_KWP, id, [], [0x99; 40])
}

/// Knows `k1`: its own wrap unwraps, every other one fails as `kind`.
fn knows_its_wrap(kind: ProviderErrorKind) -> Scripted {
    Scripted::answering(move |recipient, _| match (recipient.id(), recipient.wrap()) {
        (b"k1", wrap) if wrap == WRAP => Ok(Some(DataKey::copy_from(&DEK))),
        (b"k1", _) => Err(fails(kind)),
        _ => Ok(None),
    })
}

#[test]
fn line_28_only_unknown_types_or_ids_we_do_not_hold() {
    let unknown = Recipient::new(RecipientType(0x9000), "k1", [], [1; 40]);
    let later = Recipient::new(RecipientType(0x0030), "k1", [], [1; 40]);
    for recipients in [vec![unknown.clone()], vec![kwp("k2")], vec![unknown, later, kwp("K1"), kwp("k1 ")]] {
        let provider = Scripted::answering(|recipient, _| {
            let ours = recipient.recipient_type() == RecipientType::AES_KWP && recipient.id() == b"k1";
            Ok(ours.then(|| DataKey::copy_from(&DEK)))
        });
        let message = Forged::with(&recipients).message(&body());
        assert_eq!(told(open(&provider.kuvert(), &message)), KEY_UNAVAILABLE);
        assert_eq!((provider.calls(), provider.asked()), (0, recipients.len()));
    }
}

#[test]
fn line_28_a_name_that_is_none_matches_nothing() {
    let any = || Scripted::answering(|_, _| Ok(Some(DataKey::copy_from(&DEK))));
    for id in [&b""[..], b"\xff", b"k1\xc3"] {
        let nameless = Recipient::new(RecipientType::AES_KWP, id, [], WRAP);
        let pending = Recipient::new(RecipientType::PENDING, "k1", [0, 1], [0]);
        let provider = any();
        let message = Forged::with(&[nameless.clone(), pending.clone()]).message(&body());
        assert_eq!(told(open(&provider.kuvert(), &message)), KEY_UNAVAILABLE);
        assert_eq!(provider.asked(), 0, "not even asked");
        let provider = any();
        let message = Forged::with(&[nameless, pending, kwp("k1")]).message(&body());
        assert_eq!(opened_as(&provider.kuvert(), &message), (false, false));
    }
}

#[test]
fn line_29_a_slot_of_garbage_for_our_key_costs_four_calls() {
    for (kind, expected) in
        [(ProviderErrorKind::Rejected, WRONG_KEY), (ProviderErrorKind::Throttled, KEY_UNAVAILABLE)]
    {
        let many = vec![garbage("k1"); 32];
        let provider = knows_its_wrap(kind);
        assert_eq!(told(open(&provider.kuvert(), &Forged::with(&many).message(&body()))), expected);
        assert_eq!(provider.calls(), 4);
        let provider = knows_its_wrap(kind);
        let two = Forged::of(vec![slot(1, &many, 2048), slot(2, &many, 2048)]);
        assert_eq!(told(open(&provider.kuvert(), &two.message(&body()))), expected);
        assert_eq!(provider.calls(), 8, "four a slot");
    }
}

#[test]
fn line_29_the_fifth_matching_stanza_is_not_tried_and_others_do_not_count() {
    let at = |before: usize, others: usize| {
        let mut recipients = vec![kwp("foreign"); others];
        recipients.extend(vec![garbage("k1"); before]);
        recipients.push(kwp("k1"));
        Forged::with(&recipients).message(&body())
    };
    let provider = knows_its_wrap(ProviderErrorKind::Rejected);
    assert_eq!(opened_as(&provider.kuvert(), &at(3, 20)), (false, false));
    let provider = knows_its_wrap(ProviderErrorKind::Rejected);
    assert_eq!(told(open(&provider.kuvert(), &at(4, 20))), WRONG_KEY);
    assert_eq!(provider.calls(), 4);
    for (allowed, fits) in [(1, 0), (2, 1), (5, 4), (32, 31)] {
        let options = OpenOptions::default().with_max_stanzas_tried(allowed);
        let provider = knows_its_wrap(ProviderErrorKind::Rejected);
        let kuvert = provider.kuvert().with_open_options(options);
        assert!(open(&kuvert, &at(fits, 0)).is_ok());
        if allowed < 32 {
            assert_eq!(told(open(&kuvert, &at(fits + 1, 0))), WRONG_KEY);
        }
    }
    assert_eq!(OpenOptions::default().with_max_stanzas_tried(usize::MAX).max_stanzas_tried, 32);
}

#[test]
fn line_29_beside_a_good_slot_it_opens_degraded() {
    let good = Forged::of(vec![slot(1, &[kwp("k1")], 2048), slot(9, &vec![garbage("k1"); 32], 2048)]);
    let body = body();
    let mut message = good.message(&body);
    // Whoever planted the garbage does not know the data key, and so has no MAC for it.
    let mac_at = message.len() - body.len() - 32;
    message[mac_at..mac_at + 32].fill(0xee);
    let provider = knows_its_wrap(ProviderErrorKind::Rejected);
    let report = {
        let start = MessageStart::parse(&message).unwrap();
        block_on(provider.kuvert().opener(start, &super::forge::context())).unwrap().unwrap().report()
    };
    assert_eq!((report.degraded, report.unfinished_rewrap, report.generation), (true, false, 1));
    assert_eq!(provider.calls(), 5, "four of the garbage, then the good one");
}

#[test]
fn line_30_a_foreign_key_is_never_called() {
    let ours = "arn:aws:kms:eu-central-1:111122223333:key/ours";
    let foreign = "arn:aws:kms:eu-central-1:999900001111:key/theirs";
    let provider = Scripted::answering(move |recipient, _| {
        Ok((recipient.id() == ours.as_bytes()).then(|| DataKey::copy_from(&DEK)))
    });
    let stanza = Recipient::new(RecipientType::AWS_KMS, foreign, [0], [1; 184]);
    let message = Forged::with(&[stanza]).message(&body());
    let error = open(&provider.kuvert(), &message).unwrap_err();
    assert!(error.to_string().contains(foreign), "it says whose key is needed: {error}");
    assert_eq!(told::<()>(Err(error)), KEY_UNAVAILABLE);
    assert_eq!(provider.calls(), 0);
}

#[test]
fn line_31_a_wrap_that_fails_its_check_is_a_wrong_key() {
    let kuvert = memory();
    let sealed = block_on(kuvert.seal(PLANTED, &super::forge::context())).unwrap().unwrap();
    let wrap_at = sealed.len() - PLANTED.len() - 72 - 128 + 12 + 12 + 2;
    for bit in 0..40 * 8 {
        let mut damaged = sealed.clone();
        damaged[wrap_at + bit / 8] ^= 1 << (bit % 8);
        assert_eq!(told(open(&kuvert, &damaged)), WRONG_KEY, "bit {bit}");
    }
    let stranger = Kuvert::new(MemoryProvider::from_keys([("k1", [0x12; 32])]).unwrap());
    assert_eq!(told(open(&stranger, &sealed)), WRONG_KEY);
}

#[test]
fn line_32_invalid_ciphertext_depends_on_the_names_passed() {
    for (params, expected) in [(&b"\x01\x05table"[..], WRONG_CONTEXT), (&[0], WRONG_KEY)] {
        let provider = Scripted::answering(|_, _| Err(fails(ProviderErrorKind::Rejected)));
        let stanza = Recipient::new(RecipientType::AWS_KMS, "arn", params, [1; 184]);
        assert_eq!(told(open(&provider.kuvert(), &Forged::with(&[stanza]).message(&body()))), expected);
        assert_eq!(provider.calls(), 1);
    }
    let provider = Scripted::answering(|_, _| Err(fails(ProviderErrorKind::Disabled)));
    let stanza = Recipient::new(RecipientType::AWS_KMS, "arn", &b"\x01\x05table"[..], [1; 184]);
    assert_eq!(told(open(&provider.kuvert(), &Forged::with(&[stanza]).message(&body()))), KEY_UNAVAILABLE);
}

#[test]
fn line_33_a_key_that_could_not_be_asked_is_unavailable() {
    use ProviderErrorKind as Kind;
    let message = Forged::with(&[kwp("k1")]).message(&body());
    for kind in [
        Kind::NotFound,
        Kind::Disabled,
        Kind::PendingDeletion,
        Kind::AccessDenied,
        Kind::Credentials,
        Kind::Throttled,
        Kind::Unavailable,
        Kind::Timeout,
        Kind::Misconfigured,
        Kind::Refused,
        Kind::Other,
    ] {
        let provider = Scripted::answering(move |_, _| Err(fails(kind)));
        let error = open(&provider.kuvert(), &message).unwrap_err();
        assert!(error.to_string().contains(kind.describe()), "it says why: {error}");
        assert_eq!(told::<()>(Err(error)), KEY_UNAVAILABLE);
    }
    // One that failed does not hide one that works, in whichever order they stand.
    for recipients in [[garbage("k1"), kwp("k1")], [kwp("k1"), garbage("k1")]] {
        let provider = knows_its_wrap(Kind::Disabled);
        assert_eq!(
            opened_as(&provider.kuvert(), &Forged::with(&recipients).message(&body())),
            (false, false)
        );
    }
    // Of a wrong key and one that could not be asked, the second may still be the right one.
    let provider = Scripted::answering(|recipient, _| {
        let wrong = recipient.wrap()[0] == 0x99;
        Err(fails(if wrong { Kind::Rejected } else { Kind::Timeout }))
    });
    let both = Forged::with(&[garbage("k1"), kwp("k1")]).message(&body());
    assert_eq!(told(open(&provider.kuvert(), &both)), KEY_UNAVAILABLE);
}

/// AES-KWP of 31 bytes and of 33, under the key 11 repeated, made by another implementation.
const KWP_OF_31: &str = "131dd954d6040e2bb5cf77e2c715e4b31893be119905849bacd9d70f9a8e2eb1e5e75d1864b98a84";
const KWP_OF_33: &str =
    "3f7bc5dc43fe2454e66b3c0d33e5f247c6bcb03aa9dc168955efc2cd6d20d09fba7a52c579a23bb3b9dcd85cb02c898a";

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()).collect()
}

#[test]
fn line_34_a_key_of_31_or_33_bytes_is_no_key() {
    for len in [0, 16, 31, 33, 64] {
        assert!(DataKey::from_slice(&vec![1; len]).is_none(), "{len} bytes");
    }
    assert!(DataKey::from_slice(&[1; 32]).is_some());
    let short = Recipient::new(RecipientType::AES_KWP, "k1", [], unhex(KWP_OF_31));
    assert_eq!(told(open(&memory(), &Forged::with(&[short]).message(&body()))), WRONG_KEY);
    let long = Recipient::new(RecipientType::AES_KWP, "k1", [], unhex(KWP_OF_33));
    assert_eq!(told(open(&memory(), &Forged::with(&[long]).message(&body()))), MALFORMED);
}

#[test]
fn line_35_a_stanza_of_another_message_is_another_context() {
    let kuvert = memory();
    let seal = || block_on(kuvert.seal(PLANTED, &super::forge::context())).unwrap().unwrap();
    let (mine, theirs) = (seal(), seal());
    let body_len = PLANTED.len() + 72;
    let slot = mine.len() - body_len - 128..mine.len() - body_len;
    let mut spliced = mine.clone();
    spliced[slot.clone()].copy_from_slice(&theirs[slot]);
    assert_eq!(told(open(&kuvert, &spliced)), WRONG_CONTEXT);
    // And so is another context over the right stanza, if it is not stored and so not seen before.
    let provider = knows_its_wrap(ProviderErrorKind::Rejected);
    let other = EncryptionContext::empty().with_required("table", "another").unwrap();
    let sealed = block_on(provider.kuvert().seal(PLANTED, &other)).unwrap().unwrap();
    assert_eq!(told(open_with(&provider.kuvert(), &sealed, &super::forge::context())), WRONG_CONTEXT);
    assert_eq!(provider.calls(), 1);
}

#[test]
fn lines_36_and_37_every_bit_of_salt_and_commitment() {
    let (provider, body) = (Scripted::new(), body());
    let message = Forged::with(&[kwp("k1")]).message(&body);
    let start = message.len() - body.len();
    for bit in 0..56 * 8 {
        let mut damaged = message.clone();
        damaged[start + bit / 8] ^= 1 << (bit % 8);
        assert_eq!(told(open(&provider.kuvert(), &damaged)), WRONG_CONTEXT, "bit {bit}");
    }
}

#[test]
fn line_46_an_all_of_is_opened_by_no_member_alone() {
    let provider = Scripted::new();
    let mut wrap = vec![2];
    wrap.extend(stanza(&kwp("k1")));
    wrap.extend(stanza(&kwp("k2")));
    wrap.extend([0x66; 40]);
    let all_of = Recipient::new(RecipientType::ALL_OF, [], [], wrap);
    let message = Forged::with(std::slice::from_ref(&all_of)).message(&body());
    assert_eq!(told(open(&provider.kuvert(), &message)), KEY_UNAVAILABLE);
    assert_eq!(provider.calls(), 0);
    let beside = Forged::with(&[all_of, kwp("k1")]).message(&body());
    assert_eq!(opened_as(&provider.kuvert(), &beside), (false, false));
}

#[test]
fn line_85_an_envelope_of_another_role_is_refused_before_any_key() {
    let provider = Scripted::new();
    let (_, genuine) = block_on(provider.kuvert().new_record_key(&super::forge::context())).unwrap().unwrap();
    assert!(load(&provider.kuvert(), &genuine).is_ok());
    let calls = provider.calls();
    for (role, expected) in
        [("root", WRONG_CONTEXT), ("epoch", WRONG_CONTEXT), ("Record", MALFORMED), ("", MALFORMED)]
    {
        let mut forged = Forged::with(&[kwp("k1")]);
        forged.kind = 2;
        forged.stored.splice(0..0, [("kuvert:reference", "00000000000000ab"), ("kuvert:role", role)]);
        forged.all.clone_from(&forged.stored);
        assert!(serialise(&forged.stored).len() > 40);
        let envelope = forged.message(&genuine[genuine.len() - 72..]);
        for accept in [false, true] {
            let options = OpenOptions::default().with_accept_stored_context(accept);
            let kuvert = provider.kuvert().with_open_options(options);
            assert_eq!(told(load(&kuvert, &envelope)), expected, "{role}, accept {accept}");
        }
    }
    assert_eq!(provider.calls(), calls);
}

#[test]
fn a_planted_secret_would_be_found() {
    let text = String::from_utf8_lossy(PLANTED).into_owned();
    for leak in [format!("{DEK:?}"), "key 4242424242".to_owned(), format!("{:?}", plaintext(9)), text] {
        assert!(std::panic::catch_unwind(|| assert_silent(&leak)).is_err(), "{leak}");
    }
}
