//! Fresh keys: never shared, and some in stock for an outage.

use std::{collections::HashSet, pin::Pin};

use super::*;

fn stocked(fake: Arc<Fake>) -> Stage {
    let stock = StockOptions::default().with_max_keys(3).with_max_contexts(2);
    Stage::over(fake, CacheOptions::default().with_stock(Some(stock)))
}

fn seal(stage: &Stage, context: &WrapContext) -> Result<GeneratedKey, ProviderError> {
    block_on(stage.cache.generate_data_key(context)).unwrap()
}

#[test]
fn every_caller_gets_a_key_of_its_own() {
    for stage in [Stage::new(CacheOptions::default()), stocked(Fake::new())] {
        let context = context();
        stage.fake.yields.store(1, Ordering::SeqCst);
        let seals = (0..100).map(|_| stage.cache.generate_data_key(&context));
        let mut keys: HashSet<_> = block_on(crate::join::all(seals))
            .unwrap()
            .into_iter()
            .map(|made| *made.unwrap().key.expose_bytes())
            .collect();
        assert_eq!(keys.len(), 100);
        stage.fake.fail(ProviderErrorKind::Unavailable);
        let in_stock = stage.cache.stats().stock;
        for _ in 0..in_stock {
            assert!(keys.insert(*seal(&stage, &context).unwrap().key.expose_bytes()), "used already");
        }
        assert_eq!(seal(&stage, &context).unwrap_err().kind(), ProviderErrorKind::Unavailable);
    }
}

#[test]
fn the_stock_is_filled_by_those_who_seal_and_serves_an_outage_once() {
    let stage = stocked(Fake::new());
    let calls: Vec<_> = (0..5)
        .map(|_| {
            let before = stage.fake.calls();
            seal(&stage, &context()).unwrap();
            stage.fake.calls() - before
        })
        .collect();
    assert_eq!((calls, stage.cache.stats().stock), (vec![2, 2, 2, 1, 1], 3));
    for kind in [ProviderErrorKind::Throttled, ProviderErrorKind::Unavailable, ProviderErrorKind::Timeout] {
        stage.fake.fail(kind);
        let made = seal(&stage, &context()).unwrap();
        // What came out of stock opens.
        stage.fake.fail(None);
        let opened = stage.open(&made.recipients[0]).unwrap().unwrap();
        assert_eq!(opened.expose_bytes(), made.key.expose_bytes());
    }
    stage.fake.fail(ProviderErrorKind::Unavailable);
    assert_eq!(seal(&stage, &context()).unwrap_err().kind(), ProviderErrorKind::Unavailable);
    assert_eq!(stage.cache.stats().from_stock, 3);
}

#[test]
fn a_key_in_stock_gets_no_older_than_it_may() {
    let stage = stocked(Fake::new());
    seal(&stage, &context()).unwrap();
    stage.pass(14 * 60);
    seal(&stage, &context()).unwrap();
    stage.pass(60);
    stage.fake.fail(ProviderErrorKind::Unavailable);
    assert!(seal(&stage, &context()).is_ok());
    assert!(seal(&stage, &context()).is_err(), "the older one is gone");
}

#[test]
fn revoking_denying_and_purging_empty_the_stock() {
    let ways: [fn(&Stage); 4] = [
        |stage| stage.cache.revoke("k"),
        |stage| stage.cache.purge(),
        |stage| {
            stage.fake.fail(ProviderErrorKind::AccessDenied);
            assert_eq!(seal(stage, &context()).unwrap_err().kind(), ProviderErrorKind::AccessDenied);
        },
        |stage| {
            stage.fake.fail(ProviderErrorKind::Disabled);
            assert!(stage.open(&wrapped(1)).is_err());
        },
    ];
    for way in ways {
        let stage = stocked(Fake::new());
        seal(&stage, &context()).unwrap();
        stage.cache.revoke("other");
        assert_eq!(stage.cache.stats().stock, 1);
        way(&stage);
        assert_eq!(stage.cache.stats().stock, 0);
        stage.fake.fail(ProviderErrorKind::Unavailable);
        assert!(seal(&stage, &context()).is_err());
    }
}

#[test]
fn a_key_that_was_being_made_at_a_purge_does_not_come_into_stock() {
    let stage = stocked(Fake::new());
    stage.fake.yields.store(1, Ordering::SeqCst);
    let context = context();
    let mut sealing = stage.cache.generate_data_key(&context);
    assert!(poll(sealing.as_mut()).is_none());
    stage.cache.revoke("k");
    assert!(block_on(sealing).unwrap().is_ok());
    assert_eq!(stage.cache.stats().stock, 0);
    // One that is dropped gives its order back.
    for _ in 0..10 {
        let mut sealing = stage.cache.generate_data_key(&context);
        assert!(poll(sealing.as_mut()).is_none());
    }
    (0..5).for_each(|_| assert!(seal(&stage, &context).is_ok()));
    assert_eq!(stage.cache.stats().stock, 3);
}

#[test]
fn where_the_context_is_checked_each_has_a_stock_of_its_own() {
    let other = WrapContext::new([7; 12], [("table".to_owned(), "orders".to_owned())]);
    let stage = stocked(Fake::new());
    seal(&stage, &context()).unwrap();
    stage.fake.fail(ProviderErrorKind::Unavailable);
    assert!(seal(&stage, &other).is_ok(), "nobody checks the pairs");
    stage.fake.fail(None);
    seal(&stage, &context()).unwrap();
    stage.fake.fail(ProviderErrorKind::Unavailable);
    assert!(seal(&stage, &WrapContext::new([8; 12], [])).is_err(), "another kind of message");

    let mut fake = Fake::new();
    Arc::get_mut(&mut fake).unwrap().binds = true;
    let stage = stocked(fake);
    seal(&stage, &context()).unwrap();
    stage.fake.fail(ProviderErrorKind::Unavailable);
    assert!(seal(&stage, &other).is_err());
    assert!(seal(&stage, &context()).is_ok());
    // Only so many contexts.
    stage.fake.fail(None);
    for n in 0..20 {
        seal(&stage, &WrapContext::new([7; 12], [("n".to_owned(), n.to_string())])).unwrap();
        stage.pass(1);
    }
    assert_eq!(stage.cache.stats().stock, 2);
}

/// Polls maintenance until it sleeps again, at each tenth of a minute for so long: the calls that it made.
fn maintained(
    stage: &Stage,
    maintenance: &mut Pin<Box<dyn Future<Output = ()> + '_>>,
    seconds: u64,
) -> usize {
    let before = stage.fake.calls();
    for _ in 0..seconds / 6 {
        assert!(poll(maintenance.as_mut()).is_none());
        stage.pass(6);
    }
    assert!(poll(maintenance.as_mut()).is_none());
    stage.fake.calls() - before
}

#[test]
fn maintenance_keeps_the_stock_full_and_young_for_as_long_as_somebody_seals() {
    let stage = stocked(Fake::new());
    let mut maintenance: Pin<Box<dyn Future<Output = ()>>> = Box::pin(stage.cache.maintain());
    assert_eq!(maintained(&stage, &mut maintenance, 600), 0, "nobody has sealed");
    seal(&stage, &context()).unwrap();
    assert_eq!(stage.cache.stats().stock, 1);
    assert_eq!((maintained(&stage, &mut maintenance, 60), stage.cache.stats().stock), (2, 3));
    // At half of their age they are replaced, while the old ones are still there.
    assert_eq!(maintained(&stage, &mut maintenance, 6 * 60), 0);
    assert_eq!((maintained(&stage, &mut maintenance, 2 * 60), stage.cache.stats().stock), (3, 3));
    // What an outage used up is made again after it, and one call a round finds that out.
    stage.fake.fail(ProviderErrorKind::Unavailable);
    (0..3).for_each(|_| assert!(seal(&stage, &context()).is_ok()));
    assert!(seal(&stage, &context()).is_err());
    assert_eq!((maintained(&stage, &mut maintenance, 5 * 60), stage.cache.stats().stock), (5, 0));
    stage.fake.fail(None);
    assert_eq!((maintained(&stage, &mut maintenance, 60), stage.cache.stats().stock), (3, 3));
    // Nobody seals any more: they run out, and so does the rest of what is known of the context.
    assert!(maintained(&stage, &mut maintenance, 20 * 60) <= 6);
    assert_eq!((maintained(&stage, &mut maintenance, 60 * 60), stage.cache.stats().stock), (0, 0));
}

#[test]
fn maintenance_can_be_dropped_at_any_poll_and_keeps_no_key_of_a_right_that_is_gone() {
    let stage = stocked(Fake::new());
    seal(&stage, &context()).unwrap();
    stage.fake.yields.store(1, Ordering::SeqCst);
    for polls in 1..4 {
        let mut maintenance = Box::pin(stage.cache.maintain());
        assert!(poll(maintenance.as_mut()).is_none());
        stage.pass(60);
        (0..polls).for_each(|_| assert!(poll(maintenance.as_mut()).is_none()));
    }
    let mut maintenance: Pin<Box<dyn Future<Output = ()>>> = Box::pin(stage.cache.maintain());
    maintained(&stage, &mut maintenance, 60);
    (0..8).for_each(|_| assert!(poll(maintenance.as_mut()).is_none()));
    assert_eq!(stage.cache.stats().stock, 3, "no order was lost");
    // Revoked while one is being made.
    stage.cache.revoke("k");
    stage.pass(60);
    assert!(poll(maintenance.as_mut()).is_none());
    stage.cache.revoke("k");
    stage.fake.fail(ProviderErrorKind::AccessDenied);
    maintained(&stage, &mut maintenance, 60);
    assert_eq!(stage.cache.stats().stock, 0);
}
