//! A sealed value as programs carry it about: in structs, database columns and messages.
//!
//! Floor 6: bytes and the type that is in them. Whoever holds one holds no key; opening it is explicit, and takes the
//! cell that it was sealed for. Page on [erasure](crate::manual::erasure).

use std::{fmt, marker::PhantomData};

use crate::format::record;

/// A sealed value of type `T`: 49 bytes more than its plaintext has.
///
/// What a column of sealed values is read into. Reading one never opens it. With the feature `serde` it is bytes, in
/// human-readable formats base64; with `sqlite` it is a BLOB.
///
/// # Security
///
/// `T` is what the program says; that it is right shows only when it is opened.
///
/// # Examples
///
/// ```
/// use kuvert::Sealed;
///
/// /// A row as it is in the database.
/// struct Customer {
///     id: i64,
///     email: Sealed<String>,
///     notes: Option<Sealed<Vec<u8>>>,
/// }
/// let email = Sealed::<String>::from_bytes(vec![0xf8; 60]);
/// assert_eq!(email.as_bytes().len(), 60);
/// assert_eq!(email.claimed_reference(), Some(0xf8f8_f8f8_f8f8_f8f8));
/// # let _ = Customer { id: 1, email, notes: None };
/// ```
pub struct Sealed<T: ?Sized> {
    bytes: Vec<u8>,
    value: PhantomData<fn() -> T>,
}

impl<T: ?Sized> Sealed<T> {
    /// Takes what was stored. Nothing of it is looked at.
    #[must_use]
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { bytes, value: PhantomData }
    }

    /// What to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What to store, as its own bytes.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The reference of the key that it says it is sealed under, if it has the form of a sealed value.
    #[must_use]
    pub fn claimed_reference(&self) -> Option<u64> {
        record::decode(&self.bytes, usize::MAX).ok().map(|frame| frame.reference)
    }
}

impl<T: ?Sized> Clone for Sealed<T> {
    fn clone(&self) -> Self {
        Self::from_bytes(self.bytes.clone())
    }
}

impl<T: ?Sized> PartialEq for Sealed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T: ?Sized> Eq for Sealed<T> {}

impl<T: ?Sized> AsRef<[u8]> for Sealed<T> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<T: ?Sized> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.bytes.len())
    }
}

#[cfg(feature = "sqlite")]
mod column {
    use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

    use super::Sealed;

    impl<T: ?Sized> ToSql for Sealed<T> {
        fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
            Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.as_bytes())))
        }
    }

    impl<T: ?Sized> FromSql for Sealed<T> {
        /// Of a BLOB only: text in the column was never sealed.
        fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
            value.as_blob().map(|bytes| Self::from_bytes(bytes.to_vec()))
        }
    }
}

#[cfg(feature = "serde")]
mod with_serde {
    use std::{fmt, marker::PhantomData};

    use base64ct::{Base64, Encoding};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use super::Sealed;

    impl<T: ?Sized> Serialize for Sealed<T> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if serializer.is_human_readable() {
                serializer.serialize_str(&Base64::encode_string(self.as_bytes()))
            } else {
                serializer.serialize_bytes(self.as_bytes())
            }
        }
    }

    impl<'de, T: ?Sized> Deserialize<'de> for Sealed<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            if deserializer.is_human_readable() {
                deserializer.deserialize_str(Visitor(PhantomData))
            } else {
                deserializer.deserialize_byte_buf(Visitor(PhantomData))
            }
        }
    }

    struct Visitor<T: ?Sized>(PhantomData<fn() -> T>);

    impl<'de, T: ?Sized> de::Visitor<'de> for Visitor<T> {
        type Value = Sealed<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a sealed value: bytes, or base64 text")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            let bytes = Base64::decode_vec(text).map_err(|_| E::custom("a sealed value is base64 text"))?;
            Ok(Sealed::from_bytes(bytes))
        }

        fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
            Ok(Sealed::from_bytes(bytes.to_vec()))
        }

        fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Self::Value, E> {
            Ok(Sealed::from_bytes(bytes))
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut bytes: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::with_capacity(bytes.size_hint().unwrap_or(0).min(4096));
            while let Some(byte) = bytes.next_element()? {
                all.push(byte);
            }
            Ok(Sealed::from_bytes(all))
        }
    }
}

#[cfg(test)]
mod tests;
