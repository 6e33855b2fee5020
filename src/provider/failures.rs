//! Several providers' failures as one error: of which kind it is, and what its text lists.
//!
//! Shared by the compositions. It shows the members' own errors and adds no secret to them.

use std::{error::Error, fmt};

use crate::error::{ProviderError, ProviderErrorKind};

/// Every failure of several members, of whom too few succeeded.
#[derive(Debug)]
pub(super) struct Failures {
    what: &'static str,
    failures: Vec<ProviderError>,
}

impl Failures {
    /// One error of the composition `name` for all of `failures`; `what` says what could not be done.
    ///
    /// Its kind is theirs where they agree; otherwise the first that waiting does not mend; otherwise unavailable.
    pub(super) fn into_error(
        name: &'static str,
        what: &'static str,
        failures: Vec<ProviderError>,
    ) -> ProviderError {
        let kinds: Vec<_> = failures.iter().map(ProviderError::kind).collect();
        let lasting = kinds.iter().find(|kind| !kind.is_retryable());
        let kind = match (kinds.first(), lasting) {
            (Some(first), _) if kinds.iter().all(|kind| kind == first) => *first,
            (_, Some(lasting)) => *lasting,
            _ => ProviderErrorKind::Unavailable,
        };
        ProviderError::new(kind, name).with_source(Self { what, failures })
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        for (i, failure) in self.failures.iter().enumerate() {
            write!(f, "{}{failure}", if i == 0 { ": " } else { "; " })?;
        }
        Ok(())
    }
}

impl Error for Failures {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.failures.first().map(|first| first as _)
    }
}

/// A failure after which no other key was asked, although there is one.
#[derive(Debug)]
pub(super) struct NotPassedBy(pub(super) ProviderError);

impl NotPassedBy {
    /// The failure of a member as that of the composition `name`.
    pub(super) fn into_error(name: &'static str, failure: ProviderError) -> ProviderError {
        let whole = ProviderError::new(failure.kind(), name);
        match failure.key_id().map(ToOwned::to_owned) {
            Some(id) => whole.with_key_id(id).with_source(Self(failure)),
            None => whole.with_source(Self(failure)),
        }
    }
}

impl fmt::Display for NotPassedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(failure) = self;
        write!(
            f,
            "no other key was asked, because this one may have been cut off on purpose (fail_over_on_denial allows \
             it): {failure}"
        )
    }
}

impl Error for NotPassedBy {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}
