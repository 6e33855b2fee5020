//! A view of the store in SQLite at one moment: a read transaction on a connection of its own.
//!
//! Floor 4: pages by key, so that a page can be asked for again. While it lives, the engine keeps the log that it reads.

use std::fmt;

use async_trait::async_trait;
use rusqlite::Connection;

use super::super::Snapshot;
use super::super::rows::Entry;
use super::columns;
use super::failure::{Answer, Failure, lost};
use super::read::{many, one, page_len};
use crate::error::KeyStoreError;
use crate::worker::Worker;

pub(super) struct SqliteSnapshot {
    change: u64,
    place: Place,
    worker: Worker<Connection>,
}

/// After which entry the next page begins.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    order: u8,
    /// The last number of its sort, as it is stored; `None` before the first.
    number: Option<i64>,
    /// The last pseudonym of its sort, and for holds the case.
    name: Option<([u8; 32], [u8; 32])>,
}

impl SqliteSnapshot {
    /// `worker` is in a read transaction, which saw this change number.
    pub(super) fn new(worker: Worker<Connection>, change: u64) -> Self {
        Self { change, place: Place::default(), worker }
    }
}

#[async_trait]
impl Snapshot for SqliteSnapshot {
    fn change(&self) -> u64 {
        self.change
    }

    async fn next(&mut self, limit: usize) -> Result<Vec<Entry>, KeyStoreError> {
        let mut place = self.place;
        let page = self.worker.call(move |connection| {
            let entries = place.page(connection, super::super::checks::limit(limit))?;
            Ok::<_, Failure>((entries, place))
        });
        let (entries, place) = page.await.map_err(lost)??;
        self.place = place;
        Ok(entries)
    }
}

impl fmt::Debug for SqliteSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteSnapshot").field("change", &self.change).finish_non_exhaustive()
    }
}

impl Place {
    fn page(&mut self, connection: &Connection, limit: usize) -> Answer<Vec<Entry>> {
        let mut entries = Vec::new();
        while self.order <= LAST && entries.len() < limit {
            let rows = self.rows(connection, page_len(limit - entries.len()))?;
            if rows.is_empty() {
                *self = Self { order: self.order + 1, ..Self::default() };
            }
            entries.extend(rows);
        }
        Ok(entries)
    }

    /// The next rows of one sort.
    fn rows(&mut self, connection: &Connection, limit: i64) -> Answer<Vec<Entry>> {
        match self.order {
            0 if self.number.is_none() => {
                self.number = Some(0);
                let root = "SELECT root FROM store WHERE one = 1 AND root IS NOT NULL";
                Ok(one(connection, root, [], |row| Ok(row.get(0)?))?.map(Entry::Root).into_iter().collect())
            }
            2 => self.subjects(connection, limit),
            1 | 6 | 7 => self.numbered(connection, limit),
            3..=5 => self.named(connection, limit),
            _ => Ok(Vec::new()),
        }
    }

    fn subjects(&mut self, connection: &Connection, limit: i64) -> Answer<Vec<Entry>> {
        let statement = "SELECT reference, pseudonym, scope, version, epoch, sealed_key FROM subject \
                         WHERE reference > ?1 ORDER BY reference LIMIT ?2";
        let after = self.number.unwrap_or(i64::MIN);
        let rows = many(connection, statement, (after, limit), columns::subject)?;
        self.number = rows.last().map(|row| columns::stored(row.reference)).or(self.number);
        Ok(rows.into_iter().map(Entry::Subject).collect())
    }

    fn numbered(&mut self, connection: &Connection, limit: i64) -> Answer<Vec<Entry>> {
        let after = (self.number.unwrap_or(0), limit);
        let rows: Vec<(i64, Entry)> = match self.order {
            1 => {
                let statement = "SELECT reference, class, state, opened, closed, envelope, number FROM epoch \
                                 WHERE number > ?1 ORDER BY number LIMIT ?2";
                many(connection, statement, after, |row| {
                    Ok((row.get(6)?, Entry::Epoch(columns::epoch(row)?)))
                })
            }
            6 => {
                let statement = "SELECT reference, bytes, number FROM tombstone \
                                 WHERE number > ?1 ORDER BY number LIMIT ?2";
                many(connection, statement, after, |row| {
                    Ok((row.get(2)?, Entry::Tombstone(columns::tombstone(row)?)))
                })
            }
            _ => {
                let statement =
                    "SELECT bytes, number FROM receipt WHERE number > ?1 ORDER BY number LIMIT ?2";
                many(connection, statement, after, |row| {
                    Ok((row.get(1)?, Entry::Receipt(columns::bytes(row, 0)?)))
                })
            }
        }?;
        self.number = rows.last().map(|(number, _)| *number).or(self.number);
        Ok(rows.into_iter().map(|(_, entry)| entry).collect())
    }

    fn named(&mut self, connection: &Connection, limit: i64) -> Answer<Vec<Entry>> {
        // No pseudonym is empty: all of them come after that.
        let (name, case) =
            self.name.as_ref().map_or((&[][..], &[][..]), |(name, case)| (&name[..], &case[..]));
        let entries = match self.order {
            3 => {
                let statement = "SELECT pseudonym, ends, members FROM joint \
                                 WHERE pseudonym > ?1 ORDER BY pseudonym LIMIT ?2";
                many(connection, statement, (name, limit), |row| Ok(Entry::Joint(columns::joint(row)?)))
            }
            4 => {
                let statement = "SELECT pseudonym, \"case\", since FROM hold \
                                 WHERE (pseudonym, \"case\") > (?1, ?2) ORDER BY pseudonym, \"case\" LIMIT ?3";
                many(connection, statement, (name, case, limit), |row| Ok(Entry::Hold(columns::hold(row)?)))
            }
            _ => {
                let statement =
                    "SELECT pseudonym FROM grave WHERE pseudonym > ?1 ORDER BY pseudonym LIMIT ?2";
                many(connection, statement, (name, limit), |row| Ok(Entry::Grave(columns::bytes(row, 0)?)))
            }
        }?;
        self.name = match entries.last() {
            Some(Entry::Joint(joint)) => Some((joint.pseudonym, [0; 32])),
            Some(Entry::Hold(hold)) => Some((hold.pseudonym, hold.case)),
            Some(Entry::Grave(name)) => Some((*name, [0; 32])),
            _ => self.name,
        };
        Ok(entries)
    }
}

/// The last sort of entry.
const LAST: u8 = 7;
