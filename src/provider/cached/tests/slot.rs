//! The slot machine by hand, in one thread: times, uses, failures, purges and callers that go away.
//!
//! It stands here because `tests/model.rs` includes the machine's own file over other locks than these.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use crate::cache_slot::{Failure, Held, Landed, Landing, Leader, Leaves, Outcome, Slot, Step, Turn, Waiter};

type Sut = Slot<u32, &'static str>;

/// Counts its wakes.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Bell {
    fn rings(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn slot() -> Arc<Sut> {
    Arc::new(Slot::new())
}

/// Refreshed at 10, over at 20, stale until 30, and used up after so many uses.
fn held(value: u32, uses_left: u64) -> Landing<u32, &'static str> {
    Landing::Loaded(Held { value, refresh_at: 10, hard_at: 20, stale_until: 30, uses_left })
}

fn failed(until: u64, leaves: Leaves) -> Landing<u32, &'static str> {
    Landing::Failed(Failure { error: "down", until, leaves })
}

fn lead(slot: &Arc<Sut>, now: u64) -> Leader<u32, &'static str> {
    match Slot::enter(slot, now, |_| 1) {
        Step::Lead(leader) => leader,
        other => panic!("{other:?}"),
    }
}

fn wait(slot: &Arc<Sut>, now: u64) -> Waiter<u32, &'static str> {
    match Slot::enter(slot, now, |_| 1) {
        Step::Wait(waiter) => waiter,
        other => panic!("{other:?}"),
    }
}

fn load(slot: &Arc<Sut>, now: u64, landing: Landing<u32, &'static str>) -> Outcome<u32, &'static str> {
    let (outcome, _, wakers) = lead(slot, now).land(landing, now);
    wakers.wake();
    outcome
}

fn poll(waiter: &mut Waiter<u32, &'static str>, bell: &Arc<Bell>) -> Option<Turn<u32, &'static str>> {
    match waiter.poll(&mut Context::from_waker(&Waker::from(Arc::clone(bell)))) {
        Poll::Ready(turn) => Some(turn),
        Poll::Pending => None,
    }
}

/// What an entry gives, in words.
fn told(step: Step<u32, &'static str>) -> String {
    match step {
        Step::Hit { value, uses } => format!("hit {value} x{uses}"),
        Step::Stale(value) => format!("stale {value}"),
        Step::Lead(_) => "lead".into(),
        Step::Wait(_) => "wait".into(),
        Step::Refused(error) => format!("refused {error}"),
        Step::Spent => "spent".into(),
    }
}

#[test]
fn a_value_is_used_then_refreshed_by_one_then_nobody_uses_it() {
    let slot = slot();
    assert!(matches!(load(&slot, 0, held(7, 100)), Outcome::Value(7)));
    assert_eq!(told(Slot::enter(&slot, 9, |_| 3)), "hit 7 x3");
    let refreshing = lead(&slot, 10);
    assert_eq!(told(Slot::enter(&slot, 19, |_| 1)), "hit 7 x1");
    // Past its age nobody gets it, but there is somebody to wait for.
    assert_eq!(told(Slot::enter(&slot, 20, |_| 1)), "wait");
    drop(refreshing);
    assert_eq!(told(Slot::enter(&slot, 20, |_| 1)), "lead");
    assert_eq!(slot.peek(), Some(7));
    assert_eq!(told(Slot::enter(&slot, 30, |_| 1)), "lead");
    assert_eq!(slot.peek(), None, "past all its times it is dropped");
}

#[test]
fn uses_are_handed_out_exactly_and_come_back() {
    let slot = slot();
    load(&slot, 0, held(7, 10));
    assert_eq!(told(Slot::enter(&slot, 1, |_| 4)), "hit 7 x4");
    assert_eq!(told(Slot::enter(&slot, 1, |_| 99)), "hit 7 x5");
    assert_eq!(told(Slot::enter(&slot, 1, |_| 1)), "spent");
    slot.forget_spent();
    slot.give_back(2);
    assert_eq!(told(Slot::enter(&slot, 1, |_| 1)), "lead", "what is forgotten has no uses");
    load(&slot, 0, held(8, 3));
    assert_eq!(told(Slot::enter(&slot, 1, |_| 2)), "hit 8 x2");
    slot.give_back(2);
    slot.forget_spent();
    assert_eq!(told(Slot::enter(&slot, 1, |_| 9)), "hit 8 x2");
}

#[test]
fn waiters_get_uses_while_there_are_any_and_the_others_start_over() {
    let slot = slot();
    let bell = Arc::new(Bell::default());
    let leader = lead(&slot, 0);
    let mut waiters: Vec<_> = (0..3).map(|_| wait(&slot, 0)).collect();
    waiters.iter_mut().for_each(|waiter| assert!(poll(waiter, &bell).is_none()));
    let (own, landed, wakers) = leader.land(held(7, 2), 0);
    assert_eq!((bell.rings(), landed), (0, Landed::Held));
    wakers.wake();
    assert_eq!(bell.rings(), 3);
    assert!(matches!(own, Outcome::Value(7)));
    assert!(matches!(poll(&mut waiters[0], &bell), Some(Turn::Done(Outcome::Value(7)))));
    assert!(matches!(poll(&mut waiters[1], &bell), Some(Turn::Again)));
    assert!(matches!(poll(&mut waiters[2], &bell), Some(Turn::Again)));
    assert_eq!(told(Slot::enter(&slot, 1, |_| 1)), "spent");
}

#[test]
fn a_leader_that_goes_away_hands_over_to_one_and_that_one_to_the_next() {
    let slot = slot();
    let bells: Vec<_> = (0..3).map(|_| Arc::new(Bell::default())).collect();
    let rings = || bells.iter().map(|bell| bell.rings()).collect::<Vec<_>>();
    let leader = lead(&slot, 0);
    let mut waiters: Vec<_> = (0..3).map(|_| wait(&slot, 0)).collect();
    for (waiter, bell) in waiters.iter_mut().zip(&bells) {
        assert!(poll(waiter, bell).is_none());
    }
    drop(leader);
    assert_eq!(rings(), [1, 0, 0]);
    drop(waiters.remove(0));
    assert_eq!(rings(), [1, 1, 0]);
    let Some(Turn::Lead(leader)) = poll(&mut waiters[0], &bells[1]) else { panic!("the heir leads") };
    assert!(poll(&mut waiters[1], &bells[2]).is_none());
    let (_, _, wakers) = leader.land(held(7, 9), 0);
    wakers.wake();
    assert_eq!(rings(), [1, 1, 1]);
    assert!(matches!(poll(&mut waiters[1], &bells[2]), Some(Turn::Done(Outcome::Value(7)))));
}

#[test]
fn somebody_new_may_lead_before_the_heir_looks() {
    let slot = slot();
    let bell = Arc::new(Bell::default());
    let leader = lead(&slot, 0);
    let mut heir = wait(&slot, 0);
    assert!(poll(&mut heir, &bell).is_none());
    drop(leader);
    let newcomer = lead(&slot, 0);
    assert!(poll(&mut heir, &bell).is_none(), "it waits for the newcomer");
    newcomer.land(held(7, 9), 0).2.wake();
    assert!(matches!(poll(&mut heir, &bell), Some(Turn::Done(Outcome::Value(7)))));
}

#[test]
fn failures_refuse_for_a_while_and_are_shared_with_who_waits() {
    let slot = slot();
    let bell = Arc::new(Bell::default());
    let leader = lead(&slot, 0);
    let mut waiter = wait(&slot, 0);
    let (own, landed, wakers) = leader.land(failed(5, Leaves::Stale), 0);
    wakers.wake();
    assert!(matches!(own, Outcome::Failed("down")) && landed == Landed::Refusing);
    assert!(matches!(poll(&mut waiter, &bell), Some(Turn::Done(Outcome::Failed("down")))));
    assert_eq!(told(Slot::enter(&slot, 4, |_| 1)), "refused down");
    assert!(slot.is_in_use(4) && !slot.is_in_use(5));
    let leader = lead(&slot, 5);
    let mut waiter = wait(&slot, 5);
    // Not to be remembered at all: those who wait are told, and the next one asks again.
    assert_eq!(leader.land(failed(5, Leaves::Nothing), 5).1, Landed::Empty);
    assert!(matches!(poll(&mut waiter, &bell), Some(Turn::Done(Outcome::Failed("down")))));
    assert_eq!(told(Slot::enter(&slot, 5, |_| 1)), "lead");
}

#[test]
fn a_failed_refresh_leaves_what_it_says() {
    for (leaves, before, past) in [
        (Leaves::Nothing, "Failed(\"down\")", "Failed(\"down\")"),
        (Leaves::Fresh, "Value(7)", "Failed(\"down\")"),
        (Leaves::Stale, "Value(7)", "Stale(7)"),
    ] {
        let slot = slot();
        load(&slot, 0, held(7, 100));
        assert_eq!(format!("{:?}", load(&slot, 12, failed(14, leaves))), before);
        if leaves != Leaves::Nothing {
            assert_eq!(told(Slot::enter(&slot, 13, |_| 1)), "hit 7 x1", "nobody asks again so soon");
            assert_eq!(told(Slot::enter(&slot, 14, |_| 1)), "lead");
        }
        let slot = self::slot();
        load(&slot, 0, held(7, 100));
        assert_eq!(format!("{:?}", load(&slot, 25, failed(27, leaves))), past);
        let then = told(Slot::enter(&slot, 26, |_| 1));
        assert_eq!(then, if leaves == Leaves::Stale { "stale 7" } else { "refused down" });
        assert_eq!(told(Slot::enter(&slot, 27, |_| 1)), "lead");
        assert!(matches!(load(&slot, 31, failed(40, leaves)), Outcome::Failed("down")), "past all its times");
    }
}

#[test]
fn stale_uses_count() {
    let slot = slot();
    load(&slot, 0, held(7, 3));
    assert!(matches!(load(&slot, 25, failed(29, Leaves::Stale)), Outcome::Stale(7)));
    assert_eq!(told(Slot::enter(&slot, 26, |_| 9)), "stale 7");
    assert_eq!(told(Slot::enter(&slot, 26, |_| 9)), "refused down");
}

#[test]
fn a_purge_forgets_and_the_load_under_way_is_not_kept() {
    let slot = slot();
    let bell = Arc::new(Bell::default());
    let leader = lead(&slot, 0);
    let mut waiter = wait(&slot, 0);
    assert!(poll(&mut waiter, &bell).is_none());
    slot.purge().wake();
    assert_eq!(bell.rings(), 1);
    assert!(matches!(poll(&mut waiter, &bell), Some(Turn::Again)));
    let second = lead(&slot, 0);
    let (own, landed, wakers) = leader.land(held(7, 9), 0);
    wakers.wake();
    assert!(matches!(own, Outcome::Value(7)) && landed == Landed::Alone);
    assert_eq!(told(Slot::enter(&slot, 0, |_| 1)), "wait");
    second.land(held(8, 9), 0).2.wake();
    assert_eq!(told(Slot::enter(&slot, 0, |_| 1)), "hit 8 x1");
    slot.purge().wake();
    assert!(!slot.is_in_use(0) && slot.peek().is_none());
}

#[test]
fn what_may_never_be_used_again_is_still_given_to_who_loaded_it() {
    let slot = slot();
    assert!(matches!(load(&slot, 0, held(7, 0)), Outcome::Value(7)));
    assert_eq!(told(Slot::enter(&slot, 0, |_| 1)), "spent");
}

#[test]
fn nothing_is_remembered_of_nothing() {
    let slot = slot();
    load(&slot, 0, held(7, 9));
    let leader = lead(&slot, 15);
    let (own, landed, _) = leader.land(Landing::Nothing, 15);
    assert!(matches!(own, Outcome::Nothing) && landed == Landed::Empty);
    assert!(!slot.is_in_use(15));
}
