//! How values become bytes and come back.
//!
//! Floor 6. The bytes are part of what is sealed for good: they never change for a type. Page on
//! [erasure](crate::manual::erasure).

#[cfg(feature = "serde")]
mod json;

use zeroize::Zeroize;

#[cfg(feature = "serde")]
pub use self::json::Json;
use crate::secret::Opened;

/// A type whose values are sealed and opened.
///
/// | type | bytes |
/// |---|---|
/// | `String`, `Vec<u8>` | as they are |
/// | `bool` | one byte, 0 or 1 |
/// | integers | 8 bytes, big-endian, two's complement; so `7_u32` and `7_i64` are the same value |
/// | `[u8; 16]` (a UUID) | as it is |
/// | `Json<T>` (feature `serde`) | the JSON text |
///
/// `&str` and slices are sealed as `String` and `Vec<u8>`, by [`Plaintext`].
///
/// # For implementors
///
/// The bytes of a value are the same in every release of yours, or what was sealed before does not come back.
/// [`from_bytes`](Self::from_bytes) gets bytes that were sealed as *some* value under the right key for the right cell; that they
/// are one of this type has to be checked. What it does not keep of them it wipes.
pub trait Value: Zeroize + Sized {
    /// The type's name, for errors.
    const NAME: &'static str;

    /// Lets `work` have the bytes of this value.
    ///
    /// # Errors
    ///
    /// [`NotAValue`] for a value that has none.
    fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> Result<R, NotAValue>;

    /// The value of these bytes.
    ///
    /// # Errors
    ///
    /// [`NotAValue`] if they are of another type.
    fn from_bytes(bytes: Vec<u8>) -> Result<Self, NotAValue>;

    /// The value of these bytes, which wipes itself.
    ///
    /// # Errors
    ///
    /// As [`from_bytes`](Self::from_bytes).
    #[doc(hidden)]
    fn opened(bytes: Vec<u8>) -> Result<Opened<Self>, NotAValue> {
        Self::from_bytes(bytes).map(Opened::new)
    }
}

/// What can be sealed: every [`Value`], and `str` and `[u8]` for those that own their bytes.
pub trait Plaintext {
    /// What it is when it is opened.
    type Value: Value;

    /// Lets `work` have the bytes.
    ///
    /// # Errors
    ///
    /// As [`Value::with_bytes`].
    fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> Result<R, NotAValue>;
}

/// That bytes are no value of a type, or a value has no bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, thiserror::Error)]
#[error("not a value of that type")]
#[non_exhaustive]
pub struct NotAValue;

impl<T: Value> Plaintext for T {
    type Value = T;

    #[inline]
    fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> Result<R, NotAValue> {
        Value::with_bytes(self, work)
    }
}

impl Plaintext for str {
    type Value = String;

    #[inline]
    fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> Result<R, NotAValue> {
        Ok(work(self.as_bytes()))
    }
}

impl Plaintext for [u8] {
    type Value = Vec<u8>;

    #[inline]
    fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> Result<R, NotAValue> {
        Ok(work(self))
    }
}

impl Value for String {
    const NAME: &'static str = "text";

    #[inline]
    fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> Result<R, NotAValue> {
        Ok(work(self.as_bytes()))
    }

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, NotAValue> {
        Self::from_utf8(bytes).map_err(|error| {
            error.into_bytes().zeroize();
            NotAValue
        })
    }
}

impl Value for Vec<u8> {
    const NAME: &'static str = "bytes";

    #[inline]
    fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> Result<R, NotAValue> {
        Ok(work(self))
    }

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, NotAValue> {
        Ok(bytes)
    }

    fn opened(bytes: Vec<u8>) -> Result<Opened<Self>, NotAValue> {
        Ok(Opened::bytes(bytes))
    }
}

impl Value for bool {
    const NAME: &'static str = "yes or no";

    fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> Result<R, NotAValue> {
        Ok(work(&[(*self).into()]))
    }

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, NotAValue> {
        match array::<1>(bytes)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(NotAValue),
        }
    }
}

impl Value for [u8; 16] {
    const NAME: &'static str = "UUID";

    fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> Result<R, NotAValue> {
        Ok(work(self))
    }

    fn from_bytes(bytes: Vec<u8>) -> Result<Self, NotAValue> {
        array(bytes)
    }
}

macro_rules! integers {
    ($($wide:ident: $($own:ident)*),*) => {$($(
        impl Value for $own {
            const NAME: &'static str = stringify!($own);

            fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> Result<R, NotAValue> {
                Ok(work(&$wide::from(*self).to_be_bytes()))
            }

            fn from_bytes(bytes: Vec<u8>) -> Result<Self, NotAValue> {
                $wide::from_be_bytes(array(bytes)?).try_into().map_err(|_| NotAValue)
            }
        }
    )*)*};
}
integers!(u64: u8 u16 u32 u64, i64: i8 i16 i32 i64);

/// Exactly so many bytes; the vector is wiped.
fn array<const N: usize>(mut bytes: Vec<u8>) -> Result<[u8; N], NotAValue> {
    let array = bytes.as_slice().try_into().map_err(|_| NotAValue);
    bytes.zeroize();
    array
}

#[cfg(test)]
mod tests;
