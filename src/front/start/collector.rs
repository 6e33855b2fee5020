//! The bytes of a message's start as they come in, from whatever reads them. No I/O.
//!
//! It never has room for a byte that is not the start's, so that a source stands on the first chunk afterwards; and it
//! allocates for a header only after its first 32 bytes were checked. [Section 7](crate::manual::format).

use super::MessageStart;
use crate::{
    error::OpenError,
    format::{Kind, header::Header},
    limits::{BODY_START_LEN, PREFIX_LEN},
};

/// A header and the 56 bytes behind it, while they are being read.
pub(in crate::front) struct Collector {
    max_header_len: usize,
    /// The header has a source to itself, and must end where that ends.
    body_beside: bool,
    part: Part,
    /// Bytes of the part that is being read.
    found: usize,
    header: Vec<u8>,
    body_start: [u8; BODY_START_LEN],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Prefix,
    Header,
    /// One byte behind a detached header, which must not be there.
    Behind,
    Body,
    Done,
}

impl Collector {
    pub(in crate::front) fn new(max_header_len: usize, body_beside: bool) -> Self {
        Self {
            max_header_len,
            body_beside,
            part: Part::Prefix,
            found: 0,
            header: vec![0; PREFIX_LEN],
            body_start: [0; BODY_START_LEN],
        }
    }

    /// Whether the header is complete; what follows comes from the body's source.
    pub(in crate::front) fn has_header(&self) -> bool {
        matches!(self.part, Part::Body | Part::Done)
    }

    /// Whether everything is here.
    pub(in crate::front) fn is_done(&self) -> bool {
        self.part == Part::Done
    }

    /// Bytes of the header, once it is complete.
    pub(in crate::front) fn header_len(&self) -> usize {
        self.header.len()
    }

    /// Room for what is read next. Empty only when everything is here.
    pub(in crate::front) fn room(&mut self) -> &mut [u8] {
        match self.part {
            Part::Prefix | Part::Header | Part::Behind => &mut self.header[self.found..],
            Part::Body => &mut self.body_start[self.found..],
            Part::Done => &mut [],
        }
    }

    /// Says that the first `n` bytes of the room were read; 0 means that the source has ended.
    pub(in crate::front) fn filled(&mut self, n: usize) -> Result<(), OpenError> {
        self.found += n;
        if n > 0 && !self.room().is_empty() {
            return Ok(());
        }
        match self.part {
            Part::Prefix => self.begin_header()?,
            Part::Header if self.found < self.header.len() => {
                return Err(OpenError::Truncated("the message ends inside its header"));
            }
            Part::Header if self.body_beside => {
                self.header.push(0);
                self.part = Part::Behind;
            }
            Part::Header => self.begin_body(),
            Part::Behind => {
                self.header.truncate(self.found);
                self.begin_body();
            }
            Part::Body | Part::Done => self.part = Part::Done,
        }
        Ok(())
    }

    /// What was read. `body_len` is the length of the whole body, where it is known: a body that is too short for its
    /// first bytes is told before the stored context is looked at, also where nobody knew the length beforehand.
    // fmt: O-5
    pub(in crate::front) fn parse(self, body_len: Option<u64>) -> Result<MessageStart, OpenError> {
        let is_cut = self.found < BODY_START_LEN;
        let stated = if is_cut { Some(self.found as u64) } else { body_len };
        let header = Header::parse_message(self.header, self.body_beside, stated)?;
        Ok(MessageStart { header, body_start: self.body_start, body_len })
    }

    /// Makes room for exactly the header, in one bounded allocation.
    // fmt: H-10, O-3
    fn begin_header(&mut self) -> Result<(), OpenError> {
        let len = Header::peek(&self.header[..self.found], Kind::Message)?;
        if len > self.max_header_len {
            let limit = self.max_header_len as u64;
            return Err(OpenError::LimitExceeded { what: "header (bytes)", limit });
        }
        let mut header = vec![0; len];
        header[..PREFIX_LEN].copy_from_slice(&self.header);
        (self.header, self.part) = (header, Part::Header);
        Ok(())
    }

    fn begin_body(&mut self) {
        (self.part, self.found) = (Part::Body, 0);
    }
}
