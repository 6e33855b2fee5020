//! Futures that are dropped at every poll: nothing is half done, and whoever waits goes on.

use super::stage::{Play, cell, poll, poll_some, ready, seal, text};
use crate::{
    keystore::{JointEnds, KeyStore},
    subjects::Scope,
};

/// Polls for which a call waits; each operation makes a few calls.
const WAIT: usize = 2;

/// Drops what `begin` begins after each number of polls, until it ends by itself.
fn at_every_poll<T>(mut begin: impl AsyncFnMut() -> T) -> T {
    for polls in 1..200 {
        if let Some(done) = poll_some(begin(), polls) {
            assert!(polls > WAIT, "it made no call");
            return done;
        }
    }
    panic!("it never ends");
}

#[test]
fn sealing_for_a_new_name() {
    let play = Play::new();
    play.stage.wait(WAIT);
    let mut names = 0;
    for polls in 1..20 {
        let scope = play.subjects.scope("tenant");
        let name = format!("{polls}");
        let sealed = poll_some(scope.subject(&*name).seal("x", cell(1)), polls);
        // Whether it got a key or not, the next one gets the same as all.
        let again = seal(&scope.subject(&*name), "y");
        assert_eq!(text(ready(scope.open(&again, cell(1)))).unwrap(), "y");
        let rows = ready(play.stage.inner.versions(&scope.subject(&*name).pseudonym().unwrap())).unwrap();
        assert_eq!(rows.len(), 1);
        if let Some(sealed) = sealed {
            assert_eq!(sealed.unwrap().claimed_reference(), again.claimed_reference());
            names += 1;
        }
    }
    assert!((1..19).contains(&names), "{names} were done in time");
}

#[test]
fn opening_one_and_a_page() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let sealed: Vec<_> = (0..5).map(|n| seal(&scope.subject(format!("{n}")), "x")).collect();
    play.stage.wait(WAIT);
    let process = play.another();
    let scope = process.scope("tenant");
    let opened = at_every_poll(async || scope.open(&sealed[0], cell(1)).await);
    assert_eq!(text(opened).unwrap(), "x");
    let page = || sealed.iter().map(|sealed| (sealed, cell(1)));
    let opened = at_every_poll(async || scope.open_many(page()).await);
    assert!(opened.unwrap().into_iter().all(|opened| text(opened).unwrap() == "x"));
}

#[test]
fn rotation_and_joints() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    seal(&scope.subject("anna"), "x");
    play.stage.wait(WAIT);
    let version = at_every_poll(async || scope.subject("anna").rotate().await).unwrap();
    let rows = ready(play.stage.inner.versions(&scope.subject("anna").pseudonym().unwrap())).unwrap();
    assert_eq!(rows.iter().map(|row| row.version).collect::<Vec<_>>(), (1..=version).collect::<Vec<_>>());
    let joint = |scope: &Scope| {
        let scope = scope.clone();
        async move { scope.joint(["bo", "cea"], JointEnds::WithTheLast).seal("x", cell(1)).await }
    };
    let sealed = at_every_poll(async || joint(&scope).await).unwrap();
    assert_eq!(text(ready(scope.open(&sealed, cell(1)))).unwrap(), "x");
}

#[test]
fn whoever_waits_takes_over() {
    let play = Play::new();
    let sealed = seal(&play.subjects.scope("tenant").subject("anna"), "x");
    for after in 1..6 {
        let process = play.another();
        let scope = process.scope("tenant");
        play.stage.wait(3);
        let mut leader = Box::pin(scope.open(&sealed, cell(1)));
        let mut waiter = Box::pin(scope.open(&sealed, cell(1)));
        let mut heir = Box::pin(scope.open(&sealed, cell(1)));
        assert!(poll(leader.as_mut()).is_pending());
        assert!(poll(waiter.as_mut()).is_pending() && poll(heir.as_mut()).is_pending());
        let mut is_done = false;
        for _ in 1..after {
            is_done = is_done || poll(leader.as_mut()).is_ready();
        }
        drop(leader);
        drop(waiter);
        play.stage.wait(0);
        assert_eq!(text(ready(heir)).unwrap(), "x", "after {after}");
        // Nothing of the flight is left behind.
        text(ready(scope.open(&sealed, cell(1)))).unwrap();
        assert_eq!(process.cache_stats().entries, 1);
    }
}

#[test]
fn an_epoch_that_is_being_loaded() {
    let play = Play::new();
    let sealed = seal(&play.subjects.scope("tenant").subject("anna"), "x");
    let lazy = crate::subjects::SubjectsOptions::default().with_lazy_epochs(true);
    play.stage.wait(WAIT);
    let process = play.another_with(lazy);
    let scope = process.scope("tenant");
    let opened = at_every_poll(async || scope.open(&sealed, cell(1)).await);
    assert_eq!(text(opened).unwrap(), "x");
}
