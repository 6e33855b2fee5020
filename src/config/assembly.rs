//! What came of a configuration: the provider to use, and the parts of it that a service may want to talk to.

use std::{collections::BTreeMap, sync::Arc};

use crate::provider::{Cached, Guarded, KeyProvider};

/// The providers of a [`Config`](super::Config), made.
#[derive(Debug)]
#[non_exhaustive]
pub struct Assembly {
    /// The provider to seal and open with.
    pub provider: Arc<dyn KeyProvider>,
    /// The caches by their names in the configuration: for [`revoke`](Cached::revoke), [`stats`](Cached::stats) and
    /// [`maintain`](Cached::maintain).
    pub caches: BTreeMap<String, Arc<Cached>>,
    /// The guarded providers by their names in the configuration: for their [state](Guarded::state).
    pub guarded: BTreeMap<String, Arc<Guarded>>,
}
