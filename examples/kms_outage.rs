//! The timeline of an outage, by a simulated clock: what the cache and the breaker do, and the messages that a service
//! would send to its users.
//!
//! `cargo run --example kms_outage`

#[path = "shared/region.rs"]
mod region;

use kuvert::clock::{Clock, TestClock};
use kuvert::observe::{Event, Observer, Operation, Outcome};
use kuvert::provider::{CacheOptions, Cached, Guarded, GuardedOptions};
use kuvert::{EncryptionContext, Kuvert, ProviderErrorKind};
use region::Region;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Hears of changes of health, and writes what users would read.
#[derive(Debug)]
struct StatusPage {
    clock: TestClock,
    start: Instant,
    notices: Mutex<Vec<String>>,
}

impl Observer for StatusPage {
    fn event(&self, event: &Event<'_>) {
        let at = (self.clock.now() - self.start).as_secs();
        let notice = match (event.operation, event.outcome) {
            (Operation::Health, Outcome::Ok) => "keys can be reached again".to_owned(),
            (Operation::Health, Outcome::Failed(why)) => {
                format!(
                    "{} for key {}: documents not used lately may not open",
                    why.describe(),
                    event.key_id.unwrap_or("?")
                )
            }
            _ => return,
        };
        println!("{at:>4} s  NOTICE  {notice}");
        self.notices.lock().expect("nobody panics").push(notice);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    kuvert::blocking::block_on(run())?
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let clock = TestClock::new();
    let page = StatusPage { clock: clock.clone(), start: clock.now(), notices: Mutex::default() };
    let page = Arc::new(page);
    let region = Region::new("frankfurt");
    let guarded = Guarded::new(region.clone(), GuardedOptions::default().with_attempts(1))
        .with_clock(Arc::new(clock.clone()))
        .with_observer(page.clone());
    let guarded = Arc::new(guarded);
    let options = CacheOptions::default().with_stale_on_outage(Some(Duration::from_secs(3600)));
    let cached = Arc::new(Cached::from_arc(guarded.clone(), options).with_clock(Arc::new(clock.clone())));
    let kuvert = Kuvert::from_arc(cached.clone());

    let context = EncryptionContext::new([("table", "documents")])?;
    let (mut hot, mut cold) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        hot.push(kuvert.seal(b"read every minute", &context).await?);
        cold.push(kuvert.seal(b"read once a year", &context).await?);
    }

    println!("time     opened of 20 in use, breaker");
    for minute in 0..45_u64 {
        // Half an hour without the key service, from the fifth minute on.
        region.set((5..35).contains(&minute).then_some(ProviderErrorKind::Unavailable));
        let mut opened = 0;
        for message in &hot {
            match kuvert.open(message, &context).await {
                Ok(_) => opened += 1,
                Err(error) => println!("{minute}: {error}"),
            }
        }
        let others = kuvert.open(&cold[usize::try_from(minute)? % 20], &context).await;
        assert_eq!((opened, others.is_ok()), (20, !(5..35).contains(&minute)), "in minute {minute}");
        if minute % 5 == 0 {
            println!("{:>4} s  {opened}, {:?}", minute * 60, guarded.state().breaker);
        }
        clock.advance(Duration::from_secs(60));
    }
    let stats = cached.stats();
    println!("{} hits, {} misses", stats.hits, stats.misses);
    Ok(())
}
