//! What to do about a key that could not be asked, by what its provider says.

use std::error::Error;

use kuvert::provider::arn::KeyArn;
use kuvert::{Category, ProviderError, ProviderErrorKind as Kind};

use crate::failure::Failure;
use crate::{keys, names};

/// Adds the next step for each of these errors, and none twice.
pub(crate) fn advise<'a>(failure: Failure, errors: impl IntoIterator<Item = &'a ProviderError>) -> Failure {
    let mut said = Vec::new();
    for error in errors {
        let advice = of(error);
        if !said.contains(&advice) {
            said.push(advice);
        }
    }
    said.into_iter().flatten().fold(failure, Failure::advise)
}

/// The exit status of sealing: that of a key that could not be asked, where it is no matter of the call itself.
pub(crate) fn category(error: &ProviderError) -> Category {
    if keys::hsm::failure_of(error).is_none() { error.category() } else { Category::KeyUnavailable }
}

/// The next step, if there is one that the message does not say itself.
fn of(error: &ProviderError) -> Option<String> {
    if let Some(failure) = keys::hsm::failure_of(error) {
        return keys::hsm::remedy_of(failure).map(str::to_owned);
    }
    let cause = innermost(error);
    let key = Key::of(cause.key_id().or(error.key_id()));
    Some(match cause.kind() {
        // What the service does not know may have been withdrawn: it is a denial, and mended in the same way.
        kind if kind == Kind::Credentials || keys::is_about_credentials(error) => {
            "log in again (aws sso login), or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; 'aws sts \
             get-caller-identity' says who you are"
                .to_owned()
        }
        Kind::AccessDenied => format!(
            "whoever runs this needs the right {} on {}, in its key policy and in IAM; or leave this key out and open \
             with another one",
            "kms:Decrypt (to seal: kms:Encrypt)", key.name
        ),
        Kind::Disabled => format!("enable it: aws kms enable-key {}", key.arguments),
        Kind::PendingDeletion => format!(
            "this still can be stopped: aws kms cancel-key-deletion {0}, and then aws kms enable-key {0}",
            key.arguments
        ),
        Kind::NotFound => "is the ARN right, with its account and region? A key that was deleted is gone for good: open \
                           with another key of the file, which 'kuvert inspect' lists"
            .to_owned(),
        Kind::Throttled => "the account's quota of calls in this region is used up: try again in a moment".to_owned(),
        Kind::Unavailable | Kind::Timeout => format!(
            "is the network there, and is {} up? 'kuvert doctor' tries each key; another key of the file opens it, too",
            key.place
        ),
        _ => return None,
    })
}

/// The error of the key service itself, within those of compositions.
fn innermost(error: &ProviderError) -> &ProviderError {
    causes(error).filter_map(<dyn Error>::downcast_ref).last().unwrap_or(error)
}

/// The error, what it came of, and so on.
pub(crate) fn causes(error: &ProviderError) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(Some(error as &(dyn Error + 'static)), |error| (*error).source())
}

/// A key in sentences and in commands.
struct Key {
    name: String,
    place: String,
    /// Arguments of the AWS command line.
    arguments: String,
}

impl Key {
    fn of(id: Option<&str>) -> Self {
        let shown = id.map(names::shown).unwrap_or_default();
        match id.and_then(|id| KeyArn::parse(id).ok()) {
            Some(arn) => Self {
                name: shown,
                place: format!("region {}", arn.region()),
                arguments: format!("--region {} --key-id {arn}", arn.region()),
            },
            None => Self {
                name: "the key".to_owned(),
                place: "the key service".to_owned(),
                arguments: format!("--key-id {shown}"),
            },
        }
    }
}
