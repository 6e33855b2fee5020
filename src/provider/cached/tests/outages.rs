//! Failures that are remembered, keys that are gone, and keys that serve past their age.

use super::*;

#[test]
fn no_answer_is_remembered_for_a_second_and_no_right_for_half_a_minute() {
    for (kind, seconds) in [
        (ProviderErrorKind::Throttled, 1),
        (ProviderErrorKind::Unavailable, 1),
        (ProviderErrorKind::Timeout, 1),
        (ProviderErrorKind::AccessDenied, 30),
        (ProviderErrorKind::NotFound, 30),
        (ProviderErrorKind::Disabled, 30),
        (ProviderErrorKind::PendingDeletion, 30),
        (ProviderErrorKind::Rejected, 0),
        (ProviderErrorKind::Misconfigured, 0),
        (ProviderErrorKind::Credentials, 0),
        (ProviderErrorKind::Other, 0),
    ] {
        let stage = Stage::new(CacheOptions::default());
        stage.fake.fail(kind);
        let recipient = wrapped(1);
        assert_eq!(stage.refusal_of(&recipient), (kind, 1));
        if seconds > 0 {
            stage.clock.advance(Duration::from_millis(seconds * 1000 - 1));
            assert_eq!(stage.refusal_of(&recipient), (kind, 0));
            assert_eq!(stage.cache.stats().refused, 1);
            stage.clock.advance(Duration::from_millis(1));
        }
        stage.fake.fail(None);
        assert_eq!(stage.calls_of(&recipient), 1, "{kind:?}");
    }
}

#[test]
fn a_key_that_nobody_can_use_is_asked_about_once_for_all_its_wraps() {
    for kind in [ProviderErrorKind::NotFound, ProviderErrorKind::Disabled, ProviderErrorKind::PendingDeletion]
    {
        let stage = Stage::new(CacheOptions::default());
        stage.fake.fail(kind);
        for n in 0..100 {
            assert_eq!(stage.refusal_of(&wrapped(n)), (kind, usize::from(n == 0)));
        }
        assert!(stage.entries() <= 1);
        // Somebody switched it on again, and says so.
        stage.fake.fail(None);
        stage.cache.revoke("k");
        assert_eq!(stage.calls_of(&wrapped(1)), 1);
    }
    // A denial may be about the context: the next wrap is asked about.
    let stage = Stage::new(CacheOptions::default());
    stage.fake.fail(ProviderErrorKind::AccessDenied);
    (0..5).for_each(|n| assert_eq!(stage.refusal_of(&wrapped(n)).1, 1));
}

#[test]
fn an_answer_that_the_right_is_gone_removes_all_of_the_key() {
    for kind in [
        ProviderErrorKind::AccessDenied,
        ProviderErrorKind::NotFound,
        ProviderErrorKind::Disabled,
        ProviderErrorKind::PendingDeletion,
    ] {
        let stage = Stage::new(CacheOptions::default().with_stale_on_outage(Some(minutes(60))));
        let other = wrapped_by("other", 2, 9);
        stage.calls_of(&other);
        (0..10).for_each(|n| assert_eq!(stage.calls_of(&wrapped(n)), 1));
        stage.fake.fail(kind);
        assert_eq!(stage.refusal_of(&wrapped(10)).0, kind);
        for n in 0..10 {
            assert!(stage.cache.cached_key(&wrapped(n), &context()).is_none(), "{kind:?}");
            assert_eq!(stage.refusal_of(&wrapped(n)).0, kind);
        }
        assert!(stage.cache.cached_key(&other, &context()).is_some());
    }
}

#[test]
fn so_does_a_refresh_a_wrap_a_generate_and_a_check_that_says_so() {
    let ways: [fn(&Stage); 4] = [
        |stage| {
            stage.pass(11 * 60);
            assert!(stage.open(&wrapped(1)).is_err());
        },
        |stage| {
            let key = DataKey::copy_from(&[1; 32]);
            assert!(block_on(stage.cache.wrap_data_key(&key, &context())).unwrap().is_err());
        },
        |stage| assert!(block_on(stage.cache.generate_data_key(&context())).unwrap().is_err()),
        |stage| assert!(block_on(stage.cache.check()).unwrap().is_err()),
    ];
    for way in ways {
        let stage = Stage::new(CacheOptions::default().with_stale_on_outage(Some(minutes(60))));
        stage.calls_of(&wrapped(1));
        stage.calls_of(&wrapped(2));
        stage.fake.fail(ProviderErrorKind::Disabled);
        way(&stage);
        assert_eq!(stage.cache.stats().entries, 0);
        assert_eq!(stage.refusal_of(&wrapped(2)).0, ProviderErrorKind::Disabled);
    }
}

#[test]
fn past_their_age_keys_serve_in_an_outage_only_and_only_for_so_long() {
    let stage = Stage::new(CacheOptions::default().with_stale_on_outage(Some(minutes(30))));
    let recipient = wrapped(1);
    for kind in [ProviderErrorKind::Unavailable, ProviderErrorKind::Throttled, ProviderErrorKind::Timeout] {
        stage.fake.fail(None);
        stage.cache.purge();
        stage.calls_of(&recipient);
        stage.fake.fail(kind);
        stage.pass(15 * 60);
        assert_eq!(stage.calls_of(&recipient), 1, "asked first");
        assert_eq!(stage.calls_of(&recipient), 0, "and not again at once");
        stage.pass(30 * 60 - 1);
        assert_eq!(stage.calls_of(&recipient), 1);
        stage.pass(1);
        assert_eq!(stage.refusal_of(&recipient).0, kind, "what failed does not move its end");
    }
    assert!(stage.cache.stats().stale >= 9);
    for kind in [ProviderErrorKind::AccessDenied, ProviderErrorKind::Rejected, ProviderErrorKind::Other] {
        stage.fake.fail(None);
        stage.cache.purge();
        stage.calls_of(&recipient);
        stage.fake.fail(kind);
        stage.pass(15 * 60);
        assert_eq!(stage.refusal_of(&recipient), (kind, 1));
    }
    stage.cache.purge();
    stage.fake.fail(ProviderErrorKind::Unavailable);
    assert_eq!(stage.refusal_of(&recipient).0, ProviderErrorKind::Unavailable, "revocation wins");
}

#[test]
fn a_success_after_an_outage_begins_a_new_age() {
    let stage = Stage::new(CacheOptions::default().with_stale_on_outage(Some(minutes(30))));
    let recipient = wrapped(1);
    stage.calls_of(&recipient);
    stage.fake.fail(ProviderErrorKind::Unavailable);
    stage.pass(20 * 60);
    stage.calls_of(&recipient);
    stage.fake.fail(None);
    stage.pass(2);
    assert_eq!(stage.calls_of(&recipient), 1);
    stage.pass(7 * 60);
    assert_eq!(stage.calls_of(&recipient), 0);
}

#[test]
fn ten_thousand_who_wait_in_an_outage_get_the_old_key_by_one_call() {
    let stage = Stage::new(CacheOptions::default().with_stale_on_outage(Some(minutes(30))));
    let (recipient, context) = (wrapped(1), context());
    stage.calls_of(&recipient);
    stage.pass(20 * 60);
    stage.fake.fail(ProviderErrorKind::Timeout);
    stage.fake.yields.store(2, Ordering::SeqCst);
    let opens = (0..10_000).map(|_| stage.cache.unwrap_data_key(&recipient, &context));
    let answers = block_on(crate::join::all(opens)).unwrap();
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Some(_)))));
    assert_eq!((stage.fake.calls(), stage.cache.stats().stale), (2, 10_000));
}
