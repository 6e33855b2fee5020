//! The provider over PKCS#11 tokens: real ones that nobody here wrote, and one that fails as it is told.
#![cfg(unix)]
#![allow(
    unsafe_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::mem_forget,
    missing_docs,
    reason = "a test that cannot go on should say where; libraries are loaded and processes forked in no safe form"
)]

mod bad_input;
mod calls;
mod conformance;
mod custody;
#[cfg(feature = "https")]
#[path = "../support/fake_kms.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests' own, of which this needs little")]
mod fake_kms;
mod faults;
mod handles;
mod interop;
mod kryoptic;
mod life;
mod memory;
#[path = "../support/memscan.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    clippy::cast_possible_truncation,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    reason = "the tests' own, of which this needs part"
)]
mod memscan;
#[cfg(all(feature = "cli", feature = "sqlite"))]
#[path = "../support/people.rs"]
#[allow(unreachable_pub, reason = "the tests' own, which other test binaries share")]
mod people;
mod sanitizer;
mod shim;
mod stage;
mod storm;
#[cfg(feature = "cli")]
mod tool;
#[cfg(feature = "cli")]
mod tool_faults;
#[cfg(feature = "cli")]
mod tool_hsm;
#[cfg(all(feature = "cli", feature = "sqlite"))]
mod tool_subjects;
