//! Planted names, requests, cases, context values and plaintexts: searched for in every file and in everything that is said.

use std::{
    fmt::Debug,
    fs,
    sync::{Arc, Mutex},
};

use kuvert::{
    Cell, EncryptionContext, RecordError, SubjectError,
    keystore::{EpochClass, JointEnds},
    observe::{Event, Observer},
    subjects::RollOptions,
};

use crate::{
    search::{files_of, has, read},
    world::{LIVE, ROOT, WEEK_1, WEEK_2, World, wait},
};

const PLANTED: [&str; 8] = [
    "planted-anna",
    "planted-bo",
    "planted-scope",
    "planted-request",
    "planted-case",
    "planted-row",
    "planted-value",
    "planted-plaintext",
];

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
        assert!(!has(bytes, planted), "{what} has {planted:?}");
    }
}

/// All that was said, to be searched at once.
#[derive(Default)]
struct Said(String);

impl Said {
    fn note(&mut self, thing: &dyn Debug) {
        self.0.push_str(&format!("{thing:?} {thing:#?}\n"));
    }

    fn error<T>(&mut self, result: Result<T, impl std::error::Error>) {
        let mut error: Option<&dyn std::error::Error> = None;
        let failed = result.err().expect("it has to fail");
        error.get_or_insert(&failed);
        while let Some(said) = error {
            self.0.push_str(&format!("{said} {said:?}\n"));
            error = said.source();
        }
    }
}

fn cell() -> Cell<'static> {
    Cell::new("people", "email", "planted-row")
}

#[test]
fn nothing_personal_is_in_any_file_or_word() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::make(folder.path());
    drop(world.init());
    let (events, mut said) = (Arc::new(Events::default()), Said::default());
    let options = world.options().with_observer(events.clone());
    let keys = world.keys(&[WEEK_1, ROOT]);
    let subjects = wait(kuvert::Subjects::open(world.store(LIVE), keys, options)).unwrap();
    let scope = subjects.scope("planted-scope").with_caller("a clerk").with_purpose("invoicing");
    let anna = scope.subject("planted-anna");
    let both = scope.joint(["planted-anna", "planted-bo"], JointEnds::WithTheLast);
    let sealed = wait(anna.seal("planted-plaintext", cell())).unwrap();
    let hash = wait(scope.credentials("planted-anna").seal("planted-plaintext", cell())).unwrap();
    let shared = wait(both.seal("planted-plaintext", cell())).unwrap();
    let context = EncryptionContext::empty().with_required("what", "planted-value").unwrap();
    let message = wait(anna.seal_message(b"planted-plaintext", &context)).unwrap();
    for bytes in [sealed.as_bytes(), hash.as_bytes(), shared.as_bytes(), &message] {
        assert_clean("a record or message", bytes);
    }

    let of_case = scope.subject("planted-bo");
    assert!(wait(scope.hold(&of_case, "planted-case")).unwrap());
    said.error(wait(scope.erase(&of_case, "planted-request")));
    // With the log, before anything empties it.
    search_files(&world);
    said.error(wait(scope.open(&sealed, Cell::new("people", "email", "planted-row-2"))).map(drop));
    said.error(wait(of_case.open(&sealed, cell())).map(drop));
    said.error(wait(subjects.scope("planted-scope-2").open(&sealed, cell())).map(drop));
    said.error(wait(scope.subject("planted-anna".repeat(100)).seal("planted-plaintext", cell())).map(drop));
    said.error(wait(scope.erase(&anna, "planted-request".repeat(100))).map(drop));
    said.error(wait(scope.hold(&anna, "")).map(drop));

    let receipt = wait(scope.erase(&anna, "planted-request")).unwrap();
    said.note(&receipt);
    said.note(&wait(scope.erase(&anna, "planted-request")).unwrap());
    said.error(wait(scope.open(&sealed, cell())).map(drop));
    said.error(wait(anna.seal("planted-plaintext", cell())).map(drop));
    said.error(wait(scope.open_message(&message, &context)).map(drop));
    said.note(&wait(scope.prove_erased(&[&sealed, &hash])).unwrap());
    for class in [EpochClass::Subjects, EpochClass::Credentials] {
        let options = RollOptions::default().with_class(class);
        said.note(&wait(subjects.roll_epoch(world.keys(&[WEEK_2]), options)).unwrap());
    }
    said.note(&world.back_up(&subjects, "keys.kuvert"));
    said.note(&world.check("keys.kuvert", &[WEEK_2, ROOT]));
    said.note(&wait(subjects.verify_receipts()).unwrap());
    let things: [&dyn Debug; 6] = [&subjects, &scope, &anna, &both, &sealed, &cell()];
    things.into_iter().for_each(|thing| said.note(thing));
    assert_clean("what was said", said.0.as_bytes());
    let told = events.0.lock().unwrap().clone();
    assert!(told.contains("Erase") && told.contains("invoicing"), "{told}");
    assert_clean("events", told.as_bytes());
    search_files(&world);
    assert_clean("a sealed backup", &fs::read(world.path("keys.kuvert")).unwrap());
    assert_clean("the anchor", &fs::read(world.path("tombstones.anchor")).unwrap());
}

/// The file of the key store, and what SQLite keeps beside it.
fn search_files(world: &World) {
    let files = files_of(&world.path(LIVE));
    assert!(files.len() > 1, "the log is searched as well: {files:?}");
    let all: Vec<u8> = files.iter().flat_map(|file| read(file)).collect();
    assert_clean("the key store", &all);
}

#[test]
fn what_is_planted_in_clear_is_found() {
    let told = std::panic::catch_unwind(|| assert_clean("a row", b"\0\0planted-bo\0"));
    assert!(told.is_err());
    let mut said = Said::default();
    said.error::<()>(Err(SubjectError::Key(RecordError::Denied("no planted-case today"))));
    assert!(std::panic::catch_unwind(|| assert_clean("an error", said.0.as_bytes())).is_err());
}
