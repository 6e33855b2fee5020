//! `kuvert rewrap` and `kuvert repair`: which keys open a file afterwards, what is said, and that the body stays.

use kuvert::provider::{Health, KeyProvider, MemoryProvider, ProviderInfo, WrapContext};
use kuvert::{DataKey, EncryptionContext, ProviderError, Recipient, RecipientType};
use serde_json::Value;

use crate::sandbox::{PLAIN, Ran, Sandbox, plaintext};

/// Key files `k` ("main"), `new` and `third`, and a file for each of `names` under `k`.
pub(crate) fn sealed(names: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.add_key("new", "new");
    sandbox.add_key("third", "third");
    for name in names {
        sandbox.sealed(name, plaintext(40_000), &[]);
    }
    sandbox
}

fn rewrap(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    sandbox.run(&[&["rewrap"], arguments].concat())
}

/// Which of the three keys open a file.
fn openers(sandbox: &Sandbox, open: &[&str]) -> Vec<&'static str> {
    let opens = |key: &&str| {
        let ran = sandbox.run(&[&["open", "-k", key], open].concat());
        assert!(ran.status.success() || ran.status.code() == Some(6), "{ran:?}");
        assert!(!ran.status.success() || ran.out == plaintext(40_000), "{ran:?}");
        ran.status.success()
    };
    ["k", "new", "third"].into_iter().filter(opens).collect()
}

#[test]
fn the_new_key_opens_and_the_old_one_does_not() {
    let sandbox = sealed(&["file"]);
    let before = sandbox.read("file");
    let ran = rewrap(&sandbox, &["-k", "k", "--to", "new", "file"]);
    assert_eq!(
        String::from_utf8_lossy(ran.is_good()),
        "file: opens with key \"new\" (generation 2, in place)\n"
    );
    assert_eq!(openers(&sandbox, &["file"]), ["new"]);
    let after = sandbox.read("file");
    assert!(after[4096..] == before[4096..] && after.len() == before.len());
    assert_eq!(sandbox.listing(), ["file", "k", "new", "third"]);

    // Again, with the old key alone, or with both in the same file: nothing is left to do.
    for old in ["k", "new"] {
        let ran = rewrap(&sandbox, &["-k", old, "--to", "new", "file"]);
        assert!(ran.text().contains("generation 2, unchanged: these are its keys already"), "{ran:?}");
        assert_eq!(sandbox.read("file"), after);
    }
}

#[test]
fn keys_are_added_and_taken_away() {
    let sandbox = sealed(&["file"]);
    rewrap(&sandbox, &["-k", "k", "--to", "new", "--add", "file"]).is_good();
    assert_eq!(openers(&sandbox, &["file"]), ["k", "new"]);
    rewrap(&sandbox, &["-k", "new", "--to", "third", "--add", "file"]).is_good();
    assert_eq!(openers(&sandbox, &["file"]), ["k", "new", "third"]);
    // That the key that is to stay fits is tried before the others go.
    rewrap(&sandbox, &["-k", "k", "--remove", "main", "--remove", "new", "file"]).fails_empty(
        7,
        &["could be checked", "to be removed: main, new; a key that stays has to be given with -k"],
    );
    let both = ["-k", "k", "-k", "third", "--remove", "main", "--remove", "new", "file"];
    rewrap(&sandbox, &both).is_good();
    assert_eq!(openers(&sandbox, &["file"]), ["third"]);
    let ran = rewrap(&sandbox, &["-k", "third", "--to", "k", "--to", "new", "file"]);
    assert!(ran.text().contains("opens with keys \"main\", \"new\""), "{ran:?}");
    assert_eq!(openers(&sandbox, &["file"]), ["k", "new"]);
}

#[test]
fn of_a_key_file_the_first_key_is_the_new_one() {
    let sandbox = sealed(&["file"]);
    let both = [sandbox.read("new"), sandbox.read("k")].concat();
    sandbox.write("both", both);
    assert!(sandbox.shell("chmod 600 both").status().unwrap().success());
    rewrap(&sandbox, &["-k", "both", "--to", "both", "file"]).is_good();
    assert_eq!(openers(&sandbox, &["file"]), ["new"]);
}

#[test]
fn the_last_key_and_an_id_that_is_not_there() {
    let sandbox = sealed(&["file"]);
    let before = sandbox.read("file");
    rewrap(&sandbox, &["-k", "k", "--remove", "main", "file"])
        .fails_empty(7, &["file: refused: the last recipient", "to be removed: main"]);
    rewrap(&sandbox, &["-k", "k", "--remove", "mian", "file"])
        .fails_empty(7, &["file: refused: ", "is not there", "kuvert inspect", "to be removed: mian"]);
    assert_eq!(sandbox.read("file"), before);
}

#[test]
fn a_header_without_room_is_written_anew_unless_that_is_forbidden() {
    let sandbox = sealed(&[]);
    sandbox.sealed("file", plaintext(40_000), &["--layout", "compact"]);
    let before = sandbox.read("file");
    rewrap(&sandbox, &["-k", "k", "--to", "new", "--in-place", "file"]).fails_empty(
        7,
        &["file: its header has one slot only", "without --in-place", &format!("{} bytes", before.len())],
    );
    assert_eq!(sandbox.read("file"), before);
    let ran = rewrap(&sandbox, &["-k", "k", "--to", "new", "file"]);
    assert!(ran.text().contains("generation 2, written anew, since its header had no room"), "{ran:?}");
    assert_eq!(openers(&sandbox, &["file"]), ["new"]);
    assert!(sandbox.read("file").ends_with(&before[before.len() - 40_000..]));

    // Twenty keys more than the two slots of a file have room for.
    sandbox.sealed("many", plaintext(40_000), &[]);
    let keys: Vec<String> = (0..22).map(|n| format!("key-{n}-{}", "x".repeat(60))).collect();
    let mut arguments = vec!["-k", "k", "--in-place"];
    for key in &keys {
        sandbox.add_key(key, key);
        arguments.extend(["--to", key]);
    }
    arguments.push("many");
    let ran = rewrap(&sandbox, &arguments);
    ran.fails_empty(7, &["many: its header has no room: the keys need ", " bytes, and there are 20"]);
    arguments.retain(|argument| *argument != "--in-place");
    rewrap(&sandbox, &arguments).is_good();
    for key in [&keys[0], &keys[21]] {
        assert_eq!(sandbox.run(&["open", "-k", key, "many"]).is_good(), plaintext(40_000));
    }
}

#[test]
fn a_detached_header_beside_its_body_or_elsewhere() {
    let sandbox = sealed(&[]);
    sandbox.sealed("body", plaintext(40_000), &["--layout", "detached"]);
    let body = sandbox.read("body");
    let ran = rewrap(&sandbox, &["-k", "k", "--to", "new", "--header", "body.kvh", "body"]);
    assert!(
        ran.text().contains("body: opens with key \"new\" (generation 2, in its detached header)"),
        "{ran:?}"
    );
    assert_eq!(openers(&sandbox, &["--header", "body.kvh", "body"]), ["new"]);
    rewrap(&sandbox, &["-k", "new", "--to", "third", "body.kvh"]).is_good();
    assert_eq!(openers(&sandbox, &["--header", "body.kvh", "body"]), ["third"]);
    assert_eq!(sandbox.read("body"), body);

    rewrap(&sandbox, &["-k", "third", "--to", "k", "body"]).fails_empty(
        3,
        &["body: not a well-formed", "a detached header lies beside it: name that one, body.kvh"],
    );
    rewrap(&sandbox, &["-k", "third", "--to", "k", "--header", "body.kvh", "body", "body"])
        .fails_empty(2, &["--header belongs to one body"]);
    std::fs::rename(sandbox.path("body"), sandbox.path("elsewhere")).unwrap();
    rewrap(&sandbox, &["-k", "third", "--to", "k", "body.kvh"])
        .fails_empty(2, &["body.kvh is a detached header", "--header body.kvh BODY"]);
    rewrap(&sandbox, &["-k", "third", "--to", "k", "--header", "body.kvh", "elsewhere"]).is_good();
    assert_eq!(openers(&sandbox, &["--header", "body.kvh", "elsewhere"]), ["k"]);
    // A header that is a file of its own is always replaced as a whole, and no body is copied for it.
    rewrap(&sandbox, &["-k", "k", "--to", "new", "--in-place", "--header", "body.kvh", "elsewhere"])
        .is_good();
}

#[test]
fn one_bad_file_does_not_stop_the_others() {
    let sandbox = sealed(&["a", "b", "d", "e"]);
    sandbox.write("c", "hello");
    rewrap(&sandbox, &["-k", "k", "--to", "new", "b"]).is_good();
    let all = ["-k", "k", "--to", "new", "a", "b", "c", "d", "absent", "e"];
    let ran = rewrap(&sandbox, &all);
    ran.fails(3, &["kuvert: c: not a well-formed", "kuvert: absent cannot be read: No such file"]);
    assert_eq!(ran.text(), "3 files rewrapped, 1 unchanged, 2 failed\n");
    for file in ["a", "b", "d", "e"] {
        assert_eq!(openers(&sandbox, &[file]), ["new"], "{file}");
    }
    let ran = rewrap(&sandbox, &[&["-v"], &all[..]].concat());
    assert_eq!(ran.text().matches("unchanged: these are its keys already").count(), 4, "{ran:?}");
    assert!(ran.text().ends_with("0 files rewrapped, 4 unchanged, 2 failed\n"), "{ran:?}");
    // The status is that of the first one that failed.
    let ran = rewrap(&sandbox, &["-k", "k", "--to", "new", "absent", "c"]);
    ran.fails(1, &[]);
}

#[test]
fn for_programs_there_is_one_object_a_file() {
    let sandbox = sealed(&["a", "b"]);
    rewrap(&sandbox, &["-k", "k", "--to", "new", "b"]).is_good();
    let ran = rewrap(&sandbox, &["--json", "-k", "k", "--to", "new", "a", "b", "absent"]);
    assert!(ran.status.code() == Some(1) && ran.err.is_empty(), "{ran:?}");
    let objects: Vec<Value> = ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let name = |id: &str| serde_json::json!({ "type": 1, "type_name": "aes-kwp", "id": id });
    let done = |file: &str, outcome: &str, by: &str| {
        serde_json::json!({
            "file": file, "ok": true, "status": 0, "outcome": outcome, "method": "in-place", "generation": 2,
            "opened_by": name(by), "recipients": [name("new")], "pending": [], "unverified": [], "restored": false,
        })
    };
    assert_eq!(objects[..2], [done("a", "rewrapped", "main"), done("b", "unchanged", "new")]);
    assert_eq!((&objects[2]["ok"], &objects[2]["status"]), (&false.into(), &1.into()));
    assert!(objects[2]["message"].as_str().unwrap().contains("absent cannot be read") && objects.len() == 3);
}

#[test]
fn the_context_counts_here_too() {
    let sandbox = sealed(&[]);
    sandbox.sealed("file", plaintext(40_000), &["-c", "db=shop", "-r", "tenant=7"]);
    let ends = |more: &[&str], status: i32, says: &str| {
        let ran = rewrap(&sandbox, &[&["-k", "k", "--to", "new"], more, &["file"]].concat());
        if status == 0 { drop(ran.is_good().to_vec()) } else { ran.fails_empty(status, &[says]) }
    };
    ends(&[], 5, "add: -c db=...");
    ends(&["-c", "db=shop"], 5, "sealed with -r");
    ends(&["--accept-stored-context"], 5, "sealed with -r");
    ends(&["-c", "db=other", "-c", "tenant=7"], 5, "another value is stored for: db");
    ends(&["--accept-stored-context", "-c", "tenant=7"], 0, "");
    let open = ["-c", "db=shop", "-c", "tenant=7", "file"];
    assert_eq!(openers(&sandbox, &open), ["new"]);
}

/// Seals for a key file, and for a key "third" that cannot be reached.
#[derive(Debug)]
struct OneIsAway(MemoryProvider);

#[kuvert::async_trait]
impl KeyProvider for OneIsAway {
    async fn wrap_data_key(
        &self,
        key: &DataKey,
        context: &WrapContext,
    ) -> Result<Vec<Recipient>, ProviderError> {
        let mut recipients = self.0.wrap_data_key(key, context).await?;
        let pending = Recipient::new(RecipientType(0x0041), b"third".to_vec(), vec![0, 1], vec![0]);
        recipients.push(pending);
        Ok(recipients)
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        self.0.check().await
    }

    fn describe(&self) -> ProviderInfo {
        self.0.describe()
    }
}

#[test]
fn a_key_that_could_not_be_reached_is_added_later() {
    let sandbox = sealed(&["without"]);
    let provider = OneIsAway(MemoryProvider::from_key_file(sandbox.path("k")).unwrap());
    let kuvert = kuvert::blocking::Kuvert::new(provider);
    let sealed = kuvert.seal(&plaintext(40_000), &EncryptionContext::empty()).unwrap();
    sandbox.write("file", sealed);
    assert!(sandbox.run(&["inspect", "file"]).text().contains("pending: wanted 0x0001 (aes-kwp) \"third\""));

    // Another key is not the one that is wanted.
    let ran = sandbox.run(&["repair", "-k", "k", "--to", "new", "file"]);
    assert!(ran.status.success() && ran.text().contains("unchanged"), "{ran:?}");
    assert!(
        ran.err.contains("warning: file: not for key \"third\" yet") && ran.err.contains("kuvert repair"),
        "{ran:?}"
    );

    // Every way to fail is that of rewrap.
    let repair = |arguments: &[&str]| sandbox.run(&[&["repair"], arguments].concat());
    repair(&["-k", "k", "--to", "third", "--in-place", "file"])
        .fails_empty(7, &["file: its header has one slot only"]);
    repair(&["-k", "new", "--to", "third", "file"])
        .fails_empty(6, &["file: no usable key", "keys given: new, third"]);
    repair(&["-k", "k", "-c", "a=b", "file"]).fails_empty(5, &["file: wrong encryption context"]);
    repair(&["-k", "k", "k"]).fails_empty(3, &["k: not a well-formed"]);
    repair(&["-k", "k", "absent"]).fails_empty(1, &["absent cannot be read"]);
    repair(&["file"]).fails_empty(2, &["no key was given"]);

    let ran = sandbox.run(&["repair", "-k", "k", "--to", "third", "file", "without"]);
    assert_eq!(String::from_utf8_lossy(ran.is_good()), "1 file rewrapped, 1 unchanged\n");
    assert_eq!(openers(&sandbox, &["file"]), ["k", "third"]);
    assert_eq!(openers(&sandbox, &["without"]), ["k"]);
    let ran = sandbox.run(&["repair", "-k", "k", "-k", "third", "file"]);
    assert!(ran.text().contains("unchanged"), "{ran:?}");
}

#[test]
fn calls_that_cannot_be() {
    let sandbox = sealed(&["file"]);
    let before = sandbox.read("file");
    for (arguments, says) in [
        (&["-k", "k", "file"][..], "--to <NEW>"),
        (&["-k", "k", "--to", "new"], "<FILE>..."),
        (&["-k", "k", "--add", "file"], "--to <NEW>"),
        (&["-k", "k", "--to", "new", "--remove", "main", "file"], "cannot be used with"),
        (&["--to", "new", "file"], "no key was given"),
        (&["-k", "absent", "--to", "new", "file"], "key file \"absent\" cannot be read"),
        (&["-k", "k", "--to", "absent", "file"], "key file \"absent\" cannot be read"),
        (&["-k", "k", "--to", "pkcs11:token=t", "file"], NO_MODULE),
        (&["-k", "k", "--to", "new", "-c", "pair", "file"], "NAME=VALUE"),
        (&["-k", "k", "--to", "new", "-"], "has to be a file, and not a stream"),
        (&["-k", "k", "--to", "new", "."], ". is a directory"),
        (&["-k", "k", "--to", "new", "--header", "file", "file"], "not detached"),
    ] {
        rewrap(&sandbox, arguments).fails_empty(2, &[says]);
    }
    // The new key has the old one's name, and is another one.
    sandbox.add_key("same", "main");
    rewrap(&sandbox, &["-k", "k", "--to", "same", "file"])
        .fails_empty(2, &["two different keys have the id \"main\""]);
    assert_eq!(sandbox.read("file"), before);
    // Without -k, the environment's keys are the old ones.
    let mut command = sandbox.command(&["rewrap", "--to", "new", "file"]);
    sandbox.finish(command.env("KUVERT_KEYS", "k"), &[]).is_good();
    assert_eq!(openers(&sandbox, &["file"]), ["new"]);
}

#[test]
fn files_that_cannot_be_opened_stay_as_they_are() {
    let sandbox = sealed(&["file"]);
    sandbox.add_key("same", "main");
    let good = sandbox.read("file");
    let mut mac = good.clone();
    mac[2040] ^= 1;
    let (cut, newer) = (good[..4100].to_vec(), [&good[..8], &[2], &good[9..]].concat());
    for (bytes, key, status, says) in [
        (&good, "third", 6, &["no usable key", "\"main\"", "keys given: third, new"][..]),
        (&good, "same", 6, &["wrong key", "another key has the same name"]),
        (&mac, "k", 4, &["tampered"]),
        (&cut, "k", 4, &["truncated"]),
        (&newer, "k", 3, &["unsupported", "newer kuvert"]),
        (&b"\x89PNG\r\n".to_vec(), "k", 3, &["not a well-formed"]),
        (&Vec::new(), "k", 4, &["truncated"]),
    ] {
        sandbox.write("bad", bytes);
        rewrap(&sandbox, &["-k", key, "--to", "new", "bad"]).fails_empty(status, says);
        assert_eq!(&sandbox.read("bad"), bytes);
    }
}

#[test]
fn names_that_would_steer_a_terminal_are_shown_escaped() {
    let sandbox = sealed(&[]);
    let name = "a\u{1b}[2Jb";
    sandbox.write(name, "hello");
    // The sandbox refuses control characters on standard error.
    rewrap(&sandbox, &["-k", "k", "--to", "new", name]).fails_empty(3, &["a\\u{1b}[2Jb: not a"]);
    rewrap(&sandbox, &["-k", "k", "--remove", "x\u{1b}[2Jy", name]).fails_empty(3, &[]);
    sandbox.sealed("file", PLAIN, &[]);
    let ran = rewrap(&sandbox, &["-k", "k", "--remove", "x\u{1b}[2Jy", "file"]);
    ran.fails_empty(7, &["to be removed: x\\u{1b}[2Jy"]);
}

/// What is said of a URI that names no module, or of every one where there is no PKCS#11.
const NO_MODULE: &str = if cfg!(feature = "pkcs11") { "names no module" } else { "has no PKCS#11" };
