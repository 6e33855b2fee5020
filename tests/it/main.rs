//! The integration tests: one binary, a module a subject.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on should say where")]

#[path = "../support/mod.rs"]
mod support;

mod adapters;
mod cache;
mod cancel;
mod compositions;
#[cfg(feature = "serde")]
mod configuration;
mod context;
mod corpus;
mod corruption;
mod crash;
mod errors;
mod faults;
mod files;
mod hostile;
mod interop;
#[cfg(feature = "sqlite")]
mod key_store;
mod lifecycle;
mod limits;
mod ranges;
mod readme;
mod records;
mod rewrap;
mod roundtrip;
mod structure;
