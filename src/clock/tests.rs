//! Both clocks: when they wake, whom, and what a dropped sleep leaves behind.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::*;
use crate::executor::block_on;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counting() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (Arc::clone(&count), Waker::from(count))
}

fn poll(sleep: &mut Sleep, waker: &Waker) -> Poll<()> {
    sleep.as_mut().poll(&mut Context::from_waker(waker))
}

#[test]
fn system_sleeps_end_in_the_order_of_their_time_and_never_early() {
    let clock = SystemClock;
    let begin = clock.now();
    let sleepers = [30, 10, 20].map(|millis| {
        thread::spawn(move || {
            block_on(SystemClock.sleep(Duration::from_millis(millis))).unwrap();
            (millis, begin.elapsed())
        })
    });
    for sleeper in sleepers {
        let (millis, slept) = sleeper.join().unwrap();
        assert!(slept >= Duration::from_millis(millis), "{millis} ms ended after {slept:?}");
    }
}

#[test]
fn an_earlier_sleep_overtakes_a_later_one_the_thread_already_waits_for() {
    let mut long = SystemClock.sleep(Duration::from_secs(3600));
    let (count, waker) = counting();
    assert!(poll(&mut long, &waker).is_pending());
    // Ends only if the thread looks up from its hour; otherwise this test hangs.
    block_on(SystemClock.sleep(Duration::from_millis(5))).unwrap();
    assert_eq!(count.0.load(Ordering::SeqCst), 0);
}

#[test]
fn a_sleep_of_nothing_and_one_of_forever() {
    block_on(SystemClock.sleep(Duration::ZERO)).unwrap();
    let (_, waker) = counting();
    assert!(poll(&mut SystemClock.sleep(Duration::MAX), &waker).is_pending());
}

#[test]
fn the_last_waker_is_the_one_that_is_woken() {
    let (first, first_waker) = counting();
    let mut sleep = SystemClock.sleep(Duration::from_secs(1));
    assert!(poll(&mut sleep, &first_waker).is_pending());
    drop(first_waker);
    let mut sleep = pin!(sleep);
    block_on(poll_fn(|cx| {
        let state = sleep.as_mut().poll(cx);
        if state.is_pending() {
            assert_eq!(Arc::strong_count(&first), 1, "the timer kept a waker that was replaced");
        }
        state
    }))
    .unwrap();
    assert_eq!(first.0.load(Ordering::SeqCst), 0);
}

#[test]
fn a_dropped_sleep_leaves_nothing_to_wake() {
    let (count, waker) = counting();
    let mut dropped = SystemClock.sleep(Duration::from_secs(3600));
    assert!(poll(&mut dropped, &waker).is_pending());
    assert_eq!(Arc::strong_count(&count), 3);
    drop(dropped);
    assert_eq!(Arc::strong_count(&count), 2, "the timer kept a waker of a dropped sleep");
}

#[test]
fn a_waker_that_panics_does_not_end_the_other_sleeps() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            // Not through `panic!`, which would print into the test's output from another thread.
            std::panic::resume_unwind(Box::new("planted"));
        }
    }
    let mut sleep = SystemClock.sleep(Duration::from_millis(1));
    assert!(poll(&mut sleep, &Waker::from(Arc::new(Panics))).is_pending());
    block_on(SystemClock.sleep(Duration::from_millis(20))).unwrap();
}

#[test]
fn a_test_clock_stands_still() {
    let clock = TestClock::new();
    let (now, wall) = (clock.now(), clock.wall());
    thread::sleep(Duration::from_millis(2));
    assert_eq!((clock.now(), clock.wall()), (now, wall));
    clock.advance(Duration::from_secs(5));
    assert_eq!(clock.now() - now, Duration::from_secs(5));
    assert_eq!(clock.wall().duration_since(wall).unwrap(), Duration::from_secs(5));
}

#[test]
fn a_test_clock_wakes_at_the_moment_and_not_before() {
    let clock = TestClock::new();
    let mut sleep = clock.sleep(Duration::from_secs(10));
    let (count, waker) = counting();
    assert!(poll(&mut sleep, &waker).is_pending());
    assert_eq!(clock.sleepers(), 1);
    clock.advance(Duration::from_nanos(9_999_999_999));
    assert_eq!(count.0.load(Ordering::SeqCst), 0);
    assert!(poll(&mut sleep, &waker).is_pending());
    clock.advance(Duration::from_nanos(1));
    assert_eq!((count.0.load(Ordering::SeqCst), clock.sleepers()), (1, 0));
    assert!(poll(&mut sleep, &waker).is_ready());
}

#[test]
fn a_test_clock_advances_to_the_next_sleeper() {
    let clock = TestClock::new();
    assert_eq!(clock.advance_to_next(), None);
    let (_, waker) = counting();
    let mut sleeps = [7, 3].map(|seconds| clock.sleep(Duration::from_secs(seconds)));
    for sleep in &mut sleeps {
        assert!(poll(sleep, &waker).is_pending());
    }
    assert_eq!(clock.advance_to_next(), Some(Duration::from_secs(3)));
    assert!(poll(&mut sleeps[1], &waker).is_ready() && poll(&mut sleeps[0], &waker).is_pending());
    assert_eq!(clock.advance_to_next(), Some(Duration::from_secs(4)));
    assert!(poll(&mut sleeps[0], &waker).is_ready());
}

#[test]
fn a_sleep_counts_from_the_call_and_not_from_the_first_poll() {
    let clock = TestClock::new();
    let mut sleep = clock.sleep(Duration::from_secs(1));
    clock.advance(Duration::from_secs(1));
    assert!(poll(&mut sleep, &counting().1).is_ready());
}

#[test]
fn a_dropped_test_sleep_leaves_nothing_behind() {
    let clock = TestClock::new();
    let (count, waker) = counting();
    let mut sleep = clock.sleep(Duration::from_secs(1));
    assert!(poll(&mut sleep, &waker).is_pending());
    drop(sleep);
    assert_eq!((clock.sleepers(), Arc::strong_count(&count)), (0, 2));
}

#[test]
fn the_wall_can_be_set_without_the_clock_noticing() {
    let clock = TestClock::new();
    clock.advance(Duration::from_secs(60));
    let now = clock.now();
    let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    clock.set_wall(wall);
    assert_eq!((clock.now(), clock.wall()), (now, wall));
}

#[test]
fn a_test_clock_survives_more_time_than_there_is() {
    let clock = TestClock::new();
    clock.advance(Duration::MAX);
    clock.advance(Duration::MAX);
    assert!(clock.now() > Instant::now() && clock.wall() > SystemTime::now());
    assert!(poll(&mut clock.sleep(Duration::MAX), &counting().1).is_pending());
}

#[test]
fn a_shared_clock_is_the_same_clock() {
    let test = TestClock::new();
    let shared: Arc<dyn Clock> = Arc::new(test.clone());
    test.advance(Duration::from_secs(2));
    assert_eq!((shared.now(), shared.wall()), (test.now(), test.wall()));
    let mut sleep = pin!(shared.sleep(Duration::from_secs(1)));
    let mut polls = 0;
    block_on(poll_fn(|cx| {
        polls += 1;
        let state = sleep.as_mut().poll(cx);
        test.advance(Duration::from_secs(1));
        state
    }))
    .unwrap();
    assert_eq!(polls, 2);
}
