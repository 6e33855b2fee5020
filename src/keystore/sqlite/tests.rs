//! The store in SQLite: the contract, and what files, disks and processes do to it.

use std::sync::Mutex;

use tempfile::TempDir;

use super::super::conformance::{Clause, Conformance};
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
