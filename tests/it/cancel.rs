//! P7: every async public function is dropped after every number of polls.
//!
//! Providers yield before and after each call, so that there are polls to stop at. After each cancellation nothing is
//! left on the disk, the same call runs through, and what it gives opens. A lost wake-up fails in the executor.
//! Planted bugs at the end.

#[cfg(feature = "tokio")]
#[path = "cancel/adapters.rs"]
mod adapters;

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use kuvert::provider::{Health, KeyProvider, MemoryProvider, ProviderInfo, WrapContext};
use kuvert::{
    Category, DataKey, EncryptionContext, Kuvert, MessageStart, ProviderError, ProviderErrorKind, Recipient,
};

use crate::support::cancel::{PATIENCE, Polled, StaleWaker, cancel_at_every_poll, poll_at_most, wait};
use crate::support::fixture::{cell, context, kuvert, provider, text};
use crate::support::io::{catching_scripted, hush_scripted_panics};
use crate::support::providers::{ALL_KINDS, Answer, Scripted};

type Work<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// A crate over a provider that yields this often before and after its work.
fn yielding(yields: usize) -> (Kuvert, Arc<Scripted<MemoryProvider>>) {
    let provider = Arc::new(Scripted::new(provider()).yielding(yields));
    (Kuvert::from_arc(Arc::clone(&provider) as Arc<dyn KeyProvider>), provider)
}

/// Everything the functions under test need, made beforehand.
struct Stage {
    directory: tempfile::TempDir,
    context: EncryptionContext,
    message: Vec<u8>,
    envelope: Vec<u8>,
    record: Vec<u8>,
}

impl Stage {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let context = context();
        let message = wait(kuvert().seal(&text(100), &context)).expect("sealing in memory");
        let (key, envelope) = wait(kuvert().new_record_key(&context)).expect("a key in memory");
        let record = key.seal(b"a cell", &cell()).expect("a small record");
        fs::write(directory.path().join("plain"), text(70_000)).expect("a small file");
        wait(kuvert().seal_file(directory.path().join("plain"), directory.path().join("sealed"), &context))
            .expect("sealing a small file");
        Self { directory, context, message, envelope, record }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// The names in the directory, in order.
    fn names(&self) -> Vec<String> {
        names(self.directory.path())
    }

    fn remove_outputs(&self) {
        for name in ["sealed again", "opened"] {
            drop(fs::remove_file(self.path(name)));
        }
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// One async function of the crate, with what its result must be.
type Operation = (&'static str, for<'a> fn(&'a Kuvert, &'a Stage) -> Work<'a>);

const OPERATIONS: [Operation; 8] = [
    ("seal", |kuvert, stage| {
        Box::pin(async {
            let sealed = kuvert.seal(b"something", &stage.context).await.expect("sealing in memory");
            assert_opens(&sealed, b"something");
        })
    }),
    ("open", |kuvert, stage| {
        Box::pin(async {
            let opened = kuvert.open(&stage.message, &stage.context).await.expect("a whole message");
            assert_eq!(*opened, text(100));
        })
    }),
    ("sealer", |kuvert, stage| {
        Box::pin(async {
            let sealer = kuvert.sealer(&stage.context).await.expect("a key in memory");
            let (sealed, _) = sealer.into_writer(Vec::new()).finish().expect("writing to memory");
            assert_opens(&sealed, b"");
        })
    }),
    ("opener", |kuvert, stage| {
        Box::pin(async {
            let mut source = stage.message.as_slice();
            let start = MessageStart::read(&mut source).expect("a whole message");
            let opener = kuvert.opener(start, &stage.context).await.expect("a whole message");
            let mut opened = Vec::new();
            opener.into_reader(source).copy_to(&mut opened).expect("a whole message");
            assert_eq!(opened, text(100));
        })
    }),
    ("new_record_key", |kuvert, stage| {
        Box::pin(async {
            let (key, _) = kuvert.new_record_key(&stage.context).await.expect("a key in memory");
            let record = key.seal(b"x", &cell()).expect("a small record");
            assert_eq!(*key.open(&record, &cell()).expect("just sealed"), b"x");
        })
    }),
    ("load_record_key", |kuvert, stage| {
        Box::pin(async {
            let key =
                kuvert.load_record_key(&stage.envelope, &stage.context).await.expect("a whole envelope");
            assert_eq!(*key.open(&stage.record, &cell()).expect("a whole record"), b"a cell");
        })
    }),
    ("seal_file", |kuvert, stage| {
        Box::pin(async {
            let (from, to) = (stage.path("plain"), stage.path("sealed again"));
            let report = kuvert.seal_file(&from, &to, &stage.context).await.expect("small files");
            assert_eq!(report.plaintext_len, 70_000);
            assert_opens(&fs::read(&to).expect("just sealed"), &text(70_000));
        })
    }),
    ("open_file", |kuvert, stage| {
        Box::pin(async {
            let (from, to) = (stage.path("sealed"), stage.path("opened"));
            let report = kuvert.open_file(&from, &to, &stage.context).await.expect("small files");
            assert_eq!(report.plaintext_len, 70_000);
            assert_eq!(fs::read(&to).expect("just opened"), text(70_000));
        })
    }),
];

fn assert_opens(sealed: &[u8], plaintext: &[u8]) {
    assert_eq!(*wait(kuvert().open(sealed, &context())).expect("just sealed"), plaintext);
}

#[test]
fn every_function_at_every_poll() {
    let stage = Stage::new();
    let mut dropped = 0;
    for (name, operation) in OPERATIONS {
        for yields in [0, 1, 2, 5] {
            let (kuvert, provider) = yielding(yields);
            let before = stage.names();
            let (polls, ()) = cancel_at_every_poll(
                || operation(&kuvert, &stage),
                |k| {
                    assert_eq!(stage.names(), before, "{name} dropped after {k} polls left something behind");
                    // The provider and everything around it is as good as new.
                    wait(operation(&kuvert, &stage));
                    stage.remove_outputs();
                    dropped += 1;
                },
            );
            stage.remove_outputs();
            // One provider call each: pending `yields` times before and after.
            assert_eq!(polls, 2 * yields + 1, "{name}");
            assert!(
                provider.calls() > provider.finished() || yields == 0,
                "{name} was never cut short in the provider"
            );
        }
    }
    println!("{dropped} futures dropped");
    assert!(dropped > 100, "only {dropped} futures dropped");
}

/// A message for several recipients, of which the last is ours: the provider is asked more than once.
#[test]
fn opening_by_the_last_of_several_recipients() {
    let stage = Stage::new();
    let foreign = MemoryProvider::from_keys([("other-key", [9; 32])]).expect("one well-named key");
    let sealing = Kuvert::seal_only(Both(foreign, provider()));
    let message = wait(sealing.seal(b"for two", &stage.context)).expect("sealing in memory");
    let (kuvert, provider) = yielding(3);
    let (polls, ()) = cancel_at_every_poll(
        || {
            Box::pin(async {
                let opened =
                    kuvert.open(&message, &stage.context).await.expect("the second recipient is ours");
                assert_eq!(*opened, b"for two");
            })
        },
        |_| {
            wait(kuvert.open(&message, &stage.context)).expect("the second recipient is ours");
        },
    );
    assert_eq!(polls, 13, "two calls, each pending three times before and after");
    assert!(provider.unwraps() > 26);
}

/// Wraps for both.
#[derive(Debug)]
struct Both(MemoryProvider, MemoryProvider);

#[kuvert::async_trait]
impl KeyProvider for Both {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        let mut recipients = self.0.wrap_data_key(key, context).await?;
        recipients.extend(self.1.wrap_data_key(key, context).await?);
        Ok(recipients)
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.0.check().await
    }

    fn describe(&self) -> ProviderInfo {
        self.0.describe()
    }
}

/// Two functions under way on one handle; one is dropped at every poll, and the other does not notice.
#[test]
fn the_others_go_on() {
    let stage = Stage::new();
    for (name, operation) in OPERATIONS {
        let (kuvert, _) = yielding(2);
        for k in 0..=5 {
            let mut other: Work<'_> = Box::pin(async {
                let opened = kuvert.open(&stage.message, &stage.context).await.expect("a whole message");
                assert_eq!(*opened, text(100));
            });
            assert!(matches!(poll_at_most(other.as_mut(), 2, PATIENCE), Polled::Dropped));
            assert!(!matches!(poll_at_most(operation(&kuvert, &stage), k, PATIENCE), Polled::LostWakeUp(_)));
            wait(other);
            stage.remove_outputs();
            assert!(!name.is_empty());
        }
    }
}

/// Every kind of error of the provider, in every function: an error, nothing on the disk, and the next call works.
#[test]
fn every_provider_error() {
    let stage = Stage::new();
    for kind in ALL_KINDS {
        let failing = Kuvert::new(Scripted::new(provider()).yielding(1).answering(0, Answer::Fail(kind)));
        let before = stage.names();
        let seal = wait(failing.seal_file(stage.path("plain"), stage.path("sealed again"), &stage.context));
        let seal = seal.expect_err("the provider fails").category();
        assert_eq!(stage.names(), before);
        let again = wait(failing.seal_file(stage.path("plain"), stage.path("sealed again"), &stage.context));
        again.expect("only the first call fails");
        stage.remove_outputs();

        let failing = Kuvert::new(Scripted::new(provider()).yielding(1).answering(0, Answer::Fail(kind)));
        let open = wait(failing.open_file(stage.path("sealed"), stage.path("opened"), &stage.context));
        let open = open.expect_err("the provider fails").category();
        assert_eq!(stage.names(), before);
        wait(failing.open_file(stage.path("sealed"), stage.path("opened"), &stage.context))
            .expect("only the first call fails");
        stage.remove_outputs();
        let rejected = kind == ProviderErrorKind::Rejected;
        let expected = if rejected { Category::WrongKey } else { Category::KeyUnavailable };
        assert_eq!(open, expected, "{kind:?}");
        assert!(!format!("{seal:?}").is_empty());
    }
}

/// A provider that lies or panics: never a message that opens to something else, never a lost file.
#[test]
fn providers_that_lie_or_panic() {
    hush_scripted_panics();
    let stage = Stage::new();
    let before = stage.names();
    let answers =
        [Answer::Key([7; 32]), Answer::NotMine, Answer::Panic, Answer::Delay(Duration::from_millis(5))];
    for answer in answers {
        let lying = Kuvert::new(Scripted::new(provider()).yielding(1).always(answer));
        let opened = catching_scripted(|| {
            wait(lying.open_file(stage.path("sealed"), stage.path("opened"), &stage.context))
        });
        let category = opened.map(|result| result.map_err(|error| error.category()).map(drop));
        let expected = match answer {
            Answer::Key(_) => Some(Err(Category::WrongContext)),
            Answer::NotMine => Some(Err(Category::KeyUnavailable)),
            Answer::Panic => None,
            _ => Some(Ok(())),
        };
        assert_eq!(category, expected, "{answer:?}");
        stage.remove_outputs();
        assert_eq!(stage.names(), before, "{answer:?}");
    }
    // A data key that is another than the one that was wrapped: sealed for nobody, and told so when it is opened.
    let lying = Kuvert::new(Scripted::new(provider()).always(Answer::Key([7; 32])));
    let sealed = wait(lying.seal(b"lost", &stage.context)).expect("nothing shows while sealing");
    let refused = wait(kuvert().open(&sealed, &stage.context)).expect_err("another data key");
    assert_eq!(refused.category(), Category::WrongContext);
    // No recipient at all is refused at once.
    let lying = Kuvert::new(Scripted::new(provider()).always(Answer::NoRecipient));
    wait(lying.seal(b"lost", &stage.context)).expect_err("a message for nobody");
    drop(catching_scripted(|| {
        let panics = Kuvert::new(Scripted::new(provider()).always(Answer::Panic));
        wait(panics.seal_file(stage.path("plain"), stage.path("sealed again"), &stage.context)).map(drop)
    }));
    assert_eq!(stage.names(), before);
}

/// The futures may be moved to other threads: services need that.
#[test]
fn the_futures_are_send() {
    fn check<T: Send>(_: T) {}
    let (kuvert, context, start) =
        (kuvert(), context(), MessageStart::parse(&Stage::new().message).expect("whole"));
    check(kuvert.seal(b"", &context));
    check(kuvert.open(b"", &context));
    check(kuvert.sealer(&context));
    check(kuvert.opener(start, &context));
    check(kuvert.new_record_key(&context));
    check(kuvert.load_record_key(b"", &context));
    check(kuvert.seal_file("a", "b", &context));
    check(kuvert.open_file("a", "b", &context));
}

/// A future that wakes an old waker must be found.
#[test]
fn planted_a_lost_wake_up_is_found() {
    let polled = poll_at_most(StaleWaker::default(), 10, Duration::from_millis(50));
    assert!(matches!(polled, Polled::LostWakeUp(2)), "{polled:?}");
    let polled = poll_at_most(std::future::pending::<()>(), 10, Duration::from_millis(50));
    assert!(matches!(polled, Polled::LostWakeUp(1)), "{polled:?}");
}

/// And a file that is made before the key was awaited.
#[test]
fn planted_litter_is_found() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (kuvert, _) = yielding(2);
    let context = context();
    let mut found = 0;
    let (polls, ()) = cancel_at_every_poll(
        || {
            Box::pin(async {
                fs::write(directory.path().join(".kuvert-0.tmp"), b"").expect("a small file");
                kuvert.seal(b"", &context).await.expect("sealing in memory");
                fs::remove_file(directory.path().join(".kuvert-0.tmp")).expect("just made");
            })
        },
        |k| {
            if !names(directory.path()).is_empty() {
                found += 1;
                fs::remove_file(directory.path().join(".kuvert-0.tmp")).expect("found");
            }
            assert!(k == 0 || found > 0, "went unnoticed after {k} polls");
        },
    );
    assert_eq!(found, polls - 1);
}
