//! The operating system's clock, and one thread that wakes all sleepers of the process.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};
use std::{fmt, thread};

use super::{Clock, Sleep};
use crate::fork;

/// The operating system's clock.
///
/// The first sleep starts a thread named `kuvert-clock`, which then serves all sleeps of the process and waits
/// idle in between. After a fork the child starts its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        // A sleep beyond what an `Instant` can count does not end within anybody's lifetime.
        let until = Instant::now().checked_add(duration);
        Box::pin(Sleeper { until, registered: None })
    }
}

/// A sleep. Stands in the timer's table from its first poll until it ends or is dropped.
struct Sleeper {
    until: Option<Instant>,
    registered: Option<(Arc<Timer>, Key)>,
}

impl Future for Sleeper {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(until) = self.until else { return Poll::Pending };
        let now = Instant::now();
        if now >= until {
            self.unregister();
            return Poll::Ready(());
        }
        let timer = Timer::of_this_process();
        let key = match self.registered.take() {
            Some((own, key)) if Arc::ptr_eq(&own, &timer) => key,
            // The first poll, or the first one in a forked child, whose timer is another.
            _ => timer.new_key(until),
        };
        if timer.register(key, cx.waker()).is_err() {
            // No thread to be had: better to hold this one up than never to wake it.
            thread::sleep(until - now);
            return Poll::Ready(());
        }
        self.registered = Some((timer, key));
        Poll::Pending
    }
}

impl Sleeper {
    fn unregister(&mut self) {
        if let Some((timer, key)) = self.registered.take() {
            timer.unregister(key);
        }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.unregister();
    }
}

/// When to wake, and a number that tells sleepers of one instant apart.
type Key = (Instant, u64);

struct Timer {
    process: u64,
    table: Mutex<Table>,
    changed: Condvar,
}

#[derive(Default)]
struct Table {
    sleepers: BTreeMap<Key, Waker>,
    next_number: u64,
    has_thread: bool,
    /// When the thread looks again by itself, if it waits for a time.
    looks_at: Option<Instant>,
}

/// The timer of a process, and after it that of a child which this process became. Threads do not survive a fork, and
/// locks that they held are never given up: so a child takes nothing over and makes its own.
struct Generation {
    timer: OnceLock<Arc<Timer>>,
    next: OnceLock<Box<Self>>,
}

impl Generation {
    const fn new() -> Self {
        Self { timer: OnceLock::new(), next: OnceLock::new() }
    }
}

static TIMERS: Generation = Generation::new();

impl Timer {
    fn of_this_process() -> Arc<Self> {
        let process = fork::generation();
        let mut generation = &TIMERS;
        loop {
            let timer = generation.timer.get_or_init(|| Arc::new(Self::new(process)));
            if timer.process == process {
                return Arc::clone(timer);
            }
            generation = generation.next.get_or_init(|| Box::new(Generation::new()));
        }
    }

    fn new(process: u64) -> Self {
        Self { process, table: Mutex::default(), changed: Condvar::new() }
    }

    fn new_key(&self, until: Instant) -> Key {
        let mut table = lock(&self.table);
        let number = table.next_number;
        table.next_number += 1;
        (until, number)
    }

    /// Has a sleeper woken when its time comes. Starts the thread that does so, the first time.
    fn register(self: &Arc<Self>, key: Key, waker: &Waker) -> std::io::Result<()> {
        let mut table = lock(&self.table);
        if !table.has_thread {
            let served = Arc::clone(self);
            thread::Builder::new().name("kuvert-clock".into()).spawn(move || served.serve())?;
            table.has_thread = true;
        }
        let previous = table.sleepers.insert(key, waker.clone());
        // Most sleeps are limits of calls that end long before: whoever comes and goes while the thread waits for
        // something earlier costs it nothing.
        let would_be_late = table.looks_at.is_none_or(|time| key.0 < time);
        drop(table);
        // Dropping a waker runs somebody else's code, and so does not happen under the lock.
        drop(previous);
        if would_be_late {
            self.changed.notify_one();
        }
        Ok(())
    }

    fn unregister(&self, key: Key) {
        // In a forked child, the lock of the parent's table may be held by a thread that does not exist here.
        if self.process == fork::generation() {
            let waker = lock(&self.table).sleepers.remove(&key);
            drop(waker);
        }
    }

    /// The thread: wakes whoever is due, and waits for the next.
    fn serve(&self) {
        let mut table = lock(&self.table);
        loop {
            let now = Instant::now();
            table.looks_at = table.sleepers.first_key_value().map(|((until, _), _)| *until);
            match table.looks_at {
                None => table = self.changed.wait(table).unwrap_or_else(PoisonError::into_inner),
                Some(until) if until > now => {
                    let waited = self.changed.wait_timeout(table, until - now);
                    table = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                Some(_) => {
                    let due = table.sleepers.pop_first();
                    drop(table);
                    if let Some((_, waker)) = due {
                        wake(waker);
                    }
                    table = lock(&self.table);
                }
            }
        }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("process", &self.process).finish_non_exhaustive()
    }
}

/// Wakes a task. If its executor panics, that is not the end of everybody else's sleep.
fn wake(waker: Waker) {
    drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake())));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
