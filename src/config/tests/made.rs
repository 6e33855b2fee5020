//! What is made of a configuration: keys that open, parts that are used, and files that are of no use.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{around, block_on, one, read, told};
use crate::{
    clock::TestClock,
    config::{Assembly, Config, ConfigError, Parts, ProviderConfig},
    error::{OpenError, ProviderErrorKind},
    format::context::EncryptionContext,
    front::Kuvert,
    observe::{Event, Observer},
    provider::{AnyOfOptions, BreakerState, CacheOptions, GuardedOptions, KeyFile},
};

fn assemble(config: &Config, parts: &Parts) -> Result<Assembly, ConfigError> {
    block_on(config.assemble(parts))
}

fn keys(directory: &Path, names: &[&str]) {
    for name in names {
        KeyFile::generate(Some(name)).unwrap().write_new(&directory.join(format!("{name}.key"))).unwrap();
    }
}

/// Every event as `provider operation attempts`.
#[derive(Debug, Default)]
struct Seen(Mutex<Vec<String>>);

impl Observer for Seen {
    fn event(&self, event: &Event<'_>) {
        let text = format!("{} {}", event.provider, event.operation.name());
        self.0.lock().unwrap().push(text);
    }
}

#[test]
fn either_of_two_files_opens_through_everything() {
    let directory = tempfile::tempdir().unwrap();
    keys(directory.path(), &["a", "b"]);
    let text = around("type = \"any-of\"\nmembers = [\"a\", \"b\"]\nmin = 1")
        .replace("provider = \"p\"", "provider = \"top\"")
        + "[providers.top]\ntype = \"cached\"\nprovider = \"rules\"\nsoft_age = \"1m\"\nmax_age = \"2m\"\n\
           [providers.rules]\ntype = \"policy\"\nprovider = \"slow\"\nresidency = \"eu\"\ntypes = [\"aes-kwp\"]\n\
           [providers.slow]\ntype = \"guarded\"\nprovider = \"p\"\n";
    let clock = Arc::new(TestClock::new());
    let parts = Parts::default().with_base(directory.path()).with_clock(clock.clone());
    let config = read(&text);
    let assembly = assemble(&config, &parts).unwrap();
    assert_eq!((assembly.caches.len(), assembly.guarded.len()), (1, 1));
    assert_eq!(assembly.guarded["slow"].state().breaker, BreakerState::Closed);

    let kuvert = Kuvert::from_arc(assembly.provider);
    let context = EncryptionContext::empty();
    let message = block_on(kuvert.seal(b"text", &context)).unwrap();
    for _ in 0..3 {
        assert_eq!(block_on(kuvert.open(&message, &context)).unwrap().as_slice(), b"text");
    }
    let stats = assembly.caches["top"].stats();
    assert_eq!((stats.misses, stats.hits), (1, 2));
    // The configuration's age, by the given clock.
    clock.advance(Duration::from_secs(121));
    block_on(kuvert.open(&message, &context)).unwrap();
    assert_eq!(assembly.caches["top"].stats().misses, 2);

    for name in ["a", "b"] {
        let alone = read(&one(&format!("type = \"key-file\"\npaths = [\"{name}.key\"]")));
        let alone = Kuvert::from_arc(block_on(alone.build(&parts)).unwrap());
        assert_eq!(block_on(alone.open(&message, &context)).unwrap().as_slice(), b"text");
    }
}

#[test]
fn neither_of_two_files_opens_what_needs_both() {
    let directory = tempfile::tempdir().unwrap();
    keys(directory.path(), &["a", "b"]);
    let parts = Parts::default().with_base(directory.path());
    let text = around("type = \"all-of\"\nmembers = [\"a\", \"b\"]");
    let both = Kuvert::from_arc(assemble(&read(&text), &parts).unwrap().provider);
    let context = EncryptionContext::empty();
    let message = block_on(both.seal(b"text", &context)).unwrap();
    assert_eq!(block_on(both.open(&message, &context)).unwrap().as_slice(), b"text");
    let alone = read(&one("type = \"key-file\"\npaths = [\"a.key\", \"b.key\"]"));
    let alone = Kuvert::from_arc(assemble(&alone, &parts).unwrap().provider);
    assert!(matches!(block_on(alone.open(&message, &context)), Err(OpenError::KeyUnavailable(_))));
}

#[test]
fn the_first_key_of_the_first_file_seals_and_all_open() {
    let directory = tempfile::tempdir().unwrap();
    keys(directory.path(), &["new", "old"]);
    let parts = Parts::default().with_base(directory.path());
    let provider = |text: &str| assemble(&read(&one(text)), &parts).unwrap().provider;
    let both = provider("type = \"key-file\"\npaths = [\"new.key\", \"old.key\"]");
    let info = both.describe().keys;
    let seals: Vec<(&str, bool)> = info.iter().map(|key| (key.id.as_str(), key.seals)).collect();
    assert_eq!(seals, [("new", true), ("old", false)]);
    // An absolute path is not taken from the base.
    let absolute = format!("type = \"key-file\"\npaths = [{:?}]", directory.path().join("old.key"));
    assert_eq!(provider(&absolute).describe().keys.len(), 1);
}

#[test]
fn every_file_of_no_use_is_told() {
    let directory = tempfile::tempdir().unwrap();
    keys(directory.path(), &["good", "twin"]);
    fs::write(directory.path().join("text.key"), "no key\n").unwrap();
    fs::create_dir(directory.path().join("folder.key")).unwrap();
    fs::remove_file(directory.path().join("twin.key")).unwrap();
    KeyFile::generate(Some("good")).unwrap().write_new(&directory.path().join("twin.key")).unwrap();
    let mut files = vec![("text", 1, "mode"), ("folder", 2, "regular"), ("missing", 3, "cannot be read")];
    #[cfg(not(unix))]
    files.remove(0);
    files.push(("twin", 4, "two different keys"));
    let paths =
        ["good", "text", "folder", "missing", "twin"].map(|name| format!("\"{name}.key\"")).join(", ");
    let section = format!("type = \"key-file\"\npaths = [{paths}]");
    let config = read(&format!("{}[providers.unused]\ntype = \"all-of\"\nmembers = []", one(&section)));
    // The text tells of no file.
    assert_eq!(config.faults().len(), 2, "{:?}", told(&config.faults()));

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let loose = fs::Permissions::from_mode(0o644);
        fs::set_permissions(directory.path().join("text.key"), loose).unwrap();
    }
    let error = assemble(&config, &Parts::default().with_base(directory.path())).unwrap_err();
    for (name, place, word) in &files {
        let path = format!("providers.p.paths[{place}]");
        let fault = error.faults().iter().find(|fault| fault.path() == path);
        assert!(fault.is_some_and(|fault| fault.problem().contains(word)), "{name}: {error}");
    }
    assert_eq!(error.faults().len(), files.len() + 2, "{error}");
}

#[test]
fn a_call_is_told_by_whoever_stands_around_the_keys() {
    let directory = tempfile::tempdir().unwrap();
    keys(directory.path(), &["a", "b"]);
    let seen = Arc::new(Seen::default());
    let parts = Parts::default().with_base(directory.path()).with_observer(seen.clone());
    let text = around("type = \"any-of\"\nmembers = [\"guard\", \"b\"]")
        + "[providers.guard]\ntype = \"guarded\"\nprovider = \"a\"\n";
    let provider = assemble(&read(&text), &parts).unwrap().provider;
    block_on(Kuvert::from_arc(provider).seal(b"text", &EncryptionContext::empty())).unwrap();
    let mut events = std::mem::take(&mut *seen.0.lock().unwrap());
    events.sort();
    assert_eq!(events.len(), 3, "{events:?}");
    assert_eq!(events.iter().filter(|event| event.starts_with("key-file ")).count(), 2, "{events:?}");
    assert_eq!(events.iter().filter(|event| event.starts_with("any-of ")).count(), 1, "{events:?}");
}

#[test]
fn one_made_in_code_is_the_same_as_one_that_was_read() {
    let file = |name: &str| ProviderConfig::KeyFile { paths: vec![format!("{name}.key").into()] };
    let members = vec!["a".to_owned(), "b".to_owned()];
    let options = AnyOfOptions::default().with_min(1).with_deadline(Duration::from_secs(2));
    let config = Config::new("p")
        .with_provider("p", ProviderConfig::AnyOf { members, options })
        .with_provider("a", file("a"))
        .with_provider("b", file("b"));
    let text = around("type = \"any-of\"\nmembers = [\"a\", \"b\"]\nmin = 1\ndeadline = \"2s\"");
    assert_eq!(config, read(&text));
    assert_eq!((config.provider(), config.providers().len()), (Some("p"), 3));
    // Defaults are those of the option structs.
    let wrapped = |kind: &str| {
        let read = read(&format!("provider = \"w\"\n[providers.w]\ntype = \"{kind}\"\nprovider = \"a\"\n"));
        read.providers()["w"].clone()
    };
    let provider = || "a".to_owned();
    let guarded = ProviderConfig::Guarded { provider: provider(), options: GuardedOptions::default() };
    assert_eq!(wrapped("guarded"), guarded);
    let cached = ProviderConfig::Cached { provider: provider(), options: CacheOptions::default() };
    assert_eq!(wrapped("cached"), cached);
}

#[test]
fn options_reach_the_providers() {
    let directory = tempfile::tempdir().unwrap();
    keys(directory.path(), &["a"]);
    let text = super::around_one("type = \"guarded\"\nprovider = \"a\"\nmax_concurrent = 7");
    let parts = Parts::default().with_base(directory.path());
    let assembly = assemble(&read(&text), &parts).unwrap();
    assert_eq!(assembly.guarded["p"].state().max_running, 7);
}

#[cfg(feature = "aws-kms")]
#[test]
fn clients_are_given_by_region_or_told_to_be_missing() {
    use aws_sdk_kms::config::{BehaviorVersion, Region};
    let client = |region: &'static str| {
        let config = aws_sdk_kms::Config::builder().behavior_version(BehaviorVersion::latest());
        aws_sdk_kms::Client::from_conf(config.region(Region::new(region)).build())
    };
    let key = super::arn("eu-central-1");
    let config = read(&one(&format!("type = \"aws-kms\"\nsealing_key = \"{key}\"")));
    let given = Parts::default().with_aws_client("eu-central-1", client("eu-central-1"));
    let info = assemble(&config, &given).unwrap().provider.describe();
    assert_eq!(
        (info.provider, info.keys[0].id.as_str(), info.keys[0].seals),
        ("aws-kms", key.as_str(), true)
    );
    assert!(format!("{given:?}").contains("eu-central-1"));

    let other = Parts::default().with_aws_client("eu-central-1", client("eu-west-1"));
    let error = assemble(&config, &other).unwrap_err();
    assert_eq!(error.faults()[0].path(), "providers.p.sealing_key");
    assert!(error.to_string().contains("configured for eu-west-1"), "{error}");

    // Without a client, it is made where that can be done.
    let made = assemble(&config, &Parts::default());
    if cfg!(feature = "https") {
        assert_eq!(made.unwrap().provider.describe().keys.len(), 1);
    } else {
        assert!(made.unwrap_err().to_string().contains("with_aws_client"));
    }
}

#[test]
fn the_tree_that_is_checked_does_nothing() {
    use crate::provider::{KeyProvider as _, WrapContext};
    let stand_in = super::super::stand_in::StandIn { keys: Vec::new() };
    let context = WrapContext::new([0; 12], []);
    let error = block_on(stand_in.generate_data_key(&context)).unwrap_err();
    assert_eq!(error.kind(), ProviderErrorKind::Misconfigured);
    assert!(block_on(stand_in.check()).is_err());
}
