//! Two at once: the same new name, the same unknown key, an erasure between question and answer.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::Poll,
    thread,
};

use super::stage::{Play, cell, poll, ready, seal, text};
use crate::{error::RecordError, keystore::KeyStore};

#[test]
fn whoever_loses_uses_the_winner_s_key() {
    let play = Play::new();
    let process = play.another();
    let first = seal(&play.subjects.scope("tenant").subject("anna"), "first");
    // The other one looked before the first was done.
    play.stage.hide_once();
    let second = seal(&process.scope("tenant").subject("anna"), "second");
    assert_eq!(first.claimed_reference(), second.claimed_reference());
    assert_eq!(text(ready(play.subjects.scope("tenant").open(&second, cell(1)))).unwrap(), "second");
    // Both make the second version.
    let (here, there) = (play.subjects.scope("tenant"), process.scope("tenant"));
    let (here, there) = (here.subject("anna"), there.subject("anna"));
    play.stage.wait(1);
    let both = [Box::pin(here.rotate()), Box::pin(there.rotate())];
    let versions: Vec<u32> = all_at_once(both).into_iter().map(Result::unwrap).collect();
    assert_eq!(versions, [2, 2]);
}

/// Polls all of them in turn until all are done.
fn all_at_once<F: Future>(futures: impl IntoIterator<Item = Pin<Box<F>>>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().collect();
    let mut done: Vec<_> = futures.iter().map(|_| None).collect();
    for _ in 0..1000 {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none() {
                if let Poll::Ready(output) = poll(future.as_mut()) {
                    *done = Some(output);
                }
            }
        }
    }
    done.into_iter().map(|done| done.expect("it went on waiting")).collect()
}

#[test]
fn many_threads_that_meet_a_new_name_make_one_key() {
    let play = Play::new();
    let processes: Vec<_> = (0..4).map(|_| play.another()).collect();
    for round in 0..20 {
        let name = format!("{round}");
        let references: Vec<_> = thread::scope(|threads| {
            let seal = |subjects: &crate::subjects::Subjects| {
                let (subjects, name) = (subjects.clone(), name.clone());
                threads.spawn(move || {
                    let scope = subjects.scope("tenant");
                    seal(&scope.subject(&*name), "x").claimed_reference()
                })
            };
            let threads: Vec<_> = processes.iter().chain(&processes).map(seal).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(references.iter().all(|reference| *reference == references[0]), "{references:?}");
    }
}

#[test]
fn those_who_want_one_key_cause_one_call() {
    let play = Play::new();
    let sealed = seal(&play.subjects.scope("tenant").subject("anna"), "x");
    let process = play.another();
    let scope = process.scope("tenant");
    play.stage.wait(3);
    let calls = play.stage.calls("get");
    for opened in all_at_once((0..10).map(|_| Box::pin(scope.open(&sealed, cell(1))))) {
        assert_eq!(text(opened).unwrap(), "x");
    }
    assert_eq!(play.stage.calls("get"), calls + 1);
    assert_eq!((process.cache_stats().misses, process.cache_stats().joined), (1, 9));
}

#[test]
fn two_pages_that_want_the_same_rows_do_not_wait_for_each_other_in_a_ring() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let sealed: Vec<_> = (0..20).map(|n| seal(&scope.subject(format!("{n}")), "x")).collect();
    let process = play.another();
    let scope = process.scope("tenant");
    play.stage.wait(2);
    let page = |places: Vec<usize>| {
        let rows: Vec<_> = places.iter().map(|place| (&sealed[*place], cell(1))).collect();
        Box::pin(scope.open_many(rows))
    };
    let mut first = page((5..15).collect());
    assert!(poll(first.as_mut()).is_pending());
    let mut pages = [page((0..20).collect()), page((0..20).rev().collect()), page((3..8).collect())];
    for page in &mut pages {
        assert!(poll(page.as_mut()).is_pending());
    }
    // Whoever loads the middle goes away: each of the others takes over what it comes by.
    drop(first);
    for opened in all_at_once(pages) {
        assert!(opened.unwrap().into_iter().all(|opened| text(opened).unwrap() == "x"));
    }
}

#[test]
fn an_answer_from_before_an_eviction_is_used_by_nobody() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let sealed = seal(&scope.subject("anna"), "x");
    let anna = scope.subject("anna").pseudonym().unwrap();
    for by_name in [false, true] {
        let process = play.another();
        let scope = process.scope("tenant");
        let subject = scope.subject("anna");
        play.stage.wait(2);
        let mut opening = pin!(scope.open(&sealed, cell(1)));
        let mut sealing = pin!(subject.seal("y", cell(1)));
        assert!(poll(opening.as_mut()).is_pending() && poll(sealing.as_mut()).is_pending());
        let (references, pseudonyms) = if by_name {
            (vec![], vec![anna])
        } else {
            (vec![sealed.claimed_reference().unwrap()], vec![anna])
        };
        process.shared().evict(&references, &pseudonyms);
        play.stage.wait(0);
        let calls = [play.stage.calls("get"), play.stage.calls("find")];
        // They had asked before, and ask once more.
        assert_eq!(text(ready(opening)).unwrap(), "x");
        ready(sealing).unwrap();
        let again = [play.stage.calls("get"), play.stage.calls("find")];
        assert_eq!(again, calls.map(|calls| calls + 1), "by name: {by_name}");
    }
    play.bury(&scope.subject("anna"));
    let process = play.another();
    assert!(matches!(
        text(ready(process.scope("tenant").open(&sealed, cell(1)))),
        Err(RecordError::Erased { .. })
    ));
    assert_eq!(ready(play.stage.inner.versions(&anna)).unwrap().len(), 0);
}
