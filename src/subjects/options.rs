//! How the keys of data subjects are kept and watched: defaults and their reasons.

use std::{sync::Arc, time::Duration};

use super::{Anchor, Authorizer};
use crate::{clock::Clock, front::RecordOptions, observe::Observer, provider::KeyProvider};

/// Limits of a [`Subjects`](super::Subjects), and who watches it. The defaults suit a service with an embedded store.
///
/// In a configuration file it holds the limits; what are objects (authorizer, observer, clock, provider) is added in code.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use kuvert::SubjectsOptions;
///
/// let options = SubjectsOptions::default().with_max_age(Duration::from_secs(10)).with_max_entries(1_000_000);
/// assert_eq!(options.max_bytes, 64 << 20);
/// ```
#[derive(Debug, Clone)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct SubjectsOptions {
    /// How long a key is used without asking the store again; and so the time within which an erasure that another process
    /// made holds in this one. What this process erases it forgets at once. Default: 60 seconds.
    #[cfg_attr(feature = "serde", serde(with = "crate::provider::duration_text"))]
    pub max_age: Duration,
    /// Keys kept at once. One more, and one that was not used for a while goes. Beside them every thread keeps up to 512
    /// that it is busy with, at 2.5 KiB each. Default: 100 000.
    pub max_entries: usize,
    /// Bytes of memory for the keys kept, at 384 each. Default: 64 MiB, room for 174 762.
    pub max_bytes: usize,
    /// How often one loaded key is used before it is loaded anew; a batch, or a message, counts as once for each of its
    /// keys, however many records it has. Default: 2³², which is no limit in practice.
    pub max_uses: u64,
    /// References of which it is remembered that the store has no key: those of erased persons, and made-up ones.
    /// Default: 10 000.
    pub max_absent: usize,
    /// How long that is believed, at most [`max_age`](Self::max_age). Default: 10 seconds.
    #[cfg_attr(feature = "serde", serde(with = "crate::provider::duration_text"))]
    pub absent_age: Duration,
    /// The longest name of a data subject, in bytes. Default and maximum: 1024, the format's.
    pub max_name_len: usize,
    /// How records are sealed, and how long they may be.
    pub records: RecordOptions,
    /// Loads no epoch's key at the start, but each when it is first needed: for a process that has only some of the wrapping
    /// keys, or none but the root's. Default: no, so that what is missing is told at the start.
    pub lazy_epochs: bool,
    /// The second place for tombstones, by which a key store that was restored from an older copy is found out and brought up
    /// to date when it is opened. Default: none, and then such a store is not told from a new one.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub anchor: Option<Arc<dyn Anchor>>,
    /// Who says whether something may be done. Default: nobody is asked.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub authorizer: Option<Arc<dyn Authorizer>>,
    /// Who is told of everything that is done. Default: nobody.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub observer: Option<Arc<dyn Observer>>,
    /// What ages are counted by. Default: the system's clock, at its cheapest.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub clock: Option<Arc<dyn Clock>>,
    /// Whose wrapping key is for the epochs of credentials. Default: that of all epochs, which then opens password hashes in
    /// backups, too.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub credentials_provider: Option<Arc<dyn KeyProvider>>,
}

impl Default for SubjectsOptions {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(60),
            max_entries: 100_000,
            max_bytes: 64 << 20,
            max_uses: 1 << 32,
            max_absent: 10_000,
            absent_age: Duration::from_secs(10),
            max_name_len: crate::limits::MAX_SUBJECT_NAME_LEN,
            records: RecordOptions::default(),
            lazy_epochs: false,
            anchor: None,
            authorizer: None,
            observer: None,
            clock: None,
            credentials_provider: None,
        }
    }
}

impl SubjectsOptions {
    /// Sets how long a key is used without asking the store again.
    #[must_use]
    pub const fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Bounds the number of keys.
    #[must_use]
    pub const fn with_max_entries(mut self, max: usize) -> Self {
        self.max_entries = max;
        self
    }

    /// Bounds the memory, in bytes.
    #[must_use]
    pub const fn with_max_bytes(mut self, max: usize) -> Self {
        self.max_bytes = max;
        self
    }

    /// Bounds how often one loaded key is used.
    #[must_use]
    pub const fn with_max_uses(mut self, max: u64) -> Self {
        self.max_uses = max;
        self
    }

    /// Bounds the number of references that are known to lead nowhere.
    #[must_use]
    pub const fn with_max_absent(mut self, max: usize) -> Self {
        self.max_absent = max;
        self
    }

    /// Sets how long it is believed that a reference leads nowhere.
    #[must_use]
    pub const fn with_absent_age(mut self, age: Duration) -> Self {
        self.absent_age = age;
        self
    }

    /// Refuses longer names, in bytes. More than the format's maximum has no effect.
    #[must_use]
    pub const fn with_max_name_len(mut self, max: usize) -> Self {
        self.max_name_len = max;
        self
    }

    /// Sets how records are sealed, and how long they may be.
    #[must_use]
    pub const fn with_records(mut self, records: RecordOptions) -> Self {
        self.records = records;
        self
    }

    /// Loads the keys of epochs only when they are needed.
    #[must_use]
    pub const fn with_lazy_epochs(mut self, lazy: bool) -> Self {
        self.lazy_epochs = lazy;
        self
    }

    /// Puts every tombstone in this anchor too, and compares the store with it when it is opened.
    #[must_use]
    pub fn with_anchor(mut self, anchor: Arc<dyn Anchor>) -> Self {
        self.anchor = Some(anchor);
        self
    }

    /// Asks this authorizer before anything is done.
    #[must_use]
    pub fn with_authorizer(mut self, authorizer: Arc<dyn Authorizer>) -> Self {
        self.authorizer = Some(authorizer);
        self
    }

    /// Tells this observer of everything that is done.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Counts ages by this clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Wraps the epochs of credentials by this provider's keys.
    #[must_use]
    pub fn with_credentials_provider(mut self, provider: Arc<dyn KeyProvider>) -> Self {
        self.credentials_provider = Some(provider);
        self
    }
}

#[cfg(all(test, feature = "serde"))]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_file_holds_them() {
        let read = |text| toml::from_str::<SubjectsOptions>(text);
        let options = read("max_age = \"10s\"\nmax_entries = 7\n[records]\nmax_len = 9\n").unwrap();
        assert_eq!((options.max_age, options.max_entries), (Duration::from_secs(10), 7));
        assert_eq!((options.records.max_len, options.max_absent), (9, 10_000));
        let json = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<SubjectsOptions>(&json).unwrap().max_entries, 7);
        for bad in ["max_age = 10", "max_ages = \"10s\"", "observer = 1"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
