//! Keys in AWS KMS: their names and options without a client, the clients they need, and the provider over these.

use std::{collections::BTreeMap, sync::Arc};

use aws_sdk_kms::Client;

use crate::config::{ConfigFault, Parts, names::place, stand_in::StandIn, tree::Node};
use crate::format::stanza::RecipientType;
use crate::provider::{
    KeyInfo,
    arn::KeyArn,
    aws_kms::{AwsKmsFault, AwsKmsOptions, AwsKmsProvider, AwsKmsRole},
};

/// Tells what is wrong without a client, and describes the keys.
pub(crate) fn by_text(name: &str, options: &AwsKmsOptions, faults: &mut Vec<ConfigFault>) -> Node {
    let mut keys = Vec::new();
    let mut is_whole = true;
    for (key, text) in arns(options) {
        match KeyArn::parse(text) {
            Err(error) => {
                is_whole = false;
                faults.push(ConfigFault::new(format!("{}.{key}", place(name)), error));
            }
            Ok(arn) => {
                let is_rsa = options.public_keys.contains_key(text);
                let kind = if is_rsa { RecipientType::AWS_KMS_RSA } else { RecipientType::AWS_KMS };
                let seals = options.sealing_key.as_deref() == Some(text);
                keys.push(KeyInfo::new(kind, text).with_region(arn.region()).with_sealing(seals));
            }
        }
    }
    if let Err(error) = AwsKmsProvider::builder().with_options(options.clone()).build() {
        for fault in error.faults() {
            let at = match fault {
                // Told above, with their places; and by `check_clients`.
                AwsKmsFault::Key(_) | AwsKmsFault::NoClient { .. } => continue,
                AwsKmsFault::PublicKey { .. } | AwsKmsFault::UnusedPublicKey { .. } => ".public_keys",
                AwsKmsFault::Context(_) => ".kms_context",
                _ => "",
            };
            faults.push(ConfigFault::new(format!("{}{at}", place(name)), fault));
        }
    }
    Node::new(name, Arc::new(StandIn { keys })).with_all_keys_known(is_whole)
}

/// Tells clients that are missing and cannot be made, and those that are of another region than they are given for.
pub(crate) fn check_clients(
    name: &str,
    options: &AwsKmsOptions,
    parts: &Parts,
    faults: &mut Vec<ConfigFault>,
) {
    for (region, key) in regions(options) {
        let problem = match parts.clients.get(&region) {
            None if cfg!(feature = "https") => continue,
            None => format!(
                "no client is given for region {region}: give one with `Parts::with_aws_client`, or build kuvert with its \
                 feature `https`"
            ),
            Some(client) => {
                let own = client.config().region().map(ToString::to_string);
                if own.as_ref() == Some(&region) {
                    continue;
                }
                let own = own.unwrap_or_else(|| "none".to_owned());
                format!("the client given for region {region} is configured for {own}: give one that fits")
            }
        };
        faults.push(ConfigFault::new(format!("{}.{key}", place(name)), problem));
    }
}

/// The provider, with clients that are made where there are none yet.
pub(crate) async fn connect(
    name: &str,
    options: &AwsKmsOptions,
    parts: &Parts,
    clients: &mut BTreeMap<String, Client>,
    faults: &mut Vec<ConfigFault>,
) -> Option<Node> {
    let mut builder = AwsKmsProvider::builder().with_options(options.clone());
    for region in regions(options).into_keys() {
        #[cfg(feature = "https")]
        if !clients.contains_key(&region) {
            let made = crate::provider::aws_kms::client_for(region.clone()).await;
            clients.insert(region.clone(), made);
        }
        if let Some(client) = clients.get(&region) {
            builder = builder.with_client(client.clone());
        }
    }
    if let Some(clock) = &parts.clock {
        builder = builder.with_clock(Arc::clone(clock));
    }
    match builder.build() {
        Ok(provider) => Some(Node::new(name, Arc::new(provider))),
        Err(error) => {
            faults.extend(error.faults().iter().map(|fault| ConfigFault::new(place(name), fault)));
            None
        }
    }
}

/// The regions in which calls are made, each with the option whose key is there.
fn regions(options: &AwsKmsOptions) -> BTreeMap<String, String> {
    let mut regions = BTreeMap::new();
    for (key, text) in arns(options) {
        let makes_calls = options.role != AwsKmsRole::SealOnly || !options.public_keys.contains_key(text);
        if let Some(arn) = KeyArn::parse(text).ok().filter(|_| makes_calls) {
            regions.entry(arn.region().to_owned()).or_insert(key);
        }
    }
    regions
}

/// The names of keys, each with the option that it stands in.
fn arns(options: &AwsKmsOptions) -> Vec<(String, &str)> {
    let sealing = options.sealing_key.iter().map(|arn| ("sealing_key".to_owned(), arn.as_str()));
    let opening = options.opening_keys.iter().enumerate();
    sealing.chain(opening.map(|(n, arn)| (format!("opening_keys[{n}]"), arn.as_str()))).collect()
}
