//! Lines 49 to 63: bodies that are cut, mixed, lengthened or flipped, opened at once and as a stream.

use std::io::Read;

use kuvert::{Kuvert, Layout, MessageStart};

use super::{
    TAMPERED, TRUNCATED, Told,
    forge::{Forged, Scripted, kwp, sealed, slot},
    in_io, open, opener, plaintext, told,
};

const CHUNK: usize = 16_384;
const SEALED: usize = 16_400;
/// Where the chunks of a [`message`] begin.
pub(super) const CHUNKS_AT: usize = 32 + 24 + 256 + 56;

/// A message of `len` bytes under the known data key. Every one has a salt of its own.
pub(super) fn message(len: usize) -> Vec<u8> {
    let (_, body) = sealed(&plaintext(len), Layout::Compact);
    let message = Forged::of(vec![slot(1, &[kwp("k1")], 256)]).message(&body);
    assert_eq!(message.len() - body.len() + 56, CHUNKS_AT);
    message
}

pub(super) fn kuvert() -> Kuvert {
    Scripted::new().kuvert()
}

/// What opening in one call is told, and what a stream of unknown length is told.
fn both_told(message: &[u8]) -> (Told, Told) {
    (told(open(&kuvert(), message)), stream_told(message))
}

/// Whatever a stream gave out before its fault is the true beginning of the plaintext, in whole chunks; and it goes
/// on saying the same.
fn stream_told(message: &[u8]) -> Told {
    let mut source = message;
    let start = match MessageStart::read(&mut source) {
        Ok(start) => start,
        Err(error) => return told::<()>(Err(error)),
    };
    let mut reader = opener(&kuvert(), start).unwrap().into_reader(source);
    let mut released = Vec::new();
    let first = told(in_io(reader.read_to_end(&mut released)));
    assert!(plaintext(1 << 20).starts_with(&released), "not the plaintext's beginning");
    assert_eq!(released.len() % CHUNK, 0, "a part of a chunk");
    for _ in 0..3 {
        assert_eq!(told(in_io(reader.read(&mut [0; 10]))), first, "a failure of integrity is final");
    }
    first
}

/// The chunks of a message, each by itself.
fn chunks(message: &[u8]) -> Vec<Vec<u8>> {
    message[CHUNKS_AT..].chunks(SEALED).map(<[u8]>::to_vec).collect()
}

fn with_chunks(message: &[u8], chunks: &[Vec<u8>]) -> Vec<u8> {
    [&message[..CHUNKS_AT], &chunks.concat()].concat()
}

#[test]
fn lines_49_and_50_no_body_or_less_than_an_empty_one() {
    let whole = message(0);
    assert_eq!(whole.len(), CHUNKS_AT + 16);
    for len in 0..72 {
        assert_eq!(both_told(&whole[..CHUNKS_AT - 56 + len]), (TRUNCATED, TRUNCATED), "{len} bytes of body");
    }
    assert!(open(&kuvert(), &whole).unwrap().is_empty());
}

#[test]
fn lines_51_to_53_cut_at_a_border_and_within_a_chunk() {
    let whole = message(2 * CHUNK + 100);
    for border in [0, SEALED, 2 * SEALED] {
        for left in [0, 1, 15] {
            let cut = &whole[..CHUNKS_AT + border + left];
            assert_eq!(both_told(cut), (TRUNCATED, TRUNCATED), "{border} + {left}");
        }
        for left in [16, 17, 100, 115] {
            let cut = &whole[..CHUNKS_AT + border + left];
            assert_eq!(both_told(cut), (TAMPERED, TAMPERED), "{border} + {left}");
        }
    }
    let ends_full = message(2 * CHUNK);
    let without_last = &ends_full[..ends_full.len() - 16];
    assert_eq!(both_told(without_last), (TRUNCATED, TRUNCATED), "the empty last chunk removed");
}

#[test]
fn line_54_a_flipped_bit_releases_nothing_of_its_chunk() {
    let whole = message(2 * CHUNK + 100);
    for (chunk, at) in [(0, 0), (0, CHUNK), (0, SEALED - 1), (1, 5000), (2, 0), (2, 99), (2, 115)] {
        let mut flipped = whole.clone();
        flipped[CHUNKS_AT + chunk * SEALED + at] ^= 1;
        assert_eq!(both_told(&flipped), (TAMPERED, TAMPERED));
        let mut source = &flipped[..];
        let start = MessageStart::read(&mut source).unwrap();
        let mut released = Vec::new();
        let mut reader = opener(&kuvert(), start).unwrap().into_reader(source);
        assert_eq!(told(in_io(reader.copy_to(&mut released))), TAMPERED);
        assert_eq!(
            released,
            &plaintext(3 * CHUNK)[..chunk * CHUNK],
            "every chunk before, nothing of this one"
        );
    }
}

#[test]
fn line_54_the_output_is_wiped() {
    let whole = message(2 * CHUNK + 100);
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let (mut out, chunks) = (vec![0xaa; 2 * CHUNK + 100], &flipped[CHUNKS_AT..]);
    let unopened = opener(&kuvert(), MessageStart::parse(&flipped).unwrap()).unwrap();
    assert_eq!(told(unopened.open_into(chunks, &mut out)), TAMPERED);
    assert!(out.iter().all(|&byte| byte == 0), "chunks that did verify were left in the output");
    let mut middle = whole;
    middle[CHUNKS_AT + SEALED] ^= 1;
    let ranges =
        opener(&kuvert(), MessageStart::parse(&middle).unwrap()).unwrap().into_ranges(middle).unwrap();
    out.fill(0xaa);
    assert_eq!(told(ranges.read_at(&mut out, 0)), TAMPERED);
    assert!(out.iter().all(|&byte| byte == 0), "the first chunk was left in the output");
    ranges.read_exact_at(&mut out[..CHUNK], 0).unwrap();
    assert_eq!(out[..CHUNK], plaintext(CHUNK), "an untouched chunk still opens");
    ranges.read_exact_at(&mut out[..100], 2 * CHUNK as u64).unwrap();
}

#[test]
fn lines_55_to_58_chunks_swapped_repeated_inserted_dropped() {
    let whole = message(3 * CHUNK + 100);
    let original = chunks(&whole);
    for (what, order) in [
        ("swapped", &[1, 0, 2, 3][..]),
        ("swapped", &[0, 2, 1, 3]),
        ("the last one first", &[3, 0, 1, 2]),
        ("repeated", &[0, 0, 1, 2, 3]),
        ("repeated", &[0, 1, 2, 2, 3]),
        ("repeated at the end", &[0, 1, 2, 3, 3]),
        ("inserted", &[0, 1, 0, 2, 3]),
        ("replaced", &[0, 0, 2, 3]),
        ("a middle one dropped", &[0, 2, 3]),
        ("the first one dropped", &[1, 2, 3]),
        ("all but the last dropped", &[3]),
    ] {
        let chosen: Vec<_> = order.iter().map(|&i: &usize| original[i].clone()).collect();
        assert_eq!(both_told(&with_chunks(&whole, &chosen)), (TAMPERED, TAMPERED), "{what}: {order:?}");
    }
    assert!(open(&kuvert(), &with_chunks(&whole, &original)).is_ok());
}

#[test]
fn line_59_a_chunk_of_another_message_under_the_same_key() {
    let (mine, theirs) = (message(2 * CHUNK + 100), message(2 * CHUNK + 100));
    for i in 0..3 {
        let mut spliced = chunks(&mine);
        spliced[i].clone_from(&chunks(&theirs)[i]);
        assert_eq!(both_told(&with_chunks(&mine, &spliced)), (TAMPERED, TAMPERED), "chunk {i}");
    }
}

#[test]
fn line_60_garbage_appended() {
    for (len, more, expected) in [
        (100, 1, (TAMPERED, TAMPERED)),
        (100, 16, (TAMPERED, TAMPERED)),
        (100, SEALED, (TAMPERED, TAMPERED)),
        // The last chunk is now as long as a full one, and another one should follow.
        (CHUNK - 1, 1, (TRUNCATED, TAMPERED)),
        (CHUNK - 1, 16, (TRUNCATED, TAMPERED)),
        (CHUNK - 1, 17, (TAMPERED, TAMPERED)),
        (CHUNK, 1, (TAMPERED, TAMPERED)),
    ] {
        let longer = [message(len), vec![0x5a; more]].concat();
        assert_eq!(both_told(&longer), expected, "{len} and {more} more");
    }
}

#[test]
fn line_61_an_empty_last_chunk_of_ones_own() {
    let (mine, theirs) = (message(CHUNK), message(CHUNK));
    let last = chunks(&theirs).pop().unwrap();
    assert_eq!(last.len(), 16);
    for cut in [mine.len(), mine.len() - 16] {
        let ended = [&mine[..cut], &last].concat();
        assert_eq!(both_told(&ended), (TAMPERED, TAMPERED));
    }
    // One's own full chunk end, then the right last chunk of a shorter message under the same key.
    let longer = message(2 * CHUNK);
    let cut = [&longer[..CHUNKS_AT + SEALED], &chunks(&longer)[2]].concat();
    assert_eq!(both_told(&cut), (TAMPERED, TAMPERED), "its own last chunk at another place");
}

#[test]
fn line_62_two_messages_in_one_input() {
    for (first, expected) in [(100, (TAMPERED, TAMPERED)), (CHUNK, (TAMPERED, TAMPERED))] {
        let two = [message(first), message(50)].concat();
        assert_eq!(both_told(&two), expected, "{first}");
    }
    // Chosen so that both together are as long as full chunks.
    let second = message(50);
    let first = SEALED - 16 - second.len() % SEALED;
    let two = [message(first), second].concat();
    assert_eq!((two.len() - CHUNKS_AT) % SEALED, 0);
    assert_eq!(both_told(&two), (TRUNCATED, TAMPERED));
}

#[test]
fn line_63_a_slot_of_pending_stanzas_only() {
    let pending = kuvert::Recipient::new(kuvert::RecipientType::PENDING, "k1", [0, 1], [0]);
    let body = sealed(b"x", Layout::Compact).1;
    for recipients in [vec![pending.clone()], vec![pending.clone(), pending]] {
        let provider = Scripted::new();
        let message = Forged::of(vec![slot(1, &recipients, 256)]).message(&body);
        assert_eq!(told(open(&provider.kuvert(), &message)), super::MALFORMED);
        assert_eq!(provider.asked(), 0);
    }
}
