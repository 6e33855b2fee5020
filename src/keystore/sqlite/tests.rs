//! The store in SQLite: the contract, and what files, disks and processes do to it.

use std::sync::Mutex;

use rusqlite::StatementStatus;
use tempfile::TempDir;

use super::super::conformance::{Clause, Conformance};
use super::super::rows::{EpochClass, EpochState, SEALED_KEY_LEN};
use super::*;
use crate::executor::block_on;

#[test]
fn it_keeps_the_contract() {
    let folders: Mutex<Vec<TempDir>> = Mutex::default();
    let open = |path: &Path| {
        let options = SqliteOptions::default().with_queue(4);
        Box::new(SqliteKeyStore::open_or_create(path, &options).unwrap()) as Box<dyn KeyStore>
    };
    let make = || {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder.path().join("keys"));
        folders.lock().unwrap().push(folder);
        store
    };
    let beside = || open(&folders.lock().unwrap().last().unwrap().path().join("keys"));
    let report = block_on(Conformance::new(&make).with_beside(&beside).run()).unwrap();
    assert!(report.is_conformant(), "{report}");
    assert_eq!(report.passed(), Clause::ALL);
}

/// A store with an open epoch, in a folder of its own.
fn created() -> (TempDir, SqliteKeyStore) {
    let folder = tempfile::tempdir().unwrap();
    let store =
        SqliteKeyStore::open_or_create(folder.path().join("keys"), &SqliteOptions::default()).unwrap();
    let (class, state) = (EpochClass::Subjects, EpochState::Open);
    let epoch = EpochRow { reference: 7, class, state, opened: 1, closed: None, envelope: vec![1] };
    assert!(block_on(store.create(b"root", &[epoch])).unwrap().unwrap());
    (folder, store)
}

fn row(of: u64) -> SubjectRow {
    let mut pseudonym = [0; 32];
    pseudonym[..8].copy_from_slice(&of.to_be_bytes());
    let (scope, sealed_key) = ([0; 16], [1; SEALED_KEY_LEN]);
    SubjectRow { reference: of + 1, pseudonym, scope, version: 1, epoch: 7, sealed_key }
}

fn rows(store: &SqliteKeyStore) -> usize {
    block_on(store.scan(7, 0, 60_000)).unwrap().unwrap().len()
}

#[test]
fn a_full_disk_is_an_error_and_nothing_is_half_done() {
    let (_folder, store) = created();
    let limit = |pages: u32| {
        let limit = move |engine: &mut Engine| {
            engine
                .connection
                .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, u32>(0))
        };
        block_on(store.writer.call(limit)).unwrap().unwrap().unwrap()
    };
    limit(60);
    let (mut done, mut full) = (0, None);
    for batch in 0..100 {
        let rows: Vec<SubjectRow> = (batch * 100..batch * 100 + 100).map(row).collect();
        match block_on(store.insert_many(&rows, Names::StayErased)).unwrap() {
            Ok(answers) => done += answers.len(),
            Err(error) => {
                full = Some((batch, error));
                break;
            }
        }
    }
    let (batch, error) = full.unwrap();
    assert_eq!(error.kind, KeyStoreErrorKind::Full, "{error}");
    assert_eq!((rows(&store), block_on(store.change()).unwrap().unwrap()), (done, 1 + batch));
    // Whatever fits is still done, and with more room everything is.
    block_on(store.remove(&[])).unwrap().unwrap();
    limit(10_000);
    let more: Vec<SubjectRow> = (batch * 100..batch * 100 + 100).map(row).collect();
    let answers = block_on(store.insert_many(&more, Names::StayErased)).unwrap().unwrap();
    assert!(answers.iter().all(|answer| *answer == Inserted::Done));
    block_on(store.check()).unwrap().unwrap();
}

#[test]
fn a_panic_in_the_middle_of_a_write_is_an_error_and_undone() {
    let (_folder, store) = created();
    let write = |connection: &Connection| -> Answer<()> {
        write::put_subject(connection, &row(1))?;
        std::panic::resume_unwind(Box::new("planted"))
    };
    let error = block_on(store.write(write, |()| true)).unwrap().unwrap_err();
    assert_eq!(error.kind, KeyStoreErrorKind::Unavailable);
    assert_eq!(rows(&store), 0);
    assert_eq!(block_on(store.insert(&row(1), None, Names::StayErased)).unwrap().unwrap(), Inserted::Done);
    assert_eq!(rows(&store), 1);
}

#[test]
fn who_waits_too_long_for_another_process_is_told_so() {
    let (folder, store) = created();
    let options = SqliteOptions::default().with_busy_timeout(std::time::Duration::ZERO);
    let other = SqliteKeyStore::open(folder.path().join("keys"), &options).unwrap();
    let lock = |engine: &mut Engine| engine.connection.execute_batch("BEGIN IMMEDIATE");
    block_on(store.writer.call(lock)).unwrap().unwrap().unwrap();
    let error = block_on(other.insert(&row(1), None, Names::StayErased)).unwrap().unwrap_err();
    assert_eq!(error.kind, KeyStoreErrorKind::Busy);
    // Whoever reads waits for nobody.
    assert_eq!(rows(&other), 0);
    block_on(store.writer.call(|engine| engine.tidy())).unwrap().unwrap();
    assert_eq!(block_on(other.insert(&row(1), None, Names::StayErased)).unwrap().unwrap(), Inserted::Done);
}

#[test]
fn what_was_asked_before_the_store_was_dropped_is_done() {
    let (folder, store) = created();
    for of in 0..50 {
        let row = row(of);
        let mut insert = store.insert(&row, None, Names::StayErased);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        drop(insert.as_mut().poll(&mut cx));
    }
    drop(store);
    let store = SqliteKeyStore::open(folder.path().join("keys"), &SqliteOptions::default()).unwrap();
    assert_eq!(rows(&store), 50);
}

/// What the engine is told is what the pages on erasure and operations promise.
#[test]
fn every_connection_keeps_to_what_is_promised() {
    let (_folder, store) = created();
    for (pragma, value) in [
        ("synchronous", 2),
        ("secure_delete", 1),
        ("trusted_schema", 0),
        ("cell_size_check", 1),
        ("temp_store", 2),
    ] {
        let ask = move |engine: &mut Engine| {
            engine.connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0))
        };
        assert_eq!(block_on(store.writer.call(ask)).unwrap().unwrap().unwrap(), value, "{pragma}");
        assert_eq!(block_on(store.reader.call(ask)).unwrap().unwrap().unwrap(), value, "{pragma}");
    }
    let writes = |engine: &mut Engine| engine.connection.execute("DELETE FROM subject", []).is_err();
    assert!(block_on(store.reader.call(writes)).unwrap().unwrap(), "the reader can write");
}

/// What is asked a million times is taken apart once, and finds its rows by an index.
#[test]
fn statements_are_prepared_once() {
    let (_folder, store) = created();
    let some: Vec<SubjectRow> = (0..50).map(row).collect();
    block_on(store.insert_many(&some, Names::StayErased)).unwrap().unwrap();
    for row in &some {
        let found = block_on(store.find(&[row.pseudonym])).unwrap().unwrap();
        assert_eq!(found, [Found::Row(row.clone())]);
        assert_eq!(block_on(store.get(&[row.reference])).unwrap().unwrap(), [Lookup::Row(row.clone())]);
    }
    for statement in [read::NEWEST, read::BY_REFERENCE] {
        let prepared = move |engine: &mut Engine| {
            let counts = engine.connection.prepare_cached(statement)?;
            let plan = format!("EXPLAIN QUERY PLAN {statement}");
            let plan: String = engine.connection.query_row(&plan, [[0; 32]], |row| row.get(3))?;
            let count = |what| counts.get_status(what);
            let status = [count(StatementStatus::RePrepare), count(StatementStatus::FullscanStep)];
            Ok::<_, rusqlite::Error>((count(StatementStatus::Run), status, plan))
        };
        for (worker, runs) in [(&store.reader, 50), (&store.writer, 0)] {
            let (run, status, plan) = block_on(worker.call(prepared)).unwrap().unwrap().unwrap();
            assert!(run >= runs && plan.contains("SEARCH"), "{run} {plan}");
            assert_eq!(status, [0, 0], "{statement}");
        }
    }
}

/// A table put back from an older file, row by row, by somebody who means well or does not.
#[test]
fn a_row_that_comes_back_has_its_tombstone_still() {
    let (_folder, store) = created();
    let (anna, bo) = (row(1), row(2));
    block_on(store.insert_many(&[anna.clone(), bo.clone()], Names::StayErased)).unwrap().unwrap();
    let mut bytes = [9; super::super::rows::TOMBSTONE_LEN];
    bytes[..8].copy_from_slice(&anna.reference.to_be_bytes());
    bytes[8..16].copy_from_slice(&77_u64.to_be_bytes());
    let burial = Burial {
        tombstones: vec![Tombstone { reference: anna.reference, bytes }],
        names: vec![anna.pseudonym],
        ..Burial::default()
    };
    assert_eq!(block_on(store.bury(&burial)).unwrap().unwrap(), Buried::Done);
    assert_eq!(block_on(store.remove(&[anna.reference])).unwrap().unwrap(), 1);
    let back = anna.clone();
    let put_back = move |engine: &mut Engine| {
        engine.write(|connection| write::put_subject(connection, &back), |()| true)
    };
    block_on(store.writer.call(put_back)).unwrap().unwrap().unwrap();
    let is_erased = |store: &SqliteKeyStore| {
        let found = block_on(store.get(&[anna.reference, bo.reference])).unwrap().unwrap();
        assert_eq!(found, [Lookup::Erased { since: 77 }, Lookup::Row(bo.clone())]);
        let found = block_on(store.find(&[anna.pseudonym, bo.pseudonym])).unwrap().unwrap();
        assert_eq!(found, [Found::Erased, Found::Row(bo.clone())]);
        assert_eq!(block_on(store.versions(&anna.pseudonym)).unwrap().unwrap(), []);
        assert_eq!(block_on(store.scan(7, 0, 10)).unwrap().unwrap(), std::slice::from_ref(&bo));
    };
    is_erased(&store);
    assert_eq!(block_on(store.unremoved(10)).unwrap().unwrap(), [anna.reference]);
    assert_eq!(block_on(store.remove(&[anna.reference])).unwrap().unwrap(), 1);
    is_erased(&store);
}
