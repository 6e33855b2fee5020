//! Keys in PKCS#11 tokens, named by URIs.

mod remedy;

use kuvert::ProviderError;
use kuvert::blocking::block_on;
use kuvert::provider::KeyProvider;
use kuvert::provider::pkcs11::{
    Pkcs11Builder, Pkcs11ConfigError, Pkcs11Failure, Pkcs11Fault, Pkcs11Options, Pkcs11Pin, Pkcs11Provider,
    Pkcs11Uri, Pkcs11Wrap,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

pub(crate) use self::remedy::{failure_of, of as remedy_of};
use super::Role;
use crate::failure::Failure;
use crate::{names, pin, remedy as remedies};

/// A key in a token, or with `hsm list` a token alone, as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HsmKey {
    uri: Pkcs11Uri,
    options: Pkcs11Options,
}

impl HsmKey {
    /// Of a URI that names a key. Nothing is loaded and nobody is asked.
    // fmt: T-21
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let key = Self::parse_any(text)?;
        let faults = key.builder(None)?.faults();
        if faults.is_empty() { Ok(key) } else { Err(faulty(&faults)) }
    }

    /// The same of a URI that may lack the key.
    pub(crate) fn parse_any(text: &str) -> Result<Self, Failure> {
        let uri: Pkcs11Uri = text.parse().map_err(|error: _| malformed(&error))?;
        let mut options = Pkcs11Options::default();
        options.uri = uri.to_string();
        // One message after the other: more sessions would have nothing to do.
        options.workers = 1;
        options.wrap = attribute(&uri, WRAP, WRAPS)?;
        options.iv = attribute(&uri, IV, IVS)?.unwrap_or_default();
        options.mechanism = uri.vendor_attribute(MECHANISM).map(number).transpose()?;
        Ok(Self { uri, options })
    }

    pub(crate) const fn uri(&self) -> &Pkcs11Uri {
        &self.uri
    }

    /// Another module, or the PIN's file.
    pub(crate) fn with(mut self, change: impl FnOnce(Pkcs11Uri) -> Pkcs11Uri) -> Self {
        self.uri = change(self.uri);
        self.options.uri = self.uri.to_string();
        self
    }

    /// With the PIN's file in the URI. One that is not there is told of when it is read.
    pub(crate) fn with_pin_file(self, file: Option<PathBuf>) -> Self {
        match file {
            Some(file) => self.with(|uri| uri.with_pin_file(file.canonicalize().unwrap_or(file))),
            None => self,
        }
    }

    pub(crate) fn with_wrap(mut self, wrap: Pkcs11Wrap) -> Self {
        self.options.wrap.get_or_insert(wrap);
        self
    }

    pub(crate) const fn wrap(&self) -> Option<Pkcs11Wrap> {
        self.options.wrap
    }

    /// The longest that a call takes.
    pub(crate) const fn deadline(&self) -> Duration {
        self.options.deadline
    }

    /// As it may be shown: a URI has no PIN.
    pub(crate) fn shown(&self) -> String {
        names::shown(&self.uri.to_string())
    }

    fn has_pin(&self) -> bool {
        self.uri.pin_file().is_some()
    }

    pub(crate) fn builder(&self, pin: Option<Arc<Zeroizing<String>>>) -> Result<Pkcs11Builder, Failure> {
        let builder = Pkcs11Builder::from_options(self.options.clone()).map_err(|error| malformed(&error))?;
        Ok(match pin {
            Some(pin) => builder.with_pin(move || Some(Pkcs11Pin::new(pin.as_str()))),
            None => builder,
        })
    }

    /// Does something with the token, once with no PIN but that of the file, and where that is needed once more with the
    /// one that somebody types.
    pub(crate) fn unlocked<T>(
        &self,
        mut attempt: impl FnMut(Pkcs11Builder) -> Result<Result<T, ProviderError>, Failure>,
    ) -> Result<T, Failure> {
        let error = match attempt(self.builder(None)?)? {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let wants_pin = matches!(failure_of(&error), Some(Pkcs11Failure::NoPin));
        let token = self.uri.token().or(self.uri.serial()).unwrap_or("the token");
        let typed = if wants_pin { pin::ask(&format!("PIN of {}: ", names::shown(token))) } else { None };
        let Some(typed) = typed else { return Err(cannot_be_asked(&error)) };
        attempt(self.builder(Some(Arc::new(typed)))?)?.map_err(|error| cannot_be_asked(&error))
    }
}

/// Whether this build has them.
#[allow(clippy::unnecessary_wraps, reason = "a build without PKCS#11 fails here")]
pub(super) const fn is_there() -> Result<(), Failure> {
    Ok(())
}

/// A provider for one key. Where nobody has to be asked for a PIN, the token is asked when there is something to do.
pub(super) fn provider(key: &HsmKey, role: Role) -> Result<Arc<dyn KeyProvider>, Failure> {
    let built = match role {
        _ if !key.has_pin() && pin::can_ask() => return Ok(Arc::new(connect(key)?)),
        Role::Opens => key.builder(None)?.build_to_open(),
        // What stands in messages is known without the token.
        _ if key.uri.id().is_some() && key.wrap().is_some() => key.builder(None)?.build(),
        _ => return Ok(Arc::new(connect(key)?)),
    };
    Ok(Arc::new(built.map_err(|error| misconfigured(&error))?))
}

/// A provider that has found its key.
pub(crate) fn connect(key: &HsmKey) -> Result<Pkcs11Provider, Failure> {
    key.unlocked(|builder| run(builder.connect()))
}

/// Whoever may destroy keys in the token of this one. Its PIN is in a file: nobody types it twice.
#[cfg(feature = "sqlite")]
pub(super) fn custody(key: &HsmKey) -> Result<super::Custody, Failure> {
    let (Some(label), Some(id)) = (key.uri.object(), key.uri.id()) else {
        return Err(Failure::usage("a key that is to be destroyed is named by object= and by id="));
    };
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let id = format!("{label}/{hex}");
    let custodian = key.builder(None)?.custodian().map_err(|error| misconfigured(&error))?;
    let holder = Some(provider(key, Role::Opens)?);
    Ok(super::Custody { id, custodian: Arc::new(custodian), holder })
}

/// What an operator should know about a key.
pub(super) fn warnings(key: &HsmKey) -> Vec<String> {
    // That it cannot be asked is told already.
    let Ok(provider) = connect(key) else { return Vec::new() };
    block_on(provider.report()).map_or_else(|_| Vec::new(), |report| report.warnings)
}

/// Waits for the token.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    block_on(future).map_err(|error| Failure::new(kuvert::Category::Io, error.to_string()))
}

pub(crate) fn misconfigured(error: &Pkcs11ConfigError) -> Failure {
    faulty(error.faults())
}

/// A token that does not answer, or that cannot be used as it is: key unavailable, whatever it is about it. That a new
/// key's name is taken is a matter of the call.
// fmt: T-20
pub(crate) fn cannot_be_asked(error: &ProviderError) -> Failure {
    let is_taken = matches!(failure_of(error), Some(Pkcs11Failure::Taken { .. }));
    let category = if is_taken { error.category() } else { remedies::category(error) };
    remedies::advise(Failure::new(category, error.to_string()), [error])
}

fn faulty(faults: &[Pkcs11Fault]) -> Failure {
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    Failure::usage(format!("a PKCS#11 key cannot be used as it is named: {}", told.join("; ")))
        .advise(format!("such as '{EXAMPLE}'"))
}

fn malformed(error: &kuvert::provider::pkcs11::Pkcs11UriError) -> Failure {
    Failure::usage(error.to_string()).advise(format!("a key in a token is named like '{EXAMPLE}'"))
}

/// The value of one of our attributes, by the names that configurations have for it.
fn attribute<T: for<'de> serde::Deserialize<'de>>(
    uri: &Pkcs11Uri,
    name: &str,
    values: &str,
) -> Result<Option<T>, Failure> {
    let Some(value) = uri.vendor_attribute(name) else { return Ok(None) };
    let value = serde_json::Value::String(String::from_utf8_lossy(value).into_owned());
    let known = serde_json::from_value(value);
    known.map(Some).map_err(|_| Failure::usage(format!("PKCS#11 URI: {name} is one of {values}")))
}

fn number(value: &[u8]) -> Result<u64, Failure> {
    let text = String::from_utf8_lossy(value);
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| Failure::usage(format!("PKCS#11 URI: {MECHANISM} is a number, such as 0x210a")))
}

const WRAP: &str = "x-wrap";
const IV: &str = "x-iv";
const MECHANISM: &str = "x-mechanism";
const WRAPS: &str = "aes-kwp, aes-gcm, rsa-oaep-sha256 and rsa-oaep-sha1";
const IVS: &str = "host, in-place, appended-12 and appended-16";
const EXAMPLE: &str = "pkcs11:token=prod;object=kek;id=%01?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/kuvert/pin";
