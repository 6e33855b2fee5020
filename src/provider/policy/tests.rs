//! Which keys are refused, when, and that nobody is called for them.

use std::sync::Mutex;

use super::*;
use crate::{
    clock::TestClock,
    executor::block_on,
    format::stanza::RecipientType,
    provider::{
        AllOf, MemoryProvider,
        conformance::Conformance,
        testing::{PLANTED, Recorder, Region, context, dropped_after, not_forwarded, run},
    },
};

const FRANKFURT: &str = "arn:aws:kms:eu-central-1:111122223333:key/aaaa";
const LONDON: &str = "arn:aws:kms:eu-west-2:111122223333:key/aaaa";
const MULTI: &str = "arn:aws:kms:eu-central-1:111122223333:key/mrk-1";
const MULTI_IN_US: &str = "arn:aws:kms:us-east-1:111122223333:key/mrk-1";
use ProviderErrorKind as Kind;

/// A provider with KMS keys by name, which wraps for whom it is told to and counts its calls.
#[derive(Debug)]
struct Named {
    keys: Mutex<Vec<KeyInfo>>,
    gives: Mutex<Vec<Recipient>>,
    calls: Mutex<usize>,
}

impl Named {
    fn new(ids: &[&str]) -> Arc<Self> {
        let keys = ids.iter().map(|id| KeyInfo::new(RecipientType::AWS_KMS, *id)).collect();
        let gives = ids.iter().map(|id| kms(id)).collect();
        Arc::new(Self { keys: Mutex::new(keys), gives: Mutex::new(gives), calls: Mutex::new(0) })
    }

    fn calls(&self) -> usize {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

fn kms(id: &str) -> Recipient {
    Recipient::new(RecipientType::AWS_KMS, id, [0], [1])
}

#[async_trait]
impl KeyProvider for Named {
    async fn wrap_data_key(&self, _: &DataKey, _: &WrapContext) -> Result<Vec<Recipient>, ProviderError> {
        *self.calls.lock().unwrap() += 1;
        Ok(self.gives.lock().unwrap().clone())
    }

    async fn unwrap_data_key(
        &self,
        _: &Recipient,
        _: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        *self.calls.lock().unwrap() += 1;
        Ok(Some(DataKey::copy_from(&[9; 32])))
    }

    async fn check(&self) -> Result<Health, ProviderError> {
        Ok(Health::good())
    }

    fn describe(&self) -> ProviderInfo {
        let keys = self.keys.lock().unwrap().clone();
        keys.into_iter().fold(ProviderInfo::new("named"), ProviderInfo::with_key)
    }
}

fn made(ids: &[&str], policy: KeyPolicy) -> Result<(), String> {
    Policy::new(Named::new(ids), policy).map(drop).map_err(|error| {
        assert_eq!(error.kind(), Kind::Refused);
        error.to_string()
    })
}

#[test]
fn the_eu_is_a_list_of_regions_and_not_a_prefix() {
    let eu = || KeyPolicy::default().with_residency(ResidencyPreset::Eu);
    let arn = |partition, region| format!("arn:{partition}:kms:{region}:111122223333:key/a");
    let inside = ["eu-central-1", "eu-west-1", "eu-west-3", "eu-north-1", "eu-south-1", "eu-south-2"]
        .map(|r| ("aws", r));
    for (partition, region) in inside.into_iter().chain([("aws-eusc", "eusc-de-east-1")]) {
        assert_eq!(made(&[&arn(partition, region)], eu()), Ok(()), "{region}");
    }
    // London, Zurich, and what only looks like it.
    for region in ["eu-west-2", "eu-central-2", "us-east-1", "eu-west-4", "eu", "eu-central-11"] {
        let error = made(&[&arn("aws", region)], eu()).unwrap_err();
        assert!(error.contains(region) && error.contains("key policy"), "{error}");
    }
    assert!(made(&[&arn("aws-cn", "eu-central-1")], eu()).is_err());
    let sovereign = || KeyPolicy::default().with_residency(ResidencyPreset::EuSovereign);
    assert_eq!(made(&[&arn("aws-eusc", "eusc-de-east-1")], sovereign()), Ok(()));
    assert!(made(&[FRANKFURT], sovereign()).is_err());
}

#[test]
fn every_list_that_is_given_must_hold_the_key() {
    let policy = KeyPolicy::default;
    assert_eq!(made(&[FRANKFURT, LONDON, MULTI], policy()), Ok(()));
    for (policy, allows) in [
        (policy().with_partitions(["aws"]), true),
        (policy().with_partitions(["aws-eusc"]), false),
        (policy().with_accounts(["111122223333"]), true),
        (policy().with_accounts(["999922223333"]), false),
        (policy().with_regions(["us-east-1", "eu-central-1"]), true),
        (policy().with_regions(["eu-central"]), false),
        (policy().with_regions([""; 0]), false),
        (policy().with_keys([FRANKFURT]), true),
        (policy().with_keys([LONDON]), false),
        (policy().with_accounts(["111122223333"]).with_regions(["eu-west-1"]), false),
    ] {
        assert_eq!(made(&[FRANKFURT], policy.clone()).is_ok(), allows, "{policy:?}");
    }
    let single = policy().with_single_region_only(true);
    assert_eq!(made(&[FRANKFURT], single.clone()), Ok(()));
    assert!(made(&[MULTI], single).unwrap_err().contains("multi-Region"));
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let error = made(&[LONDON, FRANKFURT, MULTI_IN_US], KeyPolicy::default().with_regions(["eu-central-1"]));
    let error = error.unwrap_err();
    assert!(
        error.contains("eu-west-2") && error.contains("us-east-1") && !error.contains(FRANKFURT),
        "{error}"
    );
    let malformed = KeyPolicy::default()
        .with_accounts(["1"])
        .with_regions(["EU"])
        .with_keys(["alias/backup"])
        .with_types([RecipientType::AWS_KMS]);
    let error = Policy::new(Named::new(&[FRANKFURT]), malformed).unwrap_err();
    assert_eq!(error.kind(), Kind::Misconfigured);
    for part in ["12 digits", "\"EU\"", "describe-key", "cannot be listed"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn keys_outside_of_aws_are_allowed_by_type() {
    let file = || Arc::new(MemoryProvider::from_keys([("k", [1; 32])]).unwrap());
    let error = Policy::new(file(), KeyPolicy::default()).unwrap_err();
    assert!(error.to_string().contains("aes-kwp") && error.kind() == Kind::Refused, "{error}");
    let allowed = KeyPolicy::default().with_types([RecipientType::AES_KWP]);
    assert!(Policy::new(file(), allowed.clone()).is_ok());
    assert!(Policy::new(file(), allowed.clone().with_keys(["k"])).is_ok());
    assert!(Policy::new(file(), allowed.with_keys(["other"])).is_err());
}

#[test]
fn sealing_is_judged_before_the_call_and_after_it() {
    let inner = Named::new(&[FRANKFURT]);
    let policy = KeyPolicy::default().with_residency(ResidencyPreset::Eu).with_name("eu only");
    let provider = Policy::new(inner.clone(), policy).unwrap();
    let key = DataKey::copy_from(&[9; 32]);
    let wrap = || block_on(provider.wrap_data_key(&key, &context())).unwrap();
    let generate = || block_on(provider.generate_data_key(&context())).unwrap().map(|made| made.recipients);
    assert_eq!((wrap().unwrap().len(), inner.calls()), (1, 1));
    // The service answers with a key elsewhere.
    for foreign in [kms(LONDON), pending(LONDON), kms("not an arn"), all_of([kms(FRANKFURT), kms(LONDON)])] {
        *inner.gives.lock().unwrap() = vec![kms(FRANKFURT), foreign];
        for answer in [wrap(), generate()] {
            let error = answer.unwrap_err();
            assert!(error.kind() == Kind::Refused && error.to_string().contains("eu only"), "{error}");
        }
        assert_eq!(inner.calls(), 2);
    }
    *inner.gives.lock().unwrap() = vec![pending(FRANKFURT), all_of([kms(FRANKFURT), kms(MULTI)])];
    assert_eq!(wrap().unwrap().len(), 2);
    inner.calls();
    // A key is added while it runs.
    inner.keys.lock().unwrap().push(KeyInfo::new(RecipientType::AWS_KMS, LONDON));
    assert_eq!((wrap().unwrap_err().kind(), generate().unwrap_err().kind()), (Kind::Refused, Kind::Refused));
    assert_eq!(inner.calls(), 0);
    let health = block_on(provider.check()).unwrap().unwrap();
    assert_eq!(health.problems()[0].key_id(), Some(LONDON));
}

fn pending(id: &str) -> Recipient {
    Recipient::new(RecipientType::PENDING, id, [0, 0x10, 0], [0])
}

fn all_of(shares: [Recipient; 2]) -> Recipient {
    crate::format::stanza::all_of::join(&shares, &[7; 40])
}

#[test]
fn a_header_is_judged_before_any_call() {
    let inner = Named::new(&[FRANKFURT, MULTI]);
    let policy = KeyPolicy::default().with_residency(ResidencyPreset::Eu);
    let provider = Policy::new(inner.clone(), policy).unwrap();
    let opened = |recipient: &Recipient| {
        let answer = block_on(provider.unwrap_data_key(recipient, &context())).unwrap();
        let any = block_on(provider.unwrap_any(&[recipient], 4, &context())).unwrap();
        let any = any.into_answers().remove(0).1;
        match (answer, any) {
            (Ok(None), UnwrapAnswer::NotMine) => (None, inner.calls()),
            (Ok(Some(_)), UnwrapAnswer::Key(_)) => (Some(Kind::Other), inner.calls()),
            (Err(one), UnwrapAnswer::Failed(other)) if one.kind() == other.kind() => {
                (Some(one.kind()), inner.calls())
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(opened(&kms(FRANKFURT)), (Some(Kind::Other), 2));
    // Somebody else's key in a foreign place is somebody else's.
    assert_eq!(opened(&kms(LONDON)), (None, 0));
    assert_eq!(opened(&all_of([kms(FRANKFURT), kms(LONDON)])), (None, 0));
    // A copy of a multi-Region key counts by where it is called: here.
    assert_eq!(opened(&kms(MULTI_IN_US)), (Some(Kind::Other), 2));
    // One of ours that is not allowed is refused.
    inner.keys.lock().unwrap().push(KeyInfo::new(RecipientType::AWS_KMS, LONDON));
    assert_eq!(opened(&kms(LONDON)), (Some(Kind::Refused), 0));
    // A key that says itself where it is called.
    let elsewhere = KeyInfo::new(RecipientType::AWS_KMS, MULTI).with_region("us-east-1");
    *inner.keys.lock().unwrap() = vec![elsewhere];
    assert_eq!(opened(&kms(MULTI)), (Some(Kind::Refused), 0));
}

/// Strict: no copy of a key anywhere, whoever names it.
#[test]
fn a_multi_region_key_is_refused_at_every_station_where_only_single_ones_may_be() {
    let inner = Named::new(&[FRANKFURT]);
    let policy = KeyPolicy::default().with_residency(ResidencyPreset::Eu).with_single_region_only(true);
    let provider = Policy::new(inner.clone(), policy).unwrap();
    let key = DataKey::copy_from(&[9; 32]);
    *inner.gives.lock().unwrap() = vec![kms(MULTI)];
    let wrapped = block_on(provider.wrap_data_key(&key, &context())).unwrap();
    assert_eq!((wrapped.unwrap_err().kind(), inner.calls()), (Kind::Refused, 1));
    for named in [MULTI, MULTI_IN_US] {
        assert!(block_on(provider.unwrap_data_key(&kms(named), &context())).unwrap().unwrap().is_none());
        inner.keys.lock().unwrap().push(KeyInfo::new(RecipientType::AWS_KMS, MULTI));
        let error = block_on(provider.unwrap_data_key(&kms(named), &context())).unwrap().unwrap_err();
        assert_eq!((error.kind(), inner.calls()), (Kind::Refused, 0), "{named}");
        inner.keys.lock().unwrap().truncate(1);
    }
}

#[test]
fn refusals_count_as_tries_and_stop_at_the_limit() {
    let inner = Named::new(&[FRANKFURT]);
    let policy = KeyPolicy::default().with_residency(ResidencyPreset::Eu);
    let provider = Policy::new(inner.clone(), policy).unwrap();
    inner.keys.lock().unwrap().push(KeyInfo::new(RecipientType::AWS_KMS, LONDON));
    let ours = kms(LONDON);
    let answers = block_on(provider.unwrap_any(&[&ours, &ours, &ours], 2, &context())).unwrap();
    assert_eq!((answers.tried(), inner.calls()), (2, 0));
}

#[test]
fn it_forwards_every_method_and_keeps_the_contract() {
    let policy = || KeyPolicy::default().with_types([RecipientType::AES_KWP]);
    let recorder = Recorder::new();
    assert_eq!(not_forwarded(&Policy::new(recorder.clone(), policy()).unwrap(), &recorder), [""; 0]);
    let memory = |id: &str, byte| Arc::new(MemoryProvider::from_keys([(id, [byte; 32])]).unwrap());
    let provider = Policy::new(memory("k", 1), policy()).unwrap();
    let (stranger, impostor) = (memory("other", 1), memory("k", 2));
    let suite = Conformance::new(&provider).with_stranger(&stranger).with_impostor(&impostor).with_threads(2);
    let report = block_on(suite.run()).unwrap();
    assert!(report.is_conformant(), "{report}");
    let split = AllOf::new([memory("a", 1) as _, memory("b", 2) as _]).unwrap();
    let split = Policy::new(split, policy()).unwrap();
    let report = block_on(Conformance::new(&split).with_bit_step(97).with_callers(3).run()).unwrap();
    assert!(report.is_conformant(), "{report}");
}

#[test]
fn dropped_at_every_poll_nothing_stays_behind() {
    let clock = TestClock::new();
    let region = Region::new("a", 1, &clock);
    let policy = KeyPolicy::default().with_types([RecipientType::AES_KWP]);
    let provider = Policy::new(region.clone(), policy).unwrap();
    let (key, context) = (DataKey::copy_from(&[9; 32]), context());
    let recipient = run(&clock, region.wrap_data_key(&key, &context)).unwrap().remove(0);
    for polls in 0..3 {
        let is_pending = dropped_after(&clock, polls, provider.wrap_data_key(&key, &context))
            | dropped_after(&clock, polls, provider.generate_data_key(&context))
            | dropped_after(&clock, polls, provider.unwrap_data_key(&recipient, &context))
            | dropped_after(&clock, polls, provider.unwrap_any(&[&recipient], 1, &context))
            | dropped_after(&clock, polls, provider.check());
        assert_eq!((is_pending, region.running().0, clock.sleepers()), (polls < 2, 0, 0), "{polls}");
        assert!(run(&clock, provider.unwrap_data_key(&recipient, &context)).unwrap().is_some());
    }
}

#[test]
fn a_wrapper_that_forgets_a_method_is_found() {
    #[derive(Debug)]
    struct Forgets(Arc<Recorder>);
    #[async_trait]
    impl KeyProvider for Forgets {
        async fn wrap_data_key(
            &self,
            key: &DataKey,
            context: &WrapContext,
        ) -> Result<Vec<Recipient>, ProviderError> {
            self.0.wrap_data_key(key, context).await
        }
        async fn check(&self) -> Result<Health, ProviderError> {
            Ok(Health::good())
        }
        fn describe(&self) -> ProviderInfo {
            ProviderInfo::new("forgets")
        }
    }
    let recorder = Recorder::new();
    let missing = not_forwarded(&Forgets(recorder.clone()), &recorder);
    assert_eq!(missing, ["generate_data_key", "unwrap_data_key", "unwrap_any", "check", "describe"]);
}

#[test]
fn nothing_shows_a_value_of_the_context() {
    let clock = TestClock::new();
    let policy = KeyPolicy::default().with_types([RecipientType::AES_KWP]);
    let region = Region::new("a", 1, &clock);
    let provider = Policy::new(region.clone(), policy.clone()).unwrap();
    run(&clock, provider.generate_data_key(&context())).unwrap();
    let refused = Policy::new(region, KeyPolicy::default()).unwrap_err();
    let shown = format!("{provider:?} {refused:?} {refused}");
    assert!(shown.contains("key policy") && !shown.contains(PLANTED), "{shown}");
}

#[cfg(feature = "serde")]
#[test]
fn a_configuration_file_holds_it() {
    let text = "name = \"eu only\"\nresidency = \"eu\"\naccounts = [\"111122223333\"]\nsingle_region_only = true\n\
                types = [\"aes-kwp\", \"0x8001\"]\n";
    let policy: KeyPolicy = toml::from_str(text).unwrap();
    let expected = KeyPolicy::default()
        .with_name("eu only")
        .with_residency(ResidencyPreset::Eu)
        .with_accounts(["111122223333"])
        .with_single_region_only(true)
        .with_types([RecipientType::AES_KWP, RecipientType(0x8001)]);
    assert_eq!(policy, expected);
    let json = serde_json::to_string(&policy).unwrap();
    assert_eq!(serde_json::from_str::<KeyPolicy>(&json).unwrap(), expected);
    for wrong in
        ["region = [\"eu-central-1\"]", "types = [\"aes\"]", "types = [\"0x1\"]", "residency = \"europe\""]
    {
        assert!(toml::from_str::<KeyPolicy>(wrong).is_err(), "{wrong}");
    }
}
