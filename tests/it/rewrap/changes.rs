//! Each change of recipients, in memory.

use std::sync::Arc;

use kuvert::provider::KeyProvider;
use kuvert::{
    Category, Kuvert, Layout, MessageStart, OpenOptions, ProviderErrorKind, Recipient, RecipientType,
    RewrapError, RewrapMethod, RewrapOptions, RewrapOutcome, RewrapReport, SealOptions,
};

use super::stage::{With, WrapOnly, arc, holder, keys, on_subject, opens, parts, pending, sealed};
use crate::support::cancel::wait;
use crate::support::fixture::{context, text};

const LAYOUTS: [(Layout, RewrapMethod); 2] =
    [(Layout::Compact, RewrapMethod::Copy), (Layout::Rewrappable, RewrapMethod::InPlace)];

fn ids(report: &RewrapReport) -> Vec<&str> {
    report.recipients.iter().map(|recipient| recipient.id.as_str()).collect()
}

fn refused<T: std::fmt::Debug>(result: Result<T, RewrapError>) -> Category {
    result.unwrap_err().category()
}

#[test]
fn replacing_shuts_the_old_key_out_and_keeps_the_body() {
    for (layout, method) in LAYOUTS {
        let message = sealed(layout, "old", &text(40_000));
        let rewrap = holder(&["old"]).rewrap_to(keys(&["new"])).and_to(arc(&["spare"]));
        let (after, report) = wait(rewrap.message(&message, &context())).unwrap();
        assert_eq!((report.outcome, report.method, report.generation), (RewrapOutcome::Rewrapped, method, 2));
        assert_eq!((report.opened_by.id.as_str(), ids(&report)), ("old", vec!["new", "spare"]));
        assert!(report.pending.is_empty() && report.unverified.is_empty() && !report.restored);
        for id in ["new", "spare"] {
            assert_eq!(opens(id, &after).as_deref(), Ok(&text(40_000)[..]), "{layout:?} {id}");
        }
        assert_eq!(opens("old", &after), Err(Category::KeyUnavailable));
        assert_eq!(parts(&after).1, parts(&message).1, "{layout:?}: the body");
        assert_eq!(parts(&after).0.len() == parts(&message).0.len(), method == RewrapMethod::InPlace);
    }
}

#[test]
fn doing_it_again_changes_nothing() {
    for (layout, _) in LAYOUTS {
        let message = sealed(layout, "old", b"x");
        let rewrap = holder(&["old"]).rewrap_to(keys(&["new"]));
        let (once, _) = wait(rewrap.message(&message, &context())).unwrap();
        let (twice, report) = wait(rewrap.message(&once, &context())).unwrap();
        assert_eq!((report.outcome, report.generation), (RewrapOutcome::Unchanged, 2));
        assert_eq!(report.opened_by.id, "new");
        assert!(twice == once);

        let always = rewrap.with_options(RewrapOptions::default().with_even_if_unchanged(true));
        let (again, report) = wait(always.message(&once, &context())).unwrap();
        assert_eq!((report.outcome, report.generation), (RewrapOutcome::Rewrapped, 3));
        assert!(again != once && opens("new", &again).is_ok());
    }
}

/// Two keys of one name: the file is not under the new one because it is under one that is called so.
#[test]
fn a_namesake_is_not_taken_for_the_key() {
    let named = |key: u8| kuvert::provider::MemoryProvider::from_keys([("k", [key; 32])]).unwrap();
    for (layout, _) in LAYOUTS {
        let old = Kuvert::new(named(1)).with_seal_options(SealOptions::default().with_layout(layout));
        let message = wait(old.seal(b"x", &context())).unwrap();
        let rewrap = old.rewrap_to(named(2));
        let (after, report) = wait(rewrap.message(&message, &context())).unwrap();
        assert_eq!(report.outcome, RewrapOutcome::Rewrapped);
        assert!(wait(Kuvert::new(named(2)).open(&after, &context())).is_ok());
        assert!(wait(old.open(&after, &context())).is_err());
        let (_, report) = wait(rewrap.message(&after, &context())).unwrap();
        assert_eq!(report.outcome, RewrapOutcome::Unchanged);
    }
}

/// An all-of has no name of its own: who its members are tells whether it is there already.
#[test]
fn split_custody_is_recognised_by_its_members() {
    let all_of = |ids: &[&str]| kuvert::provider::AllOf::new(ids.iter().map(|id| arc(&[id]))).unwrap();
    let message = sealed(Layout::Compact, "a", b"x");
    let to = |ids: &[&str]| holder(&["a"]).rewrap_to(all_of(ids));
    let (both, report) = wait(to(&["b", "c"]).message(&message, &context())).unwrap();
    assert_eq!(report.recipients[0].recipient_type, RecipientType::ALL_OF);
    assert!(opens("b", &both).is_err() && opens("c", &both).is_err() && opens("a", &both).is_err());
    let outcome = |ids: &[&str], message: &[u8]| {
        let rewrap = to(ids).and_to(Arc::new(all_of(&["b", "c"])));
        wait(rewrap.message(message, &context())).map(|(_, report)| report.outcome)
    };
    for same in [["b", "c"], ["c", "b"]] {
        let (_, report) = wait(to(&same).message(&both, &context())).unwrap();
        assert_eq!(report.outcome, RewrapOutcome::Unchanged, "{same:?}");
    }
    assert_eq!(outcome(&["b", "d"], &both).unwrap(), RewrapOutcome::Rewrapped);
}

#[test]
fn adding_keeps_what_is_there_byte_for_byte() {
    for (layout, _) in LAYOUTS {
        let message = sealed(layout, "a", b"x");
        let first = |message: &[u8]| {
            let start = MessageStart::parse(message).unwrap();
            let slots: Vec<Vec<Recipient>> = start
                .header()
                .claimed_slots()
                .filter_map(|slot| match slot {
                    kuvert::ClaimedSlot::Filled { recipients, .. } => Some(recipients.to_vec()),
                    _ => None,
                })
                .collect();
            assert_eq!(slots.len(), 1, "the old slot is gone");
            slots[0].clone()
        };
        let (after, report) =
            wait(holder(&["a"]).add_recipient(keys(&["b"])).message(&message, &context())).unwrap();
        assert_eq!(ids(&report), ["a", "b"]);
        assert_eq!(first(&after)[0], first(&message)[0]);
        assert!(opens("a", &after).is_ok() && opens("b", &after).is_ok());
        // Again, and by the holder of the other key: nothing to do.
        let (_, report) =
            wait(holder(&["b"]).add_recipient(keys(&["b"])).message(&after, &context())).unwrap();
        assert_eq!((report.outcome, report.generation), (RewrapOutcome::Unchanged, 2));
        // Two wraps of one key side by side only by name.
        let always = RewrapOptions::default().with_even_if_unchanged(true);
        let add = holder(&["b"]).add_recipient(keys(&["b"])).with_options(always);
        let (_, report) = wait(add.message(&after, &context())).unwrap();
        assert_eq!(ids(&report), ["a", "b", "b"]);
    }
}

#[test]
fn removing_by_id() {
    for (layout, _) in LAYOUTS {
        let message = sealed(layout, "a", b"x");
        let (both, _) =
            wait(holder(&["a"]).add_recipient(keys(&["b"])).message(&message, &context())).unwrap();
        let remove = |holds: &[&str], ids: &[&str]| {
            wait(holder(holds).remove_recipient(ids.iter().copied()).message(&both, &context()))
        };
        let (after, report) = remove(&["b"], &["a"]).unwrap();
        assert_eq!((ids(&report), report.generation), (vec!["b"], 3));
        assert_eq!(
            (opens("a", &after), opens("b", &after)),
            (Err(Category::KeyUnavailable), Ok(b"x".to_vec()))
        );
        // Not there, the last ones, none at all.
        assert_eq!(refused(remove(&["a"], &["typo"])), Category::Refused);
        assert_eq!(refused(remove(&["a"], &["a", "typo"])), Category::Refused);
        assert_eq!(refused(remove(&["a"], &["a", "b"])), Category::Refused);
        assert_eq!(refused(remove(&["a"], &[])), Category::Usage);
        // Who holds the removed key only cannot see whether the other one opens.
        assert_eq!(refused(remove(&["a"], &["a"])), Category::Refused);
        let blind = holder(&["a"]).remove_recipient(["a"]);
        let allowed = blind.clone().with_options(RewrapOptions::default().with_allow_unverified(true));
        let (_, report) = wait(allowed.message(&both, &context())).unwrap();
        assert_eq!(report.unverified.iter().map(|name| name.id.as_str()).collect::<Vec<_>>(), ["b"]);
        // Or brings the other key for that.
        let (_, report) = wait(blind.and_to(arc(&["b"])).message(&both, &context())).unwrap();
        assert_eq!((ids(&report), report.unverified.len()), (vec!["b"], 0));
    }
}

/// Among many others, too: each of those who remain is looked at before the change is refused.
#[test]
fn one_that_can_be_checked_is_found_behind_many_that_cannot() {
    let strangers = (0..10).map(|n| Recipient::new(RecipientType(0x8001), format!("{n}"), [], [1; 40]));
    let sealing = Kuvert::new(With(keys(&["a"]), strangers.collect()));
    let message = wait(sealing.seal(b"x", &context())).unwrap();
    let (message, _) =
        wait(holder(&["a"]).add_recipient(keys(&["b"])).message(&message, &context())).unwrap();
    let remove = holder(&["a"]).remove_recipient(["a"]);
    assert_eq!(refused(wait(remove.message(&message, &context()))), Category::Refused);
    let (_, report) = wait(remove.and_to(arc(&["b"])).message(&message, &context())).unwrap();
    assert_eq!((report.recipients.len(), report.unverified.len()), (11, 0));
}

/// Wrapping anew is for those who wrap: a repair that has nothing to repair stays one that does nothing.
#[test]
fn even_if_unchanged_needs_something_new() {
    let message = sealed(Layout::Rewrappable, "a", b"x");
    let always = RewrapOptions::default().with_even_if_unchanged(true);
    let repair = holder(&["a"]).repair(keys(&["b"])).with_options(always);
    let (same, report) = wait(repair.message(&message, &context())).unwrap();
    assert_eq!((report.outcome, same == message), (RewrapOutcome::Unchanged, true));
}

#[test]
fn repairing_replaces_what_is_waited_for_and_nothing_else() {
    let sealing = Kuvert::new(With(keys(&["a"]), vec![pending("b"), pending("c")]));
    for (layout, _) in LAYOUTS {
        let sealing = sealing.clone().with_seal_options(SealOptions::default().with_layout(layout));
        let message = wait(sealing.seal(b"x", &context())).unwrap();
        let repair = |new: &[&str]| holder(&["a"]).repair(keys(new));
        let (after, report) = wait(repair(&["b"]).message(&message, &context())).unwrap();
        assert_eq!((report.outcome, ids(&report)), (RewrapOutcome::Rewrapped, vec!["a", "b"]));
        assert_eq!(report.pending.len(), 1);
        assert_eq!(
            (report.pending[0].id.as_str(), report.pending[0].recipient_type),
            ("c", RecipientType::AES_KWP)
        );
        assert_eq!(opens("b", &after).as_deref(), Ok(&b"x"[..]));
        // Not waited for: nothing is done, and what is pending is told.
        let (same, report) = wait(repair(&["z"]).message(&after, &context())).unwrap();
        assert_eq!((report.outcome, report.pending.len()), (RewrapOutcome::Unchanged, 1));
        assert!(same == after);
        // The rest, by two providers of which one is not needed.
        let both = repair(&["z"]).and_to(arc(&["c"]));
        let (after, report) = wait(both.message(&after, &context())).unwrap();
        assert_eq!((ids(&report), report.pending.len()), (vec!["a", "b", "c"], 0));
        assert!(opens("c", &after).is_ok() && opens("z", &after).is_err());
        // Nothing is pending: nobody is asked to wrap.
        let (_, report) = wait(repair(&["z"]).message(&after, &context())).unwrap();
        assert_eq!(report.outcome, RewrapOutcome::Unchanged);
        // A pending one can be removed, but what it leaves must not be all that is left.
        let message = wait(sealing.seal(b"x", &context())).unwrap();
        let (_, report) = wait(holder(&["a"]).remove_recipient(["c"]).message(&message, &context())).unwrap();
        assert_eq!(report.pending.len(), 1);
        assert_eq!(
            refused(wait(holder(&["a"]).remove_recipient(["a"]).message(&message, &context()))),
            Category::Refused
        );
    }
}

#[test]
fn recipients_that_cannot_be_checked_are_refused_unless_one_that_can_stays() {
    let message = sealed(Layout::Rewrappable, "a", b"x");
    for cannot in [None, Some(ProviderErrorKind::AccessDenied), Some(ProviderErrorKind::Refused)] {
        let public = || WrapOnly(keys(&["public"]), cannot);
        let replace = holder(&["a"]).rewrap_to(public());
        assert_eq!(refused(wait(replace.message(&message, &context()))), Category::Refused);
        let allowed = replace.clone().with_options(RewrapOptions::default().with_allow_unverified(true));
        let beside = holder(&["a"]).add_recipient(public());
        for (rewrap, recipients) in [(allowed, 1), (replace.and_to(arc(&["b"])), 2), (beside, 2)] {
            let (after, report) = wait(rewrap.message(&message, &context())).unwrap();
            assert_eq!((report.recipients.len(), report.unverified.len()), (recipients, 1));
            assert_eq!(report.unverified[0].id, "public");
            assert!(opens("public", &after).is_ok());
        }
    }
    // A service that is down is another thing: try later, also where it would be allowed.
    let down = WrapOnly(keys(&["public"]), Some(ProviderErrorKind::Unavailable));
    let rewrap =
        holder(&["a"]).rewrap_to(down).with_options(RewrapOptions::default().with_allow_unverified(true));
    assert_eq!(refused(wait(rewrap.message(&message, &context()))), Category::KeyUnavailable);
}

/// Another key under the same name on the unwrapping side: what would have been lost is not written.
#[test]
fn a_wrap_that_does_not_unwrap_is_never_written() {
    #[derive(Debug)]
    struct Crossed;

    #[kuvert::async_trait]
    impl KeyProvider for Crossed {
        async fn wrap_data_key(
            &self,
            _: &kuvert::DataKey,
            context: &kuvert::provider::WrapContext,
        ) -> Result<Vec<Recipient>, kuvert::ProviderError> {
            keys(&["new"]).wrap_data_key(&kuvert::DataKey::copy_from(&[9; 32]), context).await
        }

        async fn unwrap_data_key(
            &self,
            recipient: &Recipient,
            context: &kuvert::provider::WrapContext,
        ) -> Result<Option<kuvert::DataKey>, kuvert::ProviderError> {
            keys(&["new"]).unwrap_data_key(recipient, context).await
        }

        async fn check(&self) -> Result<kuvert::provider::Health, kuvert::ProviderError> {
            Ok(kuvert::provider::Health::good())
        }

        fn describe(&self) -> kuvert::provider::ProviderInfo {
            keys(&["new"]).describe()
        }
    }

    let message = sealed(Layout::Rewrappable, "a", b"x");
    for change in [holder(&["a"]).rewrap_to(Crossed), holder(&["a"]).add_recipient(Crossed)] {
        let allowed = change.clone().with_options(RewrapOptions::default().with_allow_unverified(true));
        for rewrap in [change, allowed] {
            assert_eq!(refused(wait(rewrap.message(&message, &context()))), Category::Refused);
        }
    }
}

#[test]
fn a_subjects_message_gets_no_recipient_that_outlives_its_erasure() {
    let sealing = Kuvert::new(With(keys(&["a"]), vec![on_subject(7)]))
        .with_seal_options(SealOptions::default().with_layout(Layout::Rewrappable));
    let message = wait(sealing.seal(b"x", &context())).unwrap();
    for rewrap in [holder(&["a"]).add_recipient(keys(&["b"])), holder(&["a"]).rewrap_to(keys(&["b"]))] {
        assert_eq!(refused(wait(rewrap.message(&message, &context()))), Category::Refused);
        let allowed = rewrap.with_options(RewrapOptions::default().with_allow_on_subject(true));
        assert!(wait(allowed.message(&message, &context())).is_ok());
    }
    // It is named by its reference.
    let (_, report) =
        wait(holder(&["a"]).remove_recipient(["0000000000000007"]).message(&message, &context())).unwrap();
    assert_eq!(ids(&report), ["a"]);
    assert_eq!(
        refused(wait(holder(&["a"]).remove_recipient([""]).message(&message, &context()))),
        Category::Refused
    );
}

#[test]
fn what_does_not_fit_is_copied_or_refused() {
    let message = sealed(Layout::Rewrappable, "a", b"x");
    let many = || {
        let strangers = (0..25).map(|n| {
            Recipient::new(RecipientType(0x8001), format!("stranger {n:03}").repeat(5), [], [1; 40])
        });
        With(keys(&["b"]), strangers.collect())
    };
    let rewrap = holder(&["a"]).rewrap_to(many());
    let (after, report) = wait(rewrap.message(&message, &context())).unwrap();
    assert_eq!((report.method, report.generation), (RewrapMethod::Copy, 2));
    assert_eq!(parts(&after).0.len(), 8192, "still a multiple of 4096");
    assert_eq!(parts(&after).1, parts(&message).1);
    assert_eq!(report.unverified.len(), 25);
    let here = rewrap.with_options(RewrapOptions::default().with_in_place_only(true));
    let error = wait(here.message(&message, &context())).unwrap_err();
    assert!(matches!(error, RewrapError::NoRoom { needed: 2529.., available: 2000..=2032 }), "{error:?}");
    let compact = sealed(Layout::Compact, "a", b"x");
    let error = wait(here.message(&compact, &context())).unwrap_err();
    assert!(matches!(error, RewrapError::NoRoom { available: 0, .. }), "{error:?}");
    // Back again: it has room now.
    let (_, report) = wait(holder(&["b"]).rewrap_to(keys(&["a"])).message(&after, &context())).unwrap();
    assert_eq!((report.method, report.generation), (RewrapMethod::InPlace, 3));
}

#[test]
fn what_a_new_header_refuses_is_refused() {
    let message = sealed(Layout::Compact, "a", b"x");
    let one = |recipient: Recipient| holder(&["a"]).add_recipient(With(keys(&["b"]), vec![recipient]));
    for (recipient, category) in [
        (Recipient::new(RecipientType(0x0030), "reserved", [], [1]), Category::Usage),
        (Recipient::new(RecipientType::AES_KWP, "short", [], [1; 39]), Category::Usage),
        (Recipient::new(RecipientType(0x8000), "long", [], vec![1; 6145]), Category::LimitExceeded),
    ] {
        assert_eq!(refused(wait(one(recipient).message(&message, &context()))), category);
    }
    let strangers = (0..32).map(|n| Recipient::new(RecipientType(0x8001), format!("{n}"), [], [1; 40]));
    let too_many = holder(&["a"]).rewrap_to(With(keys(&["b"]), strangers.collect()));
    assert_eq!(refused(wait(too_many.message(&message, &context()))), Category::LimitExceeded);
    let nobody = holder(&["a"]).rewrap_to(
        crate::support::providers::Scripted::new(keys(&["b"]))
            .always(crate::support::providers::Answer::NoRecipient),
    );
    assert_eq!(refused(wait(nobody.message(&message, &context()))), Category::Usage);
}

#[test]
fn the_handles_options_hold() {
    let message = sealed(Layout::Rewrappable, "a", b"x");
    let rewrap = |options: OpenOptions| holder(&["a"]).with_open_options(options).rewrap_to(keys(&["b"]));
    let strict = rewrap(OpenOptions::default().with_min_generation(2));
    assert_eq!(refused(wait(strict.message(&message, &context()))), Category::Tampered);
    let short = rewrap(OpenOptions::default().with_max_header_len(4095));
    assert_eq!(refused(wait(short.message(&message, &context()))), Category::LimitExceeded);
    let required = kuvert::EncryptionContext::empty().with_required("tenant", "7").unwrap();
    let plain = rewrap(OpenOptions::default());
    assert_eq!(refused(wait(plain.message(&message, &required))), Category::WrongContext);
    let lenient = rewrap(OpenOptions::default().with_accept_stored_context(true));
    let (after, _) = wait(lenient.message(&message, &required)).unwrap();
    assert!(opens("b", &after).is_ok());
    // A plaintext limit is about opening, and nothing is opened.
    let tiny = rewrap(OpenOptions::default().with_max_plaintext_len(0));
    assert!(wait(tiny.message(&message, &context())).is_ok());
}

#[test]
fn neither_old_nor_new_key() {
    let message = sealed(Layout::Compact, "a", b"x");
    let rewrap = holder(&["z"]).rewrap_to(keys(&["b"]));
    assert_eq!(refused(wait(rewrap.message(&message, &context()))), Category::KeyUnavailable);
    for cut in [0, 31, 100, message.len() - 20] {
        assert_eq!(refused(wait(rewrap.message(&message[..cut], &context()))), Category::Truncated);
    }
}

#[test]
fn detached_headers() {
    let sealing = holder(&["a"]).with_seal_options(SealOptions::default().with_layout(Layout::Detached));
    let sealer = wait(sealing.sealer(&context())).unwrap();
    let header = sealer.header().to_vec();
    let mut writer = sealer.into_writer(Vec::new());
    std::io::Write::write_all(&mut writer, &text(20_000)).unwrap();
    let (body, _) = writer.finish().unwrap();
    let start = body[..56].try_into().unwrap();
    let rewrap = holder(&["a"]).rewrap_to(keys(&["b"]));
    let (new, report) = wait(rewrap.detached(&header, start, &context())).unwrap();
    assert_eq!((report.method, report.generation), (RewrapMethod::Copy, 2));
    let read = |id: &str| {
        let mut body = body.as_slice();
        let start = MessageStart::read_detached(&mut new.as_slice(), &mut body).unwrap();
        let opener = wait(holder(&[id]).opener(start, &context())).map_err(|error| error.category())?;
        let mut out = Vec::new();
        opener.into_reader(body).copy_to(&mut out).unwrap();
        Ok::<_, Category>(out)
    };
    assert_eq!(read("b").as_deref(), Ok(&text(20_000)[..]));
    assert_eq!(read("a"), Err(Category::KeyUnavailable));
    // Of another body, an attached one, and cut short.
    assert_eq!(refused(wait(rewrap.detached(&header, &[0; 56], &context()))), Category::WrongContext);
    let attached = sealed(Layout::Compact, "a", b"x");
    assert_eq!(refused(wait(rewrap.detached(parts(&attached).0, start, &context()))), Category::Usage);
    assert_eq!(refused(wait(rewrap.message(&header, &context()))), Category::Usage);
}

#[test]
fn key_envelopes() {
    let (key, envelope) = wait(holder(&["a"]).new_record_key(&context())).unwrap();
    let cell = crate::support::fixture::cell();
    let record = key.seal(b"a cell", &cell).unwrap();
    let rewrap = holder(&["a"]).rewrap_to(keys(&["b"]));
    let (new, report) = wait(rewrap.envelope(&envelope, &context())).unwrap();
    assert_eq!((report.generation, report.method), (2, RewrapMethod::Copy));
    let again = wait(holder(&["b"]).load_record_key(&new, &context())).unwrap();
    assert_eq!(*again.open(&record, &cell).unwrap(), b"a cell");
    assert!(wait(holder(&["a"]).load_record_key(&new, &context())).is_err());
    let (same, report) = wait(rewrap.envelope(&new, &context())).unwrap();
    assert_eq!((report.outcome, same == new), (RewrapOutcome::Unchanged, true));
    // Whoever has a public key only could plant one.
    let rsa = Recipient::new(RecipientType::RSA_OAEP_SHA256, "rsa", [], [1; 256]);
    let planted = holder(&["a"]).add_recipient(With(keys(&["b"]), vec![rsa]));
    assert_eq!(refused(wait(planted.envelope(&envelope, &context()))), Category::Refused);
    // A damaged end, another kind.
    let mut damaged = envelope.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(refused(wait(rewrap.envelope(&damaged, &context()))), Category::Tampered);
    assert_eq!(refused(wait(rewrap.message(&envelope, &context()))), Category::Malformed);
    assert_eq!(
        refused(wait(rewrap.envelope(&sealed(Layout::Compact, "a", b""), &context()))),
        Category::Malformed
    );
}

#[test]
fn nothing_secret_shows() {
    let rewrap = Arc::new(holder(&["a"]).rewrap_to(keys(&["b"])).and_to(arc(&["c"])));
    let shown = format!("{rewrap:?}");
    assert!(shown.contains("Replace") && shown.contains("\"b\"") && shown.contains("\"c\""), "{shown}");
    let message = sealed(Layout::Compact, "a", b"x");
    let error = wait(holder(&["a"]).remove_recipient(["hunter2"]).message(&message, &context())).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}
