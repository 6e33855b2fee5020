//! The clauses about backends that fail, dawdle or hang, each handed in by whoever wrote the provider.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use super::super::UnwrapAnswer;
use super::clauses::{KEY, is_real};
use super::drive::{Run, by_clock};
use super::{KeyProvider, WrapContext};
use crate::clock::TestClock;
use crate::conformance::{Fault, Verdict, fault};
use crate::error::{ProviderError, ProviderErrorKind};
use crate::format::stanza::Recipient;
use crate::secret::DataKey;

/// Any call, its answer thrown away.
type Call<'c> = Pin<Box<dyn Future<Output = Result<(), ProviderError>> + Send + 'c>>;

impl Run<'_> {
    pub(super) async fn failing(&mut self) -> Result<Verdict, Fault> {
        if self.suite.failing.is_empty() {
            return Ok(Verdict::Skipped("no failing provider was given"));
        }
        let (key, recipients) = self.wrapped().await?;
        for &(provider, kind) in &self.suite.failing {
            for (what, call) in calls(provider, self.context, &key, &recipients) {
                match self.call(what, call).await? {
                    Err(error) if error.kind() == kind => {}
                    Err(error) => {
                        let (found, wanted) = (error.kind().describe(), kind.describe());
                        return fault!("{what} failed with \"{found}\" instead of \"{wanted}\"");
                    }
                    Ok(()) => return fault!("{what} succeeded, where it should say \"{}\"", kind.describe()),
                }
            }
            // That something is wrong may be the whole answer, or a problem in a list.
            if self.call("check", provider.check()).await?.is_ok_and(|health| health.is_good()) {
                return fault!("check calls a provider good whose calls fail with \"{}\"", kind.describe());
            }
            self.show(format!("{provider:?}"));
        }
        Ok(Verdict::Kept)
    }

    pub(super) async fn slow(&mut self) -> Result<Verdict, Fault> {
        let Some((provider, clock)) = &self.suite.slow else {
            return Ok(Verdict::Skipped("no slow provider was given"));
        };
        let (key, recipients) = self.wrapped().await?;
        for (what, call) in calls(*provider, self.context, &key, &recipients) {
            match by_clock(clock, LONGEST, call).await {
                Some((Ok(()), passed)) if passed > Duration::ZERO => {}
                Some((Ok(()), _)) => return fault!("{what} was not slow: the clock is not the provider's"),
                Some((Err(error), _)) => {
                    return fault!("{what} failed, being slow: {}", error.kind().describe());
                }
                None => return fault!("{what} did not end"),
            }
        }
        Ok(Verdict::Kept)
    }

    pub(super) async fn hung(&mut self) -> Result<Verdict, Fault> {
        let Some((provider, clock, deadline)) = &self.suite.hung else {
            return Ok(Verdict::Skipped("no provider that hangs was given"));
        };
        let (key, recipients) = self.wrapped().await?;
        let mut all = calls(*provider, self.context, &key, &recipients);
        all.push(("check", Box::pin(async { provider.check().await.map(drop) })));
        for (what, call) in all {
            self.is_given_up(what, call, clock, *deadline).await?;
        }
        Ok(Verdict::Kept)
    }

    async fn is_given_up(
        &mut self,
        what: &str,
        call: Call<'_>,
        clock: &TestClock,
        deadline: Duration,
    ) -> Result<(), Fault> {
        match by_clock(clock, deadline, call).await {
            Some((Err(error), passed))
                if error.kind() == ProviderErrorKind::Timeout && passed <= deadline =>
            {
                self.show_error(&error);
                Ok(())
            }
            Some((Err(error), _)) => fault!("{what} hung and failed with \"{}\"", error.kind().describe()),
            Some((Ok(()), _)) => fault!("{what} succeeded: the provider does not hang"),
            None => fault!("{what} was not given up within {deadline:?}"),
        }
    }
}

/// Every call that goes to the key, except `check`, whose answer may be a list.
fn calls<'c>(
    provider: &'c dyn KeyProvider,
    context: &'c WrapContext,
    key: &'c DataKey,
    recipients: &'c [Recipient],
) -> Vec<(&'static str, Call<'c>)> {
    debug_assert_eq!(key.expose_bytes(), &KEY);
    let mut calls: Vec<(&'static str, Call<'c>)> = vec![
        ("wrap_data_key", Box::pin(async move { provider.wrap_data_key(key, context).await.map(drop) })),
        ("generate_data_key", Box::pin(async move { provider.generate_data_key(context).await.map(drop) })),
    ];
    if provider.describe().can_unwrap {
        for recipient in recipients.iter().filter(is_real) {
            let unwrap = async move { provider.unwrap_data_key(recipient, context).await.map(drop) };
            calls.push(("unwrap_data_key", Box::pin(unwrap)));
        }
        let any = async move {
            let recipients: Vec<&Recipient> = recipients.iter().filter(is_real).collect();
            let answers = provider.unwrap_any(&recipients, recipients.len(), context).await;
            let answers = answers.into_answers().into_iter();
            let result = |(_, answer)| match answer {
                UnwrapAnswer::Key(_) => Some(Ok(())),
                UnwrapAnswer::Failed(error) => Some(Err(error)),
                UnwrapAnswer::NotMine | UnwrapAnswer::Abandoned => None,
            };
            answers.filter_map(result).last().unwrap_or(Ok(()))
        };
        calls.push(("unwrap_any", Box::pin(any)));
    }
    calls
}

/// By the test clock: longer than any answer that is merely slow.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
