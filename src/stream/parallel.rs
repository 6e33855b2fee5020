//! The machines of one body on several threads: the same bytes, in the same order.
//!
//! A message begins on the calling thread, in the machine for one; when enough has come that it pays, jobs of many
//! chunks go to a small [pool], and the caller works too while it waits. The last chunk, and every rule about it,
//! stays with the machine for one. Floor 3, like its siblings: threads, but no reader and no writer.

mod open;
mod pool;
mod seal;
mod slices;

#[cfg(test)]
mod tests;

use crate::limits::CHUNK_LEN;

pub(crate) use self::{
    open::ParallelOpenMachine,
    seal::ParallelSealMachine,
    slices::{open_chunks, seal_chunks},
};

/// How many threads work on a message, and on how much at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Threads beside the caller's, at most; 0 is one thread in all.
    workers: usize,
    /// Bytes of a stream's plaintext that the caller's thread does alone.
    start_after: u64,
    /// Bytes of plaintext in memory from which on several threads share it.
    share_from: u64,
    /// Chunks of a job.
    job_chunks: usize,
}

impl Plan {
    /// For so many threads, the caller's among them.
    pub(crate) fn new(threads: usize) -> Self {
        let workers = threads.saturating_sub(1).min(MAX_WORKERS);
        Self { workers, start_after: START_AFTER, share_from: SHARE_FROM, job_chunks: JOB_CHUNKS }
    }

    /// Small jobs from the first byte on, which is slow: for tests of what happens between them.
    pub(crate) fn eager(threads: usize) -> Self {
        Self { start_after: 0, share_from: 0, job_chunks: 2, ..Self::new(threads) }
    }

    /// Jobs that may be under way at once: each worker has one and the next, and one is done by the caller.
    fn most_in_flight(self) -> usize {
        2 * self.workers + 1
    }

    /// Whether handing over so few chunks costs more than it saves.
    fn is_small(self, chunks: usize) -> bool {
        4 * chunks < self.job_chunks
    }

    /// Chunks that a thread takes at once of what is in memory: nothing is handed over there, so that it may be more.
    fn piece_chunks(self) -> usize {
        2 * self.job_chunks
    }

    /// Threads for so much plaintext that is all there: one for what does not pay for more, and none without a piece.
    fn threads_for(self, plaintext: usize) -> usize {
        let pieces = plaintext / (self.piece_chunks() * CHUNK_LEN);
        if plaintext as u64 >= self.share_from { (self.workers + 1).min(pieces).max(1) } else { 1 }
    }

    fn pays_for(self, plaintext: u64) -> bool {
        self.workers > 0 && plaintext >= self.start_after
    }
}

/// Chunks of a job: half a MiB, which takes 40 to 90 µs where handing it over takes 3. Longer ones fall out of the
/// second-level cache between being filled and being sealed.
const JOB_CHUNKS: usize = 32;
/// Bytes of a stream that one thread does alone. A thread and its buffers cost 0.1 to 0.4 ms before they gain anything,
/// and nobody knows how much of a stream is still to come: after so much of it, that is lost in the noise.
const START_AFTER: u64 = 4096 * CHUNK_LEN as u64;
/// Bytes in memory from which on threads share them: they need no buffers, and what is to come is known.
const SHARE_FROM: u64 = 512 * CHUNK_LEN as u64;
/// Threads beside the caller's. Each costs a MiB of buffers; beyond this no memory keeps up.
const MAX_WORKERS: usize = 255;
