//! The keys of a vector: each opens alone, and the members of an all-of only together.

use std::sync::Arc;

use kuvert::provider::{AllOf, Health, KeyProvider, MemoryProvider, ProviderInfo, WrapContext};
use kuvert::{DataKey, ProviderError, Recipient, RecipientType};

use super::file::{Vector, hex};

/// The provider that a vector configures.
#[derive(Debug)]
pub struct Keys {
    alone: Option<MemoryProvider>,
    together: Option<AllOf>,
    parents: Vec<Parent>,
}

/// The child key of a data subject. Its wraps are those of a key file's keys, under another type.
#[derive(Debug)]
struct Parent {
    reference: [u8; 8],
    key: MemoryProvider,
}

impl Parent {
    fn of(line: &str) -> Self {
        let (reference, key) = line.split_once(' ').expect("a reference and a key");
        let key = hex(key).try_into().expect("32 bytes");
        let key = MemoryProvider::from_keys([(PARENT, key)]).expect("one key");
        Self { reference: hex(reference).try_into().expect("eight bytes"), key }
    }

    async fn unwrap(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        if recipient.recipient_type() != RecipientType::PARENT_KEY || recipient.params() != self.reference {
            return Ok(None);
        }
        let as_kwp = Recipient::new(RecipientType::AES_KWP, PARENT, [], recipient.wrap());
        self.key.unwrap_data_key(&as_kwp, context).await
    }
}

const PARENT: &str = "parent";

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
            parents: vector.all("parent-key").map(Parent::of).collect(),
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
        for parent in &self.parents {
            if let Some(key) = parent.unwrap(recipient, context).await? {
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
