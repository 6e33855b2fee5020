//! Pages: one call for all, a result for each, and the same as one by one.

use std::pin::pin;

use super::stage::{Play, cell, poll, ready, seal, text};
use crate::{
    error::{KeyStoreErrorKind, RecordError},
    keystore::JointEnds,
    subjects::{Sealed, SubjectsOptions},
};

#[test]
fn a_page_is_one_call_each_way() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let names: Vec<String> = (0..1000).map(|n| format!("{n}")).collect();
    // Three records of each.
    let rows = || (0..3000).map(|n| (&*names[n / 3], i64::try_from(n).unwrap()));
    let values = rows().map(|(name, row)| (scope.subject(name), name, cell(row)));
    let sealed: Vec<Sealed<String>> =
        ready(scope.seal_many(values)).unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(["find", "insert", "insert_many", "get"].map(|name| play.stage.calls(name)), [1, 0, 1, 0]);

    let process = play.another();
    let scope = process.scope("tenant");
    for _ in 0..2 {
        let page = sealed.iter().zip(rows()).map(|(sealed, (_, row))| (sealed, cell(row)));
        let opened = ready(scope.open_many(page)).unwrap();
        assert!(opened.into_iter().zip(rows()).all(|(opened, (name, _))| text(opened).unwrap() == name));
        assert_eq!(play.stage.calls("get"), 1);
    }
    for (sealed, (name, row)) in sealed.iter().zip(rows()).step_by(97) {
        assert_eq!(text(ready(scope.open(sealed, cell(row)))).unwrap(), name);
    }
    assert_eq!(play.stage.calls("get"), 1);
    let nonces: std::collections::HashSet<_> =
        sealed.iter().map(|sealed| sealed.as_bytes()[9..33].to_vec()).collect();
    assert_eq!(nonces.len(), 3000);
}

#[test]
fn each_has_a_result_of_its_own() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let [anna, bo, cea] = ["anna", "bo", "cea"].map(|name| seal(&scope.subject(name), name));
    play.bury(&scope.subject("bo"));
    let elsewhere = seal(&play.subjects.scope("other").subject("dag"), "dag");
    let process = play.another();
    let scope = process.scope("tenant");
    let plain = Sealed::from_bytes(b"plain".to_vec());
    let unknown = Sealed::from_bytes(vec![0xf8; 60]);
    let rows = [(&anna, 1), (&bo, 1), (&plain, 1), (&cea, 2), (&unknown, 1), (&elsewhere, 1), (&anna, 1)];
    let opened = ready(scope.open_many(rows.map(|(sealed, row)| (sealed, cell(row))))).unwrap();
    let told: Vec<String> = opened
        .into_iter()
        .map(|opened| match text(opened) {
            Ok(text) => text,
            Err(RecordError::Erased { .. }) => "erased".into(),
            Err(error) => error.category().name().into(),
        })
        .collect();
    let expected = ["anna", "erased", "malformed", "tampered", "key-unavailable", "key-unavailable", "anna"];
    assert_eq!(told, expected);

    let subjects = [scope.subject("anna"), scope.subject("bo"), scope.subject(""), scope.subject("eva")];
    let sealed = ready(scope.seal_many(subjects.into_iter().map(|subject| (subject, "x", cell(1))))).unwrap();
    let told: Vec<_> =
        sealed.iter().map(|sealed| sealed.as_ref().err().map(|e| e.category().name())).collect();
    assert_eq!(told, [None, Some("refused"), Some("usage"), None]);
    assert!(matches!(sealed[1], Err(RecordError::NameErased)));
    assert_eq!(sealed[0].as_ref().unwrap().claimed_reference(), anna.claimed_reference());

    let needs = ready(scope.need_reseal([&anna, &bo, &plain, &elsewhere])).unwrap();
    let told: Vec<_> =
        needs.into_iter().map(|needs| needs.map_err(|error| error.category().name())).collect();
    assert_eq!(told, [Ok(false), Err("refused"), Err("malformed"), Err("key-unavailable")]);
}

#[test]
fn a_store_that_does_not_answer_fails_the_page() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let [anna, bo] = ["anna", "bo"].map(|name| seal(&scope.subject(name), name));
    let process = play.another();
    let scope = process.scope("tenant");
    text(ready(scope.open(&anna, cell(1)))).unwrap();
    play.stage.fail(Some(KeyStoreErrorKind::Busy));
    // What is cached needs no answer.
    assert!(ready(scope.open_many([(&anna, cell(1)), (&anna, cell(1))])).unwrap().iter().all(Result::is_ok));
    let page = ready(scope.open_many([(&anna, cell(1)), (&bo, cell(1))]));
    assert!(matches!(page, Err(RecordError::Store(_))));
    let sealed = ready(scope.subject("eva").seal_many([("x", cell(1))]));
    assert!(matches!(sealed, Err(RecordError::Store(_))));
    assert!(matches!(ready(scope.need_reseal([&anna])), Err(RecordError::Store(_))));
}

#[test]
fn one_subject_s_values_and_joints() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let anna = scope.subject("anna");
    let values: Vec<u32> = (0..500).collect();
    let sealed = ready(anna.seal_many(values.iter().map(|value| (value, cell(i64::from(*value)))))).unwrap();
    let sealed: Vec<Sealed<u32>> = sealed.into_iter().map(Result::unwrap).collect();
    let opened =
        ready(scope.open_many(sealed.iter().zip(0..).map(|(sealed, row)| (sealed, cell(row))))).unwrap();
    assert!(opened.into_iter().zip(values).all(|(opened, value)| *opened.unwrap() == value));

    let both = scope.joint(["anna", "bo"], JointEnds::WithTheFirst);
    let page = [(both.clone(), "ours", cell(1)), (scope.subject("bo"), "his", cell(2))];
    let sealed: Vec<_> = ready(scope.seal_many(page)).unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(text(ready(both.open(&sealed[0], cell(1)))).unwrap(), "ours");
    assert_eq!(text(ready(scope.open(&sealed[1], cell(2)))).unwrap(), "his");
    assert!(ready(scope.open_many::<u8>([])).unwrap().is_empty());
}

#[test]
fn a_page_larger_than_the_cache() {
    let play = Play::with(SubjectsOptions::default().with_max_entries(10));
    let scope = play.subjects.scope("tenant");
    let names: Vec<String> = (0..300).map(|n| format!("{n}")).collect();
    let values = names.iter().map(|name| (scope.subject(name), &**name, cell(1)));
    let sealed: Vec<_> = ready(scope.seal_many(values)).unwrap().into_iter().map(Result::unwrap).collect();
    let opened = ready(scope.open_many(sealed.iter().map(|sealed| (sealed, cell(1))))).unwrap();
    assert!(opened.into_iter().zip(&names).all(|(opened, name)| text(opened).unwrap() == *name));
    assert_eq!(play.subjects.cache_stats().entries, 10);
}

#[test]
fn who_is_erased_while_a_page_waits_for_others_is_not_in_it() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let [anna, bo] = ["anna", "bo"].map(|name| seal(&scope.subject(name), name));
    let anna_s = scope.subject("anna").pseudonym().unwrap();
    let process = play.another();
    let scope = process.scope("tenant");
    // Hers is at hand, his has to be asked for.
    seal(&scope.subject("anna"), "x");
    text(ready(scope.open(&anna, cell(1)))).unwrap();
    play.stage.wait(2);
    let mut opening = pin!(scope.open_many([(&anna, cell(1)), (&bo, cell(1))]));
    let values = ["anna", "bo"].map(|name| (scope.subject(name), "x", cell(1)));
    let mut sealing = pin!(scope.seal_many(values));
    assert!(poll(opening.as_mut()).is_pending() && poll(sealing.as_mut()).is_pending());
    play.bury(&scope.subject("anna"));
    process.shared().evict(&[anna.claimed_reference().unwrap()], &[anna_s]);
    let opened = ready(opening).unwrap();
    assert!(matches!(opened[0], Err(RecordError::Erased { .. })), "{:?}", opened[0]);
    assert_eq!(**opened[1].as_ref().unwrap(), "bo");
    let sealed = ready(sealing).unwrap();
    assert!(matches!(sealed[0], Err(RecordError::NameErased)) && sealed[1].is_ok(), "{sealed:?}");
}
