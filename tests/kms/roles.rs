//! Who may do what: seal only, open only, RSA without any call, names of pairs, replicas.

use kuvert::blocking::{Kuvert, block_on};
use kuvert::provider::aws_kms::{AwsKmsProvider, fetch_public_key};
use kuvert::provider::{KeyProvider as _, WrapContext};
use kuvert::{DataKey, EncryptionContext, OpenError, ProviderErrorKind as Kind, Recipient, SealError};

use crate::stage::{REGION, builder, client, context, provider, wrap_context};
use crate::support::fake_kms::{FakeKms, Fault};

fn wrap(provider: &AwsKmsProvider) -> Recipient {
    let key = DataKey::copy_from(&[5; 32]);
    block_on(provider.wrap_data_key(&key, &wrap_context())).unwrap().unwrap().remove(0)
}

#[test]
fn sealing_to_an_rsa_key_makes_no_call_and_needs_no_client() {
    let fake = FakeKms::start();
    let arn = fake.create_rsa_key(REGION, 3072);
    let pinned = block_on(fetch_public_key(&client(&fake.endpoint(), REGION), &arn)).unwrap().unwrap();
    assert_eq!(fake.take_actions(), ["GetPublicKey"]);
    let sealer = AwsKmsProvider::builder().with_sealing_key(&arn).with_public_key(&arn, &*pinned).seal_only();
    let sealer = Kuvert::new(sealer.build().unwrap());
    let sealed = sealer.seal(b"for later", &context()).unwrap();
    assert!(block_on(sealer_check(&arn, &pinned)).unwrap());
    assert_eq!(fake.take_actions(), [""; 0], "nothing was asked");

    let opener = builder(&fake.endpoint()).with_opening_key(&arn).with_public_key(&arn, pinned).open_only();
    let opener = Kuvert::new(opener.build().unwrap());
    assert_eq!(opener.open(&sealed, &context()).unwrap().as_slice(), b"for later");
    assert_eq!(fake.take_actions(), ["Decrypt"]);
    assert!(matches!(sealer.open(&sealed, &context()), Err(OpenError::KeyUnavailable(_))));
    assert!(
        matches!(opener.seal(b"x", &context()), Err(SealError::Provider(error)) if error.kind() == Kind::Misconfigured)
    );
}

async fn sealer_check(arn: &str, pinned: &[u8]) -> bool {
    let sealer = AwsKmsProvider::builder().with_sealing_key(arn).with_public_key(arn, pinned).seal_only();
    sealer.build().unwrap().check().await.unwrap().is_good()
}

#[test]
fn an_rsa_wrap_of_another_length_is_not_mine_and_nobody_is_asked() {
    let fake = FakeKms::start();
    let arn = fake.create_rsa_key(REGION, 2048);
    let opener =
        builder(&fake.endpoint()).with_opening_key(&arn).with_public_key(&arn, fake.public_key(&arn));
    let opener = opener.open_only().build().unwrap();
    for len in [255, 257, 384, 512] {
        let wrap = Recipient::new(kuvert::RecipientType::AWS_KMS_RSA, arn.as_str(), [], vec![1; len]);
        let answer = block_on(opener.unwrap_data_key(&wrap, &wrap_context())).unwrap();
        assert!(answer.unwrap().is_none(), "{len} bytes");
    }
    // Neither is an RSA recipient under a symmetric key's name, nor the reverse.
    let symmetric = fake.create_key(REGION);
    let own = provider(&fake.endpoint(), &symmetric);
    let rsa = Recipient::new(kuvert::RecipientType::AWS_KMS_RSA, symmetric.as_str(), [], vec![1; 256]);
    assert!(block_on(own.unwrap_data_key(&rsa, &wrap_context())).unwrap().unwrap().is_none());
    let reverse = Recipient::new(kuvert::RecipientType::AWS_KMS, arn.as_str(), [0], vec![1; 256]);
    assert!(block_on(opener.unwrap_data_key(&reverse, &wrap_context())).unwrap().unwrap().is_none());
    assert_eq!(fake.take_actions(), [""; 0]);
}

#[test]
fn only_pairs_that_are_configured_reach_the_service() {
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    let none = provider(&fake.endpoint(), &arn);
    let told = builder(&fake.endpoint()).with_sealing_key(&arn).with_kms_context(["tenant"]).build().unwrap();
    let reads = builder(&fake.endpoint()).with_sealing_key(&arn).with_readable_kms_context(["tenant", "x"]);
    let reads = reads.build().unwrap();
    let plain = Kuvert::new(none.clone()).seal(b"x", &context()).unwrap();
    let sealed = Kuvert::new(told.clone()).seal(b"x", &context()).unwrap();
    let contexts: Vec<_> = fake.calls().into_iter().map(|call| call.context).collect();
    assert_eq!(contexts, [vec![], vec!["tenant".to_owned()]]);

    // A name that the reader does not allow: not its key, and no call.
    fake.take_actions();
    assert!(matches!(Kuvert::new(none).open(&sealed, &context()), Err(OpenError::KeyUnavailable(_))));
    assert_eq!(fake.take_actions(), [""; 0]);
    for reader in [told.clone(), reads] {
        Kuvert::new(reader.clone()).open(&sealed, &context()).unwrap();
        Kuvert::new(reader).open(&plain, &context()).unwrap();
    }
    // The pair is missing, when sealing and when opening: told at once.
    fake.take_actions();
    let bare = EncryptionContext::new([("table", "users")]).unwrap();
    let refused = Kuvert::new(told.clone()).seal(b"x", &bare).unwrap_err();
    assert!(refused.to_string().contains("lacks the pair \"tenant\""), "{refused}");
    let bare = WrapContext::new([0; 12], [("table".to_owned(), "users".to_owned())]);
    let wrapped = wrap(&told);
    fake.take_actions();
    let error = block_on(told.unwrap_data_key(&wrapped, &bare)).unwrap().unwrap_err();
    assert_eq!((error.kind(), fake.take_actions().len()), (Kind::Rejected, 0), "{error}");
}

#[test]
fn a_message_without_the_told_pair_or_with_another_value_is_of_a_wrong_context() {
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    let told = builder(&fake.endpoint()).with_sealing_key(&arn).with_kms_context(["tenant"]).build().unwrap();
    let kuvert = Kuvert::new(told);
    let stored = EncryptionContext::new([("table", "users")]).unwrap();
    let sealed = kuvert.seal(b"x", &stored.clone().with_required("tenant", "a").unwrap()).unwrap();
    fake.take_actions();
    let other = stored.clone().with_required("tenant", "b").unwrap();
    assert!(matches!(kuvert.open(&sealed, &other), Err(OpenError::WrongContext(_))));
    assert_eq!(fake.take_actions(), ["Decrypt"]);
    assert!(matches!(kuvert.open(&sealed, &stored), Err(OpenError::WrongContext(_))));
    assert_eq!(fake.take_actions(), [""; 0], "what is missing is told without a call");
}

#[test]
fn a_replica_opens_what_another_one_sealed() {
    let fake = FakeKms::start();
    let central = fake.create_multi_region_key(REGION);
    let west = fake.replicate(&central, "eu-west-1");
    let sealed = Kuvert::new(provider(&fake.endpoint(), &central)).seal(b"x", &context()).unwrap();
    fake.fault(crate::support::fake_kms::Rule::from(Fault::Status(503)).in_region(REGION));
    fake.take_actions();
    let opened = Kuvert::new(provider(&fake.endpoint(), &west)).open(&sealed, &context()).unwrap();
    assert_eq!(opened.as_slice(), b"x");
    // A single-region key of another region is another key, even if it had the same id.
    let single = fake.create_key(REGION);
    let twin = single.replace(REGION, "eu-west-1");
    fake.create_key_named(&twin);
    fake.mend();
    let sealed = Kuvert::new(provider(&fake.endpoint(), &single)).seal(b"x", &context()).unwrap();
    fake.take_actions();
    let error = Kuvert::new(provider(&fake.endpoint(), &twin)).open(&sealed, &context()).unwrap_err();
    assert!(matches!(error, OpenError::KeyUnavailable(_)), "{error}");
    assert_eq!(fake.take_actions(), [""; 0]);
}

#[test]
fn a_header_that_names_a_foreign_key_makes_no_call() {
    let fake = FakeKms::start();
    let (own, foreign) = (fake.create_key(REGION), fake.create_key(REGION));
    let sealed = Kuvert::new(provider(&fake.endpoint(), &foreign)).seal(b"x", &context()).unwrap();
    fake.take_actions();
    let error = Kuvert::new(provider(&fake.endpoint(), &own)).open(&sealed, &context()).unwrap_err();
    assert!(matches!(error, OpenError::KeyUnavailable(_)), "{error}");
    assert_eq!(fake.take_actions(), [""; 0]);
}

#[test]
fn the_services_randomness_takes_part_and_does_not_decide() {
    let fake = FakeKms::start();
    let arn = fake.create_key(REGION);
    let mixing = builder(&fake.endpoint()).with_sealing_key(&arn).with_kms_randomness(true).build().unwrap();
    // The service gives the same bytes each time.
    fake.fault(crate::support::fake_kms::Rule::from(Fault::plaintext(&[9; 32])).of("GenerateDataKey"));
    let made = || block_on(mixing.generate_data_key(&wrap_context())).unwrap().unwrap();
    let (one, other) = (made(), made());
    assert_eq!(fake.take_actions(), ["GenerateDataKey", "Encrypt", "GenerateDataKey", "Encrypt"]);
    assert_ne!(one.key.expose_bytes(), other.key.expose_bytes());
    assert_ne!(one.key.expose_bytes(), &[9; 32]);
    let back =
        block_on(mixing.unwrap_data_key(&one.recipients[0], &wrap_context())).unwrap().unwrap().unwrap();
    assert_eq!(back.expose_bytes(), one.key.expose_bytes());
    // Fewer bytes than asked for are no randomness.
    fake.mend();
    fake.fault(crate::support::fake_kms::Rule::from(Fault::plaintext(&[9; 31])).of("GenerateDataKey"));
    let error = block_on(mixing.generate_data_key(&wrap_context())).unwrap().unwrap_err();
    assert_eq!(error.kind(), Kind::Rejected);
}
