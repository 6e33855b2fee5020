//! The contract of key providers, over the fake.

use kuvert::ProviderErrorKind as Kind;
use kuvert::blocking::block_on;
use kuvert::clock::TestClock;
use kuvert::provider::aws_kms::{AwsKmsBuilder, AwsKmsCustodian, AwsKmsProvider};
use kuvert::provider::conformance::{Clause, Conformance, Report};
use kuvert::{Recipient, RecipientType};
use std::sync::Arc;
use std::time::Duration;

use crate::stage::{REGION, builder, client, provider, wrap_context};
use crate::support::fake_kms::{FakeKms, Fault, KeyState};

/// By the provider's own clock.
const DEADLINE: Duration = Duration::from_secs(3);

/// Makes a provider over the server at this address that seals with this key.
type Make = dyn Fn(&str, &str) -> AwsKmsBuilder;

/// The same provider over a fake of its own that has the same key and one fault.
fn spoiled(make: &Make, arn: &str, spoil: impl Fn(&FakeKms)) -> (FakeKms, AwsKmsBuilder) {
    let fake = FakeKms::start();
    fake.create_key_named(arn);
    spoil(&fake);
    let builder = make(&fake.endpoint(), arn);
    (fake, builder)
}

fn failing(make: &Make, arn: &str) -> Vec<(FakeKms, AwsKmsProvider, Kind)> {
    let one = |kind, spoil: &dyn Fn(&FakeKms)| {
        let (fake, builder) = spoiled(make, arn, spoil);
        (fake, builder.build().unwrap(), kind)
    };
    vec![
        one(Kind::Disabled, &|fake| fake.set_state(arn, KeyState::Disabled)),
        one(Kind::PendingDeletion, &|fake| fake.set_state(arn, KeyState::PendingDeletion)),
        one(Kind::NotFound, &|fake| fake.delete(arn)),
        one(Kind::AccessDenied, &|fake| fake.fault(Fault::Refuse(400, "AccessDeniedException"))),
        one(Kind::Throttled, &|fake| fake.fault(Fault::throttle())),
        one(Kind::Unavailable, &|fake| fake.fault(Fault::Status(503))),
    ]
}

fn run(fake: &FakeKms, make: &Make, wrong: &dyn Fn(&str) -> Vec<Recipient>) -> Report {
    let (arn, other) = (fake.create_key(REGION), fake.create_key(REGION));
    let (own, stranger) = (make(&fake.endpoint(), &arn), make(&fake.endpoint(), &other));
    let (own, stranger) = (own.build().unwrap(), stranger.build().unwrap());
    let (_impostors, impostor) = spoiled(make, &arn, |_| {});
    let impostor = impostor.build().unwrap();
    let failing = failing(make, &arn);
    let (_hung, hung) = spoiled(make, &arn, |fake| fake.fault(Fault::Silence));
    let clock = TestClock::new();
    let hung = hung.with_clock(Arc::new(clock.clone())).with_deadline(DEADLINE).build().unwrap();
    let custodian = AwsKmsCustodian::new(client(&fake.endpoint(), REGION)).unwrap();
    let mut suite = Conformance::new(&own)
        .with_stranger(&stranger)
        .with_impostor(&impostor)
        .with_hung(&hung, clock, DEADLINE)
        .with_custodian(&custodian, "made by the suite")
        .with_secret("secret-of-nobody")
        .with_callers(100)
        .with_bit_step(5);
    for (_, provider, kind) in &failing {
        suite = suite.with_failing(provider, *kind);
    }
    for recipient in wrong(&arn) {
        suite = suite.with_wrong_length(recipient);
    }
    block_on(suite.run()).unwrap()
}

fn assert_kept(report: &Report, skipped: &[Clause]) {
    assert!(report.is_conformant(), "{report}");
    let found: Vec<Clause> = report.skipped().iter().map(|(clause, _)| *clause).collect();
    assert_eq!(found, skipped, "{report}");
}

/// A slow answer is a test of its own (`deadlines`): by a clock that the suite turns, no real server has any time.
const NO_TEST_OF_SLOW: Clause = Clause::Slow;

fn plain(endpoint: &str, arn: &str) -> AwsKmsBuilder {
    builder(endpoint).with_sealing_key(arn)
}

#[test]
fn a_symmetric_key() {
    let fake = FakeKms::start();
    let wrong = |arn: &str| {
        let wrap = |len| fake.wrap(arn, &vec![7; len], &[]);
        [31, 33, 1, 64].map(|len| Recipient::new(RecipientType::AWS_KMS, arn, [0], wrap(len))).to_vec()
    };
    assert_kept(&run(&fake, &plain, &wrong), &[Clause::Context, NO_TEST_OF_SLOW]);
}

#[test]
fn a_symmetric_key_that_is_told_pairs_of_the_context() {
    let told = |endpoint: &str, arn: &str| plain(endpoint, arn).with_kms_context(["tenant"]);
    assert_kept(&run(&FakeKms::start(), &told, &|_| vec![]), &[Clause::WrongLength, NO_TEST_OF_SLOW]);
}

#[test]
fn a_symmetric_key_with_the_services_randomness() {
    let mixing = |endpoint: &str, arn: &str| plain(endpoint, arn).with_kms_randomness(true);
    let skipped = [Clause::Context, Clause::WrongLength, NO_TEST_OF_SLOW];
    assert_kept(&run(&FakeKms::start(), &mixing, &|_| vec![]), &skipped);
}

#[test]
fn a_server_that_knows_no_trials() {
    let skipped = [Clause::Context, Clause::WrongLength, NO_TEST_OF_SLOW];
    assert_kept(&run(&FakeKms::start().without_trials(), &plain, &|_| vec![]), &skipped);
}

#[test]
fn an_rsa_key() {
    let fake = FakeKms::start();
    let (arn, other) = (fake.create_rsa_key(REGION, 2048), fake.create_rsa_key(REGION, 2048));
    let of = |fake: &FakeKms, arn: &str| {
        let key = fake.public_key(arn);
        builder(&fake.endpoint()).with_sealing_key(arn).with_public_key(arn, key).build().unwrap()
    };
    let (own, stranger) = (of(&fake, &arn), of(&fake, &other));
    // Sealed with another key's public half under this key's name.
    let impostor =
        builder(&fake.endpoint()).with_sealing_key(&arn).with_public_key(&arn, fake.public_key(&other));
    let impostor = impostor.build().unwrap();
    let custodian = AwsKmsCustodian::new(client(&fake.endpoint(), REGION)).unwrap();
    let suite = Conformance::new(&own)
        .with_context(wrap_context())
        .with_stranger(&stranger)
        .with_impostor(&impostor)
        .with_custodian(&custodian, "made by the suite")
        .with_callers(100)
        .with_bit_step(41);
    let report = block_on(suite.run()).unwrap();
    // The public half still wraps when the key is gone: so the clause about custody is not for this one.
    let failed: Vec<Clause> = report.failures().iter().map(|failure| failure.clause()).collect();
    assert_eq!(failed, [Clause::Custody], "{report}");
    assert!(report.failures()[0].what().contains("still seals"), "{report}");
}

#[test]
fn within_a_runtime_of_several_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    let own = provider(&fake.endpoint(), &arn);
    let suite = Conformance::new(&own).with_callers(100).with_bit_step(23);
    // On a thread of the runtime, where the provider finds it.
    let report = runtime.block_on(suite.run());
    assert!(report.is_conformant(), "{report}");
}
