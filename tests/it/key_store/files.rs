//! Files that are no key store, are damaged, or may not be written: an error of the right kind, and no byte changed.

use std::fs;
use std::path::Path;

use kuvert::blocking::block_on;
use kuvert::keystore::{Inserted, KeyStore as _, Lookup, Names, SqliteKeyStore, SqliteOptions, SubjectRow};
use kuvert::{Category, KeyStoreError, KeyStoreErrorKind as Kind};
use rusqlite::Connection;

use super::{FIRST, create, entries, open, random_row, run};
use crate::support::rng::Rng;

fn refused(path: &Path) -> KeyStoreError {
    let options = SqliteOptions::default();
    SqliteKeyStore::open(path, &options).expect_err("this is not a sound key store")
}

/// A closed store with that many rows: one file.
fn closed(path: &Path, rows: usize) -> Vec<SubjectRow> {
    let store = create(path);
    let mut rng = Rng::new("key_store::files 1");
    let rows: Vec<SubjectRow> = (0..rows).map(|_| random_row(&mut rng, FIRST)).collect();
    run(store.insert_many(&rows, Names::StayErased));
    rows
}

#[test]
fn what_is_not_there_or_no_key_store() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("keys");
    assert_eq!(refused(&path).kind, Kind::Unavailable);
    assert!(!path.exists());
    assert_eq!(refused(folder.path()).kind, Kind::Foreign);
    let nowhere = folder.path().join("nowhere/keys");
    let error =
        SqliteKeyStore::open_or_create(&nowhere, &SqliteOptions::default()).expect_err("no such folder");
    assert_eq!((error.kind, error.category()), (Kind::Unavailable, Category::Io));

    let mut noise = vec![0; 9000];
    Rng::new("key_store::files 2").fill(&mut noise);
    for content in [&noise[..], &noise[..1], &noise[..700], b"name,email\nanna,anna@example.se\n"] {
        fs::write(&path, content).expect("a working disk");
        for error in [refused(&path), both(&path)] {
            assert_eq!((error.kind, error.category()), (Kind::Foreign, Category::Malformed), "{error}");
            assert!(!error.to_string().contains("anna"));
        }
        assert_eq!(fs::read(&path).expect("a working disk"), content, "it was changed");
    }
}

fn both(path: &Path) -> KeyStoreError {
    SqliteKeyStore::open_or_create(path, &SqliteOptions::default()).expect_err("no key store")
}

#[test]
fn databases_of_others_and_of_later_releases() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("people");
    let raw = Connection::open(&path).expect("a database");
    raw.execute_batch("CREATE TABLE people (name TEXT); INSERT INTO people VALUES ('anna')")
        .expect("a table");
    drop(raw);
    let before = fs::read(&path).expect("a working disk");
    assert_eq!(refused(&path).kind, Kind::Foreign);
    assert_eq!(both(&path).kind, Kind::Foreign);
    assert_eq!(fs::read(&path).expect("a working disk"), before, "it was changed");

    let path = folder.path().join("keys");
    drop(create(&path));
    for (version, kind) in
        [(2, Kind::NewerSchema), (1000, Kind::NewerSchema), (0, Kind::Damaged), (-1, Kind::Damaged)]
    {
        let raw = Connection::open(&path).expect("a database");
        raw.pragma_update(None, "user_version", version).expect("a known pragma");
        drop(raw);
        assert_eq!(refused(&path).kind, kind, "{version}");
        assert_eq!(both(&path).kind, kind, "{version}");
    }
    assert_eq!(KeyStoreError::new(Kind::NewerSchema, "sqlite").category(), Category::Unsupported);
}

#[test]
fn schemas_that_others_changed() {
    for change in [
        "CREATE TRIGGER keep AFTER DELETE ON subject BEGIN INSERT INTO grave VALUES (old.sealed_key); END",
        "CREATE VIEW everybody AS SELECT * FROM subject",
        "CREATE TABLE copies (key BLOB)",
        "DROP INDEX subject_name",
        "DROP TABLE receipt",
        "ALTER TABLE hold ADD COLUMN name TEXT",
        "PRAGMA journal_mode = DELETE",
    ] {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("keys");
        drop(create(&path));
        let raw = Connection::open(&path).expect("a database");
        raw.execute_batch(change).expect(change);
        drop(raw);
        assert_eq!(refused(&path).kind, Kind::Damaged, "{change}");
    }
}

#[test]
fn a_file_that_is_cut_off_is_never_taken_for_a_smaller_store() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let whole = folder.path().join("keys");
    let rows = closed(&whole, 300);
    let bytes = fs::read(&whole).expect("a working disk");
    let path = folder.path().join("cut");
    for len in
        (0..=16).chain([99, 100, 511, 512, 4095, 4096, 4097]).chain((0..20).map(|n| bytes.len() * n / 20))
    {
        if len >= bytes.len() {
            continue;
        }
        fs::write(&path, &bytes[..len]).expect("a working disk");
        let error = SqliteKeyStore::open(&path, &SqliteOptions::default()).expect_err("cut off");
        assert!([Kind::Damaged, Kind::Foreign].contains(&error.kind), "{len}: {error}");
    }
    // The measure itself: the whole file is a store.
    let store = open(&whole);
    assert_eq!(run(store.get(&[rows[7].reference])), [Lookup::Row(rows[7].clone())]);
}

#[test]
fn flipped_bytes_are_errors_or_nothing_and_never_a_panic() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let whole = folder.path().join("keys");
    let rows = closed(&whole, 200);
    let references: Vec<u64> = rows.iter().map(|row| row.reference).collect();
    let bytes = fs::read(&whole).expect("a working disk");
    let mut rng = Rng::new("key_store::files 3");
    let mut refusals = 0;
    for round in 0..150 {
        let path = folder.path().join(format!("flipped-{round}"));
        let mut flipped = bytes.clone();
        for _ in 0..4 {
            // Every second one where the engine keeps its own numbers.
            let at = rng.below(flipped.len());
            let at = if round % 2 == 0 { at / 4096 * 4096 + at % 12 } else { at };
            flipped[at] ^= 1 << rng.below(8);
        }
        fs::write(&path, &flipped).expect("a working disk");
        let kinds = [Kind::Damaged, Kind::Foreign, Kind::NewerSchema, Kind::Unavailable];
        let store = match SqliteKeyStore::open(&path, &SqliteOptions::default()) {
            Ok(store) => store,
            Err(error) => {
                assert!(kinds.contains(&error.kind), "{error}");
                refusals += 1;
                continue;
            }
        };
        for error in [
            block_on(store.get(&references)).expect("no other executor").err(),
            block_on(store.scan(FIRST, 0, 1000)).expect("no other executor").err(),
            block_on(store.check()).expect("no other executor").err(),
        ]
        .into_iter()
        .flatten()
        {
            assert!(kinds.contains(&error.kind) || error.kind == Kind::Misuse, "{error}");
            refusals += 1;
        }
        drop(fs::remove_file(&path));
    }
    assert!(refusals > 50, "only {refusals} findings");
}

#[test]
fn an_interrupted_beginning_is_gone_on_with() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("keys");
    fs::write(&path, b"").expect("a working disk");
    assert_eq!(
        SqliteKeyStore::open(&path, &SqliteOptions::default()).expect_err("empty").kind,
        Kind::Damaged
    );
    assert!(entries(&create(&path)).len() == 2);
    // A header, and no table yet.
    let path = folder.path().join("others");
    let raw = Connection::open(&path).expect("a database");
    raw.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).expect("a new file");
    drop(raw);
    assert_eq!(
        SqliteKeyStore::open(&path, &SqliteOptions::default()).expect_err("empty").kind,
        Kind::Damaged
    );
    assert!(entries(&create(&path)).len() == 2);
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn only_the_owner_may_read_the_files() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let store = create(&folder.path().join("keys"));
        run(store.insert(&random_row(&mut Rng::new("key_store::files 4"), FIRST), None, Names::StayErased));
        let mut names = Vec::new();
        for file in fs::read_dir(folder.path()).expect("a folder") {
            let file = file.expect("a file");
            assert_eq!(file.metadata().expect("there").mode() & 0o777, 0o600, "{:?}", file.file_name());
            names.push(file.file_name());
        }
        names.sort();
        assert_eq!(names, ["keys", "keys-shm", "keys-wal"]);
    }

    const ROLE: &str = "KUVERT_TEST_KEY_STORE_READ_ONLY";

    /// Not a test by itself: run as somebody who may not write. Without its environment variable it does nothing.
    #[test]
    fn reader() {
        let Ok(path) = std::env::var(ROLE) else { return };
        let error =
            SqliteKeyStore::open(&path, &SqliteOptions::default()).expect_err("it may not be written");
        assert_eq!((error.kind, error.category()), (Kind::ReadOnly, Category::Io), "{error:?}");
        println!("\nrefused");
    }

    #[test]
    fn files_and_folders_that_may_not_be_written() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).expect("a working disk");
        let path = inner.join("keys");
        closed(&path, 3);
        for (file, inside) in [(0o444, 0o755), (0o666, 0o555)] {
            let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
            mode(folder.path(), 0o755).expect("a folder of ours");
            mode(&path, file).expect("a file of ours");
            mode(&inner, inside).expect("a folder of ours");
            let mut command = Command::new(std::env::current_exe().expect("this program"));
            command.args(["key_store::files::unix::reader", "--exact", "--nocapture"]).env(ROLE, &path);
            if fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
                // Permissions stop nobody else but root.
                command.uid(65_534).gid(65_534);
            }
            match command.output() {
                Ok(output) => {
                    let text = String::from_utf8_lossy(&output.stdout);
                    assert!(text.contains("refused"), "{text}{}", String::from_utf8_lossy(&output.stderr));
                }
                Err(error) => eprintln!("skipped: this program cannot be run by nobody: {error}"),
            }
            mode(&inner, 0o755).expect("a folder of ours");
        }
        let store = open(&path);
        let row = random_row(&mut Rng::new("key_store::files 5"), FIRST);
        assert_eq!(run(store.insert(&row, None, Names::StayErased)), Inserted::Done);
    }
}
