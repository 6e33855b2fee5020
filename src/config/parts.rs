//! What a configuration file cannot hold, and a program gives: clock, observer, clients, and where files are.

#[cfg(feature = "aws-kms")]
use std::collections::BTreeMap;
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{clock::Clock, observe::Observer};

/// What goes into the providers of a [`Config`](super::Config) beside what the file says.
///
/// The default is enough for most programs: the system's clock, no observer, clients made from the usual AWS environment
/// (feature `https`), and key files relative to the current directory.
#[derive(Default, Clone)]
pub struct Parts {
    base: Option<PathBuf>,
    pub(super) clock: Option<Arc<dyn Clock>>,
    pub(super) observer: Option<Arc<dyn Observer>>,
    #[cfg(feature = "aws-kms")]
    pub(super) clients: BTreeMap<String, aws_sdk_kms::Client>,
}

impl Parts {
    /// Takes relative paths of key files from this directory, such as the one that the configuration file is in.
    #[must_use]
    pub fn with_base(mut self, directory: impl Into<PathBuf>) -> Self {
        self.base = Some(directory.into());
        self
    }

    /// Counts every deadline and age by this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Has every call told: of each key service or key file by the `guarded` around it, or else by an
    /// [`Observed`](crate::provider::Observed), and of each `any-of` and `cached` by itself.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Calls KMS in this region with this client, which is configured for it. Regions without one get theirs from
    /// `aws_kms::client_for`, with feature `https`; without it, a missing client is a fault.
    #[cfg(feature = "aws-kms")]
    #[must_use]
    pub fn with_aws_client(mut self, region: impl Into<String>, client: aws_sdk_kms::Client) -> Self {
        self.clients.insert(region.into(), client);
        self
    }

    /// The file that a path in the configuration means.
    pub(super) fn file(&self, path: &Path) -> PathBuf {
        self.base.as_deref().map_or_else(|| path.to_owned(), |base| base.join(path))
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = f.debug_struct("Parts");
        parts.field("base", &self.base).field("clock", &self.clock).field("observer", &self.observer);
        #[cfg(feature = "aws-kms")]
        parts.field("clients", &self.clients.keys());
        parts.finish_non_exhaustive()
    }
}
