//! Who refers to whom: names that lead nowhere, that are used twice or by nobody, and providers inside themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::read::MAX_PROVIDERS;
use super::{
    Config, ConfigFault, ProviderConfig,
    fault::{holds_key, shown, step},
};

/// Tells everything that is wrong with names.
pub(super) fn check(config: &Config, faults: &mut Vec<ConfigFault>) {
    if faults.iter().any(|fault| fault.path() == "providers") {
        // The table could not be read: nothing is known of any name.
        return;
    }
    if config.providers.len() > MAX_PROVIDERS {
        let problem = format!("there are {}: at most {MAX_PROVIDERS}", config.providers.len());
        faults.push(ConfigFault::new("providers", problem));
        return;
    }
    for name in config.providers.keys().filter(|name| !is_name(name)) {
        faults.push(ConfigFault::new(place(name), NAMES));
    }
    if config.provider.is_none() && !faults.iter().any(|fault| fault.path() == "provider") {
        let problem = "it is missing: say which provider is used, such as provider = \"NAME\"";
        faults.push(ConfigFault::new("provider", problem));
    }
    let used = uses(config, faults);
    // What is named in a section that could not be read is unknown.
    if config.unread.is_empty() && config.provider.is_some() {
        for name in config.providers.keys().filter(|name| !used.contains_key(name.as_str())) {
            let problem = "nothing refers to it: name it in another provider or as `provider`, or remove it";
            faults.push(ConfigFault::new(place(name), problem));
        }
    }
    nesting(config, faults);
}

/// Where a provider's table stands.
pub(super) fn place(name: &str) -> String {
    format!("providers.{}", step(name))
}

/// The providers that a provider names, and under which key.
pub(super) fn inner(provider: &ProviderConfig) -> Vec<(String, &str)> {
    match provider {
        ProviderConfig::AnyOf { members, .. } | ProviderConfig::AllOf { members } => {
            let named = members.iter().enumerate();
            named.map(|(n, name)| (format!("members[{n}]"), name.as_str())).collect()
        }
        ProviderConfig::Guarded { provider, .. }
        | ProviderConfig::Cached { provider, .. }
        | ProviderConfig::Policy { provider, .. } => vec![("provider".to_owned(), provider)],
        _ => Vec::new(),
    }
}

/// Where each name is used first; tells names that are unknown, and further uses.
fn uses<'c>(config: &'c Config, faults: &mut Vec<ConfigFault>) -> BTreeMap<&'c str, String> {
    let root = config.provider.iter().map(|name| ("provider".to_owned(), name.as_str()));
    let others = config.providers.iter().flat_map(|(own, provider)| {
        inner(provider).into_iter().map(move |(key, name)| (format!("{}.{key}", place(own)), name))
    });
    let mut used = BTreeMap::new();
    for (path, name) in root.chain(others) {
        if config.unread.iter().any(|unread| unread == name) {
            continue;
        }
        if !config.providers.contains_key(name) {
            let known: Vec<&str> =
                config.providers.keys().map(String::as_str).filter(|name| is_name(name)).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let problem = format!("\"{}\" is the name of no provider; there are: {known}", shown(name));
            faults.push(ConfigFault::new(path, shortened(problem)));
        } else if let Some(first) = used.get(name) {
            let name = shown(name);
            let problem = format!("\"{name}\" is used already, by {first}: a provider has one place");
            faults.push(ConfigFault::new(path, problem));
        } else {
            used.insert(name, path);
        }
    }
    used
}

/// Tells providers that contain themselves, and those that stand too deep.
fn nesting(config: &Config, faults: &mut Vec<ConfigFault>) {
    let mut done = BTreeMap::new();
    for name in config.providers.keys() {
        height(config, name, &mut Vec::new(), &mut done, faults);
    }
    let too_deep = config.providers.keys().filter(|name| done.get(name.as_str()) == Some(&(MAX_DEPTH + 1)));
    for name in too_deep {
        let problem = format!("more than {MAX_DEPTH} providers stand in each other here");
        faults.push(ConfigFault::new(place(name), problem));
    }
}

/// How many providers stand in each other, this one included.
fn height<'c>(
    config: &'c Config,
    name: &'c str,
    above: &mut Vec<&'c str>,
    done: &mut BTreeMap<&'c str, usize>,
    faults: &mut Vec<ConfigFault>,
) -> usize {
    if let Some(height) = done.get(name) {
        return *height;
    }
    let Some(provider) = config.providers.get(name) else { return 0 };
    if let Some(at) = above.iter().position(|other| *other == name) {
        let ring: Vec<String> = above[at..].iter().chain([&name]).map(|name| shown(name)).collect();
        // The ring is entered once, at its first name, since all of them are done afterwards.
        let problem = format!("it stands in itself: {}; take one of these steps out", ring.join(" -> "));
        faults.push(ConfigFault::new(place(name), shortened(problem)));
        return 0;
    }
    above.push(name);
    let heights: Vec<usize> =
        inner(provider).into_iter().map(|(_, name)| height(config, name, above, done, faults)).collect();
    above.pop();
    let own = 1 + heights.into_iter().max().unwrap_or(0);
    done.insert(name, own);
    own
}

/// The names that stand in a ring or too deep, with everything that they stand in: no tree can be made of these.
pub(super) fn unbuildable(config: &Config) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for name in config.providers.keys() {
        let mut layer = BTreeSet::from([name.as_str()]);
        for _ in 0..MAX_DEPTH {
            let named = |name: &&str| config.providers.get(*name).map(inner);
            layer = layer.iter().filter_map(named).flatten().map(|(_, name)| name).collect();
        }
        // Whoever has a descendant so far down is in, or above, a ring or a chain that is too long.
        if layer.iter().any(|name| config.providers.contains_key(*name)) {
            found.insert(name.as_str());
        }
    }
    found
}

fn is_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !name.is_empty() && name.len() <= MAX_NAME_LEN && name.bytes().all(good) && !holds_key(name)
}

fn shortened(problem: String) -> String {
    match problem.char_indices().nth(MAX_PROBLEM) {
        Some((at, _)) => format!("{}...", &problem[..at]),
        None => problem,
    }
}

const NAMES: &str = "a provider's name is 1 to 64 letters, digits, hyphens and underscores";
const MAX_NAME_LEN: usize = 64;
/// Providers in each other: a cache around a policy around a composition of guarded ones is four.
pub(super) const MAX_DEPTH: usize = 16;
/// Characters.
const MAX_PROBLEM: usize = 600;
