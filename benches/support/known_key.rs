//! The keys of a message that the crate sealed, for the bare side to open the very same bytes.

use std::sync::{Mutex, PoisonError};

use kuvert::{
    DataKey, ProviderError, Recipient, async_trait,
    provider::{GeneratedKey, Health, KeyProvider, MemoryProvider, ProviderInfo, WrapContext},
};

use super::{anatomy::Schedule, bare::Body};

/// A key in memory, that remembers the last data key it gave out.
#[derive(Debug)]
pub(crate) struct KnownKey {
    memory: MemoryProvider,
    last: Mutex<[u8; 32]>,
}

impl KnownKey {
    pub(crate) fn new() -> Self {
        Self { memory: MemoryProvider::generate("bench").expect("a key"), last: Mutex::default() }
    }

    /// What opens the body of `message`, which must be the last that was begun.
    pub(crate) fn body_of(&self, message: &[u8]) -> Body {
        let data_key = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let schedule = Schedule::of(message, &data_key);
        Body::new(&schedule.body_key, schedule.base_nonce)
    }
}

#[async_trait]
impl KeyProvider for KnownKey {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        self.memory.wrap_data_key(key, context).await
    }

    async fn generate_data_key(&self, context: &WrapContext) -> Result<GeneratedKey, ProviderError> {
        let generated = self.memory.generate_data_key(context).await?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = *generated.key.expose_bytes();
        Ok(generated)
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        self.memory.unwrap_data_key(recipient, context).await
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.memory.check().await
    }

    fn describe(&self) -> ProviderInfo {
        self.memory.describe()
    }
}
