//! The start of a message, read and parsed, of which nothing is verified yet.

pub(super) mod collector;
mod reader;

use std::{
    fmt,
    io::{Read, Seek},
};

pub use self::reader::StartReader;
use crate::{
    error::OpenError,
    format::header::Header,
    limits::{BODY_START_LEN, MAX_HEADER_LEN},
};

/// A message's header and the 56 bytes behind it, **unverified**: all that is needed to ask for the key.
///
/// Reading it never reads past those bytes, so the reader stands on the first chunk afterwards, which is where
/// [`Opener::into_reader`](crate::Opener::into_reader) takes it over.
///
/// # Examples
///
/// ```
/// use kuvert::{EncryptionContext, Kuvert, MessageStart, provider::MemoryProvider};
/// use std::io::Read;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # kuvert::blocking::block_on(async {
/// let kuvert = Kuvert::new(MemoryProvider::generate("2026-11")?);
/// let context = EncryptionContext::new([("backup", "daily")])?;
/// let message = kuvert.seal(b"all of it", &context).await?;
///
/// let mut source = message.as_slice();
/// let start = MessageStart::read(&mut source)?;
/// let mut reader = kuvert.opener(start, &context).await?.into_reader(source);
/// let mut plaintext = Vec::new();
/// reader.read_to_end(&mut plaintext)?;
/// assert_eq!(plaintext, b"all of it");
///
/// let refused = MessageStart::read(&mut b"PK\x03\x04 is a zip file".as_slice()).unwrap_err();
/// assert!(matches!(refused, kuvert::OpenError::Malformed(_)));
/// # Ok(()) })? }
/// ```
pub struct MessageStart {
    pub(super) header: Header,
    pub(super) body_start: [u8; BODY_START_LEN],
    /// Bytes of the whole body, where the source's length is known.
    pub(super) body_len: Option<u64>,
}

impl MessageStart {
    /// Reads under a limit of the caller's own: a header of more than `max_header_len` bytes is refused before it is
    /// read. [`OpenOptions::max_header_len`](crate::OpenOptions#structfield.max_header_len) alone is too late for that:
    /// it is looked at when the start is there.
    ///
    /// The functions below read headers up to the format's maximum, 278 591 bytes.
    // fmt: O-3
    #[must_use]
    pub const fn within(max_header_len: usize) -> StartReader {
        StartReader::new(max_header_len)
    }

    /// Reads from a source of unknown length, such as a pipe.
    ///
    /// # Errors
    ///
    /// [`OpenError::Malformed`], [`OpenError::Unsupported`], [`OpenError::LimitExceeded`] or
    /// [`OpenError::Truncated`] for what is no message; [`OpenError::Usage`] for a header whose body is elsewhere;
    /// [`OpenError::Io`] when reading fails.
    pub fn read<R: Read + ?Sized>(reader: &mut R) -> Result<Self, OpenError> {
        Self::within(MAX_HEADER_LEN).read(reader)
    }

    /// Reads from a source whose end can be found: an impossible length is then told before any key is asked for.
    /// The message begins where the source stands now, and ends where the source ends.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_seekable<R: Read + Seek + ?Sized>(reader: &mut R) -> Result<Self, OpenError> {
        Self::within(MAX_HEADER_LEN).read_seekable(reader)
    }

    /// Parses a whole message in memory.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn parse(message: &[u8]) -> Result<Self, OpenError> {
        Self::within(MAX_HEADER_LEN).parse(message)
    }

    /// Reads a header that is detached, and the start of the body that belongs to it. `header` must end where the
    /// header ends; `body` stands on its first chunk afterwards.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); [`OpenError::Usage`] for a header that is not detached, [`OpenError::Malformed`] for
    /// bytes behind the header.
    pub fn read_detached<H, B>(header: &mut H, body: &mut B) -> Result<Self, OpenError>
    where
        H: Read + ?Sized,
        B: Read + ?Sized,
    {
        Self::within(MAX_HEADER_LEN).read_detached(header, body)
    }

    /// The same where the body's end can be found.
    ///
    /// # Errors
    ///
    /// As [`read_detached`](Self::read_detached).
    pub fn read_detached_seekable<H, B>(header: &mut H, body: &mut B) -> Result<Self, OpenError>
    where
        H: Read + ?Sized,
        B: Read + Seek + ?Sized,
    {
        Self::within(MAX_HEADER_LEN).read_detached_seekable(header, body)
    }

    /// What the header claims. Nothing of it is verified.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where the first chunk begins in the body's source, in bytes: behind header and body start, or behind the
    /// body start alone where the header is detached.
    #[must_use]
    pub fn chunks_offset(&self) -> u64 {
        let header = if self.header.is_detached() { 0 } else { self.header.as_bytes().len() };
        (header + BODY_START_LEN) as u64
    }
}

impl fmt::Debug for MessageStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageStart").field("header", &self.header).finish_non_exhaustive()
    }
}
