//! Wrapping keys that were denied a moment ago: what was asked of them before that must not be kept after it.
//!
//! It remembers names and in what order they came, and no answer. Section "Caching data keys" of the
//! [operations manual](crate::manual::operations).

use std::collections::VecDeque;

use super::entry::names;
use crate::format::stanza::Recipient;

/// The last denials, in order.
#[derive(Default)]
pub(super) struct Denials {
    count: u64,
    last: VecDeque<Vec<u8>>,
}

impl Denials {
    /// How many there were so far.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn note(&mut self, id: &[u8]) {
        self.count += 1;
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back(id.to_vec());
    }

    /// Whether this recipient needs a key that was denied since there were `count`. Where so many were denied since that
    /// it is not known any more, yes.
    pub(super) fn has_hit_since(&self, count: u64, recipient: &Recipient) -> bool {
        let since = usize::try_from(self.count.saturating_sub(count)).unwrap_or(usize::MAX);
        if since > self.last.len() {
            return true;
        }
        self.last.iter().rev().take(since).any(|id| names(recipient, id))
    }
}

/// More than are denied while one call is under way, but in a storm.
const REMEMBERED: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::stanza::RecipientType;

    #[test]
    fn only_later_ones_of_the_same_key_count_and_forgotten_ones_count_for_all() {
        let recipient = Recipient::new(RecipientType::AES_KWP, "k", [], [0; 40]);
        let mut denials = Denials::default();
        denials.note(b"k");
        let before = denials.count();
        assert!(!denials.has_hit_since(before, &recipient));
        denials.note(b"other");
        assert!(!denials.has_hit_since(before, &recipient));
        denials.note(b"k");
        assert!(denials.has_hit_since(before, &recipient));
        let before = denials.count();
        (0..REMEMBERED).for_each(|_| denials.note(b"other"));
        assert!(!denials.has_hit_since(before, &recipient));
        denials.note(b"other");
        assert!(denials.has_hit_since(before, &recipient));
    }
}
