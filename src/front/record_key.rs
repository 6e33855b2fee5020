//! Record keys: a key for millions of records, loaded once.

use crate::secret::Secret;

/// A key for records.
#[derive(Debug, Clone)]
pub struct RecordKey;

impl RecordKey {
    pub(crate) fn new(_: &Secret<32>, _: u64) -> Self {
        Self
    }
}

/// What a record is the value of.
#[derive(Debug)]
pub struct Cell;

/// What can be the key of a row.
pub trait RowKey {}
