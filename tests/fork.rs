//! R-5 with real forks: nothing that a record key keeps is used on both sides.
//!
//! A process of its own, because it forks while threads run. A child does its work, tells its parent over a pipe, and
//! leaves without returning to the test harness; one that hangs is killed by an alarm. Linux and its kin only.
#![cfg(unix)]
#![allow(
    unsafe_code,
    missing_docs,
    clippy::unwrap_used,
    reason = "fork exists in no safe form, and a test that cannot go on should say where"
)]

use std::{
    collections::HashSet,
    env,
    fs::File,
    io::{Read, Write},
    os::fd::FromRawFd,
    panic::{AssertUnwindSafe, catch_unwind},
    process::Command,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Waker},
    thread,
    time::Duration,
};

use kuvert::{
    Cell, EncryptionContext, Kuvert, MessageStart, OpenError, RecordKey, RecordOptions, SealError, Threads,
    blocking::block_on,
    clock::{Clock, Sleep, SystemClock},
    provider::{CacheOptions, Cached, KeyProvider, MemoryProvider, StockOptions, WrapContext},
};

#[path = "../src/fork.rs"]
#[allow(dead_code, unreachable_pub, reason = "the module of the crate itself, of which this uses a part")]
mod fork;

/// Runs `work` in a forked child, and gives what it returned there.
fn in_child(work: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: both were just opened, and each is owned by one `File` from here on.
    let [mut reading, mut writing] = ends.map(|end| unsafe { File::from_raw_fd(end) });
    // SAFETY: the child uses its copy of memory and the two files, and leaves by `_exit`. Locks that other threads
    // held at this moment stay locked in it: that it gets along is what is tested, and the C library's own are
    // taken care of by the C library.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: kills this process if it hangs.
        unsafe { libc::alarm(60) };
        let done = catch_unwind(AssertUnwindSafe(|| writing.write_all(&work()).is_ok()));
        // SAFETY: ends this process at once; the parent's harness must not run on here.
        unsafe { libc::_exit(i32::from(!matches!(done, Ok(true)))) };
    }
    drop(writing);
    let mut told = Vec::new();
    reading.read_to_end(&mut told).unwrap();
    let mut status = 0;
    // SAFETY: `child` is this process's own, and `status` has room for the answer.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0, "the child failed or hung");
    told
}

/// Runs `test`, which has this name, in a process of its own, where no thread of another test starts or ends meanwhile:
/// for that the standard library takes a lock, and a child that is forked while it is held can start no thread.
fn alone(name: &str, test: fn()) {
    const ALONE: &str = "KUVERT_TEST_ALONE";
    if env::var_os(ALONE).is_some() {
        return test();
    }
    let mut again = Command::new(env::current_exe().unwrap());
    let ran =
        again.args([name, "--exact", "--test-threads=1", "--nocapture"]).env(ALONE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
fn a_child_is_of_another_generation_and_the_parent_stays() {
    let parent = fork::generation();
    assert_eq!(fork::generation(), parent);
    let told = in_child(|| {
        let child = fork::generation();
        let stays = u64::from(fork::generation() == child);
        let grandchild = in_child(|| fork::generation().to_be_bytes().to_vec());
        [&child.to_be_bytes()[..], &stays.to_be_bytes(), &grandchild].concat()
    });
    let [child, stays, grandchild] =
        [0, 8, 16].map(|at| u64::from_be_bytes(*told[at..].first_chunk().unwrap()));
    assert_eq!(stays, 1);
    assert_eq!(fork::generation(), parent);
    assert_eq!(HashSet::from([0, parent, child, grandchild]).len(), 4);
}

#[test]
fn many_children_are_all_of_different_generations() {
    let mut seen = HashSet::from([fork::generation()]);
    for _ in 0..100 {
        let told = in_child(|| fork::generation().to_be_bytes().to_vec());
        assert!(seen.insert(u64::from_be_bytes(told.try_into().unwrap())));
    }
}

fn key() -> RecordKey {
    let kuvert = Kuvert::new(MemoryProvider::generate("test").unwrap());
    block_on(kuvert.new_record_key(&EncryptionContext::empty())).unwrap().unwrap().0
}

fn pooled(key: &RecordKey) -> RecordKey {
    key.clone().with_options(RecordOptions::default().with_snapshot_unsafe_nonce_pool(true))
}

fn cell() -> Cell<'static> {
    Cell::new("t", "c", 1)
}

/// Records of no plaintext, one after the other: 49 bytes each.
fn seal(key: &RecordKey, count: usize) -> Vec<u8> {
    (0..count).flat_map(|_| key.seal(b"", &cell()).unwrap()).collect()
}

/// The detector: what the nonces of two processes have in common, by their first halves and by their second ones.
/// In common by chance is nothing.
fn shared(parent: &[u8], child: &[u8]) -> (usize, usize) {
    let halves = |records: &[u8], at: usize| -> HashSet<Vec<u8>> {
        records.chunks(49).map(|record| record[at..at + 12].to_vec()).collect()
    };
    let common = |at| halves(parent, at).intersection(&halves(child, at)).count();
    (common(9), common(21))
}

#[test]
fn parent_and_child_share_no_subkey_and_no_random_bytes() {
    let key = key();
    for key in [key.clone(), pooled(&key)] {
        let before = seal(&key, 10);
        let child = in_child(|| seal(&key, 300));
        let after = seal(&key, 300);
        assert_eq!((child.len(), after.len()), (49 * 300, 49 * 300));
        // The parent goes on with the subkey it had: the test would see it if the child did too.
        assert_eq!(shared(&before, &after), (1, 0));
        assert_eq!(shared(&[before, after].concat(), &child), (0, 0));
    }
}

#[test]
fn two_children_share_nothing_either() {
    let key = pooled(&key());
    seal(&key, 1);
    let (one, other) = (in_child(|| seal(&key, 300)), in_child(|| seal(&key, 300)));
    assert_eq!(shared(&one, &other), (0, 0));
}

#[test]
fn the_detector_sees_a_child_that_goes_on_as_its_parent_would() {
    let key = pooled(&key());
    let parent = seal(&key, 10);
    // What a child would seal that kept its parent's subkey, and one that kept its pool too.
    assert_eq!(shared(&parent, &seal(&key, 10)), (1, 0));
    assert_eq!(shared(&parent, &parent), (1, 10));
}

#[test]
fn each_opens_what_the_other_sealed() {
    let key = key();
    let mine = seal(&key, 1);
    assert_eq!(key.open(&mine, &cell()).unwrap().as_slice(), b"");
    let theirs = in_child(|| {
        assert_eq!(key.open(&mine, &cell()).unwrap().as_slice(), b"");
        seal(&key, 1)
    });
    assert_eq!(key.open(&theirs, &cell()).unwrap().as_slice(), b"");
}

#[test]
fn a_child_never_waits_for_threads_that_it_does_not_have() {
    let (key, stop) = (key(), AtomicBool::new(false));
    let mut all = HashSet::new();
    thread::scope(|scope| {
        let _stopped = StopAtEnd(&stop);
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let record = seal(&pooled(&key), 1);
                    key.open(&record, &cell()).unwrap();
                }
            });
        }
        for _ in 0..100 {
            let child = in_child(|| {
                let records = seal(&key, 20);
                assert!(records.chunks(49).all(|record| key.open(record, &cell()).is_ok()));
                records
            });
            all.extend(child.chunks(49).map(|record| record[9..33].to_vec()));
        }
    });
    assert_eq!(all.len(), 100 * 20, "no nonce twice among a hundred children");
}

#[test]
fn a_child_sleeps_by_a_thread_of_its_own() {
    alone("a_child_sleeps_by_a_thread_of_its_own", sleeps_in_children);
}

fn sleeps_in_children() {
    let sleep = |millis| SystemClock.sleep(Duration::from_millis(millis));
    block_on(sleep(1)).unwrap();
    let (stop, started) = (AtomicBool::new(false), Barrier::new(5));
    thread::scope(|scope| {
        let _stopped = StopAtEnd(&stop);
        // Threads that hold the timer's locks at the moment of a fork, now and then.
        for _ in 0..4 {
            scope.spawn(|| {
                started.wait();
                while !stop.load(Ordering::Relaxed) {
                    block_on(sleep(0)).unwrap();
                    drop(poll_once(sleep(3_600_000)));
                }
            });
        }
        started.wait();
        for _ in 0..100 {
            // Begun in the parent, and gone on with in the child.
            let [begun, dropped] = [20, 3_600_000].map(|millis| poll_once(sleep(millis)));
            in_child(move || {
                drop(dropped);
                block_on(begun).unwrap();
                block_on(sleep(1)).unwrap();
                in_child(|| block_on(sleep(1)).map(|()| Vec::new()).unwrap())
            });
        }
    });
    block_on(sleep(1)).unwrap();
}

/// Threads of the parent seal and open; a child has none of them, and must neither wait for one nor go on.
#[test]
fn a_child_does_not_go_on_with_the_threads_of_its_parent() {
    alone("a_child_does_not_go_on_with_the_threads_of_its_parent", parallel_streams_in_children);
}

fn parallel_streams_in_children() {
    let kuvert = Kuvert::new(MemoryProvider::generate("test").unwrap());
    let context = EncryptionContext::empty();
    let threads = Threads::exactly(3.try_into().unwrap()).eagerly();
    let text = vec![7; 1_000_000];
    let sealer = block_on(kuvert.sealer(&context)).unwrap().unwrap();
    let mut writer = sealer.into_parallel_writer(Vec::new(), threads);
    // Its threads have started by then, as those of a service have long since.
    thread::sleep(Duration::from_millis(50));
    for round in 0..40 {
        writer.write_all(&text[..100_000]).unwrap();
        in_child(|| {
            let error = writer.write_all(&text).unwrap_err();
            assert!(matches!(error.downcast(), Ok(SealError::Forked)));
            assert!(writer.try_finish().is_err());
            if round % 2 == 0 {
                // Dropped without a wait for threads that are not there.
                let other = block_on(kuvert.sealer(&context)).unwrap().unwrap();
                drop(std::mem::replace(&mut writer, other.into_parallel_writer(Vec::new(), threads)));
                writer.write_all(&text).unwrap();
                writer.try_finish().unwrap();
            }
            Vec::new()
        });
    }
    let (message, report) = writer.finish().unwrap();
    assert_eq!(report.plaintext_len, 4_000_000);

    let mut source = message.as_slice();
    let start = MessageStart::read(&mut source).unwrap();
    let opener = block_on(kuvert.opener(start, &context)).unwrap().unwrap();
    let mut reader = opener.into_parallel_reader(source, threads);
    let mut out = vec![0; 90_000];
    for _ in 0..40 {
        reader.read_exact(&mut out).unwrap();
        in_child(|| {
            let error = std::io::copy(&mut reader, &mut std::io::sink()).unwrap_err();
            assert!(matches!(error.downcast(), Ok(OpenError::Usage(_))));
            Vec::new()
        });
    }
    assert_eq!(std::io::copy(&mut reader, &mut std::io::sink()).unwrap(), 4_000_000 - 40 * 90_000);
}

/// Polled once, so that it is among those that are to be woken.
fn poll_once(mut sleep: Sleep) -> Sleep {
    assert!(sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    sleep
}

/// Ends the threads that wait for the flag, also when the test fails.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A child asks anew, although a load of its parent's is under way and another thread uses the cache at every moment; and
/// no key in stock is used on both sides.
#[test]
fn a_child_has_a_cache_of_its_own() {
    let stock = CacheOptions::default().with_stock(Some(StockOptions::default()));
    let cache = Cached::new(MemoryProvider::generate("forked").unwrap(), stock);
    let context = WrapContext::new([7; 12], []);
    let made = (0..3).map(|_| block_on(cache.generate_data_key(&context)).unwrap().unwrap());
    let recipients: Vec<_> = made.map(|mut made| made.recipients.remove(0)).collect();
    drop(block_on(cache.unwrap_data_key(&recipients[0], &context)).unwrap().unwrap());
    assert_eq!((cache.stats().stock, cache.stats().entries), (3, 1));
    let is_over = AtomicBool::new(false);
    let told = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                cache.purge();
                drop(block_on(cache.unwrap_data_key(&recipients[1], &context)));
                drop(cache.cached_key(&recipients[1], &context));
            }
        });
        let told: Vec<Vec<u8>> = (0..50)
            .map(|_| {
                in_child(|| {
                    let empty = cache.stats() == Default::default();
                    let found = cache.cached_key(&recipients[1], &context).is_some();
                    let opened = block_on(cache.unwrap_data_key(&recipients[1], &context));
                    let opened = matches!(opened, Ok(Ok(Some(_))));
                    vec![empty.into(), found.into(), opened.into(), u8::from(cache.stats().misses == 1)]
                })
            })
            .collect();
        is_over.store(true, Ordering::Relaxed);
        told
    });
    assert!(told.iter().all(|told| told == &[1, 0, 1, 1]), "{told:?}");
}

/// The thread on which calls run does not exist in the child, and locks that it held would stay locked.
#[cfg(feature = "aws-kms")]
#[test]
fn a_child_makes_no_calls_through_the_thread_of_its_parent() {
    alone("a_child_makes_no_calls_through_the_thread_of_its_parent", calls_in_children);
}

#[cfg(feature = "aws-kms")]
fn calls_in_children() {
    use kuvert::{ProviderErrorKind, provider::aws_kms::AwsKmsProvider};
    let provider = || {
        // Without credentials: every call comes as far as the thread, and no further.
        let client = aws_sdk_kms::Config::builder()
            .behavior_version(aws_sdk_kms::config::BehaviorVersion::latest())
            .region(aws_sdk_kms::config::Region::new("eu-central-1"))
            .build();
        let arn = "arn:aws:kms:eu-central-1:111122223333:key/1234";
        let builder = AwsKmsProvider::builder().with_client(aws_sdk_kms::Client::from_conf(client));
        builder.with_sealing_key(arn).build().unwrap()
    };
    let says = |provider: &AwsKmsProvider, kind| {
        let context = WrapContext::new([0; 12], []);
        let error = block_on(provider.generate_data_key(&context)).unwrap().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        error.to_string()
    };
    let used = provider();
    assert!(says(&used, ProviderErrorKind::Credentials).contains("no source of AWS credentials"));
    let told = in_child(|| {
        let of_parent = says(&used, ProviderErrorKind::Misconfigured);
        drop(used.clone());
        [of_parent, says(&provider(), ProviderErrorKind::Credentials)].join("|").into_bytes()
    });
    let told = String::from_utf8(told).unwrap();
    let (of_parent, of_child) = told.split_once('|').unwrap();
    assert!(of_parent.contains("forked") && of_child.contains("no source of AWS credentials"), "{told}");
    // The child left the parent's thread alone.
    assert!(says(&used, ProviderErrorKind::Credentials).contains("no source of AWS credentials"));
}

/// A child has no threads of its parent's, and must not wait for them.
#[cfg(feature = "sqlite")]
#[test]
fn a_child_is_refused_its_parents_key_store() {
    alone("a_child_is_refused_its_parents_key_store", key_store_in_children);
}

#[cfg(feature = "sqlite")]
fn key_store_in_children() {
    use kuvert::keystore::{KeyStore as _, SqliteKeyStore, SqliteOptions};

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let store = SqliteKeyStore::open_or_create(&path, &SqliteOptions::default()).unwrap();
    assert!(block_on(store.create(b"root", &[])).unwrap().unwrap());
    let told = in_child(|| {
        let forked =
            [block_on(store.root()).unwrap().unwrap_err(), block_on(store.remove(&[])).unwrap().unwrap_err()];
        let is_forked = forked.iter().all(|error| error.kind == kuvert::KeyStoreErrorKind::Forked);
        // The engine's list of locks is a copy of the parent's, and the locks are not there.
        let own = SqliteKeyStore::open(&path, &SqliteOptions::default()).unwrap_err();
        vec![u8::from(is_forked), u8::from(own.kind == kuvert::KeyStoreErrorKind::Forked)]
    });
    assert_eq!(told, [1, 1]);
    assert_eq!(block_on(store.root()).unwrap().unwrap(), Some(b"root".to_vec()));
}
