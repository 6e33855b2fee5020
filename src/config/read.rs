//! From what a configuration says to what it means: names of kinds and options, every misreading told with its place.
//!
//! A table is read key by key, so that each wrong one is told, and the others count all the same. Knows the option
//! structs by their serde face only. Page [configuration](crate::manual::configuration).

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use super::{
    Config, ConfigFault, ProviderConfig,
    fault::{holds_key, shown, step},
    value::Value,
};

impl Config {
    /// What a table says; nothing for what is no table.
    pub(super) fn read(value: Value) -> Option<Self> {
        let Value::Table(entries) = value else { return None };
        let mut config = Self::default();
        let faults = &mut config.misread;
        let mut fields = Fields::new(String::new(), entries, faults);
        match fields.take("provider") {
            Some(Value::Text(name)) => config.provider = Some(name),
            Some(_) => fields.fault("provider", "it is no text: name one of the providers in `providers`"),
            None => {}
        }
        let sections = match fields.take("providers") {
            Some(Value::Table(sections)) => sections,
            Some(_) => {
                fields.fault("providers", "it is no table: write each provider as [providers.NAME]");
                Vec::new()
            }
            None => Vec::new(),
        };
        let unknown: Vec<String> = fields.entries.iter().map(|(key, _)| key.clone()).collect();
        for key in unknown {
            fields.fault(&key, "there is no such key here; there are `provider` and `providers`");
        }
        if sections.len() > MAX_PROVIDERS {
            let problem = format!("there are {}: at most {MAX_PROVIDERS}", sections.len());
            config.misread.push(ConfigFault::new("providers", problem));
            return Some(config);
        }
        let sections = Fields::new("providers".to_owned(), sections, &mut config.misread).entries;
        for (name, section) in sections {
            let path = format!("providers.{}", step(&name));
            let read = match section {
                Value::Table(entries) => section_of(&mut Fields::new(path, entries, &mut config.misread)),
                _ => {
                    config.misread.push(ConfigFault::new(path, "it is no table: write [providers.NAME]"));
                    None
                }
            };
            match read {
                Some(provider) => drop(config.providers.insert(name, provider)),
                None => config.unread.push(name),
            }
        }
        Some(config)
    }
}

fn section_of(fields: &mut Fields<'_>) -> Option<ProviderConfig> {
    let kind = match fields.take("type") {
        Some(Value::Text(kind)) => kind,
        Some(_) => return fields.refuse("type", &format!("it is no text: it is one of {KINDS}")),
        None => return fields.refuse("type", &format!("it is missing: it is one of {KINDS}")),
    };
    // What is missing does not keep the other keys from being looked at.
    match kind.as_str() {
        "key-file" => {
            let paths = fields.required("paths", FILES);
            fields.no_more();
            Some(ProviderConfig::KeyFile { paths: paths? })
        }
        #[cfg(feature = "aws-kms")]
        "aws-kms" => fields.rest().map(ProviderConfig::AwsKms),
        #[cfg(not(feature = "aws-kms"))]
        "aws-kms" => fields.refuse("type", NO_KMS),
        #[cfg(feature = "pkcs11")]
        "pkcs11" => fields.rest().map(ProviderConfig::Pkcs11),
        #[cfg(not(feature = "pkcs11"))]
        "pkcs11" => fields.refuse("type", NO_PKCS11),
        "any-of" => {
            let (members, options) = (fields.required("members", MEMBERS), fields.rest());
            Some(ProviderConfig::AnyOf { members: members?, options: options? })
        }
        "all-of" => {
            let members = fields.required("members", MEMBERS);
            fields.no_more();
            Some(ProviderConfig::AllOf { members: members? })
        }
        "guarded" => {
            let (provider, options) = (fields.required("provider", INNER), fields.rest());
            Some(ProviderConfig::Guarded { provider: provider?, options: options? })
        }
        "cached" => {
            let (provider, options) = (fields.required("provider", INNER), fields.rest());
            Some(ProviderConfig::Cached { provider: provider?, options: options? })
        }
        "policy" => {
            let (provider, policy) = (fields.required("provider", INNER), fields.rest());
            Some(ProviderConfig::Policy { provider: provider?, policy: policy? })
        }
        other => fields.refuse("type", &format!("\"{}\" is none: it is one of {KINDS}", shown(other))),
    }
}

/// The entries of one table, and where it stands.
struct Fields<'f> {
    path: String,
    entries: Vec<(String, Value)>,
    faults: &'f mut Vec<ConfigFault>,
}

impl<'f> Fields<'f> {
    fn new(path: String, all: Vec<(String, Value)>, faults: &'f mut Vec<ConfigFault>) -> Self {
        let mut fields = Self { path, entries: Vec::new(), faults };
        let mut seen = BTreeSet::new();
        for (key, value) in all {
            if !seen.insert(key.clone()) {
                fields.fault(&key, "it is there twice: remove one of them");
            } else if !fields.holds_sections(&key) && value.has_text(&holds_key) {
                fields.fault(&key, "it holds a key itself: put that into a key file, and name the file here");
            } else {
                fields.entries.push((key, value));
            }
        }
        fields
    }

    /// Whether more tables of this kind are under a key, which are looked at one by one.
    fn holds_sections(&self, key: &str) -> bool {
        self.path.is_empty() && key == "providers" || self.path == "providers"
    }

    fn place(&self, key: &str) -> String {
        let key = step(key);
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }

    fn fault(&mut self, key: &str, problem: &str) {
        let place = self.place(key);
        self.faults.push(ConfigFault::new(place, problem));
    }

    fn refuse<T>(&mut self, key: &str, problem: &str) -> Option<T> {
        self.fault(key, problem);
        None
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        let at = self.entries.iter().position(|(own, _)| own == key)?;
        Some(self.entries.remove(at).1)
    }

    fn required<T: DeserializeOwned>(&mut self, key: &str, what: &str) -> Option<T> {
        let Some(value) = self.take(key) else {
            if !self.faults.iter().any(|fault| fault.path() == self.place(key)) {
                self.fault(key, &format!("it is missing: {what}"));
            }
            return None;
        };
        let known = self.faults.len();
        blame::<T>(&|value| value, &value, None, &self.place(key), self.faults);
        if self.faults.len() > known { None } else { T::deserialize(value).ok() }
    }

    /// Tells of every key that was not taken.
    fn no_more(&mut self) {
        let unknown: Vec<String> = self.entries.drain(..).map(|(key, _)| key).collect();
        for key in unknown {
            self.fault(&key, "there is no such key here: remove it, or correct its name");
        }
    }

    /// What the other keys say, each of which may be left out. A wrong one is told and left out.
    fn rest<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut good = Vec::new();
        for (key, value) in std::mem::take(&mut self.entries) {
            let known = self.faults.len();
            let place = self.place(&key);
            blame::<T>(&|value| Value::field(&key, value), &value, Some(&key), &place, self.faults);
            if self.faults.len() == known {
                good.push((key, value));
            }
        }
        match T::deserialize(Value::Table(good)) {
            Ok(options) => Some(options),
            Err(error) => {
                self.faults.push(ConfigFault::new(&self.path, error));
                None
            }
        }
    }
}

/// Finds the innermost pieces of `value` that, put where it stands, make a `T` unreadable.
fn blame<T: DeserializeOwned>(
    put: &dyn Fn(Value) -> Value,
    value: &Value,
    key: Option<&str>,
    path: &str,
    faults: &mut Vec<ConfigFault>,
) {
    let Err(error) = T::deserialize(put(value.clone())) else { return };
    let error = error.to_string();
    let known = faults.len();
    match value {
        // Nobody knows the key: whatever stands under it is not looked at.
        _ if key.is_some_and(|key| error.starts_with(&format!("unknown field `{key}`"))) => {}
        Value::Table(entries) => {
            for (key, inner) in entries {
                let path = format!("{path}.{}", step(key));
                blame::<T>(&|inner| put(Value::field(key, inner)), inner, Some(key), &path, faults);
            }
        }
        Value::List(items) => {
            for (n, item) in items.iter().enumerate() {
                blame::<T>(&|item| put(Value::List(vec![item])), item, None, &format!("{path}[{n}]"), faults);
            }
        }
        _ => {}
    }
    if faults.len() == known {
        faults.push(ConfigFault::new(path, shown_error(&error)));
    }
}

/// Serde repeats what it cannot read, however long that is and whatever is in it.
fn shown_error(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_debug().collect() } else { String::from(c) };
    text.chars().take(MAX_ERROR).map(escape).collect()
}

/// Sections. Far more than anybody has, and few enough to follow every name.
pub(super) const MAX_PROVIDERS: usize = 256;
const KINDS: &str =
    "\"key-file\", \"aws-kms\", \"pkcs11\", \"any-of\", \"all-of\", \"guarded\", \"cached\" and \"policy\"";
const FILES: &str = "list the key files, such as paths = [\"backup.key\"]";
#[cfg(not(feature = "aws-kms"))]
const NO_KMS: &str = "keys in AWS KMS need a build of kuvert with its feature `aws-kms` (or `https`)";
#[cfg(not(feature = "pkcs11"))]
const NO_PKCS11: &str = "keys in PKCS#11 tokens need a build of kuvert with its feature `pkcs11`";
const MEMBERS: &str = "list the names of other providers, such as members = [\"frankfurt\", \"paris\"]";
const INNER: &str = "name the provider inside, such as provider = \"frankfurt\"";
/// Characters: the names of all options of a struct have room in it.
const MAX_ERROR: usize = 600;
