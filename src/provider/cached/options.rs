//! What a cache of data keys may keep, how much, and how long: defaults and their reasons.

use std::time::Duration;

/// Limits of a [`Cached`](super::Cached). The defaults suit a service with a key service in the same region.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use kuvert::provider::{CacheOptions, StockOptions};
///
/// let options = CacheOptions::default()
///     .with_max_age(Duration::from_secs(30 * 60))
///     .with_stale_on_outage(Some(Duration::from_secs(60 * 60)))
///     .with_stock(Some(StockOptions::default()));
/// assert_eq!(options.max_entries, 10_000);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct CacheOptions {
    /// Data keys kept at once. One more, and the one that was not used for longest goes. Default: 10 000.
    pub max_entries: usize,
    /// From this age on the next caller has the key unwrapped anew, while the others use the old one. Each key's own is
    /// up to a fifth shorter, so that keys loaded together are not refreshed together. Default: 10 minutes.
    #[cfg_attr(feature = "serde", serde(with = "crate::provider::duration_text"))]
    pub soft_age: Duration,
    /// From this age on a key is not used. So long, at most, does a right that was withdrawn at the key service
    /// go on here, unless [`stale_on_outage`](Self::stale_on_outage) says otherwise. Default: 15 minutes.
    #[cfg_attr(feature = "serde", serde(with = "crate::provider::duration_text"))]
    pub max_age: Duration,
    /// Openings for which one unwrapped key serves, exactly; the next one asks the key service. Each is an opening that the
    /// key service's log does not show. Default: 2³², which is no limit in practice.
    pub max_uses: u64,
    /// Bytes of memory for the keys and what names them: wraps, ids and contexts, which come from headers and may be
    /// long. One more, and what was not used for longest goes. Default: 16 MiB.
    pub max_bytes: usize,
    /// How long "not found", "disabled", "pending deletion" and "access denied" are believed without asking again.
    /// Default: 30 seconds.
    #[cfg_attr(feature = "serde", serde(with = "crate::provider::duration_text"))]
    pub negative_age: Duration,
    /// How long a key service that was throttled, unreachable or too slow is not asked again for the same key.
    /// Default: 1 second.
    #[cfg_attr(feature = "serde", serde(with = "crate::provider::duration_text"))]
    pub retry_after: Duration,
    /// How much longer than [`max_age`](Self::max_age) a key may be used while the key service cannot be reached, and
    /// for no other reason. Default: `None`, not at all.
    ///
    /// # Security
    ///
    /// Whoever can keep this process from reaching the key service keeps rights alive for so long that were withdrawn
    /// there. [`revoke`](super::Cached::revoke) ends them at once all the same.
    #[cfg_attr(feature = "serde", serde(with = "crate::provider::duration_text::option"))]
    pub stale_on_outage: Option<Duration>,
    /// Fresh data keys to seal with while the key service cannot be reached. Default: `None`, none.
    pub stock: Option<StockOptions>,
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self {
            max_entries: 10_000,
            soft_age: Duration::from_secs(10 * 60),
            max_age: Duration::from_secs(15 * 60),
            max_uses: 1 << 32,
            max_bytes: 16 << 20,
            negative_age: Duration::from_secs(30),
            retry_after: Duration::from_secs(1),
            stale_on_outage: None,
            stock: None,
        }
    }
}

impl CacheOptions {
    /// Bounds the number of keys.
    #[must_use]
    pub const fn with_max_entries(mut self, max: usize) -> Self {
        self.max_entries = max;
        self
    }

    /// Sets the age from which a key is refreshed while it is used.
    #[must_use]
    pub const fn with_soft_age(mut self, age: Duration) -> Self {
        self.soft_age = age;
        self
    }

    /// Sets the age from which a key is not used.
    #[must_use]
    pub const fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// Bounds the openings for which one unwrapped key serves.
    #[must_use]
    pub const fn with_max_uses(mut self, max: u64) -> Self {
        self.max_uses = max;
        self
    }

    /// Bounds the memory, in bytes.
    #[must_use]
    pub const fn with_max_bytes(mut self, max: usize) -> Self {
        self.max_bytes = max;
        self
    }

    /// Sets how long an answer is believed that says that the key, or the right to it, is gone.
    #[must_use]
    pub const fn with_negative_age(mut self, age: Duration) -> Self {
        self.negative_age = age;
        self
    }

    /// Sets how long a key service that gave no answer is not asked again for the same key.
    #[must_use]
    pub const fn with_retry_after(mut self, pause: Duration) -> Self {
        self.retry_after = pause;
        self
    }

    /// Lets keys be used for so much longer while the key service cannot be reached.
    #[must_use]
    pub const fn with_stale_on_outage(mut self, longer: Option<Duration>) -> Self {
        self.stale_on_outage = longer;
        self
    }

    /// Keeps fresh data keys for sealing through an outage.
    #[must_use]
    pub const fn with_stock(mut self, stock: Option<StockOptions>) -> Self {
        self.stock = stock;
        self
    }
}

/// How many fresh data keys a [`Cached`](super::Cached) keeps for sealing through an outage.
///
/// Every one seals one message and is gone. They are made by calls that seal anyway, one more at a time, while the key
/// service works; and by [`Cached::maintain`](super::Cached::maintain), if it runs, which replaces them at half of their age
/// for as long as somebody seals: an outage then finds the stock full, for two calls a key in each `max_age`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct StockOptions {
    /// Keys kept for one context. Default: 64.
    pub max_keys: usize,
    /// Contexts for which keys are kept, where the key service checks the context; where it does not, one stock serves
    /// all messages. The one that was not sealed for longest goes. Default: 16.
    pub max_contexts: usize,
    /// The age at which a key in stock is thrown away. Default: 15 minutes.
    #[cfg_attr(feature = "serde", serde(with = "crate::provider::duration_text"))]
    pub max_age: Duration,
}

impl Default for StockOptions {
    fn default() -> Self {
        Self { max_keys: 64, max_contexts: 16, max_age: Duration::from_secs(15 * 60) }
    }
}

impl StockOptions {
    /// Bounds the keys of one context.
    #[must_use]
    pub const fn with_max_keys(mut self, max: usize) -> Self {
        self.max_keys = max;
        self
    }

    /// Bounds the contexts.
    #[must_use]
    pub const fn with_max_contexts(mut self, max: usize) -> Self {
        self.max_contexts = max;
        self
    }

    /// Sets the age at which a key is thrown away.
    #[must_use]
    pub const fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }
}

#[cfg(all(test, feature = "serde"))]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_file_holds_them() {
        let read = |text| toml::from_str::<CacheOptions>(text);
        let text = "max_age = \"30m\"\nstale_on_outage = \"1h\"\n[stock]\nmax_keys = 7\n";
        let options = CacheOptions::default()
            .with_max_age(Duration::from_secs(1800))
            .with_stale_on_outage(Some(Duration::from_secs(3600)))
            .with_stock(Some(StockOptions::default().with_max_keys(7)));
        assert_eq!(read(text).unwrap(), options);
        assert_eq!(read("").unwrap(), CacheOptions::default());
        let json = serde_json::to_string(&options).unwrap();
        assert_eq!(serde_json::from_str::<CacheOptions>(&json).unwrap(), options);
        for bad in ["max_age = 30", "max_ages = \"30m\"", "[stock]\nmax_age = \"soon\""] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
