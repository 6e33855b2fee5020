//! Ages, uses, entries and bytes: kept exactly, also across threads.

use super::*;

#[test]
fn a_key_is_refreshed_by_one_caller_while_others_use_it_and_ends_with_its_age() {
    let stage = Stage::new(CacheOptions::default());
    let (recipient, context) = (wrapped(1), context());
    stage.calls_of(&recipient);
    stage.pass(8 * 60 - 1);
    assert_eq!(stage.calls_of(&recipient), 0, "a fifth early at most");
    stage.pass(2 * 60 + 1);
    stage.fake.yields.store(1, Ordering::SeqCst);
    let mut refreshing = stage.cache.unwrap_data_key(&recipient, &context);
    assert!(poll(refreshing.as_mut()).is_none());
    assert_eq!(stage.calls_of(&recipient), 0, "the others use the old key");
    assert!(poll(refreshing.as_mut()).unwrap().unwrap().is_some());
    stage.pass(8 * 60 - 1);
    assert_eq!(stage.calls_of(&recipient), 0, "from the refresh on");
    stage.pass(7 * 60 + 1);
    stage.fake.fail(ProviderErrorKind::Unavailable);
    assert_eq!(stage.refusal_of(&recipient), (ProviderErrorKind::Unavailable, 1));
}

#[test]
fn a_refresh_that_fails_leaves_the_key_until_its_age_and_is_not_repeated_at_once() {
    let stage = Stage::new(CacheOptions::default());
    let recipient = wrapped(1);
    stage.calls_of(&recipient);
    stage.pass(10 * 60);
    stage.fake.fail(ProviderErrorKind::Timeout);
    assert_eq!(stage.calls_of(&recipient), 1, "asked in vain, and the key is good");
    assert_eq!(stage.calls_of(&recipient), 0);
    stage.pass(1);
    assert_eq!(stage.calls_of(&recipient), 1);
    stage.pass(4 * 60 + 58);
    assert_eq!(stage.calls_of(&recipient), 1);
    stage.pass(2);
    assert_eq!(stage.refusal_of(&recipient).0, ProviderErrorKind::Timeout);
}

#[test]
fn keys_loaded_together_are_not_refreshed_together() {
    let stage = Stage::new(CacheOptions::default());
    let recipients: Vec<_> = (0..100).map(wrapped).collect();
    recipients.iter().for_each(|recipient| assert_eq!(stage.calls_of(recipient), 1));
    stage.pass(8 * 60);
    let mut refreshed = Vec::new();
    for _ in 0..14 {
        refreshed.push(recipients.iter().map(|recipient| stage.calls_of(recipient)).sum::<usize>());
        stage.pass(10);
    }
    assert!(refreshed[1..].iter().all(|calls| *calls < 30), "{refreshed:?}");
    assert!(refreshed.iter().sum::<usize>() >= 95, "{refreshed:?}");
}

#[test]
fn uses_are_counted_exactly_over_all_threads() {
    let uses = 5_000;
    let stage = Stage::new(CacheOptions::default().with_max_uses(uses));
    let recipient = wrapped(1);
    for round in 1..=3 {
        let served: u64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let at_hand = || stage.cache.cached_key(&recipient, &context()).is_some();
                        let mut served = 0;
                        // One that finds the lane of another thread without uses of its own may go on a moment later.
                        while served < uses && (at_hand() || at_hand()) {
                            served += 1;
                        }
                        served
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        // The opening that loaded it was the first use.
        assert_eq!(served, if round == 1 { 0 } else { uses - 1 }, "round {round}");
        assert_eq!(stage.calls_of(&recipient), 1, "used up: asked again");
    }
}

#[test]
fn no_uses_at_all_is_no_cache() {
    let stage = Stage::new(CacheOptions::default().with_max_uses(0));
    assert_eq!((0..5).map(|_| stage.calls_of(&wrapped(1))).collect::<Vec<_>>(), [1; 5]);
    let stage = Stage::new(CacheOptions::default().with_max_uses(2));
    assert_eq!((0..6).map(|_| stage.calls_of(&wrapped(1))).collect::<Vec<_>>(), [1, 0, 1, 0, 1, 0]);
    let stage = Stage::new(CacheOptions::default().with_max_age(Duration::ZERO));
    assert_eq!((0..3).map(|_| stage.calls_of(&wrapped(1))).collect::<Vec<_>>(), [1; 3]);
    let stage = Stage::new(CacheOptions::default().with_max_entries(0));
    assert_eq!((0..3).map(|_| stage.calls_of(&wrapped(1))).collect::<Vec<_>>(), [1; 3]);
    assert_eq!(stage.entries(), 0);
}

#[test]
fn the_key_that_was_not_used_for_longest_makes_room() {
    let stage = Stage::new(CacheOptions::default().with_max_entries(10));
    let recipients: Vec<_> = (0..40).map(wrapped).collect();
    for (n, recipient) in recipients.iter().enumerate() {
        assert_eq!(stage.calls_of(recipient), 1);
        assert_eq!(stage.calls_of(&recipients[0]), 0, "always used: never evicted, at {n}");
        assert!(stage.cache.stats().entries <= 10 && stage.entries() <= 10);
    }
    assert_eq!(stage.cache.stats().evicted, 30);
    assert!(stage.cache.cached_key(&recipients[39], &context()).is_some());
    assert!(stage.cache.cached_key(&recipients[1], &context()).is_none());
}

#[test]
fn long_names_do_not_take_more_than_their_room() {
    let options = CacheOptions::default().with_max_bytes(64 << 10);
    let stage = Stage::new(options);
    let small = wrapped(1);
    stage.calls_of(&small);
    let long = |n: usize, len| WrapContext::new([7; 12], [(format!("n{n}"), "x".repeat(len))]);
    for n in 0..100 {
        let opened = block_on(stage.cache.unwrap_data_key(&small, &long(n, 16_000))).unwrap();
        assert!(opened.unwrap().is_some());
        assert_eq!(stage.calls_of(&small), 0, "it is used all the time");
        assert!(stage.cache.stats().bytes <= 64 << 10);
    }
    // One that would take all of the room gets none of it.
    let entries = stage.entries();
    assert!(block_on(stage.cache.unwrap_data_key(&small, &long(0, 70_000))).unwrap().unwrap().is_some());
    assert_eq!(stage.entries(), entries);
}

#[test]
fn a_flood_of_failures_is_bounded_and_pushes_out_no_key() {
    let stage = Stage::new(CacheOptions::default().with_max_entries(100));
    let keys: Vec<_> = (0..100).map(wrapped).collect();
    keys.iter().for_each(|key| assert_eq!(stage.calls_of(key), 1));
    stage.fake.fail(ProviderErrorKind::Unavailable);
    for n in 0_u32..2000 {
        let wrap = [&n.to_le_bytes()[..], &[0; 36]].concat();
        stage.refusal_of(&Recipient::new(RecipientType::AES_KWP, "other", [], wrap));
    }
    assert!(stage.entries() <= 100 + 16, "{}", stage.entries());
    keys.iter().for_each(|key| assert_eq!(stage.calls_of(key), 0));
}

#[test]
fn maintenance_wipes_what_is_past_its_age() {
    let stage = Stage::new(CacheOptions::default());
    (0..5).for_each(|n| assert_eq!(stage.calls_of(&wrapped(n)), 1));
    let mut maintain = pin!(stage.cache.maintain());
    assert!(poll(maintain.as_mut()).is_none());
    stage.pass(14 * 60);
    assert!(poll(maintain.as_mut()).is_none());
    assert_eq!(stage.entries(), 5);
    stage.pass(2 * 60);
    assert!(poll(maintain.as_mut()).is_none());
    assert_eq!((stage.entries(), stage.cache.stats().entries, stage.cache.stats().bytes), (0, 0, 0));
}
