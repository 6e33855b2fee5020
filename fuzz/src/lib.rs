//! The bodies of the fuzz targets: each written once, run by the fuzzer and by `tests/it/corpus.rs` on stable Rust.
//!
//! A body turns bytes into a case, runs the crate over it through its public API, and compares what comes out with
//! a model that is written from the manual's pages alone and shares no code with the crate. Each body takes what it
//! tests as a trait, so that a test can put something broken in its place and see it caught.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a body that cannot go on must panic: that is a finding; and each includer uses a part"
)]

#[cfg(feature = "serde")]
pub mod config;
pub mod context;
pub mod edits;
pub mod fixtures;
pub mod header;
pub mod input;
pub mod key_file;
#[cfg(feature = "sqlite")]
pub mod key_store;
pub mod model;
pub mod open_message;
pub mod open_record;
#[cfg(feature = "pkcs11")]
pub mod pkcs11_uri;
pub mod rewrap;
pub mod seek_ops;
pub mod stream_ops;

/// Panics if it finds something.
pub type Body = fn(&[u8]);

/// Every body by the name of its target. `differential` is not here: its body needs the crypto floor's insides.
pub const BODIES: &[(&str, Body)] = &[
    #[cfg(feature = "serde")]
    ("config", config::run),
    #[cfg(feature = "sqlite")]
    ("key_store", key_store::run),
    #[cfg(feature = "pkcs11")]
    ("pkcs11_uri", pkcs11_uri::run),
    ("context", context::run),
    ("header", header::run),
    ("key_file", key_file::run),
    ("open_message", open_message::run),
    ("open_record", open_record::run),
    ("rewrap", rewrap::run),
    ("seek_ops", seek_ops::run),
    ("stream_ops", stream_ops::run),
];
