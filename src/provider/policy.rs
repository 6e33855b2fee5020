//! A provider that uses only keys that a policy allows: where they are, whose they are, of which kind.
//!
//! Decided on names alone, before anything is called, and again on what comes back. Section "Residency" of the
//! [operations manual](crate::manual::operations).

mod rules;
#[cfg(feature = "serde")]
mod types_text;

use std::{fmt, sync::Arc};

use async_trait::async_trait;

use self::rules::{Complaints, Refusal};
pub use self::rules::{KeyPolicy, ResidencyPreset};
use super::{
    GeneratedKey, Health, KeyInfo, KeyProvider, ProviderInfo, UnwrapAnswer, UnwrapAnswers, WrapContext,
    arn::KeyArn,
};
use crate::{
    error::{ProviderError, ProviderErrorKind},
    format::stanza::Recipient,
    secret::DataKey,
};

/// Uses only keys of the provider inside that a [`KeyPolicy`] allows.
///
/// The policy is asked four times: when this is made, about all keys that the provider describes; when sealing, before
/// the call, about the keys it seals with, and after it, about every recipient that came back; and when opening, about a
/// header's recipient, before any call. A recipient that the policy refuses is [`ProviderErrorKind::Refused`] if the
/// provider holds its key, and somebody else's (`Ok(None)`) if not.
///
/// An all-of is judged by its shares, all of which must be allowed; a pending recipient by the key it names. A
/// multi-Region key is judged by the region in which it is called.
///
/// # Security
///
/// It decides by the names that the provider gives. That a key is where its ARN says, and is not copied elsewhere, is
/// AWS's promise and the key's own policy; [`KeyPolicy::single_region_only`] refuses keys that are made to be
/// copied.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use kuvert::{ProviderErrorKind, RecipientType};
/// use kuvert::provider::{KeyPolicy, MemoryProvider, Policy, ResidencyPreset};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let policy = KeyPolicy::default().with_residency(ResidencyPreset::Eu);
/// let provider = Arc::new(MemoryProvider::generate("break-glass")?);
///
/// // A key file is in no region: it has to be allowed by name.
/// let refused = Policy::new(provider.clone(), policy.clone()).unwrap_err();
/// assert_eq!(refused.kind(), ProviderErrorKind::Refused);
/// Policy::new(provider, policy.with_types([RecipientType::AES_KWP]))?;
/// # Ok(()) }
/// ```
pub struct Policy {
    inner: Arc<dyn KeyProvider>,
    policy: KeyPolicy,
}

impl Policy {
    /// Keeps `inner` to `policy`.
    ///
    /// # Errors
    ///
    /// [`ProviderErrorKind::Misconfigured`] if the policy itself is malformed, with everything that is wrong with it;
    /// [`ProviderErrorKind::Refused`] if `inner` describes keys that it refuses, with all of them.
    pub fn new(inner: impl KeyProvider + 'static, policy: KeyPolicy) -> Result<Self, ProviderError> {
        let faults: Vec<String> = policy.faults().into_iter().map(|(_, what)| what).collect();
        if !faults.is_empty() {
            return Err(
                ProviderError::new(ProviderErrorKind::Misconfigured, NAME).with_source(Complaints(faults))
            );
        }
        let refused = |key: &KeyInfo| {
            policy.refuses_key(key).map(|refusal| format!("{refusal} (key \"{}\")", key.id.escape_debug()))
        };
        let refused: Vec<String> = inner.describe().keys.iter().filter_map(refused).collect();
        if !refused.is_empty() {
            return Err(ProviderError::new(ProviderErrorKind::Refused, NAME).with_source(Complaints(refused)));
        }
        Ok(Self { inner: Arc::new(inner), policy })
    }

    /// Keys may have been added since this was made.
    fn check_sealing_keys(&self) -> Result<(), ProviderError> {
        let keys = self.inner.describe().keys;
        let refuse = |key: &KeyInfo| self.policy.refuses_key(key).map(|why| refused(why, &key.id));
        keys.iter().filter(|key| key.seals).find_map(refuse).map_or(Ok(()), Err)
    }

    fn check_answer(&self, recipients: &[Recipient]) -> Result<(), ProviderError> {
        let keys = self.inner.describe().keys;
        let refuse = |recipient: &Recipient| {
            let why = self.policy.refuses_recipient(recipient, region_of(&keys, recipient))?;
            Some(refused(why, &recipient.id_lossy()))
        };
        recipients.iter().find_map(refuse).map_or(Ok(()), Err)
    }

    /// What is to be said about a header's recipient without asking anybody; nothing if it may be asked about.
    fn verdict(
        &self,
        keys: &[KeyInfo],
        recipient: &Recipient,
    ) -> Option<Result<Option<DataKey>, ProviderError>> {
        let why = self.policy.refuses_recipient(recipient, region_of(keys, recipient))?;
        let is_ours = keys.iter().any(|key| key.names(recipient));
        Some(if is_ours { Err(refused(why, &recipient.id_lossy())) } else { Ok(None) })
    }
}

#[async_trait]
impl KeyProvider for Policy {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        self.check_sealing_keys()?;
        let recipients = self.inner.wrap_data_key(key, context).await?;
        self.check_answer(&recipients)?;
        Ok(recipients)
    }

    async fn generate_data_key(&self, context: &WrapContext) -> Result<GeneratedKey, ProviderError> {
        self.check_sealing_keys()?;
        let made = self.inner.generate_data_key(context).await?;
        self.check_answer(&made.recipients)?;
        Ok(made)
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        if let Some(verdict) = self.verdict(&self.inner.describe().keys, recipient) {
            return verdict;
        }
        self.inner.unwrap_data_key(recipient, context).await
    }

    async fn unwrap_any(
        &self,
        recipients: &[&Recipient],
        limit: usize,
        context: &WrapContext,
    ) -> UnwrapAnswers {
        let keys = self.inner.describe().keys;
        let (mut places, mut allowed, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for (place, recipient) in recipients.iter().enumerate() {
            match self.verdict(&keys, recipient) {
                None => {
                    places.push(place);
                    allowed.push(*recipient);
                }
                Some(verdict) => refused.push((place, UnwrapAnswer::from(verdict))),
            }
        }
        let mut answers = self.inner.unwrap_any(&allowed, limit, context).await.at_places(&places);
        for (place, verdict) in refused {
            // A refusal counts as a try, too; above the limit there is nothing to be said.
            if answers.tried() < limit || matches!(verdict, UnwrapAnswer::NotMine) {
                answers.push(place, verdict);
            }
        }
        answers
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        let health = self.inner.check().await?;
        let keys = self.inner.describe().keys;
        let refuse = |key: &KeyInfo| self.policy.refuses_key(key).map(|why| refused(why, &key.id));
        Ok(keys.iter().filter_map(refuse).fold(health, Health::with_problem))
    }

    fn describe(&self) -> ProviderInfo {
        self.inner.describe()
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("inner", &self.inner).field("policy", &self.policy).finish()
    }
}

fn refused(why: Refusal, key_id: &str) -> ProviderError {
    ProviderError::new(ProviderErrorKind::Refused, NAME).with_key_id(key_id).with_source(why)
}

/// Where the key of a recipient is called, as its provider describes it.
fn region_of<'k>(keys: &'k [KeyInfo], recipient: &Recipient) -> Option<&'k str> {
    let of_it = || keys.iter().filter(|key| key.names(recipient));
    // The very key before another region's copy of it.
    let key = of_it().find(|key| key.id.as_bytes() == recipient.id()).or_else(|| of_it().next())?;
    key.region.as_deref().or_else(|| key.id.split(':').nth(3).filter(|_| KeyArn::parse(&key.id).is_ok()))
}

/// The provider's name in errors.
const NAME: &str = "policy";

#[cfg(test)]
mod tests;
