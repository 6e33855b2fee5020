//! The keys of a vector: each opens alone, and the members of an all-of only together.

use std::sync::Arc;

use kuvert::provider::{AllOf, Health, KeyProvider, MemoryProvider, ProviderInfo, WrapContext};
use kuvert::{DataKey, ProviderError, Recipient};

use super::file::Vector;

/// The provider that a vector configures.
#[derive(Debug)]
pub struct Keys {
    alone: Option<MemoryProvider>,
    together: Option<AllOf>,
}

impl Keys {
    pub fn of(vector: &Vector) -> Self {
        let file = |lines: &[&str]| {
            MemoryProvider::from_key_file_text(&lines.join("\n")).expect("a vector's keys are well formed")
        };
        let alone: Vec<&str> = vector.all("key").collect();
        let members: Vec<Arc<dyn KeyProvider>> =
            vector.all("member").map(|line| Arc::new(file(&[line])) as _).collect();
        Self {
            alone: (!alone.is_empty()).then(|| file(&alone)),
            together: (!members.is_empty()).then(|| AllOf::new(members).expect("keys of different names")),
        }
    }

    fn both(&self) -> impl Iterator<Item = &dyn KeyProvider> {
        let alone = self.alone.iter().map(|provider| provider as &dyn KeyProvider);
        alone.chain(self.together.iter().map(|provider| provider as &dyn KeyProvider))
    }

    fn first(&self) -> &dyn KeyProvider {
        self.both().next().expect("a vector has keys")
    }
}

#[kuvert::async_trait]
impl KeyProvider for Keys {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        self.first().wrap_data_key(key, context).await
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        for provider in self.both() {
            if let Some(key) = provider.unwrap_data_key(recipient, context).await? {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.first().check().await
    }

    fn describe(&self) -> ProviderInfo {
        self.first().describe()
    }
}
