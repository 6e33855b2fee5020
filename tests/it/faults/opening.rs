//! `OpenReader` over a source, and `copy_to` over a sink, that go wrong.

use std::io::{self, Cursor, Read};
use std::sync::Arc;

use kuvert::{Category, Layout, MessageStart, OpenError};

use super::{Caller, Limited, Shared, is_typed};
use crate::support::anatomy::CHUNK;
use crate::support::cancel::wait;
use crate::support::fixture::{context, kuvert, message, text};
use crate::support::io::{Fault, FaultIo, Script, Strict, catching_scripted, hush_scripted_panics};
use crate::support::sides::{Opens, Side};

/// The ways to pull plaintext out of a reader that reads in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pull {
    Small,
    Large,
    Buffered,
    CopyTo,
    StdCopy,
}

const PULLS: [Pull; 5] = [Pull::Small, Pull::Large, Pull::Buffered, Pull::CopyTo, Pull::StdCopy];

type Source<'a> = Strict<FaultIo<Limited<Cursor<&'a [u8]>>>>;

/// The source is strict outside and goes wrong inside, so that a false end counts as an end.
fn source<'a>(message: &'a [u8], script: &Arc<Script>) -> Source<'a> {
    Strict::new(FaultIo::new(Limited(Cursor::new(message), 3_000), script))
}

fn pull(
    reader: &mut dyn Opens,
    how: Pull,
    out: &mut Vec<u8>,
    script: &Arc<Script>,
    caller: Caller,
) -> io::Result<()> {
    match how {
        Pull::Small | Pull::Large => {
            let mut buffer = vec![0; if how == Pull::Small { 1_111 } else { 3 * CHUNK + 5 }];
            loop {
                match caller.call(|| reader.read(&mut buffer))? {
                    0 => return Ok(()),
                    read => out.extend_from_slice(&buffer[..read]),
                }
            }
        }
        Pull::Buffered => loop {
            let taken = caller.call(|| {
                reader.fill_buf().map(|bytes| {
                    let taken = bytes.len().min(2_222);
                    out.extend_from_slice(&bytes[..taken]);
                    taken
                })
            })?;
            if taken == 0 {
                return Ok(());
            }
            reader.consume(taken);
        },
        Pull::CopyTo => {
            // The sink goes wrong by the same script: both sides of the copy are tried.
            let sink = Shared::default();
            let mut faulty = FaultIo::new(sink.clone(), script);
            let result = caller.call(|| reader.copy_all(&mut faulty));
            out.extend_from_slice(&sink.0.borrow());
            result.map(drop)
        }
        Pull::StdCopy => {
            let sink = Shared::default();
            let result = io::copy(reader, &mut sink.clone());
            out.extend_from_slice(&sink.0.borrow());
            result.map(drop)
        }
    }
}

/// What was released, and how it ended. `None`: by a scripted panic.
struct Pulled {
    released: Vec<u8>,
    result: Option<Result<(), OpenError>>,
}

fn open_under(side: Side, script: &Arc<Script>, how: Pull, message: &[u8], caller: Caller) -> Pulled {
    let mut released = Vec::new();
    let result = catching_scripted(|| {
        let mut source = source(message, script);
        if caller == Caller::Patient {
            // This caller gives up at an error; nobody else may go on behind its back.
            source = source.ending_on_error();
        }
        let mut reader = side.reader(&kuvert(), source, &context())?;
        let result = pull(&mut *reader, how, &mut released, script, caller);
        check_afterwards(&mut *reader, &result, &released);
        result.map_err(|error| error.downcast::<OpenError>().unwrap_or_else(OpenError::Io))
    });
    Pulled { released, result }
}

/// An end stays an end, and a verdict on the bytes stays that verdict; the inner reader is not asked again (the strict
/// source would panic).
fn check_afterwards(reader: &mut dyn Opens, result: &io::Result<()>, released: &[u8]) {
    let mut more = [0; 100];
    match result {
        Ok(()) => {
            assert!(reader.is_complete());
            assert_eq!(reader.report().plaintext_len, released.len() as u64);
            for _ in 0..3 {
                assert_eq!(reader.read(&mut more).expect("the end stays the end"), 0);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            assert!(!reader.is_complete());
            for _ in 0..3 {
                let again = reader.read(&mut more).expect_err("an integrity error stays");
                assert_eq!(again.kind(), io::ErrorKind::InvalidData);
                assert_eq!(again.to_string(), error.to_string());
                assert!(reader.fill_buf().is_err());
            }
        }
        Err(_) => {}
    }
}

/// The detector for a reader.
fn judge_opened(pulled: &Pulled, plaintext: &[u8], fault: Fault) -> Result<(), String> {
    if !plaintext.starts_with(&pulled.released) {
        return Err(format!("{} bytes came out that are not the plaintext's", pulled.released.len()));
    }
    match &pulled.result {
        Some(Ok(())) if pulled.released.len() == plaintext.len() => Ok(()),
        Some(Ok(())) => Err(format!("a short success: {} bytes", pulled.released.len())),
        Some(Err(OpenError::Io(error))) if is_typed(error, fault) => Ok(()),
        Some(Err(OpenError::Io(error))) => Err(format!("an odd error: {error:?}")),
        Some(Err(error)) => match (fault, error.category()) {
            // An end that came too early, by what was read until then.
            (Fault::Zero, Category::Truncated | Category::Tampered) => Ok(()),
            _ => Err(format!("an odd error: {error:?}")),
        },
        None if fault == Fault::Panic => Ok(()),
        None => Err("an odd panic".to_owned()),
    }
}

#[test]
fn opening_survives_every_fault_of_every_call() {
    hush_scripted_panics();
    let plaintext = text(3 * CHUNK + 123);
    let message = message(Layout::Compact, &plaintext);
    let mut runs = 0;
    for (how, side) in PULLS.into_iter().flat_map(|how| Side::OPENING.iter().map(move |side| (how, *side))) {
        let count = Script::count();
        let pulled = open_under(side, &count, how, &message, Caller::Patient);
        judge_opened(&pulled, &plaintext, Fault::Short(0)).expect("nothing goes wrong");
        let calls = count.calls();
        assert!(calls >= 14, "{side:?} {how:?} makes only {calls} calls: nothing to enumerate");
        // The calls that read the start come first; a stream cannot be asked for those again.
        let start = start_calls(&message);
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
                        let pulled = open_under(side, &script, how, &message, caller);
                        assert!(script.fired() > 0, "{what}: not reached");
                        judge_opened(&pulled, &plaintext, fault)
                            .unwrap_or_else(|fault| panic!("{what}: {fault}"));
                        let again = kind == "once" && (caller == Caller::Stubborn || fault.is_transient());
                        let gets_through = match fault {
                            Fault::Short(_) => true,
                            Fault::Interrupted => kind == "once",
                            Fault::Zero | Fault::Panic => false,
                            _ => again && at >= start && how != Pull::StdCopy,
                        };
                        if gets_through {
                            assert!(matches!(pulled.result, Some(Ok(()))), "{what}: {:?}", pulled.result);
                        }
                        runs += 1;
                    }
                }
            }
        }
    }
    println!("{runs} runs");
    assert!(runs > 3_000, "only {runs} runs");
}

fn start_calls(message: &[u8]) -> usize {
    let count = Script::count();
    MessageStart::read(&mut source(message, &count)).expect("nothing goes wrong");
    count.calls()
}

/// A reader that panicked inside may be used again, and gives the truth or an error.
#[test]
fn reading_on_after_a_panic_is_never_wrong() {
    hush_scripted_panics();
    let plaintext = text(3 * CHUNK + 123);
    let message = message(Layout::Compact, &plaintext);
    let start = start_calls(&message);
    for at in start..start + 9 {
        let script = Script::once(at, Fault::Panic);
        let mut source = source(&message, &script);
        let start = MessageStart::read(&mut source).expect("not yet");
        let mut reader =
            wait(kuvert().opener(start, &context())).expect("a whole header").into_reader(source);
        let mut released = Vec::new();
        let mut buffer = [0; 5_000];
        let mut panics = 0;
        loop {
            match catching_scripted(|| reader.read(&mut buffer)) {
                None => panics += 1,
                Some(Ok(0)) => break,
                Some(Ok(read)) => released.extend_from_slice(&buffer[..read]),
                Some(Err(error)) => panic!("call {at}: {error}"),
            }
        }
        assert_eq!((panics, released == plaintext), (1, true), "call {at}");
    }
}

/// And for readers: one that releases too early, one that takes a false end for the end, one that makes errors up.
#[test]
fn planted_readers_that_lie_are_found() {
    let plaintext = text(100);
    let lie = |released: &[u8], result| {
        judge_opened(&Pulled { released: released.to_vec(), result }, &plaintext, Fault::Zero)
    };
    lie(b"not it", Some(Err(OpenError::Tampered("")))).expect_err("bytes that are not the plaintext's");
    lie(&plaintext[..99], Some(Ok(()))).expect_err("a short success");
    lie(&plaintext, Some(Err(OpenError::WrongContext(""))))
        .expect_err("an error that has nothing to do with it");
    lie(&plaintext, None).expect_err("a panic that nobody scripted");
}

/// A reader that is asked again after the end is found by the strict source.
#[test]
fn planted_a_reader_that_reads_behind_the_end_is_found() {
    let asked_again = std::panic::catch_unwind(|| {
        let mut strict = Strict::new(&b"x"[..]);
        let mut out = Vec::new();
        strict.read_to_end(&mut out).expect("no error");
        strict.read(&mut [0]).map(drop)
    });
    assert!(asked_again.is_err());
}
