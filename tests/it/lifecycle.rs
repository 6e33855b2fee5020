//! Beginnings and ends: finish once and twice, flush at any time, abort, drop, panic in the middle.
//!
//! What was not finished never opens, whatever was flushed before; what was finished stays as it is.

use std::io::{Read, Write};

use kuvert::{Category, Layout, SealError, SealOptions};

use crate::support::anatomy::CHUNK;
use crate::support::cancel::wait;
use crate::support::fixture::{SIZES, cell, context, kuvert, message, text};
use crate::support::ways::{Way, open};

fn writer() -> kuvert::io::SealWriter<Vec<u8>> {
    wait(kuvert().sealer(&context())).expect("a key in memory").into_writer(Vec::new())
}

/// What `sealed` opens to.
fn opened(sealed: &[u8]) -> Result<Vec<u8>, Category> {
    let outcome = open(&kuvert(), Way::Whole, sealed, &context());
    outcome.category().map_or(Ok(outcome.released), Err)
}

#[test]
fn finishing_twice_reports_the_same() {
    for len in SIZES {
        let mut writer = writer();
        writer.write_all(&text(len)).expect("in memory");
        let first = writer.try_finish().expect("in memory");
        let sealed = writer.inner().clone();
        let second = writer.try_finish().expect("finished already");
        assert_eq!(first, second);
        assert_eq!((first.plaintext_len, first.sealed_len), (len as u64, sealed.len() as u64));
        let (again, third) = writer.finish().expect("finished already");
        assert_eq!((third, &again), (first, &sealed), "not a byte more");
        assert!(opened(&sealed).expect("finished") == text(len));
    }
}

#[test]
fn flushing_at_any_time_changes_nothing() {
    for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 40 * CHUNK] {
        for every in [1, 2, 5] {
            let mut writer = writer();
            writer.flush().expect("in memory");
            for (n, piece) in text(len).chunks(7_777).enumerate() {
                writer.write_all(piece).expect("in memory");
                if n % every == 0 {
                    writer.flush().expect("in memory");
                    writer.flush().expect("in memory");
                }
            }
            writer.flush().expect("in memory");
            writer.try_finish().expect("in memory");
            writer.flush().expect("after the end as well");
            let (sealed, report) = writer.finish().expect("finished already");
            assert_eq!(report.sealed_len, sealed.len() as u64);
            assert!(opened(&sealed).expect("finished") == text(len), "{len} flushed every {every}");
        }
    }
}

/// A flush lets every full chunk out, and never the one that is not full.
#[test]
fn a_flush_lets_full_chunks_out() {
    let mut writer = writer();
    writer.flush().expect("in memory");
    let head = writer.inner().len();
    writer.write_all(&text(2 * CHUNK + 100)).expect("in memory");
    writer.flush().expect("in memory");
    assert_eq!(writer.inner().len(), head + 2 * 16_400);
    assert_eq!(writer.plaintext_len(), 2 * CHUNK as u64 + 100);
}

/// P6: what is dropped, aborted or left by a panic does not open, also at the borders of chunks.
#[test]
fn what_is_not_finished_never_opens() {
    for len in SIZES {
        for flush in [false, true] {
            let mut writer = writer();
            writer.write_all(&text(len)).expect("in memory");
            if flush {
                writer.flush().expect("in memory");
            }
            let left = writer.abort();
            assert!(matches!(opened(&left), Err(Category::Truncated)), "{len} aborted, flushed={flush}");
        }
        let mut sink = Vec::new();
        let sealer = wait(kuvert().sealer(&context())).expect("a key in memory");
        let mut dropped = sealer.into_writer(&mut sink);
        dropped.write_all(&text(len)).expect("in memory");
        dropped.flush().expect("in memory");
        drop(dropped);
        assert!(matches!(opened(&sink), Err(Category::Truncated)), "{len} dropped");
    }
}

#[test]
fn a_panic_while_sealing_never_leaves_a_message() {
    for len in [0, CHUNK, 3 * CHUNK] {
        let mut sink = Vec::new();
        let sealer = wait(kuvert().sealer(&context())).expect("a key in memory");
        let writer = sealer.into_writer(&mut sink);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let mut writer = writer;
            writer.write_all(&text(len)).expect("in memory");
            writer.flush().expect("in memory");
            std::panic::resume_unwind(Box::new("the caller panics"));
        }));
        assert!(panicked.is_err());
        assert!(matches!(opened(&sink), Err(Category::Truncated)), "{len}");
    }
}

/// Says that it moved more than it was given room for.
struct Boasts(usize);

impl Write for Boasts {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len() + self.0)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Read for Boasts {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        Ok(buffer.len() + self.0)
    }
}

/// An inner reader or writer that breaks its contract ends in a panic that says so, and in no message.
#[test]
fn inner_readers_and_writers_that_boast_are_stopped() {
    let stopped = |work: &mut dyn FnMut()| {
        let panic =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).expect_err("a broken contract");
        let told = panic.downcast_ref::<String>().cloned();
        told.or_else(|| panic.downcast_ref::<&str>().map(|told| (*told).to_owned())).unwrap_or_default()
    };
    let mut out = wait(kuvert().sealer(&context())).expect("a key in memory").into_writer(Boasts(1));
    assert!(stopped(&mut || out.write_all(&text(100_000)).expect("a panic")).contains("claims more bytes"));
    let mut out = writer();
    assert!(stopped(&mut || drop(out.copy_from(&mut Boasts(1)))).contains("claims more bytes"));
    assert!(opened(&out.abort()).is_err());
    let message = message(Layout::Compact, &text(100));
    let mut source = message.as_slice();
    let start = kuvert::MessageStart::read(&mut source).expect("a whole message");
    let opener = wait(kuvert().opener(start, &context())).expect("a whole message");
    let mut reader = opener.into_reader(Boasts(1));
    assert!(stopped(&mut || drop(reader.read(&mut [0; 10]))).contains("claims more bytes"));
}

#[test]
fn nothing_can_be_written_after_the_end() {
    let mut writer = writer();
    writer.write_all(b"all").expect("in memory");
    writer.try_finish().expect("in memory");
    let error = writer.write(b"more").expect_err("finished");
    let inner = error.downcast::<SealError>().expect("an error of ours");
    assert_eq!(inner.category(), Category::Usage);
    writer.copy_from(&mut &b"more"[..]).expect_err("finished");
    let (sealed, report) = writer.finish().expect("finished already");
    assert_eq!((report.plaintext_len, opened(&sealed)), (3, Ok(b"all".to_vec())));
}

#[test]
fn an_empty_write_is_nothing() {
    let mut writer = writer();
    assert_eq!(writer.write(b"").expect("in memory"), 0);
    writer.write_all(&text(CHUNK)).expect("in memory");
    assert_eq!(writer.write(b"").expect("in memory"), 0);
    let (sealed, _) = writer.finish().expect("in memory");
    assert!(opened(&sealed).expect("finished") == text(CHUNK));
}

#[test]
fn an_empty_read_is_nothing_and_the_end_stays() {
    for len in [0, 1, CHUNK, CHUNK + 1] {
        let message = message(Layout::Compact, &text(len));
        let mut source = message.as_slice();
        let start = kuvert::MessageStart::read(&mut source).expect("a whole message");
        let mut reader =
            wait(kuvert().opener(start, &context())).expect("a whole message").into_reader(source);
        assert_eq!(reader.read(&mut []).expect("nothing"), 0);
        assert!(!reader.is_complete(), "nothing was read yet");
        let mut out = Vec::new();
        reader.read_to_end(&mut out).expect("a whole message");
        assert!(out == text(len) && reader.is_complete());
        assert_eq!(reader.read(&mut [0; 10]).expect("the end stays"), 0);
        assert_eq!(reader.into_inner(), b"");
    }
}

/// One handle, many messages at once: they do not mix.
#[test]
fn interleaved_messages() {
    let mut writers: Vec<_> = (0..8).map(|_| writer()).collect();
    let texts: Vec<_> =
        (0..8_u8).map(|n| text(usize::from(n) * 9_999).iter().map(|b| b ^ n).collect::<Vec<_>>()).collect();
    for at in (0..80_000).step_by(1_234) {
        for (writer, text) in writers.iter_mut().zip(&texts) {
            let from = at.min(text.len());
            writer.write_all(&text[from..(at + 1_234).min(text.len())]).expect("in memory");
        }
    }
    for (writer, text) in writers.into_iter().zip(&texts) {
        let (sealed, _) = writer.finish().expect("in memory");
        assert!(opened(&sealed).expect("finished") == *text);
    }
}

/// Handles and keys are shared by threads.
#[test]
fn many_threads_on_one_handle() {
    let kuvert = kuvert();
    let (key, envelope) = wait(kuvert.new_record_key(&context())).expect("a key in memory");
    std::thread::scope(|scope| {
        for thread in 0..8_usize {
            let (kuvert, key, envelope) = (&kuvert, key.clone(), &envelope);
            scope.spawn(move || {
                for n in 0..40 {
                    let plaintext = text(thread * 1_000 + n);
                    let sealed = wait(kuvert.seal(&plaintext, &context())).expect("in memory");
                    assert_eq!(*wait(kuvert.open(&sealed, &context())).expect("just sealed"), plaintext);
                    let record = key.seal(&plaintext, &cell()).expect("a small record");
                    let loaded =
                        wait(kuvert.load_record_key(envelope, &context())).expect("a whole envelope");
                    assert_eq!(*loaded.open(&record, &cell()).expect("just sealed"), plaintext);
                }
            });
        }
    });
}

/// The halves can do their half only, which the compiler checks; together they are the whole.
#[test]
fn sealing_and_opening_halves() {
    let sealing = kuvert::Kuvert::seal_only(crate::support::fixture::provider());
    let opening = kuvert::Kuvert::open_only(crate::support::fixture::provider());
    for layout in [Layout::Compact, Layout::Rewrappable] {
        let sealing = sealing.clone().with_options(SealOptions::default().with_layout(layout));
        let sealed = wait(sealing.seal(b"one way", &context())).expect("in memory");
        assert_eq!(*wait(opening.open(&sealed, &context())).expect("just sealed"), b"one way");
    }
}
