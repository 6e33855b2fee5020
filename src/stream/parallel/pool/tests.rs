//! The hand-over by itself, with jobs that wait, panic, and tell when they are dropped.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, ThreadId},
    time::Duration,
};

use super::{Job, Lost, Pool};
use crate::{format::schedule::BodyKeys, secret::Secret, stream::chunk::ChunkCipher};

fn cipher() -> ChunkCipher {
    ChunkCipher::new(&BodyKeys { key: Secret::copy_from(&[7; 32]), base_nonce: [9; 12], commitment: [0; 32] })
}

/// Opened once, for all.
#[derive(Default)]
struct Gate(Mutex<(bool, usize)>, Condvar);

impl Gate {
    fn pass(&self) {
        let mut state = self.0.lock().unwrap();
        state.1 += 1;
        self.1.notify_all();
        drop(self.1.wait_while(state, |state| !state.0).unwrap());
    }

    fn open(&self) {
        self.0.lock().unwrap().0 = true;
        self.1.notify_all();
    }

    /// Until so many stand before it.
    fn wait_for(&self, count: usize) {
        drop(self.1.wait_while(self.0.lock().unwrap(), |state| state.1 < count).unwrap());
    }
}

/// What a test's job does.
enum Deed {
    Nothing,
    /// Gives way so often, which mixes up the order in which jobs end.
    Yield(usize),
    Wait(Arc<Gate>),
    Panic,
}

struct Task {
    number: usize,
    deed: Deed,
    ran_on: Option<ThreadId>,
    /// How many there are of these.
    alive: Arc<AtomicUsize>,
}

impl Task {
    fn new(number: usize, deed: Deed, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Self { number, deed, ran_on: None, alive: Arc::clone(alive) }
    }
}

impl Job for Task {
    fn run(&mut self, _: &ChunkCipher) {
        match &self.deed {
            Deed::Nothing => {}
            Deed::Yield(often) => (0..*often).for_each(|_| thread::yield_now()),
            Deed::Wait(gate) => gate.pass(),
            Deed::Panic => panic!("planted"),
        }
        self.ran_on = Some(thread::current().id());
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

fn claim(pool: &mut Pool<Task>, must: bool) -> Result<Option<Task>, Lost> {
    match pool.claim(must, None) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("nobody asked to be woken"),
    }
}

struct Flag(Mutex<bool>, Condvar);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

impl Flag {
    fn new() -> (Arc<Self>, Waker) {
        let flag = Arc::new(Self(Mutex::new(false), Condvar::new()));
        (Arc::clone(&flag), Waker::from(flag))
    }

    /// Fails if nobody wakes within a patience that no healthy run needs.
    fn wait(&self) {
        let woken = self.0.lock().unwrap();
        let patience = Duration::from_secs(20);
        let (woken, _) = self.1.wait_timeout_while(woken, patience, |woken| !*woken).unwrap();
        assert!(*woken, "a lost wake-up");
    }
}

/// The stress test: any number of workers, jobs that end in any order, claims at any time, by waiting or being woken.
#[test]
fn everything_comes_back_once_and_in_order() {
    let alive = Arc::new(AtomicUsize::new(0));
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    for round in 0..150 {
        let workers = random(5);
        let mut pool = Pool::new(workers, cipher());
        let (mut submitted, mut claimed) = (0, 0);
        let total = random(200);
        while claimed < total {
            if submitted < total && pool.in_flight() < 1 + random(12) {
                let task = Task::new(submitted, Deed::Yield(random(20)), &alive);
                pool.submit(task, random(9) == 0).unwrap();
                submitted += 1;
            }
            let must = submitted == total || random(3) == 0;
            let result = if random(2) == 0 {
                claim(&mut pool, must)
            } else {
                loop {
                    let (flag, waker) = Flag::new();
                    match pool.claim(must, Some(&mut Context::from_waker(&waker))) {
                        Poll::Ready(result) => break result,
                        Poll::Pending => flag.wait(),
                    }
                }
            };
            if let Some(task) = result.unwrap() {
                assert_eq!(task.number, claimed, "round {round}: out of order");
                assert!(task.ran_on.is_some(), "round {round}: it was never run");
                claimed += 1;
            }
            assert!(pool.threads_for_test() <= workers);
        }
        assert!(matches!(claim(&mut pool, true), Ok(None)));
        assert_eq!(pool.in_flight(), 0);
    }
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn planted_disorder_is_found() {
    let (alive, gate) = (Arc::default(), Arc::new(Gate::default()));
    let mut pool = Pool::new(2, cipher());
    pool.plant_disorder();
    pool.submit(Task::new(0, Deed::Wait(Arc::clone(&gate)), &alive), false).unwrap();
    gate.wait_for(1);
    pool.submit(Task::new(1, Deed::Nothing, &alive), true).unwrap();
    assert_eq!(claim(&mut pool, true).unwrap().unwrap().number, 1, "the planted bug does not bite");
    gate.open();
}

#[test]
fn a_job_that_panics_is_dropped_and_its_place_is_lost() {
    let alive = Arc::new(AtomicUsize::new(0));
    for (workers, by_the_caller) in [(0, false), (1, false), (3, false), (1, true)] {
        let mut pool = Pool::new(workers, cipher());
        for number in 0..9 {
            let deed = if number % 3 == 1 { Deed::Panic } else { Deed::Nothing };
            pool.submit(Task::new(number, deed, &alive), by_the_caller).unwrap();
        }
        for number in 0..9 {
            match claim(&mut pool, true) {
                Ok(task) => assert_eq!(task.unwrap().number, number),
                Err(lost) => assert_eq!((lost, number % 3), (Lost::Panicked, 1)),
            }
        }
        drop(pool);
        assert_eq!(alive.load(Ordering::SeqCst), 0, "{workers} workers");
    }
}

#[test]
fn nobody_waits_for_threads_that_could_not_be_started() {
    let alive = Arc::default();
    let mut pool = Pool::new(0, cipher());
    for number in 0..5 {
        pool.submit(Task::new(number, Deed::Nothing, &alive), false).unwrap();
    }
    for number in 0..5 {
        let task = claim(&mut pool, true).unwrap().unwrap();
        assert_eq!((task.number, task.ran_on), (number, Some(thread::current().id())));
    }
    assert_eq!(pool.threads_for_test(), 0);
}

#[test]
fn the_caller_works_while_it_waits() {
    let (alive, gate) = (Arc::default(), Arc::new(Gate::default()));
    let mut pool = Pool::new(1, cipher());
    pool.submit(Task::new(0, Deed::Wait(Arc::clone(&gate)), &alive), false).unwrap();
    gate.wait_for(1);
    // The one thread stands before the gate, which the third job opens: the caller has to run both.
    pool.submit(Task::new(1, Deed::Nothing, &alive), false).unwrap();
    assert!(!pool.is_starving());
    let opener = Arc::clone(&gate);
    let opening = thread::spawn(move || {
        opener.wait_for(1);
        opener.open();
    });
    for number in 0..2 {
        assert_eq!(claim(&mut pool, true).unwrap().unwrap().number, number);
    }
    opening.join().unwrap();
}

#[test]
fn a_claim_that_is_dropped_loses_nothing_and_the_last_waker_is_woken() {
    let (alive, gate) = (Arc::default(), Arc::new(Gate::default()));
    let mut pool = Pool::new(1, cipher());
    pool.submit(Task::new(0, Deed::Wait(Arc::clone(&gate)), &alive), false).unwrap();
    gate.wait_for(1);
    let (first, waker) = Flag::new();
    assert!(pool.claim(true, Some(&mut Context::from_waker(&waker))).is_pending());
    // Whoever polled is gone, and somebody else polls.
    drop(waker);
    let (second, waker) = Flag::new();
    assert!(pool.claim(true, Some(&mut Context::from_waker(&waker))).is_pending());
    assert_eq!(Arc::strong_count(&first), 1, "the old waker is not kept");
    gate.open();
    second.wait();
    assert!(!*first.0.lock().unwrap());
    let claimed = pool.claim(true, Some(&mut Context::from_waker(&waker)));
    assert!(matches!(claimed, Poll::Ready(Ok(Some(Task { number: 0, .. })))));
}

/// Dropped at any moment, with a thread in the middle of a job: afterwards no job exists and no key.
#[test]
fn after_the_drop_no_thread_has_anything() {
    for polled in [false, true] {
        let (alive, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Gate::default()));
        let cipher = cipher();
        let mut pool = Pool::new(2, cipher.clone());
        for number in 0..2 {
            pool.submit(Task::new(number, Deed::Wait(Arc::clone(&gate)), &alive), false).unwrap();
        }
        gate.wait_for(2);
        for number in 2..4 {
            pool.submit(Task::new(number, Deed::Nothing, &alive), false).unwrap();
        }
        if polled {
            // The two that wait are run here: only then is there nothing left but to sleep.
            let (_flag, waker) = Flag::new();
            assert!(pool.claim(true, Some(&mut Context::from_waker(&waker))).is_pending());
        }
        let opener = Arc::clone(&gate);
        let opening = thread::spawn(move || opener.open());
        drop(pool);
        assert_eq!(alive.load(Ordering::SeqCst), 0, "polled: {polled}");
        assert_eq!(cipher.shares_for_test(), 1, "only this one is left");
        opening.join().unwrap();
    }
}

/// A waker that waits for the task to be dropped, as one that takes its executor's lock does: no deadlock.
#[test]
fn the_drop_does_not_wait_for_a_waker() {
    struct Stuck(Gate);
    impl Wake for Stuck {
        fn wake(self: Arc<Self>) {
            self.0.pass();
        }
    }
    let (alive, gate, stuck) = (Arc::default(), Arc::new(Gate::default()), Arc::new(Stuck(Gate::default())));
    let mut pool = Pool::new(1, cipher());
    pool.submit(Task::new(0, Deed::Wait(Arc::clone(&gate)), &alive), false).unwrap();
    gate.wait_for(1);
    let waker = Waker::from(Arc::clone(&stuck));
    assert!(pool.claim(true, Some(&mut Context::from_waker(&waker))).is_pending());
    gate.open();
    stuck.0.wait_for(1);
    drop(pool);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
    stuck.0.open();
}
