//! How a key store in SQLite is opened.
//!
//! Floor 4: plain data with its defaults and their reasons. Section "Key store and subjects" of the
//! [format](crate::manual::format).

use std::time::Duration;

/// Options of a [`SqliteKeyStore`](super::SqliteKeyStore).
///
/// # Examples
///
/// ```
/// use kuvert::keystore::SqliteOptions;
/// use std::time::Duration;
///
/// let options = SqliteOptions::default().with_busy_timeout(Duration::from_secs(1)).with_queue(16);
/// assert_eq!(options.busy_timeout, Duration::from_secs(1));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// How long a call waits for another process, or for a reader that is in the way: 5 s unless said otherwise.
    #[cfg_attr(feature = "serde", serde(with = "crate::duration_text"))]
    pub busy_timeout: Duration,
    /// How many calls wait for each of the two threads, before those who call wait for room: 256 unless said otherwise.
    pub queue: usize,
    /// Bytes of pages that each of the two connections keeps in memory: 32 MiB unless said otherwise.
    pub cache_bytes: u64,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { busy_timeout: Duration::from_secs(5), queue: 256, cache_bytes: 32 << 20 }
    }
}

impl SqliteOptions {
    /// Waits that long for others.
    #[must_use]
    pub const fn with_busy_timeout(mut self, busy_timeout: Duration) -> Self {
        self.busy_timeout = busy_timeout;
        self
    }

    /// Lets that many calls wait for each of the two threads; at least one.
    #[must_use]
    pub const fn with_queue(mut self, queue: usize) -> Self {
        self.queue = queue;
        self
    }

    /// Keeps that many bytes of pages in memory, for each of the two connections.
    #[must_use]
    pub const fn with_cache_bytes(mut self, cache_bytes: u64) -> Self {
        self.cache_bytes = cache_bytes;
        self
    }
}
