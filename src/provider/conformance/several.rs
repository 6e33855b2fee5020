//! The clause about asking for the key of any one of several recipients.

use std::collections::BTreeSet;

use super::super::{UnwrapAnswer, UnwrapAnswers};
use super::clauses::{is_real, others, with_wrap};
use super::drive::{Run, within};
use crate::conformance::{Fault, Verdict, fault};
use crate::format::stanza::Recipient;
use crate::secret::DataKey;

impl Run<'_> {
    pub(super) async fn unwrap_any(&mut self) -> Result<Verdict, Fault> {
        let (key, recipients) = self.wrapped().await?;
        let own: Vec<&Recipient> = recipients.iter().filter(is_real).collect();
        let mut foreign: Vec<Recipient> =
            own.iter().flat_map(|own| others(own)).map(|(_, other)| other).collect();
        if let Some(stranger) = self.suite.stranger {
            let call = stranger.generate_data_key(self.context);
            foreign.extend(self.must("the stranger's generate_data_key", call).await?.recipients);
        }
        foreign.retain(|other| !self.is_described(other));
        let foreign: Vec<&Recipient> = foreign.iter().collect();
        self.finds_nothing("recipients of others", &foreign, foreign.len()).await?;
        self.finds_nothing("no recipient at all", &[], 4).await?;
        self.finds_nothing("its own recipients, none of which may be tried", &own, 0).await?;

        let mixed = [&foreign, &own[..], &foreign].concat();
        self.finds("its own among others", &mixed, mixed.len(), &key).await?;
        // One byte changed: tried, refused, and no reason to stop.
        let damaged: Vec<Recipient> = own.iter().map(|own| damaged(own)).collect();
        let both = damaged.iter().chain(own.iter().copied()).collect::<Vec<_>>();
        for limit in 1..both.len() {
            self.answers("damaged recipients", &both, limit).await?;
        }
        self.finds("its own behind damaged ones", &both, both.len(), &key).await?;
        Ok(Verdict::Kept)
    }

    async fn finds_nothing(&mut self, what: &str, asked: &[&Recipient], limit: usize) -> Result<(), Fault> {
        let answers = self.answers(what, asked, limit).await?;
        if answers.tried() > 0 {
            return fault!("unwrap_any of {what} tried {}", answers.tried());
        }
        if answers.is_final() {
            return fault!("unwrap_any of {what} forbids to ask on, although nothing was tried");
        }
        Ok(())
    }

    /// Asks until the key is found, as an opener does whom no wrong key stops.
    async fn finds(
        &mut self,
        what: &str,
        asked: &[&Recipient],
        limit: usize,
        key: &DataKey,
    ) -> Result<(), Fault> {
        let mut left: Vec<&Recipient> = asked.to_vec();
        loop {
            let answers = self.answers(what, &left, limit).await?;
            let is_final = answers.is_final();
            let mut settled = BTreeSet::new();
            for (place, answer) in answers.into_answers() {
                match answer {
                    UnwrapAnswer::Key(found) if found.expose_bytes() == key.expose_bytes() => return Ok(()),
                    UnwrapAnswer::Key(_) => return fault!("unwrap_any of {what} gave another key"),
                    UnwrapAnswer::Abandoned => {}
                    UnwrapAnswer::NotMine | UnwrapAnswer::Failed(_) => drop(settled.insert(place)),
                }
            }
            if !self.provider.describe().can_unwrap {
                return Ok(());
            }
            if is_final || settled.is_empty() {
                return fault!("unwrap_any of {what} did not find the key");
            }
            let mut place = 0..;
            left.retain(|_| place.next().is_some_and(|place| !settled.contains(&place)));
        }
    }

    /// The answers to one call, which must be about what was asked, and no more of it than allowed.
    async fn answers(
        &mut self,
        what: &str,
        asked: &[&Recipient],
        limit: usize,
    ) -> Result<UnwrapAnswers, Fault> {
        let call = self.provider.unwrap_any(asked, limit, self.context);
        let Some(answers) = within(self.suite.patience, call).await else {
            return fault!("unwrap_any of {what} did not end within {:?}", self.suite.patience);
        };
        self.show(format!("{answers:?}"));
        let mut seen = BTreeSet::new();
        for (place, answer) in answers.iter() {
            if place >= asked.len() || !seen.insert(place) {
                return fault!(
                    "unwrap_any of {what} answered about a place twice, or about none of those asked"
                );
            }
            match answer {
                UnwrapAnswer::Failed(error) => self.show_error(error),
                UnwrapAnswer::Key(_) if !self.provider.describe().can_unwrap => {
                    return fault!("it unwraps, and describes itself as unable to");
                }
                _ => {}
            }
        }
        if answers.tried() > limit {
            return fault!("unwrap_any of {what} tried {}, where {limit} was the limit", answers.tried());
        }
        Ok(answers)
    }
}

fn damaged(own: &Recipient) -> Recipient {
    let mut wrap = own.wrap().to_vec();
    if let Some(last) = wrap.last_mut() {
        *last ^= 1;
    }
    with_wrap(own, wrap)
}
