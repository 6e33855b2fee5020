//! A store over the one in memory, with one bug.

use std::fmt;
use std::future::poll_fn;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use async_trait::async_trait;

use super::super::kit;
use crate::error::{KeyStoreError, KeyStoreErrorKind};
use crate::keystore::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    None,
    DescribesAnew,
    AnswersWithoutARoot,
    CreatesTwice,
    ReplacesWhatever,
    RetiresWhatIsUsed,
    ListsEpochsByReference,
    GivesReferencesTwice,
    ExistsIsTheFirst,
    LooksAtVersionsFirst,
    ForgetsTheLastOfMany,
    SortsWhatItGets,
    FindsTheFirst,
    ScansFromTheLast,
    CountsWhatItDidNotMove,
    ForgetsAJoint,
    LeavesJoints,
    ReleasesAll,
    BuriesTheHeld,
    BuriesAnywhere,
    GetsWhatIsBuried,
    CountsWhatItDidNotRemove,
    GivesNamesAway,
    GivesSharedNamesAway,
    AppendsAnywhere,
    CountsReads,
    CountsNothing,
    TakesAnyBatch,
    SnapshotsLeaveGravesOut,
    SnapshotsSeeWrites,
    HalfALoadIsEmpty,
    LoadsCountAnew,
    IsStuckWhenDropped,
    LooksAndThenSets,
    SharesNothing,
    ForgetsAtTheEnd,
    ShowsNamesInErrors,
    ShowsNamesInDebug,
}

pub(super) struct Sample {
    inner: MemoryKeyStore,
    bug: Bug,
    calls: AtomicU64,
    is_busy: AtomicBool,
    rows: Mutex<Vec<SubjectRow>>,
}

type Answer<T> = Result<T, KeyStoreError>;

impl Sample {
    pub(super) fn new(inner: MemoryKeyStore, bug: Bug) -> Self {
        let (calls, is_busy) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { inner, bug, calls, is_busy, rows: Mutex::default() }
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == bug
    }

    /// Waits once, as a call over a network would; a future that is dropped there may leave it stuck.
    async fn travel(&self) -> Answer<()> {
        if self.has(Bug::IsStuckWhenDropped) && self.is_busy.swap(true, Ordering::SeqCst) {
            return Err(KeyStoreError::new(KeyStoreErrorKind::Unavailable, "sample"));
        }
        let mut has_waited = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut has_waited, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        self.is_busy.store(false, Ordering::SeqCst);
        Ok(())
    }

    async fn last(&self) -> Answer<u64> {
        Ok(self.inner.tombstones(0, usize::MAX).await?.len() as u64)
    }
}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.has(Bug::ShowsNamesInDebug).then(|| kit::name(1));
        f.debug_struct("Sample").field("last", &name).finish_non_exhaustive()
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        if self.has(Bug::ForgetsAtTheEnd) && self.calls.load(Ordering::SeqCst) > 0 {
            // What the next opening finds is not what was there.
            let hold = kit::hold(1, 99, 1);
            drop(crate::executor::block_on(self.inner.hold(&hold)));
            let inner = self.inner.clone();
            thread::spawn(move || drop(crate::executor::block_on(inner.hold(&hold)))).join().unwrap();
        }
    }
}

#[async_trait]
impl KeyStore for Sample {
    fn describe(&self) -> StoreInfo {
        let count = self.calls.fetch_add(1, Ordering::SeqCst);
        let is_odd = self.has(Bug::DescribesAnew) && count > 0;
        StoreInfo::new(if is_odd { "other" } else { "sample" }, true, true)
    }

    async fn change(&self) -> Answer<u64> {
        let change = self.inner.change().await?;
        match self.bug {
            Bug::CountsReads if change > 0 => Ok(change + self.calls.fetch_add(1, Ordering::SeqCst)),
            Bug::CountsNothing => Ok(change.min(1)),
            _ => Ok(change),
        }
    }

    async fn create(&self, root_envelope: &[u8], epochs: &[EpochRow]) -> Answer<bool> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        Ok(self.inner.create(root_envelope, epochs).await? || self.has(Bug::CreatesTwice))
    }

    async fn root(&self) -> Answer<Option<Vec<u8>>> {
        match self.inner.root().await {
            Err(error) if error.kind == KeyStoreErrorKind::Damaged && self.has(Bug::HalfALoadIsEmpty) => {
                Ok(None)
            }
            answer => answer,
        }
    }

    async fn replace_envelope(&self, epoch: Option<u64>, old: &[u8], new: &[u8]) -> Answer<bool> {
        let done = self.inner.replace_envelope(epoch, old, new).await?;
        Ok(done || (self.has(Bug::ReplacesWhatever) && epoch.is_none()))
    }

    async fn epochs(&self) -> Answer<Vec<EpochRow>> {
        let mut epochs = self.inner.epochs().await?;
        if self.has(Bug::ListsEpochsByReference) {
            epochs.sort_by_key(|epoch| epoch.reference);
        }
        Ok(epochs)
    }

    async fn begin_epoch(&self, epoch: &EpochRow, closes: u64) -> Answer<bool> {
        self.inner.begin_epoch(epoch, closes).await
    }

    async fn retire_epoch(&self, epoch: u64) -> Answer<bool> {
        Ok(self.inner.retire_epoch(epoch).await? || self.has(Bug::RetiresWhatIsUsed))
    }

    async fn insert(&self, row: &SubjectRow, joint: Option<&Joint>, names: Names) -> Answer<Inserted> {
        self.travel().await?;
        let names = if self.has(Bug::GivesNamesAway) { Names::MayBeNewPersons } else { names };
        if self.has(Bug::LooksAtVersionsFirst) && row.version > 1 {
            if let Some(newest) = self.inner.versions(&row.pseudonym).await?.pop() {
                if newest.version + 1 != row.version {
                    return Ok(Inserted::Exists(newest));
                }
            } else if row.epoch != kit::FIRST {
                return Ok(Inserted::Erased);
            }
        }
        let seems_free = self.inner.find(&[row.pseudonym]).await.is_ok_and(|found| found == [Found::Unknown]);
        if self.has(Bug::LooksAndThenSets) && seems_free {
            thread::sleep(Duration::from_millis(2));
        }
        let answer = self.inner.insert(row, joint, names).await?;
        self.rows.lock().unwrap().push(row.clone());
        match answer {
            Inserted::Exists(_) if self.has(Bug::LooksAndThenSets) && seems_free => Ok(Inserted::Done),
            Inserted::Erased if self.has(Bug::GivesSharedNamesAway) && names == Names::MayBeNewPersons => {
                Ok(Inserted::Done)
            }
            Inserted::ReferenceTaken if self.has(Bug::GivesReferencesTwice) => Ok(Inserted::Done),
            Inserted::Exists(_) if self.has(Bug::ExistsIsTheFirst) => {
                let first = self.inner.versions(&row.pseudonym).await?.remove(0);
                Ok(Inserted::Exists(first))
            }
            answer => Ok(answer),
        }
    }

    async fn insert_many(&self, rows: &[SubjectRow], names: Names) -> Answer<Vec<Inserted>> {
        let is_short = self.has(Bug::ForgetsTheLastOfMany) && !rows.is_empty();
        let mut answers = self.inner.insert_many(&rows[..rows.len() - usize::from(is_short)], names).await?;
        answers.extend(is_short.then_some(Inserted::Done));
        Ok(answers)
    }

    async fn get(&self, references: &[u64]) -> Answer<Vec<Lookup>> {
        if self.has(Bug::TakesAnyBatch) && references.len() > MAX_BATCH {
            return Ok(Vec::new());
        }
        let mut references = references.to_vec();
        if self.has(Bug::SortsWhatItGets) {
            references.sort_unstable();
        }
        let mut found = self.inner.get(&references).await?;
        if self.has(Bug::GetsWhatIsBuried) {
            let left = self.inner.unremoved(100).await?;
            let rows = self.rows.lock().unwrap().clone();
            for (answer, reference) in found.iter_mut().zip(&references) {
                let row = rows.iter().find(|row| row.reference == *reference && left.contains(reference));
                *answer = row.map_or(answer.clone(), |row| Lookup::Row(row.clone()));
            }
        }
        Ok(found)
    }

    async fn find(&self, pseudonyms: &[Pseudonym]) -> Answer<Vec<Found>> {
        match self.inner.find(pseudonyms).await {
            Err(_) if self.has(Bug::AnswersWithoutARoot) => Ok(vec![Found::Unknown]),
            Err(error) if self.has(Bug::ShowsNamesInErrors) => {
                Err(error.with_detail(format!("{:?}", pseudonyms[0])))
            }
            Ok(mut found) if self.has(Bug::FindsTheFirst) => {
                for (found, name) in found.iter_mut().zip(pseudonyms) {
                    if let Some(first) = self.inner.versions(name).await?.first() {
                        *found = Found::Row(first.clone());
                    }
                }
                Ok(found)
            }
            answer => answer,
        }
    }

    async fn versions(&self, pseudonym: &Pseudonym) -> Answer<Vec<SubjectRow>> {
        self.inner.versions(pseudonym).await
    }

    async fn scan(&self, epoch: u64, after: u64, limit: usize) -> Answer<Vec<SubjectRow>> {
        // A page that begins with the last row of the one before never ends.
        let after = if self.has(Bug::ScansFromTheLast) { after.saturating_sub(1) } else { after };
        self.inner.scan(epoch, after, limit).await
    }

    async fn reseal(&self, from: u64, to: u64, keys: &[ResealedKey]) -> Answer<Option<usize>> {
        let moved = self.inner.reseal(from, to, keys).await?;
        Ok(if self.has(Bug::CountsWhatItDidNotMove) { moved.map(|_| keys.len()) } else { moved })
    }

    async fn joints(&self, member: &Pseudonym) -> Answer<Vec<Joint>> {
        let mut joints = self.inner.joints(member).await?;
        if self.has(Bug::ForgetsAJoint) {
            joints.truncate(1);
        }
        Ok(joints)
    }

    async fn hold(&self, hold: &Hold) -> Answer<bool> {
        self.inner.hold(hold).await
    }

    async fn release(&self, pseudonym: &Pseudonym, case: &[u8; 32]) -> Answer<bool> {
        let released = self.inner.release(pseudonym, case).await?;
        if self.has(Bug::ReleasesAll) {
            for hold in self.inner.holds(pseudonym).await? {
                self.inner.release(pseudonym, &hold.case).await?;
            }
        }
        Ok(released)
    }

    async fn holds(&self, pseudonym: &Pseudonym) -> Answer<Vec<Hold>> {
        self.inner.holds(pseudonym).await
    }

    async fn bury(&self, burial: &Burial) -> Answer<Buried> {
        let mut burial = burial.clone();
        let last = self.last().await;
        match self.bug {
            Bug::BuriesTheHeld => burial.unless_on_hold.clear(),
            Bug::BuriesAnywhere => burial.after = last?,
            _ => {}
        }
        match self.inner.bury(&burial).await? {
            Buried::RowsChanged if self.has(Bug::LeavesJoints) && burial.names.contains(&kit::name(2)) => {
                Ok(Buried::Done)
            }
            answer => Ok(answer),
        }
    }

    async fn remove(&self, references: &[u64]) -> Answer<usize> {
        let removed = self.inner.remove(references).await?;
        Ok(if self.has(Bug::CountsWhatItDidNotRemove) { references.len() } else { removed })
    }

    async fn unremoved(&self, limit: usize) -> Answer<Vec<u64>> {
        self.inner.unremoved(limit).await
    }

    async fn tombstones(&self, after: u64, limit: usize) -> Answer<Vec<Tombstone>> {
        self.inner.tombstones(after, limit).await
    }

    async fn append_receipts(&self, after: u64, receipts: &[[u8; RECEIPT_LEN]]) -> Answer<bool> {
        let last = self.inner.receipts(0, usize::MAX).await?.len() as u64;
        let after = if self.has(Bug::AppendsAnywhere) { last } else { after };
        self.inner.append_receipts(after, receipts).await
    }

    async fn receipts(&self, after: u64, limit: usize) -> Answer<Vec<[u8; RECEIPT_LEN]>> {
        self.inner.receipts(after, limit).await
    }

    async fn snapshot(&self) -> Answer<Box<dyn Snapshot>> {
        let snapshot = self.inner.snapshot().await?;
        Ok(Box::new(SampleSnapshot { store: self.inner.clone(), bug: self.bug, snapshot, is_fresh: true }))
    }

    async fn load(&self, entries: &[Entry], end: Option<u64>) -> Answer<()> {
        let end = if self.has(Bug::LoadsCountAnew) { end.map(|_| 0) } else { end };
        self.inner.load(entries, end).await
    }
}

struct SampleSnapshot {
    store: MemoryKeyStore,
    bug: Bug,
    snapshot: Box<dyn Snapshot>,
    is_fresh: bool,
}

#[async_trait]
impl Snapshot for SampleSnapshot {
    fn change(&self) -> u64 {
        self.snapshot.change()
    }

    async fn next(&mut self, limit: usize) -> Answer<Vec<Entry>> {
        let mut entries = self.snapshot.next(limit).await?;
        if self.bug == Bug::SnapshotsSeeWrites && entries.is_empty() && std::mem::take(&mut self.is_fresh) {
            entries.extend(self.store.holds(&kit::name(4)).await?.into_iter().take(1).map(Entry::Hold));
        }
        if self.bug == Bug::SnapshotsLeaveGravesOut {
            entries.retain(|entry| !matches!(entry, Entry::Grave(_)));
        }
        Ok(entries)
    }
}
