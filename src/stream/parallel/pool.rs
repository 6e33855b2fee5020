//! A few threads that run jobs, and give them back in the order in which they came.
//!
//! It knows nothing of what a job does with its chunks. Nobody waits for a thread that is not there: the caller runs
//! what is left when it has to wait, a panic gives the job's place back as lost, and a forked child touches no lock.
//! When the pool is dropped no thread uses the key or a job's bytes any more.

use std::{
    collections::VecDeque,
    mem::ManuallyDrop,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    thread::{self, JoinHandle},
};

use crate::{fork, stream::chunk::ChunkCipher};

/// Some chunks to seal or open. Whatever plaintext it holds is wiped when it is dropped.
pub(super) trait Job: Send + 'static {
    fn run(&mut self, cipher: &ChunkCipher);
}

/// Why a job does not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    Panicked,
    /// Its thread is the parent's.
    Forked,
}

/// Runs jobs under one cipher on up to so many threads, which are started when there is something to do.
pub(super) struct Pool<J: Job> {
    shared: Arc<Shared<J>>,
    cipher: ChunkCipher,
    threads: Vec<JoinHandle<()>>,
    /// Threads at most.
    workers: usize,
    in_flight: usize,
    submitted: u64,
    fork_generation: u64,
}

impl<J: Job> Pool<J> {
    pub(super) fn new(workers: usize, cipher: ChunkCipher) -> Self {
        let state = State {
            cipher: Some(cipher.clone()),
            waiting: VecDeque::new(),
            results: VecDeque::new(),
            first: 0,
            idle: 0,
            busy: 0,
            waker: None,
            stopped: false,
            #[cfg(test)]
            out_of_order: false,
        };
        let shared = Shared { state: Mutex::new(state), work: Condvar::new(), done: Condvar::new() };
        Self {
            shared: Arc::new(shared),
            cipher,
            threads: Vec::new(),
            workers,
            in_flight: 0,
            submitted: 0,
            fork_generation: fork::generation(),
        }
    }

    /// Jobs that were submitted and not claimed.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether some thread has nothing to go on with.
    pub(super) fn is_starving(&self) -> bool {
        !self.is_forked() && self.shared.lock().waiting.len() < self.workers
    }

    /// Has `job` run: at once by the caller if it is to, or if every thread has something to go on with.
    pub(super) fn submit(&mut self, job: J, by_the_caller: bool) -> Result<(), Lost> {
        self.check_fork()?;
        let ticket = self.submitted;
        (self.submitted, self.in_flight) = (ticket + 1, self.in_flight + 1);
        let mut state = self.shared.lock();
        state.results.push_back(None);
        if by_the_caller || state.waiting.len() >= self.workers {
            drop(state);
            let result = run(job, &self.cipher);
            self.shared.lock().store(ticket, result);
            return Ok(());
        }
        state.waiting.push_back((ticket, job));
        let another = state.waiting.len() > state.idle && self.threads.len() < self.workers;
        drop(state);
        self.shared.work.notify_one();
        if another {
            self.start_thread();
        }
        Ok(())
    }

    /// The next job in order, run. `None` if there is none in flight, or none ready that must not be waited for.
    ///
    /// Waiting is working on what no thread has begun, and then sleeping; or with a context, working on one job at most
    /// and being woken.
    pub(super) fn claim(
        &mut self,
        must: bool,
        context: Option<&mut Context<'_>>,
    ) -> Poll<Result<Option<J>, Lost>> {
        if let Err(forked) = self.check_fork() {
            return Poll::Ready(Err(forked));
        }
        if self.in_flight == 0 {
            return Poll::Ready(Ok(None));
        }
        let mut state = self.shared.lock();
        let mut helped = false;
        loop {
            if let Some(result) = state.take_first() {
                self.in_flight -= 1;
                return Poll::Ready(result.map(Some));
            }
            if !must {
                return Poll::Ready(Ok(None));
            }
            // One job a poll, so that other tasks get their turn.
            let next = if context.is_some() && helped { None } else { state.waiting.pop_front() };
            if let Some((ticket, job)) = next {
                drop(state);
                let result = run(job, &self.cipher);
                state = self.shared.lock();
                state.store(ticket, result);
                helped = true;
            } else if let Some(context) = context {
                let more = !state.waiting.is_empty();
                let old = state.waker.replace(context.waker().clone());
                // Dropping it, and waking, may run anybody's code.
                drop(state);
                drop(old);
                if more {
                    context.waker().wake_by_ref();
                }
                return Poll::Pending;
            } else {
                state = wait(&self.shared.done, state);
            }
        }
    }

    fn start_thread(&mut self) {
        let shared = Arc::clone(&self.shared);
        match thread::Builder::new().name("kuvert".to_owned()).spawn(move || work(&shared)) {
            Ok(thread) => self.threads.push(thread),
            // The caller does what these cannot.
            Err(_) => self.workers = self.threads.len(),
        }
    }

    fn is_forked(&self) -> bool {
        self.fork_generation != fork::generation()
    }

    fn check_fork(&self) -> Result<(), Lost> {
        if self.is_forked() { Err(Lost::Forked) } else { Ok(()) }
    }

    #[cfg(test)]
    pub(super) fn threads_for_test(&self) -> usize {
        self.threads.len()
    }

    /// A planted bug: what is done first comes first.
    #[cfg(test)]
    pub(super) fn plant_disorder(&self) {
        self.shared.lock().out_of_order = true;
    }
}

impl<J: Job> Drop for Pool<J> {
    fn drop(&mut self) {
        let threads = std::mem::take(&mut self.threads);
        if self.is_forked() {
            // These threads are the parent's, and one of them may hold the lock for ever. What they were at when the
            // process forked stays in this copy of memory, like everything else that the parent had.
            if let Ok(mut state) = self.shared.state.try_lock() {
                drop(state.stop());
            }
            let _leaked = ManuallyDrop::new(threads);
            return;
        }
        let left = self.shared.lock().stop();
        self.shared.work.notify_all();
        drop(left);
        let mut state = self.shared.lock();
        while state.busy > 0 {
            state = wait(&self.shared.done, state);
        }
        // The threads have neither key nor job now, and end when they next run. Nobody waits for that: on a busy machine
        // it takes longer than many a message, and one that is waking a task may wait for whoever drops that task.
    }
}

struct Shared<J> {
    state: Mutex<State<J>>,
    /// There is a job, or an end.
    work: Condvar,
    /// The first job in order is done, or a thread is after the end.
    done: Condvar,
}

impl<J> Shared<J> {
    /// Nothing panics while it is held.
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct State<J> {
    /// Lent to a thread for each job, and gone when the pool is.
    cipher: Option<ChunkCipher>,
    /// What no thread has begun, by number.
    waiting: VecDeque<(u64, J)>,
    /// What came of the jobs in flight, by number from `first` on.
    results: VecDeque<Option<Result<J, Lost>>>,
    first: u64,
    /// Threads that sleep.
    idle: usize,
    /// Threads that have a job.
    busy: usize,
    waker: Option<Waker>,
    stopped: bool,
    #[cfg(test)]
    out_of_order: bool,
}

/// What was left in a pool that ended: dropped where no lock is held.
type Left<J> = (Option<ChunkCipher>, VecDeque<(u64, J)>, VecDeque<Option<Result<J, Lost>>>, Option<Waker>);

impl<J> State<J> {
    fn store(&mut self, ticket: u64, result: Result<J, Lost>) {
        // Numbers are no farther apart than jobs in flight, which are few; none is below the first.
        let place = usize::try_from(ticket.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        #[cfg(test)]
        let place = if self.out_of_order { self.first_open_place() } else { place };
        if let Some(slot) = self.results.get_mut(place) {
            *slot = Some(result);
        }
    }

    #[cfg(test)]
    fn first_open_place(&self) -> usize {
        self.results.iter().position(Option::is_none).unwrap_or(usize::MAX)
    }

    fn take_first(&mut self) -> Option<Result<J, Lost>> {
        let result = self.results.front_mut()?.take()?;
        self.results.pop_front();
        self.first += 1;
        Some(result)
    }

    fn is_first_done(&self) -> bool {
        self.results.front().is_some_and(Option::is_some)
    }

    fn stop(&mut self) -> Left<J> {
        self.stopped = true;
        let waiting = std::mem::take(&mut self.waiting);
        (self.cipher.take(), waiting, std::mem::take(&mut self.results), self.waker.take())
    }
}

/// What a thread does until the pool ends.
fn work<J: Job>(shared: &Shared<J>) {
    let mut state = shared.lock();
    while !state.stopped {
        let (Some((ticket, job)), Some(cipher)) = (state.waiting.pop_front(), state.cipher.clone()) else {
            state.idle += 1;
            state = wait(&shared.work, state);
            state.idle -= 1;
            continue;
        };
        state.busy += 1;
        drop(state);
        let result = run(job, &cipher);
        drop(cipher);
        state = shared.lock();
        let mut waker = None;
        if state.stopped {
            drop(state);
            drop(result);
            state = shared.lock();
        } else {
            state.store(ticket, result);
            if state.is_first_done() {
                waker = state.waker.take();
            }
        }
        state.busy -= 1;
        shared.done.notify_all();
        if let Some(waker) = waker {
            drop(state);
            waker.wake();
            state = shared.lock();
        }
    }
}

/// Runs a job; one that panics is dropped, and so wiped, on the way.
fn run<J: Job>(mut job: J, cipher: &ChunkCipher) -> Result<J, Lost> {
    catch_unwind(AssertUnwindSafe(move || {
        job.run(cipher);
        job
    }))
    .map_err(|_| Lost::Panicked)
}

fn wait<'a, S>(condition: &Condvar, state: MutexGuard<'a, S>) -> MutexGuard<'a, S> {
    condition.wait(state).unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
