//! Whole lives of messages: sealed, opened, rewrapped, rotated under, and what becomes of them when the key is not there.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use kuvert::blocking::{Kuvert, block_on};
use kuvert::provider::{AnyOf, MemoryProvider};
use kuvert::{Category, Cell, OpenError, ProviderErrorKind as Kind, SealError};

use crate::stage::{REGION, builder, context, provider};
use crate::support::fake_kms::{FakeKms, Fault, KeyState};
use crate::support::fixture::write_key_file;
use crate::support::python;

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
    // A region in which there is no such key says the same.
    let elsewhere = provider(&fake.endpoint(), &arn.replace(REGION, "eu-west-1"));
    let error = Kuvert::new(elsewhere).seal(b"x", &context()).unwrap_err();
    assert!(matches!(&error, SealError::Provider(error) if error.kind() == Kind::NotFound), "{error}");
}

#[test]
fn a_message_is_rewrapped_from_one_key_to_another() {
    let fake = FakeKms::start();
    let (old, new) = (fake.create_key(REGION), fake.create_key("eu-west-1"));
    let (old_keys, new_keys) = (provider(&fake.endpoint(), &old), provider(&fake.endpoint(), &new));
    let sealed = Kuvert::new(old_keys.clone()).seal(b"x", &context()).unwrap();
    let rewrap = kuvert::Kuvert::new(old_keys.clone()).rewrap_to(new_keys.clone());
    let (moved, _) = block_on(rewrap.message(&sealed, &context())).unwrap().unwrap();
    fake.set_state(&old, KeyState::PendingDeletion);
    assert_eq!(Kuvert::new(new_keys).open(&moved, &context()).unwrap().as_slice(), b"x");
    fake.take_actions();
    assert!(matches!(Kuvert::new(old_keys).open(&moved, &context()), Err(OpenError::KeyUnavailable(_))));
    assert_eq!(fake.take_actions(), [""; 0]);
}

#[test]
fn a_message_of_two_recipients_opens_without_kuvert_by_the_key_file() {
    let Some(python) = python::required("a_message_of_two_recipients_opens_without_kuvert_by_the_key_file")
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    write_key_file(&key_file, "break-glass", &[0x42; 32]);
    let fake = FakeKms::start();
    let in_kms = provider(&fake.endpoint(), &fake.create_key(REGION));
    let in_file = MemoryProvider::from_key_file(&key_file).unwrap();
    let both = AnyOf::new([Arc::new(in_kms.clone()) as _, Arc::new(in_file) as _]).unwrap();
    let sealed = Kuvert::new(both).seal(b"for two", &context()).unwrap();
    std::fs::write(folder.path().join("sealed"), &sealed).unwrap();
    assert_eq!(Kuvert::new(in_kms).open(&sealed, &context()).unwrap().as_slice(), b"for two");

    let opened = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/open_without_kuvert.py"))
        .args(["-k", "key", "-c", "tenant=value-of-a-pair-93ac", "-c", "table=users", "sealed"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
    assert_eq!(opened.stdout, b"for two");
}
