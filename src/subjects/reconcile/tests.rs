//! Older copies of a key store, anchors of every kind, and chains that were changed.

use std::sync::Arc;

use async_trait::async_trait;

use super::*;
use crate::{
    error::Category,
    keystore::{Entry, JointEnds, KeyStore, MemoryKeyStore},
    subjects::{
        FileAnchor, MemoryAnchor, Subjects,
        testing::{Crashing, House, Note, block_on, cell, copy, entries, opens, seal, store_of},
    },
};

fn erase(subjects: &Subjects, name: &str) {
    let scope = subjects.scope("tenant-7");
    block_on(scope.erase(&scope.subject(name), "r")).unwrap();
}

/// Somebody who stays, some who are erased after the copy was made, and what each of them has.
struct Restored {
    house: House,
    older: Arc<MemoryKeyStore>,
    stays: Note,
    erased: Vec<Note>,
}

fn restored() -> Restored {
    let house = House::new();
    let scope = house.scope();
    let stays = seal(&scope, "stays");
    erase(&house.subjects, "long ago");
    let mut erased: Vec<Note> = ["anna", "bo", "anna"].map(|name| seal(&scope, name)).into();
    block_on(scope.subject("anna").rotate()).unwrap();
    erased.push(seal(&scope, "anna"));
    for (members, ends) in
        [(["anna", "bo"], JointEnds::WithTheLast), (["anna", "stays"], JointEnds::WithTheFirst)]
    {
        erased.push(block_on(scope.joint(members, ends).seal("joint", cell())).unwrap());
    }
    let older = copy(&*house.store);
    erase(&house.subjects, "bo");
    erase(&house.subjects, "anna");
    Restored { house, older, stays, erased }
}

#[test]
fn an_older_copy_erases_again_what_the_anchor_knows() {
    let Restored { house, older, stays, erased } = restored();
    let before = house.open(Arc::<MemoryKeyStore>::clone(&older));
    let scope = before.unwrap().scope("tenant-7");
    assert!(opens(&scope, &stays) && erased.iter().all(|note| !opens(&scope, note)));
    for name in ["anna", "bo"] {
        let refused = block_on(scope.subject(name).seal("x", cell())).expect_err("a grave again");
        assert_eq!(refused.category(), Category::Refused);
    }
    let tombstones = |store: &MemoryKeyStore| {
        let all = entries(store).into_iter();
        all.filter(|entry| matches!(entry, Entry::Tombstone(_) | Entry::Grave(_))).count()
    };
    assert_eq!(tombstones(&older), tombstones(&house.store));
    assert!(block_on(older.unremoved(10)).unwrap().is_empty());
    let report = block_on(scope.shared().verify_receipts()).unwrap();
    assert_eq!((report.tombstones, report.unusable), (5, 5));
    // And from now on it is the store, and the anchor follows it.
    block_on(scope.erase(&scope.subject("stays"), "r")).unwrap();
    assert!(!opens(&scope, &stays));
    assert_eq!(block_on(house.anchor.head()).unwrap().tombstones, 6);
}

/// The detector's planted fault: without an anchor the same copy is taken for a new one, and gives everything back.
#[test]
fn without_its_anchor_an_older_copy_is_not_told() {
    let Restored { house, older, erased, .. } = restored();
    let options = house.options();
    let options = crate::subjects::SubjectsOptions { anchor: None, ..options };
    let opened = block_on(Subjects::open(older, house.keys(&[&house.week]), options)).unwrap();
    assert!(erased.iter().all(|note| opens(&opened.scope("tenant-7"), note)));
}

#[test]
fn an_interrupted_reconciliation_goes_on_at_any_call() {
    let (mut step, mut crashes) = (0, 0);
    loop {
        let Restored { house, older, stays, erased } = restored();
        let crashing = Crashing::new(&older);
        crashing.crash_at(step);
        let opened = house.open(Arc::<Crashing>::clone(&crashing));
        assert_eq!(opened.is_err(), crashing.has_crashed());
        if let Ok(opened) = opened {
            crashing.crash_at(u64::MAX);
            assert!(opens(&opened.scope("tenant-7"), &stays));
            break;
        }
        (step, crashes) = (step + 1, crashes + 1);
        let scope = house.open(older).unwrap().scope("tenant-7");
        assert!(opens(&scope, &stays) && erased.iter().all(|note| !opens(&scope, note)), "at {step}");
        assert!(block_on(scope.subject("bo").seal("x", cell())).is_err(), "the grave is there, at {step}");
    }
    assert!(crashes > 30, "{crashes}");
}

#[test]
fn an_anchor_that_is_behind_is_lifted() {
    let Restored { house, erased, .. } = restored();
    let anchor = Arc::new(MemoryAnchor::new());
    let first = block_on(house.anchor.tombstones(0, 3)).unwrap();
    let store = house.subjects.shared().root.reference();
    block_on(anchor.append(store, 0, &first)).unwrap();
    let options = house.options().with_anchor(Arc::<MemoryAnchor>::clone(&anchor));
    let shared = Arc::<MemoryKeyStore>::clone(&house.store);
    let opened = block_on(Subjects::open(shared, house.keys(&[&house.week]), options)).unwrap();
    assert_eq!(block_on(anchor.head()).unwrap(), block_on(house.anchor.head()).unwrap());
    assert!(erased.iter().all(|note| !opens(&opened.scope("tenant-7"), note)));
}

fn refused(house: &House, store: Arc<MemoryKeyStore>, anchor: Arc<dyn Anchor>) -> SubjectError {
    let options = house.options().with_anchor(anchor);
    block_on(Subjects::open(store, house.keys(&[&house.week]), options)).expect_err("it must not open")
}

#[test]
fn two_histories_are_refused() {
    let Restored { house, older, .. } = restored();
    // The older copy was used without its anchor: its third erasure is another one.
    let blind = crate::subjects::SubjectsOptions { anchor: None, ..house.options() };
    let shared = Arc::<MemoryKeyStore>::clone(&older);
    let used = block_on(Subjects::open(shared, house.keys(&[&house.week]), blind)).unwrap();
    let before = block_on(used.verify_receipts()).unwrap().tombstones;
    erase(&used, "stays");
    let anchor = Arc::<MemoryAnchor>::clone(&house.anchor);
    let error = refused(&house, older, anchor);
    assert!(matches!(error, SubjectError::Diverged { number } if number == before + 1), "{error}");
    assert_eq!(error.category().exit_status(), 7);
}

#[test]
fn anchors_that_cannot_serve_are_refused() {
    let Restored { house, older, .. } = restored();
    let foreign = MemoryAnchor::new();
    block_on(foreign.append(1, 0, &[[7; TOMBSTONE_LEN]])).unwrap();
    let error = refused(&house, Arc::clone(&older), Arc::new(foreign));
    assert!(matches!(error, SubjectError::OtherAnchor));

    // Links that follow, but not by this root's key.
    let store = house.subjects.shared().root.reference();
    let all = block_on(house.anchor.tombstones(0, 100)).unwrap();
    for place in 0..all.len() {
        for byte in [0, 17, 60, 100] {
            let mut forged = all.clone();
            forged[place][byte] ^= 1;
            let anchor = MemoryAnchor::new();
            block_on(anchor.append(store, 0, &forged)).unwrap();
            let error = refused(&house, copy(&*older), Arc::new(anchor));
            assert!(
                matches!(error, SubjectError::Diverged { number } if number == place as u64 + 1),
                "{error}"
            );
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("anchor");
    std::fs::write(&path, "this is no anchor, and longer than its start").unwrap();
    let error = refused(&house, Arc::clone(&older), Arc::new(FileAnchor::new(&path)));
    assert_eq!(error.category(), Category::Malformed);
}

/// Says that it has more than it gives.
#[derive(Debug)]
struct Forgetful(Arc<MemoryAnchor>, u64);

#[async_trait]
impl Anchor for Forgetful {
    async fn head(&self) -> Result<crate::subjects::AnchorHead, AnchorError> {
        self.0.head().await
    }

    async fn tombstones(&self, after: u64, limit: usize) -> Result<Vec<[u8; TOMBSTONE_LEN]>, AnchorError> {
        let mut all = self.0.tombstones(after, limit).await?;
        all.truncate(usize::try_from(self.1.saturating_sub(after)).unwrap());
        Ok(all)
    }

    async fn append(
        &self,
        store: u64,
        after: u64,
        links: &[[u8; TOMBSTONE_LEN]],
    ) -> Result<bool, AnchorError> {
        self.0.append(store, after, links).await
    }
}

#[test]
fn tombstones_that_are_not_to_be_had_keep_the_store_shut() {
    let Restored { house, older, .. } = restored();
    for has in 0..5 {
        let anchor = Arc::new(Forgetful(Arc::clone(&house.anchor), has));
        let error = refused(&house, copy(&*older), anchor);
        assert!(matches!(error, SubjectError::Anchor(_)), "{has}: {error}");
    }
}

#[test]
fn a_chain_that_was_changed_in_the_store_is_told_by_its_number() {
    let Restored { house, .. } = restored();
    let all = entries(&*house.store);
    let mut tried = 0;
    for (place, entry) in all.iter().enumerate() {
        let (forged, chain) = match entry {
            Entry::Tombstone(stone) => {
                let mut stone = stone.clone();
                stone.bytes[17] ^= 1;
                (Entry::Tombstone(stone), "tombstones")
            }
            Entry::Receipt(receipt) => {
                let mut receipt = *receipt;
                receipt[8] ^= 1;
                (Entry::Receipt(receipt), "receipts")
            }
            _ => continue,
        };
        let mut changed = all.clone();
        changed[place] = forged;
        let blind = crate::subjects::SubjectsOptions { anchor: None, ..house.options() };
        let keys = house.keys(&[&house.week]);
        let error = block_on(Subjects::open(store_of(&changed), keys, blind)).expect_err("it was changed");
        let of_kind = |entry: &&Entry| {
            matches!((entry, chain), (Entry::Tombstone(_), "tombstones") | (Entry::Receipt(_), "receipts"))
        };
        let expected = all[..=place].iter().filter(of_kind).count() as u64;
        let SubjectError::ChainTampered { chain: found, number } = error else { panic!("{error}") };
        assert_eq!((found, number), (chain, expected));
        tried += 1;
    }
    assert!(tried >= 15, "{tried}");
}

/// A file that is gone, or whose disk is not there, is no new anchor: that would be the end of what it is for.
#[test]
fn an_anchor_that_is_lost_keeps_the_store_shut() {
    let house = House::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("anchor");
    let options = || house.options().with_anchor(Arc::new(FileAnchor::new(&path)));
    let store = Arc::new(MemoryKeyStore::new());
    let keys = || Arc::<crate::provider::MemoryProvider>::clone(&house.root);
    let subjects = block_on(Subjects::init(store.clone(), keys(), keys(), options())).unwrap();
    assert!(path.is_file(), "the anchor was begun with the store");
    let note = seal(&subjects.scope("tenant-7"), "anna");
    let older = copy(&*store);
    erase(&subjects, "anna");

    let open = |store: &Arc<MemoryKeyStore>| block_on(Subjects::open(store.clone(), keys(), options()));
    std::fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    for store in [&store, &older] {
        let error = open(store).expect_err("its anchor is not there");
        assert!(matches!(&error, SubjectError::Anchor(_)), "{error}");
        assert_eq!(error.category(), Category::Io);
        assert!(error.to_string().contains("no such file"), "{error}");
        assert!(!path.exists(), "looking for it does not make one");
    }
    // Nor does an erasure by somebody who has the store open, and what it did counts once the anchor is there again.
    let scope = subjects.scope("tenant-7");
    let bo = seal(&scope, "bo");
    block_on(scope.erase(&scope.subject("bo"), "r")).expect_err("its anchor is not there");
    assert!(!path.exists() && !opens(&scope, &bo));
    std::fs::rename(folder.path().join("elsewhere"), &path).unwrap();
    for store in [&store, &older] {
        assert!(!opens(&open(store).unwrap().scope("tenant-7"), &note));
    }
    // Told that it is lost for good, by an empty file in its place, it is filled from the store.
    std::fs::write(&path, []).unwrap();
    open(&store).unwrap();
    assert_eq!(block_on(FileAnchor::new(&path).head()).unwrap().tombstones, 2);
}

#[test]
fn a_store_is_not_begun_with_another_stores_anchor() {
    let house = House::new();
    let store = Arc::new(MemoryKeyStore::new());
    let keys = || Arc::<crate::provider::MemoryProvider>::clone(&house.root);
    let refused = block_on(Subjects::init(store.clone(), keys(), keys(), house.options()));
    assert!(matches!(refused, Err(SubjectError::OtherAnchor)), "{refused:?}");
    assert_eq!(block_on(store.root()).unwrap(), None, "nothing is half done");
}

/// Another process reconciles at the same time, and is in the middle of an erasure that the anchor does not have yet.
#[test]
fn an_erasure_of_others_on_its_way_to_the_anchor_is_no_damage() {
    let mut gaps = 0;
    loop {
        let Restored { house, older, erased, .. } = restored();
        let slow = Crashing::new(&older);
        let mut opening = std::pin::pin!(Subjects::open(slow, house.keys(&[&house.week]), house.options()));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        if (0..gaps).any(|_| opening.as_mut().poll(&mut cx).is_ready()) {
            break;
        }
        let theirs = Crashing::new(&older);
        let scope = house.open(theirs).unwrap().scope("tenant-7");
        let stays = scope.subject("stays");
        let mut erasing = std::pin::pin!(scope.erase(&stays, "r"));
        let kept = block_on(house.anchor.head()).unwrap().tombstones;
        while block_on(older.tombstones(kept, 1)).unwrap().is_empty() {
            assert!(erasing.as_mut().poll(&mut cx).is_pending());
        }
        assert_eq!(block_on(house.anchor.head()).unwrap().tombstones, kept, "it is in the store only");
        let opened = block_on(opening).unwrap();
        assert!(erased.iter().all(|note| !opens(&opened.scope("tenant-7"), note)));
        block_on(erasing).unwrap();
        gaps += 1;
    }
    assert!(gaps > 20, "{gaps}");
}

#[test]
fn a_file_serves_as_an_anchor() {
    let house = House::new();
    let folder = tempfile::tempdir().unwrap();
    let anchor = Arc::new(FileAnchor::new(folder.path().join("anchor")));
    // An anchor for a store that has had none.
    std::fs::write(anchor.path(), []).unwrap();
    let open = |store: Arc<MemoryKeyStore>| {
        let options = house.options().with_anchor(Arc::<FileAnchor>::clone(&anchor));
        block_on(Subjects::open(store, house.keys(&[&house.week]), options)).unwrap()
    };
    let subjects = open(Arc::clone(&house.store));
    let note = seal(&subjects.scope("tenant-7"), "anna");
    let older = copy(&*house.store);
    erase(&subjects, "anna");
    assert!(!opens(&open(older).scope("tenant-7"), &note));
}
