//! HKDF-Expand and HMAC with SHA-512, and SHA-256.
//!
//! HKDF-Expand is written here over HMAC, once for all backends: some libraries refuse a 32-byte key for SHA-512, and
//! one prepares the key again for every block. Floor 1; must not know what is derived.
//! The labels are in the key schedule of the [format](crate::manual::format).

use super::{Backend, Chosen, Hmac, with_clean_stack};
use crate::secret::Secret;

/// HKDF-Expand (RFC 5869) with SHA-512; `info` is the concatenation of its parts. At most 255 · 64 bytes.
pub(crate) fn hkdf_expand(prk: &[u8], info: &[&[u8]], out: &mut [u8]) {
    hkdf_expand_by::<Chosen>(prk, info, out);
}

/// HMAC-SHA-512 of the concatenation of `parts`.
pub(crate) fn hmac_sha512(key: &[u8], parts: &[&[u8]]) -> [u8; 64] {
    hmac_sha512_by::<Chosen>(key, parts)
}

/// SHA-256 of the concatenation of `parts`. Nothing secret but check bytes goes through it.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    with_clean_stack(|| Chosen::sha256(parts))
}

pub(super) fn hkdf_expand_by<B: Backend>(prk: &[u8], info: &[&[u8]], out: &mut [u8]) {
    assert!(out.len() <= 255 * 64, "HKDF-Expand numbers its blocks with one byte");
    let mut block = Secret::<64>::zeroed();
    with_clean_stack(|| {
        let keyed = B::Hmac::new(prk);
        for (number, out) in (1..=u8::MAX).zip(out.chunks_mut(64)) {
            let mut hmac = keyed.clone();
            if number > 1 {
                hmac.update(block.expose());
            }
            info.iter().for_each(|part| hmac.update(part));
            hmac.update(&[number]);
            hmac.finish(block.expose_mut());
            out.copy_from_slice(&block.expose()[..out.len()]);
        }
    });
}

pub(super) fn hmac_sha512_by<B: Backend>(key: &[u8], parts: &[&[u8]]) -> [u8; 64] {
    let mut mac = [0; 64];
    with_clean_stack(|| {
        let mut hmac = B::Hmac::new(key);
        parts.iter().for_each(|part| hmac.update(part));
        hmac.finish(&mut mac);
    });
    mac
}
