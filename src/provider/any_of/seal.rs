//! Wrapping for several members at once: how long to wait for whom, and what stands for those who are missing.
//!
//! It sees wraps and never a header. Section 4 of the [format](crate::manual::format) has the rules of pending
//! recipients.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use super::{NAME, misconfigured};
use crate::{
    clock::{Clock, Sleep},
    error::{ProviderError, ProviderErrorKind},
    format::stanza::{self, Recipient, RecipientType},
    provider::{KeyInfo, KeyProvider},
};

/// What is asked of one member, and what comes of it.
pub(super) type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, ProviderError>> + Send + 'a>>;

/// Calls that run side by side, and how long they may.
pub(super) struct Gathering<'a, T> {
    calls: Vec<Option<Call<'a, T>>>,
    answers: Vec<Option<Result<T, ProviderError>>>,
    min: usize,
    deadline: Sleep,
    grace: Duration,
    in_grace: Option<Sleep>,
}

impl<'a, T> Gathering<'a, T> {
    /// `min` of the calls have to succeed within `deadline`; from then on the others have the `grace` left.
    pub(super) fn new(
        calls: impl IntoIterator<Item = Call<'a, T>>,
        min: usize,
        clock: &dyn Clock,
        deadline: Duration,
        grace: Duration,
    ) -> Self {
        let calls: Vec<_> = calls.into_iter().map(Some).collect();
        let answers = calls.iter().map(|_| None).collect();
        Self { calls, answers, min, deadline: clock.sleep(deadline), grace, in_grace: None }
    }

    /// The answers that came in, in the order of the calls; `told` hears of each at once. It ends early when too many
    /// have failed.
    pub(super) async fn answers(
        mut self,
        clock: &dyn Clock,
        told: impl Fn(usize, &Result<T, ProviderError>),
    ) -> Vec<Option<Result<T, ProviderError>>> {
        poll_fn(|cx| self.poll(cx, clock, &told)).await;
        // Whoever is still running is dropped here, before anything else is done.
        self.calls.clear();
        self.answers
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        clock: &dyn Clock,
        told: &impl Fn(usize, &Result<T, ProviderError>),
    ) -> Poll<()> {
        for (at, slot) in self.calls.iter_mut().enumerate() {
            let Some(call) = slot else { continue };
            if let Poll::Ready(answer) = call.as_mut().poll(cx) {
                *slot = None;
                told(at, &answer);
                self.answers[at] = Some(answer);
            }
        }
        let good = self.answers.iter().filter(|answer| matches!(answer, Some(Ok(_)))).count();
        let running = self.calls.iter().flatten().count();
        if running == 0 || good + running < self.min || self.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if good < self.min {
            return Poll::Pending;
        }
        self.in_grace.get_or_insert_with(|| clock.sleep(self.grace)).as_mut().poll(cx)
    }
}

/// What stands in the message for a member that could not wrap: one pending recipient for each key it seals with.
// fmt: Z-9
pub(super) fn pending(member: &dyn KeyProvider) -> Result<Vec<Recipient>, ProviderError> {
    let keys = member.describe().keys.into_iter().filter(|key| key.seals);
    let pending = keys.map(|key| pending_for(&key)).collect::<Result<Vec<_>, _>>()?;
    if pending.is_empty() {
        return Err(misconfigured(
            "a member that names no key it seals with cannot be left out when sealing",
        ));
    }
    Ok(pending)
}

fn pending_for(key: &KeyInfo) -> Result<Recipient, ProviderError> {
    let params = match (key.recipient_type, &key.params[..]) {
        // No context pairs are passed on, which is written as their number.
        (RecipientType::AWS_KMS, []) => &[0],
        (_, params) => params,
    };
    let params = [&key.recipient_type.0.to_be_bytes(), params].concat();
    let recipient = Recipient::new(RecipientType::PENDING, key.id.as_str(), params, [0]);
    if key.id.is_empty() || stanza::check(&recipient).is_err() {
        return Err(misconfigured(
            "a member with a key that has no name of its own, such as an all-of, cannot be left out when sealing",
        )
        .with_key_id(key.id.as_str()));
    }
    Ok(recipient)
}

/// Whether a failure leaves something to be mended later, or has to be told now.
pub(super) const fn may_be_missing(kind: ProviderErrorKind) -> bool {
    !matches!(
        kind,
        ProviderErrorKind::Refused | ProviderErrorKind::Misconfigured | ProviderErrorKind::Rejected
    )
}

/// The failure of a member that has not answered.
pub(super) fn timeout(member: &dyn KeyProvider) -> ProviderError {
    let key = member.describe().keys.into_iter().find(|key| key.seals).map(|key| key.id);
    let error =
        ProviderError::new(ProviderErrorKind::Timeout, NAME).with_source("no answer before the deadline");
    match key {
        Some(id) if !id.is_empty() => error.with_key_id(id),
        _ => error,
    }
}
