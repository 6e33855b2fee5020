//! Sealing many records in one call: one draw of random bytes and one subkey for all.
//!
//! Floor 5. The records are what sealing them one by one would give; only the price differs.

use super::{Cell, RecordKey};
use crate::{
    error::RecordError,
    record_cipher::{Batch, Sealer},
};

impl RecordKey {
    /// Seals many values, each for its cell, in the order given.
    ///
    /// Asks the operating system for random bytes once for every 340 records instead of once for each, whatever the
    /// options say about a pool.
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal), for the first value that fails; then there is no result at all.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kuvert::{Cell, EncryptionContext, Kuvert, blocking::block_on, provider::MemoryProvider};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let kuvert = Kuvert::new(MemoryProvider::generate("demo")?);
    /// # let (key, _) = block_on(kuvert.new_record_key(&EncryptionContext::empty()))??;
    /// let rows = [(1, "anna@example.se"), (2, "bo@example.se")];
    /// let sealed = key.seal_many(rows.iter().map(|(id, mail)| (mail, Cell::new("customers", "email", *id))))?;
    /// assert_eq!(key.open(&sealed[1], &Cell::new("customers", "email", 2))?.as_slice(), b"bo@example.se");
    /// # Ok(())
    /// # }
    /// ```
    pub fn seal_many<'a, P: AsRef<[u8]>>(
        &self,
        records: impl IntoIterator<Item = (P, Cell<'a>)>,
    ) -> Result<Vec<Vec<u8>>, RecordError> {
        let records = records.into_iter();
        let mut sealed = Vec::with_capacity(records.size_hint().0);
        self.for_each_batch(records, |sealer, plaintext, cell| {
            let mut record = vec![0; self.record_len(plaintext)?];
            cell.with_parts(|parts| sealer.seal(plaintext, parts, &mut record))?;
            sealed.push(record);
            Ok(())
        })?;
        Ok(sealed)
    }

    /// Seals many values into one buffer: appends the records to `buffer`, one right after the other, and for each the
    /// offset of its end in `buffer` to `ends`.
    ///
    /// # Errors
    ///
    /// As [`seal_many`](Self::seal_many). `buffer` and `ends` are then as they were.
    pub fn seal_many_into<'a, P: AsRef<[u8]>>(
        &self,
        records: impl IntoIterator<Item = (P, Cell<'a>)>,
        buffer: &mut Vec<u8>,
        ends: &mut Vec<usize>,
    ) -> Result<(), RecordError> {
        let (buffer_before, ends_before) = (buffer.len(), ends.len());
        let sealed = self.for_each_batch(records.into_iter(), |sealer, plaintext, cell| {
            let start = buffer.len();
            buffer.resize(start + self.record_len(plaintext)?, 0);
            cell.with_parts(|parts| sealer.seal(plaintext, parts, &mut buffer[start..]))?;
            ends.push(buffer.len());
            Ok(())
        });
        sealed.inspect_err(|_| {
            buffer.truncate(buffer_before);
            ends.truncate(ends_before);
        })
    }

    /// Calls `seal` for each record, with a sealer that has the random bytes for all of its batch.
    ///
    /// The caller's iterator runs between the batches, never while a place of the cipher is taken: it may do what it
    /// likes, wait or seal with the same key.
    fn for_each_batch<'a, P: AsRef<[u8]>>(
        &self,
        mut records: impl Iterator<Item = (P, Cell<'a>)>,
        mut seal: impl FnMut(&mut Sealer<'_, Batch>, &[u8], &Cell<'a>) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        loop {
            let batch: Vec<_> = records.by_ref().take(Batch::RECORDS).collect();
            if batch.is_empty() {
                return Ok(());
            }
            let mut random = Batch::draw(batch.len()).map_err(RecordError::Random)?;
            self.cipher.with_sealer(&mut random, |sealer| {
                batch.iter().try_for_each(|(plaintext, cell)| seal(sealer, plaintext.as_ref(), cell))
            })?;
        }
    }
}
