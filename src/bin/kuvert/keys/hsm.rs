//! Keys in PKCS#11 tokens, by their URIs.

use std::sync::Arc;

use kuvert::blocking::block_on;
use kuvert::provider::KeyProvider;
use kuvert::provider::pkcs11::{GcmIv, Pkcs11Builder, Pkcs11Uri, Pkcs11Wrap};
use kuvert::{Category, ProviderError};

use crate::failure::Failure;
use crate::remedy;

/// A key's URI.
pub(crate) type Uri = Pkcs11Uri;

/// Reads a URI, with what it says in attributes of our own.
// fmt: T-21
pub(crate) fn parse(text: &str) -> Result<Uri, Failure> {
    let uri: Uri = text.parse().map_err(|error| Failure::usage(format!("{error}")))?;
    drop(builder(&uri)?);
    Ok(uri)
}

/// What the URI asks for.
pub(crate) fn builder(uri: &Uri) -> Result<Pkcs11Builder, Failure> {
    let mut builder = Pkcs11Builder::new(uri.clone());
    if let Some(wrap) = own(uri, "x-wrap")? {
        builder = builder.with_wrap(match wrap {
            "aes-kwp" => Pkcs11Wrap::AesKwp,
            "aes-gcm" => Pkcs11Wrap::AesGcm,
            "rsa-oaep-sha256" => Pkcs11Wrap::RsaOaepSha256,
            "rsa-oaep-sha1" => Pkcs11Wrap::RsaOaepSha1,
            _ => return Err(unknown("x-wrap", "aes-gcm, aes-kwp, rsa-oaep-sha256, rsa-oaep-sha1")),
        });
    }
    if let Some(iv) = own(uri, "x-iv")? {
        builder = builder.with_iv(match iv {
            "host" => GcmIv::Host,
            "in-place" => GcmIv::InPlace,
            "appended-12" => GcmIv::Appended12,
            "appended-16" => GcmIv::Appended16,
            _ => return Err(unknown("x-iv", "host, in-place, appended-12, appended-16")),
        });
    }
    if let Some(number) = own(uri, "x-mechanism")? {
        let number =
            number.strip_prefix("0x").map_or_else(|| number.parse(), |hex| u64::from_str_radix(hex, 16));
        builder =
            builder.with_mechanism(number.map_err(|_| unknown("x-mechanism", "a number, such as 0x210a"))?);
    }
    Ok(builder)
}

/// A provider for one key. Where the URI says all that stands in a message, the token is not asked before it is needed.
pub(super) fn provider(uri: &Uri) -> Result<Arc<dyn KeyProvider>, Failure> {
    let builder = builder(uri)?;
    let is_told = uri.id().is_some() && uri.vendor_attribute("x-wrap").is_some();
    if is_told || !builder.faults().is_empty() {
        let provider = builder.build().map_err(|error| Failure::new(error.category(), error.to_string()))?;
        return Ok(Arc::new(provider));
    }
    let provider = block_on(builder.connect())
        .map_err(|error| Failure::new(Category::Usage, error.to_string()))?
        .map_err(|error| failure(&error))?;
    Ok(Arc::new(provider))
}

/// What a token says no to, with what to do about it.
pub(crate) fn failure(error: &ProviderError) -> Failure {
    remedy::advise(Failure::new(remedy::category(error), error.to_string()), [error])
}

fn own<'u>(uri: &'u Uri, name: &str) -> Result<Option<&'u str>, Failure> {
    let value = uri.vendor_attribute(name).map(std::str::from_utf8).transpose();
    value.map_err(|_| unknown(name, "text"))
}

fn unknown(name: &str, known: &str) -> Failure {
    Failure::usage(format!("{name} in a PKCS#11 URI is one of: {known}"))
}
