//! The side that knows the keys: starts a child for each scenario, derives what to look for, judges what was found.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use aws_lc_rs::cmac;
use kuvert::provider::MemoryProvider;
use kuvert::{Cell, Kuvert};

use crate::child::{DIRECTORY, KEY_ID, MASK, SCENARIO, SCENARIOS, context};
use crate::support::anatomy::{Anatomy, Schedule};
use crate::support::cancel::wait;
use crate::support::fixture::{key_file_text, write_key_file};
use crate::support::memscan::{Found, Needle, from_hex, scan};
use crate::support::rng::Rng;

/// What one scan of a child found.
#[derive(Debug)]
struct Scan {
    label: String,
    found: Vec<(String, Found)>,
}

/// What the parent knows of a scenario: all secrets by name.
struct Known {
    secrets: Vec<Needle>,
    messages: Vec<Vec<u8>>,
    records: Vec<Vec<u8>>,
    data_keys: Vec<[u8; 32]>,
    rng: Rng,
}

impl Known {
    fn add(&mut self, name: String, secret: &[u8]) {
        if !self.secrets.iter().any(|known| known.secret == secret) {
            self.secrets.push(Needle { name, secret: secret.to_vec() });
        }
    }

    /// Everything that follows from the data keys, messages and records known so far.
    fn derive(&mut self) {
        let mut record_keys = Vec::new();
        for (n, key) in self.data_keys.clone().into_iter().enumerate() {
            self.add(format!("dek-{n}"), &key);
            // A data key is an HMAC key: XORed with the pads it is a key as well.
            self.add(format!("ipad-{n}"), &key.map(|byte| byte ^ 0x36));
            self.add(format!("opad-{n}"), &key.map(|byte| byte ^ 0x5c));
            for message in self.messages.clone() {
                let schedule = Schedule::of(&message, &key);
                if message[Anatomy::of(&message).commitment] != schedule.commitment {
                    continue;
                }
                self.add(format!("body-{n}"), &schedule.body_key);
                self.add(format!("mac-{n}"), &schedule.mac_key);
                self.add(format!("record-{n}"), &schedule.record_key);
                self.add(format!("child-{n}"), &schedule.child_key);
                record_keys.push(schedule.record_key);
            }
        }
        for (n, record) in self.records.clone().iter().enumerate() {
            for key in &record_keys {
                let nonce = record[9..21].try_into().expect("12 bytes of 24");
                self.add(format!("subkey-{n}"), &xaes_subkey(key, nonce));
            }
        }
    }
}

/// The subkey of XAES-256-GCM: CMAC of two fixed blocks with the first half of the nonce.
fn xaes_subkey(key: &[u8; 32], nonce: &[u8; 12]) -> [u8; 32] {
    let key = cmac::Key::new(cmac::AES_256, key).expect("32 bytes");
    let block = |n: u8| [&[0, n, b'X', 0][..], nonce].concat();
    let halves = [cmac::sign(&key, &block(1)).unwrap(), cmac::sign(&key, &block(2)).unwrap()];
    [halves[0].as_ref(), halves[1].as_ref()].concat().try_into().expect("two blocks")
}

/// Writes the key file, and what the child will open; gives back what is secret about it.
fn prepare(directory: &Path, rng: Rng) -> Known {
    let mut known = Known { secrets: vec![], messages: vec![], records: vec![], data_keys: vec![], rng };
    let wrapping_key: [u8; 32] = known.rng.bytes(32).try_into().expect("32 bytes");
    write_key_file(&directory.join("key"), KEY_ID, &wrapping_key);
    let text = key_file_text(KEY_ID, &wrapping_key);
    let line = text.trim_end().rsplit(':').next().unwrap();
    known.add("kek".to_owned(), &wrapping_key);
    known.add("base64".to_owned(), line.as_bytes());

    let kuvert = Kuvert::new(MemoryProvider::from_keys([(KEY_ID, wrapping_key)]).unwrap());
    for (name, len) in [("small", 100), ("large", 600_000)] {
        let text = known.rng.bytes(len);
        // Here and there: the first bytes of what is freed are written over by the allocator itself.
        for at in (0..=len - 32).step_by(4_099).chain([len / 2, len - 32]) {
            known.add(format!("text-{name}-{at}"), &text[at..at + 32]);
        }
        std::fs::write(directory.join(format!("{name}.plain")), &text).unwrap();
        let message = wait(kuvert.seal(&text, &context())).unwrap();
        let mut tampered = message.clone();
        *tampered.last_mut().unwrap() ^= 1;
        let mut bad_mac = message.clone();
        let mac = Anatomy::of(&message).slots[0].end - 1;
        bad_mac[mac] ^= 1;
        std::fs::write(directory.join(format!("{name}.sealed")), &message).unwrap();
        std::fs::write(directory.join(format!("{name}.tampered")), &tampered).unwrap();
        std::fs::write(directory.join(format!("{name}.bad-mac")), &bad_mac).unwrap();
        known.messages.push(message);
    }
    let (key, envelope) = wait(kuvert.new_record_key(&context())).unwrap();
    let text = std::fs::read(directory.join("small.plain")).unwrap();
    let record = key.seal(&text, &Cell::new("table", "column", "row")).unwrap();
    std::fs::write(directory.join("envelope"), &envelope).unwrap();
    std::fs::write(directory.join("record"), &record).unwrap();
    known.messages.push(envelope);
    known.records.push(record);
    known
}

/// Runs one scenario and gives back all its scans.
fn run(scenario: &'static str) -> Vec<Scan> {
    let directory = tempfile::tempdir().unwrap();
    let mut known = prepare(directory.path(), Rng::new(scenario));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child::child", "--nocapture", "--test-threads=1"])
        .env(SCENARIO, scenario)
        // The C library gives no freed memory back to the system, so that nothing escapes the search that way.
        .env("GLIBC_TUNABLES", NOTHING_GIVEN_BACK)
        .env(DIRECTORY, directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let scans = converse(&mut child, &mut known);
    let status = child.wait().unwrap();
    assert!(status.success(), "{scenario}: {status}");
    assert!(!scans.is_empty(), "{scenario}: nothing was scanned");
    scans
}

const NOTHING_GIVEN_BACK: &str =
    "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=2147483648:glibc.malloc.arena_max=1";

/// Answers the child until it ends.
fn converse(child: &mut Child, known: &mut Known) -> Vec<Scan> {
    let mut to_child = child.stdin.take().unwrap();
    let from_child = BufReader::new(child.stdout.take().unwrap());
    let mut scans = Vec::new();
    for line in from_child.lines() {
        let line = line.unwrap();
        let Some(told) = line.strip_prefix('@') else { continue };
        let (what, rest) = told.split_once(' ').unwrap_or((told, ""));
        match what {
            "message" => known.messages.push(from_hex(rest).unwrap()),
            "record" => known.records.push(from_hex(rest).unwrap()),
            "key" => {
                let masked = from_hex(rest).unwrap();
                let key: Vec<u8> = masked.iter().zip(MASK).map(|(byte, mask)| byte ^ mask).collect();
                known.data_keys.push(key.try_into().expect("32 bytes"));
            }
            "scan" => {
                known.derive();
                let (stack, label) = rest.split_once(' ').unwrap();
                let stack = u64::from_str_radix(stack, 16).unwrap();
                let found =
                    scan(child.id(), stack, &known.secrets).expect("a parent may read its child's memory");
                let names = known.secrets.iter().map(|needle| needle.name.clone());
                scans.push(Scan { label: label.to_owned(), found: names.zip(found).collect() });
                writeln!(to_child).unwrap();
            }
            other => panic!("the child said {other:?}"),
        }
    }
    scans
}

/// What is wrong with a scan: what is there and should not be, or is not there and should be.
///
/// `using a,b` are those in use: they must be found, on the heap, and nowhere on a stack. `idle a,b` may be there, on
/// the heap; everything else may be nowhere at all.
fn judge(scan: &Scan) -> Result<usize, String> {
    let (label, kinds) = scan.label.split_once(' ').unwrap_or((&scan.label, ""));
    let kinds: Vec<&str> = kinds.split(',').filter(|kind| !kind.is_empty()).collect();
    let is = |name: &str, kind: &str| {
        name.strip_prefix(kind).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let is_allowed = |name: &str| kinds.iter().any(|kind| is(name, kind));
    if label == "using" {
        let there = |kind: &str| scan.found.iter().any(|(name, found)| is(name, kind) && found.heap > 0);
        if let Some(blind) = kinds.iter().find(|kind| !there(kind)) {
            return Err(format!("blind: {blind} is in use, and was not found"));
        }
    }
    // Half a key in use is the start of its schedule, somewhere on the heap.
    let left = |(name, found): &&(String, Found)| {
        if is_allowed(name) { found.stack + found.other > 0 } else { found.total() > 0 }
    };
    let left: Vec<_> = scan.found.iter().filter(left).collect();
    if left.is_empty() { Ok(scan.found.len()) } else { Err(format!("left behind: {left:?}")) }
}

fn check(scenario: &'static str) {
    for scan in run(scenario) {
        match judge(&scan) {
            Ok(secrets) => println!("{scenario}: {}: {secrets} secrets looked for", scan.label),
            Err(fault) => panic!("{scenario}: {}: {fault}", scan.label),
        }
        let looked = |kind: &str| scan.found.iter().any(|(name, _)| name.starts_with(kind));
        assert!(looked("base64") && looked("text-large"), "{scenario}: the search had nothing to look for");
    }
}

#[test]
fn nothing_is_left_of_a_key_file() {
    check("key_file");
}

#[test]
fn nothing_is_left_after_sealing() {
    check("seal");
}

#[test]
fn nothing_is_left_after_opening() {
    check("open");
}

#[test]
fn nothing_is_left_after_records() {
    check("records");
}

#[test]
fn nothing_is_left_after_errors() {
    check("errors");
}

#[test]
fn nothing_is_left_after_panics() {
    check("panics");
}

#[test]
fn nothing_is_left_after_cancelled_futures() {
    check("cancelled");
}

#[test]
fn nothing_is_left_after_files() {
    check("files");
}

#[test]
fn nothing_is_left_in_other_threads() {
    check("threads");
}

#[test]
fn nothing_is_left_after_thousands_of_sessions() {
    check("many");
}

#[test]
fn nothing_is_left_after_several_threads() {
    check("parallel");
}

#[cfg(feature = "tokio")]
#[test]
fn nothing_is_left_after_tokio() {
    check("tokio");
}

#[test]
fn nothing_is_left_of_cached_keys() {
    check("cached");
}

/// Every kind of secret, leaked on purpose, must be found where it lies; half of one, too.
#[test]
fn planted_leaks_are_found() {
    let scans = run("planted");
    let seen = |label: &str, kind: &str| -> Found {
        let scan = scans.iter().find(|scan| scan.label == label).unwrap_or_else(|| panic!("no scan {label}"));
        scan.found
            .iter()
            .filter(|(name, _)| name.starts_with(kind))
            .map(|(_, found)| *found)
            .find(|f| f.total() > 0)
            .unwrap_or_default()
    };
    for (label, kind) in [
        ("kek", "kek"),
        ("base64", "base64"),
        ("dek", "dek-0"),
        ("body", "body"),
        ("record", "record"),
        ("text", "text-large"),
    ] {
        assert!(seen(label, kind).heap > 0, "a {label} leaked on the heap went unnoticed");
        let scan = scans.iter().find(|scan| scan.label == label).unwrap();
        judge(scan).expect_err(label);
    }
    assert!(seen("stack", "kek").stack > 0, "a copy on the stack went unnoticed");
    assert!(seen("half", "kek").halves > 0, "half a key went unnoticed");
}

#[test]
fn planted_freed_memory_is_searched() {
    let scans = run("planted_freed");
    let freed = scans.iter().find(|scan| scan.label == "freed").unwrap();
    judge(freed).expect_err("what was freed without a wipe went unnoticed");
}

/// Every scenario the child knows is run by a test above.
#[test]
fn every_scenario_is_run() {
    let source = include_str!("parent.rs");
    for (name, _) in SCENARIOS {
        assert!(source.contains(&format!("(\"{name}\")")), "{name} is run by no test");
    }
}
