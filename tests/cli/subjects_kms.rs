//! `kuvert subjects` over keys in AWS KMS: who is asked what, how a receipt becomes irrevocable, and KMS that is away.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
use kuvert::blocking::block_on;
use kuvert::clock::TestClock;
use kuvert::keystore::{SqliteKeyStore, SqliteOptions};
use kuvert::provider::aws_kms::{AwsKmsBuilder, AwsKmsProvider};
use kuvert::provider::{AnyOf, KeyProvider, MemoryProvider};
use kuvert::subjects::{FileAnchor, Sealed};
use kuvert::{Subjects, SubjectsOptions};
use serde_json::Value;

use crate::kms_stage::{Stage as Kms, arn};
use crate::sandbox::Ran;
use crate::subjects::{NAME, REQUEST, SCOPE, names};
use crate::support::fake_kms::faults::Rule;
use crate::support::fake_kms::{Fault, KeyState};
use crate::support::people::{cell, opened_and_erased, seal_for};

/// A store whose root and epochs are wrapped by keys in KMS, and a key file `b` for backups.
struct Stage {
    kms: Kms,
    root: String,
    week: String,
    next: String,
}

impl Stage {
    fn new() -> Self {
        let kms = Kms::new();
        let [root, week, next] = ["eu-north-1", "eu-central-1", "eu-central-1"].map(|region| kms.key(region));
        kms.sandbox.add_key("b", "backups");
        let stage = Self { kms, root, week, next };
        stage.good("init --store s --anchor a --root ROOT --epoch WEEK");
        stage
    }

    /// One whose epochs are hours old, with somebody who was erased when they were an hour old.
    fn hours_ago() -> (Self, Vec<Sealed<String>>) {
        let stage = Self::new();
        for file in ["s", "a"] {
            std::fs::remove_file(stage.kms.sandbox.path(file)).unwrap();
        }
        let path = |name| stage.kms.sandbox.path(name);
        let store = Arc::new(SqliteKeyStore::open_or_create(path("s"), &SqliteOptions::default()).unwrap());
        let [root, week] = [&stage.root, &stage.week].map(|key| {
            let provider = provider(&stage.kms, &[]).with_sealing_key(arn(key)).build();
            Arc::new(provider.unwrap()) as Arc<dyn KeyProvider>
        });
        let clock = TestClock::starting_at(SystemTime::now() - Duration::from_secs(4 * 3600));
        let options = SubjectsOptions::default()
            .with_anchor(Arc::new(FileAnchor::new(path("a"))))
            .with_clock(Arc::new(clock));
        drop(block_on(Subjects::init(store, root, week, options)).unwrap().unwrap());
        let records = stage.seal(&names(4));
        let scope = stage.service(Duration::from_secs(3 * 3600)).scope(SCOPE);
        block_on(scope.erase(&scope.subject(format!("{NAME}-0")), "earlier")).unwrap().unwrap();
        drop(scope);
        stage.asked();
        (stage, records)
    }

    /// `kuvert subjects` with these words, in which `ROOT`, `WEEK` and `NEXT` are keys.
    fn run(&self, words: &str) -> Ran {
        let words: Vec<String> = ["subjects"]
            .into_iter()
            .chain(words.split_whitespace())
            .map(|word| match word {
                "ROOT" => self.root.clone(),
                "WEEK" => self.week.clone(),
                "NEXT" => self.next.clone(),
                word => word.to_owned(),
            })
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = self.kms.run(&words);
        let said = format!("{}{}", ran.err, String::from_utf8_lossy(&ran.out));
        for marker in [NAME, SCOPE, REQUEST] {
            assert!(!said.contains(marker), "{marker} in: {ran:#?}");
        }
        ran
    }

    #[track_caller]
    fn good(&self, words: &str) -> String {
        String::from_utf8(self.run(words).is_good().to_vec()).unwrap()
    }

    #[track_caller]
    fn json(&self, words: &str) -> Value {
        let ran = self.run(&format!("{words} --json"));
        serde_json::from_slice(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:#?}"))
    }

    /// As a service opens it, by a clock that is so far behind.
    fn service(&self, behind: Duration) -> Subjects {
        let keys = provider(&self.kms, &[&self.root, &self.week, &self.next]).open_only().build().unwrap();
        let clock = TestClock::starting_at(SystemTime::now() - behind);
        service(&self.kms, ["s", "a"], Arc::new(keys), clock)
    }

    fn seal(&self, names: &[String]) -> Vec<Sealed<String>> {
        seal_for(&self.service(Duration::ZERO).scope(SCOPE), names)
    }

    /// How many of these open, and how many are erased; nothing else may come.
    fn opens(&self, records: &[Sealed<String>]) -> (usize, usize) {
        opened_and_erased(&self.service(Duration::ZERO).scope(SCOPE), records)
    }

    /// The actions since the last time, with the keys they were asked of; no value of ours may have been in any.
    fn asked(&self) -> Vec<(String, String)> {
        let calls = self.kms.fake.calls();
        assert!(calls.iter().all(|call| call.context.is_empty()), "{calls:?}");
        self.kms.fake.take_actions();
        let of = |call: crate::support::fake_kms::Call| (call.action, call.key_id.unwrap_or_default());
        calls.into_iter().map(of).collect()
    }

    fn change(&self) -> u64 {
        self.json("status --store s")["change"].as_u64().unwrap()
    }

    fn erase(&self, words: &str) -> String {
        format!("erase -k ROOT --store s --anchor a --scope {SCOPE} --request {REQUEST} {words}")
    }
}

/// What a service opens with these keys of the fake.
fn provider(kms: &Kms, keys: &[&str]) -> AwsKmsBuilder {
    let mut provider = AwsKmsProvider::builder();
    for key in keys {
        provider = provider.with_opening_key(arn(key));
    }
    for region in ["eu-north-1", "eu-central-1"] {
        let credentials = Credentials::builder().access_key_id("test").secret_access_key("none");
        let config = aws_sdk_kms::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .endpoint_url(kms.fake.endpoint())
            .credentials_provider(credentials.provider_name("test").build())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .retry_config(RetryConfig::disabled());
        provider = provider.with_client(aws_sdk_kms::Client::from_conf(config.build()));
    }
    provider
}

fn service(kms: &Kms, files: [&str; 2], keys: Arc<dyn KeyProvider>, clock: TestClock) -> Subjects {
    let [store, anchor] = files.map(|name| kms.sandbox.path(name));
    let store = SqliteKeyStore::open(store, &SqliteOptions::default()).unwrap();
    let options = SubjectsOptions::default()
        .with_lazy_epochs(true)
        .with_anchor(Arc::new(FileAnchor::new(anchor)))
        .with_clock(Arc::new(clock));
    block_on(Subjects::open(Arc::new(store), keys, options)).unwrap().unwrap()
}

fn pairs(asked: &[(&str, &str)]) -> Vec<(String, String)> {
    asked.iter().map(|(action, key)| ((*action).to_owned(), arn(key).to_owned())).collect()
}

/// From the first erasure to the last word of its receipt, with what is refused on the way.
#[test]
fn a_receipt_over_kms_becomes_irrevocable_when_the_key_is_gone() {
    // Erased some hours before the roll, and just before it.
    let (stage, records) = Stage::hours_ago();
    stage.good(&stage.erase(&format!("--subject {NAME}-1")));
    // The root alone is asked, once, whatever else the store has.
    assert_eq!(stage.asked(), pairs(&[("Decrypt", &stage.root)]));
    std::fs::copy(stage.kms.sandbox.path("s"), stage.kms.sandbox.path("older")).unwrap();
    stage.good("backup -k ROOT -k WEEK --store s --to b -o early.kvt");

    let rolled = stage.json("roll -k ROOT -k WEEK --to NEXT --store s --anchor a");
    assert_eq!(
        (&rolled["moved"], &rolled["keys_to_destroy"][0]["id"]),
        (&2.into(), &arn(&stage.week).into())
    );
    let destroy = "roll -k ROOT -k NEXT -k b --store s --anchor a --destroy WEEK";
    // Not without a backup, not with one from before the roll, and not while the credentials are under it.
    stage.run(destroy).fails_empty(2, &["--backup"]);
    stage.run(&format!("{destroy} -k WEEK --backup early.kvt")).fails_empty(7, &["before the roll"]);
    stage.good("backup -k ROOT -k WEEK -k NEXT --store s --to b -o half.kvt");
    stage.run(&format!("{destroy} -k WEEK --backup half.kvt")).fails_empty(7, &["a living epoch has a wrap"]);
    stage.good("roll -k ROOT -k WEEK --to NEXT --store s --anchor a --credentials");
    stage.good("backup -k ROOT -k NEXT --store s --to b -o keys.kvt");
    stage
        .run(&format!("{} --backup keys.kvt", destroy.replace("WEEK", "NEXT")))
        .fails_empty(7, &["not the wrapping key of a retired epoch", "may be destroyed: ", arn(&stage.week)]);
    assert!(stage.asked().iter().all(|(action, _)| action != "ScheduleKeyDeletion"), "it was not told to");
    let confirm = "receipts -k ROOT --store s --anchor a --verify --confirm WEEK";
    let ran = stage.run(confirm);
    assert!(ran.status.success() && ran.text().contains("confirmed    0 more"), "{ran:?}");
    assert!(ran.err.contains("is there still"), "{ran:?}");

    // Told to: it waits for 30 days, in which nothing is irrevocable.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let destroyed = stage.json(&format!("{destroy} --backup keys.kvt"));
    let gone = destroyed["destroyed"][0]["gone"].as_u64().unwrap();
    assert!((now + 30 * 86_400..now + 31 * 86_400).contains(&gone), "{destroyed}");
    let scheduled = stage.asked().into_iter().filter(|(action, _)| action == "ScheduleKeyDeletion");
    assert_eq!(scheduled.collect::<Vec<_>>(), pairs(&[("ScheduleKeyDeletion", &stage.week)]));
    let ran = stage.run(confirm);
    assert!(ran.status.success() && ran.text().contains("confirmed    0 more"), "{ran:?}");
    assert!(ran.err.contains("key is pending deletion"), "{ran:?}");
    // Told again, as by a job that was interrupted: it is so already.
    assert!(stage.good(&format!("{destroy} --backup keys.kvt")).contains(": waits for its end already\n"));
    assert_eq!(stage.opens(&records), (2, 2));

    // The window has passed.
    stage.kms.fake.delete(arn(&stage.week));
    let confirmed = stage.json(confirm);
    assert_eq!(
        (&confirmed["confirmed"], &confirmed["irrevocable"], &confirmed["destroyed_epochs"]),
        (&1.into(), &1.into(), &2.into()),
        "who was erased within an hour of the roll may have been under the new epoch by another machine's clock"
    );
    assert_eq!(stage.json(confirm)["confirmed"], 0, "once");
    let receipt = |request: &str| {
        stage.json(&format!("receipts -k ROOT --store s --scope {SCOPE} --request {request}"))
    };
    let (early, late) = (receipt("earlier"), receipt(REQUEST));
    assert_eq!((&early["state"], &late["state"]), (&"irrevocable".into(), &"requested".into()));
    assert!(early["irrevocable"].as_u64().unwrap() >= now && late["irrevocable"].is_null(), "{early} {late}");
    let covers = |receipt: &Value| {
        !receipt["not_covered"]
            .as_array()
            .unwrap()
            .iter()
            .any(|text| text.as_str().unwrap().contains("older"))
    };
    assert!(covers(&early) && !covers(&late), "{early} {late}");

    // The older copy of the store, and its backup, open nothing, and say so.
    stage
        .run("roll -k ROOT -k WEEK --to NEXT --store older")
        .fails_empty(6, &["older: an epoch", "key not found", arn(&stage.week)]);
    stage.run("check-backup -k ROOT -k WEEK -k b early.kvt").fails_empty(6, &["early.kvt", "key not found"]);
    stage.good("check-backup -k ROOT -k NEXT -k b --store s keys.kvt");
    assert_eq!(stage.opens(&records), (2, 2));
}

/// Whatever KMS answers but the key: its exit status, the key's name, and a store in which nothing was begun.
#[test]
fn kms_that_is_away_changes_nothing() {
    let stage = Stage::new();
    let records = stage.seal(&names(3));
    let (before, roll) = (stage.change(), "roll -k ROOT -k WEEK --to NEXT --store s --anchor a");
    let erase = stage.erase(&format!("--subject {NAME}-0"));
    for (fault, says) in [
        (Fault::Status(503), "key service unavailable"),
        (Fault::BreaksOff, "broke off its answer"),
        (Fault::throttle(), "throttled"),
        (Fault::Refuse(400, "AccessDeniedException"), "access denied"),
    ] {
        stage.kms.fake.fault(fault);
        stage.run(&erase).fails_empty(6, &["s: its root", says, arn(&stage.root), "keys given"]);
        stage.run(roll).fails_empty(6, &["s: its root", says]);
        stage.run("init --store new --root ROOT --epoch WEEK").fails_empty(6, &[says]);
        assert!(!stage.kms.sandbox.exists("new"));
        stage.kms.fake.mend();
    }
    // The root is there, the region of the epochs is not: erasing needs no epoch, a roll does.
    stage.kms.fake.fault(Rule::from(Fault::Status(503)).in_region("eu-central-1"));
    stage.run(roll).fails_empty(6, &["s: an epoch", "key service unavailable", arn(&stage.week)]);
    // Better a backup that was not checked than none: it says so.
    let ran = stage.run("backup -k ROOT -k WEEK --store s --to b -o unchecked");
    assert!(ran.status.success() && ran.err.contains("unchecked: not checked"), "{ran:?}");
    assert_eq!(stage.change(), before);
    stage.good(&erase);
    let after = stage.change();
    stage.kms.fake.mend();
    // The old key answers, the new one does not: nothing is begun.
    stage.kms.fake.set_state(arn(&stage.next), KeyState::Disabled);
    stage.run(roll).fails_empty(6, &["key is disabled", arn(&stage.next), "aws kms enable-key"]);
    assert_eq!(stage.change(), after);
    stage.kms.fake.set_state(arn(&stage.next), KeyState::Enabled);
    assert_eq!(stage.json(roll)["resumed"], false, "none was half done");
    stage.good(&format!("{roll} --credentials"));
    stage.good("backup -k ROOT -k NEXT --store s --to b -o kvt");

    // A destruction that KMS refuses is no destruction, and one that is repeated is one.
    let destroy = "roll -k ROOT -k NEXT -k b --store s --destroy WEEK --backup kvt";
    stage.kms.fake.fault(Rule::from(Fault::Refuse(400, "AccessDeniedException")).of("ScheduleKeyDeletion"));
    stage.run(destroy).fails_empty(6, &["access denied", "kms:ScheduleKeyDeletion", arn(&stage.week)]);
    stage.kms.fake.mend();
    stage.good(destroy);
    // Whoever does not answer has not said that the key is gone.
    stage.kms.fake.delete(arn(&stage.week));
    stage.kms.fake.fault(Rule::from(Fault::Status(503)).in_region("eu-central-1"));
    let confirm = "receipts -k ROOT --store s --verify --confirm WEEK";
    let ran = stage.run(confirm);
    assert!(ran.status.success() && ran.err.contains("could not be asked"), "{ran:?}");
    assert_eq!(stage.json(confirm)["destroyed_epochs"], 0);
    stage.kms.fake.mend();
    assert_eq!(stage.json(confirm)["destroyed_epochs"], 2);
    assert_eq!(stage.opens(&records), (2, 1));
}

#[test]
fn the_wrong_keys_of_kms() {
    let stage = Stage::new();
    let records = stage.seal(&names(2));
    let erase = stage.erase(&format!("--subject {NAME}-0"));
    let before = stage.change();
    stage.asked();
    // Another key of the same region, the epoch's key, a key file, and the same id elsewhere: nobody is asked in vain.
    stage
        .run(&erase.replace("ROOT", "NEXT"))
        .fails_empty(6, &["s: its root", "keys given", arn(&stage.next)]);
    stage.run(&erase.replace("ROOT", "WEEK")).fails_empty(6, &["s: its root"]);
    stage.run(&erase.replace("ROOT", "b")).fails_empty(6, &["s: its root", "keys given: backups"]);
    let elsewhere = stage.root.replace("eu-north-1", "eu-west-1");
    stage.run(&erase.replace("ROOT", &elsewhere)).fails_empty(6, &["s: its root"]);
    assert_eq!(stage.asked(), []);
    // An alias may be another key tomorrow.
    let alias = "aws-kms:arn:aws:kms:eu-north-1:111122223333:alias/weeks";
    stage.run(&format!("init --store new --root ROOT --epoch {alias}")).fails_empty(2, &["alias"]);
    stage.run(&format!("roll -k ROOT -k WEEK --to {alias} --store s")).fails_empty(2, &["alias"]);
    assert_eq!((stage.change(), stage.kms.sandbox.exists("new")), (before, false));
    assert_eq!(stage.opens(&records), (2, 0));
}

/// From KMS into a key file and back: each kind of key opens what it wrapped, and a key file's receipts never end.
#[test]
fn a_roll_onto_another_kind_of_key() {
    let (stage, records) = Stage::hours_ago();
    for class in ["", " --credentials"] {
        stage.good(&format!("roll -k ROOT -k WEEK --to b --store s{class}"));
    }
    stage.kms.fake.delete(arn(&stage.week));
    let confirm = "receipts -k ROOT --store s --verify --confirm WEEK --confirm b";
    let ran = stage.run(confirm);
    assert!(ran.status.success() && ran.err.contains("b: nobody can say"), "{ran:?}");
    // Erased before the key file's epochs were: irrevocable. After: never, whatever becomes of the file.
    let confirmed = stage.json(confirm);
    assert_eq!((&confirmed["irrevocable"], &confirmed["destroyed_epochs"]), (&1.into(), &2.into()));
    stage.good(&stage.erase(&format!("--subject {NAME}-1")));
    for class in ["", " --credentials"] {
        stage.good(&format!("roll -k ROOT -k b --to NEXT --store s{class}"));
    }
    let confirmed = stage.json(confirm);
    assert_eq!((&confirmed["confirmed"], &confirmed["destroyed_epochs"]), (&0.into(), &2.into()));
    stage.good("backup -k ROOT -k NEXT --store s --to b -o kvt");
    stage
        .run("roll -k ROOT -k NEXT -k b --store s --destroy b --backup kvt")
        .fails_empty(7, &["b: nobody can say that no copy of a key file exists"]);
    assert_eq!(stage.opens(&records), (2, 2));
    // And the root's key was only ever asked for the root.
    let mut roots = stage.asked().into_iter().filter(|(_, key)| key == arn(&stage.root));
    assert!(roots.all(|(action, _)| action == "Decrypt"));
}

/// Every command line of the manual's section about key stores, in its order, with a wrapping key of KMS in the place of the
/// first week's.
#[test]
fn the_manual_s_commands_over_key_stores() {
    let manual = include_str!("../../src/manual/operations.md");
    let section = manual.split_once("## The key store at three in the morning").unwrap().1;
    let section = section.split_once("\n## ").unwrap().0;
    let calls = section.split("```").skip(1).step_by(2).flat_map(str::lines);
    let calls: Vec<&str> = calls.filter_map(|line| line.strip_prefix("kuvert subjects ")).collect();
    assert!(calls.len() > 10, "{calls:#?}");

    let kms = Kms::new();
    let week = kms.key("eu-north-1");
    for key in ["root.key", "w48.key", "backup.key"] {
        kms.sandbox.add_key(key, key);
    }
    kms.sandbox.write("names", "anna@example.se\n");
    for call in &calls {
        let call = call.replace("/var/lib/shop/", "").replace("/mnt/b/", "");
        let call = call.replace("w47.key", &week).replace("OLD", &week);
        let words: Vec<&str> = ["subjects"].into_iter().chain(call.split_whitespace()).collect();
        if words.contains(&"--confirm") {
            kms.fake.delete(arn(&week));
        }
        // The anchor is in the environment where a call does not name it, as the text says.
        let mut command = kms.command(&words);
        if words[1] == "init" {
            &mut command
        } else {
            command.env("KUVERT_ANCHOR", "keys.anchor")
        };
        let ran = kms.finish(&mut command, &[]);
        assert!(ran.status.success() && ran.err.is_empty(), "{ran:#?}");
        if words[1] == "init" {
            let root = MemoryProvider::from_key_files([kms.sandbox.path("root.key")]).unwrap();
            let keys: [Arc<dyn KeyProvider>; 2] =
                [Arc::new(root), Arc::new(provider(&kms, &[&week]).open_only().build().unwrap())];
            let clock = TestClock::starting_at(SystemTime::now());
            let keys = Arc::new(AnyOf::new(keys).unwrap());
            let scope = service(&kms, ["keys.sqlite", "keys.anchor"], keys, clock).scope("shop");
            block_on(scope.subject("anna@example.se").seal("x", cell())).unwrap().unwrap();
        }
    }
    let said = kms.run(&["subjects", "receipts", "-k", "root.key", "--store", "keys.sqlite", "--verify"]);
    assert!(said.text().contains("gone epochs  2"), "{said:?}");
}
