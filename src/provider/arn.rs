//! Names of AWS KMS keys: key ARNs, taken apart.
//!
//! Text in, text out: it asks nobody whether the key exists, and needs no SDK. Policies and the KMS provider share
//! it. Section "Residency" of the [operations manual](crate::manual::operations).

use std::{cmp::Ordering, fmt, ops::Range, str::FromStr};

use crate::limits::MAX_ID_LEN;

/// The full name of one key in AWS KMS, such as
/// `arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab`.
///
/// Two names are equal if they are the same text, byte by byte.
///
/// # Examples
///
/// ```
/// use kuvert::provider::arn::{ArnError, KeyArn};
///
/// let arn = KeyArn::parse("arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab")?;
/// assert_eq!((arn.partition(), arn.region(), arn.account()), ("aws", "eu-central-1", "111122223333"));
///
/// let alias = KeyArn::parse("arn:aws:kms:eu-central-1:111122223333:alias/backup");
/// assert!(matches!(alias, Err(ArnError::Alias { .. })));
/// # Ok::<(), ArnError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "String", into = "String")
)]
pub struct KeyArn {
    text: String,
    partition: Range<usize>,
    region: Range<usize>,
    account: Range<usize>,
    key_id: Range<usize>,
}

impl KeyArn {
    /// Takes the name of a key apart.
    ///
    /// # Errors
    ///
    /// [`ArnError`]: which part is wrong, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, ArnError> {
        if text.len() > MAX_ID_LEN {
            return Err(ArnError::Malformed { what: "it is longer than 2048 bytes", text: shortened(text) });
        }
        let malformed = |what| ArnError::Malformed { what, text: shortened(text) };
        if text.starts_with("alias/") {
            return Err(ArnError::Alias { text: shortened(text) });
        }
        if !text.starts_with("arn:") {
            return Err(ArnError::NotAnArn { text: shortened(text) });
        }
        let [_, partition, service, region, account, resource] =
            parts(text).ok_or_else(|| malformed("it has too few parts"))?;
        if !is_name(&text[partition.clone()]) || !text[partition.clone()].starts_with("aws") {
            return Err(malformed("its partition is none, such as aws or aws-eusc"));
        }
        if &text[service] != "kms" {
            return Err(malformed("it is not of the service kms"));
        }
        if !is_name(&text[region.clone()]) {
            return Err(malformed("its region is none, such as eu-central-1"));
        }
        if account.len() != 12 || !text[account.clone()].bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(malformed("its account is not 12 digits"));
        }
        if text[resource.clone()].starts_with("alias/") {
            return Err(ArnError::Alias { text: shortened(text) });
        }
        let key_id = text[resource.clone()]
            .strip_prefix("key/")
            .map(|id| text.len() - id.len()..text.len())
            .ok_or_else(|| malformed("it does not end in key/ and a key id"))?;
        let id = &text[key_id.clone()];
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(malformed(
                "its key id is empty or holds something else than letters, digits and hyphens",
            ));
        }
        Ok(Self { text: text.to_owned(), partition, region, account, key_id })
    }

    /// The whole name, as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The partition: `aws`, or `aws-eusc` for the European Sovereign Cloud, or another.
    #[must_use]
    pub fn partition(&self) -> &str {
        &self.text[self.partition.clone()]
    }

    /// The region, such as `eu-central-1`.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.text[self.region.clone()]
    }

    /// The 12 digits of the account.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.text[self.account.clone()]
    }

    /// The key's own id, without anything before it.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.text[self.key_id.clone()]
    }

    /// Whether it is a multi-Region key: one whose material may be in other regions too, today or from tomorrow on.
    #[must_use]
    pub fn is_multi_region(&self) -> bool {
        self.key_id().starts_with("mrk-")
    }
}

impl PartialOrd for KeyArn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for KeyArn {
    /// As the texts, byte by byte.
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl fmt::Debug for KeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyArn").field(&self.text).finish()
    }
}

impl fmt::Display for KeyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for KeyArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for KeyArn {
    type Error = ArnError;

    fn try_from(text: String) -> Result<Self, ArnError> {
        Self::parse(&text)
    }
}

impl From<KeyArn> for String {
    fn from(arn: KeyArn) -> Self {
        arn.text
    }
}

/// Why a text names no KMS key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArnError {
    /// It is the name of an alias, which can be pointed at another key at any time.
    #[error(
        "\"{text}\" is an alias, which may point at another key tomorrow: give the ARN of the key behind it, as \
         `aws kms describe-key --key-id ALIAS --query KeyMetadata.Arn` shows it"
    )]
    Alias {
        /// The text, or its beginning.
        text: String,
    },
    /// It is a key id by itself, or something else that does not begin with `arn:`.
    #[error(
        "\"{text}\" is not a key ARN, which says partition, region and account, too: \
         arn:aws:kms:REGION:ACCOUNT:key/ID"
    )]
    NotAnArn {
        /// The text, or its beginning.
        text: String,
    },
    /// It begins as an ARN, and one of its parts is wrong.
    #[error("\"{text}\" is not a KMS key ARN: {what}; the form is arn:aws:kms:REGION:ACCOUNT:key/ID")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// The text, or its beginning.
        text: String,
    },
}

/// The places of the six parts of an ARN; the last may hold colons of its own.
fn parts(text: &str) -> Option<[Range<usize>; 6]> {
    let mut at = 0;
    let mut part = || {
        let start = at;
        let len = text[start..].find(':')?;
        at = start + len + 1;
        Some(start..start + len)
    };
    let first = [part()?, part()?, part()?, part()?, part()?];
    let [arn, partition, service, region, account] = first;
    Some([arn, partition, service, region, account, at..text.len()])
}

/// What an error shows of a text that anybody may have written.
fn shortened(text: &str) -> String {
    text.chars().take(SHOWN).flat_map(char::escape_debug).collect()
}

fn is_name(text: &str) -> bool {
    let is_part_of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_part_of_name)
}

/// Characters: more than any key ARN has.
const SHOWN: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

    #[test]
    fn the_parts_of_a_name() {
        let arn = KeyArn::parse(KEY).unwrap();
        assert_eq!(
            (arn.partition(), arn.region(), arn.account(), arn.key_id(), arn.is_multi_region()),
            ("aws", "eu-central-1", "111122223333", "1234abcd-12ab-34cd-56ef-1234567890ab", false)
        );
        assert_eq!((arn.as_str(), arn.to_string().as_str()), (KEY, KEY));
        let sovereign =
            "arn:aws-eusc:kms:eusc-de-east-1:000000000000:key/mrk-1234abcd12ab34cd56ef1234567890ab";
        let arn = KeyArn::parse(sovereign).unwrap();
        assert!(arn.is_multi_region() && arn.partition() == "aws-eusc");
    }

    #[test]
    fn an_alias_and_a_bare_id_are_told_apart_and_with_a_remedy() {
        for alias in ["alias/backup", "arn:aws:kms:eu-central-1:111122223333:alias/backup"] {
            let error = KeyArn::parse(alias).unwrap_err();
            assert!(matches!(error, ArnError::Alias { .. }), "{error}");
            assert!(error.to_string().contains("describe-key"), "{error}");
        }
        for bare in ["", "1234abcd-12ab-34cd-56ef-1234567890ab", "mrk-1234", "ARN:aws:kms", " arn:aws"] {
            let error = KeyArn::parse(bare).unwrap_err();
            assert!(matches!(error, ArnError::NotAnArn { .. }), "{error}");
        }
    }

    #[test]
    fn every_part_is_checked() {
        let wrong = [
            ("arn:", "too few parts"),
            ("arn:aws:kms:eu-central-1:111122223333", "too few parts"),
            ("arn::kms:eu-central-1:111122223333:key/a", "partition"),
            ("arn:gcp:kms:eu-central-1:111122223333:key/a", "partition"),
            ("arn:aws:s3:eu-central-1:111122223333:key/a", "service kms"),
            ("arn:aws:kms::111122223333:key/a", "region"),
            ("arn:aws:kms:EU-central-1:111122223333:key/a", "region"),
            ("arn:aws:kms:eu-central-1::key/a", "12 digits"),
            ("arn:aws:kms:eu-central-1:11112222333:key/a", "12 digits"),
            ("arn:aws:kms:eu-central-1:11112222333x:key/a", "12 digits"),
            ("arn:aws:kms:eu-central-1:111122223333:key", "key/"),
            ("arn:aws:kms:eu-central-1:111122223333:key/", "key id"),
            ("arn:aws:kms:eu-central-1:111122223333:key/a:b", "key id"),
            ("arn:aws:kms:eu-central-1:111122223333:key/a b", "key id"),
            ("arn:aws:kms:eu-central-1:111122223333:key/a\n", "key id"),
        ];
        for (text, what) in wrong {
            let error = KeyArn::parse(text).unwrap_err().to_string();
            assert!(error.contains(what) && !error.contains('\n'), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_text_of_any_length_is_answered_shortly() {
        let error = KeyArn::parse(&"arn:aws:kms:".repeat(10_000)).unwrap_err();
        assert!(error.to_string().len() < 300, "{error}");
        for len in 0..KEY.len() {
            let cut = KeyArn::parse(&KEY[..len]);
            assert_eq!(cut.is_ok(), len > "arn:aws:kms:eu-central-1:111122223333:key/".len(), "{len}");
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn a_configuration_file_holds_it_as_text() {
        let arn: KeyArn = serde_json::from_str(&format!("\"{KEY}\"")).unwrap();
        assert_eq!(serde_json::to_string(&arn).unwrap(), format!("\"{KEY}\""));
        let error = serde_json::from_str::<KeyArn>("\"alias/a\"").unwrap_err();
        assert!(error.to_string().contains("describe-key"), "{error}");
    }

    proptest::proptest! {
        /// Whatever a header or a file says: told, or kept as it is.
        #[test]
        fn odd_names_are_told_and_good_ones_kept(
            text in "(arn|ARN)?(:[a-zé0-9-]{0,8}){0,6}[:/]?(key|alias)?/?[a-zA-Z0-9_/é*-]{0,40}",
            at in 0..KEY.len(),
            other in proptest::char::any(),
        ) {
            let edited = [&KEY[..at], &other.to_string(), &KEY[at + 1..]].concat();
            for text in [text, edited] {
                match KeyArn::parse(&text) {
                    Ok(arn) => {
                        proptest::prop_assert_eq!(arn.as_str(), &*text);
                        let parts = [arn.partition(), arn.region(), arn.account(), arn.key_id()];
                        proptest::prop_assert!(parts.iter().all(|part| !part.is_empty()));
                        let [partition, region, account, key] = parts;
                        let rebuilt = format!("arn:{partition}:kms:{region}:{account}:key/{key}");
                        proptest::prop_assert_eq!(rebuilt, &*text);
                    }
                    Err(error) => proptest::prop_assert!(!error.to_string().is_empty()),
                }
            }
        }
    }
}
