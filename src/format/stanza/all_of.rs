//! All-of recipients on the wire: several shares, each wrapped for its own key, and the data key under all of them.
//!
//! Floor 2. It knows how the shares stand in a wrap and how they become one key; who holds which key, and in what
//! order they are asked, is the provider's business. Section 15 of the [format](crate::manual::format).

use super::{KWP_LEN, Recipient, RecipientType, check, take_unchecked};
use crate::{
    crypto::kdf::hkdf_expand,
    format::label,
    limits::{MAX_SHARES, MIN_SHARES},
    secret::{DataKey, Secret},
};

/// The wrap of an all-of recipient, taken apart. Well formed, and nothing more.
pub(crate) struct AllOfWrap {
    /// The shares in the order they stand, each wrapped for its own key.
    pub(crate) shares: Vec<Recipient>,
    /// The data key under the key that all shares together make.
    pub(crate) wrapped: [u8; KWP_LEN],
}

/// Takes apart what an all-of recipient wraps: 2 to 8 shares that could each be one, of different keys.
pub(crate) fn parse(wrap: &[u8]) -> Result<AllOfWrap, &'static str> {
    let parsed = split(wrap)?;
    for (i, share) in parsed.shares.iter().enumerate() {
        // fmt: A-2
        if matches!(
            share.recipient_type,
            RecipientType::ALL_OF | RecipientType::PENDING | RecipientType::PARENT_KEY
        ) {
            return Err("a share of an all-of has a type that cannot be one");
        }
        check(share)?;
        // fmt: A-3
        if parsed.shares[..i].iter().any(|other| is_same_key(other, share)) {
            return Err("an all-of names one key twice");
        }
    }
    Ok(parsed)
}

/// The shares of an all-of, whose own rules are not checked yet.
// fmt: A-1
pub(super) fn split(wrap: &[u8]) -> Result<AllOfWrap, &'static str> {
    let (&count, mut rest) = wrap.split_first().ok_or("an all-of has no shares")?;
    if !(MIN_SHARES..=MAX_SHARES).contains(&usize::from(count)) {
        return Err("an all-of has 2 to 8 shares");
    }
    let shares = (0..count).map(|_| take_unchecked(&mut rest)).collect::<Result<Vec<_>, _>>()?;
    let wrapped = rest.try_into().map_err(|_| "an all-of ends in a wrapped key of 40 bytes")?;
    Ok(AllOfWrap { shares, wrapped })
}

/// Writes the recipient of shares whose parts are each within the limits.
pub(crate) fn join(shares: &[Recipient], wrapped: &[u8; KWP_LEN]) -> Recipient {
    let count = u8::try_from(shares.len()).expect("an all-of provider has at most 8 members");
    let mut wrap = vec![count];
    shares.iter().for_each(|share| share.encode(&mut wrap));
    wrap.extend_from_slice(wrapped);
    Recipient::new(RecipientType::ALL_OF, [], [], wrap)
}

/// The key that wraps the data key: no fewer than all shares tell anything about it.
pub(crate) fn wrapping_key(shares: &[DataKey], core: &[u8; 12]) -> Secret<32> {
    let mut together = Secret::<32>::zeroed();
    for share in shares {
        for (sum, byte) in together.expose_mut().iter_mut().zip(share.expose_bytes()) {
            *sum ^= byte;
        }
    }
    let count = u8::try_from(shares.len()).expect("an all-of provider has at most 8 members");
    let mut key = Secret::zeroed();
    hkdf_expand(together.expose(), &[label!("all-of"), &[count], core], key.expose_mut());
    key
}

fn is_same_key(one: &Recipient, other: &Recipient) -> bool {
    one.recipient_type == other.recipient_type && one.id == other.id
}
