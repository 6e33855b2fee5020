//! Words, defaults, and what `tracing` subscribers are shown.

use super::*;

#[test]
fn every_state_has_a_word_of_its_own() {
    let operations = [
        Operation::Generate,
        Operation::Wrap,
        Operation::Unwrap,
        Operation::Check,
        Operation::Health,
        Operation::SealRecord,
        Operation::OpenRecord,
        Operation::SealMessage,
        Operation::OpenMessage,
        Operation::Rotate,
        Operation::Erase,
        Operation::Hold,
        Operation::Release,
    ];
    let caches = [CacheState::None, CacheState::Hit, CacheState::Miss, CacheState::Joined, CacheState::Stale];
    let outcomes = [
        Outcome::Ok,
        Outcome::NotMine,
        Outcome::Abandoned,
        Outcome::Failed(ProviderErrorKind::Throttled),
        Outcome::Failed(ProviderErrorKind::Timeout),
        Outcome::Refused(Category::Tampered),
    ];
    let words: [Vec<&str>; 3] = [
        operations.map(Operation::name).into(),
        caches.map(CacheState::name).into(),
        outcomes.map(Outcome::describe).into(),
    ];
    for words in &words {
        let distinct: std::collections::BTreeSet<_> = words.iter().collect();
        assert!(distinct.len() == words.len() && !distinct.contains(&""), "{words:?}");
    }
}

#[test]
fn an_event_begins_as_a_call_that_went_well() {
    let event = Event::new(Operation::Wrap, "p");
    assert_eq!((event.outcome, event.attempts, event.cache), (Outcome::Ok, 1, CacheState::None));
    assert_eq!(
        (event.key_id, event.region, event.request_id, event.latency),
        (None, None, None, Duration::ZERO)
    );
}

#[cfg(feature = "tracing")]
mod traced {
    use std::fmt::Debug;
    use std::sync::{Arc, Mutex};

    use ::tracing::field::{Field, Visit};
    use ::tracing::span::{Attributes, Id, Record};
    use ::tracing::{Level, Metadata, Subscriber};

    use super::*;

    /// Level, target, and the fields that have a value.
    type Seen = (Level, String, Vec<(String, String)>);

    #[derive(Clone, Default)]
    struct Collect(Arc<Mutex<Vec<Seen>>>);

    struct Fields(Vec<(String, String)>);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            self.0.push((field.name().to_owned(), format!("{value:?}")));
        }
    }

    impl Subscriber for Collect {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &::tracing::Event<'_>) {
            let mut fields = Fields(Vec::new());
            event.record(&mut fields);
            let metadata = event.metadata();
            self.0.lock().unwrap().push((*metadata.level(), metadata.target().to_owned(), fields.0));
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    fn seen(event: &Event<'_>) -> Seen {
        let collect = Collect::default();
        ::tracing::subscriber::with_default(collect.clone(), || TracingObserver.event(event));
        let mut seen = collect.0.lock().unwrap();
        assert_eq!(seen.len(), 1);
        seen.remove(0)
    }

    #[test]
    fn all_fields_that_have_a_value_and_no_others() {
        let mut event = Event::new(Operation::Unwrap, "aws-kms");
        event.outcome = Outcome::Failed(ProviderErrorKind::Throttled);
        (event.key_id, event.attempts) = (Some("a-key"), 2);
        (event.latency, event.cache) = (Duration::from_millis(7), CacheState::Miss);
        let (level, target, fields) = seen(&event);
        assert_eq!((level, target.as_str()), (Level::WARN, "kuvert"));
        let find = |name: &str| fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
        assert_eq!(find("operation"), Some("\"unwrap\""));
        assert_eq!(find("provider"), Some("\"aws-kms\""));
        assert_eq!(find("key_id"), Some("\"a-key\""));
        assert_eq!(find("outcome"), Some("\"throttled\""));
        assert_eq!((find("attempts"), find("latency_us")), (Some("2"), Some("7000")));
        assert_eq!(find("cache"), Some("\"miss\""));
        assert_eq!((find("region"), find("request_id")), (None, None));
        assert_eq!(find("message"), Some("key provider call failed"));
    }

    #[test]
    fn the_level_says_who_should_look() {
        let level = |operation, outcome| {
            let mut event = Event::new(operation, "p");
            event.outcome = outcome;
            seen(&event).0
        };
        let down = Outcome::Failed(ProviderErrorKind::Unavailable);
        assert_eq!(level(Operation::Wrap, Outcome::Ok), Level::DEBUG);
        assert_eq!(level(Operation::Unwrap, Outcome::NotMine), Level::DEBUG);
        assert_eq!(level(Operation::Unwrap, Outcome::Abandoned), Level::DEBUG);
        assert_eq!(level(Operation::Unwrap, down), Level::WARN);
        assert_eq!(level(Operation::Health, down), Level::ERROR);
        assert_eq!(level(Operation::Health, Outcome::Ok), Level::INFO);
    }
}
