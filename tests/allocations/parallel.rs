//! Several threads: a heap that does not grow with the message, and nothing for a chunk once they are at work.
//!
//! The calling thread allocates every buffer, so that its count is the whole of them: what other threads free is not
//! taken off, which makes the peak too high and never too low.

use std::{
    io::{self, Read, Write},
    num::NonZeroUsize,
};

use kuvert::Threads;

use super::{
    MIB, Sink,
    counting::{allocations_of, peak_of},
    setting,
};

fn two() -> Threads {
    Threads::exactly(NonZeroUsize::new(2).unwrap())
}

#[test]
fn two_cores_take_a_few_mib_whatever_the_length() {
    // The portable backend would take a while for all of it.
    let long = if cfg!(any(feature = "aws-lc", feature = "ring")) { 512 << 20 } else { 192 << 20 };
    let mut peaks = Vec::new();
    for len in [128_u64 << 20, long] {
        let setting = setting();
        let sealing = peak_of(|| {
            let mut writer = setting.sealer().into_parallel_writer(Sink, two());
            assert_eq!(writer.copy_from(&mut io::repeat(7).take(len)).unwrap(), len);
            writer.finish().unwrap();
        });
        let message = setting.seal(&vec![7; 128 * MIB]);
        let opening = peak_of(|| {
            let (opener, chunks) = setting.opener(&message);
            opener.into_parallel_reader(chunks, two()).copy_to(&mut Sink).unwrap();
        });
        peaks.extend([sealing, opening]);
    }
    println!("heap on two cores: {peaks:?}");
    assert!(peaks.iter().all(|peak| *peak <= 4 * MIB), "{peaks:?}");
}

#[test]
fn a_short_message_costs_what_it_costs_on_one_thread() {
    let setting = setting();
    for len in [0, 64, 16_384, 100_000, MIB] {
        let plaintext = vec![7; len];
        let [one, several] = [Threads::ONE, two()].map(|threads| {
            peak_of(|| {
                let mut writer = setting.sealer().into_parallel_writer(Sink, threads);
                writer.write_all(&plaintext).unwrap();
                writer.finish().unwrap();
            })
        });
        assert_eq!(one, several, "{len} bytes");
        assert!(one <= 4 * len + 80 * 1024, "{len} bytes took {one}");
    }
}

#[test]
fn a_chunk_allocates_nothing_on_the_calling_thread() {
    let piece = vec![7; 8 * MIB];
    let mut writer = setting().sealer().into_parallel_writer(Sink, two());
    // Every buffer there will ever be is there after the first few jobs, which begin behind 64 MiB.
    (0..10).for_each(|_| writer.write_all(&piece).unwrap());
    let whole = allocations_of(|| (0..8).for_each(|_| writer.write_all(&piece).unwrap()));
    let copied = allocations_of(|| {
        writer.copy_from(&mut piece.as_slice()).unwrap();
    });
    // One more job may be under way at once than ever before.
    assert!(whole + copied <= 2, "{whole} and {copied}");
}
