//! [`StartReader`]: reading a start under a limit of the caller's own, from blocking sources.
//!
//! It moves bytes from a source to the collector, which says how many; what they mean is decided there.
//! [Section 7](crate::manual::format).

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use super::{MessageStart, collector::Collector};
use crate::{error::OpenError, limits::MAX_HEADER_LEN};

/// Reads the start of a message whose header is no longer than the caller allows; from [`MessageStart::within`].
///
/// A longer header is refused after its first 32 bytes, before the rest of it is read or room is made for it.
///
/// # Examples
///
/// ```
/// use kuvert::{EncryptionContext, Kuvert, MessageStart, OpenError, provider::MemoryProvider};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # kuvert::blocking::block_on(async {
/// let kuvert = Kuvert::new(MemoryProvider::generate("2026-11")?);
/// let message = kuvert.seal(b"hello", &EncryptionContext::new([("table", "users")])?).await?;
/// let starts = MessageStart::within(4096);
/// assert!(starts.read(&mut message.as_slice()).is_ok());
/// let refused = MessageStart::within(64).read(&mut message.as_slice()).unwrap_err();
/// assert!(matches!(refused, OpenError::LimitExceeded { limit: 64, .. }));
/// # Ok(()) })? }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartReader {
    pub(in crate::front) max_header_len: usize,
}

impl StartReader {
    /// More than the format's maximum has no effect.
    pub(super) const fn new(max_header_len: usize) -> Self {
        let max_header_len = if max_header_len < MAX_HEADER_LEN { max_header_len } else { MAX_HEADER_LEN };
        Self { max_header_len }
    }

    /// [`MessageStart::read`] under this limit.
    ///
    /// # Errors
    ///
    /// As [`MessageStart::read`]; [`OpenError::LimitExceeded`] also for a longer header.
    pub fn read<R: Read + ?Sized>(&self, reader: &mut R) -> Result<MessageStart, OpenError> {
        let mut start = self.header(reader, false)?;
        fill(&mut start, reader, Collector::is_done)?;
        start.parse(None)
    }

    /// [`MessageStart::read_seekable`] under this limit.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_seekable<R: Read + Seek + ?Sized>(&self, reader: &mut R) -> Result<MessageStart, OpenError> {
        let rest = rest_len(reader)?;
        let mut start = self.header(reader, false)?;
        let body_len = rest.saturating_sub(start.header_len() as u64);
        fill(&mut start, reader, Collector::is_done)?;
        start.parse(Some(body_len))
    }

    /// [`MessageStart::parse`] under this limit.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn parse(&self, message: &[u8]) -> Result<MessageStart, OpenError> {
        self.read_seekable(&mut Cursor::new(message))
    }

    /// [`MessageStart::read_detached`] under this limit.
    ///
    /// # Errors
    ///
    /// As [`MessageStart::read_detached`]; [`OpenError::LimitExceeded`] also for a longer header.
    pub fn read_detached<H, B>(&self, header: &mut H, body: &mut B) -> Result<MessageStart, OpenError>
    where
        H: Read + ?Sized,
        B: Read + ?Sized,
    {
        let mut start = self.header(header, true)?;
        fill(&mut start, body, Collector::is_done)?;
        start.parse(None)
    }

    /// [`MessageStart::read_detached_seekable`] under this limit.
    ///
    /// # Errors
    ///
    /// As [`read_detached`](Self::read_detached).
    pub fn read_detached_seekable<H, B>(
        &self,
        header: &mut H,
        body: &mut B,
    ) -> Result<MessageStart, OpenError>
    where
        H: Read + ?Sized,
        B: Read + Seek + ?Sized,
    {
        let mut start = self.header(header, true)?;
        let body_len = rest_len(body)?;
        fill(&mut start, body, Collector::is_done)?;
        start.parse(Some(body_len))
    }

    fn header<R: Read + ?Sized>(&self, reader: &mut R, body_beside: bool) -> Result<Collector, OpenError> {
        let mut start = Collector::new(self.max_header_len, body_beside);
        fill(&mut start, reader, Collector::has_header)?;
        Ok(start)
    }
}

/// Reads until that is here; retries what was interrupted.
fn fill<R: Read + ?Sized>(
    start: &mut Collector,
    reader: &mut R,
    is_here: fn(&Collector) -> bool,
) -> Result<(), OpenError> {
    while !is_here(start) {
        match reader.read(start.room()) {
            Ok(n) => start.filled(n)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn rest_len<R: Seek + ?Sized>(reader: &mut R) -> Result<u64, OpenError> {
    let here = reader.stream_position()?;
    let end = reader.seek(SeekFrom::End(0))?;
    reader.seek(SeekFrom::Start(here))?;
    Ok(end.saturating_sub(here))
}
