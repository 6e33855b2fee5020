//! Tells a forked child from its parent.
//!
//! A child is a copy: whatever the parent would draw or count next, it would too. What must not happen twice asks
//! [`generation`] and starts anew when it changed. Beside it stands the cheap clock that the same callers ask.
//! Floor 0, and one of the two places of the crate that may be unsafe (the other locks files).

#![allow(
    unsafe_code,
    reason = "mmap, madvise and the coarse clock exist in no safe form; every block says why it is sound"
)]

use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// A number that is the same for the life of this process, and another in every child forked from it.
///
/// Costs a load where the system offers a page that it zeroes in children (Linux 4.14 and later), else a call
/// that asks for the process id. Never blocks: in a child, a lock that another thread held stays locked.
pub(crate) fn generation() -> u64 {
    match page::word() {
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

/// Milliseconds since some moment before this process began, never going back, and up to ten behind.
///
/// A fifth of the price of [`Instant::now`]: what bounds the age of nonces asks it for every record. It stands still
/// while the machine sleeps.
pub(crate) fn coarse_millis() -> u64 {
    coarse::millis()
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod page {
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

    /// The first word of a page that reads as zeros in every forked child, or `None` where the kernel refuses one.
    pub(super) fn word() -> Option<&'static AtomicU64> {
        let known = PAGE.load(Ordering::Acquire);
        let page = if known.is_null() { first_use() } else { known };
        // SAFETY: neither null nor anything but `REFUSED` or a page of `map`, which is mapped, aligned, zeroed (a
        // valid `AtomicU64`), writable and never unmapped once it is in `PAGE`. It is only ever reached through
        // shared references, and what the kernel zeroes belongs to a new process.
        if ptr::eq(page, &REFUSED) { None } else { Some(unsafe { &*page }) }
    }

    /// Threads that come here together each map a page; one of them stays.
    #[cold]
    fn first_use() -> *mut AtomicU64 {
        let mine = map().unwrap_or_else(|| ptr::from_ref(&REFUSED).cast_mut());
        match PAGE.compare_exchange(ptr::null_mut(), mine, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => mine,
            Err(theirs) => {
                if !ptr::eq(mine, &REFUSED) {
                    // SAFETY: `mine` is a mapping of `map` of this length, which nobody else has seen.
                    unsafe { libc::munmap(mine.cast(), LEN) };
                }
                theirs
            }
        }
    }

    fn map() -> Option<*mut AtomicU64> {
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
        Some(page.cast())
    }

    /// Null before the first use, then for ever a page or the address of `REFUSED`.
    static PAGE: AtomicPtr<AtomicU64> = AtomicPtr::new(ptr::null_mut());
    static REFUSED: AtomicU64 = AtomicU64::new(0);
    /// The kernel rounds up to a page; only the first word is used.
    const LEN: usize = 4096;
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod page {
    pub(super) fn word() -> Option<&'static std::sync::atomic::AtomicU64> {
        None
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod coarse {
    pub(super) fn millis() -> u64 {
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `now` is a valid place for the answer. The clock exists since Linux 2.6.32; if it did not, `now`
        // would stay at zero, and what is kept would be kept by count alone.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut now) };
        // Never negative, and narrower than this on 32-bit systems.
        now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod coarse {
    use std::{sync::OnceLock, time::Instant};

    pub(super) fn millis() -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        u64::try_from(START.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX)
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
    #[test]
    fn the_coarse_clock_goes_with_the_fine_one() {
        let (start, coarse) = (std::time::Instant::now(), coarse_millis());
        let mut last = coarse;
        while start.elapsed().as_millis() < 60 {
            let now = coarse_millis();
            assert!(now >= last);
            last = now;
        }
        let passed = coarse_millis() - coarse;
        assert!(passed >= 40, "{passed} ms");
    }
}
