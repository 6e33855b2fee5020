//! `kuvert inspect`: what files claim about themselves, for people and for programs.

mod json;
mod key_count;
mod text;

use std::io::{self, Read as _};
use std::path::Path;

use kuvert::limits::{BODY_START_LEN, CHUNK_LEN, MAX_HEADER_LEN, SEALED_CHUNK_LEN, TAG_LEN};
use kuvert::{ClaimedSlot, Header, Layout, MessageStart, OpenError};

use crate::args::InspectArguments;
use crate::failure::{Failure, say};
use crate::source::Source;

pub(crate) fn run(arguments: &InspectArguments) -> Result<(), Failure> {
    if arguments.keys {
        return key_count::run(arguments);
    }
    let mut first_failure = None;
    for (number, file) in arguments.files.iter().enumerate() {
        let claims = read(file);
        match &claims {
            _ if arguments.json => say(&json::of(file, &claims).to_string())?,
            Ok(claims) => say(&text::of(file, claims, number > 0))?,
            Err(failure) => failure.print(),
        }
        if let Err(failure) = claims {
            // fmt: T-2
            first_failure.get_or_insert(failure.category());
        }
    }
    first_failure.map_or(Ok(()), |category| Err(Failure::already_told(category)))
}

/// What a file claims.
pub(crate) struct Claims {
    start: Start,
    /// Bytes of the whole message; of a detached header, which is alone in its file, nothing is known.
    message_len: Option<u64>,
}

enum Start {
    Message(MessageStart),
    Envelope(Header),
}

impl Claims {
    pub(crate) fn header(&self) -> &Header {
        match &self.start {
            Start::Message(start) => start.header(),
            Start::Envelope(header) => header,
        }
    }

    /// Whether one slot is damaged beside a good one.
    pub(crate) fn is_degraded(&self) -> bool {
        let mut slots = self.header().claimed_slots();
        slots.any(|slot| matches!(slot, ClaimedSlot::Bad { .. }))
    }

    /// Whether two slots list keys, so that a rewrap is under way or was interrupted.
    pub(crate) fn is_unfinished(&self) -> bool {
        let filled = |slot: &ClaimedSlot<'_>| matches!(slot, ClaimedSlot::Filled { .. });
        self.header().claimed_slots().filter(filled).count() > 1
    }

    /// Bytes of plaintext, if the file is whole. Follows from the length alone; a key envelope has none.
    fn plaintext_len(&self) -> Option<u64> {
        let Start::Message(start) = &self.start else { return None };
        let chunks = self.message_len?.checked_sub(start.chunks_offset())?;
        let last = (chunks % SEALED_CHUNK_LEN as u64).checked_sub(TAG_LEN as u64)?;
        Some(chunks / SEALED_CHUNK_LEN as u64 * CHUNK_LEN as u64 + last)
    }
}

pub(crate) fn read(file: &Path) -> Result<Claims, Failure> {
    let mut source = Source::open(Some(file))?;
    let start = match MessageStart::read(&mut source) {
        Ok(start) => Start::Message(start),
        Err(error) => {
            read_otherwise(file, &source, &error)?.ok_or_else(|| Failure::opening(&error, source.name()))?
        }
    };
    let claims = Claims { start, message_len: source.len() };
    let is_detached = claims.header().claimed_layout() == Layout::Detached;
    Ok(Claims { message_len: claims.message_len.filter(|_| !is_detached), ..claims })
}

/// What is no message that could be opened, and still says something: a detached header, a file that was cut off right
/// behind its header, or a key envelope.
fn read_otherwise(file: &Path, source: &Source, error: &OpenError) -> Result<Option<Start>, Failure> {
    let mut again = Source::open(Some(file))?;
    // What follows the header is not looked at, so anything will do where it is elsewhere or too short.
    let start = match error {
        OpenError::Usage(_) => MessageStart::read_detached(&mut again, &mut io::repeat(0)).ok(),
        OpenError::Truncated(_) => MessageStart::read(&mut (&mut again).chain(io::repeat(0))).ok(),
        OpenError::Malformed(_) => {
            let mut envelope = Vec::new();
            let longest = (MAX_HEADER_LEN + BODY_START_LEN + TAG_LEN) as u64;
            let read = again.take(longest + 1).read_to_end(&mut envelope);
            read.map_err(|error| Failure::opening(&error.into(), source.name()))?;
            return Ok(Header::of_envelope(&envelope).ok().map(Start::Envelope));
        }
        _ => None,
    };
    let is_whole = |start: &MessageStart| {
        source.len().is_none_or(|len| len >= start.header().claimed_header_len() as u64)
    };
    Ok(start.filter(is_whole).map(Start::Message))
}
