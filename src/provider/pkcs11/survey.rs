//! What a module has: its tokens, and the keys of one of them that could wrap. For whoever sets a token up.
//!
//! Tokens are looked at without a login; keys are shown to who is logged in. Knows attributes, and wraps nothing. Section
//! "Keys in a hardware security module" of the [operations manual](crate::manual::operations).

use cryptoki::context::Info;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use cryptoki_sys as ck;

use super::codes::Fault;
use super::failure::{Pkcs11Failure, wide};
use super::health::TokenFacts;
use super::keys::{self, KeyFacts, KeySort};
use super::method::{Method, Trouble};
use super::module::Pass;
use super::options::{GcmIv, Pkcs11Wrap};
use super::task::{Answer, Task};
use super::token::Token;
use super::worker::Worker;
use super::{Pkcs11Builder, Pkcs11ConfigError, Pkcs11Provider};
use crate::error::ProviderError;

/// Looks at the tokens of a module and at their keys, without a key that is used.
///
/// Made by [`Pkcs11Builder::surveyor`].
#[derive(Debug, Clone)]
pub struct Pkcs11Surveyor {
    provider: Pkcs11Provider,
}

/// A token in one of a module's slots.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenEntry {
    /// The slot's number, which may be another one after the next start.
    pub slot: u64,
    /// What it says of itself.
    pub facts: TokenFacts,
    /// Whether its keys are shown to nobody without a login.
    pub wants_login: bool,
    /// Whether the configuration's attributes fit it.
    pub is_chosen: bool,
    /// The numbers of the mechanisms that it offers.
    pub mechanisms: Vec<u64>,
}

/// What the slots of a module hold.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TokenSurvey {
    /// Tokens that were set up.
    pub tokens: Vec<TokenEntry>,
    /// Slots with a token that says nothing of itself: one does not keep the others from being listed.
    pub unreadable: Vec<UnreadableSlot>,
}

/// A slot whose token could not be asked.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UnreadableSlot {
    /// Its number.
    pub slot: u64,
    /// What the module said.
    pub failure: Pkcs11Failure,
}

/// An AES or RSA key of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyEntry {
    /// Its label.
    pub label: String,
    /// Its id.
    pub id: Vec<u8>,
    /// Whether it is an RSA key; else it is an AES key.
    pub is_rsa: bool,
    /// Its length.
    pub bits: usize,
    /// Whether it cannot be read.
    pub is_sensitive: bool,
    /// Whether it can be taken out, wrapped.
    pub is_extractable: bool,
    /// Whether it never could be taken out, as the token says; `None` if it does not.
    pub was_never_extractable: Option<bool>,
    /// How this provider can wrap under it.
    pub wraps: Vec<Pkcs11Wrap>,
    /// What an operator should know about it.
    pub warnings: Vec<&'static str>,
}

impl Pkcs11Builder {
    /// Who looks at the tokens of the module: no key needs to be named.
    ///
    /// # Errors
    ///
    /// Everything else that is wrong with the configuration.
    pub fn surveyor(self) -> Result<Pkcs11Surveyor, Pkcs11ConfigError> {
        Ok(Pkcs11Surveyor { provider: self.for_the_token()? })
    }
}

impl Pkcs11Surveyor {
    /// The module's tokens. No PIN is used.
    ///
    /// # Errors
    ///
    /// Why the module, or its only token, could not be asked.
    pub async fn tokens(&self) -> Result<TokenSurvey, ProviderError> {
        match self.provider.ask(Task::Tokens, Some("")).await? {
            Answer::Tokens(tokens) => Ok(tokens),
            _ => Err(Pkcs11Failure::Closed.into_error()),
        }
    }

    /// The AES and RSA keys of the one token that the configuration means, whatever they are for; logs in.
    ///
    /// # Errors
    ///
    /// Why the token could not be asked.
    pub async fn keys(&self) -> Result<Vec<KeyEntry>, ProviderError> {
        match self.provider.ask(Task::Keys, Some("")).await? {
            Answer::Keys(keys) => Ok(keys),
            _ => Err(Pkcs11Failure::Closed.into_error()),
        }
    }
}

impl Worker {
    pub(super) fn tokens(&self, pass: &Pass<'_>) -> Result<TokenSurvey, Trouble> {
        let context = &pass.module.context;
        let library = context.get_library_info().map_err(|error| Fault::of(&error, "C_GetInfo"))?;
        let slots = context.get_slots_with_token().map_err(|error| Fault::of(&error, "C_GetSlotList"))?;
        let mut survey = TokenSurvey { tokens: Vec::new(), unreadable: Vec::new() };
        let mut first = None;
        for slot in slots {
            match self.token_in(pass, &library, slot) {
                Ok(Some(token)) => survey.tokens.push(token),
                Ok(None) => {}
                // It was pulled out just now.
                Err(fault) if fault.code == ck::CKR_TOKEN_NOT_PRESENT => {}
                Err(fault) => {
                    first.get_or_insert(fault);
                    let slot = wide(slot.into());
                    survey.unreadable.push(UnreadableSlot { slot, failure: fault.into() });
                }
            }
        }
        match first {
            // None can be read: it is rather about the module, which can be mended.
            Some(fault) if survey.tokens.is_empty() => Err(fault.into()),
            _ => Ok(survey),
        }
    }

    fn token_in(&self, pass: &Pass<'_>, library: &Info, slot: Slot) -> Result<Option<TokenEntry>, Fault> {
        let info = pass.module.context.get_token_info(slot);
        let info = info.map_err(|error| Fault::of(&error, "C_GetTokenInfo"))?;
        if !info.token_initialized() {
            return Ok(None);
        }
        let facts = TokenFacts::new(&info, library);
        let token = Token::new(slot, info);
        let mechanisms = pass.module.calls.mechanisms(token.slot())?;
        Ok(Some(TokenEntry {
            slot: token.number(),
            facts,
            wants_login: token.wants_login(),
            is_chosen: token.matches(&self.shared.uri),
            mechanisms: mechanisms.into_iter().map(wide).collect(),
        }))
    }

    pub(super) fn keys(&mut self, pass: &Pass<'_>) -> Result<Vec<KeyEntry>, Trouble> {
        let mechanism = self.shared.options.mechanism;
        let (session, token) = self.session(pass, false)?;
        let mut entries = Vec::new();
        for sort in [KeySort::Aes, KeySort::Rsa] {
            let found = session.find_objects(&sort.template());
            let found = found.map_err(|error| Fault::of(&error, "C_FindObjects"))?;
            for handle in found {
                let facts = keys::facts(session, sort, handle)?;
                let label = label(session, handle)?;
                let wraps = ways(sort)
                    .into_iter()
                    .filter(|wrap| can(pass, token, &facts, *wrap, mechanism))
                    .collect();
                entries.push(entry(facts, label, never_extractable(session, handle), wraps));
            }
        }
        entries.sort_by(|one, other| (&one.label, &one.id).cmp(&(&other.label, &other.id)));
        Ok(entries)
    }
}

fn entry(
    facts: KeyFacts,
    label: String,
    was_never_extractable: Option<bool>,
    wraps: Vec<Pkcs11Wrap>,
) -> KeyEntry {
    let warnings = facts.fault().into_iter().chain(facts.warnings()).collect();
    KeyEntry {
        label,
        is_rsa: facts.sort == KeySort::Rsa,
        bits: facts.len * 8,
        is_sensitive: facts.is_sensitive,
        is_extractable: facts.is_extractable,
        was_never_extractable,
        wraps,
        warnings,
        id: facts.id,
    }
}

/// Whether a provider would wrap like this. A mechanism of another number than the standard's is the configuration's.
fn can(pass: &Pass<'_>, token: &Token, key: &KeyFacts, wrap: Pkcs11Wrap, mechanism: Option<u64>) -> bool {
    let with = |number| Method::choose(pass, token, key, "", Some(wrap), (number, GcmIv::Host)).is_ok();
    with(None) || mechanism.is_some_and(|number| wrap == Pkcs11Wrap::AesKwp && with(Some(number)))
}

const fn ways(sort: KeySort) -> [Pkcs11Wrap; 2] {
    match sort {
        KeySort::Aes => [Pkcs11Wrap::AesKwp, Pkcs11Wrap::AesGcm],
        KeySort::Rsa => [Pkcs11Wrap::RsaOaepSha256, Pkcs11Wrap::RsaOaepSha1],
    }
}

fn label(session: &Session, handle: ObjectHandle) -> Result<String, Fault> {
    let found = keys::attributes(session, handle, &[AttributeType::Label])?;
    Ok(match found.first() {
        Some(Attribute::Label(label)) => String::from_utf8_lossy(label).into_owned(),
        _ => String::new(),
    })
}

fn never_extractable(session: &Session, handle: ObjectHandle) -> Option<bool> {
    // Some tokens do not say.
    let found = keys::attributes(session, handle, &[AttributeType::NeverExtractable]).ok()?;
    match found.first() {
        Some(Attribute::NeverExtractable(never)) => Some(*never),
        _ => None,
    }
}
