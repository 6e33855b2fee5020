//! What can be told about keys that do not open a file, from its header and from what was given.

use kuvert::{ClaimedSlot, Header, OpenError, Recipient, RecipientType};

use super::{KeyName, Manner};
use crate::failure::Failure;
use crate::names;

/// Adds to the failure of opening which keys have to be given together, and that a key was given, and only the permission
/// to tell KMS a pair was not.
// fmt: T-17
pub(crate) fn explain(
    failure: Failure,
    error: &OpenError,
    recipients: &[Recipient],
    keys: &[KeyName],
    manner: Manner<'_>,
) -> Failure {
    if !matches!(error, OpenError::KeyUnavailable(_)) {
        return failure;
    }
    let together = recipients.iter().filter(|recipient| !recipient.claimed_shares().is_empty());
    let failure = together.fold(failure, |failure, recipient| {
        failure
            .advise(format!("{}: give all of these keys with -k, and --all-of", names::recipient(recipient)))
    });
    let lacking: Vec<String> = recipients
        .iter()
        .filter(|recipient| keys.iter().any(|key| is_named(key, recipient)))
        .flat_map(kms_names)
        .filter(|name| !manner.kms_context.contains(name))
        .map(|name| format!("--kms-context {}", names::shown(&name)))
        .collect();
    if lacking.is_empty() {
        return failure;
    }
    failure.advise(format!(
        "it was sealed with these pairs told to AWS KMS, which writes them to CloudTrail; to tell them again, add: {}",
        lacking.join(" ")
    ))
}

/// Everybody whom a header names.
pub(crate) fn recipients(header: &Header) -> Vec<Recipient> {
    let of_slot = |slot| match slot {
        ClaimedSlot::Filled { recipients, .. } => recipients.to_vec(),
        _ => Vec::new(),
    };
    header.claimed_slots().flat_map(of_slot).collect()
}

/// The names of the context pairs that KMS was told, as a recipient claims them.
pub(crate) fn kms_names(recipient: &Recipient) -> Vec<String> {
    if recipient.recipient_type() != RecipientType::AWS_KMS {
        return Vec::new();
    }
    let mut names = Vec::new();
    let mut rest = recipient.params().get(1..).unwrap_or_default();
    while let Some((&len, after)) = rest.split_first() {
        let Some((name, after)) = after.split_at_checked(usize::from(len)) else { break };
        names.push(String::from_utf8_lossy(name).into_owned());
        rest = after;
    }
    names
}

fn is_named(key: &KeyName, recipient: &Recipient) -> bool {
    matches!(key, KeyName::Kms(arn) if arn.as_str().as_bytes() == recipient.id())
}
