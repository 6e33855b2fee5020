//! Two and three regions by a script: who is asked, when, how often, and what stands in the message.

use super::*;
use crate::{
    clock::TestClock,
    format::stanza::RecipientType,
    provider::{
        AllOf, KeyInfo, MemoryProvider,
        conformance::Conformance,
        testing::{Log, PLANTED, Region, Weather, context, dropped_after, run, timed},
    },
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
use ProviderErrorKind as Kind;

struct Rig {
    clock: TestClock,
    a: Arc<Region>,
    b: Arc<Region>,
    any_of: AnyOf,
    log: Arc<Log>,
}

fn rig(change: impl FnOnce(AnyOf) -> AnyOf) -> Rig {
    let clock = TestClock::new();
    let (a, b) = (Region::new("a", 1, &clock), Region::new("b", 2, &clock));
    let log = Arc::new(Log::default());
    let any_of = AnyOf::new([a.clone() as _, b.clone() as _]).unwrap();
    let any_of = change(any_of.with_clock(Arc::new(clock.clone())).with_observer(log.clone()));
    Rig { clock, a, b, any_of, log }
}

impl Rig {
    fn seal(&self) -> (Result<Vec<Recipient>, ProviderError>, Duration) {
        let key = DataKey::copy_from(&[9; 32]);
        timed(&self.clock, self.any_of.wrap_data_key(&key, &context()))
    }

    /// Opens as an opener does: with all recipients, at most four of them tried.
    fn open(&self, recipients: &[Recipient]) -> (Result<[u8; 32], Option<Kind>>, Duration) {
        let recipients: Vec<&Recipient> = recipients.iter().collect();
        let (answers, time) = timed(&self.clock, self.any_of.unwrap_any(&recipients, 4, &context()));
        (key_of(answers), time)
    }

    fn calls(&self) -> (usize, usize) {
        (self.a.calls(), self.b.calls())
    }

    /// Recipients of both, and a clean slate.
    fn sealed(&self) -> Vec<Recipient> {
        let recipients = self.seal().0.unwrap();
        self.calls();
        self.log.take();
        recipients
    }
}

/// The key, or the kind of the last failure.
fn key_of(answers: UnwrapAnswers) -> Result<[u8; 32], Option<Kind>> {
    let mut failure = None;
    for (_, answer) in answers.into_answers() {
        match answer {
            UnwrapAnswer::Key(key) => return Ok(*key.expose_bytes()),
            UnwrapAnswer::Failed(error) => failure = Some(error.kind()),
            UnwrapAnswer::NotMine | UnwrapAnswer::Abandoned => {}
        }
    }
    Err(failure)
}

fn names(recipients: &[Recipient]) -> Vec<(Option<&'static str>, String)> {
    recipients.iter().map(|recipient| (recipient.recipient_type().name(), recipient.id_lossy())).collect()
}

const OPENED: Result<[u8; 32], Option<Kind>> = Ok([9; 32]);

#[test]
fn all_members_wrap_side_by_side_and_all_must() {
    let rig = rig(|any_of| any_of);
    rig.b.set(Weather::Slow(SECOND));
    let (recipients, time) = rig.seal();
    let of = |name: &str| (Some("aes-kwp"), name.to_owned());
    assert_eq!((names(&recipients.unwrap()), time), (vec![of("a"), of("b")], SECOND));
    rig.b.set(Weather::Fails(Kind::Unavailable));
    let error = rig.seal().0.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains("too few members") && error.to_string().contains("\"b\""), "{error}");
}

#[test]
fn with_fewer_the_missing_stand_as_pending() {
    let rig = rig(|any_of| any_of.with_min(1).unwrap());
    for kind in [
        Kind::Unavailable,
        Kind::Throttled,
        Kind::Credentials,
        Kind::AccessDenied,
        Kind::Disabled,
        Kind::NotFound,
    ] {
        rig.b.set(Weather::Fails(kind));
        let (recipients, time) = rig.seal();
        let recipients = recipients.unwrap();
        assert_eq!(
            names(&recipients),
            [(Some("aes-kwp"), "a".into()), (Some("pending"), "b".into())],
            "{kind:?}"
        );
        assert_eq!((recipients[1].params(), recipients[1].wrap(), time), (&[0, 1][..], &[0][..], 20 * MS));
        assert_eq!(rig.open(&recipients).0, OPENED);
    }
    // What waiting does not mend is told at once.
    for kind in [Kind::Refused, Kind::Misconfigured] {
        rig.b.set(Weather::Fails(kind));
        assert_eq!(rig.seal().0.unwrap_err().kind(), kind);
    }
}

#[test]
fn the_grace_is_for_the_slow_and_the_deadline_for_all() {
    let rig = rig(|any_of| any_of.with_min(1).unwrap().with_deadline(3 * SECOND));
    rig.b.set(Weather::Slow(219 * MS));
    let (recipients, time) = rig.seal();
    assert_eq!((names(&recipients.unwrap())[1].0, time), (Some("aes-kwp"), 219 * MS));
    rig.b.set(Weather::Slow(221 * MS));
    let (recipients, time) = rig.seal();
    assert_eq!((names(&recipients.unwrap())[1].0, time), (Some("pending"), 220 * MS));
    rig.a.set(Weather::Hangs);
    rig.b.set(Weather::Hangs);
    let (recipients, time) = rig.seal();
    let error = recipients.unwrap_err();
    assert_eq!((error.kind(), time), (Kind::Timeout, 3 * SECOND));
    assert!(error.to_string().contains("\"a\"") && error.to_string().contains("\"b\""), "{error}");
    assert_eq!((rig.a.running().0, rig.b.running().0), (0, 0), "somebody still runs");
}

#[test]
fn too_few_are_told_as_soon_as_it_is_known_and_with_every_failure() {
    let clock = TestClock::new();
    let regions = [("a", 1), ("b", 2), ("c", 3)].map(|(id, byte)| Region::new(id, byte, &clock));
    let any_of = AnyOf::new(regions.clone().map(|region| region as _)).unwrap().with_min(2).unwrap();
    let any_of = any_of.with_clock(Arc::new(clock.clone()));
    regions[0].set(Weather::Fails(Kind::AccessDenied));
    regions[1].set(Weather::Fails(Kind::Throttled));
    regions[2].set(Weather::Hangs);
    let key = DataKey::copy_from(&[9; 32]);
    let (answer, time) = timed(&clock, any_of.wrap_data_key(&key, &context()));
    let error = answer.unwrap_err();
    assert_eq!((error.kind(), time), (Kind::AccessDenied, 20 * MS));
    for part in ["access denied (key \"a\")", "throttled (key \"b\")", "timed out (key \"c\")"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn impossible_sets_are_refused_when_they_are_made() {
    let memory = |id| Arc::new(MemoryProvider::from_keys([(id, [1; 32])]).unwrap()) as Arc<dyn KeyProvider>;
    let kind = |made: Result<AnyOf, ProviderError>| made.unwrap_err().kind();
    assert_eq!(kind(AnyOf::new([])), Kind::Misconfigured);
    assert_eq!(kind(AnyOf::new([memory("a"), memory("a")])), Kind::Misconfigured);
    let two = || AnyOf::new([memory("a"), memory("b")]).unwrap();
    assert_eq!(kind(two().with_min(0)), Kind::Misconfigured);
    assert_eq!(kind(two().with_min(3)), Kind::Misconfigured);
    assert!(two().with_min(2).is_ok());
    let all_of = || Arc::new(AllOf::new([memory("x"), memory("y")]).unwrap()) as Arc<dyn KeyProvider>;
    let error = AnyOf::new([memory("a"), all_of()]).unwrap().with_min(1).unwrap_err();
    assert!(error.to_string().contains("no name of its own"), "{error}");
    assert!(AnyOf::new([memory("a"), all_of()]).is_ok());
}

#[test]
fn a_pending_key_keeps_the_parameters_of_its_type() {
    let pending = |key| seal::pending(&Described(key)).map(|mut all| all.remove(0).params().to_vec());
    let kms = KeyInfo::new(RecipientType::AWS_KMS, "arn");
    assert_eq!(pending(kms.clone()).unwrap(), [0, 0x10, 0]);
    assert_eq!(pending(kms.clone().with_params([1, 1, b'x'])).unwrap(), [0, 0x10, 1, 1, b'x']);
    assert_eq!(pending(kms.clone().with_params([1])).unwrap_err().kind(), Kind::Misconfigured);
    assert_eq!(pending(kms.with_sealing(false)).unwrap_err().kind(), Kind::Misconfigured);
    assert_eq!(pending(KeyInfo::new(RecipientType::AES_KWP, "")).unwrap_err().kind(), Kind::Misconfigured);
}

/// Describes one key, and can nothing.
#[derive(Debug)]
struct Described(KeyInfo);

#[async_trait]
impl KeyProvider for Described {
    async fn wrap_data_key(&self, _: &DataKey, _: &WrapContext) -> Result<Vec<Recipient>, ProviderError> {
        Ok(Vec::new())
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        Ok(Health::good())
    }

    fn describe(&self) -> ProviderInfo {
        ProviderInfo::new("described").with_key(self.0.clone())
    }
}

#[test]
fn the_first_is_asked_first_whatever_the_order_in_the_message() {
    let rig = rig(|any_of| any_of);
    let mut recipients = rig.sealed();
    recipients.reverse();
    assert_eq!((rig.open(&recipients), rig.calls()), ((OPENED, 20 * MS), (1, 0)));
}

#[test]
fn what_is_down_throttled_or_refuses_the_wrap_is_passed() {
    for kind in [Kind::Unavailable, Kind::Timeout, Kind::Throttled, Kind::Rejected, Kind::Credentials] {
        let rig = rig(|any_of| any_of);
        let recipients = rig.sealed();
        rig.a.set(Weather::Fails(kind));
        assert_eq!((rig.open(&recipients), rig.calls()), ((OPENED, 40 * MS), (1, 1)), "{kind:?}");
    }
}

#[test]
fn who_is_denied_is_not_passed_unless_that_is_asked_for() {
    use Kind::{AccessDenied, Disabled, Misconfigured, NotFound, Other, PendingDeletion, Refused};
    for kind in [AccessDenied, Disabled, PendingDeletion, NotFound, Misconfigured, Refused, Other] {
        let strict = rig(|any_of| any_of);
        let recipients = strict.sealed();
        strict.a.set(Weather::Fails(kind));
        let all: Vec<&Recipient> = recipients.iter().collect();
        let answers = run(&strict.clock, strict.any_of.unwrap_any(&all, 4, &context()));
        assert!(answers.is_final());
        let error = answers.into_answers().into_iter().find_map(|(_, answer)| match answer {
            UnwrapAnswer::Failed(error) => Some(error),
            _ => None,
        });
        let error = error.unwrap();
        assert_eq!((error.kind(), error.key_id(), strict.calls()), (kind, Some("a"), (1, 0)), "{kind:?}");
        assert!(error.to_string().contains("fail_over_on_denial"), "{error}");
        // Nor is it repeated, and it is told in the very call, with its kind.
        assert!(strict.log.take().iter().any(|(_, outcome, ..)| *outcome == Outcome::Failed(kind)));

        let lenient = rig(|any_of| any_of.with_fail_over_on_denial(true));
        lenient.a.set(Weather::Fails(kind));
        assert_eq!((lenient.open(&recipients).0, lenient.calls()), (OPENED, (1, 1)), "{kind:?}");
    }
}

#[test]
fn a_denied_first_ends_also_what_was_begun_beside_it() {
    let rig = rig(|any_of| any_of.with_hedge(Hedge::After(5 * MS)));
    let recipients = rig.sealed();
    rig.a.set(Weather::Fails(Kind::AccessDenied));
    rig.b.set(Weather::Slow(50 * MS));
    assert_eq!((rig.open(&recipients), rig.calls()), ((Err(Some(Kind::AccessDenied)), 20 * MS), (1, 1)));
    assert_eq!(rig.b.running().0, 0);
    // And the other way round: the first one has its say.
    rig.a.set(Weather::Slow(50 * MS));
    rig.b.set(Weather::Fails(Kind::AccessDenied));
    assert_eq!(rig.open(&recipients), (OPENED, 50 * MS));
}

#[test]
fn a_slow_first_is_helped_after_the_usual_time() {
    let rig = rig(|any_of| any_of);
    let recipients = rig.sealed();
    (0..20).for_each(|_| assert_eq!(rig.open(&recipients), (OPENED, 20 * MS)));
    assert_eq!(rig.calls(), (20, 0));
    rig.a.set(Weather::Slow(2 * SECOND));
    for _ in 0..3 {
        assert_eq!(rig.log.health(), []);
        assert_eq!((rig.open(&recipients), rig.calls()), ((OPENED, 40 * MS), (1, 1)));
    }
    // From the third time on it comes last, and the second is asked alone.
    assert_eq!((rig.open(&recipients), rig.calls()), ((OPENED, 20 * MS), (0, 1)));
    assert_eq!(rig.log.health(), [("a".to_owned(), Outcome::Failed(Kind::Timeout))]);
}

#[test]
fn who_was_asked_as_well_and_not_needed_is_not_to_blame() {
    let rig = rig(|any_of| any_of.with_hedge(Hedge::After(15 * MS)));
    let recipients = rig.sealed();
    // The first answers 5 ms after the second was asked, which takes 20 itself.
    (0..4).for_each(|_| assert_eq!(rig.open(&recipients), (OPENED, 20 * MS)));
    assert_eq!((rig.calls(), rig.log.health()), ((4, 4), vec![]));
    // And a first that is slow now and then keeps its place.
    for _ in 0..3 {
        rig.a.set(Weather::Slow(100 * MS));
        assert_eq!(rig.open(&recipients), (OPENED, 35 * MS));
        rig.a.set(Weather::Good);
        assert_eq!(rig.open(&recipients), (OPENED, 20 * MS));
    }
    assert_eq!(rig.log.health(), []);
}

#[test]
fn a_member_that_never_wraps_in_time_is_told_of() {
    let rig = rig(|any_of| any_of.with_min(1).unwrap());
    rig.a.set(Weather::Hangs);
    let health: Vec<_> = (0..4).map(|_| (rig.seal().0.unwrap().len(), rig.log.health().len()).1).collect();
    assert_eq!(health, [0, 0, 1, 0]);
    rig.a.set(Weather::Good);
    rig.seal().0.unwrap();
    assert_eq!(rig.log.health(), [("a".to_owned(), Outcome::Ok)]);
}

/// Two copies of one multi-Region key: what was sealed where only one of them was up opens through the other.
#[test]
fn a_copy_of_the_key_in_another_region_opens() {
    let arn = |region| format!("arn:aws:kms:{region}:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab");
    let replica = |region| Arc::new(Replica(arn(region))) as Arc<dyn KeyProvider>;
    let (near, far) = (replica("eu-central-1"), replica("eu-west-1"));
    let recipient =
        run(&TestClock::new(), far.wrap_data_key(&DataKey::copy_from(&[9; 32]), &context())).unwrap();
    let opens = |provider: &dyn KeyProvider| {
        run(&TestClock::new(), provider.unwrap_data_key(&recipient[0], &context())).unwrap().is_some()
    };
    assert!(opens(&*near) && opens(&AnyOf::new([near.clone()]).unwrap()));
    // Two regions' copies are two ways in, and one custodian.
    assert!(AnyOf::new([near.clone(), far.clone()]).is_ok() && AllOf::new([near, far]).is_err());
}

/// Opens whatever any copy of its key has wrapped, as KMS does.
#[derive(Debug)]
struct Replica(String);

#[async_trait]
impl KeyProvider for Replica {
    async fn wrap_data_key(&self, key: &DataKey, _: &WrapContext) -> Result<Vec<Recipient>, ProviderError> {
        let wrap = key.expose_bytes().to_vec();
        Ok(vec![Recipient::new(RecipientType::AWS_KMS, self.0.as_str(), [0], wrap)])
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        _: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        let is_mine = self.describe().keys[0].names(recipient);
        Ok(is_mine.then(|| DataKey::copy_from(recipient.wrap().try_into().expect("32 bytes"))))
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        Ok(Health::good())
    }

    fn describe(&self) -> ProviderInfo {
        ProviderInfo::new("replica").with_key(KeyInfo::new(RecipientType::AWS_KMS, self.0.as_str()))
    }
}

#[test]
fn without_hedging_a_slow_first_is_waited_for() {
    let rig = rig(|any_of| any_of.with_hedge(Hedge::Never));
    let recipients = rig.sealed();
    rig.a.set(Weather::Slow(2 * SECOND));
    assert_eq!((rig.open(&recipients), rig.calls()), ((OPENED, 2 * SECOND), (1, 0)));
}

#[test]
fn nobody_answers_and_the_deadline_is_kept() {
    let rig = rig(|any_of| any_of.with_deadline(3 * SECOND));
    let recipients = rig.sealed();
    rig.a.set(Weather::Hangs);
    rig.b.set(Weather::Hangs);
    assert_eq!(rig.open(&recipients), (Err(Some(Kind::Timeout)), 3 * SECOND));
    assert_eq!((rig.a.running().0, rig.b.running().0), (0, 0));
}

#[test]
fn a_member_that_is_back_is_found_within_seconds() {
    let rig = rig(|any_of| any_of);
    let recipients = rig.sealed();
    rig.a.set(Weather::Fails(Kind::Unavailable));
    assert_eq!(rig.open(&recipients).0, OPENED);
    rig.a.set(Weather::Good);
    rig.calls();
    let mut until_found = Duration::ZERO;
    while rig.a.calls() == 0 {
        let (opened, time) = rig.open(&recipients);
        assert_eq!(opened, OPENED);
        rig.clock.advance(100 * MS);
        until_found += time + 100 * MS;
    }
    assert!(until_found <= 5 * SECOND + 200 * MS, "{until_found:?}");
    let down = ("a".to_owned(), Outcome::Failed(Kind::Unavailable));
    assert_eq!(rig.log.health(), [down, ("a".to_owned(), Outcome::Ok)]);
}

#[test]
fn the_limit_and_the_places_are_kept() {
    let rig = rig(|any_of| any_of);
    let own = rig.sealed();
    let foreign = Recipient::new(RecipientType::AES_KWP, "c", [], [0; 40]);
    rig.a.set(Weather::Fails(Kind::Rejected));
    let all = [&foreign, &own[1], &own[0]];
    let answers = run(&rig.clock, rig.any_of.unwrap_any(&all, 1, &context()));
    let mut places: Vec<_> =
        answers.iter().map(|(place, answer)| (place, matches!(answer, UnwrapAnswer::NotMine))).collect();
    places.sort_unstable();
    assert_eq!((places, answers.tried(), rig.calls()), (vec![(0, true), (2, false)], 1, (1, 0)));
    let answers = run(&rig.clock, rig.any_of.unwrap_any(&all, 0, &context()));
    assert_eq!((answers.tried(), rig.calls()), (0, (0, 0)));
}

#[test]
fn two_ways_to_one_key_count_once() {
    let clock = TestClock::new();
    let (a, again) = (Region::new("a", 1, &clock), Region::new("a", 1, &clock));
    a.set(Weather::Fails(Kind::Unavailable));
    // The second way only opens.
    #[derive(Debug)]
    struct OpenOnly(Arc<Region>);
    #[async_trait]
    impl KeyProvider for OpenOnly {
        async fn wrap_data_key(
            &self,
            key: &DataKey,
            context: &WrapContext,
        ) -> Result<Vec<Recipient>, ProviderError> {
            self.0.wrap_data_key(key, context).await
        }
        async fn unwrap_data_key(
            &self,
            recipient: &Recipient,
            context: &WrapContext,
        ) -> Result<Option<DataKey>, ProviderError> {
            self.0.unwrap_data_key(recipient, context).await
        }
        async fn check(&self) -> Result<Health, ProviderError> {
            self.0.check().await
        }
        fn describe(&self) -> ProviderInfo {
            let key = self.0.describe().keys.remove(0);
            ProviderInfo::new("open-only").with_key(key.with_sealing(false))
        }
    }
    let second = Arc::new(OpenOnly(again.clone()));
    let any_of = AnyOf::new([a.clone() as _, second as _]).unwrap().with_clock(Arc::new(clock.clone()));
    let key = DataKey::copy_from(&[9; 32]);
    let recipient = &run(&clock, again.wrap_data_key(&key, &context())).unwrap()[0];
    let opened = run(&clock, any_of.unwrap_data_key(recipient, &context())).unwrap().unwrap();
    assert_eq!((opened.expose_bytes(), a.calls()), (&[9; 32], 1));
}

#[test]
fn dropped_at_every_poll_nothing_stays_behind() {
    let rig = rig(|any_of| any_of.with_min(1).unwrap());
    let recipients = rig.sealed();
    rig.a.set(Weather::Slow(2 * SECOND));
    let all: Vec<&Recipient> = recipients.iter().collect();
    let (key, context) = (DataKey::copy_from(&[9; 32]), context());
    let mut polls = 0;
    let mut is_pending = true;
    while is_pending {
        is_pending = dropped_after(&rig.clock, polls, rig.any_of.unwrap_any(&all, 4, &context))
            | dropped_after(&rig.clock, polls, rig.any_of.wrap_data_key(&key, &context))
            | dropped_after(&rig.clock, polls, rig.any_of.check());
        assert_eq!((rig.a.running().0, rig.b.running().0, rig.clock.sleepers()), (0, 0, 0), "{polls}");
        assert_eq!(rig.open(&recipients).0, OPENED, "{polls}");
        polls += 1;
    }
    assert!(polls > 3, "{polls}");
    // A call that is kept would show.
    let mut kept = rig.any_of.unwrap_any(&all, 4, &context);
    assert!(kept.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending());
    assert!(rig.a.running().0 == 1 && rig.clock.sleepers() > 0);
}

#[test]
fn health_lists_who_does_not_work_and_fails_when_nobody_does() {
    let rig = rig(|any_of| any_of);
    assert!(run(&rig.clock, rig.any_of.check()).unwrap().is_good());
    rig.b.set(Weather::Fails(Kind::Disabled));
    let health = run(&rig.clock, rig.any_of.check()).unwrap();
    assert_eq!(health.problems().iter().map(ProviderError::kind).collect::<Vec<_>>(), [Kind::Disabled]);
    rig.a.set(Weather::Hangs);
    let (failed, time) = timed(&rig.clock, rig.any_of.check());
    assert_eq!((failed.unwrap_err().kind(), time), (Kind::Disabled, 5 * SECOND));
    // What it finds out about the others is told.
    rig.log.take();
    for (weather, told) in [
        (Weather::Fails(Kind::Unavailable), Outcome::Failed(Kind::Unavailable)),
        (Weather::Good, Outcome::Ok),
    ] {
        rig.a.set(weather);
        drop(run(&rig.clock, rig.any_of.check()));
        assert_eq!(rig.log.health(), [("a".to_owned(), told)]);
    }
}

#[test]
fn no_event_and_no_error_shows_a_value_of_the_context() {
    let rig = rig(|any_of| any_of.with_min(1).unwrap());
    let recipients = rig.sealed();
    rig.a.set(Weather::Fails(Kind::Unavailable));
    rig.open(&recipients).0.unwrap();
    rig.b.set(Weather::Fails(Kind::Unavailable));
    let error = rig.seal().0.unwrap_err();
    let text = format!("{}{error:?}{:?}", rig.log.text(), rig.any_of);
    assert!(text.contains("Health") && !text.contains(PLANTED), "{text}");
}

#[test]
fn it_keeps_the_contract() {
    let memory = |id: &str, byte| Arc::new(MemoryProvider::from_keys([(id, [byte; 32])]).unwrap());
    let set = |keys: [(&str, u8); 2]| AnyOf::new(keys.map(|(id, byte)| memory(id, byte) as _)).unwrap();
    let (plain, stranger) = (set([("a", 1), ("b", 2)]), set([("c", 1), ("d", 2)]));
    let impostor = set([("a", 3), ("b", 4)]);
    let slow = rig(|any_of| any_of.with_hedge(Hedge::Never));
    slow.a.set(Weather::Slow(SECOND));
    slow.b.set(Weather::Slow(SECOND));
    let hung = rig(|any_of| any_of);
    hung.a.set(Weather::Hangs);
    hung.b.set(Weather::Hangs);
    let kinds = [Kind::Disabled, Kind::Throttled, Kind::Unavailable, Kind::AccessDenied];
    let failing: Vec<MemberFails> = kinds.iter().map(|kind| MemberFails::all(*kind)).collect();
    let mut suite = Conformance::new(&plain)
        .with_stranger(&stranger)
        .with_impostor(&impostor)
        .with_secret([1; 32])
        .with_threads(2)
        .with_slow(&slow.any_of, slow.clock.clone())
        .with_hung(&hung.any_of, hung.clock.clone(), 5 * SECOND);
    for (failing, kind) in failing.iter().zip(kinds) {
        suite = suite.with_failing(&failing.0, kind);
    }
    let report = crate::executor::block_on(suite.run()).unwrap();
    assert!(report.is_conformant(), "{report}");
    assert_eq!(report.skipped().len(), 3, "{report}");
}

/// Two members that fail at once, without a clock.
struct MemberFails(AnyOf);

impl MemberFails {
    fn all(kind: Kind) -> Self {
        let member = |id| Arc::new(Broken(kind, id)) as Arc<dyn KeyProvider>;
        Self(AnyOf::new(["a", "b"].map(member)).unwrap())
    }
}

#[derive(Debug)]
struct Broken(Kind, &'static str);

#[async_trait]
impl KeyProvider for Broken {
    async fn wrap_data_key(&self, _: &DataKey, _: &WrapContext) -> Result<Vec<Recipient>, ProviderError> {
        Err(ProviderError::new(self.0, "broken").with_key_id(self.1))
    }

    async fn unwrap_data_key(
        &self,
        _: &Recipient,
        _: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        Err(ProviderError::new(self.0, "broken").with_key_id(self.1))
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        Err(ProviderError::new(self.0, "broken").with_key_id(self.1))
    }

    fn describe(&self) -> ProviderInfo {
        ProviderInfo::new("broken").with_key(KeyInfo::new(RecipientType::AES_KWP, self.1))
    }
}
