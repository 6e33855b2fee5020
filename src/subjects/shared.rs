//! What all clones of a [`Subjects`](super::Subjects) share: store, providers, root, epochs, cache, and who watches.
//!
//! Floor 6. What is a process' own (cache, epoch keys) a forked child begins anew. Section "Key store and subjects" of
//! the [format](crate::manual::format).

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use super::{
    SubjectsOptions,
    cache::{Cache, Processes},
    epochs::Epochs,
    key::Key,
    tombstones::Verified,
};
use crate::{
    clock::{
        Clock,
        ages::{Time, millis_of},
    },
    format::subject::{RootKeys, SubjectKey, SubjectPlace},
    keystore::{KeyStore, Pseudonym},
    provider::KeyProvider,
};

/// The state behind [`Subjects`](super::Subjects), its scopes and its subjects.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn KeyStore>,
    /// The store's name, for errors and events.
    pub(crate) store_name: &'static str,
    pub(crate) root: RootKeys,
    pub(crate) options: SubjectsOptions,
    /// Those that open epochs, in the order in which they are asked.
    providers: RwLock<Vec<Arc<dyn KeyProvider>>>,
    time: Time,
    /// How long a key is used, in milliseconds.
    max_age: u64,
    own: Processes<Own>,
    /// How far the chains of tombstones and receipts are verified.
    pub(crate) verified: Verified,
}

/// What a process has of its own.
struct Own {
    cache: Cache,
    epochs: Epochs,
}

impl Own {
    fn new(options: &SubjectsOptions) -> Self {
        Self { cache: Cache::new(options), epochs: Epochs::default() }
    }
}

impl Shared {
    pub(super) fn new(
        store: Arc<dyn KeyStore>,
        root: RootKeys,
        providers: Vec<Arc<dyn KeyProvider>>,
        options: SubjectsOptions,
    ) -> Self {
        let time = options.clock.clone().map_or(Time::Coarse, Time::by);
        let max_age = millis_of(options.max_age).saturating_sub(time.slack());
        let own = Processes::new(Own::new(&options));
        let store_name = store.describe().name;
        let (providers, verified) = (RwLock::new(providers), Verified::default());
        Self { store, store_name, root, options, providers, time, max_age, own, verified }
    }

    /// Now, as the cache counts it.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        self.time.millis()
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.time.clock()
    }

    /// Now, in Unix seconds, for what is written down.
    pub(crate) fn unix_seconds(&self) -> u64 {
        let since = self.clock().wall().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }

    #[inline]
    pub(super) fn cache(&self) -> &Cache {
        &self.own().cache
    }

    pub(super) fn epochs(&self) -> &Epochs {
        &self.own().epochs
    }

    #[inline]
    fn own(&self) -> &Own {
        self.own.current(|| Own::new(&self.options))
    }

    pub(crate) fn providers(&self) -> Vec<Arc<dyn KeyProvider>> {
        self.providers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks this provider for epochs from now on, before the others.
    pub(crate) fn add_provider(&self, provider: Arc<dyn KeyProvider>) {
        let mut providers = self.providers.write().unwrap_or_else(PoisonError::into_inner);
        if !providers.iter().any(|known| Arc::ptr_eq(known, &provider)) {
            providers.insert(0, provider);
        }
    }

    /// A key that may be used as long as the options say, from the moment on at which the store was asked.
    pub(super) fn key(&self, place: SubjectPlace, key: &SubjectKey, asked_at: u64) -> Arc<Key> {
        let good_until = asked_at.saturating_add(self.max_age);
        Arc::new(Key::new(place, key, good_until, self.options.max_uses.max(1)))
    }

    /// Drops the keys of these references and subjects from every cache of this process.
    pub(crate) fn evict(&self, references: &[u64], pseudonyms: &[Pseudonym]) {
        self.cache().evict(references, pseudonyms);
    }

    /// Whether somebody is to be asked or told.
    #[inline]
    pub(super) fn is_watched(&self) -> bool {
        self.options.authorizer.is_some() || self.options.observer.is_some()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("store", &self.store)
            .field("root", &self.root)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
