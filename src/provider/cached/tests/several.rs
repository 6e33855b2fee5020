//! Several recipients at once, as opening asks about them.

use super::*;

fn open(stage: &Stage, recipients: &[&Recipient]) -> Vec<String> {
    let answers = block_on(stage.cache.unwrap_any(recipients, 4, &context())).unwrap();
    let told = |(place, answer): (usize, UnwrapAnswer)| match answer {
        UnwrapAnswer::Key(key) => format!("{place}: key {}", key.expose_bytes()[0]),
        UnwrapAnswer::Failed(error) => format!("{place}: {}", error.kind().describe()),
        UnwrapAnswer::NotMine => format!("{place}: not mine"),
        UnwrapAnswer::Abandoned => format!("{place}: abandoned"),
    };
    answers.into_answers().into_iter().map(told).collect()
}

#[test]
fn the_first_key_that_is_had_is_found_again() {
    let stage = Stage::new(CacheOptions::default());
    let (stranger, own, other) = (wrapped_by("x", 9, 1), wrapped(1), wrapped_by("other", 2, 1));
    assert_eq!(open(&stage, &[&stranger, &own, &other]), ["0: not mine", "1: key 1"]);
    for _ in 0..5 {
        assert_eq!(open(&stage, &[&stranger, &own, &other]), ["1: key 1"]);
    }
    assert_eq!(stage.fake.calls(), 1);
    // Another list is another question: a header that names others beside them cannot speak for this one.
    assert_eq!(open(&stage, &[&other, &own]), ["0: key 1"]);
    assert_eq!(stage.fake.calls(), 2);
    // One alone is the same as by itself.
    assert_eq!(open(&stage, &[&own]), ["0: key 1"]);
    assert_eq!((stage.calls_of(&own), stage.fake.calls()), (0, 3));
    assert!(open(&stage, &[]).is_empty());
}

#[test]
fn all_who_ask_about_the_same_list_share_one_answer() {
    let stage = Stage::new(CacheOptions::default());
    stage.fake.yields.store(2, Ordering::SeqCst);
    let (stranger, own, context) = (wrapped_by("x", 9, 1), wrapped(1), context());
    let list = [&stranger, &own];
    let opens = (0..100).map(|_| stage.cache.unwrap_any(&list, 4, &context));
    let answers = block_on(crate::join::all(opens)).unwrap();
    assert!(answers.into_iter().all(|answers| {
        answers
            .into_answers()
            .into_iter()
            .any(|(place, answer)| place == 1 && matches!(answer, UnwrapAnswer::Key(_)))
    }));
    assert_eq!(stage.fake.calls(), 1);
}

#[test]
fn failures_are_told_for_each_and_shared() {
    let stage = Stage::new(CacheOptions::default());
    let (stranger, own, other) = (wrapped_by("x", 9, 1), wrapped(1), wrapped_by("other", 2, 1));
    stage.fake.fail(ProviderErrorKind::Throttled);
    let expected = ["0: not mine", "1: throttled", "2: throttled"];
    assert_eq!(open(&stage, &[&stranger, &own, &other]), expected);
    assert_eq!(open(&stage, &[&stranger, &own, &other]), expected);
    assert_eq!(stage.fake.calls(), 2);
    let strangers = [&stranger, &stranger];
    assert_eq!(open(&stage, &strangers), ["0: not mine", "1: not mine"]);
    assert_eq!(stage.fake.calls(), 2);
}

/// A refresh in vain: the key from before is the one answer, and says nothing else about its own recipient.
#[test]
fn each_recipient_is_answered_about_once_however_a_refresh_ends() {
    let (stranger, own, other) = (wrapped_by("x", 9, 1), wrapped(1), wrapped_by("other", 2, 1));
    let all = [&stranger, &own, &other];
    for kind in [
        ProviderErrorKind::Unavailable,
        ProviderErrorKind::Credentials,
        ProviderErrorKind::Misconfigured,
        ProviderErrorKind::Other,
    ] {
        let stage = Stage::new(CacheOptions::default());
        assert_eq!(open(&stage, &all), ["0: not mine", "1: key 1"]);
        stage.pass(11 * 60);
        stage.fake.fail(kind);
        assert_eq!((open(&stage, &all), stage.fake.calls()), (vec!["1: key 1".to_owned()], 3), "{kind:?}");
    }
    // And from a provider that says two things about one.
    #[derive(Debug)]
    struct Twice(MemoryProvider);
    #[async_trait]
    impl KeyProvider for Twice {
        async fn wrap_data_key(
            &self,
            key: &DataKey,
            of: &WrapContext,
        ) -> Result<Vec<Recipient>, ProviderError> {
            self.0.wrap_data_key(key, of).await
        }
        async fn unwrap_any(&self, all: &[&Recipient], limit: usize, of: &WrapContext) -> UnwrapAnswers {
            let mut answers = UnwrapAnswers::new();
            answers.push(1, UnwrapAnswer::Failed(ProviderError::new(ProviderErrorKind::Timeout, "twice")));
            let found = self.0.unwrap_any(all, limit, of).await;
            found.into_answers().into_iter().for_each(|(place, answer)| answers.push(place, answer));
            answers
        }
        async fn check(&self) -> Result<Health, ProviderError> {
            Ok(Health::good())
        }
        fn describe(&self) -> ProviderInfo {
            self.0.describe()
        }
    }
    let provider = MemoryProvider::from_keys([("k", [1; 32])]).unwrap();
    let cache = Cached::new(Twice(provider), CacheOptions::default());
    let answers = block_on(cache.unwrap_any(&[&stranger, &own], 4, &context())).unwrap().into_answers();
    let places: Vec<_> =
        answers.iter().map(|(place, answer)| (*place, matches!(answer, UnwrapAnswer::Key(_)))).collect();
    assert_eq!(places, [(0, false), (1, true)]);
}

#[test]
fn revoking_one_key_leaves_what_another_one_unwrapped() {
    let stage = Stage::new(CacheOptions::default());
    let (own, other) = (wrapped(1), wrapped_by("other", 2, 1));
    assert_eq!(open(&stage, &[&own, &other]), ["0: key 1"]);
    stage.cache.revoke("other");
    assert_eq!((open(&stage, &[&own, &other]).len(), stage.fake.calls()), (1, 1));
    stage.cache.revoke("k");
    assert_eq!((open(&stage, &[&own, &other]).len(), stage.fake.calls()), (1, 2));
}

#[test]
fn shares_of_an_all_of_are_revoked_by_each_members_id() {
    use crate::provider::AllOf;

    let member = |id: &str, byte| Arc::new(MemoryProvider::from_keys([(id, [byte; 32])]).unwrap());
    let both = AllOf::new([member("ours", 1) as _, member("theirs", 2) as _]).unwrap();
    let cache = Cached::new(both, CacheOptions::default());
    let made = block_on(cache.generate_data_key(&context())).unwrap().unwrap();
    for id in ["ours", "theirs"] {
        block_on(cache.unwrap_data_key(&made.recipients[0], &context())).unwrap().unwrap().unwrap();
        cache.revoke("nobody's");
        assert!(cache.cached_key(&made.recipients[0], &context()).is_some());
        cache.revoke(id);
        assert!(cache.cached_key(&made.recipients[0], &context()).is_none());
    }
}
