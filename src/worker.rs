//! A thread that owns something which blocks, and does jobs on it one after the other.
//!
//! Floor 0: it knows nothing of what it owns. The queue is bounded: a caller waits, without blocking its own thread, until
//! there is room. A job that is in the queue is done, also when whoever asked is gone; a job that panics is an error of its
//! caller's alone; and in a forked child, which has no such thread, every call is an error at once.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::{self, JoinHandle};
use std::{io, mem};

use crate::fork;

/// One thread with one `S`. Dropped, it does what is in its queue, and only then is `S` dropped and the drop over.
pub(crate) struct Worker<S> {
    shared: Arc<Shared<S>>,
    thread: Option<JoinHandle<()>>,
    generation: u64,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The process forked: the thread is in the parent.
    Forked,
    /// The job panicked.
    Panicked,
}

impl<S: Send + 'static> Worker<S> {
    /// Starts the thread. `room` jobs wait at most, beside the one that is being done. `tidy` is called after a job that
    /// panicked.
    pub(crate) fn spawn(name: &str, owned: S, room: usize, tidy: fn(&mut S)) -> io::Result<Self> {
        let queue = Queue { jobs: VecDeque::new(), room: room.max(1), waiting: Vec::new(), is_closed: false };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), came: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let work = move || theirs.work(owned, tidy);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Self { shared, thread: Some(thread), generation: fork::generation() })
    }

    /// Does `job` on the thread and gives what it returned. Dropped before there was room, nothing is done; later, the job is.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut S) -> T + Send + 'static,
    ) -> Result<T, Lost> {
        let answer = Arc::new(Answer(Mutex::new(Slot::Waiting(None))));
        let promise = Promise(Some(Arc::clone(&answer)));
        let mut job: Option<Job<S>> = Some(Box::new(move |owned| {
            let value = job(owned);
            promise.keep(value);
        }));
        poll_fn(|cx| self.unless_forked(|| self.shared.offer(&mut job, cx))).await?;
        poll_fn(|cx| self.unless_forked(|| answer.poll(cx))).await?
    }

    /// Before every look at a lock, which in a child may be held by a thread that is not there.
    fn unless_forked<T>(&self, poll: impl FnOnce() -> Poll<T>) -> Poll<Result<T, Lost>> {
        if fork::generation() == self.generation { poll().map(Ok) } else { Poll::Ready(Err(Lost::Forked)) }
    }
}

impl<S> Drop for Worker<S> {
    fn drop(&mut self) {
        if fork::generation() != self.generation {
            return;
        }
        self.shared.lock().is_closed = true;
        self.shared.came.notify_all();
        if let Some(thread) = self.thread.take() {
            // A waker may run whoever drops this on the thread itself, which then ends after its queue all the same.
            if thread.thread().id() != thread::current().id() {
                drop(thread.join());
            }
        }
    }
}

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

struct Shared<S> {
    queue: Mutex<Queue<S>>,
    came: Condvar,
}

struct Queue<S> {
    jobs: VecDeque<Job<S>>,
    room: usize,
    waiting: Vec<Waker>,
    is_closed: bool,
}

impl<S> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, Queue<S>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the job in the queue if there is room, else sees to it that the caller is woken when there is.
    fn offer(&self, job: &mut Option<Job<S>>, cx: &Context<'_>) -> Poll<()> {
        let mut queue = self.lock();
        if queue.jobs.len() >= queue.room {
            if !queue.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                queue.waiting.push(cx.waker().clone());
            }
            return Poll::Pending;
        }
        queue.jobs.extend(job.take());
        drop(queue);
        self.came.notify_one();
        Poll::Ready(())
    }

    fn work(&self, mut owned: S, tidy: fn(&mut S)) {
        while let Some(job) = self.take() {
            if catch_unwind(AssertUnwindSafe(|| job(&mut owned))).is_err() {
                tidy(&mut owned);
            }
        }
    }

    fn take(&self) -> Option<Job<S>> {
        let mut queue = self.lock();
        let job = loop {
            match queue.jobs.pop_front() {
                Some(job) => break job,
                None if queue.is_closed => return None,
                None => queue = self.came.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        };
        // All of them: one may belong to a future that was dropped, and would wake nobody.
        let waiting = mem::take(&mut queue.waiting);
        drop(queue);
        waiting.into_iter().for_each(wake);
        Some(job)
    }
}

/// Wakers are the caller's code: one that panics must not take the thread with it, nor abort a panic that is on its way.
fn wake(waker: Waker) {
    drop(catch_unwind(AssertUnwindSafe(|| waker.wake())));
}

/// Where a job leaves what it returned.
struct Answer<T>(Mutex<Slot<T>>);

enum Slot<T> {
    Waiting(Option<Waker>),
    Here(Result<T, Lost>),
}

impl<T> Answer<T> {
    fn lock(&self) -> MutexGuard<'_, Slot<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Result<T, Lost>> {
        let mut slot = self.lock();
        match mem::replace(&mut *slot, Slot::Waiting(Some(cx.waker().clone()))) {
            Slot::Here(answer) => Poll::Ready(answer),
            Slot::Waiting(_) => Poll::Pending,
        }
    }

    fn fill(&self, answer: Result<T, Lost>) {
        let mut slot = self.lock();
        if let Slot::Waiting(waker) = &mut *slot {
            let waker = waker.take();
            *slot = Slot::Here(answer);
            drop(slot);
            waker.into_iter().for_each(wake);
        }
    }
}

/// Held by a job; dropped without being kept, the job panicked.
struct Promise<T>(Option<Arc<Answer<T>>>);

impl<T> Promise<T> {
    fn keep(mut self, value: T) {
        if let Some(answer) = self.0.take() {
            answer.fill(Ok(value));
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        if let Some(answer) = &self.0 {
            answer.fill(Err(Lost::Panicked));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::Wake;

    use super::*;
    use crate::executor::block_on;
    use crate::join::all;

    fn counter(room: usize) -> Worker<u64> {
        Worker::spawn("counter", 0, room, |count| *count += 1000).unwrap()
    }

    struct Quiet;
    impl Wake for Quiet {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn jobs_are_done_one_after_the_other_however_many_wait_for_room() {
        let worker = counter(2);
        let calls = (0..100).map(|_| {
            worker.call(|count| {
                *count += 1;
                *count
            })
        });
        let mut answers: Vec<u64> = block_on(all(calls)).unwrap().into_iter().map(Result::unwrap).collect();
        answers.sort_unstable();
        assert_eq!(answers, (1..=100).collect::<Vec<_>>());
    }

    #[test]
    fn a_panic_is_its_callers_alone() {
        let worker = counter(1);
        let lost =
            block_on(worker.call(|_| -> u64 { std::panic::resume_unwind(Box::new("planted")) })).unwrap();
        assert_eq!(lost, Err(Lost::Panicked));
        // Tidied up, and at work again.
        assert_eq!(block_on(worker.call(|count| *count)).unwrap(), Ok(1000));
    }

    #[test]
    fn what_is_in_the_queue_is_done_although_nobody_waits_for_it() {
        let worker = counter(10);
        let (tell, told) = mpsc::channel();
        let (open, gate) = mpsc::channel::<()>();
        let waker = Waker::from(Arc::new(Quiet));
        let mut cx = Context::from_waker(&waker);
        {
            let mut first = pin!(worker.call(move |_| gate.recv().is_ok()));
            assert!(first.as_mut().poll(&mut cx).is_pending());
            let mut second = pin!(worker.call(move |_| tell.send("done").is_ok()));
            assert!(second.as_mut().poll(&mut cx).is_pending());
        }
        open.send(()).unwrap();
        drop(worker);
        assert_eq!(told.recv(), Ok("done"));
    }

    #[test]
    fn dropped_before_there_was_room_nothing_is_done_and_others_come_in() {
        let worker = counter(1);
        let (open, gate) = mpsc::channel::<()>();
        let (busy, is_busy) = mpsc::channel();
        let waker = Waker::from(Arc::new(Quiet));
        let mut cx = Context::from_waker(&waker);
        let mut first = pin!(worker.call(move |_| busy.send(()).is_ok() && gate.recv().is_ok()));
        assert!(first.as_mut().poll(&mut cx).is_pending());
        is_busy.recv().unwrap();
        let mut queued = pin!(worker.call(|count| *count += 1));
        assert!(queued.as_mut().poll(&mut cx).is_pending());
        {
            let mut outside = pin!(worker.call(|count| *count += 50));
            assert!(outside.as_mut().poll(&mut cx).is_pending());
        }
        open.send(()).unwrap();
        assert_eq!(block_on(worker.call(|count| *count)).unwrap(), Ok(1));
        assert_eq!(block_on(first).unwrap(), Ok(true));
    }

    /// A runtime's mistake is not the end of everybody's thread.
    #[test]
    fn a_waker_that_panics_leaves_the_thread_at_work() {
        struct Bad;
        impl Wake for Bad {
            fn wake(self: Arc<Self>) {
                std::panic::resume_unwind(Box::new("planted"));
            }
        }
        let worker = counter(1);
        let (open, gate) = mpsc::channel::<()>();
        let (busy, is_busy) = mpsc::channel();
        let waker = Waker::from(Arc::new(Bad));
        let mut cx = Context::from_waker(&waker);
        let mut first = pin!(worker.call(move |_| busy.send(()).is_ok() && gate.recv().is_ok()));
        assert!(first.as_mut().poll(&mut cx).is_pending());
        is_busy.recv().unwrap();
        let mut queued = pin!(worker.call(|count| *count += 1));
        assert!(queued.as_mut().poll(&mut cx).is_pending());
        let mut outside = pin!(worker.call(|count| *count += 1));
        assert!(outside.as_mut().poll(&mut cx).is_pending());
        open.send(()).unwrap();
        while !queued.as_mut().poll(&mut cx).is_ready() {
            let thread = worker.thread.as_ref().unwrap();
            assert!(!thread.is_finished(), "nobody would ever answer");
            thread::yield_now();
        }
        assert_eq!(block_on(worker.call(|count| *count % 1000)).unwrap(), Ok(1));
    }

    #[test]
    fn dropped_on_its_own_thread_it_ends_without_waiting_for_itself() {
        let (tell, told) = mpsc::channel();
        let worker = Arc::new(counter(1));
        let theirs = Arc::clone(&worker);
        let (open, gate) = mpsc::channel::<()>();
        let waker = Waker::from(Arc::new(Quiet));
        let mut call = Box::pin(async move {
            let last = Arc::clone(&theirs);
            let job = move |_: &mut u64| {
                let is_open = gate.recv().is_ok();
                drop(last);
                is_open && tell.send(()).is_ok()
            };
            theirs.call(job).await
        });
        assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop((call, worker));
        open.send(()).unwrap();
        told.recv().unwrap();
    }
}
