//! The clause about dropped futures: after every number of polls, and then the provider has to work.

use std::future::Future;

use super::clauses::is_real;
use super::drive::{Run, within};
use crate::conformance::{Fault, Verdict, after_polls, fault};
use crate::error::ProviderError;
use crate::format::stanza::Recipient;

impl Run<'_> {
    pub(super) async fn cancelled(&mut self) -> Result<Verdict, Fault> {
        let (provider, context) = (self.provider, self.context);
        let (key, recipients) = self.wrapped().await?;
        self.at_every_poll("wrap_data_key", || provider.wrap_data_key(&key, context)).await?;
        self.at_every_poll("generate_data_key", || provider.generate_data_key(context)).await?;
        self.at_every_poll("check", || provider.check()).await?;
        for recipient in recipients.iter().filter(is_real) {
            self.at_every_poll("unwrap_data_key", || provider.unwrap_data_key(recipient, context)).await?;
        }
        let all: Vec<&Recipient> = recipients.iter().filter(is_real).collect();
        let unwrap_any = || async { Ok(provider.unwrap_any(&all, all.len(), context).await) };
        self.at_every_poll("unwrap_any", unwrap_any).await?;
        Ok(Verdict::Kept)
    }

    /// Drops the call after 0, 1, 2, … polls until it ends by itself, and each time asks for a whole round after it.
    async fn at_every_poll<T, F>(&mut self, what: &str, call: impl Fn() -> F) -> Result<(), Fault>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        for polls in 0..MAX_POLLS {
            let Some(ended) = within(self.suite.patience, after_polls(polls, call())).await else {
                return fault!("{what} was never woken between its polls");
            };
            if let Err(Fault(why)) = self.whole_round().await {
                return fault!("after {what} was dropped at poll {polls}: {why}");
            }
            match ended {
                None => {}
                Some(Ok(_)) => return Ok(()),
                Some(Err(error)) => return fault!("{what} failed: {}", error.kind().describe()),
            }
        }
        fault!("{what} did not end within {MAX_POLLS} polls")
    }

    async fn whole_round(&mut self) -> Result<(), Fault> {
        let made = self.must("generate_data_key", self.provider.generate_data_key(self.context)).await?;
        self.all_give_back(&made.key, &made.recipients).await
    }
}

const MAX_POLLS: usize = 1000;
