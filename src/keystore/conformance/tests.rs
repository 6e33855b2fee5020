//! The suite over the store in memory, and over one with every fault a clause is there to find.

mod sample;

use std::sync::Mutex;

use self::sample::{Bug, Sample};
use super::*;
use crate::executor::block_on;
use crate::keystore::MemoryKeyStore;

#[test]
fn the_store_in_memory_keeps_the_contract() {
    let make = || Box::new(MemoryKeyStore::new()) as Box<dyn KeyStore>;
    let report = block_on(Conformance::new(&make).run()).unwrap();
    assert!(report.is_conformant(), "{report}");
    let skipped: Vec<Clause> = report.skipped().iter().map(|(clause, _)| *clause).collect();
    assert_eq!(skipped, [Clause::Beside, Clause::Durable]);
    assert_eq!(report.passed().len() + skipped.len(), Clause::ALL.len());
}

/// The suite over stores with that bug, of which others can be opened beside.
fn found_in(bug: Bug) -> Vec<Clause> {
    let last: Mutex<MemoryKeyStore> = Mutex::default();
    let make = || {
        let inner = MemoryKeyStore::new();
        *last.lock().unwrap() = inner.clone();
        Box::new(Sample::new(inner, bug)) as Box<dyn KeyStore>
    };
    let beside = || {
        let last = last.lock().unwrap().clone();
        let inner = if bug == Bug::SharesNothing { MemoryKeyStore::new() } else { last };
        Box::new(Sample::new(inner, bug)) as Box<dyn KeyStore>
    };
    let report = block_on(Conformance::new(&make).with_beside(&beside).run()).unwrap();
    assert!(report.skipped().is_empty(), "{report}");
    assert_eq!(report.clone().into_result().is_ok(), report.failures().is_empty());
    report.failures().iter().map(Failure::clause).collect()
}

#[test]
fn nothing_is_found_in_a_store_without_a_bug() {
    assert_eq!(found_in(Bug::None), []);
}

#[test]
fn every_bug_is_found_by_its_clause() {
    let planted = [
        (Bug::DescribesAnew, Clause::Describe),
        (Bug::AnswersWithoutARoot, Clause::Empty),
        (Bug::CreatesTwice, Clause::Create),
        (Bug::ReplacesWhatever, Clause::Envelopes),
        (Bug::RetiresWhatIsUsed, Clause::Epochs),
        (Bug::ListsEpochsByReference, Clause::Create),
        (Bug::GivesReferencesTwice, Clause::Insert),
        (Bug::ExistsIsTheFirst, Clause::Insert),
        (Bug::LooksAtVersionsFirst, Clause::Insert),
        (Bug::ForgetsTheLastOfMany, Clause::InsertMany),
        (Bug::SortsWhatItGets, Clause::Look),
        (Bug::FindsTheFirst, Clause::Look),
        (Bug::ScansFromTheLast, Clause::Scan),
        (Bug::CountsWhatItDidNotMove, Clause::Reseal),
        (Bug::ForgetsAJoint, Clause::Joints),
        (Bug::LeavesJoints, Clause::Joints),
        (Bug::ReleasesAll, Clause::Holds),
        (Bug::BuriesTheHeld, Clause::Bury),
        (Bug::BuriesAnywhere, Clause::Repeat),
        (Bug::GetsWhatIsBuried, Clause::TombstonesWin),
        (Bug::CountsWhatItDidNotRemove, Clause::Remove),
        (Bug::GivesNamesAway, Clause::NewPersons),
        (Bug::GivesSharedNamesAway, Clause::NewPersons),
        (Bug::AppendsAnywhere, Clause::Receipts),
        (Bug::CountsReads, Clause::Change),
        (Bug::CountsNothing, Clause::Change),
        (Bug::TakesAnyBatch, Clause::Misuse),
        (Bug::SnapshotsLeaveGravesOut, Clause::Snapshot),
        (Bug::SnapshotsSeeWrites, Clause::Snapshot),
        (Bug::HalfALoadIsEmpty, Clause::Load),
        (Bug::LoadsCountAnew, Clause::Load),
        (Bug::IsStuckWhenDropped, Clause::Cancelled),
        (Bug::LooksAndThenSets, Clause::Races),
        (Bug::SharesNothing, Clause::Beside),
        (Bug::ForgetsAtTheEnd, Clause::Durable),
        (Bug::ShowsNamesInErrors, Clause::Silent),
        (Bug::ShowsNamesInDebug, Clause::Silent),
    ];
    let found = planted.map(|(bug, clause)| (bug, clause, found_in(bug)));
    let missed: Vec<_> = found.iter().filter(|(_, clause, found)| !found.contains(clause)).collect();
    assert!(missed.is_empty(), "planted, and found by: {missed:?}");
}
