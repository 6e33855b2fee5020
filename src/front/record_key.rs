//! Record keys: one key, loaded once, for millions of fields and rows; sealed and opened without I/O.
//!
//! Floor 5: joins a record cipher with the caller's cells, buffers and limits. Where the key comes from is
//! `envelope.rs`. What a record is made of is the section "Record" of the [format](crate::manual::format).

mod cell;
mod many;

use std::{fmt, sync::Arc};

use zeroize::Zeroize;

pub use self::cell::{Cell, RowKey};
use crate::{
    error::RecordError,
    format::record,
    limits::{DEFAULT_RECORD_LEN, MAX_RECORD_LEN, RECORD_OVERHEAD, RECORDS_PER_KEY, TAG_LEN},
    record_cipher::{Random, RecordCipher, System, ThreadPool},
    secret::{Opened, Secret, wipe},
};

/// A key for the fields and rows of one table, one tenant, one purpose: whatever its key envelope says.
///
/// Cheap to clone and meant to be shared: clones are the same key, and any number of threads seal and open with it
/// at once without waiting for each other. Nothing here does I/O or awaits. A record is 49 bytes longer than its
/// plaintext and names its key by [`reference`](Self::reference).
///
/// # Security
///
/// A record is bound to its [`Cell`]: moved to another row, column or table it does not open. It is not bound to a
/// point in time: an older record of the same cell opens as well. Lengths are not hidden. The key is wiped when the
/// last clone is dropped (with the default crypto backend without a trace).
///
/// # Examples
///
/// ```
/// use kuvert::{Cell, EncryptionContext, Kuvert, RecordError, blocking::block_on, provider::MemoryProvider};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let kuvert = Kuvert::new(MemoryProvider::generate("demo")?);
/// let context = EncryptionContext::new([("table", "customers")])?;
/// let (key, envelope) = block_on(kuvert.new_record_key(&context))??;    // keep `envelope` beside the table
///
/// let sealed = key.seal(b"anna@example.se", &Cell::new("customers", "email", 42))?;
/// let email = key.open(&sealed, &Cell::new("customers", "email", 42))?;
/// assert_eq!(email.as_slice(), b"anna@example.se");
///
/// let elsewhere = key.open(&sealed, &Cell::new("customers", "email", 43));
/// assert!(matches!(elsewhere, Err(RecordError::Tampered)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RecordKey {
    cipher: Arc<RecordCipher>,
    options: RecordOptions,
}

impl RecordKey {
    pub(crate) fn new(record_key: &Secret<32>, reference: u64) -> Self {
        Self { cipher: Arc::new(RecordCipher::new(record_key, reference)), options: RecordOptions::default() }
    }

    /// The same key with other options. Clones made before keep theirs.
    #[must_use]
    pub const fn with_options(mut self, options: RecordOptions) -> Self {
        self.options = options;
        self
    }

    /// The number that names this key in its records: random, and never zero.
    #[must_use]
    pub fn reference(&self) -> u64 {
        self.cipher.reference()
    }

    /// Seals `plaintext` for `cell` into a new buffer.
    ///
    /// # Errors
    ///
    /// [`RecordError::LimitExceeded`] above the limit of the [options](RecordOptions::max_len) or the 65 535 parts of a
    /// cell; [`RecordError::Random`] if the operating system gives no random bytes.
    pub fn seal(&self, plaintext: &[u8], cell: &Cell<'_>) -> Result<Vec<u8>, RecordError> {
        let mut record = vec![0; self.record_len(plaintext)?];
        self.seal_to(plaintext, cell, &mut record)?;
        Ok(record)
    }

    /// Seals `plaintext` for `cell` into `record`, whose former content is replaced.
    ///
    /// Allocates nothing where `record` has the capacity, 49 bytes more than `plaintext`, and names in the cell are of
    /// ordinary length (150 bytes together). On error `record` is empty.
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal).
    pub fn seal_into(
        &self,
        plaintext: &[u8],
        cell: &Cell<'_>,
        record: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        let sealed = self.record_len(plaintext).and_then(|len| {
            set_len(record, len);
            self.seal_to(plaintext, cell, record)
        });
        if sealed.is_err() {
            record.clear();
        }
        sealed
    }

    /// Opens a record of `cell` into a new buffer, which is wiped when dropped.
    ///
    /// # Errors
    ///
    /// In this order: [`RecordError::Truncated`] if `record` is empty; [`RecordError::NotSealed`] or
    /// [`RecordError::Unsupported`] by its first byte; [`RecordError::Truncated`] below 49 bytes;
    /// [`RecordError::LimitExceeded`]; [`RecordError::KeyUnavailable`] if it names another key;
    /// [`RecordError::Tampered`] if it was changed, or sealed for another cell.
    pub fn open(&self, record: &[u8], cell: &Cell<'_>) -> Result<Opened<Vec<u8>>, RecordError> {
        let frame = record::decode(record, self.max_len())?;
        let mut plaintext = vec![0; frame.sealed.len() - TAG_LEN];
        cell.with_parts(|parts| self.cipher.open(&frame, parts, &mut plaintext))?;
        Ok(Opened::bytes(plaintext))
    }

    /// Opens a record of `cell` into `plaintext`, whose former content is replaced.
    ///
    /// Allocates nothing where `plaintext` has the capacity. On error `plaintext` is empty. What it held before is
    /// wiped where it is not written over; what it holds now is the caller's to wipe.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_into(
        &self,
        record: &[u8],
        cell: &Cell<'_>,
        plaintext: &mut Vec<u8>,
    ) -> Result<(), RecordError> {
        let opened = record::decode(record, self.max_len()).and_then(|frame| {
            set_len(plaintext, frame.sealed.len() - TAG_LEN);
            cell.with_parts(|parts| self.cipher.open(&frame, parts, plaintext))
        });
        if opened.is_err() {
            wipe(plaintext);
            plaintext.clear();
        }
        opened
    }

    /// Records that this process sealed with this key, its clones included.
    ///
    /// Every process and every load of the key counts for itself, a forked child from where its parent was: add them
    /// up where several seal with one key.
    #[must_use]
    pub fn records_sealed(&self) -> u64 {
        self.cipher.records_sealed()
    }

    /// Whether this process alone has sealed so many records (2^36) that it is time for a new key.
    ///
    /// Nothing happens on its own: at that count the chance that a nonce was used twice is 2^-49. Make a new record
    /// key, seal with it from then on, and keep the old one for opening.
    #[must_use]
    pub fn is_due_for_rotation(&self) -> bool {
        self.records_sealed() >= RECORDS_PER_KEY
    }

    fn max_len(&self) -> usize {
        // fmt: R-10
        self.options.max_len.min(MAX_RECORD_LEN)
    }

    /// The length of the record that `plaintext` becomes, if it is within the limit.
    fn record_len(&self, plaintext: &[u8]) -> Result<usize, RecordError> {
        if plaintext.len() > self.max_len() {
            return Err(record::too_long(self.max_len()));
        }
        Ok(plaintext.len() + RECORD_OVERHEAD)
    }

    fn seal_to(&self, plaintext: &[u8], cell: &Cell<'_>, record: &mut [u8]) -> Result<(), RecordError> {
        if self.options.snapshot_unsafe_nonce_pool {
            self.seal_by(&mut ThreadPool, plaintext, cell, record)
        } else {
            self.seal_by(&mut System, plaintext, cell, record)
        }
    }

    fn seal_by(
        &self,
        random: &mut impl Random,
        plaintext: &[u8],
        cell: &Cell<'_>,
        record: &mut [u8],
    ) -> Result<(), RecordError> {
        cell.with_parts(|parts| {
            self.cipher.with_sealer(random, |sealer| sealer.seal(plaintext, parts, record))
        })
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordKey")
            .field("reference", &format_args!("{:016x}", self.reference()))
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// How records are sealed, and what is accepted when they are opened.
///
/// # Examples
///
/// ```
/// use kuvert::RecordOptions;
///
/// let options = RecordOptions::default().with_max_len(16 * 1024 * 1024);
/// assert!(!options.snapshot_unsafe_nonce_pool);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct RecordOptions {
    /// The longest plaintext sealed or opened, in bytes. Default 1 MiB; the format's maximum is 64 MiB, and what is
    /// above counts as that. Longer values belong in a message.
    pub max_len: usize,
    /// Takes the random half of each nonce from a pool of 4 KiB that each thread keeps for up to 100 ms, instead of
    /// asking the operating system for every record. Default: no.
    ///
    /// Saves the price of a system call, which for short records is most of all. The pool is thrown away in a forked
    /// child, and its bytes are wiped as they are used.
    ///
    /// # Security
    ///
    /// Two copies of one machine, made by a snapshot or a live clone while records are sealed, can seal with the
    /// same nonce under the same key. Then an attacker who has both records learns how their plaintexts differ, and
    /// can forge records under that subkey. Leave it off wherever a running machine may be copied, and wherever you
    /// do not know.
    pub snapshot_unsafe_nonce_pool: bool,
}

impl RecordOptions {
    /// Sets the longest plaintext sealed or opened, in bytes.
    #[must_use]
    pub const fn with_max_len(mut self, max_len: usize) -> Self {
        self.max_len = max_len;
        self
    }

    /// Turns the per-thread nonce pool on or off. Read
    /// [what it risks](Self::snapshot_unsafe_nonce_pool) first.
    #[must_use]
    pub const fn with_snapshot_unsafe_nonce_pool(mut self, pool: bool) -> Self {
        self.snapshot_unsafe_nonce_pool = pool;
        self
    }
}

impl Default for RecordOptions {
    fn default() -> Self {
        Self { max_len: DEFAULT_RECORD_LEN, snapshot_unsafe_nonce_pool: false }
    }
}

/// Makes `buffer` `len` bytes long, whatever they are, and leaves nothing of what it held beyond them or in memory
/// that it no longer owns.
fn set_len(buffer: &mut Vec<u8>, len: usize) {
    if buffer.capacity() < len {
        buffer.zeroize();
        *buffer = vec![0; len];
    } else {
        if buffer.len() > len {
            wipe(&mut buffer[len..]);
        }
        buffer.resize(len, 0);
    }
}
