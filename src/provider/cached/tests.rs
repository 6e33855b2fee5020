//! The cache over a provider that fails on command, by a clock that is turned by hand.

mod keys;
mod limits;
mod outages;
mod sealing;
mod several;
mod slot;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use super::*;
use crate::{
    clock::TestClock,
    error::ProviderErrorKind,
    executor::block_on,
    format::stanza::RecipientType,
    observe::{Event, Outcome},
    provider::MemoryProvider,
};

/// A memory provider that counts, yields, and fails on command.
#[derive(Debug)]
struct Fake {
    inner: MemoryProvider,
    calls: AtomicUsize,
    yields: AtomicUsize,
    failing: Mutex<Option<ProviderErrorKind>>,
    binds: bool,
}

impl Fake {
    fn new() -> Arc<Self> {
        let inner = MemoryProvider::from_keys([("k", [1; 32]), ("other", [2; 32])]).unwrap();
        let (calls, yields) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { inner, calls, yields, failing: Mutex::new(None), binds: false })
    }

    fn fail(&self, kind: impl Into<Option<ProviderErrorKind>>) {
        *self.failing.lock().unwrap() = kind.into();
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn travel(&self) -> Result<(), ProviderError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let mut left = self.yields.load(Ordering::SeqCst);
        poll_fn(|cx| {
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        let kind = *self.failing.lock().unwrap();
        kind.map_or(Ok(()), |kind| {
            Err(ProviderError::new(kind, "fake").with_key_id("k").with_source("on command"))
        })
    }
}

#[async_trait]
impl KeyProvider for Fake {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        self.travel().await?;
        self.inner.wrap_data_key(key, context).await
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        // What is not mine costs nothing.
        if !self.inner.describe().keys.iter().any(|key| key.names(recipient)) {
            return Ok(None);
        }
        self.travel().await?;
        self.inner.unwrap_data_key(recipient, context).await
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.travel().await?;
        self.inner.check().await
    }

    fn describe(&self) -> ProviderInfo {
        self.inner.describe().with_context_bound(self.binds)
    }
}

/// A cache, what is in it, and its clock.
struct Stage {
    fake: Arc<Fake>,
    clock: TestClock,
    cache: Cached,
}

impl Stage {
    fn new(options: CacheOptions) -> Self {
        Self::over(Fake::new(), options)
    }

    fn over(fake: Arc<Fake>, options: CacheOptions) -> Self {
        let clock = TestClock::new();
        let cache = Cached::from_arc(fake.clone(), options).with_clock(Arc::new(clock.clone()));
        Self { fake, clock, cache }
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn open(&self, recipient: &Recipient) -> Result<Option<DataKey>, ProviderError> {
        block_on(self.cache.unwrap_data_key(recipient, &context())).unwrap()
    }

    /// Opens, and says how many calls that took.
    fn calls_of(&self, recipient: &Recipient) -> usize {
        let before = self.fake.calls();
        assert!(self.open(recipient).unwrap().is_some());
        self.fake.calls() - before
    }

    /// Opens in vain, and says why and how many calls that took.
    fn refusal_of(&self, recipient: &Recipient) -> (ProviderErrorKind, usize) {
        let before = self.fake.calls();
        let error = self.open(recipient).unwrap_err();
        assert!(error.to_string().contains("on command"), "{error}");
        (error.kind(), self.fake.calls() - before)
    }

    fn entries(&self) -> usize {
        self.cache.state().table().total()
    }
}

fn context() -> WrapContext {
    WrapContext::new([7; 12], [("table".to_owned(), "users".to_owned())])
}

/// A wrap of a key of so many bytes `n`.
fn wrapped(n: u8) -> Recipient {
    wrapped_by("k", 1, n)
}

fn wrapped_by(id: &str, byte: u8, n: u8) -> Recipient {
    let provider = MemoryProvider::from_keys([(id, [byte; 32])]).unwrap();
    block_on(provider.wrap_data_key(&DataKey::copy_from(&[n; 32]), &context())).unwrap().unwrap().remove(0)
}

/// Polls once.
fn poll<F: Future + ?Sized>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}
