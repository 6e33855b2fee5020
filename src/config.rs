//! One description of the key providers of a service, as a configuration file holds it, and the providers made of it.
//!
//! Floor 5: knows every provider by its option struct and its constructor, and never sees a message. The file's format
//! is the program's choice (anything of serde); its keys, defaults and limits are the page
//! [configuration](crate::manual::configuration).

mod assembly;
mod check;
mod fault;
mod leaf;
mod names;
mod parts;
mod read;
mod stand_in;
#[cfg(test)]
mod tests;
mod tree;
mod value;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use self::value::Value;
pub use self::{
    assembly::Assembly,
    fault::{ConfigError, ConfigFault},
    parts::Parts,
};
#[cfg(feature = "aws-kms")]
use crate::provider::aws_kms::AwsKmsOptions;
#[cfg(feature = "pkcs11")]
use crate::provider::pkcs11::Pkcs11Options;
use crate::provider::{AnyOfOptions, CacheOptions, GuardedOptions, KeyPolicy, KeyProvider};

/// The key providers of a service: a table of named ones, which refer to each other, and the one that is used.
///
/// Reading one from a file fails only where the file's syntax is wrong. Everything else is told by
/// [`faults`](Self::faults) and [`build`](Self::build), all of it at once: unknown keys, wrong types, names that lead
/// nowhere, options that contradict each other, keys that a policy forbids. It can be a part of a larger configuration.
///
/// # Security
///
/// It holds no secret: key files are named by their paths, and what looks like a key in a configuration is refused
/// without being shown. Whoever can change it decides who can open what is sealed from then on, so guard it as you guard
/// the program.
///
/// # Examples
///
/// ```
/// use kuvert::{EncryptionContext, Kuvert, config::{Config, Parts}, provider::KeyFile};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # kuvert::blocking::block_on(async {
/// let directory = tempfile::tempdir()?;
/// KeyFile::generate(Some("backup-2026"))?.write_new(&directory.path().join("backup.key"))?;
///
/// let config: Config = toml::from_str(r#"
///     provider = "backup"
///
///     [providers.backup]
///     type = "key-file"
///     paths = ["backup.key"]
/// "#)?;
/// let provider = config.build(&Parts::default().with_base(directory.path())).await?;
/// let sealed = Kuvert::from_arc(provider).seal(b"text", &EncryptionContext::empty()).await?;
///
/// let faulty: Config = toml::from_str(r#"
///     provider = "bakcup"
///
///     [providers.backup]
///     type = "key-file"
///     path = "backup.key"
/// "#)?;
/// let faults: Vec<String> = faulty.faults().iter().map(|fault| fault.path().to_owned()).collect();
/// assert_eq!(faults, ["provider", "providers.backup.path", "providers.backup.paths"]);
/// # Ok(()) })? }
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    provider: Option<String>,
    providers: BTreeMap<String, ProviderConfig>,
    /// Sections that are there and could not be read.
    unread: Vec<String>,
    /// What was found while reading.
    misread: Vec<ConfigFault>,
}

/// One provider of a [`Config`], as one table of the file; key `type` tells which of these it is.
///
/// Members and the provider inside are named by the names of their own tables. The options of each are the other keys
/// of its table.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProviderConfig {
    /// A [`MemoryProvider`](crate::provider::MemoryProvider) of key files; the first key of the first one seals.
    KeyFile {
        /// The files. Relative ones are relative to [`Parts::with_base`].
        paths: Vec<PathBuf>,
    },
    /// An `AwsKmsProvider`, with feature `aws-kms`.
    #[cfg(feature = "aws-kms")]
    AwsKms(AwsKmsOptions),
    /// A `Pkcs11Provider`, with feature `pkcs11`. It asks the token when it is first used.
    #[cfg(feature = "pkcs11")]
    Pkcs11(Pkcs11Options),
    /// An [`AnyOf`](crate::provider::AnyOf).
    AnyOf {
        /// Names of providers, the nearest first.
        members: Vec<String>,
        /// How it seals and opens.
        #[serde(flatten)]
        options: AnyOfOptions,
    },
    /// An [`AllOf`](crate::provider::AllOf).
    AllOf {
        /// Names of providers, two to eight.
        members: Vec<String>,
    },
    /// A [`Guarded`](crate::provider::Guarded).
    Guarded {
        /// The name of the provider inside.
        provider: String,
        /// How it is called.
        #[serde(flatten)]
        options: GuardedOptions,
    },
    /// A [`Cached`](crate::provider::Cached).
    Cached {
        /// The name of the provider inside.
        provider: String,
        /// What is kept, and how long.
        #[serde(flatten)]
        options: CacheOptions,
    },
    /// A [`Policy`](crate::provider::Policy).
    Policy {
        /// The name of the provider inside.
        provider: String,
        /// Which keys may be used.
        #[serde(flatten)]
        policy: KeyPolicy,
    },
}

impl Config {
    /// A configuration made in code, which uses the provider of this name; it is yet to be added.
    #[must_use]
    pub fn new(provider: impl Into<String>) -> Self {
        Self { provider: Some(provider.into()), ..Self::default() }
    }

    /// Adds a provider. One of the same name is replaced.
    #[must_use]
    pub fn with_provider(mut self, name: impl Into<String>, provider: ProviderConfig) -> Self {
        self.providers.insert(name.into(), provider);
        self
    }

    /// The name of the provider that is used, if one is named.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.provider.as_deref()
    }

    /// All providers by name; those that could not be read are missing.
    #[must_use]
    pub const fn providers(&self) -> &BTreeMap<String, ProviderConfig> {
        &self.providers
    }

    /// Everything that is wrong with it as far as its text tells, in the order of the places: no file is read, no client
    /// made, nobody called. [`build`](Self::build) finds these, and what is wrong with key files and clients.
    #[must_use]
    pub fn faults(&self) -> Vec<ConfigFault> {
        let mut faults = self.text_faults();
        tree::grow(self, &leaf::by_text(self, &mut faults), &Parts::default(), &mut faults);
        fault::sorted(faults)
    }

    /// Makes the provider that it describes. As [`assemble`](Self::assemble), where nothing else is wanted.
    ///
    /// # Errors
    ///
    /// As `assemble`.
    pub async fn build(&self, parts: &Parts) -> Result<Arc<dyn KeyProvider>, ConfigError> {
        Ok(self.assemble(parts).await?.provider)
    }

    /// Makes all providers that it describes, and gives those by name that a service may want to talk to.
    ///
    /// Reads the key files, and makes clients for the regions that [`Parts`] has none for. No key service is called:
    /// [`KeyProvider::check`] does that.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every fault that there is; then no client was made.
    pub async fn assemble(&self, parts: &Parts) -> Result<Assembly, ConfigError> {
        let mut faults = self.text_faults();
        let mut leaves = leaf::by_files(self, parts, &mut faults);
        tree::grow(self, &leaves, parts, &mut faults);
        if faults.is_empty() {
            leaf::connect(self, parts, &mut leaves, &mut faults).await;
        }
        if !faults.is_empty() {
            return Err(ConfigError::new(faults));
        }
        let whole = tree::grow(self, &leaves, parts, &mut faults);
        whole.ok_or_else(|| {
            if faults.is_empty() {
                faults.push(ConfigFault::new("provider", "it cannot be made"));
            }
            ConfigError::new(faults)
        })
    }

    /// What can be said of each key and each name by itself.
    fn text_faults(&self) -> Vec<ConfigFault> {
        let mut faults = self.misread.clone();
        names::check(self, &mut faults);
        check::options(self, &mut faults);
        faults
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::read(value).ok_or_else(|| de::Error::custom("a configuration of providers is a table"))
    }
}

impl Serialize for Config {
    /// Refuses one that could not be read whole: the rest of it would be another configuration.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Sound<'c> {
            #[serde(skip_serializing_if = "Option::is_none")]
            provider: Option<&'c str>,
            providers: &'c BTreeMap<String, ProviderConfig>,
        }
        match self.misread.first() {
            Some(fault) => Err(ser::Error::custom(fault)),
            None => Sound { provider: self.provider(), providers: &self.providers }.serialize(serializer),
        }
    }
}
