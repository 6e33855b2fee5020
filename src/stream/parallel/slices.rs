//! Bodies that are in memory, from slice to slice: on one thread, or on several where there is enough to do.
//!
//! Threads take the next piece whenever they are ready for more, the caller among them, and are gone when the call
//! returns. Full chunks, and a last one that is shorter: [section 3](crate::manual::format) of the format.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::Plan;
use crate::{
    error::{OpenError, SealError},
    limits::{CHUNK_LEN, SEALED_CHUNK_LEN, TAG_LEN},
    stream::chunk::ChunkCipher,
};

/// Seals `plaintext` into `sealed`, which has exactly the length of its chunks, on as many threads as `plan` says.
pub(crate) fn seal_chunks(
    cipher: &ChunkCipher,
    plaintext: &[u8],
    sealed: &mut [u8],
    plan: Plan,
) -> Result<(), SealError> {
    let piece_chunks = plan.piece_chunks();
    let full = plaintext.len() / CHUNK_LEN;
    let (full_text, last_text) = plaintext.split_at(full * CHUNK_LEN);
    let (full_sealed, last_sealed) = sealed.split_at_mut(full * SEALED_CHUNK_LEN);
    debug_assert_eq!(last_sealed.len(), last_text.len() + TAG_LEN, "callers check the length");
    let pieces = full_text
        .chunks(piece_chunks * CHUNK_LEN)
        .zip(full_sealed.chunks_mut(piece_chunks * SEALED_CHUNK_LEN));
    let seal = |(piece, (text, sealed)): (u64, (&[u8], &mut [u8]))| {
        let chunks = text.chunks_exact(CHUNK_LEN).zip(sealed.chunks_exact_mut(SEALED_CHUNK_LEN));
        for (index, (text, sealed)) in (piece * piece_chunks as u64..).zip(chunks) {
            cipher.seal_to(index, text, sealed);
        }
        true
    };
    match on_threads(plan.threads_for(plaintext.len()), (0..).zip(pieces), seal) {
        Ok(_) => {
            // fmt: B-1, N-7
            cipher.seal_to(full as u64, last_text, last_sealed);
            Ok(())
        }
        Err(Panicked) => Err(SealError::Io(io::Error::other("a thread that was sealing chunks panicked"))),
    }
}

/// Opens `sealed` into `plaintext`, which has exactly the length that follows, on as many threads as `plan` says. After an
/// error there may be plaintext in it.
pub(crate) fn open_chunks(
    cipher: &ChunkCipher,
    sealed: &[u8],
    plaintext: &mut [u8],
    plan: Plan,
) -> Result<(), OpenError> {
    let piece_chunks = plan.piece_chunks();
    let len = plaintext.len();
    let full = len / CHUNK_LEN;
    let (full_sealed, last_sealed) = sealed.split_at(full * SEALED_CHUNK_LEN);
    let (full_text, last_text) = plaintext.split_at_mut(full * CHUNK_LEN);
    let pieces = full_sealed
        .chunks(piece_chunks * SEALED_CHUNK_LEN)
        .zip(full_text.chunks_mut(piece_chunks * CHUNK_LEN));
    let open = |(piece, (sealed, text)): (u64, (&[u8], &mut [u8]))| {
        let chunks = sealed.chunks_exact(SEALED_CHUNK_LEN).zip(text.chunks_exact_mut(CHUNK_LEN));
        (piece * piece_chunks as u64..)
            .zip(chunks)
            .all(|(index, (sealed, text))| cipher.open_to(index, sealed, text).is_ok())
    };
    // fmt: O-16, O-17, O-18
    match on_threads(plan.threads_for(len), (0..).zip(pieces), open) {
        Ok(true) if cipher.open_to(full as u64, last_sealed, last_text).is_ok() => Ok(()),
        Ok(_) => Err(OpenError::Tampered("a chunk of the body does not verify")),
        Err(Panicked) => Err(OpenError::Io(io::Error::other("a thread that was opening chunks panicked"))),
    }
}

/// A thread panicked: not all of the work is done.
#[derive(Debug)]
struct Panicked;

/// Does `work` on every item until it says no, and says whether it never did.
fn on_threads<T: Send>(
    threads: usize,
    mut items: impl Iterator<Item = T> + Send,
    work: impl Fn(T) -> bool + Sync,
) -> Result<bool, Panicked> {
    if threads <= 1 {
        return Ok(items.all(work));
    }
    let (items, refused) = (Mutex::new(items), AtomicBool::new(false));
    let run = || {
        while !refused.load(Ordering::Relaxed) {
            let next = items.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(item) = next else { return };
            if !work(item) {
                refused.store(true, Ordering::Relaxed);
            }
        }
    };
    let all_returned = thread::scope(|scope| {
        let start = || thread::Builder::new().name("kuvert".to_owned()).spawn_scoped(scope, run);
        // Where the system gives no more threads, these and the caller do it all.
        let others: Vec<_> = (1..threads).map_while(|_| start().ok()).collect();
        run();
        others.into_iter().map(|thread| thread.join().is_ok()).fold(true, |all, one| all & one)
    });
    if all_returned { Ok(!refused.into_inner()) } else { Err(Panicked) }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn every_item_is_worked_on_once() {
        for threads in [0, 1, 2, 3, 9] {
            let sum = AtomicUsize::new(0);
            let all = on_threads(threads, 1..=1000, |n| sum.fetch_add(n, Ordering::Relaxed) < usize::MAX);
            assert!(all.unwrap());
            assert_eq!(sum.into_inner(), 500_500, "{threads} threads");
        }
    }

    #[test]
    fn one_refusal_is_the_answer_and_the_rest_is_left() {
        for threads in [1, 2, 5] {
            let asked = AtomicUsize::new(0);
            let all = on_threads(threads, 0..100_000, |n| {
                asked.fetch_add(1, Ordering::Relaxed);
                n != 7
            });
            assert!(!all.unwrap());
            assert!(asked.into_inner() < 100_000, "{threads} threads went on");
        }
    }

    #[test]
    fn a_thread_that_panics_is_an_error_and_not_a_hang() {
        // The caller's own thread takes nothing before the other has the item that it panics at.
        let caller = thread::current().id();
        let panicked = AtomicBool::new(false);
        let result = on_threads(2, 0..1000, |_| {
            if thread::current().id() != caller {
                panicked.store(true, Ordering::Relaxed);
                panic!("planted");
            }
            while !panicked.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            true
        });
        assert!(result.is_err());
    }

    #[test]
    fn short_bodies_stay_on_one_thread() {
        let (worth, mib) = (8 << 20, 1 << 20);
        for (threads, len, expected) in [
            (8, 0, 1),
            (8, worth - 1, 1),
            (9, worth, 8),
            (12, 10 * mib, 10),
            (8, 1 << 30, 8),
            (1, 1 << 30, 1),
        ] {
            assert_eq!(Plan::new(threads).threads_for(len), expected, "{len} bytes on {threads}");
        }
        assert_eq!(Plan::eager(2).threads_for(0), 1);
        assert_eq!(Plan::eager(2).threads_for(200_000), 2);
    }
}
