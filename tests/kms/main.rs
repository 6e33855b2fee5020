//! The provider over AWS KMS: against a fake that does as it is told, and against servers that nobody here wrote.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::mem_forget,
    clippy::duplicate_mod,
    missing_docs,
    reason = "a test that cannot go on should say where; the example brings the fake as well"
)]

#[path = "../support/mod.rs"]
mod support;

mod cancel;
mod compositions;
mod config;
mod conformance;
mod credentials;
mod custodian;
mod deadlines;
#[cfg(feature = "https")]
mod example;
mod failures;
mod lifecycle;
#[cfg(target_os = "linux")]
mod memory;
mod roles;
mod rsa;
mod servers;
mod stage;
#[cfg(feature = "https")]
mod tls;
