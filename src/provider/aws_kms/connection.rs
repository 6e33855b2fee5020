//! The client of one region, and its second chance when the service does not accept what a request was signed with.
//!
//! The SDK keeps credentials until the time at which they say that they expire. If the service calls them expired or
//! unknown before, because they were withdrawn or this machine's clock is slow, it would go on with them until then.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_kms::Client;
use aws_sdk_kms::config::IdentityCache;

use super::failure::BadSignature;
use crate::clock::Clock;

/// A client, and when it last had its second chance.
#[derive(Debug)]
pub(super) struct Connection(Mutex<State>);

#[derive(Debug)]
struct State {
    client: Client,
    /// Grows with each new client.
    generation: u64,
    tried_again: Option<Instant>,
}

impl Connection {
    pub(super) fn new(client: Client) -> Self {
        Self(Mutex::new(State { client, generation: 0, tried_again: None }))
    }

    /// The client to use now, and its generation.
    pub(super) fn client(&self) -> (Client, u64) {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.client.clone(), state.generation)
    }

    /// The client for a second try after the one of this generation was told that its signature is no good; `None` if
    /// there was such a try a moment ago, which did not help.
    pub(super) fn second_chance(
        &self,
        generation: u64,
        fault: BadSignature,
        clock: &dyn Clock,
    ) -> Option<Client> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody else, who was told so too, has got new ones already.
        if generation != state.generation {
            return Some(state.client.clone());
        }
        let now = clock.now();
        if state.tried_again.is_some_and(|then| now.saturating_duration_since(then) < PAUSE) {
            return None;
        }
        state.tried_again = Some(now);
        // Of a wrong clock the client has learnt by the answer, and signs otherwise the next time.
        if fault == BadSignature::Credentials {
            let fresh = state.client.config().to_builder().identity_cache(IdentityCache::lazy().build());
            state.client = Client::from_conf(fresh.build());
            state.generation += 1;
        }
        Some(state.client.clone())
    }
}

/// Where credentials stay bad, calls are not made twice more often than this.
const PAUSE: Duration = Duration::from_secs(10);
