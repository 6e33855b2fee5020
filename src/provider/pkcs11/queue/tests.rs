//! The queue by itself, with a clock that stands still: order, deadlines, workers that come and go.

use std::pin::pin;
use std::task::Wake;

use super::*;
use crate::clock::{SystemClock, TestClock};

type Numbers = Queue<u8, u8>;

const SECOND: Duration = Duration::from_secs(1);

fn poll(reply: &mut Reply<u8>) -> Poll<Option<u8>> {
    pin!(reply).poll(&mut Context::from_waker(Waker::noop()))
}

fn put(queue: &Numbers, clock: &TestClock, task: u8) -> Result<Taken<u8>, Refusal> {
    queue.put(task, clock.now(), clock.now() + SECOND, SECOND)
}

#[test]
fn jobs_are_done_in_order_and_answered() {
    let (queue, clock) = (Numbers::new(9, 2), TestClock::new());
    let [mut one, mut two, three] = [1, 2, 3].map(|task| put(&queue, &clock, task).ok().unwrap());
    assert_eq!(
        [one.start, two.start, three.start],
        [Some(0), Some(1), None],
        "as many workers as are needed"
    );
    assert_eq!(poll(&mut one.reply), Poll::Pending);
    for (worker, task) in [(0, 1), (1, 2), (0, 3)] {
        let job = queue.take(worker, &clock).unwrap();
        assert_eq!(job.task, task);
        job.answer(task + 10);
    }
    assert_eq!(poll(&mut one.reply), Poll::Ready(Some(11)));
    assert_eq!(poll(&mut two.reply), Poll::Ready(Some(12)));
}

#[test]
fn what_nobody_waits_for_is_not_begun() {
    let (queue, clock) = (Numbers::new(9, 1), TestClock::new());
    let dropped = put(&queue, &clock, 1).ok().unwrap();
    let _late = queue.put(2, clock.now(), clock.now(), SECOND).ok().unwrap();
    let _kept = put(&queue, &clock, 3).ok().unwrap();
    drop(dropped);
    assert_eq!(queue.take(0, &clock).unwrap().task, 3);
}

#[test]
fn a_full_or_closed_queue_takes_nothing() {
    let (queue, clock) = (Numbers::new(2, 1), TestClock::new());
    let mut kept: Vec<_> = (0..2).map(|task| put(&queue, &clock, task).ok().unwrap()).collect();
    assert_eq!(put(&queue, &clock, 2).err(), Some(Refusal::Full));
    queue.end(0);
    queue.close();
    assert_eq!(put(&queue, &clock, 2).err(), Some(Refusal::Closed));
    assert_eq!(poll(&mut kept[0].reply), Poll::Ready(None), "a job that was dropped is answered by nothing");
    assert!(queue.take(0, &clock).is_none());
}

#[test]
fn only_when_all_workers_are_stuck_is_a_job_refused() {
    let (queue, clock) = (Numbers::new(9, 2), TestClock::new());
    let _one = put(&queue, &clock, 1).ok().unwrap();
    let _two = put(&queue, &clock, 2).ok().unwrap();
    let _jobs = (queue.take(0, &clock).unwrap(), queue.take(1, &clock).unwrap());
    clock.advance(SECOND / 2);
    assert!(!queue.is_stuck(clock.now(), SECOND));
    let _three = put(&queue, &clock, 3).ok().unwrap();
    let third = queue.take(1, &clock).unwrap();
    clock.advance(SECOND / 2);
    assert!(!queue.is_stuck(clock.now(), SECOND), "one of them began just now");
    clock.advance(SECOND / 2);
    assert!(queue.is_stuck(clock.now(), SECOND));
    assert_eq!(put(&queue, &clock, 4).err(), Some(Refusal::Stuck));
    // One that ends is one less that could be stuck.
    drop(third);
    queue.end(1);
    assert_eq!(put(&queue, &clock, 5).ok().unwrap().start, Some(1), "and another takes its place");
}

#[test]
fn a_job_is_handed_on_while_there_is_somebody() {
    let (queue, clock) = (Numbers::new(9, 2), TestClock::new());
    let _kept = [1, 2].map(|task| put(&queue, &clock, task).ok().unwrap());
    let (one, two) = (queue.take(0, &clock).unwrap(), queue.take(1, &clock).unwrap());
    assert!(queue.hand_back(0, one).is_none());
    assert_eq!(queue.counts(), (1, 1));
    assert!(queue.hand_back(1, two).is_some(), "the last one keeps it");
    assert_eq!(queue.take(1, &clock).unwrap().task, 1);
    // There is room for one worker only from then on.
    assert_eq!(put(&queue, &clock, 3).ok().unwrap().start, None);
}

fn put_until(queue: &Numbers, task: u8, until: Duration) -> Result<Taken<u8>, Refusal> {
    let now = SystemClock.now();
    queue.put(task, now, now + until, HOUR)
}

#[test]
fn jobs_that_nobody_waits_for_take_no_room() {
    let queue = Numbers::new(3, 1);
    let first = put_until(&queue, 1, HOUR).unwrap();
    drop(put_until(&queue, 2, HOUR).unwrap());
    let late = put_until(&queue, 3, Duration::ZERO).unwrap();
    let fourth = put_until(&queue, 4, HOUR).unwrap();
    assert_eq!(queue.counts().1, 2);
    let fifth = put_until(&queue, 5, HOUR).unwrap();
    assert!(matches!(put_until(&queue, 6, HOUR), Err(Refusal::Full)));
    let place = first.start.unwrap();
    for task in [1, 4, 5] {
        assert_eq!(queue.take(place, &SystemClock).unwrap().task, task);
    }
    drop((first, late, fourth, fifth));
}

/// Who is woken uses the queue and its own reply at once, as an executor may.
struct Eager {
    queue: Arc<Numbers>,
    reply: Mutex<Option<Reply<u8>>>,
    told: Mutex<Vec<Poll<Option<u8>>>>,
}

impl Wake for Eager {
    fn wake(self: Arc<Self>) {
        self.queue.counts();
        if let Some(mut reply) = self.reply.lock().unwrap().take() {
            let told = Pin::new(&mut reply).poll(&mut Context::from_waker(Waker::noop()));
            self.told.lock().unwrap().push(told);
        }
    }
}

fn eager(queue: &Arc<Numbers>, mut reply: Reply<u8>) -> Arc<Eager> {
    let (reply_kept, told) = (Mutex::default(), Mutex::default());
    let eager = Arc::new(Eager { queue: Arc::clone(queue), reply: reply_kept, told });
    let waker = Waker::from(Arc::clone(&eager));
    assert!(Pin::new(&mut reply).poll(&mut Context::from_waker(&waker)).is_pending());
    *eager.reply.lock().unwrap() = Some(reply);
    eager
}

#[test]
fn who_is_woken_meets_no_lock() {
    let queue = Arc::new(Numbers::new(3, 1));
    let late = put_until(&queue, 1, Duration::ZERO).unwrap();
    let place = late.start.unwrap();
    let late = eager(&queue, late.reply);
    let done = eager(&queue, put_until(&queue, 2, HOUR).unwrap().reply);
    queue.take(place, &SystemClock).unwrap().answer(7);
    assert_eq!(*late.told.lock().unwrap(), [Poll::Ready(None)]);
    assert_eq!(*done.told.lock().unwrap(), [Poll::Ready(Some(7))]);
    let shut = eager(&queue, put_until(&queue, 3, HOUR).unwrap().reply);
    queue.end(place);
    queue.close();
    assert_eq!(*shut.told.lock().unwrap(), [Poll::Ready(None)]);
}

#[test]
fn a_worker_that_ends_in_any_way_is_replaced() {
    let queue = Numbers::new(3, 1);
    let first = put_until(&queue, 1, HOUR).unwrap();
    let place = first.start.unwrap();
    assert!(put_until(&queue, 2, HOUR).unwrap().start.is_none());
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _seat = queue.seat(place);
        panic!("as planned");
    }));
    assert!(ended.is_err());
    assert_eq!(put_until(&queue, 3, HOUR).unwrap().start, Some(place));
    queue.seat(place).given_up();
    assert_eq!(queue.counts().0, 1, "somebody else's by then");
}

const HOUR: Duration = Duration::from_secs(3600);
