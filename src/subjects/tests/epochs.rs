//! Epochs that end while others work: new keys follow, old ones are found, and each costs one provider call.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::stage::{Play, cell, ready, seal, text};
use crate::{
    error::{Category, RecordError, SubjectError},
    keystore::{EpochClass, EpochState, KeyStore, ResealedKey, SubjectRow},
    observe::{Event, Observer, Operation},
    provider::{KeyProvider, MemoryProvider, Observed},
    subjects::{Subjects, SubjectsOptions, load::place_of, make_epoch},
};

#[derive(Debug, Default)]
struct Unwraps(AtomicUsize);

impl Observer for Unwraps {
    fn event(&self, event: &Event<'_>) {
        if event.operation == Operation::Unwrap {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Play {
    /// Closes the open epoch and opens another, wrapped by `provider`; gives both references.
    fn begin_epoch(&self, provider: &dyn KeyProvider) -> [u64; 2] {
        let rows = ready(self.stage.inner.epochs()).unwrap();
        let is_open = |row: &&crate::keystore::EpochRow| {
            row.class == EpochClass::Subjects && row.state == EpochState::Open
        };
        let old = rows.iter().find(is_open).unwrap().reference;
        let store = self.subjects.shared().root.reference();
        let (_, row) = ready(make_epoch(provider, store, EpochClass::Subjects, old_time(&rows))).unwrap();
        assert!(ready(self.stage.inner.begin_epoch(&row, old)).unwrap());
        [old, row.reference]
    }

    /// Moves all rows from one epoch to another.
    fn move_rows(&self, [from, to]: [u64; 2]) {
        let shared = self.subjects.shared();
        let [old, new] = [from, to].map(|epoch| ready(shared.epoch_key(epoch)).unwrap());
        let rows: Vec<SubjectRow> = ready(self.stage.inner.scan(from, 0, 1000)).unwrap();
        let reseal = |row: &SubjectRow| {
            let key = old.cipher.open(&place_of(row), &row.sealed_key).unwrap();
            let sealed_key = new.cipher.seal(&place_of(row), &key).unwrap();
            ResealedKey { reference: row.reference, sealed_key }
        };
        let keys: Vec<_> = rows.iter().map(reseal).collect();
        assert_eq!(ready(self.stage.inner.reseal(from, to, &keys)).unwrap(), Some(rows.len()));
    }
}

fn old_time(rows: &[crate::keystore::EpochRow]) -> u64 {
    rows.iter().map(|row| row.opened).max().unwrap()
}

#[test]
fn a_writer_that_still_has_a_closed_epoch_goes_on_under_the_new_one() {
    let play = Play::new();
    let process = play.another();
    let writer = process.scope("tenant");
    let before = seal(&writer.subject("anna"), "before");
    let [_, new] = play.begin_epoch(&*play.keys);
    let after = seal(&writer.subject("bo"), "after");
    let bo = writer.subject("bo").pseudonym().unwrap();
    assert_eq!(ready(play.stage.inner.versions(&bo)).unwrap()[0].epoch, new);
    let page = [("cea", 1), ("dag", 2)].map(|(name, row)| (writer.subject(name), "x", cell(row)));
    assert!(ready(writer.seal_many(page)).unwrap().iter().all(Result::is_ok));
    // A reader that began before it was there loads it when it meets it.
    for scope in [&writer, &play.subjects.scope("tenant")] {
        assert_eq!(text(ready(scope.open(&before, cell(1)))).unwrap(), "before");
        assert_eq!(text(ready(scope.open(&after, cell(1)))).unwrap(), "after");
    }
}

#[test]
fn an_epoch_costs_one_provider_call() {
    let play = Play::new();
    let unwraps = Arc::new(Unwraps::default());
    let provider = Arc::new(Observed::new(
        MemoryProvider::from_keys([("root", [7; 32])]).unwrap(),
        Arc::clone(&unwraps),
    ));
    let sealed: Vec<_> = {
        let scope = play.subjects.scope("tenant");
        (0..50).map(|n| seal(&scope.subject(format!("{n}")), "x")).collect()
    };
    let store: Arc<dyn KeyStore> = Arc::new(play.stage.clone());
    let process = ready(Subjects::open(store, provider, SubjectsOptions::default())).unwrap();
    let scope = process.scope("tenant");
    assert_eq!(unwraps.0.load(Ordering::Relaxed), 2, "root and epoch");
    for sealed in &sealed {
        text(ready(scope.open(sealed, cell(1)))).unwrap();
    }
    assert_eq!(unwraps.0.load(Ordering::Relaxed), 2);
    let epochs = play.begin_epoch(&*play.keys);
    play.move_rows(epochs);
    process.clear_cache();
    let page = sealed.iter().map(|sealed| (sealed, cell(1)));
    assert!(ready(scope.open_many(page)).unwrap().iter().all(Result::is_ok));
    assert_eq!(unwraps.0.load(Ordering::Relaxed), 3);
}

#[test]
fn an_epoch_whose_key_is_not_to_be_had_says_so_and_is_asked_for_again_later() {
    let play = Play::new();
    let week = Arc::new(MemoryProvider::from_keys([("week", [8; 32])]).unwrap());
    let epochs = play.begin_epoch(&*week);
    // Who opens the store now has the root's key only.
    let store: Arc<dyn KeyStore> = Arc::new(play.stage.clone());
    let options = SubjectsOptions::default().with_clock(Arc::new(play.clock.clone()));
    let open = |options| ready(Subjects::open(Arc::clone(&store), play.keys.clone(), options));
    let refused = open(options.clone()).unwrap_err();
    assert!(
        matches!(&refused, SubjectError::Key(RecordError::EpochUnavailable { epoch, .. }) if *epoch == epochs[1])
    );
    assert_eq!(refused.category(), Category::KeyUnavailable);

    let process = open(options.with_lazy_epochs(true)).unwrap();
    let scope = process.scope("tenant");
    let sealing = || ready(scope.subject("anna").seal("x", cell(1)));
    let calls = play.stage.calls("epochs");
    for _ in 0..5 {
        assert!(matches!(sealing(), Err(RecordError::EpochUnavailable { .. })));
    }
    // Once for which is open, and once for its envelope; then it is believed for a second.
    assert_eq!(play.stage.calls("epochs"), calls + 2);
    process.shared().add_provider(week);
    play.clock.advance(std::time::Duration::from_secs(1));
    assert!(sealing().is_ok());
}

#[test]
fn another_class_s_and_another_store_s_epochs_do_not_open() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let sealed = seal(&scope.subject("anna"), "x");
    let other = Play::new();
    let epochs = |play: &Play| ready(play.stage.inner.epochs()).unwrap();
    let mine = epochs(&play).remove(0);
    let theirs = epochs(&other).remove(0);
    let credentials = epochs(&play).remove(1);
    for envelope in [theirs.envelope, credentials.envelope] {
        assert!(
            ready(play.stage.inner.replace_envelope(Some(mine.reference), &mine.envelope, &envelope))
                .unwrap()
        );
        let process = play.another_with(SubjectsOptions::default().with_lazy_epochs(true));
        let opened = text(ready(process.scope("tenant").open(&sealed, cell(1)))).unwrap_err();
        assert_eq!(opened.category(), Category::WrongContext);
        assert!(
            ready(play.stage.inner.replace_envelope(Some(mine.reference), &envelope, &mine.envelope))
                .unwrap()
        );
    }
}

/// Older copies under the old wrapping key are all that is left of such a key: nobody is told to destroy that.
#[test]
fn an_epoch_is_not_retired_while_a_key_that_left_it_is_not_there() {
    let play = Play::new();
    let scope = play.subjects.scope("tenant");
    let sealed = seal(&scope.subject("anna"), "x");
    seal(&scope.subject("bo"), "x");
    let reference = sealed.claimed_reference().unwrap();
    play.stage.exchange(reference, crate::keystore::Lookup::Unknown);
    let roll = || play.subjects.roll_epoch(play.keys.clone(), crate::subjects::RollOptions::default());
    let report = ready(roll()).unwrap();
    assert_eq!((report.damaged, report.moved), (vec![reference], 2));
    assert!(report.retired.is_empty() && report.keys.is_empty());
}
