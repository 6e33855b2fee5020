//! Why a key is missing from what was sealed: kept while it is being sealed, and told afterwards.

use std::sync::{Mutex, PoisonError};

use kuvert::ProviderErrorKind;
use kuvert::io::SealReport;
use kuvert::observe::{Event, Observer, Outcome};

use crate::failure::warn;
use crate::names;

/// Hears of every key that fails.
#[derive(Debug, Default)]
pub(crate) struct Missing {
    failed: Mutex<Vec<(String, ProviderErrorKind)>>,
}

impl Observer for Missing {
    fn event(&self, event: &Event<'_>) {
        if let (Some(id), Outcome::Failed(kind)) = (event.key_id, event.outcome) {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.push((id.to_owned(), kind));
        }
    }
}

impl Missing {
    /// Names each key that has still to be added, and how.
    pub(crate) fn warn_of(&self, report: &SealReport, name: &str) {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        for pending in &report.pending {
            let why = failed.iter().rev().find(|(id, _)| *id == pending.id);
            let why = why.map_or("it was not reached", |(_, kind)| kind.describe());
            warn(&format!(
                "{name}: key \"{}\" cannot open this yet: {why}; 'kuvert repair -k KEY --to THAT-KEY {name}' adds it",
                names::shown(&pending.id)
            ));
        }
    }
}
