//! Bytes of removed keys: none in any of the store's files; and where the engine is told less, the same search finds some.

use std::collections::HashMap;
use std::path::Path;

use kuvert::keystore::{
    Buried, Inserted, KeyStore as _, Names, ResealedKey, SEALED_KEY_LEN, SqliteKeyStore, SubjectRow,
};
use rusqlite::Connection;

use super::{FIRST, burial, create, epoch, random_row, run};
use crate::support::rng::Rng;

/// How many of these keys have a piece of theirs in a file of the folder.
fn found_in(folder: &Path, keys: &[[u8; SEALED_KEY_LEN]]) -> usize {
    // Any eight bytes of a key betray it, at four places of it.
    let mut pieces: HashMap<[u8; 8], usize> = HashMap::new();
    for (key, bytes) in keys.iter().enumerate() {
        for at in [0, 24, 48, 73] {
            pieces.insert(bytes[at..at + 8].try_into().expect("eight"), key);
        }
    }
    let mut found = vec![false; keys.len()];
    for file in std::fs::read_dir(folder).expect("a folder") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("readable");
        for window in bytes.windows(8) {
            if let Some(key) = pieces.get(window) {
                found[*key] = true;
            }
        }
    }
    found.into_iter().filter(|found| *found).count()
}

/// A store in which 1000 of 20 000 keys are buried, in several rounds and with moved rows between them; each round's are
/// removed with it, but for the last one's.
fn grown(path: &Path) -> (SqliteKeyStore, Vec<SubjectRow>, Vec<SubjectRow>) {
    let mut rng = Rng::new("key_store::residue 1");
    let store = create(path);
    let (mut live, mut removed, mut last) = (Vec::new(), Vec::new(), Vec::new());
    let mut open = FIRST;
    for round in 0..4 {
        let rows: Vec<SubjectRow> = (0..5000).map(|_| random_row(&mut rng, open)).collect();
        let answers = run(store.insert_many(&rows, Names::StayErased));
        assert!(answers.iter().all(|answer| *answer == Inserted::Done));
        live.extend(rows);
        run(store.remove(&last.iter().map(|row: &SubjectRow| row.reference).collect::<Vec<_>>()));
        removed.append(&mut last);
        for _ in 0..250 {
            last.push(live.swap_remove(rng.below(live.len())));
        }
        let after = removed.len() as u64;
        assert_eq!(run(store.bury(&burial(after, &last))), Buried::Done);
        if round == 1 {
            // All move to another epoch, with new keys: the old ones are still what is searched for.
            assert!(run(store.begin_epoch(&epoch(99), open)));
            let mut keys = Vec::new();
            for row in &mut live {
                let sealed_key = random_row(&mut rng, 0).sealed_key;
                keys.push(ResealedKey { reference: row.reference, sealed_key });
            }
            assert_eq!(run(store.reseal(open, 99, &keys)), Some(keys.len()));
            for (row, key) in live.iter_mut().zip(keys) {
                row.sealed_key = key.sealed_key;
            }
            open = 99;
        }
    }
    (store, removed, last)
}

fn keys(rows: &[SubjectRow]) -> Vec<[u8; SEALED_KEY_LEN]> {
    rows.iter().map(|row| row.sealed_key).collect()
}

fn references(rows: &[SubjectRow]) -> Vec<u64> {
    rows.iter().map(|row| row.reference).collect()
}

#[test]
fn no_byte_of_a_removed_key_is_in_the_files() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (store, mut removed, last) = grown(&folder.path().join("keys"));
    assert_eq!(found_in(folder.path(), &keys(&last)), last.len(), "what is not removed is there");
    assert_eq!(run(store.remove(&references(&last))), last.len());
    removed.extend(last);
    assert_eq!(removed.len(), 1000);
    // While it is open, and after it was closed.
    assert_eq!(found_in(folder.path(), &keys(&removed)), 0);
    drop(store);
    assert_eq!(found_in(folder.path(), &keys(&removed)), 0);
}

#[test]
fn the_same_search_finds_what_an_engine_left_that_was_told_less() {
    let delete = "DELETE FROM subject WHERE live = 0";
    for (pragma, checkpoint) in [("OFF", true), ("ON", false)] {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("keys");
        let (store, _, last) = grown(&path);
        let raw = Connection::open(&path).expect("a database");
        raw.pragma_update(None, "secure_delete", pragma).expect("a known pragma");
        assert_eq!(raw.execute(delete, []).expect("rows to delete"), last.len());
        if checkpoint {
            raw.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("nobody reads");
        }
        let found = found_in(folder.path(), &keys(&last));
        assert!(found > last.len() / 2, "secure_delete {pragma}, checkpoint {checkpoint}: {found}");
        drop(store);
    }
}

#[test]
fn a_reader_that_keeps_the_log_is_told_of_and_the_next_removal_wipes_it() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("keys");
    drop(create(&path));
    let options = kuvert::keystore::SqliteOptions::default().with_busy_timeout(std::time::Duration::ZERO);
    let store = SqliteKeyStore::open(&path, &options).expect("a sound key store");
    let row = random_row(&mut Rng::new("key_store::residue 2"), FIRST);
    run(store.insert(&row, None, Names::StayErased));
    let snapshot = run(store.snapshot());
    run(store.bury(&burial(0, std::slice::from_ref(&row))));
    let busy = kuvert::blocking::block_on(store.remove(&[row.reference])).expect("no other executor");
    assert_eq!(busy.expect_err("a snapshot reads the log").kind, kuvert::KeyStoreErrorKind::Busy);
    assert_eq!(found_in(folder.path(), &[row.sealed_key]), 1);
    assert!(run(store.unremoved(10)).is_empty(), "the row is removed all the same");
    drop(snapshot);
    assert_eq!(run(store.remove(&[])), 0);
    assert_eq!(found_in(folder.path(), &[row.sealed_key]), 0);
}
