//! The independent reader and writer in Python: one process a test, one request and one answer a line.
//!
//! The requests are listed in `tests/python/batch.py`. Where no interpreter with the package `cryptography` is found,
//! the test is skipped and says so, unless `KUVERT_TEST_REQUIRE` names `python`: then it fails.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

/// A running interpreter. Ended when dropped.
pub struct Python {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Python {
    /// Starts the interpreter for the test named `test`, or says that the test is skipped.
    pub fn start(test: &str) -> Option<Self> {
        let interpreter = required(test)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/batch.py");
        let mut child = Command::new(interpreter)
            .args(["-B".as_ref(), script.as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter was just asked for its package");
        let (requests, answers) = (child.stdin.take(), child.stdout.take().expect("piped"));
        Some(Self { child, requests, answers: BufReader::new(answers) })
    }

    /// Has one request carried out. Panics if it could not be, which is a bug of the test and no verdict.
    pub fn ask(&mut self, request: &Value) -> Value {
        let requests = self.requests.as_mut().expect("open until dropped");
        writeln!(requests, "{request}").expect("the interpreter reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the interpreter writes");
        let answer: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("{request}: answered {line:?}"));
        assert!(answer.get("error").is_none(), "{request}: {answer}");
        answer
    }

    /// [`ask`](Self::ask), of which the answer must be a success.
    pub fn ask_ok(&mut self, request: &Value) -> Value {
        let answer = self.ask(request);
        assert_eq!(answer["category"], "ok", "{request}: {answer}");
        answer
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.requests.take());
        drop(self.child.wait());
    }
}

/// The interpreter with its package, or says that the test named `test` is skipped.
pub fn required(test: &str) -> Option<PathBuf> {
    let interpreter = interpreter();
    if has_cryptography(&interpreter) {
        return Some(interpreter);
    }
    let missing = format!("{} with cryptography 50 is missing: run tests/run", interpreter.display());
    let required = env::var("KUVERT_TEST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|part| part.trim() == "python"), "{test}: {missing}");
    println!("{test}: skipped, {missing}");
    None
}

/// `KUVERT_TEST_PYTHON`, or the virtual environment that `tests/run` makes under the target directory.
pub fn interpreter() -> PathBuf {
    env::var_os("KUVERT_TEST_PYTHON").map_or_else(
        || {
            let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
            Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join("venv/bin/python")
        },
        PathBuf::from,
    )
}

fn has_cryptography(interpreter: &Path) -> bool {
    let asked = Command::new(interpreter)
        .args(["-c", "import cryptography.cobblestone"])
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}
