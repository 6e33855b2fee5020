//! The providers at the ends of the tree, which hold keys: what their text says, their files, and their clients.
//!
//! Key files are read here, and nobody is called. Page [configuration](crate::manual::configuration).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Config, ConfigFault, Parts, ProviderConfig, names::place, tree::Node};
use crate::provider::{KeyFile, KeyFileError, MemoryProvider};
#[cfg(feature = "aws-kms")]
mod aws;
#[cfg(feature = "pkcs11")]
mod hsm;

/// The ends of the tree by name.
pub(super) type Leaves = BTreeMap<String, Node>;

/// What the text tells of their keys.
#[cfg_attr(
    not(any(feature = "aws-kms", feature = "pkcs11")),
    allow(unused_variables, clippy::ptr_arg, reason = "the text of key files has no faults of its own")
)]
pub(super) fn by_text(config: &Config, faults: &mut Vec<ConfigFault>) -> Leaves {
    let mut leaves = Leaves::new();
    for (name, provider) in &config.providers {
        let leaf = match provider {
            ProviderConfig::KeyFile { .. } => Node::of_unread_files(name),
            #[cfg(feature = "aws-kms")]
            ProviderConfig::AwsKms(options) => aws::by_text(name, options, faults),
            #[cfg(feature = "pkcs11")]
            ProviderConfig::Pkcs11(options) => hsm::by_text(name, options, faults),
            _ => continue,
        };
        leaves.insert(name.clone(), leaf);
    }
    leaves
}

/// The same, with key files read, and clients asked for.
pub(super) fn by_files(config: &Config, parts: &Parts, faults: &mut Vec<ConfigFault>) -> Leaves {
    let mut leaves = by_text(config, faults);
    for (name, provider) in &config.providers {
        match provider {
            ProviderConfig::KeyFile { paths } => {
                if let Some(keys) = read_files(name, paths, parts, faults) {
                    leaves.insert(name.clone(), Node::new(name, Arc::new(keys)));
                }
            }
            #[cfg(feature = "aws-kms")]
            ProviderConfig::AwsKms(options) => aws::check_clients(name, options, parts, faults),
            #[cfg(feature = "pkcs11")]
            ProviderConfig::Pkcs11(options) => {
                if let Some(leaf) = hsm::by_files(name, options, parts, faults) {
                    leaves.insert(name.clone(), leaf);
                }
            }
            _ => {}
        }
    }
    leaves
}

/// Makes what is still missing: clients, and providers over them.
#[cfg(feature = "aws-kms")]
pub(super) async fn connect(
    config: &Config,
    parts: &Parts,
    leaves: &mut Leaves,
    faults: &mut Vec<ConfigFault>,
) {
    let mut clients = parts.clients.clone();
    for (name, provider) in &config.providers {
        if let ProviderConfig::AwsKms(options) = provider {
            if let Some(leaf) = aws::connect(name, options, parts, &mut clients, faults).await {
                leaves.insert(name.clone(), leaf);
            }
        }
    }
}

/// Nothing is missing where there are no clients.
#[cfg(not(feature = "aws-kms"))]
pub(super) async fn connect(_: &Config, _: &Parts, _: &mut Leaves, _: &mut Vec<ConfigFault>) {}

/// The keys of several files; tells every file that is of no use.
fn read_files(
    name: &str,
    paths: &[PathBuf],
    parts: &Parts,
    faults: &mut Vec<ConfigFault>,
) -> Option<MemoryProvider> {
    let mut keys: Option<MemoryProvider> = None;
    let mut is_whole = true;
    for (n, path) in paths.iter().enumerate().filter(|(_, path)| !path.as_os_str().is_empty()) {
        let file = parts.file(path);
        let read = match &keys {
            None => MemoryProvider::from_key_file(&file).map(|first| keys = Some(first)),
            Some(keys) => add_file(keys, &file),
        };
        if let Err(error) = read {
            is_whole = false;
            faults.push(ConfigFault::new(format!("{}.paths[{n}]", place(name)), error));
        }
    }
    keys.filter(|_| is_whole)
}

fn add_file(keys: &MemoryProvider, file: &Path) -> Result<(), KeyFileError> {
    keys.add_key_file(KeyFile::load(file)?)
}
