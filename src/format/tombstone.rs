//! Tombstones and receipts: links of two chains, each with the MAC of the one before it.
//!
//! Floor 2: bytes and MACs. What a chain means, where it is kept and what follows from a bad link is not its
//! business. Section "Key store and subjects" of the [format](crate::manual::format).

use std::fmt;

use super::label;
use crate::{
    crypto::{self, kdf::hmac_sha512},
    secret::Secret,
};

/// What a tombstone or receipt says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    /// The subject key that it ends; in a receipt, that of the tombstone it speaks of.
    pub(crate) reference: u64,
    /// In Unix seconds: when the key was ended; in a receipt, from when on its state holds.
    pub(crate) time: u64,
    /// The reason; in a receipt, the state.
    pub(crate) code: u16,
    /// Stands for the request.
    pub(crate) request: [u8; 32],
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Link(..)")
    }
}

/// Makes and verifies the links of one chain.
pub(crate) struct ChainKey {
    key: Secret<64>,
    label: &'static [u8],
}

impl ChainKey {
    pub(crate) fn of_tombstones(key: Secret<64>) -> Self {
        Self { key, label: label!("tombstone") }
    }

    pub(crate) fn of_receipts(key: Secret<64>) -> Self {
        Self { key, label: label!("receipt") }
    }

    /// The link after the one whose MAC is `previous`: [`FIRST`] for the first.
    // fmt: J-11
    pub(crate) fn append(&self, previous: &Mac, link: &Link) -> [u8; LINK_LEN] {
        let mut bytes = [0; LINK_LEN];
        let parts: [&[u8]; 5] = [
            &link.reference.to_be_bytes(),
            &link.time.to_be_bytes(),
            &link.code.to_be_bytes(),
            &link.request,
            previous,
        ];
        let mut rest = bytes.as_mut_slice();
        parts.iter().for_each(|part| super::record::put(&mut rest, part));
        debug_assert_eq!(rest.len(), 32, "what is left is the MAC's");
        let mac = self.mac(&bytes);
        bytes[MAC_AT..].copy_from_slice(&mac);
        bytes
    }

    /// Begins to verify a chain at its first link.
    #[cfg(test)]
    pub(crate) const fn walk(&self) -> Walk<'_> {
        self.walk_after(0, FIRST)
    }

    /// Begins behind the link of this number, whose MAC is `previous`.
    pub(crate) const fn walk_after(&self, number: u64, previous: Mac) -> Walk<'_> {
        Walk { key: self, number, previous }
    }

    fn mac(&self, bytes: &[u8; LINK_LEN]) -> Mac {
        let mac = hmac_sha512(self.key.expose(), &[self.label, &bytes[..MAC_AT]]);
        *mac.first_chunk().expect("64 bytes begin with 32")
    }
}

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainKey(..)")
    }
}

/// Verifies a chain link by link.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    key: &'a ChainKey,
    number: u64,
    previous: Mac,
}

impl Walk<'_> {
    /// What the next link says, if it belongs here. After a bad one nothing does.
    // fmt: J-11, J-12, N-5
    pub(crate) fn next(&mut self, bytes: &[u8; LINK_LEN]) -> Result<Link, BadLink> {
        let number = self.number.saturating_add(1);
        let mac = self.key.mac(bytes);
        let fits = crypto::equal(&mac, &bytes[MAC_AT..])
            & crypto::equal(&self.previous, &bytes[PREVIOUS_AT..MAC_AT]);
        if !fits {
            return Err(BadLink { number });
        }
        self.number = number;
        self.previous = mac;
        Ok(decode(bytes))
    }

    /// The number of the last good link, from 1; 0 before the first.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// The MAC of the last good link.
    pub(crate) const fn head(&self) -> Mac {
        self.previous
    }
}

/// A link that does not belong where it stands: changed, moved, left out before it, or another store's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadLink {
    /// From 1.
    pub(crate) number: u64,
}

/// What a link says, whether it is true or not.
pub(crate) fn decode(bytes: &[u8; LINK_LEN]) -> Link {
    let (reference, rest) = bytes.split_first_chunk().expect("114 bytes begin with 8");
    let (time, rest) = rest.split_first_chunk().expect("106 bytes begin with 8");
    let (code, rest) = rest.split_first_chunk().expect("98 bytes begin with 2");
    let request = rest.first_chunk().expect("96 bytes begin with 32");
    Link {
        reference: u64::from_be_bytes(*reference),
        time: u64::from_be_bytes(*time),
        code: u16::from_be_bytes(*code),
        request: *request,
    }
}

/// The MAC of a link, which is the next one's previous.
pub(crate) fn mac_of(bytes: &[u8; LINK_LEN]) -> Mac {
    *bytes.last_chunk().expect("114 bytes end with 32")
}

/// A link's MAC.
pub(crate) type Mac = [u8; 32];
/// What the first link has for the MAC of the one before it.
pub(crate) const FIRST: Mac = [0; 32];
/// Bytes of a tombstone and of a receipt.
pub(crate) const LINK_LEN: usize = 114;
/// Where the MAC of the link before stands.
const PREVIOUS_AT: usize = 50;
/// Where a link's own MAC stands.
const MAC_AT: usize = 82;

#[cfg(test)]
mod tests;
