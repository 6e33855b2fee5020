//! Two processes on one file: of those that want the same, one gets it, and nothing is lost.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use kuvert::keystore::{
    Burial, Buried, Found, Inserted, KeyStore as _, Lookup, Names, SqliteKeyStore, SqliteOptions,
};

use super::{FIRST, create, epoch, open, random_row, run, tombstone};
use crate::support::rng::Rng;

const ROLE: &str = "KUVERT_TEST_KEY_STORE_RACER";
const NAMES: u64 = 60;

/// Not a test by itself: one of the processes. Without its environment variable it does nothing.
#[test]
fn racer() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (number, path) = role.split_once(':').expect("number:path");
    let number: u64 = number.parse().expect("a number");
    let store = open(Path::new(path));
    let mut out = std::io::stdout();
    // The same names in each process.
    let mut rng = Rng::new("key_store::processes");
    for of in 0..NAMES {
        let mut row = random_row(&mut rng, FIRST);
        row.reference ^= number << 8;
        if run(store.insert(&row, None, Names::StayErased)) == Inserted::Done {
            out.write_all(format!("\nwon {of}\n").as_bytes()).expect("the parent listens");
        }
        let stone = tombstone((1 + of) << 20 | number << 1 | 1);
        let mut after = 0;
        loop {
            let mut burial = Burial::default();
            (burial.after, burial.tombstones) = (after, vec![stone.clone()]);
            match run(store.bury(&burial)) {
                Buried::Done => break,
                Buried::Behind { last } => after = last,
                other => panic!("{other:?}"),
            }
        }
        if of == NAMES / 2 {
            run(store.remove(&[]));
        }
    }
}

#[test]
fn of_three_processes_one_gets_each_name_and_no_tombstone_is_lost() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("keys");
    let store = create(&path);
    let start = |number: u64| {
        Command::new(std::env::current_exe().expect("this program"))
            .args(["key_store::processes::racer", "--exact", "--nocapture", "--test-threads=1"])
            .env(ROLE, format!("{number}:{}", path.display()))
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program again")
    };
    let children: Vec<_> = [1, 2, 3].map(start).into_iter().collect();
    let mut won: BTreeMap<String, u32> = BTreeMap::new();
    for child in children {
        let output = child.wait_with_output().expect("a child of ours");
        assert!(output.status.success());
        for line in String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.starts_with("won ")) {
            *won.entry(line.to_owned()).or_default() += 1;
        }
    }
    assert_eq!(won.len() as u64, NAMES);
    assert!(won.values().all(|winners| *winners == 1), "{won:?}");
    let stones = run(store.tombstones(0, 1000));
    assert_eq!(stones.len() as u64, 3 * NAMES);
    let references: Vec<u64> = stones.iter().map(|stone| stone.reference).collect();
    assert!(run(store.get(&references)).iter().all(|found| matches!(found, Lookup::Erased { .. })));
}

#[test]
fn processes_that_make_one_store_at_once_make_one() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("keys");
        let created: Vec<bool> = std::thread::scope(|scope| {
            let make = |number: u8| {
                let path = &path;
                scope.spawn(move || {
                    let store =
                        SqliteKeyStore::open_or_create(path, &SqliteOptions::default()).expect("a store");
                    run(store.create(&[number], &[epoch(FIRST)]))
                })
            };
            let threads: Vec<_> = (0..4).map(make).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert_eq!(created.iter().filter(|created| **created).count(), 1);
        let root = run(open(&path).root()).expect("created");
        assert!(created[usize::from(root[0])]);
    }
}

#[test]
fn what_one_opening_writes_the_other_reads() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("keys");
    let (one, two) = (create(&path), open(&path));
    let mut rng = Rng::new("key_store::processes 1");
    for _ in 0..50 {
        let row = random_row(&mut rng, FIRST);
        assert_eq!(run(one.insert(&row, None, Names::StayErased)), Inserted::Done);
        assert_eq!(run(two.find(&[row.pseudonym])), [Found::Row(row)]);
    }
}
