//! What stands in the tree for a provider that cannot be made yet, while the rest of the tree is checked.

use async_trait::async_trait;

use crate::{
    error::{ProviderError, ProviderErrorKind},
    format::stanza::Recipient,
    provider::{Health, KeyInfo, KeyProvider, ProviderInfo, WrapContext},
    secret::DataKey,
};

/// Describes keys, and does nothing with them.
#[derive(Debug, Clone)]
pub(super) struct StandIn {
    pub(super) keys: Vec<KeyInfo>,
}

#[async_trait]
impl KeyProvider for StandIn {
    async fn wrap_data_key(
        &self,
        _key: &DataKey,
        _context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        Err(not_made())
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        Err(not_made())
    }

    fn describe(&self) -> ProviderInfo {
        self.keys.iter().cloned().fold(ProviderInfo::new(NAME), ProviderInfo::with_key)
    }
}

fn not_made() -> ProviderError {
    ProviderError::new(ProviderErrorKind::Misconfigured, NAME)
}

const NAME: &str = "configuration";
