//! The note beside a store that says when its last backup was verified. Nothing depends on it: it is for whoever asks how
//! the store is.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use kuvert::io::AtomicFile;
use kuvert::subjects::BackupReport;
use serde_json::{Value, json};

use super::hex;
use crate::{names, times};

/// What it says.
pub(super) struct Note {
    pub(super) verified: u64,
    pub(super) change: u64,
    pub(super) file: String,
}

impl Note {
    /// Writes it; the warning, if it cannot be written.
    pub(super) fn write(store: &Path, backup: &str, report: &BackupReport) -> Option<String> {
        let note = json!({
            "store": hex(report.store), "verified": times::unix(SystemTime::now()), "change": report.change,
            "file": backup,
        });
        let path = path_of(store);
        let write = || {
            let mut file = AtomicFile::create(&path, true)?;
            writeln!(file, "{note}")?;
            file.commit()
        };
        let error: std::io::Error = write().err()?;
        Some(format!("{}: the time of this backup could not be noted: {error}", names::path(&path)))
    }

    /// What it says of the store of this reference.
    pub(super) fn read(store: &Path, reference: Option<u64>) -> Option<Self> {
        let text = std::fs::read_to_string(path_of(store)).ok()?;
        let note: Value = serde_json::from_str(&text).ok()?;
        if note["store"].as_str() != Some(&hex(reference?)) {
            return None;
        }
        let (verified, change) = (note["verified"].as_u64()?, note["change"].as_u64()?);
        Some(Self { verified, change, file: note["file"].as_str()?.to_owned() })
    }
}

fn path_of(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".last-backup");
    name.into()
}
