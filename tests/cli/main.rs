//! The program `kuvert` as its users meet it: arguments, pipes, files, signals, messages and exit statuses.
//!
//! Every run is held to the same rules, whatever it tests: no key, no plaintext and no context value on standard
//! error, nothing partial left behind, silence when all is well. See [`sandbox`].
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on should say where")]

#[cfg(target_os = "linux")]
mod bad_disks;
mod bad_files;
mod bad_keys;
mod child;
mod completions;
mod config;
mod context;
mod crash;
mod detached;
mod doctor;
mod help;
mod inspect;
mod interop;
#[cfg(feature = "https")]
mod kms;
#[cfg(feature = "https")]
mod kms_failures;
#[cfg(feature = "https")]
mod kms_stage;
mod man;
mod manual;
mod mended;
mod outputs;
#[path = "../../src/bin/kuvert/doctor/personal.rs"]
mod personal;
mod personal_data;
mod rewrap;
mod roundtrip;
mod sandbox;
mod several_keys;
#[cfg(unix)]
mod signals;
#[cfg(feature = "sqlite")]
mod subjects;
#[cfg(feature = "sqlite")]
mod subjects_bad;
#[cfg(all(target_os = "linux", feature = "sqlite"))]
mod subjects_disks;
#[cfg(feature = "sqlite")]
mod subjects_killed;
#[cfg(all(feature = "https", feature = "sqlite"))]
mod subjects_kms;
#[cfg(not(feature = "sqlite"))]
mod subjects_missing;
#[cfg(any(feature = "https", feature = "sqlite"))]
#[path = "../support/mod.rs"]
mod support;
#[cfg(unix)]
mod terminal;
mod threads;
mod vectors;
mod verify;
