//! `seal … -- COMMAND`: a dump that dies midway never becomes a valid backup.

use crate::sandbox::{PLAIN, Sandbox};

/// Seals a shell script's output into `out`, beside an older `kept` that another run may replace.
fn seal(sandbox: &Sandbox, script: &str) -> crate::sandbox::Ran {
    sandbox.run(&["seal", "-k", "k", "-o", "out", "--", "sh", "-c", script])
}

#[test]
fn output_of_a_command_that_ends_well_is_sealed() {
    let sandbox = Sandbox::new();
    seal(&sandbox, "echo one; sleep 0.1; echo two").is_silent();
    assert_eq!(sandbox.run(&["open", "-k", "k", "out"]).is_good(), b"one\ntwo\n");
    // Its standard input is ours, its standard error too.
    let ran = sandbox.run_with(&["seal", "-k", "k", "--", "cat"], PLAIN.as_bytes());
    assert_eq!(sandbox.run_with(&["open", "-k", "k"], ran.is_good()).is_good(), PLAIN.as_bytes());
    let ran = sandbox.run(&["seal", "-k", "k", "-o", "told", "--", "sh", "-c", "echo progress >&2"]);
    assert!(ran.status.success() && ran.err == "progress\n", "{ran:?}");
}

#[test]
fn arguments_of_the_command_are_its_own() {
    let sandbox = Sandbox::new();
    let arguments = ["seal", "-k", "k", "-o", "out", "--", "printf", "%s|", "-k", "--force", "a b", "--"];
    sandbox.run(&arguments).is_silent();
    assert_eq!(sandbox.run(&["open", "-k", "k", "out"]).is_good(), b"-k|--force|a b|--|");
}

#[test]
fn a_command_that_fails_leaves_nothing() {
    let sandbox = Sandbox::new();
    for (script, says) in [
        ("exit 3", "the command sh ended with exit status 3"),
        ("echo half a dump; exit 1", "ended with exit status 1"),
        ("head -c 2000000 /dev/zero; exit 255", "ended with exit status 255"),
        ("echo half; kill -9 $$", "was killed by signal 9"),
        ("echo half; kill -15 $$", "was killed by signal 15"),
        // Says that it is done, and is not.
        ("echo half; exec >&-; sleep 0.2; exit 9", "ended with exit status 9"),
    ] {
        seal(&sandbox, script).fails_empty(1, &[says, "nothing was sealed"]);
        assert!(!sandbox.exists("out"), "{script}");
    }
}

#[test]
fn a_command_that_fails_does_not_cost_the_last_good_backup() {
    let sandbox = Sandbox::new();
    sandbox.sealed("out", PLAIN, &[]);
    let before = sandbox.read("out");
    let ran = sandbox.run(&["seal", "-k", "k", "--force", "-o", "out", "--", "sh", "-c", "echo x; exit 1"]);
    ran.fails_empty(1, &["exit status 1"]);
    assert_eq!(sandbox.read("out"), before);
}

#[test]
fn on_standard_output_a_failed_command_leaves_no_valid_message() {
    let sandbox = Sandbox::new();
    for size in [0, 100, 16_384, 1_000_000] {
        let script = format!("head -c {size} /dev/zero; exit 1");
        let ran = sandbox.run(&["seal", "-k", "k", "--", "sh", "-c", &script]);
        ran.fails(1, &["exit status 1"]);
        let opened = sandbox.run_with(&["open", "-k", "k"], &ran.out);
        assert_eq!(opened.status.code(), Some(4), "{size}: {}", opened.err);
    }
}

#[test]
fn a_command_that_cannot_be_started() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["seal", "-k", "k", "-o", "out", "--", "no-such-program", "x"]);
    ran.fails_empty(2, &["the command no-such-program cannot be started", "No such file"]);
    sandbox.write("plain", "x");
    let ran = sandbox.run(&["seal", "-k", "k", "-o", "out", "--", "./plain"]);
    ran.fails_empty(2, &["cannot be started", "Permission denied"]);
    sandbox
        .run(&["seal", "-k", "k", "-o", "out", "plain", "--", "true"])
        .fails_empty(2, &["cannot be used with"]);
    assert!(!sandbox.exists("out"));
}

#[test]
fn no_command_is_started_for_an_output_that_cannot_be() {
    let sandbox = Sandbox::new();
    sandbox.write("out", "there");
    for arguments in
        [&["-k", "k", "-o", "out"][..], &["-k", "k", "-o", "no/such"], &["-k", "absent", "-o", "new"]]
    {
        let arguments = [&["seal"], arguments, &["--", "touch", "started"]].concat();
        assert!(!sandbox.run(&arguments).status.success());
    }
    assert!(!sandbox.exists("started") && sandbox.read("out") == b"there");
}

#[cfg(unix)]
#[test]
fn the_command_is_killed_and_reaped_when_sealing_fails() {
    let sandbox = Sandbox::new();
    // Standard output is closed after a few bytes, and the command would go on forever.
    let script = "$KUVERT seal -k k -- sh -c 'echo $$ >pid; exec yes' | head -c 1 >/dev/null";
    assert!(sandbox.shell(script).status().unwrap().success());
    let pid = String::from_utf8(sandbox.read("pid")).unwrap();
    // The pipeline may end a moment before the program in it does.
    let is_gone = || !std::path::Path::new("/proc").join(pid.trim()).exists();
    let gone = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        is_gone()
    });
    assert!(gone, "the command still runs");
}
