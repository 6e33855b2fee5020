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
        "claimed": {
            "kind": "message", "version": 1, "suite": 1, "layout": "compact",
            "header_bytes": len - 56 - 20_000 - 32, "message_bytes": len, "plaintext_bytes": 20_000,
            "context": { "db": "shop" },
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
