//! Everything that KMS can answer but the key: the exit status, the key's name, and what to do.

use crate::kms_stage::{Stage, arn};
use crate::sandbox::PLAIN;
use crate::support::fake_kms::{Fault, KeyState};

/// Seals and opens while something is wrong, expecting the same of both.
fn fails_both(stage: &Stage, key: &str, says: &[&str]) {
    for arguments in [&["seal", "-k", key, "-o", "new"][..], &["open", "-k", key, "-o", "new", "file"]] {
        let ran = stage.run(arguments);
        ran.fails_empty(6, says);
        assert!(ran.err.contains(arn(key)), "the key is not named: {ran:?}");
        assert!(!stage.sandbox.exists("new"));
    }
}

fn staged() -> (Stage, String) {
    let stage = Stage::new();
    let key = stage.key("eu-north-1");
    stage.sealed("file", PLAIN, &["-k", &key]);
    (stage, key)
}

#[test]
fn the_key_s_state() {
    let (stage, key) = staged();
    let command = format!("--region eu-north-1 --key-id {}", arn(&key));
    stage.fake.set_state(arn(&key), KeyState::Disabled);
    fails_both(&stage, &key, &["key is disabled", &format!("aws kms enable-key {command}")]);
    stage.fake.set_state(arn(&key), KeyState::PendingDeletion);
    fails_both(&stage, &key, &["key is pending deletion", &format!("aws kms cancel-key-deletion {command}")]);
    stage.fake.set_state(arn(&key), KeyState::Unavailable);
    fails_both(&stage, &key, &["key service unavailable", "region eu-north-1"]);
    stage.fake.set_state(arn(&key), KeyState::Enabled);
    assert_eq!(stage.run(&["open", "-k", &key, "file"]).is_good(), PLAIN.as_bytes());
    stage.fake.delete(arn(&key));
    fails_both(&stage, &key, &["key not found", "is the ARN right", "gone for good"]);
}

#[test]
fn who_asks() {
    let (stage, key) = staged();
    stage.fake.fault(Fault::Refuse(400, "AccessDeniedException"));
    fails_both(&stage, &key, &["access denied", "AccessDeniedException", "kms:Decrypt", "kms:Encrypt"]);
    for code in ["ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException"] {
        stage.fake.fault(Fault::Refuse(400, code));
        fails_both(&stage, &key, &[code, "log in again", "get-caller-identity"]);
    }
    stage.fake.mend();
    stage.fake.take_actions();
    let mut command = stage.command(&["open", "-k", &key, "file"]);
    let ran = stage.finish(command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY"), &[]);
    ran.fails_empty(6, &["there are no AWS credentials", "AWS_PROFILE"]);
    let mut command = stage.command(&["seal", "-k", &key, "-o", "new"]);
    let ran = stage.finish(command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY"), &[]);
    ran.fails_empty(6, &["there are no AWS credentials", "AWS_PROFILE"]);
    assert_eq!(stage.fake.take_actions(), [""; 0]);
    // The SDK would write data keys into its logs.
    let mut command = stage.command(&["open", "-k", &key, "file"]);
    let ran = stage.finish(command.env("LOG_SENSITIVE_BODIES", "true"), &[]);
    ran.fails_empty(2, &["LOG_SENSITIVE_BODIES", "unset it"]);
}

#[test]
fn the_service() {
    let (stage, key) = staged();
    stage.fake.fault(Fault::throttle());
    fails_both(&stage, &key, &["throttled", "ThrottlingException", "try again"]);
    stage.fake.fault(Fault::Status(503));
    fails_both(&stage, &key, &["key service unavailable", "HTTP 503", "region eu-north-1", "kuvert doctor"]);
    stage.fake.fault(Fault::BreaksOff);
    fails_both(&stage, &key, &["broke off its answer"]);
    stage.fake.fault(Fault::Silence);
    fails_both(&stage, &key, &["timed out", "region eu-north-1"]);
    stage.fake.mend();
    let mut command = stage.command(&["open", "-k", &key, "-o", "new", "file"]);
    // A port on which nobody listens.
    let ran = stage.finish(command.env("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:1"), &[]);
    ran.fails_empty(6, &["could not be reached", arn(&key), "is the network there"]);
    assert!(!stage.sandbox.exists("new"));
}

#[test]
fn another_key_than_the_file_s() {
    let (stage, key) = staged();
    let (other, far) = (stage.key("eu-north-1"), stage.key("us-east-1"));
    stage.fake.take_actions();
    for wrong in [&other, &far] {
        let ran = stage.run(&["open", "-k", wrong, "file"]);
        ran.fails_empty(6, &["no usable key", arn(&key), "not configured here", "keys given", arn(wrong)]);
    }
    // The same name in another region is another key.
    let elsewhere = key.replace("eu-north-1", "eu-west-1");
    stage.run(&["open", "-k", &elsewhere, "file"]).fails_empty(6, &["not configured here"]);
    assert_eq!(stage.fake.take_actions(), [""; 0]);
}

#[test]
fn an_answer_that_is_not_the_key() {
    let (stage, key) = staged();
    stage.fake.fault(Fault::plaintext(&[7; 31]));
    stage.run(&["open", "-k", &key, "file"]).fails_empty(6, &["wrong key", arn(&key)]);
    stage.fake.fault(Fault::plaintext(&[7; 32]));
    stage.run(&["open", "-k", &key, "file"]).fails_empty(5, &["wrong encryption context"]);
    let damaged = stage.sandbox.read("file");
    stage.fake.mend();
    let at = damaged.windows(arn(&key).len()).position(|window| window == arn(&key).as_bytes()).unwrap();
    let mut damaged = damaged;
    damaged[at + arn(&key).len() + 40] ^= 1;
    stage.sandbox.write("damaged", damaged);
    stage.run(&["open", "-k", &key, "damaged"]).fails_empty(6, &["wrong key"]);
}

#[test]
fn a_denied_key_is_not_got_around_and_a_slow_one_is() {
    let (stage, near) = staged();
    let far = stage.key("eu-central-1");
    stage.sealed("both", PLAIN, &["-k", &near, "-k", &far]);
    stage.fake.set_state(arn(&near), KeyState::Disabled);
    let ran = stage.run(&["open", "-k", &near, "-k", &far, "both"]);
    ran.fails_empty(6, &["key is disabled", arn(&near), "enable-key"]);
    assert_eq!(stage.run(&["open", "-k", &far, "both"]).is_good(), PLAIN.as_bytes());
    stage.fake.set_state(arn(&near), KeyState::Unavailable);
    assert_eq!(stage.run(&["open", "-k", &near, "-k", &far, "both"]).is_good(), PLAIN.as_bytes());
}

#[test]
fn names_that_are_no_key_are_refused_before_any_call() {
    let stage = Stage::new();
    for (name, says) in [
        ("alias/backup", "is an alias"),
        ("arn:aws:kms:eu-north-1:111122223333:alias/backup", "describe-key"),
        ("1234abcd-12ab-34cd-56ef-1234567890ab", "is not a key ARN"),
        ("arn:aws:kms::111122223333:key/1234", "its region is none"),
        ("arn:aws:s3:eu-north-1:111122223333:key/1234", "not of the service kms"),
        ("", "is not a key ARN"),
    ] {
        let key = format!("aws-kms:{name}");
        for arguments in [
            &["seal", "-k", &key][..],
            &["open", "-k", &key, "file"],
            &["verify", "-k", "k", "-k", &key, "file"],
            &["rewrap", "-k", "k", "--to", &key, "file"],
            &["repair", "-k", &key, "file"],
            &["doctor", "-k", &key],
        ] {
            stage.run(arguments).fails_empty(2, &[says]);
        }
    }
    assert_eq!(stage.fake.take_actions(), [""; 0]);
}
