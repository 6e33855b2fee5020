//! Backups: made, cut, changed, forged, checked and restored.

use std::sync::Arc;

use super::*;
use crate::{
    keystore::MemoryKeyStore,
    provider::MemoryProvider,
    subjects::testing::{House, Note, block_on, cell, entries, opens, seal},
};

struct Kept {
    house: House,
    notes: Vec<Note>,
    keys: Arc<MemoryProvider>,
    bytes: Vec<u8>,
    report: BackupReport,
}

fn opening(keys: &Arc<MemoryProvider>) -> OpenHandle {
    OpenHandle::from_arc(Arc::<MemoryProvider>::clone(keys))
}

/// A store with some of everything, and its backup.
fn kept() -> Kept {
    let house = House::new();
    let scope = house.scope();
    let mut notes: Vec<Note> = ["anna", "bo", "cecilia"].map(|name| seal(&scope, name)).into();
    notes.push(
        block_on(scope.joint(["anna", "bo"], crate::keystore::JointEnds::WithTheLast).seal("x", cell()))
            .unwrap(),
    );
    block_on(scope.hold(&scope.subject("bo"), "case")).unwrap();
    block_on(scope.erase(&scope.subject("cecilia"), "r")).unwrap();
    let keys = Arc::new(MemoryProvider::generate("backup").unwrap());
    let sealing = SealHandle::from_arc(Arc::<MemoryProvider>::clone(&keys));
    let (bytes, report) = block_on(house.subjects.backup(&sealing, Vec::new())).unwrap();
    Kept { house, notes, keys, bytes, report }
}

fn check(kept: &Kept, bytes: &[u8]) -> Result<VerifiedBackup, SubjectError> {
    block_on(Subjects::check_backup(bytes, &opening(&kept.keys), &*kept.house.keys(&[&kept.house.week])))
}

/// A backup of these entries, sealed by somebody who has the backup's key.
fn sealed(kept: &Kept, entries: &[Entry], store: u64) -> Vec<u8> {
    let mut encoder = BackupEncoder::new();
    entries.iter().for_each(|entry| encoder.push(&fields_of(entry).unwrap()).unwrap());
    encoder.finish(9).unwrap();
    let context = [("content", "key-store".to_owned()), ("store", format!("{store:016x}"))];
    let sealing = SealHandle::from_arc(Arc::<MemoryProvider>::clone(&kept.keys));
    block_on(sealing.seal(&encoder.take(), &EncryptionContext::new(context).unwrap())).unwrap()
}

#[test]
fn what_is_backed_up_is_checked_and_restored() {
    let kept = kept();
    assert_eq!((kept.report.keys, kept.report.tombstones, kept.report.epochs), (3, 1, 2));
    assert_eq!(*check(&kept, &kept.bytes).unwrap().report(), kept.report);
    let store = Arc::new(MemoryKeyStore::new());
    let restored = block_on(Subjects::restore(&*store, &*kept.bytes, &opening(&kept.keys))).unwrap();
    assert_eq!(restored, kept.report);
    assert!(entries(&*store) == entries(&*kept.house.store));

    // Erased after the backup was made, and so again when the restored store is opened with its anchor.
    let scope = kept.house.scope();
    block_on(scope.erase(&scope.subject("anna"), "r")).unwrap();
    let opened = kept.house.open(store).unwrap().scope("tenant-7");
    let expected = [false, true, false, true];
    for (note, expected) in kept.notes.iter().zip(expected) {
        assert_eq!(opens(&opened, note), expected);
    }
}

#[test]
fn a_backup_that_is_cut_or_changed_leaves_no_key_store() {
    let kept = kept();
    let len = kept.bytes.len();
    let cuts = (0..len).step_by(61).chain(len - 20..len).map(|cut| kept.bytes[..cut].to_vec());
    let flips = (0..len).step_by(97).map(|at| {
        let mut bytes = kept.bytes.clone();
        bytes[at] ^= 4;
        bytes
    });
    let (mut refused, mut told) = (0, std::collections::BTreeSet::new());
    for bytes in cuts.chain(flips) {
        let store = MemoryKeyStore::new();
        // A header of two slots may lose one and open.
        let Err(error) = block_on(Subjects::restore(&store, &*bytes, &opening(&kept.keys))) else {
            assert_eq!(bytes.len(), len);
            continue;
        };
        told.insert(error.category().name());
        assert!(check(&kept, &bytes).is_err());
        assert!(!matches!(block_on(store.root()), Ok(Some(_))), "half a store is none");
        refused += 1;
        if refused % 20 == 0 {
            // And does not stand in the way of the next restore.
            block_on(Subjects::restore(&store, &*kept.bytes, &opening(&kept.keys))).unwrap();
        }
    }
    assert!(refused > 100, "{refused}");
    assert!(told.contains("truncated") && told.contains("tampered"), "{told:?}");
}

#[test]
fn an_older_backup_never_goes_over_a_store() {
    let kept = kept();
    let before = entries(&*kept.house.store);
    let refused = block_on(Subjects::restore(&*kept.house.store, &*kept.bytes, &opening(&kept.keys)));
    let error = refused.expect_err("refused");
    assert!(matches!(error, SubjectError::Refused(_)) && error.category().exit_status() == 7);
    assert!(entries(&*kept.house.store) == before);
}

/// Whoever can seal for the backup's key still cannot make a backup that passes for this store's.
#[test]
fn what_is_in_a_backup_is_checked_too() {
    let kept = kept();
    let store = kept.report.store;
    let all = entries(&*kept.house.store);
    assert!(check(&kept, &sealed(&kept, &all, store)).is_ok());
    let fails = |change: &dyn Fn(&mut Vec<Entry>), expected: Category| {
        let mut changed = all.clone();
        change(&mut changed);
        let error = check(&kept, &sealed(&kept, &changed, store)).expect_err("changed");
        assert_eq!(error.category(), expected, "{error}");
    };
    let rows: Vec<usize> = (0..all.len()).filter(|place| matches!(all[*place], Entry::Subject(_))).collect();
    let swap = |entries: &mut Vec<Entry>| {
        let [Entry::Subject(a), Entry::Subject(b)] = [&all[rows[0]], &all[rows[1]]] else { panic!() };
        let (mut a, mut b) = (a.clone(), b.clone());
        std::mem::swap(&mut a.sealed_key, &mut b.sealed_key);
        (entries[rows[0]], entries[rows[1]]) = (Entry::Subject(a), Entry::Subject(b));
    };
    fails(&swap, Category::Tampered);
    let forge = |entries: &mut Vec<Entry>| {
        entries.iter_mut().for_each(|entry| {
            if let Entry::Tombstone(stone) = entry {
                stone.bytes[20] ^= 1;
            }
        });
    };
    fails(&forge, Category::Tampered);
    let scope = |entries: &mut Vec<Entry>| {
        if let Entry::Subject(row) = &mut entries[rows[0]] {
            row.scope[0] ^= 1;
        }
    };
    fails(&scope, Category::Tampered);
    let other = House::new();
    let foreign = |entries: &mut Vec<Entry>| entries[0] = self::entries(&*other.store)[0].clone();
    // Its root is wrapped by a key of the same name that is another.
    fails(&foreign, Category::WrongKey);
    let unnamed = check(&kept, &sealed(&kept, &all, store ^ 1)).expect_err("of another store, it says");
    assert_eq!(unnamed.category(), Category::Malformed);
}

#[test]
fn what_is_no_backup_is_told() {
    let kept = kept();
    let sealing = SealHandle::from_arc(Arc::<MemoryProvider>::clone(&kept.keys));
    let context = EncryptionContext::new([("content", "letters")]).unwrap();
    let message = block_on(sealing.seal(b"dear sir", &context)).unwrap();
    assert_eq!(check(&kept, &message).expect_err("letters").category(), Category::WrongContext);
    assert_eq!(check(&kept, b"dear sir").expect_err("not sealed").category(), Category::Malformed);
    let stranger = Arc::new(MemoryProvider::generate("stranger").unwrap());
    let keys = kept.house.keys(&[&kept.house.week]);
    let unknown = block_on(Subjects::check_backup(&*kept.bytes, &opening(&stranger), &*keys));
    assert_eq!(unknown.expect_err("another key").category(), Category::KeyUnavailable);
    let without_epochs =
        block_on(Subjects::check_backup(&*kept.bytes, &opening(&kept.keys), &*kept.house.root));
    assert_eq!(without_epochs.expect_err("no epoch opens").category(), Category::KeyUnavailable);
}
