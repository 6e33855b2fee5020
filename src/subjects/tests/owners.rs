//! Whose a key is: names, scopes, classes and versions, erased people, and rows that somebody exchanged.

use std::time::{Duration, SystemTime};

use super::stage::{Play, cell, ready, seal, text};
use crate::{
    error::{Category, RecordError, SubjectError},
    front::Cell,
    keystore::{JointEnds, KeyStore, Lookup},
    subjects::{Sealed, Subjects, SubjectsOptions},
};

#[test]
fn a_record_opens_by_its_reference_in_every_process() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let email = seal(&scope.subject("anna"), "anna@example.se");
    let again = seal(&scope.subject("anna"), "anna@example.se");
    assert_eq!(email.claimed_reference(), again.claimed_reference());
    assert_ne!(email, again);
    for subjects in [&play.subjects, &play.another()] {
        let scope = subjects.scope("tenant");
        assert_eq!(text(ready(scope.open(&email, cell(1)))).unwrap(), "anna@example.se");
        assert_eq!(text(ready(scope.subject("anna").open(&email, cell(1)))).unwrap(), "anna@example.se");
    }
}

#[test]
fn what_is_another_s_is_refused() {
    let play = Play::new();
    let (scope, other) = (play.subjects.scope("tenant"), play.subjects.scope("other"));
    let email = seal(&scope.subject("anna"), "anna@example.se");
    let reference = email.claimed_reference().unwrap();
    let is_other_owner = |opened: Result<_, RecordError>| matches!(opened.unwrap_err(), RecordError::OtherOwner { reference: told } if told == reference);
    // Cached, and looked up.
    for subjects in [&play.subjects, &play.another()] {
        assert!(is_other_owner(text(ready(subjects.scope("other").open(&email, cell(1))))));
        let scope = subjects.scope("tenant");
        assert!(is_other_owner(text(ready(scope.subject("bo").open(&email, cell(1))))));
        assert!(is_other_owner(text(ready(scope.class("anna").open(&email, cell(1))))));
        let page = ready(subjects.scope("other").open_many([(&email, cell(1))])).unwrap().pop().unwrap();
        assert!(is_other_owner(text(page)));
        let moved = text(ready(scope.open(&email, cell(2))));
        assert!(matches!(moved, Err(RecordError::Tampered)));
        let elsewhere = ready(scope.open(&email, Cell::new("customers", "phone", 1)));
        assert!(matches!(text(elsewhere), Err(RecordError::Tampered)));
    }
    let sealed = ready(scope.seal_many([(other.subject("anna"), "x", cell(1))])).unwrap().pop().unwrap();
    assert!(matches!(sealed, Err(RecordError::OtherOwner { .. })));
    assert!(matches!(ready(other.needs_reseal(&email)), Err(RecordError::OtherOwner { .. })));
}

#[test]
fn what_is_no_record_costs_no_call() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let calls = play.stage.all_calls();
    let opened =
        |bytes: &[u8]| text(ready(scope.open(&Sealed::from_bytes(bytes.to_vec()), cell(1)))).unwrap_err();
    assert_eq!(opened(b"").category(), Category::Truncated);
    assert_eq!(opened(b"anna@example.se").category(), Category::Malformed);
    assert_eq!(opened(&[0xf9; 60]).category(), Category::Unsupported);
    assert_eq!(opened(&[0xf8; 48]).category(), Category::Truncated);
    assert_eq!(opened(&[vec![0xf8], vec![0; (1 << 20) + 49]].concat()).category(), Category::LimitExceeded);
    assert_eq!(play.stage.all_calls(), calls);
    let unknown = opened(&[0xf8; 60]);
    assert!(matches!(unknown, RecordError::KeyUnavailable { reference: 0xf8f8_f8f8_f8f8_f8f8 }));
    assert_eq!(play.stage.all_calls(), calls + 1);
}

#[test]
fn a_record_of_another_type_is_told() {
    let play = Play::new();
    let scope = play.subjects.scope("");
    let sealed = ready(scope.subject("anna").seal(&7_u64, cell(1))).unwrap();
    assert_eq!(*ready(scope.open(&sealed, cell(1))).unwrap(), 7);
    let as_flag = Sealed::<bool>::from_bytes(sealed.into_bytes());
    let told = ready(scope.open(&as_flag, cell(1))).unwrap_err();
    assert!(matches!(told, RecordError::WrongType { expected: "yes or no" }));
}

#[test]
fn names_and_scopes_have_their_lengths() {
    let play = Play::with(SubjectsOptions::default().with_max_name_len(100));
    let calls = play.stage.all_calls();
    let sealed = |scope: &str, name: &str| {
        ready(play.subjects.scope(scope).subject(name).seal("x", cell(1))).map_err(|error| error.category())
    };
    assert_eq!(sealed("tenant", "").unwrap_err(), Category::Usage);
    assert_eq!(sealed("tenant", &"n".repeat(101)).unwrap_err(), Category::LimitExceeded);
    assert_eq!(sealed(&"s".repeat(256), "anna").unwrap_err(), Category::Usage);
    assert_eq!(sealed("tenant", &"n".repeat(1 << 20)).unwrap_err(), Category::LimitExceeded);
    assert_eq!(play.stage.all_calls(), calls);
    sealed(&"s".repeat(255), &"n".repeat(100)).unwrap();
    sealed("", "n").unwrap();

    let scope = play.subjects.scope("tenant");
    let joint = |members: &[&'static str]| {
        let joint = scope.joint(members.iter().copied(), JointEnds::WithTheLast);
        ready(joint.seal("x", cell(1))).map(drop).map_err(|error| error.category())
    };
    for bad in [&["anna"][..], &[], &["anna", "anna"], &["anna", ""], &["m"; 65]] {
        assert_eq!(joint(bad), Err(Category::Usage), "{}", bad.len());
    }
    assert_eq!(joint(&["anna", "bo"]), Ok(()));
}

#[test]
fn a_name_means_another_key_in_each_of_its_senses() {
    let play = Play::new();
    let [one, other] = ["one", "other"].map(|name| play.subjects.scope(name));
    let members = ["anna", "bo"];
    let subjects = [
        one.subject("anna"),
        other.subject("anna"),
        one.subject("bo"),
        one.class("anna"),
        one.credentials("anna"),
        one.joint(members, JointEnds::WithTheLast),
        one.joint(members, JointEnds::WithTheFirst),
        one.joint(["anna", "bo", "cea"], JointEnds::WithTheFirst),
    ];
    let references: std::collections::HashSet<_> =
        subjects.iter().map(|subject| seal(subject, "x").claimed_reference()).collect();
    assert_eq!(references.len(), subjects.len());
    let turned = one.joint(["bo", "anna"], JointEnds::WithTheLast);
    assert_eq!(turned.pseudonym().unwrap(), subjects[5].pseudonym().unwrap());
    assert_eq!(seal(&turned, "x").claimed_reference(), seal(&subjects[5], "x").claimed_reference());
    // Members have keys of their own from the start.
    let cea = one.subject("cea").pseudonym().unwrap();
    assert_eq!(ready(play.stage.inner.versions(&cea)).unwrap().len(), 1);
}

#[test]
fn the_keys_of_credentials_lie_in_epochs_of_their_own() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let epochs = ready(play.stage.inner.epochs()).unwrap();
    let epoch_of = |subject: &crate::subjects::Subject<'_>| {
        seal(subject, "x");
        let rows = ready(play.stage.inner.versions(&subject.pseudonym().unwrap())).unwrap();
        epochs.iter().find(|epoch| epoch.reference == rows[0].epoch).unwrap().class
    };
    assert_eq!(epoch_of(&scope.subject("anna")), crate::keystore::EpochClass::Subjects);
    assert_eq!(epoch_of(&scope.class("anna")), crate::keystore::EpochClass::Subjects);
    assert_eq!(epoch_of(&scope.credentials("anna")), crate::keystore::EpochClass::Credentials);
}

#[test]
fn whoever_is_erased_stays_so_until_a_new_person_bears_the_name() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let old = seal(&scope.subject("anna"), "old");
    let since = SystemTime::UNIX_EPOCH + Duration::from_secs(play.subjects.shared().unix_seconds());
    play.bury(&scope.subject("anna"));
    let process = play.another();
    let scope = process.scope("tenant");
    let is_erased = |opened| match opened {
        Err(RecordError::Erased { reference, since: told }) => {
            Some(reference) == old.claimed_reference() && told == Some(since)
        }
        _ => false,
    };
    // Asked, and remembered.
    assert!(is_erased(text(ready(scope.open(&old, cell(1))))));
    assert!(is_erased(text(ready(scope.open(&old, cell(1))))));
    assert_eq!(process.cache_stats().known_absent, 1);
    let sealed = ready(scope.subject("anna").seal("new", cell(1)));
    assert!(matches!(sealed, Err(RecordError::NameErased)));
    assert!(matches!(ready(scope.subject("anna").rotate()), Err(RecordError::NameErased)));

    let new = ready(scope.subject("anna").of_new_person().seal("new", cell(1))).unwrap();
    assert_eq!(text(ready(scope.open(&new, cell(1)))).unwrap(), "new");
    assert!(is_erased(text(ready(scope.open(&old, cell(1))))));
    assert_ne!(new.claimed_reference(), old.claimed_reference());
    seal(&scope.subject("anna"), "she is known by now");
}

#[test]
fn a_new_version_seals_and_the_old_ones_open() {
    let play = Play::new();
    let process = play.another();
    let (scope, elsewhere) = (play.subjects.scope("tenant"), process.scope("tenant"));
    let anna = scope.subject("anna");
    assert_eq!(ready(anna.rotate()).unwrap(), 1);
    let first = seal(&anna, "first");
    let cached = seal(&elsewhere.subject("anna"), "cached");
    assert!(!ready(scope.needs_reseal(&first)).unwrap());
    assert_eq!(ready(anna.rotate()).unwrap(), 2);
    let second = seal(&anna, "second");
    assert_ne!(first.claimed_reference(), second.claimed_reference());
    assert_eq!(first.claimed_reference(), cached.claimed_reference());
    for (sealed, expected, needs) in [(&first, "first", true), (&second, "second", false)] {
        for scope in [&scope, &elsewhere] {
            assert_eq!(text(ready(scope.open(sealed, cell(1)))).unwrap(), expected);
            assert_eq!(text(ready(scope.subject("anna").open(sealed, cell(1)))).unwrap(), expected);
        }
        assert_eq!(ready(scope.needs_reseal(sealed)).unwrap(), needs, "{expected}");
    }
    // The other process goes over to it when its copy is too old.
    assert_eq!(seal(&elsewhere.subject("anna"), "x").claimed_reference(), first.claimed_reference());
    play.clock.advance(Duration::from_secs(60));
    assert_eq!(seal(&elsewhere.subject("anna"), "x").claimed_reference(), second.claimed_reference());
    assert!(ready(elsewhere.needs_reseal(&first)).unwrap());
}

#[test]
fn exchanged_rows_are_found() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let [anna, bo] = ["anna", "bo"].map(|name| seal(&scope.subject(name), name));
    let [one, other] = [&anna, &bo].map(|sealed| sealed.claimed_reference().unwrap());
    let lookups = ready(play.stage.inner.get(&[one, other])).unwrap();
    let [Lookup::Row(row), Lookup::Row(theirs)] = &lookups[..] else { panic!("two rows") };
    let mut cases = vec![theirs.clone()];
    for change in 0..6 {
        let mut row = row.clone();
        match change {
            0 => row.sealed_key = theirs.sealed_key,
            1 => row.pseudonym = theirs.pseudonym,
            2 => row.scope = [9; 16],
            3 => row.version += 1,
            4 => row.sealed_key[80] ^= 1,
            _ => row.sealed_key[0] = 0,
        }
        cases.push(row);
    }
    for row in cases {
        play.stage.exchange(one, Lookup::Row(row));
        let opened = text(ready(play.another().scope("tenant").open(&anna, cell(1))));
        assert!(matches!(opened, Err(RecordError::KeyDamaged { reference }) if reference == one));
    }
    let mut row = row.clone();
    row.epoch ^= 1;
    play.stage.exchange(one, Lookup::Row(row));
    let opened = text(ready(play.another().scope("tenant").open(&anna, cell(1)))).unwrap_err();
    assert_eq!((opened.category(), opened.category().exit_status()), (Category::KeyUnavailable, 6));
}

#[test]
fn a_store_is_initialised_once_and_opened_with_its_root() {
    let play = Play::new();
    let init = |store| {
        let options = SubjectsOptions::default();
        ready(Subjects::init(store, play.keys.clone(), play.keys.clone(), options))
    };
    let again = init(std::sync::Arc::new(play.stage.clone()));
    assert!(matches!(again, Err(SubjectError::AlreadyInitialised)));
    let open = |store, id| {
        let keys = crate::provider::MemoryProvider::from_keys([(id, [7; 32])]).unwrap();
        ready(Subjects::open(store, std::sync::Arc::new(keys), SubjectsOptions::default()))
    };
    let empty = std::sync::Arc::new(super::stage::Stage::default());
    assert!(matches!(open(empty.clone(), "root"), Err(SubjectError::NotInitialised)));
    let refused = open(std::sync::Arc::new(play.stage.clone()), "another").unwrap_err();
    assert!(matches!(refused, SubjectError::Root(_)));
    assert_eq!(refused.category(), Category::KeyUnavailable);
    assert!(open(std::sync::Arc::new(play.stage.clone()), "root").is_ok());
    assert!(init(empty).is_ok());
}

#[test]
fn blind_indexes_are_the_same_for_equal_values_of_one_name_and_scope() {
    let play = Play::new();
    let process = play.another();
    let index = |subjects: &Subjects, scope, name: &str, value, len| {
        subjects.scope(scope).blind_index(name, value, len)
    };
    let one = index(&play.subjects, "tenant", "email", "anna", 32).unwrap();
    assert_eq!(index(&process, "tenant", "email", "anna", 32).unwrap(), one);
    assert_eq!(index(&process, "tenant", "email", "anna", 8).unwrap(), one[..8]);
    let others = [
        index(&process, "other", "email", "anna", 32),
        index(&process, "tenant", "phone", "anna", 32),
        index(&process, "tenant", "email", "bo", 32),
        index(&process, "tenantemail", "", "anna", 32),
    ];
    assert!(others.iter().all(|other| other.as_ref().ok() != Some(&one)));
    assert!(others[3].is_err());
    for (name, len) in [("", 16), (&*"n".repeat(256), 16), ("email", 7), ("email", 33), ("email", 0)] {
        assert_eq!(index(&process, "tenant", name, "anna", len).unwrap_err().category(), Category::Usage);
    }
    assert!(index(&process, "tenant", &"n".repeat(255), "anna", 8).is_ok());
}
