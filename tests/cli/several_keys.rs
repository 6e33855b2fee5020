//! Several `-k`: each of them a way in, or all of them the only one.

use crate::sandbox::{PLAIN, Sandbox};

fn with_keys() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add_key("a", "key-a");
    sandbox.add_key("b", "key-b");
    sandbox.write("plain", PLAIN);
    sandbox
}

#[test]
fn each_key_opens_what_was_sealed_for_several() {
    let sandbox = with_keys();
    sandbox.run(&["seal", "-k", "k", "-k", "a", "-o", "file", "plain"]).is_silent();
    let mut command = sandbox.command(&["seal", "-o", "by-env", "plain"]);
    sandbox.finish(command.env("KUVERT_KEYS", "k a"), &[]).is_silent();
    for file in ["file", "by-env"] {
        for key in ["k", "a"] {
            assert_eq!(sandbox.run(&["open", "-k", key, file]).is_good(), PLAIN.as_bytes());
        }
        sandbox
            .run(&["open", "-k", "b", file])
            .fails_empty(6, &["\"main\"", "\"key-a\"", "keys given: key-b"]);
        let claimed = sandbox.run(&["inspect", file]);
        assert!(claimed.text().contains("2 recipients"), "{claimed:?}");
    }
    // Of each file the first key, and not the others.
    sandbox.write("pair", [sandbox.read("b"), sandbox.read("a")].concat());
    assert!(sandbox.shell("chmod 600 pair").status().unwrap().success());
    sandbox.run(&["seal", "-k", "k", "-k", "pair", "-o", "first", "plain"]).is_silent();
    sandbox.run(&["open", "-k", "a", "first"]).fails_empty(6, &["\"key-b\""]);
    assert_eq!(sandbox.run(&["open", "-k", "pair", "first"]).is_good(), PLAIN.as_bytes());
}

#[test]
fn keys_that_cannot_go_together() {
    let sandbox = with_keys();
    sandbox.add_key("same", "main");
    let seal = |arguments: &[&str]| sandbox.run(&[&["seal", "-o", "no"], arguments, &["plain"]].concat());
    seal(&["-k", "k", "-k", "k"]).fails_empty(2, &["the same key", "\"main\"", "give each key once"]);
    seal(&["-k", "k", "-k", "same"]).fails_empty(2, &["the same key", "\"main\""]);
    seal(&["-k", "k", "-k", "a", "--min", "3"]).fails_empty(2, &["--min is 3, and there is 2 keys"]);
    seal(&["-k", "k", "--min", "0"]).fails_empty(2, &["--min"]);
    seal(&["-k", "k", "-k", "a", "--min", "1", "--all-of"]).fails_empty(2, &["cannot be used with"]);
    seal(&["-k", "k", "--all-of"]).fails_empty(2, &["2 to 8"]);
    seal(&["-k", "k", "-k", "same", "--all-of"]).fails_empty(2, &["the same key"]);
    seal(&["-k", "k", "-k", "absent"]).fails_empty(2, &["\"absent\" cannot be read"]);
    assert!(!sandbox.exists("no"));
    // Enough are there in any case.
    sandbox.run(&["seal", "-k", "k", "-k", "a", "--min", "1", "-o", "file", "plain"]).is_silent();
    assert_eq!(sandbox.run(&["open", "-k", "a", "file"]).is_good(), PLAIN.as_bytes());
}

#[test]
fn all_of_them_are_needed() {
    let sandbox = with_keys();
    sandbox.run(&["seal", "-k", "k", "-k", "a", "--all-of", "-o", "file", "plain"]).is_silent();
    for keys in [&["-k", "k", "-k", "a"][..], &["-k", "a", "-k", "k"]] {
        let ran = sandbox.run(&[&["open", "--all-of"], keys, &["file"]].concat());
        assert_eq!(ran.is_good(), PLAIN.as_bytes());
        sandbox.run(&[&["verify", "--all-of"], keys, &["file"]].concat()).is_good();
        // Two keys beside each other are not the same as both together.
        sandbox.run(&[&["open"], keys, &["file"]].concat()).fails_empty(6, &["no usable key"]);
    }
    for keys in [&["-k", "k"][..], &["-k", "a"]] {
        sandbox.run(&[&["open"], keys, &["file"]].concat()).fails_empty(6, &["no usable key"]);
    }
    // Who gives one of them is told which ones belong together.
    let said = "all-of) 0x0001 (aes-kwp)";
    sandbox.run(&["open", "-k", "k", "file"]).fails_empty(6, &["no usable key", said, "--all-of"]);
    assert!(sandbox.run(&["inspect", "file"]).text().contains(said));
    let ran = sandbox.run(&["open", "--all-of", "-k", "k", "-k", "b", "file"]);
    ran.fails_empty(6, &["no usable key", "keys given: all of main, key-b"]);
    sandbox.run(&["open", "--all-of", "-k", "k", "-k", "a", "-k", "b", "file"]).fails_empty(6, &[]);
}

#[test]
fn from_all_of_them_to_others_and_back() {
    let sandbox = with_keys();
    sandbox.add_key("safe", "safe");
    sandbox.run(&["seal", "-k", "k", "-k", "a", "--all-of", "-o", "file", "plain"]).is_silent();
    let both = ["--all-of", "-k", "k", "-k", "a"];
    // One more way in, for the day on which a custodian is gone.
    let add = [&["rewrap"], &both[..], &["--to", "safe", "--add", "file"]].concat();
    assert!(sandbox.run(&add).text().contains("\"safe\""));
    for keys in [&both[..], &["-k", "safe"]] {
        assert_eq!(sandbox.run(&[&["open"], keys, &["file"]].concat()).is_good(), PLAIN.as_bytes());
    }
    // To other custodians.
    let to = ["--to-all-of", "--to", "a", "--to", "b"];
    let change = [&["rewrap", "-k", "safe"], &to[..], &["file"]].concat();
    sandbox.run(&change).is_good();
    let ran = sandbox.run(&["open", "--all-of", "-k", "a", "-k", "b", "file"]);
    assert_eq!(ran.is_good(), PLAIN.as_bytes());
    sandbox.run(&["open", "-k", "safe", "file"]).fails_empty(6, &["no usable key"]);
    // Again: it is done already.
    assert!(sandbox.run(&change).text().contains("unchanged"));
    // From one all-of to another.
    let next = ["--all-of", "-k", "a", "-k", "b", "--to-all-of", "--to", "k", "--to", "b"];
    sandbox.run(&[&["rewrap"], &next[..], &["file"]].concat()).is_good();
    let ran = sandbox.run(&["open", "--all-of", "-k", "k", "-k", "b", "file"]);
    assert_eq!(ran.is_good(), PLAIN.as_bytes());
    sandbox
        .run(&["rewrap", "-k", "k", "--to-all-of", "--remove", "x", "file"])
        .fails_empty(2, &["--to-all-of"]);
}
