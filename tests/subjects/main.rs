//! Data subjects over real files: erased stays erased in every copy, for everybody, also after kills; and nobody else is lost.
//!
//! A binary of its own, because it starts itself as other processes, some of which are killed. With `KUVERT_TEST_LONG=1` the
//! numbers are a million subjects and a thousand kills (`tests/scale`); by default they are what every run has time for.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod attacks;
mod epochs;
#[cfg(unix)]
mod kills;
mod personal_data;
mod processes;
mod records;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "shared with the other test programs, of which each uses a part"
)]
#[path = "../support/rng.rs"]
mod rng;
mod scale;
mod search;
mod world;

/// Whether the numbers are the large ones.
fn is_long() -> bool {
    std::env::var_os("KUVERT_TEST_LONG").is_some_and(|value| value == "1")
}
