//! Inputs that are not what they should be: the status, the next step, no partial output, no lost original.

use crate::sandbox::{PLAIN, Sandbox, plaintext};

/// Opens `bytes` as a file and as a stream, into a new file and over an existing one: always refused alike.
fn is_refused(sandbox: &Sandbox, bytes: &[u8], status: i32, says: &[&str]) {
    sandbox.write("bad", bytes);
    sandbox.write("original", "original");
    sandbox.run(&["open", "-k", "k", "-o", "opened", "bad"]).fails_empty(status, says);
    sandbox.run(&["open", "-k", "k", "-o", "opened", "--stream", "bad"]).fails_empty(status, says);
    sandbox.run(&["open", "-k", "k", "--force", "-o", "original", "bad"]).fails_empty(status, says);
    sandbox.run_with(&["open", "-k", "k", "--force", "-o", "original"], bytes).fails_empty(status, says);
    sandbox.run(&["verify", "-k", "k", "bad"]).fails_empty(status, says);
    assert!(!sandbox.exists("opened"));
    assert_eq!(sandbox.read("original"), b"original");
    assert_eq!(sandbox.read("bad"), bytes);
}

#[test]
fn foreign_files() {
    let sandbox = Sandbox::new();
    for bytes in
        [&b"PK\x03\x04 zip"[..], b"hello\n", &[0; 5000], b"\x89PNG\r\n\x1a\n", b"age-encryption.org/v1\n"]
    {
        is_refused(&sandbox, bytes, 3, &["not a well-formed kuvert message", "is it the right file"]);
    }
}

#[test]
fn an_empty_input() {
    let sandbox = Sandbox::new();
    is_refused(&sandbox, b"", 4, &["truncated", "not complete", "fetch it again"]);
}

#[test]
fn text_mode_transfer() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", PLAIN, &[]);
    let sealed = sandbox.read("sealed");
    assert_eq!(&sealed[4..6], b"\r\n");
    let damaged = [&sealed[..4], &sealed[5..]].concat();
    is_refused(&sandbox, &damaged, 3, &["text-mode transfer"]);
}

#[test]
fn a_newer_version() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", PLAIN, &[]);
    let mut newer = sandbox.read("sealed");
    newer[8] = 2;
    is_refused(&sandbox, &newer, 3, &["unsupported", "newer kuvert"]);
}

#[test]
fn truncated_downloads() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", plaintext(100_000), &[]);
    let sealed = sandbox.read("sealed");
    for len in
        [5, 31, 2000, 4100, 4152, 4152 + 16_400, 4152 + 3 * 16_400, sealed.len() - 100_000 % 16_384 - 16]
    {
        is_refused(&sandbox, &sealed[..len], 4, &["truncated", "compare its size", "fetch it again"]);
    }
    // Where the length is not impossible, only the last chunk can tell.
    is_refused(&sandbox, &sealed[..sealed.len() - 1], 4, &["tampered with or damaged", "another copy"]);
}

#[test]
fn damaged_files() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", plaintext(100_000), &[]);
    let sealed = sandbox.read("sealed");
    // The first chunk, one in the middle, the last one, and something behind the end.
    for at in [4152, 60_000, sealed.len() - 1] {
        let mut damaged = sealed.clone();
        damaged[at] ^= 0x10;
        is_refused(&sandbox, &damaged, 4, &["tampered with or damaged", "fetch another copy"]);
    }
    is_refused(&sandbox, &[&sealed[..], &[0; 100]].concat(), 4, &["another copy"]);
    // Of a slot's MAC: nobody else's list of keys is taken for the right one.
    let mut damaged = sealed.clone();
    damaged[2040] ^= 1;
    is_refused(&sandbox, &damaged, 4, &["tampered with"]);
}

#[test]
fn a_damaged_file_is_found_before_anything_is_written_and_only_a_stream_gives_out_the_good_part() {
    let sandbox = Sandbox::new();
    let text = plaintext(100_000);
    sandbox.sealed("sealed", &text, &[]);
    let mut damaged = sandbox.read("sealed");
    *damaged.last_mut().unwrap() ^= 1;
    sandbox.write("bad", &damaged);
    sandbox.run(&["open", "-k", "k", "bad"]).fails_empty(4, &["tampered"]);
    for ran in [
        sandbox.run(&["open", "-k", "k", "--stream", "bad"]),
        sandbox.run_with(&["open", "-k", "k"], &damaged),
    ] {
        ran.fails(4, &["tampered"]);
        assert_eq!(ran.out, text[..ran.out.len()]);
        assert!(ran.out.len() <= 6 * 16_384);
    }
}

#[test]
fn a_file_that_is_degraded_opens_with_a_warning() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", PLAIN, &[]);
    let mut degraded = sandbox.read("sealed");
    // Into the second slot, which is empty.
    degraded[3000] = 1;
    sandbox.write("bad", &degraded);
    let ran = sandbox.run(&["open", "-k", "k", "bad"]);
    assert!(ran.status.success() && ran.out == PLAIN.as_bytes(), "{ran:?}");
    assert!(ran.err.contains("warning: bad: degraded") && ran.err.contains("copy the file"), "{ran:?}");
}

#[test]
fn a_directory_as_input() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("dir")).unwrap();
    let ran = sandbox.run(&["seal", "-k", "k", "-o", "out", "dir"]);
    ran.fails_empty(2, &["dir is a directory", "tar -c"]);
    assert!(!sandbox.exists("out"));
    for arguments in [&["open", "-k", "k", "dir"][..], &["verify", "-k", "k", "dir"], &["inspect", "dir"]] {
        sandbox.run(arguments).fails_empty(2, &["dir is a directory"]);
    }
    let ran = sandbox.finish(&mut sandbox.shell("exec $KUVERT seal -k k -o out <dir"), &[]);
    ran.fails_empty(2, &["standard input is a directory"]);
}

#[test]
fn a_file_that_is_not_there() {
    let sandbox = Sandbox::new();
    for arguments in [
        &["seal", "-k", "k", "-o", "out", "absent"][..],
        &["open", "-k", "k", "-o", "out", "absent"],
        &["verify", "-k", "k", "absent"],
        &["inspect", "absent"],
        &["open", "-k", "k", "--header", "absent", "k"],
    ] {
        sandbox.run(arguments).fails_empty(1, &["absent cannot be read: No such file"]);
    }
    assert!(!sandbox.exists("out"));
}

#[test]
fn nothing_to_seal_is_sealed() {
    let sandbox = Sandbox::new();
    sandbox.run(&["seal", "-k", "k", "-o", "empty.kvt"]).is_silent();
    assert_eq!(sandbox.run(&["open", "-k", "k", "empty.kvt"]).is_good(), b"");
    let ran = sandbox.run(&["verify", "-k", "k", "empty.kvt"]);
    assert!(ran.text().contains("0 bytes of plaintext"), "{ran:?}");
}

#[test]
fn an_input_that_fails_midway() {
    let sandbox = Sandbox::new();
    // A directory cannot be told from a file behind a pipe's name; a process's own memory cannot be read from 0 on.
    if !cfg!(target_os = "linux") {
        return;
    }
    let ran = sandbox.run(&["seal", "-k", "k", "-o", "out", "/proc/self/mem"]);
    ran.fails_empty(1, &["/proc/self/mem cannot be read: "]);
    assert!(!sandbox.exists("out"));
}
