//! Data subjects: a key for each person, so that one person's data can be ended without touching anybody else's.
//!
//! Floor 6: stands on the front, a key store and a provider. It keeps no plaintext and, but for what threads are busy
//! with, no name; how an erasure holds is on the [page on erasure](crate::manual::erasure), the bytes are in the section
//! "Key store and subjects" of the [format](crate::manual::format).

mod access;
mod anchor;
mod backup;
mod cache;
mod create;
mod epoch_roll;
mod epochs;
mod erasure;
mod events;
mod hold;
mod key;
mod load;
mod many;
mod message;
mod options;
mod prove;
mod receipt;
mod reconcile;
mod records;
mod register;
mod scope;
mod sealed;
mod shared;
mod standing;
mod subject;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tombstones;
mod value;

use std::{fmt, sync::Arc, time::Duration};

#[cfg(feature = "serde")]
pub use self::value::Json;
pub use self::{
    access::{AccessRequest, Authorizer, Denied},
    anchor::{Anchor, AnchorHead, FileAnchor, MemoryAnchor},
    backup::{BackupReport, VerifiedBackup},
    cache::KeyCacheStats,
    epoch_roll::{KeyToDestroy, RollOptions, RollReport},
    erasure::{ErasureReason, ErasureRequest},
    options::SubjectsOptions,
    prove::ErasureProof,
    receipt::{NotCovered, Receipt, ReceiptState, ReceiptsReport},
    register::RegisteredErasure,
    scope::Scope,
    sealed::Sealed,
    standing::Standing,
    subject::Subject,
    value::{NotAValue, Plaintext, Value},
};
use self::{epochs::class_name, shared::Shared};
use crate::{
    error::{RecordError, SubjectError},
    front::envelope::{EpochKey, new_epoch, new_root, open_root},
    keystore::{EpochClass, EpochRow, EpochState, KeyStore},
    provider::KeyProvider,
};

/// The data subjects of one key store, each with keys of its own. Cheap to clone; share one among all tasks.
///
/// The root of the store is opened once, and so is each epoch: one provider call each. After that the provider is not asked,
/// however many subjects there are. Keys of subjects are cached within [`SubjectsOptions`].
///
/// # Security
///
/// The store never sees a key, a name or a record, and whoever can write to it can neither exchange keys nor move them between
/// scopes unseen; but can delete them. Epochs' keys stay in memory for the life of the process. A forked child starts with
/// empty caches.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use kuvert::{Cell, Subjects, SubjectsOptions, keystore::MemoryKeyStore, provider::MemoryProvider};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # kuvert::blocking::block_on(async {
/// let store = Arc::new(MemoryKeyStore::new());
/// let [root, week] = [Arc::new(MemoryProvider::generate("root")?), Arc::new(MemoryProvider::generate("2026-w47")?)];
/// let subjects = Subjects::init(store, root, week, SubjectsOptions::default()).await?;
///
/// let tenant = subjects.scope("tenant-7");
/// let cell = || Cell::new("customers", "phone", 42);
/// let phone = tenant.subject("customer:42").seal("070-1740605", cell()).await?;
/// assert_eq!(*tenant.open(&phone, cell()).await?, "070-1740605");
/// # Ok(()) })? }
/// ```
#[derive(Clone)]
pub struct Subjects {
    shared: Arc<Shared>,
}

impl Subjects {
    /// Gives an empty store its root and its first epochs, and opens it.
    ///
    /// `root_provider` wraps the root, whose wrapping key outlives everything; `epoch_provider` wraps the first epochs, whose
    /// wrapping key can be destroyed once they are over. They can be the same one, but then neither can be done.
    ///
    /// # Errors
    ///
    /// [`SubjectError::AlreadyInitialised`] for a store that has a root; [`SubjectError::Seal`] if a provider does not wrap,
    /// or wraps by public keys only; [`SubjectError::OtherAnchor`] for an anchor that was begun for another store, and
    /// [`SubjectError::Anchor`]; [`SubjectError::Store`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the store empty or initialised. If it is empty, the anchor may be begun, for a store that
    /// never was: take a new one.
    pub async fn init(
        store: Arc<dyn KeyStore>,
        root_provider: Arc<dyn KeyProvider>,
        epoch_provider: Arc<dyn KeyProvider>,
        options: SubjectsOptions,
    ) -> Result<Self, SubjectError> {
        if store.root().await?.is_some() {
            return Err(SubjectError::AlreadyInitialised);
        }
        let (root, envelope) = new_root(&*root_provider).await?;
        let credentials = options.credentials_provider.as_ref().unwrap_or(&epoch_provider);
        let for_classes =
            [(EpochClass::Subjects, &*epoch_provider), (EpochClass::Credentials, &**credentials)];
        let opened = unix_seconds(&options);
        let (mut keys, mut rows) = (Vec::new(), Vec::new());
        for (class, provider) in for_classes {
            let (key, row) = make_epoch(provider, root.reference(), class, opened).await?;
            keys.push((class, Arc::new(key)));
            rows.push(row);
        }
        if let Some(anchor) = &options.anchor {
            begin_anchor(&**anchor, root.reference()).await?;
        }
        if !store.create(&envelope, &rows).await? {
            return Err(SubjectError::AlreadyInitialised);
        }
        let mut providers = vec![epoch_provider, root_provider];
        providers.extend(options.credentials_provider.clone());
        let shared = Arc::new(Shared::new(store, root, providers, options));
        for (class, key) in keys {
            shared.put_epoch(class, key);
        }
        shared.reconcile().await?;
        Ok(Self { shared })
    }

    /// Opens a store that was initialised. `provider` unwraps the root and the epochs; where they have wrapping keys of different
    /// providers, [`AnyOf`](crate::provider::AnyOf) joins them.
    ///
    /// # Errors
    ///
    /// [`SubjectError::NotInitialised`] for an empty store; [`SubjectError::Root`] if the root does not open;
    /// [`SubjectError::Key`] if an epoch that new keys go under does not, unless
    /// [`lazy_epochs`](SubjectsOptions#structfield.lazy_epochs) is set; [`SubjectError::Anchor`],
    /// [`SubjectError::OtherAnchor`], [`SubjectError::Diverged`] and [`SubjectError::ChainTampered`] for a store that cannot be
    /// told to be the newest; [`SubjectError::Store`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves erasures finished or not that others had begun, and nothing else changed.
    pub async fn open(
        store: Arc<dyn KeyStore>,
        provider: Arc<dyn KeyProvider>,
        options: SubjectsOptions,
    ) -> Result<Self, SubjectError> {
        let Some(envelope) = store.root().await? else { return Err(SubjectError::NotInitialised) };
        let root = open_root(&*provider, &envelope, None).await.map_err(SubjectError::Root)?;
        let mut providers = vec![provider];
        providers.extend(options.credentials_provider.clone());
        let shared = Arc::new(Shared::new(store, root, providers, options));
        shared.reconcile().await?;
        if !shared.options.lazy_epochs {
            shared.open_epoch(EpochClass::Subjects).await.map_err(RecordError::from)?;
        }
        Ok(Self { shared })
    }

    /// The data subjects of one scope: a tenant, a register, a service. Its name has at most 255 bytes; one that cannot be a
    /// scope is told by the first call that needs it.
    #[must_use]
    pub fn scope(&self, name: impl AsRef<str>) -> Scope {
        Scope::new(Arc::clone(&self.shared), name.as_ref())
    }

    /// What the cache of keys has done so far, and what is in it.
    #[must_use]
    pub fn cache_stats(&self) -> KeyCacheStats {
        self.shared.cache().stats()
    }

    /// Drops all cached keys of subjects, wiped: whoever needs one next asks the store.
    pub fn clear_cache(&self) {
        self.shared.cache().clear();
    }

    /// Wipes, from time to time, cached keys that are past their age and that nobody asked for since. Never ends; for a task of
    /// the caller's, if it wants one. Without it they lie in memory until they make room, and are used by nobody.
    pub async fn maintain(&self) {
        let max_age = self.shared.options.max_age;
        let pause = max_age.clamp(Duration::from_millis(100), Duration::from_secs(60));
        loop {
            self.shared.clock().sleep(pause).await;
            self.shared.cache().tidy(self.shared.now());
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl fmt::Debug for Subjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subjects")
            .field("store", &self.shared.store)
            .field("options", &self.shared.options)
            .field("cache", &self.cache_stats())
            .finish_non_exhaustive()
    }
}

/// Writes into a new anchor which store it is of, before there is that store.
async fn begin_anchor(anchor: &dyn Anchor, store: u64) -> Result<(), SubjectError> {
    if let Ok(AnchorHead { store: Some(_), .. }) = anchor.head().await {
        return Err(SubjectError::OtherAnchor);
    }
    if anchor.append(store, 0, &[]).await? { Ok(()) } else { Err(SubjectError::OtherAnchor) }
}

/// A new epoch, open from `opened` on: its key, and what the store keeps.
pub(crate) async fn make_epoch(
    provider: &dyn KeyProvider,
    store: u64,
    class: EpochClass,
    opened: u64,
) -> Result<(EpochKey, EpochRow), SubjectError> {
    let (key, envelope) = new_epoch(provider, store, class_name(class)).await?;
    let (reference, state, closed) = (key.reference, EpochState::Open, None);
    Ok((key, EpochRow { reference, class, state, opened, closed, envelope }))
}

/// Now, in Unix seconds, by the clock of these options.
fn unix_seconds(options: &SubjectsOptions) -> u64 {
    use crate::clock::{Clock, SystemClock};

    let wall = options.clock.as_ref().map_or_else(|| SystemClock.wall(), |clock| clock.wall());
    wall.duration_since(std::time::SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
