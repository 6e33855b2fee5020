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

/// A public key of 2048 to 8192 bits.
pub(crate) struct PublicKey(OaepPublicEncryptingKey);

impl PublicKey {
    /// From a SubjectPublicKeyInfo in DER. Says what is wrong with it otherwise.
    pub(crate) fn from_spki(der: &[u8]) -> Result<Self, &'static str> {
        let key = PublicEncryptingKey::from_der(der)
            .map_err(|_| "it is not the SubjectPublicKeyInfo (DER) of an RSA key")?;
        let key = OaepPublicEncryptingKey::new(key).map_err(|_| "the RSA key is not usable for OAEP")?;
        match key.key_size_bits() {
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
        PublicKey::from_spki(&spki.as_ref()[1..]).unwrap_err();
        PublicKey::from_spki(b"").unwrap_err();
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
