//! The committed corpora of the fuzz targets, replayed by the same bodies, and broken things that the bodies must catch.
//!
//! `fuzz/run` finds inputs that reach something new; the smallest set of them is kept under `fuzz/corpus/`. Here they
//! run on stable Rust, at every change. `differential` is replayed where its body is, in `src/crypto/tests.rs`.

#[path = "../../fuzz/src/lib.rs"]
mod bodies;
mod planted;
#[cfg(feature = "serde")]
mod planted_config;
#[cfg(feature = "sqlite")]
mod planted_key_store;
#[cfg(feature = "pkcs11")]
mod planted_pkcs11;
mod planted_rewrap;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    thread,
};

/// The inputs kept for a target, with their names: what a fuzzer found, and what was written by hand.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let corpus = fs::read_dir(fuzz().join("corpus").join(target)).unwrap();
    let seeds = fs::read_dir(fuzz().join("seeds").join(target)).into_iter().flatten();
    let mut found: Vec<(PathBuf, Vec<u8>)> = corpus
        .chain(seeds)
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    found.sort();
    found
}

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// Names the input at which a body panicked.
struct Running<'a>(&'a Path);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("at {}", self.0.display());
        }
    }
}

fn replay(target: &str) {
    let (_, body) = bodies::BODIES.iter().find(|(name, _)| *name == target).unwrap();
    let inputs = corpus(target);
    assert!(inputs.len() >= 20, "only {} inputs for {target}", inputs.len());
    for (path, data) in &inputs {
        let _running = Running(path);
        body(data);
    }
}

/// One test a target, so that they run at the same time and the failing one is named.
macro_rules! replays {
    ($($target:ident),+) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target));
        })+

        const REPLAYED: &[&str] = &[$(stringify!($target)),+];
    };
}
replays!(context, header, key_file, open_message, open_record, rewrap, seek_ops, stream_ops);

#[cfg(feature = "serde")]
#[test]
fn config() {
    replay("config");
}

#[cfg(feature = "pkcs11")]
#[test]
fn pkcs11_uri() {
    replay("pkcs11_uri");
}

#[cfg(feature = "sqlite")]
#[test]
fn key_store() {
    replay("key_store");
}

#[test]
fn every_target_is_replayed() {
    let names = |paths: fs::ReadDir| -> BTreeSet<String> {
        paths.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let targets = names(fs::read_dir(fuzz().join("fuzz_targets")).unwrap());
    let replayed: BTreeSet<String> = REPLAYED
        .iter()
        .chain(&["differential", "config", "key_store", "pkcs11_uri"])
        .map(|&s| s.to_owned())
        .collect();
    assert_eq!(targets, replayed);
    assert_eq!(targets, names(fs::read_dir(fuzz().join("corpus")).unwrap()));
    let bodies: Vec<&str> = bodies::BODIES.iter().map(|(name, _)| *name).collect();
    let others = [
        ("config", cfg!(feature = "serde")),
        ("key_store", cfg!(feature = "sqlite")),
        ("pkcs11_uri", cfg!(feature = "pkcs11")),
    ];
    let others: Vec<&str> = others.iter().filter(|(_, is_on)| *is_on).map(|(name, _)| *name).collect();
    assert_eq!(bodies, [&others, REPLAYED].concat());
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for target in &targets {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target} is not built");
    }
}

#[test]
fn the_corpora_are_small() {
    let mut bytes = 0;
    for entry in fs::read_dir(fuzz().join("corpus")).unwrap() {
        let target = entry.unwrap().file_name().into_string().unwrap();
        let inputs = corpus(&target);
        assert!(inputs.len() < 400, "{} inputs for {target}", inputs.len());
        bytes += inputs.iter().map(|(_, data)| data.len()).sum::<usize>();
    }
    assert!(bytes < 2_000_000, "{bytes} bytes of corpora");
}
