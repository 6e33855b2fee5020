//! The timeline of an outage, by a simulated clock: what the cache and the breaker do, and the notices that a service
//! would send to its users.
//!
//! `cargo run --example kms_outage`
//!
//! The key service is played by a key in memory that fails on command; with feature `aws-kms` it would be a KMS provider.

#[path = "shared/region.rs"]
mod region;

use kuvert::clock::{Clock, TestClock};
use kuvert::observe::{Event, Observer, Operation, Outcome};
use kuvert::provider::{BreakerState, CacheOptions, Cached, Guarded, GuardedOptions, Observed};
use kuvert::{Category, EncryptionContext, Kuvert, ProviderErrorKind};
use region::Region;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// From the fifth minute on, for half an hour.
const OUTAGE: std::ops::Range<u64> = 5..35;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    kuvert::blocking::block_on(run())?
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let clock = TestClock::new();
    let by_clock = || Arc::new(clock.clone());
    let page = Arc::new(StatusPage { clock: clock.clone(), start: clock.now(), notices: Mutex::default() });

    // From the inside out: the key service, whoever hears how it fares, the breaker, the cache.
    let region = Region::new("frankfurt");
    let observed = Observed::new(region.clone(), page.clone()).with_clock(by_clock());
    let once = GuardedOptions::default().with_attempts(1);
    let guarded = Arc::new(Guarded::new(observed, once).with_clock(by_clock()));
    let an_hour_more = CacheOptions::default().with_stale_on_outage(Some(Duration::from_secs(3600)));
    let cached = Arc::new(Cached::from_arc(guarded.clone(), an_hour_more).with_clock(by_clock()));
    let kuvert = Kuvert::from_arc(cached.clone());

    let context = EncryptionContext::new([("table", "documents")])?;
    let (mut in_use, mut archived) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        in_use.push(kuvert.seal(b"read every minute", &context).await?);
    }
    for _ in 0..45 {
        archived.push(kuvert.seal(b"not read since it was sealed", &context).await?);
    }

    println!("minute  opened of 20 in use  one from the archive  breaker");
    for (minute, from_archive) in (0_u64..).zip(&archived) {
        region.set(OUTAGE.contains(&minute).then_some(ProviderErrorKind::Unavailable));
        let mut opened = 0;
        for message in &in_use {
            opened += usize::from(kuvert.open(message, &context).await.is_ok());
        }
        let other = kuvert.open(from_archive, &context).await;
        if minute % 5 == 0 {
            let told = if other.is_ok() { "opened" } else { "no key" };
            println!("{minute:>6}  {opened:>19}  {told:>20}  {:?}", guarded.state().breaker);
        }

        // What is in use goes on; what was not opened before says why it does not open.
        assert_eq!(opened, 20, "in minute {minute}");
        match other {
            Ok(_) => assert!(!OUTAGE.contains(&minute), "opened without a key service in minute {minute}"),
            Err(error) => {
                assert!(OUTAGE.contains(&minute), "in minute {minute}: {error}");
                assert_eq!(error.category(), Category::KeyUnavailable);
            }
        }
        clock.advance(Duration::from_secs(60));
    }
    assert_eq!(guarded.state().breaker, BreakerState::Closed);
    let minutes: Vec<u64> = page.notices.lock().expect("nobody panics").clone();
    assert_eq!(
        minutes,
        [OUTAGE.start, OUTAGE.end],
        "one notice in the minute in which it began, one when it was over"
    );
    let stats = cached.stats();
    println!("past their age: {} of {} openings", stats.stale, stats.stale + stats.hits + stats.misses);
    Ok(())
}

/// Hears of changes of health, and writes what users would read.
#[derive(Debug)]
struct StatusPage {
    clock: TestClock,
    start: Instant,
    /// The minutes of the notices.
    notices: Mutex<Vec<u64>>,
}

impl Observer for StatusPage {
    fn event(&self, event: &Event<'_>) {
        let key = event.key_id.unwrap_or("(unknown)");
        let notice = match (event.operation, event.outcome) {
            (Operation::Health, Outcome::Ok) => format!("key {key} can be reached again"),
            (Operation::Health, Outcome::Failed(why)) => {
                format!("{}, key {key}: documents that were not read lately may not open", why.describe())
            }
            _ => return,
        };
        let minute = (self.clock.now() - self.start).as_secs() / 60;
        println!("{minute:>6}  NOTICE: {notice}");
        self.notices.lock().expect("nobody panics").push(minute);
    }
}
