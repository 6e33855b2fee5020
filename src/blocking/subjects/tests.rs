//! Every plain call does what its async twin does, and none within another.

use super::*;
use crate::{
    error::Category,
    format::context::EncryptionContext,
    front::{Cell, MessageStart},
    keystore::{JointEnds, MemoryKeyStore},
    provider::MemoryProvider,
};

fn cell() -> Cell<'static> {
    Cell::new("t", "c", 1)
}

fn subjects() -> (Arc<MemoryKeyStore>, Arc<MemoryProvider>, Subjects) {
    let store = Arc::new(MemoryKeyStore::new());
    let keys = Arc::new(MemoryProvider::from_keys([("k", [1; 32])]).unwrap());
    let options = SubjectsOptions::default();
    let subjects = Subjects::init(store.clone(), keys.clone(), keys.clone(), options).unwrap();
    (store, keys, subjects)
}

#[test]
fn every_call_does_what_its_async_twin_does() {
    let (store, keys, subjects) = subjects();
    let scope = subjects.scope("tenant").with_caller("test").with_purpose("testing");
    let anna = scope.subject("anna");
    let sealed = anna.seal("x", cell()).unwrap();
    assert_eq!((*scope.open(&sealed, cell()).unwrap()).clone(), "x");
    assert_eq!((*anna.open(&sealed, cell()).unwrap()).clone(), "x");
    assert_eq!(anna.rotate().unwrap(), 2);
    assert!(scope.needs_reseal(&sealed).unwrap());
    let page =
        [scope.class("k"), scope.credentials("anna"), scope.joint(["anna", "bo"], JointEnds::WithTheFirst)];
    let page = scope.seal_many(page.map(|subject| (subject, &7_u8, cell()))).unwrap();
    let page: Vec<_> = page.into_iter().map(Result::unwrap).collect();
    let opened = scope.open_many(page.iter().map(|sealed| (sealed, cell()))).unwrap();
    assert!(opened.into_iter().all(|opened| *opened.unwrap() == 7));
    assert_eq!(scope.blind_index("email", "x", 8).unwrap().len(), 8);

    let context = EncryptionContext::empty();
    let message = anna.seal_message(b"hers", &context).unwrap();
    assert_eq!(scope.open_message(&message, &context).unwrap().as_slice(), b"hers");
    let (streamed, _) = anna.sealer(&context).unwrap().into_writer(Vec::new()).finish().unwrap();
    let mut source = streamed.as_slice();
    let start = MessageStart::read(&mut source).unwrap();
    assert_eq!(scope.opener(start, &context).unwrap().into_reader(source).verify().unwrap().plaintext_len, 0);

    let again = Subjects::open(store, keys.clone(), SubjectsOptions::default()).unwrap();
    assert_eq!((*again.scope("tenant").open(&sealed, cell()).unwrap()).clone(), "x");
    assert!(again.cache_stats().entries == 1);
    again.clear_cache();
    assert!(again.cache_stats().entries == 0);
    assert_eq!(again.roll_epoch(keys, RollOptions::default()).unwrap().retired.len(), 1);

    assert!(scope.hold(&anna, "case").unwrap());
    assert_eq!(scope.erase(&anna, "request").unwrap_err().category(), Category::Refused);
    assert!(scope.release(&anna, "case").unwrap());
    scope.erase(&anna, "request").unwrap();
    assert!(matches!(scope.open(&sealed, cell()), Err(RecordError::Erased { .. })));
    let renewed = anna.clone().of_new_person();
    assert_eq!(renewed.pseudonym().unwrap(), anna.pseudonym().unwrap());
    assert!(anna.seal("x", cell()).is_err());
    renewed.seal("x", cell()).unwrap();
    subjects.verify_receipts().unwrap();
}

#[test]
fn a_nested_call_is_a_usage_error_and_not_a_deadlock() {
    let (_, _, subjects) = subjects();
    let scope = subjects.scope("tenant");
    let nested = block_on(async {
        let sealed = scope.subject("anna").seal("x", cell()).map(drop);
        let message = scope.subject("anna").seal_message(b"x", &EncryptionContext::empty()).map(drop);
        (sealed.unwrap_err().category(), message.unwrap_err().category())
    });
    assert_eq!(nested.unwrap(), (Category::Usage, Category::Usage));
}
