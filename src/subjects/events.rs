//! What an observer is told of records and messages: once, also if nobody waits for the end.
//!
//! Floor 6. Pseudonyms and references go out in hexadecimal digits; names, values and contexts never come here.

use std::time::{Duration, Instant};

use super::shared::Shared;
use crate::{
    error::{Category, RecordError, SubjectError},
    keystore::Pseudonym,
    observe::{CacheState, Event, Operation, Outcome},
};

/// Something under way, which is told when this is dropped. Nothing, where nobody listens.
pub(crate) struct Telling<'s> {
    shared: &'s Shared,
    operation: Operation,
    purpose: Option<&'s str>,
    begun: Option<Instant>,
    outcome: Outcome,
    pub(crate) cache: CacheState,
    pub(crate) subject: Option<Pseudonym>,
    pub(crate) reference: Option<u64>,
}

impl<'s> Telling<'s> {
    pub(super) fn new(shared: &'s Shared, operation: Operation, purpose: Option<&'s str>) -> Self {
        let begun = shared.options.observer.as_ref().map(|_| shared.clock().now());
        let (outcome, cache) = (Outcome::Abandoned, CacheState::None);
        Self { shared, operation, purpose, begun, outcome, cache, subject: None, reference: None }
    }

    /// Notes how it ended.
    pub(crate) fn end<T, E: HasCategory>(mut self, result: Result<T, E>) -> Result<T, E> {
        self.outcome =
            result.as_ref().map_or_else(|error| Outcome::Refused(error.category()), |_| Outcome::Ok);
        result
    }
}

impl Telling<'_> {
    /// Notes that it failed together with others.
    pub(crate) fn fail(mut self, error: &impl HasCategory) {
        self.outcome = Outcome::Refused(error.category());
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        let (Some(observer), Some(begun)) = (&self.shared.options.observer, self.begun) else { return };
        let latency = self.shared.clock().now().saturating_duration_since(begun);
        tell(self, &**observer, latency);
    }
}

fn tell(telling: &Telling<'_>, observer: &dyn crate::observe::Observer, latency: Duration) {
    let mut event = Event::new(telling.operation, telling.shared.store_name);
    let subject = telling.subject.map(|subject| Hex::new(&subject));
    let reference = telling.reference.map(|reference| Hex::new(&reference.to_be_bytes()));
    (event.subject, event.key_id) = (subject.as_ref().map(Hex::as_str), reference.as_ref().map(Hex::as_str));
    (event.purpose, event.outcome, event.cache, event.latency) =
        (telling.purpose, telling.outcome, telling.cache, latency);
    event.attempts = (telling.cache == CacheState::Miss).into();
    observer.event(&event);
}

/// Errors that say what kind they are of.
pub(crate) trait HasCategory {
    fn category(&self) -> Category;
}

impl HasCategory for RecordError {
    fn category(&self) -> Category {
        self.category()
    }
}

impl HasCategory for SubjectError {
    fn category(&self) -> Category {
        self.category()
    }
}

/// Up to 32 bytes in hexadecimal digits.
struct Hex {
    digits: [u8; 64],
    len: usize,
}

impl Hex {
    fn new(bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = Self { digits: [0; 64], len: 2 * bytes.len() };
        for (pair, byte) in hex.digits.chunks_exact_mut(2).zip(bytes) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        hex
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.digits[..self.len]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_hexadecimal_digits() {
        assert_eq!(Hex::new(&0x0123_4567_89ab_cdef_u64.to_be_bytes()).as_str(), "0123456789abcdef");
        assert_eq!(Hex::new(&[0xf0; 32]).as_str(), "f0".repeat(32));
    }
}
