//! The key envelopes of a key store: one of role `root`, and one of role `epoch` for each epoch.
//!
//! Floor 5: joins a provider and bytes; where the envelopes are kept is the store's. What they carry in clear is J-13
//! of the [format](crate::manual::format).

use std::fmt;

use super::{Expected, open, seal};
use crate::{
    error::{OpenError, SealError},
    format::{
        context::{EncryptionContext, Role},
        schedule::{Salt, Schedule},
        subject::RootKeys,
    },
    front::OpenOptions,
    provider::KeyProvider,
    record_cipher::epoch::EpochCipher,
};

/// The key of an epoch.
pub(crate) struct EpochKey {
    /// The epoch's reference.
    pub(crate) reference: u64,
    /// Seals and opens subject keys.
    pub(crate) cipher: EpochCipher,
}

impl fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpochKey").field("reference", &self.reference).finish_non_exhaustive()
    }
}

/// Makes the root of a new store. A provider that wraps by public keys only is refused.
pub(crate) async fn new_root(provider: &dyn KeyProvider) -> Result<(RootKeys, Vec<u8>), SealError> {
    seal(provider, Role::Root, &EncryptionContext::empty(), RootKeys::new).await
}

/// Opens the root, of this reference where it is known.
pub(crate) async fn open_root(
    provider: &dyn KeyProvider,
    envelope: &[u8],
    reference: Option<u64>,
) -> Result<RootKeys, OpenError> {
    let expected = Expected { role: Role::Root, reference };
    let context = EncryptionContext::empty();
    open(provider, &OpenOptions::default(), envelope, expected, &context, RootKeys::new).await
}

/// Makes an epoch of the store whose root has the reference `store`, for keys of `class`.
pub(crate) async fn new_epoch(
    provider: &dyn KeyProvider,
    store: u64,
    class: &'static str,
) -> Result<(EpochKey, Vec<u8>), SealError> {
    let context = epoch_context(store, class).map_err(SealError::from)?;
    seal(provider, Role::Epoch, &context, derive_epoch).await
}

/// Opens an epoch. Another store's, another class's and another reference's are the wrong context.
pub(crate) async fn open_epoch(
    provider: &dyn KeyProvider,
    envelope: &[u8],
    reference: u64,
    store: u64,
    class: &'static str,
) -> Result<EpochKey, OpenError> {
    let expected = Expected { role: Role::Epoch, reference: Some(reference) };
    let context = epoch_context(store, class).map_err(OpenError::from)?;
    open(provider, &OpenOptions::default(), envelope, expected, &context, derive_epoch).await
}

fn derive_epoch(schedule: &Schedule<'_>, salt: &Salt, reference: u64) -> EpochKey {
    EpochKey { reference, cipher: EpochCipher::new(&schedule.subject_key(salt), reference) }
}

/// What an epoch's envelope carries in clear beside its role and reference.
// fmt: J-13
fn epoch_context(store: u64, class: &'static str) -> Result<EncryptionContext, crate::error::ContextError> {
    EncryptionContext::new([("store", format!("{store:016x}")), ("class", class.to_owned())])
}

#[cfg(test)]
mod tests;
