//! Pairs of the encryption context on the command line: bound, stored or required, and told without their values.

use crate::sandbox::{PLAIN, Sandbox, VALUE};

/// A sandbox with a file that stores two pairs and requires a third.
fn sealed() -> Sandbox {
    let sandbox = Sandbox::new();
    let value = format!("date={VALUE}");
    sandbox.sealed("sealed", PLAIN, &["-c", "db=shop", "-c", &value, "-r", "tenant=7"]);
    sandbox
}

fn open(sandbox: &Sandbox, pairs: &[&str], more: &[&str]) -> crate::sandbox::Ran {
    let mut arguments = vec!["open", "-k", "k", "-o", "opened", "--force"];
    for pair in pairs {
        arguments.extend(["-c", pair]);
    }
    arguments.extend(more);
    arguments.push("sealed");
    sandbox.run(&arguments)
}

#[test]
fn all_pairs_open_in_any_order() {
    let sandbox = sealed();
    let date = format!("date={VALUE}");
    open(&sandbox, &["tenant=7", &date, "db=shop"], &[]).is_silent();
    assert_eq!(sandbox.read("opened"), PLAIN.as_bytes());
}

#[test]
fn the_flags_to_add_are_printed_without_values() {
    let sandbox = sealed();
    open(&sandbox, &[], &[])
        .fails_empty(5, &["add: -c date=... -c db=...\n", "kuvert inspect", "--accept-stored-context"]);
    open(&sandbox, &["db=shop", "tenant=7"], &[])
        .fails_empty(5, &["add: -c date=...\n", "with -r and this value: tenant"]);
    assert!(!sandbox.exists("opened"));
}

#[test]
fn another_value_is_told_by_its_name() {
    let sandbox = sealed();
    let ran = open(&sandbox, &["db=shop", "date=another", "tenant=7"], &[]);
    ran.fails_empty(5, &["another value is stored for: date"]);
    assert!(!ran.err.contains("another\n") && !ran.err.contains("add:"), "{ran:?}");
}

#[test]
fn required_pairs_must_be_known() {
    let sandbox = sealed();
    let date = format!("date={VALUE}");
    open(&sandbox, &["db=shop", &date], &[]).fails_empty(5, &["one sealed with -r is", "another copy"]);
    open(&sandbox, &["db=shop", &date, "tenant=8"], &[]).fails_empty(5, &["with -r and this value: tenant"]);
    open(&sandbox, &["db=shop", &date, "tenant=7", "more=1"], &[]).fails_empty(5, &["tenant, more"]);
}

#[test]
fn stored_pairs_are_taken_from_the_file_only_by_name() {
    let sandbox = sealed();
    open(&sandbox, &["tenant=7"], &["--accept-stored-context"]).is_silent();
    assert_eq!(sandbox.read("opened"), PLAIN.as_bytes());
    open(&sandbox, &[], &["--accept-stored-context"]).fails_empty(5, &["-r"]);
    open(&sandbox, &["tenant=7", "db=other"], &["--accept-stored-context"]).fails_empty(5, &["db"]);
}

#[test]
fn pairs_split_at_the_first_equals_sign() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", PLAIN, &["-c", "query=a=b=c", "-r", "empty="]);
    open(&sandbox, &["query=a=b=c", "empty="], &[]).is_silent();
    let claimed = sandbox.run(&["inspect", "sealed"]);
    assert!(claimed.text().contains("query = a=b=c\n") && !claimed.text().contains("empty ="), "{claimed:?}");
}

#[test]
fn what_is_no_pair_is_refused_without_being_shown() {
    let sandbox = Sandbox::new();
    sandbox.write("plain", PLAIN);
    for (arguments, says) in [
        (["-c", VALUE], "-c has no \"=\""),
        (["-r", VALUE], "-r has no \"=\""),
        (["-c", "=value-marker-70c2"], "empty name"),
        (["-c", "kuvert:role=value-marker-70c2"], "reserved"),
        (["-r", "aws-crypto-x=value-marker-70c2"], "reserved"),
    ] {
        let arguments = [&["seal", "-k", "k", "-o", "out"], &arguments[..], &["plain"]].concat();
        sandbox.run(&arguments).fails_empty(2, &[says]);
    }
    let twice = ["seal", "-k", "k", "-o", "out", "-c", "a=value-marker-70c2", "-r", "a=x", "plain"];
    sandbox.run(&twice).fails_empty(2, &["\"a\" is given twice"]);
    let long = format!("a={}", "x".repeat(4097));
    sandbox.run(&["seal", "-k", "k", "-o", "out", "-c", &long, "plain"]).fails_empty(3, &["limit of 4096"]);
    sandbox.run(&["open", "-k", "k", "-c", VALUE, "plain"]).fails_empty(2, &["-c has no \"=\""]);
    assert!(!sandbox.exists("out"));
}

#[test]
fn a_pair_without_its_flag_is_told_without_its_value() {
    let sandbox = sealed();
    let pair = format!("db={VALUE}");
    let ran = sandbox.run(&["open", "-k", "k", "sealed", &pair]);
    ran.fails_empty(2, &["one argument too many: db=...", "-c db=..."]);
    sandbox.run(&["open", "-k", "k", "sealed", "other"]).fails_empty(2, &["unexpected argument 'other'"]);
}

#[cfg(unix)]
#[test]
fn a_pair_that_is_not_utf8() {
    use std::os::unix::ffi::OsStrExt as _;
    let sandbox = Sandbox::new();
    let pair = std::ffi::OsStr::from_bytes(b"a=\xff");
    let arguments = crate::sandbox::words([&"seal", &"-k", &"k", &"-c", &pair]);
    sandbox.run(&arguments).fails_empty(2, &["a pair given with -c is not UTF-8 text"]);
}

#[test]
fn names_from_a_file_cannot_steer_a_terminal() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", PLAIN, &["-c", "a\u{1b}[31m\n'b=x\u{202e}\u{7}y\u{9b}"]);
    let ran = open(&sandbox, &[], &[]);
    ran.fails_empty(5, &[r"add: -c 'a\u{1b}[31m\u{a}'\''b=...'"]);
    let claimed = sandbox.run(&["inspect", "sealed"]);
    assert!(claimed.text().contains(r"a\u{1b}[31m\u{a}'b = x\u{202e}\u{7}y\u{9b}"), "{claimed:?}");
    assert!(claimed.text().chars().all(|c| c == '\n' || !c.is_control()), "{claimed:?}");
}
