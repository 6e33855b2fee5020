//! `kuvert doctor`: says before the night whether a file will open, and what is missing if not.

use serde_json::{Value, json};

use crate::sandbox::{PLAIN, Ran, Sandbox, VALUE};

fn object(ran: &Ran) -> Value {
    assert_eq!(ran.text().lines().count(), 1, "{ran:?}");
    serde_json::from_str(ran.text()).unwrap()
}

/// That doctor ends as open does, whatever is wrong.
#[track_caller]
fn ends_as_open(sandbox: &Sandbox, arguments: &[&str]) -> Ran {
    let opened = sandbox.run(&[&["open", "-o", "opened"], arguments].concat());
    let asked = sandbox.run(&[&["doctor"], arguments].concat());
    assert_eq!(asked.status.code(), opened.status.code(), "{asked:#?}\n{opened:#?}");
    let told = sandbox.run(&[&["doctor", "--json"], arguments].concat());
    assert_eq!(told.status.code(), opened.status.code(), "{told:#?}");
    let object = object(&told);
    assert_eq!(object["status"], opened.status.code().unwrap());
    assert_eq!(object["can_open"], opened.status.success());
    asked
}

#[test]
fn a_key_file_and_a_file_that_it_opens() {
    let sandbox = Sandbox::new();
    sandbox.sealed("file", PLAIN, &["-c", "db=shop", "-c", "date=2026-11-21"]);
    let ran = sandbox.run(&["doctor", "-k", "k", "--accept-stored-context", "file"]);
    let expected = "\
k
  key        0x0001 (aes-kwp) \"main\"
  opens      yes
  seals      yes
file
  what follows is claimed by the file, and not verified
  recipient  0x0001 (aes-kwp) \"main\": given
  residency  1 recipient with keys that say nothing about where they are
  context    2 pairs stored, readable by everybody
  what follows is verified
  opens      yes, with key \"main\" (generation 1); the content was not read
";
    assert_eq!(String::from_utf8_lossy(ran.is_good()), expected);
    let ran = sandbox.run(&["doctor", "-k", "k", "--accept-stored-context", "--json", "file"]);
    let key = json!({ "type": 1, "type_name": "aes-kwp", "id": "main", "place": null });
    let expected = json!({
        "can_open": true,
        "status": 0,
        "keys": [{
            "key": "k", "ids": [key], "problems": [],
            "opens": { "ok": true, "status": 0 }, "seals": { "ok": true, "status": 0 },
        }],
        "file": {
            "file": "file",
            "claimed": {
                "recipients": [{
                    "type": 1, "type_name": "aes-kwp", "id": "main", "pending_for": null, "state": "given", "shares": [],
                    "places": [],
                }],
                "places": [], "all_in_eu": false, "stored_pairs": 2, "personal_data": [],
                "degraded": false, "unfinished_rewrap": false,
            },
            "opens": { "ok": true, "status": 0 },
            "verified": {
                "opened_by": { "type": 1, "type_name": "aes-kwp", "id": "main" },
                "generation": 1, "degraded": false, "unfinished_rewrap": false,
            },
        },
    });
    ran.is_good();
    assert_eq!(object(&ran), expected);
}

#[test]
fn it_ends_as_open_would() {
    let sandbox = Sandbox::new();
    sandbox.add_key("other", "another");
    sandbox.add_key("same", "main");
    sandbox.sealed("file", PLAIN, &["-c", "db=shop"]);
    let good = sandbox.read("file");
    let changed = |at: usize, name: &str| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        sandbox.write(name, bytes);
    };
    changed(8, "newer");
    changed(0, "foreign");
    changed(2040, "forged");
    sandbox.write("cut", &good[..4100]);
    sandbox.write("empty", "");
    let context = ["-c", "db=shop"];
    ends_as_open(&sandbox, &[&["-k", "k"], &context[..], &["file"]].concat());
    std::fs::remove_file(sandbox.path("opened")).unwrap();
    for (arguments, says) in [
        (&["-k", "k", "file"][..], "add: -c db=..."),
        (&["-k", "k", "-c", "db=other", "file"], "another value is stored for: db"),
        (&["-k", "other", "-c", "db=shop", "file"], "(aes-kwp) \"main\": not given"),
        (&["-k", "same", "-c", "db=shop", "file"], "no: file: wrong key"),
        (&["-k", "k", "newer"], "newer kuvert"),
        (&["-k", "k", "foreign"], "not a well-formed"),
        (&["-k", "k", "-c", "db=shop", "forged"], "tampered"),
        (&["-k", "k", "-c", "db=shop", "cut"], "truncated"),
        (&["-k", "k", "empty"], "truncated"),
        (&["-k", "k", "absent"], "absent cannot be read"),
        (&["-k", "k", "-k", "other", "--all-of", "-c", "db=shop", "file"], "\"main\": not given"),
        (&["-k", "absent", "file"], "key file \"absent\" cannot be read"),
    ] {
        let ran = ends_as_open(&sandbox, arguments);
        assert!(!ran.status.success() && ran.text().contains(says), "{says}: {ran:#?}");
        assert!(!sandbox.exists("opened"));
    }
    // The calls that open refuses are refused before anything is written.
    for (arguments, says) in [
        (&["file"][..], "no key was given"),
        (&["-k", "k", "-c", "pair", "file"], "NAME=VALUE"),
        (&["-k", "pkcs11:x", "file"], if cfg!(feature = "pkcs11") { "at byte 7" } else { "has no PKCS#11" }),
        (&["-k", "k", "--kms-context", "db", "file"], "none is given"),
        (&["-k", "k", "-"], "a file, and not a stream"),
        (&["-k", "k", "--header", "file"], "<FILE>"),
    ] {
        sandbox.run(&[&["doctor"], arguments].concat()).fails_empty(2, &[says]);
    }
}

#[test]
fn without_a_file_every_key_is_tried() {
    let sandbox = Sandbox::new();
    sandbox.add_key("other", "another");
    let ran = sandbox.run(&["doctor", "-k", "k", "-k", "other"]);
    let text = String::from_utf8_lossy(ran.is_good()).into_owned();
    assert!(text.contains("\"main\"") && text.contains("\"another\"") && !text.contains("no:"), "{text}");
    let ran = sandbox.run(&["doctor", "-k", "k", "-k", "absent"]);
    assert_eq!(ran.status.code(), Some(2));
    assert!(ran.text().contains("absent\n  opens      no: key file \"absent\" cannot be read"), "{ran:?}");
    let mut command = sandbox.command(&["doctor", "--json"]);
    let told = object(&sandbox.finish(command.env("KUVERT_KEYS", "k"), &[]));
    assert_eq!((&told["can_open"], &told["file"]), (&json!(true), &Value::Null));
}

#[test]
fn personal_data_is_named_and_not_shown() {
    let sandbox = Sandbox::new();
    let mail = format!("{VALUE}@example.se");
    let pairs = [
        ("contact", mail.as_str()),
        ("email", VALUE),
        ("row", "811228-9874"),
        ("anna@example.se", "x"),
        ("table", "users"),
        ("host", "db1"),
    ];
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let flags: Vec<&str> = pairs.iter().flat_map(|pair| ["-c", pair]).collect();
    sandbox.sealed("file", PLAIN, &[&flags[..], &["-r", "phone=+46701234567"]].concat());
    let flags = [&flags[..], &["-c", "phone=+46701234567"]].concat();
    for more in [&[][..], &["--json"]] {
        let ran = sandbox.run(&[&["doctor", "-k", "k"], more, &flags, &["file"]].concat());
        let text = String::from_utf8_lossy(ran.is_good()).into_owned();
        for value in [VALUE, "811228", "anna@", "+46701234567", "users", "db1"] {
            assert!(!text.contains(value), "{value} is shown: {text}");
        }
    }
    let ran = sandbox.run(&[&["doctor", "-k", "k"], &flags[..], &["file"]].concat());
    for says in [
        "  context    6 pairs stored, readable by everybody\n",
        "the pair contact looks like personal data: its value has the form of an e-mail address\n",
        "the pair email looks like personal data: its name says so\n",
        "the pair row looks like personal data: its value has the form of a personal identity number\n",
        "a pair looks like personal data: its name itself does\n",
    ] {
        assert!(ran.text().contains(says), "{says}: {ran:?}");
    }
    assert_eq!(ran.text().matches("personal data").count(), 4, "{ran:?}");
    let told = object(&sandbox.run(&[&["doctor", "-k", "k", "--json"], &flags[..], &["file"]].concat()));
    let why = "its value has the form of an e-mail address";
    let names: Vec<&Value> = told["file"]["claimed"]["personal_data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| &pair["name"])
        .collect();
    assert_eq!(names, [&Value::Null, &json!("contact"), &json!("email"), &json!("row")]);
    assert_eq!(told["file"]["claimed"]["personal_data"][1]["why"], why);
}

#[test]
fn a_header_that_is_not_as_it_should_be() {
    let sandbox = Sandbox::new();
    sandbox.sealed("file", PLAIN, &[]);
    let mut bytes = sandbox.read("file");
    // Something in the second slot, which was empty.
    bytes[2100] ^= 1;
    sandbox.write("damaged", bytes);
    let ran = sandbox.run(&["doctor", "-k", "k", "damaged"]);
    assert!(
        ran.status.success() && ran.text().contains("warning    degraded: one of the two copies"),
        "{ran:?}"
    );
    let told = object(&sandbox.run(&["doctor", "-k", "k", "--json", "damaged"]));
    assert_eq!(told["file"]["claimed"]["degraded"], true);
    assert_eq!(told["file"]["verified"]["degraded"], true);

    // Nothing of the content is read: a damaged chunk is not its business, and the manual says so.
    let mut bytes = sandbox.read("file");
    *bytes.last_mut().unwrap() ^= 1;
    sandbox.write("rotten", bytes);
    let ran = sandbox.run(&["doctor", "-k", "k", "rotten"]);
    assert!(String::from_utf8_lossy(ran.is_good()).contains("the content was not read"));

    sandbox.sealed("body", PLAIN, &["--layout", "detached"]);
    sandbox.run(&["doctor", "-k", "k", "--header", "body.kvh", "body"]).is_good();
    let ran = sandbox.run(&["doctor", "-k", "k", "body"]);
    assert!(ran.status.code() == Some(3) && ran.text().contains("add --header body.kvh"), "{ran:?}");
}

#[test]
fn all_of_several_keys() {
    let sandbox = Sandbox::new();
    sandbox.add_key("a", "key-a");
    sandbox.run_with(&["seal", "--all-of", "-k", "k", "-k", "a", "-o", "file"], PLAIN.as_bytes()).is_silent();
    let ran = sandbox.run(&["doctor", "--all-of", "-k", "a", "-k", "k", "file"]);
    let text = String::from_utf8_lossy(ran.is_good()).into_owned();
    let what = "0x0040 (all-of) 0x0001 (aes-kwp) \"main\" and 0x0001 (aes-kwp) \"key-a\"";
    assert!(text.contains(&format!("{what}: given\n")) && text.contains("with all keys together"), "{text}");
    let ran = ends_as_open(&sandbox, &["-k", "a", "-k", "k", "file"]);
    assert!(ran.text().contains(&format!("{what}: not given")), "{ran:?}");
}

#[cfg(feature = "https")]
mod kms {
    use serde_json::json;

    use super::object;
    use crate::kms_stage::{Stage, arn, named};
    use crate::sandbox::PLAIN;
    use crate::support::fake_kms::faults::Rule;
    use crate::support::fake_kms::{Fault, KeyState};

    #[test]
    fn a_key_in_kms_in_each_state() {
        let stage = Stage::new();
        let key = stage.key("eu-north-1");
        stage.sealed("file", PLAIN, &["-k", &key, "-k", "k"]);
        stage.fake.take_actions();
        let ran = stage.run(&["doctor", "-k", &key]);
        let text = String::from_utf8_lossy(ran.is_good()).into_owned();
        assert_eq!(
            text,
            format!("{key}\n  opens      yes\n  seals      yes\n  region     eu-north-1, in the EU\n")
        );
        // Trials, which do nothing.
        let calls = stage.fake.calls();
        assert!(calls.iter().all(|call| call.dry_run || call.action == "Decrypt"), "{calls:?}");

        for (state, says) in [
            (KeyState::Disabled, "enable-key"),
            (KeyState::PendingDeletion, "cancel-key-deletion"),
            (KeyState::Unavailable, "region eu-north-1"),
        ] {
            stage.fake.set_state(arn(&key), state);
            let ran = stage.run(&["doctor", "-k", &key]);
            assert_eq!(ran.status.code(), Some(6), "{ran:?}");
            assert!(
                ran.text().contains("opens      no: aws-kms: key") && ran.text().contains(says),
                "{ran:?}"
            );
            // With FILE it is the file that counts.
            let ran = stage.run(&["doctor", "-k", &key, "file"]);
            assert!(ran.status.code() == Some(6) && ran.text().contains("\"main\": not given"), "{ran:?}");
            let ran = stage.run(&["doctor", "-k", &key, "-k", "k", "file"]);
            assert!(ran.status.success() && ran.text().contains("yes, with key \"main\""), "{ran:?}");
            let told = object(&stage.run(&["doctor", "-k", &key, "-k", "k", "--json", "file"]));
            assert_eq!((&told["can_open"], &told["keys"][0]["opens"]["status"]), (&json!(true), &json!(6)));
        }
        stage.fake.delete(arn(&key));
        let ran = stage.run(&["doctor", "-k", &key, "file"]);
        assert!(ran.status.code() == Some(6) && ran.text().contains("is the ARN right"), "{ran:?}");
    }

    #[test]
    fn one_right_without_the_other() {
        let stage = Stage::new();
        let key = stage.key("eu-central-1");
        stage.fake.fault(Rule::from(Fault::Refuse(400, "AccessDeniedException")).of("Encrypt"));
        let ran = stage.run(&["doctor", "-k", &key]);
        assert!(ran.status.success() && ran.text().contains("opens      yes\n  seals      no: "), "{ran:?}");
        stage.fake.mend();
        stage.fake.fault(Rule::from(Fault::Refuse(400, "AccessDeniedException")).of("Decrypt"));
        let ran = stage.run(&["doctor", "-k", &key]);
        assert_eq!(ran.status.code(), Some(6));
        for says in ["opens      no: ", "access denied", "kms:Decrypt", "seals      yes", arn(&key)] {
            assert!(ran.text().contains(says), "{says}: {ran:?}");
        }
        // Nobody home, and nobody who asks.
        let mut command = stage.command(&["doctor", "-k", &key]);
        let ran = stage.finish(command.env("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:1"), &[]);
        assert!(ran.status.code() == Some(6) && ran.text().contains("is region eu-central-1 up"), "{ran:?}");
        let mut command = stage.command(&["doctor", "-k", &key]);
        let ran = stage.finish(command.env_remove("AWS_ACCESS_KEY_ID"), &[]);
        assert!(ran.status.code() == Some(6) && ran.text().contains("AWS_PROFILE"), "{ran:?}");
    }

    #[test]
    fn regions_and_what_is_missing() {
        let stage = Stage::new();
        let (here, london) = (stage.key("eu-west-1"), stage.key("eu-west-2"));
        let copied = named(&stage.fake.create_multi_region_key("eu-central-1"));
        stage.sealed("file", PLAIN, &["-k", &here, "-k", &london, "-k", &copied]);
        let ran = stage.run(&["doctor", "-k", &here, "file"]);
        let text = String::from_utf8_lossy(ran.is_good()).into_owned();
        for says in [
            format!("(aws-kms) \"{}\": given (eu-west-1, in the EU)\n", arn(&here)),
            format!("(aws-kms) \"{}\": not given (eu-west-2, not in the EU)\n", arn(&london)),
            "a multi-Region key, which can be copied elsewhere".to_owned(),
        ] {
            assert!(text.contains(&says), "{says}: {text}");
        }
        let told = object(&stage.run(&["doctor", "-k", &here, "--json", "file"]));
        let claimed = &told["file"]["claimed"];
        assert_eq!(claimed["all_in_eu"], false);
        let regions: Vec<_> =
            claimed["places"].as_array().unwrap().iter().map(|place| &place["region"]).collect();
        assert_eq!(regions, ["eu-central-1", "eu-west-1", "eu-west-2"]);
        stage.sealed("inside", PLAIN, &["-k", &here]);
        let told = object(&stage.run(&["doctor", "-k", &here, "--json", "inside"]));
        assert_eq!(told["file"]["claimed"]["all_in_eu"], true);
    }

    #[test]
    fn a_pending_recipient_and_pairs_for_kms() {
        let stage = Stage::new();
        let (near, far) = (stage.key("eu-north-1"), stage.key("eu-central-1"));
        stage.fake.fault(Rule::from(Fault::Status(503)).in_region("eu-central-1"));
        let seal = ["seal", "-o", "file", "--min", "1", "-k", &near, "-k", &far, "-c", "tenant=7f3a"];
        let ran = stage.run_with(&[&seal[..], &["--kms-context", "tenant"]].concat(), PLAIN.as_bytes());
        assert!(ran.status.success(), "{ran:?}");
        stage.fake.mend();
        let asked = |more: &[&str]| stage.run(&[&["doctor", "-c", "tenant=7f3a"], more, &["file"]].concat());
        let ran = asked(&["-k", &near, "--kms-context", "tenant"]);
        let text = String::from_utf8_lossy(ran.is_good()).into_owned();
        let pending = format!(
            "pending: wanted 0x0010 (aws-kms) \"{}\": opens nothing before 'kuvert repair'",
            arn(&far)
        );
        assert!(text.contains(&pending) && text.contains("opens      yes, with key"), "{text}");
        let ran = asked(&["-k", &near]);
        assert_eq!(ran.status.code(), Some(6), "{ran:?}");
        assert!(ran.text().contains("given, and without use unless you add --kms-context tenant"), "{ran:?}");
        let told = object(&asked(&["-k", &near, "--json"]));
        let states: Vec<_> = told["file"]["claimed"]["recipients"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["state"])
            .collect();
        assert_eq!(states, ["kms-context-missing", "pending"]);
        let ran = asked(&["-k", &far, "--kms-context", "tenant"]);
        assert!(ran.status.code() == Some(6) && ran.text().contains("not given"), "{ran:?}");
    }
}
