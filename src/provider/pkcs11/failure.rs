//! What can be wrong between us and a token, each with what to do about it.
//!
//! Shows labels, ids, serial numbers, paths and codes; never a PIN and never a key. It knows nothing of how a failure
//! came about. Section "Keys in a hardware security module" of the [operations manual](crate::manual::operations).

use std::{fmt, io, path::PathBuf, sync::Arc};

use super::NAME;
use super::codes::{self, Fault, Purpose};
use crate::error::{ProviderError, ProviderErrorKind as Kind};

/// Why a PKCS#11 token did not do what it should: the source of every
/// [`ProviderError`](crate::ProviderError) of this provider.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Pkcs11Failure {
    /// A call of the module failed.
    #[error("{} in {call}", Code(*.code))]
    Call {
        /// The module's answer (`CKR_...`).
        code: u64,
        /// Which call.
        call: &'static str,
    },
    /// The module could not be loaded.
    #[error("PKCS#11 module {}: {what}", path.display())]
    Module {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// No token has all the attributes of the configuration.
    #[error("no token matches {wanted}; present: {}", List(present))]
    NoToken {
        /// What the configuration asks for.
        wanted: String,
        /// The tokens that are there.
        present: Vec<String>,
    },
    /// More than one token has them.
    #[error("several tokens match: {}; name one by token= and serial=", List(matching))]
    SeveralTokens {
        /// Those that match.
        matching: Vec<String>,
    },
    /// No key has the label, and the id where one is configured.
    #[error("the token has no key {wanted} that can be used here; of this label it has: {}", List(present))]
    NoKey {
        /// The key that was looked for.
        wanted: String,
        /// Keys of the same label.
        present: Vec<String>,
    },
    /// More than one key has them.
    #[error("several keys match: {}; name one by id=", List(matching))]
    SeveralKeys {
        /// Those that match.
        matching: Vec<String>,
    },
    /// A key that must not be used for this.
    #[error("key {key} cannot be used: {what}")]
    UnfitKey {
        /// The key.
        key: String,
        /// Why not.
        what: &'static str,
    },
    /// The token does not know the mechanism, or not for this.
    #[error("the token has no mechanism 0x{wanted:x} for this{hint}; it offers: {}", Numbers(offered))]
    NoMechanism {
        /// The mechanism's number.
        wanted: u64,
        /// What else may be meant.
        hint: &'static str,
        /// Every mechanism of the token.
        offered: Vec<u64>,
    },
    /// A key that is configured for two types of recipients at once.
    #[error("key \"{label}\" is in use for another type of recipient: an AES key is used for one type only")]
    TwoTypes {
        /// Its label.
        label: String,
    },
    /// The token wants a PIN and there is none.
    #[error("the token wants a PIN: name a file by pin-source=file:PATH")]
    NoPin,
    /// The PIN's file could not be read.
    #[error("PIN file {} cannot be read: {source}", path.display())]
    PinFile {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// Others may read the PIN.
    #[error("PIN file {} has mode {mode:04o}: its group or others may read it; run: chmod 600 {}", path.display(), path.display())]
    LoosePinFile {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A PIN that is empty, not UTF-8, or longer than any.
    #[error("the PIN is empty, longer than 1024 bytes, or not UTF-8")]
    BadPin,
    /// The callback that gives the PIN failed.
    #[error("the PIN could not be had from where the program takes it")]
    PinCallback,
    /// The token refused the PIN. It is not tried again until there is another one.
    #[error("the token refused the PIN ({}); it is not tried again until the PIN changes", Code(*.code))]
    PinRefused {
        /// The module's answer.
        code: u64,
    },
    /// The token is locked, or one wrong PIN from being locked.
    #[error("{what}; unlock it by hand, with the token's own tool")]
    PinLocked {
        /// Which of the two.
        what: &'static str,
    },
    /// The token gave something else than was asked for.
    #[error("{what}")]
    WrongAnswer {
        /// What it was.
        what: &'static str,
    },
    /// The wrap is damaged, of another key, or does not hold 32 bytes.
    #[error("the wrap is damaged or was made under another key")]
    BadWrap,
    /// The module does not come back from a call.
    #[error("the module hangs in a call and cannot be reset: restart the process")]
    Wedged,
    /// No answer before the deadline.
    #[error("no answer before the deadline")]
    Deadline,
    /// More calls wait than the configuration allows.
    #[error("too many calls are waiting for the token")]
    QueueFull,
    /// The process is a fork of the one in which the module was loaded.
    #[error("this process was forked from one in which the module is in use: it must be started anew (exec)")]
    Forked,
    /// The provider is being dropped.
    #[error("the provider was closed")]
    Closed,
    /// A thread could not be started.
    #[error("a worker thread could not be started: {source}")]
    Thread {
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// A key of that name is there already.
    #[error("the token has a key {name} already")]
    Taken {
        /// Its name.
        name: String,
    },
    /// A name that no key can have.
    #[error("a key's name is label/id, the id in lower-case hexadecimal digits, up to 2048 bytes")]
    BadName,
}

impl Pkcs11Failure {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Call { code, .. } => codes::kind(native(*code), Purpose::Other),
            Self::Module { .. }
            | Self::SeveralTokens { .. }
            | Self::SeveralKeys { .. }
            | Self::UnfitKey { .. }
            | Self::NoMechanism { .. }
            | Self::TwoTypes { .. }
            | Self::NoPin
            | Self::PinFile { .. }
            | Self::LoosePinFile { .. }
            | Self::BadPin
            | Self::WrongAnswer { .. }
            | Self::Forked
            | Self::Closed
            | Self::Taken { .. }
            | Self::BadName => Kind::Misconfigured,
            Self::NoToken { .. } | Self::PinCallback => Kind::Unavailable,
            Self::NoKey { .. } => Kind::NotFound,
            // It says nothing about the key, nor about who may use it.
            Self::PinRefused { .. } | Self::PinLocked { .. } => Kind::Credentials,
            Self::BadWrap => Kind::Rejected,
            Self::Wedged | Self::Deadline => Kind::Timeout,
            Self::QueueFull => Kind::Throttled,
            Self::Thread { .. } => Kind::Other,
        }
    }

    /// The failure as this provider's error.
    pub(super) fn into_error(self) -> ProviderError {
        ProviderError::new(self.kind(), NAME).with_source(self)
    }
}

impl From<Fault> for Pkcs11Failure {
    fn from(fault: Fault) -> Self {
        Self::Call { code: wide(fault.code), call: fault.call }
    }
}

/// A code as 64 bits, whatever the platform's `unsigned long` is.
#[allow(clippy::useless_conversion, reason = "32 bits wide on some platforms")]
pub(super) fn wide(code: cryptoki_sys::CK_ULONG) -> u64 {
    u64::from(code)
}

/// The platform's code, which this came from.
#[allow(clippy::unnecessary_fallible_conversions, reason = "32 bits wide on some platforms")]
pub(super) fn native(code: u64) -> cryptoki_sys::CK_ULONG {
    cryptoki_sys::CK_ULONG::try_from(code).unwrap_or(codes::SENSELESS)
}

/// `CKR_NAME (0x..)`.
struct Code(u64);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (native(self.0), codes::name(native(self.0))) {
            (codes::SENSELESS, _) => f.write_str("an answer that makes no sense"),
            (_, Some(name)) => write!(f, "{name} (0x{:x})", self.0),
            (_, None) => write!(f, "0x{:x}", self.0),
        }
    }
}

/// Names separated by commas, and no more of them than a line can show.
struct List<'l>(&'l [String]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        f.write_str(&self.0[..self.0.len().min(SHOWN)].join(", "))?;
        if self.0.len() > SHOWN { write!(f, " and {} more", self.0.len() - SHOWN) } else { Ok(()) }
    }
}

/// Mechanisms by their numbers.
struct Numbers<'l>(&'l [u64]);

impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(|number| format!("0x{number:x}")).collect();
        f.write_str(&numbers.join(" "))
    }
}

const SHOWN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_read_like_a_person_wrote_them() {
        let failure = Pkcs11Failure::from(Fault::code(0x30, "C_Encrypt"));
        assert_eq!(failure.to_string(), "CKR_DEVICE_ERROR (0x30) in C_Encrypt");
        let failure = Pkcs11Failure::from(Fault::code(0x8000_4321, "C_Login"));
        assert_eq!(failure.to_string(), "0x80004321 in C_Login");
        let failure = Pkcs11Failure::from(Fault::code(codes::SENSELESS, "C_GetTokenInfo"));
        assert_eq!(failure.to_string(), "an answer that makes no sense in C_GetTokenInfo");
        let names = |count: usize| (0..count).map(|n| format!("t{n}")).collect::<Vec<_>>();
        let failure = Pkcs11Failure::NoToken { wanted: "token=x".into(), present: names(0) };
        assert_eq!(failure.to_string(), "no token matches token=x; present: none");
        let failure = Pkcs11Failure::SeveralTokens { matching: names(18) };
        assert!(failure.to_string().contains("t15 and 2 more"), "{failure}");
        let failure = Pkcs11Failure::NoMechanism { wanted: 0x210b, hint: "", offered: vec![1, 0x1087] };
        assert!(failure.to_string().ends_with("it offers: 0x1 0x1087"), "{failure}");
        assert_eq!(failure.into_error().kind(), Kind::Misconfigured);
    }
}
