//! A key service by a script, behind a guard: deadlines, places, retries, and the breaker's turns.

use std::task::{Context, Poll, Waker};

use super::*;
use crate::{
    clock::TestClock,
    executor::block_on,
    format::stanza::RecipientType,
    provider::{
        AllOf, AnyOf, MemoryProvider,
        conformance::Conformance,
        testing::{
            Log, PLANTED, Recorder, Region, Weather, context, dropped_after, not_forwarded, run, timed,
        },
    },
};

use ProviderErrorKind as Kind;
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

struct Rig {
    clock: TestClock,
    region: Arc<Region>,
    guarded: Guarded,
    log: Arc<Log>,
    recipient: Recipient,
}

fn rig(options: GuardedOptions) -> Rig {
    let clock = TestClock::new();
    let region = Region::new("k", 1, &clock);
    let log = Arc::new(Log::default());
    let guarded = Guarded::new(region.clone(), options)
        .with_clock(Arc::new(clock.clone()))
        .with_observer(log.clone())
        .with_jitter_seed(7);
    let key = DataKey::copy_from(&[9; 32]);
    let recipient = run(&clock, region.wrap_data_key(&key, &context())).unwrap().remove(0);
    region.calls();
    Rig { clock, region, guarded, log, recipient }
}

impl Rig {
    fn open(&self) -> (Result<(), Kind>, Duration) {
        let context = context();
        let (answer, time) = timed(&self.clock, self.guarded.unwrap_data_key(&self.recipient, &context));
        (answer.map(|key| assert_eq!(key.unwrap().expose_bytes(), &[9; 32])).map_err(|e| e.kind()), time)
    }

    /// Opens once a tenth of a second for so long: how many went well.
    fn opens_for(&self, time: Duration) -> usize {
        let end = self.clock.now() + time;
        let mut good = 0;
        while self.clock.now() < end {
            good += usize::from(self.open().0.is_ok());
            self.clock.advance(100 * MS);
        }
        good
    }
}

fn once() -> GuardedOptions {
    GuardedOptions::default().with_attempts(1)
}

#[test]
fn a_call_that_goes_well_is_made_once_and_told_once() {
    let rig = rig(GuardedOptions::default());
    assert_eq!((rig.open(), rig.region.calls()), ((Ok(()), 20 * MS), 1));
    assert_eq!(rig.log.take(), [(Operation::Unwrap, Outcome::Ok, 1, Some("k".to_owned()))]);
    assert_eq!((rig.guarded.state().running, rig.clock.sleepers()), (0, 0));
}

#[test]
fn the_deadline_is_kept_to_the_nanosecond() {
    for options in [GuardedOptions::default(), once()] {
        let rig = rig(options.with_deadline(2 * SECOND));
        rig.region.set(Weather::Hangs);
        assert_eq!((rig.open(), rig.region.calls()), ((Err(Kind::Timeout), 2 * SECOND), 1));
        assert_eq!((rig.region.running().0, rig.clock.sleepers(), rig.guarded.state().running), (0, 0, 0));
        rig.region.set(Weather::Slow(2 * SECOND));
        assert_eq!(rig.open(), (Ok(()), 2 * SECOND));
        rig.region.set(Weather::Slow(2 * SECOND + Duration::from_nanos(1)));
        assert_eq!(rig.open(), (Err(Kind::Timeout), 2 * SECOND));
    }
}

#[test]
fn what_may_help_is_tried_again_and_what_cannot_is_not() {
    for kind in [Kind::Unavailable, Kind::Timeout, Kind::Throttled] {
        let rig = rig(GuardedOptions::default());
        rig.region.set(Weather::Fails(kind));
        let (answer, time) = rig.open();
        assert_eq!((answer, rig.region.calls()), (Err(kind), 2), "{kind:?}");
        assert!(time >= 40 * MS && time <= 140 * MS, "{time:?}");
        assert_eq!(rig.log.take()[0].2, 2);
    }
    let lasting = [
        Kind::AccessDenied,
        Kind::Disabled,
        Kind::PendingDeletion,
        Kind::NotFound,
        Kind::Rejected,
        Kind::Refused,
        Kind::Credentials,
        Kind::Misconfigured,
        Kind::Other,
    ];
    for kind in lasting {
        let rig = rig(GuardedOptions::default());
        rig.region.set(Weather::Fails(kind));
        // However often it is asked: the breaker is not about these.
        for _ in 0..50 {
            assert_eq!((rig.open(), rig.region.calls()), ((Err(kind), 20 * MS), 1), "{kind:?}");
        }
        assert_eq!(rig.guarded.state().breaker, BreakerState::Closed);
        assert_eq!(rig.log.take()[0].1, Outcome::Failed(kind));
    }
}

#[test]
fn retries_are_one_in_ten_whatever_fails() {
    let lenient = BreakerOptions::default().with_min_calls(u32::MAX);
    for kind in [Kind::Unavailable, Kind::Throttled] {
        let rig = rig(GuardedOptions::default().with_attempts(5).with_breaker(lenient.clone()));
        rig.region.set(Weather::Fails(kind));
        (0..1000).for_each(|_| assert_eq!(rig.open().0, Err(kind)));
        // A stock of ten, and a hundred for a thousand, of which the first found the stock full.
        assert_eq!(rig.region.calls(), 1109, "{kind:?}");
    }
}

#[test]
fn the_breaker_opens_probes_doubles_and_closes() {
    let rig = rig(once().with_breaker(BreakerOptions::default().with_open_for(5 * SECOND, 60 * SECOND)));
    rig.region.set(Weather::Fails(Kind::Unavailable));
    (0..10).for_each(|_| assert_eq!(rig.open(), (Err(Kind::Unavailable), 20 * MS)));
    assert_eq!((rig.region.calls(), rig.guarded.state().breaker), (10, BreakerState::Open));
    assert_eq!(rig.log.health(), [("k".to_owned(), Outcome::Failed(Kind::Unavailable))]);
    // No call, no time, and the same kind.
    assert_eq!((rig.open(), rig.region.calls()), ((Err(Kind::Unavailable), Duration::ZERO), 0));
    let event = rig.log.take().remove(0);
    assert_eq!((event.1, event.2), (Outcome::Failed(Kind::Unavailable), 0));

    let mut last = rig.clock.now();
    let mut waits = Vec::new();
    while waits.len() < 7 {
        rig.clock.advance(50 * MS);
        rig.open().0.unwrap_err();
        if rig.region.calls() > 0 {
            waits.push((rig.clock.now() - last).as_secs_f64());
            last = rig.clock.now();
        }
    }
    for (wait, base) in waits.iter().zip([5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0]) {
        assert!((base * 0.8..=base * 1.2 + 0.1).contains(wait), "{waits:?}");
    }
    rig.log.take();
    rig.region.set(Weather::Good);
    rig.clock.advance(72 * SECOND);
    assert_eq!(rig.guarded.state().breaker, BreakerState::HalfOpen);
    assert_eq!(rig.open(), (Ok(()), 20 * MS));
    assert_eq!(rig.guarded.state().breaker, BreakerState::Closed);
    assert_eq!(rig.log.health(), [("k".to_owned(), Outcome::Ok)]);
}

#[test]
fn one_probe_at_a_time_and_a_dropped_one_gives_its_turn_back() {
    let rig = rig(once());
    rig.region.set(Weather::Fails(Kind::Unavailable));
    (0..10).for_each(|_| assert!(rig.open().0.is_err()));
    rig.region.set(Weather::Good);
    rig.region.calls();
    rig.clock.advance(6 * SECOND);
    let context = context();
    for polls in 0..3 {
        let mut probe = Box::pin(rig.guarded.unwrap_data_key(&rig.recipient, &context));
        let mut cx = Context::from_waker(Waker::noop());
        (0..polls).for_each(|_| assert!(probe.as_mut().poll(&mut cx).is_pending()));
        if polls > 0 {
            assert_eq!(rig.open(), (Err(Kind::Unavailable), Duration::ZERO), "a second probe");
        }
        drop(probe);
        assert_eq!((rig.guarded.state().breaker, rig.guarded.state().running), (BreakerState::HalfOpen, 0));
    }
    assert_eq!((rig.open().0, rig.region.calls()), (Ok(()), 3));
    assert_eq!(rig.guarded.state().breaker, BreakerState::Closed);
}

#[test]
fn few_failures_or_few_calls_open_nothing() {
    let rig = rig(once());
    for _ in 0..20 {
        rig.region.set(Weather::Good);
        (0..2).for_each(|_| assert!(rig.open().0.is_ok()));
        rig.region.set(Weather::Fails(Kind::Unavailable));
        rig.open().0.unwrap_err();
    }
    assert_eq!(rig.guarded.state().breaker, BreakerState::Closed, "a third of the calls failed");
    // Nine in a row, and then time passes.
    for _ in 0..5 {
        rig.clock.advance(10 * SECOND);
        (0..9).for_each(|_| assert_eq!(rig.open().1, 20 * MS));
    }
    assert_eq!(rig.guarded.state().breaker, BreakerState::Closed);
}

#[test]
fn calls_at_once_are_bounded_and_so_is_the_wait() {
    let rig = rig(once().with_max_concurrent(2).with_max_wait(50 * MS));
    let context = context();
    let calls = (0..10).map(|_| rig.guarded.unwrap_data_key(&rig.recipient, &context));
    let (answers, time) = timed(&rig.clock, crate::join::all(calls));
    let good = answers.iter().filter(|answer| answer.is_ok()).count();
    // Two each 20 ms, of whom the last began after 40.
    assert_eq!((good, rig.region.running(), rig.region.calls(), time), (6, (0, 2), 6, 60 * MS));
    assert!(answers.iter().filter_map(|a| a.as_ref().err()).all(|error| error.kind() == Kind::Throttled));
    let state = rig.guarded.state();
    assert_eq!((state.running, state.waiting, state.max_running), (0, 0, 2));
    assert_eq!(state.breaker, BreakerState::Closed);
}

#[test]
fn throttling_makes_the_door_narrow_and_does_not_close_it() {
    let rig = rig(once());
    rig.region.set(Weather::Fails(Kind::Throttled));
    rig.opens_for(10 * SECOND);
    let state = rig.guarded.state();
    assert_eq!((state.breaker, state.max_running), (BreakerState::Closed, 1));
    rig.region.set(Weather::Good);
    rig.opens_for(20 * SECOND);
    assert!(rig.guarded.state().max_running > 4, "{:?}", rig.guarded.state());
}

/// Calls that were not made say of which recipient, and why, each of them.
#[test]
fn what_was_not_called_is_told_with_its_own_key_and_the_reason() {
    let rig = rig(once());
    rig.region.set(Weather::Fails(Kind::Unavailable));
    (0..10).for_each(|_| assert!(rig.open().0.is_err()));
    let all = [&rig.recipient, &rig.recipient];
    let answers = run(&rig.clock, rig.guarded.unwrap_any(&all, 4, &context())).into_answers();
    assert_eq!(answers.len(), 2);
    for (_, answer) in answers {
        let UnwrapAnswer::Failed(error) = answer else { panic!("{answer:?}") };
        assert!(error.to_string().contains("not called") && error.key_id() == Some("k"), "{error}");
    }
    // Where another key seals, the one that opens is named.
    let inner = MemoryProvider::from_keys([("new", [1; 32]), ("old", [2; 32])]).unwrap();
    let old = MemoryProvider::from_keys([("old", [2; 32])]).unwrap();
    let key = DataKey::copy_from(&[9; 32]);
    let recipient = block_on(old.wrap_data_key(&key, &context())).unwrap().unwrap().remove(0);
    let none = GuardedOptions::default().with_max_wait(Duration::ZERO).with_deadline(Duration::ZERO);
    let guarded = Guarded::new(Hangs(inner), none).with_clock(Arc::new(TestClock::new()));
    let error = block_on(guarded.unwrap_data_key(&recipient, &context())).unwrap().unwrap_err();
    assert_eq!(error.key_id(), Some("old"), "{error}");
}

#[derive(Debug)]
struct Hangs(MemoryProvider);

#[async_trait]
impl KeyProvider for Hangs {
    async fn wrap_data_key(&self, _: &DataKey, _: &WrapContext) -> Result<Vec<Recipient>, ProviderError> {
        std::future::pending().await
    }

    async fn unwrap_data_key(
        &self,
        _: &Recipient,
        _: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        std::future::pending().await
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        std::future::pending().await
    }

    fn describe(&self) -> ProviderInfo {
        self.0.describe()
    }
}

#[test]
fn flapping_does_not_make_it_oscillate() {
    // Down and up every 100 ms, for ten minutes: after each opening it is quiet for as long as was set.
    let rig = rig(once().with_breaker(BreakerOptions::default().with_open_for(5 * SECOND, 60 * SECOND)));
    let mut changes: Vec<Instant> = Vec::new();
    let start = rig.clock.now();
    let mut is_up = false;
    while rig.clock.now() - start < 600 * SECOND {
        is_up = !is_up;
        rig.region.set(if is_up { Weather::Good } else { Weather::Fails(Kind::Unavailable) });
        let answers = [rig.open(), rig.open(), rig.open()];
        assert!(is_up || answers.iter().all(|(answer, _)| answer.is_err()));
        let opened = rig.log.health().into_iter().filter(|(_, outcome)| *outcome != Outcome::Ok).count();
        changes.extend((0..opened).map(|_| rig.clock.now()));
        rig.clock.advance(100 * MS);
    }
    assert!(changes.len() > 10, "{}", changes.len());
    let shortest = changes.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap();
    assert!(shortest >= 4 * SECOND, "opened twice within {shortest:?}");
}

#[test]
fn dropped_at_every_poll_it_gives_everything_back() {
    let options = GuardedOptions::default().with_max_concurrent(1).with_attempts(3);
    let rig = rig(options.with_breaker(BreakerOptions::default().with_min_calls(u32::MAX)));
    let (key, context) = (DataKey::copy_from(&[9; 32]), context());
    for weather in [Weather::Good, Weather::Fails(Kind::Unavailable), Weather::Hangs] {
        let (mut polls, mut is_pending) = (0, true);
        while is_pending {
            rig.region.set(weather);
            is_pending = dropped_after(&rig.clock, polls, rig.guarded.wrap_data_key(&key, &context))
                | dropped_after(&rig.clock, polls, rig.guarded.generate_data_key(&context))
                | dropped_after(&rig.clock, polls, rig.guarded.unwrap_data_key(&rig.recipient, &context))
                | dropped_after(&rig.clock, polls, rig.guarded.unwrap_any(&[&rig.recipient], 1, &context))
                | dropped_after(&rig.clock, polls, rig.guarded.check());
            let state = rig.guarded.state();
            assert_eq!(
                (state.running, state.waiting, rig.clock.sleepers()),
                (0, 0, 0),
                "{weather:?} {polls}"
            );
            rig.region.set(Weather::Good);
            assert_eq!(rig.open().0, Ok(()), "{weather:?} {polls}");
            polls += 1;
        }
        assert!(polls >= 2, "{weather:?} {polls}");
    }
}

/// The counts above would show it: a future that is neither polled on nor dropped keeps the place that it has.
#[test]
fn a_planted_place_that_is_never_given_back_is_seen() {
    let rig = rig(once().with_max_concurrent(1));
    let context = context();
    let mut stuck = Box::pin(rig.guarded.unwrap_data_key(&rig.recipient, &context));
    assert!(stuck.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!((rig.guarded.state().running, rig.open().0), (1, Err(Kind::Throttled)));
    drop(stuck);
    assert_eq!((rig.guarded.state().running, rig.open().0), (0, Ok(())));
}

#[test]
fn what_is_not_mine_goes_past_everything() {
    let rig = rig(once());
    rig.region.set(Weather::Fails(Kind::Unavailable));
    (0..10).for_each(|_| assert!(rig.open().0.is_err()));
    assert_eq!(rig.guarded.state().breaker, BreakerState::Open);
    let foreign = Recipient::new(RecipientType::AES_KWP, "other", [], [0; 40]);
    assert!(run(&rig.clock, rig.guarded.unwrap_data_key(&foreign, &context())).unwrap().is_none());
    let answers = run(&rig.clock, rig.guarded.unwrap_any(&[&foreign], 4, &context()));
    assert_eq!((answers.tried(), answers.is_final()), (0, false));
    let answers = run(&rig.clock, rig.guarded.unwrap_any(&[&foreign, &rig.recipient], 4, &context()));
    let (place, answer) = answers.into_answers().remove(0);
    assert!(matches!(answer, UnwrapAnswer::Failed(error) if error.kind() == Kind::Unavailable) && place == 1);
}

#[test]
fn it_forwards_every_method_and_keeps_the_contract() {
    let recorder = Recorder::new();
    let guarded = Guarded::new(recorder.clone(), GuardedOptions::default());
    assert_eq!(not_forwarded(&guarded, &recorder), [""; 0]);

    let memory = |id: &str, byte| Arc::new(MemoryProvider::from_keys([(id, [byte; 32])]).unwrap());
    let plain = Guarded::new(memory("k", 1), GuardedOptions::default());
    let (stranger, impostor) = (memory("other", 1), memory("k", 2));
    let slow = rig(GuardedOptions::default());
    slow.region.set(Weather::Slow(SECOND));
    let hung = rig(GuardedOptions::default());
    hung.region.set(Weather::Hangs);
    let suite = Conformance::new(&plain)
        .with_stranger(&stranger)
        .with_impostor(&impostor)
        .with_secret([1; 32])
        .with_threads(2)
        .with_slow(&slow.guarded, slow.clock.clone())
        .with_hung(&hung.guarded, hung.clock.clone(), 3 * SECOND);
    let report = block_on(suite.run()).unwrap();
    assert!(report.is_conformant(), "{report}");

    let members = || [memory("a", 1) as Arc<dyn KeyProvider>, memory("b", 2) as _];
    let any_of = Guarded::new(AnyOf::new(members()).unwrap(), GuardedOptions::default());
    let all_of = Guarded::new(AllOf::new(members()).unwrap(), GuardedOptions::default());
    for provider in [any_of, all_of] {
        let report = block_on(Conformance::new(&provider).with_bit_step(97).with_callers(100).run()).unwrap();
        assert!(report.is_conformant(), "{report}");
    }
}

#[test]
fn nothing_shows_a_value_of_the_context() {
    let rig = rig(GuardedOptions::default());
    rig.region.set(Weather::Hangs);
    let context = context();
    let error = run(&rig.clock, rig.guarded.generate_data_key(&context)).unwrap_err();
    let shown = format!("{}{error:?}{:?}", rig.log.text(), rig.guarded);
    assert!(shown.contains("Generate") && !shown.contains(PLANTED), "{shown}");
}

#[test]
fn a_wakeup_is_not_lost_when_the_line_moves() {
    // Two callers, one place; the second is woken by the first one's end and by nothing else.
    let rig = rig(once().with_max_concurrent(1));
    let context = context();
    let mut first = Box::pin(rig.guarded.unwrap_data_key(&rig.recipient, &context));
    let mut second = Box::pin(rig.guarded.unwrap_data_key(&rig.recipient, &context));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut cx).is_pending() && second.as_mut().poll(&mut cx).is_pending());
    assert_eq!((rig.guarded.state().running, rig.guarded.state().waiting), (1, 1));
    rig.clock.advance(20 * MS);
    assert!(matches!(first.as_mut().poll(&mut cx), Poll::Ready(Ok(Some(_)))));
    assert_eq!((rig.guarded.state().running, rig.guarded.state().waiting), (1, 0));
    assert!(run(&rig.clock, second).is_ok());
}
