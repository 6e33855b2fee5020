//! Tools the tests share: mean I/O, a cancelling executor, scripted key providers, records of people, seeded randomness, a memory scanner.
//!
//! Nothing here knows the inside of the crate: everything is written against its public API or against `std` alone.
//! Each tool is tested beside itself, with a planted bug where it is a detector.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::cast_possible_truncation,
    clippy::let_underscore_must_use,
    clippy::mem_forget,
    clippy::expect_used,
    reason = "several test binaries include this, none uses all of it, and nobody reads its documentation in a browser"
)]

pub mod anatomy;
#[cfg(feature = "tokio")]
pub mod async_io;
pub mod cancel;
#[cfg(feature = "aws-kms")]
pub mod fake_kms;
pub mod fixture;
pub mod io;
pub mod memscan;
#[cfg(feature = "sqlite")]
pub mod people;
pub mod providers;
pub mod python;
pub mod rng;
pub mod sides;
pub mod ways;
