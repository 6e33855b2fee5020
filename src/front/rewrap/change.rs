//! Which recipients a header is to have, from those that it has.

use std::sync::Arc;

use crate::{
    error::{RewrapError, SealError},
    format::stanza::{Recipient, RecipientType, all_of},
    provider::{KeyProvider, WrapContext},
    secret::DataKey,
};

use super::RewrapOptions;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// The new recipients only.
    Replace,
    /// Those that are there, and the new ones.
    Add,
    /// Those that are there, without these.
    Remove(Vec<String>),
    /// Those that are there, with wraps in place of pending ones.
    Repair,
}

/// The recipients that a header is to have.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) recipients: Vec<Recipient>,
    /// Which of them were wrapped just now, in the same order.
    pub(super) fresh: Vec<bool>,
    /// Whether the header names exactly these already.
    pub(super) same: bool,
}

impl Wanted {
    fn standing(standing: &[Recipient]) -> Self {
        Self { recipients: standing.to_vec(), fresh: vec![false; standing.len()], same: true }
    }
}

/// The header a change starts from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing<'a> {
    /// Its recipients, in order.
    pub(super) recipients: &'a [Recipient],
    /// A second slot holds something that a rewrap which stopped half way may have left.
    pub(super) has_stale_slot: bool,
}

impl Change {
    /// Works out the recipients, wrapping `key` for new ones where that takes it.
    // fmt: W-5
    pub(super) async fn wanted(
        &self,
        standing: Standing<'_>,
        new: &[Arc<dyn KeyProvider>],
        options: RewrapOptions,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Wanted, RewrapError> {
        let has = standing.recipients;
        match self {
            Self::Replace => {
                let fresh = wrap(new, key, context).await?;
                refuse_on_subject(has, &fresh, options)?;
                Ok(Wanted { same: are_same(has, &fresh), fresh: vec![true; fresh.len()], recipients: fresh })
            }
            Self::Add => {
                let mut fresh = wrap(new, key, context).await?;
                if !options.even_if_unchanged {
                    fresh.retain(|recipient| !has.iter().any(|standing| is_same_key(standing, recipient)));
                }
                if fresh.is_empty() {
                    return Ok(Wanted::standing(has));
                }
                // fmt: W-6
                if has.iter().any(is_parent_key) && !options.allow_on_subject {
                    return Err(ON_SUBJECT);
                }
                let is_fresh = (0..has.len() + fresh.len()).map(|i| i >= has.len()).collect();
                Ok(Wanted { recipients: [has, &fresh].concat(), fresh: is_fresh, same: false })
            }
            Self::Remove(ids) => remove(standing, ids),
            Self::Repair => {
                if !has.iter().any(is_pending) {
                    return Ok(Wanted::standing(has));
                }
                Ok(repair(has, wrap(new, key, context).await?))
            }
        }
    }
}

/// Has every provider wrap. Nothing new at all is a mistake somewhere, and not a wish.
async fn wrap(
    new: &[Arc<dyn KeyProvider>],
    key: &DataKey,
    context: &WrapContext,
) -> Result<Vec<Recipient>, RewrapError> {
    let mut fresh = Vec::new();
    for provider in new {
        let wraps = provider.wrap_data_key(key, context).await.map_err(SealError::Provider)?;
        if wraps.is_empty() {
            return Err(RewrapError::Usage("a provider of new recipients gave none"));
        }
        fresh.extend(wraps);
    }
    Ok(fresh)
}

fn remove(standing: Standing<'_>, ids: &[String]) -> Result<Wanted, RewrapError> {
    let has = standing.recipients;
    let names = |id: &String| has.iter().any(|recipient| is_named(recipient, id));
    if ids.is_empty() {
        return Err(RewrapError::Usage("no recipient to remove was named"));
    }
    if !ids.iter().any(names) && standing.has_stale_slot {
        // They are gone from the header, and a removal that stopped half way may have left them in the other slot.
        return Ok(Wanted::standing(has));
    }
    if !ids.iter().all(names) {
        return Err(RewrapError::Refused(
            "a recipient that is to be removed is not there: `kuvert inspect` lists the ids",
        ));
    }
    let stays = |recipient: &&Recipient| !ids.iter().any(|id| is_named(recipient, id));
    let recipients: Vec<_> = has.iter().filter(stays).cloned().collect();
    // fmt: W-6
    if recipients.iter().all(is_pending) {
        return Err(RewrapError::Refused(
            "the last recipient cannot be removed: nobody could open the message any more",
        ));
    }
    Ok(Wanted { fresh: vec![false; recipients.len()], recipients, same: false })
}

/// Puts each fresh wrap in the place of the pending recipient that waits for exactly it; others are not used.
fn repair(has: &[Recipient], mut wraps: Vec<Recipient>) -> Wanted {
    let mut wanted = Wanted::standing(has);
    for (recipient, fresh) in wanted.recipients.iter_mut().zip(&mut wanted.fresh) {
        if let Some(found) = wraps.iter().position(|wrap| waits_for(recipient, wrap)) {
            *recipient = wraps.swap_remove(found);
            *fresh = true;
            wanted.same = false;
        }
    }
    wanted
}

fn waits_for(pending: &Recipient, wrap: &Recipient) -> bool {
    pending.pending_for() == Some(wrap.recipient_type())
        && pending.id() == wrap.id()
        && pending.params().get(2..) == Some(wrap.params())
}

/// A message that hangs on a subject's key must not get a recipient that survives the subject's erasure.
fn refuse_on_subject(
    has: &[Recipient],
    fresh: &[Recipient],
    options: RewrapOptions,
) -> Result<(), RewrapError> {
    let hangs = has.iter().any(is_parent_key);
    if hangs && !fresh.iter().all(is_parent_key) && !options.allow_on_subject {
        return Err(ON_SUBJECT);
    }
    Ok(())
}

/// Whether both lists name the same keys, in any order.
fn are_same(a: &[Recipient], b: &[Recipient]) -> bool {
    let mut rest: Vec<_> = b.iter().collect();
    a.iter().all(|recipient| {
        let found = rest.iter().position(|other| is_same_key(recipient, other));
        found.map(|at| rest.swap_remove(at)).is_some()
    }) && rest.is_empty()
}

/// Whether both are wraps under one key, as far as names tell.
// fmt: Z-8
fn is_same_key(a: &Recipient, b: &Recipient) -> bool {
    a.recipient_type() == b.recipient_type()
        && a.id() == b.id()
        && match a.recipient_type() {
            RecipientType::PARENT_KEY | RecipientType::PENDING => a.params() == b.params(),
            // It has no name; its members have.
            RecipientType::ALL_OF => match (all_of::parse(a.wrap()), all_of::parse(b.wrap())) {
                (Ok(a), Ok(b)) => are_same(&a.shares, &b.shares),
                _ => false,
            },
            _ => true,
        }
}

fn is_named(recipient: &Recipient, id: &str) -> bool {
    match recipient.recipient_type() {
        RecipientType::PARENT_KEY => {
            let reference: String = recipient.params().iter().map(|byte| format!("{byte:02x}")).collect();
            reference == id
        }
        _ => !id.is_empty() && recipient.id() == id.as_bytes(),
    }
}

pub(super) fn is_pending(recipient: &Recipient) -> bool {
    recipient.recipient_type() == RecipientType::PENDING
}

fn is_parent_key(recipient: &Recipient) -> bool {
    recipient.recipient_type() == RecipientType::PARENT_KEY
}

const ON_SUBJECT: RewrapError = RewrapError::Refused(
    "the message hangs on the key of a data subject, and another recipient would outlive that subject's erasure; \
     allow it by name if it must be",
);
