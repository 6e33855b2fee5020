//! Who may call at once, and in what order the others wait; throttling makes the door narrower for a while.
//!
//! Knows tickets and wakers, and makes no call. A ticket that is dropped, at whatever moment, frees its place.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

/// The line in front of a provider.
#[derive(Debug)]
pub(super) struct Line {
    max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How many may be inside, in thousandths, so that it can grow by parts.
    width: usize,
    inside: usize,
    /// Who waits, in the order in which they came, with the waker of their last poll.
    waiting: BTreeMap<u64, Option<Waker>>,
    /// Who was given a place and has not come for it yet; counted as inside.
    called: BTreeSet<u64>,
    next: u64,
    narrowed: Option<Instant>,
    /// Answers in a row that said that there were too many calls.
    throttled_in_a_row: u32,
    last_throttled: Option<Instant>,
}

/// A place inside. Dropped, it goes to who is next.
#[derive(Debug)]
pub(super) struct Place<'l>(&'l Line);

/// Waiting for a place.
pub(super) struct Ticket<'l> {
    line: &'l Line,
    number: u64,
    is_done: bool,
}

impl Line {
    pub(super) fn new(max: usize) -> Self {
        let max = max.max(1);
        let state = State {
            width: max.saturating_mul(WHOLE),
            inside: 0,
            waiting: BTreeMap::new(),
            called: BTreeSet::new(),
            next: 0,
            narrowed: None,
            throttled_in_a_row: 0,
            last_throttled: None,
        };
        Self { max, state: Mutex::new(state) }
    }

    /// Gets in line now.
    pub(super) fn ticket(&self) -> Ticket<'_> {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.waiting.insert(number, None);
        let woken = state.call_next();
        drop(state);
        wake(woken);
        Ticket { line: self, number, is_done: false }
    }

    /// The service asked for less: half as many from now on, once for all that were answered so at about the same time.
    pub(super) fn throttled(&self, now: Instant) {
        let mut state = self.lock();
        state.throttled_in_a_row = state.throttled_in_a_row.saturating_add(1);
        state.last_throttled = Some(now);
        if state.narrowed.is_none_or(|last| now.saturating_duration_since(last) >= NARROW_EVERY) {
            state.narrowed = Some(now);
            state.width = (state.width / 2).max(WHOLE);
        }
    }

    /// How many back-offs to wait before calling, for who is inside: the service asks for less with every answer, so that
    /// one at a time finds out when it does not any more.
    pub(super) fn pause(&self) -> Option<u32> {
        let state = self.lock();
        // At the default, a tenth of a second of the seconds by which quotas count, and then two.
        state.is_probing().then(|| if state.throttled_in_a_row == PROBE_AFTER { 2 } else { 4 })
    }

    /// What was answered long ago says nothing about now.
    pub(super) fn settle(&self, now: Instant) {
        let is_old = |last: Instant| now.saturating_duration_since(last) >= FORGOTTEN_AFTER;
        if self.lock().last_throttled.take_if(|last| is_old(*last)).is_some() {
            self.answered();
        }
    }

    /// The service answered something else than that there were too many calls.
    pub(super) fn answered(&self) {
        let mut state = self.lock();
        state.throttled_in_a_row = 0;
        let woken = state.call_next();
        drop(state);
        wake(woken);
    }

    /// A call went well: a whole round of them makes room for one more.
    pub(super) fn went_well(&self) {
        let mut state = self.lock();
        state.throttled_in_a_row = 0;
        let max = self.max.saturating_mul(WHOLE);
        if state.width < max {
            let step = (WHOLE * WHOLE / state.width).max(1);
            state.width = (state.width + step).min(max);
        }
        let woken = state.call_next();
        drop(state);
        wake(woken);
    }

    /// How many are inside, how many wait, and how many may be inside.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let state = self.lock();
        (state.inside, state.waiting.len(), state.places())
    }

    fn leave(&self) {
        let mut state = self.lock();
        state.inside -= 1;
        let woken = state.call_next();
        drop(state);
        wake(woken);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock; wakers are woken outside of it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    const fn is_probing(&self) -> bool {
        self.throttled_in_a_row >= PROBE_AFTER
    }

    /// How many may be inside.
    const fn places(&self) -> usize {
        if self.is_probing() { 1 } else { self.width / WHOLE }
    }

    /// Gives free places to those who have waited longest.
    fn call_next(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        while self.inside < self.places() {
            let Some((number, waker)) = self.waiting.pop_first() else { break };
            self.inside += 1;
            self.called.insert(number);
            woken.extend(waker);
        }
        woken
    }
}

fn wake(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

impl<'l> Future for Ticket<'l> {
    type Output = Place<'l>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Place<'l>> {
        let line = self.line;
        let mut state = line.lock();
        if state.called.remove(&self.number) {
            drop(state);
            self.is_done = true;
            return Poll::Ready(Place(line));
        }
        let previous = state.waiting.insert(self.number, Some(cx.waker().clone()));
        drop(state);
        drop(previous);
        Poll::Pending
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let mut state = self.line.lock();
        let waker = state.waiting.remove(&self.number);
        let was_called = state.called.remove(&self.number);
        drop(state);
        drop(waker);
        if was_called {
            self.line.leave();
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

const WHOLE: usize = 1000;
/// Between one halving and the next: answers of calls that were on their way at the same moment count once.
const NARROW_EVERY: Duration = Duration::from_secs(1);
/// Throttled answers in a row after which one caller at a time goes on: one by itself may be chance, or one of many.
const PROBE_AFTER: u32 = 4;
/// Longer than any quota is counted over.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll<'l>(ticket: Pin<&mut Ticket<'l>>, count: &Arc<Count>) -> Option<Place<'l>> {
        match ticket.poll(&mut Context::from_waker(&Waker::from(Arc::clone(count)))) {
            Poll::Ready(place) => Some(place),
            Poll::Pending => None,
        }
    }

    #[test]
    fn first_come_first_served_and_each_woken_once() {
        let line = Line::new(1);
        let counts = [(); 3].map(|()| Arc::new(Count::default()));
        let [mut a, mut b, mut c] = [(); 3].map(|()| Box::pin(line.ticket()));
        let place = poll(a.as_mut(), &counts[0]).unwrap();
        assert!(poll(c.as_mut(), &counts[2]).is_none() && poll(b.as_mut(), &counts[1]).is_none());
        drop(place);
        assert_eq!(counts.each_ref().map(|count| count.0.load(Ordering::SeqCst)), [0, 1, 0]);
        assert!(poll(c.as_mut(), &counts[2]).is_none());
        let place = poll(b.as_mut(), &counts[1]).unwrap();
        drop(place);
        assert!(poll(c.as_mut(), &counts[2]).is_some());
        assert_eq!(line.counts(), (0, 0, 1));
    }

    #[test]
    fn who_leaves_the_line_at_any_moment_takes_no_place_along() {
        let line = Line::new(1);
        let count = Arc::new(Count::default());
        let mut first = Box::pin(line.ticket());
        let place = poll(first.as_mut(), &count).unwrap();
        // Never polled, polled, and called without having come.
        drop(line.ticket());
        let mut polled = Box::pin(line.ticket());
        assert!(poll(polled.as_mut(), &count).is_none());
        drop(polled);
        let mut called = Box::pin(line.ticket());
        assert!(poll(called.as_mut(), &count).is_none());
        let mut behind = Box::pin(line.ticket());
        assert!(poll(behind.as_mut(), &count).is_none());
        drop(place);
        drop(called);
        let behind = poll(behind.as_mut(), &count);
        assert!(behind.is_some());
        drop(behind);
        assert_eq!(line.counts(), (0, 0, 1));
    }

    #[test]
    fn throttling_halves_once_a_second_and_success_grows_slowly() {
        let (line, start) = (Line::new(64), Instant::now());
        for _ in 0..100 {
            line.throttled(start);
        }
        line.answered();
        assert_eq!(line.counts().2, 32);
        (1..20).for_each(|second| line.throttled(start + Duration::from_secs(second)));
        line.answered();
        assert_eq!(line.counts().2, 1, "never nobody");
        let rounds = (1..).find(|_| {
            line.went_well();
            line.counts().2 == 64
        });
        // 1 + 2 + ... + 63 successes, give or take what is rounded.
        assert!((1900..2300).contains(&rounds.unwrap()), "{rounds:?}");
        (0..1000).for_each(|_| line.went_well());
        assert_eq!(line.counts().2, 64);
    }

    #[test]
    fn four_throttled_answers_in_a_row_leave_one_caller_until_another_answer() {
        let (line, now) = (Line::new(8), Instant::now());
        let count = Arc::new(Count::default());
        for _ in 0..3 {
            line.throttled(now);
            assert_eq!((line.pause(), line.counts().2), (None, 4));
        }
        line.answered();
        (0..3).for_each(|_| line.throttled(now));
        assert_eq!(line.pause(), None, "not in a row");
        line.throttled(now);
        assert_eq!((line.pause(), line.counts().2), (Some(2), 1));
        let mut tickets = [(); 3].map(|()| Box::pin(line.ticket()));
        let mut places = tickets.each_mut().map(|ticket| poll(ticket.as_mut(), &count));
        assert_eq!(places.iter().flatten().count(), 1);
        line.throttled(now);
        assert_eq!(line.pause(), Some(4));
        // Whatever else it answers, everybody goes on at once.
        line.answered();
        assert_eq!((line.pause(), line.counts()), (None, (3, 0, 4)));
        assert_eq!(count.0.load(Ordering::SeqCst), 2, "and is woken");
        for (ticket, place) in tickets.iter_mut().zip(&mut places) {
            if place.is_none() {
                *place = poll(ticket.as_mut(), &count);
            }
        }
        assert_eq!(places.iter().flatten().count(), 3);
        drop(places);
        assert_eq!(line.counts(), (0, 0, 4));
        // What nobody has seen for a while is over as well.
        (0..4).for_each(|_| line.throttled(now));
        line.settle(now + FORGOTTEN_AFTER - Duration::from_nanos(1));
        assert!(line.pause().is_some());
        line.settle(now + FORGOTTEN_AFTER);
        assert_eq!((line.pause(), line.counts().2), (None, 4));
    }

    #[test]
    fn many_threads_never_exceed_the_width() {
        let (line, inside, peak) = (Line::new(3), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let place = crate::executor::block_on(async { pin!(line.ticket()).await }).unwrap();
                        peak.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(place);
                    }
                });
            }
        });
        assert!((1..=3).contains(&peak.load(Ordering::SeqCst)));
        assert_eq!(line.counts(), (0, 0, 3));
    }
}
