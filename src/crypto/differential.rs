//! One input through every backend that is compiled in: the same bytes and the same verdicts, or a panic.
//!
//! Compiled for tests and for fuzzing only. Floor 1. With a single backend it still compares the ways in and out of
//! that one with each other.

use super::aead::Aead;
use super::xaes::Xaes;
use super::{Backend, kdf, key_wrap};

/// Takes keys, nonces, associated data and text from `data` and compares what the backends make of them.
///
/// # Panics
///
/// If they do not agree, or if one of them does not agree with itself.
#[cfg_attr(not(fuzzing), allow(unreachable_pub, reason = "reached by the fuzz target"))]
pub fn differential(data: &[u8]) {
    let case = Case::from(data);
    let seen = [
        #[cfg(feature = "aws-lc")]
        observe::<super::aws_lc::AwsLc>(&case),
        #[cfg(feature = "ring")]
        observe::<super::ring::Ring>(&case),
        #[cfg(feature = "portable")]
        observe::<super::rust_crypto::RustCrypto>(&case),
    ];
    for other in &seen[1..] {
        assert_eq!(&seen[0], other);
    }
}

/// Whether two backends make the same of `data`.
#[cfg(test)]
pub(super) fn same_by<A: Backend, B: Backend>(data: &[u8]) -> bool {
    let case = Case::from(data);
    observe::<A>(&case) == observe::<B>(&case)
}

struct Case<'a> {
    key: [u8; 32],
    other_key: [u8; 32],
    nonce: [u8; 24],
    /// Where a bit is flipped.
    flip: usize,
    aad: &'a [u8],
    text: &'a [u8],
}

impl<'a> From<&'a [u8]> for Case<'a> {
    /// What is missing at the end counts as zeros.
    fn from(data: &'a [u8]) -> Self {
        let (start, rest) = data.split_at(data.len().min(FIXED));
        let mut fixed = [0; FIXED];
        fixed[..start.len()].copy_from_slice(start);
        let take = |at: usize, len: usize| fixed[at..at + len].iter().copied();
        let (mut key, mut other_key, mut nonce) = ([0; 32], [0; 32], [0; 24]);
        key.iter_mut().zip(take(3, 32)).for_each(|(to, from)| *to = from);
        other_key.iter_mut().zip(take(35, 32)).for_each(|(to, from)| *to = from);
        nonce.iter_mut().zip(take(67, 24)).for_each(|(to, from)| *to = from);
        let (aad, text) = rest.split_at(usize::from(fixed[0]).min(rest.len()));
        Self { key, other_key, nonce, flip: usize::from(u16::from_be_bytes([fixed[1], fixed[2]])), aad, text }
    }
}

/// Length of the associated data, place of the flip, two keys, nonce.
const FIXED: usize = 1 + 2 + 32 + 32 + 24;

/// Everything that a backend gives for a case, in a fixed order.
#[derive(Debug, PartialEq, Eq)]
struct Observed {
    sealed: Vec<u8>,
    foreign_verdict: bool,
    derived: Vec<u8>,
    wrapped: [u8; 40],
    foreign_unwrap: Option<[u8; 32]>,
}

fn observe<B: Backend>(case: &Case<'_>) -> Observed {
    let (first, second) = (case.nonce.first_chunk(), case.nonce.last_chunk());
    let (first, second) = first.zip(second).unwrap_or((&[0; 12], &[0; 12]));
    let subkey: Aead<B> = Xaes::new(&case.key).subkey(first);
    let sealed = seal_and_open(&subkey, second, case);

    let mut derived = vec![0; case.aad.len() + 1];
    kdf::hkdf_expand_by::<B>(&case.key, &[case.aad, case.text], &mut derived);
    derived.extend(kdf::hmac_sha512_by::<B>(case.aad, &[case.text, &case.nonce]));
    derived.extend(B::sha256(&[case.aad, case.text]));

    let wrapped = key_wrap::wrap_by::<B>(&case.key, &case.other_key);
    let unwrapped = key_wrap::unwrap_by::<B>(&case.key, &wrapped);
    assert!(unwrapped.is_ok_and(|key| *key.expose_bytes() == case.other_key));
    let mut changed = wrapped;
    changed[case.flip / 8 % 40] ^= 1 << (case.flip % 8);
    assert!(key_wrap::unwrap_by::<B>(&case.key, &changed).is_err());

    Observed {
        foreign_verdict: opens(&Aead::<B>::new(&case.other_key), second, case.aad, case.text),
        foreign_unwrap: key_wrap::unwrap_by::<B>(&case.other_key, case.text)
            .ok()
            .map(|key| *key.expose_bytes()),
        sealed,
        derived,
        wrapped,
    }
}

/// Seals and opens both ways, and opens what was changed; gives back what was sealed.
fn seal_and_open<B: Backend>(key: &Aead<B>, nonce: &[u8; 12], case: &Case<'_>) -> Vec<u8> {
    let mut sealed = vec![0; case.text.len() + 16];
    key.seal_to(nonce, case.aad, case.text, &mut sealed);
    let (mut in_place, mut tag) = (case.text.to_vec(), [0; 16]);
    key.seal_in_place(nonce, case.aad, &mut in_place, &mut tag);
    assert_eq!(sealed, [in_place.as_slice(), &tag].concat());

    let mut opened = vec![0xaa; case.text.len()];
    assert!(key.open_to(nonce, case.aad, &sealed, &mut opened).is_ok());
    assert!(key.open_in_place(nonce, case.aad, &mut in_place, &tag).is_ok());
    assert!(opened == case.text && in_place == case.text);

    let mut changed = sealed.clone();
    let at = case.flip % (8 * changed.len());
    changed[at / 8] ^= 1 << (at % 8);
    assert!(!opens(key, nonce, case.aad, &changed));
    assert!(!opens(key, nonce, &[case.aad, &[0]].concat(), &sealed));
    sealed
}

/// Whether `sealed` opens, both ways; where it does not, nothing but zeros may be left.
fn opens<B: Backend>(key: &Aead<B>, nonce: &[u8; 12], aad: &[u8], sealed: &[u8]) -> bool {
    let Some((ciphertext, tag)) = sealed.split_last_chunk() else { return false };
    let mut opened = vec![0xaa; ciphertext.len()];
    let mut in_place = ciphertext.to_vec();
    let verdict = key.open_to(nonce, aad, sealed, &mut opened).is_ok();
    assert_eq!(verdict, key.open_in_place(nonce, aad, &mut in_place, tag).is_ok());
    assert_eq!(opened, in_place);
    assert!(verdict || opened.iter().all(|byte| *byte == 0));
    verdict
}
