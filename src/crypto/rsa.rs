//! RSA-OAEP with a public key: wrapping for whoever holds the private half.
//!
//! SHA-256 for the label hash and for MGF1, and the empty label. Floor 1; only aws-lc has it, and only a provider that
//! implies that backend asks for it. Type 0x0011 of the [format](crate::manual::format).

use std::fmt;

use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};

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

    /// Bytes of the modulus, and so of every wrap.
    pub(crate) fn wrap_len(&self) -> usize {
        self.0.ciphertext_size()
    }

    /// Wraps a data key. Fails only where the system has no random bytes.
    pub(crate) fn wrap(&self, key: &[u8; 32]) -> Result<Vec<u8>, AuthFailed> {
        let mut wrapped = vec![0; self.wrap_len()];
        let written =
            super::with_clean_stack(|| self.0.encrypt(&OAEP_SHA256_MGF1SHA256, key, &mut wrapped, None));
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
}
