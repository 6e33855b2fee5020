//! Random access: seal a log, then read its end, its middle, and many places from several threads at once.
//!
//! `cargo run --example seek`

use std::{
    error::Error,
    fs::File,
    io::{BufRead, Read, Seek, SeekFrom, Write},
    thread,
};

use kuvert::{EncryptionContext, MessageStart, blocking::Kuvert, provider::MemoryProvider};

const LINES: u64 = 200_000;
const LINE_LEN: usize = 24; // with its end of line

fn main() -> Result<(), Box<dyn Error>> {
    let kuvert = Kuvert::new(MemoryProvider::generate("demo-2026")?);
    let context = EncryptionContext::new([("log", "access")])?;
    let mut file = tempfile::tempfile()?;

    // Sealed line by line; memory stays the same however long the log is.
    let mut out = kuvert.sealer(&context)?.into_writer(&mut file);
    for number in 0..LINES {
        writeln!(out, "line {number:>18}")?;
    }
    let (_, report) = out.finish()?;
    println!("sealed {} bytes into {}", report.plaintext_len, report.sealed_len);

    // `MessageStart` is the header, unverified; the opener has unwrapped the key and verified it.
    file.rewind()?;
    let start = MessageStart::read_seekable(&mut file)?;
    let mut reader = kuvert.opener(start, &context)?.into_seekable(file.try_clone()?)?;

    // The last line: like `tail`, without opening what comes before.
    reader.seek(SeekFrom::End(-(LINE_LEN as i64)))?;
    let mut last = String::new();
    reader.read_to_string(&mut last)?;
    println!("last:   {}", last.trim_end());

    // A line in the middle.
    reader.seek(SeekFrom::Start(LINES / 2 * LINE_LEN as u64))?;
    let mut middle = String::new();
    reader.read_line(&mut middle)?;
    println!("middle: {}", middle.trim_end());
    assert_eq!(middle, format!("line {:>18}\n", LINES / 2));

    several_threads(&kuvert, &context, file)
}

/// One reader, shared: reading takes `&self`, and opens only the 16 KiB chunks that a range touches.
fn several_threads(
    kuvert: &Kuvert,
    context: &EncryptionContext,
    mut file: File,
) -> Result<(), Box<dyn Error>> {
    file.rewind()?;
    let start = MessageStart::read_seekable(&mut file)?;
    let reader = kuvert.opener(start, context)?.into_ranges(file)?;
    thread::scope(|scope| {
        for thread in 0..4 {
            let reader = &reader;
            scope.spawn(move || {
                for number in (thread..LINES).step_by(1999) {
                    let mut line = [0; LINE_LEN];
                    reader
                        .read_exact_at(&mut line, number * LINE_LEN as u64)
                        .expect("the range is in the log");
                    assert_eq!(line, *format!("line {number:>18}\n").as_bytes());
                }
            });
        }
    });
    println!("ranges read from 4 threads: all equal");
    Ok(())
}
