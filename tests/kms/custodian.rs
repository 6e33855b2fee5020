//! Creating keys and having them destroyed. (The suite has the rest: `conformance`.)

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kuvert::ProviderErrorKind as Kind;
use kuvert::blocking::{Kuvert, block_on};
use kuvert::clock::TestClock;
use kuvert::provider::KeyCustodian as _;
use kuvert::provider::aws_kms::AwsKmsCustodian;

use crate::stage::{REGION, client, context, failure, provider};
use crate::support::fake_kms::{FakeKms, Fault};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn custodian(fake: &FakeKms) -> AwsKmsCustodian {
    AwsKmsCustodian::new(client(&fake.endpoint(), REGION)).unwrap()
}

#[test]
fn a_created_key_works_until_its_deletion_is_scheduled() {
    let fake = FakeKms::start();
    let custodian = custodian(&fake).with_waiting_days(7).with_deadline(Duration::from_secs(60));
    let arn = block_on(custodian.create_wrapping_key("backup 2026")).unwrap().unwrap();
    let kuvert = Kuvert::new(provider(&fake.endpoint(), &arn));
    let sealed = kuvert.seal(b"x", &context()).unwrap();
    let before = SystemTime::now();
    let date = block_on(custodian.schedule_destruction(&arn)).unwrap().unwrap();
    let days = date.duration_since(before).unwrap();
    // The date is in whole seconds.
    assert!(days > 7 * DAY - Duration::from_secs(2) && days < 8 * DAY, "{days:?}");
    assert!(kuvert.open(&sealed, &context()).is_err() && kuvert.seal(b"x", &context()).is_err());
    let again = block_on(custodian.schedule_destruction(&arn)).unwrap().unwrap_err();
    assert_eq!(again.kind(), Kind::PendingDeletion);
}

#[test]
fn what_is_no_key_of_this_region_is_not_destroyed() {
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    for (id, kind) in [
        (arn.replace(REGION, "eu-west-1"), Kind::Misconfigured),
        (arn.replace("key/", "alias/"), Kind::Misconfigured),
        ("alias/backup".to_owned(), Kind::Misconfigured),
        (arn.rsplit('/').next().unwrap().to_owned(), Kind::NotFound),
        (format!("{arn}!"), Kind::NotFound),
        (String::new(), Kind::NotFound),
    ] {
        let error = block_on(custodian(&fake).schedule_destruction(&id)).unwrap().unwrap_err();
        assert_eq!(error.kind(), kind, "{id}: {error}");
    }
    let error = block_on(custodian(&fake).create_wrapping_key("")).unwrap().unwrap_err();
    assert_eq!(error.kind(), Kind::Misconfigured);
    assert_eq!(fake.take_actions(), [""; 0]);
}

#[test]
fn failures_and_silence_are_told() {
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    fake.fault(Fault::Refuse(400, "AccessDeniedException"));
    let error = block_on(custodian(&fake).schedule_destruction(&arn)).unwrap().unwrap_err();
    assert_eq!((error.kind(), error.key_id()), (Kind::AccessDenied, Some(&*arn)));
    assert_eq!(failure(&error).region(), REGION);
    let error = block_on(custodian(&fake).create_wrapping_key("x")).unwrap().unwrap_err();
    assert_eq!(error.kind(), Kind::AccessDenied);

    fake.mend();
    fake.fault(Fault::Silence);
    let clock = TestClock::new();
    let custodian = custodian(&fake).with_clock(Arc::new(clock.clone()));
    let waiting = std::thread::spawn(move || block_on(custodian.create_wrapping_key("x")).unwrap());
    while clock.sleepers() == 0 {
        std::thread::yield_now();
    }
    clock.advance(Duration::from_secs(3));
    assert_eq!(waiting.join().unwrap().unwrap_err().kind(), Kind::Timeout);

    fake.mend();
    fake.fault(Fault::Replace("KeyId", fake.create_key(REGION).into()));
    let fresh = AwsKmsCustodian::new(client(&fake.endpoint(), REGION)).unwrap();
    let error = block_on(fresh.schedule_destruction(&arn)).unwrap().unwrap_err();
    assert_eq!(error.kind(), Kind::Other, "{error}");
}
