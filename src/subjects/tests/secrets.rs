//! Planted names, scopes, cells and plaintexts: searched for in everything that leaves the process or can be shown.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};

use super::stage::{Play, ready, seal};
use crate::{
    error::{KeyStoreErrorKind, RecordError},
    format::context::EncryptionContext,
    front::Cell,
    keystore::{Entry, JointEnds, KeyStore, Snapshot},
    observe::{Event, Observer},
    subjects::{SubjectsOptions, Value},
};

const PLANTED: [&str; 6] =
    ["planted-anna", "planted-bo", "planted-tenant", "planted-row", "planted-plaintext", "planted-value"];

fn cell() -> Cell<'static> {
    Cell::new("customers", "email", "planted-row")
}

/// Every event, as it can be shown.
#[derive(Debug, Default)]
struct Events(Mutex<String>);

impl Observer for Events {
    fn event(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push_str(&format!("{event:?}\n"));
    }
}

fn assert_clean(what: &str, bytes: &[u8]) {
    assert!(!bytes.is_empty(), "{what}: there is nothing to search");
    for planted in PLANTED {
        let found = bytes.windows(planted.len()).any(|window| window == planted.as_bytes());
        assert!(!found, "{what} has {planted:?}");
    }
}

fn shown(things: &[&dyn Debug]) -> Vec<u8> {
    things.iter().map(|thing| format!("{thing:?} {thing:#?}\n")).collect::<String>().into_bytes()
}

/// What a snapshot of the store holds, byte by byte.
fn rows(store: &impl KeyStore) -> Vec<u8> {
    let mut all = Vec::new();
    let mut snapshot: Box<dyn Snapshot> = ready(store.snapshot()).unwrap();
    loop {
        let entries = ready(snapshot.next(100)).unwrap();
        if entries.is_empty() {
            return all;
        }
        for entry in entries {
            match entry {
                Entry::Root(envelope) => all.extend(envelope),
                Entry::Epoch(row) => all.extend(row.envelope),
                Entry::Subject(row) => {
                    all.extend([&row.pseudonym[..], &row.scope, &row.sealed_key].concat());
                }
                Entry::Joint(joint) => all.extend(joint.members.concat()),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn nothing_planted_is_found_anywhere() {
    let events = Arc::new(Events::default());
    let play = Play::with(SubjectsOptions::default().with_observer(events.clone()));
    let scope = play.subjects.scope("planted-tenant").with_caller("billing").with_purpose("invoicing");
    let (anna, both) =
        (scope.subject("planted-anna"), scope.joint(["planted-anna", "planted-bo"], JointEnds::WithTheLast));
    let sealed = ready(anna.seal("planted-plaintext", cell())).unwrap();
    let shared = ready(both.seal("planted-plaintext", cell())).unwrap();
    let context = EncryptionContext::empty().with_required("what", "planted-value").unwrap();
    let message = ready(anna.seal_message(b"planted-plaintext", &context)).unwrap();
    let opened = ready(scope.open(&sealed, cell())).unwrap();

    assert_clean("records", &[sealed.as_bytes(), shared.as_bytes(), &message].concat());
    assert_clean("rows", &rows(&play.stage.inner));
    let things: [&dyn Debug; 8] =
        [&play.subjects, &scope, &anna, &both, &sealed, &opened, play.subjects.shared(), &cell()];
    assert_clean("debug", &shown(&things));

    let mut errors: Vec<RecordError> = Vec::new();
    let other = play.subjects.scope("planted-tenant-2");
    errors.push(ready(other.open(&sealed, cell())).map(drop).unwrap_err());
    errors.push(ready(scope.open(&sealed, Cell::new("t", "c", "planted-row-2"))).map(drop).unwrap_err());
    errors.push(ready(scope.subject("planted-bo").open(&sealed, cell())).map(drop).unwrap_err());
    errors.push(ready(scope.subject("planted-anna".repeat(100)).seal("x", cell())).map(drop).unwrap_err());
    let long = play.subjects.scope("planted-tenant".repeat(20));
    errors.push(ready(long.subject("a").seal("planted-plaintext", cell())).map(drop).unwrap_err());
    errors.push(
        ready(scope.joint(["planted-anna"], JointEnds::WithTheLast).seal("x", cell())).map(drop).unwrap_err(),
    );
    let as_number = crate::subjects::Sealed::<u64>::from_bytes(sealed.as_bytes().to_vec());
    errors.push(ready(scope.open(&as_number, cell())).map(drop).unwrap_err());
    play.bury(&anna);
    play.subjects.clear_cache();
    errors.push(ready(scope.open(&sealed, cell())).map(drop).unwrap_err());
    errors.push(ready(anna.seal("planted-plaintext", cell())).map(drop).unwrap_err());
    play.stage.fail(Some(KeyStoreErrorKind::Unavailable));
    errors.push(ready(scope.subject("planted-bo").seal("planted-plaintext", cell())).map(drop).unwrap_err());
    let of_message = ready(other.open_message(&message, &context)).map(drop).unwrap_err();
    let mut said = shown(&[&errors, &of_message]);
    errors.iter().for_each(|error| said.extend(error.to_string().into_bytes()));
    said.extend(of_message.to_string().into_bytes());
    assert_clean("errors", &said);
    assert_clean("events", events.0.lock().unwrap().as_bytes());
}

/// A search that finds nothing has to be able to find something.
#[test]
fn what_is_planted_in_clear_is_found() {
    let found = std::panic::catch_unwind(|| assert_clean("a text", b"an error about planted-anna's row"));
    assert!(found.is_err());
    let play = Play::new();
    let sealed = seal(&play.subjects.scope("tenant").subject("anna"), "planted-plaintext");
    let opened = ready(play.subjects.scope("tenant").open(&sealed, super::stage::cell(1))).unwrap();
    let found = std::panic::catch_unwind(|| {
        opened.with_bytes(|bytes| assert_clean("a value", bytes)).unwrap();
    });
    assert!(found.is_err());
}
