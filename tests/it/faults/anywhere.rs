//! `SeekReader` and `RangeReader` over a source that goes wrong.

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::sync::Arc;

use kuvert::io::{RangeReader, ReadAt, SeekReader};
use kuvert::{Category, Layout, MessageStart, OpenError};

use super::{Caller, Limited, is_typed};
use crate::support::anatomy::CHUNK;
#[cfg(feature = "tokio")]
use crate::support::async_io::{Blocking, Slow};
use crate::support::cancel::wait;
use crate::support::fixture::{context, kuvert, message, text};
use crate::support::io::{Fault, FaultIo, Script, catching_scripted, hush_scripted_panics};
use crate::support::rng::Rng;

/// Positions and lengths around every border, in no order.
fn ranges(len: usize) -> Vec<(u64, usize)> {
    let borders = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, len - 1, len, len + 7];
    let mut ranges: Vec<_> =
        borders.iter().flat_map(|at| [(*at as u64, 9), (*at as u64, CHUNK + 3)]).collect();
    let mut rng = Rng::new("ranges under faults");
    for i in (1..ranges.len()).rev() {
        ranges.swap(i, rng.below(i + 1));
    }
    ranges
}

fn slice(plaintext: &[u8], at: u64, len: usize) -> &[u8] {
    let from = usize::try_from(at).expect("small").min(plaintext.len());
    &plaintext[from..(from + len).min(plaintext.len())]
}

/// A source that reads at offsets, by the same script.
#[derive(Debug)]
struct FaultAt<'a>(&'a [u8], Arc<Script>);

impl ReadAt for FaultAt<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let most = self.1.play()?.unwrap_or(7_000).min(buffer.len());
        self.0.read_at(&mut buffer[..most], offset)
    }

    fn total_len(&self) -> io::Result<u64> {
        self.1.play()?;
        self.0.total_len()
    }
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Reads every range through a `SeekReader`, trying each again as `caller` does.
fn seek_under(
    script: &Arc<Script>,
    message: &[u8],
    plaintext: &[u8],
    lazy: bool,
    caller: Caller,
) -> Result<(), AnyError> {
    let mut inner = FaultIo::new(Limited(Cursor::new(message), 7_000), script);
    let start = MessageStart::read_seekable(&mut inner)?;
    let options = kuvert::OpenOptions::default().with_lazy_length(lazy);
    let opener = wait(kuvert().with_open_options(options).opener(start, &context()))?;
    let reader: SeekReader<_> = opener.into_seekable(inner)?;
    script.mark();
    seek_and_read(reader, plaintext, caller)
}

/// The same through an `AsyncSeekReader`, over a source that is `Pending` before each call.
#[cfg(feature = "tokio")]
fn seek_async_under(
    script: &Arc<Script>,
    message: &[u8],
    plaintext: &[u8],
    lazy: bool,
    caller: Caller,
) -> Result<(), AnyError> {
    let mut inner = Slow::new(FaultIo::new(Limited(Cursor::new(message), 7_000), script), 1);
    let start = wait(MessageStart::read_seekable_async(&mut inner))?;
    let options = kuvert::OpenOptions::default().with_lazy_length(lazy);
    let opener = wait(kuvert().with_open_options(options).opener(start, &context()))?;
    let reader = Blocking(wait(opener.into_async_seekable(inner))?);
    script.mark();
    seek_and_read(reader, plaintext, caller)
}

fn seek_and_read<R: Read + Seek>(mut reader: R, plaintext: &[u8], caller: Caller) -> Result<(), AnyError> {
    for (at, len) in ranges(plaintext.len()) {
        let mut out = vec![0; len];
        let mut filled = 0;
        caller.call(|| reader.seek(SeekFrom::Start(at)))?;
        while filled < len {
            match caller.call(|| reader.read(&mut out[filled..]))? {
                0 => break,
                read => filled += read,
            }
            let truth = slice(plaintext, at, len);
            assert!(truth.starts_with(&out[..filled]), "wrong bytes at {at}");
        }
        assert_eq!(out[..filled], *slice(plaintext, at, len), "a short answer at {at}");
        let end = caller.call(|| reader.seek(SeekFrom::End(0)))?;
        assert_eq!(end, plaintext.len() as u64);
    }
    Ok(())
}

/// The same through a `RangeReader`.
fn ranges_under(
    script: &Arc<Script>,
    message: &[u8],
    plaintext: &[u8],
    lazy: bool,
    caller: Caller,
) -> Result<(), AnyError> {
    let start = MessageStart::parse(message)?;
    let options = kuvert::OpenOptions::default().with_lazy_length(lazy);
    let opener = wait(kuvert().with_open_options(options).opener(start, &context()))?;
    let reader: RangeReader<_> = opener.into_ranges(FaultAt(message, Arc::clone(script)))?;
    script.mark();
    for (at, len) in ranges(plaintext.len()) {
        let mut out = vec![0xee; len];
        let read = caller.call(|| {
            reader.read_at(&mut out, at).map_err(|error| {
                assert!(out.iter().all(|byte| *byte == 0 || *byte == 0xee), "plaintext beside an error");
                io::Error::from(error)
            })
        })?;
        assert_eq!(out[..read], *slice(plaintext, at, len), "at {at}");
        assert_eq!(read, slice(plaintext, at, len).len(), "a short answer at {at}");
    }
    assert_eq!(reader.plaintext_len()?, plaintext.len() as u64);
    Ok(())
}

#[test]
fn seeking_and_ranges_survive_every_fault_of_every_call() {
    hush_scripted_panics();
    let plaintext = text(3 * CHUNK + 123);
    let message = message(Layout::Compact, &plaintext);
    let mut runs = 0;
    let sides = [
        ("seek", seek_under as fn(&_, &_, &_, _, _) -> _),
        ("ranges", ranges_under),
        #[cfg(feature = "tokio")]
        ("async seek", seek_async_under),
    ];
    for (name, run) in sides {
        for lazy in [false, true] {
            let count = Script::count();
            run(&count, &message, &plaintext, lazy, Caller::Patient).expect("nothing goes wrong");
            let calls = count.calls();
            assert!(calls > 30, "{name} makes only {calls} calls");
            // Until the reader is made, there is nobody who could try again.
            let made = count.marked();
            for at in 0..calls {
                for fault in Fault::ALL {
                    for caller in [Caller::Patient, Caller::Stubborn] {
                        let script = Script::once(at, fault);
                        let what = format!("{name} lazy={lazy} {caller:?}: call {at} of {calls}: {fault:?}");
                        let result = catching_scripted(|| run(&script, &message, &plaintext, lazy, caller));
                        judge_random_access(&what, fault, result.as_ref());
                        let again = caller == Caller::Stubborn || fault.is_transient();
                        if at >= made && again && !matches!(fault, Fault::Zero | Fault::Panic) {
                            assert!(matches!(result, Some(Ok(()))), "{what}: could have gone on: {result:?}");
                        }
                        runs += 1;
                    }
                }
            }
        }
    }
    println!("{runs} runs");
    assert!(runs > 5_000, "only {runs} runs");
}

fn judge_random_access(what: &str, fault: Fault, result: Option<&Result<(), AnyError>>) {
    match result {
        Some(Ok(())) => {}
        None => assert_eq!(fault, Fault::Panic, "{what}: an odd panic"),
        Some(Err(error)) => {
            let open = error.downcast_ref::<OpenError>();
            let io = match open {
                Some(OpenError::Io(inner)) => Some(inner),
                Some(_) => None,
                None => error.downcast_ref::<io::Error>(),
            };
            let typed = match (open, io) {
                (_, Some(inner)) => is_typed(inner, fault),
                (Some(open), None) => {
                    fault == Fault::Zero
                        && matches!(open.category(), Category::Truncated | Category::Tampered)
                }
                (None, None) => false,
            };
            assert!(typed, "{what}: an odd error: {error:?}");
        }
    }
}
