//! A header: who can unwrap the data key, for which context, and how that list can be replaced later.
//!
//! Floor 2. It turns bytes into an unverified [`Header`] and back, and checks its MACs once somebody else has
//! found the data key; it never asks a key provider and never sees a body beyond its first 56 bytes. Sections
//! "Header" and "Opening" of the [format](crate::manual::format).

mod build;
mod prefix;
mod rewrap;
mod verify;

use std::{borrow::Cow, fmt, ops::Range};

use self::prefix::Prefix;
pub(crate) use self::prefix::core as core_of;
pub(crate) use self::{build::build, rewrap::SlotEdit, verify::VerifiedSlots};
use super::{
    Kind, Layout,
    body::{EMPTY_BODY_LEN, plaintext_len},
    context::{self, BoundContext, EncryptionContext, REFERENCE_NAME, ROLE_NAME, Role},
    slot::{self, ParsedSlot, Slot},
    stanza::Recipient,
};
use crate::{error::OpenError, limits::PREFIX_LEN};

/// A parsed header. **Nothing in it is verified**: it is what whoever wrote the bytes claims.
///
/// Good for choosing a key, for diagnostics and for inventories; never for decisions about trust.
///
/// # Examples
///
/// ```
/// use kuvert::{ClaimedSlot, EncryptionContext, Kuvert, MessageStart, blocking::block_on, provider::MemoryProvider};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let kuvert = Kuvert::new(MemoryProvider::generate("2026-11")?);
/// let context = EncryptionContext::new([("backup", "daily")])?;
/// let message = block_on(kuvert.seal(b"all of it", &context))??;
///
/// let start = MessageStart::parse(&message)?;     // no key is asked for
/// let header = start.header();
/// assert_eq!(header.claimed_context().collect::<Vec<_>>(), [("backup", "daily")]);
/// for slot in header.claimed_slots() {
///     if let ClaimedSlot::Filled { recipients, .. } = slot {
///         assert_eq!(recipients[0].id_lossy(), "2026-11");
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Header {
    bytes: Vec<u8>,
    prefix: Prefix,
    stored: Vec<(String, String)>,
    /// Only in key envelopes: what the two pairs of our own say.
    envelope: Option<(Role, u64)>,
    slots: Vec<Slot>,
}

/// What one slot of a header claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimedSlot<'a> {
    /// Nothing is written here.
    Empty,
    /// Not well formed: torn, damaged or forged.
    Bad {
        /// The first fault found.
        reason: &'static str,
    },
    /// Well formed.
    Filled {
        /// Counts up with every rewrap, from 1.
        generation: u32,
        /// The recipients in the order they stand.
        recipients: &'a [Recipient],
    },
}

impl Header {
    /// The length of the header that begins with `start` (the first 32 bytes of the input, or all there are).
    ///
    /// Refuses in the order of the format, so that the same bytes get the same answer everywhere.
    // fmt: H-10
    pub(crate) fn peek(start: &[u8], expected: Kind) -> Result<usize, OpenError> {
        Prefix::parse(start, expected).map(|prefix| prefix.header_len())
    }

    /// Parses a whole header: exactly as many bytes as [`peek`](Self::peek) said. A `Vec` is kept, not copied.
    ///
    /// `body_len` is the number of bytes after the header, where it is known: an impossible one is told before
    /// anything else is looked at. Faults of the slots wait for [`usable_slots`](Self::usable_slots).
    pub(crate) fn parse<'a>(
        bytes: impl Into<Cow<'a, [u8]>>,
        expected: Kind,
        body_len: Option<u64>,
    ) -> Result<Self, OpenError> {
        Self::parse_where(bytes.into(), expected, None, body_len)
    }

    /// [`parse`](Self::parse) of a message's header whose body is given beside it, or follows it in the same input.
    pub(crate) fn parse_message<'a>(
        bytes: impl Into<Cow<'a, [u8]>>,
        body_beside: bool,
        body_len: Option<u64>,
    ) -> Result<Self, OpenError> {
        Self::parse_where(bytes.into(), Kind::Message, Some(body_beside), body_len)
    }

    fn parse_where(
        bytes: Cow<'_, [u8]>,
        expected: Kind,
        body_beside: Option<bool>,
        body_len: Option<u64>,
    ) -> Result<Self, OpenError> {
        let prefix = Prefix::parse(&bytes, expected)?;
        let len = prefix.header_len();
        if bytes.len() < len {
            return Err(OpenError::Truncated("the header is not complete"));
        }
        // fmt: H-9
        if bytes[len - prefix.pad_len..len].iter().any(|&byte| byte != 0) {
            return Err(OpenError::Malformed("the header's padding is not zero"));
        }
        check_place(prefix.detached, body_beside)?;
        // fmt: L-6
        if bytes.len() > len {
            return Err(OpenError::Malformed("bytes after the end of the header"));
        }
        check_body_len(prefix.kind, body_len)?;
        let slots_at = PREFIX_LEN + prefix.context_len;
        let stored = context::decode(&bytes[PREFIX_LEN..slots_at], prefix.kind)?;
        let envelope = match prefix.kind {
            Kind::Message => None,
            Kind::KeyEnvelope => Some(envelope_pairs(&stored)?),
        };
        // fmt: L-4: whatever the lengths are, they were checked and nothing else is asked of them.
        let slots = bytes[slots_at..len - prefix.pad_len]
            .chunks_exact(prefix.slot_len)
            .map(|bytes| slot::parse(bytes, prefix.kind))
            .collect();
        Ok(Self { bytes: bytes.into_owned(), prefix, stored, envelope, slots })
    }

    /// Joins what the header stores and what the reader presents.
    ///
    /// With `accept_stored`, stored pairs need not be presented.
    pub(crate) fn bind(
        &self,
        presented: &EncryptionContext,
        accept_stored: bool,
    ) -> Result<BoundContext, OpenError> {
        if self.envelope.is_some() {
            return Err(OpenError::Usage("a key envelope is opened for a role"));
        }
        BoundContext::for_opening(&self.stored, presented, |_| accept_stored)
    }

    /// As [`bind`](Self::bind), for a key envelope that is expected to be of `role` and, where it is known,
    /// `reference`. Gives back the reference, to be believed once the header is verified.
    ///
    /// `accept_stored` covers the caller's pairs only: the role must always be the expected one.
    pub(crate) fn bind_envelope(
        &self,
        presented: &EncryptionContext,
        role: Role,
        reference: Option<u64>,
        accept_stored: bool,
    ) -> Result<(BoundContext, u64), OpenError> {
        let (claimed_role, claimed_reference) =
            self.envelope.ok_or(OpenError::Usage("a message has no role and no key reference"))?;
        // fmt: E-4
        if claimed_role != role {
            return Err(OpenError::WrongContext("the key envelope is of another role"));
        }
        // fmt: E-5
        if reference.is_some_and(|reference| reference != claimed_reference) {
            return Err(OpenError::WrongContext("the key envelope is of another key reference"));
        }
        let is_ours = |name: &str| name == ROLE_NAME || name == REFERENCE_NAME;
        let bound =
            BoundContext::for_opening(&self.stored, presented, |name| accept_stored || is_ours(name))?;
        Ok((bound, claimed_reference))
    }

    /// The slots to try with their places, by descending generation, the first slot first on a tie.
    ///
    /// A bad slot is a fault only if there is no well-formed one.
    pub(crate) fn usable_slots(&self) -> Result<Vec<(usize, &ParsedSlot)>, OpenError> {
        let mut usable: Vec<_> = self.parsed_slots().collect();
        if usable.is_empty() {
            // fmt: S-6, S-7
            let fault = self
                .slots
                .iter()
                .find_map(|slot| if let Slot::Bad(fault) = slot { Some(*fault) } else { None });
            return Err(fault.map_or(OpenError::Malformed("the header has no recipients"), OpenError::from));
        }
        // fmt: O-7: the sort is stable.
        usable.sort_by_key(|(_, slot)| std::cmp::Reverse(slot.generation()));
        Ok(usable)
    }

    /// Version, kind and suite with the magic before them: what every derived key depends on.
    pub(crate) fn core(&self) -> [u8; 12] {
        prefix::core(self.prefix.kind)
    }

    /// The header as it was read.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the body is in another place than behind the header.
    pub(crate) fn is_detached(&self) -> bool {
        self.prefix.detached
    }

    /// The fixed start and the stored context.
    fn before_slots(&self) -> &[u8] {
        &self.bytes[..PREFIX_LEN + self.prefix.context_len]
    }

    /// The well-formed slots, with their places.
    fn parsed_slots(&self) -> impl Iterator<Item = (usize, &ParsedSlot)> {
        self.slots.iter().enumerate().filter_map(|(i, slot)| match slot {
            Slot::Parsed(parsed) => Some((i, parsed)),
            Slot::Empty | Slot::Bad(_) => None,
        })
    }

    fn slot_bytes(&self, index: usize) -> &[u8] {
        &self.bytes[self.slot_range(index)]
    }

    /// Where a slot stands in the header.
    fn slot_range(&self, index: usize) -> Range<usize> {
        let start = self.before_slots().len() + index * self.prefix.slot_len;
        start..start + self.prefix.slot_len
    }
}

/// What the header claims, for diagnostics and inventories.
impl Header {
    /// The format's version.
    #[must_use]
    pub fn claimed_version(&self) -> u8 {
        prefix::VERSION
    }

    /// What the header belongs to.
    #[must_use]
    pub fn claimed_kind(&self) -> Kind {
        self.prefix.kind
    }

    /// The suite of algorithms: 1 is HKDF-SHA-512, AES-256-GCM and HMAC-SHA-512.
    #[must_use]
    pub fn claimed_suite(&self) -> u16 {
        prefix::SUITE
    }

    /// How the header is laid out.
    #[must_use]
    pub fn claimed_layout(&self) -> Layout {
        match (self.prefix.detached, self.prefix.slot_count) {
            (true, _) => Layout::Detached,
            (false, 1) => Layout::Compact,
            (false, _) => Layout::Rewrappable,
        }
    }

    /// Bytes of the header.
    #[must_use]
    pub fn claimed_header_len(&self) -> usize {
        self.bytes.len()
    }

    /// The stored pairs of the encryption context, in ascending order of their names.
    pub fn claimed_context(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.stored.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The slots, one or two, in the order they stand.
    pub fn claimed_slots(&self) -> impl ExactSizeIterator<Item = ClaimedSlot<'_>> {
        self.slots.iter().map(|slot| match slot {
            Slot::Empty => ClaimedSlot::Empty,
            Slot::Bad(fault) => ClaimedSlot::Bad { reason: fault.reason() },
            Slot::Parsed(parsed) => {
                ClaimedSlot::Filled { generation: parsed.generation(), recipients: parsed.recipients() }
            }
        })
    }
}

impl fmt::Debug for Header {
    /// Without the context's values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("kind", &self.prefix.kind)
            .field("layout", &self.claimed_layout())
            .field("len", &self.bytes.len())
            .field("context", &self.stored.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("slots", &self.claimed_slots().collect::<Vec<_>>())
            .finish()
    }
}

/// Refuses a body in another place than the header says, where the reader says where it has one.
// fmt: L-7
fn check_place(detached: bool, body_beside: Option<bool>) -> Result<(), OpenError> {
    match (detached, body_beside) {
        (true, Some(false)) => {
            Err(OpenError::Usage("this header is detached: give the file with its body as well"))
        }
        (false, Some(true)) => {
            Err(OpenError::Usage("this header is not detached: its body follows in the same file"))
        }
        _ => Ok(()),
    }
}

/// Refuses a length that no body of this kind has.
fn check_body_len(kind: Kind, body_len: Option<u64>) -> Result<(), OpenError> {
    let Some(len) = body_len else { return Ok(()) };
    plaintext_len(len)?;
    // fmt: E-1, O-4
    if kind == Kind::KeyEnvelope && len > EMPTY_BODY_LEN {
        return Err(OpenError::Malformed("bytes after the end of the key envelope"));
    }
    Ok(())
}

// fmt: E-3
/// Role and reference of a key envelope, both of which it must store, in exactly one spelling.
fn envelope_pairs(stored: &[(String, String)]) -> Result<(Role, u64), OpenError> {
    let value = |name| stored.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let role = value(ROLE_NAME)
        .and_then(|value| Role::ALL.into_iter().find(|role| role.name() == value))
        .ok_or(OpenError::Malformed("a key envelope without a known role"))?;
    let reference = value(REFERENCE_NAME)
        .filter(|value| {
            value.len() == 16 && value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        })
        .and_then(|value| u64::from_str_radix(value, 16).ok())
        .filter(|&reference| reference != 0)
        .ok_or(OpenError::Malformed("a key envelope without a well-formed key reference"))?;
    Ok((role, reference))
}

#[cfg(test)]
mod tests;
