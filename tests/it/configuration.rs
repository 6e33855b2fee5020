//! The page on configuration says what the code does, its examples work, and every option struct can stand in a file.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    fs,
    num::NonZeroUsize,
    path::Path,
    time::Duration,
};

#[cfg(feature = "sqlite")]
use kuvert::keystore::SqliteOptions;
use kuvert::{
    Layout, OpenOptions, RecipientType, RecordOptions, RewrapOptions, SealOptions, SubjectsOptions, Threads,
    config::Config,
    keystore::EpochClass,
    provider::{
        AnyOfOptions, BreakerOptions, CacheOptions, GuardedOptions, Hedge, KeyPolicy, ResidencyPreset,
        StockOptions,
    },
    subjects::RollOptions,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn page() -> String {
    fs::read_to_string(Path::new(ROOT).join("src/manual/configuration.md")).unwrap()
}

/// The blocks of TOML that are whole configurations.
fn examples(page: &str) -> Vec<&str> {
    let blocks = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.collect()
}

// --- Every option struct -----------------------------------------------------------------------------------------

/// What is held to the same rules: its name, and a check.
fn option_structs() -> BTreeMap<&'static str, fn()> {
    let mut checks: BTreeMap<&'static str, fn()> = BTreeMap::new();
    checks.insert("AnyOfOptions", || {
        let options = AnyOfOptions::default().with_min(2).with_hedge(Hedge::After(Duration::from_millis(7)));
        keeps(&options.with_deadline(Duration::from_secs(9)).with_fail_over_on_denial(true));
        keeps(&AnyOfOptions::default().with_hedge(Hedge::Never).with_grace(Duration::ZERO));
    });
    checks.insert("BreakerOptions", || {
        keeps(&BreakerOptions::default().with_min_calls(3).with_failure_percent(7));
    });
    checks.insert("GuardedOptions", || {
        let breaker = BreakerOptions::default().with_window(Duration::from_secs(60));
        keeps(&GuardedOptions::default().with_attempts(5).with_breaker(breaker).with_retry_percent(3));
    });
    checks.insert("StockOptions", || keeps(&StockOptions::default().with_max_keys(1).with_max_contexts(2)));
    checks.insert("CacheOptions", || {
        let stale = Some(Duration::from_secs(90));
        let stock = Some(StockOptions::default().with_max_age(Duration::from_millis(1500)));
        keeps(&CacheOptions::default().with_stale_on_outage(stale).with_stock(stock).with_max_uses(u64::MAX));
    });
    checks.insert("KeyPolicy", || {
        let policy = KeyPolicy::default().with_name("p").with_residency(ResidencyPreset::EuSovereign);
        let policy =
            policy.with_partitions(["aws-eusc"]).with_accounts(["111122223333"]).with_regions(["x-1"]);
        keeps(&policy.with_keys(["k"]).with_types([RecipientType::AES_KWP, RecipientType(0x8001)]));
    });
    checks.insert("SealOptions", || {
        let threads = Threads::exactly(NonZeroUsize::new(3).unwrap());
        keeps(&SealOptions::default().with_layout(Layout::Detached).with_threads(threads));
    });
    checks.insert("OpenOptions", || {
        keeps(
            &OpenOptions::default()
                .with_min_generation(7)
                .with_verify_first(false)
                .with_threads(Threads::auto()),
        );
    });
    checks.insert("RewrapOptions", || keeps(&RewrapOptions::default().with_in_place_only(true)));
    checks.insert("RecordOptions", || keeps(&RecordOptions::default().with_max_len(17)));
    checks.insert("SubjectsOptions", || {
        let options = SubjectsOptions::default().with_max_age(Duration::from_secs(7)).with_max_entries(3);
        keeps_by_its_text(&options.with_max_bytes(1 << 20).with_max_uses(5).with_lazy_epochs(true));
    });
    checks.insert("RollOptions", || {
        keeps_by_its_text(&RollOptions::default().with_class(EpochClass::Credentials).with_batch(9));
    });
    #[cfg(feature = "sqlite")]
    checks.insert("SqliteOptions", || {
        let options = SqliteOptions::default().with_busy_timeout(Duration::from_millis(1500));
        keeps_by_its_text(&options.with_queue(9));
    });
    #[cfg(feature = "aws-kms")]
    checks.insert("AwsKmsOptions", || {
        use kuvert::provider::aws_kms::{AwsKmsOptions, AwsKmsRole};
        let mut options = AwsKmsOptions::default();
        options.sealing_key = Some("arn".to_owned());
        options.public_keys.insert("arn".to_owned(), "MIIB".to_owned());
        options.role = AwsKmsRole::SealOnly;
        keeps(&options);
    });
    #[cfg(feature = "pkcs11")]
    checks.insert("Pkcs11Options", || {
        use kuvert::provider::pkcs11::{GcmIv, Pkcs11Options, Pkcs11Wrap};
        let mut options = Pkcs11Options::default();
        options.uri = "pkcs11:object=kek".to_owned();
        options.pin_file = Some("pin".into());
        (options.wrap, options.iv) = (Some(Pkcs11Wrap::RsaOaepSha1), GcmIv::Appended16);
        (options.mechanism, options.init_args) = (Some(0x210a), Some("of the vendor".to_owned()));
        (options.verify_wraps, options.token_randomness) = (false, true);
        (options.workers, options.queue) = (1, 7);
        (options.deadline, options.quiesce) = (Duration::from_millis(1500), Duration::ZERO);
        keeps(&options);
    });
    checks
}

/// A file holds it: the defaults where nothing is said, what was written as it was, and nothing of another name.
fn keeps<T: Serialize + DeserializeOwned + Default + PartialEq + Debug>(changed: &T) {
    assert_eq!(toml::from_str::<T>("").unwrap(), T::default());
    assert_ne!(changed, &T::default());
    for value in [changed, &T::default()] {
        let text = serde_json::to_string(value).unwrap();
        assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value, "{text}");
    }
    let unknown = toml::from_str::<T>("no_such_option = 1").unwrap_err().to_string();
    assert!(unknown.contains("no_such_option"), "{unknown}");
}

/// The same for what cannot be compared, since it may hold parts that no file names: by what is written of it.
fn keeps_by_its_text<T: Serialize + DeserializeOwned + Default>(changed: &T) {
    let written = |value: &T| serde_json::to_value(value).unwrap();
    assert_eq!(written(&toml::from_str("").unwrap()), written(&T::default()));
    assert_ne!(written(changed), written(&T::default()));
    for value in [written(changed), written(&T::default())] {
        let read: T = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(written(&read), value);
    }
    let unknown = toml::from_str::<T>("no_such_option = 1").err().expect("no such option").to_string();
    assert!(unknown.contains("no_such_option"), "{unknown}");
}

/// Names of public structs that are options by their names, in a text of Rust.
fn named_as_options(text: &str) -> Vec<&str> {
    let structs = text.lines().filter_map(|line| line.strip_prefix("pub struct "));
    let names = structs.map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next().unwrap());
    names.filter(|name| name.ends_with("Options") || name.ends_with("Policy") && *name != "Policy").collect()
}

fn rust_files(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|own| own == "rs") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn no_option_struct_is_forgotten() {
    let mut texts = Vec::new();
    rust_files(&Path::new(ROOT).join("src"), &mut texts);
    let mut named: BTreeSet<&str> = texts.iter().flat_map(|text| named_as_options(text)).collect();
    if cfg!(not(feature = "aws-kms")) {
        named.remove("AwsKmsOptions");
    }
    if cfg!(not(feature = "pkcs11")) {
        named.remove("Pkcs11Options");
    }
    if cfg!(not(feature = "sqlite")) {
        named.remove("SqliteOptions");
    }
    assert_eq!(named, option_structs().keys().copied().collect());
    assert_eq!(named_as_options("pub struct NewOptions {\n}\npub struct Policy {\n"), ["NewOptions"]);
}

#[test]
fn every_option_struct_can_stand_in_a_file() {
    option_structs().values().for_each(|check| check());
}

// --- The page's tables -------------------------------------------------------------------------------------------

/// The defaults in the table that follows `heading`, by key; keys that are required have none.
fn documented(page: &str, heading: &str) -> BTreeMap<String, Option<Value>> {
    let rest = page.split(heading).nth(1).unwrap_or_else(|| panic!("no {heading} on the page"));
    let rows = rest.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let mut found = BTreeMap::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [key, _, default, ..] = cells[..] else { panic!("{row}") };
        let default = match default.trim_matches('`') {
            "required" => continue,
            "-" => None,
            text => {
                let table: BTreeMap<String, Value> = toml::from_str(&format!("it = {text}")).unwrap();
                Some(table["it"].clone())
            }
        };
        found.insert(key.trim_matches('`').to_owned(), default);
    }
    found
}

/// The defaults of the code, by key; nothing for those that are nothing. Options within options as `outer.inner`.
fn coded(options: &impl Serialize) -> BTreeMap<String, Option<Value>> {
    let Value::Object(fields) = serde_json::to_value(options).unwrap() else { panic!("no table") };
    let mut found = BTreeMap::new();
    for (key, value) in fields {
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                found.extend(inner.into_iter().map(|(name, value)| (format!("{key}.{name}"), Some(value))));
            }
            Value::Null => drop(found.insert(key, None)),
            Value::Array(items) if items.is_empty() => drop(found.insert(key, None)),
            Value::Object(_) => drop(found.insert(key, None)),
            value => drop(found.insert(key, Some(value))),
        }
    }
    found
}

#[test]
fn the_page_tells_every_key_and_its_default() {
    let page = page();
    assert_eq!(documented(&page, "### `any-of`"), coded(&AnyOfOptions::default()));
    assert_eq!(documented(&page, "### `guarded`"), coded(&GuardedOptions::default()));
    let stocked = CacheOptions::default().with_stock(Some(StockOptions::default()));
    assert_eq!(documented(&page, "### `cached`"), coded(&stocked));
    assert_eq!(documented(&page, "### `policy`"), coded(&KeyPolicy::default()));
    #[cfg(feature = "aws-kms")]
    {
        let options = kuvert::provider::aws_kms::AwsKmsOptions::default();
        assert_eq!(documented(&page, "### `aws-kms`"), coded(&options));
    }
    #[cfg(feature = "pkcs11")]
    {
        let mut coded = coded(&kuvert::provider::pkcs11::Pkcs11Options::default());
        coded.retain(|key, _| key != "uri" && key != "wrap");
        assert_eq!(documented(&page, "### `pkcs11`"), coded);
    }
    assert_eq!(documented(&page, "[`SealOptions`]"), coded(&SealOptions::default()));
    assert_eq!(documented(&page, "[`OpenOptions`]"), coded(&OpenOptions::default()));
    assert_eq!(documented(&page, "[`RewrapOptions`]"), coded(&RewrapOptions::default()));
    assert_eq!(documented(&page, "[`RecordOptions`]"), coded(&RecordOptions::default()));
    for heading in ["### `key-file`", "### `all-of`"] {
        assert!(documented(&page, heading).is_empty(), "{heading}");
    }

    // Planted: another default, and a row that is missing.
    let other = page.replace(
        "`retry_percent` | repeated attempts for 100 calls, at most | `10`",
        "`retry_percent` | x | `11`",
    );
    assert_ne!(documented(&other, "### `guarded`"), coded(&GuardedOptions::default()));
    let shorter = page.replace("| `attempts` |", "");
    assert_ne!(documented(&shorter, "### `guarded`"), coded(&GuardedOptions::default()));
}

#[test]
fn limits_of_the_page_are_those_of_the_code() {
    let page = page();
    for (limit, said) in [
        (kuvert::limits::MAX_RECORD_LEN, format!("| {}; more", kuvert::limits::MAX_RECORD_LEN)),
        (kuvert::limits::MAX_STANZAS, format!("| {}; more", kuvert::limits::MAX_STANZAS)),
        (
            kuvert::limits::MAX_SHARES,
            format!("{} to {}, no key", kuvert::limits::MIN_SHARES, kuvert::limits::MAX_SHARES),
        ),
    ] {
        assert!(page.contains(&said), "{limit}: {said}");
    }
}

// --- The examples ------------------------------------------------------------------------------------------------

#[cfg(feature = "aws-kms")]
#[test]
fn the_examples_have_no_fault() {
    let page = page();
    assert_eq!(examples(&page).len(), 4);
    for text in examples(&page) {
        let config: Config = toml::from_str(text).unwrap();
        assert_eq!(config.faults(), [], "{text}");
    }
    let elsewhere = page.replace("eu-north-1", "eu-west-2");
    let config: Config = toml::from_str(examples(&elsewhere)[2]).unwrap();
    assert_eq!(config.faults()[0].path(), "providers.eu-only");
}

#[cfg(not(feature = "aws-kms"))]
#[test]
fn without_the_feature_a_key_in_kms_is_a_fault_that_names_it() {
    let page = page();
    for text in examples(&page) {
        let config: Config = toml::from_str(text).unwrap();
        let faults = config.faults();
        assert_eq!(faults.len(), text.matches("\"aws-kms\"").count(), "{faults:?}");
        assert!(faults.iter().all(|fault| fault.path().ends_with(".type")), "{faults:?}");
        assert!(faults.iter().all(|fault| fault.problem().contains("feature `aws-kms`")), "{faults:?}");
    }
}

/// Clients are made from the environment and call nobody.
#[cfg(feature = "https")]
#[test]
fn the_examples_can_be_built() {
    use kuvert::{config::Parts, provider::KeyFile};
    let directory = tempfile::tempdir().unwrap();
    for name in ["backup", "break-glass", "custody-2026", "custody-2025"] {
        let file = directory.path().join(format!("{name}.key"));
        KeyFile::generate(Some(name)).unwrap().write_new(&file).unwrap();
    }
    let parts = Parts::default().with_base(directory.path());
    let mut keys = Vec::new();
    for text in examples(&page()) {
        let config: Config = toml::from_str(text).unwrap();
        let provider = kuvert::blocking::block_on(config.build(&parts)).unwrap().unwrap();
        keys.push(provider.describe().keys.iter().filter(|key| key.seals).count());
    }
    assert_eq!(keys, [1, 1, 3, 1]);
}

#[test]
fn the_program_beside_its_file_can_be_run() {
    let text = fs::read_to_string(Path::new(ROOT).join("examples/configured.toml")).unwrap();
    let mut service: BTreeMap<String, toml::Value> = toml::from_str(&text).unwrap();
    let config: Config = service.remove("encryption").unwrap().try_into().unwrap();
    assert_eq!(config.faults(), []);
    let options: OpenOptions = service.remove("open").unwrap().try_into().unwrap();
    assert_ne!(options, OpenOptions::default());
}
