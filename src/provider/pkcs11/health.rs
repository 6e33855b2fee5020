//! How a token fares: for status pages, and for `check`.
//!
//! Knows what was found out, and calls nobody. Section "Keys in a hardware security module" of the
//! [operations manual](crate::manual::operations).

use std::time::Duration;

use cryptoki::context::Info;
use cryptoki::slot::TokenInfo;

use super::failure::Pkcs11Failure;

/// Whether a token can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pkcs11State {
    /// Calls are made.
    Up,
    /// The module is being reset, or could not be initialised; it is tried again.
    Down,
    /// The module does not come back from its calls: the process must be restarted.
    Wedged,
}

/// What is known about a token and its keys. Nothing secret.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Pkcs11Report {
    /// Whether it can be used.
    pub state: Pkcs11State,
    /// How often the module was initialised, by this process; 0 before the first use.
    pub generation: u64,
    /// The last failure that was not a bad wrap, and how long ago it was.
    pub last_failure: Option<(Pkcs11Failure, Duration)>,
    /// Worker threads, each with a session of its own.
    pub workers: usize,
    /// Calls that wait for one.
    pub waiting: usize,
    /// The name of the key that seals, as recipients carry it.
    pub key: Option<String>,
    /// The number of the mechanism.
    pub mechanism: Option<u64>,
    /// Data keys wrapped and unwrapped. Under one AES-GCM key at most 2^32 should ever be wrapped.
    pub wraps: u64,
    /// Data keys unwrapped.
    pub unwraps: u64,
    /// What an operator should know about the keys.
    pub warnings: Vec<String>,
    /// What the token says of itself, unless it could not be asked.
    pub token: Option<TokenFacts>,
}

/// What a token says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenFacts {
    /// Its label.
    pub label: String,
    /// Its serial number.
    pub serial: String,
    /// Who made it, and which model it is.
    pub model: String,
    /// The library: its description and version.
    pub library: String,
    /// Whether a wrong PIN was tried since the last right one.
    pub is_pin_count_low: bool,
    /// Whether one more wrong PIN locks it.
    pub is_pin_final_try: bool,
    /// Whether it is locked.
    pub is_pin_locked: bool,
}

impl TokenFacts {
    pub(super) fn new(token: &TokenInfo, library: &Info) -> Self {
        let text = |text: &str| text.trim_end().to_owned();
        let version = library.library_version();
        Self {
            label: text(token.label()),
            serial: text(token.serial_number()),
            model: format!("{} {}", token.manufacturer_id().trim_end(), token.model().trim_end()),
            library: format!(
                "{} {}.{}",
                library.library_description().trim_end(),
                version.major(),
                version.minor()
            ),
            is_pin_count_low: token.user_pin_count_low(),
            is_pin_final_try: token.user_pin_final_try(),
            is_pin_locked: token.user_pin_locked(),
        }
    }
}
