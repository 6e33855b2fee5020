//! Messages through several providers at once, over the public face: lies, denials, limits, and what is mended later.

use std::sync::Arc;
use std::time::Duration;

use kuvert::clock::TestClock;
use kuvert::provider::{AnyOf, CacheOptions, Cached, Guarded, GuardedOptions, KeyProvider, MemoryProvider};
use kuvert::{
    ClaimedSlot, EncryptionContext, Kuvert, MessageStart, OpenError, ProviderErrorKind, RecipientType,
    RewrapOutcome,
};

use crate::support::cancel::wait;
use crate::support::providers::{Answer, FixedKey, Scripted};

type Member = Arc<Scripted<MemoryProvider>>;

fn memory(id: &str, byte: u8) -> MemoryProvider {
    MemoryProvider::from_keys([(id, [byte; 32])]).unwrap()
}

fn good(id: &str, byte: u8) -> Member {
    Arc::new(Scripted::new(memory(id, byte)))
}

fn bad(id: &str, byte: u8, answer: Answer) -> Member {
    Arc::new(Scripted::new(memory(id, byte)).always(answer))
}

fn any_of(members: &[&Member]) -> AnyOf {
    AnyOf::new(members.iter().map(|member| Arc::clone(member) as Arc<dyn KeyProvider>)).unwrap()
}

fn context() -> EncryptionContext {
    EncryptionContext::new([("table", "users")]).unwrap()
}

fn sealed(members: &[&Member]) -> Vec<u8> {
    wait(Kuvert::new(any_of(members)).seal(b"content", &context())).unwrap()
}

fn opened(provider: AnyOf, message: &[u8]) -> Result<Vec<u8>, OpenError> {
    wait(Kuvert::new(provider).open(message, &context())).map(|plain| plain.as_slice().to_vec())
}

#[test]
fn a_member_that_lies_is_found_out_and_the_next_one_opens() {
    let message = sealed(&[&good("a", 1), &good("b", 2)]);
    let (liar, honest) = (bad("a", 1, Answer::Key([7; 32])), good("b", 2));
    assert_eq!(opened(any_of(&[&liar, &honest]), &message).unwrap(), b"content");
    assert_eq!((liar.unwraps(), honest.unwraps()), (1, 1));
    // With nobody honest it is told as what it looks like, and nothing is opened.
    let liars = [bad("a", 1, Answer::Key([7; 32])), bad("b", 2, Answer::Key([8; 32]))];
    let error = opened(any_of(&[&liars[0], &liars[1]]), &message).unwrap_err();
    assert!(matches!(error, OpenError::WrongContext(_)), "{error}");
    assert_eq!((liars[0].unwraps(), liars[1].unwraps()), (1, 1));
}

#[test]
fn a_denied_member_ends_the_search_through_the_opener_too() {
    let message = sealed(&[&good("a", 1), &good("b", 2)]);
    for kind in
        [ProviderErrorKind::AccessDenied, ProviderErrorKind::Disabled, ProviderErrorKind::PendingDeletion]
    {
        let (denied, other) = (bad("a", 1, Answer::Fail(kind)), good("b", 2));
        let error = opened(any_of(&[&denied, &other]), &message).unwrap_err();
        assert!(matches!(error, OpenError::KeyUnavailable(_)), "{error}");
        assert!(error.to_string().contains(kind.describe()), "{error}");
        assert_eq!((denied.unwraps(), other.unwraps()), (1, 0), "{kind:?}");
        let lenient = any_of(&[&denied, &other]).with_fail_over_on_denial(true);
        assert_eq!(opened(lenient, &message).unwrap(), b"content");
    }
}

#[test]
fn one_that_is_down_or_refuses_the_wrap_does_not() {
    let message = sealed(&[&good("a", 1), &good("b", 2)]);
    let retryable =
        [ProviderErrorKind::Unavailable, ProviderErrorKind::Throttled, ProviderErrorKind::Rejected];
    for kind in retryable {
        let down = bad("a", 1, Answer::Fail(kind));
        assert_eq!(opened(any_of(&[&down, &good("b", 2)]), &message).unwrap(), b"content", "{kind:?}");
    }
}

#[test]
fn no_more_than_four_recipients_are_tried_whoever_holds_them() {
    let ids = ["a", "b", "c", "d", "e", "f"];
    let all: Vec<Member> = ids.iter().zip(1..).map(|(id, byte)| good(id, byte)).collect();
    let message = sealed(&all.iter().collect::<Vec<_>>());
    for answer in [Answer::Fail(ProviderErrorKind::Unavailable), Answer::Key([7; 32])] {
        let members: Vec<Member> = ids.iter().zip(1..).map(|(id, byte)| bad(id, byte, answer)).collect();
        opened(any_of(&members.iter().collect::<Vec<_>>()), &message).unwrap_err();
        let asked: usize = members.iter().map(|member| member.unwraps()).sum();
        assert_eq!(asked, 4, "{answer:?}");
    }
}

#[test]
fn what_was_missing_when_sealing_is_repaired_later() {
    let down = bad("b", 2, Answer::Fail(ProviderErrorKind::Unavailable));
    let provider = any_of(&[&good("a", 1), &down]).with_min(1).unwrap();
    let kuvert = Kuvert::new(provider);
    let message = wait(kuvert.seal(b"content", &context())).unwrap();
    let header = MessageStart::parse(&message).unwrap();
    let mut claimed = Vec::new();
    for slot in header.header().claimed_slots() {
        let ClaimedSlot::Filled { recipients, .. } = slot else { continue };
        claimed.extend(recipients.iter().map(|own| (own.recipient_type(), own.pending_for())));
    }
    assert_eq!(
        claimed,
        [(RecipientType::AES_KWP, None), (RecipientType::PENDING, Some(RecipientType::AES_KWP))]
    );
    // Still down: nothing changes. Back: the pending one becomes a wrap.
    let (same, report) = wait(
        kuvert.repair(any_of(&[&good("a", 1), &down]).with_min(1).unwrap()).message(&message, &context()),
    )
    .unwrap();
    assert_eq!((report.outcome, same == message), (RewrapOutcome::Unchanged, true));
    let back = good("b", 2);
    let (mended, report) = wait(kuvert.repair_arc(back).message(&message, &context())).unwrap();
    assert_eq!(
        (report.outcome, report.pending.len(), report.recipients.len()),
        (RewrapOutcome::Rewrapped, 0, 2)
    );
    let only_b = Kuvert::new(memory("b", 2));
    assert_eq!(wait(only_b.open(&mended, &context())).unwrap().as_slice(), b"content");
}

#[test]
fn a_guard_around_each_changes_nothing_of_this() {
    let message = sealed(&[&good("a", 1), &good("b", 2)]);
    let guarded = |member: Member| {
        Arc::new(Guarded::new(member, GuardedOptions::default().with_attempts(1))) as Arc<dyn KeyProvider>
    };
    let liar = AnyOf::new([guarded(bad("a", 1, Answer::Key([7; 32]))), guarded(good("b", 2))]).unwrap();
    assert_eq!(opened(liar, &message).unwrap(), b"content");
    let denied = bad("a", 1, Answer::Fail(ProviderErrorKind::AccessDenied));
    let denied = AnyOf::new([guarded(denied), guarded(good("b", 2))]).unwrap();
    assert!(matches!(opened(denied, &message).unwrap_err(), OpenError::KeyUnavailable(_)));
}

/// C11: an answer to an earlier question, word for word: the commitment says whose key it is.
#[test]
fn an_old_answer_that_is_played_again_opens_nothing() {
    let key = [7; 32];
    let old = wait(Kuvert::new(FixedKey { inner: memory("a", 1), key }).seal(b"old", &context())).unwrap();
    let message = sealed(&[&good("a", 1), &good("b", 2)]);
    let replays = bad("a", 1, Answer::Key(key));
    assert_eq!(opened(any_of(&[&replays]), &old).unwrap(), b"old", "it was a true answer once");
    let error = opened(any_of(&[&replays]), &message).unwrap_err();
    assert!(matches!(error, OpenError::WrongContext(_)), "{error}");
    // A cache that was given it asks again for the other recipients, and for the same message each time.
    let cached = Kuvert::new(Cached::new(any_of(&[&replays, &good("b", 2)]), CacheOptions::default()));
    for _ in 0..2 {
        assert_eq!(wait(cached.open(&message, &context())).unwrap().as_slice(), b"content");
    }
    assert_eq!(replays.unwraps(), 3);
}

/// A refresh that fails is nobody's business: the key from before opens, whoever else is in the header.
#[test]
fn a_refresh_in_vain_opens_through_the_opener() {
    let message = sealed(&[&good("x", 9), &good("a", 1), &good("b", 2)]);
    for kind in [
        ProviderErrorKind::Unavailable,
        ProviderErrorKind::Credentials,
        ProviderErrorKind::Misconfigured,
        ProviderErrorKind::Other,
    ] {
        let clock = TestClock::new();
        let fails = (1..100).fold(Scripted::new(memory("a", 1)), |a, at| a.answering(at, Answer::Fail(kind)));
        let fails = Arc::new(fails);
        let cache = Cached::from_arc(Arc::new(any_of(&[&fails])), CacheOptions::default());
        let cache = Arc::new(cache.with_clock(Arc::new(clock.clone())));
        let kuvert = Kuvert::from_arc(cache.clone());
        for minute in 0..15 {
            let opened = wait(kuvert.open(&message, &context()));
            assert_eq!(opened.unwrap().as_slice(), b"content", "{kind:?} {minute}");
            clock.advance(Duration::from_secs(60));
        }
        assert!(fails.unwraps() > 2, "{kind:?}: nobody asked anew");
        // Past its age it is over, and the error is that of the refresh.
        let error = wait(kuvert.open(&message, &context())).unwrap_err();
        assert!(error.to_string().contains(kind.describe()), "{error}");
    }
}

/// The contract holds through everything around everything.
#[cfg(feature = "conformance")]
mod nested {
    use kuvert::provider::conformance::Conformance;
    use kuvert::provider::{AllOf, KeyPolicy, Observed, Policy, StockOptions};

    use super::*;

    type Maker = fn(Arc<dyn KeyProvider>) -> Arc<dyn KeyProvider>;

    fn policy(inner: Arc<dyn KeyProvider>) -> Arc<dyn KeyProvider> {
        let types = KeyPolicy::default().with_types([RecipientType::AES_KWP]);
        Arc::new(Policy::new(inner, types).unwrap())
    }

    fn guarded(inner: Arc<dyn KeyProvider>) -> Arc<dyn KeyProvider> {
        // The suite makes calls fail on purpose, which would open a breaker.
        let breaker = kuvert::provider::BreakerOptions::default().with_min_calls(u32::MAX);
        let options = GuardedOptions::default().with_attempts(1).with_breaker(breaker);
        Arc::new(Guarded::new(inner, options))
    }

    fn observed(inner: Arc<dyn KeyProvider>) -> Arc<dyn KeyProvider> {
        Arc::new(Observed::new(inner, Deaf))
    }

    fn cached(inner: Arc<dyn KeyProvider>) -> Arc<dyn KeyProvider> {
        let options = CacheOptions::default().with_stock(Some(StockOptions::default()));
        Arc::new(Cached::from_arc(inner, options))
    }

    #[derive(Debug)]
    struct Deaf;

    impl kuvert::observe::Observer for Deaf {
        fn event(&self, event: &kuvert::observe::Event<'_>) {
            assert!(!format!("{event:?}").contains("conformance-value"));
        }
    }

    /// Two members with these keys, each behind a guard of its own and failing as said.
    fn members(keys: [(&str, u8); 2], fail: Option<ProviderErrorKind>) -> [Arc<dyn KeyProvider>; 2] {
        keys.map(|(id, byte)| {
            let member = Scripted::new(memory(id, byte)).yielding(1);
            let member = match fail {
                Some(kind) => member.always(Answer::Fail(kind)),
                None => member,
            };
            guarded(observed(Arc::new(member)))
        })
    }

    fn all_kept(
        name: &str,
        around: &[Maker],
        core: impl Fn([Arc<dyn KeyProvider>; 2]) -> Arc<dyn KeyProvider>,
    ) {
        let make =
            |keys, fail| around.iter().rev().fold(core(members(keys, fail)), |inner, make| make(inner));
        let provider = make([("a", 1), ("b", 2)], None);
        let (stranger, impostor) = (make([("c", 1), ("d", 2)], None), make([("a", 3), ("b", 4)], None));
        let kinds = [
            ProviderErrorKind::AccessDenied,
            ProviderErrorKind::Disabled,
            ProviderErrorKind::Throttled,
            ProviderErrorKind::Unavailable,
        ];
        let failing = kinds.map(|kind| make([("a", 1), ("b", 2)], Some(kind)));
        let mut suite = Conformance::new(&provider)
            .with_stranger(&stranger)
            .with_impostor(&impostor)
            .with_secret([1; 32])
            .with_bit_step(37)
            .with_callers(60)
            .with_threads(2);
        for (failing, kind) in failing.iter().zip(kinds) {
            suite = suite.with_failing(failing, kind);
        }
        let report = wait(suite.run());
        assert!(report.is_conformant(), "{name}: {report}");
    }

    fn any_of(members: [Arc<dyn KeyProvider>; 2]) -> Arc<dyn KeyProvider> {
        Arc::new(AnyOf::new(members).unwrap())
    }

    fn all_of(members: [Arc<dyn KeyProvider>; 2]) -> Arc<dyn KeyProvider> {
        Arc::new(AllOf::new(members).unwrap())
    }

    #[test]
    fn a_cache_over_a_guard_over_a_policy_over_several_keeps_the_contract() {
        all_kept("as documented", &[cached, guarded, policy], any_of);
        all_kept("split", &[cached, guarded, policy], all_of);
        all_kept("the other way round", &[policy, observed, guarded, cached], any_of);
    }

    #[test]
    fn compositions_of_compositions_keep_the_contract() {
        // Either of two, of which one needs two.
        let split_or_safe = |members: [Arc<dyn KeyProvider>; 2]| {
            let split = members.clone();
            let [_, safe] = members;
            let extra = guarded(Arc::new(memory(&format!("extra-of-{}", safe.describe().keys[0].id), 7)));
            let [first, _] = split;
            any_of([cached(all_of([first, extra])), safe])
        };
        all_kept("any of a set and a key", &[observed, policy], split_or_safe);
    }
}
