//! Calling a provider without trusting it: bounded in time, counted in polls, its words kept for the last clause.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use super::clause::{Clause, Report};
use super::{Conformance, KeyProvider, WrapContext, leaks};
use crate::clock::{Clock as _, SystemClock, TestClock};
use crate::conformance::{Fault, Verdict, fault};
use crate::error::ProviderError;
use crate::secret::DataKey;

/// One run of the suite over one provider.
pub(super) struct Run<'s> {
    pub(super) suite: &'s Conformance<'s>,
    pub(super) provider: &'s dyn KeyProvider,
    pub(super) context: &'s WrapContext,
    report: Report,
    /// Everything the provider let be seen.
    shown: BTreeSet<String>,
    /// The data keys that went through it.
    keys: Vec<DataKey>,
}

impl<'s> Run<'s> {
    pub(super) fn new(suite: &'s Conformance<'s>) -> Self {
        let (provider, context) = (suite.provider, &suite.context);
        Self { suite, provider, context, report: Report::default(), shown: BTreeSet::new(), keys: Vec::new() }
    }

    pub(super) async fn all_clauses(&mut self) {
        for clause in Clause::ALL {
            let verdict = match clause {
                Clause::Describe => self.describe().await,
                Clause::Check => self.check().await,
                Clause::Generate => self.generate().await,
                Clause::Wrap => self.wrap().await,
                Clause::Unwrap => self.gives_back().await,
                Clause::UnwrapAny => self.unwrap_any().await,
                Clause::NotMine => self.not_mine().await,
                Clause::WrongKey => self.wrong_key().await,
                Clause::DamagedWrap => self.damaged_wrap().await,
                Clause::Context => self.other_context().await,
                Clause::WrongLength => self.wrong_length().await,
                Clause::Failing => self.failing().await,
                Clause::Slow => self.slow().await,
                Clause::Hung => self.hung().await,
                Clause::Cancelled => self.cancelled().await,
                Clause::Concurrent => self.concurrent().await,
                Clause::Custody => self.custody().await,
                Clause::Secrets => self.secrets(),
            };
            self.report.add(clause, verdict);
        }
    }

    pub(super) fn into_report(self) -> Report {
        self.report
    }

    /// Waits for a call, however it ends: a fault only if it never does.
    pub(super) async fn call<T>(
        &mut self,
        what: &str,
        call: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<Result<T, ProviderError>, Fault> {
        let Some(answer) = within(self.suite.patience, call).await else {
            return fault!("{what} did not end within {:?}", self.suite.patience);
        };
        if let Err(error) = &answer {
            self.show_error(error);
        }
        Ok(answer)
    }

    /// Waits for a call that has to succeed.
    pub(super) async fn must<T>(
        &mut self,
        what: &str,
        call: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, Fault> {
        match self.call(what, call).await? {
            Ok(answer) => Ok(answer),
            Err(error) => fault!("{what} failed: {}", error.kind().describe()),
        }
    }

    pub(super) fn show(&mut self, text: String) {
        self.shown.insert(text);
    }

    pub(super) fn show_error(&mut self, error: &ProviderError) {
        self.show(format!("{error:?}"));
        let mut next: Option<&dyn std::error::Error> = Some(error);
        while let Some(error) = next {
            self.show(error.to_string());
            next = error.source();
        }
    }

    /// Has the key searched for, at the end, in everything that was shown.
    pub(super) fn keep_key(&mut self, key: &DataKey) {
        self.keys.push(DataKey::copy_from(key.expose_bytes()));
    }

    fn secrets(&mut self) -> Result<Verdict, Fault> {
        self.show(format!("{:?}", self.provider));
        self.show(format!("{:#?}", self.provider));
        let keys = self.keys.iter().map(|key| &key.expose_bytes()[..]);
        let given = self.suite.secrets.iter().map(Vec::as_slice);
        let values: Vec<&str> = self.context.names().filter_map(|name| self.context.value(name)).collect();
        for text in &self.shown {
            if keys.clone().chain(given.clone()).any(|secret| leaks::holds(text, secret)) {
                return fault!("a secret is shown in a text of {} characters", text.chars().count());
            }
            if values.iter().any(|value| !value.is_empty() && text.contains(value)) {
                return fault!(
                    "a value of the context is shown in a text of {} characters",
                    text.chars().count()
                );
            }
        }
        Ok(Verdict::Kept)
    }
}

/// The future's output, or `None` if it takes longer by the real clock.
pub(super) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut limit = SystemClock.sleep(limit);
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        limit.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// Turns the clock to the next sleeper whenever the future waits: its output and the time it took by that clock, or
/// `None` if more than `limit` has passed, or if it waits and nobody sleeps.
pub(super) async fn by_clock<F: Future>(
    clock: &TestClock,
    limit: Duration,
    future: F,
) -> Option<(F::Output, Duration)> {
    let mut future = pin!(future);
    let (mut passed, mut idle) = (Duration::ZERO, 0);
    loop {
        if let Some(output) = poll_fn(|cx| Poll::Ready(ready(future.as_mut().poll(cx)))).await {
            return Some((output, passed));
        }
        match clock.advance_to_next() {
            Some(step) => (passed, idle) = (passed + step, 0),
            // Somebody's thread may still be at work: give it some real time.
            None => {
                idle += 1;
                SystemClock.sleep(Duration::from_millis(1)).await;
            }
        }
        if passed > limit || idle > MAX_IDLE {
            return None;
        }
    }
}

fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// Milliseconds in a row in which a call waits and nobody sleeps by the test clock.
const MAX_IDLE: u32 = 1000;
