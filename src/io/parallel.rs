//! The machines for several threads under [`std::io`]: the same loops, and a wait where there is nothing else to do.
//!
//! What is read and written, when a message ends, and what an error leaves is as for one thread; see
//! [`SealWriter`](super::SealWriter) and [`OpenReader`](super::OpenReader).

mod open;
mod seal;

pub use self::{open::ParallelOpenReader, seal::ParallelSealWriter};

use std::task::Poll;

/// What is polled without a context does not return before it is ready.
fn ready<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a machine without a context waits by itself"),
    }
}
