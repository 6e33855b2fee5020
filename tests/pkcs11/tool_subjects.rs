//! `kuvert subjects` over keys in a token: rolled into and out of it, destroyed when told to, and confirmed to be gone.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kuvert::blocking::block_on;
use kuvert::clock::TestClock;
use kuvert::keystore::{SqliteKeyStore, SqliteOptions};
use kuvert::provider::{AnyOf, KeyProvider, MemoryProvider};
use kuvert::subjects::{FileAnchor, Sealed};
use kuvert::{Subjects, SubjectsOptions};
use serde_json::Value;

use crate::people::{opened_and_erased, seal_for};
use crate::stage::{Stage, staged};
use crate::tool::Tool;

/// Stands in names of persons. Must never be in any output.
const NAME: &str = "name-marker-anna-5d0e";
const ERASE: &str = "erase -k r --store s --anchor a --scope shop --request r-1";

/// A store whose root is wrapped by a key file, and its first epochs by the key `week/01` of a token.
struct House<'s> {
    tool: Tool<'s>,
    week: String,
    next: String,
}

impl<'s> House<'s> {
    fn new(stage: &'s Stage) -> Self {
        stage.token("ours");
        stage.aes("ours", "week", "01");
        stage.aes("ours", "week", "02");
        let uri = |id| stage.uri(stage.module(), "ours", "week", Some(id));
        let house = Self { tool: Tool { stage }, week: uri("01"), next: uri("02") };
        for key in ["r", "b"] {
            house.tool.good(&["keygen", "-o", key, "--id", key]);
        }
        // Its epochs are hours old.
        let path = |name| stage.folder().join(name);
        let store = Arc::new(SqliteKeyStore::open_or_create(path("s"), &SqliteOptions::default()).unwrap());
        let root = Arc::new(MemoryProvider::from_key_files([path("r")]).unwrap());
        let clock = TestClock::starting_at(SystemTime::now() - Duration::from_secs(4 * 3600));
        let options = SubjectsOptions::default()
            .with_anchor(Arc::new(FileAnchor::new(path("a"))))
            .with_clock(Arc::new(clock));
        let week = Arc::new(stage.provider("ours", "week", "01"));
        drop(block_on(Subjects::init(store, root, week, options)).unwrap().unwrap());
        house
    }

    fn words(&self, words: &str) -> Vec<String> {
        let word = |word: &str| match word {
            "WEEK" => self.week.clone(),
            "NEXT" => self.next.clone(),
            word => word.to_owned(),
        };
        ["subjects"].into_iter().chain(words.split_whitespace()).map(word).collect()
    }

    #[track_caller]
    fn good(&self, words: &str) -> String {
        let said = self.tool.good(&self.words(words));
        assert!(!said.contains(NAME), "{said}");
        said
    }

    #[track_caller]
    fn json(&self, words: &str) -> Value {
        let said = self.good(&format!("{words} --json"));
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    #[track_caller]
    fn fails(&self, words: &str, status: i32, said: &str) {
        self.tool.fails(&self.words(words), status, said);
    }

    /// As a service opens it, by a clock that is so far behind.
    fn service(&self, behind: Duration, versions: &[&str]) -> Subjects {
        let path = |name| self.tool.stage.folder().join(name);
        let mut keys: Vec<Arc<dyn KeyProvider>> =
            vec![Arc::new(MemoryProvider::from_key_files([path("r"), path("b")]).unwrap())];
        for version in versions {
            keys.push(Arc::new(self.tool.stage.provider("ours", "week", version)));
        }
        let store = SqliteKeyStore::open(path("s"), &SqliteOptions::default()).unwrap();
        let options = SubjectsOptions::default()
            .with_lazy_epochs(true)
            .with_anchor(Arc::new(FileAnchor::new(path("a"))))
            .with_clock(Arc::new(TestClock::starting_at(SystemTime::now() - behind)));
        let keys = Arc::new(AnyOf::new(keys).unwrap());
        block_on(Subjects::open(Arc::new(store), keys, options)).unwrap().unwrap()
    }

    fn seal(&self, count: usize) -> Vec<Sealed<String>> {
        let names: Vec<String> = (0..count).map(|number| format!("{NAME}-{number}")).collect();
        seal_for(&self.service(Duration::ZERO, &["01"]).scope("shop"), &names)
    }

    /// How many of these open, and how many are erased; nothing else may come.
    fn opens(&self, records: &[Sealed<String>], version: &str) -> (usize, usize) {
        opened_and_erased(&self.service(Duration::ZERO, &[version]).scope("shop"), records)
    }

    /// Rolls the epochs of both classes.
    fn roll(&self, from: &str, to: &str) {
        for class in ["", " --credentials"] {
            self.good(&format!("roll -k r -k {from} --to {to} --store s --anchor a{class}"));
        }
    }

    /// Ids of the keys of that label in a token.
    fn keys(&self, token: &str) -> Vec<String> {
        let listed = self.tool.stage.tool(token, ["--list-objects", "--type", "secrkey"]);
        let ids = listed.lines().filter_map(|line| line.trim().strip_prefix("ID:"));
        let mut ids: Vec<String> = ids.map(|id| id.trim().to_owned()).collect();
        ids.sort();
        ids
    }
}

staged! {
    fn a_receipt_over_a_token_becomes_irrevocable_once_its_key_is_destroyed(stage: &Stage) {
        let house = House::new(stage);
        let records = house.seal(4);
        // Erased some hours before the roll, and just before it: the root, which is in a file, is all that is needed.
        let scope = house.service(Duration::from_secs(3 * 3600), &["01"]).scope("shop");
        block_on(scope.erase(&scope.subject(format!("{NAME}-0")), "earlier")).unwrap().unwrap();
        drop(scope);
        house.good(&format!("{ERASE} --subject {NAME}-1"));
        std::fs::copy(stage.folder().join("s"), stage.folder().join("older")).unwrap();
        house.good("backup -k r -k WEEK --store s --to b -o early.kvt");
        house.roll("WEEK", "NEXT");
        assert_eq!(house.opens(&records, "02"), (2, 2));

        let destroy = "roll -k r -k NEXT -k b --store s --anchor a --destroy WEEK";
        house.fails(destroy, 2, "--backup");
        house.fails(&format!("{destroy} -k WEEK --backup early.kvt"), 7, "before the roll");
        house.good("backup -k r -k NEXT --store s --to b -o keys.kvt");
        let destroy = format!("{destroy} --backup keys.kvt");
        house.fails(&destroy.replace("WEEK", "NEXT"), 7, "not the wrapping key of a retired epoch");
        // A key that is only named by its label may be any of its versions.
        let label_only = stage.uri(stage.module(), "ours", "week", None);
        house.fails(&destroy.replace("WEEK", &label_only), 2, "named by object= and by id=");
        assert_eq!(house.keys("ours"), ["01", "02"], "it was not told to");
        let confirm = "receipts -k r --store s --anchor a --verify --confirm WEEK";
        assert_eq!(house.json(confirm)["destroyed_epochs"], 0);
        let ran = house.tool.run(&house.words(confirm));
        assert!(String::from_utf8_lossy(&ran.stderr).contains("it is there still"), "{ran:?}");

        // Told to: at once, and that key alone.
        let destroyed = house.json(&destroy);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let gone = destroyed["destroyed"][0]["gone"].as_u64().unwrap();
        assert!((now - 60..=now).contains(&gone), "{destroyed}");
        assert_eq!(destroyed["destroyed"][0]["id"], "week/01");
        assert_eq!(house.keys("ours"), ["02"]);
        house.fails(&destroy, 6, "if it was destroyed before");
        let confirmed = house.json(confirm);
        assert_eq!(
            (&confirmed["confirmed"], &confirmed["irrevocable"], &confirmed["destroyed_epochs"]),
            (&1.into(), &1.into(), &2.into())
        );
        let state = |request: &str| {
            house.json(&format!("receipts -k r --store s --scope shop --request {request}"))["state"].clone()
        };
        assert_eq!((state("earlier"), state("r-1")), ("irrevocable".into(), "requested".into()));
        house.fails(&destroy, 7, "or it is gone already");
        // What is older opens nothing.
        house.fails("roll -k r -k WEEK --to NEXT --store older", 6, "no key week/01");
        house.fails("check-backup -k r -k WEEK -k b early.kvt", 6, "no key week/01");
        assert_eq!(house.opens(&records, "02"), (2, 2));
    }

    fn a_key_of_that_name_in_another_token_is_not_destroyed_for_it(stage: &Stage) {
        let house = House::new(stage);
        // A service that was opened has begun the anchor.
        house.seal(1);
        stage.token("theirs");
        stage.aes("theirs", "week", "01");
        house.roll("WEEK", "NEXT");
        house.good("backup -k r -k NEXT --store s --to b -o keys.kvt");
        let destroy = "roll -k r -k NEXT -k b --store s --backup keys.kvt --destroy WEEK";
        let theirs = stage.uri(stage.module(), "theirs", "week", Some("01"));
        house.fails(&destroy.replace("WEEK", &theirs), 7, "it is another key of that name");
        // Nor is anything destroyed or confirmed in a token that is not there, that does not let anybody in, or has no such key.
        let nowhere = stage.uri(stage.module(), "nowhere", "week", Some("01"));
        house.fails(&destroy.replace("WEEK", &nowhere), 6, "no token matches");
        let locked = house.week.split("&pin-source").next().unwrap().to_owned();
        house.fails(&destroy.replace("WEEK", &locked), 6, "PIN");
        assert_eq!((house.keys("ours"), house.keys("theirs")), (vec!["01".into(), "02".into()], vec!["01".to_owned()]));
        for witness in [&nowhere, &locked, &theirs, &house.next] {
            let confirm = format!("receipts -k r --store s --verify --confirm {witness}");
            assert_eq!(house.json(&confirm)["destroyed_epochs"], 0, "{witness}");
        }
        house.good(destroy);
        assert_eq!((house.keys("ours"), house.keys("theirs")), (vec!["02".to_owned()], vec!["01".to_owned()]));
    }

    fn a_token_that_is_away_changes_nothing(stage: &Stage) {
        let house = House::new(stage);
        let records = house.seal(3);
        let change = || house.json("status --store s")["change"].as_u64().unwrap();
        let (before, roll) = (change(), "roll -k r -k WEEK --to NEXT --store s --anchor a");
        let (tokens, away) = (stage.folder().join("tokens"), stage.folder().join("away"));
        std::fs::rename(&tokens, &away).unwrap();
        std::fs::create_dir(&tokens).unwrap();
        house.fails(roll, 6, "no token matches");
        house.fails("init --store new --root r --epoch WEEK", 6, "no token matches");
        assert!(change() == before && !stage.folder().join("new").exists());
        // Better a backup that was not checked than none: it says so.
        let ran = house.tool.run(&house.words("backup -k r -k WEEK --store s --to b -o kvt"));
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success() && said.contains("kvt: not checked"), "{said}");
        // Whoever is to be erased is erased: the token has nothing to do with it.
        house.good(&format!("{ERASE} --subject {NAME}-0"));
        std::fs::remove_dir(&tokens).unwrap();
        std::fs::rename(&away, &tokens).unwrap();
        assert_eq!(house.json(roll)["resumed"], false, "nothing was half done");
        assert_eq!(house.opens(&records, "02"), (2, 1));
    }

    fn a_roll_out_of_a_token_and_into_it_again(stage: &Stage) {
        let house = House::new(stage);
        let records = house.seal(3);
        let scope = house.service(Duration::from_secs(3 * 3600), &["01"]).scope("shop");
        block_on(scope.erase(&scope.subject(format!("{NAME}-0")), "earlier")).unwrap().unwrap();
        drop(scope);
        house.roll("WEEK", "b");
        house.good("backup -k r -k b --store s --to b -o one.kvt");
        house.good("roll -k r -k b --store s --destroy WEEK --backup one.kvt");
        let confirm = "receipts -k r --store s --anchor a --verify --confirm WEEK --confirm b";
        let confirmed = house.json(confirm);
        assert_eq!((&confirmed["confirmed"], &confirmed["destroyed_epochs"]), (&1.into(), &2.into()));
        // Erased while a key file wrapped the epochs: never irrevocable, also when the file is gone.
        house.good(&format!("{ERASE} --subject {NAME}-1"));
        house.roll("b", "NEXT");
        house.good("backup -k r -k NEXT --store s --to b -o two.kvt");
        house.fails("roll -k r -k NEXT -k b --store s --destroy b --backup two.kvt", 7, "no copy of a key file");
        let confirmed = house.json(confirm);
        assert_eq!((&confirmed["confirmed"], &confirmed["destroyed_epochs"]), (&0.into(), &2.into()));
        assert_eq!(house.opens(&records, "02"), (1, 2));
    }
}
