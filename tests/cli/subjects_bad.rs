//! `kuvert subjects` and everything that can be wrong: names, stores, backups, keys, anchors, disks.

use serde_json::Value;

use crate::sandbox::Sandbox;
use crate::subjects::{ERASE, HOLD, NAME, RELEASE, SCOPE, Stage, names, text};

#[test]
fn names_that_cannot_be_names_end_the_call_before_anything_is_done() {
    let stage = Stage::new();
    let records = stage.seal(&names(2));
    let enormous = "x".repeat(1025);
    for (list, says) in [
        (format!("{NAME}-0\n\n{NAME}-1\n"), "standard input, line 2: the name is empty"),
        (format!("{NAME}-0\n{enormous}\n"), "standard input, line 2: the name has more than 1024 bytes"),
        (String::new(), "standard input, line 1: the name is empty"),
    ] {
        for command in [ERASE, HOLD, RELEASE] {
            stage.with_input(command, &list).fails_empty(2, &[says, "nothing was done"]);
        }
    }
    stage.sandbox.write("latin1", b"name\xe9\n");
    stage
        .subjects(&format!("{ERASE} --from latin1"))
        .fails_empty(2, &["latin1, line 1: the name is not UTF-8"]);
    stage.subjects(&format!("{ERASE} --from nowhere")).fails_empty(1, &["nowhere cannot be read"]);
    stage.subjects(&format!("{ERASE} --subject {enormous}")).fails_empty(2, &["more than 1024 bytes"]);
    let mut empty: Vec<&str> = ["subjects"].into_iter().chain(ERASE.split_whitespace()).collect();
    empty.extend(["--subject", ""]);
    stage.sandbox.run(&empty).fails_empty(2, &["the name is empty"]);
    // A name where none belongs is not repeated.
    stage.subjects(&format!("{ERASE} {NAME}-0")).fails_empty(2, &["one argument too many", "--from FILE"]);
    let long = ERASE.replace(SCOPE, &"s".repeat(256));
    assert_eq!(stage.subjects(&format!("{long} --subject x")).status.code(), Some(2));
    assert_eq!(stage.opens("s", &records), (2, 0));
    // The longest that can be one is only not known.
    let longest = "x".repeat(1024);
    stage.subjects(&format!("{ERASE} --subject {longest}")).fails_empty(2, &["nothing was ever sealed"]);
}

/// Every command that takes a store, on one that is not as it should be: the status, and what it says.
fn each_refuses(stage: &Stage, store: &str, status: i32, says: &[&str]) {
    let before = stage.sandbox.exists(store).then(|| stage.sandbox.read(store));
    for command in [
        "status --store STORE",
        &format!("{} --subject {NAME}-0", ERASE.replace("--store s", "--store STORE")),
        "receipts -k r --store STORE --verify",
        "roll -k r -k e --store STORE --to e2",
        "backup -k r -k e --store STORE --to b -o out",
    ] {
        let ran = stage.subjects(&command.replace("STORE", store));
        ran.fails_empty(status, says);
        let told = stage.json(&command.replace("STORE", store));
        assert_eq!((&told["ok"], &told["status"]), (&Value::Bool(false), &status.into()), "{command}");
        assert!(!stage.sandbox.exists("out"));
    }
    assert!(before == stage.sandbox.exists(store).then(|| stage.sandbox.read(store)), "{store} was changed");
}

#[test]
fn stores_that_are_none_or_not_whole() {
    let stage = Stage::new();
    stage.seal(&names(50));
    each_refuses(
        &stage,
        "nowhere",
        1,
        &["nowhere: there is no such file", "kuvert subjects init", "restore -k KEY"],
    );
    assert!(!stage.sandbox.exists("nowhere"));
    stage
        .sandbox
        .write("foreign", "This is a letter, and has nothing to do with anybody's keys.".repeat(100));
    each_refuses(&stage, "foreign", 3, &["foreign: ", "is --store the right file?"]);
    stage.sandbox.write("empty", "");
    each_refuses(&stage, "empty", 3, &["empty: "]);
    // All is in the file itself once the last one has closed it.
    let whole = stage.sandbox.read("s");
    assert!(!stage.sandbox.exists("s-wal") && whole.len() > 20_000);
    stage.sandbox.write("truncated", &whole[..whole.len() / 2]);
    each_refuses(&stage, "truncated", 3, &["truncated: ", "restore"]);
    let mut newer = whole;
    newer[60..64].copy_from_slice(&99_u32.to_be_bytes());
    stage.sandbox.write("newer", newer);
    each_refuses(&stage, "newer", 3, &["newer: ", "newer release", "this one has changed nothing"]);
}

#[test]
fn the_wrong_keys() {
    let stage = Stage::new();
    let records = stage.seal(&names(2));
    stage
        .subjects(&format!("{} --subject {NAME}-0", ERASE.replace("-k r", "-k b")))
        .fails_empty(6, &["s: its root", "keys given: id-b"]);
    stage.subjects("roll -k r --store s --to e2").fails_empty(6, &["s: an epoch", "keys given: id-r, id-e2"]);
    let status = stage.json("status --store s --anchor a");
    assert_eq!(status["epochs"].as_array().unwrap().len(), 2, "nothing was begun: {status}");
    stage.subjects("receipts --store s").fails_empty(2, &["no key was given"]);
    assert_eq!(stage.opens("s", &records), (2, 0));
}

#[test]
fn anchors_that_are_lost_another_s_or_contradict() {
    let stage = Stage::new();
    let records = stage.seal(&names(3));
    let erase = |anchor: &str, who: usize| {
        stage.subjects(&format!(
            "{} --subject {NAME}-{who}",
            ERASE.replace("--anchor a", &format!("--anchor {anchor}"))
        ))
    };
    erase("nowhere", 0).fails_empty(1, &["anchor nowhere: there is no such file", "put an empty file"]);
    assert!(!stage.sandbox.exists("nowhere"));
    stage.subjects("init --store other --anchor oa --root r --epoch e").is_good();
    erase("oa", 0).fails_empty(7, &["another key store", "--anchor, or KUVERT_ANCHOR"]);
    assert_eq!(stage.json("status --store s --anchor oa")["anchor"]["state"], "other-store");
    stage
        .subjects("init --store third --anchor oa --root r --epoch e")
        .fails_empty(7, &["another key store"]);
    assert!(!stage.sandbox.exists("third"), "{:?}", stage.sandbox.listing());
    assert_eq!(stage.opens("s", &records), (3, 0));

    // Two copies of one store go ways of their own with copies of one anchor.
    std::fs::copy(stage.sandbox.path("s"), stage.sandbox.path("copy")).unwrap();
    erase("a", 0).is_good();
    std::fs::copy(stage.sandbox.path("a"), stage.sandbox.path("longer")).unwrap();
    let elsewhere = ERASE.replace("--store s", "--store copy").replace("--anchor a", "");
    stage.subjects(&format!("{elsewhere} --subject {NAME}-1")).is_good();
    let diverged = stage.json("status --store copy --anchor longer");
    assert_eq!(
        (&diverged["anchor"]["state"], &diverged["anchor"]["number"]),
        (&"diverged".into(), &1.into())
    );
    stage
        .subjects("receipts -k r --store copy --anchor longer --verify")
        .fails_empty(7, &["contradict each other at tombstone 1", "keep copies of both"]);
    // What is no anchor is not written over, however short it is; one that lacks its end gets it back.
    for letter in ["Dear Anna", "Dear Anna, this is no anchor, and was never one."] {
        stage.sandbox.write("letter", letter);
        erase("letter", 2).fails_empty(3, &["the file is no anchor"]);
        assert_eq!(stage.sandbox.read("letter"), letter.as_bytes());
    }
    let whole = stage.sandbox.read("a");
    stage.sandbox.write("cut", &whole[..whole.len() - 1]);
    assert_eq!(stage.json("status --store s --anchor cut")["anchor"]["state"], "anchor-behind");
    stage.subjects("receipts -k r --store s --anchor cut --verify").is_good();
    assert!(stage.sandbox.read("cut") == whole);
    // One that was lost is made anew from an empty file.
    stage.sandbox.write("fresh", "");
    assert_eq!(stage.json("status --store s --anchor fresh")["anchor"]["state"], "anchor-behind");
    stage.subjects("receipts -k r --store s --anchor fresh --verify").is_good();
    assert_eq!(stage.json("status --store s --anchor fresh")["anchor"]["state"], "in-step");
}

#[test]
fn a_store_is_made_whole_or_not_at_all() {
    let stage = Stage::new();
    let before = (stage.sandbox.read("s"), stage.sandbox.listing());
    let init = |store: &str, keys: &str| stage.subjects(&format!("init --store {store} {keys}"));
    init("s", "--root r --epoch e").fails_empty(2, &["s exists and was left as it is"]);
    stage.sandbox.write("letter", "Dear Anna");
    init("letter", "--root r --epoch e").fails_empty(3, &["letter: "]);
    init("new", "--root r --epoch nowhere").fails_empty(2, &["nowhere"]);
    init("missing/new", "--root r --epoch e").fails_empty(1, &["missing/new"]);
    init("new", "--root r --epoch e --anchor missing/a").fails_empty(1, &["anchor"]);
    std::fs::remove_file(stage.sandbox.path("letter")).unwrap();
    assert_eq!((stage.sandbox.read("s"), stage.sandbox.listing()), before);
    // What a store that is gone has left is not taken for the new one's.
    stage.sandbox.write("left-wal", "the last changes");
    init("left", "--root r --epoch e")
        .fails_empty(2, &["left-wal exists", "the last changes of a store that is gone"]);
    assert!(!stage.sandbox.exists("left"));
    let ran = init("one", "--root r --epoch r");
    assert!(
        ran.status.success()
            && ran.err.contains("it can never be destroyed")
            && ran.err.contains("without --anchor"),
        "{ran:?}"
    );
}

#[test]
fn backups_that_are_none_or_not_whole() {
    let stage = Stage::new();
    stage.seal(&names(5));
    stage.subjects("backup -k r -k e --store s --to b -o kvt").is_good();
    let whole = stage.sandbox.read("kvt");
    stage.sandbox.write("short", &whole[..whole.len() - 1]);
    let mut flipped = whole.clone();
    let last = flipped.len() - 20;
    flipped[last] ^= 1;
    stage.sandbox.write("flipped", flipped);
    stage.sandbox.write("letter", "Dear Anna, this is not a backup of anything at all. ".repeat(50));
    stage.sandbox.sealed("message", "something else", &[]);
    let before = stage.sandbox.listing();
    for (input, status) in [("short", 4), ("flipped", 4), ("letter", 3), ("nowhere", 1), ("message", 5)] {
        for command in
            ["check-backup -k k -k r -k e -k b", "restore -k k -k r -k e -k b --store new --anchor a"]
        {
            let ran = stage.subjects(&format!("{command} {input}"));
            ran.fails_empty(status, &[]);
        }
    }
    stage
        .subjects("restore -k b --store new --anchor a kvt")
        .fails_empty(6, &["new: its root", "keys given: id-b"]);
    stage.subjects("check-backup -k r -k e kvt").fails_empty(6, &["kvt"]);
    stage.subjects("check-backup -k r -k b kvt").fails_empty(6, &["kvt"]);
    assert_eq!(stage.sandbox.listing(), before, "something was left behind");
    stage.subjects("init --store other --root r --epoch e --anchor oa").is_good();
    stage
        .subjects("check-backup -k r -k e -k b --store other kvt")
        .fails_empty(7, &["another key store than other"]);
    stage.subjects("restore -k r -k b --store new --anchor oa kvt").fails_empty(7, &["another key store"]);
    assert!(!stage.sandbox.exists("new"));
}

#[test]
fn links_that_somebody_changed_are_found() {
    let stage = Stage::new();
    let records = stage.seal(&names(2));
    stage.subjects(&format!("{ERASE} --subject {NAME}-0")).is_good();
    // The tombstone as it stands in the anchor is looked for in the store, and its last byte turned.
    let anchor = stage.sandbox.read("a");
    let stone = &anchor[32..32 + 114];
    let mut store = stage.sandbox.read("s");
    let at = store.windows(114).position(|window| window == stone).expect("the store has the tombstone");
    store[at + 113] ^= 1;
    stage.sandbox.write("s", store);
    stage
        .subjects("receipts -k r --store s --verify")
        .fails_empty(4, &["chain of tombstones", "at number 1", "keep a copy"]);
    stage.subjects(&format!("{ERASE} --subject {NAME}-1")).fails_empty(4, &["chain of tombstones"]);
    drop(records);
}

#[test]
fn a_folder_that_cannot_be_written_and_a_disk_that_is_full() {
    let sandbox = Sandbox::new();
    for key in ["r", "e"] {
        sandbox.add_key(key, key);
    }
    // Without the trap the signal would end the program. The limit is in blocks of 512 or 1024 bytes.
    let script = "trap '' XFSZ; ulimit -f 4; exec $KUVERT subjects init --store new --root r --epoch e";
    let ran = sandbox.finish(&mut sandbox.shell(script), &[]);
    assert!(ran.status.code() == Some(1) && ran.err.starts_with("kuvert: "), "{ran:?}");
    assert_eq!(sandbox.listing(), ["e", "k", "r"]);
    assert_eq!(text(&ran.out), "");
}
