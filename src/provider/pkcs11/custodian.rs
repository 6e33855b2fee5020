//! Who creates and destroys wrapping keys in a token.
//!
//! Keys that are made here are sensitive and cannot be taken out. Knows names and tasks, and no calls. Section "Keys in
//! a hardware security module" of the [operations manual](crate::manual::operations).

use std::fmt;
use std::time::SystemTime;

use async_trait::async_trait;

use super::failure::Pkcs11Failure;
use super::task::Task;
use super::{Pkcs11Provider, keys};
use crate::error::ProviderError;
use crate::limits::MAX_ID_LEN;
use crate::provider::KeyCustodian;

/// Creates keys in a PKCS#11 token: AES of 256 bits, or RSA of 3072 where the provider wraps by RSA-OAEP. Destroys them
/// at once and for good.
///
/// A provider that it comes from does not seal or open with a destroyed key from then on. Another process that seals for
/// an RSA key has its public half, and finds out when it next looks at the token.
///
/// # Security
///
/// A token has no waiting period: what is sealed with a destroyed key is gone, unless the token is backed up.
#[derive(Clone)]
pub struct Pkcs11Custodian {
    provider: Pkcs11Provider,
}

impl Pkcs11Custodian {
    pub(super) fn over(provider: Pkcs11Provider) -> Self {
        Self { provider }
    }
}

#[async_trait]
impl KeyCustodian for Pkcs11Custodian {
    /// The name is a key's label and id as recipients carry them, such as `kuvert-kek/02`; a label alone gets the id 01.
    async fn create_wrapping_key(&self, name: &str) -> Result<String, ProviderError> {
        let named = match keys::parts_of(name) {
            Some((_, id)) if id.is_empty() => None,
            None if name.contains('/') || name.is_empty() => None,
            named => named.or_else(|| Some((name, vec![1]))),
        };
        let named = named.filter(|_| name.len() + 3 <= MAX_ID_LEN);
        let (label, id) = named.ok_or_else(|| Pkcs11Failure::BadName.into_error().with_key_id(name))?;
        let full = keys::name_of(label, &id);
        self.provider.ask(Task::Create { label: label.to_owned(), id }, Some(&full)).await?;
        self.provider.shared.note_created(&full);
        Ok(full)
    }

    async fn schedule_destruction(&self, id: &str) -> Result<SystemTime, ProviderError> {
        let unknown = || {
            let failure = Pkcs11Failure::NoKey { wanted: id.to_owned(), present: Vec::new() };
            failure.into_error().with_key_id(id)
        };
        let (label, key) = keys::parts_of(id).ok_or_else(unknown)?;
        self.provider.ask(Task::Destroy { label: label.to_owned(), id: key }, Some(id)).await?;
        Ok(self.provider.shared.clock.wall())
    }
}

impl fmt::Debug for Pkcs11Custodian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pkcs11Custodian").field(&self.provider).finish()
    }
}
