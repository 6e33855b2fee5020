//! Every state that a power cut may leave of a rewrap.

use std::collections::BTreeSet;

use super::{
    disk::{Bug, LogDisk},
    stage::{Case, FILE, Job, cases, judge, run, slots},
};
use crate::{front::RewrapOutcome, io::images::for_each_image};

/// Runs, then judges each image once. The first fault is the error; otherwise their number.
fn check(case: &Case, disk: &LogDisk) -> Result<usize, String> {
    let outcome = run(case, disk.clone());
    let log = disk.log();
    let mut seen = BTreeSet::new();
    let mut fault = None;
    for_each_image(&case.before, &log, |done, image| {
        let promised = outcome.is_ok() && done == log.len();
        if fault.is_some() || !seen.insert((promised, image.clone())) {
            return;
        }
        if let Err(found) = judge(case, image, promised) {
            fault = Some(format!(
                "{}: {found}, after {done} calls of {}: {:?}",
                case.name,
                log.len(),
                log.get(done.wrapping_sub(1)).map(kind)
            ));
        }
    });
    fault.map_or(Ok(seen.len()), Err)
}

/// The call without its bytes.
fn kind(op: &crate::io::images::Op) -> String {
    format!("{op:?}").chars().take(60).collect()
}

#[test]
fn every_power_cut_leaves_a_file_that_opens() {
    let mut images = 0;
    for case in cases() {
        let disk = LogDisk::new(&case.before);
        let outcome = run(&case, LogDisk::new(&case.before)).expect("a good disk").outcome;
        let nothing = case.name.starts_with("done");
        assert_eq!(outcome == RewrapOutcome::Unchanged, nothing, "{}", case.name);
        let found = check(&case, &disk).unwrap_or_else(|fault| panic!("{fault}"));
        assert!(found > 1 || nothing, "{}: only {found} images", case.name);
        images += found;
    }
    println!("{images} images");
    assert!(images > 1000, "only {images}");
}

/// In place means that: two slots are written, and nothing else of the file.
#[test]
fn nothing_but_the_two_slots_is_written() {
    for case in
        cases().into_iter().filter(|case| case.job == Job::File && case.name != "one slot" && !case.lost)
    {
        let disk = LogDisk::new(&case.before);
        run(&case, disk.clone()).expect("a good disk");
        let slots = slots(&case.before[FILE]);
        let number = usize::MAX - case.before.keys().position(|name| name == FILE).expect("there");
        for op in disk.log() {
            if let crate::io::images::Op::Write { file, at, bytes } = op {
                assert!(
                    file != number || slots.contains(&(at..at + bytes.len())),
                    "{}: {} bytes at {at}",
                    case.name,
                    bytes.len()
                );
            }
        }
    }
}

/// The harness must find each of these, or it proves nothing.
#[test]
fn planted_bugs_are_found() {
    use Bug::{NoDirectorySync, NoFileSync, NoRemoval, NoSync, OtherSlot, ZeroFirst};
    for bug in [NoSync, ZeroFirst, OtherSlot, NoDirectorySync, NoFileSync, NoRemoval] {
        let found = cases().iter().filter(|case| case.job == Job::File && !case.lost).any(|case| {
            let places = slots(&case.before[FILE]).map(|slot| slot.start);
            check(case, &LogDisk::new(&case.before).with_bug(bug, places)).is_err()
        });
        assert!(found, "{bug:?} went unnoticed");
    }
}
