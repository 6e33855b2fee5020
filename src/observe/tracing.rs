//! Events of providers and of data subjects as `tracing` events.
//!
//! Floor 0: one event in, one event out; it keeps nothing. Feature `tracing`; section "Watching providers" of the
//! [operations manual](crate::manual::operations).

use super::{Event, Observer, Operation, Outcome};

/// Writes every event to whatever subscribes to [`tracing`], under the target `kuvert`.
///
/// Calls that end well, and recipients of somebody else, are of level DEBUG; what fails or is refused is WARN; changes of health are
/// ERROR when something stopped working and INFO when it works again. The fields are those of [`Event`], the latency in
/// microseconds; a field that has no value is left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingObserver;

impl Observer for TracingObserver {
    fn event(&self, event: &Event<'_>) {
        // The level of an event has to be known at its place in the code.
        macro_rules! tell {
            ($level:ident, $message:literal) => {
                tracing::event!(
                    target: "kuvert",
                    tracing::Level::$level,
                    operation = event.operation.name(),
                    provider = event.provider,
                    key_id = event.key_id,
                    region = event.region,
                    request_id = event.request_id,
                    outcome = event.outcome.describe(),
                    attempts = event.attempts,
                    latency_us = u64::try_from(event.latency.as_micros()).unwrap_or(u64::MAX),
                    cache = event.cache.name(),
                    subject = event.subject,
                    purpose = event.purpose,
                    $message
                )
            };
        }
        match (event.operation, event.outcome) {
            (Operation::Health, Outcome::Failed(_)) => tell!(ERROR, "key provider does not work"),
            (Operation::Health, _) => tell!(INFO, "key provider works again"),
            (_, Outcome::Refused(_)) => tell!(WARN, "data subject: refused or failed"),
            (
                Operation::SealRecord
                | Operation::OpenRecord
                | Operation::SealMessage
                | Operation::OpenMessage
                | Operation::Rotate,
                _,
            ) => tell!(DEBUG, "data subject"),
            (_, Outcome::Failed(_)) => tell!(WARN, "key provider call failed"),
            _ => tell!(DEBUG, "key provider call"),
        }
    }
}
