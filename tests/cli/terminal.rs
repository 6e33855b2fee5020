//! On a terminal: text and a progress bar, and nothing that could steer it. A terminal is made by `script`.

use std::process::Command;

use crate::sandbox::{PLAIN, Sandbox, has_part, plaintext};

/// Runs a shell script on a terminal of its own; gives its exit status and all that the terminal showed.
fn on_terminal(sandbox: &Sandbox, script: &str) -> Option<(i32, String)> {
    let is_there =
        Command::new("script").arg("--version").output().is_ok_and(|output| output.status.success());
    if !has_part("script", is_there) {
        return None;
    }
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", script, "/dev/null"]).current_dir(sandbox.path(""));
    command.env_remove("KUVERT_KEYS").env("KUVERT", env!("CARGO_BIN_EXE_kuvert")).env("TERM", "xterm");
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    sandbox.has_nothing_partial();
    Some((output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n")))
}

#[test]
fn sealed_bytes_are_not_written_to_it() {
    let sandbox = Sandbox::new();
    sandbox.write("plain", PLAIN);
    for script in
        ["$KUVERT seal -k k plain", "$KUVERT seal -k k -o - plain", "$KUVERT seal -k k -- touch started"]
    {
        let Some((status, shown)) = on_terminal(&sandbox, script) else { return };
        assert_eq!(status, 2, "{shown}");
        assert!(shown.contains("not written to a terminal") && shown.contains("-o OUT"), "{shown}");
    }
    assert!(!sandbox.exists("started"));
}

#[test]
fn text_is() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", "grüße\tan alle\n", &[]);
    for script in ["$KUVERT open -k k sealed", "$KUVERT open -k k --stream sealed"] {
        let Some((status, shown)) = on_terminal(&sandbox, script) else { return };
        assert_eq!((status, shown.as_str()), (0, "grüße\tan alle\n"));
    }
}

#[test]
fn other_plaintext_is_not() {
    let sandbox = Sandbox::new();
    let long = [&b"text ".repeat(100_000)[..], b"\x1b[2J"].concat();
    for text in
        [&b"\x00\x01binary"[..], b"escape \x1b[31m", b"not utf-8 \xff", b"cut in a character \xc3", &long]
    {
        sandbox.sealed("sealed", text, &["--force"]);
        let Some((status, shown)) = on_terminal(&sandbox, "$KUVERT open -k k sealed") else { return };
        assert_eq!(status, 2, "{shown}");
        // Verified first, and so found out before anything was written.
        assert!(
            shown.starts_with("kuvert: the plaintext is not text") && shown.contains("-o OUT"),
            "{shown}"
        );
        let Some((status, shown)) = on_terminal(&sandbox, "$KUVERT open -k k --stream sealed") else {
            return;
        };
        assert!(status == 2 && !shown.contains('\u{1b}'), "{shown}");
    }
}

#[test]
fn nothing_is_read_from_it_as_if_it_were_sealed() {
    let sandbox = Sandbox::new();
    let Some((status, shown)) = on_terminal(&sandbox, "$KUVERT open -k k </dev/tty") else { return };
    assert!(status == 2 && shown.contains("name a file"), "{shown}");
}

#[test]
fn a_progress_bar_is_shown_there_and_nowhere_else() {
    let sandbox = Sandbox::new();
    sandbox.write("plain", plaintext(1_000_000));
    let seal = "$KUVERT seal -k k --force -o sealed plain";
    let Some((status, shown)) = on_terminal(&sandbox, seal) else { return };
    assert!(status == 0 && shown.contains("sealing"), "{shown}");
    let Some((_, shown)) = on_terminal(&sandbox, "$KUVERT open -k k --force -o opened sealed") else {
        return;
    };
    assert!(shown.contains("verifying"), "{shown}");
    let Some((_, shown)) = on_terminal(&sandbox, &format!("{seal} 2>errors")) else { return };
    assert!(shown.is_empty() && sandbox.read("errors").is_empty(), "{shown}");
}

#[test]
fn a_bar_counts_the_files_and_failures_stand_apart() {
    let sandbox = crate::rewrap::sealed(&["a", "b", "c"]);
    sandbox.write("bad\u{1b}[2J", "hello");
    let script = "$KUVERT rewrap -k k --to new a bad* b c";
    let Some((status, shown)) = on_terminal(&sandbox, script) else { return };
    assert_eq!(status, 3, "{shown}");
    assert!(shown.contains("rewrapping [") && shown.contains("/4 files"), "{shown}");
    assert!(
        shown.contains("kuvert: bad\\u{1b}[2J: not a well-formed") && !shown.contains("\u{1b}[2J"),
        "{shown}"
    );
    assert!(shown.ends_with("3 files rewrapped, 1 failed\n"), "{shown}");
    // One file has no bar, nor is there one where nobody looks.
    let Some((_, shown)) = on_terminal(&sandbox, "$KUVERT rewrap -k new --to k a") else { return };
    assert_eq!(shown, "a: opens with key \"main\" (generation 3, in place)\n");
    let Some((_, shown)) = on_terminal(&sandbox, "$KUVERT rewrap -k new --to k b c 2>errors") else { return };
    assert_eq!(shown, "2 files rewrapped\n");
    assert!(sandbox.read("errors").is_empty());
}
