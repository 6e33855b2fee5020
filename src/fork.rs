//! Tells a forked child from its parent.
//!
//! A child is a copy: whatever the parent would draw or count next, it would too. What must not happen twice asks
//! [`generation`] and starts anew when it changed. Floor 0, and the one place of the crate that may be unsafe.

#![allow(unsafe_code, reason = "mmap and madvise exist in no safe form; every block says why it is sound")]

use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A number that is the same for the life of this process, and another in every child forked from it.
///
/// Costs a load where the system offers a page that it zeroes in children (Linux 4.14 and later), else a call
/// that asks for the process id.
pub(crate) fn generation() -> u64 {
    static PAGE: OnceLock<Option<&'static AtomicU64>> = OnceLock::new();
    match PAGE.get_or_init(page::map) {
        Some(word) => read_or_renew(word),
        None => u64::from(process::id()),
    }
}

/// The number in `word`; if that is zero, this is the first look since the start or since a fork, and it gets a new
/// one. Threads that find zero together agree on the number of the first.
fn read_or_renew(word: &AtomicU64) -> u64 {
    match word.load(Ordering::Relaxed) {
        0 => {
            let fresh = fresh();
            match word.compare_exchange(0, fresh, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => fresh,
                Err(theirs) => theirs,
            }
        }
        current => current,
    }
}

/// A number that no ancestor has used: the process id, and for ids that come round again the time in microseconds.
#[cold]
fn fresh() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = since.as_micros() & u128::from(u32::MAX);
    (u64::from(process::id()) << 32) | u64::try_from(micros).unwrap_or_default()
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod page {
    use std::ptr;
    use std::sync::atomic::AtomicU64;

    /// One page that reads as zeros in every forked child, or `None` where the kernel refuses.
    pub(super) fn map() -> Option<&'static AtomicU64> {
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no existing memory.
        let page = unsafe {
            libc::mmap(
                ptr::null_mut(),
                LEN,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return None;
        }
        // SAFETY: `page` is the mapping made above, of exactly this length, and nobody else knows it.
        if unsafe { libc::madvise(page, LEN, libc::MADV_WIPEONFORK) } != 0 {
            // SAFETY: as above; it is not used after this line.
            unsafe { libc::munmap(page, LEN) };
            return None;
        }
        // SAFETY: mapped, page-aligned, zeroed (a valid `AtomicU64`), writable, and never unmapped. It is only ever
        // reached through this shared reference, and what the kernel zeroes belongs to a new process.
        Some(unsafe { &*page.cast::<AtomicU64>() })
    }

    /// The kernel rounds up to a page; only the first word is used.
    const LEN: usize = 4096;
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod page {
    pub(super) fn map() -> Option<&'static std::sync::atomic::AtomicU64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_stable_within_a_process() {
        let first = generation();
        assert_ne!(first, 0);
        let others: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(generation)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(others.iter().all(|other| *other == first));
    }

    #[test]
    fn a_wiped_word_is_renewed_and_racing_threads_agree() {
        for _ in 0..200 {
            let word = AtomicU64::new(0);
            let seen: Vec<u64> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| read_or_renew(&word))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            assert_ne!(seen[0], 0);
            assert!(seen.iter().all(|number| *number == seen[0]), "{seen:?}");
        }
    }
}
