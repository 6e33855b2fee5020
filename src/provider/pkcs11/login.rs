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
    /// By slot.
    anchors: HashMap<u64, Stamped<Session>>,
    /// By the token's name.
    refused: HashMap<String, (Fingerprint, u64)>,
}

impl Logins {
    /// Has the token logged in, if it wants that: for a generation in which it is not yet.
    pub(super) fn ensure(
        &self,
        pass: &Pass<'_>,
        token: &Token,
        pin: &PinSource,
    ) -> Result<(), Pkcs11Failure> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.anchors.get(&token.number()).is_some_and(|anchor| anchor.in_connection(pass).is_some()) {
            return Ok(());
        }
        let anchor = token.open_session(pass, false)?;
        if let Err(failure) = inner.log_in(&anchor, token, pin) {
            drop(anchor.close());
            return Err(failure);
        }
        inner.anchors.insert(token.number(), Stamped::new(pass, anchor));
        Ok(())
    }

    /// Logs in again, after a call said that nobody is; unless somebody has since this pass was given.
    pub(super) fn renew(&self, pass: &Pass<'_>, token: &Token, pin: &PinSource) -> Result<(), Pkcs11Failure> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pass.module.generation() != pass.generation {
            return Ok(());
        }
        let anchor = inner.anchors.remove(&token.number());
        let alive = anchor.as_ref().and_then(|anchor| anchor.in_connection(pass));
        let renewed = alive.map(|anchor| inner.log_in(anchor, token, pin));
        match renewed {
            Some(Err(failure @ (Pkcs11Failure::PinRefused { .. } | Pkcs11Failure::PinLocked { .. }))) => {
                return Err(failure);
            }
            Some(Ok(())) => drop(anchor.map(|anchor| inner.anchors.insert(token.number(), anchor))),
            // The anchor was lost, and that is why.
            _ => {
                let anchor = token.open_session(pass, false)?;
                inner.log_in(&anchor, token, pin)?;
                inner.anchors.insert(token.number(), Stamped::new(pass, anchor));
            }
        }
        pass.module.logged_in();
        Ok(())
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
            Err(fault) if codes::is_about_the_pin(fault.code) => {
                if let Some(pin) = &pin {
                    self.refused.insert(token.name().to_owned(), (pin.fingerprint(), wide(fault.code)));
                }
                Err(Pkcs11Failure::PinRefused { code: wide(fault.code) })
            }
            Err(fault) => Err(fault.into()),
        }
    }

    /// Whether this PIN may be tried: not if it was refused, nor if a wrong one locks the token.
    fn may_try(&self, token: &Token, pin: Option<&Pkcs11Pin>) -> Result<(), Pkcs11Failure> {
        if let Some((refused, code)) = self.refused.get(token.name()) {
            if pin.is_some_and(|pin| pin.fingerprint() == *refused) {
                return Err(Pkcs11Failure::PinRefused { code: *code });
            }
        }
        match token.lock_state() {
            Some(what) => Err(Pkcs11Failure::PinLocked { what }),
            None => Ok(()),
        }
    }
}

/// Whether this session is of a user who is logged in.
pub(super) fn is_logged_in(session: &Session) -> Result<bool, Fault> {
    let info = session.get_session_info().map_err(|error| Fault::of(&error, "C_GetSessionInfo"))?;
    Ok(matches!(info.session_state(), SessionState::RoUser | SessionState::RwUser))
}
