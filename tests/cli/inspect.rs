//! `kuvert inspect`: what a file claims, without a key, for people and for programs.

use serde_json::{Value, json};

use crate::sandbox::{PLAIN, Sandbox, plaintext};

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn for_people() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", plaintext(20_000), &["-c", "db=shop", "-c", "at=night", "-r", "tenant=7"]);
    std::fs::remove_file(sandbox.path("k")).unwrap();
    let ran = sandbox.run(&["inspect", "sealed"]);
    let expected = "\
sealed
  all of this is claimed by the file, and not verified
  format     kuvert message, version 1, suite 1
  layout     rewrappable, header 4096 bytes
  file       24184 bytes
  plaintext  20000 bytes, if the file is whole
  context    2 pairs stored
    at = night
    db = shop
  slot A     generation 1, 1 recipient
    0x0001 (aes-kwp) \"main\"
  slot B     empty
";
    assert_eq!(String::from_utf8_lossy(ran.is_good()), expected);
    let twice = sandbox.run(&["inspect", "sealed", "sealed"]);
    assert_eq!(twice.text(), format!("{expected}\n{expected}"));
}

#[test]
fn for_programs() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", plaintext(20_000), &["--layout", "compact", "-c", "db=shop"]);
    let ran = sandbox.run(&["inspect", "--json", "sealed"]);
    let len = sandbox.read("sealed").len();
    let recipient = json!({
        "type": 1, "type_name": "aes-kwp", "id": "main", "pending_for": null, "params_bytes": 0, "wrap_bytes": 40,
    });
    let expected = json!({
        "file": "sealed",
        "verified": false,
        "side_copy": null,
        "claimed": {
            "kind": "message", "version": 1, "suite": 1, "layout": "compact",
            "header_bytes": len - 56 - 20_000 - 32, "message_bytes": len, "plaintext_bytes": 20_000,
            "context": { "db": "shop" }, "degraded": false, "unfinished_rewrap": false,
            "slots": [{ "state": "filled", "generation": 1, "recipients": [recipient] }],
        },
    });
    std::str::from_utf8(ran.is_good()).unwrap();
    assert_eq!(objects(ran.text()), [expected]);
}

#[test]
fn damaged_and_cut_files_still_say_what_they_were() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", plaintext(20_000), &[]);
    let sealed = sandbox.read("sealed");
    for len in [4096, 4100, 4152, 4152 + 10] {
        sandbox.write("cut", &sealed[..len]);
        let ran = sandbox.run(&["inspect", "cut"]);
        assert!(
            ran.text().contains("the file is cut off") && ran.text().contains("\"main\""),
            "{len}: {ran:?}"
        );
    }
    sandbox.write("cut", &sealed[..4095]);
    sandbox.run(&["inspect", "cut"]).fails_empty(4, &["cut: truncated: the message ends inside its header"]);
    let mut bad = sealed.clone();
    bad[2100] = 1;
    sandbox.write("bad", &bad);
    let ran = sandbox.run(&["inspect", "bad"]);
    assert!(ran.text().contains("  slot B     damaged: "), "{ran:?}");
    let json = sandbox.run(&["inspect", "--json", "bad"]);
    assert_eq!(objects(json.text())[0]["claimed"]["slots"][1]["state"], "bad");
}

#[test]
fn a_detached_header_is_inspected_alone() {
    let sandbox = Sandbox::new();
    sandbox.sealed("body", PLAIN, &["--layout", "detached"]);
    let ran = sandbox.run(&["inspect", "body.kvh"]);
    assert!(ran.text().contains("layout     detached") && !ran.text().contains("plaintext"), "{ran:?}");
    let json = sandbox.run(&["inspect", "--json", "body.kvh"]);
    assert_eq!(objects(json.text())[0]["claimed"]["message_bytes"], Value::Null);
    sandbox.run(&["inspect", "body"]).fails_empty(3, &["body: not a well-formed"]);
}

#[test]
fn a_key_envelope_is_inspected_too() {
    let sandbox = Sandbox::new();
    let provider = kuvert::provider::MemoryProvider::from_key_file(sandbox.path("k")).unwrap();
    let context = kuvert::EncryptionContext::new([("tenant", "7")]).unwrap();
    let (_, envelope) = kuvert::blocking::Kuvert::new(provider).new_record_key(&context).unwrap();
    sandbox.write("envelope", &envelope);
    let ran = sandbox.run(&["inspect", "envelope"]);
    for part in ["kuvert key-envelope, version 1", "    tenant = 7\n", "kuvert:role = record", "\"main\""] {
        assert!(ran.text().contains(part), "{ran:?}");
    }
    assert!(!ran.text().contains("plaintext"), "{ran:?}");
    let json = sandbox.run(&["inspect", "--json", "envelope"]);
    let claimed = &objects(json.text())[0]["claimed"];
    assert_eq!(
        (&claimed["kind"], &claimed["message_bytes"]),
        (&"key-envelope".into(), &envelope.len().into())
    );
    assert!(sandbox.run(&["inspect", "--keys", "envelope"]).text().contains("\"main\""));
    sandbox.write("longer", [&envelope[..], b"x"].concat());
    sandbox.run(&["inspect", "longer"]).fails_empty(3, &["key envelope"]);
    sandbox.run(&["open", "-k", "k", "envelope"]).fails_empty(3, &["this is a key envelope"]);
}

#[test]
fn what_cannot_be_inspected_is_told_and_the_rest_shown() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", PLAIN, &[]);
    sandbox.write("foreign", "hello");
    sandbox.write("short", &sandbox.read("sealed")[..100]);
    let ran = sandbox.run(&["inspect", "short", "sealed", "foreign"]);
    ran.fails(4, &["kuvert: short: truncated", "kuvert: foreign: not a"]);
    assert!(ran.text().contains("sealed\n"), "{ran:?}");
    let ran = sandbox.run(&["inspect", "--json", "foreign", "sealed"]);
    assert_eq!(ran.status.code(), Some(3));
    let [foreign, sealed] = &objects(ran.text())[..] else { panic!("{ran:?}") };
    assert_eq!(
        (&foreign["error"]["category"], &foreign["error"]["status"]),
        (&"malformed".into(), &3.into())
    );
    assert!(foreign["claimed"].is_null() && sealed["error"].is_null());
}

#[test]
fn keys_are_counted_over_many_files() {
    let sandbox = Sandbox::new();
    sandbox.add_key("other", "another");
    for (file, key) in [("a", "k"), ("b", "k"), ("c", "other")] {
        sandbox.run_with(&["seal", "-k", key, "-o", file], b"x").is_silent();
    }
    sandbox.write("foreign", "hello");
    let ran = sandbox.run(&["inspect", "--keys", "a", "b", "c", "foreign"]);
    assert_eq!(ran.status.code(), Some(3));
    let text = ran.text();
    assert!(text.contains("       2  0x0001 (aes-kwp) \"main\"\n"), "{text}");
    assert!(text.contains("       1  0x0001 (aes-kwp) \"another\"\n"), "{text}");
    assert!(
        text.contains("not verified") && text.contains("may name any key:\n          foreign: "),
        "{text}"
    );
    assert!(!text.contains("unused"), "{text}");
    let ran = sandbox.run(&["inspect", "--keys", "--json", "a", "b", "c"]);
    let counted = json!({
        "verified": false, "files_read": 3, "unreadable": [], "claimed_keys": [
            { "type": 1, "type_name": "aes-kwp", "id": "another", "files": 1 },
            { "type": 1, "type_name": "aes-kwp", "id": "main", "files": 2 },
        ],
    });
    std::str::from_utf8(ran.is_good()).unwrap();
    assert_eq!(objects(ran.text()), [counted]);
}

#[test]
fn thousands_of_files_are_counted_and_the_unreadable_listed() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", PLAIN, &[]);
    sandbox.write("foreign", "hello");
    sandbox.write("cut", &sandbox.read("sealed")[..50]);
    let mut names: Vec<String> = (0..3000).map(|n| format!("backup-{n}.kvt")).collect();
    for name in &names {
        std::fs::hard_link(sandbox.path("sealed"), sandbox.path(name)).unwrap();
    }
    names.insert(1000, "foreign".into());
    names.insert(2000, "cut".into());
    names.insert(2500, "absent\u{1b}[2J".into());
    let arguments: Vec<&str> =
        ["inspect", "--keys"].into_iter().chain(names.iter().map(String::as_str)).collect();
    // Each file is closed before the next one is opened.
    let mut command = sandbox.shell("ulimit -n 20; exec \"$KUVERT\" \"$@\"");
    let ran = sandbox.finish(command.arg("sh").args(&arguments), &[]);
    assert!(ran.status.code() == Some(3) && ran.err.is_empty(), "{ran:?}");
    assert!(
        ran.text().starts_with("keys that 3000 files name, by their headers' claims and not verified:\n")
    );
    assert!(ran.text().contains("    3000  0x0001 (aes-kwp) \"main\"\n"), "{ran:?}");
    let unreadable = ran.text().split_once("3 files could not be read, and may name any key:\n").unwrap().1;
    for (line, says) in
        unreadable.lines().zip(["foreign: not a", "cut: truncated", "absent\\u{1b}[2J cannot be read"])
    {
        assert!(line.trim_start().starts_with(says), "{unreadable}");
    }
    assert_eq!(unreadable.lines().count(), 3);
}

/// Every name of a field that is ever written.
fn names(value: &Value, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                found.insert(name.clone());
                if name != "context" {
                    names(value, found);
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| names(value, found)),
        _ => {}
    }
}

#[test]
fn every_field_is_in_the_manual() {
    let sandbox = Sandbox::new();
    sandbox.sealed("sealed", PLAIN, &[]);
    let mut bad = sandbox.read("sealed");
    bad[2100] = 1;
    sandbox.write("bad", bad);
    sandbox.write("foreign", "hello");
    let mut found = std::collections::BTreeSet::new();
    for arguments in [
        &["inspect", "--json", "sealed", "bad", "foreign"][..],
        &["inspect", "--keys", "--json", "sealed", "foreign"],
        &["verify", "--json", "-k", "k", "sealed", "foreign"],
        &["rewrap", "--json", "-k", "k", "--to", "k", "sealed", "foreign"],
    ] {
        objects(sandbox.run(arguments).text()).iter().for_each(|object| names(object, &mut found));
    }
    assert!(found.len() > 30, "{found:?}");
    let manual = include_str!("../../src/manual/operations.md");
    let is_described =
        |name: &str| [format!("`{name}`"), format!(".{name}`")].iter().any(|form| manual.contains(form));
    let missing: Vec<_> = found.iter().filter(|name| !is_described(name)).collect();
    assert!(missing.is_empty(), "not in the manual: {missing:?}");
}
