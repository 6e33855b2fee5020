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
mod context;
mod crash;
mod detached;
mod help;
mod inspect;
mod interop;
mod man;
mod manual;
mod mended;
mod outputs;
mod rewrap;
mod roundtrip;
mod sandbox;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod terminal;
mod threads;
mod vectors;
mod verify;
