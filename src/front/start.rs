//! The start of a message, read and parsed, of which nothing is verified yet.

use std::{
    fmt,
    io::{self, Read, Seek, SeekFrom},
};

use crate::{
    error::OpenError,
    format::{Kind, header::Header},
    limits::{BODY_START_LEN, MAX_HEADER_LEN, PREFIX_LEN},
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
    /// Reads from a source of unknown length, such as a pipe.
    ///
    /// # Errors
    ///
    /// [`OpenError::Malformed`], [`OpenError::Unsupported`], [`OpenError::LimitExceeded`] or
    /// [`OpenError::Truncated`] for what is no message; [`OpenError::Usage`] for a header whose body is elsewhere;
    /// [`OpenError::Io`] when reading fails.
    pub fn read<R: Read + ?Sized>(reader: &mut R) -> Result<Self, OpenError> {
        let header = read_header(reader, MAX_HEADER_LEN)?;
        Self::new(header, false, None, reader)
    }

    /// Reads from a source whose end can be found: an impossible length is then told before any key is asked for.
    /// The message begins where the source stands now, and ends where the source ends.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_seekable<R: Read + Seek + ?Sized>(reader: &mut R) -> Result<Self, OpenError> {
        Self::read_seekable_within(reader, MAX_HEADER_LEN)
    }

    /// Parses a whole message in memory.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn parse(message: &[u8]) -> Result<Self, OpenError> {
        Self::read_seekable(&mut io::Cursor::new(message))
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
        Self::new(read_detached_header(header)?, true, None, body)
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
        let header = read_detached_header(header)?;
        let body_len = rest_len(body)?;
        Self::new(header, true, Some(body_len), body)
    }

    /// [`read_seekable`](Self::read_seekable) of a header no longer than `max_header_len` bytes.
    pub(super) fn read_seekable_within<R>(reader: &mut R, max_header_len: usize) -> Result<Self, OpenError>
    where
        R: Read + Seek + ?Sized,
    {
        let rest = rest_len(reader)?;
        let header = read_header(reader, max_header_len)?;
        let body_len = rest.saturating_sub(header.len() as u64);
        Self::new(header, false, Some(body_len), reader)
    }

    /// Reads the body's first bytes from `body`, then parses: a body that is too short for them is told before the
    /// stored context is looked at, also where nobody knew the length beforehand.
    // fmt: O-5
    fn new<R>(
        header: Vec<u8>,
        body_beside: bool,
        body_len: Option<u64>,
        body: &mut R,
    ) -> Result<Self, OpenError>
    where
        R: Read + ?Sized,
    {
        let mut body_start = [0; BODY_START_LEN];
        let found = read_up_to(body, &mut body_start)?;
        let is_cut = found < BODY_START_LEN;
        let header =
            Header::parse_message(header, body_beside, if is_cut { Some(found as u64) } else { body_len })?;
        Ok(Self { header, body_start, body_len })
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

/// Reads exactly a header's bytes, in one bounded allocation after its first 32 bytes were checked.
// fmt: H-10, O-3
fn read_header<R: Read + ?Sized>(reader: &mut R, max_len: usize) -> Result<Vec<u8>, OpenError> {
    let mut prefix = [0; PREFIX_LEN];
    let found = read_up_to(reader, &mut prefix)?;
    let len = Header::peek(&prefix[..found], Kind::Message)?;
    if len > max_len {
        return Err(OpenError::LimitExceeded { what: "header (bytes)", limit: max_len as u64 });
    }
    let mut header = vec![0; len];
    header[..PREFIX_LEN].copy_from_slice(&prefix);
    if read_up_to(reader, &mut header[PREFIX_LEN..])? < len - PREFIX_LEN {
        return Err(OpenError::Truncated("the message ends inside its header"));
    }
    Ok(header)
}

/// The same, with whatever follows it: a detached header has its input to itself.
fn read_detached_header<R: Read + ?Sized>(reader: &mut R) -> Result<Vec<u8>, OpenError> {
    let mut header = read_header(reader, MAX_HEADER_LEN)?;
    let mut one_more = [0];
    if read_up_to(reader, &mut one_more)? > 0 {
        header.extend_from_slice(&one_more);
    }
    Ok(header)
}

fn rest_len<R: Seek + ?Sized>(reader: &mut R) -> Result<u64, OpenError> {
    let here = reader.stream_position()?;
    let end = reader.seek(SeekFrom::End(0))?;
    reader.seek(SeekFrom::Start(here))?;
    Ok(end.saturating_sub(here))
}

/// Reads until the buffer is full or the source ends; retries what was interrupted.
pub(super) fn read_up_to<R: Read + ?Sized>(reader: &mut R, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
