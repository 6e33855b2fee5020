//! The one token that a configuration means: found by whole attributes, refused where two fit.
//!
//! Slot numbers mean nothing for long, so a token is looked for again in every generation of its module. Knows slots and
//! sessions, and no keys. Section "Keys in a hardware security module" of the
//! [operations manual](crate::manual::operations).

use cryptoki::session::Session;
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki_sys as ck;

use super::codes::Fault;
use super::failure::{Pkcs11Failure, wide};
use super::module::Pass;
use super::uri::Pkcs11Uri;

/// A token in its slot, as it was when it was looked for.
#[derive(Debug, Clone)]
pub(super) struct Token {
    slot: Slot,
    info: TokenInfo,
    name: String,
}

impl Token {
    /// The one token that has all attributes that the URI has.
    pub(super) fn find(pass: &Pass<'_>, uri: &Pkcs11Uri) -> Result<Self, Pkcs11Failure> {
        let context = &pass.module.context;
        let slots = context.get_slots_with_token().map_err(|error| Fault::of(&error, "C_GetSlotList"))?;
        let (mut present, mut failed) = (Vec::new(), None);
        for slot in slots {
            match context.get_token_info(slot).map_err(|error| Fault::of(&error, "C_GetTokenInfo")) {
                Ok(info) if info.token_initialized() => present.push(Self::new(slot, info)),
                Ok(_) => {}
                // Another slot's trouble is no reason not to find ours.
                Err(fault) => failed = Some(fault),
            }
        }
        let (mut matching, others): (Vec<Self>, Vec<Self>) =
            present.into_iter().partition(|token| token.matches(uri));
        match (matching.len(), failed) {
            // The one that cannot be read may be the one that is meant: its PIN is not for another.
            (1, Some(fault)) if !uri.names_a_token() => Err(fault.into()),
            (1, _) => Ok(matching.remove(0)),
            (0, Some(fault)) => Err(fault.into()),
            (0, None) => Err(Pkcs11Failure::NoToken { wanted: wanted(uri), present: names(&others) }),
            _ => Err(Pkcs11Failure::SeveralTokens { matching: names(&matching) }),
        }
    }

    pub(super) fn new(slot: Slot, info: TokenInfo) -> Self {
        // What the standard pads with blanks; nothing else is taken off. Whoever set the token up chose the label, and it is
        // for logs and terminals.
        let shown = |text: &str| text.trim_end().escape_debug().to_string();
        let name = format!("\"{}\" (serial {})", shown(info.label()), shown(info.serial_number()));
        Self { slot, info, name }
    }

    pub(super) fn matches(&self, uri: &Pkcs11Uri) -> bool {
        let is =
            |wanted: Option<&str>, own: &str| wanted.is_none_or(|wanted| wanted.trim_end() == own.trim_end());
        is(uri.token(), self.info.label())
            && is(uri.serial(), self.info.serial_number())
            && is(uri.manufacturer(), self.info.manufacturer_id())
            && is(uri.model(), self.info.model())
            && uri.slot_id().is_none_or(|slot| slot == self.number())
    }

    /// Its label and serial number, as people see it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn info_slot(&self) -> Slot {
        self.slot
    }

    pub(super) fn slot(&self) -> ck::CK_SLOT_ID {
        self.slot.into()
    }

    pub(super) fn number(&self) -> u64 {
        wide(self.slot())
    }

    pub(super) fn wants_login(&self) -> bool {
        self.info.login_required()
    }

    /// Whether the PIN is typed on the token itself.
    pub(super) fn has_keypad(&self) -> bool {
        self.info.protected_authentication_path()
    }

    /// Why no PIN must be tried, if so.
    pub(super) fn lock_state(&self) -> Option<&'static str> {
        if self.info.user_pin_locked() {
            Some("the token is locked")
        } else if self.info.user_pin_final_try() {
            Some("one more wrong PIN would lock the token")
        } else {
            None
        }
    }

    /// A session that is closed by hand: dropped in a later generation it would close somebody else's.
    pub(super) fn open_session(&self, pass: &Pass<'_>, is_writing: bool) -> Result<Session, Fault> {
        let context = &pass.module.context;
        let opened = if is_writing {
            context.open_rw_session_no_drop(self.slot)
        } else {
            context.open_ro_session_no_drop(self.slot)
        };
        let fault = match opened.map_err(|error| Fault::of(&error, OPEN)) {
            Ok(session) => return Ok(session),
            Err(fault) => fault,
        };
        if is_writing || fault.code != ck::CKR_FUNCTION_FAILED {
            return Err(fault);
        }
        // Some modules have no read-only sessions, and say it like this.
        context.open_rw_session_no_drop(self.slot).map_err(|error| Fault::of(&error, OPEN))
    }
}

fn names(tokens: &[Token]) -> Vec<String> {
    tokens.iter().map(|token| token.name.clone()).collect()
}

/// What the URI says about the token.
fn wanted(uri: &Pkcs11Uri) -> String {
    let slot = uri.slot_id().map(|slot| slot.to_string());
    let parts = [
        ("token", uri.token()),
        ("serial", uri.serial()),
        ("manufacturer", uri.manufacturer()),
        ("model", uri.model()),
        ("slot-id", slot.as_deref()),
    ];
    let parts = parts.into_iter().filter_map(|(name, value)| Some(format!("{name}=\"{}\"", value?)));
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { "the configuration, which names none".to_owned() } else { parts.join(" ") }
}

const OPEN: &str = "C_OpenSession";
