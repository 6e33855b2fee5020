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
    // A child that has ended, and was not waited for, can still be sent one.
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

/// Names of this many files, each sealed under the key `k`.
fn many(sandbox: &Sandbox, count: usize) -> Vec<String> {
    sandbox.sealed("0", "x", &[]);
    let names: Vec<String> = (0..count).map(|n| n.to_string()).collect();
    for name in &names[1..] {
        std::fs::copy(sandbox.path("0"), sandbox.path(name)).unwrap();
    }
    names
}

/// Rewraps many files and sends a signal in the midst of them. Gives the sandbox, the files and what came of it.
fn signalled_midway(signal: &str) -> (Sandbox, Vec<String>, std::process::Output) {
    // Where the machine is so fast that it is done before the signal comes, there have to be more files.
    for count in [300, 1000, 4000] {
        let sandbox = crate::rewrap::sealed(&[]);
        let names = many(&sandbox, count);
        let before = sandbox.read("20");
        let mut command = signalled(&sandbox, &rewrap_all(&names));
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until("the twentieth file", || sandbox.read("20") != before);
        send(signal, &child);
        let output = child.wait_with_output().unwrap();
        if output.status.signal().is_some() {
            return (sandbox, names, output);
        }
    }
    panic!("the signal never came in time");
}

fn rewrap_all(names: &[String]) -> Vec<&str> {
    ["rewrap", "-k", "k", "--to", "new"].into_iter().chain(names.iter().map(String::as_str)).collect()
}

#[test]
fn a_signal_stops_rewrapping_between_two_files_and_the_same_call_goes_on() {
    for (number, signal) in [(2, "INT"), (15, "TERM")] {
        let (sandbox, names, output) = signalled_midway(signal);
        assert_eq!(output.status.signal(), Some(number), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        let after = said.split_once("stopped by a signal after ").unwrap().1;
        let (done, rest) = after.split_once(&format!(" of {} files\n", names.len())).unwrap();
        assert!(
            said.contains("stopping when the file at hand is done") && output.stdout.is_empty(),
            "{said}"
        );
        assert!(
            rest.contains(&format!("{done} files rewrapped\n"))
                && rest.contains("run the same command again")
        );
        let done: usize = done.parse().unwrap();
        assert!((20..names.len()).contains(&done), "{said}");
        sandbox.has_nothing_partial();
        // As many as it said are done; the others are as they were.
        let untouched = sandbox.read(names.last().unwrap());
        let is_new = |name: &String| sandbox.read(name) != untouched;
        assert!(names[..done].iter().all(is_new) && !names[done..].iter().any(is_new));
        let ran = sandbox.run(&rewrap_all(&names));
        let sum = format!("{} files rewrapped, {done} unchanged\n", names.len() - done);
        assert_eq!(String::from_utf8_lossy(ran.is_good()), sum);
    }
}

#[test]
fn a_second_signal_stops_in_the_middle_of_a_file() {
    let sandbox = crate::rewrap::sealed(&[]);
    // Written anew, which takes a while.
    std::fs::File::create(sandbox.path("plain")).unwrap().set_len(200_000_000).unwrap();
    sandbox.run(&["seal", "-k", "k", "--layout", "compact", "-o", "big", "plain"]).is_silent();
    let before = sandbox.read("big");
    for _ in 0..5 {
        let mut command = signalled(&sandbox, &["rewrap", "-k", "k", "--to", "new", "big"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until("the temporary file", || {
            is_partial_there(&sandbox) || sandbox.read("big")[..100] != before[..100]
        });
        for signal in ["STOP", "INT", "TERM", "CONT"] {
            send(signal, &child);
        }
        let output = child.wait_with_output().unwrap();
        if !output.status.success() {
            assert!(matches!(output.status.signal(), Some(2 | 15)), "{output:?}");
            assert!(sandbox.read("big") == before && is_partial_there(&sandbox));
            return;
        }
        // It was done before the signals came.
        sandbox.write("big", &before);
    }
    panic!("the signals never came in time");
}
