//! One event a call, whatever becomes of the call; and nothing secret in any of them.

use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::*;
use crate::clock::TestClock;
use crate::error::ProviderErrorKind;
use crate::executor::block_on;
use crate::format::stanza::RecipientType;
use crate::provider::{AllOf, MemoryProvider, conformance::Conformance};

type Told = (Operation, Outcome, u32, Duration, Option<String>);

/// What was told, in numbers and as text.
#[derive(Debug, Default)]
struct Log(Mutex<Vec<Told>>, Mutex<Vec<String>>);

impl Observer for Log {
    fn event(&self, event: &Event<'_>) {
        let key_id = event.key_id.map(ToOwned::to_owned);
        let row = (event.operation, event.outcome, event.attempts, event.latency, key_id);
        self.0.lock().unwrap().push(row);
        self.1.lock().unwrap().push(format!("{event:?}"));
    }
}

impl Log {
    fn take(&self) -> Vec<(Operation, Outcome)> {
        self.0.lock().unwrap().drain(..).map(|(operation, outcome, ..)| (operation, outcome)).collect()
    }
}

/// Late by a second of the clock, and failing where a kind is set.
#[derive(Debug)]
struct Late {
    inner: MemoryProvider,
    clock: TestClock,
    fails: Mutex<Option<ProviderErrorKind>>,
}

impl Late {
    async fn travel(&self) -> Result<(), ProviderError> {
        self.clock.sleep(Duration::from_secs(1)).await;
        let fails = *self.fails.lock().unwrap();
        fails.map_or(Ok(()), |kind| Err(ProviderError::new(kind, "late").with_key_id("k")))
    }
}

#[async_trait]
impl KeyProvider for Late {
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
        if !self.describe().keys.iter().any(|key| key.names(recipient)) {
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
        self.inner.describe()
    }
}

const SECRET: &str = "planted-value-77ab";

fn context() -> WrapContext {
    WrapContext::new([7; 12], [("table".to_owned(), SECRET.to_owned())])
}

fn rig() -> (Arc<Observed<Late>>, Arc<Log>, TestClock) {
    let clock = TestClock::new();
    let inner = MemoryProvider::from_keys([("k", [1; 32])]).unwrap();
    let late = Late { inner, clock: clock.clone(), fails: Mutex::default() };
    let log = Arc::new(Log::default());
    let observed = Observed::new(late, log.clone()).with_clock(Arc::new(clock.clone()));
    (Arc::new(observed), log, clock)
}

/// Turns the clock until the future is done.
fn run<F: Future>(clock: &TestClock, future: F) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        clock.advance_to_next().expect("somebody sleeps");
    }
}

#[test]
fn each_call_is_told_once_with_its_time_and_key() {
    let (provider, log, clock) = rig();
    let made = run(&clock, provider.generate_data_key(&context())).unwrap();
    let recipient = &made.recipients[0];
    run(&clock, provider.wrap_data_key(&made.key, &context())).unwrap();
    run(&clock, provider.unwrap_data_key(recipient, &context())).unwrap().unwrap();
    let answers = run(&clock, provider.unwrap_any(&[recipient], 4, &context()));
    assert_eq!(answers.tried(), 1);
    run(&clock, provider.check()).unwrap();
    let rows = log.0.lock().unwrap();
    let operations: Vec<_> = rows.iter().map(|row| row.0).collect();
    use Operation::{Check, Generate, Unwrap, Wrap};
    assert_eq!(operations, [Generate, Wrap, Unwrap, Unwrap, Check]);
    for (_, outcome, attempts, latency, key) in &*rows {
        assert_eq!((*outcome, *attempts, *latency), (Outcome::Ok, 1, Duration::from_secs(1)));
        assert_eq!(key.as_deref(), Some("k"));
    }
}

#[test]
fn what_is_not_mine_costs_and_says_nothing() {
    let (provider, log, clock) = rig();
    let foreign = Recipient::new(RecipientType::AES_KWP, "other", [], [0; 40]);
    assert!(run(&clock, provider.unwrap_data_key(&foreign, &context())).unwrap().is_none());
    let rows = log.0.lock().unwrap();
    assert_eq!(*rows, [(Operation::Unwrap, Outcome::NotMine, 0, Duration::ZERO, None)]);
}

#[test]
fn a_dropped_call_is_told_as_abandoned_at_every_poll() {
    let (provider, log, clock) = rig();
    for polls in 0..2 {
        let context = context();
        let mut call = Box::pin(provider.generate_data_key(&context));
        for _ in 0..polls {
            assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        clock.advance(Duration::from_millis(300));
        drop(call);
        // One that was never begun made no call.
        assert_eq!(log.take(), vec![(Operation::Generate, Outcome::Abandoned); polls]);
    }
}

#[test]
fn health_is_told_when_it_changes() {
    let (provider, log, clock) = rig();
    let made = run(&clock, provider.generate_data_key(&context())).unwrap();
    let unwrap = || run(&clock, provider.unwrap_data_key(&made.recipients[0], &context())).map(drop);
    log.take();
    for kind in
        [ProviderErrorKind::Disabled, ProviderErrorKind::PendingDeletion, ProviderErrorKind::AccessDenied]
    {
        *provider.inner.fails.lock().unwrap() = Some(kind);
        let failed_at = clock.now();
        unwrap().unwrap_err();
        unwrap().unwrap_err();
        let failed = Outcome::Failed(kind);
        let calls = (Operation::Unwrap, failed);
        // Known within the same second of the clock: in the very call.
        assert!(clock.now() - failed_at <= Duration::from_secs(2));
        assert_eq!(log.take(), [calls, (Operation::Health, failed), calls]);
        *provider.inner.fails.lock().unwrap() = None;
        unwrap().unwrap();
        assert_eq!(log.take(), [(Operation::Unwrap, Outcome::Ok), (Operation::Health, Outcome::Ok)]);
    }
}

#[test]
fn a_check_that_lists_problems_is_no_success() {
    let inner = MemoryProvider::from_keys([("a", [1; 32]), ("b", [2; 32])]).unwrap();
    block_on(crate::provider::KeyCustodian::schedule_destruction(&inner, "a")).unwrap().unwrap();
    let log = Arc::new(Log::default());
    let observed = Observed::new(inner, log.clone());
    block_on(observed.check()).unwrap().unwrap();
    let failed = Outcome::Failed(ProviderErrorKind::NotFound);
    assert_eq!(log.take(), [(Operation::Check, failed), (Operation::Health, failed)]);
}

#[test]
fn it_keeps_the_contract_and_tells_no_secret() {
    let log = Arc::new(Log::default());
    let memory = |id: &str, byte| Arc::new(MemoryProvider::from_keys([(id, [byte; 32])]).unwrap());
    let plain = Observed::new(memory("k", 1), log.clone());
    let impostor = memory("k", 2);
    let report = block_on(
        Conformance::new(&plain).with_impostor(&impostor).with_secret([1; 32]).with_context(context()).run(),
    )
    .unwrap();
    assert!(report.is_conformant(), "{report}");
    let split = AllOf::new([memory("a", 1) as _, memory("b", 2) as _]).unwrap();
    let split = Observed::new(split, log.clone());
    let report = block_on(Conformance::new(&split).with_bit_step(97).with_callers(3).run()).unwrap();
    assert!(report.is_conformant(), "{report}");
    let told = log.1.lock().unwrap();
    assert!(told.len() > 1000, "{}", told.len());
    let key = format!("{:?}", [1u8; 32]);
    let leaks =
        |text: &String| text.contains(SECRET) || text.contains("conformance-value") || text.contains(&key);
    assert_eq!(told.iter().filter(|text| leaks(text)).count(), 0);
    // The search would find a leak.
    assert!(leaks(&format!("Event {{ context: {SECRET} }}")));
}
