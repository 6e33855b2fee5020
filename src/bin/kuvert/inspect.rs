//! `kuvert inspect`: what files claim about themselves, for people and for programs.

mod json;
mod key_count;
mod text;

use std::io;
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
    let mut source = Source::open(Some(file))?;
    // Not by its length: of a file that was cut off, the header still says what it was.
    let start = match MessageStart::read(&mut source) {
        Err(OpenError::Usage(_)) => {
            let mut source = Source::open(Some(file))?;
            // The body is elsewhere, and its bytes are not looked at.
            MessageStart::read_detached(&mut source, &mut io::repeat(0))
        }
        start => start,
    };
    let start = start.map_err(|error| Failure::opening(&error, source.name()))?;
    let is_detached = start.header().claimed_layout() == Layout::Detached;
    let message_len = source.len().filter(|_| !is_detached);
    Ok(Claims { start, message_len })
}
