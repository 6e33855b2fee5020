//! What AWS KMS answers when it does not do what it is asked, as kinds that a caller can act on.
//!
//! Several codes arrive without a type of their own in the SDK, so that it goes by the code, then by the HTTP status.
//! Table in the [operations manual](crate::manual::operations), section "Keys in AWS KMS".

use std::error::Error;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::error::ProviderErrorKind;

/// What a call to AWS KMS came back with: the source of every [`ProviderError`](crate::ProviderError) of a call.
///
/// Holds neither the service's own message, which may quote what was sent, nor anything of request or answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsFailure {
    code: Option<String>,
    what: &'static str,
    http_status: Option<u16>,
    request_id: Option<String>,
    region: String,
    credentials: bool,
}

impl KmsFailure {
    /// The service's own code, such as `ThrottlingException`; `None` if the service did not answer.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The status of the HTTP answer, if there was one.
    #[must_use]
    pub const fn http_status(&self) -> Option<u16> {
        self.http_status
    }

    /// The service's id of the request, which stands in CloudTrail, too.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// The region that was called.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Whether it is about who calls, and not about the key: credentials that cannot be had, have expired or are unknown,
    /// a signature that is not accepted, a clock that is wrong.
    #[must_use]
    pub const fn is_about_credentials(&self) -> bool {
        self.credentials
    }

    /// A fault that no code of the service stands for.
    pub(super) fn local(what: &'static str, region: &str) -> Self {
        Self {
            code: None,
            what,
            http_status: None,
            request_id: None,
            region: region.to_owned(),
            credentials: false,
        }
    }

    pub(super) const fn about_credentials(mut self) -> Self {
        self.credentials = true;
        self
    }

    fn with_request_id(mut self, id: Option<&str>) -> Self {
        self.request_id = id.map(shown);
        self
    }
}

impl fmt::Display for KmsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.as_deref().unwrap_or(self.what))?;
        if self.credentials && self.code.is_some() {
            f.write_str(": look at the AWS credentials and at this machine's clock")?;
        }
        write!(f, " (region {}", self.region)?;
        if let Some(status) = self.http_status {
            write!(f, ", HTTP {status}")?;
        }
        if let Some(id) = &self.request_id {
            write!(f, ", request {id}")?;
        }
        f.write_str(")")
    }
}

impl Error for KmsFailure {}

/// Sorts an error of the SDK.
pub(super) fn sort<E>(error: &SdkError<E, HttpResponse>, region: &str) -> (ProviderErrorKind, KmsFailure)
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let status = error.raw_response().map(|raw| raw.status().as_u16());
    let code = error.code().map(shown);
    let mut credentials = code.as_deref().and_then(BadSignature::of).is_some();
    let (kind, what) = match error {
        SdkError::ServiceError(_) => by_code(code.as_deref().unwrap_or_default(), status),
        SdkError::TimeoutError(_) => (ProviderErrorKind::Timeout, "no answer in time"),
        SdkError::ConstructionFailure(_) => {
            (ProviderErrorKind::Misconfigured, "the SDK could not build the request")
        }
        SdkError::DispatchFailure(dispatch) if dispatch.is_timeout() => {
            (ProviderErrorKind::Timeout, "no connection in time")
        }
        SdkError::DispatchFailure(dispatch) if dispatch.is_user() => {
            (ProviderErrorKind::Misconfigured, "the HTTP client refused the request")
        }
        other => match by_credentials(other) {
            Some(found) => {
                credentials = true;
                found
            }
            None => by_chain(other),
        },
    };
    let failure = KmsFailure { code, http_status: status, credentials, ..KmsFailure::local(what, region) };
    (kind, failure.with_request_id(error.request_id()))
}

/// Why the service does not believe who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadSignature {
    /// They have expired, or are none that it knows: newer ones may be at their source.
    Credentials,
    /// The signature is not by them, or was not made now: a wrong clock, most often.
    Time,
}

impl BadSignature {
    /// By the code of the service's answer.
    pub(super) fn of(code: &str) -> Option<Self> {
        match code {
            "ExpiredTokenException"
            | "ExpiredToken"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException" => Some(Self::Credentials),
            "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "RequestExpired"
            | "RequestTimeTooSkewed"
            | "IncompleteSignature"
            | "IncompleteSignatureException" => Some(Self::Time),
            _ => None,
        }
    }
}

fn by_code(code: &str, status: Option<u16>) -> (ProviderErrorKind, &'static str) {
    use ProviderErrorKind as Kind;
    let kind = match code {
        "ThrottlingException"
        | "Throttling"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "SlowDown" => Kind::Throttled,
        "KMSInternalException"
        | "KMSInternal"
        | "KeyUnavailableException"
        | "DependencyTimeoutException"
        | "InternalFailure"
        | "ServiceUnavailable" => Kind::Unavailable,
        "AccessDeniedException" | "OptInRequired" | "NotAuthorized" | "InvalidGrantTokenException" => {
            Kind::AccessDenied
        }
        // Somebody may have withdrawn them: nothing goes on by what was cached.
        "UnrecognizedClientException" | "InvalidClientTokenId" => Kind::AccessDenied,
        // Time has passed, or a clock is wrong. Neither says anything about the right to use the key.
        _ if BadSignature::of(code).is_some() => Kind::Credentials,
        "DisabledException" => Kind::Disabled,
        "NotFoundException" => Kind::NotFound,
        "IncorrectKeyException" | "InvalidCiphertextException" => Kind::Rejected,
        "ValidationException"
        | "ValidationError"
        | "InvalidKeyUsageException"
        | "UnsupportedOperationException"
        | "UnknownOperationException"
        | "SerializationException"
        | "InvalidArnException" => Kind::Misconfigured,
        // Why the key cannot be used is not in the code: `state` asks.
        INVALID_STATE => Kind::Unavailable,
        _ => match status {
            Some(429) => Kind::Throttled,
            Some(500..=599) => Kind::Unavailable,
            Some(401 | 403) => Kind::AccessDenied,
            _ => Kind::Other,
        },
    };
    (kind, "the service answered with an error that has no code")
}

/// What became of the credentials, if that is what the errors behind this one say.
fn by_credentials(error: &(dyn Error + 'static)) -> Option<(ProviderErrorKind, &'static str)> {
    use ProviderErrorKind as Kind;
    let Some(found) = chain(error).find_map(|error| error.downcast_ref::<CredentialsError>()) else {
        // The SDK keeps the type of this one to itself.
        let has_none = chain(error).any(|e| e.to_string().starts_with("failed to select an auth scheme"));
        return has_none.then_some((
            Kind::Credentials,
            "the SDK's client has no source of AWS credentials: build it with one",
        ));
    };
    Some(match found {
        CredentialsError::CredentialsNotLoaded(_) => (Kind::Credentials, "there are no AWS credentials"),
        CredentialsError::InvalidConfiguration(_) => {
            (Kind::Credentials, "the source of the AWS credentials is set up wrongly")
        }
        CredentialsError::ProviderTimedOut(_) => {
            (Kind::Timeout, "the source of the AWS credentials gave no answer in time")
        }
        _ => (Kind::Unavailable, "the AWS credentials could not be loaded"),
    })
}

/// What the errors behind this one say: a client that is not there, or the network.
fn by_chain(error: &(dyn Error + 'static)) -> (ProviderErrorKind, &'static str) {
    // The SDK has no type for this one.
    if chain(error).any(|error| error.to_string().starts_with("No HTTP client was available")) {
        return (
            ProviderErrorKind::Misconfigured,
            "the SDK's client has no HTTP client: build it with one, or by `client_for` of feature https",
        );
    }
    (ProviderErrorKind::Unavailable, "the service could not be reached, or broke off its answer")
}

/// An error and those behind it.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// What is shown of a text from the network.
fn shown(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic()).take(128).collect()
}

pub(super) const INVALID_STATE: &str = "KMSInvalidStateException";
/// The answer to a trial that would have succeeded.
pub(super) const TRIAL_PASSED: &str = "DryRunOperationException";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_codes_go_by_the_status() {
        for (status, kind) in [
            (Some(429), ProviderErrorKind::Throttled),
            (Some(500), ProviderErrorKind::Unavailable),
            (Some(503), ProviderErrorKind::Unavailable),
            (Some(403), ProviderErrorKind::AccessDenied),
            (Some(400), ProviderErrorKind::Other),
            (None, ProviderErrorKind::Other),
        ] {
            assert_eq!(by_code("NobodyKnowsThisException", status).0, kind, "{status:?}");
        }
        assert_eq!(by_code("DisabledException", Some(500)).0, ProviderErrorKind::Disabled);
    }

    #[test]
    fn who_calls_is_told_from_what_may_be_done() {
        for (code, found, kind) in [
            ("ExpiredTokenException", Some(BadSignature::Credentials), ProviderErrorKind::Credentials),
            ("UnrecognizedClientException", Some(BadSignature::Credentials), ProviderErrorKind::AccessDenied),
            ("InvalidSignatureException", Some(BadSignature::Time), ProviderErrorKind::Credentials),
            ("RequestTimeTooSkewed", Some(BadSignature::Time), ProviderErrorKind::Credentials),
            ("AccessDeniedException", None, ProviderErrorKind::AccessDenied),
        ] {
            assert_eq!((BadSignature::of(code), by_code(code, Some(400)).0), (found, kind), "{code}");
        }
    }

    #[test]
    fn what_is_shown_of_the_network_is_short_and_plain() {
        let failure = KmsFailure::local("no answer", "eu-central-1").with_request_id(Some("a\x1b[31m\nb"));
        assert_eq!(failure.to_string(), "no answer (region eu-central-1, request a[31mb)");
        assert_eq!(shown(&"x".repeat(1000)).len(), 128);
    }
}
