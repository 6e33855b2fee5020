//! Trouble with who calls: credentials that cannot be had, that have expired, and clocks that are wrong.

use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::Client;
use aws_sdk_kms::config::{Credentials, ProvideCredentials, SharedCredentialsProvider};
use kuvert::blocking::block_on;
use kuvert::clock::TestClock;
use kuvert::provider::KeyProvider as _;
use kuvert::provider::aws_kms::AwsKmsProvider;
use kuvert::{DataKey, ProviderError, ProviderErrorKind as Kind};

use crate::stage::{LONG, REGION, config, failure, wrap_context};
use crate::support::fake_kms::FakeKms;

/// What a source of credentials does each time that it is asked.
#[derive(Debug, Clone)]
enum Source {
    Fails(fn() -> CredentialsError),
    Hangs(Arc<AtomicUsize>),
    /// Gives the access keys `AKID-0`, `AKID-1`, ..., one after the other.
    Renews(Arc<AtomicUsize>),
}

impl ProvideCredentials for Source {
    fn provide_credentials<'a>(&'a self) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        use aws_credential_types::provider::future::ProvideCredentials as Answer;
        match self {
            Self::Fails(error) => Answer::ready(Err(error())),
            Self::Hangs(asked) => {
                asked.fetch_add(1, Ordering::SeqCst);
                Answer::new(future::pending())
            }
            Self::Renews(asked) => {
                let id = format!("AKID-{}", asked.fetch_add(1, Ordering::SeqCst));
                let credentials =
                    Credentials::builder().access_key_id(id).secret_access_key("secret-of-nobody");
                Answer::ready(Ok(credentials.provider_name("test").build()))
            }
        }
    }
}

struct Stage {
    fake: FakeKms,
    provider: AwsKmsProvider,
    clock: TestClock,
    asked: Arc<AtomicUsize>,
}

impl Stage {
    fn of(source: Source, asked: Arc<AtomicUsize>) -> Self {
        let fake = FakeKms::start();
        let arn = fake.create_key(REGION);
        let config = config(&fake.endpoint(), REGION);
        let config = config.credentials_provider(SharedCredentialsProvider::new(source));
        let clock = TestClock::new();
        let provider = AwsKmsProvider::builder()
            .with_client(Client::from_conf(config.build()))
            .with_sealing_key(arn)
            .with_clock(Arc::new(clock.clone()))
            .build()
            .unwrap();
        Self { fake, provider, clock, asked }
    }

    fn with(source: Source) -> Self {
        Self::of(source, Arc::default())
    }

    fn renewing() -> Self {
        let asked = Arc::default();
        Self::of(Source::Renews(Arc::clone(&asked)), asked)
    }

    fn seal(&self) -> Result<(), ProviderError> {
        let key = DataKey::copy_from(&[1; 32]);
        block_on(self.provider.wrap_data_key(&key, &wrap_context())).unwrap().map(drop)
    }

    /// Calls that reached the service since the last time, and how often credentials were asked for in all.
    fn counts(&self) -> (usize, usize) {
        (self.fake.take_actions().len(), self.asked.load(Ordering::SeqCst))
    }
}

#[test]
fn credentials_that_cannot_be_had() {
    use CredentialsError as Error;
    for (fails, kind) in [
        ((|| Error::not_loaded("none")) as fn() -> Error, Kind::Credentials),
        (|| Error::invalid_configuration("bad file"), Kind::Credentials),
        (|| Error::provider_timed_out(LONG), Kind::Timeout),
        (|| Error::provider_error("503"), Kind::Unavailable),
        (|| Error::unhandled("what"), Kind::Unavailable),
    ] {
        let stage = Stage::with(Source::Fails(fails));
        let error = stage.seal().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(
            failure(&error).is_about_credentials() && error.to_string().contains("credentials"),
            "{error}"
        );
        assert_eq!(stage.counts().0, 0);
    }
}

#[test]
fn a_client_without_any_source_of_credentials() {
    let bare = aws_sdk_kms::Config::builder()
        .behavior_version(aws_sdk_kms::config::BehaviorVersion::latest())
        .region(aws_sdk_kms::config::Region::new(REGION));
    let arn = format!("arn:aws:kms:{REGION}:111122223333:key/1234");
    let provider = AwsKmsProvider::builder()
        .with_client(Client::from_conf(bare.build()))
        .with_sealing_key(arn)
        .build()
        .unwrap();
    let error = block_on(provider.generate_data_key(&wrap_context())).unwrap().unwrap_err();
    assert_eq!(error.kind(), Kind::Credentials);
    assert!(failure(&error).is_about_credentials(), "{error}");
}

#[test]
fn a_source_of_credentials_that_hangs_is_given_up_at_the_deadline_and_named() {
    let asked = Arc::default();
    let Stage { fake, provider, clock, .. } = Stage::with(Source::Hangs(Arc::clone(&asked)));
    let waiting = std::thread::spawn(move || {
        let key = DataKey::copy_from(&[1; 32]);
        block_on(provider.wrap_data_key(&key, &wrap_context())).unwrap().unwrap_err()
    });
    // The call itself runs on a thread of its own.
    while clock.sleepers() == 0 || asked.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    clock.advance(Duration::from_secs(3));
    let error = waiting.join().unwrap();
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(failure(&error).is_about_credentials(), "{error}");
    assert!(error.to_string().contains("the source of the AWS credentials gave none"), "{error}");
    assert_eq!(fake.take_actions(), [""; 0]);
}

#[test]
fn expired_credentials_are_fetched_anew_once_for_all_callers() {
    let stage = Stage::renewing();
    stage.seal().unwrap();
    assert_eq!(stage.counts(), (1, 1));
    stage.fake.withdraw_credentials("AKID-0");
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..20).map(|_| scope.spawn(|| stage.seal())).collect();
        callers.into_iter().for_each(|caller| caller.join().unwrap().unwrap());
    });
    let (calls, asked) = stage.counts();
    assert_eq!(asked, 2, "asked once more");
    assert!((21..=40).contains(&calls), "{calls} calls");
    // From now on nothing is repeated.
    stage.seal().unwrap();
    assert_eq!(stage.counts(), (1, 2));
}

#[test]
fn credentials_that_stay_expired_are_a_typed_error_and_no_storm() {
    let stage = Stage::renewing();
    (0..10).for_each(|n| stage.fake.withdraw_credentials(&format!("AKID-{n}")));
    let refused = || {
        let error = stage.seal().unwrap_err();
        assert_eq!(error.kind(), Kind::Credentials);
        assert!(error.to_string().contains("look at the AWS credentials"), "{error}");
        assert_eq!(failure(&error).code(), Some("ExpiredTokenException"));
        assert!(failure(&error).is_about_credentials());
    };
    refused();
    assert_eq!(stage.counts(), (2, 2), "one second chance");
    (0..50).for_each(|_| refused());
    assert_eq!(stage.counts(), (50, 2), "and no further one for 10 s");
    stage.clock.advance(Duration::from_secs(10));
    refused();
    assert_eq!(stage.counts(), (2, 3));
}

#[test]
fn a_clock_that_is_ten_minutes_wrong_costs_one_call() {
    for ahead in [600, -600] {
        let stage = Stage::renewing();
        stage.fake.set_clock_ahead(ahead);
        stage.seal().unwrap();
        assert_eq!(stage.counts(), (2, 1), "the second with the time that the service said");
        stage.seal().unwrap();
        assert_eq!(stage.counts(), (1, 1));
    }
}

/// Expired credentials are no denial: what a cache holds serves until its age. Withdrawn ones, and a denial, end it.
#[test]
fn expired_credentials_leave_what_was_cached_and_a_denial_does_not() {
    use crate::support::fake_kms::Fault;
    use kuvert::provider::{CacheOptions, Cached};
    for (code, stays) in [
        ("ExpiredTokenException", true),
        ("UnrecognizedClientException", false),
        ("AccessDeniedException", false),
    ] {
        let Stage { fake, provider, clock, .. } = Stage::renewing();
        let context = wrap_context();
        let cached = Cached::new(provider, CacheOptions::default()).with_clock(Arc::new(clock.clone()));
        let made = block_on(cached.generate_data_key(&context)).unwrap().unwrap();
        let open = || block_on(cached.unwrap_data_key(&made.recipients[0], &context)).unwrap();
        open().unwrap().unwrap();
        fake.fault(Fault::Refuse(400, code));
        // Past the age at which it is asked for anew, and before the one at which it is not used any more.
        clock.advance(Duration::from_secs(11 * 60));
        fake.take_actions();
        let outcomes = [open().is_ok(), open().is_ok()];
        assert!(!fake.take_actions().is_empty(), "{code}: nobody asked");
        assert_eq!(outcomes[1], stays, "{code}");
    }
}
