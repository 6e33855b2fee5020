//! `seal_file`, `open_file` and `AtomicFile` on a real file system.
//!
//! Whatever goes wrong, the output is what it was before, and nothing is left beside it. What a crash leaves is in
//! `crash`, and what each failing file call leaves in the unit tests of `io::AtomicFile`.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kuvert::io::AtomicFile;
use kuvert::provider::{Health, KeyProvider, MemoryProvider, ProviderInfo, WrapContext};
use kuvert::{
    Category, DataKey, EncryptionContext, Kuvert, OpenError, OpenOptions, ProviderError, Recipient,
    SealError, SealOptions,
};

use crate::support::anatomy::CHUNK;
use crate::support::cancel::wait;
use crate::support::fixture::{SIZES, context, kuvert, provider, text};
use crate::support::providers::{Answer, Scripted};

/// A directory with an old output in it.
struct Place(tempfile::TempDir);

const OLD: &[u8] = b"what was there before";

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a working disk");
        path
    }

    fn sealed(&self, name: &str, content: &[u8]) -> PathBuf {
        let plain = self.file(&format!("{name}.plain"), content);
        let sealed = self.path(name);
        wait(kuvert().seal_file(&plain, &sealed, &context())).expect("a working disk");
        sealed
    }

    /// The directory's names and contents: all that there is.
    fn state(&self) -> Vec<(PathBuf, Option<Vec<u8>>)> {
        let entries = fs::read_dir(self.0.path()).expect("a directory");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let mut state: Vec<_> = paths.map(|path| (path.clone(), fs::read(path).ok())).collect();
        state.sort();
        state
    }
}

fn replacing() -> Kuvert {
    kuvert()
        .with_seal_options(SealOptions::default().with_replace_existing(true))
        .with_open_options(OpenOptions::default().with_replace_existing(true))
}

fn seal(kuvert: &Kuvert, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<u64, SealError> {
    wait(kuvert.seal_file(from, to, &context())).map(|report| report.plaintext_len)
}

fn unseal(kuvert: &Kuvert, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<u64, OpenError> {
    wait(kuvert.open_file(from, to, &context())).map(|report| report.plaintext_len)
}

/// The kind of a plain I/O error.
trait Kind {
    fn kind(&self) -> Option<ErrorKind>;
}

impl<T> Kind for Result<T, SealError> {
    fn kind(&self) -> Option<ErrorKind> {
        match self {
            Err(SealError::Io(error)) => Some(error.kind()),
            _ => None,
        }
    }
}

impl<T> Kind for Result<T, OpenError> {
    fn kind(&self) -> Option<ErrorKind> {
        match self {
            Err(OpenError::Io(error)) => Some(error.kind()),
            _ => None,
        }
    }
}

#[test]
fn there_and_back_for_every_size() {
    for len in SIZES {
        let place = Place::new();
        let plain = place.file("plain", &text(len));
        assert_eq!(seal(&kuvert(), &plain, place.path("sealed")).expect("a working disk"), len as u64);
        assert_eq!(unseal(&kuvert(), place.path("sealed"), place.path("opened")).expect("whole"), len as u64);
        assert!(fs::read(place.path("opened")).expect("just made") == text(len), "{len}");
        assert_eq!(place.state().len(), 3, "three files and nothing else");
        let sealed = fs::metadata(place.path("sealed")).expect("just made").len();
        let report =
            wait(kuvert().seal_file(&plain, place.path("again"), &context())).expect("a working disk");
        assert_eq!(report.sealed_len, sealed, "a file's sealed length follows from its length");
    }
}

#[test]
fn an_existing_output_is_kept_unless_it_may_be_replaced() {
    let place = Place::new();
    let plain = place.file("plain", b"new");
    let sealed = place.sealed("sealed", b"new");
    let old = place.file("old", OLD);
    let before = place.state();
    assert_eq!(seal(&kuvert(), &plain, &old).kind(), Some(ErrorKind::AlreadyExists));
    assert_eq!(unseal(&kuvert(), &sealed, &old).kind(), Some(ErrorKind::AlreadyExists));
    assert_eq!(place.state(), before);
    assert_eq!(seal(&replacing(), &plain, &old).expect("may be replaced"), 3);
    assert_eq!(unseal(&replacing(), &sealed, &old).expect("may be replaced"), 3);
    assert_eq!(fs::read(&old).expect("just made"), b"new");
}

/// A key service is not asked for what cannot be stored.
#[test]
fn an_output_that_is_refused_costs_no_key() {
    let place = Place::new();
    let plain = place.file("plain", b"new");
    let sealed = place.sealed("sealed", b"new");
    let old = place.file("old", OLD);
    let asked = Kuvert::new(Scripted::new(provider()).always(Answer::Panic));
    for to in [old.as_path(), place.0.path()] {
        assert!(seal(&asked, &plain, to).kind().is_some());
        assert!(unseal(&asked, &sealed, to).kind().is_some());
    }
}

#[test]
fn what_cannot_be_read_or_written_is_said() {
    let place = Place::new();
    let plain = place.file("plain", b"new");
    let sealed = place.sealed("sealed", b"new");
    fs::create_dir(place.path("directory")).expect("a working disk");
    let before = place.state();
    let kuvert = replacing();
    let (directory, missing) = (place.path("directory"), place.path("missing"));
    assert_eq!(seal(&kuvert, &directory, place.path("out")).kind(), Some(ErrorKind::IsADirectory));
    assert_eq!(unseal(&kuvert, &directory, place.path("out")).kind(), Some(ErrorKind::IsADirectory));
    assert_eq!(seal(&kuvert, &missing, place.path("out")).kind(), Some(ErrorKind::NotFound));
    assert_eq!(unseal(&kuvert, &missing, place.path("out")).kind(), Some(ErrorKind::NotFound));
    assert_eq!(seal(&kuvert, &plain, &directory).kind(), Some(ErrorKind::IsADirectory));
    assert_eq!(unseal(&kuvert, &sealed, &directory).kind(), Some(ErrorKind::IsADirectory));
    assert_eq!(seal(&kuvert, &plain, missing.join("out")).kind(), Some(ErrorKind::NotFound));
    assert_eq!(unseal(&kuvert, &sealed, missing.join("out")).kind(), Some(ErrorKind::NotFound));
    assert_eq!(seal(&kuvert, &plain, plain.join("out")).kind(), Some(ErrorKind::NotADirectory));
    assert!(seal(&kuvert, &plain, "").is_err());
    assert!(seal(&kuvert, &plain, "/").is_err());
    assert!(seal(&kuvert, &plain, place.path("..")).is_err());
    assert_eq!(place.state(), before);
}

/// A bad message, key or context: the old output stays, whole or none, with and without the first pass.
#[test]
fn a_message_that_does_not_open_changes_nothing() {
    let place = Place::new();
    let sealed = place.sealed("sealed", &text(3 * CHUNK + 9));
    let bytes = fs::read(&sealed).expect("just made");
    let old = place.file("old", OLD);
    let mut flipped = bytes.clone();
    *flipped.last_mut().expect("not empty") ^= 1;
    let damaged = [
        ("empty", vec![], Category::Truncated),
        ("foreign", b"PK\x03\x04 and more of a zip file".to_vec(), Category::Malformed),
        ("cut at a chunk", bytes[..bytes.len() - 25].to_vec(), Category::Truncated),
        ("cut in a chunk", bytes[..bytes.len() - 5].to_vec(), Category::Tampered),
        ("cut in the header", bytes[..1000].to_vec(), Category::Truncated),
        ("flipped at the end", flipped, Category::Tampered),
        ("longer", [bytes.clone(), vec![0; 100]].concat(), Category::Tampered),
    ];
    let sources: Vec<_> =
        damaged.into_iter().map(|(name, bytes, category)| (place.file(name, &bytes), category)).collect();
    let before = place.state();
    for (source, category) in sources {
        for verify_first in [true, false] {
            let options = OpenOptions::default().with_replace_existing(true).with_verify_first(verify_first);
            let kuvert = kuvert().with_open_options(options);
            for to in [&old, &place.path("new")] {
                let error = unseal(&kuvert, &source, to).expect_err("damaged");
                assert_eq!(error.category(), category, "{}: {error}", source.display());
                assert_eq!(place.state(), before, "{}", source.display());
            }
        }
    }
    let other_key = Kuvert::new(MemoryProvider::generate("other").expect("a random key"))
        .with_open_options(OpenOptions::default().with_replace_existing(true));
    assert_eq!(unseal(&other_key, &sealed, &old).expect_err("no key").category(), Category::KeyUnavailable);
    let other = EncryptionContext::new([("table", "orders")]).expect("a good pair");
    let error = wait(replacing().open_file(&sealed, &old, &other)).expect_err("another context");
    assert_eq!(error.category(), Category::WrongContext);
    assert_eq!(place.state(), before);
}

/// A damaged message is told before a byte is written: even where nothing could be.
#[test]
fn verified_first_means_before_anything_is_made() {
    let place = Place::new();
    let sealed = place.sealed("sealed", &text(3 * CHUNK + 9));
    let mut bytes = fs::read(&sealed).expect("just made");
    *bytes.last_mut().expect("not empty") ^= 1;
    let damaged = place.file("damaged", &bytes);
    let nowhere = place.path("no such directory").join("out");
    let lazy = kuvert().with_open_options(OpenOptions::default().with_lazy_length(true));
    let error = unseal(&lazy, &damaged, &nowhere).expect_err("damaged");
    assert_eq!(error.category(), Category::Tampered, "{error}");
    for (verify_first, from) in [(true, &sealed), (false, &damaged), (false, &sealed)] {
        // Lazy, or the damaged end would be seen when the length is verified.
        let options = OpenOptions::default().with_verify_first(verify_first).with_lazy_length(true);
        let result = unseal(&kuvert().with_open_options(options), from, &nowhere);
        assert_eq!(result.kind(), Some(ErrorKind::NotFound), "{verify_first}");
    }
}

#[test]
fn one_file_may_be_input_and_output() {
    let place = Place::new();
    let path = place.file("file", &text(CHUNK + 5));
    let before = place.state();
    assert_eq!(seal(&kuvert(), &path, &path).kind(), Some(ErrorKind::AlreadyExists));
    assert_eq!(place.state(), before);
    seal(&replacing(), &path, &path).expect("read to its end before it is replaced");
    assert!(fs::read(&path).expect("there") != text(CHUNK + 5));
    unseal(&replacing(), &path, &path).expect("read to its end before it is replaced");
    assert!(fs::read(&path).expect("there") == text(CHUNK + 5));
    assert_eq!(place.state(), before);
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn outputs_are_for_their_owner_only() {
        let place = Place::new();
        let target = place.file("target", OLD);
        fs::set_permissions(&target, fs::Permissions::from_mode(0o666)).expect("a working disk");
        let mut file = AtomicFile::create(&target, true).expect("a working disk");
        file.write_all(b"secret").expect("a working disk");
        let temporary = file.temporary_path().to_owned();
        let mode = |path: &Path| fs::metadata(path).expect("there").mode() & 0o7777;
        assert_eq!(mode(&temporary), 0o600);
        assert_eq!(temporary.parent(), target.parent(), "a rename across file systems is none");
        let name = temporary.file_name().expect("a file").to_string_lossy().into_owned();
        assert!(name.starts_with(".kuvert-") && name.ends_with(".tmp"), "{name}");
        file.commit().expect("a working disk");
        assert_eq!(mode(&target), 0o600, "plaintext must not become readable by a replaced file's mode");
        unseal(&replacing(), place.sealed("sealed", b"x"), &target).expect("whole");
        assert_eq!(mode(&target), 0o600);
    }

    #[test]
    fn links_are_replaced_and_not_followed() {
        let place = Place::new();
        let plain = place.file("plain", b"new");
        let elsewhere = place.file("elsewhere", OLD);
        symlink(&elsewhere, place.path("link")).expect("a working disk");
        symlink(place.path("nowhere"), place.path("dangling")).expect("a working disk");
        let before = place.state();
        for link in ["link", "dangling"] {
            assert_eq!(
                seal(&kuvert(), &plain, place.path(link)).kind(),
                Some(ErrorKind::AlreadyExists),
                "{link}"
            );
        }
        assert_eq!(place.state(), before);
        for link in ["link", "dangling"] {
            seal(&replacing(), &plain, place.path(link)).expect("may be replaced");
            assert!(fs::symlink_metadata(place.path(link)).expect("there").is_file(), "{link}");
        }
        assert_eq!(fs::read(&elsewhere).expect("there"), OLD);
        assert!(!place.path("nowhere").exists());
        // As an input a link is followed.
        symlink(&plain, place.path("input")).expect("a working disk");
        assert_eq!(seal(&kuvert(), place.path("input"), place.path("from link")).expect("a working disk"), 3);
    }

    #[test]
    fn any_name_will_do() {
        let place = Place::new();
        let long = "n".repeat(255);
        for name in [&b"caf\xe9 \xff\xfe"[..], b" ", b"-rf", b"a\nb", b"\\", long.as_bytes()] {
            let plain = place.path("plain");
            fs::write(&plain, b"new").expect("a working disk");
            let target = place.0.path().join(OsStr::from_bytes(name));
            seal(&kuvert(), &plain, &target).expect("a working disk");
            unseal(&kuvert(), &target, place.path("opened")).expect("whole");
            fs::remove_file(place.path("opened")).expect("just made");
            // And the other way round: as plaintext.
            let sealed = place.path("sealed");
            fs::rename(&target, &sealed).expect("a working disk");
            unseal(&kuvert(), &sealed, &target).expect("whole");
            assert_eq!(fs::read(&target).expect("just made"), b"new");
        }
    }

    #[test]
    fn devices_are_no_output() {
        let place = Place::new();
        let plain = place.file("plain", b"new");
        let sealed = place.sealed("sealed", b"new");
        for device in ["/dev/null", "/dev/full"] {
            assert_eq!(seal(&replacing(), &plain, device).kind(), Some(ErrorKind::InvalidInput), "{device}");
            assert_eq!(
                unseal(&replacing(), &sealed, device).kind(),
                Some(ErrorKind::InvalidInput),
                "{device}"
            );
        }
        // As an input it is a file like any other.
        assert_eq!(seal(&kuvert(), "/dev/null", place.path("nothing")).expect("a working disk"), 0);
    }

    /// Root may read and write everything, so then there is nothing to see.
    #[test]
    fn permissions() {
        let place = Place::new();
        let plain = place.file("plain", b"new");
        let closed = place.path("closed");
        fs::create_dir(&closed).expect("a working disk");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).expect("a working disk");
        if File::create(closed.join("probe")).is_ok() {
            println!("skipped: this user may do anything");
            return;
        }
        assert_eq!(seal(&kuvert(), &plain, closed.join("out")).kind(), Some(ErrorKind::PermissionDenied));
        fs::set_permissions(&plain, fs::Permissions::from_mode(0o000)).expect("a working disk");
        assert_eq!(seal(&kuvert(), &plain, place.path("out")).kind(), Some(ErrorKind::PermissionDenied));
        assert!(!place.path("out").exists());
    }

    /// Tells the child which directory is its own.
    const LIMITED: &str = "KUVERT_TEST_FILE_SIZE_CHILD";

    /// Not a test by itself: runs where no file may grow beyond 32 KiB, as on a disk that is full.
    #[test]
    fn limited_child() {
        let Some(directory) = std::env::var_os(LIMITED).map(PathBuf::from) else { return };
        let (plain, sealed) = (directory.join("plain"), directory.join("sealed"));
        let old = directory.join("old");
        let full = |error: &std::io::Error| error.raw_os_error() == Some(libc::EFBIG);
        for to in [&old, &directory.join("new")] {
            let error = seal(&replacing(), &plain, to).expect_err("no room");
            assert!(matches!(&error, SealError::Io(inner) if full(inner)), "{error:?}");
            let error = unseal(&replacing(), &sealed, to).expect_err("no room");
            assert!(matches!(&error, OpenError::Io(inner) if full(inner)), "{error:?}");
        }
    }

    /// A write that fails for want of room, by the shell's limit on file sizes.
    #[test]
    fn a_full_disk_leaves_the_old_output() {
        let place = Place::new();
        place.sealed("sealed", &text(100_000));
        place.file("plain", &text(100_000));
        place.file("old", OLD);
        let before = place.state();
        let output = std::process::Command::new("sh")
            .args([
                "-c",
                "trap '' XFSZ; ulimit -f 64; exec \"$0\" --exact files::unix::limited_child --nocapture",
            ])
            .arg(std::env::current_exe().expect("this program"))
            .env(LIMITED, place.0.path())
            .output()
            .expect("a shell");
        let told =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.contains("1 passed"), "{told}");
        assert_eq!(place.state(), before, "nothing changed and nothing is left");
    }
}

/// Does something to the file between reading the header and reading the body.
struct Meddler<F>(F);

impl<F> std::fmt::Debug for Meddler<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meddler")
    }
}

#[kuvert::async_trait]
impl<F: Fn() + Send + Sync> KeyProvider for Meddler<F> {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        (self.0)();
        provider().wrap_data_key(key, context).await
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        context: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        (self.0)();
        provider().unwrap_data_key(recipient, context).await
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        provider().check().await
    }

    fn describe(&self) -> ProviderInfo {
        provider().describe()
    }
}

#[test]
fn a_message_that_changes_after_its_header_was_read() {
    let place = Place::new();
    let sealed = place.sealed("sealed", &text(2 * CHUNK + 9));
    let bytes = fs::read(&sealed).expect("just made");
    let len = bytes.len();
    let old = place.file("old", OLD);
    let swapped = wait(kuvert().seal(&text(2 * CHUNK + 9), &context())).expect("in memory");
    let mut other_body = bytes.clone();
    other_body[len - 200..].copy_from_slice(&swapped[swapped.len() - 200..]);
    for (what, changed) in [
        ("shrunk by a byte", bytes[..len - 1].to_vec()),
        ("shrunk by a chunk", bytes[..len - 16_400].to_vec()),
        ("emptied", vec![]),
        ("grown by a byte", [bytes.clone(), vec![0]].concat()),
        ("grown by a chunk", [bytes.clone(), vec![0; 16_400]].concat()),
        ("another end", other_body),
    ] {
        fs::write(&sealed, &bytes).expect("a working disk");
        let meddler = Meddler({
            let sealed = sealed.clone();
            move || fs::write(&sealed, &changed).expect("a working disk")
        });
        let options = OpenOptions::default().with_replace_existing(true);
        let error = unseal(&Kuvert::new(meddler).with_open_options(options), &sealed, &old).expect_err(what);
        assert!(matches!(error.category(), Category::Truncated | Category::Tampered), "{what}: {error}");
        assert_eq!(fs::read(&old).expect("there"), OLD, "{what}");
        assert_eq!(place.state().len(), 3, "{what}: nothing left");
    }
}

/// A plaintext that grows or shrinks while it is sealed: what was read is what is sealed, and it opens.
#[test]
fn a_plaintext_that_changes_while_it_is_sealed() {
    for (before, after) in [(1_000, 50_000), (50_000, 1_000), (50_000, 0), (0, 50_000)] {
        let place = Place::new();
        let plain = place.file("plain", &text(before));
        let meddler = Meddler({
            let plain = plain.clone();
            move || fs::write(&plain, text(after)).expect("a working disk")
        });
        let len = seal(&Kuvert::new(meddler), &plain, place.path("sealed")).expect("a working disk");
        assert_eq!(unseal(&kuvert(), place.path("sealed"), place.path("opened")).expect("whole"), len);
        assert_eq!(len, after as u64, "opened before, read after");
        assert!(fs::read(place.path("opened")).expect("just made") == text(after));
    }
}

/// Somebody writes two messages in turn over the input, in place: old output or whole plaintext, whatever was read.
#[test]
fn a_race_for_the_message() {
    let place = Place::new();
    let texts = [text(40_000), text(90_000)];
    let messages = texts
        .each_ref()
        .map(|text| fs::read(place.sealed(&format!("{}", text.len()), text)).expect("just made"));
    let sealed = place.file("sealed", &messages[0]);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (stop, sealed) = (Arc::clone(&stop), sealed.clone());
        move || {
            for n in (0..2).cycle() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                fs::write(&sealed, &messages[n]).expect("a working disk");
            }
        }
    });
    let (mut opened, mut refused) = (0, 0);
    for _ in 0..300 {
        let target = place.file("target", OLD);
        match unseal(&replacing(), &sealed, &target) {
            Ok(_) => {
                opened += 1;
                let found = fs::read(&target).expect("just made");
                assert!(texts.contains(&found), "{} bytes that nobody sealed", found.len());
            }
            Err(error) => {
                refused += 1;
                assert!(error.category() != Category::Io, "{error}");
                assert_eq!(fs::read(&target).expect("there"), OLD);
            }
        }
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("no panic");
    println!("{opened} opened, {refused} refused");
    assert!(place.state().iter().all(|(path, _)| !path.to_string_lossy().contains(".kuvert-")));
}

/// Many at once for one name: exactly one wins, and the file is whole.
#[test]
fn many_writers_of_one_file() {
    let place = Place::new();
    let target = place.path("target");
    let wins: usize = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8_u8)
            .map(|n| {
                let target = &target;
                scope.spawn(move || {
                    let Ok(mut file) = AtomicFile::create(target, false) else { return 0 };
                    file.write_all(&[n; 100_000]).expect("a working disk");
                    match file.commit() {
                        Ok(()) => 1,
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
                            0
                        }
                    }
                })
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().expect("no panic")).sum()
    });
    assert_eq!(wins, 1);
    let found = fs::read(&target).expect("one won");
    assert!(found.len() == 100_000 && found.iter().all(|byte| *byte == found[0]));
    assert_eq!(place.state().len(), 1, "nothing beside it");
}

#[test]
fn a_file_that_is_dropped_or_left_by_a_panic_never_appears() {
    let place = Place::new();
    let old = place.file("old", OLD);
    let before = place.state();
    for to in [old, place.path("new")] {
        let mut file = AtomicFile::create(&to, true).expect("a working disk");
        file.write_all(b"half").expect("a working disk");
        drop(file);
        assert_eq!(place.state(), before);
        let panicked = std::panic::catch_unwind(|| {
            let mut file = AtomicFile::create(&to, true).expect("a working disk");
            file.write_all(b"half").expect("a working disk");
            std::panic::resume_unwind(Box::new("the caller panics"));
        });
        assert!(panicked.is_err());
        assert_eq!(place.state(), before);
    }
}
