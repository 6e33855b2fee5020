//! The sealing machine: plaintext in by `push`, a body out by `pending` and `advance`.
//!
//! It knows neither writer nor header: whoever owns it hands it bytes that go out first (the header). Output is
//! taken before more input; output is a slice plus `advance(n)`, so a short write or a dropped future loses
//! nothing; and the last chunk is made by [`finish`](SealMachine::finish) only, never by dropping the machine.

use std::fmt;

use super::{GROUP_LEN, GROWTH, chunk::ChunkCipher};
use crate::{
    error::SealError,
    fork,
    limits::{CHUNK_LEN, MAX_PLAINTEXT_LEN, SEALED_CHUNK_LEN, TAG_LEN},
    secret::wipe,
};

/// Seals one body, chunk by chunk.
///
/// The buffer holds sealed chunks `..sealed` and behind them the plaintext of the chunk that is not full yet. Elsewhere
/// in it there is plaintext only if a reader left it there.
pub(crate) struct SealMachine {
    cipher: ChunkCipher,
    /// Bytes that go out before the first chunk: header, salt and commitment. Emptied once they are out.
    head: Vec<u8>,
    buffer: Vec<u8>,
    /// Bytes of sealed chunks at the buffer's start.
    sealed: usize,
    /// Bytes of plaintext behind them, fewer than a full chunk.
    partial: usize,
    /// Bytes already taken by `advance`, of the head or else of the buffer.
    sent: usize,
    /// Whether the sealed chunks are on their way out (group full, flush or finish).
    draining: bool,
    /// Whether room was handed out to read into: a reader may leave plaintext behind that it does not count.
    lent: bool,
    index: u64,
    plaintext_len: u64,
    state: State,
    /// The process this machine was made in: a forked child must never seal a chunk that its parent seals too.
    fork_generation: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// `finish` was asked for; the last chunk is sealed as soon as the buffer has room.
    Finishing,
    /// The last chunk is in the buffer.
    Finished,
    Failed,
}

impl SealMachine {
    pub(crate) fn new(cipher: ChunkCipher, head: Vec<u8>, fork_generation: u64) -> Self {
        Self {
            cipher,
            head,
            buffer: Vec::new(),
            sealed: 0,
            partial: 0,
            sent: 0,
            draining: false,
            lent: false,
            index: 0,
            plaintext_len: 0,
            state: State::Open,
            fork_generation,
        }
    }

    /// Takes plaintext and says how much of it: nothing while output is pending.
    ///
    /// Whole chunks are sealed straight from `plaintext`; only the rest is copied.
    pub(crate) fn push(&mut self, plaintext: &[u8]) -> Result<usize, SealError> {
        self.check_open()?;
        if !self.pending().is_empty() || plaintext.is_empty() {
            return Ok(0);
        }
        self.check_len(plaintext.len())?;
        self.make_room(plaintext.len());
        let mut rest = plaintext;
        while !rest.is_empty() && !self.draining {
            if self.partial == 0 && rest.len() >= CHUNK_LEN {
                let (chunk, behind) = rest.split_at(CHUNK_LEN);
                let room = &mut self.buffer[self.sealed..self.sealed + SEALED_CHUNK_LEN];
                self.cipher.seal_to(self.index, chunk, room);
                self.chunk_done();
                rest = behind;
            } else {
                let taken = rest.len().min(CHUNK_LEN - self.partial);
                let at = self.sealed + self.partial;
                self.buffer[at..at + taken].copy_from_slice(&rest[..taken]);
                self.took(taken);
                rest = &rest[taken..];
            }
        }
        let taken = plaintext.len() - rest.len();
        self.plaintext_len += taken as u64;
        Ok(taken)
    }

    /// Room to read plaintext into, chunk by chunk, in order: none while output is pending.
    pub(crate) fn spaces(&mut self) -> Result<impl Iterator<Item = &mut [u8]>, SealError> {
        self.check_open()?;
        let from = if self.pending().is_empty() {
            self.make_room(1);
            self.sealed
        } else {
            self.buffer.len()
        };
        self.lent = true;
        let mut taken = self.partial;
        Ok(self.buffer[from..].chunks_exact_mut(SEALED_CHUNK_LEN).map(move |chunk| {
            let free = std::mem::take(&mut taken);
            &mut chunk[free..CHUNK_LEN]
        }))
    }

    /// Says that the first `n` bytes of [`spaces`](Self::spaces) now hold plaintext.
    pub(crate) fn filled(&mut self, mut n: usize) -> Result<(), SealError> {
        self.check_open()?;
        self.check_len(n)?;
        self.plaintext_len += n as u64;
        assert!(n == 0 || self.pending().is_empty(), "a reader claims bytes when there was no room");
        while n > 0 {
            assert!(self.sealed < self.buffer.len(), "a reader claims more bytes than there was room for");
            let taken = n.min(CHUNK_LEN - self.partial);
            self.took(taken);
            n -= taken;
        }
        Ok(())
    }

    /// Lets every full chunk out. The chunk that is not full stays: its end would be the message's end.
    pub(crate) fn flush(&mut self) {
        if self.sealed > 0 {
            self.draining = true;
        }
    }

    /// Ends the message: the last chunk, always shorter than the others and possibly empty, follows what is
    /// pending. May be called again; does nothing then.
    pub(crate) fn finish(&mut self) -> Result<(), SealError> {
        match self.state {
            State::Failed => return Err(SealError::Poisoned),
            State::Finishing | State::Finished => return Ok(()),
            State::Open => self.check_open()?,
        }
        self.state = State::Finishing;
        self.seal_last();
        Ok(())
    }

    /// The bytes to write next: empty when the machine wants input, or is done.
    pub(crate) fn pending(&self) -> &[u8] {
        if !self.head.is_empty() {
            &self.head[self.sent..]
        } else if self.draining {
            &self.buffer[self.sent..self.sealed]
        } else {
            &[]
        }
    }

    /// Says that the first `n` pending bytes were written.
    pub(crate) fn advance(&mut self, n: usize) {
        assert!(n <= self.pending().len(), "a writer claims more bytes than it was given");
        self.sent += n;
        if !self.pending().is_empty() {
            return;
        }
        self.sent = 0;
        if !self.head.is_empty() {
            self.head = Vec::new();
        } else if self.draining {
            // What is left is the chunk that is not full: to the front, so that the group is whole again.
            let partial = self.sealed..self.sealed + self.partial;
            self.buffer.copy_within(partial.clone(), 0);
            wipe(&mut self.buffer[partial]);
            self.sealed = 0;
            self.draining = false;
        }
        if self.state == State::Finishing {
            self.seal_last();
        }
    }

    /// Bytes of plaintext taken so far.
    pub(crate) fn plaintext_len(&self) -> u64 {
        self.plaintext_len
    }

    /// Ends the machine without a last chunk: what is out so far is never a valid message.
    pub(crate) fn abort(&mut self) {
        self.state = State::Failed;
        self.head = Vec::new();
        self.wipe();
        (self.sealed, self.partial, self.sent, self.draining) = (0, 0, 0, false);
    }

    /// Whether nothing of the body is under way here but a chunk that is not full: others may seal what follows.
    pub(super) fn is_between_groups(&self) -> bool {
        self.state == State::Open && self.head.is_empty() && self.sealed == 0
    }

    /// Gives up the chunk that is not full to `keep`, and the buffer; says which chunk comes next.
    pub(super) fn hand_over(&mut self, keep: impl FnOnce(&[u8])) -> u64 {
        keep(&self.buffer[self.sealed..self.sealed + self.partial]);
        self.wipe();
        (self.buffer, self.partial, self.lent) = (Vec::new(), 0, false);
        self.index
    }

    /// Whether plaintext may be taken, and `more` bytes of it.
    pub(super) fn check_more(&mut self, more: usize) -> Result<(), SealError> {
        self.check_open()?;
        self.check_len(more)
    }

    /// Counts `n` bytes that were [checked](Self::check_more) and that others seal.
    pub(super) fn count(&mut self, n: usize) {
        self.plaintext_len += n as u64;
    }

    /// Ends the message here after others sealed up to chunk `index`: `partial` is what is left for the last one.
    pub(super) fn finish_at(&mut self, index: u64, partial: &[u8]) -> Result<(), SealError> {
        self.check_open()?;
        self.index = index;
        self.buffer = vec![0; partial.len() + TAG_LEN];
        self.buffer[..partial.len()].copy_from_slice(partial);
        self.partial = partial.len();
        self.finish()
    }

    pub(super) fn is_failed(&self) -> bool {
        self.state == State::Failed
    }

    /// Whether `finish` was called, and the last chunk is made or about to be.
    pub(super) fn is_finished(&self) -> bool {
        matches!(self.state, State::Finishing | State::Finished)
    }

    fn check_open(&mut self) -> Result<(), SealError> {
        match self.state {
            State::Failed => Err(SealError::Poisoned),
            State::Finishing | State::Finished => Err(SealError::Usage("this message is finished")),
            State::Open if self.fork_generation != fork::generation() => {
                self.abort();
                Err(SealError::Forked)
            }
            State::Open => Ok(()),
        }
    }

    fn check_len(&mut self, more: usize) -> Result<(), SealError> {
        // fmt: M-2
        if self.plaintext_len.checked_add(more as u64).is_none_or(|len| len > MAX_PLAINTEXT_LEN) {
            self.abort();
            return Err(SealError::LimitExceeded {
                what: "plaintext of a message (bytes)",
                limit: MAX_PLAINTEXT_LEN,
            });
        }
        Ok(())
    }

    /// Room for what is coming, up to a group; more each time that there is still more.
    fn make_room(&mut self, incoming: usize) {
        // Only between groups, when nothing lies in the buffer.
        if self.sealed > 0 || self.partial > 0 || self.buffer.len() == GROUP_LEN {
            return;
        }
        let coming = incoming.div_ceil(CHUNK_LEN).saturating_mul(SEALED_CHUNK_LEN);
        let grown = if self.index > 0 { GROWTH * self.buffer.len() } else { self.buffer.len() };
        let len = coming.max(grown).min(GROUP_LEN);
        if len > self.buffer.len() {
            self.wipe();
            self.buffer = vec![0; len];
        }
    }

    fn took(&mut self, n: usize) {
        self.partial += n;
        if self.partial == CHUNK_LEN {
            let chunk = &mut self.buffer[self.sealed..self.sealed + SEALED_CHUNK_LEN];
            self.cipher.seal_in_place(self.index, chunk);
            self.partial = 0;
            self.chunk_done();
        }
    }

    fn chunk_done(&mut self) {
        self.index += 1;
        self.sealed += SEALED_CHUNK_LEN;
        self.draining |= self.sealed == self.buffer.len();
    }

    fn seal_last(&mut self) {
        if !self.pending().is_empty() && self.sealed == self.buffer.len() {
            return; // the group is full: once it is out, `advance` comes back here
        }
        if self.buffer.is_empty() {
            self.buffer = vec![0; TAG_LEN];
        }
        let end = self.sealed + self.partial + TAG_LEN;
        // fmt: B-1, N-7
        self.cipher.seal_in_place(self.index, &mut self.buffer[self.sealed..end]);
        (self.sealed, self.partial) = (end, 0);
        self.draining = true;
        self.state = State::Finished;
    }

    fn wipe(&mut self) {
        let from = if self.lent { 0 } else { self.sealed };
        let to = if self.lent { self.buffer.len() } else { self.sealed + self.partial };
        wipe(&mut self.buffer[from..to]);
    }
}

#[cfg(test)]
impl SealMachine {
    /// Whether the message is complete and all of it was taken.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Finished && self.pending().is_empty()
    }

    pub(super) fn buffer_for_test(&self) -> &[u8] {
        &self.buffer
    }

    pub(super) fn set_plaintext_len_for_test(&mut self, len: u64) {
        self.plaintext_len = len;
    }
}

impl Drop for SealMachine {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl fmt::Debug for SealMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealMachine")
            .field("state", &self.state)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}
