//! Readers and writers that take and give several pieces at once, and stop anywhere.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};

use super::{OpenReader, SealWriter};
use crate::{
    fork,
    format::{schedule::BodyKeys, stanza::RecipientType},
    io::{OpenReport, RecipientName, SealReport},
    limits::CHUNK_LEN,
    secret::Secret,
    stream::{GROUP_CHUNKS, chunk::ChunkCipher, seal::SealMachine},
};

/// Gives and takes at most `most` bytes a call, across the borders of what it is given.
struct Vectored<T> {
    inner: T,
    most: usize,
    /// The most pieces that were handed over at once.
    pieces: usize,
}

impl<T> Vectored<T> {
    fn new(inner: T, most: usize) -> Self {
        Self { inner, most, pieces: 0 }
    }
}

impl Read for Vectored<&[u8]> {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        unreachable!("copying reads into several pieces")
    }

    fn read_vectored(&mut self, rooms: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.pieces = self.pieces.max(rooms.len());
        let mut left = self.most;
        for room in rooms {
            let now = left.min(room.len());
            left -= self.inner.read(&mut room[..now])?;
        }
        Ok(self.most - left)
    }
}

impl Write for Vectored<&mut Vec<u8>> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(&bytes[..bytes.len().min(self.most)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.pieces = self.pieces.max(pieces.len());
        let mut left = self.most;
        for piece in pieces {
            left -= self.inner.write(&piece[..left.min(piece.len())])?;
        }
        Ok(self.most - left)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn cipher() -> ChunkCipher {
    ChunkCipher::new(&BodyKeys { key: Secret::copy_from(&[7; 32]), base_nonce: [9; 12], commitment: [0; 32] })
}

fn sealer<W: Write>(inner: W) -> SealWriter<W> {
    let report = SealReport { plaintext_len: 0, sealed_len: 0, recipients: Vec::new(), pending: Vec::new() };
    SealWriter::new(inner, SealMachine::new(cipher(), Vec::new(), fork::generation()), report)
}

fn opener<R: Read>(inner: R) -> OpenReader<R> {
    let opened_by = RecipientName::new(RecipientType::AES_KWP, "test".to_owned());
    let report =
        OpenReport { plaintext_len: 0, opened_by, generation: 1, degraded: false, unfinished_rewrap: false };
    OpenReader::new(inner, cipher(), report)
}

#[test]
fn copying_by_pieces_gives_the_same_bytes() {
    let text: Vec<u8> =
        (0..CHUNK_LEN * GROUP_CHUNKS * 2 + 77).map(|i| (i / 3 % 256).to_le_bytes()[0]).collect();
    let mut plain = sealer(Vec::new());
    plain.write_all(&text).unwrap();
    let (expected, _) = plain.finish().unwrap();
    for most in [1000, CHUNK_LEN, CHUNK_LEN + 1, 3 * CHUNK_LEN - 5, usize::MAX] {
        let mut sealed = Vec::new();
        let mut source = Vectored::new(text.as_slice(), most);
        let mut writer = sealer(&mut sealed);
        assert_eq!(writer.copy_from(&mut source).unwrap(), text.len() as u64);
        writer.finish().unwrap();
        assert!(sealed == expected, "{most} bytes a call");
        assert_eq!(source.pieces, GROUP_CHUNKS, "a whole group is asked for");

        let mut opened = Vec::new();
        let mut target = Vectored::new(&mut opened, most);
        let mut reader = opener(sealed.as_slice());
        assert_eq!(reader.copy_to(&mut target).unwrap(), text.len() as u64);
        assert_eq!(target.pieces, GROUP_CHUNKS, "a whole group is handed over");
        assert!(opened == text, "{most} bytes a call");
    }
}
