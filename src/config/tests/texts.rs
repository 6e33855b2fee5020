//! Texts that nobody would write, and trees of any shape.

use std::time::Duration;

use proptest::prelude::*;

use super::{block_on, read, told};
use crate::{
    config::{Config, Parts, ProviderConfig, fault::sorted},
    provider::{AnyOfOptions, CacheOptions, GuardedOptions, Hedge, KeyPolicy, ResidencyPreset, StockOptions},
};

/// Pieces of a file, most of them right.
fn line() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        5 => "provider|type|members|paths|min|deadline|hedge|breaker|stock|types|residency|max_age|soft_age",
        1 => "[a-z_]{1,6}|\"[^\"\\\\\\n]{0,4}\"",
    ];
    let value = prop_oneof![
        3 => "\"(key-file|any-of|all-of|guarded|cached|policy|aws-kms|a|b|c|eu|3s|0s|never|aes-kwp)\"",
        2 => "\\[(\"[abc]\", ){0,3}\\]",
        1 => "[0-9]{1,20}|-[0-9]|true|[0-9]\\.5|2026-01-01|\\{ ?(after = \"1s\"|window = 1)? ?\\}|\\[\\[\\[1\\]\\]\\]",
        1 => "\"[^\"\\\\\\n]{0,8}\"",
    ];
    prop_oneof![
        3 => (key, value).prop_map(|(key, value)| format!("{key} = {value}")),
        2 => "\\[providers\\.[abc]\\]",
        1 => "\\[[a-z.]{1,12}\\]",
    ]
}

/// What must hold of anything that could be read.
fn check(config: &Config) {
    let faults = config.faults();
    assert_eq!(faults, sorted(faults.clone()));
    for fault in &faults {
        let text = fault.to_string();
        assert!(!fault.path().is_empty() && !fault.problem().is_empty(), "{text:?}");
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
    // No file of these is there: whatever it is, it is not built, and everything is told again.
    let parts = Parts::default().with_base("/nonexistent/kuvert");
    let error = block_on(config.build(&parts)).unwrap_err();
    assert!(!error.faults().is_empty());
    assert!(faults.iter().all(|fault| error.faults().contains(fault)), "{error}");
    match serde_json::to_string(config) {
        Ok(text) => {
            let again: Config = serde_json::from_str(&text).unwrap();
            assert_eq!(&again, config, "{text}");
            assert_eq!(again.faults(), faults, "{text}");
        }
        // What was misread cannot be written.
        Err(_) => assert!(!faults.is_empty()),
    }
}

/// Trees, and shapes that are none, of providers `p0` to `p7`.
fn tree() -> impl Strategy<Value = Config> {
    let name = || (0..8_u8).prop_map(|n| format!("p{n}"));
    let names = || proptest::collection::vec(name(), 0..4);
    let time = || (0..200_000_u64).prop_map(Duration::from_millis);
    let any_of = (names(), proptest::option::of(0..4_usize), time(), 0..3_u8).prop_map(
        |(members, min, deadline, hedge)| {
            let hedge = [Hedge::Never, Hedge::Usual, Hedge::After(deadline)][usize::from(hedge)];
            let mut options = AnyOfOptions::default().with_deadline(deadline).with_hedge(hedge);
            options.min = min;
            ProviderConfig::AnyOf { members, options }
        },
    );
    let cached = (name(), time(), proptest::option::of(time()), any::<bool>()).prop_map(
        |(provider, age, stale, stocked)| {
            let stock = stocked.then(|| StockOptions::default().with_max_age(age));
            let options = CacheOptions::default().with_max_age(age).with_stale_on_outage(stale);
            ProviderConfig::Cached { provider, options: options.with_stock(stock) }
        },
    );
    let guarded = (name(), any::<u32>(), time()).prop_map(|(provider, attempts, wait)| {
        let options = GuardedOptions::default().with_attempts(attempts).with_max_wait(wait);
        ProviderConfig::Guarded { provider, options }
    });
    let policy = (name(), any::<bool>(), any::<u16>()).prop_map(|(provider, eu, kind)| {
        let mut policy = KeyPolicy::default().with_types([crate::format::stanza::RecipientType(kind)]);
        policy.residency = eu.then_some(ResidencyPreset::Eu);
        ProviderConfig::Policy { provider, policy }
    });
    let files = proptest::collection::vec("[a-z/.]{0,6}".prop_map(Into::into), 0..3);
    let provider = prop_oneof![
        2 => files.prop_map(|paths| ProviderConfig::KeyFile { paths }),
        1 => any_of,
        1 => names().prop_map(|members| ProviderConfig::AllOf { members }),
        1 => guarded,
        1 => cached,
        1 => policy,
    ];
    (name(), proptest::collection::btree_map(name(), provider, 0..8)).prop_map(|(root, providers)| {
        providers
            .into_iter()
            .fold(Config::new(root), |config, (name, provider)| config.with_provider(name, provider))
    })
}

proptest! {
    #[test]
    fn no_text_panics(lines in proptest::collection::vec(line(), 0..12)) {
        if let Ok(config) = toml::from_str::<Config>(&lines.join("\n")) {
            check(&config);
        }
    }

    #[test]
    fn no_bytes_panic(text in "\\PC{0,200}") {
        if let Ok(config) = toml::from_str::<Config>(&text) {
            check(&config);
        }
        if let Ok(config) = serde_json::from_str::<Config>(&text) {
            check(&config);
        }
    }

    #[test]
    fn trees_are_read_as_they_were_written(config in tree()) {
        check(&config);
    }
}

#[test]
fn what_a_format_with_repeated_keys_says_twice_is_told() {
    let text = r#"{ "provider": "p", "provider": "q", "providers": { "p": { "type": "key-file", "paths": ["a"] },
        "p": { "type": "key-file", "paths": ["b"], "paths": ["c"] } } }"#;
    let config: Config = serde_json::from_str(text).unwrap();
    let paths: Vec<String> = config.faults().iter().map(|fault| fault.path().to_owned()).collect();
    assert_eq!(paths, ["provider", "providers.p"]);
    assert!(config.faults()[0].problem().contains("twice"));
    assert!(serde_json::to_string(&config).is_err(), "what is left is another configuration");
}

#[test]
fn what_is_no_table_is_no_configuration() {
    for text in ["3", "null", "[]", "\"provider\""] {
        let error = serde_json::from_str::<Config>(text).unwrap_err().to_string();
        assert!(error.contains("is a table"), "{text}: {error}");
    }
    // Nothing is what is said of an option that has no value.
    let text =
        r#"{ "provider": "p", "providers": { "p": { "type": "any-of", "members": [], "min": null } } }"#;
    let config: Config = serde_json::from_str(text).unwrap();
    assert_eq!(told(&config.faults()).len(), 1, "{:?}", config.faults());
}

#[test]
fn long_and_strange_texts_are_told_shortly() {
    let strange = "x\\u001b[31m".repeat(100);
    let text = format!("provider = \"{strange}\"\n[providers.p]\ntype = \"{strange}\"\n\"{strange}\" = 1\n");
    for fault in read(&text).faults() {
        let text = fault.to_string();
        assert!(text.len() < 1500 && !text.chars().any(char::is_control), "{text}");
    }
}
