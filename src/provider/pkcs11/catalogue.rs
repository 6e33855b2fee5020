//! What was found in the token: the keys of one label, which of them seals, and how.
//!
//! Knows names and public halves, and no handles: those are of a session and stay with their worker. Section "Keys in a
//! hardware security module" of the [operations manual](crate::manual::operations).

use super::failure::Pkcs11Failure;
use super::method::Method;
use super::options::Pkcs11Wrap;
use crate::crypto::rsa::PublicKey;
use crate::secret::DataKey;

/// The keys of a label.
pub(super) struct Catalogue {
    pub(super) method: Method,
    /// Of which connection: after another one there may be another token with the same name.
    pub(super) connection: u64,
    /// The one that seals first; at least that one.
    versions: Vec<Version>,
    pub(super) warnings: Vec<String>,
}

/// One key.
pub(super) struct Version {
    /// Its `CKA_ID`.
    pub(super) id: Vec<u8>,
    /// Its name in recipients.
    pub(super) name: String,
    /// Bytes of an RSA key's modulus.
    pub(super) modulus_len: usize,
    pub(super) public: Option<PublicKey>,
    pub(super) warnings: Vec<String>,
}

impl Catalogue {
    pub(super) fn new(
        method: Method,
        connection: u64,
        versions: Vec<Version>,
        warnings: Vec<String>,
    ) -> Self {
        Self { method, connection, versions, warnings }
    }

    /// The key that seals.
    pub(super) fn sealing(&self) -> &Version {
        &self.versions[0]
    }

    pub(super) fn versions(&self) -> &[Version] {
        &self.versions
    }

    pub(super) fn named(&self, name: &[u8]) -> Option<&Version> {
        self.versions.iter().find(|version| version.name.as_bytes() == name)
    }
}

impl Version {
    /// Wraps a data key on this side, for a key that has a public half.
    pub(super) fn wrap_here(
        &self,
        wrap: Pkcs11Wrap,
        key: &DataKey,
    ) -> Option<Result<Vec<u8>, Pkcs11Failure>> {
        let public = self.public.as_ref()?;
        let wrapped = match wrap {
            Pkcs11Wrap::RsaOaepSha256 => public.wrap(key.expose_bytes()),
            Pkcs11Wrap::RsaOaepSha1 => public.wrap_sha1(key.expose_bytes()),
            Pkcs11Wrap::AesKwp | Pkcs11Wrap::AesGcm => return None,
        };
        Some(wrapped.map_err(|_| Pkcs11Failure::WrongAnswer { what: "there are no random bytes" }))
    }

    /// Bytes of its wraps, where the key decides that.
    pub(super) fn modulus(&self) -> Option<usize> {
        (self.modulus_len > 0).then_some(self.modulus_len)
    }
}
