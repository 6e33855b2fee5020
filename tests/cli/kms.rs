//! Keys in AWS KMS on the command line: sealing, opening, other keys, rotation, and who is asked at all.

use crate::kms_stage::{Stage, arn, named};
use crate::sandbox::{PLAIN, VALUE};
use crate::support::fake_kms::Fault;
use crate::support::fake_kms::faults::Rule;

#[test]
fn seal_open_and_verify() {
    let stage = Stage::new();
    let key = stage.key("eu-north-1");
    stage.sealed("file", PLAIN, &["-k", &key, "-c", &format!("db={VALUE}")]);
    assert_eq!(stage.fake.take_actions(), ["Encrypt"]);
    let context = format!("db={VALUE}");
    let ran = stage.run(&["open", "-k", &key, "-c", &context, "file"]);
    assert_eq!(ran.is_good(), PLAIN.as_bytes());
    // It was read twice, and the key was asked once.
    assert_eq!(stage.fake.take_actions(), ["Decrypt"]);
    let ran = stage.run(&["verify", "-k", &key, "--accept-stored-context", "file"]);
    assert!(ran.text().contains(&format!("opened with key \"{}\"", arn(&key))), "{ran:?}");
    // No pair of the context has left the machine.
    assert!(stage.fake.calls().iter().all(|call| call.context.is_empty()));
    let claimed = stage.run(&["inspect", "file"]);
    assert!(claimed.text().contains(&format!("0x0010 (aws-kms) \"{}\"", arn(&key))), "{claimed:?}");
}

#[test]
fn the_environment_names_keys_and_a_stream_is_opened() {
    let stage = Stage::new();
    let key = stage.key("eu-west-1");
    let mut command = stage.command(&["seal"]);
    let sealed = stage.finish(command.env("KUVERT_KEYS", &key), PLAIN.as_bytes()).is_good().to_vec();
    let mut command = stage.command(&["open"]);
    let ran = stage.finish(command.env("KUVERT_KEYS", format!(" k {key} ")), &sealed);
    assert_eq!(ran.is_good(), PLAIN.as_bytes());
}

#[test]
fn other_keys_and_rotation() {
    let stage = Stage::new();
    let (old, new) = (stage.key("eu-north-1"), stage.key("eu-central-1"));
    for name in ["file", "kept"] {
        stage.sealed(name, PLAIN, &["-k", &old]);
    }
    let ran = stage.run(&["rewrap", "-k", &old, "--to", &new, "file"]);
    assert!(String::from_utf8_lossy(ran.is_good()).contains("in place"), "{ran:?}");
    assert_eq!(stage.run(&["open", "-k", &new, "file"]).is_good(), PLAIN.as_bytes());
    stage
        .run(&["open", "-k", &old, "file"])
        .fails_empty(6, &["no usable key", arn(&new), "keys given", arn(&old)]);
    // The same again changes nothing, and asks the new key only.
    stage.fake.take_actions();
    assert!(stage.run(&["rewrap", "-k", &old, "--to", &new, "file"]).text().contains("unchanged"));
    assert!(stage.fake.calls().iter().all(|call| call.region == "eu-central-1"), "{:?}", stage.fake.calls());

    // Rotated on demand: what is old still opens, and what is new, too.
    stage.fake.rotate(arn(&old));
    assert_eq!(stage.run(&["open", "-k", &old, "kept"]).is_good(), PLAIN.as_bytes());
    stage.sealed("after", PLAIN, &["-k", &old]);
    assert_eq!(stage.run(&["open", "-k", &old, "after"]).is_good(), PLAIN.as_bytes());

    // To a key file, and back to KMS.
    stage.run(&["rewrap", "-k", &old, "--to", "k", "kept"]).is_good();
    assert_eq!(stage.sandbox.run(&["open", "-k", "k", "kept"]).is_good(), PLAIN.as_bytes());
    stage.run(&["rewrap", "-k", "k", "--to", &new, "--add", "kept"]).is_good();
    assert_eq!(stage.run(&["open", "-k", &new, "kept"]).is_good(), PLAIN.as_bytes());
    stage.run(&["rewrap", "-k", "k", "--remove", arn(&new), "kept"]).is_good();
    stage.run(&["open", "-k", &new, "kept"]).fails_empty(6, &["\"main\""]);
}

#[test]
fn a_key_file_beside_it_opens_without_a_call() {
    let stage = Stage::new();
    let key = stage.key("eu-north-1");
    stage.sealed("file", PLAIN, &["-k", &key, "-k", "k"]);
    for keys in [&["-k", "k"][..], &["-k", &key]] {
        assert_eq!(stage.run(&[&["open"], keys, &["file"]].concat()).is_good(), PLAIN.as_bytes());
    }
    // Whatever is given first, and also when KMS answers nothing but errors.
    stage.fake.take_actions();
    stage.fake.fault(Fault::Status(503));
    assert_eq!(stage.run(&["open", "-k", &key, "-k", "k", "file"]).is_good(), PLAIN.as_bytes());
    assert_eq!(stage.fake.take_actions(), [""; 0]);
    if let Some(python) = crate::interop::python() {
        let opened = crate::interop::reader(&python, &stage.sandbox, &["-k", "k", "file"]).output().unwrap();
        assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
        assert_eq!(opened.stdout, PLAIN.as_bytes());
    }
}

#[test]
fn pairs_go_to_kms_by_name_only() {
    let stage = Stage::new();
    let key = stage.key("eu-north-1");
    let (tenant, other) = (format!("tenant={VALUE}"), format!("table={VALUE}-2"));
    stage.sealed("file", PLAIN, &["-k", &key, "--kms-context", "tenant", "-c", &tenant, "-r", &other]);
    assert_eq!(stage.fake.calls().pop().unwrap().context, ["tenant"]);
    stage.fake.take_actions();

    let open = |more: &[&str]| stage.run(&[&["open", "-k", &key, "-c", &other, "file"], more].concat());
    assert_eq!(open(&["-c", &tenant, "--kms-context", "tenant"]).is_good(), PLAIN.as_bytes());
    assert_eq!(open(&["--accept-stored-context", "--kms-context", "tenant"]).is_good(), PLAIN.as_bytes());
    assert_eq!(stage.fake.take_actions(), ["Decrypt"; 2]);
    // Not allowed: no call, and the message says what to allow.
    let ran = open(&["-c", &tenant]);
    ran.fails_empty(6, &["no usable key", "CloudTrail", "add: --kms-context tenant"]);
    let ran = stage.run(&["rewrap", "-k", &key, "--to", "k", "-c", &tenant, "-c", &other, "file"]);
    ran.fails_empty(6, &["add: --kms-context tenant"]);
    // A wrong value of a stored pair is found before anybody is asked.
    open(&["-c", "tenant=0001", "--kms-context", "tenant"]).fails_empty(5, &["tenant"]);
    assert_eq!(stage.fake.take_actions(), [""; 0]);
    // That of a required one by KMS.
    stage.sealed("hidden", PLAIN, &["-k", &key, "--kms-context", "tenant", "-r", &tenant]);
    let ran = stage.run(&["open", "-k", &key, "--kms-context", "tenant", "-c", "tenant=0001", "hidden"]);
    ran.fails_empty(5, &["wrong encryption context"]);
    stage
        .run(&["open", "-k", &key, "--kms-context", "tenant", "hidden"])
        .fails_empty(5, &["wrong encryption context"]);

    // Slips.
    let seal = |more: &[&str]| stage.run(&[&["seal", "-o", "no"], more].concat());
    seal(&["-k", &key, "--kms-context", "tenant"]).fails_empty(2, &["the pair tenant", "-c tenant=..."]);
    seal(&["-k", "k", "--kms-context", "tenant", "-c", &tenant]).fails_empty(2, &["none is given"]);
    stage.run(&["open", "-k", "k", "--kms-context", "tenant", "file"]).fails_empty(2, &["none is given"]);
    assert!(!stage.sandbox.exists("no"));
}

#[test]
fn a_copy_of_a_key_in_another_region_opens() {
    let stage = Stage::new();
    let far = stage.fake.create_multi_region_key("eu-central-1");
    let near = named(&stage.fake.replicate(&far, "eu-north-1"));
    let far = named(&far);
    stage.sealed("file", PLAIN, &["-k", &far]);
    stage.fake.take_actions();
    for keys in [&["-k", &near][..], &["-k", "k", "-k", &near]] {
        assert_eq!(stage.run(&[&["open"], keys, &["file"]].concat()).is_good(), PLAIN.as_bytes());
    }
    assert!(stage.fake.calls().iter().all(|call| call.action != "Decrypt" || call.region == "eu-north-1"));
}

#[test]
fn with_fewer_keys_than_wanted_and_repaired() {
    let stage = Stage::new();
    let (near, far) = (stage.key("eu-north-1"), stage.key("eu-central-1"));
    stage.fake.fault(Rule::from(Fault::Status(503)).in_region("eu-central-1"));
    let keys = ["-k", &near, "-k", &far, "-c", "tenant=7f3a", "--kms-context", "tenant"];
    // All of them are wanted unless it is said otherwise.
    let ran = stage.run_with(&[&["seal", "-o", "file"], &keys[..]].concat(), PLAIN.as_bytes());
    ran.fails_empty(6, &["no data key to seal with", arn(&far), "eu-central-1"]);
    assert!(!stage.sandbox.exists("file"));
    let ran = stage.run_with(&[&["seal", "-o", "file", "--min", "1"], &keys[..]].concat(), PLAIN.as_bytes());
    assert!(ran.status.success() && ran.out.is_empty(), "{ran:?}");
    for says in ["warning: file: key", arn(&far), "key service unavailable", "kuvert repair"] {
        assert!(ran.err.contains(says), "{says}: {ran:?}");
    }
    let open =
        |key: &str| stage.run(&["open", "-k", key, "-c", "tenant=7f3a", "--kms-context", "tenant", "file"]);
    assert_eq!(open(&near).is_good(), PLAIN.as_bytes());
    open(&far).fails_empty(6, &["no usable key"]);
    stage.fake.mend();
    let repair =
        ["repair", "-k", &near, "--to", &far, "-c", "tenant=7f3a", "--kms-context", "tenant", "file"];
    let ran = stage.run(&repair);
    assert!(String::from_utf8_lossy(ran.is_good()).contains(arn(&far)), "{ran:?}");
    assert_eq!(open(&far).is_good(), PLAIN.as_bytes());
    assert!(stage.run(&repair).text().contains("unchanged"));
    // Credentials that have expired there are an outage like any other.
    stage.fake.fault(Rule::from(Fault::Refuse(400, "ExpiredTokenException")).in_region("eu-central-1"));
    let ran =
        stage.run_with(&["seal", "-o", "late", "--min", "1", "-k", &near, "-k", &far], PLAIN.as_bytes());
    assert!(ran.status.success() && ran.err.contains("no valid credentials"), "{ran:?}");
    let ran = stage.run(&["open", "-k", &far, "-k", &near, "late"]);
    assert_eq!(ran.is_good(), PLAIN.as_bytes());
    stage.fake.mend();
    // A call that cannot be right is no outage: nothing is sealed without that key in silence.
    stage.fake.fault(Rule::from(Fault::Refuse(400, "ValidationException")).in_region("eu-central-1"));
    let ran = stage.run(&["seal", "-o", "no", "--min", "1", "-k", &near, "-k", &far]);
    ran.fails_empty(2, &["misconfigured"]);
}

#[test]
fn all_of_a_key_in_kms_and_a_key_file() {
    let stage = Stage::new();
    let key = stage.key("eu-north-1");
    let both = ["-k", &key, "-k", "k", "--all-of"];
    stage.sealed("file", PLAIN, &both);
    assert_eq!(stage.run(&[&["open"], &both[..], &["file"]].concat()).is_good(), PLAIN.as_bytes());
    stage.run(&["open", "-k", &key, "file"]).fails_empty(6, &["no usable key"]);
    stage.run(&["open", "-k", "k", "file"]).fails_empty(6, &["no usable key"]);
    stage.fake.fault(Fault::Refuse(400, "AccessDeniedException"));
    let ran = stage.run(&[&["open"], &both[..], &["file"]].concat());
    ran.fails_empty(6, &["access denied", arn(&key), "kms:Decrypt"]);
}
