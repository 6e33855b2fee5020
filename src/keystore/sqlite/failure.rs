//! What goes wrong in SQLite, as the errors of key stores.
//!
//! Floor 4: the table from the engine's codes to kinds. The engine's own words name tables and columns of this crate's and
//! never a value, so that they can be shown.

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

use super::NAME;
use crate::error::{KeyStoreError, KeyStoreErrorKind as Kind};
use crate::worker::Lost;

/// Why a call has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    Engine(rusqlite::Error),
    Misuse(&'static str),
    Of(Kind, &'static str),
    Io(std::io::Error),
}

pub(super) type Answer<T> = Result<T, Failure>;

impl Failure {
    pub(super) const fn damaged(what: &'static str) -> Self {
        Self::Of(Kind::Damaged, what)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<&'static str> for Failure {
    fn from(why: &'static str) -> Self {
        Self::Misuse(why)
    }
}

impl From<Failure> for KeyStoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Engine(error) => {
                let mut found = Self::new(kind(&error), NAME);
                if let Some(code) = error.sqlite_error() {
                    found = found.with_detail(format!("SQLite's code {}", code.extended_code));
                }
                found.with_source(error)
            }
            Failure::Misuse(why) => Self::new(Kind::Misuse, NAME).with_detail(why),
            Failure::Of(kind, what) => Self::new(kind, NAME).with_detail(what),
            Failure::Io(error) => {
                let kind = match error.kind() {
                    std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied => {
                        Kind::ReadOnly
                    }
                    std::io::ErrorKind::StorageFull => Kind::Full,
                    _ => Kind::Unavailable,
                };
                Self::new(kind, NAME).with_detail(error.to_string()).with_source(error)
            }
        }
    }
}

pub(super) fn lost(lost: Lost) -> KeyStoreError {
    match lost {
        Lost::Forked => KeyStoreError::new(Kind::Forked, NAME),
        Lost::Panicked => KeyStoreError::new(Kind::Unavailable, NAME)
            .with_detail("the thread that works on the file panicked; nothing is half done"),
    }
}

fn kind(error: &rusqlite::Error) -> Kind {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Kind::Full,
        // The memory that processes share is a file beside, for which there is no room.
        Some(_) if error.sqlite_error().is_some_and(|code| code.extended_code == SQLITE_IOERR_SHMSIZE) => {
            Kind::Full
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Kind::Busy,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Kind::ReadOnly,
        Some(ErrorCode::NotADatabase) => Kind::Foreign,
        // What this crate writes keeps every constraint: it is checked in the same transaction.
        Some(
            ErrorCode::DatabaseCorrupt
            | ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch
            | ErrorCode::SchemaChanged,
        ) => Kind::Damaged,
        Some(_) => Kind::Unavailable,
        // Columns of another type than the schema says, or too few of them.
        None => Kind::Damaged,
    }
}
