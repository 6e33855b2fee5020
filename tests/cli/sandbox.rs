//! A directory of its own for each test, and runs of the program in it that are checked whatever they do.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output, Stdio};

use kuvert::provider::KeyFile;
use tempfile::TempDir;

/// Stands in plaintexts. Must never be on standard error.
pub(crate) const PLAIN: &str = "plaintext-marker-e41b";
/// Stands in values of context pairs. Must never be on standard error.
pub(crate) const VALUE: &str = "value-marker-70c2";

/// A temporary directory with the key file `k`.
pub(crate) struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        let sandbox = Self { dir: tempfile::tempdir().unwrap() };
        sandbox.add_key("k", "main");
        sandbox
    }

    pub(crate) fn add_key(&self, file: &str, id: &str) {
        KeyFile::generate(Some(id)).unwrap().write_new(&self.path(file)).unwrap();
    }

    pub(crate) fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.dir.path().join(name.as_ref())
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// Names of everything in the directory, sorted.
    pub(crate) fn listing(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Seals a plaintext into the file `name` with the key `k` and further arguments.
    pub(crate) fn sealed(&self, name: &str, plaintext: impl AsRef<[u8]>, more: &[&str]) {
        let arguments = [&["seal", "-k", "k", "-o", name], more].concat();
        self.run_with(&arguments, plaintext.as_ref()).is_silent();
    }

    /// The program in this directory, without any of our environment's keys.
    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kuvert"));
        command.args(arguments).current_dir(self.dir.path()).env_remove("KUVERT_KEYS").stdin(Stdio::null());
        command
    }

    /// A shell in this directory, in which `$KUVERT` is the program.
    pub(crate) fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env_remove("KUVERT_KEYS").env("KUVERT", env!("CARGO_BIN_EXE_kuvert"));
        command
    }

    /// Runs the program with nothing on standard input.
    pub(crate) fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Ran {
        self.finish(&mut self.command(arguments), &[])
    }

    /// Runs the program with these bytes on standard input.
    pub(crate) fn run_with<A: AsRef<OsStr>>(&self, arguments: &[A], input: &[u8]) -> Ran {
        self.finish(&mut self.command(arguments), input)
    }

    /// Runs a prepared command and checks what holds for every run.
    pub(crate) fn finish(&self, command: &mut Command, input: &[u8]) -> Ran {
        let called = format!("{command:?}");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let input = input.to_vec();
        // The program may end without having read it all.
        let feed = std::thread::spawn(move || drop(pipe.write_all(&input)));
        let ran = self.checked(called, child.wait_with_output().unwrap());
        feed.join().unwrap();
        ran
    }

    /// The rules of every run.
    pub(crate) fn checked(&self, called: String, output: Output) -> Ran {
        let Output { status, stdout, stderr } = output;
        let ran = Ran { called, status, out: stdout, err: String::from_utf8(stderr).unwrap() };
        for secret in self.key_texts().iter().map(String::as_str).chain([PLAIN, VALUE]) {
            assert!(!ran.err.contains(secret), "a secret on standard error: {ran:?}");
        }
        for key in self.key_texts() {
            assert!(!String::from_utf8_lossy(&ran.out).contains(&key), "a key on standard output: {ran:?}");
        }
        assert!(ran.err.chars().all(|c| !c.is_control() || c == '\n'), "control characters: {ran:?}");
        assert!(!ran.err.contains("panicked"), "{ran:?}");
        self.has_nothing_partial();
        ran
    }

    pub(crate) fn has_nothing_partial(&self) {
        let partial: Vec<_> =
            self.listing().into_iter().filter(|name| name.starts_with(".kuvert-")).collect();
        assert!(partial.is_empty(), "left behind: {partial:?}");
    }

    /// Of each key in each key file here, the first 16 characters, which are key and nothing else.
    fn key_texts(&self) -> Vec<String> {
        let paths = self.listing().into_iter().map(|name| self.path(name)).filter(|path| path.is_file());
        let files = paths.filter_map(|path| fs::read_to_string(path).ok());
        let lines: Vec<String> =
            files.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        let keys = lines.iter().filter_map(|line| line.strip_prefix("kuvert-key-v1:")?.rsplit_once(':'));
        keys.filter_map(|(_, key)| key.get(..16)).map(str::to_owned).collect()
    }
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Shown where an expectation fails.
    #[allow(dead_code, reason = "read by `Debug` only")]
    called: String,
    pub(crate) status: ExitStatus,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Ran {
    /// Ended with this status, and says each of these.
    #[track_caller]
    pub(crate) fn fails(&self, status: i32, says: &[&str]) {
        assert_eq!(self.status.code(), Some(status), "{self:#?}");
        for text in says {
            assert!(self.err.contains(text), "does not say {text:?}: {self:#?}");
        }
        assert!(self.err.starts_with("kuvert: ") || self.err.starts_with("error: "), "{self:#?}");
    }

    /// Ended with this status, and has written nothing of the result.
    #[track_caller]
    pub(crate) fn fails_empty(&self, status: i32, says: &[&str]) {
        self.fails(status, says);
        assert!(self.out.is_empty(), "{self:#?}");
    }

    /// Ended well, without a word on standard error.
    #[track_caller]
    pub(crate) fn is_good(&self) -> &[u8] {
        assert!(self.status.success() && self.err.is_empty(), "{self:#?}");
        &self.out
    }

    /// Ended well, without a word at all.
    #[track_caller]
    pub(crate) fn is_silent(&self) {
        assert!(self.is_good().is_empty(), "{self:#?}");
    }

    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }
}

/// Arguments of one command line, of whatever kind of string.
pub(crate) fn words<const N: usize>(words: [&dyn AsRef<OsStr>; N]) -> Vec<OsString> {
    words.iter().map(|word| word.as_ref().to_owned()).collect()
}

/// Plaintext of this length in which every place is different, beginning with the marker.
pub(crate) fn plaintext(len: usize) -> Vec<u8> {
    let numbers = (0u64..).flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    PLAIN.bytes().chain(numbers).take(len).collect()
}

/// Whether a part is there; if it is not, and `KUVERT_TEST_REQUIRE` lists it, the test fails.
pub(crate) fn has_part(name: &str, is_there: bool) -> bool {
    let required = std::env::var("KUVERT_TEST_REQUIRE").unwrap_or_default();
    assert!(
        is_there || !required.split(',').any(|part| part == name),
        "{name} is required and was not found"
    );
    if !is_there {
        println!("skipped: there is no {name}");
    }
    is_there
}

/// Each rule of every run finds what it is there for.
#[test]
fn the_rules_of_every_run_are_kept_up() {
    let sandbox = Sandbox::new();
    let breaks = |script: &str| {
        let mut command = sandbox.shell(script);
        let ran = std::panic::AssertUnwindSafe(|| sandbox.finish(&mut command, &[]));
        std::panic::catch_unwind(ran).is_err()
    };
    assert!(!breaks("echo fine; echo fine >&2"));
    for script in [
        "grep kuvert-key k",
        "grep -o '[^:]*$' k >&2",
        &format!("echo {PLAIN} >&2"),
        &format!("echo said {VALUE} >&2"),
        "printf '\\033[31m' >&2",
        "echo \"thread 'main' panicked at\" >&2",
        "touch .kuvert-0123456789abcdef.tmp",
    ] {
        assert!(breaks(script), "{script}");
    }
}
