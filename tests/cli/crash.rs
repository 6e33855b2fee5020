//! `kuvert rewrap` killed at any moment, and two of them at once: never unreadable, and never another body.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use kuvert::blocking::Kuvert;
use kuvert::provider::MemoryProvider;
use kuvert::{Category, EncryptionContext, MessageStart};
use sha2::{Digest as _, Sha256};

use crate::rewrap::sealed;
use crate::sandbox::Sandbox;

/// Bytes of plaintext in the file that is rewrapped again and again.
const LEN: u64 = 100_000_000;
const HEADER: u64 = 4096;

/// A sealed file "big", and what must never change about it.
struct Subject {
    sandbox: Sandbox,
    file_len: u64,
    body: Vec<u8>,
}

impl Subject {
    fn new(plaintext_len: u64) -> Self {
        let sandbox = sealed(&[]);
        File::create(sandbox.path("plain")).unwrap().set_len(plaintext_len).unwrap();
        sandbox.run(&["seal", "-k", "k", "-o", "big", "plain"]).is_silent();
        std::fs::remove_file(sandbox.path("plain")).unwrap();
        let file_len = HEADER + 56 + plaintext_len + (plaintext_len / 16_384 + 1) * 16;
        let body = body_hash(&sandbox);
        Self { sandbox, file_len, body }
    }

    /// What there is after a kill, or why that must not be.
    fn check(&self) -> Result<Left, String> {
        let left = Left::of(&self.sandbox)?;
        if left.openers.is_empty() {
            return Err(format!("nobody can open it: {left:?}"));
        }
        if left.openers.len() > 1 && !left.unfinished && !left.degraded {
            return Err(format!("two keys open it, and nothing tells: {left:?}"));
        }
        if std::fs::metadata(self.sandbox.path("big")).unwrap().len() != self.file_len {
            return Err(format!("its length is another one: {left:?}"));
        }
        if body_hash(&self.sandbox) != self.body {
            return Err(format!("its body is another one: {left:?}"));
        }
        Ok(left)
    }
}

/// Bytes of the body, hashed.
fn body_hash(sandbox: &Sandbox) -> Vec<u8> {
    let mut file = File::open(sandbox.path("big")).unwrap();
    file.seek(SeekFrom::Start(HEADER)).unwrap();
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).unwrap() {
            0 => return hash.finalize().to_vec(),
            n => hash.update(&buffer[..n]),
        }
    }
}

/// What a killed run has left.
#[derive(Debug, Default)]
struct Left {
    side_copy: bool,
    temporary: bool,
    unfinished: bool,
    degraded: bool,
    /// Which of the keys "main" and "new" open it.
    openers: Vec<&'static str>,
}

impl Left {
    fn of(sandbox: &Sandbox) -> Result<Self, String> {
        let listing = sandbox.listing();
        let mut left = Self {
            side_copy: listing.iter().any(|name| name == "big.kuvert-header"),
            temporary: listing.iter().any(|name| name.starts_with(".kuvert-")),
            ..Self::default()
        };
        for (key, id) in [("k", "main"), ("new", "new")] {
            let provider = MemoryProvider::from_key_file(sandbox.path(key)).unwrap();
            let mut file = File::open(sandbox.path("big")).unwrap();
            let start = MessageStart::read_seekable(&mut file).map_err(|error| error.to_string())?;
            match Kuvert::new(provider).opener(start, &EncryptionContext::empty()) {
                Ok(opener) => {
                    let report = opener.report();
                    left.unfinished |= report.unfinished_rewrap;
                    left.degraded |= report.degraded;
                    left.openers.push(id);
                }
                Err(error) if error.category() == Category::KeyUnavailable => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(left)
    }

    /// Whether the kill came between the first and the last change to the disk.
    const fn is_in_the_middle(&self) -> bool {
        self.side_copy || self.temporary || self.unfinished || self.degraded
    }
}

/// How many kills came when.
#[derive(Debug, Default)]
struct Moments {
    before: u32,
    middle: u32,
    side_copy: u32,
    unfinished: u32,
    degraded: u32,
    after: u32,
}

impl Moments {
    fn count(&mut self, left: &Left, is_done: bool) {
        match (left.is_in_the_middle(), is_done) {
            (true, _) => self.middle += 1,
            (false, false) => self.before += 1,
            (false, true) => self.after += 1,
        }
        self.side_copy += u32::from(left.side_copy);
        self.unfinished += u32::from(left.unfinished);
        self.degraded += u32::from(left.degraded);
    }
}

fn start(sandbox: &Sandbox, to: &str) -> Child {
    let mut command = sandbox.command(&["rewrap", "-k", "k", "-k", "new", "--to", to, "big"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A number below `end` that is another one each time.
fn random_below(end: u128) -> u128 {
    use std::hash::{BuildHasher as _, RandomState};
    u128::from(RandomState::new().hash_one(0)) % end.max(1)
}

#[test]
fn killed_at_any_moment_it_leaves_a_file_that_opens() {
    let kills = if std::env::var_os("KUVERT_TEST_LONG").is_some() { 1000 } else { 70 };
    let subject = Subject::new(LEN);
    let sandbox = &subject.sandbox;
    let began = Instant::now();
    assert!(start(sandbox, "new").wait().unwrap().success());
    let mut lasts = began.elapsed();
    let (mut moments, mut tried) = (Moments::default(), 0);
    // A machine that is suddenly faster or slower gets some more, until enough of them have hit the middle.
    while tried < kills || (moments.middle < 5 && tried < 10 * kills) {
        tried += 1;
        let began = Instant::now();
        let mut child = start(sandbox, if tried % 2 == 0 { "new" } else { "k" });
        let wait = random_below(lasts.as_nanos() * 5 / 4);
        std::thread::sleep(Duration::from_nanos(u64::try_from(wait).unwrap()));
        child.kill().unwrap();
        let is_done = child.wait().unwrap().success();
        if is_done {
            // How long one takes is learned as the test goes on.
            lasts = (lasts * 3 + began.elapsed().min(lasts * 2)) / 4;
        }
        let left = subject.check().unwrap_or_else(|fault| panic!("after {tried} kills {fault}"));
        moments.count(&left, is_done);
        remove_temporary(sandbox);
    }
    println!("{tried} kills: {moments:?}");
    assert!(moments.middle >= 5, "the kills did not hit the middle: {moments:?}");

    // Whatever was left, one run more ends it, and from then on the old keys open nothing.
    let last = sandbox.run(&["rewrap", "-k", "k", "-k", "new", "--to", "third", "big"]);
    assert!(last.text().contains("big: opens with key \"third\""), "{last:?}");
    sandbox.run(&["open", "-k", "k", "-k", "new", "big"]).fails_empty(6, &["no usable key"]);
    let verified = sandbox.run(&["verify", "-k", "third", "big"]);
    assert!(
        verified.text().contains("100000000 bytes of plaintext") && verified.err.is_empty(),
        "{verified:?}"
    );
    assert!(!sandbox.exists("big.kuvert-header") && body_hash(sandbox) == subject.body);
}

/// Each fault that a rewrap might leave is one that the checks after a kill find.
#[test]
fn what_must_not_be_left_is_found() {
    let subject = Subject::new(50_000);
    assert!(subject.check().is_ok_and(|left| !left.is_in_the_middle() && left.openers == ["main"]));
    let good = subject.sandbox.read("big");
    let slot = 32..2064;
    let mut torn = good.clone();
    torn[slot.clone()].fill(0);
    let mut half = good.clone();
    half[100..slot.end].fill(0);
    let mut body = good.clone();
    body[30_000] ^= 1;
    let (longer, shorter) = ([&good[..], b"x"].concat(), good[..good.len() - 1].to_vec());
    for (bytes, says) in
        [(torn, ""), (half, ""), (body, "body is another"), (longer, "length is"), (shorter, "length is")]
    {
        subject.sandbox.write("big", bytes);
        let fault = subject.check().expect_err(says);
        assert!(fault.contains(says), "{says}: {fault}");
    }
    // A key that nobody asked for.
    subject.sandbox.write("big", &good);
    subject.sandbox.run(&["rewrap", "-k", "k", "--to", "k", "--to", "new", "big"]).is_good();
    assert!(subject.check().expect_err("two keys").contains("two keys open it"));
    subject.sandbox.run(&["rewrap", "-k", "k", "--to", "third", "big"]).is_good();
    assert!(subject.check().expect_err("no key").contains("nobody can open it"));
}

fn remove_temporary(sandbox: &Sandbox) {
    for name in sandbox.listing().iter().filter(|name| name.starts_with(".kuvert-")) {
        std::fs::remove_file(sandbox.path(name)).unwrap();
    }
}

#[test]
fn a_file_that_is_being_rewrapped_is_busy() {
    let sandbox = sealed(&["file"]);
    let before = sandbox.read("file");
    if !crate::sandbox::has_part("flock", sandbox.shell("flock --version").output().unwrap().status.success())
    {
        return;
    }
    let script = "exec flock -x file $KUVERT rewrap -k k --to new file";
    let ran = sandbox.finish(&mut sandbox.shell(script), &[]);
    ran.fails_empty(1, &["file: another program is rewrapping this file", "run this again when"]);
    assert_eq!(sandbox.read("file"), before);
}

#[test]
fn of_two_at_once_one_wins_and_the_other_says_so() {
    let sandbox = sealed(&["file"]);
    let mut busy = 0;
    for _ in 0..40 {
        // Each is to make the file open with its own key only, whichever it opens with now.
        let run = |to: &str| {
            let mut command =
                sandbox.command(&["rewrap", "-k", "k", "-k", "new", "-k", "third", "--to", to, "file"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let both = [("new", run("new")), ("third", run("third"))];
        let ended = both.map(|(key, child)| (key, child.wait_with_output().unwrap()));
        let mut winners = Vec::new();
        for (key, output) in &ended {
            let said = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                Some(0) => winners.push(*key),
                Some(1) if said.contains("another program is rewrapping this file") => busy += 1,
                _ => panic!("{output:?}"),
            }
        }
        assert!(!winners.is_empty(), "{ended:?}");
        let opens = |key: &&&str| sandbox.run(&["open", "-k", key, "file"]).status.success();
        let openers: Vec<_> = ["k", "new", "third"].iter().filter(opens).copied().collect();
        assert!(openers.len() == 1 && winners.contains(&openers[0]), "{openers:?} of {winners:?}");
        let verified = sandbox.run(&["verify", "-k", openers[0], "file"]);
        assert!(verified.err.is_empty(), "{verified:?}");
    }
    println!("{busy} of 40 races found the file busy");
    assert_eq!(sandbox.listing(), ["file", "k", "new", "third"]);
}
