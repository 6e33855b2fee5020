//! What is said about the keys of data subjects.

use std::sync::Arc;

use kuvert::{AnchorError, KeyStoreError, KeyStoreErrorKind, SubjectError};

use super::*;

fn store() -> Arc<KeyStoreError> {
    Arc::new(KeyStoreError::new(KeyStoreErrorKind::Busy, "sqlite"))
}

/// The variants of [`RecordError`] that only records of data subjects have.
pub(super) fn record_rows() -> Vec<Row> {
    let of = |name, category, error: RecordError, text| {
        assert_eq!(error.category(), category, "{name}");
        row(name, category, &error, text)
    };
    let source = Arc::new(OpenError::KeyUnavailable(UnavailableKeys::default()));
    vec![
        of(
            "NameErased",
            Refused,
            RecordError::NameErased,
            "erased: whoever bore this name was erased; say so if a new person bears it",
        ),
        of(
            "OtherOwner",
            KeyUnavailable,
            RecordError::OtherOwner { reference: 0xab },
            "the key of reference 00000000000000ab is not of this scope or data subject",
        ),
        of("Denied", Refused, RecordError::Denied("no purpose"), "denied: no purpose"),
        of(
            "KeyDamaged",
            Tampered,
            RecordError::KeyDamaged { reference: 0xab },
            "the key store's row of reference 00000000000000ab is damaged, or was exchanged for another",
        ),
        of(
            "EpochUnavailable",
            KeyUnavailable,
            RecordError::EpochUnavailable { epoch: 0xab, source },
            "the key of epoch 00000000000000ab is not to be had: no usable key: the header names no recipient",
        ),
        of("Store", Io, RecordError::Store(store()), "key store (sqlite): others hold it; try again"),
        of(
            "WrongType",
            Malformed,
            RecordError::WrongType { expected: "text" },
            "the record is intact, but holds no text",
        ),
    ]
}

pub(super) fn subject_rows() -> Vec<Row> {
    let of = |name, category, error: SubjectError, text| {
        assert_eq!(error.category(), category, "{name}");
        row(name, category, &error, text)
    };
    vec![
        of("Store", Io, SubjectError::Store(store()), "key store (sqlite): others hold it; try again"),
        of(
            "NotInitialised",
            Usage,
            SubjectError::NotInitialised,
            "the key store is empty: initialise it, or restore a backup into it",
        ),
        of(
            "AlreadyInitialised",
            Usage,
            SubjectError::AlreadyInitialised,
            "the key store is initialised already: open it",
        ),
        of(
            "Root",
            Tampered,
            SubjectError::Root(OpenError::Tampered("a rule")),
            "the key store's root does not open: tampered with or damaged: a rule",
        ),
        of("Key", Tampered, RecordError::KeyDamaged { reference: 1 }.into(), DAMAGED),
        of("Seal", Refused, SealError::Refused("by rule").into(), "refused: by rule"),
        of(
            "Open",
            Malformed,
            OpenError::Malformed("a rule").into(),
            "not a well-formed kuvert message: a rule",
        ),
        of("Usage", Usage, SubjectError::Usage("do it otherwise"), "do it otherwise"),
    ]
    .into_iter()
    .chain(erasure_rows())
    .collect()
}

/// What only erasures, anchors and backups say.
fn erasure_rows() -> Vec<Row> {
    let of = |name, category, error: SubjectError, text| {
        assert_eq!(error.category(), category, "{name}");
        row(name, category, &error, text)
    };
    let backup = SubjectError::Backup { what: "a rule", category: Truncated };
    vec![
        of(
            "OnHold",
            Refused,
            SubjectError::OnHold,
            "on hold: release every hold before the erasure, or wait for it",
        ),
        of("Anchor", Malformed, AnchorError::damaged("it is cut off").into(), "anchor: it is cut off"),
        of(
            "OtherAnchor",
            Refused,
            SubjectError::OtherAnchor,
            "the anchor belongs to another key store: give the one of this store",
        ),
        of("Diverged", Refused, SubjectError::Diverged { number: 7 }, DIVERGED),
        of(
            "ChainTampered",
            Tampered,
            SubjectError::ChainTampered { chain: "receipts", number: 7 },
            "the chain of receipts was tampered with at number 7",
        ),
        of("Refused", Refused, SubjectError::Refused("by rule"), "refused: by rule"),
        of("Backup", Truncated, backup, "backup of a key store: a rule"),
        of("Provider", KeyUnavailable, provider().into(), "aws-kms: access denied (key \"arn:1\")"),
        of("Io", Io, other().into(), "reading or writing failed: disk on fire"),
    ]
}

const DIVERGED: &str =
    "the key store and its anchor contradict each other at tombstone 7: restore the newest of both";
const DAMAGED: &str =
    "the key store's row of reference 0000000000000001 is damaged, or was exchanged for another";
