//! The start of a message, read and parsed, of which nothing is verified yet.

use std::{
    fmt,
    io::{self, Read, Seek, SeekFrom},
};

use crate::{
    error::OpenError,
    format::{
        Kind,
        header::{Header, is_detached},
    },
    limits::{BODY_START_LEN, PREFIX_LEN},
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
        let header = read_header(reader, false)?;
        let header = Header::parse(&header, Kind::Message, None)?;
        Self { header, body_start: [0; BODY_START_LEN], body_len: None }.with_body_start(reader)
    }

    /// Reads from a source whose end can be found: an impossible length is then told before any key is asked for.
    /// The message begins where the source stands now, and ends where the source ends.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_seekable<R: Read + Seek + ?Sized>(reader: &mut R) -> Result<Self, OpenError> {
        let rest = rest_len(reader)?;
        let header = read_header(reader, false)?;
        let body_len = rest.checked_sub(header.len() as u64);
        let header = Header::parse(&header, Kind::Message, body_len)?;
        Self { header, body_start: [0; BODY_START_LEN], body_len }.with_body_start(reader)
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
        let header = Header::parse(&read_detached_header(header)?, Kind::Message, None)?;
        Self { header, body_start: [0; BODY_START_LEN], body_len: None }.with_body_start(body)
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
        let body_len = Some(rest_len(body)?);
        let header = Header::parse(&header, Kind::Message, body_len)?;
        Self { header, body_start: [0; BODY_START_LEN], body_len }.with_body_start(body)
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

    fn with_body_start<R: Read + ?Sized>(mut self, reader: &mut R) -> Result<Self, OpenError> {
        // fmt: O-1
        if read_up_to(reader, &mut self.body_start)? < BODY_START_LEN {
            return Err(OpenError::Truncated("the message ends before its first chunk"));
        }
        Ok(self)
    }
}

impl fmt::Debug for MessageStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageStart").field("header", &self.header).finish_non_exhaustive()
    }
}

/// Reads exactly a header's bytes, in one bounded allocation after its first 32 bytes were checked.
fn read_header<R: Read + ?Sized>(reader: &mut R, detached: bool) -> Result<Vec<u8>, OpenError> {
    let mut prefix = [0; PREFIX_LEN];
    let found = read_up_to(reader, &mut prefix)?;
    let len = Header::peek(&prefix[..found], Kind::Message)?;
    match (is_detached(&prefix), detached) {
        (true, false) => return Err(OpenError::Usage("this header is detached: name the file with its body as well")),
        (false, true) => return Err(OpenError::Usage("this header is not detached: its body follows in the same file")),
        _ => {}
    }
    let mut header = vec![0; len];
    header[..PREFIX_LEN].copy_from_slice(&prefix);
    if read_up_to(reader, &mut header[PREFIX_LEN..])? < len - PREFIX_LEN {
        return Err(OpenError::Truncated("the message ends inside its header"));
    }
    Ok(header)
}

fn read_detached_header<R: Read + ?Sized>(reader: &mut R) -> Result<Vec<u8>, OpenError> {
    let header = read_header(reader, true)?;
    if read_up_to(reader, &mut [0])? > 0 {
        return Err(OpenError::Malformed("bytes follow a detached header"));
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
