//! A number for each thread, by which tables that threads share give each a place of its own.
//!
//! Floor 0; knows no table. Threads are numbered in the order in which they first come here, so that those of one
//! pool, started together, do not meet.

use std::{
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
};

/// This thread's number, from 1 on; the same at every call.
#[inline]
pub(crate) fn thread_number() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(1);
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(0) };
    }
    NUMBER.with(|number| {
        if number.get() == 0 {
            number.set(THREADS.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    })
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::thread_number;

    #[test]
    fn every_thread_keeps_a_number_of_its_own() {
        let mine = thread_number();
        let others: Vec<_> = (0..4).map(|_| thread::spawn(|| [thread_number(), thread_number()])).collect();
        let mut seen = vec![mine];
        for other in others {
            let [first, again] = other.join().unwrap();
            assert_eq!(first, again);
            seen.push(first);
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!((seen.len(), thread_number()), (5, mine));
        assert!(!seen.contains(&0));
    }
}
