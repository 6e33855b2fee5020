//! What interrupted rewraps and bad disks leave: named by `open`, `verify` and `inspect`, mended by the next rewrap.

use serde_json::Value;

use crate::rewrap::sealed;
use crate::sandbox::{Ran, Sandbox, plaintext};

const HEADER: usize = 4096;
/// Where the two slots of a header without stored pairs are.
const SLOT_A: std::ops::Range<usize> = 32..2064;
const SLOT_B: std::ops::Range<usize> = 2064..4096;

/// The file `file` in the midst of being rewrapped from "main" to "new": both slots are valid.
fn unfinished() -> Sandbox {
    let sandbox = sealed(&["file"]);
    let old = sandbox.read("file");
    rewrap(&sandbox, "k", "new").is_good();
    let mut both = sandbox.read("file");
    both[SLOT_A].copy_from_slice(&old[SLOT_A]);
    sandbox.write("file", both);
    sandbox
}

fn rewrap(sandbox: &Sandbox, old: &str, new: &str) -> Ran {
    sandbox.run(&["rewrap", "-k", old, "--to", new, "file"])
}

/// `open` and `verify` work, and warn of this; nothing else is on standard error.
fn warns(sandbox: &Sandbox, key: &str, says: &[&str]) {
    let opened = sandbox.run(&["open", "-k", key, "file"]);
    assert!(opened.status.success() && opened.out == plaintext(40_000), "{opened:?}");
    let verified = sandbox.run(&["verify", "-k", key, "file"]);
    assert!(verified.status.success() && verified.text().contains("whole and untouched"), "{verified:?}");
    for ran in [opened, verified] {
        assert_eq!(ran.err.lines().count(), says.len().min(1), "{ran:?}");
        for text in says {
            assert!(ran.err.contains(text), "does not say {text:?}: {ran:#?}");
        }
    }
}

fn json(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    serde_json::from_str(sandbox.run(arguments).text()).unwrap()
}

/// After any mending: nothing is said any more, and the old key opens nothing.
fn is_mended(sandbox: &Sandbox, key: &str) {
    warns(sandbox, key, &[]);
    let verified = json(sandbox, &["verify", "--json", "-k", key, "file"]);
    for field in ["degraded", "unfinished_rewrap"] {
        assert_eq!(verified[field], false, "{verified}");
    }
    assert_eq!(verified["side_copy"], Value::Null);
    let inspected = sandbox.run(&["inspect", "file"]);
    assert!(!inspected.text().contains("note") && !inspected.text().contains("beside it"), "{inspected:?}");
    for other in ["k", "new", "third"].iter().filter(|other| **other != key) {
        sandbox.run(&["open", "-k", other, "file"]).fails_empty(6, &["no usable key"]);
    }
}

#[test]
fn an_unfinished_rewrap() {
    for (old, new) in [("k", "new"), ("k", "third"), ("new", "third"), ("k", "k")] {
        let sandbox = unfinished();
        for key in ["k", "new"] {
            warns(
                &sandbox,
                key,
                &["warning: file: a rewrap was not finished", "the same 'kuvert rewrap' again"],
            );
        }
        let inspected = sandbox.run(&["inspect", "file"]);
        assert!(inspected.text().contains("note       both slots are filled"), "{inspected:?}");
        assert_eq!(json(&sandbox, &["inspect", "--json", "file"])["claimed"]["unfinished_rewrap"], true);
        assert_eq!(json(&sandbox, &["verify", "--json", "-k", "k", "file"])["unfinished_rewrap"], true);
        let ran = rewrap(&sandbox, old, new);
        let says = if new == "new" { "mended: its header was damaged or unfinished" } else { "in place" };
        assert!(ran.is_good() == ran.out && ran.text().contains(says), "{old} to {new}: {ran:?}");
        is_mended(&sandbox, new);
    }
}

#[test]
fn a_damaged_slot() {
    for damaged in [SLOT_A, SLOT_B] {
        let sandbox = unfinished();
        let mut bytes = sandbox.read("file");
        bytes[damaged.end - 1] ^= 1;
        bytes[damaged.start + 200] ^= 1;
        sandbox.write("file", bytes);
        let (key, new) = if damaged == SLOT_A { ("new", "new") } else { ("k", "k") };
        let remedy = "kuvert rewrap -k KEY --to KEY file";
        warns(&sandbox, key, &["warning: file: degraded: one of the two copies", "look at the disk", remedy]);
        assert!(
            sandbox
                .run(&["inspect", "file"])
                .text()
                .contains("note       one slot is damaged: 'kuvert rewrap")
        );
        assert_eq!(json(&sandbox, &["inspect", "--json", "file"])["claimed"]["degraded"], true);
        assert_eq!(json(&sandbox, &["verify", "--json", "-k", key, "file"])["degraded"], true);
        // The remedy works as it stands there.
        let ran =
            sandbox.finish(&mut sandbox.shell(&remedy.replace("kuvert", "$KUVERT").replace("KEY", new)), &[]);
        assert!(ran.text().contains("mended") && ran.err.is_empty(), "{ran:?}");
        is_mended(&sandbox, new);
    }
}

#[test]
fn a_copy_of_the_header_that_was_left() {
    let sandbox = sealed(&["file"]);
    let good = sandbox.read("file");
    sandbox.write("file.kuvert-header", &good[..HEADER]);
    let says = ["warning: file: file.kuvert-header is left of a rewrap", "the same 'kuvert rewrap' again"];
    warns(&sandbox, "k", &says);
    let copy = Value::from("file.kuvert-header");
    assert_eq!(json(&sandbox, &["verify", "--json", "-k", "k", "file"])["side_copy"], copy);
    assert_eq!(json(&sandbox, &["inspect", "--json", "file"])["side_copy"], copy);
    let inspected = sandbox.run(&["inspect", "file", "file.kuvert-header"]);
    assert!(
        inspected.text().contains("beside it  file.kuvert-header, the header as it was"),
        "{inspected:?}"
    );
    assert!(inspected.text().contains("\nfile.kuvert-header\n"), "{inspected:?}");
    rewrap(&sandbox, "k", "new").is_good();
    is_mended(&sandbox, "new");
    assert_eq!(sandbox.listing(), ["file", "k", "new", "third"]);

    // Named itself, as by `*`, it is told from its file.
    sandbox.write("file.kuvert-header", &good[..HEADER]);
    for command in [&["open"][..], &["verify"], &["rewrap", "--to", "new"]] {
        let ran = sandbox.run(&[command, &["-k", "k", "file.kuvert-header"]].concat());
        ran.fails_empty(
            4,
            &["truncated", "it is the copy of a header that a rewrap has left: name the file itself"],
        );
    }

    // A stale one never takes away what was given since, nor brings back a key that was taken away.
    for to in ["new", "third"] {
        sandbox.write("file.kuvert-header", &good[..HEADER]);
        rewrap(&sandbox, "new", to).is_good();
        assert!(!sandbox.exists("file.kuvert-header"));
        is_mended(&sandbox, to);
    }
}

#[cfg(unix)]
#[test]
fn through_a_link_the_file_itself_is_meant() {
    let sandbox = sealed(&["target"]);
    std::os::unix::fs::symlink("target", sandbox.path("file")).unwrap();
    sandbox.write("target.kuvert-header", &sandbox.read("target")[..HEADER]);
    warns(&sandbox, "k", &["target.kuvert-header is left of a rewrap"]);
    rewrap(&sandbox, "k", "new").is_good();
    assert!(sandbox.path("file").is_symlink());
    assert_eq!(sandbox.listing(), ["file", "k", "new", "target", "third"]);
    is_mended(&sandbox, "new");
}

#[test]
fn a_header_that_was_lost_comes_back_from_its_copy() {
    let sandbox = sealed(&["file", "other"]);
    let good = sandbox.read("file");
    let mut lost = good.clone();
    lost[SLOT_A.start..SLOT_B.end].fill(0);
    sandbox.write("file", &lost);
    sandbox.run(&["open", "-k", "k", "file"]).fails_empty(3, &["file: not a well-formed"]);
    rewrap(&sandbox, "k", "new").fails_empty(3, &["file: not a well-formed"]);

    // That of another file is not put in its place.
    sandbox.write("file.kuvert-header", &sandbox.read("other")[..HEADER]);
    let ran = rewrap(&sandbox, "k", "new");
    ran.fails_empty(3, &["file.kuvert-header", "was not put in its place"]);
    assert_eq!(sandbox.read("file"), lost);

    sandbox.write("file.kuvert-header", &good[..HEADER]);
    for command in ["open", "verify"] {
        let ran = sandbox.run(&[command, "-k", "k", "file"]);
        ran.fails_empty(
            3,
            &["left a copy of its header, file.kuvert-header", "'kuvert rewrap' again mends the file"],
        );
    }
    let ran = rewrap(&sandbox, "k", "new");
    assert!(ran.text().contains("(generation 2, in place, from the copy of its header)"), "{ran:?}");
    is_mended(&sandbox, "new");
    assert_eq!(sandbox.read("file")[HEADER..], good[HEADER..]);

    // By hand, as the manual says.
    sandbox.write("file", &lost);
    sandbox.write("file.kuvert-header", &good[..HEADER]);
    let ran =
        sandbox.finish(&mut sandbox.shell("dd if=file.kuvert-header of=file conv=notrunc status=none"), &[]);
    ran.is_silent();
    assert_eq!(sandbox.read("file"), good);
}
