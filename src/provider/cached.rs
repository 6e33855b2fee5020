//! Unwrapped data keys kept for a while, so that opening does not ask the key service each time.
//!
//! Around any provider; knows recipients and what came of unwrapping them, and nothing of messages. Who loads and who
//! waits is decided by the slot machine of floor 3. Section "Caching data keys" of the
//! [operations manual](crate::manual::operations).

mod denials;
mod entry;
mod events;
pub(crate) mod fingerprint;
mod generate;
pub(crate) mod lanes;
mod load;
mod options;
mod state;
mod stats;
mod stock;
mod table;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;

pub use self::options::{CacheOptions, StockOptions};
pub use self::stats::CacheStats;

use self::{
    entry::{Kept, Wanted},
    state::{Processes, State},
};
use super::{GeneratedKey, Health, KeyProvider, ProviderInfo, UnwrapAnswer, UnwrapAnswers, WrapContext};
use crate::{
    cache_slot::Wakers,
    clock::{
        Clock,
        ages::{Time, millis_of},
    },
    error::ProviderError,
    format::stanza::Recipient,
    observe::Observer,
    secret::DataKey,
};

/// Keeps unwrapped data keys, so that a message that was opened opens again without a call to the key service.
///
/// A key is found again for exactly the same wrap in the same context. It is kept within [`CacheOptions`]: up to an age,
/// a number of openings, of entries and of bytes. What is past its age or used up is never handed out, also if the key
/// service then cannot be reached: the opening fails, unless [`stale_on_outage`](CacheOptions::stale_on_outage) was asked
/// for, which stretches the age and nothing else.
///
/// * **One question at a time.** Callers who want one key together cause one call. If the caller that made it goes away,
///   the next one makes it anew.
/// * **Refreshed ahead.** From the soft age on, one caller asks anew, and the others use the old key meanwhile.
/// * **Failures are remembered** too: for a second if the key service gave no answer, for half a minute if it said that the
///   key, or the right to it, is gone. A wrap that was refused is not remembered: whoever sends many of them causes
///   many calls; limit those with a provider inside.
/// * **What is gone is gone.** An answer that a wrapping key was denied, disabled or deleted removes everything that was
///   unwrapped by it, and so does [`revoke`](Self::revoke).
///
/// Sealing is not cached: a data key seals one message. [`CacheOptions::stock`] keeps a few fresh ones for an outage.
/// A record key that was loaded lives on outside, whatever happens here.
///
/// Share it by [`Arc`]: `Kuvert::from_arc(cache.clone())`, and keep `cache` for `revoke` and [`stats`](Self::stats).
///
/// # Security
///
/// Between two calls the key service neither sees nor logs an opening, and a right that it withdraws goes on for up to
/// [`max_age`](CacheOptions::max_age). Keys are wiped when they are evicted, revoked, replaced or dropped; one that is past
/// its age and that nobody asks for is wiped by [`maintain`](Self::maintain), or when it makes room. The names and values
/// of contexts are kept with the keys.
///
/// A forked child starts with an empty cache of its own; do not carry a future over the fork.
///
/// # Cancel safety
///
/// Every future may be dropped at any await; what it was doing for others, the next of them does anew. A future that was
/// polled and is neither polled again nor dropped keeps the others waiting for its answer.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use kuvert::{EncryptionContext, OpenError, blocking::Kuvert};
/// use kuvert::provider::{CacheOptions, Cached, KeyCustodian, MemoryProvider};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = Arc::new(MemoryProvider::generate("2026")?);
/// let cache = Arc::new(Cached::from_arc(keys.clone(), CacheOptions::default()));
/// let kuvert = Kuvert::from_arc(cache.clone());
/// let message = kuvert.seal(b"often read", &EncryptionContext::empty())?;
/// for _ in 0..10 {
///     kuvert.open(&message, &EncryptionContext::empty())?;
/// }
/// assert_eq!((cache.stats().misses, cache.stats().hits), (1, 9));
///
/// // The wrapping key is destroyed. Whoever does that tells the cache: otherwise it goes on until its age is over.
/// kuvert::blocking::block_on(keys.schedule_destruction("2026"))??;
/// kuvert.open(&message, &EncryptionContext::empty())?;
/// cache.revoke("2026");
/// let refused = kuvert.open(&message, &EncryptionContext::empty()).unwrap_err();
/// assert!(matches!(refused, OpenError::KeyUnavailable(_)));
/// # Ok(()) }
/// ```
pub struct Cached {
    inner: Arc<dyn KeyProvider>,
    options: CacheOptions,
    ages: Ages,
    time: Time,
    observer: Option<Arc<dyn Observer>>,
    /// The name of the provider inside, for events.
    provider: &'static str,
    /// Whether a fresh key is good for one context only.
    binds_context: bool,
    own: Processes,
}

/// The options' durations, in milliseconds.
struct Ages {
    soft: u64,
    hard: u64,
    stale: u64,
    negative: u64,
    retry: u64,
}

impl Cached {
    /// Caches what `inner` unwraps.
    #[must_use]
    pub fn new(inner: impl KeyProvider + 'static, options: CacheOptions) -> Self {
        Self::from_arc(Arc::new(inner), options)
    }

    /// Caches what `inner` unwraps, which others may share.
    #[must_use]
    pub fn from_arc(inner: Arc<dyn KeyProvider>, options: CacheOptions) -> Self {
        let ages = Ages {
            soft: millis_of(options.soft_age),
            hard: millis_of(options.max_age),
            stale: options.stale_on_outage.map_or(0, millis_of),
            negative: millis_of(options.negative_age),
            retry: millis_of(options.retry_after),
        };
        let info = inner.describe();
        let (provider, binds_context) = (info.provider, info.binds_context);
        let own = Processes::new(&options);
        Self { inner, options, ages, time: Time::Coarse, observer: None, provider, binds_context, own }
    }

    /// Counts ages by this clock. Without, it is the system's, at its cheapest: up to ten milliseconds behind.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.time = Time::by(clock);
        self
    }

    /// Tells an observer of every unwrap, with what the cache had to do with it: one event each. Calls that go on to the
    /// provider inside are told again by an observer that is in there.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// The data key of a recipient, if it is at hand: without waiting, asking or, but for the key itself, allocating.
    ///
    /// It counts as an opening, as [`unwrap_data_key`](KeyProvider::unwrap_data_key) would.
    #[must_use]
    pub fn cached_key(&self, recipient: &Recipient, context: &WrapContext) -> Option<DataKey> {
        self.at_hand(Wanted { recipients: &[recipient], limit: 1, context }, Kept::copy)
    }

    /// As [`cached_key`](Self::cached_key), into a key that is there, which is overwritten. Allocates nothing at all, from
    /// the second time on that a thread uses the key. Whether it was at hand: if not, `key` is as it was.
    #[must_use]
    pub fn cached_key_into(&self, recipient: &Recipient, context: &WrapContext, key: &mut DataKey) -> bool {
        let wanted = Wanted { recipients: &[recipient], limit: 1, context };
        self.at_hand(wanted, |kept| key.overwrite(kept.key.expose_bytes())).is_some()
    }

    /// Drops every key that was unwrapped by the wrapping key with this public id, and every fresh one in stock that is
    /// wrapped by it. Keys of an [`AllOf`](super::AllOf) go with any one of its members'.
    ///
    /// At once: an opening that begins after this call asks the key service, whose answer decides. One that has asked
    /// before and is still waiting gets its answer, which is not kept. What is believed to be gone is asked about again.
    pub fn revoke(&self, key_id: &str) {
        let (state, id) = (self.state(), key_id.as_bytes());
        let mut wakers = Wakers::default();
        let mut table = state.table();
        table.purge(|entry| entry.may_be_by(id), &state.lanes, &mut wakers);
        table.ask_again(id);
        drop(table);
        state.stock().purge(id);
        wakers.wake();
    }

    /// Drops everything, as [`revoke`](Self::revoke) does for one wrapping key.
    pub fn purge(&self) {
        let state = self.state();
        let mut wakers = Wakers::default();
        state.table().purge_all(&state.lanes, &mut wakers);
        state.stock().clear();
        wakers.wake();
    }

    /// What it has done so far, and what is in it.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.state().stats()
    }

    /// Wipes, from time to time, what is past its age and was asked for by nobody since, and keeps the
    /// [stock](CacheOptions::stock) full. Never ends; for a task of the caller's, if it wants one. Without it, such keys lie in
    /// memory for longer, and the stock is filled by those who seal.
    ///
    /// The stock costs calls: one after the other, at most [`max_keys`](StockOptions::max_keys) for each context in half of
    /// the stock's age, and only for contexts for which somebody sealed within that age. The first failure ends a round; the
    /// next is a tenth of the shorter age later, a minute at most.
    pub async fn maintain(&self) {
        let stock_age = self.options.stock.as_ref().map_or(Duration::MAX, |stock| stock.max_age);
        let shorter = self.options.max_age.min(stock_age);
        let pause = (shorter / 10).clamp(Duration::from_millis(100), Duration::from_secs(60));
        loop {
            self.time.clock().sleep(pause).await;
            let (state, now) = (self.state(), self.time.millis());
            state.table().tidy_all(now, &state.lanes);
            state.stock().tidy(now);
            self.refill().await;
        }
    }

    /// The fast way to a key: by this thread's lane, or by the common table.
    #[inline]
    fn at_hand<R>(&self, wanted: Wanted<'_>, with: impl FnOnce(&Kept) -> R) -> Option<R> {
        let state = self.state();
        let (print, now) = (state.seed.of(wanted), self.time.millis());
        let mut with = Some(with);
        let used = state.lanes.hit(print, wanted, now, |kept| with.take().map(|with| with(kept))).flatten();
        let used =
            used.or_else(|| state.lease(print, wanted, now).and_then(|kept| Some(with.take()?(&kept))));
        if used.is_some() {
            self.tell_hit(wanted);
        }
        used
    }

    fn state(&self) -> &State {
        self.own.current(&self.options)
    }

    async fn unwrap(&self, wanted: Wanted<'_>) -> UnwrapAnswers {
        if self.observer.is_some() { self.load_and_tell(wanted).await } else { self.load(wanted).await.0 }
    }
}

#[async_trait]
impl KeyProvider for Cached {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        self.heeded(self.inner.wrap_data_key(key, context).await)
    }

    async fn generate_data_key(&self, context: &WrapContext) -> Result<GeneratedKey, ProviderError> {
        self.generate(context).await
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        if let Some(key) = self.cached_key(recipient, context) {
            return Ok(Some(key));
        }
        // Boxed, so that a hit does not pay for the room that a miss needs.
        let recipients = [recipient];
        let answers = Box::pin(self.unwrap(Wanted { recipients: &recipients, limit: 1, context })).await;
        match answers.into_answers().pop() {
            Some((_, UnwrapAnswer::Key(key))) => Ok(Some(key)),
            Some((_, UnwrapAnswer::Failed(error))) => Err(error),
            _ => Ok(None),
        }
    }

    async fn unwrap_any(
        &self,
        recipients: &[&Recipient],
        limit: usize,
        context: &WrapContext,
    ) -> UnwrapAnswers {
        if recipients.is_empty() || limit == 0 {
            return UnwrapAnswers::new();
        }
        // One recipient is the same question whatever the limit.
        let wanted = Wanted { recipients, limit: limit.min(recipients.len()), context };
        match self.at_hand(wanted, |kept| (kept.place, kept.copy())) {
            Some((place, key)) => {
                let mut answers = UnwrapAnswers::new();
                answers.push(place, UnwrapAnswer::Key(key));
                answers
            }
            None => Box::pin(self.unwrap(wanted)).await,
        }
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        let health = self.heeded(self.inner.check().await);
        for problem in health.iter().flat_map(Health::problems) {
            self.heed_error(problem);
        }
        health
    }

    fn describe(&self) -> ProviderInfo {
        self.inner.describe()
    }
}

impl fmt::Debug for Cached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached")
            .field("inner", &self.inner)
            .field("options", &self.options)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
