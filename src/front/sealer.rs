//! From a data key to a message under way: header, body start and chunk cipher, made in one awaited step.

use std::{fmt, io::Write};

use super::SealHandle;
use crate::{
    crypto::random,
    error::SealError,
    fork,
    format::{
        Kind, Layout,
        body::body_len,
        context::{BoundContext, EncryptionContext},
        header,
        schedule::Schedule,
        stanza::{Recipient, RecipientType},
    },
    io::{ParallelSealWriter, RecipientName, SealReport, SealWriter, Threads},
    limits::{BODY_START_LEN, MAX_PLAINTEXT_LEN},
    provider::{KeyProvider, WrapContext},
    secret::DataKey,
    stream::{
        chunk::ChunkCipher,
        parallel::{ParallelSealMachine, seal_chunks},
        seal::SealMachine,
    },
};

impl SealHandle {
    /// Seals `plaintext` into one message of its own data key, in memory.
    ///
    /// The message is `plaintext` and about 300 bytes (exactly: header, 56, and 16 for each 16 KiB begun or ended).
    /// For many small values use a [record key](Self::new_record_key): it adds 49 bytes and asks nobody.
    ///
    /// # Errors
    ///
    /// [`SealError::Provider`] when no data key could be had; [`SealError::Usage`] with the detached layout, which
    /// has two outputs (use [`sealer`](Self::sealer)); [`SealError::LimitExceeded`] for recipients or a context
    /// beyond the format's limits.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future seals nothing and loses nothing.
    pub async fn seal(&self, plaintext: &[u8], context: &EncryptionContext) -> Result<Vec<u8>, SealError> {
        let layout = self.options.layout.unwrap_or(Layout::Compact);
        if layout == Layout::Detached {
            return Err(SealError::Usage("a detached header needs a second output: use `sealer`"));
        }
        let sealer = self.begin(layout, context).await?;
        let mut message = vec![0; sealer.message_len(plaintext.len())?];
        sealer.seal_into(plaintext, &mut message)?;
        Ok(message)
    }

    /// Makes a data key and begins a message of any length: one awaited step, ordinary I/O from then on.
    ///
    /// # Errors
    ///
    /// As [`seal`](Self::seal), without the detached layout's.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn sealer(&self, context: &EncryptionContext) -> Result<Sealer, SealError> {
        self.begin(self.options.layout.unwrap_or(Layout::Rewrappable), context).await
    }

    async fn begin(&self, layout: Layout, context: &EncryptionContext) -> Result<Sealer, SealError> {
        let fork_generation = fork::generation();
        let bound = BoundContext::for_sealing(context)?;
        let new = NewMessage::generate(&*self.provider, Kind::Message, &bound).await?;
        let schedule = new.schedule(&bound);
        let (header, body_start, cipher) = new.seal_header(&schedule, layout, &bound)?;
        let report = new.report(header.len());
        let threads = self.options.threads;
        Ok(Sealer { header, body_start, cipher, layout, report, threads, fork_generation })
    }
}

/// A data key with its recipients, fresh from the provider, and what is drawn for one message.
pub(super) struct NewMessage {
    pub(super) key: DataKey,
    recipients: Vec<Recipient>,
    kind: Kind,
    pub(super) salt: [u8; 24],
}

impl NewMessage {
    pub(super) async fn generate(
        provider: &dyn KeyProvider,
        kind: Kind,
        bound: &BoundContext,
    ) -> Result<Self, SealError> {
        let wrap_context = WrapContext::new(header::core_of(kind), bound.pairs().iter().cloned());
        let generated = provider.generate_data_key(&wrap_context).await?;
        // fmt: K-2
        let mut salt = [0; 24];
        random::fill(&mut salt).map_err(SealError::Random)?;
        Ok(Self { key: generated.key, recipients: generated.recipients, kind, salt })
    }

    pub(super) fn schedule<'a>(&'a self, bound: &'a BoundContext) -> Schedule<'a> {
        Schedule::new(&self.key, header::core_of(self.kind), bound)
    }

    /// The header, the 56 bytes behind it, and the cipher of the chunks behind those.
    pub(super) fn seal_header(
        &self,
        schedule: &Schedule<'_>,
        layout: Layout,
        bound: &BoundContext,
    ) -> Result<(Vec<u8>, [u8; BODY_START_LEN], ChunkCipher), SealError> {
        let body = schedule.body(&self.salt);
        let mut start = [0; BODY_START_LEN];
        start[..24].copy_from_slice(&self.salt);
        start[24..].copy_from_slice(&body.commitment);
        let mac_key = schedule.mac_key(&self.salt);
        let header = header::build(self.kind, layout, bound, &self.recipients, &mac_key, &start)?;
        Ok((header, start, ChunkCipher::new(&body)))
    }

    fn report(&self, header_len: usize) -> SealReport {
        let (pending, recipients): (Vec<_>, Vec<_>) =
            self.recipients.iter().partition(|r| r.recipient_type() == RecipientType::PENDING);
        let names = |list: Vec<&Recipient>| {
            list.into_iter()
                .map(|r| RecipientName::new(r.pending_for().unwrap_or(r.recipient_type()), r.id_lossy()))
                .collect()
        };
        SealReport {
            plaintext_len: 0,
            sealed_len: header_len as u64,
            recipients: names(recipients),
            pending: names(pending),
        }
    }
}

/// A message under way: its data key is made and wrapped, and not a byte is sealed yet.
///
/// For one message only. Dropping it loses nothing.
#[must_use = "nothing is sealed yet: turn it into a writer"]
pub struct Sealer {
    header: Vec<u8>,
    body_start: [u8; BODY_START_LEN],
    cipher: ChunkCipher,
    layout: Layout,
    report: SealReport,
    threads: Threads,
    fork_generation: u64,
}

impl Sealer {
    /// The header's bytes. With [`Layout::Detached`] they are yours to store: the writer gets the body only.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// Bytes that the writer or buffer will get for so many bytes of plaintext.
    ///
    /// # Errors
    ///
    /// [`SealError::LimitExceeded`] above the format's maximum, or what this machine can address.
    pub fn message_len(&self, plaintext_len: usize) -> Result<usize, SealError> {
        let too_long =
            || SealError::LimitExceeded { what: "plaintext of a message (bytes)", limit: MAX_PLAINTEXT_LEN };
        if plaintext_len as u64 > MAX_PLAINTEXT_LEN {
            return Err(too_long());
        }
        let header = if self.layout == Layout::Detached { 0 } else { self.header.len() as u64 };
        let len = header + body_len(plaintext_len as u64);
        usize::try_from(len).map_err(|_| too_long())
    }

    /// Seals what is written to the returned writer into `writer`.
    ///
    /// With [`Layout::Detached`] that is the body; store [`header`](Self::header) first.
    pub fn into_writer<W: Write>(self, writer: W) -> SealWriter<W> {
        let (machine, report) = self.into_machine();
        SealWriter::new(writer, machine, report)
    }

    /// As [`into_writer`](Self::into_writer), with the work done by several threads: the same bytes, sooner.
    ///
    /// `threads` is for this writer; the [option](crate::SealOptions#structfield.threads) is for slices and files.
    pub fn into_parallel_writer<W: Write>(self, writer: W, threads: Threads) -> ParallelSealWriter<W> {
        let (machine, report) = self.into_parallel_machine(threads);
        ParallelSealWriter::new(writer, machine, report)
    }

    /// The machine that seals the body, with the header to go out before it, and the report as far as it is known.
    pub(super) fn into_machine(self) -> (SealMachine, SealReport) {
        let mut head = Vec::with_capacity(self.head_len());
        if self.layout != Layout::Detached {
            head.extend_from_slice(&self.header);
        }
        head.extend_from_slice(&self.body_start);
        (SealMachine::new(self.cipher, head, self.fork_generation), self.report)
    }

    pub(super) fn into_parallel_machine(self, threads: Threads) -> (ParallelSealMachine, SealReport) {
        let cipher = self.cipher.clone();
        let (one, report) = self.into_machine();
        (ParallelSealMachine::new(one, cipher, threads.plan()), report)
    }

    /// Seals `plaintext` into `message`, which must have [`message_len`](Self::message_len) bytes: from slice to
    /// slice, without a copy in between.
    ///
    /// # Errors
    ///
    /// [`SealError::Usage`] if `message` has another length; [`SealError::Forked`] in a child of the process that
    /// made this sealer; [`SealError::Io`] if one of several threads panicked.
    pub fn seal_into(self, plaintext: &[u8], message: &mut [u8]) -> Result<SealReport, SealError> {
        if message.len() != self.message_len(plaintext.len())? {
            return Err(SealError::Usage("the output has another length than `message_len` says"));
        }
        if self.fork_generation != fork::generation() {
            return Err(SealError::Forked);
        }
        let (head, chunks) = message.split_at_mut(self.head_len());
        let (header, start) = head.split_at_mut(head.len() - BODY_START_LEN);
        if self.layout != Layout::Detached {
            header.copy_from_slice(&self.header);
        }
        start.copy_from_slice(&self.body_start);
        seal_chunks(&self.cipher, plaintext, chunks, self.threads.plan())?;
        let plaintext_len = plaintext.len() as u64;
        let sealed_len = self.report.sealed_len + body_len(plaintext_len);
        Ok(SealReport { plaintext_len, sealed_len, ..self.report })
    }

    fn head_len(&self) -> usize {
        let header = if self.layout == Layout::Detached { 0 } else { self.header.len() };
        header + BODY_START_LEN
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("layout", &self.layout)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}
