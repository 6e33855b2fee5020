//! Recipients of type 0x0020: the key of a data subject wraps the data keys of messages about them.
//!
//! Floor 4: wraps and unwraps under child keys that somebody looks up for it. It is no wrapping key of a key
//! service, so it never stands in a key envelope, in an all-of or beside other recipients. Rules K-5 and Z-8 of the
//! [format](crate::manual::format).

use std::fmt;

use async_trait::async_trait;

use super::{Health, KeyProvider, ProviderInfo, WrapContext};
use crate::{
    crypto::key_wrap,
    error::{ProviderError, ProviderErrorKind},
    format::stanza::{Recipient, RecipientType},
    secret::{DataKey, Secret},
};

/// Seals messages under the key of one reference.
pub(crate) struct ParentKey {
    reference: u64,
    child: Secret<32>,
}

impl ParentKey {
    /// Takes K_child of the key `reference`.
    pub(crate) const fn new(reference: u64, child: Secret<32>) -> Self {
        Self { reference, child }
    }
}

impl fmt::Debug for ParentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParentKey").field("reference", &self.reference).finish_non_exhaustive()
    }
}

#[async_trait]
impl KeyProvider for ParentKey {
    // fmt: K-5, Z-8, J-17
    async fn wrap_data_key(&self, key: &DataKey, _: &WrapContext) -> Result<Vec<Recipient>, ProviderError> {
        let wrap = key_wrap::wrap(self.child.expose(), key.expose_bytes());
        let params = self.reference.to_be_bytes();
        Ok(vec![Recipient::new(RecipientType::PARENT_KEY, [], params, wrap)])
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        _: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        match parent_reference(recipient) {
            Some(reference) if reference == self.reference => {
                unwrap(reference, &self.child, recipient).map(Some)
            }
            _ => Ok(None),
        }
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        Ok(Health::default())
    }

    fn describe(&self) -> ProviderInfo {
        ProviderInfo::new(NAME)
    }
}

/// Finds the child keys of references, for opening.
#[async_trait]
pub(crate) trait ChildKeys: fmt::Debug + Send + Sync {
    /// K_child of this reference, or `None` where the reference is nothing that is known here.
    async fn child_key(&self, reference: u64) -> Result<Option<Secret<32>>, ProviderError>;
}

/// Opens messages under the keys that `K` finds.
#[derive(Debug)]
pub(crate) struct ParentKeys<K>(pub(crate) K);

#[async_trait]
impl<K: ChildKeys> KeyProvider for ParentKeys<K> {
    /// Which of the keys to seal under has to be said: that is [`ParentKey`]'s.
    async fn wrap_data_key(&self, _: &DataKey, _: &WrapContext) -> Result<Vec<Recipient>, ProviderError> {
        Err(ProviderError::new(ProviderErrorKind::Misconfigured, NAME))
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        _: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        let Some(reference) = parent_reference(recipient) else { return Ok(None) };
        match self.0.child_key(reference).await? {
            Some(child) => unwrap(reference, &child, recipient).map(Some),
            None => Ok(None),
        }
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        Ok(Health::default())
    }

    fn describe(&self) -> ProviderInfo {
        ProviderInfo::new(NAME)
    }
}

/// The reference of the key that this recipient is wrapped under, if it is one of ours.
pub(crate) fn parent_reference(recipient: &Recipient) -> Option<u64> {
    if recipient.recipient_type() != RecipientType::PARENT_KEY {
        return None;
    }
    recipient.params().try_into().ok().map(u64::from_be_bytes)
}

fn unwrap(reference: u64, child: &Secret<32>, recipient: &Recipient) -> Result<DataKey, ProviderError> {
    key_wrap::unwrap(child.expose(), recipient.wrap()).map_err(|_| {
        ProviderError::new(ProviderErrorKind::Rejected, NAME).with_key_id(format!("{reference:016x}"))
    })
}

const NAME: &str = "data-subject";
