//! The opening machine on several threads: a body in by `space` and `filled`, plaintext out by `pending` and `advance`.
//!
//! As [`OpenMachine`], but that the chunks that are here are opened by [`poll_open`](ParallelOpenMachine::poll_open),
//! which waits for threads. Only full chunks go to them: what follows the last full one goes back to the machine for
//! one thread, which knows the rules of the end, keeps the verdict, and says it again.

use std::{
    fmt,
    task::{Context, Poll, ready},
};

use super::{
    Plan,
    pool::{Job, Lost, Pool},
};
use crate::{
    error::OpenError,
    limits::{CHUNK_LEN, MAX_CHUNKS, SEALED_CHUNK_LEN},
    secret::wipe,
    stream::{
        chunk::ChunkCipher,
        open::{Fault, Open, OpenMachine},
    },
};

/// Opens one body, by one thread first and by several when it gets long.
pub(crate) struct ParallelOpenMachine {
    one: OpenMachine,
    cipher: ChunkCipher,
    plan: Plan,
    pool: Option<Pool<OpenJob>>,
    /// The job that is read into.
    filling: Option<OpenJob>,
    /// The job whose plaintext is taken.
    out: Option<OpenJob>,
    /// Jobs that were taken, for their buffers.
    spare: Vec<OpenJob>,
    /// Whether what is here is given out before more is asked for.
    delivering: bool,
    ended: bool,
    /// The first chunk of the next job.
    index: u64,
    /// Bytes of plaintext opened and claimed, but for what the machine for one counts.
    plaintext_len: u64,
}

impl ParallelOpenMachine {
    pub(crate) fn new(cipher: ChunkCipher, plan: Plan) -> Self {
        Self {
            one: OpenMachine::starting_at(0),
            cipher,
            plan,
            pool: None,
            filling: None,
            out: None,
            spare: Vec::new(),
            delivering: false,
            ended: false,
            index: 0,
            plaintext_len: 0,
        }
    }

    /// Opens, or waits for what is being opened. Afterwards there is something [pending](Self::pending), or the machine
    /// [wants input](Self::wants_input), or it [is done](Self::is_done). Without a context this is never `Pending`.
    pub(crate) fn poll_open(
        &mut self,
        open: Open,
        context: Option<&mut Context<'_>>,
    ) -> Poll<Result<(), OpenError>> {
        if !self.pending().is_empty() {
            return Poll::Ready(Ok(()));
        }
        let Some(pool) = self.pool.as_mut() else {
            return Poll::Ready(open(&mut self.one, &self.cipher));
        };
        if self.ended || self.delivering || pool.in_flight() >= self.plan.most_in_flight() {
            match ready!(pool.claim(true, context)) {
                Ok(Some(job)) => return Poll::Ready(self.take_out(job)),
                Ok(None) => self.delivering = false,
                Err(lost) => return Poll::Ready(Err(self.lose(lost))),
            }
        } else if !pool.is_starving() {
            // Every thread has something to go on with. Otherwise reading comes first, and giving out second.
            match ready!(pool.claim(false, context)) {
                Ok(Some(job)) => return Poll::Ready(self.take_out(job)),
                Ok(None) => {}
                Err(lost) => return Poll::Ready(Err(self.lose(lost))),
            }
        }
        let opened = if self.ended { self.one.open_next(&self.cipher) } else { Ok(()) };
        Poll::Ready(opened.inspect_err(|_| self.clear()))
    }

    /// Opens as many full chunks as are here and fit, straight into `out`, as long as one thread is at work.
    pub(crate) fn open_into(&mut self, out: &mut [u8]) -> Result<usize, OpenError> {
        if self.pool.is_some() { Ok(0) } else { self.one.open_into(&self.cipher, out) }
    }

    /// Whether more ciphertext is needed before anything can be opened, or welcome while something is.
    pub(crate) fn wants_input(&self) -> bool {
        match &self.pool {
            None => self.one.wants_input(),
            Some(pool) => !self.ended && !self.delivering && pool.in_flight() < self.plan.most_in_flight(),
        }
    }

    /// Room to read ciphertext into. Never empty while the machine wants input.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if !self.start_when_it_pays() {
            return self.one.space();
        }
        if !self.wants_input() {
            return &mut [];
        }
        let job = self.filling();
        &mut job.buffer[job.fill..]
    }

    /// Says that `n` bytes of [`space`](Self::space) now hold ciphertext; 0 means that the input has ended.
    pub(crate) fn filled(&mut self, n: usize) {
        if self.pool.is_none() {
            return self.one.filled(n);
        }
        let job = self.filling();
        assert!(n <= job.buffer.len() - job.fill, "a reader claims more bytes than there was room for");
        job.fill += n;
        if job.fill == job.buffer.len() {
            self.submit();
        } else if n == 0 && !self.ended {
            self.submit();
            if self.pool.is_none() {
                return;
            }
            let rest = self.filling.take();
            self.one.finish_at(self.index, rest.as_ref().map_or(&[], |rest| &rest.buffer[..rest.fill]));
            self.ended = true;
        }
    }

    /// Has everything that is here given out before more is asked for, and says whether there is anything.
    pub(crate) fn deliver(&mut self) -> bool {
        if self.pool.is_none() {
            return !self.one.wants_input();
        }
        self.submit();
        self.delivering = self.in_flight() > 0;
        // A failure is told like plaintext: before more is read.
        self.delivering || self.pool.is_none()
    }

    /// Verified plaintext that was not taken yet, of the first chunk that has some.
    pub(crate) fn pending(&self) -> &[u8] {
        match &self.out {
            Some(job) => job.pending(),
            None if self.in_flight() == 0 => self.one.pending(),
            None => &[],
        }
    }

    /// All the verified plaintext that was not taken yet, chunk by chunk, in order.
    pub(crate) fn all_pending(&self) -> impl Iterator<Item = &[u8]> {
        let one = (self.out.is_none() && self.in_flight() == 0).then(|| self.one.all_pending());
        self.out.iter().flat_map(OpenJob::all_pending).chain(one.into_iter().flatten())
    }

    /// Says that the first `n` pending bytes were taken.
    pub(crate) fn advance(&mut self, n: usize) {
        let Some(mut job) = self.out.take() else { return self.one.advance(n) };
        job.taken += n;
        assert!(job.taken <= job.opened * CHUNK_LEN, "a reader took more bytes than there were");
        if job.taken < job.opened * CHUNK_LEN {
            self.out = Some(job);
        } else if let Some(fault) = job.fault {
            // Said when it is asked for again.
            self.fail(fault);
        } else {
            job.empty();
            self.spare.push(job);
        }
    }

    /// Whether the message was complete and all of it was taken.
    pub(crate) fn is_done(&self) -> bool {
        self.out.is_none() && self.in_flight() == 0 && self.one.is_done()
    }

    /// Bytes of plaintext opened and ready so far.
    pub(crate) fn plaintext_len(&self) -> u64 {
        self.plaintext_len + self.one.plaintext_len()
    }

    fn in_flight(&self) -> usize {
        self.pool.as_ref().map_or(0, Pool::in_flight)
    }

    /// Whether several threads are at work, which begins here where the machine for one has nothing left to open.
    fn start_when_it_pays(&mut self) -> bool {
        if self.pool.is_none()
            && !self.ended
            && self.plan.pays_for(self.one.plaintext_len())
            && self.one.wants_input()
        {
            self.plaintext_len = self.one.plaintext_len();
            let mut job = OpenJob::new(self.plan.job_chunks);
            self.index = self.one.hand_over(|rest| job.begin_with(rest));
            self.filling = Some(job);
            self.pool = Some(Pool::new(self.plan.workers, self.cipher.clone()));
        }
        self.pool.is_some()
    }

    fn filling(&mut self) -> &mut OpenJob {
        let (spare, chunks) = (&mut self.spare, self.plan.job_chunks);
        self.filling.get_or_insert_with(|| spare.pop().unwrap_or_else(|| OpenJob::new(chunks)))
    }

    /// Hands on the full chunks there are; what is less than one goes to the front of the next job.
    ///
    /// A failure is in the state by then, and told by the next call that opens.
    fn submit(&mut self) {
        let Some(mut job) = self.filling.take_if(|job| job.fill >= SEALED_CHUNK_LEN) else { return };
        let chunks = job.fill / SEALED_CHUNK_LEN;
        let rest = job.fill % SEALED_CHUNK_LEN;
        if rest > 0 {
            job.fill -= rest;
            self.filling().begin_with(&job.buffer[job.fill..][..rest]);
        }
        job.index = self.index;
        self.index += chunks as u64;
        let small = self.plan.is_small(chunks);
        let submitted = self.pool.as_mut().map_or(Ok(()), |pool| pool.submit(job, small));
        if let Err(lost) = submitted {
            self.lose(lost);
        }
    }

    fn take_out(&mut self, job: OpenJob) -> Result<(), OpenError> {
        self.plaintext_len += (job.opened * CHUNK_LEN) as u64;
        match job.fault {
            Some(fault) if job.opened == 0 => Err(self.fail(fault)),
            _ => {
                self.out = Some(job);
                Ok(())
            }
        }
    }

    fn lose(&mut self, lost: Lost) -> OpenError {
        self.fail(match lost {
            Lost::Panicked => Fault::Panicked,
            Lost::Forked => Fault::Forked,
        })
    }

    /// Final: nothing behind the fault is given out, and everything is wiped.
    // fmt: O-19
    fn fail(&mut self, fault: Fault) -> OpenError {
        self.clear();
        self.one.fail(fault)
    }

    /// Ends the threads and wipes every job, also those that were taken.
    fn clear(&mut self) {
        (self.pool, self.filling, self.out) = (None, None, None);
        self.spare = Vec::new();
        self.plan.workers = 0;
    }
}

#[cfg(test)]
impl ParallelOpenMachine {
    pub(super) fn pool_for_test(&self) -> Option<&Pool<OpenJob>> {
        self.pool.as_ref()
    }

    /// Goes to another chunk before anything was read.
    pub(super) fn set_index_for_test(&mut self, index: u64) {
        self.one = OpenMachine::starting_at(index);
    }

    /// A planted bug: the job that is read into now panics when it is run.
    pub(super) fn plant_panic(&mut self) {
        self.filling().panics = true;
    }
}

impl fmt::Debug for ParallelOpenMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParallelOpenMachine")
            .field("machine", &self.one)
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}

/// Full sealed chunks, none of which is the last, and behind them less than one that stays with the machine.
pub(super) struct OpenJob {
    buffer: Vec<u8>,
    /// The first chunk's.
    index: u64,
    /// Bytes of ciphertext.
    fill: usize,
    /// Chunks opened, from the first on.
    opened: usize,
    fault: Option<Fault>,
    /// Bytes of plaintext that were taken.
    taken: usize,
    /// The farthest that the buffer ever held plaintext, which is what has to be wiped.
    touched: usize,
    #[cfg(test)]
    panics: bool,
}

impl OpenJob {
    fn new(chunks: usize) -> Self {
        Self {
            buffer: vec![0; chunks * SEALED_CHUNK_LEN],
            index: 0,
            fill: 0,
            opened: 0,
            fault: None,
            taken: 0,
            touched: 0,
            #[cfg(test)]
            panics: false,
        }
    }

    fn begin_with(&mut self, rest: &[u8]) {
        self.buffer[..rest.len()].copy_from_slice(rest);
        self.fill = rest.len();
    }

    fn pending(&self) -> &[u8] {
        self.all_pending().next().unwrap_or(&[])
    }

    fn all_pending(&self) -> impl Iterator<Item = &[u8]> {
        let mut taken = self.taken % CHUNK_LEN;
        let from = self.taken / CHUNK_LEN * SEALED_CHUNK_LEN;
        let chunks = self.buffer[from..self.opened * SEALED_CHUNK_LEN].chunks_exact(SEALED_CHUNK_LEN);
        chunks.map(move |chunk| &chunk[std::mem::take(&mut taken)..CHUNK_LEN])
    }

    /// Ready to be filled again.
    fn empty(&mut self) {
        (self.fill, self.opened, self.taken) = (0, 0, 0);
    }
}

impl Job for OpenJob {
    fn run(&mut self, cipher: &ChunkCipher) {
        #[cfg(test)]
        assert!(!self.panics, "a planted panic");
        let chunks = self.buffer[..self.fill].chunks_exact_mut(SEALED_CHUNK_LEN);
        for (index, chunk) in (self.index..).zip(chunks) {
            // fmt: O-18, B-4
            if index >= MAX_CHUNKS {
                self.fault = Some(Fault::TooLong);
                return;
            }
            // What is opened next may be plaintext when the thread stops.
            self.touched = self.touched.max((self.opened + 1) * SEALED_CHUNK_LEN);
            // fmt: O-16, O-17
            if cipher.open_in_place(index, chunk).is_err() {
                self.fault = Some(Fault::Tampered);
                return;
            }
            self.opened += 1;
        }
    }
}

impl Drop for OpenJob {
    fn drop(&mut self) {
        wipe(&mut self.buffer[..self.touched]);
    }
}
