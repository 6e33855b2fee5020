//! `kuvert subjects`: every command over a store in a file, what it says to people and to programs, and that it never says
//! whom it is about.

use std::sync::Arc;

use kuvert::blocking::block_on;
use kuvert::keystore::{SqliteKeyStore, SqliteOptions};
use kuvert::provider::{KeyProvider, MemoryProvider};
use kuvert::subjects::{FileAnchor, Sealed};
use kuvert::{RecordError, Subjects, SubjectsOptions};
use serde_json::Value;

use crate::sandbox::{Ran, Sandbox};
use crate::support::people::{cell, opened_and_erased, seal_for};

/// Stand in names, scopes, requests and cases. Must never be in any output, nor in any file but the list of names.
pub(crate) const NAME: &str = "name-marker-anna-5d0e";
pub(crate) const SCOPE: &str = "scope-marker-91fb";
pub(crate) const REQUEST: &str = "request-marker-3ac7";

/// A store with an anchor, and keys for its root `r`, its epochs `e` and `e2`, and its backups `b`.
pub(crate) struct Stage {
    pub(crate) sandbox: Sandbox,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let stage = Self { sandbox: Sandbox::new() };
        for key in ["r", "e", "e2", "b"] {
            stage.sandbox.add_key(key, &format!("id-{key}"));
        }
        let made = stage.subjects("init --store s --anchor a --root r --epoch e");
        assert!(text(made.is_good()).starts_with("s: key store "), "{made:?}");
        stage
    }

    /// `kuvert subjects` with these words.
    pub(crate) fn subjects(&self, words: &str) -> Ran {
        self.with_input(words, "")
    }

    pub(crate) fn with_input(&self, words: &str, input: &str) -> Ran {
        let words: Vec<&str> = ["subjects"].into_iter().chain(words.split_whitespace()).collect();
        let ran = self.sandbox.run_with(&words, input.as_bytes());
        let said = format!("{}{}", ran.err, String::from_utf8_lossy(&ran.out));
        for marker in [NAME, SCOPE, REQUEST] {
            assert!(!said.contains(marker), "{marker} in: {ran:#?}");
        }
        ran
    }

    /// One JSON object of `kuvert subjects WORDS --json`.
    pub(crate) fn json(&self, words: &str) -> Value {
        let ran = self.subjects(&format!("{words} --json"));
        serde_json::from_slice(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:#?}"))
    }

    /// As a service opens it.
    pub(crate) fn open(&self, store: &str) -> Subjects {
        let keys: Vec<_> = ["r", "e", "e2"].map(|key| self.sandbox.path(key)).into();
        let keys: Arc<dyn KeyProvider> = Arc::new(MemoryProvider::from_key_files(keys).unwrap());
        let store = SqliteKeyStore::open(self.sandbox.path(store), &SqliteOptions::default()).unwrap();
        let options =
            SubjectsOptions::default().with_anchor(Arc::new(FileAnchor::new(self.sandbox.path("a"))));
        block_on(Subjects::open(Arc::new(store), keys, options)).unwrap().unwrap()
    }

    /// Seals something for each of these.
    pub(crate) fn seal(&self, names: &[String]) -> Vec<Sealed<String>> {
        seal_for(&self.open("s").scope(SCOPE), names)
    }

    /// How many of these open, and how many are erased; nothing else may come.
    pub(crate) fn opens(&self, store: &str, records: &[Sealed<String>]) -> (usize, usize) {
        opened_and_erased(&self.open(store).scope(SCOPE), records)
    }
}

pub(crate) fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{NAME}-{number}")).collect()
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

pub(crate) const ERASE: &str =
    "erase -k r --store s --anchor a --scope scope-marker-91fb --request request-marker-3ac7";
pub(crate) const HOLD: &str =
    "hold -k r --store s --anchor a --scope scope-marker-91fb --case request-marker-3ac7";
pub(crate) const RELEASE: &str =
    "release -k r --store s --anchor a --scope scope-marker-91fb --case request-marker-3ac7";

#[test]
fn people_are_erased_by_name_and_by_list_and_nobody_else_is() {
    let stage = Stage::new();
    let records = stage.seal(&names(6));
    let ran = stage.subjects(&format!("{ERASE} --subject {NAME}-0"));
    let said = text(ran.is_good());
    for part in [
        "erased: 1 key\n",
        "  requested    20",
        "  unusable     from 20",
        "  irrevocable  not yet",
        "key files",
    ] {
        assert!(said.contains(part), "{part:?}: {said}");
    }
    // A list: one of them erased before, one twice, the last without a line end; from a pipe.
    let list = format!("{NAME}-1\n{NAME}-0\n{NAME}-1\n{NAME}-2");
    let ran = stage.with_input(ERASE, &list);
    assert_eq!(text(ran.is_good()), "2 data subjects erased, 1 erased before\n");
    stage.sandbox.write("list", format!("{NAME}-3\n"));
    let ran = stage.subjects(&format!("{ERASE} --from list --json --reason expiry"));
    let object: Value = serde_json::from_slice(ran.is_good()).unwrap();
    assert_eq!((&object["ok"], &object["status"], &object["line"]), (&true.into(), &0.into(), &1.into()));
    assert_eq!(object["state"], "requested");
    assert_eq!(object["keys"].as_array().unwrap().len(), 1);
    assert_eq!(object["unusable"].as_u64().unwrap() - object["requested"].as_u64().unwrap(), 61);
    assert!(object["irrevocable"].is_null() && object["was_erased_before"] == false, "{object}");
    assert_eq!(stage.opens("s", &records), (2, 4));

    let receipts = stage.subjects("receipts -k r --store s --anchor a --json");
    let shapes: Vec<Value> =
        text(receipts.is_good()).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shapes: Vec<_> = shapes
        .iter()
        .map(|one| (one["reason"].as_str().unwrap(), one["keys"].as_array().unwrap().len()))
        .collect();
    assert_eq!(shapes, [("request", 4)]);
    let one = format!("receipts -k r --store s --scope {SCOPE} --request {REQUEST}");
    assert!(text(stage.subjects(&one).is_good()).starts_with("4 keys erased: request\n"));
    let total = stage.json("receipts -k r --store s --verify");
    assert_eq!((&total["tombstones"], &total["irrevocable"]), (&4.into(), &0.into()));
}

#[test]
fn the_longest_cache_decides_from_when_on_nothing_opens() {
    let stage = Stage::new();
    stage.seal(&names(1));
    let begun = std::time::Instant::now();
    let ran = stage.subjects(&format!("{ERASE} --max-age 10m --subject {NAME}-0 --json"));
    // Between the tombstone and the removal a second may begin, or several.
    let taken = begun.elapsed().as_secs() + 1;
    let object: Value = serde_json::from_slice(ran.is_good()).unwrap();
    let after = object["unusable"].as_u64().unwrap() - object["requested"].as_u64().unwrap();
    assert!((601..=601 + taken).contains(&after), "{after}");
    stage.subjects(&format!("{ERASE} --max-age soon --subject {NAME}-0")).fails_empty(2, &["--max-age is"]);
}

#[test]
fn who_is_on_hold_is_not_erased_and_keeps_nobody_else() {
    let stage = Stage::new();
    let records = stage.seal(&names(3));
    assert_eq!(text(stage.subjects(&format!("{HOLD} --subject {NAME}-1")).is_good()), "on hold\n");
    // Again, and that is all right.
    assert_eq!(text(stage.subjects(&format!("{HOLD} --subject {NAME}-1")).is_good()), "on hold\n");
    let ran = stage.with_input(ERASE, &(names(3).join("\n") + "\n"));
    ran.fails(7, &["line 2: on hold"]);
    assert_eq!(ran.text(), "2 data subjects erased, 1 not erased\n");
    assert_eq!(stage.opens("s", &records), (1, 2));
    stage
        .subjects(&format!("{ERASE} --subject {NAME}-1"))
        .fails_empty(7, &["the name: on hold", "'kuvert subjects release'"]);

    let other = RELEASE.replace(REQUEST, "another-case");
    stage
        .subjects(&format!("{other} --subject {NAME}-1"))
        .fails_empty(2, &["not on hold for this case", "1 other case"]);
    assert_eq!(text(stage.subjects(&format!("{RELEASE} --subject {NAME}-1")).is_good()), "released\n");
    stage.subjects(&format!("{HOLD} --subject {NAME}-0")).fails_empty(7, &["it was erased"]);
    stage.subjects(&format!("{ERASE} --subject {NAME}-1")).is_good();
    assert_eq!(stage.opens("s", &records), (0, 3));
}

#[test]
fn a_name_that_nobody_knows_is_told_and_not_buried() {
    let stage = Stage::new();
    let records = stage.seal(&names(2));
    let list = format!("{NAME}-0\n{NAME}-typo\n{NAME}-1\n");
    let ran = stage.with_input(ERASE, &list);
    ran.fails(2, &["line 2: nothing was ever sealed for it in this scope", "--even-unknown"]);
    assert_eq!(ran.text(), "2 data subjects erased, 1 not erased\n");
    assert_eq!(stage.opens("s", &records), (0, 2));
    // Another scope does not know them either, and says so for each.
    let elsewhere = ERASE.replace(SCOPE, "elsewhere");
    let ran = stage.with_input(&elsewhere, &list);
    ran.fails(2, &["line 1: ", "line 3: "]);
    stage
        .subjects(&format!("{HOLD} --subject {NAME}-typo"))
        .fails_empty(2, &["the name: nothing was ever sealed"]);
    assert!(
        block_on(stage.open("s").scope(SCOPE).subject(format!("{NAME}-typo")).seal("x", cell()))
            .unwrap()
            .is_ok()
    );
    let ran = stage.subjects(&format!("{ERASE} --even-unknown --subject {NAME}-typo-2"));
    assert!(text(ran.is_good()).starts_with("no keys to erase; the name is refused from now on\n"));
    let refused =
        block_on(stage.open("s").scope(SCOPE).subject(format!("{NAME}-typo-2")).seal("x", cell())).unwrap();
    assert!(matches!(refused, Err(RecordError::NameErased)));
}

#[test]
fn a_class_is_not_the_person_of_that_name() {
    let stage = Stage::new();
    let person = stage.seal(&names(1));
    let scope = stage.open("s").scope(SCOPE);
    let class = block_on(scope.class(format!("{NAME}-0")).seal("x", cell())).unwrap().unwrap();
    stage.subjects(&format!("{ERASE} --class {NAME}-0")).is_good();
    assert_eq!(stage.opens("s", &person), (1, 0));
    assert!(block_on(stage.open("s").scope(SCOPE).open(&class, cell())).unwrap().is_err());
}

#[test]
fn a_roll_moves_everything_and_tells_what_is_not_needed_any_more() {
    let stage = Stage::new();
    let records = stage.seal(&names(20));
    stage.subjects(&format!("{ERASE} --subject {NAME}-7")).is_good();
    let before = stage.json("status --store s --anchor a");
    assert_eq!(
        (&before["subjects"], &before["keys"], &before["tombstones"]),
        (&19.into(), &19.into(), &1.into())
    );
    let report = stage.json("roll -k r -k e --store s --anchor a --to e2");
    assert_eq!(
        (&report["moved"], &report["resumed"], &report["ok"]),
        (&19.into(), &false.into(), &true.into())
    );
    assert_eq!(report["keys_to_destroy"][0]["id"], "id-e");
    let after = stage.json("status --store s --anchor a");
    let states: Vec<_> = after["epochs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|epoch| {
            (
                epoch["class"].as_str().unwrap(),
                epoch["state"].as_str().unwrap(),
                epoch["keys"].as_u64().unwrap(),
                epoch["wrapped_by"][0]["id"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        states,
        [
            ("subjects", "retired", 0, "id-e"),
            ("credentials", "open", 0, "id-e"),
            ("subjects", "open", 19, "id-e2"),
        ]
    );
    assert_eq!(stage.opens("s", &records), (19, 1));
    let said = stage.subjects("roll -k r -k e -k e2 --store s --to e --credentials");
    assert!(
        text(said.is_good()).starts_with("s: 0 keys moved; the epoch is under 0x0001 (aes-kwp) \"id-e\""),
        "{said:?}"
    );
    // A key in a file is nobody's to destroy.
    stage.subjects("backup -k r -k e -k e2 --store s --to b -o kvt").is_good();
    stage.subjects("roll -k r -k e2 -k b --store s --destroy e --backup kvt").fails_empty(
        7,
        &["e: nobody can say that no copy of a key file exists", "delete every copy of it yourself"],
    );
    let confirmed = stage.json("receipts -k r --store s --confirm e --verify");
    assert_eq!((&confirmed["confirmed"], &confirmed["destroyed_epochs"]), (&0.into(), &0.into()));
    stage
        .subjects("roll -k r --store s --to e2 --destroy e --backup kvt")
        .fails_empty(2, &["cannot be used with"]);
}

#[test]
fn a_backup_is_checked_restored_and_erases_again_what_was_erased_since() {
    let stage = Stage::new();
    let records = stage.seal(&names(5));
    stage.subjects(&format!("{ERASE} --subject {NAME}-0")).is_good();
    let made = stage.json("backup -k r -k e --store s --anchor a --to b -o kvt");
    assert_eq!((&made["checked"], &made["keys"], &made["tombstones"]), (&true.into(), &4.into(), &1.into()));
    stage
        .subjects("backup -k r -k e --store s --to b -o kvt")
        .fails_empty(2, &["kvt exists and was left as it is"]);
    let status = stage.json("status --store s --anchor a");
    assert_eq!(status["last_backup"]["behind_by"], 0);
    stage.subjects(&format!("{ERASE} --subject {NAME}-1")).is_good();
    let behind = stage.json("check-backup -k r -k e -k b --store s kvt");
    assert!(behind["behind_by"].as_u64().unwrap() > 0, "{behind}");

    // The store is lost; the anchor, on its other disk, is not.
    for file in ["s", "s-wal", "s-shm"] {
        drop(std::fs::remove_file(stage.sandbox.path(file)));
    }
    let ran = stage.subjects("restore -k r -k b --store s --anchor a kvt");
    assert!(text(ran.is_good()).contains("\n  erased again 1 key\n"), "{ran:?}");
    assert_eq!(stage.opens("s", &records), (3, 2));
    assert_eq!(stage.json("status --store s --anchor a")["anchor"]["state"], "in-step");
    // Never over a store that is there, and from a pipe into another one, with the warning that nobody is erased again.
    let before = stage.sandbox.read("s");
    stage
        .subjects("restore -k r -k b --store s --anchor a kvt")
        .fails_empty(7, &["s exists", "it may be newer"]);
    assert!(stage.sandbox.read("s") == before, "it was changed");
    let script = "$KUVERT subjects restore -k r -k b --store s2 < kvt";
    let ran = stage.sandbox.finish(&mut stage.sandbox.shell(script), &[]);
    assert!(
        ran.status.success() && ran.err.contains("whoever was erased since the backup was made is back"),
        "{ran:?}"
    );
    let behind = stage.json("status --store s2 --anchor a");
    assert_eq!((&behind["anchor"]["state"], &behind["anchor"]["by"]), (&"store-behind".into(), &1.into()));
    // Opened with the anchor by anybody, it erases again.
    stage.subjects("receipts -k r --store s2 --anchor a --verify").is_good();
    assert_eq!(stage.opens("s2", &records), (3, 2));
}

#[test]
fn a_backup_goes_through_a_pipe() {
    let stage = Stage::new();
    stage.seal(&names(2));
    let script =
        "$KUVERT subjects backup -k r --store s --to b | $KUVERT subjects check-backup -k r -k e -k b --json";
    let ran = stage.sandbox.finish(&mut stage.sandbox.shell(script), &[]);
    let report: Value = serde_json::from_slice(ran.is_good()).unwrap();
    assert_eq!(report["keys"], 2);
    // Without the epochs' key it is written, and said that it was not checked.
    let ran = stage.subjects("backup -k r --store s --to b -o kvt");
    assert!(
        ran.status.success() && ran.err.contains("not checked") && ran.text().starts_with("kvt: written"),
        "{ran:?}"
    );
    assert!(!stage.sandbox.exists("s.last-backup"));
}

#[test]
fn the_status_says_how_it_is_without_any_key() {
    let stage = Stage::new();
    stage.seal(&names(3));
    let said = stage.subjects("status --store s --anchor a");
    let said = text(said.is_good());
    for part in [
        "nothing of it was verified",
        "  subjects     3, with 3 keys",
        "  anchor       in step",
        "  last backup  none that is known here",
        "a roll moves 3 keys, and 0x0001 (aes-kwp) \"id-e\" may be destroyed after it",
    ] {
        assert!(said.contains(part), "{part:?}: {said}");
    }
    let mut command = stage.sandbox.command(&["subjects", "status", "--store", "s", "--json"]);
    let ran = stage.sandbox.finish(command.env("KUVERT_ANCHOR", stage.sandbox.path("a")), &[]);
    let object: Value = serde_json::from_slice(ran.is_good()).unwrap();
    assert_eq!(object["anchor"]["state"], "in-step");
    let fields: Vec<&String> = object.as_object().unwrap().keys().collect();
    for field in [
        "ok",
        "status",
        "file",
        "store",
        "change",
        "subjects",
        "keys",
        "joints",
        "holds",
        "erased_names",
        "tombstones",
        "receipts",
        "anchor",
        "last_backup",
        "epochs",
    ] {
        assert!(fields.iter().any(|found| *found == field), "{field}: {fields:?}");
    }
    assert_eq!(stage.json("status --store s")["anchor"]["state"], "not-given");
    assert_eq!(stage.json("status --store s --anchor nowhere")["anchor"]["state"], "missing");
}

#[test]
fn nothing_that_is_kept_holds_a_name() {
    let stage = Stage::new();
    stage.seal(&names(2));
    stage.subjects(&format!("{ERASE} --subject {NAME}-0")).is_good();
    stage.subjects(&format!("{HOLD} --subject {NAME}-1")).is_good();
    stage.subjects("backup -k r -k e --store s --to b -o kvt").is_good();
    // That the search finds what is there.
    stage.sandbox.write("list", format!("x{NAME}x"));
    let mut found = Vec::new();
    for file in stage.sandbox.listing() {
        let bytes = stage.sandbox.read(&file);
        let has = |marker: &str| bytes.windows(marker.len()).any(|window| window == marker.as_bytes());
        if [NAME, SCOPE, REQUEST].iter().any(|marker| has(marker)) {
            found.push(file);
        }
    }
    assert_eq!(found, ["list"]);
}
