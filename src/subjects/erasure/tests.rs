//! Erasures: what no longer opens, what still does, and a crash at every step.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::*;
use crate::{
    error::Category,
    keystore::{Entry, KeyStore, MemoryKeyStore},
    observe::{Event, Observer},
    subjects::{
        Anchor, Subjects,
        testing::{
            BEGIN, Crashing, House, MAX_AGE, Note, at, block_on, cell, copy, entries, opens, poll_at_most,
            seal,
        },
    },
};

fn erase(scope: &Scope, name: &str) -> Result<Receipt, SubjectError> {
    block_on(scope.erase(&scope.subject(name), "2026-118"))
}

fn tombstones(store: &dyn KeyStore) -> usize {
    entries(store).iter().filter(|entry| matches!(entry, Entry::Tombstone(_))).count()
}

#[test]
fn what_was_sealed_for_an_erased_person_opens_no_more_and_for_others_it_does() {
    let house = House::new();
    let scope = house.scope();
    let (anna, bo) = ([seal(&scope, "anna"), seal(&scope, "anna")], seal(&scope, "bo"));
    assert_eq!(block_on(scope.subject("anna").rotate()).unwrap(), 2);
    let later = seal(&scope, "anna");
    let secret = block_on(scope.credentials("anna").seal("hash", cell())).unwrap();

    let receipt = erase(&scope, "anna").unwrap();
    assert_eq!(receipt.keys.len(), 3, "two versions, and the credentials");
    assert_eq!(receipt.requested, Some(at(BEGIN)));
    assert_eq!(receipt.unusable, Some(at(BEGIN) + MAX_AGE + Duration::from_secs(1)));
    assert_eq!((receipt.irrevocable, receipt.was_erased_before), (None, false));
    assert_eq!(receipt.state(at(BEGIN)), Some(ReceiptState::Requested));
    assert_eq!(receipt.state(at(BEGIN + 61)), Some(ReceiptState::Unusable));
    assert!(receipt.not_covered().contains(&crate::subjects::NotCovered::KeyFiles));

    for scope in [&scope, &house.again().scope("tenant-7")] {
        assert!(anna.iter().chain([&later]).all(|note| !opens(scope, note)));
        let refused = block_on(scope.open(&secret, cell())).expect_err("erased with the person");
        assert_eq!(refused.category(), Category::Refused);
        assert!(opens(scope, &bo));
        let refused = block_on(scope.subject("anna").seal("again", cell())).expect_err("the name is a grave");
        assert!(matches!(refused, RecordError::NameErased));
    }
    let report = block_on(house.subjects.verify_receipts()).unwrap();
    assert_eq!((report.tombstones, report.unusable, report.irrevocable), (3, 3, 0));
    assert_eq!(block_on(house.anchor.head()).unwrap().tombstones, 3);
    assert!(block_on(house.store.unremoved(10)).unwrap().is_empty());

    let another = block_on(scope.subject("anna").of_new_person().seal("another anna", cell())).unwrap();
    assert_eq!(*block_on(scope.open(&another, cell())).unwrap(), "another anna");
    assert!(!opens(&scope, &later));
}

#[test]
fn a_repeated_erasure_changes_nothing_and_knows_what_was_done() {
    let house = House::new();
    let scope = house.scope();
    let note = seal(&scope, "anna");
    let first = erase(&scope, "anna").unwrap();
    let before = entries(&*house.store).len();
    house.clock.advance(Duration::from_secs(1000));
    let second = erase(&scope, "anna").unwrap();
    assert_eq!(
        (second.was_erased_before, &second.keys, second.unusable),
        (true, &first.keys, first.unusable)
    );
    assert_eq!(entries(&*house.store).len(), before);
    let other = block_on(scope.erase(&scope.subject("anna"), "another request")).unwrap();
    assert!(other.was_erased_before && other.keys.is_empty());
    assert!(!opens(&scope, &note));
}

#[test]
fn somebody_unknown_is_refused_from_then_on() {
    let house = House::new();
    let scope = house.scope();
    let receipt = erase(&scope, "nobody").unwrap();
    assert!(receipt.keys.is_empty() && receipt.requested.is_none() && !receipt.was_erased_before);
    let refused = block_on(scope.subject("nobody").seal("x", cell())).expect_err("a grave");
    assert!(matches!(refused, RecordError::NameErased));
    assert_eq!(tombstones(&*house.store), 0);
}

#[test]
fn names_and_requests_that_cannot_be_are_told() {
    let house = House::new();
    let scope = house.scope();
    let category = |result: Result<Receipt, SubjectError>| result.expect_err("it cannot be").category();
    assert_eq!(category(erase(&scope, "")), Category::Usage);
    assert_eq!(category(block_on(scope.erase(&scope.subject("anna"), ""))), Category::Usage);
    let long = "r".repeat(1025);
    assert_eq!(category(block_on(scope.erase(&scope.subject("anna"), &*long))), Category::Usage);
    let other = house.subjects.scope("tenant-8");
    assert_eq!(category(block_on(scope.erase(&other.subject("anna"), "r"))), Category::Usage);
    assert_eq!(entries(&*house.store).len(), 3, "a root and two epochs");
}

#[test]
fn another_scope_has_other_people() {
    let house = House::new();
    let (ours, theirs) = (house.scope(), house.subjects.scope("tenant-8"));
    let (anna, also_anna) = (seal(&ours, "anna"), seal(&theirs, "anna"));
    erase(&ours, "anna").unwrap();
    assert!(!opens(&ours, &anna) && opens(&theirs, &also_anna));
}

#[test]
fn whoever_is_on_hold_is_not_erased() {
    let house = House::new();
    let scope = house.scope();
    let note = seal(&scope, "anna");
    let anna = scope.subject("anna");
    assert!(block_on(scope.hold(&anna, "case 3")).unwrap());
    assert!(!block_on(scope.hold(&anna, "case 3")).unwrap());
    assert!(block_on(scope.hold(&anna, "case 4")).unwrap());
    let before = entries(&*house.store).len();
    for held in [scope.subject("anna"), scope.credentials("anna")] {
        let refused = block_on(scope.erase(&held, "r")).expect_err("on hold");
        assert_eq!(refused.category().exit_status(), 7);
        assert!(matches!(refused, SubjectError::OnHold));
    }
    assert!(opens(&scope, &note));
    assert_eq!(entries(&*house.store).len(), before, "nothing was changed");
    assert!(block_on(scope.release(&anna, "case 3")).unwrap());
    assert!(!block_on(scope.release(&anna, "case 3")).unwrap());
    assert!(matches!(erase(&scope, "anna"), Err(SubjectError::OnHold)));
    assert!(block_on(scope.release(&anna, "case 4")).unwrap());
    assert_eq!(block_on(scope.holds(&anna)).unwrap(), 0);
    erase(&scope, "anna").unwrap();
    assert!(!opens(&scope, &note));
}

#[test]
fn joint_keys_end_with_the_last_or_with_the_first() {
    let house = House::new();
    let scope = house.scope();
    let joint = |ends| block_on(scope.joint(["anna", "bo"], ends).seal("both", cell())).unwrap();
    let (last, first): (Note, Note) = (joint(JointEnds::WithTheLast), joint(JointEnds::WithTheFirst));
    let bo = seal(&scope, "bo");

    // What ends with the first of them would end for whoever is on hold, too.
    assert!(block_on(scope.hold(&scope.subject("bo"), "case")).unwrap());
    assert!(matches!(erase(&scope, "anna"), Err(SubjectError::OnHold)));
    assert!(block_on(scope.release(&scope.subject("bo"), "case")).unwrap());

    let receipt = erase(&scope, "anna").unwrap();
    assert_eq!(receipt.keys.len(), 2, "hers, and the one that ends with the first");
    assert!(opens(&scope, &last) && !opens(&scope, &first) && opens(&scope, &bo));
    let refused = block_on(scope.joint(["bo", "anna"], JointEnds::WithTheFirst).seal("x", cell()));
    assert!(refused.is_err());
    let receipt = erase(&scope, "bo").unwrap();
    assert_eq!(receipt.keys.len(), 2);
    assert!(!opens(&scope, &last) && !opens(&scope, &bo));
}

#[test]
fn a_joint_that_is_on_hold_keeps_whoever_it_would_end_with() {
    let house = House::new();
    let scope = house.scope();
    let joint = || scope.joint(["anna", "bo"], JointEnds::WithTheLast);
    let note: Note = block_on(joint().seal("both", cell())).unwrap();
    block_on(scope.hold(&joint(), "case")).unwrap();
    let both = [scope.subject("anna"), scope.subject("bo")];
    let answers = block_on(scope.erase_many(&both, "r")).unwrap();
    assert!(answers.iter().all(|answer| matches!(answer, Err(SubjectError::OnHold))));
    block_on(scope.release(&joint(), "case")).unwrap();
    // Now one of them is: the other one can go, and the joint key stays.
    block_on(scope.hold(&both[0], "case")).unwrap();
    let answers = block_on(scope.erase_many(&both, "r")).unwrap();
    assert!(matches!(answers[..], [Err(SubjectError::OnHold), Ok(_)]));
    assert!(opens(&scope, &note));
}

/// Erased by itself, a joint key is still that of all its members.
#[test]
fn a_member_who_is_on_hold_keeps_a_joint_that_is_erased_by_itself() {
    let house = House::new();
    let scope = house.scope();
    for ends in [JointEnds::WithTheLast, JointEnds::WithTheFirst] {
        let joint = || scope.joint(["anna", "bo"], ends);
        let note: Note = block_on(joint().seal("both", cell())).unwrap();
        block_on(scope.hold(&scope.subject("bo"), "case")).unwrap();
        let refused = block_on(scope.erase(&joint(), "r"));
        assert!(matches!(refused, Err(SubjectError::OnHold)), "{refused:?}");
        assert!(opens(&scope, &note));
        block_on(scope.release(&scope.subject("bo"), "case")).unwrap();
        block_on(scope.erase(&joint(), "r")).unwrap();
        assert!(!opens(&scope, &note));
    }
}

/// A new bearer of a name is nobody who keeps what the earlier one shared with others.
#[test]
fn a_new_person_does_not_keep_an_earlier_ones_joint_key_alive() {
    let house = House::new();
    let scope = house.scope();
    let joint = || scope.joint(["anna", "bo"], JointEnds::WithTheLast);
    let note: Note = block_on(joint().seal("both", cell())).unwrap();
    erase(&scope, "anna").unwrap();
    // While what she shared with Bo still opens, her name is hers.
    for attempt in [
        block_on(scope.subject("anna").of_new_person().seal("x", cell())).map(drop),
        block_on(scope.subject("anna").of_new_person().rotate()).map(drop),
        block_on(joint().of_new_person().seal("x", cell())).map(drop),
    ] {
        assert!(matches!(attempt, Err(RecordError::NameErased)), "{attempt:?}");
    }
    assert!(opens(&scope, &note));
    erase(&scope, "bo").unwrap();
    assert!(!opens(&scope, &note), "both of those whom it was about are erased");
    let new: Note = block_on(scope.subject("anna").of_new_person().seal("x", cell())).unwrap();
    assert!(opens(&scope, &new) && !opens(&scope, &note));
}

/// A receipt for somebody else's name would say that somebody is erased who is not.
#[test]
fn another_scopes_or_stores_subjects_are_not_taken_for_ones_own() {
    let (house, other) = (House::new(), House::new());
    let (scope, elsewhere, neighbour) = (house.scope(), other.scope(), house.subjects.scope("tenant-8"));
    let note = seal(&elsewhere, "anna");
    for subject in [elsewhere.subject("anna"), neighbour.subject("anna")] {
        let refused = [
            block_on(scope.erase(&subject, "r")).map(drop),
            block_on(scope.hold(&subject, "case")).map(drop),
            block_on(scope.release(&subject, "case")).map(drop),
            block_on(scope.holds(&subject)).map(drop),
        ];
        for refused in refused {
            assert!(matches!(refused, Err(SubjectError::Usage(_))), "{refused:?}");
        }
    }
    assert!(opens(&elsewhere, &note));
    assert_eq!(block_on(neighbour.holds(&neighbour.subject("anna"))).unwrap(), 0);
    // Another handle over the same store has the same people.
    let again = house.again().scope("tenant-7");
    let hers = seal(&scope, "anna");
    block_on(scope.erase(&again.subject("anna"), "r")).unwrap();
    assert!(!opens(&scope, &hers));
}

#[test]
fn whoever_is_named_twice_has_the_same_receipt_twice() {
    let house = House::new();
    let scope = house.scope();
    seal(&scope, "anna");
    let subjects = ["anna", "bo", "anna"].map(|name| scope.subject(name));
    let receipts: Vec<Receipt> =
        block_on(scope.erase_many(&subjects, "r")).unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(receipts[0].keys.len(), 1);
    assert_eq!(receipts[0], receipts[2]);
    assert!(receipts[1].keys.is_empty());
}

#[test]
fn many_at_once_have_a_receipt_each() {
    let house = House::new();
    let scope = house.scope();
    let names: Vec<String> = (0..40).map(|number| format!("person {number}")).collect();
    let notes: HashMap<&str, Note> = names.iter().map(|name| (name.as_str(), seal(&scope, name))).collect();
    block_on(scope.hold(&scope.subject("person 7"), "case")).unwrap();
    erase(&scope, "person 8").unwrap();
    let together =
        block_on(scope.joint(["person 1", "person 2"], JointEnds::WithTheLast).seal("x", cell())).unwrap();
    let mut subjects: Vec<_> = names[..20].iter().map(|name| scope.subject(name)).collect();
    subjects.push(scope.subject(""));
    let receipts = block_on(scope.erase_many(&subjects, ErasureRequest::new("retention"))).unwrap();
    assert_eq!(receipts.len(), 21);
    for (number, receipt) in receipts.iter().enumerate() {
        match (number, receipt) {
            (7, Err(SubjectError::OnHold)) | (20, Err(_)) => {}
            (8, Ok(receipt)) => assert!(receipt.was_erased_before),
            (1, Ok(receipt)) => assert_eq!(receipt.keys.len(), 2, "with the joint key"),
            (_, Ok(receipt)) => assert!(receipt.keys.len() == 1 && !receipt.was_erased_before),
            (_, Err(error)) => panic!("{number}: {error}"),
        }
    }
    for (number, name) in names.iter().enumerate() {
        assert_eq!(opens(&scope, &notes[name.as_str()]), number == 7 || number >= 20, "{number}");
    }
    assert!(!opens(&scope, &together), "both of its members are gone");
    assert_eq!(tombstones(&*house.store), 20);
}

/// The cache of another process holds a key for its age, and not a moment longer.
#[test]
fn another_process_forgets_within_the_stated_time() {
    let house = House::new();
    let scope = house.scope();
    let note = seal(&scope, "anna");
    let other = house.again().scope("tenant-7");
    assert!(opens(&other, &note), "now it is in that cache");
    let receipt = erase(&scope, "anna").unwrap();
    assert!(!opens(&scope, &note));
    house.clock.advance(Duration::from_secs(30));
    assert!(opens(&other, &note), "that process has not asked again");
    let wait = receipt.unusable.unwrap().duration_since(at(BEGIN + 30)).unwrap();
    house.clock.advance(wait);
    assert!(!opens(&other, &note));
}

/// Whatever call of the store a crash comes at, before or after it is done: the person is erased or not, others are not
/// touched, and the next call or the next start finishes it.
#[test]
fn a_crash_at_any_call_leaves_erased_or_not_erased() {
    let (mut erased, mut untouched, mut step) = (0, 0, 0);
    loop {
        let house = House::new();
        let scope = house.scope();
        let (anna, bo) = (seal(&scope, "anna"), seal(&scope, "bo"));
        let both =
            block_on(scope.joint(["anna", "bo"], JointEnds::WithTheFirst).seal("both", cell())).unwrap();
        let crashing = Crashing::new(&house.store);
        let subjects = house.open(Arc::<Crashing>::clone(&crashing)).unwrap();
        crashing.crash_at(step);
        let result = erase(&subjects.scope("tenant-7"), "anna");
        assert_eq!(result.is_err(), crashing.has_crashed());
        if !crashing.has_crashed() {
            break;
        }
        step += 1;

        let scope = house.again().scope("tenant-7");
        let left = opens(&scope, &anna);
        assert_eq!(left, opens(&scope, &both), "all of it or nothing");
        assert!(opens(&scope, &bo));
        if left {
            untouched += 1;
            assert_eq!(tombstones(&*house.store), 0);
        } else {
            erased += 1;
            assert!(block_on(house.store.unremoved(10)).unwrap().is_empty(), "opening has finished it");
            let report = block_on(house.again().verify_receipts()).unwrap();
            assert_eq!((report.tombstones, report.unusable), (2, 2));
            assert_eq!(block_on(house.anchor.head()).unwrap().tombstones, 2);
        }
        let receipt = erase(&scope, "anna").unwrap();
        assert_eq!((receipt.was_erased_before, receipt.keys.len()), (!left, 2));
        assert!(!opens(&scope, &anna) && !opens(&scope, &both) && opens(&scope, &bo));
        assert_eq!(tombstones(&*house.store), 2);
    }
    assert!(erased > 5 && untouched > 5, "{erased} {untouched}");
}

#[test]
fn a_dropped_future_leaves_erased_or_not_erased() {
    let mut polls = 0;
    loop {
        let house = House::new();
        let scope = house.scope();
        let (anna, bo) = (seal(&scope, "anna"), seal(&scope, "bo"));
        let slow = house.open(Crashing::new(&house.store)).unwrap().scope("tenant-7");
        let subject = slow.subject("anna");
        let done = poll_at_most(polls, slow.erase(&subject, "2026-118"));
        let scope = house.again().scope("tenant-7");
        assert!(opens(&scope, &bo));
        let left = opens(&scope, &anna);
        assert!(!left || done.is_none());
        erase(&slow, "anna").unwrap();
        assert!(!opens(&scope, &anna) || left, "what was open in a cache stays no longer than its age");
        assert!(!opens(&house.again().scope("tenant-7"), &anna));
        assert_eq!(tombstones(&*house.store), 1);
        if done.is_some() {
            break;
        }
        polls += 1;
    }
    assert!(polls > 20, "{polls}");
}

#[test]
fn two_processes_erase_at_once_and_the_chain_stands() {
    let house = House::new();
    let names: Vec<String> = (0..40).map(|number| format!("person {number}")).collect();
    let notes: Vec<Note> = names.iter().map(|name| seal(&house.scope(), name)).collect();
    std::thread::scope(|threads| {
        for half in names.chunks(20) {
            let subjects = house.again();
            threads.spawn(move || {
                half.iter().for_each(|name| drop(erase(&subjects.scope("tenant-7"), name).unwrap()));
            });
        }
    });
    assert!(notes.iter().all(|note| !opens(&house.again().scope("tenant-7"), note)));
    let report = block_on(house.again().verify_receipts()).unwrap();
    assert_eq!((report.tombstones, report.unusable), (40, 40));
    assert_eq!(block_on(house.anchor.head()).unwrap().tombstones, 40);
}

/// Tells what it heard.
#[derive(Debug, Default)]
struct Heard(Mutex<String>);

impl Observer for Heard {
    fn event(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push_str(&format!("{event:?}\n"));
    }
}

#[test]
fn nothing_that_is_kept_or_shown_holds_a_name_a_request_or_plaintext() {
    let planted = ["planted-name", "planted-scope", "planted-request", "planted-case", "planted-text"];
    let house = House::new();
    let heard = Arc::new(Heard::default());
    let options = house.options().with_observer(Arc::<Heard>::clone(&heard));
    let store = Arc::<MemoryKeyStore>::clone(&house.store);
    let subjects = block_on(Subjects::open(store, house.keys(&[&house.week]), options)).unwrap();
    let scope = subjects.scope("planted-scope");
    let name = || scope.subject("planted-name");
    let note = block_on(name().seal("planted-text", cell())).unwrap();
    let mut shown = format!("{note:?} {:?} {subjects:?} {scope:?}", name());
    block_on(scope.hold(&name(), "planted-case")).unwrap();
    let refused = block_on(scope.erase(&name(), "planted-request")).expect_err("on hold");
    shown.push_str(&format!("{refused} {refused:?} {:?}", ErasureRequest::new("planted-request")));
    block_on(scope.release(&name(), "planted-case")).unwrap();
    let receipt = block_on(scope.erase(&name(), "planted-request")).unwrap();
    let refused = block_on(scope.open(&note, cell())).expect_err("erased");
    shown.push_str(&format!("{receipt:?} {refused} {refused:?} {:?}", house.anchor));
    shown.push_str(&heard.0.lock().unwrap());
    assert!(shown.contains("erase"), "events were heard");

    let mut kept = Vec::new();
    let mut encoder = crate::format::store_backup::BackupEncoder::new();
    for entry in entries(&*house.store) {
        encoder.push(&crate::subjects::backup::entries::fields_of(&entry).unwrap()).unwrap();
        kept.extend(encoder.take());
    }
    for stone in block_on(house.anchor.tombstones(0, 100)).unwrap() {
        kept.extend(stone);
    }
    let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds(b"xx planted-name", "planted-name") && kept.len() > 1000);
    for text in planted {
        assert!(!shown.contains(text), "{text} in {shown}");
        assert!(!holds(&kept, text), "{text} is stored");
    }
    assert!(!copy(&*house.store).describe().durable);
}
