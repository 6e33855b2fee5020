//! P6: every inner call goes wrong in every way, one at a time, and once for ever.
//!
//! Each scenario runs once to count its inner calls, and then once for each call and each kind of fault. The outcome
//! is success or a typed error; what may be tried again goes on where it stopped; nothing spins; what is not complete
//! never opens; and after an error no wrong byte comes out. Each detector has its planted bug beside it.

mod anywhere;
mod opening;
mod sealing;

use std::cell::RefCell;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::rc::Rc;

use kuvert::{OpenError, SealError};

use crate::support::io::{Fault, is_transient};

/// A writer whose content survives it, so that a test can see what a dropped writer left.
#[derive(Debug, Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Never everything at once, so that there are many calls.
        let taken = bytes.len().min(2_000);
        self.0.borrow_mut().extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A reader that gives at most so much a call.
#[derive(Debug)]
struct Limited<R>(R, usize);

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = buf.len().min(self.1);
        self.0.read(&mut buf[..most])
    }
}

impl<R: Seek> Seek for Limited<R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.0.seek(position)
    }
}

/// Makes the same call again while it fails, as a stubborn caller does. A fault that never ends is given up after a
/// while, which is also how a spin inside the call would show: it would not come back at all.
fn stubbornly<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut result = call();
    for _ in 0..20 {
        match &result {
            Err(_) => result = call(),
            Ok(_) => break,
        }
    }
    result
}

/// As [`stubbornly`], but only what is transient is tried again.
fn patiently<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    stubbornly(|| match call() {
        Err(error) if !is_transient(&error) => Ok(Err(error)),
        other => other.map(Ok),
    })?
}

/// How a caller meets an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// Tries again what is transient, and gives up at the first other error.
    Patient,
    /// Tries everything again.
    Stubborn,
}

impl Caller {
    fn call<T>(self, call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        match self {
            Self::Patient => patiently(call),
            Self::Stubborn => stubbornly(call),
        }
    }
}

/// An [`io::Error`] must be the injected one, or say that a sink is full, or be an error of ours.
fn is_typed(error: &io::Error, fault: Fault) -> bool {
    let ours = error.get_ref().is_some_and(|inner| inner.is::<OpenError>() || inner.is::<SealError>());
    match fault {
        Fault::Os(number) => error.raw_os_error() == Some(number),
        Fault::Zero => ours || error.kind() == io::ErrorKind::WriteZero,
        Fault::Interrupted | Fault::WouldBlock => is_transient(error),
        Fault::Short(_) | Fault::Panic => false,
    }
}
