//! No call lasts longer than its deadline, whatever the service does, and what is merely slow is waited for.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use kuvert::blocking::{Kuvert, block_on};
use kuvert::clock::TestClock;
use kuvert::provider::KeyProvider as _;
use kuvert::{DataKey, ProviderErrorKind as Kind};

use crate::stage::{REGION, builder, context, failure, provider, wrap_context};
use crate::support::fake_kms::{FakeKms, Fault};

const DEADLINE: Duration = Duration::from_secs(3);

#[test]
fn every_call_ends_at_the_deadline_and_the_provider_stays_usable() {
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    let recipient = {
        let own = provider(&fake.endpoint(), &arn);
        block_on(own.generate_data_key(&wrap_context())).unwrap().unwrap().recipients.remove(0)
    };
    let clock = TestClock::new();
    let provider = builder(&fake.endpoint()).with_sealing_key(&arn).with_deadline(DEADLINE);
    let provider = provider.with_clock(Arc::new(clock.clone())).build().unwrap();
    fake.fault(Fault::Silence);
    for call in 0..4 {
        let (own, recipient) = (provider.clone(), recipient.clone());
        fake.take_actions();
        let waiting = thread::spawn(move || {
            let key = DataKey::copy_from(&[1; 32]);
            block_on(async {
                match call {
                    0 => own.wrap_data_key(&key, &wrap_context()).await.map(drop),
                    1 => own.generate_data_key(&wrap_context()).await.map(drop),
                    2 => own.unwrap_data_key(&recipient, &wrap_context()).await.map(drop),
                    _ => own.check().await.map(drop),
                }
            })
            .unwrap()
        });
        // Until the call is with the service: before that it waits for credentials, which is another failure.
        while clock.sleepers() == 0 || fake.take_actions().is_empty() {
            thread::yield_now();
        }
        clock.advance(DEADLINE - Duration::from_millis(1));
        assert_eq!(clock.sleepers(), 1, "call {call} was given up too early");
        clock.advance(Duration::from_millis(1));
        let error = waiting.join().unwrap().unwrap_err();
        assert_eq!((error.kind(), error.key_id()), (Kind::Timeout, Some(&*arn)), "call {call}: {error}");
        assert_eq!(failure(&error).region(), REGION);
        assert!(!failure(&error).is_about_credentials(), "it is the service that is silent: {error}");
    }
    fake.mend();
    // By a clock that stands still, only the service's own time counts.
    block_on(provider.generate_data_key(&wrap_context())).unwrap().unwrap();
}

#[test]
fn what_is_slow_is_waited_for() {
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    let kuvert = Kuvert::new(provider(&fake.endpoint(), &arn));
    fake.fault(Fault::Late(Duration::from_millis(200)));
    let sealed = kuvert.seal(b"x", &context()).unwrap();
    assert_eq!(kuvert.open(&sealed, &context()).unwrap().as_slice(), b"x");
    assert_eq!(fake.take_actions(), ["Encrypt", "Decrypt"]);
}

#[test]
fn a_service_that_fails_now_and_then_fails_those_calls_and_no_others() {
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    let kuvert = Kuvert::new(provider(&fake.endpoint(), &arn));
    fake.fault(crate::support::fake_kms::Rule::from(Fault::throttle()).percent(50));
    let sealed: Vec<_> = (0..20).map(|_| kuvert.seal(b"x", &context())).collect();
    assert_eq!(sealed.iter().filter(|sealed| sealed.is_ok()).count(), 10);
    assert_eq!(fake.take_actions().len(), 20, "nothing is retried");
}

/// On a runtime of one thread, a blocking call would starve what it waits for, if it were left to that runtime.
#[test]
fn a_blocking_call_on_a_runtime_of_one_thread_comes_back() {
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let opened = runtime.block_on(async {
        let kuvert = Kuvert::new(provider(&fake.endpoint(), &arn));
        let sealed = kuvert.seal(b"x", &context()).unwrap();
        kuvert.open(&sealed, &context()).unwrap().to_vec()
    });
    assert_eq!(opened, b"x");
}

/// The thread that the provider started ends with the provider.
#[cfg(target_os = "linux")]
#[test]
fn a_dropped_provider_leaves_no_thread() {
    let all = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    let providers: Vec<_> = (0..30).map(|_| provider(&fake.endpoint(), &arn)).collect();
    for provider in &providers {
        block_on(provider.generate_data_key(&wrap_context())).unwrap().unwrap();
    }
    let during = all();
    drop(providers);
    drop(fake);
    let gone = (0..1000).any(|_| {
        thread::sleep(Duration::from_millis(10));
        all() + 30 <= during
    });
    assert!(gone, "{during} threads, and afterwards {}", all());
}
