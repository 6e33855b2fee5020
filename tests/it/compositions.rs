//! Messages through several providers at once, over the public face: lies, denials, limits, and what is mended later.

use std::sync::Arc;

use kuvert::provider::{AnyOf, Guarded, GuardedOptions, KeyProvider, MemoryProvider};
use kuvert::{
    ClaimedSlot, EncryptionContext, Kuvert, MessageStart, OpenError, ProviderErrorKind, RecipientType,
    RewrapOutcome,
};

use crate::support::cancel::wait;
use crate::support::providers::{Answer, Scripted};

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
