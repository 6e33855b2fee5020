//! Whole lives of messages: sealed, opened, rewrapped, rotated under, and what becomes of them when the key is not there.

use kuvert::blocking::Kuvert;
use kuvert::{Category, Cell, OpenError, ProviderErrorKind as Kind};

use crate::stage::{REGION, builder, context, provider};
use crate::support::fake_kms::{FakeKms, Fault, KeyState};

#[test]
fn what_was_sealed_before_a_rotation_opens_after_it() {
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    let kuvert = Kuvert::new(provider(&fake.endpoint(), &arn));
    let old = kuvert.seal(b"old", &context()).unwrap();
    fake.rotate(&arn);
    let new = kuvert.seal(b"new", &context()).unwrap();
    assert_eq!(kuvert.open(&old, &context()).unwrap().as_slice(), b"old");
    assert_eq!(kuvert.open(&new, &context()).unwrap().as_slice(), b"new");
}

#[test]
fn records_under_a_key_in_kms() {
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    let told = builder(&fake.endpoint()).with_sealing_key(&arn).with_kms_context(["tenant"]).build().unwrap();
    let kuvert = Kuvert::new(told);
    let (key, envelope) = kuvert.new_record_key(&context()).unwrap();
    let record = key.seal(b"anna", &Cell::new("users", "name", "1")).unwrap();
    let again = kuvert.load_record_key(&envelope, &context()).unwrap();
    assert_eq!(again.open(&record, &Cell::new("users", "name", "1")).unwrap().as_slice(), b"anna");
    assert_eq!(fake.take_actions(), ["Encrypt", "Decrypt"]);
}

#[test]
fn each_state_of_the_key_is_told_apart() {
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    let kuvert = Kuvert::new(provider(&fake.endpoint(), &arn));
    let sealed = kuvert.seal(b"x", &context()).unwrap();
    let opens = |wanted: Kind| {
        let error = kuvert.open(&sealed, &context()).unwrap_err();
        assert_eq!(error.category(), Category::KeyUnavailable);
        let OpenError::KeyUnavailable(keys) = &error else { panic!("{error}") };
        let kinds: Vec<_> =
            keys.0.iter().filter_map(|tried| tried.error.as_ref()).map(kuvert::ProviderError::kind).collect();
        assert_eq!(kinds, [wanted], "{error}");
    };
    fake.set_state(&arn, KeyState::Disabled);
    opens(Kind::Disabled);
    fake.set_state(&arn, KeyState::PendingDeletion);
    opens(Kind::PendingDeletion);
    fake.set_state(&arn, KeyState::Enabled);
    fake.fault(Fault::Refuse(400, "AccessDeniedException"));
    opens(Kind::AccessDenied);
    fake.mend();
    assert_eq!(kuvert.open(&sealed, &context()).unwrap().as_slice(), b"x");
    fake.delete(&arn);
    opens(Kind::NotFound);
}
