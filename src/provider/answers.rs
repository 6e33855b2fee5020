//! What a provider answers when it is asked about several recipients at once.
//!
//! Plain data, and the plain way to make it: one recipient after the other. Whether a key that was unwrapped is the
//! right one is for the asker to find out. Section 7 of the [format](crate::manual::format), step 4.

use super::{KeyProvider, WrapContext};
use crate::{error::ProviderError, format::stanza::Recipient, secret::DataKey};

/// What came of asking a provider for the data key of any one of several recipients.
///
/// Each recipient is named by its place in the list that was asked about. Those that are not listed were not tried, and
/// may be asked about again, unless the answers are [final](Self::is_final).
#[derive(Debug, Default)]
pub struct UnwrapAnswers {
    answers: Vec<(usize, UnwrapAnswer)>,
    is_final: bool,
}

impl UnwrapAnswers {
    /// No answer yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { answers: Vec::new(), is_final: false }
    }

    /// Adds the answer about the recipient at `place`. There should be one for each place at most.
    pub fn push(&mut self, place: usize, answer: impl Into<UnwrapAnswer>) {
        self.answers.push((place, answer.into()));
    }

    /// Says that this provider must not be asked about any other recipient of the message: a key that comes first was
    /// taken away, perhaps on purpose, and another one is no way around that.
    pub const fn set_final(&mut self) {
        self.is_final = true;
    }

    /// Whether this provider must not be asked about any other recipient of the message.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        self.is_final
    }

    /// The answers with their places, in the order in which they came in.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &UnwrapAnswer)> {
        self.answers.iter().map(|(place, answer)| (*place, answer))
    }

    /// The answers themselves, with their places.
    #[must_use]
    pub fn into_answers(self) -> Vec<(usize, UnwrapAnswer)> {
        self.answers
    }

    /// How many recipients were tried: all that were found to be the provider's.
    #[must_use]
    pub fn tried(&self) -> usize {
        self.answers.iter().filter(|(_, answer)| !matches!(answer, UnwrapAnswer::NotMine)).count()
    }

    /// The same answers, where the list that was asked about was part of another: `places` says where in it each stood.
    #[must_use]
    pub fn at_places(mut self, places: &[usize]) -> Self {
        self.answers.retain_mut(|(place, _)| match places.get(*place) {
            Some(outer) => {
                *place = *outer;
                true
            }
            None => false,
        });
        self
    }
}

/// What came of one recipient.
#[derive(Debug)]
#[non_exhaustive]
pub enum UnwrapAnswer {
    /// No wrapping key configured here has its type and id. Nobody was asked.
    NotMine,
    /// It was unwrapped to this key.
    Key(DataKey),
    /// It is this provider's, and the key could not be had.
    Failed(ProviderError),
    /// It is this provider's and was being unwrapped, when another one was faster. It may be asked about again.
    Abandoned,
}

impl From<Result<Option<DataKey>, ProviderError>> for UnwrapAnswer {
    fn from(answer: Result<Option<DataKey>, ProviderError>) -> Self {
        match answer {
            Ok(None) => Self::NotMine,
            Ok(Some(key)) => Self::Key(key),
            Err(error) => Self::Failed(error),
        }
    }
}

/// Asks about one recipient after the other, until one is unwrapped or `limit` of them were tried.
pub(super) async fn one_by_one<P: KeyProvider + ?Sized>(
    provider: &P,
    recipients: &[&Recipient],
    limit: usize,
    context: &WrapContext,
) -> UnwrapAnswers {
    let mut answers = UnwrapAnswers::new();
    for (place, recipient) in recipients.iter().enumerate() {
        if answers.tried() >= limit {
            break;
        }
        let answer = UnwrapAnswer::from(provider.unwrap_data_key(recipient, context).await);
        let is_found = matches!(answer, UnwrapAnswer::Key(_));
        answers.push(place, answer);
        if is_found {
            break;
        }
    }
    answers
}
