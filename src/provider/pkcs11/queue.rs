//! The line in front of the workers: jobs in, answers out, and who has been gone for how long.
//!
//! A caller waits for its answer without a thread; whoever stops waiting leaves a job that nobody begins. Knows neither
//! tokens nor what a job is. Section "Keys in a hardware security module" of the
//! [operations manual](crate::manual::operations).

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::clock::Clock;

/// Jobs that wait, and the workers that take them.
pub(super) struct Queue<J, A> {
    state: Mutex<State<J, A>>,
    ready: Condvar,
    ended: Condvar,
    /// The most jobs that wait.
    room: usize,
}

struct State<J, A> {
    jobs: VecDeque<Job<J, A>>,
    closed: bool,
    /// The most workers there are; fewer once the token has no room for as many.
    most: usize,
    /// What each worker is at, by its number.
    seats: Vec<Seat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seat {
    /// Waits for a job.
    Idle,
    /// At a job since then.
    Busy(Instant),
    /// Has ended; another may be started in its place.
    Gone,
}

/// Something to do, and where its answer goes.
pub(super) struct Job<J, A> {
    pub(super) task: J,
    /// After this nobody waits for it any more.
    pub(super) until: Instant,
    answer: Arc<Mutex<Slot<A>>>,
}

struct Slot<A> {
    answer: Option<A>,
    waker: Option<Waker>,
    is_wanted: bool,
}

/// Why a job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Full,
    Closed,
    /// Every worker has been in a call for longer than any call may take.
    Stuck,
}

/// A job was taken; perhaps it needs another worker.
pub(super) struct Taken<A> {
    pub(super) reply: Reply<A>,
    /// The number of a worker that is to be started, which is counted already.
    pub(super) start: Option<usize>,
}

impl<J, A> Queue<J, A> {
    pub(super) fn new(room: usize, most: usize) -> Self {
        let state = State { jobs: VecDeque::new(), closed: false, most, seats: Vec::new() };
        Self { state: Mutex::new(state), ready: Condvar::new(), ended: Condvar::new(), room }
    }

    /// Puts a job in line. `longest` is how long a worker may be at one job before it counts as stuck.
    pub(super) fn put(
        &self,
        task: J,
        now: Instant,
        until: Instant,
        longest: Duration,
    ) -> Result<Taken<A>, Refusal> {
        let mut state = self.with_room(now);
        if state.closed {
            return Err(Refusal::Closed);
        }
        if state.is_stuck(now, longest) {
            return Err(Refusal::Stuck);
        }
        if state.jobs.len() >= self.room {
            return Err(Refusal::Full);
        }
        let slot = Arc::new(Mutex::new(Slot { answer: None, waker: None, is_wanted: true }));
        state.jobs.push_back(Job { task, until, answer: Arc::clone(&slot) });
        let idle = state.seats.iter().filter(|seat| **seat == Seat::Idle).count();
        let start = (idle < state.jobs.len() && state.alive() < state.most).then(|| state.begin(now));
        drop(state);
        self.ready.notify_one();
        Ok(Taken { reply: Reply(slot), start })
    }

    /// Waits for the next job that somebody still wants; `None` once the queue is closed.
    pub(super) fn take(&self, worker: usize, clock: &dyn Clock) -> Option<Job<J, A>> {
        let mut state = self.lock();
        state.seats[worker] = Seat::Idle;
        loop {
            if state.closed {
                return None;
            }
            let Some(job) = state.jobs.pop_front() else {
                state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let now = clock.now();
            if job.is_due(now) {
                state.seats[worker] = Seat::Busy(now);
                return Some(job);
            }
            // Without the lock: this wakes its caller, and what that does is not known.
            drop(state);
            drop(job);
            state = self.lock();
        }
    }

    /// A worker is out of its call: said before the answer is given, so that who drops the provider upon it waits for the
    /// worker's end.
    pub(super) fn rest(&self, worker: usize) {
        self.lock().seats[worker] = Seat::Idle;
    }

    /// Gives a job to another worker, if there is one: then the giver ends, and nobody takes its place. Else it is given
    /// back.
    pub(super) fn hand_back(&self, worker: usize, job: Job<J, A>) -> Option<Job<J, A>> {
        let mut state = self.lock();
        if state.alive() < 2 || state.closed {
            return Some(job);
        }
        state.seats[worker] = Seat::Gone;
        state.most -= 1;
        state.jobs.push_front(job);
        drop(state);
        self.ready.notify_one();
        None
    }

    /// A worker has ended, or could not be started.
    pub(super) fn end(&self, worker: usize) {
        self.lock().seats[worker] = Seat::Gone;
        self.ended.notify_all();
    }

    /// Ends the worker's place with what it returns.
    pub(super) fn seat(&self, worker: usize) -> SeatOf<'_, J, A> {
        SeatOf { queue: Some(self), worker }
    }

    /// No more jobs; those that wait are dropped, which their callers are told. Waits a moment for workers that are not
    /// in a call to end: a module that is unloaded by the end of the process must not be in use.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        self.ready.notify_all();
        drop(jobs);
        let idle = |state: &mut State<J, A>| state.seats.contains(&Seat::Idle);
        drop(self.ended.wait_timeout_while(self.lock(), LONGEST_END, idle));
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Whether every worker has been at one job for longer than this.
    pub(super) fn is_stuck(&self, now: Instant, longest: Duration) -> bool {
        self.lock().is_stuck(now, longest)
    }

    /// Workers that run, and jobs that wait.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (state.alive(), state.jobs.len())
    }

    /// The line, without the jobs that nobody waits for if they take the room of others.
    fn with_room(&self, now: Instant) -> MutexGuard<'_, State<J, A>> {
        let mut state = self.lock();
        if state.jobs.len() < self.room {
            return state;
        }
        let (wanted, gone) = std::mem::take(&mut state.jobs).into_iter().partition(|job| job.is_due(now));
        state.jobs = wanted;
        // Without the lock, as in `take`.
        drop(state);
        drop::<VecDeque<_>>(gone);
        self.lock()
    }

    // Nothing that can panic runs under the lock.
    fn lock(&self) -> MutexGuard<'_, State<J, A>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J, A> State<J, A> {
    fn alive(&self) -> usize {
        self.seats.iter().filter(|seat| **seat != Seat::Gone).count()
    }

    /// Whether there are as many workers as there can be, and each has been at its job for this long.
    fn is_stuck(&self, now: Instant, longest: Duration) -> bool {
        let gone = |seat: &&Seat| match seat {
            Seat::Busy(since) => now.saturating_duration_since(*since) >= longest,
            Seat::Idle | Seat::Gone => false,
        };
        self.seats.iter().filter(gone).count() >= self.most
    }

    /// A place for one more worker, who counts as at work until it looks for a job.
    fn begin(&mut self, now: Instant) -> usize {
        let free = self.seats.iter().position(|seat| *seat == Seat::Gone);
        let place = free.unwrap_or_else(|| {
            self.seats.push(Seat::Gone);
            self.seats.len() - 1
        });
        self.seats[place] = Seat::Busy(now);
        place
    }
}

/// A worker's place, which ends with this.
pub(super) struct SeatOf<'q, J, A> {
    queue: Option<&'q Queue<J, A>>,
    worker: usize,
}

impl<J, A> SeatOf<'_, J, A> {
    /// It has ended already, and may be somebody else's by now.
    pub(super) fn given_up(mut self) {
        self.queue = None;
    }
}

impl<J, A> Drop for SeatOf<'_, J, A> {
    fn drop(&mut self) {
        if let Some(queue) = self.queue {
            queue.end(self.worker);
        }
    }
}

impl<J, A> Job<J, A> {
    fn is_due(&self, now: Instant) -> bool {
        self.is_wanted() && now < self.until
    }

    /// Whether somebody still waits for the answer.
    pub(super) fn is_wanted(&self) -> bool {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).is_wanted
    }

    /// Gives the answer to whoever waits.
    pub(super) fn answer(self, answer: A) {
        let mut slot = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        slot.answer = Some(answer);
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<J, A> Drop for Job<J, A> {
    fn drop(&mut self) {
        let mut slot = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        slot.is_wanted = false;
        let waker = slot.waker.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The answer to a job, once there is one; `None` if the job was dropped.
pub(super) struct Reply<A>(Arc<Mutex<Slot<A>>>);

impl<A> Future for Reply<A> {
    type Output = Option<A>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<A>> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = slot.answer.take() {
            return Poll::Ready(Some(answer));
        }
        if !slot.is_wanted {
            return Poll::Ready(None);
        }
        slot.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<A> Drop for Reply<A> {
    fn drop(&mut self) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.is_wanted = false;
        slot.waker = None;
    }
}

/// The longest to wait for workers that only have to close their sessions.
const LONGEST_END: Duration = Duration::from_millis(500);
