//! The provider's options as a configuration file can hold them. A PIN is never among them, only its file.
//!
//! In code, the builder has a method for each; a callback for the PIN, the clock and the like exist there only.

use std::{path::PathBuf, time::Duration};

#[cfg(feature = "serde")]
use crate::provider::duration_text;

/// How a [`Pkcs11Provider`](super::Pkcs11Provider) is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct Pkcs11Options {
    /// Module, token and key, as a [`Pkcs11Uri`](super::Pkcs11Uri).
    pub uri: String,
    /// The file in which the PIN is, in place of the URI's `pin-source`.
    pub pin_file: Option<PathBuf>,
    /// How data keys are wrapped. Default: what suits the key, `aes-gcm` or `rsa-oaep-sha256`.
    pub wrap: Option<Pkcs11Wrap>,
    /// Who chooses the IV of `aes-gcm`. Default: this side.
    pub iv: GcmIv,
    /// The number of the mechanism, where the token has another one for the same format.
    pub mechanism: Option<u64>,
    /// Whether every wrap that the token makes is unwrapped at once and compared. Default: yes.
    pub verify_wraps: bool,
    /// Whether the token takes part in making data keys. Default: no.
    pub token_randomness: bool,
    /// Threads, with a session each, that make calls: as many as may be in the module at once. Default: 4.
    pub workers: u8,
    /// Calls that may wait for them. Default: 4096.
    pub queue: usize,
    /// The longest a call may take, with waiting. Default: 10 seconds.
    #[cfg_attr(feature = "serde", serde(with = "duration_text"))]
    pub deadline: Duration,
    /// The longest to wait for calls under way before the module is reset. Default: 5 seconds.
    #[cfg_attr(feature = "serde", serde(with = "duration_text"))]
    pub quiesce: Duration,
    /// What the module's vendor wants to be told when it is initialised (`pReserved`), such as its configuration.
    pub init_args: Option<String>,
}

impl Default for Pkcs11Options {
    fn default() -> Self {
        Self {
            uri: String::new(),
            pin_file: None,
            wrap: None,
            iv: GcmIv::Host,
            mechanism: None,
            verify_wraps: true,
            token_randomness: false,
            workers: 4,
            queue: 4096,
            deadline: Duration::from_secs(10),
            quiesce: Duration::from_secs(5),
            init_args: None,
        }
    }
}

/// How a token wraps data keys: which type of recipients it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Pkcs11Wrap {
    /// AES key wrap with padding (RFC 5649): type 0x0001, the same as a key file's.
    AesKwp,
    /// AES-GCM: type 0x0002.
    AesGcm,
    /// RSA-OAEP with SHA-256, wrapped on this side: type 0x0003.
    RsaOaepSha256,
    /// RSA-OAEP with SHA-1, for tokens that know no other: type 0x0004.
    RsaOaepSha1,
}

/// Who chooses the IV of AES-GCM. Modules differ, and taking one for another makes wraps with an IV of zeros: the
/// provider refuses those, and never guesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum GcmIv {
    /// This side, 12 random bytes. Right for most.
    #[default]
    Host,
    /// The module, which writes it over 12 zeros (AWS CloudHSM).
    InPlace,
    /// The module, which appends 12 bytes to what it encrypted.
    #[cfg_attr(feature = "serde", serde(rename = "appended-12"))]
    Appended12,
    /// The module, which appends 16 bytes to what it encrypted (Thales Luna in FIPS mode).
    #[cfg_attr(feature = "serde", serde(rename = "appended-16"))]
    Appended16,
}

impl GcmIv {
    pub(super) const fn appended(self) -> usize {
        match self {
            Self::Host | Self::InPlace => 0,
            Self::Appended12 => 12,
            Self::Appended16 => 16,
        }
    }

    pub(super) const fn is_appended(self) -> bool {
        self.appended() > 0
    }
}
