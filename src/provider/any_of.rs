//! Several recipients: a data key that any one of several wrapping keys opens, so that losing one loses nothing.
//!
//! It knows members by what they describe and how they fare, and no key service by name. Section "Two regions" of the
//! [operations manual](crate::manual::operations).

mod open;
mod options;
mod seal;
mod standing;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

pub use self::options::{AnyOfOptions, Hedge};
use self::{open::Race, seal::Gathering, standing::Standing};
use super::{
    Health, KeyProvider, ProviderInfo, UnwrapAnswer, UnwrapAnswers, WrapContext,
    budget::Budget,
    call_event::{Answer as _, CallEvent},
    failures::Failures,
};
use crate::{
    clock::{Clock, SystemClock},
    error::{ProviderError, ProviderErrorKind},
    format::stanza::Recipient,
    observe::{Event, Observer, Operation, Outcome},
    secret::DataKey,
};

/// Seals for all of its members, so that the key of any one of them opens: two regions, or a key service and a key in a
/// safe.
///
/// # Sealing
///
/// All members wrap the same data key at the same time. By default all of them must succeed. With
/// [`with_min`](Self::with_min) fewer will do: then a member that cannot be reached leaves a *pending* recipient in the
/// message, which names its key and opens nothing, and [`repair`](crate::OpenHandle::repair) replaces it when the
/// member is back; the seal report and `kuvert inspect` list what is pending. Members that are merely slower than the
/// others are waited for a little longer ([`AnyOfOptions::grace`]). A failure that waiting does not mend, of a policy or
/// of the configuration, fails the seal.
///
/// # Opening
///
/// Only members that hold the key of one of the message's recipients are asked: in the order in which they were given,
/// so put the nearest first; those that lately failed, or were slow three times in a row, come last, and one call every
/// five seconds tries them again. The next member is asked when one is unavailable, throttled or late, or refuses the wrap; and beside one
/// that takes longer than usual ([`Hedge`]). **A member that denies access, or whose key is disabled, about to be deleted
/// or gone, ends the search**: somebody may have cut it off on purpose, and then the way around it must be a
/// decision, too ([`with_fail_over_on_denial`](Self::with_fail_over_on_denial)).
///
/// # Security
///
/// The weakest member decides: whoever gets at one of the keys opens everything. That a denial ends the search is a
/// safeguard against surprises and no boundary: a member that is slow or cannot be reached has no say, and the next one is
/// asked. To cut somebody off for good, take the right away at every member.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use kuvert::{EncryptionContext, blocking::Kuvert, provider::{AnyOf, MemoryProvider}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let near = Arc::new(MemoryProvider::generate("frankfurt")?);
/// let far = Arc::new(MemoryProvider::generate("paris")?);
/// let both = Kuvert::new(AnyOf::new([near.clone() as _, far.clone() as _])?);
/// let context = EncryptionContext::empty();
/// let message = both.seal(b"either opens", &context)?;
///
/// assert_eq!(Kuvert::from_arc(near).open(&message, &context)?.as_slice(), b"either opens");
/// assert_eq!(Kuvert::from_arc(far.clone()).open(&message, &context)?.as_slice(), b"either opens");
///
/// // The same key twice would be no second way in.
/// assert!(AnyOf::new([far.clone() as _, far as _]).is_err());
/// # Ok(()) }
/// ```
pub struct AnyOf {
    members: Vec<Member>,
    options: AnyOfOptions,
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn Observer>>,
    /// Calls beside calls.
    extra: Budget,
}

struct Member {
    provider: Arc<dyn KeyProvider>,
    standing: Standing,
}

impl AnyOf {
    /// Seals for all of `members`, at least one; opens with any of them, in this order.
    ///
    /// # Errors
    ///
    /// [`ProviderErrorKind::Misconfigured`] without members, and for two that seal with the same key.
    pub fn new(members: impl IntoIterator<Item = Arc<dyn KeyProvider>>) -> Result<Self, ProviderError> {
        let member = |provider| Member { provider, standing: Standing::default() };
        let members: Vec<Member> = members.into_iter().map(member).collect();
        if members.is_empty() {
            return Err(misconfigured("an any-of has at least one member"));
        }
        let mut seen = Vec::new();
        for key in members.iter().flat_map(|member| member.provider.describe().keys).filter(|key| key.seals) {
            let name = (key.recipient_type, key.id);
            // All-ofs have no name to be told apart by.
            if !name.1.is_empty() && seen.contains(&name) {
                return Err(
                    misconfigured("two members of an any-of seal with the same key").with_key_id(name.1)
                );
            }
            seen.push(name);
        }
        let (clock, extra) = (Arc::new(SystemClock), Budget::new(EXTRA_PERCENT, EXTRA_STOCK));
        Ok(Self { members, options: AnyOfOptions::default(), clock, observer: None, extra })
    }

    /// Changes how it seals and opens.
    ///
    /// # Errors
    ///
    /// [`ProviderErrorKind::Misconfigured`] if `min` is 0 or above the number of members, and if it leaves somebody out
    /// whose key has no name to stand as pending: a member that describes no key it seals with, or an all-of.
    pub fn with_options(mut self, options: AnyOfOptions) -> Result<Self, ProviderError> {
        let min = options.min.unwrap_or(self.members.len());
        if min == 0 || min > self.members.len() {
            return Err(misconfigured("the least number of members is 0, or more than there are"));
        }
        if min < self.members.len() {
            self.members.iter().try_for_each(|member| seal::pending(&*member.provider).map(drop))?;
        }
        self.options = options;
        Ok(self)
    }

    /// Seals when `min` members have wrapped; the others become pending.
    ///
    /// # Errors
    ///
    /// As [`with_options`](Self::with_options).
    pub fn with_min(self, min: usize) -> Result<Self, ProviderError> {
        let options = self.options.clone().with_min(min);
        self.with_options(options)
    }

    /// Sets the longest a call may take.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = deadline;
        self
    }

    /// Sets how long sealing waits for members beyond the least number.
    #[must_use]
    pub const fn with_grace(mut self, grace: Duration) -> Self {
        self.options.grace = grace;
        self
    }

    /// Sets when opening asks a second member beside the first.
    #[must_use]
    pub const fn with_hedge(mut self, hedge: Hedge) -> Self {
        self.options.hedge = hedge;
        self
    }

    /// Lets opening go past a member that denies access, or whose key is disabled, about to be deleted or gone.
    #[must_use]
    pub const fn with_fail_over_on_denial(mut self, fail_over: bool) -> Self {
        self.options.fail_over_on_denial = fail_over;
        self
    }

    /// Counts time by this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Has its calls told, one event each with the number of members that were asked, and when a member stops working
    /// or works again.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// All members' wraps, with pending ones for those that are missing.
    async fn wrap_for_all(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        let min = self.options.min.unwrap_or(self.members.len());
        let calls = self.members.iter().map(|member| member.provider.wrap_data_key(key, context));
        let AnyOfOptions { deadline, grace, .. } = self.options;
        let answers = Gathering::new(calls, min, &*self.clock, deadline, grace)
            .answers(&*self.clock, |at, answer| self.noted(at, answer.as_ref().err()))
            .await;
        let (mut recipients, mut failures, mut good) = (Vec::new(), Vec::new(), 0);
        for (at, (member, answer)) in self.members.iter().zip(answers).enumerate() {
            let failure = match answer {
                Some(Ok(wraps)) if wraps.is_empty() => {
                    misconfigured("a member of an any-of wrapped for nobody")
                }
                Some(Ok(wraps)) => {
                    good += 1;
                    recipients.extend(wraps);
                    continue;
                }
                Some(Err(error)) => error,
                None => {
                    self.was_slow(at);
                    seal::timeout(&*member.provider)
                }
            };
            if min < self.members.len() && seal::may_be_missing(failure.kind()) {
                recipients.extend(seal::pending(&*member.provider)?);
            }
            failures.push(failure);
        }
        let is_fatal = |failure: &ProviderError| !seal::may_be_missing(failure.kind());
        if good < min || failures.iter().any(is_fatal) {
            return Err(Failures::into_error(NAME, "too few members wrapped the data key", failures));
        }
        Ok(recipients)
    }

    /// What a member's answer says about it, apart from how long it took.
    fn noted(&self, member: usize, failure: Option<&ProviderError>) {
        match failure {
            Some(error) => self.failed(member, error),
            None if self.members[member].standing.works() => self.tell_health(member, Outcome::Ok),
            None => {}
        }
    }

    fn succeeded(&self, member: usize, latency: Duration) {
        if self.members[member].standing.succeeded(latency) {
            self.tell_health(member, Outcome::Ok);
        }
    }

    fn failed(&self, member: usize, error: &ProviderError) {
        if self.members[member].standing.failed(error.kind(), self.clock.now()) {
            self.tell_health(member, Outcome::Failed(error.kind()));
        }
    }

    /// It was left behind for others that were faster.
    fn was_slow(&self, member: usize) {
        if self.members[member].standing.was_slow(self.clock.now()) {
            self.tell_health(member, Outcome::Failed(ProviderErrorKind::Timeout));
        }
    }

    fn tell_health(&self, member: usize, outcome: Outcome) {
        let Some(observer) = &self.observer else { return };
        let info = self.members[member].provider.describe();
        let key = info.keys.first();
        let mut event = Event::new(Operation::Health, info.provider);
        event.key_id = key.map(|key| key.id.as_str());
        event.region = key.and_then(|key| key.region.as_deref());
        (event.outcome, event.attempts) = (outcome, 0);
        observer.event(&event);
    }

    /// Whether the next member is asked after such a failure.
    const fn goes_past(&self, kind: ProviderErrorKind) -> bool {
        // Who has no credentials there was not cut off from the key.
        let says_nothing_of_the_key = kind.is_retryable()
            || matches!(kind, ProviderErrorKind::Rejected | ProviderErrorKind::Credentials);
        says_nothing_of_the_key || self.options.fail_over_on_denial
    }

    fn event(&self, operation: Operation, recipient: Option<&Recipient>) -> Option<CallEvent<'_>> {
        let observer = self.observer.as_deref()?;
        Some(CallEvent::begin(observer, &*self.clock, operation, self, recipient))
    }
}

#[async_trait]
impl KeyProvider for AnyOf {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        let event = self.event(Operation::Wrap, None);
        let answer = self.wrap_for_all(key, context).await;
        let attempts = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
        CallEvent::finish(event, attempts, answer.outcome());
        answer
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        let answers = self.unwrap_any(&[recipient], 1, context).await;
        match answers.into_answers().pop() {
            None | Some((_, UnwrapAnswer::NotMine)) => Ok(None),
            Some((_, UnwrapAnswer::Key(key))) => Ok(Some(key)),
            Some((_, UnwrapAnswer::Failed(error))) => Err(error),
            Some((_, UnwrapAnswer::Abandoned)) => Err(timed_out(recipient.id_lossy())),
        }
    }

    async fn unwrap_any(
        &self,
        recipients: &[&Recipient],
        limit: usize,
        context: &WrapContext,
    ) -> UnwrapAnswers {
        let the_only_one = if let [recipient] = recipients { Some(*recipient) } else { None };
        let event = self.event(Operation::Unwrap, the_only_one);
        let mut race = Race::new(self, recipients, limit, context);
        race.run().await;
        let attempts = race.attempts();
        let answers = race.into_answers();
        CallEvent::finish(event, attempts, answers.outcome());
        answers
    }

    /// Works as long as one member does; lists the problems of all.
    async fn check(&self) -> Result<Health, ProviderError> {
        let calls = self.members.iter().map(|member| member.provider.check());
        let AnyOfOptions { deadline, grace, .. } = self.options;
        let all = self.members.len();
        let gathering = Gathering::new(calls, 0, &*self.clock, deadline, grace.max(deadline));
        // A readiness check that is made anyway also finds out who works again.
        let noted = |at, answer: &Result<Health, ProviderError>| match answer {
            Ok(health) if !health.is_good() => {}
            answer => self.noted(at, answer.as_ref().err()),
        };
        let answers = gathering.answers(&*self.clock, noted).await;
        let (mut health, mut failures) = (Health::good(), Vec::new());
        for (member, answer) in self.members.iter().zip(answers) {
            match answer.unwrap_or_else(|| Err(seal::timeout(&*member.provider))) {
                Ok(own) => health = own.into_problems().into_iter().fold(health, Health::with_problem),
                Err(error) => failures.push(error),
            }
        }
        if failures.len() == all {
            return Err(Failures::into_error(NAME, "no member works", failures));
        }
        Ok(failures.into_iter().fold(health, Health::with_problem))
    }

    fn describe(&self) -> ProviderInfo {
        let members: Vec<_> = self.members.iter().map(|member| member.provider.describe()).collect();
        let keys = members.iter().flat_map(|member| member.keys.iter().cloned());
        let (sealing, opening): (Vec<_>, Vec<_>) = keys.partition(|key| key.seals);
        let info = sealing.into_iter().chain(opening).fold(ProviderInfo::new(NAME), ProviderInfo::with_key);
        info.with_context_bound(members.iter().all(|member| member.binds_context))
            .with_unwrap(members.iter().any(|member| member.can_unwrap))
            .with_key_destruction(members.iter().any(|member| member.can_destroy_keys))
    }
}

impl fmt::Debug for AnyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members: Vec<_> = self.members.iter().map(|member| &member.provider).collect();
        f.debug_struct("AnyOf")
            .field("members", &members)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

fn misconfigured(reason: &'static str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::Misconfigured, NAME).with_source(reason)
}

fn timed_out(key_id: String) -> ProviderError {
    ProviderError::new(ProviderErrorKind::Timeout, NAME)
        .with_key_id(key_id)
        .with_source("no answer before the deadline")
}

/// The provider's name in errors and descriptions.
const NAME: &str = "any-of";
/// Calls beside calls, for 100 that would be made anyway.
const EXTRA_PERCENT: u32 = 10;
/// Calls beside calls that may be made at once.
const EXTRA_STOCK: u32 = 10;

#[cfg(test)]
mod tests;
