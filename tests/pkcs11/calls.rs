//! One wrap, one unwrap, and why one failed: what most tests of a token make.

use kuvert::blocking::block_on;
use kuvert::provider::KeyProvider as _;
use kuvert::provider::pkcs11::{Pkcs11Failure, Pkcs11Provider};
use kuvert::{DataKey, ProviderError, Recipient};

use crate::stage::wrap_context;

/// The data key of these tests.
pub(crate) const KEY: [u8; 32] = [9; 32];

pub(crate) fn wrap(provider: &Pkcs11Provider) -> Result<Recipient, ProviderError> {
    let wrapped = block_on(provider.wrap_data_key(&DataKey::copy_from(&KEY), &wrap_context())).unwrap();
    wrapped.map(|mut recipients| recipients.remove(0))
}

pub(crate) fn unwrap(provider: &Pkcs11Provider, recipient: &Recipient) -> Result<DataKey, ProviderError> {
    let unwrapped = block_on(provider.unwrap_data_key(recipient, &wrap_context())).unwrap();
    unwrapped.map(|key| key.expect("the recipient is the provider's"))
}

pub(crate) fn failure(error: &ProviderError) -> &Pkcs11Failure {
    std::error::Error::source(error).unwrap().downcast_ref().unwrap()
}
