//! `SealWriter` over a sink, and `copy_from` over a source, that go wrong.

use std::io::{self, Write};
use std::sync::Arc;

use kuvert::Layout;

use super::{Caller, Limited, Shared, is_typed};
use crate::support::anatomy::CHUNK;
use crate::support::cancel::wait;
use crate::support::fixture::{context, kuvert, message, text};
use crate::support::io::{Fault, FaultIo, Script, Strict, catching_scripted, hush_scripted_panics};
use crate::support::sides::{Seals, Side};
use crate::support::ways::{Way, open};

/// The ways to push plaintext into a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Push {
    /// Pieces of odd lengths, with a flush after every third.
    Pieces,
    /// All at once, as often as it takes.
    Whole,
    /// `copy_from` a reader that goes wrong as well.
    CopyFrom,
    /// `std::io::copy`, which gives up at the first error that is not `Interrupted`.
    StdCopy,
}

const PUSHES: [Push; 4] = [Push::Pieces, Push::Whole, Push::CopyFrom, Push::StdCopy];

fn push(
    writer: &mut dyn Seals<FaultIo<Shared>>,
    how: Push,
    plaintext: &[u8],
    script: &Arc<Script>,
    caller: Caller,
) -> io::Result<()> {
    match how {
        Push::Pieces => {
            let mut rest = plaintext;
            for n in 1.. {
                if rest.is_empty() {
                    break;
                }
                let piece = rest.len().min(n * 977);
                let written = caller.call(|| writer.write(&rest[..piece]))?;
                assert!(written > 0, "a writer that takes nothing must say why");
                rest = &rest[written..];
                if n % 3 == 0 {
                    caller.call(|| writer.flush())?;
                }
            }
        }
        Push::Whole => {
            let mut rest = plaintext;
            while !rest.is_empty() {
                let written = caller.call(|| writer.write(rest))?;
                assert!(written > 0, "a writer that takes nothing must say why");
                rest = &rest[written..];
            }
        }
        Push::CopyFrom => {
            let mut source = FaultIo::new(Limited(Strict::new(plaintext), 7_000), script);
            // A fault of the source that looks like its end is one: the caller is told how much was taken.
            caller.call(|| writer.take_from(&mut source))?;
        }
        Push::StdCopy => return io::copy(&mut &*plaintext, writer).map(drop),
    }
    Ok(())
}

/// Seals once under a script. What the sink holds, and the error if there was one.
fn seal_under(
    side: Side,
    script: &Arc<Script>,
    how: Push,
    plaintext: &[u8],
    caller: Caller,
) -> (Vec<u8>, Option<io::Result<u64>>) {
    let sink = Shared::default();
    let sealer = wait(kuvert().sealer(&context())).expect("a key in memory");
    let mut writer = side.writer(sealer, FaultIo::new(sink.clone(), script));
    let result = catching_scripted(|| {
        push(&mut *writer, how, plaintext, script, caller)?;
        let taken = writer.plaintext_len();
        let report = caller.call(|| writer.end().map_err(io::Error::from))?;
        assert_eq!(report.plaintext_len, taken);
        Ok(taken)
    });
    let calls = script.calls();
    drop(writer);
    assert_eq!(script.calls(), calls, "a writer that is dropped leaves its sink alone");
    let sealed = sink.0.borrow().clone();
    (sealed, result)
}

/// The detector for a writer: what it said against what its sink holds.
fn judge_sealed(
    sealed: &[u8],
    result: Option<&io::Result<u64>>,
    plaintext: &[u8],
    fault: Fault,
) -> Result<(), String> {
    let opened = open(&kuvert(), Way::Whole, sealed, &context());
    match (result, &opened.result) {
        // A source that ended early is a source that ended early: what was taken must be there, and all of it.
        (Some(Ok(taken)), Ok(_)) => {
            let taken = usize::try_from(*taken).expect("a small message");
            if opened.released != plaintext[..taken] {
                return Err("finished, and opens to something else".to_owned());
            }
            if taken != plaintext.len() && fault != Fault::Zero {
                return Err(format!("finished with {taken} bytes"));
            }
            Ok(())
        }
        (Some(Ok(_)), Err(error)) => Err(format!("finished, and does not open: {error}")),
        // A message that is whole although the last flush failed is whole. Nothing shorter may open.
        (_, Ok(_)) if opened.released == plaintext => Ok(()),
        (_, Ok(_)) => Err(format!("not finished, and opens to {} bytes", opened.released.len())),
        (None, Err(_)) if fault == Fault::Panic => Ok(()),
        (None, Err(_)) => Err("an odd panic".to_owned()),
        (Some(Err(error)), Err(_)) if is_typed(error, fault) => Ok(()),
        (Some(Err(error)), Err(_)) => Err(format!("an odd error: {error:?}")),
    }
}

#[test]
fn sealing_survives_every_fault_of_every_call() {
    hush_scripted_panics();
    let mut runs = 0;
    let pushes = PUSHES.into_iter().flat_map(|how| Side::SEALING.iter().map(move |side| (how, *side)));
    // What a caller read and could not write is gone, unless the writer reads by itself.
    for (how, side) in pushes.filter(|(how, side)| *how != Push::CopyFrom || *side == Side::Std) {
        let plaintext = text(3 * CHUNK + 123);
        let count = Script::count();
        let (sealed, result) = seal_under(side, &count, how, &plaintext, Caller::Patient);
        judge_sealed(&sealed, result.as_ref(), &plaintext, Fault::Short(0)).expect("nothing goes wrong");
        let calls = count.calls();
        assert!(calls >= 8, "{side:?} {how:?} makes only {calls} calls: nothing to enumerate");
        for at in 0..calls {
            for fault in Fault::ALL {
                for caller in [Caller::Patient, Caller::Stubborn] {
                    for (kind, script) in
                        [("once", Script::once(at, fault)), ("for ever", Script::from(at, fault))]
                    {
                        let what =
                            format!("{side:?} {how:?} {caller:?}: call {at} of {calls}: {fault:?} {kind}");
                        if fault == Fault::Interrupted && kind == "for ever" {
                            continue; // to be retried without end, as `std` does
                        }
                        let (sealed, result) = seal_under(side, &script, how, &plaintext, caller);
                        assert!(script.fired() > 0, "{what}: not reached");
                        judge_sealed(&sealed, result.as_ref(), &plaintext, fault)
                            .unwrap_or_else(|fault| panic!("{what}: {fault}"));
                        expect_through(&what, how, fault, caller, kind, result.as_ref());
                        runs += 1;
                    }
                }
            }
        }
    }
    println!("{runs} runs");
    assert!(runs > 3_000, "only {runs} runs");
}

/// A fault that passes must be got through by whoever tries again.
fn expect_through(
    what: &str,
    how: Push,
    fault: Fault,
    caller: Caller,
    kind: &str,
    result: Option<&io::Result<u64>>,
) {
    let passes = match fault {
        Fault::Short(_) => true,
        Fault::Panic => return,
        _ if kind == "for ever" => return,
        // `std::io::copy` loses what it has read when a write fails: nobody can go on.
        Fault::WouldBlock if how == Push::StdCopy => return,
        _ if how == Push::StdCopy => fault == Fault::Interrupted,
        _ => fault.is_transient() || caller == Caller::Stubborn,
    };
    if passes {
        assert!(matches!(result, Some(Ok(_))), "{what}: could have gone on: {result:?}");
    }
}

/// A full sink is an error at once, and not a loop.
#[test]
fn a_sink_that_takes_nothing_is_write_zero() {
    for side in Side::SEALING {
        let script = Script::from(3, Fault::Zero);
        let (_, result) = seal_under(*side, &script, Push::Whole, &text(3 * CHUNK), Caller::Patient);
        let error = result.expect("no panic").expect_err("a full sink");
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
        assert_eq!(script.fired(), 1, "asked once");
    }
}

/// Whoever catches a panic of the inner writer and goes on gets the message, or something that does not open.
#[test]
fn going_on_after_a_panic_is_never_wrong() {
    hush_scripted_panics();
    let plaintext = text(3 * CHUNK + 123);
    for at in 0..60 {
        let script = Script::once(at, Fault::Panic);
        let sink = Shared::default();
        let sealer = wait(kuvert().sealer(&context())).expect("a key in memory");
        let side = Side::SEALING[at % Side::SEALING.len()];
        let mut writer = side.writer(sealer, FaultIo::new(sink.clone(), &script));
        let mut rest = plaintext.as_slice();
        while !rest.is_empty() {
            let step = rest.len().min(5_000);
            let written = catching_scripted(|| writer.write(&rest[..step]).expect("no error in the script"));
            rest = &rest[written.unwrap_or(0)..];
            let _flushed = catching_scripted(|| writer.flush().expect("no error in the script"));
        }
        while catching_scripted(|| writer.end().expect("no error in the script")).is_none() {}
        let opened = open(&kuvert(), Way::Whole, &sink.0.borrow(), &context());
        assert!(opened.result.is_err() || opened.released == plaintext, "call {at}");
    }
}

/// Says that everything was written, whatever happened.
struct Swallows<W>(W);

impl<W: Write> Write for Swallows<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.0.write(bytes).unwrap_or(bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        drop(self.0.flush());
        Ok(())
    }
}

/// A writer that swallows one error must be found at (almost) every call, or the enumeration proves nothing. The
/// exceptions are flushes, where nothing is lost.
#[test]
fn planted_a_writer_that_swallows_errors_is_found() {
    let plaintext = text(3 * CHUNK + 123);
    let run = |script: &Arc<Script>| {
        let sink = Shared::default();
        let sealer = wait(kuvert().sealer(&context())).expect("a key in memory");
        let mut writer = sealer.into_writer(Swallows(FaultIo::new(sink.clone(), script)));
        writer.write_all(&plaintext).expect("all errors are swallowed");
        writer.try_finish().expect("all errors are swallowed");
        let sealed = sink.0.borrow().clone();
        let taken = writer.plaintext_len();
        judge_sealed(&sealed, Some(&Ok(taken)), &plaintext, Fault::ENOSPC)
    };
    let count = Script::count();
    run(&count).expect("nothing goes wrong");
    let found = (0..count.calls()).filter(|at| run(&Script::once(*at, Fault::ENOSPC)).is_err()).count();
    assert_eq!(found, count.calls() - 1, "all but the flush at the end");
}

/// The same for a writer that ends its message when it is dropped.
#[test]
fn planted_a_writer_that_finishes_on_drop_is_found() {
    let plaintext = text(100);
    let half = message(Layout::Compact, &plaintext[..50]);
    let stopped = Some(Err(io::Error::from_raw_os_error(libc::ENOSPC)));
    judge_sealed(&half, stopped.as_ref(), &plaintext, Fault::ENOSPC).expect_err("half a message that opens");
}
