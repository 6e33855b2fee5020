//! Data subjects: sealing and opening against a record key that is loaded, pages over SQLite, two threads, an epoch roll.
//!
//! `cargo bench --features sqlite --bench subjects`. The roll of a million subjects is measured once and alone, and takes minutes
//! to set up: `cargo bench --features sqlite --bench subjects -- --million`.

mod support;

use std::{
    env,
    future::Future,
    hint::black_box,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
    time::Instant,
};

use kuvert::{
    Cell, EncryptionContext, Kuvert, RecordKey, Scope, Sealed, Subjects, SubjectsOptions,
    blocking::block_on,
    keystore::{Found, KeyStore, Lookup, Pseudonym, SqliteKeyStore, SqliteOptions, SubjectRow},
    provider::MemoryProvider,
    subjects::RollOptions,
};
use support::{Bench, Line, data, fast_directory};

fn main() {
    if env::args().any(|argument| argument == "--million") {
        return a_million();
    }
    let mut bench = Bench::from_args();
    let setting = Setting::new();
    one(&mut bench, &setting);
    of_a_thousand(&mut bench, &setting);
    pages(&mut bench, &setting);
    two_threads(&mut bench, &setting);
    bench.finish();
}

/// What is ready at the first poll, as it is whenever the key is at hand. As where it is awaited, the future is polled where it
/// is made: neither an executor nor a move is measured.
macro_rules! now {
    ($future:expr) => {
        match pin!($future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("the key was not at hand"),
        }
    };
}

/// The key of one subject that this thread is busy with, against a record key.
fn one(bench: &mut Bench, setting: &Setting) {
    let anna = setting.scope.subject("customer:1");
    for (len, seal, open) in
        [(64, "subject-seal-64b", "subject-open-64b"), (1 << 10, "subject-seal-1kib", "subject-open-1kib")]
    {
        let plaintext = data(len);
        bench.compare(
            Line::cpu(seal, len),
            || drop(black_box(setting.key.seal(&plaintext, &cell()).expect("within the limit"))),
            || drop(black_box(now!(anna.seal(&*plaintext, cell())).expect("within the limit"))),
        );
        let record = setting.key.seal(&plaintext, &cell()).expect("within the limit");
        let sealed: Sealed<Vec<u8>> = now!(anna.seal(&*plaintext, cell())).expect("within the limit");
        bench.compare(
            Line::cpu(open, len),
            || drop(black_box(setting.key.open(&record, &cell()).expect("nobody changed it"))),
            || drop(black_box(now!(setting.scope.open(&sealed, cell())).expect("nobody changed it"))),
        );
    }
}

/// A thousand subjects in turn, twice as many as a thread keeps at hand: each key is found in the common table.
fn of_a_thousand(bench: &mut Bench, setting: &Setting) {
    let plaintext = data(64);
    let names: Vec<String> = (0..1000).map(|n| format!("customer:{n}")).collect();
    let mut turn = names.iter().cycle();
    bench.alone(Line::cpu("subject-seal-of-1000", 64), || {
        let subject = setting.scope.subject(turn.next().expect("round and round"));
        drop(black_box(
            block_on(subject.seal(&*plaintext, cell())).expect("not nested").expect("within the limit"),
        ));
    });
    let sealed = setting.seal_all(&names, &plaintext);
    let mut turn = sealed.iter().cycle();
    bench.alone(Line::cpu("subject-open-of-1000", 64), || {
        let sealed = turn.next().expect("round and round");
        drop(black_box(
            block_on(setting.scope.open(sealed, cell())).expect("not nested").expect("nobody changed it"),
        ));
    });
}

/// Ten thousand records of ten thousand subjects: keys cached, and keys read from SQLite and opened.
fn pages(bench: &mut Bench, setting: &Setting) {
    let plaintext = data(64);
    let names: Vec<String> = (0..PAGE).map(|n| format!("customer:{n}")).collect();
    let sealed = setting.seal_all(&names, &plaintext);
    let open = || {
        let page = block_on(setting.scope.open_many(sealed.iter().map(|sealed| (sealed, cell()))));
        let page = page.expect("not nested").expect("the store answers");
        assert!(page.len() == PAGE && page.iter().all(Result::is_ok));
    };
    bench.alone(Line::wall("subjects-open-many-warm", PAGE * 64), open);
    bench.alone(Line::wall("subjects-open-many-cold", PAGE * 64), || {
        setting.subjects.clear_cache();
        open();
    });
    bench.alone(Line::wall("subjects-seal-many-warm", PAGE * 64), || {
        assert_eq!(setting.seal_all(&names, &plaintext).len(), PAGE);
    });
    let references: Vec<u64> =
        sealed.iter().map(|sealed| sealed.claimed_reference().expect("a record")).collect();
    bench.alone(Line::wall("store-get-10000", 0), || assert_eq!(setting.rows(&references).len(), PAGE));
    let pseudonyms: Vec<Pseudonym> = setting.rows(&references).iter().map(|row| row.pseudonym).collect();
    bench.alone(Line::wall("store-find-10000", 0), || {
        let found = block_on(setting.store.find(&pseudonyms)).expect("not nested").expect("it answers");
        assert!(found.iter().all(|found| matches!(found, Found::Row(_))));
    });
}

/// The same number of records on each of two threads, against one thread alone with that number: 1.0 is twice the speed.
fn two_threads(bench: &mut Bench, setting: &Setting) {
    let plaintext = data(1 << 10);
    let names: Vec<String> = (0..100).map(|n| format!("customer:{n}")).collect();
    let bytes = RECORDS_A_THREAD << 10;
    for (count, seal_line, open_line) in [
        (1, "subject-seal-threads", "subject-open-threads"),
        (100, "subject-seal-of-100-threads", "subject-open-of-100-threads"),
    ] {
        let names = &names[..count];
        let sealed = setting.seal_all(names, &plaintext);
        let seal = || {
            for name in names.iter().cycle().take(RECORDS_A_THREAD) {
                let subject = setting.scope.subject(name);
                drop(black_box(now_or_wait(subject.seal(&*plaintext, cell())).expect("within the limit")));
            }
        };
        let open = || {
            for sealed in sealed.iter().cycle().take(RECORDS_A_THREAD) {
                drop(black_box(now_or_wait(setting.scope.open(sealed, cell())).expect("nobody changed it")));
            }
        };
        bench.compare(Line::wall(seal_line, bytes), || on_threads(1, seal), || on_threads(2, seal));
        bench.compare(Line::wall(open_line, bytes), || on_threads(1, open), || on_threads(2, open));
    }
}

fn on_threads(count: usize, work: impl Fn() + Sync) {
    thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(&work);
        }
    });
}

/// A roll of a million subjects, once.
fn a_million() {
    let setting = Setting::new();
    let plaintext = [7];
    let begun = Instant::now();
    for start in (0..MILLION).step_by(PAGE) {
        let names: Vec<String> = (start..start + PAGE).map(|n| format!("customer:{n}")).collect();
        setting.seal_all(&names, &plaintext);
    }
    println!("{MILLION} subjects made in {:.1} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let provider = Arc::new(MemoryProvider::generate("next").expect("a key"));
    let report = block_on(setting.subjects.roll_epoch(provider, RollOptions::default()));
    let report = report.expect("not nested").expect("the store answers");
    println!("epoch roll in {:.1} s: {report:?}", begun.elapsed().as_secs_f64());
}

/// What is ready, or is waited for: a thread has no key at hand when it begins.
fn now_or_wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => block_on(future).expect("not nested"),
    }
}

fn cell() -> Cell<'static> {
    Cell::new("customers", "email", 42)
}

/// A key store in SQLite, in memory where there is a file system for that, and a record key beside it.
struct Setting {
    store: Arc<SqliteKeyStore>,
    subjects: Subjects,
    scope: Scope,
    key: RecordKey,
    _directory: tempfile::TempDir,
}

impl Setting {
    fn new() -> Self {
        let directory = tempfile::tempdir_in(fast_directory()).expect("a directory");
        let path = directory.path().join("keys.sqlite");
        let store = SqliteKeyStore::open_or_create(path, &SqliteOptions::default()).expect("a new file");
        let store = Arc::new(store);
        let keys = Arc::new(MemoryProvider::generate("bench").expect("a key"));
        // Nothing gets too old while it is measured.
        let options = SubjectsOptions::default().with_max_age(std::time::Duration::from_secs(3600));
        let subjects = block_on(Subjects::init(store.clone(), keys.clone(), keys.clone(), options));
        let subjects = subjects.expect("not nested").expect("an empty store");
        let made = block_on(Kuvert::from_arc(keys).new_record_key(&EncryptionContext::empty()));
        let (key, _) = made.expect("not nested").expect("the key is in memory");
        let scope = subjects.scope("tenant");
        let setting = Self { store, subjects, scope, key, _directory: directory };
        setting.seal_all(&["customer:1".to_owned()], &[7]);
        drop(block_on(setting.scope.subject("customer:1").seal("x", cell())).expect("not nested"));
        setting
    }

    fn rows(&self, references: &[u64]) -> Vec<SubjectRow> {
        let found = block_on(self.store.get(references)).expect("not nested").expect("it answers");
        let row = |found| match found {
            Lookup::Row(row) => row,
            other => panic!("{other:?}"),
        };
        found.into_iter().map(row).collect()
    }

    fn seal_all(&self, names: &[String], plaintext: &[u8]) -> Vec<Sealed<Vec<u8>>> {
        let values = names.iter().map(|name| (self.scope.subject(name), plaintext, cell()));
        let sealed = block_on(self.scope.seal_many(values)).expect("not nested");
        sealed
            .expect("the store answers")
            .into_iter()
            .map(|sealed| sealed.expect("nobody is erased"))
            .collect()
    }
}

/// Records of a page.
const PAGE: usize = 10_000;
const MILLION: usize = 1_000_000;
/// So many that starting threads does not show.
const RECORDS_A_THREAD: usize = 20_000;
