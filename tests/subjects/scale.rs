//! Many subjects, some of whom are erased: then every older copy is restored, and everybody's records are tried.

use std::{cell::Cell, fs, sync::Arc, time::Duration, time::Instant};

use kuvert::async_trait;
use kuvert::{
    AnchorError, Category, RecordError, SubjectError, Subjects,
    clock::Clock,
    keystore::EpochClass,
    provider::KeyProvider,
    subjects::{Anchor, AnchorHead, Receipt, ReceiptState, RollOptions, Subject},
};

use crate::{
    is_long,
    processes::audit_elsewhere,
    records::{Audit, EACH, Plan, Records, name},
    search::{files_of, found_in, sealed_keys},
    world::{LIVE, ROOT, SCOPE, WEEK_1, WEEK_2, World, wait},
};

const DAY: Duration = Duration::from_secs(24 * 3600);
const REQUEST: &str = "2026-118";
const OLD_KEYS: &str = "keys-before.kuvert";
const NEW_KEYS: &str = "keys-after.kuvert";

#[test]
fn erased_in_every_copy_and_nobody_else_is_lost() {
    let plan = match is_long() {
        true => Plan { subjects: 1_000_000, erased: 1_000 },
        false => Plan { subjects: 20_000, erased: 200 },
    };
    let folder = tempfile::tempdir().unwrap();
    let mut play = Play::new(World::make(folder.path()), plan);
    play.make_backups();
    play.erase_with_warm_caches_around();
    play.older_data();
    play.older_keys_before_the_roll();
    play.a_store_whose_tombstones_are_not_to_be_had_is_refused();
    play.roll_and_destroy();
    play.older_keys_after_the_roll();
    play.evidence();
}

struct Play {
    world: World,
    plan: Plan,
    subjects: Subjects,
    records: Records,
    phase: Cell<Instant>,
}

impl Play {
    fn new(world: World, plan: Plan) -> Self {
        let phase = Cell::new(Instant::now());
        let subjects = world.init();
        let records = Records::seal(&subjects.scope(SCOPE), plan.subjects);
        let play = Self { world, plan, subjects, records, phase };
        play.done("seal the first records, with a new key for each subject");
        play
    }

    /// Says how long it took: nothing is decided by that.
    fn done(&self, phase: &str) {
        println!("{:>8.2} s  {phase}", self.phase.replace(Instant::now()).elapsed().as_secs_f64());
        self.phase.set(Instant::now());
    }

    fn audit(&self, subjects: &Subjects) -> Audit {
        let plan = self.plan;
        Audit::make(&subjects.scope(SCOPE), &self.records, &plan.all(), |i| plan.is_erased(i))
    }

    fn audit_erased(&self, subjects: &Subjects) -> Audit {
        Audit::make(&subjects.scope(SCOPE), &self.records, &self.plan.erased(), |_| true)
    }

    /// Nothing erased opens, everything else does.
    fn assert_whole(&self, subjects: &Subjects) {
        assert_eq!(self.audit(subjects), Audit::of(self.plan));
    }

    fn make_backups(&self) {
        let (plain, sealed) = (self.world.path("records"), self.world.path("records.kuvert"));
        fs::write(&plain, &self.records.0).unwrap();
        wait(self.world.backups().seal_file(&plain, &sealed, &World::of_records())).unwrap();
        let report = self.world.back_up(&self.subjects, OLD_KEYS);
        assert_eq!(report.keys, self.plan.subjects as u64);
        self.done("back up records and key store, sealed");
    }

    fn erase_with_warm_caches_around(&self) {
        let erased = self.plan.erased();
        let store = self.world.store(LIVE);
        let keys = sealed_keys(&*store, &self.records.references(&erased));
        let files = || files_of(&self.world.path(LIVE));
        assert_eq!(found_in(&files(), &keys), erased.len(), "a search that finds nothing shows nothing");
        let warm = self.warm_process(store);
        let nobody = Plan { erased: 0, ..self.plan };
        let all = self.plan.all();
        let scope = warm.scope(SCOPE);
        assert_eq!(Audit::make(&scope, &self.records, &all, |_| false), Audit::of(nobody));
        self.done("try all: nobody is erased yet; their keys are in the files");

        let receipts = self.erase(&erased);
        self.done("erase");
        self.receipts_are_of_keys(&receipts);
        assert_eq!(found_in(&files(), &keys), 0, "bytes of deleted keys are left in the files");
        self.done("search the files for the deleted keys");

        // What is not yet past its time still opens there: so the rest of this is able to fail.
        assert_eq!(self.audit_erased(&warm).resurrected, erased.len() * EACH);
        let unusable = receipts.iter().filter_map(|receipt| receipt.unusable).max().unwrap();
        let left = unusable.duration_since(self.world.clock.wall()).unwrap();
        assert!(left <= Duration::from_secs(62), "a minute, and a second of rounding");
        self.world.clock.advance(left);
        self.assert_whole(&warm);
        self.done("try all: caches of another handle, after the stated time");
        self.assert_whole(&self.subjects);
        self.done("try all: the live store");
        assert_eq!(audit_elsewhere(&self.world, self.plan), format!("{:?}", Audit::of(self.plan)));
        self.done("try all: another process");
    }

    /// Over the same file, with room for everybody's key.
    fn warm_process(&self, store: Arc<kuvert::keystore::SqliteKeyStore>) -> Subjects {
        let room = self.plan.subjects * 2;
        let options = self.world.options().with_max_entries(room).with_max_bytes(room * 1024);
        wait(Subjects::open(store, self.world.keys(&[WEEK_1, ROOT]), options)).unwrap()
    }

    fn erase(&self, erased: &[usize]) -> Vec<Receipt> {
        let scope = self.subjects.scope(SCOPE);
        let persons: Vec<Subject<'_>> = erased.iter().map(|i| scope.subject(name(*i))).collect();
        wait(scope.erase_many(&persons, REQUEST)).unwrap().into_iter().map(Result::unwrap).collect()
    }

    fn receipts_are_of_keys(&self, receipts: &[Receipt]) {
        assert_eq!(receipts.len(), self.plan.erased);
        let now = self.world.clock.wall();
        for receipt in receipts {
            assert_eq!((receipt.keys.len(), receipt.irrevocable), (1, None));
            assert_eq!(receipt.state(now), Some(ReceiptState::Requested));
            assert_eq!(receipt.state(receipt.unusable.unwrap()), Some(ReceiptState::Unusable));
        }
    }

    fn older_data(&mut self) {
        let restored = self.world.path("records.restored");
        let sealed = self.world.path("records.kuvert");
        wait(self.world.backups().open_file(sealed, &restored, &World::of_records())).unwrap();
        self.records = Records(fs::read(&restored).unwrap());
        self.assert_whole(&self.world.open());
        self.done("try all: records of an older backup, with the newest key store");
    }

    fn older_keys_before_the_roll(&self) {
        let store = self.world.restore(OLD_KEYS, "restored-1.sqlite");
        let keys = || self.world.keys(&[WEEK_1, ROOT]);
        // Without the anchor nobody can know; that is what it is for, and that this can fail.
        let blind = wait(Subjects::open(store.clone(), keys(), self.world.bare_options())).unwrap();
        assert_eq!(self.audit_erased(&blind).resurrected, self.plan.erased * EACH);
        drop(blind);
        self.done("restore an older key store, and open it without its anchor");
        let reconciled = wait(Subjects::open(store, keys(), self.world.options())).unwrap();
        self.done("open it with its anchor: erase them again");
        self.assert_whole(&reconciled);
        let report = wait(reconciled.verify_receipts()).unwrap();
        assert_eq!((report.tombstones, report.unusable), (self.plan.erased as u64, self.plan.erased as u64));
        self.done("try all: the older key store after that");
    }

    fn a_store_whose_tombstones_are_not_to_be_had_is_refused(&self) {
        let store = self.world.restore(OLD_KEYS, "restored-2.sqlite");
        let gone = Arc::new(Forgetful(wait(self.world.anchor().head()).unwrap()));
        let options = self.world.bare_options().with_anchor(gone);
        let refused = wait(Subjects::open(store, self.world.keys(&[WEEK_1, ROOT]), options));
        assert!(matches!(refused, Err(SubjectError::Anchor(_))), "{refused:?}");
        self.done("refuse an older key store whose missing tombstones are not to be had");
    }

    fn roll_and_destroy(&self) {
        self.world.clock.advance(6 * DAY);
        let mut keys = Vec::new();
        for class in [EpochClass::Subjects, EpochClass::Credentials] {
            let roll = self
                .subjects
                .roll_epoch(self.world.keys(&[WEEK_2]), RollOptions::default().with_class(class));
            let report = wait(roll).unwrap();
            assert!(report.damaged.is_empty() && !report.resumed);
            let expected =
                if class == EpochClass::Subjects { self.plan.subjects - self.plan.erased } else { 0 };
            assert_eq!(report.moved, expected as u64);
            keys.extend(report.keys);
            self.done("roll an epoch");
        }
        // With a backup of before it would be the end of everybody's data.
        let custodian = self.world.keys(&[WEEK_1]);
        let old = self.world.check(OLD_KEYS, &[WEEK_1, ROOT]);
        let refused = wait(self.subjects.destroy_epoch_keys(&keys, &*custodian, &old));
        assert!(matches!(refused, Err(SubjectError::Refused(_))), "{refused:?}");
        self.done("check the old backup: every key in it opens");
        self.world.back_up(&self.subjects, NEW_KEYS);
        self.done("back the key store up");
        let new = self.world.check(NEW_KEYS, &[WEEK_2, ROOT]);
        self.done("check that backup");
        wait(self.subjects.destroy_epoch_keys(&keys, &*custodian, &new)).unwrap();
        assert!(wait(custodian.check()).is_err(), "the only key of this provider is destroyed");
        // A copy of a key file may be anywhere: nobody claims that it is gone.
        assert_eq!(wait(self.subjects.confirm_destruction(&*custodian)).unwrap(), 0);
    }

    fn older_keys_after_the_roll(&self) {
        let keys = || self.world.keys(&[WEEK_2, ROOT]);
        let store = self.world.restore(OLD_KEYS, "restored-3.sqlite");
        let refused = wait(Subjects::open(store.clone(), keys(), self.world.bare_options())).map(drop);
        let Err(SubjectError::Key(error @ RecordError::EpochUnavailable { .. })) = refused else {
            panic!("an older key store opened after the roll: {refused:?}");
        };
        assert_eq!(error.category(), Category::KeyUnavailable);
        println!("            it says: {error}");
        let lazy = self.world.bare_options().with_lazy_epochs(true);
        let nothing = wait(Subjects::open(store, keys(), lazy)).unwrap();
        let found = self.audit(&nothing);
        assert_eq!((found.resurrected, found.erased, found.opened), (0, 0, 0));
        assert_eq!(found.lost, self.plan.subjects * EACH);
        assert!(found.first_loss.is_some_and(|loss| loss.contains("EpochUnavailable")));
        self.done("try all: the older key store after the roll, without the old wrapping key");

        let restored = self.world.restore(NEW_KEYS, "restored-4.sqlite");
        let newest = wait(Subjects::open(restored, keys(), self.world.options())).unwrap();
        self.assert_whole(&newest);
        self.done("try all: the newest backup, restored, with the new wrapping key only");
    }

    fn evidence(&self) {
        let erased = self.plan.erased();
        let samples: Vec<_> = erased.iter().map(|subject| self.records.of(*subject, 1)).collect();
        let proof = wait(self.subjects.scope(SCOPE).prove_erased(&samples)).unwrap();
        assert!(proof.holds() && proof.erased == erased.len(), "{proof:?}");
        let living = self.records.of(erased[0] + 1, 0);
        assert!(!wait(self.subjects.scope(SCOPE).prove_erased(&[living])).unwrap().holds());
        let report = wait(self.subjects.verify_receipts()).unwrap();
        let count = erased.len() as u64;
        assert_eq!((report.tombstones, report.unusable, report.irrevocable), (count, count, 0));
        let again = self.erase(&erased[..1]).remove(0);
        assert!(again.was_erased_before && again.irrevocable.is_none());
        assert_eq!(again.state(self.world.clock.wall() + 365 * DAY), Some(ReceiptState::Unusable));
        let bytes = fs::metadata(self.world.path(LIVE)).unwrap().len();
        println!("            the key store has {} MiB", bytes >> 20);
        self.done("prove, verify");
    }
}

/// Says that it has tombstones, and has none.
#[derive(Debug)]
struct Forgetful(AnchorHead);

#[async_trait]
impl Anchor for Forgetful {
    async fn head(&self) -> Result<AnchorHead, AnchorError> {
        Ok(self.0)
    }

    async fn tombstones(&self, _: u64, _: usize) -> Result<Vec<[u8; 114]>, AnchorError> {
        Ok(Vec::new())
    }

    async fn append(&self, _: u64, _: u64, _: &[[u8; 114]]) -> Result<bool, AnchorError> {
        Ok(false)
    }
}
