//! Faulty configurations: all faults at once, typed, and before any network.

use std::process::Command;
use std::time::Duration;

use kuvert::provider::arn::ArnError;
use kuvert::provider::aws_kms::{AwsKmsFault as Fault, AwsKmsProvider};
use kuvert::{Category, ProviderError, ProviderErrorKind};

use crate::stage::{REGION, client};
use crate::support::fake_kms::FakeKms;

#[test]
fn all_faults_are_reported_at_once_and_no_call_is_made() {
    let fake = FakeKms::start();
    let (arn, rsa) = (fake.create_key(REGION), fake.create_rsa_key(REGION, 2048));
    let own = || client(&fake.endpoint(), REGION);
    let without_region = aws_sdk_kms::Config::builder().behavior_version_latest().build();
    let error = AwsKmsProvider::builder()
        .with_client(own())
        .with_client(own())
        .with_client(aws_sdk_kms::Client::from_conf(without_region))
        .with_sealing_key("arn:aws:kms:eu-central-1:111122223333:alias/backup")
        .with_opening_key("1234abcd")
        .with_opening_key("arn:aws:kms:eu-north-1:111122223333:key/1234")
        .with_public_key(&rsa, fake.public_key(&rsa))
        .with_public_key(&arn, b"no key".as_slice())
        .with_kms_context([""])
        .with_deadline(Duration::ZERO)
        .build()
        .unwrap_err();
    let has = |wanted: &dyn Fn(&Fault) -> bool| error.faults().iter().any(wanted);
    assert!(has(&|fault| matches!(fault, Fault::Key(ArnError::Alias { .. }))));
    assert!(has(&|fault| matches!(fault, Fault::Key(ArnError::NotAnArn { .. }))));
    assert!(has(&|fault| matches!(fault, Fault::NoClient { region } if region == "eu-north-1")));
    assert!(has(&|fault| matches!(fault, Fault::TwoClients { region } if region == REGION)));
    assert!(has(&|fault| *fault == Fault::ClientWithoutRegion));
    assert!(has(&|fault| matches!(fault, Fault::UnusedPublicKey { arn } if *arn == rsa)));
    assert!(has(&|fault| matches!(fault, Fault::PublicKey { .. })));
    assert!(has(&|fault| matches!(fault, Fault::Context(_))));
    assert!(has(&|fault| matches!(fault, Fault::Contradiction(what) if what.contains("deadline"))));
    assert_eq!(error.faults().len(), 9, "{error}");
    let text = error.to_string();
    assert!(error.faults().iter().all(|fault| text.contains(&fault.to_string())), "{text}");
    assert_eq!(error.category(), Category::Usage);
    assert_eq!(ProviderError::from(error).kind(), ProviderErrorKind::Misconfigured);
    assert_eq!(fake.take_actions(), [""; 0]);
}

#[test]
fn roles_and_keys_that_do_not_go_together() {
    let fake = FakeKms::start();
    let (arn, rsa) = (fake.create_key(REGION), fake.create_rsa_key(REGION, 2048));
    let start = || AwsKmsProvider::builder().with_client(client(&fake.endpoint(), REGION));
    let rsa_key = || start().with_sealing_key(&rsa).with_public_key(&rsa, fake.public_key(&rsa));
    for (builder, word) in [
        (start(), "no sealing key"),
        (start().with_opening_key(&arn), "no sealing key"),
        (start().seal_only(), "no sealing key"),
        (start().open_only(), "no opening key"),
        (start().with_sealing_key(&arn).open_only(), "only opens"),
        (start().with_sealing_key(&arn).with_opening_key(&rsa).seal_only(), "only seals"),
        (rsa_key().with_kms_randomness(true), "randomness"),
        (rsa_key().with_kms_context(["tenant"]), "no context"),
    ] {
        let error = builder.build().unwrap_err();
        assert!(error.to_string().contains(word) && !error.faults().is_empty(), "{word}: {error}");
    }
    // The sealing key may stand in the list of those that open as well.
    start().with_sealing_key(&arn).with_opening_key(&arn).build().unwrap();
}

/// In a process of its own, whose environment has the SDK print data keys.
#[test]
fn an_environment_that_has_secrets_printed_is_refused() {
    const CHILD: &str = "KUVERT_TEST_KMS_CHILD";
    let build = || {
        let arn = format!("arn:aws:kms:{REGION}:111122223333:key/1234");
        AwsKmsProvider::builder()
            .with_client(client("http://127.0.0.1:1", REGION))
            .with_sealing_key(arn)
            .build()
    };
    if std::env::var_os(CHILD).is_some() {
        assert_eq!(build().unwrap_err().faults(), [Fault::LogsSecrets]);
        return;
    }
    build().unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "config::an_environment_that_has_secrets_printed_is_refused"])
        .env(CHILD, "1")
        .env("LOG_SENSITIVE_BODIES", "true")
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn neither_builder_nor_options_print_values_of_pairs() {
    let mut options = kuvert::provider::aws_kms::AwsKmsOptions::default();
    options.probe_context.insert("tenant".to_owned(), "value-of-a-pair-93ac".to_owned());
    let builder = AwsKmsProvider::builder().with_options(options.clone());
    for shown in [format!("{options:?}"), format!("{builder:?}")] {
        assert!(!shown.contains("93ac"), "{shown}");
    }
    assert!(format!("{options:?}").contains("tenant"));
}

#[cfg(feature = "serde")]
#[test]
fn a_configuration_file_says_the_same_as_the_builder() {
    use base64ct::{Base64, Encoding as _};
    use kuvert::provider::KeyProvider as _;
    use kuvert::provider::aws_kms::{AwsKmsOptions, AwsKmsRole};

    let fake = FakeKms::start();
    let (arn, rsa) = (fake.create_key(REGION), fake.create_rsa_key(REGION, 2048));
    let text = format!(
        "opening_keys = [{arn:?}, {rsa:?}]\nreadable_kms_context = [\"tenant\"]\nrole = \"open-only\"\nclient_retries = false\n\
         deadline = \"5s\"\n[public_keys]\n{rsa:?} = {:?}\n[probe_context]\ntenant = \"probe\"\n",
        Base64::encode_string(&fake.public_key(&rsa))
    );
    let options: AwsKmsOptions = toml::from_str(&text).unwrap();
    assert_eq!((options.role, options.deadline), (AwsKmsRole::OpenOnly, Duration::from_secs(5)));
    assert!(!options.client_retries);
    assert_eq!(toml::from_str::<AwsKmsOptions>("").unwrap(), AwsKmsOptions::default());
    let built = |options| {
        AwsKmsProvider::builder().with_client(client(&fake.endpoint(), REGION)).with_options(options)
    };
    let by_builder = AwsKmsProvider::builder()
        .with_client(client(&fake.endpoint(), REGION))
        .with_opening_key(&arn)
        .with_opening_key(&rsa)
        .with_public_key(&rsa, fake.public_key(&rsa))
        .open_only()
        .build()
        .unwrap();
    assert_eq!(built(options.clone()).build().unwrap().describe(), by_builder.describe());
    let mut faulty = options;
    faulty.public_keys.insert(rsa, "no base64!".to_owned());
    assert!(matches!(built(faulty).build().unwrap_err().faults(), [Fault::PublicKey { .. }, ..]));
    for bad in ["sealing-key = \"x\"", "role = \"admin\"", "deadline = 3"] {
        toml::from_str::<AwsKmsOptions>(bad).unwrap_err();
    }
}
