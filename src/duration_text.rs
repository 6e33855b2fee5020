//! Durations as a configuration file has them: `"250ms"`, `"3s"`, `"15m"`, `"12h"`, `"2d"`.
//!
//! Knows nothing but text and time; for `#[serde(with = "…")]` at the fields of option structs. Page
//! [configuration](crate::manual::configuration).

use std::{fmt, time::Duration};

use serde::{Deserializer, Serialize, Serializer, de};

pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&to_text(*duration))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_str(Text)
}

/// For `Option<Duration>`; a field that is left out needs `#[serde(default)]` at the struct.
pub(crate) mod option {
    use super::{Deserializer, Duration, Serialize, Serializer, Text, de, fmt, to_text};

    pub(crate) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        duration.map(to_text).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        deserializer.deserialize_option(Maybe)
    }

    struct Maybe;

    impl<'de> de::Visitor<'de> for Maybe {
        type Value = Option<Duration>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            de::Visitor::expecting(&Text, f)
        }

        fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            super::deserialize(deserializer).map(Some)
        }
    }
}

struct Text;

impl de::Visitor<'_> for Text {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number and a unit, such as \"250ms\", \"3s\", \"15m\", \"12h\" or \"2d\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        from_text(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

fn from_text(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let nanos = number.parse::<u64>().ok()?.checked_mul(*nanos)?;
    Some(Duration::from_nanos(nanos))
}

/// In the largest unit that says it exactly. Above the 584 years that a configuration can say: those.
pub(crate) fn to_text(duration: Duration) -> String {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let fits = |(_, unit): &&(&str, u64)| nanos != 0 && nanos % unit == 0;
    let (name, unit) = UNITS.iter().rev().find(fits).unwrap_or(&("s", 1_000_000_000));
    format!("{}{name}", nanos / unit)
}

/// Nanoseconds in a unit, ascending.
const UNITS: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Options {
        #[serde(with = "super")]
        deadline: Duration,
        #[serde(default, with = "super::option")]
        stale: Option<Duration>,
    }

    #[test]
    fn every_unit_there_and_back() {
        for (text, nanos) in [
            ("0s", 0),
            ("1ns", 1),
            ("7us", 7_000),
            ("250ms", 250_000_000),
            ("3s", 3_000_000_000),
            ("15m", 900_000_000_000),
            ("12h", 43_200_000_000_000),
            ("2d", 172_800_000_000_000),
        ] {
            assert_eq!(from_text(text), Some(Duration::from_nanos(nanos)), "{text}");
            assert_eq!(to_text(Duration::from_nanos(nanos)), text);
        }
        assert_eq!(from_text("90s"), from_text("90000ms"));
        assert_eq!(to_text(Duration::from_secs(90)), "90s");
        assert_eq!(from_text(&to_text(Duration::MAX)), Some(Duration::from_nanos(u64::MAX)));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "3", "s", "-3s", "+3s", "3.5s", "3 s", " 3s", "3s ", "3S", "3sec", "1h30m", "3w"] {
            assert_eq!(from_text(text), None, "{text}");
        }
        assert_eq!(from_text("99999999999999999999s"), None);
        assert_eq!(from_text("999999999999d"), None);
    }

    #[test]
    fn as_fields_of_a_configuration() {
        let read = |text| toml::from_str::<Options>(text);
        let three = Duration::from_secs(3);
        assert_eq!(read("deadline = \"3s\"").unwrap(), Options { deadline: three, stale: None });
        let both = Options { deadline: three, stale: Some(three) };
        assert_eq!(read("deadline = \"3s\"\nstale = \"3s\"").unwrap(), both);
        let json = serde_json::to_string(&both).unwrap();
        assert_eq!(json, r#"{"deadline":"3s","stale":"3s"}"#);
        assert_eq!(serde_json::from_str::<Options>(r#"{"deadline":"3s","stale":null}"#).unwrap().stale, None);
        for text in ["deadline = 3", "deadline = \"3\"", "deadline = \"3s\"\nstale = 1"] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("250ms"), "{error}");
        }
    }
}
