//! Everything that is decided before a byte is written: key, recipients, check, and the new header's bytes.

use std::ops::Range;

use super::{
    Rewrap,
    change::{Standing, Wanted, is_pending},
    report::{self, RewrapMethod, RewrapOutcome, RewrapReport},
};
use crate::{
    crypto,
    error::{ProviderErrorKind, RewrapError, SealError},
    format::{
        context::BoundContext,
        header::{Header, SlotEdit},
        schedule::Schedule,
        stanza::Recipient,
    },
    front::opener::{Unwrapped, unwrap},
    io::RecipientName,
    limits::BODY_START_LEN,
    provider::{KeyProvider, WrapContext},
    secret::{DataKey, Secret},
};

/// What is to be done to a header.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    /// Clear a slot away that nobody needs any more.
    Zero(Range<usize>),
    /// A new slot beside the old one.
    Edit(SlotEdit),
    /// Another header altogether.
    Rebuild(Vec<u8>),
}

/// A rewrap of one header, decided and checked.
pub(super) struct Plan {
    pub(super) action: Action,
    pub(super) report: RewrapReport,
    pub(super) unwrapped: Unwrapped,
    mac_key: Secret<64>,
    body_start: [u8; BODY_START_LEN],
}

impl Plan {
    /// Whether this is the header that was planned, judged by its bytes alone.
    pub(super) fn check(&self, header: &Header) -> Result<(), RewrapError> {
        match header.verify_slots(&self.mac_key, &self.body_start) {
            Ok(found) if found.generation == self.report.generation => Ok(()),
            _ => Err(RewrapError::Changed("what was read back is not the header that was written")),
        }
    }

    /// Whether `header` stands before this plan's body and has a slot that is genuine.
    pub(super) fn vouches_for(&self, header: &Header) -> bool {
        header.has_valid_slot(&self.mac_key, &self.body_start)
    }

    /// The header's bytes after the change, from those before.
    pub(super) fn apply(&self, header: &mut Vec<u8>) {
        match &self.action {
            Action::Nothing => {}
            Action::Zero(stale) => header[stale.clone()].fill(0),
            Action::Edit(edit) => {
                header[edit.place.clone()].copy_from_slice(&edit.slot);
                header[edit.old.clone()].fill(0);
            }
            Action::Rebuild(new) => header.clone_from(new),
        }
    }
}

impl Rewrap {
    /// Opens the header, has the new recipients wrapped, checks them, and lays the new header out.
    pub(super) async fn plan(
        &self,
        header: &Header,
        bound: &BoundContext,
        body_start: &[u8; BODY_START_LEN],
    ) -> Result<Plan, RewrapError> {
        let options = &self.opening.options;
        let unwrapped = unwrap(&self.providers(), header, bound, body_start, options).await?;
        let context = WrapContext::new(header.core(), bound.pairs().iter().cloned());
        let slots = &unwrapped.slots;
        let stale = header.stale_slot(slots);
        let standing = Standing { recipients: &slots.recipients, has_stale_slot: stale.is_some() };
        let key = &unwrapped.key;
        let wanted = self.change.wanted(standing, &self.new, self.options, key, &context).await?;
        let salt = body_start.first_chunk().expect("56 bytes begin with 24");
        let mac_key = Schedule::new(key, header.core(), bound).mac_key(salt);

        let has_fresh = wanted.fresh.contains(&true);
        let is_enough = wanted.same
            && !(has_fresh && self.options.even_if_unchanged)
            && !(has_fresh && self.has_namesake(standing.recipients, &context).await);
        let result = if is_enough { standing.recipients } else { &wanted.recipients[..] };
        let mut report = report_of(&unwrapped, result);
        let action = match stale {
            None if is_enough => Action::Nothing,
            Some(stale) if is_enough => {
                let standing =
                    Wanted { fresh: vec![false; result.len()], recipients: result.to_vec(), same: true };
                report.unverified = self.check(&unwrapped, &standing, &context).await?;
                report.outcome = RewrapOutcome::Mended;
                Action::Zero(stale)
            }
            _ => {
                report.unverified = self.check(&unwrapped, &wanted, &context).await?;
                report.outcome = RewrapOutcome::Rewrapped;
                report.generation = slots.generation.saturating_add(1);
                let opened_in = unwrapped.opened_in;
                match header.edit_in_place(slots, opened_in, result, &mac_key, body_start) {
                    Ok(edit) => Action::Edit(edit),
                    Err(RewrapError::NoRoom { .. }) if !self.options.in_place_only => {
                        report.method = RewrapMethod::Copy;
                        Action::Rebuild(header.rebuilt(slots, bound, result, &mac_key, body_start)?)
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        Ok(Plan { action, report, unwrapped, mac_key, body_start: *body_start })
    }

    /// Whether a new key has the name of one that is there, and is another key: then the names are those asked for, and
    /// the wraps are not.
    async fn has_namesake(&self, standing: &[Recipient], context: &WrapContext) -> bool {
        for recipient in standing.iter().filter(|recipient| recipient.names_a_key()) {
            for provider in &self.new {
                match provider.unwrap_data_key(recipient, context).await {
                    Err(error) if error.kind() == ProviderErrorKind::Rejected => return true,
                    // It is that key, or cannot be asked.
                    Ok(Some(_)) | Err(_) => break,
                    Ok(None) => {}
                }
            }
        }
        false
    }

    /// Has the fresh recipients unwrapped once; gives back those that nobody here could unwrap. At least one recipient
    /// must be known to open.
    // fmt: W-2, W-6
    async fn check(
        &self,
        unwrapped: &Unwrapped,
        wanted: &Wanted,
        context: &WrapContext,
    ) -> Result<Vec<RecipientName>, RewrapError> {
        let mut any_good = false;
        let mut unverified = Vec::new();
        for (recipient, _) in fresh_or_kept(wanted, true) {
            if self.unwraps_to(recipient, &unwrapped.key, context).await? {
                any_good = true;
            } else {
                unverified.push(report::name(recipient));
            }
        }
        any_good = any_good || fresh_or_kept(wanted, false).any(|(kept, _)| *kept == unwrapped.opened_by);
        for (kept, _) in fresh_or_kept(wanted, false) {
            if any_good {
                break;
            }
            // One that cannot be asked, or does not fit, is no reason to fail while another one may. All of them may be
            // tried: the slot they stand in is genuine.
            any_good = matches!(self.unwraps_to(kept, &unwrapped.key, context).await, Ok(true));
        }
        if any_good {
            return Ok(unverified);
        }
        if !self.options.allow_unverified {
            return Err(RewrapError::Refused(
                "none of the recipients could be checked to open the message: give a key that unwraps for one of \
                 them, or allow unverified recipients by name",
            ));
        }
        unverified.extend(fresh_or_kept(wanted, false).map(|(kept, _)| report::name(kept)));
        Ok(unverified)
    }

    /// Whether one of the keys at hand unwraps this to the same data key; `false` if there is none that may.
    async fn unwraps_to(
        &self,
        recipient: &Recipient,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<bool, RewrapError> {
        let mut failure = None;
        for provider in self.providers() {
            match provider.unwrap_data_key(recipient, context).await {
                Ok(None) => {}
                Ok(Some(found)) if crypto::equal(found.expose_bytes(), key.expose_bytes()) => {
                    return Ok(true);
                }
                Ok(Some(_)) => {
                    failure = Some(RewrapError::Refused(
                        "a new wrap was unwrapped to check it, and gave another key: nothing was written",
                    ));
                }
                // May wrap and not unwrap: cannot be checked from here.
                Err(error)
                    if matches!(
                        error.kind(),
                        ProviderErrorKind::AccessDenied | ProviderErrorKind::Refused
                    ) => {}
                Err(error) => failure = Some(SealError::Provider(error).into()),
            }
        }
        failure.map_or(Ok(false), Err)
    }
}

/// The recipients that can be checked: those wrapped just now, or the others.
fn fresh_or_kept(wanted: &Wanted, fresh: bool) -> impl Iterator<Item = (&Recipient, &bool)> {
    let listed = wanted.recipients.iter().zip(&wanted.fresh);
    listed.filter(move |(recipient, is_fresh)| **is_fresh == fresh && !is_pending(recipient))
}

/// The report of a header that stays as it is.
fn report_of(unwrapped: &Unwrapped, recipients: &[Recipient]) -> RewrapReport {
    let (here, pending) = report::names(recipients);
    RewrapReport {
        outcome: RewrapOutcome::Unchanged,
        method: RewrapMethod::InPlace,
        generation: unwrapped.slots.generation,
        opened_by: unwrapped.opened_by_name(),
        recipients: here,
        pending,
        unverified: Vec::new(),
        restored: false,
    }
}
