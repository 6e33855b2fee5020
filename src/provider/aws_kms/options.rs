//! The provider's options as a configuration file can hold them. Clients are not among them: they are the program's.
//!
//! In code, the builder has a method for each.

use std::{collections::BTreeMap, fmt, time::Duration};

use base64ct::{Base64, Encoding as _};

use super::builder::AwsKmsBuilder;
#[cfg(feature = "serde")]
use crate::provider::duration_text;

/// How an [`AwsKmsProvider`](super::AwsKmsProvider) is set up, for
/// [`AwsKmsBuilder::with_options`]. What each option means is said at the builder's method of that name.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct AwsKmsOptions {
    /// The ARN of the key that seals.
    pub sealing_key: Option<String>,
    /// The ARNs of further keys that open.
    pub opening_keys: Vec<String>,
    /// Public halves of RSA keys by the key's ARN, in base64, as
    /// `aws kms get-public-key --query PublicKey --output text` prints them.
    pub public_keys: BTreeMap<String, String>,
    /// Names of the context pairs that are passed to KMS.
    pub kms_context: Vec<String>,
    /// Names of pairs that are passed to KMS when opening only.
    pub readable_kms_context: Vec<String>,
    /// Pairs for readiness checks.
    pub probe_context: BTreeMap<String, String>,
    /// Whether it seals, opens, or both. Default: both.
    pub role: AwsKmsRole,
    /// Whether KMS takes part in making data keys. Default: no.
    pub kms_randomness: bool,
    /// Whether the clients may make second attempts. Default: yes; no is right under `Guarded`.
    pub client_retries: bool,
    /// The longest a call may take. Default: 3 seconds.
    #[cfg_attr(feature = "serde", serde(with = "duration_text"))]
    pub deadline: Duration,
}

impl Default for AwsKmsOptions {
    fn default() -> Self {
        Self {
            sealing_key: None,
            opening_keys: Vec::new(),
            public_keys: BTreeMap::new(),
            kms_context: Vec::new(),
            readable_kms_context: Vec::new(),
            probe_context: BTreeMap::new(),
            role: AwsKmsRole::SealAndOpen,
            kms_randomness: false,
            client_retries: true,
            deadline: Duration::from_secs(3),
        }
    }
}

/// Without the values of probe pairs, which may be a tenant's, and without keys, which are long.
impl fmt::Debug for AwsKmsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKmsOptions")
            .field("sealing_key", &self.sealing_key)
            .field("opening_keys", &self.opening_keys)
            .field("public_keys", &self.public_keys.keys())
            .field("kms_context", &self.kms_context)
            .field("readable_kms_context", &self.readable_kms_context)
            .field("probe_context", &self.probe_context.keys())
            .field("role", &self.role)
            .field("kms_randomness", &self.kms_randomness)
            .field("client_retries", &self.client_retries)
            .field("deadline", &self.deadline)
            .finish()
    }
}

/// What a provider is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum AwsKmsRole {
    /// Seals with one key, and opens with it and those on the list.
    #[default]
    SealAndOpen,
    /// Seals, and has no right to open.
    SealOnly,
    /// Opens, and refuses to seal.
    OpenOnly,
}

impl AwsKmsBuilder {
    /// Takes all options of a configuration, in addition to what was given before.
    pub fn with_options(mut self, options: AwsKmsOptions) -> Self {
        if let Some(arn) = options.sealing_key {
            self = self.with_sealing_key(arn);
        }
        self = options.opening_keys.into_iter().fold(self, Self::with_opening_key);
        for (arn, text) in options.public_keys {
            // What is no base64 is no key either, and `build` says so.
            let der = Base64::decode_vec(&text).unwrap_or_default();
            self = self.with_public_key(arn, der);
        }
        self.with_kms_context(options.kms_context)
            .with_readable_kms_context(options.readable_kms_context)
            .with_probe_context(options.probe_context)
            .with_role(options.role)
            .with_kms_randomness(options.kms_randomness)
            .with_client_retries(options.client_retries)
            .with_deadline(options.deadline)
    }
}
