//! Two at once: of rewraps of one file that overlap one wins, and the others say so.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use kuvert::provider::{Health, KeyProvider, ProviderInfo, WrapContext};
use kuvert::{Category, DataKey, Layout, ProviderError, Recipient, RewrapError, RewrapOutcome, RewrapReport};

use super::stage::{holder, keys, opens, parts, sealed};
use crate::support::cancel::wait;
use crate::support::fixture::{context, text};

/// Tells the child which file to rewrap.
const ROLE: &str = "KUVERT_TEST_REWRAP_CHILD";

/// Waits for others while it is asked to wrap, so that rewraps overlap for certain.
#[derive(Debug)]
struct Meeting(&'static str, Arc<Barrier>, Arc<Barrier>);

#[kuvert::async_trait]
impl KeyProvider for Meeting {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        self.1.wait();
        self.2.wait();
        keys(&[self.0]).wrap_data_key(key, context).await
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        keys(&[self.0]).unwrap_data_key(recipient, context).await
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        Ok(Health::good())
    }

    fn describe(&self) -> ProviderInfo {
        keys(&[self.0]).describe()
    }
}

fn rewrap(path: &Path, to: impl KeyProvider + 'static) -> Result<RewrapReport, RewrapError> {
    wait(holder(&["a", "b", "c"]).rewrap_to(to).file(path, &context()))
}

#[test]
fn while_one_rewraps_the_others_are_told() {
    for layout in [Layout::Rewrappable, Layout::Compact] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup");
        fs::write(&path, sealed(layout, "a", &text(100))).unwrap();
        let (inside, go_on) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let meeting = Meeting("b", Arc::clone(&inside), Arc::clone(&go_on));
        std::thread::scope(|scope| {
            let winner = scope.spawn(|| rewrap(&path, meeting));
            inside.wait();
            // It holds the lock until we let it go on: threads and processes alike are refused.
            let before = fs::read(&path).unwrap();
            let error = rewrap(&path, keys(&["c"])).unwrap_err();
            assert!(matches!(error, RewrapError::Busy), "{error:?}");
            assert_eq!(error.category(), Category::Io);
            #[cfg(unix)]
            assert_eq!(start(&path, "c").wait_with_output().unwrap().status.code(), Some(75), "{layout:?}");
            assert!(fs::read(&path).unwrap() == before);
            go_on.wait();
            assert_eq!(winner.join().unwrap().unwrap().outcome, RewrapOutcome::Rewrapped);
        });
        let after = fs::read(&path).unwrap();
        assert_eq!(opens("b", &after).as_deref(), Ok(&text(100)[..]));
        assert!(opens("a", &after).is_err() && opens("c", &after).is_err());
        // And now it is free again.
        assert_eq!(rewrap(&path, keys(&["c"])).unwrap().outcome, RewrapOutcome::Rewrapped);
    }
}

/// A file that is replaced between opening and locking it: the lock on the old one is worth nothing, and is not taken
/// for one.
#[test]
fn crowds_of_threads_rewrap_one_file() {
    for layout in [Layout::Rewrappable, Layout::Compact] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup");
        fs::write(&path, sealed(layout, "a", &text(100))).unwrap();
        let (mut rounds, mut won) = (0, 0);
        while rounds < 40 {
            let before = generation(&path);
            let results: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = ["b", "c", "a"]
                    .map(|id| scope.spawn(|| rewrap(&path, keys(&[id]))))
                    .into_iter()
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let mut done = 0;
            for result in results {
                match result {
                    Ok(report) => done += u32::from(report.outcome == RewrapOutcome::Rewrapped),
                    Err(RewrapError::Busy) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
            // No rewrap was lost: each that was reported counts in the file's generation.
            assert_eq!(generation(&path), before + done, "{layout:?}");
            let message = fs::read(&path).unwrap();
            assert_eq!(["a", "b", "c"].iter().filter(|id| opens(id, &message).is_ok()).count(), 1);
            rounds += 1;
            won += done;
        }
        assert!(won > 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }
}

fn generation(path: &Path) -> u32 {
    let start = kuvert::MessageStart::parse(&fs::read(path).unwrap()).unwrap();
    wait(holder(&["a", "b", "c"]).opener(start, &context())).unwrap().report().generation
}

/// Not a test by itself: another process that rewraps once. Without its environment variable it does nothing.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (id, path) = role.split_once(':').expect("id:path");
    if id == "for ever" {
        let mut out = std::io::stdout();
        out.write_all(b"\n@").and_then(|()| out.flush()).expect("the parent listens");
        for id in ["b", "c", "a"].into_iter().cycle() {
            rewrap(Path::new(path), keys(&[id])).expect("a working disk");
        }
    }
    let id: &'static str = ["b", "c", "a"].into_iter().find(|known| *known == id).expect("a known key");
    match rewrap(Path::new(path), keys(&[id])) {
        Ok(_) => std::process::exit(0),
        Err(RewrapError::Busy) => std::process::exit(75),
        Err(error) => panic!("{error:?}"),
    }
}

fn start(path: &Path, id: &str) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "rewrap::races::child", "--nocapture", "--test-threads=1"])
        .env(ROLE, format!("{id}:{}", path.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("this program runs again")
}

/// Starts a process that rewraps over and over, lets it work for a random while, kills it.
#[cfg(unix)]
fn kill_once(path: &Path, rng: &mut crate::support::rng::Rng) {
    let mut child = start(path, "for ever");
    let out = child.stdout.as_mut().expect("piped");
    let mut byte = [0];
    while byte != *b"@" {
        assert_eq!(out.read(&mut byte).expect("a pipe"), 1, "the child ended before it began to work");
    }
    std::thread::sleep(Duration::from_micros(rng.below(6_000) as u64));
    child.kill().expect("it runs for ever");
    assert_eq!(child.wait().expect("killed").code(), None, "it died by itself");
}

/// Real SIGKILLs at any time: the file opens, its body stands, and the next rewrap tidies up.
#[cfg(unix)]
#[test]
fn killed_while_rewrapping() {
    for (layout, name) in [(Layout::Rewrappable, "killing in place"), (Layout::Compact, "killing a copy")] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("backup");
        let message = sealed(layout, "a", &text(300_000));
        fs::write(&path, &message).unwrap();
        let mut rng = crate::support::rng::Rng::new(name);
        let mut traces = 0;
        for n in 0..80 {
            kill_once(&path, &mut rng);
            let found = fs::read(&path).unwrap();
            assert!(parts(&found).1 == parts(&message).1, "kill {n}: the body");
            assert!(["a", "b", "c"].iter().any(|id| opens(id, &found).is_ok()), "kill {n}");
            traces += fs::read_dir(folder.path()).unwrap().count() - 1;
            // Now and then somebody finishes what was begun.
            if n % 7 == 0 {
                rewrap(&path, keys(&["a"])).unwrap();
                let after = fs::read(&path).unwrap();
                let opened = ["a", "b", "c"].map(|id| opens(id, &after).is_ok());
                assert_eq!(opened, [true, false, false], "kill {n}");
                assert!(!folder.path().join("backup.kuvert-header").exists(), "kill {n}");
            }
            for entry in fs::read_dir(folder.path()).unwrap() {
                let path = entry.unwrap().path();
                // What the documentation tells the user to do.
                if path.extension().is_some_and(|extension| extension == "tmp") {
                    fs::remove_file(path).unwrap();
                }
            }
        }
        println!("{layout:?}: 80 kills, {traces} of them left a trace");
        // If no kill ever fell into the file work, nothing was shown.
        assert!(traces > 8, "{layout:?}: only {traces} kills fell into a rewrap");
    }
}
