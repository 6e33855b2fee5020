//! The scenario of the cache: keys are there while they are kept, and nowhere once they are evicted, revoked, replaced,
//! expired or dropped, or when their load failed, panicked or was cancelled.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use kuvert::clock::TestClock;
use kuvert::provider::{CacheOptions, Cached, StockOptions};
use kuvert::{Kuvert, ProviderErrorKind};

use crate::child::{Stage, context};
use crate::support::cancel::{PATIENCE, Polled, poll_at_most, wait};
use crate::support::io::catching_scripted;
use crate::support::providers::{Answer, Scripted};

pub(crate) fn cached(stage: &Stage) {
    let clock = TestClock::new();
    let cache_of = |provider, options: CacheOptions| {
        Arc::new(Cached::from_arc(provider, options).with_clock(Arc::new(clock.clone())))
    };
    let cache = cache_of(Arc::new(stage.provider()), CacheOptions::default().with_max_entries(2));
    let kuvert = Kuvert::from_arc(cache.clone());
    let messages = [stage.read("small.sealed"), stage.read("large.sealed"), stage.read("envelope")];
    let open = |kuvert: &Kuvert, n: usize| {
        if n == 2 {
            drop(wait(kuvert.load_record_key(&messages[n], &context())).unwrap());
        } else {
            drop(wait(kuvert.open(&messages[n], &context())).unwrap());
        }
    };
    // From several threads, so that the key is on several lanes.
    std::thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(|| open(&kuvert, 0)))));
    stage.scan("using kek,dek-0");
    open(&kuvert, 1);
    open(&kuvert, 1);
    open(&kuvert, 2);
    assert_eq!((cache.stats().entries, cache.stats().evicted), (2, 1));
    cache.revoke("nobody's");
    stage.scan("using kek,dek");
    cache.revoke(crate::child::KEY_ID);
    stage.scan("idle kek");
    open(&kuvert, 0);
    cache.purge();
    stage.scan("idle kek");
    // Replaced by a refresh, and past its age.
    open(&kuvert, 0);
    clock.advance(Duration::from_secs(11 * 60));
    open(&kuvert, 0);
    clock.advance(Duration::from_secs(20 * 60));
    {
        let mut maintain = pin!(cache.maintain());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(maintain.as_mut().poll(&mut cx).is_pending());
        clock.advance(Duration::from_secs(120));
        assert!(maintain.as_mut().poll(&mut cx).is_pending());
    }
    stage.scan("idle kek");
    // Errors, panics and callers who go away.
    for answer in [Answer::Fail(ProviderErrorKind::Throttled), Answer::Panic, Answer::NotMine] {
        let failing = Kuvert::from_arc(cache_of(
            Arc::new(Scripted::new(stage.provider()).always(answer)),
            CacheOptions::default(),
        ));
        assert!(matches!(
            catching_scripted(|| wait(failing.open(&messages[0], &context())).is_err()),
            None | Some(true)
        ));
        stage.scan("idle kek");
    }
    let slow = Kuvert::from_arc(cache_of(
        Arc::new(Scripted::new(stage.provider()).yielding(2)),
        CacheOptions::default().with_max_uses(0).with_max_entries(0),
    ));
    for polls in 0..5 {
        let opened = poll_at_most(slow.open(&messages[0], &context()), polls, PATIENCE);
        assert!(matches!(opened, Polled::Dropped));
    }
    stage.scan("idle kek");
    // Fresh keys in stock, some of them used.
    let stock = CacheOptions::default().with_stock(Some(StockOptions::default()));
    let stocked = cache_of(Arc::new(stage.provider()), stock);
    let sealing = Kuvert::from_arc(stocked.clone());
    for _ in 0..3 {
        drop(wait(sealing.seal(b"x", &context())).unwrap());
    }
    assert_eq!(stocked.stats().stock, 3);
    stage.scan("using kek,dek");
    stocked.revoke(crate::child::KEY_ID);
    stage.scan("idle kek");
    drop(wait(sealing.seal(b"x", &context())).unwrap());
    open(&kuvert, 0);
    drop((kuvert, cache, slow, stocked, sealing));
    stage.scan("dropped");
}
