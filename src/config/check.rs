//! What can be said of one provider's options by themselves: numbers out of range, and options that contradict each other.
//!
//! Plain data in, faults out. Keys and members are looked at elsewhere, in [`leaf`](super::leaf) and [`tree`](super::tree).

use std::time::Duration;

use super::{Config, ConfigFault, ProviderConfig, names::place};
use crate::{
    limits::{MAX_SHARES, MAX_STANZAS, MIN_SHARES},
    provider::{
        AnyOfOptions, BreakerOptions, CacheOptions, GuardedOptions, KeyPolicy, StockOptions, duration_text,
    },
};

/// Tells what is wrong with the options of each provider.
pub(super) fn options(config: &Config, faults: &mut Vec<ConfigFault>) {
    for (name, provider) in &config.providers {
        faults.extend(of(name, provider));
    }
}

/// What is wrong with the options of one provider.
pub(super) fn of(name: &str, provider: &ProviderConfig) -> Vec<ConfigFault> {
    let mut told = Told { place: place(name), faults: Vec::new() };
    match provider {
        ProviderConfig::KeyFile { paths } => {
            if paths.is_empty() {
                told.add("paths", "it is empty: name at least one key file");
            }
            for (n, path) in paths.iter().enumerate() {
                if path.as_os_str().is_empty() {
                    told.add(&format!("paths[{n}]"), "it is empty: name a key file");
                } else if paths[..n].contains(path) {
                    told.add(&format!("paths[{n}]"), "the same file is there already: remove one of them");
                }
            }
        }
        #[cfg(feature = "aws-kms")]
        ProviderConfig::AwsKms(_) => {}
        #[cfg(feature = "pkcs11")]
        ProviderConfig::Pkcs11(_) => {}
        ProviderConfig::AnyOf { members, options } => any_of(members.len(), options, &mut told),
        ProviderConfig::AllOf { members } => {
            if !(MIN_SHARES..=MAX_SHARES).contains(&members.len()) {
                let problem =
                    format!("there are {}: an all-of has {MIN_SHARES} to {MAX_SHARES}", members.len());
                told.add("members", &problem);
            }
        }
        ProviderConfig::Guarded { options, .. } => guarded(options, &mut told),
        ProviderConfig::Cached { options, .. } => cached(options, &mut told),
        ProviderConfig::Policy { policy, .. } => rules(policy, &mut told),
    }
    told.faults
}

struct Told {
    place: String,
    faults: Vec<ConfigFault>,
}

impl Told {
    fn add(&mut self, option: &str, problem: &str) {
        self.faults.push(ConfigFault::new(format!("{}.{option}", self.place), problem));
    }

    fn not_zero(&mut self, option: &str, time: Duration, then: &str) {
        if time.is_zero() {
            self.add(option, &format!("it is zero, {then}: give a time, such as \"3s\""));
        }
    }

    fn at_least_one(&mut self, option: &str, number: impl Into<u128>, then: &str) {
        if number.into() == 0 {
            self.add(option, &format!("it is 0, {then}: at least 1"));
        }
    }
}

fn any_of(members: usize, options: &AnyOfOptions, told: &mut Told) {
    if members == 0 {
        told.add("members", "it is empty: name at least one provider");
    } else if members > MAX_STANZAS {
        told.add("members", &format!("there are {members}: a message has at most {MAX_STANZAS} recipients"));
    }
    if let Some(min) = options.min.filter(|min| members > 0 && !(1..=members).contains(min)) {
        let problem = format!(
            "it is {min}, of {members} members: give 1 to {members}, or leave it out for all of them"
        );
        told.add("min", &problem);
    }
    told.not_zero("deadline", options.deadline, "so that no call could succeed");
}

fn guarded(options: &GuardedOptions, told: &mut Told) {
    told.not_zero("deadline", options.deadline, "so that no call could succeed");
    told.at_least_one("max_concurrent", options.max_concurrent as u128, "so that no call could be made");
    told.at_least_one("attempts", options.attempts, "so that no call could be made");
    if options.attempts > 1 && !options.deadline.is_zero() && options.back_off >= options.deadline {
        let (back_off, deadline) = (shown(options.back_off), shown(options.deadline));
        let problem = format!(
            "it is {back_off}, and the deadline {deadline}, so that nothing is tried again: shorten it, or set \
             attempts = 1"
        );
        told.add("back_off", &problem);
    }
    breaker(&options.breaker, told);
}

fn breaker(options: &BreakerOptions, told: &mut Told) {
    told.not_zero("breaker.window", options.window, "so that no failure would be counted");
    told.at_least_one("breaker.min_calls", options.min_calls, "so that nothing decides");
    if !(1..=100).contains(&options.failure_percent) {
        let problem = format!("it is {}: of 100 calls, 1 to 100 can fail", options.failure_percent);
        told.add("breaker.failure_percent", &problem);
    }
    told.not_zero("breaker.open_for", options.open_for, "so that the breaker would never stay open");
    if options.open_for > options.max_open_for {
        let (first, most) = (shown(options.open_for), shown(options.max_open_for));
        told.add(
            "breaker.open_for",
            &format!("it is {first}, longer than max_open_for, {most}: raise that, too"),
        );
    }
}

fn cached(options: &CacheOptions, told: &mut Told) {
    told.at_least_one("max_entries", options.max_entries as u128, "so that nothing is kept");
    told.at_least_one("max_bytes", options.max_bytes as u128, "so that nothing is kept");
    told.at_least_one("max_uses", options.max_uses, "so that no key could be used");
    told.not_zero("max_age", options.max_age, "so that nothing is kept");
    if options.soft_age > options.max_age {
        let (soft, most) = (shown(options.soft_age), shown(options.max_age));
        let problem = format!("it is {soft}, longer than max_age, {most}: set both, this one shorter");
        told.add("soft_age", &problem);
    }
    if let Some(StockOptions { max_keys, max_contexts, max_age }) = &options.stock {
        told.at_least_one("stock.max_keys", *max_keys as u128, "so that there is no stock");
        told.at_least_one("stock.max_contexts", *max_contexts as u128, "so that there is no stock");
        told.not_zero("stock.max_age", *max_age, "so that there is no stock");
    }
}

fn rules(policy: &KeyPolicy, told: &mut Told) {
    for (option, problem) in policy.faults() {
        told.add(&option, &problem);
    }
    let lists = [&policy.partitions, &policy.accounts, &policy.regions, &policy.keys];
    if policy.residency.is_none() && !policy.single_region_only && lists.iter().all(|list| list.is_none()) {
        let problem = "it allows every key in AWS KMS: state residency, regions, accounts, partitions, keys or \
                       single_region_only";
        told.faults.push(ConfigFault::new(&told.place, problem));
    }
}

fn shown(time: Duration) -> String {
    duration_text::to_text(time)
}
