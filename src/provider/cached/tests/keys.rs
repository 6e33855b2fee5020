//! What is found again, what is forgotten, and who asks.

use super::*;

#[test]
fn a_key_is_unwrapped_once_and_found_again() {
    let stage = Stage::new(CacheOptions::default());
    let (one, two) = (wrapped(1), wrapped(2));
    assert_eq!(stage.calls_of(&one), 1);
    for _ in 0..100 {
        assert_eq!(stage.open(&one).unwrap().unwrap().expose_bytes(), &[1; 32]);
    }
    assert_eq!(stage.calls_of(&two), 1);
    assert_eq!(stage.open(&two).unwrap().unwrap().expose_bytes(), &[2; 32]);
    assert_eq!(stage.fake.calls(), 2);
    let stats = stage.cache.stats();
    assert_eq!((stats.hits, stats.misses, stats.entries), (101, 2, 2));
}

#[test]
fn another_context_is_another_question() {
    let stage = Stage::new(CacheOptions::default());
    let recipient = wrapped(1);
    stage.calls_of(&recipient);
    let others = [
        WrapContext::new([8; 12], [("table".to_owned(), "users".to_owned())]),
        WrapContext::new([7; 12], [("table".to_owned(), "orders".to_owned())]),
        WrapContext::new([7; 12], []),
    ];
    for (n, other) in others.iter().enumerate() {
        assert!(stage.cache.cached_key(&recipient, other).is_none());
        block_on(stage.cache.unwrap_data_key(&recipient, other)).unwrap().unwrap();
        assert_eq!(stage.fake.calls(), n + 2);
        assert!(stage.cache.cached_key(&recipient, other).is_some());
    }
}

#[test]
fn every_part_of_a_recipient_is_compared() {
    let stage = Stage::new(CacheOptions::default());
    let own = wrapped(1);
    stage.calls_of(&own);
    let other =
        |kind, id: &[u8], params: &[u8], wrap: &[u8]| Recipient::new(RecipientType(kind), id, params, wrap);
    let mut damaged = own.wrap().to_vec();
    damaged[39] ^= 1;
    for stranger in [
        other(2, own.id(), own.params(), own.wrap()),
        other(1, b"other", own.params(), own.wrap()),
        other(1, own.id(), b"x", own.wrap()),
        other(1, own.id(), own.params(), &damaged),
    ] {
        assert!(stage.cache.cached_key(&stranger, &context()).is_none(), "{stranger:?}");
        assert!(!stage.cache.cached_key_into(&stranger, &context(), &mut DataKey::copy_from(&[0; 32])));
    }
    let mut key = DataKey::copy_from(&[0; 32]);
    assert!(stage.cache.cached_key_into(&own, &context(), &mut key));
    assert_eq!(key.expose_bytes(), &[1; 32]);
}

#[test]
fn what_is_not_mine_or_refused_is_not_kept() {
    let stage = Stage::new(CacheOptions::default());
    let stranger = wrapped_by("stranger", 9, 1);
    let mut wrap = wrapped(1).wrap().to_vec();
    wrap[0] ^= 1;
    let damaged = Recipient::new(RecipientType::AES_KWP, "k", [], wrap);
    for n in 1..=3 {
        assert!(stage.open(&stranger).unwrap().is_none());
        assert_eq!(stage.open(&damaged).unwrap_err().kind(), ProviderErrorKind::Rejected);
        assert_eq!((stage.fake.calls(), stage.entries()), (n, 0));
    }
}

#[test]
fn ten_thousand_callers_of_a_cold_key_make_one_call() {
    let stage = Stage::new(CacheOptions::default());
    stage.fake.yields.store(3, Ordering::SeqCst);
    let recipient = wrapped(1);
    let context = context();
    let opens = (0..10_000).map(|_| stage.cache.unwrap_data_key(&recipient, &context));
    let answers = block_on(crate::join::all(opens)).unwrap();
    assert!(answers.iter().all(|answer| matches!(answer, Ok(Some(key)) if key.expose_bytes() == &[1; 32])));
    let stats = stage.cache.stats();
    assert_eq!((stage.fake.calls(), stats.misses, stats.joined), (1, 1, 9_999));
}

#[test]
fn a_failure_is_shared_with_those_who_wait_and_with_nobody_else() {
    let stage = Stage::new(CacheOptions::default());
    stage.fake.yields.store(1, Ordering::SeqCst);
    stage.fake.fail(ProviderErrorKind::Rejected);
    let recipient = wrapped(1);
    let context = context();
    let opens = (0..100).map(|_| stage.cache.unwrap_data_key(&recipient, &context));
    let answers = block_on(crate::join::all(opens)).unwrap();
    assert!(answers.iter().all(|answer| {
        let error = answer.as_ref().unwrap_err();
        error.kind() == ProviderErrorKind::Rejected && error.key_id() == Some("k")
    }));
    assert_eq!((stage.fake.calls(), stage.entries()), (1, 0));
    stage.fake.fail(None);
    assert_eq!(stage.calls_of(&recipient), 1);
}

#[test]
fn a_caller_who_goes_away_leaves_nothing_behind() {
    let stage = Stage::new(CacheOptions::default());
    stage.fake.yields.store(2, Ordering::SeqCst);
    let (recipient, context) = (wrapped(1), context());
    let open = || stage.cache.unwrap_data_key(&recipient, &context);
    for polls in 0..3 {
        let mut alone = open();
        (0..polls).for_each(|_| assert!(poll(alone.as_mut()).is_none()));
        drop(alone);
        assert_eq!(stage.entries(), 0, "after {polls} polls");
    }
    // The leader goes, then the one who would have followed, and the third one gets the key.
    let (mut first, mut second, mut third) = (open(), open(), open());
    assert!(
        poll(first.as_mut()).is_none() && poll(second.as_mut()).is_none() && poll(third.as_mut()).is_none()
    );
    drop(first);
    drop(second);
    let before = stage.fake.calls();
    assert_eq!(block_on(third).unwrap().unwrap().unwrap().expose_bytes(), &[1; 32]);
    assert_eq!((stage.fake.calls() - before, stage.entries()), (1, 1));
}

#[test]
fn a_panic_of_the_provider_is_its_callers_alone() {
    #[derive(Debug)]
    struct Panics(AtomicUsize, MemoryProvider);
    #[async_trait]
    impl KeyProvider for Panics {
        async fn wrap_data_key(
            &self,
            key: &DataKey,
            context: &WrapContext,
        ) -> Result<Vec<Recipient>, ProviderError> {
            self.1.wrap_data_key(key, context).await
        }
        async fn unwrap_data_key(
            &self,
            r: &Recipient,
            c: &WrapContext,
        ) -> Result<Option<DataKey>, ProviderError> {
            if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
                std::panic::resume_unwind(Box::new("scripted"));
            }
            self.1.unwrap_data_key(r, c).await
        }
        async fn check(&self) -> Result<Health, ProviderError> {
            Ok(Health::good())
        }
        fn describe(&self) -> ProviderInfo {
            self.1.describe()
        }
    }
    let inner = MemoryProvider::from_keys([("k", [1; 32])]).unwrap();
    let cache = Cached::new(Panics(AtomicUsize::new(0), inner), CacheOptions::default());
    let (recipient, context) = (wrapped(1), context());
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        block_on(cache.unwrap_data_key(&recipient, &context))
    }));
    assert!(caught.is_err());
    assert_eq!(cache.state().table().total(), 0);
    assert!(block_on(cache.unwrap_data_key(&recipient, &context)).unwrap().unwrap().is_some());
}

#[test]
fn revoked_and_purged_keys_are_gone_at_once() {
    let stage = Stage::new(CacheOptions::default());
    let (one, two) = (wrapped(1), wrapped_by("other", 2, 2));
    for forget in [|cache: &Cached| cache.revoke("k"), Cached::purge] {
        stage.calls_of(&one);
        stage.calls_of(&two);
        forget(&stage.cache);
        assert!(stage.cache.cached_key(&one, &context()).is_none());
        assert_eq!(stage.calls_of(&one), 1);
    }
    stage.calls_of(&two);
    let calls = stage.fake.calls();
    stage.cache.revoke("nobody's");
    stage.calls_of(&one);
    stage.calls_of(&two);
    assert_eq!(stage.fake.calls(), calls, "the others stay");
}

#[test]
fn a_load_under_way_at_a_purge_is_not_kept_and_those_who_wait_ask_again() {
    for forget in [|cache: &Cached| cache.revoke("k"), Cached::purge] {
        let stage = Stage::new(CacheOptions::default());
        stage.fake.yields.store(1, Ordering::SeqCst);
        let (recipient, context) = (wrapped(1), context());
        let mut leader = stage.cache.unwrap_data_key(&recipient, &context);
        let mut waiter = stage.cache.unwrap_data_key(&recipient, &context);
        assert!(poll(leader.as_mut()).is_none() && poll(waiter.as_mut()).is_none());
        forget(&stage.cache);
        assert!(poll(leader.as_mut()).unwrap().unwrap().is_some());
        assert!(stage.cache.cached_key(&recipient, &context).is_none(), "not kept");
        assert!(block_on(waiter).unwrap().unwrap().is_some());
        assert_eq!(stage.fake.calls(), 2);
        assert!(stage.cache.cached_key(&recipient, &context).is_some(), "the second answer is");
    }
}

/// The right goes while a key is being unwrapped: everybody who waits is told, and nothing is kept.
#[test]
fn a_denial_while_a_load_is_under_way_is_told_to_all_who_wait_and_leaves_nothing() {
    for kind in
        [ProviderErrorKind::AccessDenied, ProviderErrorKind::Disabled, ProviderErrorKind::PendingDeletion]
    {
        let stage = Stage::new(CacheOptions::default().with_stale_on_outage(Some(minutes(60))));
        let (held, wanted, context) = (wrapped(1), wrapped(2), context());
        stage.calls_of(&held);
        stage.fake.yields.store(1, Ordering::SeqCst);
        let mut callers: Vec<_> = (0..5).map(|_| stage.cache.unwrap_data_key(&wanted, &context)).collect();
        assert!(callers.iter_mut().all(|caller| poll(caller.as_mut()).is_none()));
        stage.fake.fail(kind);
        for caller in &mut callers {
            assert_eq!(poll(caller.as_mut()).unwrap().unwrap_err().kind(), kind);
        }
        assert_eq!((stage.fake.calls(), stage.cache.stats().entries), (2, 0), "{kind:?}");
        assert!(stage.cache.cached_key(&held, &context).is_none(), "{kind:?}");
        assert_eq!(stage.refusal_of(&wanted).1, 0, "and is believed: {kind:?}");
    }
}

/// The right goes, as another call is told, between a question and its answer: the answer is older than the denial.
#[test]
fn an_answer_to_a_question_from_before_a_denial_is_not_kept() {
    let ways: [fn(&Stage); 3] = [
        |stage| assert_eq!(stage.refusal_of(&wrapped(9)).0, ProviderErrorKind::AccessDenied),
        |stage| assert!(block_on(stage.cache.generate_data_key(&context())).unwrap().is_err()),
        |stage| assert!(block_on(stage.cache.check()).unwrap().is_err()),
    ];
    for (way, is_hit) in ways.into_iter().flat_map(|way| [(way, true), (way, false)]) {
        let stage = Stage::new(CacheOptions::default());
        let (recipient, context) = (if is_hit { wrapped(1) } else { wrapped_by("other", 2, 1) }, context());
        stage.fake.yields.store(1, Ordering::SeqCst);
        let mut leader = stage.cache.unwrap_data_key(&recipient, &context);
        let mut waiter = stage.cache.unwrap_data_key(&recipient, &context);
        assert!(poll(leader.as_mut()).is_none() && poll(waiter.as_mut()).is_none());
        stage.fake.fail(ProviderErrorKind::AccessDenied);
        way(&stage);
        stage.fake.fail(None);
        assert!(poll(leader.as_mut()).unwrap().unwrap().is_some(), "who asked has the answer");
        assert_eq!(stage.cache.cached_key(&recipient, &context).is_none(), is_hit);
        let calls = stage.fake.calls();
        assert!(block_on(waiter).unwrap().unwrap().is_some());
        assert_eq!(stage.fake.calls() - calls, usize::from(is_hit), "who waits asks for itself");
        assert!(stage.cache.cached_key(&recipient, &context).is_some());
    }
}

/// Records what it is told, in words.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl Observer for Notes {
    fn event(&self, event: &Event<'_>) {
        let Event { operation, provider, key_id, outcome, attempts, cache, .. } = event;
        let note = format!(
            "{} {provider} {} {} {} {attempts}",
            operation.name(),
            key_id.unwrap_or("-"),
            outcome.describe(),
            cache.name()
        );
        assert!(*outcome != Outcome::NotMine || key_id.is_none());
        self.0.lock().unwrap().push(note);
    }
}

#[test]
fn each_unwrap_is_told_once_with_what_the_cache_had_to_do_with_it() {
    let notes = Arc::new(Notes::default());
    let stage = Stage::new(CacheOptions::default().with_stale_on_outage(Some(minutes(60))));
    let Stage { fake, clock, cache } = stage;
    let stage = Stage { fake, clock, cache: cache.with_observer(notes.clone()) };
    let (recipient, context) = (wrapped(1), context());
    stage.fake.yields.store(1, Ordering::SeqCst);
    let pair = [(), ()].map(|()| stage.cache.unwrap_data_key(&recipient, &context));
    assert!(block_on(crate::join::all(pair)).unwrap().iter().all(Result::is_ok));
    stage.calls_of(&recipient);
    stage.open(&wrapped_by("stranger", 9, 1)).unwrap();
    stage.pass(16 * 60);
    stage.fake.fail(ProviderErrorKind::Unavailable);
    stage.open(&recipient).unwrap();
    stage.refusal_of(&wrapped(2));
    stage.refusal_of(&wrapped(2));
    let mut dropped = stage.cache.unwrap_data_key(&recipient, &context);
    stage.pass(5);
    assert!(poll(dropped.as_mut()).is_none());
    drop(dropped);
    let unavailable = ProviderErrorKind::Unavailable.describe();
    assert_eq!(
        *notes.0.lock().unwrap(),
        [
            "unwrap key-file k ok miss 1".to_owned(),
            "unwrap key-file k ok joined 0".into(),
            "unwrap key-file k ok hit 0".into(),
            "unwrap key-file - not mine miss 0".into(),
            "unwrap key-file k ok stale 0".into(),
            format!("unwrap key-file k {unavailable} miss 1"),
            format!("unwrap key-file k {unavailable} hit 0"),
            "unwrap key-file - abandoned miss 1".into(),
        ]
    );
}
