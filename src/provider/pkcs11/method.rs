//! How a key wraps: the formats of recipients, and the calls of a module that make and undo them.
//!
//! Every answer of a module is checked for its length and its IV, since modules differ in both and none says so; nothing
//! is ever guessed. Knows calls and bytes, and not where a handle comes from. Types 0x0001 to 0x0004 of the
//! [format](crate::manual::format).

use cryptoki_sys as ck;
use zeroize::Zeroizing;

use super::codes::{Fault, Purpose};
use super::failure::{Pkcs11Failure, native, wide};
use super::keys::{KeyFacts, KeySort};
use super::module::Pass;
use super::options::{GcmIv, Pkcs11Wrap};
use super::raw::{Calls, Mechanism, Target};
use super::token::Token;
use crate::crypto::random;
use crate::format::stanza::RecipientType;
use crate::secret::DataKey;

/// A way to wrap that the token was asked about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Method {
    pub(super) wrap: Pkcs11Wrap,
    /// The mechanism's number in the token.
    pub(super) number: ck::CK_MECHANISM_TYPE,
    iv: GcmIv,
    /// AES-KWP through an object of the session, since the mechanism does not encrypt.
    by_object: bool,
}

/// How a call about a wrap went wrong.
pub(super) enum Trouble {
    /// A call failed; what it means depends on what it was for.
    Call(Fault, Purpose),
    /// There is nothing more to find out.
    Failure(Pkcs11Failure),
}

impl From<Pkcs11Failure> for Trouble {
    fn from(failure: Pkcs11Failure) -> Self {
        match failure {
            Pkcs11Failure::Call { code, call } => Self::Call(Fault::code(native(code), call), Purpose::Other),
            failure => Self::Failure(failure),
        }
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Call(fault, Purpose::Other)
    }
}

impl Method {
    /// The way that the configuration asks for, or that suits the key, if the token knows it. Never another one.
    pub(super) fn choose(
        pass: &Pass<'_>,
        token: &Token,
        key: &KeyFacts,
        name: &str,
        wanted: Option<Pkcs11Wrap>,
        (mechanism, iv): (Option<u64>, GcmIv),
    ) -> Result<Self, Trouble> {
        let wrap = wanted.unwrap_or(match key.sort {
            KeySort::Aes => Pkcs11Wrap::AesGcm,
            KeySort::Rsa => Pkcs11Wrap::RsaOaepSha256,
        });
        let unfit = |what| Pkcs11Failure::UnfitKey { key: name.to_owned(), what };
        if wrap.sort() != key.sort {
            return Err(unfit("the configured wrap is for keys of another sort").into());
        }
        if let Some(what) = key.fault() {
            return Err(unfit(what).into());
        }
        let number = mechanism.map_or(wrap.mechanism(), native);
        let offered = pass.module.calls.mechanisms(token.slot())?;
        let missing = || {
            let has_twin = wrap == Pkcs11Wrap::AesKwp && offered.contains(&ck::CKM_AES_KEY_WRAP_PAD);
            let hint = if has_twin && number != ck::CKM_AES_KEY_WRAP_PAD { TWIN } else { "" };
            let offered = offered.iter().map(|number| wide(*number)).collect();
            Pkcs11Failure::NoMechanism { wanted: wide(number), hint, offered }
        };
        if !offered.contains(&number) {
            return Err(missing().into());
        }
        let flags = pass.module.calls.mechanism_flags(token.slot(), number)?;
        let has = |wanted: ck::CK_FLAGS| flags & wanted == wanted;
        let encrypts = has(ck::CKF_ENCRYPT | ck::CKF_DECRYPT) && key.encrypts && key.decrypts;
        let wraps = has(ck::CKF_WRAP | ck::CKF_UNWRAP) && key.wraps && key.unwraps;
        let by_object = match wrap {
            Pkcs11Wrap::AesGcm if encrypts => false,
            Pkcs11Wrap::AesKwp if encrypts || wraps => !encrypts,
            Pkcs11Wrap::RsaOaepSha256 | Pkcs11Wrap::RsaOaepSha1 if has(ck::CKF_DECRYPT) && key.decrypts => {
                false
            }
            _ if !has(ck::CKF_DECRYPT) && !has(ck::CKF_UNWRAP) => return Err(missing().into()),
            _ => {
                return Err(
                    unfit("its attributes do not allow what the wrap needs (encrypt, decrypt)").into()
                );
            }
        };
        Ok(Self { wrap, number, iv, by_object })
    }

    /// Wraps a data key.
    pub(super) fn seal(&self, calls: Calls, on: Target, key: &DataKey) -> Result<Vec<u8>, Trouble> {
        let key = key.expose_bytes();
        match self.wrap {
            Pkcs11Wrap::AesGcm => self.seal_gcm(calls, on, key),
            Pkcs11Wrap::AesKwp if self.by_object => self.seal_by_object(calls, on, key),
            Pkcs11Wrap::AesKwp => {
                let mut output = [0; KWP_LEN + SPARE];
                let len = calls.encrypt(on, Mechanism::Plain(self.number), key, &mut output)?;
                kwp(&output[..len])
            }
            // With the public half, which is on this side.
            Pkcs11Wrap::RsaOaepSha256 | Pkcs11Wrap::RsaOaepSha1 => {
                Err(Pkcs11Failure::WrongAnswer { what: "an RSA key does not wrap in the token" }.into())
            }
        }
    }

    /// Unwraps to exactly 32 bytes. The wrap has a possible length: see [`fits`](Self::fits).
    pub(super) fn open(&self, calls: Calls, on: Target, wrap: &[u8]) -> Result<DataKey, Trouble> {
        let mut output = Zeroizing::new(vec![0; wrap.len() + SPARE]);
        let opened = match self.wrap {
            Pkcs11Wrap::AesGcm => {
                // Of another length only if the key was replaced by one of another sort since it was looked at.
                let iv_len = wrap.len().saturating_sub(GCM_LEN);
                let (iv, sealed) = wrap.split_at(iv_len);
                if !matches!(iv.len(), 12 | 16) {
                    return Err(Pkcs11Failure::BadWrap.into());
                }
                let mechanism = Mechanism::Gcm { number: self.number, iv: &mut iv.to_vec() };
                calls.decrypt(on, mechanism, sealed, &mut output)
            }
            Pkcs11Wrap::AesKwp if self.by_object => self.open_by_object(calls, on, wrap, &mut output),
            Pkcs11Wrap::AesKwp => calls.decrypt(on, Mechanism::Plain(self.number), wrap, &mut output),
            Pkcs11Wrap::RsaOaepSha256 | Pkcs11Wrap::RsaOaepSha1 => {
                calls.decrypt(on, self.oaep(), wrap, &mut output)
            }
        };
        let len = opened.map_err(|fault| Trouble::Call(fault, Purpose::Unwrap))?;
        // fmt: N-8
        let key = DataKey::from_slice(&output[..len]).ok_or(Pkcs11Failure::BadWrap)?;
        // Some tokens give the padding with it, so that a shorter key looks like ours. Wrapping it again shows that,
        // since RFC 5649 has neither chance nor time in it.
        let may_be_padded = self.wrap == Pkcs11Wrap::AesKwp && key.expose_bytes()[31] == 0;
        if may_be_padded && self.seal(calls, on, &key)? != wrap {
            return Err(Pkcs11Failure::BadWrap.into());
        }
        Ok(key)
    }

    /// Whether a wrap has a length that this way makes. Nothing else is ever shown to the token: some of them take a
    /// shorter tag, or none at all, for a good one.
    // fmt: Z-4
    pub(super) fn fits(&self, wrap: &[u8], modulus: Option<usize>) -> bool {
        self.wrap.fits(wrap.len(), modulus)
    }

    fn seal_gcm(&self, calls: Calls, on: Target, key: &[u8; 32]) -> Result<Vec<u8>, Trouble> {
        let mut iv = vec![0; if self.iv.is_appended() { 0 } else { 12 }];
        if self.iv == GcmIv::Host {
            random::fill(&mut iv)
                .map_err(|_| Pkcs11Failure::WrongAnswer { what: "there are no random bytes" })?;
        }
        let mut output = [0; GCM_LEN + 16 + SPARE];
        let mechanism = Mechanism::Gcm { number: self.number, iv: &mut iv };
        let len = calls.encrypt(on, mechanism, key, &mut output)?;
        let output = &output[..len];
        let (iv, sealed) = match self.iv {
            // What stands there now was used, whoever wrote it.
            GcmIv::Host => (&iv[..], output),
            GcmIv::InPlace if iv.iter().all(|byte| *byte == 0) => return Err(wrong(NO_IV)),
            GcmIv::InPlace => (&iv[..], output),
            GcmIv::Appended12 | GcmIv::Appended16 if output.len() != GCM_LEN + self.iv.appended() => {
                return Err(wrong(NOT_APPENDED));
            }
            GcmIv::Appended12 | GcmIv::Appended16 => {
                let (sealed, iv) = output.split_at(GCM_LEN);
                (iv, sealed)
            }
        };
        if sealed.len() != GCM_LEN {
            return Err(wrong("the token gave an AES-GCM wrap of another length than 48 bytes"));
        }
        if iv.iter().all(|byte| *byte == 0) {
            return Err(wrong(NO_IV));
        }
        Ok([iv, sealed].concat())
    }

    fn seal_by_object(&self, calls: Calls, on: Target, key: &[u8; 32]) -> Result<Vec<u8>, Trouble> {
        let object = calls.create_secret(on.session, key)?;
        let mut output = [0; KWP_LEN + SPARE];
        let wrapped = calls.wrap(on, self.number, object, &mut output);
        // Also if it failed. If this fails, the object goes with the session, which does not outlive a failure.
        let destroyed = calls.destroy(on.session, object);
        let len = wrapped?;
        destroyed?;
        kwp(&output[..len])
    }

    fn open_by_object(
        &self,
        calls: Calls,
        on: Target,
        wrap: &[u8],
        output: &mut [u8],
    ) -> Result<usize, Fault> {
        let object = match calls.unwrap(on, self.number, wrap, false) {
            // Some insist on being told the length.
            Err(fault) if fault.code == ck::CKR_TEMPLATE_INCOMPLETE => {
                calls.unwrap(on, self.number, wrap, true)?
            }
            other => other?,
        };
        let read = calls.value(on.session, object, output);
        let destroyed = calls.destroy(on.session, object);
        let len = read?;
        destroyed?;
        Ok(len)
    }

    fn oaep(&self) -> Mechanism<'static> {
        let (hash, mgf) = if self.wrap == Pkcs11Wrap::RsaOaepSha1 {
            (ck::CKM_SHA_1, ck::CKG_MGF1_SHA1)
        } else {
            (ck::CKM_SHA256, ck::CKG_MGF1_SHA256)
        };
        Mechanism::Oaep { number: self.number, hash, mgf }
    }
}

impl Pkcs11Wrap {
    /// The type of the recipients that it makes.
    #[must_use]
    pub const fn recipient_type(self) -> RecipientType {
        match self {
            Self::AesKwp => RecipientType::AES_KWP,
            Self::AesGcm => RecipientType::HSM_AES_GCM,
            Self::RsaOaepSha256 => RecipientType::RSA_OAEP_SHA256,
            Self::RsaOaepSha1 => RecipientType::RSA_OAEP_SHA1,
        }
    }

    /// The standard's number of its mechanism.
    const fn mechanism(self) -> ck::CK_MECHANISM_TYPE {
        match self {
            Self::AesKwp => ck::CKM_AES_KEY_WRAP_KWP,
            Self::AesGcm => ck::CKM_AES_GCM,
            Self::RsaOaepSha256 | Self::RsaOaepSha1 => ck::CKM_RSA_PKCS_OAEP,
        }
    }

    pub(super) const fn sort(self) -> KeySort {
        match self {
            Self::AesKwp | Self::AesGcm => KeySort::Aes,
            Self::RsaOaepSha256 | Self::RsaOaepSha1 => KeySort::Rsa,
        }
    }

    // fmt: Z-5
    const fn fits(self, len: usize, modulus: Option<usize>) -> bool {
        match self {
            Self::AesKwp => len == KWP_LEN,
            Self::AesGcm => len == 12 + GCM_LEN || len == 16 + GCM_LEN,
            Self::RsaOaepSha256 | Self::RsaOaepSha1 => matches!(modulus, Some(modulus) if modulus == len),
        }
    }
}

/// What came out, if it is what RFC 5649 makes of 32 bytes.
fn kwp(output: &[u8]) -> Result<Vec<u8>, Trouble> {
    match output.len() {
        KWP_LEN => Ok(output.to_vec()),
        48 => Err(wrong("the token's mechanism pads by PKCS#7 and is not RFC 5649: name another one")),
        _ => Err(wrong("the token gave an AES-KWP wrap of another length than 40 bytes")),
    }
}

fn wrong(what: &'static str) -> Trouble {
    Trouble::Failure(Pkcs11Failure::WrongAnswer { what })
}

/// Bytes of a wrapped data key: RFC 5649; AES-GCM without its IV.
const KWP_LEN: usize = 40;
const GCM_LEN: usize = 48;
/// Room beyond what should come, so that what is too long is seen to be.
const SPARE: usize = 64;
const NO_IV: &str = "the token used an IV of zeros: its module takes the IV from us, configure iv = \"host\"";
const NOT_APPENDED: &str = "the token appended no IV of the configured length: configure another iv";
const TWIN: &str =
    " (on some tokens 0x210a is the same: if its manual says RFC 5649, configure mechanism = 0x210a)";
