//! From an unverified start to an opener: context, recipients, commitment, header MAC, in that order.
//!
//! Whom to ask about which recipient is [`search`]'s business; here it is found out whether a key is the message's.
//! Section 7 of the [format](crate::manual::format).

mod search;

use std::{
    fmt,
    io::{Read, Seek},
};

use self::search::Search;
use super::{MessageStart, OpenHandle, OpenOptions};
use crate::{
    crypto,
    error::OpenError,
    format::{
        Kind,
        body::plaintext_len,
        context::{BoundContext, EncryptionContext},
        header::{Header, VerifiedSlots},
        schedule::{BodyKeys, Schedule},
        stanza::Recipient,
    },
    io::{
        OpenReader, OpenReport, ParallelOpenReader, RangeReader, ReadAt, RecipientName, SeekReader, Threads,
    },
    limits::BODY_START_LEN,
    provider::{KeyProvider, WrapContext},
    secret::{DataKey, Opened, wipe},
    stream::{
        chunk::ChunkCipher,
        parallel::{ParallelOpenMachine, open_chunks},
    },
};

impl OpenHandle {
    /// Opens one whole message in memory: all of the plaintext, or an error and none of it.
    ///
    /// # Errors
    ///
    /// Every variant of [`OpenError`] but [`OpenError::Io`]; the format's section 7 says which comes first.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    #[allow(clippy::missing_panics_doc, reason = "the chunks of a slice begin within it")]
    pub async fn open(
        &self,
        message: &[u8],
        context: &EncryptionContext,
    ) -> Result<Opened<Vec<u8>>, OpenError> {
        let start = MessageStart::within(self.options.max_header_len).parse(message)?;
        let chunks = usize::try_from(start.chunks_offset()).expect("within a slice");
        let opener = self.opener(start, context).await?;
        let len = opener.checked_len(message.len() - chunks)?;
        let mut plaintext = Opened::bytes(vec![0; len]);
        opener.open_into(&message[chunks..], plaintext.expose_mut())?;
        Ok(plaintext)
    }

    /// Asks for the key of a message, verifies its header, and returns what opens its body: one awaited step,
    /// ordinary I/O from then on.
    ///
    /// # Errors
    ///
    /// [`OpenError::WrongContext`], [`OpenError::Malformed`], [`OpenError::WrongKey`],
    /// [`OpenError::KeyUnavailable`], [`OpenError::Tampered`], or [`OpenError::LimitExceeded`] by an option of this
    /// handle.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing but the start, which was taken.
    pub async fn opener(
        &self,
        start: MessageStart,
        context: &EncryptionContext,
    ) -> Result<Opener, OpenError> {
        let MessageStart { header, body_start, body_len } = &start;
        check_header_len(header.as_bytes().len(), self.options.max_header_len)?;
        if let Some(len) = body_len {
            check_plaintext_len(plaintext_len(*len)?, &self.options)?;
        }
        let bound = header.bind(context, self.options.accept_stored_context)?;
        let unwrapped = unwrap(&[&*self.provider], header, &bound, body_start, &self.options).await?;
        Ok(Opener {
            cipher: ChunkCipher::new(&unwrapped.body),
            report: unwrapped.report(),
            context: bound,
            chunks_offset: start.chunks_offset(),
            body_len: *body_len,
            options: self.options.clone(),
        })
    }
}

/// A message whose key is unwrapped and whose header is verified; its chunks are not opened yet.
#[must_use = "nothing is opened yet: turn it into a reader"]
pub struct Opener {
    cipher: ChunkCipher,
    report: OpenReport,
    context: BoundContext,
    chunks_offset: u64,
    body_len: Option<u64>,
    options: OpenOptions,
}

impl Opener {
    /// What is verified so far; `plaintext_len` is what the source's length claims, or 0 where that is unknown.
    #[must_use]
    pub fn report(&self) -> OpenReport {
        let claimed = self.body_len.and_then(|len| plaintext_len(len).ok()).unwrap_or(0);
        OpenReport { plaintext_len: claimed, ..self.report.clone() }
    }

    /// The whole encryption context, verified: stored and required pairs, in order of their names.
    pub fn context(&self) -> impl Iterator<Item = (&str, &str)> {
        self.context.pairs().iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Opens from `reader`, which stands on the first chunk, in order.
    pub fn into_reader<R: Read>(self, reader: R) -> OpenReader<R> {
        OpenReader::new(reader, self.cipher, self.report)
    }

    /// What opens the chunks, and what is known of the message.
    pub(super) fn into_cipher(self) -> (ChunkCipher, OpenReport) {
        (self.cipher, self.report)
    }

    #[cfg(feature = "tokio")]
    pub(super) fn options(&self) -> &OpenOptions {
        &self.options
    }

    /// As [`into_reader`](Self::into_reader), with the work done by several threads, which read ahead.
    ///
    /// `threads` is for this reader; the [option](OpenOptions#structfield.threads) is for slices and files.
    pub fn into_parallel_reader<R: Read>(self, reader: R, threads: Threads) -> ParallelOpenReader<R> {
        let machine = ParallelOpenMachine::new(self.cipher, threads.plan());
        ParallelOpenReader::new(reader, machine, self.report)
    }

    /// Opens from `reader`, which stands on the first chunk, at any position.
    ///
    /// # Errors
    ///
    /// What verifying the last chunk, and so the length, fails with, unless
    /// [`lazy_length`](OpenOptions#structfield.lazy_length) is set.
    pub fn into_seekable<R: Read + Seek>(self, reader: R) -> Result<SeekReader<R>, OpenError> {
        SeekReader::new(reader, self.cipher, self.report, self.options.lazy_length)
    }

    /// Opens ranges of `source`, which is the whole message (or the body, where the header is detached).
    ///
    /// # Errors
    ///
    /// As [`into_seekable`](Self::into_seekable).
    pub fn into_ranges<S: ReadAt>(self, source: S) -> Result<RangeReader<S>, OpenError> {
        RangeReader::new(source, self.chunks_offset, self.cipher, self.report, self.options.lazy_length)
    }

    /// Opens all chunks of a message that is in memory, from slice to slice, without a copy in between.
    ///
    /// `chunks` is what follows the [start](MessageStart::chunks_offset); `plaintext` must have exactly the length
    /// that follows from it. On any error `plaintext` is wiped.
    ///
    /// # Errors
    ///
    /// [`OpenError::Truncated`] or [`OpenError::Tampered`]; [`OpenError::Usage`] if `plaintext` has another length.
    pub fn open_into(self, chunks: &[u8], plaintext: &mut [u8]) -> Result<OpenReport, OpenError> {
        if plaintext.len() != self.checked_len(chunks.len())? {
            return Err(OpenError::Usage("the output has another length than the message's plaintext"));
        }
        if let Err(error) = open_chunks(&self.cipher, chunks, plaintext, self.options.threads.plan()) {
            wipe(plaintext);
            return Err(error);
        }
        Ok(OpenReport { plaintext_len: plaintext.len() as u64, ..self.report })
    }

    /// Bytes of plaintext in so many bytes of sealed chunks, refused above the limits.
    fn checked_len(&self, chunks: usize) -> Result<usize, OpenError> {
        let len = plaintext_len(chunks as u64 + BODY_START_LEN as u64)?;
        check_plaintext_len(len, &self.options)?;
        Ok(usize::try_from(len).expect("shorter than a slice"))
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").field("report", &self.report).finish_non_exhaustive()
    }
}

/// A data key that was unwrapped, committed to, and under which the header verified.
pub(super) struct Unwrapped {
    pub(super) key: DataKey,
    body: BodyKeys,
    /// The recipient whose wrap was it, and the place of its slot.
    pub(super) opened_by: Recipient,
    pub(super) opened_in: usize,
    pub(super) slots: VerifiedSlots,
}

impl Unwrapped {
    fn report(&self) -> OpenReport {
        OpenReport {
            plaintext_len: 0,
            opened_by: self.opened_by_name(),
            generation: self.slots.generation,
            degraded: self.slots.degraded,
            unfinished_rewrap: self.slots.unfinished_rewrap,
        }
    }

    // fmt: O-15
    fn of_generation(self, least: u32) -> Result<Self, OpenError> {
        if self.slots.generation < least {
            return Err(OpenError::Tampered("the header is of an older generation than asked for"));
        }
        Ok(self)
    }

    // fmt: Z-12
    pub(super) fn opened_by_name(&self) -> RecipientName {
        RecipientName::new(self.opened_by.recipient_type(), self.opened_by.id_lossy())
    }

    /// Opens the one chunk of a key envelope, which is empty: shows that the envelope ends where it should.
    pub(super) fn verify_empty_body(&self, tag: &[u8]) -> Result<(), OpenError> {
        let opened = ChunkCipher::new(&self.body).open_to(0, tag, &mut []);
        opened.map_err(|_| OpenError::Tampered("the key envelope's last bytes do not verify"))
    }
}

/// Steps 3 to 6 of opening: slots, keys, commitment, header MAC.
pub(super) async fn unwrap(
    providers: &[&dyn KeyProvider],
    header: &Header,
    bound: &BoundContext,
    body_start: &[u8; BODY_START_LEN],
    options: &OpenOptions,
) -> Result<Unwrapped, OpenError> {
    let confirm =
        |key, recipient: &_, place| confirm(key, recipient, place, header, bound, body_start).transpose();
    let mut search = Search::new(providers, WrapContext::new(header.core(), bound.pairs().iter().cloned()));
    // fmt: O-6, O-7
    for (place, slot) in header.usable_slots()? {
        let confirm = |key, recipient: &_| confirm(key, recipient, place);
        if let Some(found) = search.slot(slot.recipients(), options.max_stanzas_tried, confirm).await {
            return found?.of_generation(options.min_generation);
        }
    }
    Err(search.into_error())
}

/// Whether an unwrapped key is the message's: the commitment says, and then every slot must agree.
fn confirm(
    key: DataKey,
    recipient: &Recipient,
    opened_in: usize,
    header: &Header,
    bound: &BoundContext,
    body_start: &[u8; BODY_START_LEN],
) -> Result<Option<Unwrapped>, OpenError> {
    let (salt, commitment) = body_start.split_first_chunk::<24>().expect("56 bytes begin with 24");
    let schedule = Schedule::new(&key, header.core(), bound);
    let body = schedule.body(salt);
    // fmt: O-9, N-5
    if !crypto::equal(&body.commitment, commitment) {
        return Ok(None);
    }
    let slots = header.verify_slots(&schedule.mac_key(salt), body_start)?;
    Ok(Some(Unwrapped { body, opened_by: recipient.clone(), opened_in, slots, key }))
}

pub(super) fn check_header_len(len: usize, max: usize) -> Result<(), OpenError> {
    // fmt: M-1, O-3
    if len > max {
        return Err(OpenError::LimitExceeded { what: "header (bytes)", limit: max as u64 });
    }
    Ok(())
}

fn check_plaintext_len(len: u64, options: &OpenOptions) -> Result<(), OpenError> {
    if len > options.max_plaintext_len {
        return Err(OpenError::LimitExceeded { what: "plaintext (bytes)", limit: options.max_plaintext_len });
    }
    Ok(())
}

/// Parses a key envelope: a header of at most `max_header_len` bytes and exactly 72 bytes behind it.
pub(super) fn parse_envelope(
    envelope: &[u8],
    max_header_len: usize,
) -> Result<(Header, [u8; BODY_START_LEN], &[u8]), OpenError> {
    let prefix = &envelope[..envelope.len().min(crate::limits::PREFIX_LEN)];
    let len = Header::peek(prefix, Kind::KeyEnvelope)?;
    check_header_len(len, max_header_len)?;
    let Some((header, body)) = envelope.split_at_checked(len) else {
        return Err(OpenError::Truncated("the key envelope ends inside its header"));
    };
    let header = Header::parse(header, Kind::KeyEnvelope, Some(body.len() as u64))?;
    let (start, tag) = body.split_first_chunk().expect("an envelope's body was just found to be 72 bytes");
    Ok((header, *start, tag))
}
