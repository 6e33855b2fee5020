//! RSA-OAEP with a public key: wrapping for whoever holds the private half.
//!
//! SHA-256 for the label hash and for MGF1, or SHA-1 for tokens that know no other, and the empty label. Floor 1; only
//! aws-lc has it, and only providers that imply that backend ask for it. Types 0x0003, 0x0004 and 0x0011 of the
//! [format](crate::manual::format).

use std::fmt;

#[cfg(feature = "pkcs11")]
use aws_lc_rs::rsa::OAEP_SHA1_MGF1SHA1;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPublicEncryptingKey, PublicEncryptingKey};

use super::AuthFailed;

/// A public key of 2048 to 8192 bits, a multiple of 64, since a wrap has a multiple of 8 bytes.
pub(crate) struct PublicKey(OaepPublicEncryptingKey);

impl PublicKey {
    /// From a SubjectPublicKeyInfo in DER. Says what is wrong with it otherwise.
    pub(crate) fn from_spki(der: &[u8]) -> Result<Self, &'static str> {
        const NO_KEY: &str = "it is not the SubjectPublicKeyInfo (DER) of an RSA key";
        // aws-lc ignores what follows the key. Every key of use is longer than 255 bytes, and so has this form of length.
        let is_whole = matches!(der, [0x30, 0x82, high, low, rest @ ..]
            if rest.len() == usize::from(u16::from_be_bytes([*high, *low])));
        if !is_whole {
            return Err(NO_KEY);
        }
        let key = PublicEncryptingKey::from_der(der).map_err(|_| NO_KEY)?;
        let key = OaepPublicEncryptingKey::new(key).map_err(|_| "the RSA key is not usable for OAEP")?;
        // fmt: Z-5
        match key.key_size_bits() {
            bits if bits % 64 != 0 => Err("the RSA key's bits are no multiple of 64"),
            2048..=8192 => Ok(Self(key)),
            _ => Err("the RSA key has fewer than 2048 or more than 8192 bits"),
        }
    }

    /// From the modulus and the public exponent, both big-endian.
    #[cfg(feature = "pkcs11")]
    pub(crate) fn from_numbers(modulus: &[u8], exponent: &[u8]) -> Result<Self, &'static str> {
        Self::from_spki(&der::spki(modulus, exponent))
    }

    /// Bytes of the modulus, and so of every wrap.
    pub(crate) fn wrap_len(&self) -> usize {
        self.0.ciphertext_size()
    }

    /// Wraps a data key, with SHA-256. Fails only where the system has no random bytes.
    pub(crate) fn wrap(&self, key: &[u8; 32]) -> Result<Vec<u8>, AuthFailed> {
        self.wrap_by(&OAEP_SHA256_MGF1SHA256, key)
    }

    /// Wraps a data key, with SHA-1.
    #[cfg(feature = "pkcs11")]
    pub(crate) fn wrap_sha1(&self, key: &[u8; 32]) -> Result<Vec<u8>, AuthFailed> {
        self.wrap_by(&OAEP_SHA1_MGF1SHA1, key)
    }

    fn wrap_by(&self, by: &'static OaepAlgorithm, key: &[u8; 32]) -> Result<Vec<u8>, AuthFailed> {
        let mut wrapped = vec![0; self.wrap_len()];
        let written = super::with_clean_stack(|| self.0.encrypt(by, key, &mut wrapped, None));
        let len = written.map_err(|_| AuthFailed)?.len();
        wrapped.truncate(len);
        Ok(wrapped)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicKey").field("bits", &self.0.key_size_bits()).finish()
    }
}

/// Just enough of DER to write down an RSA public key.
#[cfg(feature = "pkcs11")]
mod der {
    /// A SubjectPublicKeyInfo (RFC 5280) of an RSA key (RFC 8017).
    pub(super) fn spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
        let numbers = [unsigned(modulus), unsigned(exponent)].concat();
        let bits = [&[0][..], &tagged(SEQUENCE, &numbers)].concat();
        tagged(SEQUENCE, &[RSA_ENCRYPTION, &tagged(BIT_STRING, &bits)].concat())
    }

    fn unsigned(number: &[u8]) -> Vec<u8> {
        let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
        // In front of a byte that would make it negative, and of nothing at all.
        let zero: &[u8] = if number.get(start).is_none_or(|first| *first > 0x7f) { &[0] } else { &[] };
        tagged(INTEGER, &[zero, &number[start..]].concat())
    }

    fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
        let len = content.len().to_be_bytes();
        let len = &len[len.iter().position(|byte| *byte != 0).unwrap_or(len.len() - 1)..];
        let mut out = vec![tag];
        if content.len() > 0x7f {
            // At most eight bytes of length.
            out.push(0x80 | u8::try_from(len.len()).unwrap_or_default());
        }
        out.extend_from_slice(len);
        out.extend_from_slice(content);
        out
    }

    const INTEGER: u8 = 0x02;
    const BIT_STRING: u8 = 0x03;
    const SEQUENCE: u8 = 0x30;
    /// `SEQUENCE { OBJECT IDENTIFIER 1.2.840.113549.1.1.1, NULL }`
    const RSA_ENCRYPTION: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
    use aws_lc_rs::rsa::{KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey};

    use super::*;

    #[test]
    fn wraps_for_the_private_half_and_each_time_anew() {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let spki: PublicKeyX509Der<'_> = private.public_key().as_der().unwrap();
        let public = PublicKey::from_spki(spki.as_ref()).unwrap();
        assert_eq!(public.wrap_len(), 256);
        let (one, other) = (public.wrap(&[7; 32]).unwrap(), public.wrap(&[7; 32]).unwrap());
        assert_ne!(one, other);
        let private = OaepPrivateDecryptingKey::new(private).unwrap();
        let mut out = vec![0; private.min_output_size()];
        for wrap in [one, other] {
            assert_eq!(private.decrypt(&OAEP_SHA256_MGF1SHA256, &wrap, &mut out, None).unwrap(), [7; 32]);
        }
    }

    /// A SubjectPublicKeyInfo of these numbers, in DER.
    fn spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
        let tagged = |tag: u8, content: &[u8]| {
            let len = u16::try_from(content.len()).unwrap().to_be_bytes();
            let len: &[u8] = match content.len() {
                0..128 => &len[1..],
                128..256 => &[0x81, len[1]],
                _ => &[0x82, len[0], len[1]],
            };
            [&[tag], len, content].concat()
        };
        let integer = |number: &[u8]| tagged(2, &[&[0; 1][..usize::from(number[0] >> 7)], number].concat());
        let key = tagged(0x30, &[integer(modulus), integer(exponent)].concat());
        let algorithm = tagged(0x30, b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00");
        tagged(0x30, &[algorithm, tagged(3, &[&[0], &key[..]].concat())].concat())
    }

    fn modulus(bytes: usize) -> Vec<u8> {
        let mut modulus = vec![0xa5; bytes];
        (modulus[0], modulus[bytes - 1]) = (0xc1, 0x0b);
        modulus
    }

    const F4: &[u8] = &[1, 0, 1];

    #[test]
    fn sizes_and_exponents_that_are_of_use() {
        for bytes in [256, 384, 512, 1024] {
            assert_eq!(PublicKey::from_spki(&spki(&modulus(bytes), F4)).unwrap().wrap_len(), bytes);
        }
        // Too short, too long, and a wrap of a length that no recipient can have.
        for bytes in [128, 255, 257, 260, 1032] {
            PublicKey::from_spki(&spki(&modulus(bytes), F4)).unwrap_err();
        }
        // With the exponent 1 the wrap would be the padded key itself; an even one has no inverse.
        for exponent in [&[0][..], &[1], &[2], &[1, 0, 0]] {
            PublicKey::from_spki(&spki(&modulus(256), exponent)).unwrap_err();
        }
        // An even modulus is no product of two primes.
        let even = [&modulus(256)[..255], &[0x0a]].concat();
        PublicKey::from_spki(&spki(&even, F4)).unwrap_err();
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let good = spki(&modulus(256), F4);
        PublicKey::from_spki(&good).unwrap();
        for bad in [&b""[..], &good[1..], &good[..good.len() - 1], &[&good[..], &[0]].concat()] {
            PublicKey::from_spki(bad).unwrap_err();
        }
    }

    proptest::proptest! {
        #[test]
        fn odd_der_is_refused_or_wraps_and_never_panics(
            edits in proptest::collection::vec((0..294_usize, proptest::num::u8::ANY), 1..4),
            len in 0..300_usize,
        ) {
            let mut der = spki(&modulus(256), F4);
            for (at, byte) in edits {
                let at = at % der.len();
                der[at] = byte;
            }
            der.resize(len.max(250), 0);
            if let Ok(key) = PublicKey::from_spki(&der) {
                let fits = key.wrap(&[7; 32]).is_ok_and(|wrap| wrap.len() == key.wrap_len() && wrap.len() % 8 == 0);
                proptest::prop_assert!(fits);
            }
        }

        #[test]
        fn noise_is_refused(der in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            proptest::prop_assert!(PublicKey::from_spki(&der).is_err());
        }
    }

    #[cfg(feature = "pkcs11")]
    #[test]
    fn a_key_from_its_numbers_is_the_same_key() {
        use aws_lc_rs::rsa::OAEP_SHA1_MGF1SHA1;

        for size in [KeySize::Rsa2048, KeySize::Rsa3072] {
            let private = PrivateDecryptingKey::generate(size).unwrap();
            let spki: PublicKeyX509Der<'_> = private.public_key().as_der().unwrap();
            // 33 bytes into it stands the modulus; the exponent is the usual one.
            let len = private.key_size_bytes();
            let modulus = &spki.as_ref()[33..33 + len];
            assert_eq!(der::spki(modulus, &[1, 0, 1]), spki.as_ref());
            assert_eq!(der::spki(&[&[0, 0], modulus].concat(), &[0, 1, 0, 1]), spki.as_ref());
            let public = PublicKey::from_numbers(modulus, &[1, 0, 1]).unwrap();
            let private = OaepPrivateDecryptingKey::new(private).unwrap();
            let mut out = vec![0; private.min_output_size()];
            for (by, wrap) in [
                (&OAEP_SHA256_MGF1SHA256, public.wrap(&[7; 32]).unwrap()),
                (&OAEP_SHA1_MGF1SHA1, public.wrap_sha1(&[7; 32]).unwrap()),
            ] {
                assert_eq!(private.decrypt(by, &wrap, &mut out, None).unwrap(), [7; 32]);
            }
        }
        PublicKey::from_numbers(&[], &[]).unwrap_err();
        PublicKey::from_numbers(&[0xff; 255], &[1, 0, 1]).unwrap_err();
    }
}
