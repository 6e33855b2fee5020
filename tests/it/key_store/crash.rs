//! Real SIGKILLs of a process that writes: everything it acknowledged is there, and nothing is half done.
//!
//! The child does the script's writes and says after each that it is done. Killed, the store must be the one that as many
//! writes make in memory, or one more. 200 kills, or as many as `KUVERT_TEST_KEY_STORE_KILLS` says.
#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use kuvert::keystore::{MemoryKeyStore, SqliteKeyStore, SqliteOptions};

use super::script::step;
use super::{entries, open};
use crate::support::rng::Rng;

const ROLE: &str = "KUVERT_TEST_KEY_STORE_CHILD";

/// Not a test by itself: what the killed process runs. Without its environment variable it does nothing.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let mut parts = role.splitn(3, ':');
    let bug = parts.next().expect("a bug or none");
    let from: u64 = parts.next().and_then(|number| number.parse().ok()).expect("a number");
    let store = open(Path::new(parts.next().expect("a path")));
    let mut out = std::io::stdout();
    let mut say = |what: String| out.write_all(what.as_bytes()).and_then(|()| out.flush());
    say("\nready\n".to_owned()).expect("the parent listens");
    for number in from.. {
        if bug == "hasty" {
            say(format!("done {number}\n")).expect("the parent listens");
        }
        step(&store, number);
        if bug != "hasty" {
            say(format!("done {number}\n")).expect("the parent listens");
        }
    }
}

fn start(bug: &str, from: u64, path: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["key_store::crash::child", "--exact", "--nocapture", "--test-threads=1"])
        .env(ROLE, format!("{bug}:{from}:{}", path.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("this program again")
}

/// Kills a child that goes on from `from` after a while; gives the number of the first write that it did not acknowledge.
fn kill_one(bug: &str, from: u64, path: &Path, after: Duration) -> u64 {
    let mut child = start(bug, from, path);
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let is_ready = lines.by_ref().any(|line| line.is_ok_and(|line| line == "ready"));
    assert!(is_ready, "the child did not begin");
    thread::sleep(after);
    child.kill().expect("a child of ours");
    child.wait().expect("a child of ours");
    let done = |line: String| line.strip_prefix("done ").and_then(|number| number.parse::<u64>().ok());
    // The last line may be cut short: a number of fewer digits is smaller than the one before.
    lines.map_while(Result::ok).filter_map(done).max().map_or(from, |last| last.max(from) + 1)
}

/// Whether a store that was killed is the one that `done` writes make, or one more; `model` has done them then.
fn is_whole(path: &Path, model: &MemoryKeyStore, from: u64, done: u64) -> Option<u64> {
    let store = open(path);
    let found = entries(&store);
    for number in from..done {
        step(model, number);
    }
    if found == entries(model) {
        return Some(done);
    }
    step(model, done);
    (found == entries(model)).then_some(done + 1)
}

fn begin(path: &Path) -> MemoryKeyStore {
    let model = MemoryKeyStore::new();
    let store = SqliteKeyStore::open_or_create(path, &SqliteOptions::default()).expect("a working disk");
    step(&store, 0);
    step(&model, 0);
    model
}

#[test]
fn what_was_acknowledged_survives_kills_and_nothing_is_half_done() {
    let kills = std::env::var("KUVERT_TEST_KEY_STORE_KILLS").ok().and_then(|kills| kills.parse().ok());
    let kills: u32 = kills.unwrap_or(200);
    let mut rng = Rng::new("key_store::crash 1");
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (mut writes, mut one_more) = (0, 0);
    for round in 0..kills.div_ceil(PER_STORE) {
        let path = folder.path().join(format!("keys-{round}"));
        let model = begin(&path);
        let mut from = 1;
        for _ in 0..PER_STORE.min(kills - round * PER_STORE) {
            let done = kill_one("none", from, &path, Duration::from_micros(rng.next_u64() % 30_000));
            let next = is_whole(&path, &model, from, done);
            let next = next.unwrap_or_else(|| panic!("killed after {done} writes, the store is another one"));
            writes += next - from;
            one_more += u32::from(next > done);
            from = next;
        }
        super::run(open(&path).check());
    }
    // Else the kills came too early to show anything.
    assert!(writes > u64::from(kills), "{writes} writes in {kills} kills");
    eprintln!("{kills} kills, {writes} writes; {one_more} times the last one was done and not acknowledged");
}

#[test]
fn a_child_that_speaks_too_early_is_found() {
    let mut rng = Rng::new("key_store::crash 2");
    let folder = tempfile::tempdir().expect("a temporary directory");
    let found = (0..100).any(|round| {
        let path = folder.path().join(format!("keys-{round}"));
        let model = begin(&path);
        let done = kill_one("hasty", 1, &path, Duration::from_micros(rng.next_u64() % 20_000));
        is_whole(&path, &model, 1, done).is_none()
    });
    assert!(found, "100 kills never found a write that was acknowledged before it was done");
}

/// Kills before a store is begun anew, so that it stays small enough to be compared each time.
const PER_STORE: u32 = 20;
