//! Plaintext on a terminal: text passes, anything else is refused before it is written.
//!
//! Besides noise, bytes of a file that somebody else wrote could steer the terminal.

use std::io::{self, Write};

/// Passes UTF-8 text without control characters, other than line ends and tabs.
pub(crate) struct TextOnly<W> {
    inner: W,
    /// The first bytes of a character whose rest has not come yet.
    begun: Vec<u8>,
}

impl<W: Write> TextOnly<W> {
    pub(crate) const fn new(inner: W) -> Self {
        Self { inner, begun: Vec::new() }
    }

    fn check(&mut self, bytes: &[u8]) -> io::Result<()> {
        let bytes = [self.begun.as_slice(), bytes].concat();
        let (text, rest) = match std::str::from_utf8(&bytes) {
            Ok(text) => (text, &[][..]),
            Err(error) if error.error_len().is_none() => {
                let (text, rest) = bytes.split_at(error.valid_up_to());
                (std::str::from_utf8(text).map_err(|_| binary())?, rest)
            }
            Err(_) => return Err(binary()),
        };
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(binary());
        }
        self.begun = rest.to_vec();
        Ok(())
    }
}

impl<W: Write> Write for TextOnly<W> {
    // fmt: T-5
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check(bytes)?;
        // All at once: what was checked must not be offered, and checked, again.
        self.inner.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.begun.is_empty() { self.inner.flush() } else { Err(binary()) }
    }
}

fn binary() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, Binary)
}

/// That the plaintext is not text.
#[derive(Debug)]
pub(crate) struct Binary;

impl std::fmt::Display for Binary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the plaintext is not text, and is not written to a terminal")
    }
}

impl std::error::Error for Binary {}
