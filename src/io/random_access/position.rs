//! Where a reader that seeks stands, and what its source has to do next. No I/O.
//!
//! An adapter calls a step and does what it says, a seek or a read, until the step says that all is ready. It may
//! stop in between, come back later or ask for something else: nothing is lost by that.

use std::io::SeekFrom;

use super::{BEYOND, check_offset};
use crate::{
    error::OpenError,
    format::body::plaintext_len,
    io::OpenReport,
    limits::{BODY_START_LEN, CHUNK_LEN, SEALED_CHUNK_LEN},
    stream::{
        chunk::ChunkCipher,
        open::{Open, OpenMachine},
    },
};

/// A position in a message's plaintext, and the machines that open around it.
pub(in crate::io) struct Position {
    cipher: ChunkCipher,
    machine: OpenMachine,
    /// Opens the last chunk, while the length is being verified.
    last: Option<OpenMachine>,
    report: OpenReport,
    /// Where in the source the first chunk begins, in bytes.
    base: u64,
    position: u64,
    length_verified: bool,
    /// Whose next byte the source stands on.
    feeds: Feeds,
    /// The same, once the source is where the last step sent it.
    sent_for: Feeds,
    /// Bytes of the machine's chunk that lie before the position.
    skip: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Feeds {
    Nobody,
    Machine,
    Last,
}

/// What the source has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::io) enum Step {
    /// Go to this offset, in bytes, and then say [`sought`](Position::sought).
    Seek(u64),
    /// Read into [`space`](Position::space), and then say [`filled`](Position::filled).
    Read,
    /// Nothing: what was asked for is there.
    Ready,
}

impl Position {
    /// The beginning of a message whose chunks begin at `base` of a source that ends at `end`.
    pub(in crate::io) fn new(
        cipher: ChunkCipher,
        mut report: OpenReport,
        base: u64,
        end: u64,
    ) -> Result<Self, OpenError> {
        let body = end.checked_sub(base).ok_or(OpenError::Truncated("the body is missing"))?;
        report.plaintext_len = plaintext_len(body.saturating_add(BODY_START_LEN as u64))?;
        Ok(Self {
            cipher,
            machine: OpenMachine::starting_at(0),
            last: None,
            report,
            base,
            position: 0,
            length_verified: false,
            feeds: Feeds::Nobody,
            sent_for: Feeds::Nobody,
            skip: 0,
        })
    }

    /// The position, in bytes of plaintext.
    pub(in crate::io) fn get(&self) -> u64 {
        self.position
    }

    /// What opening established. Its length is only claimed until a [`length_step`](Self::length_step) was ready.
    pub(in crate::io) fn report(&self) -> &OpenReport {
        &self.report
    }

    /// Whether the position is at the claimed end or behind it.
    pub(in crate::io) fn is_at_end(&self) -> bool {
        self.position >= self.report.plaintext_len
    }

    /// Whether the length is what the last chunk says.
    pub(in crate::io) fn is_length_verified(&self) -> bool {
        self.length_verified
    }

    /// Goes elsewhere. From the end only after the length was verified.
    pub(in crate::io) fn seek(&mut self, target: SeekFrom) -> Result<u64, OpenError> {
        let moved = |from: u64, by: i64| match from.checked_add_signed(by) {
            Some(position) => Ok(position),
            None if by > 0 => Err(BEYOND),
            None => Err(OpenError::Usage("seek to a position before the beginning")),
        };
        let position = check_offset(match target {
            SeekFrom::Start(position) => position,
            SeekFrom::Current(delta) => moved(self.position, delta)?,
            SeekFrom::End(delta) => moved(self.report.plaintext_len, delta)?,
        })?;
        if position != self.position {
            self.position = position;
            self.feeds = Feeds::Nobody;
        }
        Ok(position)
    }

    /// Opens the last chunk, and checks that it ends where the length says.
    pub(in crate::io) fn length_step(&mut self) -> Result<Step, OpenError> {
        if self.length_verified {
            return Ok(Step::Ready);
        }
        let index = self.last_index();
        let (Feeds::Last, Some(machine)) = (self.feeds, &mut self.last) else {
            return Ok(self.send_for(Feeds::Last, index));
        };
        while !machine.is_done() {
            if machine.wants_input() {
                return Ok(Step::Read);
            }
            if let Err(error) = machine.open_next(&self.cipher) {
                // Whoever asks again gets an answer from the source as it is then.
                self.feeds = Feeds::Nobody;
                return Err(error);
            }
            machine.advance(machine.pending().len());
        }
        self.feeds = Feeds::Nobody;
        if machine.plaintext_len() != self.report.plaintext_len % CHUNK_LEN as u64 {
            return Err(OpenError::Tampered("the source changed its length while it was read"));
        }
        self.last = None;
        self.length_verified = true;
        Ok(Step::Ready)
    }

    /// Brings machine and source to the position, which lies before the end.
    pub(in crate::io) fn settle_step(&mut self) -> Result<Step, OpenError> {
        if self.feeds != Feeds::Machine {
            return Ok(self.send_for(Feeds::Machine, self.position / CHUNK_LEN as u64));
        }
        while self.skip > 0 && !self.machine.is_done() {
            self.machine.open_next(&self.cipher)?;
            let n = self.machine.pending().len().min(self.skip);
            self.machine.advance(n);
            self.skip -= n;
            if n == 0 && self.machine.wants_input() {
                return Ok(Step::Read);
            }
        }
        Ok(Step::Ready)
    }

    /// Opens until plaintext is pending; at the end there is none, and that end is verified.
    pub(in crate::io) fn fill_step(&mut self, open: Open) -> Result<Step, OpenError> {
        if self.is_at_end() {
            return self.length_step();
        }
        let settled = self.settle_step()?;
        if settled != Step::Ready {
            return Ok(settled);
        }
        loop {
            open(&mut self.machine, &self.cipher)?;
            if !self.machine.pending().is_empty() {
                return Ok(Step::Ready);
            }
            if self.machine.is_done() {
                // The length said that there is more.
                return Err(OpenError::Truncated("the source has shrunk since it was opened"));
            }
            if self.machine.wants_input() {
                return Ok(Step::Read);
            }
        }
    }

    /// Says that the source stands where the last step sent it.
    pub(in crate::io) fn sought(&mut self) {
        self.feeds = self.sent_for;
        if self.feeds == Feeds::Last {
            self.last = Some(OpenMachine::starting_at(self.last_index()));
        } else {
            self.last = None;
            self.machine.restart_at(self.position / CHUNK_LEN as u64);
            self.skip = usize::try_from(self.position % CHUNK_LEN as u64).expect("less than a chunk");
        }
    }

    /// Room for what the source reads. Not empty after a step said [`Step::Read`].
    pub(in crate::io) fn space(&mut self) -> &mut [u8] {
        self.fed().space()
    }

    /// Says that the source read `n` bytes; 0 means that it has ended.
    pub(in crate::io) fn filled(&mut self, n: usize) {
        self.fed().filled(n);
    }

    /// Opens as many full chunks as are here and fit, straight into `out`, once all is settled.
    pub(in crate::io) fn open_into(&mut self, out: &mut [u8]) -> Result<usize, OpenError> {
        let n = self.machine.open_into(&self.cipher, out)?;
        self.position += n as u64;
        Ok(n)
    }

    /// What holds the plaintext after a [`fill_step`](Self::fill_step); nothing at the end.
    pub(in crate::io) fn filled_machine(&self) -> Option<&OpenMachine> {
        (!self.is_at_end()).then_some(&self.machine)
    }

    /// Says that the first `n` bytes of it were taken.
    pub(in crate::io) fn consume(&mut self, n: usize) {
        if n > 0 {
            self.machine.advance(n);
            self.position += n as u64;
        }
    }

    fn fed(&mut self) -> &mut OpenMachine {
        match (self.feeds, &mut self.last) {
            (Feeds::Last, Some(last)) => last,
            _ => &mut self.machine,
        }
    }

    fn send_for(&mut self, feeds: Feeds, index: u64) -> Step {
        (self.feeds, self.sent_for) = (Feeds::Nobody, feeds);
        // At most 2^38 chunks of 16400 bytes behind a header: far from overflow.
        Step::Seek(self.base + index * SEALED_CHUNK_LEN as u64)
    }

    /// The last chunk's index, if the length is right.
    fn last_index(&self) -> u64 {
        self.report.plaintext_len / CHUNK_LEN as u64
    }
}
