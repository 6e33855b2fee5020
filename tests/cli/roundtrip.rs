//! What is sealed opens: through files and pipes, in every layout, at every size around a chunk.

use crate::sandbox::{PLAIN, Sandbox, plaintext, words};

const CHUNK: usize = 16_384;
const SIZES: [usize; 9] = [0, 1, 15, 16, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 40 * CHUNK + 7];

#[test]
fn files_of_every_size_and_layout() {
    let sandbox = Sandbox::new();
    for layout in ["compact", "rewrappable"] {
        for size in SIZES {
            let text = plaintext(size);
            sandbox.write("plain", &text);
            sandbox
                .run(&["seal", "-k", "k", "--layout", layout, "--force", "-o", "sealed", "plain"])
                .is_silent();
            sandbox.run(&["open", "-k", "k", "--force", "-o", "opened", "sealed"]).is_silent();
            assert_eq!(sandbox.read("opened"), text, "{layout}, {size} bytes");
            assert_eq!(sandbox.read("plain"), text);
        }
    }
}

#[test]
fn pipes_of_every_size() {
    let sandbox = Sandbox::new();
    for size in SIZES {
        let text = plaintext(size);
        let sealed = sandbox.run_with(&["seal", "-k", "k"], &text).is_good().to_vec();
        assert_eq!(sandbox.run_with(&["open", "-k", "k"], &sealed).is_good(), text, "{size} bytes");
        assert_eq!(sandbox.run_with(&["open", "-k", "k", "--stream", "-"], &sealed).is_good(), text);
        sandbox.write("sealed", sealed);
        assert_eq!(sandbox.run(&["open", "-k", "k", "sealed"]).is_good(), text);
        assert_eq!(sandbox.run(&["open", "-k", "k", "--stream", "sealed", "-o", "-"]).is_good(), text);
    }
}

#[cfg(unix)]
#[test]
fn redirected_files_are_files() {
    let sandbox = Sandbox::new();
    let text = plaintext(3 * CHUNK);
    sandbox.sealed("sealed", &text, &[]);
    // From the start of a file, as if it had been named; the first pass finds the damage.
    let opened = sandbox.finish(&mut sandbox.shell("$KUVERT open -k k <sealed"), &[]);
    assert_eq!(opened.is_good(), text);
    let mut damaged = sandbox.read("sealed");
    *damaged.last_mut().unwrap() ^= 1;
    sandbox.write("damaged", &damaged);
    sandbox.finish(&mut sandbox.shell("$KUVERT open -k k <damaged"), &[]).fails_empty(4, &["standard input"]);
    // From somewhere in the middle of one.
    let mut behind = b"something else\n".to_vec();
    behind.extend(sandbox.read("sealed"));
    sandbox.write("behind", &behind);
    let opened =
        sandbox.finish(&mut sandbox.shell("{ head -c 15 >/dev/null; $KUVERT open -k k; } <behind"), &[]);
    // `head` may take more than it gives out, in which case there is nothing to test here.
    assert!(opened.out == text || opened.status.code() != Some(0));
}

#[test]
fn a_named_pipe_is_a_stream() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", PLAIN, &[]);
    let script = "mkfifo pipe && { cat sealed >pipe & $KUVERT open -k k pipe; }";
    assert_eq!(sandbox.finish(&mut sandbox.shell(script), &[]).is_good(), PLAIN.as_bytes());
}

#[test]
fn ranges_are_half_open() {
    let sandbox = Sandbox::new();
    let text = plaintext(3 * CHUNK + 100);
    sandbox.sealed("sealed", &text, &[]);
    let len = text.len();
    for (start, end) in
        [(0, 0), (0, 1), (5, 9), (CHUNK - 1, CHUNK + 1), (100, 3 * CHUNK), (0, len), (len, len)]
    {
        let range = format!("{start}..{end}");
        let opened = sandbox.run(&["open", "-k", "k", "--range", &range, "sealed"]);
        assert_eq!(opened.is_good(), &text[start..end], "{range}");
    }
    sandbox.run(&["open", "-k", "k", "--range", "7..11", "-o", "part", "sealed"]).is_silent();
    assert_eq!(sandbox.read("part"), &text[7..11]);
}

#[test]
fn wrong_ranges_are_usage_errors() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", plaintext(100), &[]);
    for range in ["0..101", "101..101", "50..18446744073709551615"] {
        let ran = sandbox.run(&["open", "-k", "k", "--range", range, "-o", "part", "sealed"]);
        ran.fails_empty(2, &["the plaintext has 100 bytes"]);
    }
    for range in ["", "5", "..", "5..", "..5", "a..b", "-1..5", "+1..5", "1...5", "0..99999999999999999999"] {
        let ran = sandbox.run(&["open", "-k", "k", &format!("--range={range}"), "-o", "part", "sealed"]);
        ran.fails_empty(2, &["--range is START..END"]);
    }
    sandbox.run(&["open", "-k", "k", "--range", "9..5", "sealed"]).fails_empty(2, &["starts behind its end"]);
    let sealed = sandbox.read("sealed");
    sandbox.run_with(&["open", "-k", "k", "--range", "0..5"], &sealed).fails_empty(2, &["needs a file"]);
    assert!(!sandbox.exists("part"));
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf8_work_and_are_shown_escaped() {
    use std::os::unix::ffi::OsStrExt as _;
    let sandbox = Sandbox::new();
    let name = std::ffi::OsStr::from_bytes(b"na\xff\x1b[2Jme");
    let (plain, opened) = (sandbox.path("plain"), sandbox.path("opened"));
    sandbox.write("plain", PLAIN);
    sandbox.run(&words([&"seal", &"-k", &"k", &"-o", &name, &plain])).is_silent();
    sandbox.run(&words([&"open", &"-k", &"k", &"-o", &opened, &name])).is_silent();
    assert_eq!(sandbox.read("opened"), PLAIN.as_bytes());
    let ran = sandbox.run(&words([&"inspect", &name]));
    assert!(ran.text().starts_with("na\u{fffd}\\u{1b}[2Jme\n"), "{ran:?}");
    std::fs::write(sandbox.path(name), b"foreign").unwrap();
    sandbox.run(&words([&"open", &"-k", &"k", &name])).fails_empty(3, &["na\u{fffd}\\u{1b}[2Jme: not a"]);
}

#[test]
fn keys_come_from_several_files_and_from_the_environment() {
    let sandbox = Sandbox::new();
    sandbox.add_key("new", "newer");
    sandbox.sealed("old.kvt", PLAIN, &[]);
    sandbox.run_with(&["seal", "-k", "new", "-o", "new.kvt"], PLAIN.as_bytes()).is_silent();
    for file in ["old.kvt", "new.kvt"] {
        assert_eq!(sandbox.run(&["open", "-k", "file:new", "--key", "k", file]).is_good(), PLAIN.as_bytes());
        let keys = format!(" \t{}\n file:k ", sandbox.path("new").display());
        let ran = sandbox.finish(sandbox.command(&["open", file]).env("KUVERT_KEYS", keys), &[]);
        assert_eq!(ran.is_good(), PLAIN.as_bytes());
    }
    // -k stands in place of the variable, and is not added to it.
    let ran = sandbox.finish(sandbox.command(&["open", "-k", "k", "new.kvt"]).env("KUVERT_KEYS", "new"), &[]);
    ran.fails_empty(6, &["\"newer\"", "keys given: main"]);
}

#[test]
fn one_key_file_may_hold_several_keys() {
    let sandbox = Sandbox::new();
    sandbox.sealed("old.kvt", PLAIN, &[]);
    sandbox.add_key("new", "newer");
    let both = [sandbox.read("new"), sandbox.read("k")].concat();
    std::fs::remove_file(sandbox.path("k")).unwrap();
    sandbox.write("new", both);
    assert_eq!(sandbox.run(&["open", "-k", "new", "old.kvt"]).is_good(), PLAIN.as_bytes());
    let sealed = sandbox.run_with(&["seal", "-k", "new"], PLAIN.as_bytes()).is_good().to_vec();
    sandbox.write("sealed", sealed);
    assert!(sandbox.run(&["inspect", "sealed"]).text().contains("\"newer\""));
}
