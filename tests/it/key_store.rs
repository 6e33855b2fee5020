//! The key store in SQLite as a service finds it: files, disks, other processes, kills; and what is left of removed keys.

mod crash;
mod files;
mod processes;
mod residue;
mod script;

use std::path::Path;

use kuvert::blocking::block_on;
use kuvert::keystore::{
    Burial, Entry, EpochClass, EpochRow, EpochState, KeyStore, Pseudonym, SEALED_KEY_LEN, SqliteKeyStore,
    SqliteOptions, SubjectRow, TOMBSTONE_LEN, Tombstone,
};

use crate::support::rng::Rng;

const FIRST: u64 = 0xe0c4_0000_0000_0001;

fn open(path: &Path) -> SqliteKeyStore {
    SqliteKeyStore::open(path, &SqliteOptions::default()).expect("a sound key store")
}

/// A new store with an open epoch.
fn create(path: &Path) -> SqliteKeyStore {
    let store = SqliteKeyStore::open_or_create(path, &SqliteOptions::default()).expect("a working disk");
    assert!(run(store.create(b"root envelope", &[epoch(FIRST)])));
    store
}

fn run<T>(call: impl Future<Output = Result<T, kuvert::KeyStoreError>>) -> T {
    block_on(call).expect("no other executor").expect("a working store")
}

fn epoch(reference: u64) -> EpochRow {
    let (class, state) = (EpochClass::Subjects, EpochState::Open);
    EpochRow { reference, class, state, opened: 7, closed: None, envelope: reference.to_be_bytes().to_vec() }
}

/// A row of nothing but random bytes.
fn random_row(rng: &mut Rng, epoch: u64) -> SubjectRow {
    let mut bytes = [0; 40 + SEALED_KEY_LEN];
    rng.fill(&mut bytes);
    SubjectRow {
        reference: u64::from_be_bytes(*bytes.first_chunk().expect("long enough")) | 1,
        pseudonym: bytes[8..40].try_into().expect("32 bytes"),
        scope: [3; 16],
        version: 1,
        epoch,
        sealed_key: bytes[40..].try_into().expect("the rest"),
    }
}

fn tombstone(reference: u64) -> Tombstone {
    let mut bytes = [4; TOMBSTONE_LEN];
    bytes[..8].copy_from_slice(&reference.to_be_bytes());
    bytes[8..16].copy_from_slice(&1_800_000_000_u64.to_be_bytes());
    Tombstone { reference, bytes }
}

fn burial(after: u64, rows: &[SubjectRow]) -> Burial {
    let tombstones = rows.iter().map(|row| tombstone(row.reference)).collect();
    let names: Vec<Pseudonym> = rows.iter().map(|row| row.pseudonym).collect();
    let mut burial = Burial::default();
    (burial.after, burial.tombstones, burial.names) = (after, tombstones, names);
    burial
}

/// Everything in it.
fn entries(store: &dyn KeyStore) -> Vec<Entry> {
    let mut snapshot = run(store.snapshot());
    let mut entries = Vec::new();
    loop {
        let page = run(snapshot.next(5000));
        if page.is_empty() {
            return entries;
        }
        entries.extend(page);
    }
}
