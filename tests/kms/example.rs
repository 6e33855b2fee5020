//! The example, over a client from the environment: in a process of its own, whose environment names the server.

use std::process::Command;

use crate::support::fake_kms::{FakeKms, Fault};

#[path = "../../examples/kms.rs"]
mod kms;

#[test]
fn child() {
    if std::env::var_os("KUVERT_EXAMPLE_KMS_KEY").is_some() {
        if let Err(error) = kms::main() {
            panic!("{error}");
        }
    }
}

/// Runs the example with this environment, and says whether it succeeded and what it printed.
pub(crate) fn run_example(arn: &str, credentials: bool, environment: &[(&str, String)]) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "example::child", "--nocapture", "--test-threads=1"])
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        .env("KUVERT_EXAMPLE_KMS_KEY", arn)
        .envs(environment.iter().cloned());
    if credentials {
        command.env("AWS_ACCESS_KEY_ID", "AKID").env("AWS_SECRET_ACCESS_KEY", "secret-of-nobody");
    }
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn example(fake: &FakeKms, arn: &str, credentials: bool) -> (bool, String) {
    run_example(arn, credentials, &[("AWS_ENDPOINT_URL", fake.endpoint())])
}

#[test]
fn the_example_works_in_the_usual_environment() {
    let fake = FakeKms::start();
    let arn = fake.create_key("eu-north-1");
    // The variable for this one service comes first.
    let nowhere = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1".to_owned());
    for environment in
        [&[("AWS_ENDPOINT_URL", fake.endpoint())][..], &[("AWS_ENDPOINT_URL_KMS", fake.endpoint()), nowhere]]
    {
        let (succeeded, text) = run_example(&arn, true, environment);
        assert!(succeeded && text.contains("ready: true"), "{text}");
    }
    let calls = fake.calls();
    assert!(calls.iter().all(|call| call.region == "eu-north-1"), "{calls:?}");
    assert_eq!(calls[0].context, ["tenant"]);
    // It is KMS that refuses the other tenant.
    let actions: Vec<_> = calls[..3].iter().map(|call| &*call.action).collect();
    assert_eq!(actions, ["Encrypt", "Decrypt", "Decrypt"]);
}

#[test]
fn a_client_from_the_environment_makes_a_second_attempt_and_no_third() {
    let fake = FakeKms::start();
    let arn = fake.create_key("eu-north-1");
    fake.fault(Fault::Status(503));
    let (succeeded, text) = example(&fake, &arn, true);
    assert!(!succeeded && text.contains("key service unavailable"), "{text}");
    assert_eq!(fake.take_actions(), ["Encrypt", "Encrypt"]);
}

#[test]
fn without_credentials_the_error_says_so_and_no_call_is_made() {
    let fake = FakeKms::start();
    let arn = fake.create_key("eu-north-1");
    let (succeeded, text) = example(&fake, &arn, false);
    assert!(
        !succeeded && text.contains("no valid credentials") && text.contains("no AWS credentials"),
        "{text}"
    );
    assert_eq!(fake.take_actions(), [""; 0]);
}
