//! Where a key is, as its name says.

use kuvert::provider::ResidencyPreset;
use kuvert::provider::arn::KeyArn;

/// A region of AWS.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) region: String,
    /// By the explicit list that policies go by.
    pub(super) is_in_eu: bool,
    /// Whether the key can be copied into other regions.
    pub(super) is_multi_region: bool,
}

impl Place {
    /// Of a key's id, if that is the ARN of a key.
    pub(super) fn of(id: &str) -> Option<Self> {
        let arn = KeyArn::parse(id).ok()?;
        Some(Self {
            region: arn.region().to_owned(),
            is_in_eu: ResidencyPreset::Eu.contains(arn.partition(), arn.region()),
            is_multi_region: arn.is_multi_region(),
        })
    }

    pub(super) fn in_words(&self) -> String {
        let union = if self.is_in_eu { "in the EU" } else { "not in the EU" };
        let copies =
            if self.is_multi_region { "; a multi-Region key, which can be copied elsewhere" } else { "" };
        format!("{}, {union}{copies}", self.region)
    }
}
