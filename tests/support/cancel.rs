//! An executor that drops a future after exactly k polls, for every k until the future completes.
//!
//! Every poll gets a waker of its own, and after `Pending` that very waker must be woken within [`PATIENCE`]:
//! otherwise the wake-up is lost and the test fails. It knows only `std`.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// How long a wake-up may take before it counts as lost.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A waker that remembers whether it was woken.
#[derive(Debug, Default)]
struct Flag {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        *self.woken.lock().expect("no panic while held") = true;
        self.changed.notify_all();
    }
}

impl Flag {
    fn wait(&self, patience: Duration) -> bool {
        let woken = self.woken.lock().expect("no panic while held");
        let (woken, _) =
            self.changed.wait_timeout_while(woken, patience, |woken| !*woken).expect("not poisoned");
        *woken
    }
}

/// How polling a future a bounded number of times ended.
#[derive(Debug)]
pub enum Polled<T> {
    /// It completed at this poll (the first is 1).
    Ready(usize, T),
    /// It was dropped after the number of polls asked for.
    Dropped,
    /// `Pending` at this poll, and nobody woke the waker of that poll.
    LostWakeUp(usize),
}

/// Polls `future` at most `polls` times, then drops it.
pub fn poll_at_most<F: Future>(future: F, polls: usize, patience: Duration) -> Polled<F::Output> {
    let mut future = pin!(future);
    for n in 1..=polls {
        let flag = Arc::new(Flag::default());
        let waker = Waker::from(Arc::clone(&flag));
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return Polled::Ready(n, value),
            // The last waker is not waited for: the future is dropped with a wake-up still to come.
            Poll::Pending if n == polls => {}
            Poll::Pending => {
                if !flag.wait(patience) {
                    return Polled::LostWakeUp(n);
                }
            }
        }
    }
    Polled::Dropped
}

/// Runs `future` to its end, counting polls. Panics on a lost wake-up.
pub fn run<F: Future>(future: F) -> (usize, F::Output) {
    match poll_at_most(future, usize::MAX, PATIENCE) {
        Polled::Ready(polls, value) => (polls, value),
        Polled::LostWakeUp(n) => panic!("Pending at poll {n} without a wake-up"),
        Polled::Dropped => unreachable!("no future is polled usize::MAX times"),
    }
}

/// [`run`] for those who do not count.
pub fn wait<F: Future>(future: F) -> F::Output {
    run(future).1
}

/// Makes the future anew for every k = 0, 1, 2, ..., drops it after k polls and calls `after(k)`, until it completes
/// within k polls; gives back that k and the value. `after` is not called for the run that completes.
pub fn cancel_at_every_poll<'a, T>(
    mut make: impl FnMut() -> Pin<Box<dyn Future<Output = T> + 'a>>,
    mut after: impl FnMut(usize),
) -> (usize, T) {
    for k in 0.. {
        match poll_at_most(make(), k, PATIENCE) {
            Polled::Ready(polls, value) => return (polls, value),
            Polled::LostWakeUp(n) => panic!("Pending at poll {n} of {k} without a wake-up"),
            Polled::Dropped => after(k),
        }
    }
    unreachable!("the range has no end")
}

/// A future that is `Pending` this many times, waking itself each time.
#[derive(Debug)]
pub struct Yields(pub usize);

impl Future for Yields {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A planted bug: keeps the waker of its first poll and wakes only that one.
#[derive(Debug, Default)]
pub struct StaleWaker {
    first: Option<Waker>,
    polls: usize,
}

impl Future for StaleWaker {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.polls += 1;
        if self.polls == 3 {
            return Poll::Ready(());
        }
        self.first.get_or_insert_with(|| cx.waker().clone()).wake_by_ref();
        Poll::Pending
    }
}
