//! The clause about destroying wrapping keys: gone is gone, at once, for sealing and for opening.

use super::clauses::is_real;
use super::drive::Run;
use crate::conformance::{Fault, Verdict, fault};
use crate::error::ProviderErrorKind;
use crate::format::stanza::Recipient;

impl Run<'_> {
    pub(super) async fn custody(&mut self) -> Result<Verdict, Fault> {
        let Some((custodian, name)) = &self.suite.custodian else {
            return Ok(Verdict::Skipped("no custodian was given"));
        };
        self.show(format!("{custodian:?}"));
        let created = self.must("create_wrapping_key", custodian.create_wrapping_key(name)).await?;
        if created.is_empty() {
            return fault!("a created key has an empty id");
        }
        self.must("schedule_destruction", custodian.schedule_destruction(&created)).await?;
        if self.call("schedule_destruction", custodian.schedule_destruction(&created)).await?.is_ok() {
            return fault!("a key was destroyed twice");
        }
        let unknown = format!("{created}-that-never-was");
        match self.call("schedule_destruction", custodian.schedule_destruction(&unknown)).await? {
            Err(error) if error.kind() == ProviderErrorKind::NotFound => {}
            Err(error) => {
                return fault!("destroying an unknown key failed with \"{}\"", error.kind().describe());
            }
            Ok(_) => return fault!("a key that never was, was destroyed"),
        }
        let (_, recipients) = self.wrapped().await?;
        for recipient in recipients.iter().filter(is_real) {
            let id = recipient.id_lossy();
            self.must("schedule_destruction", custodian.schedule_destruction(&id)).await?;
            self.is_gone(recipient).await?;
        }
        Ok(Verdict::Kept)
    }

    /// Neither opens what was sealed, nor seals anew.
    async fn is_gone(&mut self, recipient: &Recipient) -> Result<(), Fault> {
        let unwrapped = self.provider.unwrap_data_key(recipient, self.context);
        if let Ok(Some(_)) = self.call("unwrap_data_key", unwrapped).await? {
            return fault!("a destroyed key still opens");
        }
        let made = self.call("generate_data_key", self.provider.generate_data_key(self.context)).await?;
        let is_named = |other: &Recipient| {
            (other.recipient_type(), other.id()) == (recipient.recipient_type(), recipient.id())
        };
        if made.is_ok_and(|made| made.recipients.iter().any(is_named)) {
            return fault!("a destroyed key still seals");
        }
        Ok(())
    }
}
