//! Signals in the middle of the work: nothing partial stays behind, and nothing that was there is lost.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::sandbox::{Sandbox, plaintext};

const SIGNALS: [(i32, &str); 3] = [(1, "HUP"), (2, "INT"), (15, "TERM")];

fn is_partial_there(sandbox: &Sandbox) -> bool {
    sandbox.listing().iter().any(|name| name.starts_with(".kuvert-"))
}

/// Waits for what has to come; a test that hangs here says what for.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let came = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        is_so()
    });
    assert!(came, "{what} did not come about");
}

/// The program with signals as a shell in the foreground hands them on. Whatever runs the tests may ignore some, as
/// shells have their background commands do, and what is ignored stays so.
fn signalled(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let program = sandbox.command(arguments);
    if !cfg!(target_os = "linux") {
        return program;
    }
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP,INT,TERM").arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.current_dir(program.get_current_dir().expect("a sandbox is a directory"));
    command.stdin(Stdio::null());
    command
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn a_signal_removes_what_is_not_complete() {
    for (number, signal) in SIGNALS {
        let sandbox = Sandbox::new();
        sandbox.write("out", "precious");
        let mut command = signalled(&sandbox, &["seal", "-k", "k", "--force", "-o", "out"]);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // More than is buffered, so that some of it is in the file; and no end.
        let mut input = child.stdin.take().unwrap();
        input.write_all(&plaintext(2_000_000)).unwrap();
        wait_until("the temporary file", || is_partial_there(&sandbox));
        send(signal, &child);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.signal(), Some(number), "{signal}: {output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        sandbox.has_nothing_partial();
        assert_eq!(sandbox.read("out"), b"precious", "{signal}");
        drop(input);
    }
}

#[test]
fn a_signal_removes_both_files_of_a_detached_message() {
    let sandbox = Sandbox::new();
    let mut command = signalled(&sandbox, &["seal", "-k", "k", "--layout", "detached", "-o", "out"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // Held open, or the message would be complete.
    let input = child.stdin.take();
    let partial = || sandbox.listing().iter().filter(|name| name.starts_with(".kuvert-")).count();
    wait_until("both temporary files", || partial() == 2);
    send("TERM", &child);
    assert_eq!(child.wait_with_output().unwrap().status.signal(), Some(15));
    assert_eq!(sandbox.listing(), ["k"]);
    drop(input);
}

#[test]
fn a_signal_ends_the_command_that_is_being_sealed() {
    let sandbox = Sandbox::new();
    let script = "echo $$ >pid.new && mv pid.new pid; exec sleep 1000";
    let arguments = ["seal", "-k", "k", "-o", "out", "--", "sh", "-c", script];
    let child = signalled(&sandbox, &arguments).spawn().unwrap();
    wait_until("the command", || sandbox.exists("pid"));
    let pid = String::from_utf8(sandbox.read("pid")).unwrap();
    send("TERM", &child);
    assert_eq!(child.wait_with_output().unwrap().status.signal(), Some(15));
    // Whoever inherits the orphan reaps it; until then it is a zombie.
    let state =
        || std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat")).unwrap_or_default();
    wait_until("the end of the command", || state().is_empty() || state().contains(") Z "));
    sandbox.has_nothing_partial();
    assert!(!sandbox.exists("out"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_that_is_to_be_ignored_is_ignored() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.shell("trap '' HUP; exec $KUVERT seal -k k -o out");
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"before, ").unwrap();
    wait_until("the temporary file", || is_partial_there(&sandbox));
    send("HUP", &child);
    std::thread::sleep(Duration::from_millis(100));
    input.write_all(b"after").unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
    assert_eq!(sandbox.run(&["open", "-k", "k", "out"]).is_good(), b"before, after");
}
