//! Being logged in: one session a token that stays open for the whole generation, and PINs that were refused.
//!
//! A login counts for all sessions of the process, and ends with the last of them: the anchor. Whoever logs in holds the
//! lock, so that a wrong PIN is tried once by however many. Section "Keys in a hardware security module" of the
//! [operations manual](crate::manual::operations).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use cryptoki::session::{Session, SessionState, UserType};
use cryptoki_sys as ck;

use super::codes::{self, Fault};
use super::failure::{Pkcs11Failure, wide};
use super::module::{Pass, Stamped};
use super::pin::{Fingerprint, PinSource, Pkcs11Pin};
use super::token::Token;

/// Anchors and refused PINs of a module's tokens.
#[derive(Default)]
pub(super) struct Logins(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// By slot; none where it was lost, and with it the login.
    anchors: HashMap<u64, Stamped<Option<Session>>>,
    /// By the token's name: every PIN that it refused, with its answer.
    refused: HashMap<String, Vec<(Fingerprint, u64)>>,
}

impl Logins {
    /// Has the token logged in, if it wants that: for a connection in which it was not yet, so that nobody has a handle.
    pub(super) fn ensure(
        &self,
        pass: &Pass<'_>,
        token: &Token,
        pin: &PinSource,
    ) -> Result<(), Pkcs11Failure> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match inner.anchors.get(&token.number()).and_then(|anchor| anchor.in_connection(pass)) {
            Some(Some(_)) => Ok(()),
            Some(None) => Err(Fault::code(ck::CKR_USER_NOT_LOGGED_IN, "C_Login").into()),
            None => inner.drop_anchor(pass, token, pin),
        }
    }

    /// Logs in again, after a call said that nobody is. For who is alone in the module: handles change their meaning.
    pub(super) fn renew(&self, pass: &Pass<'_>, token: &Token, pin: &PinSource) -> Result<(), Pkcs11Failure> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = inner.anchors.insert(token.number(), Stamped::new(pass, None));
        if let Some(anchor) = lost.and_then(|anchor| anchor.take_in_connection(pass)).flatten() {
            // One that is void cannot be closed, which is what was wanted.
            drop(anchor.close());
        }
        inner.drop_anchor(pass, token, pin)
    }

    /// Sessions of a former generation are forgotten and not closed: another session may have their number by now.
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).anchors.clear();
    }

    /// Forgets that a token refused a PIN.
    pub(super) fn forgive(&self, token: &Token) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).refused.remove(token.name());
    }
}

impl Inner {
    /// Opens a session that stays, and logs in there.
    fn drop_anchor(&mut self, pass: &Pass<'_>, token: &Token, pin: &PinSource) -> Result<(), Pkcs11Failure> {
        let anchor = token.open_session(pass, false)?;
        if let Err(failure) = self.log_in(&anchor, token, pin) {
            drop(anchor.close());
            return Err(failure);
        }
        self.anchors.insert(token.number(), Stamped::new(pass, Some(anchor)));
        Ok(())
    }

    fn log_in(&mut self, anchor: &Session, token: &Token, source: &PinSource) -> Result<(), Pkcs11Failure> {
        if !token.wants_login() {
            return Ok(());
        }
        let pin = source.read()?;
        if pin.is_none() && !token.has_keypad() {
            return Err(Pkcs11Failure::NoPin);
        }
        self.may_try(token, pin.as_ref())?;
        let auth = pin.as_ref().map(Pkcs11Pin::to_auth);
        match anchor.login(UserType::User, auth.as_ref()).map_err(|error| Fault::of(&error, "C_Login")) {
            Ok(()) => Ok(()),
            Err(fault) if fault.code == ck::CKR_USER_ALREADY_LOGGED_IN => Ok(()),
            // A vendor's own code may be about the PIN as well: rather ask once too rarely than lock a token.
            Err(fault) if codes::is_about_the_pin(fault.code) || fault.code >= ck::CKR_VENDOR_DEFINED => {
                if let Some(pin) = &pin {
                    let refused = self.refused.entry(token.name().to_owned()).or_default();
                    refused.push((pin.fingerprint(), wide(fault.code)));
                }
                Err(refusal(wide(fault.code)))
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// Whether this PIN may be tried: not if it was refused, nor if a wrong one locks the token.
    fn may_try(&self, token: &Token, pin: Option<&Pkcs11Pin>) -> Result<(), Pkcs11Failure> {
        if let (Some(refused), Some(pin)) = (self.refused.get(token.name()), pin) {
            let own = pin.fingerprint();
            if let Some((_, code)) = refused.iter().find(|(other, _)| *other == own) {
                return Err(refusal(*code));
            }
        }
        match token.lock_state() {
            Some(what) => Err(Pkcs11Failure::PinLocked { what }),
            None => Ok(()),
        }
    }
}

/// What a token that gave this answer to a PIN is told as.
fn refusal(code: u64) -> Pkcs11Failure {
    if code == wide(ck::CKR_PIN_LOCKED) {
        return Pkcs11Failure::PinLocked { what: "the token is locked" };
    }
    Pkcs11Failure::PinRefused { code }
}

/// Whether this session is of a user who is logged in.
pub(super) fn is_logged_in(session: &Session) -> Result<bool, Fault> {
    let info = session.get_session_info().map_err(|error| Fault::of(&error, "C_GetSessionInfo"))?;
    Ok(matches!(info.session_state(), SessionState::RoUser | SessionState::RwUser))
}
