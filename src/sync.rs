//! The locks and pointers that model-checked code is written against.
//!
//! Floor 0. Here they are the standard library's. `tests/model.rs` includes the same code over a `crate::sync` of its
//! own, in which every lock is a point where the model checker may switch threads.

pub(crate) use std::sync::{Arc, Mutex, MutexGuard};
