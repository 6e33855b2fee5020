//! AES-KWP (RFC 5649, SP 800-38F) under an AES-256 key.
//!
//! Wraps exactly 32-byte keys: that is all that this crate ever wraps. Floor 1; must not know which stanza it is for.
//! The stanza types are listed in the [format](crate::manual::format).

use super::{AuthFailed, Backend, Chosen, with_clean_stack};
use crate::secret::DataKey;

/// The 40-byte wrap of `key` under `kek`. The same arguments always give the same bytes.
pub(crate) fn wrap(kek: &[u8; 32], key: &[u8; 32]) -> [u8; 40] {
    wrap_by::<Chosen>(kek, key)
}

/// The key that `wrapped` holds, if `kek` and the integrity check fit and it has exactly 32 bytes.
pub(crate) fn unwrap(kek: &[u8; 32], wrapped: &[u8]) -> Result<DataKey, AuthFailed> {
    unwrap_by::<Chosen>(kek, wrapped)
}

pub(super) fn wrap_by<B: Backend>(kek: &[u8; 32], key: &[u8; 32]) -> [u8; 40] {
    let mut wrapped = [0; 40];
    with_clean_stack(|| B::wrap_key(kek, key, &mut wrapped));
    wrapped
}

pub(super) fn unwrap_by<B: Backend>(kek: &[u8; 32], wrapped: &[u8]) -> Result<DataKey, AuthFailed> {
    // fmt: N-8 (a wrap of another length holds something else, and fails like one that was changed)
    let wrapped: &[u8; 40] = wrapped.try_into().map_err(|_| AuthFailed)?;
    DataKey::try_filled_by(|key| match with_clean_stack(|| B::unwrap_key(kek, wrapped, key))? {
        32 => Ok(()),
        _ => Err(AuthFailed),
    })
}
