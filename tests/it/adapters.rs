//! The same bytes however they are chopped: all adapters under random and one-byte I/O.
//!
//! Messages differ by their random keys, so what is compared is the length and what opens, for each side by itself and
//! for both together.

use std::io::{self, BufReader, BufWriter, Cursor, Read, Write};

use kuvert::io::{OpenReader, SealWriter};
use kuvert::{MessageStart, Sealer};

use crate::support::anatomy::{Anatomy, CHUNK};
use crate::support::cancel::wait;
use crate::support::fixture::{SIZES, chunks_len, context, kuvert, message, text};
use crate::support::io::{
    Chopped, OneByte, Strict, read_buffered_patiently, read_patiently, write_patiently,
};
use crate::support::rng::Rng;
use crate::support::sides::{Opens, Side};
use crate::support::ways::{Way, open};

fn writer<W: Write>(inner: W) -> SealWriter<W> {
    wait(kuvert().sealer(&context())).expect("a key in memory").into_writer(inner)
}

fn reader<R: Read>(mut source: R) -> OpenReader<R> {
    let start = MessageStart::read(&mut source).expect("a whole message");
    wait(kuvert().opener(start, &context())).expect("a whole message").into_reader(source)
}

fn sealer() -> Sealer {
    wait(kuvert().sealer(&context())).expect("a key in memory")
}

fn opening<'a, R: Read + Unpin + 'a>(side: Side, source: R) -> Box<dyn Opens + 'a> {
    side.reader(&kuvert(), source, &context()).expect("a whole message")
}

/// Every value with every side.
fn each<T: Copy + 'static>(
    values: impl IntoIterator<Item = T>,
    sides: &'static [Side],
) -> impl Iterator<Item = (T, Side)> {
    values.into_iter().flat_map(move |value| sides.iter().map(move |side| (value, *side)))
}

fn check_sealed(message: &[u8], plaintext: &[u8], what: &str) {
    let head = Anatomy::of(message).commitment.end;
    assert_eq!(message.len(), head + chunks_len(plaintext.len()), "{what}");
    let outcome = open(&kuvert(), Way::Whole, message, &context());
    assert!(outcome.result.is_ok() && outcome.released == plaintext, "{what}: {:?}", outcome.result);
}

/// Pieces of random length until all of it is cut.
fn pieces<'a>(mut text: &'a [u8], rng: &mut Rng, most: usize) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while !text.is_empty() {
        let (piece, rest) = text.split_at(rng.between(1..=most).min(text.len()));
        pieces.push(piece);
        text = rest;
    }
    pieces
}

#[test]
fn sealing_in_random_pieces_to_a_random_writer() {
    let mut rng = Rng::new("sealing in pieces");
    for len in SIZES {
        let plaintext = text(len);
        for (most, side) in each([1_000, CHUNK, 5 * CHUNK, 40 * CHUNK], Side::SEALING) {
            let what = format!("{side:?}: {len} bytes in pieces of up to {most}");
            let mut out = side.writer(sealer(), Chopped::new(Vec::new(), most, Rng::new("writer")));
            for piece in pieces(&plaintext, &mut rng, most) {
                write_patiently(&mut out, piece).expect("a patient caller");
                if rng.one_in(7) {
                    out.flush().expect("only interruptions");
                }
            }
            let report = out.end().expect("only interruptions");
            assert_eq!(report.plaintext_len, len as u64);
            check_sealed(&out.give_back().into_inner(), &plaintext, &what);

            let mut out = side.writer(sealer(), Chopped::new(Vec::new(), most, Rng::new("writer")));
            let mut source = Chopped::new(Strict::new(plaintext.as_slice()), most, Rng::new("reader"));
            assert_eq!(out.take_from(&mut source).expect("only interruptions"), len as u64, "{what}");
            out.end().expect("only interruptions");
            check_sealed(&out.give_back().into_inner(), &plaintext, &what);
        }
    }
}

#[test]
fn one_byte_at_a_time() {
    for (len, side) in each([0, 1, 100, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3], Side::SEALING) {
        let plaintext = text(len);
        let mut out = side.writer(sealer(), OneByte(Vec::new()));
        io::copy(&mut OneByte(plaintext.as_slice()), &mut out).expect("in memory");
        out.end().expect("in memory");
        let OneByte(message) = out.give_back();
        check_sealed(&message, &plaintext, "one byte at a time");
        let mut source = opening(side, OneByte(Strict::new(message.as_slice())));
        let (opened, result) = read_patiently(&mut source, 1);
        result.expect("a whole message");
        assert!(opened == plaintext, "{side:?}: {len}");
    }
}

#[test]
fn opening_from_a_random_reader_into_random_buffers() {
    for len in SIZES {
        let plaintext = text(len);
        let message = message(kuvert::Layout::Compact, &plaintext);
        for (most, side) in each([1_000, CHUNK, 40 * CHUNK], Side::OPENING) {
            let reader = |source| opening(side, source);
            let source = || Chopped::new(Strict::new(message.as_slice()), most, Rng::new("reader"));
            for buffer in [1, 999, CHUNK, CHUNK + 1, 3 * CHUNK, 50 * CHUNK] {
                if buffer == 1 && len > 3 * CHUNK {
                    continue;
                }
                let (opened, result) = read_patiently(&mut reader(source()), buffer);
                result.expect("a patient caller");
                assert!(opened == plaintext, "{len} bytes by {buffer}");
            }
            let (opened, result) = read_buffered_patiently(&mut reader(source()), most);
            result.expect("a patient caller");
            assert!(opened == plaintext, "{len} bytes by fill_buf");
            let mut sink = Chopped::new(Vec::new(), most, Rng::new("sink"));
            assert_eq!(reader(source()).copy_all(&mut sink).expect("only interruptions"), len as u64);
            assert!(sink.into_inner() == plaintext, "{len} bytes by copy_to");
        }
    }
}

/// Mixing the ways to read in one reader.
#[test]
fn mixed_reads() {
    let mut rng = Rng::new("mixed reads");
    for (len, side) in each(SIZES, Side::OPENING) {
        let plaintext = text(len);
        let message = message(kuvert::Layout::Compact, &plaintext);
        let chopped = Chopped::new(Strict::new(message.as_slice()), 30_000, Rng::new("reader"));
        let mut source = opening(side, chopped);
        let mut opened = Vec::new();
        loop {
            let before = opened.len();
            let mut buffer = vec![0; rng.between(1..=4 * CHUNK)];
            let (mut limited, most) = (Vec::new(), rng.between(1..=4 * CHUNK));
            match rng.below(3) {
                0 => match source.read(&mut buffer) {
                    Ok(read) => opened.extend_from_slice(&buffer[..read]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => panic!("{error}"),
                },
                1 => {
                    // At most so much of it, by the trait's own adapters.
                    (&mut source)
                        .take(most as u64)
                        .read_to_end(&mut limited)
                        .expect("std retries interruptions");
                    opened.append(&mut limited);
                }
                _ => {
                    use std::io::BufRead;
                    let taken = match source.fill_buf() {
                        Ok(bytes) => {
                            let taken = bytes.len().min(most);
                            opened.extend_from_slice(&bytes[..taken]);
                            taken
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        Err(error) => panic!("{error}"),
                    };
                    source.consume(taken);
                }
            }
            if opened.len() == before && source.is_complete() {
                break;
            }
        }
        assert!(opened == plaintext, "{len}");
    }
}

/// Standard adapters around and inside.
#[test]
fn through_standard_adapters() {
    let plaintext = text(5 * CHUNK + 9);
    let mut out = BufWriter::with_capacity(333, writer(BufWriter::with_capacity(777, Vec::new())));
    io::copy(&mut plaintext.as_slice(), &mut out).expect("in memory");
    let out = out.into_inner().expect("in memory");
    let (inner, _) = out.finish().expect("in memory");
    let message = inner.into_inner().expect("in memory");
    check_sealed(&message, &plaintext, "buffered");

    let mut source = BufReader::with_capacity(333, reader(BufReader::with_capacity(777, message.as_slice())));
    let mut opened = Vec::new();
    source.read_to_end(&mut opened).expect("a whole message");
    assert!(opened == plaintext);

    // One behind the other: sealed twice, opened twice.
    let mut out = writer(writer(Vec::new()));
    out.write_all(&plaintext).expect("in memory");
    let (out, _) = out.finish().expect("in memory");
    let (message, _) = out.finish().expect("in memory");
    let mut opened = Vec::new();
    reader(reader(message.as_slice())).read_to_end(&mut opened).expect("a whole message");
    assert!(opened == plaintext);
}

/// Two messages in one stream cannot be told apart by the reader, which reads to the end; with their lengths known,
/// `take` does it, and the reader is left exactly behind the first one.
#[test]
fn one_message_of_a_longer_stream() {
    let plaintext = text(CHUNK + 5);
    let message = message(kuvert::Layout::Compact, &plaintext);
    let stream = [message.clone(), b"and what follows".to_vec()].concat();
    let mut source = Cursor::new(stream);
    let mut opened = Vec::new();
    reader((&mut source).take(message.len() as u64)).read_to_end(&mut opened).expect("a whole message");
    assert!(opened == plaintext);
    let mut rest = String::new();
    source.read_to_string(&mut rest).expect("text");
    assert_eq!(rest, "and what follows");
}

/// Reading the start takes exactly the start.
#[test]
fn the_start_reads_no_byte_too_many() {
    for layout in [kuvert::Layout::Compact, kuvert::Layout::Rewrappable] {
        let message = message(layout, &text(100));
        let mut source = Cursor::new(&message);
        MessageStart::read(&mut source).expect("a whole message");
        assert_eq!(source.position(), Anatomy::of(&message).commitment.end as u64);
    }
}
