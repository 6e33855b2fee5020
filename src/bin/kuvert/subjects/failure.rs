//! Why something was not done to a key store, and what to do about it.

use std::path::Path;

use kuvert::{Category, KeyStoreError, KeyStoreErrorKind as Kind, OpenError, RecordError, SubjectError};

use crate::failure::Failure;
use crate::{names, remedy};

/// Of a store that is called `name`. `keys` are the ids of those that were given.
pub(super) fn of(error: &SubjectError, name: &str, keys: &str) -> Failure {
    let plain = || Failure::new(error.category(), format!("{name}: {}", names::shown(&error.to_string())));
    match error {
        SubjectError::Store(error) => of_store(error, name),
        SubjectError::Root(inner) => opening(inner, &format!("{name}: its root"), keys),
        SubjectError::Key(RecordError::EpochUnavailable { source, .. }) => {
            opening(source, &format!("{name}: an epoch"), keys)
        }
        SubjectError::Open(inner) => opening(inner, name, keys),
        SubjectError::Seal(inner) => Failure::sealing(inner),
        SubjectError::Io(inner) => Failure::io(inner).unwrap_or_else(plain),
        SubjectError::Provider(inner) => {
            remedy::advise(plain(), [inner])
        }
        SubjectError::NotInitialised => plain().advise(
            "is it the right file? 'kuvert subjects init' makes a store, 'kuvert subjects restore' one from a backup",
        ),
        SubjectError::OnHold => plain().advise("'kuvert subjects release' ends the hold of a case"),
        SubjectError::OtherAnchor => plain().advise("is --anchor, or KUVERT_ANCHOR, the path of the right one?"),
        SubjectError::Diverged { .. } => plain().advise(
            "do not use either before it is known why: keep copies of both for whoever looks into it",
        ),
        SubjectError::ChainTampered { .. } => plain().advise(
            "keep a copy of this file for whoever looks into it; then restore the newest backup with its anchor",
        ),
        SubjectError::Backup { .. } => plain().advise("take another backup; keep this one for whoever looks into it"),
        _ => plain(),
    }
}

/// Of a store that does not answer.
pub(super) fn of_store(error: &KeyStoreError, name: &str) -> Failure {
    let failure = Failure::new(error.category(), format!("{name}: {}", names::shown(&error.to_string())));
    match error.kind {
        Kind::ReadOnly => failure.advise(
            "the file, and the directory it is in, have to be writable for whoever runs this; nothing was changed",
        ),
        Kind::Full => failure.advise("make room there, and run this again: whatever was begun is finished by that"),
        Kind::Busy => failure.advise("another process works on it: run this again in a moment"),
        Kind::Unavailable => failure.advise("run this again: whatever was begun is finished by that"),
        Kind::Foreign => failure.advise("is --store the right file?"),
        Kind::NewerSchema => failure.advise("use the newer kuvert; this one has changed nothing"),
        Kind::Damaged => failure.advise(
            "keep a copy of it, with its -wal file; then: kuvert subjects restore -k KEY --store NEWFILE BACKUP",
        ),
        Kind::Misuse | Kind::Forked => failure,
        _ => failure,
    }
}

/// A store that is not there.
pub(super) fn missing(path: &Path) -> Failure {
    Failure::new(Category::Io, format!("{}: there is no such file", names::path(path)))
        .advise("is --store right? 'kuvert subjects init' makes a new one, and one that is lost comes back from its")
        .advise("backup: kuvert subjects restore -k KEY --store NEWFILE BACKUP")
}

fn opening(error: &OpenError, name: &str, keys: &str) -> Failure {
    let failure = Failure::opening(error, name);
    if matches!(error, OpenError::KeyUnavailable(_)) {
        failure.advise(format!("keys given: {keys}"))
    } else {
        failure
    }
}
