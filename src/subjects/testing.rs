//! What the tests of erasures share: a house with a store, keys, an anchor and a clock; and a store that fails when told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;

use super::{MemoryAnchor, Scope, Sealed, Subjects, SubjectsOptions};
use crate::{
    clock::TestClock,
    error::{KeyStoreError, KeyStoreErrorKind, RecordError, SubjectError},
    front::Cell,
    keystore::{
        Burial, Buried, Entry, EpochRow, Found, Hold, Inserted, Joint, KeyStore, Lookup, MemoryKeyStore,
        Names, Pseudonym, RECEIPT_LEN, ResealedKey, Snapshot, StoreInfo, SubjectRow, Tombstone,
    },
    provider::{AnyOf, KeyProvider, MemoryProvider},
};

/// Runs a future to its end.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    crate::executor::block_on(future).unwrap()
}

/// A key store with all that belongs to it.
pub(super) struct House {
    pub(super) store: Arc<MemoryKeyStore>,
    pub(super) anchor: Arc<MemoryAnchor>,
    pub(super) clock: Arc<TestClock>,
    pub(super) root: Arc<MemoryProvider>,
    pub(super) week: Arc<MemoryProvider>,
    pub(super) subjects: Subjects,
}

/// A record of somebody.
pub(super) type Note = Sealed<String>;

/// When the tests' clock begins, in Unix seconds.
pub(super) const BEGIN: u64 = 1_795_000_000;

pub(super) const MAX_AGE: Duration = Duration::from_secs(60);

pub(super) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(super) fn cell() -> Cell<'static> {
    Cell::new("people", "note", 1)
}

impl House {
    pub(super) fn new() -> Self {
        let store = Arc::new(MemoryKeyStore::new());
        let anchor = Arc::new(MemoryAnchor::new());
        let clock = Arc::new(TestClock::starting_at(at(BEGIN)));
        let [root, week] = ["root", "week-1"].map(|id| Arc::new(MemoryProvider::generate(id).unwrap()));
        let options = SubjectsOptions::default()
            .with_anchor(Arc::<MemoryAnchor>::clone(&anchor))
            .with_clock(Arc::<TestClock>::clone(&clock));
        let (keys, epochs) = (Arc::<MemoryProvider>::clone(&root), Arc::<MemoryProvider>::clone(&week));
        let shared = Arc::<MemoryKeyStore>::clone(&store);
        let subjects = block_on(Subjects::init(shared, keys, epochs, options)).unwrap();
        Self { store, anchor, clock, root, week, subjects }
    }

    pub(super) fn options(&self) -> SubjectsOptions {
        SubjectsOptions::default().with_anchor(Arc::<MemoryAnchor>::clone(&self.anchor)).with_clock(Arc::<
            TestClock,
        >::clone(
            &self.clock,
        ))
    }

    /// The root's key and these epochs'.
    pub(super) fn keys(&self, epochs: &[&Arc<MemoryProvider>]) -> Arc<dyn KeyProvider> {
        let all = [&self.root].into_iter().chain(epochs.iter().copied());
        let all: Vec<Arc<dyn KeyProvider>> =
            all.map(|keys| Arc::<MemoryProvider>::clone(keys) as _).collect();
        Arc::new(AnyOf::new(all).unwrap())
    }

    pub(super) fn open(&self, store: Arc<dyn KeyStore>) -> Result<Subjects, SubjectError> {
        block_on(Subjects::open(store, self.keys(&[&self.week]), self.options()))
    }

    /// Opened with these options.
    pub(super) fn open_with(&self, store: Arc<dyn KeyStore>, options: SubjectsOptions) -> Subjects {
        block_on(Subjects::open(store, self.keys(&[&self.week]), options)).unwrap()
    }

    /// Another process over the same store.
    pub(super) fn again(&self) -> Subjects {
        self.open(Arc::<MemoryKeyStore>::clone(&self.store)).unwrap()
    }

    pub(super) fn scope(&self) -> Scope {
        self.subjects.scope("tenant-7")
    }
}

pub(super) fn seal(scope: &Scope, name: &str) -> Note {
    block_on(scope.subject(name).seal(&format!("note of {name}"), cell())).unwrap()
}

/// Whether a record opens, or is erased; anything else is a fault.
pub(super) fn opens(scope: &Scope, note: &Note) -> bool {
    match block_on(scope.open(note, cell())) {
        Ok(_) => true,
        Err(RecordError::Erased { since, .. }) => {
            assert!(since.is_some_and(|since| since >= at(BEGIN)), "an erasure has its time");
            false
        }
        Err(error) => panic!("neither open nor erased: {error:?}"),
    }
}

/// All that a store keeps.
pub(super) fn entries(store: &dyn KeyStore) -> Vec<Entry> {
    block_on(async {
        let mut snapshot = store.snapshot().await.unwrap();
        let mut all = Vec::new();
        loop {
            let page = snapshot.next(1000).await.unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    })
}

/// A store with these entries.
pub(super) fn store_of(entries: &[Entry]) -> Arc<MemoryKeyStore> {
    let store = MemoryKeyStore::new();
    block_on(store.load(entries, Some(1))).unwrap();
    Arc::new(store)
}

/// A copy of a store as it is now.
pub(super) fn copy(store: &dyn KeyStore) -> Arc<MemoryKeyStore> {
    store_of(&entries(store))
}

/// A store that crashes: from one of its calls on it answers nothing, and that call was done or not done.
#[derive(Debug)]
pub(super) struct Crashing {
    inner: Arc<MemoryKeyStore>,
    steps: AtomicU64,
    /// The step from which on nothing is answered: 2·n before call n is done, 2·n + 1 after.
    crash_at: AtomicU64,
}

impl Crashing {
    /// One that crashes only when it is told to.
    pub(super) fn new(inner: &Arc<MemoryKeyStore>) -> Arc<Self> {
        let (inner, steps) = (Arc::clone(inner), AtomicU64::new(0));
        Arc::new(Self { inner, steps, crash_at: AtomicU64::new(u64::MAX) })
    }

    /// Crashes at this step, counted from now.
    pub(super) fn crash_at(&self, step: u64) {
        self.steps.store(0, Ordering::SeqCst);
        self.crash_at.store(step, Ordering::SeqCst);
    }

    pub(super) fn has_crashed(&self) -> bool {
        self.steps.load(Ordering::SeqCst) > self.crash_at.load(Ordering::SeqCst)
    }

    fn step(&self) -> Result<(), KeyStoreError> {
        let step = self.steps.fetch_add(1, Ordering::SeqCst);
        if step >= self.crash_at.load(Ordering::SeqCst) {
            return Err(KeyStoreError::new(KeyStoreErrorKind::Unavailable, "crashing"));
        }
        Ok(())
    }
}

/// Lets whoever polls drop the future here.
pub(super) async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut paused, true) {
            std::task::Poll::Ready(())
        } else {
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        }
    })
    .await;
}

macro_rules! crashing {
    ($(fn $name:ident(&self $(, $arg:ident: $kind:ty)*) -> $out:ty;)*) => {
        #[async_trait]
        impl KeyStore for Crashing {
            fn describe(&self) -> StoreInfo {
                self.inner.describe()
            }

            $(async fn $name(&self $(, $arg: $kind)*) -> Result<$out, KeyStoreError> {
                pause().await;
                self.step()?;
                let answer = self.inner.$name($($arg),*).await;
                pause().await;
                self.step()?;
                answer
            })*
        }
    };
}

crashing! {
    fn change(&self) -> u64;
    fn create(&self, root_envelope: &[u8], epochs: &[EpochRow]) -> bool;
    fn root(&self) -> Option<Vec<u8>>;
    fn replace_envelope(&self, epoch: Option<u64>, old: &[u8], new: &[u8]) -> bool;
    fn epochs(&self) -> Vec<EpochRow>;
    fn begin_epoch(&self, epoch: &EpochRow, closes: u64) -> bool;
    fn retire_epoch(&self, epoch: u64) -> bool;
    fn insert(&self, row: &SubjectRow, joint: Option<&Joint>, names: Names) -> Inserted;
    fn insert_many(&self, rows: &[SubjectRow], names: Names) -> Vec<Inserted>;
    fn get(&self, references: &[u64]) -> Vec<Lookup>;
    fn find(&self, pseudonyms: &[Pseudonym]) -> Vec<Found>;
    fn versions(&self, pseudonym: &Pseudonym) -> Vec<SubjectRow>;
    fn scan(&self, epoch: u64, after: u64, limit: usize) -> Vec<SubjectRow>;
    fn reseal(&self, from: u64, to: u64, keys: &[ResealedKey]) -> Option<usize>;
    fn joints(&self, member: &Pseudonym) -> Vec<Joint>;
    fn hold(&self, hold: &Hold) -> bool;
    fn release(&self, pseudonym: &Pseudonym, case: &[u8; 32]) -> bool;
    fn holds(&self, pseudonym: &Pseudonym) -> Vec<Hold>;
    fn bury(&self, burial: &Burial) -> Buried;
    fn remove(&self, references: &[u64]) -> usize;
    fn unremoved(&self, limit: usize) -> Vec<u64>;
    fn tombstones(&self, after: u64, limit: usize) -> Vec<Tombstone>;
    fn append_receipts(&self, after: u64, receipts: &[[u8; RECEIPT_LEN]]) -> bool;
    fn receipts(&self, after: u64, limit: usize) -> Vec<[u8; RECEIPT_LEN]>;
    fn snapshot(&self) -> Box<dyn Snapshot>;
    fn load(&self, entries: &[Entry], end: Option<u64>) -> ();
}

/// Polls a future at most so often, and then drops it. Gives what it gave, if it came to that.
pub(super) fn poll_at_most<T>(times: u64, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..times {
        if let std::task::Poll::Ready(done) = future.as_mut().poll(&mut cx) {
            return Some(done);
        }
    }
    None
}
