//! `kuvert inspect`: what files claim about themselves, for people and for programs.

mod json;
mod key_count;
mod text;

use std::io::{self, Read as _};
use std::path::Path;

use kuvert::limits::{CHUNK_LEN, SEALED_CHUNK_LEN, TAG_LEN};
use kuvert::{Layout, MessageStart, OpenError};

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
struct Claims {
    start: MessageStart,
    /// Bytes of the whole message; of a detached header, which is alone in its file, nothing is known.
    message_len: Option<u64>,
}

impl Claims {
    /// Bytes of plaintext, if the file is whole. Follows from the length alone.
    fn plaintext_len(&self) -> Option<u64> {
        let chunks = self.message_len?.checked_sub(self.start.chunks_offset())?;
        let last = (chunks % SEALED_CHUNK_LEN as u64).checked_sub(TAG_LEN as u64)?;
        Some(chunks / SEALED_CHUNK_LEN as u64 * CHUNK_LEN as u64 + last)
    }
}

fn read(file: &Path) -> Result<Claims, Failure> {
    let source = Source::open(Some(file))?;
    let len = source.len();
    let start = read_start(file, source)?;
    let is_detached = start.header().claimed_layout() == Layout::Detached;
    Ok(Claims { start, message_len: len.filter(|_| !is_detached) })
}

fn read_start(file: &Path, mut source: Source) -> Result<MessageStart, Failure> {
    // Not by its length: of a file that was cut off, the header still says what it was.
    let error = match MessageStart::read(&mut source) {
        Ok(start) => return Ok(start),
        Err(error) => error,
    };
    // What follows the header is not looked at: of a detached one it is elsewhere, and of a file that was cut off
    // right behind it there is too little.
    let mut again = Source::open(Some(file))?;
    let start = match &error {
        OpenError::Usage(_) => MessageStart::read_detached(&mut again, &mut io::repeat(0)).ok(),
        OpenError::Truncated(_) => MessageStart::read(&mut (&mut again).chain(io::repeat(0))).ok(),
        _ => None,
    };
    let is_whole = |start: &MessageStart| {
        source.len().is_none_or(|len| len >= start.header().claimed_header_len() as u64)
    };
    start.filter(is_whole).ok_or_else(|| Failure::opening(&error, source.name()))
}
