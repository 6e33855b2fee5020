//! Scripts of calls to a key store, against the store in memory, with crashes between them.
//!
//! Every answer must be the same, and so must the change number after every call and the whole content at the end. A crash
//! takes what the files hold at that moment, as they are, and goes on with what can be opened of them.

use std::path::{Path, PathBuf};

use kuvert::KeyStoreError;
use kuvert::blocking::block_on;
use kuvert::keystore::{
    Burial, Entry, EpochClass, EpochRow, EpochState, Hold, Joint, JointEnds, KeyStore, MemoryKeyStore, Names,
    Pseudonym, RECEIPT_LEN, ResealedKey, SEALED_KEY_LEN, SqliteKeyStore, SqliteOptions, SubjectRow,
    TOMBSTONE_LEN, Tombstone,
};

use super::input::Input;

pub fn run(data: &[u8]) {
    check(data, &mut Files::new());
}

/// What is tested: a store that can be taken from its process at any moment.
pub trait Lab {
    fn store(&self) -> &dyn KeyStore;
    fn crash(&mut self);
}

/// The crate's store in a file.
#[derive(Debug)]
pub struct Files {
    folder: tempfile::TempDir,
    number: u32,
    store: SqliteKeyStore,
}

impl Files {
    fn new() -> Self {
        // In memory where there is such a place: what is tested is not the disk.
        let shared = Path::new("/dev/shm");
        let folder =
            if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() }.unwrap();
        let store = open(&folder.path().join("0"));
        Self { folder, number: 0, store }
    }
}

fn open(path: &Path) -> SqliteKeyStore {
    SqliteKeyStore::open_or_create(path, &SqliteOptions::default().with_queue(1)).unwrap()
}

impl Lab for Files {
    fn store(&self) -> &dyn KeyStore {
        &self.store
    }

    fn crash(&mut self) {
        let path =
            |number: u32, what: &str| -> PathBuf { self.folder.path().join(format!("{number}{what}")) };
        for what in ["", "-wal"] {
            std::fs::copy(path(self.number, what), path(self.number + 1, what)).unwrap();
        }
        let next = path(self.number + 1, "");
        self.number += 1;
        self.store = open(&next);
    }
}

pub fn check(script: &[u8], lab: &mut dyn Lab) {
    let model = MemoryKeyStore::new();
    let mut input = Input::new(script);
    // Long scripts show nothing that short ones do not.
    for _ in 0..200 {
        if input.is_empty() {
            break;
        }
        let op = input.u8();
        if op % 20 == 19 {
            lab.crash();
            assert!(entries(lab.store()) == entries(&model), "a crash changed what is stored");
        } else {
            call(op % 20, input, lab.store(), &model);
            input = skip(input);
        }
        same(ask(lab.store().change()), ask(model.change()));
    }
    assert!(entries(lab.store()) == entries(&model), "the stores differ");
}

/// Every call takes its arguments from the same eight bytes.
fn skip(mut input: Input<'_>) -> Input<'_> {
    input.bytes(8);
    input
}

fn call(op: u8, mut input: Input<'_>, store: &dyn KeyStore, model: &dyn KeyStore) {
    match op {
        0 | 1 => {
            let epochs = [epoch(0, EpochClass::Subjects), epoch(1, EpochClass::Credentials)];
            let epochs = &epochs[..usize::from(input.u8() % 3)];
            both(store, model, |store| ask(store.create(&[1], epochs)));
        }
        2..=5 => {
            let (row, names) = (row(&mut input), names(&mut input));
            let joint = (op == 5).then(|| joint(&mut input, row.pseudonym));
            both(store, model, |store| ask(store.insert(&row, joint.as_ref(), names)));
        }
        6 => {
            let rows = [row(&mut input), row(&mut input)];
            let names = names(&mut input);
            both(store, model, |store| ask(store.insert_many(&rows, names)));
        }
        7 | 8 => {
            let burial = burial(&mut input, model);
            both(store, model, |store| ask(store.bury(&burial)));
        }
        9 => {
            let references = [reference(&mut input), reference(&mut input), reference(&mut input)];
            both(store, model, |store| ask(store.remove(&references)));
        }
        10 => {
            let (next, closes) = (input.u8(), EPOCHS[usize::from(input.u8() % 4)]);
            let class = if next & 4 == 0 { EpochClass::Subjects } else { EpochClass::Credentials };
            let next = epoch(usize::from(next % 4), class);
            both(store, model, |store| ask(store.begin_epoch(&next, closes)));
        }
        11 => {
            let epoch = EPOCHS[usize::from(input.u8() % 4)];
            both(store, model, |store| ask(store.retire_epoch(epoch)));
        }
        12 => {
            let [from, to] = [input.u8(), input.u8()].map(|place| EPOCHS[usize::from(place % 4)]);
            let key = |input: &mut Input<'_>| ResealedKey {
                reference: reference(input),
                sealed_key: [input.u8(); SEALED_KEY_LEN],
            };
            let keys = [key(&mut input), key(&mut input)];
            both(store, model, |store| ask(store.reseal(from, to, &keys)));
        }
        13 => {
            let hold = Hold { pseudonym: name(input.u8()), case: [input.u8() % 3; 32], since: input.u64() };
            both(store, model, |store| ask(store.hold(&hold)));
        }
        14 => {
            let (name, case) = (name(input.u8()), [input.u8() % 3; 32]);
            both(store, model, |store| ask(store.release(&name, &case)));
        }
        15 => {
            let (after, receipt) = (u64::from(input.u8() % 8), [input.u8(); RECEIPT_LEN]);
            both(store, model, |store| ask(store.append_receipts(after, &[receipt])));
        }
        16 => {
            let epoch = (input.u8() % 5).checked_sub(1).map(|place| EPOCHS[usize::from(place)]);
            let [old, new] = [input.u8() % 4, input.u8() % 4];
            both(store, model, |store| ask(store.replace_envelope(epoch, &[old], &[new])));
        }
        _ => look(op, input, store, model),
    }
}

fn look(op: u8, mut input: Input<'_>, store: &dyn KeyStore, model: &dyn KeyStore) {
    if op == 17 {
        let references: Vec<u64> = (0..6).map(|_| reference(&mut input)).collect();
        let names: Vec<Pseudonym> = (0..8).map(name).collect();
        both(store, model, |store| ask(store.get(&references)));
        both(store, model, |store| ask(store.find(&names)));
        for name in &names {
            both(store, model, |store| ask(store.versions(name)));
            both(store, model, |store| ask(store.joints(name)));
            both(store, model, |store| ask(store.holds(name)));
        }
    } else {
        let (after, limit) = (reference(&mut input), usize::from(input.u8() % 5));
        for epoch in EPOCHS {
            both(store, model, |store| ask(store.scan(epoch, after, limit)));
        }
        let number = u64::from(input.u8() % 8);
        both(store, model, |store| ask(store.epochs()));
        both(store, model, |store| ask(store.root()));
        both(store, model, |store| ask(store.unremoved(limit)));
        both(store, model, |store| ask(store.tombstones(number, limit)));
        both(store, model, |store| ask(store.receipts(number, limit)));
    }
}

fn both<T: PartialEq>(
    store: &dyn KeyStore,
    model: &dyn KeyStore,
    call: impl Fn(&dyn KeyStore) -> Result<T, KeyStoreError>,
) {
    same(call(store), call(model));
}

fn same<T: PartialEq>(found: Result<T, KeyStoreError>, expected: Result<T, KeyStoreError>) {
    match (found, expected) {
        (Ok(found), Ok(expected)) => assert!(found == expected, "two answers to one call"),
        (Err(found), Err(expected)) => assert_eq!(found.kind, expected.kind),
        (Ok(_), Err(error)) => panic!("done, and should be refused: {error}"),
        (Err(error), Ok(_)) => panic!("refused, and should be done: {error}"),
    }
}

fn ask<T>(call: impl Future<Output = Result<T, KeyStoreError>>) -> Result<T, KeyStoreError> {
    block_on(call).unwrap()
}

/// Everything, or nothing for a store that cannot be read yet.
fn entries(store: &dyn KeyStore) -> Option<Vec<Entry>> {
    let mut snapshot = ask(store.snapshot()).ok()?;
    let mut entries = Vec::new();
    loop {
        let page = ask(snapshot.next(7)).unwrap();
        if page.is_empty() {
            return Some(entries);
        }
        entries.extend(page);
    }
}

fn epoch(place: usize, class: EpochClass) -> EpochRow {
    let opened = place as u64;
    EpochRow {
        reference: EPOCHS[place],
        class,
        state: EpochState::Open,
        opened,
        closed: None,
        envelope: vec![1],
    }
}

/// Few of them, so that they meet; on both sides of where signed numbers turn over.
fn reference(input: &mut Input<'_>) -> u64 {
    let place = input.u8();
    match place % 16 {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << 63,
        3 => (1 << 63) - 1,
        few => u64::from(few) << 60 | u64::from(few),
    }
}

fn name(of: u8) -> Pseudonym {
    [of % 8; 32]
}

fn names(input: &mut Input<'_>) -> Names {
    if input.u8() % 4 == 3 { Names::MayBeNewPersons } else { Names::StayErased }
}

fn row(input: &mut Input<'_>) -> SubjectRow {
    let shape = input.u8();
    SubjectRow {
        reference: reference(input),
        pseudonym: name(shape),
        scope: [5; 16],
        version: u32::from(shape >> 3) % 4,
        epoch: EPOCHS[usize::from(shape >> 5) % 4],
        sealed_key: [shape; SEALED_KEY_LEN],
    }
}

fn joint(input: &mut Input<'_>, pseudonym: Pseudonym) -> Joint {
    let shape = input.u8();
    let ends = if shape & 64 == 0 { JointEnds::WithTheLast } else { JointEnds::WithTheFirst };
    Joint { pseudonym, ends, members: vec![name(shape), name(shape >> 3)] }
}

/// Mostly where the chain ends, for rows and names that are there.
fn burial(input: &mut Input<'_>, model: &dyn KeyStore) -> Burial {
    let shape = input.u8();
    let last = ask(model.tombstones(0, 1000)).map_or(0, |stones| stones.len() as u64);
    let mut burial =
        Burial { after: if shape & 7 == 7 { u64::from(shape >> 3) } else { last }, ..Burial::default() };
    if shape & 8 == 0 {
        burial.names = vec![name(input.u8())];
        let rows = ask(model.versions(&burial.names[0])).unwrap_or_default();
        burial.tombstones = rows.iter().map(|row| tombstone(row.reference, shape)).collect();
    }
    if shape & 16 == 0 {
        burial.tombstones.push(tombstone(reference(input), shape));
    }
    if shape & 32 == 0 {
        burial.unless_on_hold.clone_from(&burial.names);
    }
    burial
}

fn tombstone(reference: u64, shape: u8) -> Tombstone {
    let mut bytes = [shape; TOMBSTONE_LEN];
    bytes[..8].copy_from_slice(&reference.to_be_bytes());
    bytes[8] &= if shape == 0xff { 0xff } else { 0x7f };
    Tombstone { reference, bytes }
}

const EPOCHS: [u64; 4] = [7, 1 << 63 | 7, u64::MAX, 1];
