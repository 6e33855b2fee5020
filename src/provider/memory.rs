//! The provider that needs nothing else: AES-256 wrapping keys in this process's memory.
//!
//! Keys come from key files, from the caller, or are made here; data keys are wrapped by AES-KWP (RFC 5649).
//! Recipient type 0x0001 of the [format](crate::manual::format), section 12 for the files.

use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

use async_trait::async_trait;
use zeroize::Zeroize as _;

use super::key_file::{Entry, check_id};
use super::{Health, KeyCustodian, KeyFile, KeyFileError, KeyInfo, KeyProvider, ProviderInfo, WrapContext};
use crate::crypto::{equal, key_wrap};
use crate::error::{ProviderError, ProviderErrorKind};
use crate::format::stanza::{Recipient, RecipientType};
use crate::secret::{DataKey, Secret};

/// AES-256 wrapping keys by id, in memory: one of them seals, all of them open.
///
/// # Security
///
/// The keys are in this process's memory for as long as the provider lives, and wiped when it is dropped. A key
/// file protects stored data as well as the file is kept: apart from the data, and readable by one user only.
///
/// # Examples
///
/// ```
/// use kuvert::provider::MemoryProvider;
///
/// let provider = MemoryProvider::generate("2026")?;
/// // A year later: new messages under a new key, old ones still open.
/// provider.add_generated("2027")?;
/// provider.rotate_to("2027")?;
/// assert!(provider.rotate_to("2028").is_err());
/// # Ok::<(), kuvert::provider::KeyFileError>(())
/// ```
#[derive(Debug)]
pub struct MemoryProvider {
    keys: RwLock<Keys>,
}

#[derive(Debug)]
struct Keys {
    entries: Vec<Entry>,
    /// The id of the key that seals; `None` once that key was destroyed and no other was chosen.
    sealing: Option<String>,
}

impl MemoryProvider {
    /// One new key from the operating system's random source, in memory only: what it seals cannot be opened
    /// once the provider is dropped. For tests, and for data that must not survive the process.
    ///
    /// # Errors
    ///
    /// [`KeyFileError::InvalidId`] and [`KeyFileError::Random`].
    pub fn generate(id: &str) -> Result<Self, KeyFileError> {
        Self::from_entries([Entry::generate(id.to_owned())?])
    }

    /// The keys of one key file; the first seals.
    ///
    /// # Errors
    ///
    /// [`KeyFileError`], as [`KeyFile::load`].
    pub fn from_key_file(path: impl AsRef<Path>) -> Result<Self, KeyFileError> {
        Self::from_key_files([path])
    }

    /// The keys of several key files, at least one; the first key of the first file seals.
    ///
    /// # Errors
    ///
    /// As [`from_key_file`](Self::from_key_file); [`KeyFileError::Conflict`] if one id stands for two different
    /// keys. The same key twice does no harm.
    pub fn from_key_files(paths: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<Self, KeyFileError> {
        let mut entries = Vec::new();
        for path in paths {
            entries.extend(KeyFile::load(path.as_ref())?.into_entries());
        }
        Self::from_entries(entries)
    }

    /// The keys of a key file's text, for keys that come from a secret store or an environment variable.
    ///
    /// # Security
    ///
    /// The text is the caller's to wipe.
    ///
    /// # Errors
    ///
    /// As [`KeyFile::parse`].
    pub fn from_key_file_text(text: &str) -> Result<Self, KeyFileError> {
        Self::from_entries(KeyFile::parse(text.as_bytes())?.into_entries())
    }

    /// Keys by id, at least one; the first seals.
    ///
    /// # Security
    ///
    /// The arrays passed in are wiped; copies that the caller has are the caller's to wipe.
    ///
    /// # Errors
    ///
    /// [`KeyFileError::InvalidId`], [`KeyFileError::Conflict`], and [`KeyFileError::NoKey`] if there is none.
    pub fn from_keys<I: Into<String>>(
        keys: impl IntoIterator<Item = (I, [u8; 32])>,
    ) -> Result<Self, KeyFileError> {
        let entries = keys.into_iter().map(|(id, mut key)| {
            let entry = Entry::new(id.into(), Secret::copy_from(&key));
            key.zeroize();
            entry
        });
        Self::from_entries(entries.collect::<Vec<_>>())
    }

    /// Adds a new random key, which opens at once and seals after [`rotate_to`](Self::rotate_to).
    ///
    /// # Errors
    ///
    /// [`KeyFileError::InvalidId`], [`KeyFileError::Random`], and [`KeyFileError::Conflict`] if the id is taken.
    pub fn add_generated(&self, id: &str) -> Result<(), KeyFileError> {
        self.write().add(Entry::generate(id.to_owned())?)
    }

    /// Adds the keys of a key file, which open at once and seal after [`rotate_to`](Self::rotate_to).
    ///
    /// # Errors
    ///
    /// [`KeyFileError::Conflict`] if an id is taken by another key; then none of them was added.
    pub fn add_key_file(&self, file: KeyFile) -> Result<(), KeyFileError> {
        let entries = file.into_entries();
        let mut keys = self.write();
        entries.iter().try_for_each(|entry| keys.check_new(entry))?;
        entries.into_iter().try_for_each(|entry| keys.add(entry))
    }

    /// Has new data keys wrapped under the key of this id, from now on.
    ///
    /// # Errors
    ///
    /// [`KeyFileError::UnknownId`] if it is not one of the keys; nothing changes.
    pub fn rotate_to(&self, id: &str) -> Result<(), KeyFileError> {
        let mut keys = self.write();
        if keys.find(id).is_none() {
            return Err(KeyFileError::UnknownId { id: id.to_owned() });
        }
        keys.sealing = Some(id.to_owned());
        Ok(())
    }

    fn from_entries(entries: impl IntoIterator<Item = Entry>) -> Result<Self, KeyFileError> {
        let mut keys = Keys { entries: Vec::new(), sealing: None };
        for entry in entries {
            check_id(entry.id())?;
            keys.add(entry)?;
        }
        // fmt: F-6
        let first = keys.entries.first().ok_or(KeyFileError::NoKey { path: None })?;
        keys.sealing = Some(first.id().to_owned());
        Ok(Self { keys: RwLock::new(keys) })
    }

    // No code that can panic runs under the lock, so a poisoned lock holds whole keys.
    fn read(&self) -> RwLockReadGuard<'_, Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Keys> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    fn find(&self, id: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id() == id)
    }

    fn check_new(&self, entry: &Entry) -> Result<(), KeyFileError> {
        // fmt: F-5
        match self.find(entry.id()) {
            Some(own) if !equal(own.key(), entry.key()) => {
                Err(KeyFileError::Conflict { id: entry.id().to_owned() })
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, entry: Entry) -> Result<(), KeyFileError> {
        self.check_new(&entry)?;
        if self.find(entry.id()).is_none() {
            self.entries.push(entry);
        }
        Ok(())
    }

    fn sealing(&self) -> Result<&Entry, ProviderError> {
        let id = self.sealing.as_deref().ok_or_else(|| {
            error(ProviderErrorKind::NotFound)
                .with_source("the key that sealed was destroyed; choose another")
        })?;
        self.find(id).ok_or_else(|| error(ProviderErrorKind::NotFound).with_key_id(id))
    }
}

#[async_trait]
impl KeyProvider for MemoryProvider {
    async fn wrap_data_key(&self, key: &DataKey, _: &WrapContext) -> Result<Vec<Recipient>, ProviderError> {
        let keys = self.read();
        let wrapping = keys.sealing()?;
        let wrap = key_wrap::wrap(wrapping.key(), key.expose_bytes());
        Ok(vec![Recipient::new(RecipientType::AES_KWP, wrapping.id(), Vec::new(), wrap)])
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        _: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        if recipient.recipient_type() != RecipientType::AES_KWP {
            return Ok(None);
        }
        let keys = self.read();
        let Some(entry) = keys.entries.iter().find(|entry| entry.id().as_bytes() == recipient.id()) else {
            return Ok(None);
        };
        match key_wrap::unwrap(entry.key(), recipient.wrap()) {
            Ok(key) => Ok(Some(key)),
            Err(_) => Err(error(ProviderErrorKind::Rejected).with_key_id(entry.id())),
        }
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        let keys = self.read();
        match keys.sealing() {
            Ok(_) => Ok(Health::good()),
            Err(problem) if keys.entries.is_empty() => Err(problem),
            Err(problem) => Ok(Health::good().with_problem(problem)),
        }
    }

    fn describe(&self) -> ProviderInfo {
        let keys = self.read();
        let seals = |entry: &Entry| keys.sealing.as_deref() == Some(entry.id());
        let (sealing, opening): (Vec<&Entry>, Vec<&Entry>) =
            keys.entries.iter().partition(|entry| seals(entry));
        sealing.into_iter().chain(opening).fold(
            ProviderInfo::new(NAME).with_key_destruction(true),
            |info, entry| {
                info.with_key(KeyInfo::new(RecipientType::AES_KWP, entry.id()).with_sealing(seals(entry)))
            },
        )
    }
}

/// Keys in memory are destroyed at once; a key file that one came from is the caller's to destroy.
#[async_trait]
impl KeyCustodian for MemoryProvider {
    async fn create_wrapping_key(&self, name: &str) -> Result<String, ProviderError> {
        let misconfigured = |source: KeyFileError| match source {
            KeyFileError::Random(source) => error(ProviderErrorKind::Other).with_source(source),
            source => error(ProviderErrorKind::Misconfigured).with_key_id(name).with_source(source),
        };
        self.add_generated(name).map_err(misconfigured)?;
        Ok(name.to_owned())
    }

    async fn schedule_destruction(&self, id: &str) -> Result<SystemTime, ProviderError> {
        let mut keys = self.write();
        let place = keys.entries.iter().position(|entry| entry.id() == id);
        let place = place.ok_or_else(|| error(ProviderErrorKind::NotFound).with_key_id(id))?;
        drop(keys.entries.remove(place));
        // Another key does not take over silently: which one seals is somebody's decision.
        keys.sealing.take_if(|sealing| sealing == id);
        Ok(SystemTime::now())
    }
}

fn error(kind: ProviderErrorKind) -> ProviderError {
    ProviderError::new(kind, NAME)
}

const NAME: &str = "key-file";
