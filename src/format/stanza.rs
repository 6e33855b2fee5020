//! Recipients: one wrapped copy of the data key each, and how a header writes them down (as stanzas).
//!
//! Floor 2. It knows how every type looks on the wire and what is impossible for it; what the bytes mean to a
//! key service is the provider's business. Section "Stanza" of the [format](crate::manual::format).

pub(crate) mod all_of;
mod rules;

use std::fmt;

pub(crate) use self::rules::{check, refused_in_envelope};
use crate::{
    format::u16_len,
    limits::{MAX_ID_LEN, MAX_PARAMS_LEN, MAX_WRAP_LEN},
};

/// How a recipient's wrapping key wraps: the number that stands in the header.
///
/// A reader skips types it does not know: they are for somebody else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecipientType(pub u16);

impl RecipientType {
    /// AES key wrap with padding (RFC 5649) under an AES-256 key in memory, in a file or in an HSM.
    pub const AES_KWP: Self = Self(0x0001);
    /// AES-GCM by an HSM whose token chooses the IV.
    pub const HSM_AES_GCM: Self = Self(0x0002);
    /// RSA-OAEP with SHA-256.
    pub const RSA_OAEP_SHA256: Self = Self(0x0003);
    /// RSA-OAEP with SHA-1, for tokens that know no other.
    pub const RSA_OAEP_SHA1: Self = Self(0x0004);
    /// A symmetric key in AWS KMS.
    pub const AWS_KMS: Self = Self(0x0010);
    /// An RSA key in AWS KMS, OAEP with SHA-256.
    pub const AWS_KMS_RSA: Self = Self(0x0011);
    /// The key of a data subject, or of a key envelope.
    pub const PARENT_KEY: Self = Self(0x0020);
    /// Several shares, every one of which is needed.
    pub const ALL_OF: Self = Self(0x0040);
    /// A recipient that was asked for and could not be reached when sealing. It opens nothing.
    pub const PENDING: Self = Self(0x0041);

    /// The type's name in lower case, where this release knows it.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::AES_KWP => "aes-kwp",
            Self::HSM_AES_GCM => "hsm-aes-gcm",
            Self::RSA_OAEP_SHA256 => "rsa-oaep-sha256",
            Self::RSA_OAEP_SHA1 => "rsa-oaep-sha1",
            Self::AWS_KMS => "aws-kms",
            Self::AWS_KMS_RSA => "aws-kms-rsa",
            Self::PARENT_KEY => "parent-key",
            Self::ALL_OF => "all-of",
            Self::PENDING => "pending",
            _ => return None,
        })
    }

    /// Whether the type is for private use, so that no release will ever give it another meaning.
    #[must_use]
    pub const fn is_private_use(self) -> bool {
        matches!(self.0, 0x8000..=0xbfff)
    }
}

impl fmt::Debug for RecipientType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for RecipientType {
    /// The number, and the name where there is one: `0x0001 (aes-kwp)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:04x}", self.0)?;
        self.name().map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

/// One wrapped copy of the data key: for whom, and the wrap.
///
/// What a header says about its recipients is a claim until the header is verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    recipient_type: RecipientType,
    id: Vec<u8>,
    params: Vec<u8>,
    wrap: Vec<u8>,
}

impl Recipient {
    /// A recipient from its parts: the type, the provider's public name of the wrapping key, the type's
    /// parameters (empty for most types), and the wrapped data key.
    ///
    /// Nothing is checked here; a recipient that breaks the rules of its type is refused when it is sealed to.
    #[must_use]
    pub fn new(
        recipient_type: RecipientType,
        id: impl Into<Vec<u8>>,
        params: impl Into<Vec<u8>>,
        wrap: impl Into<Vec<u8>>,
    ) -> Self {
        Self { recipient_type, id: id.into(), params: params.into(), wrap: wrap.into() }
    }

    /// How the wrapping key wraps.
    #[must_use]
    pub const fn recipient_type(&self) -> RecipientType {
        self.recipient_type
    }

    /// The provider's public name of the wrapping key, such as an ARN or a key file's id.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        &self.id
    }

    /// The id as text, with whatever is not UTF-8 replaced. For people, not for comparing.
    #[must_use]
    pub fn id_lossy(&self) -> String {
        String::from_utf8_lossy(&self.id).into_owned()
    }

    /// The type's parameters.
    #[must_use]
    pub fn params(&self) -> &[u8] {
        &self.params
    }

    /// The wrapped data key.
    #[must_use]
    pub fn wrap(&self) -> &[u8] {
        &self.wrap
    }

    /// The shares of an all-of, each a recipient of its own, all of which are needed; none of anything else.
    #[must_use]
    pub fn claimed_shares(&self) -> Vec<Self> {
        if self.recipient_type != RecipientType::ALL_OF {
            return Vec::new();
        }
        all_of::parse(&self.wrap).map(|wrap| wrap.shares).unwrap_or_default()
    }

    /// Which type of recipient a [pending](RecipientType::PENDING) one stands for.
    #[must_use]
    pub fn pending_for(&self) -> Option<RecipientType> {
        let wanted = self.params.first_chunk().filter(|_| self.recipient_type == RecipientType::PENDING)?;
        Some(RecipientType(u16::from_be_bytes(*wanted)))
    }

    /// Whether this can be one of a reader's configured keys at all: it has a name in UTF-8, where its type has one.
    // fmt: Z-10
    pub(crate) fn names_a_key(&self) -> bool {
        match self.recipient_type {
            RecipientType::PENDING => false,
            RecipientType::PARENT_KEY | RecipientType::ALL_OF => true,
            _ => !self.id.is_empty() && std::str::from_utf8(&self.id).is_ok(),
        }
    }

    /// Whether a key service that was given pairs of the context made it, which cannot tell a wrong pair from damage.
    pub(crate) fn tells_pairs(&self) -> bool {
        self.recipient_type == RecipientType::AWS_KMS && self.params != [0]
    }

    /// Bytes of this recipient as a stanza.
    pub(crate) fn stanza_len(&self) -> usize {
        STANZA_START_LEN + self.id.len() + self.params.len() + self.wrap.len()
    }

    /// Writes the stanza. The lengths were checked by [`check`].
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.recipient_type.0.to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        for part in [&self.id, &self.params, &self.wrap] {
            out.extend_from_slice(&u16_len(part.len()));
        }
        out.extend_from_slice(&[0; 2]);
        for part in [&self.id, &self.params, &self.wrap] {
            out.extend_from_slice(part);
        }
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recipient")
            .field("type", &self.recipient_type)
            .field("id", &self.id_lossy())
            .field("params_len", &self.params.len())
            .field("wrap_len", &self.wrap.len())
            .finish()
    }
}

/// Takes one well-formed stanza off the front of `input`, or says what is wrong with it.
///
/// Range checks come before lengths are believed, and the rules of the type before anybody sees the recipient.
pub(crate) fn take(input: &mut &[u8]) -> Result<Recipient, &'static str> {
    let recipient = take_unchecked(input)?;
    // fmt: Z-3: before any provider sees it.
    check(&recipient)?;
    Ok(recipient)
}

/// As [`take`], without the rules of the type.
fn take_unchecked(input: &mut &[u8]) -> Result<Recipient, &'static str> {
    const PAST_END: &str = "a recipient runs past the end of its slot";
    let (start, rest) = input.split_first_chunk::<STANZA_START_LEN>().ok_or(PAST_END)?;
    // fmt: Z-1, N-6
    let field = |at: usize| u16::from_be_bytes([start[at], start[at + 1]]);
    if field(2) != 0 || field(10) != 0 {
        return Err("a recipient's flags or reserved bytes are not zero");
    }
    let [id_len, params_len, wrap_len] = [4, 6, 8].map(|at| usize::from(field(at)));
    if id_len > MAX_ID_LEN || params_len > MAX_PARAMS_LEN || wrap_len == 0 || wrap_len > MAX_WRAP_LEN {
        return Err("a recipient's id, parameters or wrap have an impossible length");
    }
    let (id, rest) = rest.split_at_checked(id_len).ok_or(PAST_END)?;
    let (params, rest) = rest.split_at_checked(params_len).ok_or(PAST_END)?;
    let (wrap, rest) = rest.split_at_checked(wrap_len).ok_or(PAST_END)?;
    *input = rest;
    Ok(Recipient::new(RecipientType(field(0)), id, params, wrap))
}

/// Bytes of a 32-byte key under AES-KWP.
const KWP_LEN: usize = 40;
/// Bytes of a stanza before its id: type, flags, three lengths, reserved.
pub(crate) const STANZA_START_LEN: usize = 12;

#[cfg(test)]
mod tests;
