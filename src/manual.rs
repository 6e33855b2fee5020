//! The manual: what the code cannot say, as pages of this documentation.
//!
//! The same files stand under `src/manual/` in the repository. Outside the floors: prose only, no item lives here.
//!
//! | you want to know | read |
//! |---|---|
//! | what every byte means, well enough to write another reader | [`format`](mod@self::format) |
//! | what is protected against whom, and what is not | [`threats`] |
//! | why it is built this way, and what was rejected | [`design`] |
//! | how a file describes key providers and policies: every key, its unit, default and limit | [`configuration`] |
//! | how to run it: keys, nightly backups, restores, exit statuses | [`operations`] |
//! | what this release does for erasing a person's data | [`erasure`] |
//! | which sentence of a security policy is kept by what, and shown by which test | [`promises`] |
//! | how fast it is, and how that was measured | [`performance`] |
//! | what a fuzzer threw at it, and what came of that | [`fuzzing`] |

#[doc = include_str!("manual/configuration.md")]
pub mod configuration {}

#[doc = include_str!("manual/design.md")]
pub mod design {}

#[doc = include_str!("manual/erasure.md")]
pub mod erasure {}

#[doc = include_str!("manual/format.md")]
pub mod format {}

#[doc = include_str!("manual/fuzzing.md")]
pub mod fuzzing {}

#[doc = include_str!("manual/operations.md")]
pub mod operations {}

#[doc = include_str!("manual/performance.md")]
pub mod performance {}

#[doc = include_str!("manual/promises.md")]
pub mod promises {}

#[doc = include_str!("manual/threats.md")]
pub mod threats {}
