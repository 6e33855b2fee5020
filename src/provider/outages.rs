//! Outages on a simulated clock: what a service in front of two regions sees, second by second.
//!
//! Callers come at a steady rate while a region is throttled, fails, hangs or dawdles; counted are the opens that
//! succeed, how long they take, and the calls that the regions get. The figures stand in section "When a key service is
//! down" of the [operations manual](crate::manual::operations).

mod cold;
mod figures;

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use self::figures::{at_most, ms, percent, seconds, stand_in_the_manual};
use super::{
    AnyOf, BreakerState, CacheOptions, Cached, Guarded, GuardedOptions, KeyProvider, MemoryProvider,
    UnwrapAnswer,
    testing::{Log, Region, Told, Weather, context, run},
};
use crate::{
    clock::{Clock as _, TestClock},
    error::ProviderErrorKind as Kind,
    format::stanza::Recipient,
    observe::Outcome,
    secret::DataKey,
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// The longest that any open takes: that of the two together.
const DEADLINE: Duration = Duration::from_secs(5);

/// One open: when it began, how long it took, and how it ended.
type Opened = (Duration, Duration, Result<(), Option<Kind>>);

/// What happened while callers came.
struct Record(Vec<Opened>);

impl Record {
    fn good(&self) -> usize {
        self.0.iter().filter(|(.., result)| result.is_ok()).count()
    }

    fn share_good(&self) -> f64 {
        share(self.good(), self.0.len())
    }

    /// The time within which 99 of 100 were answered.
    fn p99(&self) -> Duration {
        let mut times: Vec<_> = self.0.iter().map(|(_, time, _)| *time).collect();
        times.sort_unstable();
        times[times.len() * 99 / 100]
    }

    fn longest(&self) -> Duration {
        self.0.iter().map(|(_, time, _)| *time).max().unwrap()
    }

    /// When the last of those began that failed.
    fn last_failure(&self) -> Option<Duration> {
        self.0.iter().filter(|(.., result)| result.is_err()).map(|(begun, ..)| *begun).max()
    }

    fn kinds(&self) -> Vec<Kind> {
        let mut kinds: Vec<_> = self.0.iter().filter_map(|(.., result)| (*result).err().flatten()).collect();
        kinds.dedup();
        kinds
    }
}

fn share(part: usize, whole: usize) -> f64 {
    f64::from(u32::try_from(part).unwrap()) / f64::from(u32::try_from(whole).unwrap())
}

/// Two regions, each guarded, and the two as one.
struct Rig {
    clock: TestClock,
    near: Arc<Region>,
    far: Arc<Region>,
    guarded: Arc<Guarded>,
    both: AnyOf,
    log: Arc<Log>,
    recipients: Vec<Recipient>,
}

fn rig() -> Rig {
    let clock = TestClock::new();
    let (near, far) = (Region::new("near", 1, &clock), Region::new("far", 2, &clock));
    let log = Arc::new(Log::default());
    let guard = |region: &Arc<Region>, seed| {
        let guarded = Guarded::new(region.clone(), GuardedOptions::default().with_max_concurrent(1000));
        Arc::new(guarded.with_clock(Arc::new(clock.clone())).with_jitter_seed(seed))
    };
    let (guarded, second) = (guard(&near, 1), guard(&far, 2));
    let both = AnyOf::new([guarded.clone() as _, second as _]).unwrap().with_min(1).unwrap();
    let both = both.with_clock(Arc::new(clock.clone())).with_observer(log.clone());
    let key = DataKey::copy_from(&[9; 32]);
    let recipients = run(&clock, both.wrap_data_key(&key, &context())).unwrap();
    let rig = Rig { clock, near, far, guarded, both, log, recipients };
    rig.calls();
    rig
}

impl Rig {
    fn calls(&self) -> (usize, usize) {
        (self.near.calls(), self.far.calls())
    }

    /// So many callers a second for so long; `weather` is called with the time before each.
    fn serve(
        &self,
        provider: &dyn KeyProvider,
        rate: u32,
        time: Duration,
        weather: impl Fn(Duration),
    ) -> Record {
        let (start, context) = (self.clock.now(), context());
        let recipients: Vec<&Recipient> = self.recipients.iter().collect();
        let open = async |begun: Instant| {
            let answers = provider.unwrap_any(&recipients, 4, &context).await;
            let mut result = Err(None);
            for (_, answer) in answers.into_answers() {
                match answer {
                    UnwrapAnswer::Key(key) => {
                        assert_eq!(key.expose_bytes(), &[9; 32]);
                        result = Ok(());
                    }
                    UnwrapAnswer::Failed(error) if result.is_err() => result = Err(Some(error.kind())),
                    _ => {}
                }
            }
            (begun - start, self.clock.now() - begun, result)
        };
        let mut cx = Context::from_waker(Waker::noop());
        let mut running: Vec<Pin<Box<dyn Future<Output = Opened> + '_>>> = Vec::new();
        let mut record = Vec::new();
        let mut arrival = self.clock.sleep(Duration::ZERO);
        loop {
            let now = self.clock.now();
            if now - start < time && arrival.as_mut().poll(&mut cx).is_ready() {
                weather(now - start);
                running.push(Box::pin(open(now)));
                arrival = self.clock.sleep(SECOND / rate);
                assert!(arrival.as_mut().poll(&mut cx).is_pending());
            }
            running.retain_mut(|open| match open.as_mut().poll(&mut cx) {
                std::task::Poll::Ready(opened) => {
                    assert!(opened.1 <= DEADLINE, "{:?}", opened.1);
                    record.push(opened);
                    false
                }
                std::task::Poll::Pending => true,
            });
            if running.is_empty() && now - start >= time {
                return Record(record);
            }
            self.clock.advance_to_next().expect("somebody sleeps");
        }
    }
}

/// C1: throttling of 10, 50 and 100 of 100 calls.
#[test]
fn throttling_is_answered_with_hardly_a_call_more() {
    let mut figures = Vec::new();
    for percent in [10, 50, 100] {
        let alone = rig();
        alone.near.set(Weather::Sometimes(percent, Kind::Throttled));
        let record = alone.serve(&*alone.guarded, 100, 60 * SECOND, |_| ());
        let calls = alone.near.calls();
        // Ten may be repeated at once, and from then on ten for a hundred.
        assert!(
            share(calls - 10, record.0.len()) <= 1.1,
            "{percent} %: {calls} calls for {}",
            record.0.len()
        );
        assert!(record.kinds().iter().all(|kind| *kind == Kind::Throttled), "{:?}", record.kinds());
        assert!(record.longest() <= 3 * SECOND, "{:?}", record.longest());
        figures
            .push(format!("{percent} %: {} calls", at_most(share(calls.saturating_sub(10), record.0.len()))));
        if percent == 10 {
            assert!(record.share_good() > 0.98, "{}", record.share_good());
        }
        let two = rig();
        two.near.set(Weather::Sometimes(percent, Kind::Throttled));
        let record = two.serve(&two.both, 100, 60 * SECOND, |_| ());
        let (near, far) = two.calls();
        assert_eq!(record.good(), record.0.len(), "{percent} %");
        assert!(share(near, record.0.len()) <= 1.1 && share(far, record.0.len()) <= 1.1, "{near} {far}");
        assert!(record.longest() <= SECOND, "{:?}", record.longest());
        figures.push(format!("{percent} %: longest {}", ms(record.longest())));
    }
    stand_in_the_manual("C1", &figures);
}

/// C1: who has the key does not notice.
#[test]
fn keys_that_are_there_open_as_before_while_everything_is_throttled() {
    let rig = rig();
    let cache = Cached::from_arc(rig.guarded.clone(), CacheOptions::default());
    let cache = cache.with_clock(Arc::new(rig.clock.clone()));
    let near = [&rig.recipients[0]];
    assert_eq!(run(&rig.clock, cache.unwrap_any(&near, 4, &context())).tried(), 1);
    rig.near.set(Weather::Fails(Kind::Throttled));
    rig.calls();
    let record = rig.serve(&cache, 100, 60 * SECOND, |_| ());
    // A list of two is another question, and goes on in vain; the one that was asked before is answered from here.
    let (before, calls) = (rig.clock.now(), rig.calls().0);
    assert!(record.good() == 0 && calls > 0);
    for _ in 0..1000 {
        let answers = run(&rig.clock, cache.unwrap_any(&near, 4, &context()));
        assert!(matches!(answers.into_answers()[..], [(0, UnwrapAnswer::Key(_))]));
    }
    assert_eq!((rig.calls(), rig.clock.now()), ((0, 0), before));
}

/// C2, C6: everything fails for 30 seconds, as with a burst of server errors or a name that is not resolved.
#[test]
fn a_burst_of_failures_is_over_five_seconds_after_its_end() {
    let weather = |rig: &Rig, now: Duration| {
        let is_down = (10 * SECOND..40 * SECOND).contains(&now);
        rig.near.set(if is_down { Weather::Fails(Kind::Unavailable) } else { Weather::Good });
    };
    let alone = rig();
    let record = alone.serve(&*alone.guarded, 100, 60 * SECOND, |now| weather(&alone, now));
    let last = record.last_failure().unwrap();
    assert!((40 * SECOND - 100 * MS..=45 * SECOND).contains(&last), "{last:?}");
    assert_eq!(
        (record.kinds(), alone.guarded.state().breaker),
        (vec![Kind::Unavailable], BreakerState::Closed)
    );
    assert!(share(alone.near.calls() - 10, record.0.len()) <= 1.1);
    let mut figures = vec![format!("{} after the end", seconds(last - 40 * SECOND))];

    let two = rig();
    let record = two.serve(&two.both, 100, 60 * SECOND, |now| weather(&two, now));
    let (near, far) = two.calls();
    assert_eq!(record.good(), record.0.len());
    assert!(record.longest() <= SECOND, "{:?}", record.longest());
    assert!(share(near + far, record.0.len()) <= 1.1, "{near} {far}");
    figures.extend([format!("longest {}", ms(record.longest())), at_most(share(near + far, record.0.len()))]);
    stand_in_the_manual("C2, C6", &figures);
    // Known in the very second, and known to be over.
    let health = two.log.health();
    assert!(
        matches!(health.first(), Some((id, Outcome::Failed(Kind::Unavailable | Kind::Timeout))) if id == "near"),
        "{health:?}"
    );
    assert_eq!(health.last(), Some(&("near".to_owned(), Outcome::Ok)));
}

/// C3: the region accepts calls and never answers.
#[test]
fn a_region_that_hangs_costs_no_open_and_no_deadline() {
    let alone = rig();
    alone.near.set(Weather::Hangs);
    let record = alone.serve(&*alone.guarded, 20, 20 * SECOND, |_| ());
    assert_eq!((record.good(), record.longest()), (0, 3 * SECOND));
    assert_eq!((alone.near.running().0, alone.clock.sleepers()), (0, 0));

    let two = rig();
    two.near.set(Weather::Hangs);
    let record = two.serve(&two.both, 100, 60 * SECOND, |_| ());
    assert_eq!(record.good(), record.0.len());
    assert!(record.p99() <= SECOND && record.longest() <= 3 * SECOND, "{:?}", record.longest());
    assert_eq!((two.near.running().0, two.far.running().0), (0, 0));
    let (near, far) = two.calls();
    assert!(share(near + far, record.0.len()) <= 1.1, "{near} {far}");
    let times = [record.p99(), record.longest()].map(ms);
    stand_in_the_manual("C3", &[times.join(", longest "), at_most(share(near + far, record.0.len()))]);
}

/// C4: the region answers after two seconds.
#[test]
fn a_slow_region_is_left_for_the_other() {
    let two = rig();
    let record = two.serve(&two.both, 100, 60 * SECOND, |now| {
        two.near.set(if now < 10 * SECOND { Weather::Good } else { Weather::Slow(2 * SECOND) });
    });
    assert_eq!(record.good(), record.0.len());
    assert!(record.p99() <= SECOND, "{:?}", record.p99());
    let (near, far) = two.calls();
    assert!(share(near + far, record.0.len()) <= 1.1, "{near} {far}");
    let times = [record.p99(), record.longest()].map(ms);
    stand_in_the_manual("C4", &[times.join(", longest "), at_most(share(near + far, record.0.len()))]);
}

/// C5: a single connection breaks.
#[test]
fn one_broken_call_is_repeated_once() {
    let alone = rig();
    alone.near.set(Weather::Sometimes(1, Kind::Unavailable));
    let record = alone.serve(&*alone.guarded, 100, 20 * SECOND, |_| ());
    assert_eq!(record.good(), record.0.len());
    let repeated = alone.near.calls() - record.0.len();
    assert!((19..=21).contains(&repeated), "{repeated}");
    stand_in_the_manual("C5", &[format!("{repeated} of {}", record.0.len())]);
}

/// C7, without a cache: one region is down for half an hour.
#[test]
fn half_an_hour_without_a_region() {
    let two = rig();
    let record = two.serve(&two.both, 20, 40 * 60 * SECOND, |now| {
        let is_down = (5 * 60 * SECOND..35 * 60 * SECOND).contains(&now);
        two.near.set(if is_down { Weather::Fails(Kind::Unavailable) } else { Weather::Good });
    });
    assert_eq!(record.0.len(), 48_000);
    assert!(record.share_good() >= 0.999, "{}", record.share_good());
    let (near, far) = two.calls();
    assert!(share(near + far, record.0.len()) <= 1.1, "{near} {far}");
    stand_in_the_manual("C7", &[percent(record.share_good()), at_most(share(near + far, record.0.len()))]);
    // The near one is used again.
    let back = two.serve(&two.both, 20, 10 * SECOND, |_| ());
    assert_eq!((back.good(), two.calls()), (200, (200, 0)));
}

/// Both regions at once: typed errors at once, and everybody back a few seconds later.
#[test]
fn without_any_region_it_fails_fast_and_comes_back() {
    let two = rig();
    let record = two.serve(&two.both, 50, 60 * SECOND, |now| {
        for region in [&two.near, &two.far] {
            let is_down = (10 * SECOND..40 * SECOND).contains(&now);
            region.set(if is_down { Weather::Fails(Kind::Unavailable) } else { Weather::Good });
        }
    });
    assert_eq!(record.kinds(), [Kind::Unavailable]);
    assert!(record.last_failure().unwrap() <= 45 * SECOND, "{:?}", record.last_failure());
    assert!(record.longest() <= SECOND, "{:?}", record.longest());
    let (near, far) = two.calls();
    assert!(share(near.max(far), record.0.len()) <= 1.1, "{near} {far}");
}

/// C10: the near region says no. The far one would open, and is not asked, however long it lasts.
#[test]
fn a_region_that_was_cut_off_stays_cut_off() {
    for kind in [Kind::AccessDenied, Kind::Disabled, Kind::PendingDeletion] {
        let two = rig();
        two.near.set(Weather::Fails(kind));
        two.log.take();
        let record = two.serve(&two.both, 20, 10 * SECOND, |_| ());
        assert_eq!((record.good(), record.kinds(), two.calls()), (0, vec![kind], (200, 0)), "{kind:?}");
        // Each is told in its own call, with its own kind.
        let told = two.log.take();
        let is_of_kind = |(_, outcome, attempts, id): &Told| {
            (*outcome, *attempts, id.as_deref()) == (Outcome::Failed(kind), 1, Some("near"))
        };
        assert!(told.len() == 200 && told.iter().all(is_of_kind), "{:?}", told[0]);
        two.near.set(Weather::Good);
        let record = two.serve(&two.both, 20, SECOND, |_| ());
        assert_eq!(record.good(), 20);
    }
}

/// C14: the region comes and goes every 300 milliseconds.
#[test]
fn a_flapping_region_is_tried_at_the_set_pace() {
    let two = rig();
    let record = two.serve(&two.both, 100, 120 * SECOND, |now| {
        let is_down = now.as_millis() / 300 % 2 == 0;
        two.near.set(if is_down { Weather::Fails(Kind::Unavailable) } else { Weather::Good });
    });
    assert_eq!(record.good(), record.0.len());
    let (near, far) = two.calls();
    assert!(share(near + far, record.0.len()) <= 1.1, "{near} {far}");
    // Down at most once in five seconds, and up in between: not once in 600 milliseconds.
    let changes = two.log.health().len();
    assert!((10..=50).contains(&changes), "{changes}");
    stand_in_the_manual("C14", &[format!("{changes} changes"), at_most(share(near + far, record.0.len()))]);
}

/// The record would show it: without a guard every failure costs a call to each region.
#[test]
fn a_planted_storm_is_seen() {
    #[derive(Debug)]
    struct Storm(Arc<Region>);
    #[async_trait::async_trait]
    impl KeyProvider for Storm {
        async fn wrap_data_key(
            &self,
            key: &DataKey,
            context: &super::WrapContext,
        ) -> Result<Vec<Recipient>, crate::error::ProviderError> {
            self.0.wrap_data_key(key, context).await
        }
        async fn unwrap_data_key(
            &self,
            recipient: &Recipient,
            context: &super::WrapContext,
        ) -> Result<Option<DataKey>, crate::error::ProviderError> {
            for _ in 0..2 {
                if let Ok(answer) = self.0.unwrap_data_key(recipient, context).await {
                    return Ok(answer);
                }
            }
            self.0.unwrap_data_key(recipient, context).await
        }
        async fn check(&self) -> Result<super::Health, crate::error::ProviderError> {
            self.0.check().await
        }
        fn describe(&self) -> super::ProviderInfo {
            self.0.describe()
        }
    }
    let alone = rig();
    alone.near.set(Weather::Sometimes(50, Kind::Throttled));
    let record = alone.serve(&Storm(alone.near.clone()), 100, 10 * SECOND, |_| ());
    let amplification = share(alone.near.calls(), record.0.len());
    assert!(amplification > 1.4, "{amplification}");
    assert!(record.last_failure().is_some() && record.share_good() < 1.0);
}
