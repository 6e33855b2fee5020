//! What workers are asked to do, and one attempt at each.
//!
//! An attempt renews nothing and waits for nothing: what to do about its failure is the worker's business. Every secret
//! in a task or an answer wipes itself. Section "Keys in a hardware security module" of the
//! [operations manual](crate::manual::operations).

use std::sync::Arc;

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass};

use super::catalogue::{Catalogue, Version};
use super::codes::{Fault, Purpose};
use super::failure::Pkcs11Failure;
use super::health::TokenFacts;
use super::keys::{self, KeyFacts, KeySort};
use super::method::{Method, Trouble};
use super::module::Pass;
use super::options::Pkcs11Wrap;
use super::raw::Target;
use super::shared::Shared;
use super::survey::{KeyEntry, TokenSurvey};
use super::token::Token;
use super::worker::{Worker, is_logged_out};
use crate::crypto::equal;
use crate::secret::DataKey;

/// A job.
pub(super) enum Task {
    /// Find the keys, and try the one that seals. Its answer stands in the catalogue.
    Connect,
    /// Wrap under the key of this id.
    Wrap { id: Vec<u8>, key: DataKey },
    /// Unwrap by the key of this id.
    Unwrap { id: Vec<u8>, wrap: Vec<u8> },
    /// Find the keys again, and try the one that seals.
    Probe,
    /// What the token says of itself.
    Report,
    /// What tokens the module has.
    Tokens,
    /// What keys the token has.
    Keys,
    /// Random bytes of the token's.
    Random,
    /// Forget that the token refused a PIN.
    Forgive,
    /// Make a key of this label and id.
    Create { label: String, id: Vec<u8> },
    /// Destroy the key of this label and id.
    Destroy { label: String, id: Vec<u8> },
}

/// What came of it.
pub(super) enum Answer {
    Done,
    Wrapped(Vec<u8>),
    Key(DataKey),
    Facts(Box<TokenFacts>),
    Tokens(TokenSurvey),
    Keys(Vec<KeyEntry>),
}

impl Worker {
    pub(super) fn attempt(&mut self, pass: &Pass<'_>, task: &Task) -> Result<Answer, Trouble> {
        if matches!(task, Task::Wrap { .. } | Task::Unwrap { .. }) && !self.shared.is_current(pass.generation)
        {
            self.connect(pass)?;
        }
        match task {
            Task::Connect => self.connect(pass).map(|()| Answer::Done),
            Task::Probe => {
                self.connect(pass)?;
                self.canary(pass).map(|()| Answer::Done)
            }
            Task::Wrap { id, key } => {
                let catalogue = self.catalogue()?;
                let target = self.target(pass, id)?;
                self.shared.seal(pass, &catalogue.method, target, key).map(Answer::Wrapped)
            }
            Task::Unwrap { id, wrap } => {
                let catalogue = self.catalogue()?;
                let target = self.target(pass, id)?;
                catalogue.method.open(pass.module.calls, target, wrap).map(Answer::Key)
            }
            Task::Report => {
                let (_, token) = self.session(pass, false)?;
                let fresh = pass.module.context.get_token_info(token.info_slot());
                let info = fresh.map_err(|error| Fault::of(&error, "C_GetTokenInfo"))?;
                let library = pass.module.context.get_library_info();
                let library = library.map_err(|error| Fault::of(&error, "C_GetInfo"))?;
                Ok(Answer::Facts(Box::new(TokenFacts::new(&info, &library))))
            }
            Task::Tokens => self.tokens(pass).map(Answer::Tokens),
            Task::Keys => self.keys(pass).map(Answer::Keys),
            Task::Random => {
                let (session, _) = self.session(pass, false)?;
                let session = session.handle();
                Ok(Answer::Key(DataKey::try_filled_by(|bytes| pass.module.calls.random(session, bytes))?))
            }
            Task::Forgive => {
                let token = Token::find(pass, &self.shared.uri)?;
                pass.module.logins.forgive(&token);
                Ok(Answer::Done)
            }
            Task::Create { label, id } => self.create(pass, label, id).map(|()| Answer::Done),
            Task::Destroy { label, id } => self.destroy(pass, label, id).map(|()| Answer::Done),
        }
    }

    fn catalogue(&self) -> Result<Arc<Catalogue>, Trouble> {
        self.shared.catalogue().ok_or_else(|| Pkcs11Failure::Closed.into())
    }

    /// Finds the keys of the label, chooses the way to wrap, and keeps both.
    fn connect(&mut self, pass: &Pass<'_>) -> Result<(), Trouble> {
        let shared = Arc::clone(&self.shared);
        let (session, token) = self.session(pass, false)?;
        let (label, wrap) = (&shared.label, shared.options.wrap);
        let mut facts = keys::list(session, label, shared.uri.class())?;
        if let Some(wrap) = wrap {
            facts.retain(|key| key.sort == wrap.sort() || shared.uri.id() == Some(&key.id));
        }
        if facts.is_empty() && is_logged_out(session, token) {
            return Err(Fault::code(cryptoki_sys::CKR_USER_NOT_LOGGED_IN, "C_FindObjects").into());
        }
        let sealing = choose(&facts, label, shared.uri.id())?;
        let name = keys::name_of(label, &sealing.id);
        let how = (shared.options.mechanism, shared.options.iv);
        let method = Method::choose(pass, token, sealing, &name, wrap, how)?;
        let versions = versions(&facts, sealing, label)?;
        let warnings = versions.iter().flat_map(|version| version.warnings.clone()).collect();
        let catalogue = Catalogue::new(method, pass.generation.connection, versions, warnings);
        let id = sealing.id.clone();
        if method.wrap.sort() == KeySort::Aes {
            shared.claim(pass.module, token.name(), method.wrap)?;
        }
        let is_first = !shared.is_current(pass.generation);
        let before = shared.catalogue();
        let catalogue = shared.keep(catalogue);
        if is_first {
            // That both halves fit, and that the mechanism is what it is taken for, is seen before anything is sealed.
            let tried = self.target(pass, &id).and_then(|target| shared.round_trip(pass, &catalogue, target));
            if tried.is_err() {
                shared.restore(before);
            }
            return tried;
        }
        Ok(())
    }

    fn create(&mut self, pass: &Pass<'_>, label: &str, id: &[u8]) -> Result<(), Trouble> {
        let wrap = self.shared.wrap();
        let (session, _) = self.session(pass, true)?;
        match keys::only(session, wrap.sort(), label, id) {
            Err(Pkcs11Failure::NoKey { .. }) => {}
            Err(failure @ Pkcs11Failure::Call { .. }) => return Err(failure.into()),
            _ => return Err(Pkcs11Failure::Taken { name: keys::name_of(label, id) }.into()),
        }
        let made = match wrap.sort() {
            KeySort::Aes => {
                session.generate_key(&Mechanism::AesKeyGen, &aes_template(label, id, wrap)).map(drop)
            }
            KeySort::Rsa => {
                let (public, private) = rsa_templates(label, id);
                session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private).map(drop)
            }
        };
        made.map_err(|error| Fault::of(&error, "C_GenerateKey").into())
    }

    fn destroy(&mut self, pass: &Pass<'_>, label: &str, id: &[u8]) -> Result<(), Trouble> {
        let shared = Arc::clone(&self.shared);
        let sort = shared.wrap().sort();
        let (session, _) = self.session(pass, true)?;
        let name = keys::name_of(label, id);
        let mut is_gone = false;
        match keys::only(session, sort, label, id) {
            Ok(key) => {
                session.destroy_object(key).map_err(|error| Fault::of(&error, "C_DestroyObject"))?;
                // At once, whatever becomes of the rest: nothing must be sealed for it any more, and its handle may be
                // given to another key.
                shared.note_destroyed(&name);
                pass.module.void_keys();
            }
            // By an earlier try, which then failed at the public half.
            Err(Pkcs11Failure::NoKey { .. }) if sort == KeySort::Rsa && shared.exists(&name).is_err() => {
                is_gone = true;
            }
            Err(failure) => return Err(failure.into()),
        }
        if sort == KeySort::Aes {
            return Ok(());
        }
        // The public half would be taken for a key that is still there.
        let halves = keys::public_halves(session, label, id)?;
        if is_gone && halves.is_empty() {
            return Err(Pkcs11Failure::NoKey { wanted: name, present: Vec::new() }.into());
        }
        for half in halves {
            session.destroy_object(half).map_err(|error| Fault::of(&error, "C_DestroyObject"))?;
        }
        Ok(())
    }
}

impl Shared {
    /// Wraps in the token, and looks whether it unwraps to the same.
    fn seal(
        &self,
        pass: &Pass<'_>,
        method: &Method,
        target: Target,
        key: &DataKey,
    ) -> Result<Vec<u8>, Trouble> {
        let wrap = method.seal(pass.module.calls, target, key)?;
        if self.options.verify_wraps {
            same(key, &reopened(method, pass, target, &wrap)?)?;
        }
        Ok(wrap)
    }

    /// Wraps a key of no use and unwraps it: whether the token and this key work, and fit what is configured.
    pub(super) fn round_trip(
        &self,
        pass: &Pass<'_>,
        catalogue: &Catalogue,
        target: Target,
    ) -> Result<(), Trouble> {
        let key = DataKey::copy_from(CANARY);
        let wrap = match catalogue.sealing().wrap_here(catalogue.method.wrap, &key) {
            Some(wrap) => wrap?,
            None => catalogue.method.seal(pass.module.calls, target, &key)?,
        };
        same(&key, &reopened(&catalogue.method, pass, target, &wrap)?)
    }
}

/// Unwraps what was just wrapped. A refusal means that the token does not do what it should, and is no bad wrap.
fn reopened(method: &Method, pass: &Pass<'_>, target: Target, wrap: &[u8]) -> Result<DataKey, Trouble> {
    match method.open(pass.module.calls, target, wrap) {
        Err(Trouble::Call(fault, _)) => Err(Trouble::Call(fault, Purpose::Verify)),
        Err(Trouble::Failure(Pkcs11Failure::BadWrap)) => Err(different().into()),
        other => other,
    }
}

fn same(key: &DataKey, other: &DataKey) -> Result<(), Trouble> {
    if equal(key.expose_bytes(), other.expose_bytes()) { Ok(()) } else { Err(different().into()) }
}

/// A wrap of the token's own that it does not undo.
pub(super) fn different() -> Pkcs11Failure {
    let what =
        "the token does not unwrap to the same what it wrapped: its mechanism is not what is configured";
    Pkcs11Failure::WrongAnswer { what }
}

/// The key that seals: the one of the configured id, or the only one.
fn choose<'k>(facts: &'k [KeyFacts], label: &str, id: Option<&[u8]>) -> Result<&'k KeyFacts, Pkcs11Failure> {
    let names = |keys: &[&KeyFacts]| keys.iter().map(|key| keys::name_of(label, &key.id)).collect();
    let all: Vec<&KeyFacts> = facts.iter().collect();
    let matching: Vec<&KeyFacts> = facts.iter().filter(|key| id.is_none_or(|id| id == key.id)).collect();
    match matching[..] {
        [one] => Ok(one),
        [] => {
            let wanted = id.map_or_else(|| label.to_owned(), |id| keys::name_of(label, id));
            Err(Pkcs11Failure::NoKey { wanted, present: names(&all) })
        }
        _ => Err(Pkcs11Failure::SeveralKeys { matching: names(&matching) }),
    }
}

/// All keys of the sort that seals, that one first. One whose public half cannot be used only opens.
fn versions(facts: &[KeyFacts], sealing: &KeyFacts, label: &str) -> Result<Vec<Version>, Pkcs11Failure> {
    let mut versions = Vec::new();
    for key in std::iter::once(sealing).chain(facts.iter().filter(|key| key.id != sealing.id)) {
        if key.sort != sealing.sort {
            continue;
        }
        let name = keys::name_of(label, &key.id);
        if name.len() > crate::limits::MAX_ID_LEN {
            return Err(Pkcs11Failure::BadName);
        }
        let public = match key.public() {
            Some(Ok(public)) => Some(public),
            Some(Err(what)) if key.id == sealing.id => {
                return Err(Pkcs11Failure::UnfitKey { key: name, what });
            }
            _ => None,
        };
        let warnings = key.warnings().map(|what| format!("key {name}: {what}")).collect();
        versions.push(Version { id: key.id.clone(), name, modulus_len: key.len, public, warnings });
    }
    Ok(versions)
}

fn aes_template(label: &str, id: &[u8], wrap: Pkcs11Wrap) -> Vec<Attribute> {
    let wraps = wrap == Pkcs11Wrap::AesKwp;
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::ValueLen(32_u64.into()),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Wrap(wraps),
        Attribute::Unwrap(wraps),
    ];
    template.extend(common(label, id));
    template
}

fn rsa_templates(label: &str, id: &[u8]) -> (Vec<Attribute>, Vec<Attribute>) {
    let public = vec![
        Attribute::Token(true),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(id.to_vec()),
        Attribute::ModulusBits(RSA_BITS.into()),
        Attribute::PublicExponent(vec![1, 0, 1]),
        Attribute::Encrypt(true),
    ];
    let mut private = vec![Attribute::Decrypt(true)];
    private.extend(common(label, id));
    (public, private)
}

/// What every key that is made here has: it stays in the token.
fn common(label: &str, id: &[u8]) -> [Attribute; 6] {
    [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(id.to_vec()),
    ]
}

/// Wrapped and unwrapped to see whether that works, and never used for anything.
const CANARY: &[u8; 32] = b"kuvert's canary, which is no key";
/// Bits of an RSA key that is made here.
const RSA_BITS: u64 = 3072;
