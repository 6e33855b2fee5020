//! What the tests of rewrapping share: keys by name, and what opens what.

use std::sync::Arc;

use kuvert::provider::{Health, KeyProvider, MemoryProvider, ProviderInfo, WrapContext};
use kuvert::{
    Category, DataKey, Kuvert, Layout, MessageStart, ProviderError, ProviderErrorKind, Recipient,
    RecipientType, SealOptions,
};
use sha2::{Digest, Sha256};

use crate::support::cancel::wait;
use crate::support::fixture::context;

/// The wrapping key of this id, the same in every process.
pub(super) fn key(id: &str) -> [u8; 32] {
    Sha256::digest(id).into()
}

/// A provider of these keys; the first one wraps.
pub(super) fn keys(ids: &[&str]) -> MemoryProvider {
    MemoryProvider::from_keys(ids.iter().map(|id| (*id, key(id)))).expect("well-named keys")
}

pub(super) fn arc(ids: &[&str]) -> Arc<dyn KeyProvider> {
    Arc::new(keys(ids))
}

pub(super) fn holder(ids: &[&str]) -> Kuvert {
    Kuvert::new(keys(ids))
}

/// Whether a holder of this key alone opens it, and to what.
pub(super) fn opens(id: &str, message: &[u8]) -> Result<Vec<u8>, Category> {
    let opened = wait(holder(&[id]).open(message, &context()));
    opened.map(|plaintext| plaintext.to_vec()).map_err(|error| error.category())
}

pub(super) fn sealed(layout: Layout, id: &str, plaintext: &[u8]) -> Vec<u8> {
    let kuvert = holder(&[id]).with_seal_options(SealOptions::default().with_layout(layout));
    wait(kuvert.seal(plaintext, &context())).expect("sealing in memory")
}

/// Header and body.
pub(super) fn parts(message: &[u8]) -> (&[u8], &[u8]) {
    let start = MessageStart::parse(message).expect("a message");
    message.split_at(start.header().claimed_header_len())
}

/// Wraps by what is inside, and has no right to unwrap, or does not even know that it is asked.
#[derive(Debug)]
pub(super) struct WrapOnly(pub(super) MemoryProvider, pub(super) Option<ProviderErrorKind>);

#[kuvert::async_trait]
impl KeyProvider for WrapOnly {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        self.0.wrap_data_key(key, context).await
    }

    async fn unwrap_data_key(
        &self,
        _: &Recipient,
        _: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        self.1.map_or(Ok(None), |kind| Err(ProviderError::new(kind, "wrap-only")))
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        Ok(Health::good())
    }

    fn describe(&self) -> ProviderInfo {
        self.0.describe()
    }
}

/// Adds fixed recipients to those of what is inside: pending ones, parent keys, strangers.
#[derive(Debug)]
pub(super) struct With(pub(super) MemoryProvider, pub(super) Vec<Recipient>);

#[kuvert::async_trait]
impl KeyProvider for With {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        let mut all = self.0.wrap_data_key(key, context).await?;
        all.extend(self.1.iter().cloned());
        Ok(all)
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        self.0.unwrap_data_key(recipient, context).await
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        Ok(Health::good())
    }

    fn describe(&self) -> ProviderInfo {
        self.0.describe()
    }
}

/// A recipient that waits for the AES-KWP key of this id.
pub(super) fn pending(id: &str) -> Recipient {
    Recipient::new(RecipientType::PENDING, id, 1_u16.to_be_bytes(), [0])
}

/// A recipient of a data subject's key.
pub(super) fn on_subject(reference: u64) -> Recipient {
    Recipient::new(RecipientType::PARENT_KEY, [], reference.to_be_bytes(), [7; 40])
}
