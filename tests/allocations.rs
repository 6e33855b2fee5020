//! What the crate allocates: nothing for a chunk or a record, little for a message, the same for any length.
//!
//! The global allocator of this process counts, for each thread by itself: allocations, and bytes that are alive. What it
//! cannot see is memory that a C library takes for itself; of the default backend that is one block of 600 bytes for
//! each prepared key.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test that cannot go on should say where")]

#[cfg(feature = "tokio")]
#[path = "allocations/adapters.rs"]
mod adapters;
#[path = "allocations/cache.rs"]
mod cache;
#[path = "allocations/counting.rs"]
mod counting;
#[path = "allocations/parallel.rs"]
mod parallel;
#[path = "allocations/records.rs"]
mod records;

use std::{
    hint::black_box,
    io::{self, BufRead, Cursor, Read, Seek, SeekFrom, Write},
};

use counting::{Counting, allocations_of, peak_of};
use kuvert::{
    EncryptionContext, Kuvert, MessageStart, Opener, Sealer, blocking::block_on, provider::MemoryProvider,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_planted_allocation_is_found() {
    assert_eq!(allocations_of(|| ()), 0);
    assert_eq!(allocations_of(|| drop(black_box(vec![1_u8; 100]))), 1);
    let mut grown = Vec::with_capacity(4);
    assert_eq!(allocations_of(|| grown.extend_from_slice(black_box(&[0_u8; 400]))), 1, "growing counts");
    assert_eq!(peak_of(|| drop(black_box(vec![0_u8; 12_345]))), 12_345);
    // Freed before the next: the peak is one of them. Alive together: the peak is both.
    assert_eq!(peak_of(|| (0..3).for_each(|_| drop(black_box(vec![1_u8; 1000])))), 1000);
    assert_eq!(peak_of(|| drop(black_box((vec![1_u8; 1000], vec![1_u8; 500])))), 1500);
    // What another thread allocates is that thread's.
    std::thread::scope(|scope| {
        let other = scope.spawn(|| allocations_of(|| drop(black_box(vec![0_u8; 1000]))));
        assert_eq!(other.join().unwrap(), 1);
    });
}

#[test]
fn sealing_a_chunk_allocates_nothing() {
    let piece = vec![7; 3 * MIB];
    let mut writer = setting().sealer().into_writer(Sink);
    writer.write_all(&piece).unwrap();
    let whole = allocations_of(|| writer.write_all(&piece).unwrap());
    let odd = allocations_of(|| piece.chunks(1000).for_each(|few| writer.write_all(few).unwrap()));
    let flushed = allocations_of(|| {
        piece.chunks(50_000).for_each(|some| {
            writer.write_all(some).unwrap();
            writer.flush().unwrap();
        });
    });
    let copied = allocations_of(|| {
        writer.copy_from(&mut piece.as_slice()).unwrap();
    });
    assert_eq!([whole, odd, flushed, copied], [0; 4]);
}

#[test]
fn opening_a_chunk_allocates_nothing() {
    let setting = setting();
    let message = setting.seal(&vec![7; 16 * MIB]);
    let (opener, chunks) = setting.opener(&message);
    let mut reader = opener.into_reader(chunks);
    let mut out = vec![0; 100_000];
    reader.read_exact(&mut out).unwrap();
    let by_read = allocations_of(|| (0..20).for_each(|_| reader.read_exact(&mut out).unwrap()));
    let by_few = allocations_of(|| (0..500).for_each(|_| reader.read_exact(&mut out[..999]).unwrap()));
    let by_buffer = allocations_of(|| {
        for _ in 0..100 {
            let len = reader.fill_buf().unwrap().len();
            reader.consume(len);
        }
    });
    let by_copy = allocations_of(|| {
        reader.copy_to(&mut Sink).unwrap();
    });
    assert!(reader.is_complete());
    assert_eq!([by_read, by_few, by_buffer, by_copy], [0; 4]);
}

#[test]
fn a_range_allocates_once_at_most_and_a_seek_never() {
    let setting = setting();
    let len = 4 * MIB;
    let message = setting.seal(&vec![7; len]);
    let ranges = setting.opener(&message).0.into_ranges(message.as_slice()).unwrap();
    let mut out = vec![0; 2 * MIB];
    for (offset, wanted) in
        [(0, 1), (5, 1024), (16_383, 2), (1_000_000, 1 << 20), (100, 2 * MIB), (len - 7, 100), (len + 9, 1)]
    {
        let made = allocations_of(|| {
            ranges.read_at(&mut out[..wanted], offset as u64).unwrap();
        });
        assert!(made <= 1, "{made} allocations for {wanted} bytes from {offset}");
    }
    let (opener, chunks) = setting.opener(&message);
    let mut reader = opener.into_seekable(in_message(&message, chunks)).unwrap();
    reader.read_exact(&mut out[..40_000]).unwrap();
    let seeking = allocations_of(|| {
        for offset in (0..100).map(|n| n * 40_009) {
            reader.seek(SeekFrom::Start(offset)).unwrap();
            reader.read_exact(&mut out[..20_000]).unwrap();
        }
    });
    assert_eq!(seeking, 0);
}

#[test]
fn a_small_message_keeps_a_small_heap() {
    let setting = setting();
    for len in [0, 64, 1000, 16_383, 16_384, 100_000, MIB] {
        let plaintext = vec![7; len];
        let sealing = peak_of(|| drop(block_on(setting.kuvert.seal(&plaintext, &setting.context))));
        assert!(sealing <= len + 64 * KIB, "sealing {len} bytes took {sealing}");
        let message = block_on(setting.kuvert.seal(&plaintext, &setting.context)).unwrap().unwrap();
        let opening = peak_of(|| drop(block_on(setting.kuvert.open(&message, &setting.context))));
        assert!(opening <= len + 64 * KIB, "opening {len} bytes took {opening}");

        let writing = peak_of(|| {
            let mut writer = setting.sealer().into_writer(Sink);
            writer.write_all(&plaintext).unwrap();
            writer.finish().unwrap();
        });
        // Buffers grow fourfold, up to a group.
        assert!(writing <= 4 * len + 80 * KIB, "writing {len} bytes took {writing}");
        let reading = peak_of(|| {
            let (opener, chunks) = setting.opener(&message);
            opener.into_reader(chunks).copy_to(&mut Sink).unwrap();
        });
        assert!(reading <= 4 * len + 80 * KIB, "reading {len} bytes took {reading}");
    }
}

/// Sealed on one thread and opened on another, which each count for themselves.
#[cfg(unix)]
#[test]
fn the_heap_of_a_stream_does_not_depend_on_its_length() {
    let (seal_short, open_short) = peaks_of_a_stream(64 << 20);
    // The portable backend would take a while for all of it.
    let all =
        cfg!(any(feature = "aws-lc", feature = "ring")) || std::env::var_os("KUVERT_TEST_LONG").is_some();
    let long = if all { 1 << 30 } else { 256 << 20 };
    let (seal_long, open_long) = peaks_of_a_stream(long);
    println!("heap of {long} bytes: {seal_long} sealing, {open_long} opening");
    assert_eq!((seal_short, open_short), (seal_long, open_long), "64 MiB and {long} bytes");
    assert!(seal_long <= 4 * MIB && open_long <= 4 * MIB, "{seal_long} and {open_long}");
}

/// Bytes of heap, at most, while so many bytes are sealed into a socket, and opened from it.
#[cfg(unix)]
fn peaks_of_a_stream(len: u64) -> (usize, usize) {
    use std::os::unix::net::UnixStream;

    let setting = setting();
    let (mut sending, mut receiving) = UnixStream::pair().unwrap();
    std::thread::scope(|scope| {
        let sealing = scope.spawn(|| {
            let peak = peak_of(|| {
                let mut writer = setting.sealer().into_writer(&mut sending);
                assert_eq!(writer.copy_from(&mut io::repeat(7).take(len)).unwrap(), len);
                writer.finish().unwrap();
            });
            sending.shutdown(std::net::Shutdown::Write).unwrap();
            peak
        });
        let opening = peak_of(|| {
            let start = MessageStart::read(&mut receiving).unwrap();
            let opener = block_on(setting.kuvert.opener(start, &setting.context)).unwrap().unwrap();
            assert_eq!(opener.into_reader(&mut receiving).copy_to(&mut Sink).unwrap(), len);
        });
        (sealing.join().unwrap(), opening)
    })
}

struct Setting {
    kuvert: Kuvert,
    context: EncryptionContext,
}

fn setting() -> Setting {
    Setting {
        kuvert: Kuvert::new(MemoryProvider::generate("counted").unwrap()),
        context: EncryptionContext::new([("backup", "daily")]).unwrap(),
    }
}

impl Setting {
    fn sealer(&self) -> Sealer {
        block_on(self.kuvert.sealer(&self.context)).unwrap().unwrap()
    }

    fn seal(&self, plaintext: &[u8]) -> Vec<u8> {
        let mut writer = self.sealer().into_writer(Vec::new());
        writer.write_all(plaintext).unwrap();
        writer.finish().unwrap().0
    }

    /// The opener of a message, and its chunks.
    fn opener<'a>(&self, message: &'a [u8]) -> (Opener, &'a [u8]) {
        let mut rest = message;
        let start = MessageStart::read(&mut rest).unwrap();
        (block_on(self.kuvert.opener(start, &self.context)).unwrap().unwrap(), rest)
    }
}

/// A cursor over the whole message that stands on its chunks.
fn in_message<'a>(message: &'a [u8], chunks: &[u8]) -> Cursor<&'a [u8]> {
    let mut cursor = Cursor::new(message);
    cursor.set_position((message.len() - chunks.len()) as u64);
    cursor
}

struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(black_box(bytes).len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
