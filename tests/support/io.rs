//! Readers and writers that misbehave on purpose.
//!
//! [`FaultIo`] does one chosen wrong thing at the n-th call and counts calls; the others are mean in one way all the
//! time: [`OneByte`], [`Chopped`], [`Strict`]. They know only `std::io`.

use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::rng::Rng;

/// What goes wrong at one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// At most this many bytes are moved; the call succeeds.
    Short(usize),
    /// `Interrupted`, nothing moved.
    Interrupted,
    /// `WouldBlock`, nothing moved.
    WouldBlock,
    /// `Ok(0)`: an early end for a reader, a full sink for a writer.
    Zero,
    /// The operating system's error of this number.
    Os(i32),
    /// The call panics.
    Panic,
}

impl Fault {
    /// No space left on the device.
    pub const ENOSPC: Self = Self::Os(libc::ENOSPC);
    /// The device failed.
    pub const EIO: Self = Self::Os(libc::EIO);
    /// The other end is gone.
    pub const EPIPE: Self = Self::Os(libc::EPIPE);

    /// Every kind, for enumerations.
    pub const ALL: [Self; 9] = [
        Self::Short(1),
        Self::Short(7),
        Self::Interrupted,
        Self::WouldBlock,
        Self::Zero,
        Self::ENOSPC,
        Self::EIO,
        Self::EPIPE,
        Self::Panic,
    ];

    /// Whether a caller may just make the same call again.
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Short(_) | Self::Interrupted | Self::WouldBlock)
    }
}

/// The payload of a scripted panic, so that a test can tell it from a real one.
pub const SCRIPTED_PANIC: &str = "scripted panic of an inner reader or writer";

/// Which calls go wrong, and how many were made. Shared by all the [`FaultIo`]s of one run.
#[derive(Debug, Default)]
pub struct Script {
    faults: Mutex<Vec<(usize, Fault)>>,
    /// From this call on, the fault is repeated for ever.
    sticky: Option<(usize, Fault)>,
    calls: AtomicUsize,
    fired: AtomicUsize,
    marked: AtomicUsize,
}

impl Script {
    /// Nothing goes wrong; calls are counted.
    pub fn count() -> Arc<Self> {
        Arc::default()
    }

    /// Call number `at` (from 0) goes wrong once.
    pub fn once(at: usize, fault: Fault) -> Arc<Self> {
        Arc::new(Self { faults: Mutex::new(vec![(at, fault)]), ..Self::default() })
    }

    /// Every call from number `at` on goes wrong.
    pub fn from(at: usize, fault: Fault) -> Arc<Self> {
        Arc::new(Self { sticky: Some((at, fault)), ..Self::default() })
    }

    /// Calls made so far.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Remembers how many calls were made until now.
    pub fn mark(&self) {
        self.marked.store(self.calls(), Ordering::SeqCst);
    }

    /// What [`mark`](Self::mark) remembered.
    pub fn marked(&self) -> usize {
        self.marked.load(Ordering::SeqCst)
    }

    /// How often a fault was played.
    pub fn fired(&self) -> usize {
        self.fired.load(Ordering::SeqCst)
    }

    fn next(&self) -> Option<Fault> {
        let n = self.calls.fetch_add(1, Ordering::SeqCst);
        let once =
            self.faults.lock().expect("no panic while held").iter().find(|(at, _)| *at == n).map(|(_, f)| *f);
        let fault = once.or(self.sticky.filter(|(at, _)| n >= *at).map(|(_, fault)| fault));
        if fault.is_some() {
            self.fired.fetch_add(1, Ordering::SeqCst);
        }
        fault
    }

    /// Plays the next call: how many bytes may move, or the error. Public for fakes of other traits.
    pub fn play(&self) -> io::Result<Option<usize>> {
        match self.next() {
            None => Ok(None),
            Some(Fault::Short(most)) => Ok(Some(most)),
            Some(Fault::Zero) => Ok(Some(0)),
            Some(Fault::Interrupted) => Err(io::ErrorKind::Interrupted.into()),
            Some(Fault::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Some(Fault::Os(number)) => Err(io::Error::from_raw_os_error(number)),
            Some(Fault::Panic) => std::panic::panic_any(SCRIPTED_PANIC),
        }
    }
}

/// A reader or writer whose calls go wrong by a [`Script`].
#[derive(Debug)]
pub struct FaultIo<T> {
    inner: T,
    script: Arc<Script>,
}

impl<T> FaultIo<T> {
    pub fn new(inner: T, script: &Arc<Script>) -> Self {
        Self { inner, script: Arc::clone(script) }
    }

    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl<T: Read> Read for FaultIo<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = self.script.play()?.unwrap_or(buf.len()).min(buf.len());
        self.inner.read(&mut buf[..most])
    }
}

impl<T: Write> Write for FaultIo<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let most = self.script.play()?.unwrap_or(buf.len()).min(buf.len());
        if most == 0 {
            return Ok(0);
        }
        self.inner.write(&buf[..most])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.script.play()?;
        self.inner.flush()
    }
}

impl<T: Seek> Seek for FaultIo<T> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.script.play()?;
        self.inner.seek(position)
    }
}

/// Moves one byte a call.
#[derive(Debug)]
pub struct OneByte<T>(pub T);

impl<T: Read> Read for OneByte<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = buf.len().min(1);
        self.0.read(&mut buf[..most])
    }
}

impl<T: Write> Write for OneByte<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(&buf[..buf.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl<T: Seek> Seek for OneByte<T> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.0.seek(position)
    }
}

/// Moves a random number of bytes a call, and is interrupted now and then.
#[derive(Debug)]
pub struct Chopped<T> {
    inner: T,
    rng: Rng,
    most: usize,
}

impl<T> Chopped<T> {
    /// Calls move 1..=`most` bytes, one in eight is `Interrupted` first.
    pub fn new(inner: T, most: usize, rng: Rng) -> Self {
        Self { inner, rng, most }
    }

    pub fn into_inner(self) -> T {
        self.inner
    }

    fn take(&mut self, wanted: usize) -> io::Result<usize> {
        if self.rng.one_in(8) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        Ok(wanted.min(self.rng.between(1..=self.most)))
    }
}

impl<T: Read> Read for Chopped<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = self.take(buf.len())?;
        self.inner.read(&mut buf[..most])
    }
}

impl<T: Write> Write for Chopped<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let most = self.take(buf.len())?;
        self.inner.write(&buf[..most])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Seek> Seek for Chopped<T> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}

/// Panics when it is read again after it reported the end, and, where told, when it is used after an error.
#[derive(Debug)]
pub struct Strict<T> {
    inner: T,
    ended: bool,
    failed: bool,
    end_on_error: bool,
}

impl<T> Strict<T> {
    pub fn new(inner: T) -> Self {
        Self { inner, ended: false, failed: false, end_on_error: false }
    }

    /// Also counts an error other than `Interrupted` and `WouldBlock` as the end.
    pub fn ending_on_error(self) -> Self {
        Self { end_on_error: true, ..self }
    }

    fn watch<R>(&mut self, result: io::Result<R>) -> io::Result<R> {
        if let Err(error) = &result {
            let transient = matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock);
            self.failed |= self.end_on_error && !transient;
        }
        result
    }

    fn check(&self) {
        assert!(!self.failed, "used again after an error");
    }
}

impl<T: Read> Read for Strict<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.check();
        assert!(!self.ended, "read again after the end");
        let result = self.inner.read(buf);
        let read = self.watch(result)?;
        self.ended = read == 0 && !buf.is_empty();
        Ok(read)
    }
}

impl<T: Write> Write for Strict<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.check();
        let result = self.inner.write(buf);
        self.watch(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.check();
        let result = self.inner.flush();
        self.watch(result)
    }
}

impl<T: Seek> Seek for Strict<T> {
    /// A new position may be read from again.
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.check();
        self.ended = false;
        self.inner.seek(position)
    }
}

/// Reads to the end as a patient caller does: `Interrupted` and `WouldBlock` are tried again, everything else ends it.
/// Gives back what was read in any case.
pub fn read_patiently(reader: &mut impl Read, buffer: usize) -> (Vec<u8>, io::Result<()>) {
    let mut out = Vec::new();
    let mut buf = vec![0; buffer];
    loop {
        match reader.read(&mut buf) {
            Ok(0) => return (out, Ok(())),
            Ok(read) => out.extend_from_slice(&buf[..read]),
            Err(error) if is_transient(&error) => {}
            Err(error) => return (out, Err(error)),
        }
    }
}

/// The same by `fill_buf` and `consume`.
pub fn read_buffered_patiently(reader: &mut impl BufRead, most: usize) -> (Vec<u8>, io::Result<()>) {
    let mut out = Vec::new();
    loop {
        let taken = match reader.fill_buf() {
            Ok([]) => return (out, Ok(())),
            Ok(bytes) => {
                let taken = bytes.len().min(most);
                out.extend_from_slice(&bytes[..taken]);
                taken
            }
            Err(error) if is_transient(&error) => 0,
            Err(error) => return (out, Err(error)),
        };
        reader.consume(taken);
    }
}

/// Writes everything, trying again after `Interrupted` and `WouldBlock`; `Ok(0)` is an error.
pub fn write_patiently(writer: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match writer.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if is_transient(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether the same call may simply be made again.
pub fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
}

/// Runs `run` and tells a scripted panic (`None`) from a result; any other panic goes on.
pub fn catching_scripted<T>(run: impl FnOnce() -> T) -> Option<T> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
        Ok(value) => Some(value),
        Err(payload) if payload.downcast_ref::<&str>() == Some(&SCRIPTED_PANIC) => None,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

/// Keeps scripted panics out of the test's output; all others are printed as ever. May be called by every test.
pub fn hush_scripted_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&SCRIPTED_PANIC) {
                usual(info);
            }
        }));
    });
}
