//! Which wrapping keys may be used: by partition, account, region, id and type, as a configuration states it.
//!
//! Plain data and a judgement on names; it asks nobody. Section "Residency" of the
//! [operations manual](crate::manual::operations).

use std::fmt;

use crate::{
    format::stanza::{Recipient, RecipientType, all_of},
    provider::{KeyInfo, arn::KeyArn, describe::is_aws},
};

/// Which wrapping keys may be used.
///
/// Keys of AWS KMS are judged by their ARN: every list that is given must hold them. Keys of any other type are
/// refused unless their type is listed, since their names say nothing about where they are.
///
/// # Examples
///
/// ```
/// use kuvert::{RecipientType, provider::{KeyPolicy, ResidencyPreset}};
///
/// let policy = KeyPolicy::default()
///     .with_residency(ResidencyPreset::Eu)
///     .with_single_region_only(true)
///     .with_types([RecipientType::AES_KWP]);
/// assert!(policy.regions.is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Deserialize, serde::Serialize),
    serde(default, deny_unknown_fields)
)]
#[non_exhaustive]
pub struct KeyPolicy {
    /// What refusals call the policy. Default: `key policy`.
    pub name: String,
    /// A list of partitions and regions that is kept here. Default: none.
    pub residency: Option<ResidencyPreset>,
    /// The partitions that KMS keys may be of, such as `aws`. `None` (default): any.
    pub partitions: Option<Vec<String>>,
    /// The accounts that KMS keys may be of, 12 digits each. `None` (default): any.
    pub accounts: Option<Vec<String>>,
    /// The regions that KMS keys may be in. `None` (default): any.
    pub regions: Option<Vec<String>>,
    /// The keys, of whatever type, that may be used: their ids as recipients carry them. `None` (default): any.
    pub keys: Option<Vec<String>>,
    /// Refuses multi-Region keys, which an administrator can copy into any other region. Default: no.
    pub single_region_only: bool,
    /// Types of recipients, other than those of AWS KMS, that may be used. Default: none.
    #[cfg_attr(feature = "serde", serde(with = "super::types_text"))]
    pub types: Vec<RecipientType>,
}

impl Default for KeyPolicy {
    fn default() -> Self {
        Self {
            name: "key policy".to_owned(),
            residency: None,
            partitions: None,
            accounts: None,
            regions: None,
            keys: None,
            single_region_only: false,
            types: Vec::new(),
        }
    }
}

/// Lists of partitions and regions, each an explicit one: what is not on it is not meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum ResidencyPreset {
    /// Regions in member states of the European Union: of partition `aws` `eu-central-1` (Frankfurt), `eu-west-1`
    /// (Ireland), `eu-west-3` (Paris), `eu-north-1` (Stockholm), `eu-south-1` (Milan) and `eu-south-2` (Spain), and all
    /// of partition `aws-eusc`. Not `eu-west-2`, which is London, and not `eu-central-2`, which is Zurich.
    Eu,
    /// The European Sovereign Cloud: all of partition `aws-eusc`, and nothing else.
    EuSovereign,
}

impl ResidencyPreset {
    /// Whether a region of a partition is on the list.
    #[must_use]
    pub fn contains(self, partition: &str, region: &str) -> bool {
        match self {
            Self::Eu => partition == SOVEREIGN || partition == "aws" && EU_REGIONS.contains(&region),
            Self::EuSovereign => partition == SOVEREIGN,
        }
    }
}

impl KeyPolicy {
    /// Says what refusals call the policy.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Keeps to a list of partitions and regions.
    #[must_use]
    pub const fn with_residency(mut self, residency: ResidencyPreset) -> Self {
        self.residency = Some(residency);
        self
    }

    /// Keeps to these partitions.
    #[must_use]
    pub fn with_partitions(mut self, partitions: impl IntoIterator<Item: Into<String>>) -> Self {
        self.partitions = Some(partitions.into_iter().map(Into::into).collect());
        self
    }

    /// Keeps to these accounts.
    #[must_use]
    pub fn with_accounts(mut self, accounts: impl IntoIterator<Item: Into<String>>) -> Self {
        self.accounts = Some(accounts.into_iter().map(Into::into).collect());
        self
    }

    /// Keeps to these regions.
    #[must_use]
    pub fn with_regions(mut self, regions: impl IntoIterator<Item: Into<String>>) -> Self {
        self.regions = Some(regions.into_iter().map(Into::into).collect());
        self
    }

    /// Keeps to the keys of these ids.
    #[must_use]
    pub fn with_keys(mut self, keys: impl IntoIterator<Item: Into<String>>) -> Self {
        self.keys = Some(keys.into_iter().map(Into::into).collect());
        self
    }

    /// Refuses multi-Region keys, or allows them.
    #[must_use]
    pub const fn with_single_region_only(mut self, single: bool) -> Self {
        self.single_region_only = single;
        self
    }

    /// Allows keys that are not of AWS KMS, by their recipients' types.
    #[must_use]
    pub fn with_types(mut self, types: impl IntoIterator<Item = RecipientType>) -> Self {
        self.types = types.into_iter().collect();
        self
    }

    /// What is wrong with the policy itself, all of it: the option, such as `accounts[1]`, and what is wrong there.
    pub(crate) fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        for (n, account) in self.accounts.iter().flatten().enumerate() {
            if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
                let what = format!("account \"{}\" is not 12 digits", account.escape_debug());
                faults.push((format!("accounts[{n}]"), what));
            }
        }
        for (n, key) in self.keys.iter().flatten().enumerate() {
            if key.starts_with("arn:") || key.starts_with("alias/") {
                let error = KeyArn::parse(key).err();
                faults.extend(error.map(|error| (format!("keys[{n}]"), error.to_string())));
            }
        }
        for (option, what, names) in
            [("partitions", "partition", &self.partitions), ("regions", "region", &self.regions)]
        {
            for (n, name) in names.iter().flatten().enumerate().filter(|(_, name)| !is_name(name)) {
                faults.push((format!("{option}[{n}]"), format!("\"{}\" is no {what}", name.escape_debug())));
            }
        }
        for (n, own) in self.types.iter().enumerate() {
            if is_aws(*own) || matches!(*own, RecipientType::ALL_OF | RecipientType::PENDING) {
                let what = format!("type {own} is judged by the keys it names, and cannot be listed");
                faults.push((format!("types[{n}]"), what));
            }
        }
        faults
    }

    /// Why a key that a provider describes must not be used, in words.
    #[cfg(feature = "serde")]
    pub(crate) fn complaint(&self, key: &KeyInfo) -> Option<String> {
        self.refuses_key(key).map(|refusal| refusal.why)
    }

    /// Why a key that a provider describes must not be used.
    pub(super) fn refuses_key(&self, key: &KeyInfo) -> Option<Refusal> {
        // What an all-of is made of is not described; its shares are judged when it is sealed or opened.
        if key.recipient_type == RecipientType::ALL_OF {
            return None;
        }
        self.refuses(key.recipient_type, &key.id, key.region.as_deref())
    }

    /// Why a recipient must not be used. `region` is where its key is called, if that is known to be elsewhere than its
    /// name says, as with a multi-Region key.
    pub(super) fn refuses_recipient(&self, recipient: &Recipient, region: Option<&str>) -> Option<Refusal> {
        match recipient.recipient_type() {
            RecipientType::ALL_OF => {
                // One that is malformed is nobody's, and goes on to be found so.
                let shares = all_of::parse(recipient.wrap()).map(|wrap| wrap.shares).unwrap_or_default();
                shares.iter().find_map(|share| self.refuses_recipient(share, None))
            }
            RecipientType::PENDING => {
                let wanted = recipient.pending_for().unwrap_or(RecipientType::PENDING);
                self.refuses(wanted, &recipient.id_lossy(), region)
            }
            own => self.refuses(own, &recipient.id_lossy(), region),
        }
    }

    fn refuses(&self, recipient_type: RecipientType, id: &str, region: Option<&str>) -> Option<Refusal> {
        let refusal = |why: String| Some(Refusal { policy: self.name.clone(), why });
        if self.keys.as_ref().is_some_and(|keys| keys.iter().all(|key| key != id)) {
            return refusal("the key is not one of those that are listed".to_owned());
        }
        if !is_aws(recipient_type) {
            let is_listed = self.types.contains(&recipient_type);
            return if is_listed {
                None
            } else {
                refusal(format!("keys of type {recipient_type} are not listed"))
            };
        }
        let arn = match KeyArn::parse(id) {
            Ok(arn) => arn,
            Err(error) => return refusal(error.to_string()),
        };
        let region = region.unwrap_or(arn.region());
        let is_outside = |list: &Option<Vec<String>>, name: &str| {
            list.as_ref().is_some_and(|list| list.iter().all(|own| own != name))
        };
        if self.residency.is_some_and(|residency| !residency.contains(arn.partition(), region)) {
            return refusal(format!(
                "region {region} of partition {} is outside of where keys may be",
                arn.partition()
            ));
        }
        let parts = [
            ("partition", &self.partitions, arn.partition()),
            ("account", &self.accounts, arn.account()),
            ("region", &self.regions, region),
        ];
        for (what, list, name) in parts {
            if is_outside(list, name) {
                return refusal(format!("{what} {name} is not listed"));
            }
        }
        if self.single_region_only && arn.is_multi_region() {
            return refusal("a multi-Region key can be copied to other regions".to_owned());
        }
        None
    }
}

/// Which policy refuses a key, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{policy}: {why}")]
pub(super) struct Refusal {
    policy: String,
    why: String,
}

/// Several refusals or faults, all told at once.
#[derive(Debug, thiserror::Error)]
pub(super) struct Complaints(pub(super) Vec<String>);

impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

const SOVEREIGN: &str = "aws-eusc";
const EU_REGIONS: [&str; 6] =
    ["eu-central-1", "eu-west-1", "eu-west-3", "eu-north-1", "eu-south-1", "eu-south-2"];
