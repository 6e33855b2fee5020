//! Bytes that must not outlive their use: wiped on drop, never cloned, never printed.
//!
//! Floor 0. What is wiped and what cannot be is in the [threat model](crate::manual::threats).

use std::{fmt, ops};

use zeroize::Zeroize;

/// `N` secret bytes on the heap, wiped on drop. Moving it moves a pointer, so no copy is left on the stack.
pub(crate) struct Secret<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// All zero, to be filled in place through [`expose_mut`](Self::expose_mut).
    pub(crate) fn zeroed() -> Self {
        Self(Box::new([0; N]))
    }

    /// Copies `bytes`, whose own copy the caller wipes.
    pub(crate) fn copy_from(bytes: &[u8; N]) -> Self {
        let mut secret = Self::zeroed();
        secret.0.copy_from_slice(bytes);
        secret
    }

    pub(crate) fn expose(&self) -> &[u8; N] {
        &self.0
    }

    pub(crate) fn expose_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret<{N}>(..)")
    }
}

/// A data key (DEK): 32 random bytes that seal one message or one key envelope.
///
/// # Security
///
/// Wiped on drop. Not `Clone`, and `Debug` shows nothing of it. Whoever holds a data key can open and forge
/// everything under it.
pub struct DataKey(Secret<32>);

impl DataKey {
    /// Takes a key from 32 bytes, which the caller then wipes.
    #[must_use]
    pub fn copy_from(bytes: &[u8; 32]) -> Self {
        Self(Secret::copy_from(bytes))
    }

    /// Takes a key from a slice: `None` unless it has exactly 32 bytes. Never padded, never cut.
    // fmt: K-1
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::copy_from)
    }

    /// Lets `fill` write the 32 bytes in place, so that they exist nowhere else.
    ///
    /// # Errors
    ///
    /// Whatever `fill` returns.
    pub fn try_filled_by<E>(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Secret::zeroed();
        fill(secret.expose_mut())?;
        Ok(Self(secret))
    }

    /// Writes another key over this one, in place.
    pub(crate) fn overwrite(&mut self, bytes: &[u8; 32]) {
        self.0.expose_mut().copy_from_slice(bytes);
    }

    /// The key's bytes. For providers that wrap it; grep for `expose_` to find every use.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

/// Opened plaintext: wiped on drop, shown by no `Debug`, serialised by nobody.
///
/// Dereferences to the value. [`into_inner`](Self::into_inner) hands the value over, and the duty to wipe it.
pub struct Opened<T: Zeroize> {
    value: Option<T>,
    wipe: fn(&mut T),
}

impl Opened<Vec<u8>> {
    /// Bytes of any number, which are wiped at the speed of memory.
    pub(crate) fn bytes(value: Vec<u8>) -> Self {
        let wipe_all = |value: &mut Vec<u8>| {
            // What was cut off lies in the spare capacity; this does not move it.
            value.resize(value.capacity(), 0);
            wipe(value);
        };
        Self { value: Some(value), wipe: wipe_all }
    }
}

impl<T: Zeroize> Opened<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Some(value), wipe: T::zeroize }
    }

    pub(crate) fn expose_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("the value is only taken by `into_inner`, which consumes")
    }

    /// Takes the value out. It is then the caller's to wipe.
    #[allow(clippy::missing_panics_doc, reason = "the value is there until it is taken here")]
    #[must_use]
    pub fn into_inner(mut self) -> T {
        self.value.take().expect("the value is only taken here, by value")
    }
}

impl<T: Zeroize> ops::Deref for Opened<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("the value is only taken by `into_inner`, which consumes")
    }
}

impl<T: Zeroize> Drop for Opened<T> {
    fn drop(&mut self) {
        if let Some(value) = &mut self.value {
            (self.wipe)(value);
        }
    }
}

impl<T: Zeroize> fmt::Debug for Opened<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened(..)")
    }
}

/// Wipes a large buffer at the speed of memory.
///
/// `zeroize` writes byte by byte, which takes twice as long as sealing the same bytes; a plain fill that the
/// compiler must assume to be read afterwards does the same work at once.
pub(crate) fn wipe(buffer: &mut [u8]) {
    buffer.fill(0);
    std::hint::black_box(buffer);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_wiped_with_their_spare_capacity() {
        let mut opened = Opened::bytes(Vec::with_capacity(100));
        opened.expose_mut().extend_from_slice(b"to be wiped, and cut off before that");
        opened.expose_mut().truncate(5);
        let (wipe, place) = (opened.wipe, opened.as_ptr());
        wipe(opened.expose_mut());
        assert!(opened.len() >= 100 && opened.iter().all(|byte| *byte == 0));
        assert_eq!(opened.as_ptr(), place, "nothing was moved, and so left behind");
    }
}
