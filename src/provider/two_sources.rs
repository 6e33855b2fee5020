//! A data key in whose making somebody else takes part.
//!
//! For services that have a random source of their own: theirs and ours are mixed, so that neither alone decides. Knows
//! bytes only. Section "In a service" of the [operations manual](crate::manual::operations).

use crate::crypto::kdf;
use crate::secret::{DataKey, Secret};

/// A data key from two halves, unknown to whoever does not know both.
pub(super) fn mix(ours: &DataKey, theirs: &DataKey) -> DataKey {
    let mut both = Secret::<64>::zeroed();
    both.expose_mut()[..32].copy_from_slice(ours.expose_bytes());
    both.expose_mut()[32..].copy_from_slice(theirs.expose_bytes());
    let filled: Result<DataKey, std::convert::Infallible> = DataKey::try_filled_by(|bytes| {
        kdf::hkdf_expand(both.expose(), &[b"kuvert data key of two sources"], bytes);
        Ok(())
    });
    match filled {
        Ok(key) => key,
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixed_key_depends_on_both_halves() {
        let key = |byte: u8| DataKey::copy_from(&[byte; 32]);
        let mixed = |ours: u8, theirs: u8| *mix(&key(ours), &key(theirs)).expose_bytes();
        assert_eq!(mixed(1, 2), mixed(1, 2));
        for (ours, theirs) in [(1, 3), (3, 2), (2, 1), (0, 0)] {
            assert_ne!(mixed(1, 2), mixed(ours, theirs));
        }
    }
}
