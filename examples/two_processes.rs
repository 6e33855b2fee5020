//! Erased in one process, refused in another: within the time that the receipt states, without a word between the two.
//!
//! `cargo run --example two_processes --features sqlite`
//!
//! It starts itself as a second process, which opens a record over and over out of its cache. The two share the file of the key
//! store and nothing else.

use kuvert::keystore::{SqliteKeyStore, SqliteOptions};
use kuvert::provider::{KeyFile, MemoryProvider};
use kuvert::{Cell, RecordError, Sealed, Subjects, SubjectsOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// How long a key may be cached, in both processes.
const MAX_AGE: Duration = Duration::from_secs(2);

fn main() -> Result {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        None => kuvert::blocking::block_on(eraser())?,
        Some(folder) => kuvert::blocking::block_on(reader(folder.as_ref()))?,
    }
}

async fn eraser() -> Result {
    let folder = tempfile::tempdir()?;
    KeyFile::generate(Some("week-47"))?.write_new(&folder.path().join("wrapping.key"))?;
    let (store, keys) = (store(folder.path())?, keys(folder.path())?);
    let subjects = Subjects::init(store, keys.clone(), keys, options()).await?;
    let scope = subjects.scope("people");
    let anna = scope.subject("1");
    let sealed = anna.seal("anna@example.se", cell()).await?;
    std::fs::write(folder.path().join("record"), sealed.as_bytes())?;

    let mut other = Command::new(std::env::current_exe()?)
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(other.stdout.take().ok_or("it is piped")?).lines();
    println!("the other process: {}", said.next().ok_or("it said nothing")??);

    let receipt = scope.erase(&anna, "2026-118").await?;
    let unusable = receipt.unusable.ok_or("there was a key")?;
    let here = scope.open(&sealed, cell()).await;
    println!("erased; here, at once: {}", here.err().ok_or("it opened")?);

    let deadline = unusable.duration_since(UNIX_EPOCH)?.as_secs();
    other.stdin.take().ok_or("it is piped")?.write_all(deadline.to_string().as_bytes())?;
    for line in said {
        println!("the other process: {}", line?);
    }
    let status = other.wait()?;
    if status.success() { Ok(()) } else { Err(format!("the other process: {status}").into()) }
}

/// The second process.
async fn reader(folder: &Path) -> Result {
    let sealed = Sealed::<String>::from_bytes(std::fs::read(folder.join("record"))?);
    let subjects = Subjects::open(store(folder)?, keys(folder)?, options()).await?;
    let scope = subjects.scope("people");
    println!("opened {}", *scope.open(&sealed, cell()).await?);
    std::io::stdout().flush()?;

    // Goes on opening, which is what it is there for, until it is told of the receipt.
    let mut deadline = String::new();
    std::io::stdin().read_to_string(&mut deadline)?;
    let deadline = UNIX_EPOCH + Duration::from_secs(deadline.parse()?);
    let mut opened = 0;
    loop {
        let asked = SystemTime::now();
        match scope.open(&sealed, cell()).await {
            Ok(_) if asked < deadline => opened += 1,
            Ok(_) => return Err("it opened after the time that the receipt states".into()),
            Err(error @ RecordError::Erased { .. }) => {
                let early = deadline.duration_since(SystemTime::now()).unwrap_or_default();
                println!("opened it {opened} more times from its cache, then: {error}");
                println!("that was {early:.1?} before the receipt's time");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn cell() -> Cell<'static> {
    Cell::new("people", "email", 1)
}

fn options() -> SubjectsOptions {
    SubjectsOptions::default().with_max_age(MAX_AGE)
}

fn store(folder: &Path) -> Result<Arc<SqliteKeyStore>> {
    Ok(Arc::new(SqliteKeyStore::open_or_create(folder.join("keys.sqlite"), &SqliteOptions::default())?))
}

fn keys(folder: &Path) -> Result<Arc<MemoryProvider>> {
    Ok(Arc::new(MemoryProvider::from_key_file(folder.join("wrapping.key"))?))
}
