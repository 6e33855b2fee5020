//! Stands for a key service in one region where no server is at hand: a wrapping key in memory, and an outage by script.

use kuvert::provider::{
    Health, KeyCustodian, KeyInfo, KeyProvider, MemoryProvider, ProviderInfo, WrapContext,
};
use kuvert::{DataKey, ProviderError, ProviderErrorKind, Recipient, RecipientType};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

#[derive(Debug)]
pub(crate) struct Region {
    name: &'static str,
    keys: MemoryProvider,
    outage: Mutex<Option<ProviderErrorKind>>,
}

#[allow(dead_code, reason = "not every example needs an outage")]
impl Region {
    pub(crate) fn new(name: &'static str) -> Arc<Self> {
        let keys = MemoryProvider::generate(name).expect("a good name and a random source");
        Arc::new(Self { name, keys, outage: Mutex::new(None) })
    }

    /// From now on every call fails so, or none does.
    pub(crate) fn set(&self, outage: Option<ProviderErrorKind>) {
        *self.outage.lock().expect("nobody panics") = outage;
    }

    fn call(&self) -> Result<(), ProviderError> {
        let outage = *self.outage.lock().expect("nobody panics");
        outage.map_or(Ok(()), |kind| Err(ProviderError::new(kind, "region").with_key_id(self.name)))
    }
}

#[kuvert::async_trait]
impl KeyProvider for Region {
    async fn wrap_data_key(&self, key: &DataKey, of: &WrapContext) -> Result<Vec<Recipient>, ProviderError> {
        self.call()?;
        self.keys.wrap_data_key(key, of).await
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        of: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        if recipient.recipient_type() != RecipientType::AES_KWP || recipient.id() != self.name.as_bytes() {
            return Ok(None);
        }
        self.call()?;
        self.keys.unwrap_data_key(recipient, of).await
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.call().map(|()| Health::good())
    }

    fn describe(&self) -> ProviderInfo {
        let key = KeyInfo::new(RecipientType::AES_KWP, self.name).with_region(self.name);
        ProviderInfo::new("region").with_key(key)
    }
}

/// A key service destroys after days; this one at once, and answers from then on that there is no such key.
#[kuvert::async_trait]
impl KeyCustodian for Region {
    async fn create_wrapping_key(&self, _: &str) -> Result<String, ProviderError> {
        Err(ProviderError::new(ProviderErrorKind::Misconfigured, "region").with_key_id(self.name))
    }

    async fn schedule_destruction(&self, id: &str) -> Result<SystemTime, ProviderError> {
        if id != self.name {
            return Err(ProviderError::new(ProviderErrorKind::NotFound, "region").with_key_id(id));
        }
        self.set(Some(ProviderErrorKind::NotFound));
        Ok(SystemTime::now())
    }
}
