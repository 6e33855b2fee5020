//! Backups from an independent writer, in pieces of every size; both directions; bytes that no writer writes.

use super::*;
use crate::format::testing::vectors::Vector;

/// The entries of a backup that comes in pieces of `piece` bytes, or its first fault.
fn read(backup: &[u8], piece: usize) -> Result<(usize, [u64; KINDS], u64), BackupFault> {
    let mut decoder = BackupDecoder::new();
    let (mut entries, mut end, mut most) = (0, None, 0);
    for bytes in backup.chunks(piece) {
        decoder.feed(bytes);
        most = most.max(decoder.buffer.len());
        while let Some(entry) = decoder.next()? {
            entries += 1;
            if let BackupEntry::End { change, counts } = entry {
                end = Some((counts, change));
            }
        }
    }
    assert!(most <= piece.saturating_add(MAX_ENVELOPE_LEN + 100), "{most} bytes were held");
    decoder.finish()?;
    let (counts, change) = end.expect("the decoder says that the end was read");
    Ok((entries, counts, change))
}

#[test]
fn every_vector_gives_what_it_states_however_it_comes() {
    let vectors = Vector::of_kind("store-backup");
    assert!(vectors.len() >= 50, "{}", vectors.len());
    for vector in &vectors {
        for piece in [1, 7, 1000, usize::MAX] {
            let found = read(&vector.input, piece);
            match (vector.text("expect"), &found) {
                ("ok", Ok((_, counts, change))) => {
                    let counts: Vec<_> = counts.iter().map(u64::to_string).collect();
                    assert_eq!(counts.join(" "), vector.text("counts"), "{}", vector.name);
                    assert_eq!(change.to_string(), vector.text("change"), "{}", vector.name);
                }
                (expect, Err(fault)) => {
                    assert_eq!(fault.category().name(), expect, "{} {fault:?}", vector.name);
                }
                (expect, Ok(_)) => panic!("{}: it is whole, and not {expect}", vector.name),
            }
        }
    }
}

/// What the decoder gives, the encoder writes again, byte for byte.
#[test]
fn both_directions_agree() {
    let mut tried = 0;
    for vector in Vector::of_kind("store-backup").iter().filter(|vector| vector.text("expect") == "ok") {
        let mut decoder = BackupDecoder::new();
        decoder.feed(&vector.input);
        let mut encoder = BackupEncoder::new();
        while let Some(entry) = decoder.next().expect("it is whole") {
            match entry {
                BackupEntry::End { change, .. } => encoder.finish(change).expect("the end is in order"),
                other => encoder.push(&other).expect("entries are in order"),
            }
        }
        assert!(encoder.take() == vector.input, "{}", vector.name);
        tried += 1;
    }
    assert_eq!(tried, 2);
}

#[test]
fn what_no_reader_takes_is_not_written() {
    let grave = BackupEntry::Grave(&[7; 32]);
    let mut encoder = BackupEncoder::new();
    assert!(encoder.push(&grave).is_err(), "no root yet");
    encoder.push(&BackupEntry::Root(b"envelope")).expect("the root comes first");
    encoder.push(&grave).expect("a grave");
    let hold = BackupEntry::Hold { pseudonym: &[1; 32], case: &[2; 32], since: 3 };
    assert!(encoder.push(&hold).is_err(), "out of order");
    encoder.finish(1).expect("the end");
    assert!(encoder.push(&grave).is_err(), "after the end");
}

#[test]
fn no_bytes_make_the_decoder_panic_or_hold_more_than_an_entry() {
    let whole = &Vector::of_kind("store-backup")
        .into_iter()
        .find(|v| v.name == "ok-store-backup")
        .expect("it is there")
        .input;
    let mut opened = 0;
    for at in 0..whole.len() {
        for bit in [0, 3, 7] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            opened += usize::from(read(&bytes, 4096).is_ok());
        }
    }
    assert!(opened > 1000, "most bytes are content, which the message around it protects: {opened}");
}
