//! P9: no key and no opened plaintext is left in this process's memory after it was dropped.
//!
//! Each scenario runs in a process of its own, which tells this one what it sealed and then waits; this one derives every
//! key by an independent computation and searches the child's writable memory (heap, stacks, freed memory that the
//! process still has) for whole keys and for each 16 bytes of them. While something is in use, the search must find it;
//! after the drop it must find nothing; and a planted leak must be seen.
//!
//! What this cannot see: registers, pages that were swapped out or unmapped, what the kernel keeps (page
//! cache, pipes), keys in another form than their bytes (key schedules beyond their first round, hash states), and
//! what another compiler or another machine makes of the same source. The claim is for the default backend, on Linux:
//! `ring` and RustCrypto leave copies on the stack, which the manual says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    clippy::mem_forget,
    reason = "a test that cannot go on should say where"
)]
#![cfg_attr(
    not(all(target_os = "linux", feature = "aws-lc")),
    allow(dead_code, unused_imports, reason = "the claim is for the default backend, on Linux")
)]

#[path = "support/mod.rs"]
mod support;

#[cfg(all(target_os = "linux", feature = "aws-lc", feature = "tokio"))]
#[path = "memory/adapters.rs"]
mod adapters;
#[cfg(all(target_os = "linux", feature = "aws-lc"))]
#[path = "memory/cached.rs"]
mod cached;
#[cfg(all(target_os = "linux", feature = "aws-lc"))]
#[path = "memory/child.rs"]
mod child;
#[cfg(all(target_os = "linux", feature = "aws-lc"))]
#[path = "memory/parallel.rs"]
mod parallel;
#[cfg(all(target_os = "linux", feature = "aws-lc"))]
#[path = "memory/parent.rs"]
mod parent;

#[cfg(all(target_os = "linux", feature = "aws-lc"))]
#[path = "memory/planted.rs"]
mod planted;

#[cfg(not(all(target_os = "linux", feature = "aws-lc")))]
#[test]
fn skipped() {
    println!("skipped: the memory scan is for the default backend, on Linux");
}
