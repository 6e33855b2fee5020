//! PKCS#11 URIs (RFC 7512): which module, token and key, and where the PIN is.
//!
//! A reader of its own, since a URI comes from configuration files and command lines: it says where a fault is, and
//! never repeats a PIN. It knows text only, and no module. Section "Keys in a hardware security module" of the
//! [operations manual](crate::manual::operations).

#[cfg(test)]
mod tests;

use std::{fmt, path::Path, path::PathBuf, str::FromStr};

use crate::error::Category;

/// One key in a token, named by the attributes of RFC 7512. Every attribute that is given must match.
///
/// Written as a URI or built by hand; both forms say the same.
///
/// # Security
///
/// A PIN does not belong in a URI, which ends up in process lists and logs: `pin-value` is refused. `pin-source` names
/// a file, which only its owner may read.
///
/// # Examples
///
/// ```
/// use kuvert::provider::pkcs11::Pkcs11Uri;
///
/// let uri: Pkcs11Uri = "pkcs11:token=prod;object=kuvert-kek;id=%01\
///     ?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/secrets/pin".parse()?;
/// assert_eq!(uri.id(), Some(&[1][..]));
/// let built = Pkcs11Uri::new("/usr/lib/softhsm/libsofthsm2.so", "kuvert-kek")
///     .with_token("prod")
///     .with_id([1])
///     .with_pin_file("/run/secrets/pin");
/// assert_eq!(built, uri);
///
/// let error = "pkcs11:token=prod;pin-value=1234".parse::<Pkcs11Uri>().unwrap_err();
/// assert_eq!(error.position(), 18);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pkcs11Uri {
    token: Option<String>,
    serial: Option<String>,
    manufacturer: Option<String>,
    model: Option<String>,
    slot_id: Option<u64>,
    object: Option<String>,
    id: Option<Vec<u8>>,
    class: Option<KeyClass>,
    module_path: Option<PathBuf>,
    pin_file: Option<PathBuf>,
    vendor: Vec<(String, Vec<u8>)>,
}

/// What the attribute `type` says the key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyClass {
    Secret,
    Private,
    Public,
}

impl Pkcs11Uri {
    /// The key of this label, in a token of the module in this file.
    #[must_use]
    pub fn new(module_path: impl Into<PathBuf>, object: impl Into<String>) -> Self {
        Self { module_path: Some(module_path.into()), object: Some(object.into()), ..Self::default() }
    }

    /// The token's label, whole.
    #[must_use]
    pub fn with_token(mut self, label: impl Into<String>) -> Self {
        self.token = Some(label.into());
        self
    }

    /// The token's serial number.
    #[must_use]
    pub fn with_serial(mut self, serial: impl Into<String>) -> Self {
        self.serial = Some(serial.into());
        self
    }

    /// The key's id (`CKA_ID`): which version of the key seals.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<Vec<u8>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The file in which the PIN is.
    #[must_use]
    pub fn with_pin_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.pin_file = Some(path.into());
        self
    }

    /// The module's file.
    #[must_use]
    pub fn module_path(&self) -> Option<&Path> {
        self.module_path.as_deref()
    }

    /// The label of the key.
    #[must_use]
    pub fn object(&self) -> Option<&str> {
        self.object.as_deref()
    }

    /// The id of the key.
    #[must_use]
    pub fn id(&self) -> Option<&[u8]> {
        self.id.as_deref()
    }

    /// The label of the token.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Whether it says which token is meant, by what only one should have.
    #[must_use]
    pub fn names_a_token(&self) -> bool {
        self.token().is_some() || self.serial().is_some() || self.slot_id().is_some()
    }

    /// The serial number of the token.
    #[must_use]
    pub fn serial(&self) -> Option<&str> {
        self.serial.as_deref()
    }

    /// The file in which the PIN is.
    #[must_use]
    pub fn pin_file(&self) -> Option<&Path> {
        self.pin_file.as_deref()
    }

    /// The value of a vendor's own attribute (`x-...`), which means nothing here.
    #[must_use]
    pub fn vendor_attribute(&self, name: &str) -> Option<&[u8]> {
        self.vendor.iter().find(|(own, _)| own == name).map(|(_, value)| &value[..])
    }

    /// A label that no key has, for what needs none.
    pub(super) fn with_any_object(mut self) -> Self {
        self.object = Some(String::new());
        self
    }

    pub(super) fn manufacturer(&self) -> Option<&str> {
        self.manufacturer.as_deref()
    }

    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    pub(super) fn slot_id(&self) -> Option<u64> {
        self.slot_id
    }

    pub(super) fn class(&self) -> Option<KeyClass> {
        self.class
    }

    /// Takes one attribute whose value is decoded.
    fn set(&mut self, name: &str, value: Vec<u8>) -> Result<(), UriFault> {
        match name {
            "token" => put(&mut self.token, text(value)?),
            "serial" => put(&mut self.serial, text(value)?),
            "manufacturer" => put(&mut self.manufacturer, text(value)?),
            "model" => put(&mut self.model, text(value)?),
            "object" => put(&mut self.object, some(text(value)?)?),
            "id" => put(&mut self.id, some(value)?),
            "slot-id" => put(&mut self.slot_id, text(value)?.parse().map_err(|_| UriFault::NoNumber)?),
            "type" => put(&mut self.class, class(&value)?),
            "module-path" => put(&mut self.module_path, some(text(value)?)?.into()),
            "pin-source" => put(&mut self.pin_file, pin_file(&text(value)?)?),
            "pin-value" => Err(UriFault::Pin),
            "module-name" => Err(UriFault::ModuleName),
            _ if UNSUPPORTED.contains(&name) => Err(UriFault::Unsupported),
            _ if name.starts_with("x-") => {
                if self.vendor_attribute(name).is_some() {
                    return Err(UriFault::Twice);
                }
                self.vendor.push((name.to_owned(), value));
                Ok(())
            }
            _ => Err(UriFault::Unknown),
        }
    }

    /// Takes one `name=value`, which starts at byte `at`.
    fn take(&mut self, attribute: &str, at: usize) -> Result<(), Pkcs11UriError> {
        let fault = |fault| Pkcs11UriError { position: at, fault };
        let (name, value) = attribute.split_once('=').ok_or_else(|| fault(UriFault::NoValue))?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(fault(UriFault::Name));
        }
        // Before its value is looked at: a fault in there would say where the PIN has which character.
        if name == "pin-value" {
            return Err(fault(UriFault::Pin));
        }
        let value = decode(value, at + name.len() + 1)?;
        self.set(name, value).map_err(fault)
    }
}

impl FromStr for Pkcs11Uri {
    type Err = Pkcs11UriError;

    fn from_str(uri: &str) -> Result<Self, Pkcs11UriError> {
        let start = SCHEME.len();
        match uri.get(..start) {
            Some(scheme) if scheme.eq_ignore_ascii_case(SCHEME) => {}
            _ => return Err(Pkcs11UriError { position: 0, fault: UriFault::Scheme }),
        }
        let (path, query) = match uri[start..].split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&uri[start..], None),
        };
        let mut parsed = Self::default();
        let parts = [(path, ';', start), (query.unwrap_or_default(), '&', start + path.len() + 1)];
        for (text, separator, mut at) in parts {
            if text.is_empty() {
                continue;
            }
            for attribute in text.split(separator) {
                parsed.take(attribute, at)?;
                at += attribute.len() + 1;
            }
        }
        Ok(parsed)
    }
}

/// The URI, in the order of RFC 7512's own examples.
impl fmt::Display for Pkcs11Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slot = self.slot_id.map(|slot| slot.to_string());
        let class = self.class.map(|class| match class {
            KeyClass::Secret => "secret-key",
            KeyClass::Private => "private",
            KeyClass::Public => "public",
        });
        let own = [
            ("token", self.token.as_deref()),
            ("manufacturer", self.manufacturer.as_deref()),
            ("serial", self.serial.as_deref()),
            ("model", self.model.as_deref()),
            ("slot-id", slot.as_deref()),
            ("object", self.object.as_deref()),
            ("type", class),
        ];
        let own = own.into_iter().filter_map(|(name, value)| Some((name, value?.as_bytes())));
        let id = self.id.as_deref().map(|id| ("id", id));
        let vendor = self.vendor.iter().map(|(name, value)| (name.as_str(), &value[..]));
        f.write_str(SCHEME)?;
        for (number, (name, value)) in own.chain(id).chain(vendor).enumerate() {
            write!(f, "{}{name}={}", if number == 0 { "" } else { ";" }, Encoded(value, name == "id"))?;
        }
        let module = self.module_path.as_deref().map(|path| ("module-path=", path));
        // After the scheme, two slashes would begin a host.
        let has_host = |path: &Path| path.as_os_str().as_encoded_bytes().starts_with(b"//");
        let scheme = |path| if has_host(path) { "pin-source=" } else { "pin-source=file:" };
        let pin = self.pin_file.as_deref().map(|path| (scheme(path), path));
        for (number, (name, path)) in module.into_iter().chain(pin).enumerate() {
            let path = path.to_string_lossy();
            write!(f, "{}{name}{}", if number == 0 { '?' } else { '&' }, Encoded(path.as_bytes(), false))?;
        }
        Ok(())
    }
}

/// What is wrong with a PKCS#11 URI, and where. Repeats nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pkcs11UriError {
    position: usize,
    fault: UriFault,
}

impl Pkcs11UriError {
    /// The byte at which the fault stands, or the attribute that has it begins, from 0.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// What is wrong there.
    #[must_use]
    pub const fn fault(&self) -> UriFault {
        self.fault
    }

    /// [`Category::Usage`].
    #[must_use]
    pub const fn category(&self) -> Category {
        Category::Usage
    }
}

impl fmt::Display for Pkcs11UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PKCS#11 URI, at byte {}: {}", self.position, self.fault)
    }
}

impl std::error::Error for Pkcs11UriError {}

/// One fault of a PKCS#11 URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriFault {
    /// Another scheme, or none.
    #[error("it does not begin with \"pkcs11:\"")]
    Scheme,
    /// An attribute without `=`, or between two separators nothing at all.
    #[error("an attribute is written name=value")]
    NoValue,
    /// A name with characters that names do not have.
    #[error("an attribute's name has characters other than A-Z a-z 0-9 - _")]
    Name,
    /// A name that RFC 7512 does not have.
    #[error("RFC 7512 has no such attribute; a vendor's own begins with \"x-\"")]
    Unknown,
    /// An attribute that would narrow the choice in a way that is not offered.
    #[error("this attribute is not supported: choose by token, serial, manufacturer, model, object and id")]
    Unsupported,
    /// The same attribute again.
    #[error("the attribute stands there twice")]
    Twice,
    /// A percent sign without two hexadecimal digits.
    #[error("\"%\" is followed by two hexadecimal digits")]
    Percent,
    /// A character that must be written with a percent sign.
    #[error("this character must be written as % and two hexadecimal digits")]
    Character,
    /// Text that is not UTF-8.
    #[error("the value is not UTF-8")]
    NotUtf8,
    /// A label, an id or a path that is empty.
    #[error("the value is empty")]
    Empty,
    /// A slot number that is none.
    #[error("the value is not a number")]
    NoNumber,
    /// A `type` other than of keys.
    #[error("the type of a key is secret-key, private or public")]
    Type,
    /// A PIN in the URI.
    #[error(
        "a PIN does not belong here, where logs show it: put it into a file and name that by pin-source=file:PATH"
    )]
    Pin,
    /// A source of the PIN that is no file.
    #[error("the PIN is read from a file, named as file:PATH; commands and other schemes are not supported")]
    PinSource,
    /// A module named by something other than its file.
    #[error("name the module's file by module-path=PATH")]
    ModuleName,
}

fn put<T>(place: &mut Option<T>, value: T) -> Result<(), UriFault> {
    match place.replace(value) {
        Some(_) => Err(UriFault::Twice),
        None => Ok(()),
    }
}

fn text(value: Vec<u8>) -> Result<String, UriFault> {
    String::from_utf8(value).map_err(|_| UriFault::NotUtf8)
}

fn some<T: AsRef<[u8]>>(value: T) -> Result<T, UriFault> {
    if value.as_ref().is_empty() { Err(UriFault::Empty) } else { Ok(value) }
}

fn class(value: &[u8]) -> Result<KeyClass, UriFault> {
    match value {
        b"secret-key" => Ok(KeyClass::Secret),
        b"private" => Ok(KeyClass::Private),
        b"public" => Ok(KeyClass::Public),
        _ => Err(UriFault::Type),
    }
}

/// `file:PATH`, `file://` with an empty host and an absolute path, or a path alone.
fn pin_file(source: &str) -> Result<PathBuf, UriFault> {
    let path = match source.split_once(':') {
        Some((scheme, path)) if scheme.eq_ignore_ascii_case("file") => match path.strip_prefix("//") {
            Some(path) if path.starts_with('/') => path,
            Some(_) => return Err(UriFault::PinSource),
            None => path,
        },
        Some((scheme, _)) if !scheme.contains('/') => return Err(UriFault::PinSource),
        _ if source.starts_with('|') => return Err(UriFault::PinSource),
        _ => source,
    };
    some(path.to_owned()).map(PathBuf::from)
}

/// The bytes that stand at `at` in percent-encoding.
fn decode(value: &str, at: usize) -> Result<Vec<u8>, Pkcs11UriError> {
    let bytes = value.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut next = 0;
    while let Some(&byte) = bytes.get(next) {
        let fault = |fault| Pkcs11UriError { position: at + next, fault };
        match byte {
            b'%' => {
                let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
                let (high, low) =
                    digit(next + 1).zip(digit(next + 2)).ok_or_else(|| fault(UriFault::Percent))?;
                // Two hexadecimal digits are a byte.
                decoded.push(u8::try_from(high << 4 | low).unwrap_or_default());
                next += 3;
            }
            b'#' | b';' | b'?' => return Err(fault(UriFault::Character)),
            _ if byte.is_ascii_graphic() => {
                decoded.push(byte);
                next += 1;
            }
            _ => return Err(fault(UriFault::Character)),
        }
    }
    Ok(decoded)
}

/// Bytes in percent-encoding: all of them, or those that have to be.
struct Encoded<'b>(&'b [u8], bool);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| {
            if !self.1 && (byte.is_ascii_alphanumeric() || b"-._~/:@+,".contains(&byte)) {
                write!(f, "{}", char::from(byte))
            } else {
                write!(f, "%{byte:02x}")
            }
        })
    }
}

const SCHEME: &str = "pkcs11:";
/// Attributes of RFC 7512 by which nothing is chosen here.
const UNSUPPORTED: [&str; 5] = [
    "library-manufacturer",
    "library-version",
    "library-description",
    "slot-manufacturer",
    "slot-description",
];
