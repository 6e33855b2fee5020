//! What an observer is told of each unwrap: once, also if nobody waits for its end.

use std::time::{Duration, Instant};

use super::{Cached, UnwrapAnswer, UnwrapAnswers, entry::Wanted};
use crate::observe::{CacheState, Event, Observer, Operation, Outcome};

impl Cached {
    #[inline]
    pub(super) fn tell_hit(&self, wanted: Wanted<'_>) {
        if let Some(observer) = &self.observer {
            self.tell(&**observer, wanted, Outcome::Ok, CacheState::Hit, Duration::ZERO);
        }
    }

    pub(super) async fn load_and_tell(&self, wanted: Wanted<'_>) -> UnwrapAnswers {
        let mut call = Call { cached: self, wanted, begun: self.time.clock().now(), end: None };
        let (answers, how) = self.load(wanted).await;
        call.end = Some((outcome(&answers), how));
        answers
    }

    fn tell(
        &self,
        observer: &dyn Observer,
        wanted: Wanted<'_>,
        outcome: Outcome,
        how: CacheState,
        latency: Duration,
    ) {
        let mut event = Event::new(Operation::Unwrap, self.provider);
        // A name that is nobody's here is whatever the header's writer liked.
        if let (Outcome::Ok | Outcome::Failed(_), [recipient]) = (outcome, wanted.recipients) {
            event.key_id = std::str::from_utf8(recipient.id()).ok().filter(|id| !id.is_empty());
        }
        let has_asked = how == CacheState::Miss && outcome != Outcome::NotMine;
        (event.outcome, event.cache, event.latency, event.attempts) =
            (outcome, how, latency, has_asked.into());
        observer.event(&event);
    }
}

/// An unwrap that is told when this is dropped.
struct Call<'c> {
    cached: &'c Cached,
    wanted: Wanted<'c>,
    begun: Instant,
    end: Option<(Outcome, CacheState)>,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let Some(observer) = &self.cached.observer else { return };
        let latency = self.cached.time.clock().now().saturating_duration_since(self.begun);
        let (outcome, how) = self.end.unwrap_or((Outcome::Abandoned, CacheState::Miss));
        self.cached.tell(&**observer, self.wanted, outcome, how, latency);
    }
}

/// A key is success; without one, the last failure counts, which is the one that ended the search.
fn outcome(answers: &UnwrapAnswers) -> Outcome {
    let mut outcome = Outcome::NotMine;
    for (_, answer) in answers.iter() {
        match answer {
            UnwrapAnswer::Key(_) => return Outcome::Ok,
            UnwrapAnswer::Failed(error) => outcome = Outcome::Failed(error.kind()),
            UnwrapAnswer::NotMine | UnwrapAnswer::Abandoned => {}
        }
    }
    outcome
}
