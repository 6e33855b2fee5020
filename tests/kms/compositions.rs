//! The provider within others: what is repaired and rewrapped, what an all-of says, and who repeats calls.

use std::sync::Arc;
use std::time::Duration;

use kuvert::blocking::{Kuvert, block_on};
use kuvert::provider::aws_kms::AwsKmsProvider;
use kuvert::provider::{AllOf, AnyOf, BreakerOptions, Guarded, GuardedOptions, KeyProvider, MemoryProvider};
use kuvert::{
    ClaimedSlot, DataKey, EncryptionContext, MessageStart, OpenError, ProviderErrorKind as Kind, Recipient,
    RecipientType, RewrapOutcome,
};

use crate::stage::{REGION, builder, config, context, provider, wrap_context};
use crate::support::fake_kms::{FakeKms, Fault, KeyState, Rule};

/// Passes the pair `tenant` to KMS.
fn told(fake: &FakeKms, arn: &str) -> AwsKmsProvider {
    builder(&fake.endpoint()).with_sealing_key(arn).with_kms_context(["tenant"]).build().unwrap()
}

fn memory() -> Arc<dyn KeyProvider> {
    Arc::new(MemoryProvider::from_keys([("ours", [3; 32])]).unwrap())
}

fn any_of(kms: AwsKmsProvider) -> AnyOf {
    AnyOf::new([Arc::new(kms) as _, memory()]).unwrap().with_min(1).unwrap()
}

fn recipients(message: &[u8]) -> Vec<Recipient> {
    let mut all = Vec::new();
    for slot in MessageStart::parse(message).unwrap().header().claimed_slots() {
        if let ClaimedSlot::Filled { recipients, .. } = slot {
            all.extend(recipients.iter().cloned());
        }
    }
    all
}

#[test]
fn a_key_that_was_away_when_sealing_is_added_with_the_pairs_it_is_told() {
    let fake = FakeKms::start();
    let kms = told(&fake, &fake.create_key(REGION));
    fake.fault(Fault::Status(503));
    let kuvert = Kuvert::new(any_of(kms.clone()));
    let sealed = kuvert.seal(b"x", &context()).unwrap();
    let pending = recipients(&sealed).into_iter().find(|own| own.recipient_type() == RecipientType::PENDING);
    // What it waits for is a wrap that names the pair.
    assert_eq!(pending.unwrap().params(), b"\x00\x10\x01\x06tenant");
    fake.mend();
    let repair = kuvert::Kuvert::new(any_of(kms.clone())).repair(kms.clone());
    let (mended, report) = block_on(repair.message(&sealed, &context())).unwrap().unwrap();
    assert_eq!((report.outcome, report.pending.len()), (RewrapOutcome::Rewrapped, 0));
    assert_eq!(Kuvert::new(kms).open(&mended, &context()).unwrap().as_slice(), b"x");
}

#[test]
fn rewrapping_to_the_key_that_it_has_makes_no_call_and_to_another_names_its_pairs() {
    let fake = FakeKms::start();
    let (one, other) = (told(&fake, &fake.create_key(REGION)), told(&fake, &fake.create_key("eu-west-1")));
    let sealed = Kuvert::new(one.clone()).seal(b"x", &context()).unwrap();
    let both = AnyOf::new([Arc::new(one.clone()) as _, Arc::new(other.clone()) as _]).unwrap();
    let rewrap = kuvert::Kuvert::new(both).rewrap_to(other.clone());
    let (moved, _) = block_on(rewrap.message(&sealed, &context())).unwrap().unwrap();
    assert_eq!(recipients(&moved).iter().map(Recipient::params).collect::<Vec<_>>(), [b"\x01\x06tenant"]);
    assert_eq!(Kuvert::new(other.clone()).open(&moved, &context()).unwrap().as_slice(), b"x");
    let (same, report) =
        block_on(kuvert::Kuvert::new(other.clone()).rewrap_to(other).message(&moved, &context()))
            .unwrap()
            .unwrap();
    assert_eq!((report.outcome, same), (RewrapOutcome::Unchanged, moved));
}

/// Split between KMS and a key in memory.
fn split(kms: AwsKmsProvider) -> Kuvert {
    Kuvert::new(AllOf::new([Arc::new(kms) as _, memory()]).unwrap())
}

#[test]
fn a_share_in_kms_that_names_pairs_tells_a_wrong_context() {
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    let (with, without) = (split(told(&fake, &arn)), split(provider(&fake.endpoint(), &arn)));
    let pairs = |tenant: &str| {
        EncryptionContext::new([("table", "users")]).unwrap().with_required("tenant", tenant).unwrap()
    };
    let sealed = with.seal(b"x", &pairs("a")).unwrap();
    assert_eq!(with.open(&sealed, &pairs("a")).unwrap().as_slice(), b"x");
    fake.take_actions();
    let wrong = with.open(&sealed, &pairs("b")).unwrap_err();
    assert!(matches!(wrong, OpenError::WrongContext(_)), "{wrong}");
    assert_eq!(fake.take_actions(), ["Decrypt"]);
    let missing = with.open(&sealed, &EncryptionContext::new([("table", "users")]).unwrap()).unwrap_err();
    assert!(matches!(missing, OpenError::WrongContext(_)), "{missing}");
    assert_eq!(fake.take_actions(), [""; 0], "what is missing is told without a call");

    // A pair that the configuration does not allow: not its key, and KMS hears nothing.
    let foreign = without.open(&sealed, &pairs("a")).unwrap_err();
    assert!(matches!(foreign, OpenError::KeyUnavailable(_)), "{foreign}");
    assert_eq!(fake.take_actions(), [""; 0]);

    // Refused where KMS was told nothing, and where it is the other share that does not fit: a wrong key.
    let plain = without.seal(b"x", &pairs("a")).unwrap();
    fake.fault(Rule::from(Fault::Refuse(400, "InvalidCiphertextException")).of("Decrypt"));
    let refused = without.open(&plain, &pairs("a")).unwrap_err();
    assert!(matches!(refused, OpenError::WrongKey(_)), "{refused}");
    fake.mend();
    let impostor = Arc::new(MemoryProvider::from_keys([("ours", [4; 32])]).unwrap());
    let other = Kuvert::new(AllOf::new([Arc::new(told(&fake, &arn)) as _, impostor.clone() as _]).unwrap());
    let refused = other.open(&sealed, &pairs("a")).unwrap_err();
    assert!(matches!(refused, OpenError::WrongKey(_)), "{refused}");
    // Both do not fit, in either order: it may be the context.
    for members in [[0, 1], [1, 0]] {
        let all: [Arc<dyn KeyProvider>; 2] = [Arc::new(told(&fake, &arn)), impostor.clone()];
        let other = Kuvert::new(AllOf::new(members.map(|n| Arc::clone(&all[n]))).unwrap());
        let refused = other.open(&sealed, &pairs("b")).unwrap_err();
        assert!(matches!(refused, OpenError::WrongContext(_)), "{refused}");
    }
    // A share that cannot be had is told as that.
    fake.set_state(&arn, KeyState::Disabled);
    let away = with.open(&sealed, &pairs("a")).unwrap_err();
    assert!(matches!(away, OpenError::KeyUnavailable(_)) && away.to_string().contains("disabled"), "{away}");
}

const CALLS: usize = 500;

/// Requests that so many calls of a guarded provider make while the service is down, with a client that would try twice.
fn requests(client_retries: bool, fault: Fault) -> usize {
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    let retries = aws_sdk_kms::config::retry::RetryConfig::standard().with_max_attempts(2);
    let config = config(&fake.endpoint(), REGION)
        .retry_config(retries.with_initial_backoff(Duration::from_millis(1)))
        .retry_partition(aws_sdk_kms::config::retry::RetryPartition::new(format!(
            "test-{client_retries}-{fault:?}"
        )));
    let kms = AwsKmsProvider::builder()
        .with_client(aws_sdk_kms::Client::from_conf(config.build()))
        .with_sealing_key(arn)
        .with_deadline(crate::stage::LONG)
        .with_client_retries(client_retries)
        .build()
        .unwrap();
    let options = GuardedOptions::default()
        .with_back_off(Duration::from_millis(1))
        .with_deadline(crate::stage::LONG)
        // The breaker would end all calls: here it is about those that are made.
        .with_breaker(BreakerOptions::default().with_min_calls(u32::MAX));
    let guarded = Guarded::new(kms, options);
    fake.fault(fault);
    for _ in 0..CALLS {
        let key = DataKey::copy_from(&[1; 32]);
        let error = block_on(guarded.wrap_data_key(&key, &wrap_context())).unwrap().unwrap_err();
        assert!(matches!(error.kind(), Kind::Unavailable | Kind::Throttled), "{error}");
    }
    fake.take_actions().len()
}

#[test]
fn under_a_guard_only_the_guard_repeats_calls() {
    for fault in [Fault::Status(503), Fault::throttle()] {
        let (one_layer, two_layers) = (requests(false, fault.clone()), requests(true, fault.clone()));
        println!(
            "{fault:?}: {CALLS} calls, {one_layer} requests, {two_layers} with the client's own retries"
        );
        assert!(one_layer > CALLS, "{fault:?}: the guard repeats nothing");
        // One of ten, and the ten that a guard has in hand at first.
        assert!(one_layer <= CALLS + CALLS / 10 + 10, "{fault:?}: {one_layer} requests");
        assert!(two_layers > one_layer + 20, "{fault:?}: {two_layers}: the second layer is not seen");
    }
}
