//! The cache's slot machine under every order in which its callers' steps can fall, by the model checker `loom`.
//!
//! The machine is the very file of the library, over locks of the checker's. A model runs its threads again and again,
//! switching at every lock, until each order was seen; a thread that would wait for ever is found as a deadlock. A slot
//! that is broken on purpose shows that it is.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on should say where")]

#[path = "../src/cache_slot.rs"]
#[allow(dead_code, unreachable_pub, reason = "the file of the crate itself, of which this uses a part")]
mod cache_slot;
#[path = "model/planted.rs"]
mod planted;

/// What the machine is written against, as the checker has it.
mod sync {
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
}

use std::{
    future::Future,
    pin::pin,
    sync::Arc as StdArc,
    task::{Context, Poll, Wake, Waker},
};

use loom::{
    sync::{
        Arc, Notify,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use cache_slot::{Failure, Held, Landed, Landing, Leader, Leaves, Outcome, Slot, Step, Turn};

type Sut = Slot<usize, &'static str>;

/// Wakes a thread of the model.
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: StdArc<Self>) {
        self.0.notify();
    }
}

/// Runs a future on this thread of the model. Never woken again, it is a deadlock, which the checker reports.
fn wait<F: Future>(future: F) -> F::Output {
    let bell = StdArc::new(Bell(Notify::new()));
    let waker = Waker::from(StdArc::clone(&bell));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        bell.0.wait();
    }
}

/// What a caller of a cache does: uses, waits or loads `value`, however often it takes.
fn fetch(slot: &Arc<Sut>, loads: &AtomicUsize, value: usize) -> usize {
    loop {
        let leader = match Slot::enter(slot, 0, |_| 1) {
            Step::Hit { value, .. } => return value,
            Step::Lead(leader) => leader,
            Step::Wait(mut waiter) => match wait(std::future::poll_fn(|cx| waiter.poll(cx))) {
                Turn::Done(Outcome::Value(value)) => return value,
                Turn::Lead(leader) => leader,
                Turn::Again => continue,
                Turn::Done(other) => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        loads.fetch_add(1, Ordering::SeqCst);
        return land(leader, value);
    }
}

fn land(leader: Leader<usize, &'static str>, value: usize) -> usize {
    let held = Held { value, refresh_at: 10, hard_at: 20, stale_until: 20, uses_left: 100 };
    let (outcome, _, wakers) = leader.land(Landing::Loaded(held), 0);
    wakers.wake();
    match outcome {
        Outcome::Value(value) => value,
        other => panic!("{other:?}"),
    }
}

/// A caller that goes away at the first moment at which it would have to wait, or with the load in its hands.
fn goes_away(slot: &Arc<Sut>) {
    match Slot::enter(slot, 0, |_| 1) {
        Step::Lead(leader) => drop(leader),
        Step::Wait(mut waiter) => {
            let bell = Waker::from(StdArc::new(Bell(Notify::new())));
            match waiter.poll(&mut Context::from_waker(&bell)) {
                Poll::Ready(Turn::Lead(leader)) => drop(leader),
                Poll::Ready(_) | Poll::Pending => {}
            }
        }
        _ => {}
    }
}

fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // Every order with up to three switches that a thread did not ask for: where bugs of this size are.
    builder.preemption_bound = Some(3);
    builder.check(run);
}

#[test]
fn three_callers_make_one_load() {
    model(|| {
        let (slot, loads) = (Arc::new(Slot::new()), Arc::new(AtomicUsize::new(0)));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let (slot, loads) = (slot.clone(), loads.clone());
                thread::spawn(move || assert_eq!(fetch(&slot, &loads, 7), 7))
            })
            .collect();
        assert_eq!(fetch(&slot, &loads, 7), 7);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(loads.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_caller_that_goes_away_at_any_moment_keeps_nobody_waiting() {
    model(|| {
        let (slot, loads) = (Arc::new(Slot::new()), Arc::new(AtomicUsize::new(0)));
        let leaver = {
            let slot = slot.clone();
            thread::spawn(move || goes_away(&slot))
        };
        let other = {
            let (slot, loads) = (slot.clone(), loads.clone());
            thread::spawn(move || assert_eq!(fetch(&slot, &loads, 7), 7))
        };
        assert_eq!(fetch(&slot, &loads, 7), 7);
        leaver.join().unwrap();
        other.join().unwrap();
        assert_eq!(loads.load(Ordering::SeqCst), 1);
    });
}

/// The leader goes, and so does, perhaps, the one who was to follow it: the third one is not forgotten.
#[test]
fn an_heir_that_goes_away_hands_on() {
    model(|| {
        let (slot, loads) = (Arc::new(Sut::new()), Arc::new(AtomicUsize::new(0)));
        let Step::Lead(leader) = Slot::enter(&slot, 0, |_| 1) else { panic!("the first one leads") };
        let leaver = {
            let slot = slot.clone();
            thread::spawn(move || goes_away(&slot))
        };
        let stayer = {
            let (slot, loads) = (slot.clone(), loads.clone());
            thread::spawn(move || assert_eq!(fetch(&slot, &loads, 7), 7))
        };
        drop(leader);
        leaver.join().unwrap();
        stayer.join().unwrap();
        assert_eq!(loads.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn what_was_asked_before_a_purge_is_not_kept_after_it() {
    model(|| {
        let slot = Arc::new(Sut::new());
        let Step::Lead(leader) = Slot::enter(&slot, 0, |_| 1) else { panic!("the first one leads") };
        let purger = {
            let slot = slot.clone();
            thread::spawn(move || {
                slot.purge().wake();
                // From here on nobody finds what was asked before.
                matches!(Slot::enter(&slot, 0, |_| 1), Step::Hit { .. })
            })
        };
        let waiter = {
            let slot = slot.clone();
            // It gets the old answer if that came before the purge, and else one of its own.
            thread::spawn(move || assert!([7, 8].contains(&fetch(&slot, &AtomicUsize::new(0), 8))))
        };
        assert_eq!(land(leader, 7), 7);
        let is_there = purger.join().unwrap();
        waiter.join().unwrap();
        assert!(!is_there || slot.peek() == Some(8), "only the new one may be there");
        assert_ne!(slot.peek(), Some(7));
    });
}

#[test]
fn one_refreshes_while_the_others_use_the_old_value() {
    model(|| {
        let slot = Arc::new(Sut::new());
        let Step::Lead(leader) = Slot::enter(&slot, 0, |_| 1) else { panic!("the first one leads") };
        land(leader, 7);
        let caller = || {
            let slot = slot.clone();
            thread::spawn(move || match Slot::enter(&slot, 10, |_| 1) {
                Step::Lead(leader) => {
                    let held =
                        Held { value: 8, refresh_at: 20, hard_at: 30, stale_until: 30, uses_left: 100 };
                    let (_, landed, wakers) = leader.land(Landing::Loaded(held), 10);
                    wakers.wake();
                    assert_eq!(landed, Landed::Held);
                    1
                }
                Step::Hit { value, .. } => {
                    assert!([7, 8].contains(&value));
                    0
                }
                other => panic!("{other:?}"),
            })
        };
        let callers = [caller(), caller()];
        let loads: usize = callers.into_iter().map(|caller| caller.join().unwrap()).sum();
        assert_eq!((loads, slot.peek()), (1, Some(8)));
    });
}

#[test]
fn a_failure_reaches_everybody_who_waits() {
    model(|| {
        let slot = Arc::new(Sut::new());
        let caller = || {
            let slot = slot.clone();
            thread::spawn(move || match Slot::enter(&slot, 0, |_| 1) {
                Step::Lead(leader) => {
                    let failure = Failure { error: "down", until: 5, leaves: Leaves::Nothing };
                    let (outcome, _, wakers) = leader.land(Landing::Failed(failure), 0);
                    wakers.wake();
                    assert!(matches!(outcome, Outcome::Failed("down")));
                    1
                }
                Step::Wait(mut waiter) => {
                    let turn = wait(std::future::poll_fn(|cx| waiter.poll(cx)));
                    assert!(matches!(turn, Turn::Done(Outcome::Failed("down"))));
                    0
                }
                Step::Refused("down") => 0,
                other => panic!("{other:?}"),
            })
        };
        let callers = [caller(), caller()];
        let loads: usize = callers.into_iter().map(|caller| caller.join().unwrap()).sum();
        assert_eq!(loads, 1);
    });
}

#[test]
fn uses_are_handed_out_once_each() {
    model(|| {
        let slot = Arc::new(Sut::new());
        let Step::Lead(leader) = Slot::enter(&slot, 0, |_| 1) else { panic!("the first one leads") };
        let held = Held { value: 7, refresh_at: 10, hard_at: 20, stale_until: 20, uses_left: 4 };
        drop(leader.land(Landing::Loaded(held), 0));
        let caller = || {
            let slot = slot.clone();
            thread::spawn(move || {
                let mut used = 0;
                while let Step::Hit { uses, .. } = Slot::enter(&slot, 0, |_| 2) {
                    // One of two is not made.
                    slot.give_back(uses - 1);
                    used += 1;
                }
                used
            })
        };
        let callers = [caller(), caller()];
        let used: u64 = callers.into_iter().map(|caller| caller.join().unwrap()).sum();
        assert!((2..=3).contains(&used), "{used} of the 3 that are left");
    });
}
