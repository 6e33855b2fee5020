//! Several cores: the same message sealed and opened by one thread and by all, in memory that does not grow with it.
//!
//! `cargo run --release --example parallel`

use std::{
    error::Error,
    io::{self, Read},
    time::Instant,
};

use kuvert::{
    EncryptionContext, MessageStart, OpenError, SealOptions, Threads, blocking::Kuvert,
    provider::MemoryProvider,
};

/// Long enough that more than one thread pays: in a stream none is started for the first 64 MiB.
const LEN: u64 = 256 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let kuvert = Kuvert::new(MemoryProvider::generate("demo-2026")?);
    let context = EncryptionContext::new([("backup", "daily")])?;
    println!("{} cores may be used", Threads::auto().count());

    let mut message = Vec::new();
    for threads in [Threads::ONE, Threads::auto()] {
        let clock = Instant::now();
        let mut out = kuvert.sealer(&context)?.into_parallel_writer(Vec::new(), threads);
        out.copy_from(&mut dump())?;
        let report;
        (message, report) = out.finish()?;
        println!(
            "sealed {} bytes on {} threads: {:?}",
            report.plaintext_len,
            threads.count(),
            clock.elapsed()
        );
    }

    for threads in [Threads::ONE, Threads::auto()] {
        let clock = Instant::now();
        let mut source = message.as_slice();
        let start = MessageStart::read(&mut source)?;
        let report = kuvert.opener(start, &context)?.into_parallel_reader(source, threads).verify()?;
        println!(
            "verified {} bytes on {} threads: {:?}",
            report.plaintext_len,
            threads.count(),
            clock.elapsed()
        );
        assert_eq!(report.plaintext_len, LEN);
    }

    // What is in memory or in a file takes the option instead.
    let both = kuvert.clone().with_seal_options(SealOptions::default().with_threads(Threads::auto()));
    assert_eq!(
        kuvert.open(&both.seal(b"short, so by one", &context)?, &context)?.as_slice(),
        b"short, so by one"
    );

    // One bit changed in the middle: what comes before it is given out, in order, and nothing behind it.
    let middle = message.len() / 2;
    message[middle] ^= 1;
    let mut source = message.as_slice();
    let start = MessageStart::read(&mut source)?;
    let mut reader = kuvert.opener(start, &context)?.into_parallel_reader(source, Threads::auto());
    let error = reader.copy_to(&mut io::sink()).expect_err("it was changed");
    let error = error.downcast::<OpenError>()?;
    println!("with a bit flipped: {error}, after {} good bytes", reader.report().plaintext_len);
    assert!(matches!(error, OpenError::Tampered(_)));
    Ok(())
}

/// What is backed up.
fn dump() -> impl Read {
    io::repeat(7).take(LEN)
}
