//! Searching files for bytes that should be gone.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use kuvert::keystore::{KeyStore, Lookup, MAX_BATCH, SEALED_KEY_LEN};

use crate::world::wait;

/// The sealed keys of these references, as the store has them.
pub(crate) fn sealed_keys(store: &dyn KeyStore, references: &[u64]) -> Vec<[u8; SEALED_KEY_LEN]> {
    let mut keys = Vec::new();
    for references in references.chunks(MAX_BATCH) {
        for lookup in wait(store.get(references)).unwrap() {
            let Lookup::Row(row) = lookup else { panic!("a key that is not there") };
            keys.push(row.sealed_key);
        }
    }
    keys
}

/// The file of a store with all that SQLite keeps beside it.
pub(crate) fn files_of(store: &Path) -> Vec<PathBuf> {
    let folder = store.parent().expect("a folder");
    let name = store.file_name().expect("a name").to_str().expect("text").to_owned();
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|other| other.to_string_lossy().starts_with(&name)))
        .collect();
    files.sort();
    files
}

/// The bytes of a file, read by another process: where locks are those of POSIX, one that opens and closes a file of SQLite's
/// by itself takes this process's locks on it away, and the engine does not know.
pub(crate) fn read(file: &Path) -> Vec<u8> {
    if cfg!(not(unix)) {
        return fs::read(file).unwrap();
    }
    let read = Command::new("cat").arg(file).output().unwrap();
    assert!(read.status.success());
    read.stdout
}

/// How many of `keys` have any part of their encrypted bytes in these files: whole eights of bytes are looked for, at every place.
pub(crate) fn found_in(files: &[PathBuf], keys: &[[u8; SEALED_KEY_LEN]]) -> usize {
    // The first bytes of a sealed key name the epoch; what is behind them is random or encrypted.
    let parts = |key: &[u8; SEALED_KEY_LEN]| {
        [33, 41, 49, 57, 65, 73].map(|at| u64::from_le_bytes(*key[at..].first_chunk().expect("within")))
    };
    let wanted: HashSet<u64> = keys.iter().flat_map(parts).collect();
    let mut seen = HashSet::new();
    for file in files {
        for window in read(file).windows(8) {
            let part = u64::from_le_bytes(*window.first_chunk().expect("eight bytes"));
            if wanted.contains(&part) {
                seen.insert(part);
            }
        }
    }
    keys.iter().filter(|key| parts(key).iter().any(|part| seen.contains(part))).count()
}

/// Whether a text stands somewhere in these bytes.
pub(crate) fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn a_planted_key_is_found_wherever_it_begins() {
    let folder = tempfile::tempdir().unwrap();
    let (file, log) = (folder.path().join("keys.sqlite"), folder.path().join("keys.sqlite-wal"));
    let keys: Vec<[u8; SEALED_KEY_LEN]> = (1..=3_u8)
        .map(|seed| std::array::from_fn(|at| seed.wrapping_mul(71) ^ u8::try_from(at).unwrap()))
        .collect();
    fs::write(&file, vec![0; 5000]).unwrap();
    fs::write(&log, [&[7; 13][..], &keys[1], &[0; 9]].concat()).unwrap();
    assert_eq!(files_of(&file), [file.clone(), log.clone()]);
    assert_eq!(found_in(&files_of(&file), &keys), 1);
    // Eight bytes of it are enough.
    fs::write(&log, &keys[2][41..49]).unwrap();
    assert_eq!(found_in(&files_of(&file), &keys), 1);
    fs::write(&log, &keys[2][42..49]).unwrap();
    assert_eq!(found_in(&files_of(&file), &keys), 0);
    assert!(has(b"a planted name", "planted") && !has(b"a planted name", "planter"));
}
