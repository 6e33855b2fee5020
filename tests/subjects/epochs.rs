//! Rolls while others write: a process that still holds the old epoch loses nothing.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use kuvert::{
    Cell, RecordError, Sealed, Subjects,
    provider::KeyProvider,
    subjects::{RollOptions, RollReport},
};

use crate::{
    records::{Audit, Plan, Records},
    world::{LIVE, ROOT, SCOPE, WEEK_1, WEEK_2, World, wait},
};

fn cell(id: usize) -> Cell<'static> {
    Cell::new("people", "later", i64::try_from(id).expect("few enough"))
}

fn roll(world: &World, subjects: &Subjects) -> RollReport {
    wait(subjects.roll_epoch(world.keys(&[WEEK_2]), RollOptions::default().with_batch(64))).unwrap()
}

/// Opens everything with nothing but the newest wrapping keys.
fn assert_all_open(world: &World, records: &Records, count: usize, later: &[Sealed<String>]) {
    let keys = world.keys(&[WEEK_2, ROOT]);
    let subjects = wait(Subjects::open(world.store(LIVE), keys, world.options())).unwrap();
    let scope = subjects.scope(SCOPE);
    let everybody: Vec<usize> = (0..count).collect();
    let plan = Plan { subjects: count, erased: 0 };
    assert_eq!(Audit::make(&scope, records, &everybody, |_| false), Audit::of(plan));
    for (id, sealed) in later.iter().enumerate() {
        assert_eq!(*wait(scope.open(sealed, cell(id))).unwrap(), "later");
    }
}

#[test]
fn a_writer_that_still_holds_a_closed_epoch_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::make(folder.path());
    let subjects = world.init();
    let records = Records::seal(&subjects.scope(SCOPE), 300);
    // Has the epoch's key and some subjects' at hand, and no word of what comes.
    let writer = world.open();
    let scope = writer.scope(SCOPE);
    let mut later = vec![wait(scope.subject("new:0").seal("later", cell(0))).unwrap()];
    let report = roll(&world, &subjects);
    assert_eq!((report.moved, report.retired.len()), (301, 1));
    later.push(wait(scope.subject("new:0").seal("later", cell(1))).unwrap());
    later.push(wait(scope.subject("new:1").seal("later", cell(2))).unwrap());
    assert_all_open(&world, &records, 300, &later);
}

#[test]
fn a_writer_without_the_new_wrapping_key_is_refused_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::make(folder.path());
    let subjects = world.init();
    let records = Records::seal(&subjects.scope(SCOPE), 10);
    let old = world.keys(&[WEEK_1, ROOT]);
    let writer = wait(Subjects::open(world.store(LIVE), old, world.options())).unwrap();
    roll(&world, &subjects);
    let scope = writer.scope(SCOPE);
    let refused = wait(scope.subject("new:0").seal("later", cell(0))).map(drop);
    assert!(matches!(refused, Err(RecordError::EpochUnavailable { .. })), "{refused:?}");
    assert_all_open(&world, &records, 10, &[]);
}

#[test]
fn writers_go_on_while_it_rolls() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::make(folder.path());
    let subjects = world.init();
    let records = Records::seal(&subjects.scope(SCOPE), 500);
    let (over, begun) = (AtomicBool::new(false), AtomicBool::new(false));
    let later = thread::scope(|threads| {
        let writer = threads.spawn(|| {
            let writer = world.open();
            let scope = writer.scope(SCOPE);
            let mut later = Vec::new();
            // Some before the roll, some while it lasts, some after it.
            while later.len() < 20 || !over.load(Ordering::Relaxed) {
                let id = later.len();
                later.push(wait(scope.subject(format!("new:{id}")).seal("later", cell(id))).unwrap());
                begun.store(id >= 5, Ordering::Relaxed);
            }
            for _ in 0..5 {
                let id = later.len();
                later.push(wait(scope.subject(format!("new:{id}")).seal("later", cell(id))).unwrap());
            }
            later
        });
        while !begun.load(Ordering::Relaxed) {
            thread::yield_now();
        }
        roll(&world, &subjects);
        over.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    // What was made under the old epoch in the last moment is moved by the next.
    roll(&world, &subjects);
    assert_all_open(&world, &records, 500, &later);
}

#[test]
fn the_old_wrapping_key_alone_opens_nothing_after_a_roll() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::make(folder.path());
    let subjects = world.init();
    let records = Records::seal(&subjects.scope(SCOPE), 3);
    roll(&world, &subjects);
    let keys = world.keys(&[WEEK_1, ROOT]);
    assert!(wait(keys.check()).is_ok());
    let opened = wait(Subjects::open(world.store(LIVE), keys.clone(), world.options())).map(drop);
    assert!(opened.is_err());
    let lazy = world.options().with_lazy_epochs(true);
    let opened = wait(Subjects::open(world.store(LIVE), keys, lazy)).unwrap();
    let audit = Audit::make(&opened.scope(SCOPE), &records, &[0, 1, 2], |_| false);
    assert_eq!((audit.opened, audit.lost), (0, 9));
}
