//! Rolls: finished from wherever they stopped, nobody lost, and nothing destroyed that is needed.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;

use super::*;
use crate::{
    error::{Category, ProviderError, ProviderErrorKind},
    format::stanza::Recipient,
    front::{OpenHandle, SealHandle},
    keystore::{Entry, KeyStore, MemoryKeyStore},
    provider::{Health, MemoryProvider, ProviderInfo, WrapContext},
    secret::DataKey,
    subjects::{
        Subjects, VerifiedBackup,
        testing::{
            BEGIN, Crashing, House, Note, at, block_on, copy, entries, opens, poll_at_most, seal, store_of,
        },
    },
};

fn provider(id: &str) -> Arc<MemoryProvider> {
    Arc::new(MemoryProvider::generate(id).unwrap())
}

fn roll(subjects: &Subjects, to: &Arc<MemoryProvider>, batch: usize) -> Result<RollReport, SubjectError> {
    let options = RollOptions::default().with_batch(batch);
    block_on(subjects.roll_epoch(Arc::<MemoryProvider>::clone(to) as _, options))
}

fn people(house: &House, count: usize) -> Vec<Note> {
    (0..count).map(|number| seal(&house.scope(), &format!("person {number}"))).collect()
}

/// Opened with these epochs' keys and no others.
fn open_with(
    house: &House,
    store: Arc<dyn KeyStore>,
    epochs: &[&Arc<MemoryProvider>],
) -> Result<Subjects, SubjectError> {
    block_on(Subjects::open(store, house.keys(epochs), house.options().with_lazy_epochs(true)))
}

fn backup_of(house: &House, subjects: &Subjects, epochs: &[&Arc<MemoryProvider>]) -> VerifiedBackup {
    let keys = provider("backup");
    let sealing = SealHandle::from_arc(Arc::<MemoryProvider>::clone(&keys));
    let (bytes, _) = block_on(subjects.backup(&sealing, Vec::new())).unwrap();
    let all = house.keys(epochs);
    block_on(Subjects::check_backup(&*bytes, &OpenHandle::from_arc(keys), &*all)).unwrap()
}

#[test]
fn every_key_moves_and_the_old_wrapping_key_is_needed_no_more() {
    let house = House::new();
    let (notes, next) = (people(&house, 25), provider("week-2"));
    block_on(house.scope().erase(&house.scope().subject("person 3"), "r")).unwrap();
    let told = Arc::new(AtomicU64::new(0));
    let hear = Arc::clone(&told);
    let options =
        RollOptions::default().with_batch(7).with_progress(move |moved| hear.store(moved, Ordering::SeqCst));
    let report =
        block_on(house.subjects.roll_epoch(Arc::<MemoryProvider>::clone(&next) as _, options)).unwrap();
    assert_eq!((report.moved, told.load(Ordering::SeqCst)), (24, 24));
    assert!(report.damaged.is_empty() && !report.resumed);
    assert_eq!((report.retired.len(), report.keys.len()), (1, 1));
    assert_eq!((report.keys[0].id.as_str(), report.keys[0].epoch), ("week-1", report.retired[0]));

    for subjects in
        [&house.subjects, &open_with(&house, Arc::<MemoryKeyStore>::clone(&house.store), &[&next]).unwrap()]
    {
        let scope = subjects.scope("tenant-7");
        for (number, note) in notes.iter().enumerate() {
            assert_eq!(opens(&scope, note), number != 3);
        }
        let new = seal(&scope, "somebody new");
        assert!(opens(&scope, &new));
    }
    let under: Vec<u64> = entries(&*house.store)
        .iter()
        .filter_map(|entry| if let Entry::Subject(row) = entry { Some(row.epoch) } else { None })
        .collect();
    assert!(under.iter().all(|epoch| *epoch == report.opened) && under.len() == 25);
}

#[test]
fn each_class_is_rolled_by_itself() {
    let house = House::new();
    people(&house, 3);
    let scope = house.scope();
    let cell = crate::subjects::testing::cell();
    let hash = block_on(scope.credentials("person 1").seal("hash", cell)).unwrap();
    let next = provider("credentials-2");
    let options = RollOptions::default().with_class(EpochClass::Credentials);
    let report =
        block_on(house.subjects.roll_epoch(Arc::<MemoryProvider>::clone(&next) as _, options)).unwrap();
    assert_eq!((report.moved, report.retired.len()), (1, 1));
    let without = open_with(&house, Arc::<MemoryKeyStore>::clone(&house.store), &[&house.week]).unwrap();
    let refused = block_on(without.scope("tenant-7").open(&hash, cell)).expect_err("not for this role");
    assert_eq!(refused.category(), Category::KeyUnavailable);
    assert_eq!(*block_on(scope.open(&hash, cell)).unwrap(), "hash");
}

/// A process that still thinks that the old epoch is open, and one that has its key and asks nobody.
#[test]
fn a_writer_that_caches_a_closed_epoch_loses_nothing() {
    let house = House::new();
    let writer = house.again();
    let before = seal(&writer.scope("tenant-7"), "before");
    let next = provider("week-2");
    roll(&house.subjects, &next, 4096).unwrap();
    writer.shared().add_provider(Arc::<MemoryProvider>::clone(&next) as _);
    let after = seal(&writer.scope("tenant-7"), "after");
    assert!(opens(&writer.scope("tenant-7"), &before) && opens(&writer.scope("tenant-7"), &after));
    let fresh = open_with(&house, Arc::<MemoryKeyStore>::clone(&house.store), &[&next]).unwrap();
    assert!(opens(&fresh.scope("tenant-7"), &before) && opens(&fresh.scope("tenant-7"), &after));
}

/// Crashed at any call, before or after it was done, and then called again, by another process.
#[test]
fn an_interrupted_roll_is_finished_and_loses_nobody() {
    let (mut step, mut resumed) = (0, 0);
    loop {
        let house = House::new();
        let (notes, next) = (people(&house, 9), provider("week-2"));
        block_on(house.scope().erase(&house.scope().subject("person 0"), "r")).unwrap();
        let crashing = Crashing::new(&house.store);
        let subjects = house.open(Arc::<Crashing>::clone(&crashing)).unwrap();
        crashing.crash_at(step);
        let done = roll(&subjects, &next, 4).is_ok();
        assert_eq!(!done, crashing.has_crashed());
        let both =
            open_with(&house, Arc::<MemoryKeyStore>::clone(&house.store), &[&house.week, &next]).unwrap();
        for (number, note) in notes.iter().enumerate() {
            assert_eq!(opens(&both.scope("tenant-7"), note), number > 0, "half way, at {step}");
        }
        if done {
            break;
        }
        let report = roll(&both, &next, 4).unwrap();
        resumed += usize::from(report.resumed);
        let fresh = open_with(&house, Arc::<MemoryKeyStore>::clone(&house.store), &[&next]).unwrap();
        for (number, note) in notes.iter().enumerate() {
            assert_eq!(opens(&fresh.scope("tenant-7"), note), number > 0, "at {step}");
        }
        let epochs = block_on(house.store.epochs()).unwrap();
        assert!(epochs.iter().all(|row| row.state != EpochState::Closed), "all of them are retired");
        step += 1;
    }
    assert!(step > 30 && resumed > 10, "{step} {resumed}");
}

#[test]
fn a_dropped_roll_can_be_called_again() {
    for polls in (0..400).step_by(3) {
        let house = House::new();
        let (notes, next) = (people(&house, 5), provider("week-2"));
        let slow = house.open(Crashing::new(&house.store)).unwrap();
        let options = RollOptions::default().with_batch(2);
        let to = Arc::<MemoryProvider>::clone(&next) as _;
        let done = poll_at_most(polls, slow.roll_epoch(to, options)).is_some();
        if !done {
            roll(&slow, &next, 2).unwrap();
        }
        let fresh = open_with(&house, Arc::<MemoryKeyStore>::clone(&house.store), &[&next]).unwrap();
        assert!(notes.iter().all(|note| opens(&fresh.scope("tenant-7"), note)), "after {polls}");
        if done {
            return;
        }
    }
    panic!("it never ended");
}

#[test]
fn a_key_that_does_not_open_is_told_and_keeps_its_epoch() {
    let house = House::new();
    people(&house, 4);
    let mut all = entries(&*house.store);
    let mut rows =
        all.iter_mut().filter_map(|entry| if let Entry::Subject(row) = entry { Some(row) } else { None });
    let broken = rows.next().unwrap();
    broken.sealed_key[40] ^= 1;
    let reference = broken.reference;
    let damaged = store_of(&all);
    let next = provider("week-2");
    let subjects = house.open(Arc::<MemoryKeyStore>::clone(&damaged)).unwrap();
    let report = roll(&subjects, &next, 2).unwrap();
    assert_eq!((report.damaged, report.moved, report.retired.len()), (vec![reference], 3, 0));
    assert!(report.keys.is_empty(), "nothing may be destroyed");
    let state =
        |store: &MemoryKeyStore| block_on(store.epochs()).unwrap().into_iter().map(|row| row.state).min();
    assert_eq!(state(&damaged), Some(EpochState::Open));
    let again = roll(&subjects, &next, 2).unwrap();
    assert!(again.resumed && again.damaged == [reference] && again.retired.is_empty());
}

#[test]
fn an_older_copy_opens_nothing_once_the_old_key_is_destroyed() {
    let house = House::new();
    let (notes, next) = (people(&house, 3), provider("week-2"));
    let older = copy(&*house.store);
    block_on(house.scope().erase(&house.scope().subject("person 0"), "r")).unwrap();
    let credentials = RollOptions::default().with_class(EpochClass::Credentials);
    block_on(house.subjects.roll_epoch(Arc::<MemoryProvider>::clone(&next) as _, credentials)).unwrap();
    let report = roll(&house.subjects, &next, 4096).unwrap();
    let backup = backup_of(&house, &house.subjects, &[&house.week, &next]);
    let gone = block_on(house.subjects.destroy_epoch_keys(&report.keys, &*house.week, &backup)).unwrap();
    assert_eq!(gone.len(), 1);
    let lazy = open_with(&house, Arc::<MemoryKeyStore>::clone(&older), &[&house.week, &next]).unwrap();
    for note in &notes[1..] {
        let cell = crate::subjects::testing::cell();
        let error = block_on(lazy.scope("tenant-7").open(note, cell)).expect_err("the key is gone");
        assert!(matches!(error, RecordError::EpochUnavailable { .. }), "{error}");
        assert_eq!(error.category(), Category::KeyUnavailable);
    }
    let strict = block_on(Subjects::open(older, house.keys(&[&house.week, &next]), house.options()));
    assert_eq!(strict.expect_err("told at once").category(), Category::KeyUnavailable);
    let fresh = open_with(&house, Arc::<MemoryKeyStore>::clone(&house.store), &[&next]).unwrap();
    assert!(notes[1..].iter().all(|note| opens(&fresh.scope("tenant-7"), note)));
}

#[test]
fn nothing_is_destroyed_that_is_needed_or_not_backed_up() {
    let house = House::new();
    people(&house, 2);
    let next = provider("week-2");
    let too_early = backup_of(&house, &house.subjects, &[&house.week]);
    let report = roll(&house.subjects, &next, 4096).unwrap();
    let destroy = |keys: &[KeyToDestroy], backup: &VerifiedBackup| {
        let error =
            block_on(house.subjects.destroy_epoch_keys(keys, &*house.week, backup)).expect_err("refused");
        assert!(matches!(error, SubjectError::Refused(_)), "{error}");
        assert_eq!(error.category().exit_status(), 7);
        error.to_string()
    };
    assert!(destroy(&report.keys, &too_early).contains("before the roll"));
    let backup = backup_of(&house, &house.subjects, &[&house.week, &next]);
    let other = House::new();
    assert!(
        destroy(&report.keys, &backup_of(&other, &other.subjects, &[&other.week]))
            .contains("another key store")
    );
    let living = KeyToDestroy { id: "week-2".to_owned(), ..report.keys[0].clone() };
    assert!(destroy(&[living], &backup).contains("retired"));
    let still_there = block_on(house.subjects.keys_to_destroy()).unwrap();
    assert_eq!(still_there, report.keys);

    // The same key wraps the credentials' epoch, which is not rolled yet.
    assert!(destroy(&report.keys, &backup).contains("living epoch"));
    let options = RollOptions::default().with_class(EpochClass::Credentials);
    block_on(house.subjects.roll_epoch(Arc::<MemoryProvider>::clone(&next) as _, options)).unwrap();
    let backup = backup_of(&house, &house.subjects, &[&house.week, &next]);
    assert!(block_on(house.subjects.destroy_epoch_keys(&report.keys, &*house.week, &backup)).is_ok());
}

/// A token whose keys can be destroyed, and that says so of those which are gone.
#[derive(Debug)]
struct Token {
    keys: MemoryProvider,
    gone: Mutex<Option<ProviderErrorKind>>,
}

#[async_trait]
impl KeyProvider for Token {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        self.keys.wrap_data_key(key, context).await
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        let gone = *self.gone.lock().unwrap();
        match gone {
            Some(kind) if recipient.id() == b"token" => Err(ProviderError::new(kind, "token")),
            _ => self.keys.unwrap_data_key(recipient, context).await,
        }
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.keys.check().await
    }

    fn describe(&self) -> ProviderInfo {
        self.keys.describe()
    }
}

#[test]
fn irrevocable_is_written_when_every_epoch_is_seen_to_be_gone() {
    let house = House::new();
    people(&house, 3);
    let token = Arc::new(Token { keys: MemoryProvider::generate("token").unwrap(), gone: Mutex::new(None) });
    // From the key file into the token, and out of it again.
    roll(&house.subjects, &provider("week-2"), 10).unwrap();
    let confirm = |witness: &dyn KeyProvider| block_on(house.subjects.confirm_destruction(witness)).unwrap();
    block_on(house.scope().erase(&house.scope().subject("person 0"), "r")).unwrap();
    block_on(crate::provider::KeyCustodian::schedule_destruction(&*house.week, "week-1")).unwrap();
    assert_eq!(confirm(&*house.week), 0, "a key file's key is never known to be gone");

    let house = token_house(&token);
    let confirm = |witness: &dyn KeyProvider| block_on(house.subjects.confirm_destruction(witness)).unwrap();
    block_on(house.scope().erase(&house.scope().subject("person 0"), "r")).unwrap();
    house.clock.advance(std::time::Duration::from_secs(7 * 86_400));
    for class in [EpochClass::Subjects, EpochClass::Credentials] {
        let options = RollOptions::default().with_class(class);
        block_on(house.subjects.roll_epoch(provider("week-9"), options)).unwrap();
        for kind in [None, Some(ProviderErrorKind::PendingDeletion), Some(ProviderErrorKind::AccessDenied)] {
            *token.gone.lock().unwrap() = kind;
            assert_eq!(confirm(&*token), 0, "{kind:?}");
        }
        if class == EpochClass::Subjects {
            *token.gone.lock().unwrap() = Some(ProviderErrorKind::NotFound);
            assert_eq!(confirm(&*token), 0, "the other class' epoch has the key still");
            *token.gone.lock().unwrap() = None;
        }
    }
    *token.gone.lock().unwrap() = Some(ProviderErrorKind::NotFound);
    assert_eq!((confirm(&*token), confirm(&*token)), (1, 0), "once");
    let report = block_on(house.subjects.verify_receipts()).unwrap();
    assert_eq!((report.tombstones, report.irrevocable, report.destroyed_epochs), (1, 1, 2));
    let receipt = block_on(house.scope().erase(&house.scope().subject("person 0"), "r")).unwrap();
    assert_eq!(receipt.irrevocable, Some(at(BEGIN + 7 * 86_400)));
    assert!(!receipt.not_covered().contains(&crate::subjects::NotCovered::OlderCopiesOfTheKeyStore));
    // Whoever is erased from now on was under the new epochs, which are there.
    block_on(house.scope().erase(&house.scope().subject("person 1"), "later")).unwrap();
    assert_eq!(confirm(&*token), 0);
}

/// Somebody rolled a restored copy that did not know of an erasure yet: the erased key went into the new epoch, too.
#[test]
fn an_epoch_that_a_key_was_moved_to_after_its_erasure_counts() {
    let token = Arc::new(Token { keys: MemoryProvider::generate("token").unwrap(), gone: Mutex::new(None) });
    let house = token_house(&token);
    let note = seal(&house.scope(), "person 0");
    let older = copy(&*house.store);
    block_on(house.scope().erase(&house.scope().subject("person 0"), "r")).unwrap();
    house.clock.advance(std::time::Duration::from_secs(7 * 86_400));
    let next = provider("week-9");
    let keys: Arc<dyn KeyProvider> = Arc::new(
        crate::provider::AnyOf::new(vec![
            Arc::<MemoryProvider>::clone(&house.root) as Arc<dyn KeyProvider>,
            Arc::<Token>::clone(&token) as _,
            Arc::<MemoryProvider>::clone(&next) as _,
        ])
        .unwrap(),
    );
    let blind = crate::subjects::SubjectsOptions { anchor: None, ..house.options() };
    let used = block_on(Subjects::open(older.clone(), Arc::clone(&keys), blind)).unwrap();
    for class in [EpochClass::Subjects, EpochClass::Credentials] {
        let options = RollOptions::default().with_class(class);
        block_on(used.roll_epoch(Arc::<MemoryProvider>::clone(&next) as _, options)).unwrap();
    }
    let stolen = copy(&*older);
    house.clock.advance(std::time::Duration::from_secs(86_400));
    // Now with its anchor.
    let anchor = Arc::<crate::subjects::MemoryAnchor>::clone(&house.anchor);
    let options = house.options().with_anchor(anchor);
    let opened = block_on(Subjects::open(older, Arc::clone(&keys), options)).unwrap();
    assert!(!opens(&opened.scope("tenant-7"), &note));
    *token.gone.lock().unwrap() = Some(ProviderErrorKind::NotFound);
    assert_eq!(
        block_on(opened.confirm_destruction(&*token)).unwrap(),
        0,
        "a copy of the new epoch has the key"
    );
    // And so it has.
    let blind = crate::subjects::SubjectsOptions { anchor: None, ..house.options() };
    let thief = block_on(Subjects::open(stolen, keys, blind)).unwrap();
    assert!(opens(&thief.scope("tenant-7"), &note));
}

/// A house whose first epochs are wrapped by a token.
fn token_house(token: &Arc<Token>) -> House {
    let house = House::new();
    let store = Arc::new(MemoryKeyStore::new());
    let anchor = Arc::new(crate::subjects::MemoryAnchor::new());
    let options = house.options().with_anchor(Arc::<crate::subjects::MemoryAnchor>::clone(&anchor));
    let (root, epochs) = (Arc::<MemoryProvider>::clone(&house.root) as _, Arc::<Token>::clone(token) as _);
    let shared = Arc::<MemoryKeyStore>::clone(&store);
    let subjects = block_on(Subjects::init(shared, root, epochs, options)).unwrap();
    let house = House { store, anchor, subjects, ..house };
    people(&house, 2);
    house
}
