//! What the tests play on: a store that counts its calls and can be held up, and handles over it.

use std::{
    collections::HashMap,
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use async_trait::async_trait;

use crate::{
    clock::TestClock,
    error::{KeyStoreError, KeyStoreErrorKind, RecordError},
    executor::block_on,
    front::Cell,
    keystore::{
        Burial, Buried, Entry, EpochRow, Found, Hold, Inserted, Joint, KeyStore, Lookup, MemoryKeyStore,
        Names, Pseudonym, RECEIPT_LEN, ResealedKey, Snapshot, StoreInfo, SubjectRow, Tombstone,
    },
    provider::{KeyProvider, MemoryProvider},
    secret::Opened,
    subjects::{Sealed, Subject, Subjects, SubjectsOptions},
};

/// Counts calls by name, fails those that it is told to fail, and lets every call wait for so many polls.
#[derive(Debug, Clone, Default)]
pub(super) struct Stage {
    pub(super) inner: MemoryKeyStore,
    script: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    calls: HashMap<&'static str, usize>,
    fails: Option<KeyStoreErrorKind>,
    polls: usize,
    /// Answers of `get`, changed on their way.
    exchange: HashMap<u64, Lookup>,
    /// Answers of `find`, on their way once.
    not_found_once: bool,
    /// So many removals leave bytes behind.
    busy_removals: usize,
}

impl Stage {
    pub(super) fn calls(&self, name: &str) -> usize {
        self.script.lock().unwrap().calls.get(name).copied().unwrap_or(0)
    }

    pub(super) fn all_calls(&self) -> usize {
        self.script.lock().unwrap().calls.values().sum()
    }

    pub(super) fn fail(&self, kind: Option<KeyStoreErrorKind>) {
        self.script.lock().unwrap().fails = kind;
    }

    /// Has every call be pending for so many polls before it is done.
    pub(super) fn wait(&self, polls: usize) {
        self.script.lock().unwrap().polls = polls;
    }

    /// Answers this when that reference is asked for.
    pub(super) fn exchange(&self, reference: u64, answer: Lookup) {
        self.script.lock().unwrap().exchange.insert(reference, answer);
    }

    /// Says of the next subjects that are looked for that they are not there.
    pub(super) fn hide_once(&self) {
        self.script.lock().unwrap().not_found_once = true;
    }

    /// Lets so many removals be done but for the wiping.
    pub(super) fn keep_bytes(&self, removals: usize) {
        self.script.lock().unwrap().busy_removals = removals;
    }

    async fn call(&self, name: &'static str) -> Result<(), KeyStoreError> {
        let polls = {
            let mut script = self.script.lock().unwrap();
            *script.calls.entry(name).or_default() += 1;
            script.polls
        };
        pending(polls).await;
        match self.script.lock().unwrap().fails {
            Some(kind) => Err(KeyStoreError::new(kind, "stage")),
            None => Ok(()),
        }
    }
}

/// Is pending for so many polls, and wakes itself each time.
pub(super) async fn pending(mut polls: usize) {
    std::future::poll_fn(|cx| {
        if polls == 0 {
            return Poll::Ready(());
        }
        polls -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

type Answer<T> = Result<T, KeyStoreError>;

#[async_trait]
impl KeyStore for Stage {
    fn describe(&self) -> StoreInfo {
        StoreInfo::new("stage", false, false)
    }

    async fn change(&self) -> Answer<u64> {
        self.inner.change().await
    }

    async fn create(&self, root_envelope: &[u8], epochs: &[EpochRow]) -> Answer<bool> {
        self.call("create").await?;
        self.inner.create(root_envelope, epochs).await
    }

    async fn root(&self) -> Answer<Option<Vec<u8>>> {
        self.call("root").await?;
        self.inner.root().await
    }

    async fn replace_envelope(&self, epoch: Option<u64>, old: &[u8], new: &[u8]) -> Answer<bool> {
        self.inner.replace_envelope(epoch, old, new).await
    }

    async fn epochs(&self) -> Answer<Vec<EpochRow>> {
        self.call("epochs").await?;
        self.inner.epochs().await
    }

    async fn begin_epoch(&self, epoch: &EpochRow, closes: u64) -> Answer<bool> {
        self.inner.begin_epoch(epoch, closes).await
    }

    async fn retire_epoch(&self, epoch: u64) -> Answer<bool> {
        self.inner.retire_epoch(epoch).await
    }

    async fn insert(&self, row: &SubjectRow, joint: Option<&Joint>, names: Names) -> Answer<Inserted> {
        self.call("insert").await?;
        self.inner.insert(row, joint, names).await
    }

    async fn insert_many(&self, rows: &[SubjectRow], names: Names) -> Answer<Vec<Inserted>> {
        self.call("insert_many").await?;
        self.inner.insert_many(rows, names).await
    }

    async fn get(&self, references: &[u64]) -> Answer<Vec<Lookup>> {
        self.call("get").await?;
        let mut answers = self.inner.get(references).await?;
        let script = self.script.lock().unwrap();
        for (reference, answer) in references.iter().zip(&mut answers) {
            if let Some(other) = script.exchange.get(reference) {
                *answer = other.clone();
            }
        }
        Ok(answers)
    }

    async fn find(&self, pseudonyms: &[Pseudonym]) -> Answer<Vec<Found>> {
        self.call("find").await?;
        if std::mem::take(&mut self.script.lock().unwrap().not_found_once) {
            return Ok(vec![Found::Unknown; pseudonyms.len()]);
        }
        self.inner.find(pseudonyms).await
    }

    async fn versions(&self, pseudonym: &Pseudonym) -> Answer<Vec<SubjectRow>> {
        self.call("versions").await?;
        self.inner.versions(pseudonym).await
    }

    async fn scan(&self, epoch: u64, after: u64, limit: usize) -> Answer<Vec<SubjectRow>> {
        self.inner.scan(epoch, after, limit).await
    }

    async fn reseal(&self, from: u64, to: u64, keys: &[ResealedKey]) -> Answer<Option<usize>> {
        self.inner.reseal(from, to, keys).await
    }

    async fn joints(&self, member: &Pseudonym) -> Answer<Vec<Joint>> {
        self.inner.joints(member).await
    }

    async fn hold(&self, hold: &Hold) -> Answer<bool> {
        self.inner.hold(hold).await
    }

    async fn release(&self, pseudonym: &Pseudonym, case: &[u8; 32]) -> Answer<bool> {
        self.inner.release(pseudonym, case).await
    }

    async fn holds(&self, pseudonym: &Pseudonym) -> Answer<Vec<Hold>> {
        self.inner.holds(pseudonym).await
    }

    async fn bury(&self, burial: &Burial) -> Answer<Buried> {
        self.inner.bury(burial).await
    }

    async fn remove(&self, references: &[u64]) -> Answer<usize> {
        let removed = self.inner.remove(references).await?;
        let mut script = self.script.lock().unwrap();
        if script.busy_removals > 0 {
            script.busy_removals -= 1;
            return Err(KeyStoreError::new(KeyStoreErrorKind::Busy, "stage"));
        }
        Ok(removed)
    }

    async fn unremoved(&self, limit: usize) -> Answer<Vec<u64>> {
        self.inner.unremoved(limit).await
    }

    async fn tombstones(&self, after: u64, limit: usize) -> Answer<Vec<Tombstone>> {
        self.inner.tombstones(after, limit).await
    }

    async fn append_receipts(&self, after: u64, receipts: &[[u8; RECEIPT_LEN]]) -> Answer<bool> {
        self.inner.append_receipts(after, receipts).await
    }

    async fn receipts(&self, after: u64, limit: usize) -> Answer<Vec<[u8; RECEIPT_LEN]>> {
        self.inner.receipts(after, limit).await
    }

    async fn snapshot(&self) -> Answer<Box<dyn Snapshot>> {
        self.inner.snapshot().await
    }

    async fn load(&self, entries: &[Entry], end: Option<u64>) -> Answer<()> {
        self.inner.load(entries, end).await
    }
}

/// A store that is initialised, and a handle over it.
pub(super) struct Play {
    pub(super) stage: Stage,
    pub(super) clock: TestClock,
    pub(super) keys: Arc<MemoryProvider>,
    pub(super) subjects: Subjects,
}

impl Play {
    pub(super) fn new() -> Self {
        Self::with(SubjectsOptions::default())
    }

    /// With these options, on a clock that stands still.
    pub(super) fn with(options: SubjectsOptions) -> Self {
        let (stage, clock) = (Stage::default(), TestClock::new());
        let keys = Arc::new(MemoryProvider::from_keys([("root", [7; 32])]).unwrap());
        let options = options.with_clock(Arc::new(clock.clone()));
        let store: Arc<dyn KeyStore> = Arc::new(stage.clone());
        let subjects = ready(Subjects::init(store, keys.clone(), keys.clone(), options)).unwrap();
        Self { stage, clock, keys, subjects }
    }

    /// Another process over the same store.
    pub(super) fn another(&self) -> Subjects {
        self.another_with(SubjectsOptions::default())
    }

    pub(super) fn another_with(&self, options: SubjectsOptions) -> Subjects {
        let options = options.with_clock(Arc::new(self.clock.clone()));
        let provider: Arc<dyn KeyProvider> = self.keys.clone();
        ready(Subjects::open(Arc::new(self.stage.clone()), provider, options)).unwrap()
    }

    /// Ends every key of a subject, as an erasure would, without telling any cache.
    pub(super) fn bury(&self, subject: &Subject<'_>) {
        let pseudonym = subject.pseudonym().unwrap();
        let rows = ready(self.stage.inner.versions(&pseudonym)).unwrap();
        let root = &self.subjects.shared().root;
        let before = ready(self.stage.inner.tombstones(0, 1000)).unwrap();
        let mut previous = before.last().map_or([0; 32], |last| *last.bytes.last_chunk().unwrap());
        let time = self.subjects.shared().unix_seconds();
        let tombstones: Vec<Tombstone> = rows
            .iter()
            .map(|row| {
                let link = crate::format::tombstone::Link {
                    reference: row.reference,
                    time,
                    code: 1,
                    request: [0; 32],
                };
                let bytes = root.tombstones().append(&previous, &link);
                previous = *bytes.last_chunk().unwrap();
                Tombstone { reference: row.reference, bytes }
            })
            .collect();
        let (after, names) = (before.len() as u64, vec![pseudonym]);
        let burial = Burial { after, tombstones, names, unless_on_hold: Vec::new() };
        assert_eq!(ready(self.stage.inner.bury(&burial)).unwrap(), Buried::Done);
    }
}

pub(super) fn ready<T>(future: impl Future<Output = T>) -> T {
    block_on(future).unwrap()
}

pub(super) fn cell(row: i64) -> Cell<'static> {
    Cell::new("customers", "email", row)
}

pub(super) fn seal(subject: &Subject<'_>, text: &str) -> Sealed<String> {
    ready(subject.seal(text, cell(1))).unwrap()
}

pub(super) fn text(opened: Result<Opened<String>, RecordError>) -> Result<String, RecordError> {
    opened.map(|opened| opened.clone())
}

/// Polls once.
pub(super) fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls so many times and drops it, unless it is done before.
pub(super) fn poll_some<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = pin!(future);
    (0..polls).find_map(|_| match poll(future.as_mut()) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    })
}
