//! The main job: back up a directory into one sealed file, check it, change its key, restore it, and compare every file.
//!
//! ```text
//! cargo run --release --features cli --example backup              this checkout
//! cargo run --release --features cli --example backup -- PATH      any directory or file
//! ```
//!
//! Everything it makes (a fresh key file, the backup, the restored copy) is in a temporary directory, which is
//! removed at the end; PATH itself is only read. Exit status: 0 every file came back as it was, 1 something failed
//! or differs, 2 the call was wrong.

/// Prints a line. Whether somebody still reads it is not what this is about: the exit status tells.
macro_rules! say {
    ($($what:tt)*) => {
        drop(std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{}\n", format_args!($($what)*))))
    };
}

mod compare;
mod pack;
mod report;
mod scan;
mod work;

use std::{
    env,
    error::Error,
    fs::File,
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use kuvert::{
    ClaimedSlot, EncryptionContext, MessageStart, Threads,
    blocking::Kuvert,
    io::AtomicFile,
    provider::{KeyFile, MemoryProvider},
};

use crate::{
    pack::Archive,
    report::{Table, escaped, megabytes, progress},
    work::WorkDir,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const HELP: &str = "\
Backs up a directory into one sealed file under a fresh key, verifies the file, changes its key for a second one, reads
one file of it by range, restores everything into a new directory and compares every file with the original.

usage: cargo run --release --features cli --example backup [-- PATH]

PATH is a directory or a file; without it, the checkout itself is backed up. Directories marked as caches by a
CACHEDIR.TAG (such as cargo's target) and other file systems below PATH are left out. All output goes to a
temporary directory (TMPDIR chooses where; it needs room for twice the size of PATH) and is removed at the end.";

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let path = match (arguments.next(), arguments.next()) {
        (None, _) => checkout(),
        (Some(flag), None) if flag == "--help" || flag == "-h" => {
            say!("{HELP}");
            return ExitCode::SUCCESS;
        }
        (Some(path), None) if !path.to_string_lossy().starts_with("--") => PathBuf::from(path),
        _ => {
            eprintln!("backup: expected one PATH or none\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let root = match path.canonicalize() {
        Ok(root) => root,
        Err(error) => {
            eprintln!("backup: {}: {error}; give the path of a directory or file to back up", path.display());
            return ExitCode::from(2);
        }
    };
    match back_up(&root) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("\nbackup: {error}");
            if is_full(error.as_ref()) {
                eprintln!(
                    "backup: set TMPDIR to a directory with room for twice the size of {}",
                    root.display()
                );
            }
            ExitCode::FAILURE
        }
    }
}

/// The directory of the crate's manifest: where cargo says it is now, else where it was built.
fn checkout() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

/// The whole story. `Ok(false)`: it went through, and a file did not come back as it was.
fn back_up(root: &Path) -> Result<bool> {
    let work = WorkDir::new()?;
    let mut table = Table::default();

    let tree = scan::scan(root, work.path()).map_err(|error| format!("{}: {error}", root.display()))?;
    say!("{}: {} entries, {}", root.display(), tree.entries.len(), megabytes(tree.bytes));

    // A fresh wrapping key, in a file that only its owner may read.
    let key_file = work.path().join("backup.key");
    KeyFile::generate(Some("example-backup"))?.write_new(&key_file)?;
    let kuvert = Kuvert::new(MemoryProvider::from_key_file(&key_file)?);
    // What the backup says about itself, in clear and bound to its content. To open it, present the same pairs.
    let context = EncryptionContext::new([("backup", "example"), ("content", "tar")])?;

    let backup = work.path().join("backup.kvt");
    let archive = seal(&kuvert, &context, tree, &backup, &mut table)?;
    show_claims(&backup)?;
    verify(&kuvert, &context, &backup, &mut table)?;
    let kuvert = change_key(&kuvert, &context, &backup, work.path(), &mut table)?;
    read_one(&kuvert, &context, &backup, &archive, &mut table)?;
    let restored = work.path().join("restored");
    restore(&kuvert, &context, &backup, &restored, &mut table)?;
    let outcome = table.time("compare", 2 * archive.bytes, || compare::compare(&archive, &restored))?;

    archive.notes.print();
    let all_equal = outcome.print();
    table.print(&archive, std::fs::metadata(&backup)?.len());
    Ok(all_equal)
}

/// A year later: a second key takes the first one's place. Only the header is written, however long the backup is.
fn change_key(
    first: &Kuvert,
    context: &EncryptionContext,
    backup: &Path,
    work: &Path,
    table: &mut Table,
) -> Result<Kuvert> {
    let key_file = work.join("next.key");
    KeyFile::generate(Some("example-next"))?.write_new(&key_file)?;
    let rewrap = first.rewrap_to(MemoryProvider::from_key_file(&key_file)?);
    let header_len = MessageStart::read(&mut File::open(backup)?)?.header().claimed_header_len();
    let report = table.time("rewrap", header_len as u64, || rewrap.file(backup, context))?;
    say!("Rewrapped to key \"{}\", generation {}.", escaped(&report.recipients[0].id), report.generation);

    let start = MessageStart::read(&mut File::open(backup)?)?;
    match first.opener(start, context) {
        Err(error) if error.category() == kuvert::Category::KeyUnavailable => {
            say!("The first key no longer opens it.");
        }
        Err(error) => return Err(error.into()),
        Ok(_) => return Err("the first key still opens the backup".into()),
    }
    Ok(Kuvert::new(MemoryProvider::from_key_file(&key_file)?))
}

/// Packs with `tar`, straight into the sealer: at no time is there an unsealed archive anywhere.
fn seal(
    kuvert: &Kuvert,
    context: &EncryptionContext,
    tree: scan::Tree,
    backup: &Path,
    table: &mut Table,
) -> Result<Archive> {
    let bar = progress("sealing", tree.archive_len());
    let start = std::time::Instant::now();
    let sealer = kuvert.sealer(context)?;
    let mut out = sealer.into_parallel_writer(AtomicFile::create(backup, false)?, Threads::auto());
    let archive = pack::pack(tree, &mut out, &bar)?;
    // Only now does the message get its end; without it, what was written would never open.
    let (file, report) = out.finish()?;
    file.commit()?;
    bar.finish_and_clear();
    table.add("pack and seal", report.plaintext_len, start.elapsed());
    Ok(archive)
}

/// What anybody can read without a key, and what nobody has verified yet.
fn show_claims(backup: &Path) -> Result<()> {
    let start = MessageStart::read(&mut File::open(backup)?)?;
    let header = start.header();
    say!("\nThe backup's header claims (no key needed, nothing verified yet):");
    say!("  layout     {:?}, {} bytes", header.claimed_layout(), header.claimed_header_len());
    for (name, value) in header.claimed_context() {
        say!("  context    {} = {}", escaped(name), escaped(value));
    }
    for slot in header.claimed_slots() {
        if let ClaimedSlot::Filled { generation, recipients } = slot {
            for recipient in recipients {
                let (kind, id) = (recipient.recipient_type(), recipient.id_lossy());
                say!("  recipient  {kind} {} (generation {generation})", escaped(&id));
            }
        }
    }
    Ok(())
}

/// Opens everything and writes nothing: whole and untouched, or an error.
fn verify(kuvert: &Kuvert, context: &EncryptionContext, backup: &Path, table: &mut Table) -> Result<()> {
    let clock = std::time::Instant::now();
    let mut file = File::open(backup)?;
    let start = MessageStart::read_seekable(&mut file)?;
    let opener = kuvert.opener(start, context)?;
    let bar = progress("verifying", file.metadata()?.len());
    let report = opener.into_parallel_reader(bar.wrap_read(file), Threads::auto()).verify()?;
    bar.finish_and_clear();
    table.add("verify", report.plaintext_len, clock.elapsed());
    say!("\nVerified: {} under key {:?}", megabytes(report.plaintext_len), report.opened_by.id);
    Ok(())
}

/// Reads one file out of the middle of the archive, opening only the 16 KiB chunks that it lies in.
fn read_one(
    kuvert: &Kuvert,
    context: &EncryptionContext,
    backup: &Path,
    archive: &Archive,
    table: &mut Table,
) -> Result<()> {
    let Some((entry, offset, len)) = archive.middle_file() else {
        say!("No file with content, so none to read by range.");
        return Ok(());
    };
    let clock = std::time::Instant::now();
    let mut file = File::open(backup)?;
    let start = MessageStart::read_seekable(&mut file)?;
    let reader = kuvert.opener(start, context)?.into_ranges(file)?;
    let opening = clock.elapsed();
    let mut original = compare::Original::open(&archive.root.join(&entry.path));
    let (mut reading, mut piece, mut at) = (opening, vec![0; PIECE], 0);
    while at < len {
        let piece = &mut piece[..usize::try_from(len - at).unwrap_or(PIECE).min(PIECE)];
        let clock = std::time::Instant::now();
        reader.read_exact_at(piece, offset + at)?;
        reading += clock.elapsed();
        original.compare(piece);
        at += piece.len() as u64;
    }
    table.add("read one by range", len, reading);
    let name = escaped(&entry.path.to_string_lossy());
    match original.difference() {
        None => say!("Read {name} by range, {len} bytes: equal."),
        Some(_) if entry.has_changed(&archive.root) => {
            say!("Read {name} by range; it has changed meanwhile.");
        }
        Some(difference) => return Err(format!("{name}: read by range, and {difference}").into()),
    }
    Ok(())
}

/// Unpacks straight from the opener into a new directory.
fn restore(
    kuvert: &Kuvert,
    context: &EncryptionContext,
    backup: &Path,
    restored: &Path,
    table: &mut Table,
) -> Result<()> {
    let clock = std::time::Instant::now();
    let mut file = File::open(backup)?;
    let start = MessageStart::read_seekable(&mut file)?;
    let opener = kuvert.opener(start, context)?;
    let bar = progress("restoring", file.metadata()?.len());
    let mut reader = opener.into_parallel_reader(bar.wrap_read(file), Threads::auto());
    std::fs::create_dir(restored)?;
    tar::Archive::new(&mut reader).unpack(restored)?;
    // tar stops at its own end mark. The message is known to be complete only where the reader says that it ends.
    io::copy(&mut reader, &mut io::sink())?;
    bar.finish_and_clear();
    table.add("restore", reader.report().plaintext_len, clock.elapsed());
    Ok(())
}

/// Bytes read by range at once.
const PIECE: usize = 1024 * 1024;

fn is_full(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::StorageFull) {
            return true;
        }
        next = error.source();
    }
    false
}
