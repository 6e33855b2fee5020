//! A provider that is asked to open, and does not count as one that seals: two of them may hold the same key.

use std::sync::Arc;

use kuvert::provider::{Health, KeyProvider, ProviderInfo, UnwrapAnswers, WrapContext};
use kuvert::{DataKey, ProviderError, ProviderErrorKind, Recipient};

#[derive(Debug)]
pub(super) struct Opens(pub(super) Arc<dyn KeyProvider>);

#[kuvert::async_trait]
impl KeyProvider for Opens {
    async fn wrap_data_key(&self, _: &DataKey, _: &WrapContext) -> Result<Vec<Recipient>, ProviderError> {
        Err(ProviderError::new(ProviderErrorKind::Misconfigured, self.0.describe().provider)
            .with_source("it is here to open only"))
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        self.0.unwrap_data_key(recipient, context).await
    }

    async fn unwrap_any(
        &self,
        recipients: &[&Recipient],
        limit: usize,
        context: &WrapContext,
    ) -> UnwrapAnswers {
        self.0.unwrap_any(recipients, limit, context).await
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.0.check().await
    }

    fn describe(&self) -> ProviderInfo {
        let mut info = self.0.describe();
        info.keys.iter_mut().for_each(|key| key.seals = false);
        info
    }
}
