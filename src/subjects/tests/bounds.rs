//! How long, how often and how many: the cache's limits, by the store's count of calls.

use std::time::Duration;

use super::stage::{Play, Stage, cell, ready, seal, text};
use crate::{
    error::{Category, KeyStoreErrorKind, RecordError},
    format::context::EncryptionContext,
    keystore::KeyStore,
    subjects::{Sealed, SubjectsOptions},
};

fn gets(stage: &Stage) -> [usize; 2] {
    ["get", "find"].map(|name| stage.calls(name))
}

#[test]
fn hits_ask_nobody() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let sealed = seal(&scope.subject("anna"), "x");
    let calls = play.stage.all_calls();
    for _ in 0..100 {
        seal(&scope.subject("anna"), "x");
        text(ready(scope.open(&sealed, cell(1)))).unwrap();
    }
    assert_eq!(play.stage.all_calls(), calls);
    assert_eq!(play.subjects.cache_stats().hits, 200);
    // A thread that never saw the key finds it in the common table.
    std::thread::scope(|threads| {
        threads.spawn(|| text(ready(scope.open(&sealed, cell(1)))).unwrap());
    });
    assert_eq!(play.stage.all_calls(), calls);
}

#[test]
fn a_key_is_used_until_its_age_is_over_and_not_after() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let sealed = seal(&scope.subject("anna"), "x");
    let before = gets(&play.stage);
    play.clock.advance(Duration::from_millis(59_999));
    text(ready(scope.open(&sealed, cell(1)))).unwrap();
    seal(&scope.subject("anna"), "x");
    assert_eq!(gets(&play.stage), before);
    play.bury(&scope.subject("anna"));
    text(ready(scope.open(&sealed, cell(1)))).unwrap();
    play.clock.advance(Duration::from_millis(1));
    assert!(matches!(text(ready(scope.open(&sealed, cell(1)))), Err(RecordError::Erased { .. })));
    assert!(matches!(ready(scope.subject("anna").seal("x", cell(1))), Err(RecordError::NameErased)));
}

#[test]
fn an_age_of_nothing_asks_every_time() {
    let play = Play::with(SubjectsOptions::default().with_max_age(Duration::ZERO));
    let scope = play.subjects.scope("tenant");
    let sealed = seal(&scope.subject("anna"), "x");
    for count in 1..=3 {
        text(ready(scope.open(&sealed, cell(1)))).unwrap();
        seal(&scope.subject("anna"), "x");
        assert_eq!(gets(&play.stage), [count, 1 + count]);
    }
}

#[test]
fn what_is_evicted_is_gone_at_once() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let [anna, bo] = ["anna", "bo"].map(|name| seal(&scope.subject(name), name));
    let anna_s = scope.subject("anna").pseudonym().unwrap();
    for (references, pseudonyms) in
        [(vec![anna.claimed_reference().unwrap()], vec![]), (vec![], vec![anna_s])]
    {
        let [get, find] = gets(&play.stage);
        play.subjects.shared().evict(&references, &pseudonyms);
        text(ready(scope.open(&bo, cell(1)))).unwrap();
        assert_eq!(gets(&play.stage), [get, find]);
        text(ready(scope.open(&anna, cell(1)))).unwrap();
        seal(&scope.subject("anna"), "x");
        assert_eq!(gets(&play.stage), [get + 1, find + 1]);
    }
    play.subjects.clear_cache();
    assert_eq!(play.subjects.cache_stats().entries, 0);
    let [get, find] = gets(&play.stage);
    text(ready(scope.open(&bo, cell(1)))).unwrap();
    assert_eq!(gets(&play.stage), [get + 1, find]);
}

#[test]
fn keys_are_as_many_as_there_is_room_for() {
    for options in [
        SubjectsOptions::default().with_max_entries(10),
        SubjectsOptions::default().with_max_bytes(10 * 384 + 100),
    ] {
        let play = Play::with(options);
        let scope = play.subjects.scope("tenant");
        for n in 0..200 {
            seal(&scope.subject(format!("{n}")), "x");
            assert!(play.subjects.cache_stats().entries <= 10);
        }
        let stats = play.subjects.cache_stats();
        assert_eq!((stats.entries, stats.bytes, stats.evicted), (10, 3840, 190));
    }
}

#[test]
fn one_loaded_key_is_used_as_often_as_it_may() {
    let play = Play::with(SubjectsOptions::default().with_max_uses(3));
    let scope = play.subjects.scope("tenant");
    let sealed = seal(&scope.subject("anna"), "x");
    // Two more on the key that was made, then three on each that is loaded.
    for (opening, loads) in [0, 0, 1, 1, 1, 2, 2, 2, 3].into_iter().enumerate() {
        text(ready(scope.open(&sealed, cell(1)))).unwrap();
        assert_eq!(play.stage.calls("get"), loads, "opening {opening}");
    }
}

#[test]
fn a_page_or_a_message_is_one_use_of_each_key() {
    let play = Play::with(SubjectsOptions::default().with_max_uses(3));
    let scope = play.subjects.scope("tenant");
    let sealed = seal(&scope.subject("anna"), "x");
    for (page, loads) in [0, 0, 1, 1, 1, 2].into_iter().enumerate() {
        let opened = ready(scope.open_many([(&sealed, cell(1)); 5])).unwrap();
        assert!(opened.iter().all(Result::is_ok));
        assert_eq!(play.stage.calls("get"), loads, "page {page}");
    }
    let context = EncryptionContext::empty();
    let message = ready(scope.subject("bo").seal_message(b"text", &context)).unwrap();
    for (opening, loads) in [2, 2, 3, 3, 3, 4].into_iter().enumerate() {
        ready(scope.open_message(&message, &context)).unwrap();
        assert_eq!(play.stage.calls("get"), loads, "opening {opening}");
    }
}

#[test]
fn made_up_references_cost_a_call_once_and_push_nothing_out() {
    let play = Play::with(SubjectsOptions::default().with_max_absent(50));
    let scope = play.subjects.scope("tenant");
    let sealed = seal(&scope.subject("anna"), "x");
    let forged = |n: u64| {
        let mut bytes = sealed.as_bytes().to_vec();
        bytes[1..9].copy_from_slice(&n.to_be_bytes());
        Sealed::<String>::from_bytes(bytes)
    };
    for n in 1..=50 {
        for _ in 0..10 {
            let opened = text(ready(scope.open(&forged(n), cell(1)))).unwrap_err();
            assert_eq!(opened.category(), Category::KeyUnavailable);
        }
    }
    assert_eq!(play.stage.calls("get"), 50);
    // A page of them is one call, and what is remembered of them has its bound.
    let page: Vec<_> = (1000..3000).map(forged).collect();
    let opened = ready(scope.open_many(page.iter().map(|sealed| (sealed, cell(1))))).unwrap();
    assert!(opened.iter().all(Result::is_err));
    assert_eq!(play.stage.calls("get"), 51);
    text(ready(scope.open(&sealed, cell(1)))).unwrap();
    assert_eq!((play.stage.calls("get"), play.subjects.cache_stats().entries), (51, 1));
    // Believed for ten seconds.
    ready(scope.open(&forged(2999), cell(1))).unwrap_err();
    assert_eq!(play.stage.calls("get"), 51);
    play.clock.advance(Duration::from_secs(10));
    ready(scope.open(&forged(2999), cell(1))).unwrap_err();
    assert_eq!(play.stage.calls("get"), 52);
}

#[test]
fn a_store_that_does_not_answer_is_asked_again_next_time() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let sealed = seal(&scope.subject("anna"), "x");
    play.subjects.clear_cache();
    play.stage.fail(Some(KeyStoreErrorKind::Unavailable));
    for _ in 0..2 {
        let opened = text(ready(scope.open(&sealed, cell(1)))).unwrap_err();
        assert!(matches!(opened, RecordError::Store(_)) && opened.category() == Category::Io);
        let sealed = ready(scope.subject("bo").seal("x", cell(1)));
        assert!(matches!(sealed, Err(RecordError::Store(_))));
    }
    play.stage.fail(None);
    text(ready(scope.open(&sealed, cell(1)))).unwrap();
    seal(&scope.subject("bo"), "x");
}

#[test]
fn what_is_past_its_age_can_be_wiped_without_being_asked_for() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    seal(&scope.subject("anna"), "x");
    let shared = play.subjects.shared();
    shared.cache().tidy(shared.now());
    assert_eq!(play.subjects.cache_stats().entries, 1);
    play.clock.advance(Duration::from_secs(60));
    shared.cache().tidy(shared.now());
    assert_eq!(play.subjects.cache_stats().entries, 0);
    assert_eq!(
        ready(play.stage.inner.versions(&scope.subject("anna").pseudonym().unwrap())).unwrap().len(),
        1
    );
}
