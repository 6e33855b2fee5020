//! Outputs: whole or not at all, never in place of something unasked, and every way in which writing can fail.

use std::process::Stdio;

use crate::sandbox::{PLAIN, Sandbox, plaintext};

#[test]
fn an_existing_output_is_left_alone_without_force() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", PLAIN, &[]);
    sandbox.write("plain", PLAIN);
    sandbox.write("there", "precious");
    for arguments in
        [["seal", "-k", "k", "-o", "there", "plain"], ["open", "-k", "k", "-o", "there", "sealed"]]
    {
        sandbox.run(&arguments).fails_empty(2, &["there exists and was left as it is", "--force"]);
        assert_eq!(sandbox.read("there"), b"precious");
    }
    sandbox.run(&["seal", "-k", "k", "--force", "-o", "there", "plain"]).is_silent();
    sandbox.run(&["open", "-k", "k", "--force", "-o", "plain", "there"]).is_silent();
    assert_eq!(sandbox.read("plain"), PLAIN.as_bytes());
    // Also before the keys are asked for, or an input is read.
    sandbox.run(&["seal", "-k", "absent", "-o", "there", "absent"]).fails_empty(2, &["there exists"]);
}

#[test]
fn a_file_can_be_replaced_by_itself() {
    let sandbox = Sandbox::new();
    let text = plaintext(100_000);
    sandbox.write("file", &text);
    sandbox.run(&["seal", "-k", "k", "--force", "-o", "file", "file"]).is_silent();
    sandbox.run(&["verify", "-k", "k", "file"]).is_good();
    sandbox.run(&["open", "-k", "k", "--force", "-o", "file", "file"]).is_silent();
    assert_eq!(sandbox.read("file"), text);
}

#[cfg(unix)]
#[test]
fn links_and_other_things_in_the_way() {
    let sandbox = Sandbox::new();
    sandbox.write("target", "precious");
    std::os::unix::fs::symlink("target", sandbox.path("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", sandbox.path("dangling")).unwrap();
    std::fs::create_dir(sandbox.path("dir")).unwrap();
    for name in ["link", "dangling"] {
        sandbox.run_with(&["seal", "-k", "k", "-o", name], b"x").fails_empty(2, &["exists"]);
    }
    // A link is replaced, and what it leads to is not touched.
    sandbox.run_with(&["seal", "-k", "k", "--force", "-o", "link"], b"x").is_silent();
    assert!(!sandbox.path("link").is_symlink() && sandbox.read("target") == b"precious");
    for force in [&[][..], &["--force"]] {
        let seal = |out| sandbox.run_with(&[&["seal", "-k", "k", "-o", out], force].concat(), b"x");
        seal("dir").fails_empty(2, &["dir is a directory", "name a file in it"]);
        seal("/dev/null").fails_empty(2, &["/dev/null is not a regular file", "redirect"]);
        seal("no/such/dir/out").fails_empty(1, &["cannot be created", "make the directory first"]);
        seal("target/out").fails_empty(1, &["cannot be created"]);
    }
}

#[cfg(unix)]
#[test]
fn what_is_written_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", PLAIN, &[]);
    sandbox.run(&["open", "-k", "k", "-o", "opened", "sealed"]).is_silent();
    for name in ["sealed", "opened"] {
        assert_eq!(sandbox.path(name).metadata().unwrap().permissions().mode() & 0o7777, 0o600, "{name}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_standard_output() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", plaintext(100_000), &[]);
    for script in ["$KUVERT seal -k k <sealed >/dev/full", "$KUVERT open -k k sealed >/dev/full"] {
        sandbox
            .finish(&mut sandbox.shell(script), &[])
            .fails(1, &["standard output cannot be written: No space left"]);
    }
    for command in [
        "inspect sealed",
        "verify -k k sealed",
        "keygen -o other",
        "man",
        "completions fish",
        "rewrap -k k --to k sealed",
    ] {
        let script = format!("$KUVERT {command} >/dev/full");
        sandbox.finish(&mut sandbox.shell(&script), &[]).fails(1, &["standard output cannot be written"]);
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_grow_leaves_nothing_and_costs_nothing() {
    let sandbox = Sandbox::new();
    let text = plaintext(3_000_000);
    sandbox.write("plain", &text);
    sandbox.sealed("sealed", &text, &[]);
    sandbox.write("there", "precious");
    for arguments in ["seal -k k --force -o there plain", "open -k k --force -o there sealed"] {
        // The limit is in blocks of 512 or 1024 bytes. Without the trap the signal would end the program.
        let script = format!("trap '' XFSZ; ulimit -f 1000; exec $KUVERT {arguments}");
        let ran = sandbox.finish(&mut sandbox.shell(&script), &[]);
        ran.fails_empty(1, &["there cannot be written: File too large"]);
        assert_eq!(sandbox.read("there"), b"precious");
    }
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", plaintext(3_000_000), &[]);
    for arguments in [&["open", "-k", "k", "sealed"][..], &["seal", "-k", "k", "sealed"]] {
        let mut child =
            sandbox.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let ran = sandbox.checked(format!("{arguments:?}"), child.wait_with_output().unwrap());
        assert!(ran.status.code() == Some(1) && ran.err.is_empty(), "{ran:?}");
    }
}

#[test]
fn a_closed_pipe_ends_quietly_where_text_is_written_too() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", PLAIN, &[]);
    for command in ["inspect sealed", "inspect --json sealed", "inspect --keys sealed", "verify -k k sealed"]
    {
        // The reading end is closed before the program starts.
        let script = format!("{{ sleep 0.2; $KUVERT {command}; echo $? >status; }} | true");
        let ran = sandbox.finish(&mut sandbox.shell(&script), &[]);
        assert!(ran.err.is_empty(), "{ran:?}");
        assert_eq!(sandbox.read("status"), b"1\n", "{command}");
    }
}

#[cfg(unix)]
#[test]
fn closed_standard_streams_do_no_harm() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", PLAIN, &[]);
    // A closed descriptor must not become the one of a file that is opened later.
    for script in ["$KUVERT open -k k sealed >&-", "$KUVERT open -k k -o opened --force sealed <&- >&- 2>&-"]
    {
        let status = sandbox.shell(script).status().unwrap();
        assert!(status.code().is_some(), "{script}: {status}");
        sandbox.has_nothing_partial();
    }
    assert_eq!(sandbox.read("opened"), PLAIN.as_bytes());
}
