//! Rewrap a sealed file from one key to another: the body stays, a crash half way loses nothing, and the old key opens it
//! no longer.
//!
//! `cargo run --example rewrap`

use std::{
    error::Error,
    fs::{self, File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::Path,
    sync::Arc,
};

use kuvert::{
    EncryptionContext, MessageStart, RewrapOutcome,
    blocking::{Kuvert, Rewrap},
    provider::MemoryProvider,
};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let (dump, backup) = (directory.path().join("dump"), directory.path().join("backup.kvt"));
    fs::write(&dump, vec![b'x'; 20_000_000])?;

    // Sealed last year, under last year's key.
    let old = Kuvert::new(MemoryProvider::generate("backup-2026")?);
    let context = EncryptionContext::new([("backup", "daily"), ("date", "2026-11-21")])?;
    old.seal_file(&dump, &backup, &context)?;
    let sealed = fs::read(&backup)?;
    println!("sealed: {} bytes, opened by {}", sealed.len(), who_opens(&old, &backup, &context)?);

    // The change: this year's key in place of last year's. It can be made in any number of files.
    let new_keys = Arc::new(MemoryProvider::generate("backup-2027")?);
    let rewrap = old.rewrap_to_arc(new_keys.clone());
    let new = Kuvert::from_arc(new_keys);

    crash_half_way(&rewrap, &backup, &context, &sealed)?;
    println!("after the crash: opened by {}", who_opens(&old, &backup, &context)?);
    println!("            and: opened by {}", who_opens(&new, &backup, &context)?);

    // Go on: the same call again, which finds what was begun and finishes it.
    let report = rewrap.file(&backup, &context)?;
    assert_eq!(report.outcome, RewrapOutcome::Mended);
    println!("finished: generation {}, for {}", report.generation, report.recipients[0].id);
    assert!(!directory.path().join("backup.kvt.kuvert-header").exists());

    // The old key opens it no longer, the new one does, and not a byte of the body was written.
    let refused = who_opens(&old, &backup, &context).expect_err("the old key must not open it any more");
    println!("old key: {refused}");
    let after = fs::read(&backup)?;
    assert!(after[4096..] == sealed[4096..]);
    new.open_file(&backup, directory.path().join("restored"), &context)?;
    assert!(fs::read(directory.path().join("restored"))? == fs::read(&dump)?);
    println!("new key: restored {} bytes", fs::metadata(&dump)?.len());

    // Once more does no harm: there is nothing left to do.
    assert_eq!(rewrap.file(&backup, &context)?.outcome, RewrapOutcome::Unchanged);

    // What rewrapping does not do: whoever kept the old header still opens the body with the old key. A key that was
    // stolen calls for sealing again.
    let kept = [&sealed[..4096], &after[4096..]].concat();
    assert!(old.open(&kept, &context).is_ok());
    Ok(())
}

/// What a power cut leaves when it comes after the new slot was written and before the old one was zeroed: both are
/// valid, and a copy of the old header lies beside the file.
fn crash_half_way(
    rewrap: &Rewrap,
    backup: &Path,
    context: &EncryptionContext,
    sealed: &[u8],
) -> Result<(), Box<dyn Error>> {
    let (rewrapped, _) = rewrap.message(sealed, context)?;
    // A header of two slots: the old one is zero afterwards, so that what is not zero in either is what both hold.
    let both: Vec<u8> = sealed[..4096].iter().zip(&rewrapped).map(|(old, new)| old | new).collect();
    let mut file = OpenOptions::new().write(true).open(backup)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&both)?;
    fs::write(backup.with_extension("kvt.kuvert-header"), &sealed[..4096])?;
    Ok(())
}

fn who_opens(
    kuvert: &Kuvert,
    backup: &Path,
    context: &EncryptionContext,
) -> Result<String, kuvert::OpenError> {
    let start = MessageStart::read_seekable(&mut File::open(backup)?)?;
    let report = kuvert.opener(start, context)?.report();
    let state = if report.unfinished_rewrap { " (a rewrap is unfinished)" } else { "" };
    Ok(format!("{}{state}", report.opened_by.id))
}
