//! Looking for the key of a message: which provider is asked about which recipient, and how often.
//!
//! Floor 5. Every provider is shown a slot's recipients at once and may choose among them; whether the key that it gives
//! is the message's is not known here. Section 7 of the [format](crate::manual::format), steps 4 and 5.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    error::{OpenError, ProviderError, ProviderErrorKind, RecipientAttempt, UnavailableKeys},
    format::stanza::{Recipient, RecipientType, all_of},
    provider::{KeyProvider, UnwrapAnswer, UnwrapAnswers, WrapContext},
    secret::DataKey,
};

/// The search through all slots of one header.
pub(super) struct Search<'p> {
    /// Whoever may still be asked: a provider that has given its last word is none of them.
    providers: Vec<&'p dyn KeyProvider>,
    context: WrapContext,
    tally: Tally,
}

impl<'p> Search<'p> {
    pub(super) fn new(providers: &[&'p dyn KeyProvider], context: WrapContext) -> Self {
        Self { providers: providers.to_vec(), context, tally: Tally::default() }
    }

    /// Goes through one slot, trying at most `limit` of its recipients: what `confirm` made of the first key that it
    /// takes for the message's.
    pub(super) async fn slot<T>(
        &mut self,
        recipients: &[Recipient],
        limit: usize,
        confirm: impl Fn(DataKey, &Recipient) -> Option<T>,
    ) -> Option<T> {
        // fmt: Z-9, Z-2: a pending stanza names no key that is here.
        let candidates = recipients.iter().filter(|recipient| recipient.names_a_key()).collect();
        let mut slot = SlotSearch { candidates, limit, tried: BTreeSet::new(), outcomes: BTreeMap::new() };
        let mut found = None;
        let mut providers = std::mem::take(&mut self.providers).into_iter();
        while let (None, Some(provider)) = (&found, providers.next()) {
            let (key, is_final) = slot.ask(provider, &self.context, &mut self.tally, &confirm).await;
            found = key;
            if !is_final {
                self.providers.push(provider);
            }
        }
        slot.tell(&mut self.tally);
        found
    }

    pub(super) fn into_error(self) -> OpenError {
        self.tally.into_error()
    }
}

/// The search through one slot.
struct SlotSearch<'r> {
    candidates: Vec<&'r Recipient>,
    limit: usize,
    /// Candidates that are somebody's here and were tried, whatever came of it: they count once.
    tried: BTreeSet<usize>,
    /// What is to be told of each candidate if no key is found.
    outcomes: BTreeMap<usize, Vec<Option<ProviderError>>>,
}

impl SlotSearch<'_> {
    /// Asks one provider until it has a key that is confirmed, or nothing to say any more. Also says whether that was
    /// its last word about the message.
    async fn ask<T>(
        &mut self,
        provider: &dyn KeyProvider,
        context: &WrapContext,
        tally: &mut Tally,
        confirm: &impl Fn(DataKey, &Recipient) -> Option<T>,
    ) -> (Option<T>, bool) {
        let mut left: Vec<usize> = (0..self.candidates.len()).collect();
        loop {
            let (places, limit) = self.next_to_ask(&left);
            if places.is_empty() {
                return (None, false);
            }
            let asked: Vec<&Recipient> = places.iter().map(|place| self.candidates[*place]).collect();
            // fmt: O-8: of these the provider says which it is configured with.
            let answers = provider.unwrap_any(&asked, limit, context).await.at_places(&places);
            let (before, is_final) = (left.len(), answers.is_final());
            for (place, key) in self.take(answers, &mut left) {
                match confirm(key, self.candidates[place]) {
                    Some(found) => return (Some(found), is_final),
                    None => tally.other_context = true,
                }
            }
            if is_final || left.len() == before {
                return (None, is_final);
            }
        }
    }

    /// Which candidates to ask about next, and how many of them may be tried. Those that were tried before, by another
    /// provider or before another one was faster, cost nothing more, and come first.
    // fmt: M-3
    fn next_to_ask(&self, left: &[usize]) -> (Vec<usize>, usize) {
        let (tried, new): (Vec<usize>, Vec<usize>) =
            left.iter().partition(|place| self.tried.contains(place));
        let budget = self.limit.saturating_sub(self.tried.len());
        match (tried.len(), budget) {
            (0, 0) => (Vec::new(), 0),
            (0, budget) => (new, budget),
            (len, _) => (tried, len),
        }
    }

    /// Takes the answers in; gives back the keys among them. What is settled is left no more.
    fn take(&mut self, answers: UnwrapAnswers, left: &mut Vec<usize>) -> Vec<(usize, DataKey)> {
        let mut keys = Vec::new();
        let mut answers = answers.into_answers();
        // A key outweighs whatever else is said about the same recipient.
        answers.sort_by_key(|(_, answer)| !matches!(answer, UnwrapAnswer::Key(_)));
        for (place, answer) in answers {
            // A second answer about the same recipient was not asked for.
            let Some(at) = left.iter().position(|own| *own == place) else { continue };
            let outcome = match answer {
                UnwrapAnswer::NotMine => None,
                UnwrapAnswer::Failed(error) => Some(error),
                UnwrapAnswer::Key(key) => {
                    keys.push((place, key));
                    self.tried.insert(place);
                    left.remove(at);
                    continue;
                }
                UnwrapAnswer::Abandoned => {
                    self.tried.insert(place);
                    continue;
                }
            };
            if outcome.is_some() {
                self.tried.insert(place);
            }
            left.remove(at);
            self.outcomes.entry(place).or_default().push(outcome);
        }
        keys
    }

    /// Tells what came of this slot, in the order of its recipients.
    fn tell(self, tally: &mut Tally) {
        for (place, outcomes) in self.outcomes {
            let recipient = self.candidates[place];
            let mut is_ours = self.tried.contains(&place);
            for outcome in outcomes {
                match outcome {
                    Some(error) => tally.failed(recipient, error),
                    None if is_ours => {}
                    None => {
                        tally.not_ours(recipient);
                        is_ours = true;
                    }
                }
            }
        }
    }
}

/// Whether what refused this recipient was a key service that was given pairs of the context, alone or for one share.
fn may_be_of_another_context(recipient: &Recipient, error: &ProviderError) -> bool {
    if recipient.recipient_type() != RecipientType::ALL_OF {
        return recipient.tells_pairs();
    }
    let refused = |share: &Recipient| share.tells_pairs() && error.key_id() == Some(&*share.id_lossy());
    all_of::parse(recipient.wrap()).is_ok_and(|all_of| all_of.shares.iter().any(refused))
}

/// What came of the stanzas that did not open the message.
#[derive(Default)]
struct Tally {
    attempts: Vec<RecipientAttempt>,
    matched: bool,
    unavailable: bool,
    other_context: bool,
}

impl Tally {
    fn not_ours(&mut self, recipient: &Recipient) {
        self.attempts.push(RecipientAttempt::new(recipient.recipient_type().0, recipient.id_lossy(), None));
    }

    fn failed(&mut self, recipient: &Recipient, error: ProviderError) {
        self.matched = true;
        if error.kind() != ProviderErrorKind::Rejected {
            self.unavailable = true;
        } else if may_be_of_another_context(recipient, &error) {
            self.other_context = true;
        }
        let id = recipient.id_lossy();
        self.attempts.push(RecipientAttempt::new(recipient.recipient_type().0, id, Some(error)));
    }

    // fmt: O-10
    fn into_error(self) -> OpenError {
        if self.other_context {
            return OpenError::WrongContext(
                "a key was unwrapped, but not for this context: present exactly the pairs it was sealed with \
                 (or salt or commitment are damaged)",
            );
        }
        let keys = UnavailableKeys(self.attempts);
        if self.unavailable || !self.matched {
            OpenError::KeyUnavailable(keys)
        } else {
            OpenError::WrongKey(keys)
        }
    }
}
