//! Types of recipients as a configuration file has them: `"aes-kwp"`, or a number such as `"0x8001"`.
//!
//! Knows nothing but text and numbers. Page [configuration](crate::manual::configuration).

use serde::{Deserialize, Deserializer, Serializer, de, ser::SerializeSeq as _};

use crate::format::stanza::RecipientType;

pub(super) fn serialize<S: Serializer>(types: &[RecipientType], serializer: S) -> Result<S::Ok, S::Error> {
    let mut seq = serializer.serialize_seq(Some(types.len()))?;
    for own in types {
        match own.name() {
            Some(name) => seq.serialize_element(name)?,
            None => seq.serialize_element(&format!("0x{:04x}", own.0))?,
        }
    }
    seq.end()
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<RecipientType>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let fault = |text: &String| {
        let expected = "the name of a recipient type, such as \"aes-kwp\", or \"0x\" and four digits";
        de::Error::invalid_value(de::Unexpected::Str(text), &expected)
    };
    texts.iter().map(|text| from_text(text).ok_or_else(|| fault(text))).collect()
}

fn from_text(text: &str) -> Option<RecipientType> {
    if let Some(digits) = text.strip_prefix("0x").filter(|digits| digits.len() == 4) {
        return u16::from_str_radix(digits, 16).ok().map(RecipientType);
    }
    (0..=u16::MAX).map(RecipientType).find(|own| own.name() == Some(text))
}
