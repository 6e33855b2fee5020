//! Sealed backups of a key store: made, checked, restored.
//!
//! Floor 6. A backup is a message like any other, of entries in a fixed order; what it says is checked against the root and the
//! epochs in it before it counts as one. Section "Backup of a key store" of the [format](crate::manual::format).

pub(super) mod entries;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    io::{Read, Write},
};

use self::entries::{entry_of, fields_of};
use super::{Subjects, epochs::class_name, load::place_of, tombstones::Head};
use crate::{
    error::{Category, KeyStoreErrorKind, SubjectError},
    format::{
        context::EncryptionContext,
        store_backup::{BackupDecoder, BackupEncoder, BackupEntry, BackupFault},
        subject::RootKeys,
        tombstone::BadLink,
    },
    front::{
        MessageStart, OpenHandle, SealHandle,
        envelope::{EpochKey, open_epoch, open_root},
    },
    keystore::{Entry, EpochState, KeyStore},
    provider::KeyProvider,
};

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct BackupReport {
    /// The reference of the store's root.
    pub store: u64,
    /// The store's change number when it was made.
    pub change: u64,
    /// Epochs.
    pub epochs: u64,
    /// Keys of data subjects.
    pub keys: u64,
    /// Tombstones.
    pub tombstones: u64,
}

impl BackupReport {
    fn count(&mut self, entry: &Entry) {
        match entry {
            Entry::Epoch(_) => self.epochs += 1,
            Entry::Subject(_) => self.keys += 1,
            Entry::Tombstone(_) => self.tombstones += 1,
            _ => {}
        }
    }
}

/// A backup of which everything was checked: it is whole, its root and living epochs open, and so does every key in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBackup {
    report: BackupReport,
    retired: BTreeSet<u64>,
}

impl VerifiedBackup {
    /// What it holds.
    #[must_use]
    pub const fn report(&self) -> &BackupReport {
        &self.report
    }

    /// The reference of the store's root.
    pub(crate) const fn store(&self) -> u64 {
        self.report.store
    }

    /// Whether this epoch was retired when it was made.
    pub(crate) fn has_retired(&self, epoch: u64) -> bool {
        self.retired.contains(&epoch)
    }
}

impl Subjects {
    /// Writes a sealed backup of the whole key store, as it is at this moment; others use the store meanwhile. The writer is given
    /// back flushed: make what is behind it durable.
    ///
    /// # Security
    ///
    /// Whoever can open it has the wrapped keys of all epochs, not the wrapping keys. Seal it under a key that outlives the epochs,
    /// and not under an epoch's.
    ///
    /// # Errors
    ///
    /// What the key store, the provider or the writer failed with. What was written then never opens.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves a message that never opens.
    pub async fn backup<W: Write + Send>(
        &self,
        sealing: &SealHandle,
        writer: W,
    ) -> Result<(W, BackupReport), SubjectError> {
        let shared = self.shared();
        let store = shared.root.reference();
        // fmt: J-16
        let context =
            backup_context()?.with_stored("store", format!("{store:016x}")).map_err(context_fault)?;
        let mut out = sealing.sealer(&context).await?.into_writer(writer);
        let mut snapshot = shared.store.snapshot().await?;
        let mut report = BackupReport { store, change: snapshot.change(), ..BackupReport::default() };
        let mut encoder = BackupEncoder::new();
        loop {
            let entries = snapshot.next(PAGE).await?;
            if entries.is_empty() {
                break;
            }
            for entry in &entries {
                encoder.push(&fields_of(entry)?).map_err(fault)?;
                report.count(entry);
            }
            out.write_all(&encoder.take())?;
        }
        encoder.finish(report.change).map_err(fault)?;
        out.write_all(&encoder.take())?;
        let (writer, _) = out.finish()?;
        Ok((writer, report))
    }

    /// Checks a backup without a store: that it is whole and in order, that its root and all its living epochs open with `provider`,
    /// that both chains are intact, and that every key in it opens.
    ///
    /// # Errors
    ///
    /// [`SubjectError::Open`] if the message does not open; [`SubjectError::Backup`] for what is in it;
    /// [`SubjectError::Root`], [`SubjectError::Open`] for its root and epochs; [`SubjectError::ChainTampered`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn check_backup<R: Read + Send>(
        reader: R,
        opening: &OpenHandle,
        provider: &dyn KeyProvider,
    ) -> Result<VerifiedBackup, SubjectError> {
        let mut source = Source::open(reader, opening).await?;
        let mut check = Check::default();
        while let Some(page) = source.page().await? {
            for entry in &page {
                check.entry(entry, provider).await?;
            }
        }
        let report = BackupReport { store: source.store, change: source.change, ..check.report };
        if check.root.is_none_or(|root| root.reference() != source.store) {
            return Err(malformed("its root is not that of the store it names"));
        }
        Ok(VerifiedBackup { report, retired: check.retired })
    }

    /// Fills an empty store from a backup. It is all there when this returns; what was interrupted before is no key store, and
    /// the next restore begins anew.
    ///
    /// Open the store afterwards with its anchor: whoever was erased since the backup was made is erased again by that.
    ///
    /// # Errors
    ///
    /// [`SubjectError::Refused`] for a store that is not empty: it may be newer than the backup;
    /// [`SubjectError::Open`], [`SubjectError::Backup`], [`SubjectError::Store`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves a store that every call but another restore refuses.
    pub async fn restore<R: Read + Send>(
        store: &dyn KeyStore,
        reader: R,
        opening: &OpenHandle,
    ) -> Result<BackupReport, SubjectError> {
        match store.root().await {
            Ok(Some(_)) => {
                return Err(SubjectError::Refused(
                    "the store is not empty, and may be newer than the backup",
                ));
            }
            Ok(None) => {}
            // What an interrupted restore left.
            Err(error) if error.kind == KeyStoreErrorKind::Damaged => {}
            Err(error) => return Err(error.into()),
        }
        let mut source = Source::open(reader, opening).await?;
        let mut report = BackupReport { store: source.store, ..BackupReport::default() };
        // A page behind: the last one is loaded when the end of the message was verified.
        let mut waiting: Option<Vec<Entry>> = None;
        while let Some(page) = source.page().await? {
            page.iter().for_each(|entry| report.count(entry));
            if let Some(before) = waiting.replace(page) {
                store.load(&before, None).await?;
            }
        }
        report.change = source.change;
        store.load(&waiting.unwrap_or_default(), Some(source.change)).await?;
        Ok(report)
    }
}

/// What is known of a backup that is being checked.
#[derive(Default)]
struct Check {
    report: BackupReport,
    root: Option<RootKeys>,
    epochs: HashMap<u64, EpochKey>,
    retired: BTreeSet<u64>,
    tombstones: Head,
    receipts: Head,
}

impl Check {
    async fn entry(&mut self, entry: &Entry, provider: &dyn KeyProvider) -> Result<(), SubjectError> {
        self.report.count(entry);
        match entry {
            Entry::Root(envelope) => {
                let root = open_root(provider, envelope, None).await.map_err(SubjectError::Root)?;
                self.root = Some(root);
            }
            Entry::Epoch(row) if row.state == EpochState::Retired => {
                self.retired.insert(row.reference);
            }
            Entry::Epoch(row) => {
                let (store, class) = (self.root()?.reference(), class_name(row.class));
                let key = open_epoch(provider, &row.envelope, row.reference, store, class).await?;
                self.epochs.insert(row.reference, key);
            }
            Entry::Subject(row) => {
                let epoch = self.epochs.get(&row.epoch).ok_or(malformed("a key is under no living epoch"))?;
                if let Err(found) = epoch.cipher.open(&place_of(row), &row.sealed_key) {
                    let what = "a key in it does not open";
                    return Err(SubjectError::Backup { what, category: found.category() });
                }
            }
            Entry::Tombstone(stone) => {
                let mut walk =
                    self.root()?.tombstones().walk_after(self.tombstones.number, self.tombstones.mac);
                walk.next(&stone.bytes).map_err(|bad| tampered("tombstones", bad))?;
                self.tombstones = Head { number: walk.number(), mac: walk.head() };
            }
            Entry::Receipt(bytes) => {
                let mut walk = self.root()?.receipts().walk_after(self.receipts.number, self.receipts.mac);
                walk.next(bytes).map_err(|bad| tampered("receipts", bad))?;
                self.receipts = Head { number: walk.number(), mac: walk.head() };
            }
            _ => {}
        }
        Ok(())
    }

    fn root(&self) -> Result<&RootKeys, SubjectError> {
        self.root.as_ref().ok_or(malformed("it does not begin with a root"))
    }
}

/// The entries of a backup, page by page.
struct Source<R> {
    reader: crate::io::OpenReader<R>,
    decoder: BackupDecoder,
    buffer: Vec<u8>,
    store: u64,
    change: u64,
    ended: bool,
}

impl<R: Read + Send> Source<R> {
    async fn open(mut reader: R, opening: &OpenHandle) -> Result<Self, SubjectError> {
        let start = MessageStart::read(&mut reader)?;
        // fmt: J-16: which store it is of is not known before; that it is a key store's backup is.
        let opening = opening.clone().accepting_stored_context();
        let opener = opening.opener(start, &backup_context()?).await?;
        let store = opener.context().find(|(name, _)| *name == "store");
        let store = store.and_then(|(_, hex)| u64::from_str_radix(hex, 16).ok());
        let store = store.ok_or(malformed("it names no key store"))?;
        let (decoder, buffer) = (BackupDecoder::new(), vec![0; READ_LEN]);
        Ok(Self { reader: opener.into_reader(reader), decoder, buffer, store, change: 0, ended: false })
    }

    /// Some entries; `None` at the end, which was then verified.
    async fn page(&mut self) -> Result<Option<Vec<Entry>>, SubjectError> {
        let mut page = Vec::new();
        while !self.ended && page.len() < PAGE {
            while let Some(entry) = self.decoder.next().map_err(fault)? {
                match entry {
                    BackupEntry::End { change, .. } => self.change = change,
                    other => page.push(entry_of(&other)?),
                }
            }
            let read = self.reader.read(&mut self.buffer).map_err(read_fault)?;
            if read == 0 {
                self.decoder.finish().map_err(fault)?;
                self.ended = true;
            }
            self.decoder.feed(&self.buffer[..read]);
        }
        Ok((!page.is_empty()).then_some(page))
    }
}

fn backup_context() -> Result<EncryptionContext, SubjectError> {
    EncryptionContext::new([("content", "key-store")]).map_err(context_fault)
}

fn context_fault(error: crate::error::ContextError) -> SubjectError {
    SubjectError::Seal(error.into())
}

fn read_fault(error: std::io::Error) -> SubjectError {
    SubjectError::Open(crate::io::unwrap_open_error(error))
}

fn fault(fault: BackupFault) -> SubjectError {
    let what = match fault {
        BackupFault::Malformed(what) => what,
        BackupFault::LimitExceeded => "an entry is longer than it can be",
        BackupFault::Unsupported => "it has an entry of a newer release",
        BackupFault::Truncated => "its end is missing",
    };
    SubjectError::Backup { what, category: fault.category() }
}

const fn malformed(what: &'static str) -> SubjectError {
    SubjectError::Backup { what, category: Category::Malformed }
}

const fn tampered(chain: &'static str, bad: BadLink) -> SubjectError {
    SubjectError::ChainTampered { chain, number: bad.number }
}

/// Entries that are read from the store, or loaded into it, at a time.
const PAGE: usize = 4096;
/// Bytes that are read at a time.
const READ_LEN: usize = 256 * 1024;
