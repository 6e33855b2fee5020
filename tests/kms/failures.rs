//! What each answer of the service, and each way to have none, becomes for the caller.

use aws_sdk_kms::Client;
use aws_sdk_kms::config::Credentials;
use aws_sdk_kms::operation::RequestId as _;
use kuvert::ProviderErrorKind as Kind;
use kuvert::blocking::block_on;
use kuvert::provider::KeyProvider as _;
use kuvert::provider::aws_kms::AwsKmsProvider;
use kuvert::{DataKey, ProviderError};

use crate::stage::{LONG, REGION, builder, client, failure, provider, wrap_context};
use crate::support::fake_kms::{FakeKms, Fault, KeyState, Rule};

fn seal(provider: &AwsKmsProvider) -> Result<(), ProviderError> {
    block_on(provider.wrap_data_key(&DataKey::copy_from(&[1; 32]), &wrap_context())).unwrap().map(drop)
}

/// Sealing and opening, whose errors have to agree, both naming the key.
fn both(fault: Fault) -> ProviderError {
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    let provider = provider(&fake.endpoint(), &arn);
    let key = DataKey::copy_from(&[1; 32]);
    let recipients = block_on(provider.wrap_data_key(&key, &wrap_context())).unwrap().unwrap();
    fake.fault(fault);
    fake.take_actions();
    let sealing = seal(&provider).unwrap_err();
    let opening = block_on(provider.unwrap_data_key(&recipients[0], &wrap_context())).unwrap().unwrap_err();
    // Nobody retries here, but that a bad signature gets its second chance, the first time.
    let calls: &[&str] = match failure(&opening).is_about_credentials() {
        true => &["Encrypt", "Encrypt", "Decrypt"],
        false => &["Encrypt", "Decrypt"],
    };
    assert_eq!(fake.take_actions(), calls);
    assert_eq!((sealing.kind(), sealing.key_id()), (opening.kind(), Some(&*arn)));
    assert_eq!(opening.key_id(), Some(&*arn));
    opening
}

#[test]
fn every_code_of_the_table() {
    for (code, kind) in [
        ("ThrottlingException", Kind::Throttled),
        ("KMSInternalException", Kind::Unavailable),
        ("KeyUnavailableException", Kind::Unavailable),
        ("DependencyTimeoutException", Kind::Unavailable),
        ("AccessDeniedException", Kind::AccessDenied),
        ("ExpiredTokenException", Kind::Credentials),
        ("UnrecognizedClientException", Kind::AccessDenied),
        ("InvalidSignatureException", Kind::Credentials),
        ("RequestExpired", Kind::Credentials),
        ("RequestTimeTooSkewed", Kind::Credentials),
        ("IncompleteSignature", Kind::Credentials),
        ("DisabledException", Kind::Disabled),
        ("NotFoundException", Kind::NotFound),
        ("IncorrectKeyException", Kind::Rejected),
        ("InvalidCiphertextException", Kind::Rejected),
        ("ValidationException", Kind::Misconfigured),
        ("InvalidKeyUsageException", Kind::Misconfigured),
        ("UnsupportedOperationException", Kind::Misconfigured),
        ("InvalidArnException", Kind::Misconfigured),
        ("InvalidGrantTokenException", Kind::AccessDenied),
        ("LimitExceededException", Kind::Other),
        ("NeverHeardOfException", Kind::Other),
    ] {
        let error = both(Fault::Refuse(400, code));
        assert_eq!(error.kind(), kind, "{code}");
        let failure = failure(&error);
        assert_eq!(
            (failure.code(), failure.http_status(), failure.region()),
            (Some(code), Some(400), REGION)
        );
        assert!(failure.request_id().is_some_and(|id| id.starts_with("fake-")), "{failure:?}");
        let of_caller = ["Token", "Client", "Signature", "RequestExpired", "Skewed"];
        let is_of_caller = of_caller.iter().any(|part| code.contains(part)) && !code.contains("Grant");
        assert_eq!(failure.is_about_credentials(), is_of_caller, "{code}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(code) && !shown.contains("93ac"), "{shown}");
    }
}

#[test]
fn answers_without_a_code_and_no_answers() {
    for (fault, kind) in [
        (Fault::Status(500), Kind::Unavailable),
        (Fault::Status(503), Kind::Unavailable),
        (Fault::Status(429), Kind::Throttled),
        (Fault::Refuse(500, "NeverHeardOfException"), Kind::Unavailable),
        (Fault::Closes, Kind::Unavailable),
        (Fault::BreaksOff, Kind::Unavailable),
    ] {
        let error = both(fault.clone());
        assert_eq!(error.kind(), kind, "{fault:?}: {error}");
        assert_eq!(failure(&error).region(), REGION);
    }
}

#[test]
fn answers_that_are_not_of_what_was_asked() {
    let fake = FakeKms::start();
    let (arn, other) = (fake.create_key(REGION), fake.create_key(REGION));
    let provider = provider(&fake.endpoint(), &arn);
    let key = DataKey::copy_from(&[1; 32]);
    let wrapped = block_on(provider.wrap_data_key(&key, &wrap_context())).unwrap().unwrap().remove(0);
    let open = || block_on(provider.unwrap_data_key(&wrapped, &wrap_context())).unwrap();
    for fault in [
        Fault::Replace("KeyId", other.clone().into()),
        Fault::Replace("KeyId", serde_json::Value::Null),
        Fault::Replace("KeyId", arn.rsplit('/').next().unwrap().into()),
        Fault::plaintext(&[1; 31]),
        Fault::plaintext(&[1; 33]),
        Fault::plaintext(&[]),
        Fault::Replace("Plaintext", serde_json::Value::Null),
    ] {
        fake.fault(fault.clone());
        assert_eq!(open().unwrap_err().kind(), Kind::Rejected, "{fault:?}");
        fake.mend();
    }
    for fault in [
        Fault::Replace("KeyId", other.into()),
        Fault::Replace("CiphertextBlob", "".into()),
        Fault::Replace("CiphertextBlob", "AAAA".repeat(2049).into()),
    ] {
        fake.fault(fault.clone());
        assert_eq!(seal(&provider).unwrap_err().kind(), Kind::Rejected, "{fault:?}");
        fake.mend();
    }
    // Another key of the right length is for the message's commitment to find.
    let kuvert = kuvert::blocking::Kuvert::new(provider.clone());
    let sealed = kuvert.seal(b"x", &crate::stage::context()).unwrap();
    fake.fault(Fault::plaintext(&[2; 32]));
    let error = kuvert.open(&sealed, &crate::stage::context()).unwrap_err();
    assert!(matches!(error, kuvert::OpenError::WrongContext(_)), "{error}");
}

#[test]
fn why_a_key_is_in_an_invalid_state_is_asked_once() {
    for (state, kind) in [
        (KeyState::PendingDeletion, Kind::PendingDeletion),
        (KeyState::PendingImport, Kind::Disabled),
        (KeyState::Unavailable, Kind::Unavailable),
    ] {
        let fake = FakeKms::start();
        let arn = fake.create_key(REGION);
        fake.set_state(&arn, state);
        let provider = provider(&fake.endpoint(), &arn);
        assert_eq!(seal(&provider).unwrap_err().kind(), kind);
        assert_eq!(seal(&provider).unwrap_err().kind(), kind);
        assert_eq!(fake.take_actions(), ["Encrypt", "DescribeKey", "Encrypt"]);
    }
    // Who may not ask is told that it is not there now.
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    fake.set_state(&arn, KeyState::PendingDeletion);
    fake.fault(Rule::from(Fault::Refuse(400, "AccessDeniedException")).of("DescribeKey"));
    assert_eq!(seal(&provider(&fake.endpoint(), &arn)).unwrap_err().kind(), Kind::Unavailable);
}

#[test]
fn nobody_listens() {
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    let endpoint = fake.endpoint();
    drop(fake);
    let error = seal(&provider(&endpoint, &arn)).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable, "{error}");
}

fn with_client(client: Client) -> AwsKmsProvider {
    let arn = format!("arn:aws:kms:{REGION}:111122223333:key/1234");
    AwsKmsProvider::builder().with_deadline(LONG).with_client(client).with_sealing_key(arn).build().unwrap()
}

#[test]
fn a_client_without_an_http_client() {
    let config = aws_sdk_kms::Config::builder()
        .behavior_version_latest()
        .region(aws_sdk_kms::config::Region::new(REGION))
        .credentials_provider(
            Credentials::builder().access_key_id("a").secret_access_key("b").provider_name("c").build(),
        );
    let error = seal(&with_client(Client::from_conf(config.build()))).unwrap_err();
    assert_eq!(error.kind(), Kind::Misconfigured, "{error}");
    assert!(error.to_string().contains("no HTTP client"), "{error}");
}

#[test]
fn the_request_id_is_the_one_of_the_answer() {
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    let direct = block_on(async {
        let client = client(&fake.endpoint(), REGION);
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(client.describe_key().key_id(&arn).send())
            .unwrap()
    })
    .unwrap();
    assert_eq!(direct.request_id(), Some("fake-0000"));
    fake.fault(Fault::throttle());
    assert_eq!(
        failure(&seal(&provider(&fake.endpoint(), &arn)).unwrap_err()).request_id(),
        Some("fake-0001")
    );
}

#[test]
fn readiness_says_what_does_not_work() {
    let fake = FakeKms::start();
    let (arn, other) = (fake.create_key(REGION), fake.create_key("eu-west-1"));
    let provider = builder(&fake.endpoint()).with_sealing_key(&arn).with_opening_key(&other).build().unwrap();
    let check = || block_on(provider.check()).unwrap();
    assert!(check().unwrap().is_good());
    assert!(fake.calls().iter().all(|call| call.dry_run), "{:?}", fake.calls());
    fake.set_state(&other, KeyState::Disabled);
    let health = check().unwrap();
    assert_eq!(health.problems().iter().map(ProviderError::kind).collect::<Vec<_>>(), [Kind::Disabled]);
    fake.set_state(&arn, KeyState::Disabled);
    assert_eq!(check().unwrap_err().kind(), Kind::Disabled);

    // Denied for opening only, or for sealing only.
    fake.set_state(&arn, KeyState::Enabled);
    fake.set_state(&other, KeyState::Enabled);
    for action in ["Encrypt", "Decrypt"] {
        fake.fault(Rule::from(Fault::Refuse(400, "AccessDeniedException")).of(action).in_region(REGION));
        assert_eq!(check().unwrap().problems()[0].kind(), Kind::AccessDenied, "{action}");
        fake.mend();
    }
}

#[test]
fn readiness_without_trials_makes_a_real_round() {
    let fake = FakeKms::start().without_trials();
    let arn = fake.create_key(REGION);
    let other = fake.create_key(REGION);
    let rsa = fake.create_rsa_key(REGION, 2048);
    let of = |arn: &str| builder(&fake.endpoint()).with_opening_key(arn).open_only();
    let providers = [
        provider(&fake.endpoint(), &arn),
        of(&other).build().unwrap(),
        of(&rsa).with_public_key(&rsa, fake.public_key(&rsa)).build().unwrap(),
    ];
    let refuses_trials = || {
        // As a server that misses the ciphertext.
        Rule::from(Fault::Refuse(400, "ValidationException")).of("Decrypt").times(1)
    };
    for (provider, arn) in providers.iter().zip([&arn, &other, &rsa]) {
        let check = || block_on(provider.check()).unwrap();
        assert!(check().unwrap().is_good());
        if arn != &providers[0].describe().keys[0].id {
            fake.fault(refuses_trials());
            assert!(check().unwrap().is_good(), "{arn}");
        }
        fake.set_state(arn, KeyState::Disabled);
        assert_eq!(check().unwrap_err().kind(), Kind::Disabled);
        fake.set_state(arn, KeyState::Enabled);
    }
    // A canary that comes back as another key.
    fake.fault(Rule::from(Fault::plaintext(&[3; 32])).of("Decrypt"));
    assert_eq!(block_on(providers[0].check()).unwrap().unwrap_err().kind(), Kind::Rejected);
}
