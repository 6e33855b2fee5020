//! The sealing machine on several threads: plaintext in by `push`, the same body out by `pending` and `advance`.
//!
//! As [`SealMachine`], with one more step: [`poll_ready`](ParallelSealMachine::poll_ready) fetches what is sealed,
//! and waits for it only when there is no room for more. Only full chunks go to the threads; the last one is
//! the machine's for one thread, which also counts and knows whether the message is under way, finished or lost.

use std::{
    fmt, io,
    task::{Context, Poll, ready},
};

use super::{
    Plan,
    pool::{Job, Lost, Pool},
};
use crate::{
    error::SealError,
    limits::{CHUNK_LEN, SEALED_CHUNK_LEN},
    secret::wipe,
    stream::{chunk::ChunkCipher, seal::SealMachine},
};

/// Seals one body, by one thread first and by several when it gets long.
pub(crate) struct ParallelSealMachine {
    one: SealMachine,
    cipher: ChunkCipher,
    plan: Plan,
    pool: Option<Pool<SealJob>>,
    /// The job that takes plaintext.
    filling: Option<SealJob>,
    /// The job whose chunks go out, and how many bytes of it did.
    out: Option<SealJob>,
    sent: usize,
    /// Jobs that are out, for their buffers.
    spare: Vec<SealJob>,
    /// Whether everything in flight is on its way out, and none is taken before it is.
    flushing: bool,
    /// The first chunk of the next job.
    index: u64,
}

impl ParallelSealMachine {
    /// `cipher` is the one of `one`, which has not begun.
    pub(crate) fn new(one: SealMachine, cipher: ChunkCipher, plan: Plan) -> Self {
        Self {
            one,
            cipher,
            plan,
            pool: None,
            filling: None,
            out: None,
            sent: 0,
            spare: Vec::new(),
            flushing: false,
            index: 0,
        }
    }

    /// Fetches what is sealed and goes out next; waits for it if it must go out before anything else can happen:
    /// after a flush, after the end, or when there is no room for more.
    ///
    /// Afterwards there is something [pending](Self::pending), or input is welcome, or all is done. Without a
    /// context this is never `Pending`.
    pub(crate) fn poll_ready(&mut self, context: Option<&mut Context<'_>>) -> Poll<Result<(), SealError>> {
        let must = self.flushing || self.one.is_finished() || !self.has_room();
        let Some(pool) = self.pool.as_mut().filter(|_| self.out.is_none()) else {
            return Poll::Ready(Ok(()));
        };
        match ready!(pool.claim(must, context)) {
            Ok(job) => {
                self.flushing &= job.is_some();
                self.out = job;
                Poll::Ready(Ok(()))
            }
            Err(lost) => Poll::Ready(Err(self.lose(lost))),
        }
    }

    /// Takes plaintext and says how much of it: nothing while output is pending.
    pub(crate) fn push(&mut self, plaintext: &[u8]) -> Result<usize, SealError> {
        if !self.start_when_it_pays(plaintext.len()) {
            return self.one.push(plaintext);
        }
        self.check_more(plaintext.len())?;
        if plaintext.is_empty() || !self.has_room() || !self.pending().is_empty() {
            return Ok(0);
        }
        let job = self.filling();
        let mut rest = plaintext;
        for room in job.rooms() {
            let (now, behind) = rest.split_at(rest.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            rest = behind;
        }
        let taken = plaintext.len() - rest.len();
        self.took(taken)?;
        Ok(taken)
    }

    /// Room to read plaintext into, chunk by chunk, in order: none while output is pending.
    pub(crate) fn spaces(&mut self) -> Result<impl Iterator<Item = &mut [u8]>, SealError> {
        let (mut one, mut rooms) = (None, None);
        if self.start_when_it_pays(0) {
            self.check_more(0)?;
            if self.has_room() && self.pending().is_empty() {
                let job = self.filling();
                job.lent = true;
                rooms = Some(job.rooms());
            }
        } else {
            one = Some(self.one.spaces()?);
        }
        Ok(one.into_iter().flatten().chain(rooms.into_iter().flatten()))
    }

    /// Says that the first `n` bytes of [`spaces`](Self::spaces) now hold plaintext.
    pub(crate) fn filled(&mut self, n: usize) -> Result<(), SealError> {
        if self.pool.is_none() {
            return self.one.filled(n);
        }
        self.check_more(n)?;
        self.took(n)
    }

    /// Lets every full chunk out. The chunk that is not full stays: its end would be the message's end.
    pub(crate) fn flush(&mut self) -> Result<(), SealError> {
        self.one.flush();
        if self.pool.is_some() && !self.one.is_finished() {
            self.submit()?;
            self.flushing = true;
        }
        Ok(())
    }

    /// Ends the message. May be called again; does nothing then.
    pub(crate) fn finish(&mut self) -> Result<(), SealError> {
        if self.pool.is_none() || self.one.is_finished() || self.one.is_failed() {
            return self.one.finish();
        }
        self.check_more(0)?;
        self.submit()?;
        let partial = self.filling.as_ref().map_or(&[][..], SealJob::partial);
        self.one.finish_at(self.index, partial)?;
        self.filling = None;
        Ok(())
    }

    /// The bytes to write next.
    pub(crate) fn pending(&self) -> &[u8] {
        match &self.out {
            Some(job) => &job.sealed()[self.sent..],
            None if self.in_flight() == 0 => self.one.pending(),
            None => &[],
        }
    }

    /// Says that the first `n` pending bytes were written.
    pub(crate) fn advance(&mut self, n: usize) {
        assert!(n <= self.pending().len(), "a writer claims more bytes than it was given");
        let Some(mut job) = self.out.take() else { return self.one.advance(n) };
        self.sent += n;
        if self.sent < job.sealed().len() {
            self.out = Some(job);
        } else {
            self.sent = 0;
            job.empty();
            self.spare.push(job);
        }
    }

    /// Bytes of plaintext taken so far.
    pub(crate) fn plaintext_len(&self) -> u64 {
        self.one.plaintext_len()
    }

    /// Ends the machine without a last chunk: what is out so far is never a valid message.
    pub(crate) fn abort(&mut self) {
        self.one.abort();
        (self.pool, self.filling, self.out, self.sent) = (None, None, None, 0);
        self.spare = Vec::new();
    }

    fn in_flight(&self) -> usize {
        self.pool.as_ref().map_or(0, Pool::in_flight)
    }

    fn has_room(&self) -> bool {
        self.in_flight() < self.plan.most_in_flight()
    }

    /// Whether several threads are at work, which begins here between two groups of the machine for one.
    fn start_when_it_pays(&mut self, incoming: usize) -> bool {
        let len = self.one.plaintext_len().saturating_add(incoming as u64);
        if self.pool.is_none() && self.plan.pays_for(len) && self.one.is_between_groups() {
            let mut job = SealJob::new(self.plan.job_chunks);
            self.index = self.one.hand_over(|partial| job.begin_with(partial));
            self.filling = Some(job);
            self.pool = Some(Pool::new(self.plan.workers, self.cipher.clone()));
        }
        self.pool.is_some()
    }

    fn check_more(&mut self, more: usize) -> Result<(), SealError> {
        let checked = self.one.check_more(more);
        if self.one.is_failed() {
            self.abort();
        }
        checked
    }

    fn filling(&mut self) -> &mut SealJob {
        let (spare, chunks) = (&mut self.spare, self.plan.job_chunks);
        self.filling.get_or_insert_with(|| spare.pop().unwrap_or_else(|| SealJob::new(chunks)))
    }

    /// Counts what the job that takes plaintext was given, and hands it on when it is full.
    fn took(&mut self, n: usize) -> Result<(), SealError> {
        let job = self.filling();
        job.took(n);
        let full = job.is_full();
        self.one.count(n);
        if full { self.submit() } else { Ok(()) }
    }

    /// Hands on the full chunks there are; one that is not full goes to the front of the next job.
    fn submit(&mut self) -> Result<(), SealError> {
        let Some(mut job) = self.filling.take_if(|job| job.chunks > 0) else { return Ok(()) };
        if job.partial > 0 {
            self.filling().begin_with(job.partial());
            job.wipe_partial();
        }
        job.index = self.index;
        self.index += job.chunks as u64;
        let small = self.plan.is_small(job.chunks);
        let submitted = self.pool.as_mut().map_or(Ok(()), |pool| pool.submit(job, small));
        submitted.map_err(|lost| self.lose(lost))
    }

    fn lose(&mut self, lost: Lost) -> SealError {
        self.abort();
        match lost {
            Lost::Forked => SealError::Forked,
            Lost::Panicked => SealError::Io(io::Error::other("a thread that was sealing chunks panicked")),
        }
    }
}

#[cfg(test)]
impl ParallelSealMachine {
    pub(super) fn pool_for_test(&self) -> Option<&Pool<SealJob>> {
        self.pool.as_ref()
    }

    /// Whether the message is complete and all of it was taken.
    pub(super) fn is_done(&self) -> bool {
        self.out.is_none() && self.in_flight() == 0 && self.one.is_done()
    }

    pub(super) fn set_plaintext_len_for_test(&mut self, len: u64) {
        self.one.set_plaintext_len_for_test(len);
    }

    /// A planted bug: the job that takes plaintext now panics when it is run.
    pub(super) fn plant_panic(&mut self) {
        self.filling().panics = true;
    }
}

impl fmt::Debug for ParallelSealMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParallelSealMachine")
            .field("machine", &self.one)
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

/// Full chunks of plaintext with room for their tags, and behind them one that is not full and stays with the machine.
pub(super) struct SealJob {
    buffer: Vec<u8>,
    /// The first chunk's.
    index: u64,
    chunks: usize,
    partial: usize,
    is_sealed: bool,
    /// Whether room was handed out to read into: a reader may leave plaintext behind that it does not count.
    lent: bool,
    #[cfg(test)]
    panics: bool,
}

impl SealJob {
    fn new(chunks: usize) -> Self {
        Self {
            buffer: vec![0; chunks * SEALED_CHUNK_LEN],
            index: 0,
            chunks: 0,
            partial: 0,
            is_sealed: false,
            lent: false,
            #[cfg(test)]
            panics: false,
        }
    }

    fn begin_with(&mut self, partial: &[u8]) {
        self.buffer[..partial.len()].copy_from_slice(partial);
        self.partial = partial.len();
    }

    /// Where plaintext may be put, chunk by chunk.
    fn rooms(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let mut taken = self.partial;
        self.buffer[self.chunks * SEALED_CHUNK_LEN..].chunks_exact_mut(SEALED_CHUNK_LEN).map(move |chunk| {
            let free = std::mem::take(&mut taken);
            &mut chunk[free..CHUNK_LEN]
        })
    }

    fn took(&mut self, n: usize) {
        let len = self.partial + n;
        self.chunks += len / CHUNK_LEN;
        self.partial = len % CHUNK_LEN;
        let end = self.chunks * SEALED_CHUNK_LEN + self.partial;
        assert!(end <= self.buffer.len(), "a reader claims more bytes than there was room for");
    }

    fn is_full(&self) -> bool {
        self.chunks * SEALED_CHUNK_LEN == self.buffer.len()
    }

    fn partial(&self) -> &[u8] {
        &self.buffer[self.chunks * SEALED_CHUNK_LEN..][..self.partial]
    }

    fn wipe_partial(&mut self) {
        let at = self.chunks * SEALED_CHUNK_LEN;
        wipe(&mut self.buffer[at..at + self.partial]);
        self.partial = 0;
    }

    fn sealed(&self) -> &[u8] {
        &self.buffer[..self.chunks * SEALED_CHUNK_LEN]
    }

    /// Ready to be filled again. What is in it is ciphertext now, but for what a reader left uncounted.
    fn empty(&mut self) {
        self.lent &= !self.is_full();
        (self.chunks, self.is_sealed) = (0, false);
    }
}

impl Job for SealJob {
    fn run(&mut self, cipher: &ChunkCipher) {
        #[cfg(test)]
        assert!(!self.panics, "a planted panic");
        let chunks = self.buffer[..self.chunks * SEALED_CHUNK_LEN].chunks_exact_mut(SEALED_CHUNK_LEN);
        for (index, chunk) in (self.index..).zip(chunks) {
            cipher.seal_in_place(index, chunk);
        }
        self.is_sealed = true;
    }
}

impl Drop for SealJob {
    fn drop(&mut self) {
        let plaintext = self.chunks * SEALED_CHUNK_LEN + self.partial;
        let from = if self.is_sealed { plaintext - self.partial } else { 0 };
        let range = if self.lent { 0..self.buffer.len() } else { from..plaintext };
        wipe(&mut self.buffer[range]);
    }
}
