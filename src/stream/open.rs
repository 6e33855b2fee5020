//! The opening machine: a body in by `space` and `filled`, plaintext out by `pending` and `advance`.
//!
//! It knows neither reader nor header. Nothing leaves before its chunk's tag is verified; the end of the input
//! is an end of the message only if the last chunk, which is always short, was there; and a failure is final:
//! the buffer is wiped and every later call says the same.

use std::{fmt, io, ops::Range};

use super::{GROUP_LEN, GROWTH, chunk::ChunkCipher};
use crate::{
    error::OpenError,
    limits::{CHUNK_LEN, MAX_CHUNKS, MAX_PLAINTEXT_LEN, SEALED_CHUNK_LEN, TAG_LEN},
    secret::wipe,
};

/// Opens one body, chunk by chunk.
///
/// The buffer holds ciphertext at `start..fill`, and before it chunks that were opened in place and not taken yet:
/// `opened` is the plaintext of the first of them, the others begin at `behind` and end at `start`.
pub(crate) struct OpenMachine {
    buffer: Vec<u8>,
    opened: Range<usize>,
    behind: usize,
    start: usize,
    fill: usize,
    /// Bytes of the buffer that are read into: more each time that the reader had as many.
    window: usize,
    /// The farthest that the buffer ever held plaintext, which is what has to be wiped.
    touched: usize,
    index: u64,
    plaintext_len: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    /// The input ended; what is left in the buffer holds the last chunk.
    EndOfInput,
    /// The last chunk was opened.
    Complete,
    Failed(Fault),
}

/// Why a body was refused: small, so that it can be said again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Truncated,
    Tampered,
    TooLong,
    /// A thread that was opening chunks panicked.
    Panicked,
    /// This process is a fork of the one whose threads were opening chunks.
    Forked,
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Truncated => Self::Truncated("the message ends before its last chunk"),
            Fault::Tampered => Self::Tampered("a chunk of the body does not verify"),
            Fault::TooLong => {
                Self::LimitExceeded { what: "plaintext of a message (bytes)", limit: MAX_PLAINTEXT_LEN }
            }
            Fault::Panicked => Self::Io(io::Error::other("a thread that was opening chunks panicked")),
            Fault::Forked => {
                Self::Usage("the process forked while opening by several threads: open anew in the child")
            }
        }
    }
}

impl OpenMachine {
    /// A machine whose input begins with the chunk of this index: 0, or wherever a reader sought to.
    pub(crate) fn starting_at(index: u64) -> Self {
        Self {
            buffer: Vec::new(),
            opened: 0..0,
            behind: 0,
            start: 0,
            fill: 0,
            window: 0,
            touched: 0,
            index,
            plaintext_len: 0,
            state: State::Reading,
        }
    }

    /// Begins again at another chunk, keeping the buffer.
    pub(crate) fn restart_at(&mut self, index: u64) {
        wipe(&mut self.buffer[..self.touched]);
        let buffer = std::mem::take(&mut self.buffer);
        // What is replaced below is dropped, and must not look for bytes in the buffer that was just taken out.
        self.touched = 0;
        *self = Self::starting_at(index);
        self.buffer = buffer;
    }

    /// Room to read ciphertext into. Never empty while the machine [wants input](Self::wants_input).
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if !self.opened.is_empty() || self.state != State::Reading {
            return &mut [];
        }
        let rest = self.fill - self.start;
        if self.window == 0 {
            self.window = SEALED_CHUNK_LEN;
        } else if self.start > 0 && self.fill == self.window {
            self.window = (GROWTH * self.window).min(GROUP_LEN);
        }
        if self.buffer.len() < self.window {
            let mut larger = vec![0; self.window];
            larger[..rest].copy_from_slice(&self.buffer[self.start..self.fill]);
            wipe(&mut self.buffer[..self.touched]);
            (self.buffer, self.touched) = (larger, 0);
        } else if self.start > 0 {
            self.buffer.copy_within(self.start..self.fill, 0);
        }
        (self.behind, self.start, self.fill) = (0, 0, rest);
        // Whoever asks for room without need may have more there than the window.
        &mut self.buffer[rest..self.window.max(rest)]
    }

    /// Says that `n` bytes of [`space`](Self::space) now hold ciphertext; 0 means that the input has ended.
    pub(crate) fn filled(&mut self, n: usize) {
        if n == 0 {
            if self.state == State::Reading {
                self.state = State::EndOfInput;
            }
            return;
        }
        assert!(n <= self.buffer.len() - self.fill, "a reader claims more bytes than there was room for");
        self.fill += n;
    }

    /// Whether more ciphertext is needed before anything can be opened.
    pub(crate) fn wants_input(&self) -> bool {
        self.state == State::Reading && self.opened.is_empty() && self.fill - self.start < SEALED_CHUNK_LEN
    }

    /// Opens the next chunk in place, if nothing is pending and there is one.
    pub(crate) fn open_next(&mut self, cipher: &ChunkCipher) -> Result<(), OpenError> {
        if self.opened.is_empty() { self.open_in_place(cipher).map(drop) } else { Ok(()) }
    }

    /// Opens all the chunks that are here in place, if nothing is pending.
    ///
    /// After a failure behind the first chunk the good ones are pending; the error follows once they were taken.
    pub(crate) fn open_all(&mut self, cipher: &ChunkCipher) -> Result<(), OpenError> {
        self.open_next(cipher)?;
        // An error here is in the state by now.
        while !self.opened.is_empty() && self.open_in_place(cipher).unwrap_or(false) {}
        Ok(())
    }

    /// Opens one more chunk in place, behind what is pending, and says whether there was one.
    fn open_in_place(&mut self, cipher: &ChunkCipher) -> Result<bool, OpenError> {
        let available = self.fill - self.start;
        let sealed = match self.state {
            State::Failed(fault) => return Err(self.fail(fault)),
            State::Complete => return Ok(false),
            // A full chunk is never the last one.
            _ if available >= SEALED_CHUNK_LEN => SEALED_CHUNK_LEN,
            State::Reading => return Ok(false),
            // fmt: O-18
            State::EndOfInput if available < TAG_LEN => return Err(self.fail(Fault::Truncated)),
            State::EndOfInput => available,
        };
        self.check_index()?;
        let end = self.start + sealed;
        let chunk = &mut self.buffer[self.start..end];
        // fmt: O-16, O-17
        let Ok(len) = cipher.open_in_place(self.index, chunk) else { return Err(self.fail(Fault::Tampered)) };
        self.touched = self.touched.max(end);
        if self.opened.is_empty() {
            (self.opened, self.behind) = (self.start..self.start + len, end);
        }
        self.took_chunk(sealed);
        Ok(true)
    }

    /// Opens as many full chunks as are here and fit, straight into `out`, and says how many bytes that was.
    ///
    /// After a failure behind the first chunk the good ones are still reported; the error follows next time.
    pub(crate) fn open_into(&mut self, cipher: &ChunkCipher, out: &mut [u8]) -> Result<usize, OpenError> {
        let mut written = 0;
        if let (State::Failed(fault), true) = (self.state, self.opened.is_empty()) {
            return Err(self.fail(fault));
        }
        while self.opened.is_empty()
            && self.fill - self.start >= SEALED_CHUNK_LEN
            && out.len() - written >= CHUNK_LEN
        {
            let chunk = self.start..self.start + SEALED_CHUNK_LEN;
            let plaintext = &mut out[written..written + CHUNK_LEN];
            let opened = self.check_index().and_then(|()| {
                cipher
                    .open_to(self.index, &self.buffer[chunk], plaintext)
                    .map_err(|_| self.fail(Fault::Tampered))
            });
            match opened {
                Ok(()) => self.took_chunk(SEALED_CHUNK_LEN),
                Err(error) if written == 0 => return Err(error),
                Err(_) => break,
            }
            written += CHUNK_LEN;
        }
        Ok(written)
    }

    /// Verified plaintext that was not taken yet, of the first chunk that has some.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.buffer[self.opened.clone()]
    }

    /// All the verified plaintext that was not taken yet, chunk by chunk, in order.
    pub(crate) fn all_pending(&self) -> impl Iterator<Item = &[u8]> {
        let behind = self.buffer[self.behind..self.start].chunks(SEALED_CHUNK_LEN);
        std::iter::once(self.pending()).chain(behind.map(|chunk| &chunk[..chunk.len() - TAG_LEN]))
    }

    /// Says that the first `n` pending bytes were taken.
    pub(crate) fn advance(&mut self, mut n: usize) {
        loop {
            let taken = n.min(self.opened.len());
            self.opened.start += taken;
            n -= taken;
            if !self.opened.is_empty() || self.behind == self.start {
                assert!(n == 0, "a reader took more bytes than there were");
                return;
            }
            let end = (self.behind + SEALED_CHUNK_LEN).min(self.start);
            (self.opened, self.behind) = (self.behind..end - TAG_LEN, end);
        }
    }

    /// Whether the message was complete and all of it was taken.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Complete && self.opened.is_empty()
    }

    /// Bytes of plaintext opened so far.
    pub(crate) fn plaintext_len(&self) -> u64 {
        self.plaintext_len
    }

    fn took_chunk(&mut self, sealed: usize) {
        self.index += 1;
        self.start += sealed;
        if self.opened.is_empty() {
            self.behind = self.start;
        }
        self.plaintext_len += (sealed - TAG_LEN) as u64;
        if sealed < SEALED_CHUNK_LEN {
            self.state = State::Complete;
        }
    }

    fn check_index(&mut self) -> Result<(), OpenError> {
        // fmt: O-18, B-4
        if self.index >= MAX_CHUNKS { Err(self.fail(Fault::TooLong)) } else { Ok(()) }
    }

    /// Gives up the ciphertext that is less than a chunk to `keep`, and the buffer; says which chunk comes next.
    pub(super) fn hand_over(&mut self, keep: impl FnOnce(&[u8])) -> u64 {
        keep(&self.buffer[self.start..self.fill]);
        wipe(&mut self.buffer[..self.touched]);
        self.touched = 0;
        let index = self.index;
        *self = Self::starting_at(index);
        index
    }

    /// Ends the message here after others opened up to chunk `index`: `rest` is the ciphertext behind that.
    pub(super) fn finish_at(&mut self, index: u64, rest: &[u8]) {
        *self = Self::starting_at(index);
        self.buffer = rest.to_vec();
        self.fill = rest.len();
        self.state = State::EndOfInput;
    }

    /// Final: wipes what was read and opened, but for what is verified and pending, and remembers why.
    // fmt: O-19
    pub(super) fn fail(&mut self, fault: Fault) -> OpenError {
        self.state = State::Failed(fault);
        if self.opened.is_empty() {
            (self.opened, self.behind, self.start) = (0..0, 0, 0);
        }
        self.fill = self.start;
        wipe(&mut self.buffer[self.start..]);
        fault.into()
    }
}

/// How much a machine opens at a time: [`OpenMachine::open_next`] or [`OpenMachine::open_all`].
pub(crate) type Open = fn(&mut OpenMachine, &ChunkCipher) -> Result<(), OpenError>;

#[cfg(test)]
impl OpenMachine {
    pub(super) fn buffer_for_test(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for OpenMachine {
    fn drop(&mut self) {
        wipe(&mut self.buffer[..self.touched]);
    }
}

impl fmt::Debug for OpenMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenMachine")
            .field("state", &self.state)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}
