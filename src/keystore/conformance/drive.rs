//! How the clauses are run: one after the other, each over a store of its own.

use std::future::Future;
use std::sync::Mutex;

use super::clause::{Clause, Report};
use super::{Conformance, kit};
use crate::conformance::{Fault, Judged, Verdict};
use crate::error::{KeyStoreError, KeyStoreErrorKind};

pub(super) struct Run<'s> {
    pub(super) suite: &'s Conformance<'s>,
    report: Report,
    /// Every `Debug` and `Display` that came to light.
    pub(super) shown: Mutex<Vec<String>>,
}

impl<'s> Run<'s> {
    pub(super) fn new(suite: &'s Conformance<'s>) -> Self {
        Self { suite, report: Report::default(), shown: Mutex::default() }
    }

    pub(super) async fn all_clauses(&mut self) {
        for clause in Clause::ALL {
            let verdict = self.clause(clause).await;
            self.report.add(clause, verdict);
        }
    }

    pub(super) fn into_report(self) -> Report {
        self.report
    }

    async fn clause(&self, clause: Clause) -> Judged {
        let store = (self.suite.make)();
        let store = store.as_ref();
        self.show(format!("{store:?}"));
        match clause {
            Clause::Describe => self.describe(store).await,
            Clause::Empty => self.empty(store).await,
            Clause::Create => self.create(store).await,
            Clause::Envelopes => self.envelopes(store).await,
            Clause::Epochs => self.epochs(store).await,
            Clause::Insert => self.insert(store).await,
            Clause::InsertMany => self.insert_many(store).await,
            Clause::Look => self.look(store).await,
            Clause::Scan => self.scan(store).await,
            Clause::Reseal => self.reseal(store).await,
            Clause::Joints => self.joints(store).await,
            Clause::Holds => self.holds(store).await,
            Clause::Bury => self.bury(store).await,
            Clause::TombstonesWin => self.tombstones_win(store).await,
            Clause::Remove => self.remove(store).await,
            Clause::NewPersons => self.new_persons(store).await,
            Clause::Receipts => self.receipts(store).await,
            Clause::Change => self.change(store).await,
            Clause::Repeat => self.repeat(store).await,
            Clause::Misuse => self.misuse(store).await,
            Clause::Snapshot => self.snapshot(store).await,
            Clause::Load => self.load(store).await,
            Clause::Cancelled => self.cancelled(store).await,
            Clause::Races => self.races(store).await,
            Clause::Beside => self.beside(store).await,
            Clause::Durable => self.durable().await,
            Clause::Silent => self.silent(),
        }
    }

    pub(super) fn show(&self, text: String) {
        self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(text);
    }

    /// Asks for what has to be refused with that kind.
    pub(super) async fn refused<T>(
        &self,
        what: &str,
        kind: KeyStoreErrorKind,
        call: impl Future<Output = Result<T, KeyStoreError>>,
    ) -> Result<(), Fault> {
        match call.await {
            Ok(_) => Err(Fault(format!("{what} was not refused"))),
            Err(error) => {
                self.show(format!("{error} {error:?}"));
                if error.kind == kind {
                    Ok(())
                } else {
                    Err(Fault(format!("{what} was refused as {:?}, and not as {kind:?}", error.kind)))
                }
            }
        }
    }

    fn silent(&self) -> Judged {
        let shown = self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let name = kit::name(1);
        let hex: String = name[20..28].iter().map(|byte| format!("{byte:02x}")).collect();
        let list = format!("{:?}", &name[20..28]);
        let needles = ["pseudonym-of-nobody".to_owned(), hex, list.trim_matches(['[', ']']).to_owned()];
        for text in shown.iter() {
            let lower = text.to_lowercase();
            if needles.iter().any(|needle| lower.contains(needle)) {
                return Err(Fault("a pseudonym is shown in a `Debug` or in an error".to_owned()));
            }
        }
        Ok(Verdict::Kept)
    }
}

/// Asks for what a working store must do.
pub(super) async fn asked<T>(
    what: &str,
    call: impl Future<Output = Result<T, KeyStoreError>>,
) -> Result<T, Fault> {
    call.await.map_err(|error| Fault(format!("{what} failed: {}", error.kind.describe())))
}
