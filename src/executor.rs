//! Runs one future on the calling thread, which sleeps while there is nothing to do.
//!
//! Floor 0: knows futures and nothing of the crate. The public name is [`crate::blocking::block_on`].

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::error::Category;

/// Runs `future` to its end on this thread. While it waits, the thread is parked.
///
/// # Errors
///
/// [`NestedError`] if this thread is in a `block_on` already: the outer future could not go on meanwhile, and what
/// the inner one waits for may be just that.
///
/// # Examples
///
/// ```
/// use kuvert::blocking::block_on;
///
/// assert_eq!(block_on(async { 6 * 7 })?, 42);
/// assert!(block_on(async { block_on(async {}) })?.is_err());
/// # Ok::<(), kuvert::blocking::NestedError>(())
/// ```
pub fn block_on<F: Future>(future: F) -> Result<F::Output, NestedError> {
    let _entered = Entered::enter()?;
    let parker = Arc::new(Parker { thread: thread::current(), woken: AtomicBool::new(false) });
    let waker = Waker::from(Arc::clone(&parker));
    let mut future = pin!(future);
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Ok(output);
        }
        parker.park();
    }
}

/// [`block_on`] was called by what runs in a [`block_on`] of the same thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a blocking call inside another one on the same thread: await it instead, or move it to a thread of its own"
)]
#[non_exhaustive]
pub struct NestedError;

impl NestedError {
    /// [`Category::Usage`].
    #[must_use]
    pub const fn category(&self) -> Category {
        Category::Usage
    }
}

/// Wakes a thread, once for any number of calls.
struct Parker {
    thread: Thread,
    woken: AtomicBool,
}

impl Parker {
    fn park(&self) {
        // Parking may end for no reason, or for somebody else's: only the flag counts.
        while !self.woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
    }
}

/// That this thread is in a `block_on`; ends also by a panic.
struct Entered;

impl Entered {
    fn enter() -> Result<Self, NestedError> {
        IS_ENTERED.with(|is_entered| if is_entered.replace(true) { Err(NestedError) } else { Ok(Self) })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        IS_ENTERED.set(false);
    }
}

thread_local! {
    static IS_ENTERED: Cell<bool> = const { Cell::new(false) };
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    use super::*;

    #[test]
    fn waits_for_a_wake_from_another_thread_without_polling_meanwhile() {
        let mut polls = 0;
        block_on(poll_fn(|cx| {
            polls += 1;
            if polls == 2 {
                return Poll::Ready(());
            }
            let waker = cx.waker().clone();
            drop(thread::spawn(move || {
                thread::sleep(Duration::from_millis(20));
                waker.wake();
            }));
            Poll::Pending
        }))
        .unwrap();
        assert_eq!(polls, 2);
    }

    #[test]
    fn a_wake_during_the_poll_is_not_lost() {
        let mut polls = 0;
        block_on(poll_fn(|cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            if polls < 1000 { Poll::Pending } else { Poll::Ready(()) }
        }))
        .unwrap();
        assert_eq!(polls, 1000);
    }

    #[test]
    fn an_unpark_by_somebody_else_is_not_a_wake() {
        let mut polls = 0;
        block_on(poll_fn(|cx| {
            polls += 1;
            if polls == 2 {
                return Poll::Ready(());
            }
            thread::current().unpark();
            let waker = cx.waker().clone();
            drop(thread::spawn(move || {
                thread::sleep(Duration::from_millis(10));
                waker.wake();
            }));
            Poll::Pending
        }))
        .unwrap();
        assert_eq!(polls, 2);
    }

    #[test]
    fn nested_is_an_error_and_the_outer_one_goes_on() {
        let outer = block_on(async { block_on(async { 1 }) });
        assert_eq!(outer, Ok(Err(NestedError)));
        assert_eq!(block_on(async { 2 }), Ok(2));
    }

    #[test]
    fn a_panic_inside_leaves_the_thread_usable() {
        let panicked =
            catch_unwind(AssertUnwindSafe(|| block_on(async { std::panic::resume_unwind(Box::new(())) })));
        assert!(panicked.is_err());
        assert_eq!(block_on(async { 3 }), Ok(3));
    }

    #[test]
    fn many_threads_block_at_once() {
        let threads: Vec<_> = (0..64).map(|i| thread::spawn(move || block_on(async move { i }))).collect();
        assert!(threads.into_iter().enumerate().all(|(i, thread)| thread.join().unwrap() == Ok(i)));
    }
}
