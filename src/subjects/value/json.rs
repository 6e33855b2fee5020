//! Values of any type that serde knows, as JSON text.
//!
//! Floor 6. The text is made in a buffer that leaves nothing behind when it grows.

use std::{fmt, io};

use serde::{Serialize, de::DeserializeOwned};
use zeroize::{Zeroize, Zeroizing};

use super::{NotAValue, Value};

/// A value of any type that serde knows, sealed as its JSON text.
///
/// # Security
///
/// The text is wiped; the value itself is not when it is dropped, because its type does not say how.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Json<T>(pub T);

impl<T: Serialize + DeserializeOwned> Value for Json<T> {
    const NAME: &'static str = "JSON of that type";

    fn with_bytes<R>(&self, work: impl FnOnce(&[u8]) -> R) -> Result<R, NotAValue> {
        let mut text = Text(Zeroizing::new(Vec::with_capacity(256)));
        // The error could hold something of the value.
        serde_json::to_writer(&mut text, &self.0).map_err(|_| NotAValue)?;
        Ok(work(&text.0))
    }

    fn from_bytes(mut bytes: Vec<u8>) -> Result<Self, NotAValue> {
        let value = serde_json::from_slice(&bytes).map_err(|_| NotAValue);
        bytes.zeroize();
        value.map(Self)
    }
}

impl<T> Zeroize for Json<T> {
    /// Nothing: see the type's documentation.
    fn zeroize(&mut self) {}
}

impl<T> fmt::Debug for Json<T> {
    /// Without the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Json(..)")
    }
}

/// Grows by moving into a larger buffer and wiping the smaller one.
struct Text(Zeroizing<Vec<u8>>);

impl io::Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed * 2));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
