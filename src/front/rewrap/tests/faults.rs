//! Every file call of a rewrap fails once, in every way.

use super::{
    disk::{Fault, LogDisk},
    stage::{Case, FILE, SIDE, again, cases, judge, run},
};

const ENOSPC: i32 = 28;
const EIO: i32 = 5;

const FAULTS: [Fault; 6] = [
    Fault::Fails(EIO),
    Fault::Fails(ENOSPC),
    Fault::FailsLate(EIO),
    Fault::FailsLate(ENOSPC),
    Fault::Interrupted,
    Fault::Short,
];

fn check(case: &Case, at: usize, fault: Fault) {
    let what = format!("{}: {fault:?} at call {at}", case.name);
    let disk = LogDisk::new(&case.before).failing(at, fault);
    let outcome = run(case, disk.clone());
    let live = disk.live();
    let judged = judge(case, &live, outcome.is_ok());
    judged.unwrap_or_else(|found| panic!("{what}: {found}"));
    again(case, &live).unwrap_or_else(|found| panic!("{what}: {found}"));
    // What only takes another try does not fail.
    if matches!(fault, Fault::Interrupted | Fault::Short) {
        assert!(outcome.is_ok(), "{what}: {:?}", outcome.err());
    }
    let litter: Vec<_> = live.keys().filter(|name| name.ends_with(".tmp")).collect();
    let at_creation = matches!(fault, Fault::FailsLate(_));
    assert!(litter.is_empty() || at_creation, "{what}: {litter:?} left behind");
    // The side copy stays only where the file may be in need of it, or could not be removed.
    if live.contains_key(SIDE) && !case.before.contains_key(SIDE) {
        assert!(outcome.is_err(), "{what}: the side copy stayed");
        assert!(live[FILE].len() >= 4096, "{what}");
    }
}

#[test]
fn every_call_fails_once_in_every_way() {
    let mut runs = 0;
    for case in cases() {
        let disk = LogDisk::new(&case.before);
        run(&case, disk.clone()).expect("a good disk");
        assert!(disk.calls() > 5, "{}: only {} calls", case.name, disk.calls());
        // One call more, which never comes: the run must then be a good one.
        for at in 0..=disk.calls() {
            for fault in FAULTS {
                check(&case, at, fault);
                runs += 1;
            }
        }
    }
    println!("{runs} runs");
}
