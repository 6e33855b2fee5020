//! A backup role that can check every row it backs up, and opens no password hash.
//!
//! `cargo run --example backup_role --features sqlite`
//!
//! Credentials are a class of their own: their keys lie in epochs under another wrapping key. Whoever has only the wrapping key of
//! persons opens their data, and finds the hashes sealed, in the live database and in every backup of it.

use kuvert::keystore::{SqliteKeyStore, SqliteOptions};
use kuvert::provider::{AnyOf, KeyProvider, MemoryProvider};
use kuvert::{Cell, RecordError, Scope, Sealed, Subjects, SubjectsOptions};
use rusqlite::{Connection, params};
use std::path::Path;
use std::sync::Arc;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const ACCOUNTS: [(i64, &str, &str); 2] = [
    (1, "anna@example.se", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$Zmlyc3QgaGFzaA"),
    (2, "bo@example.se", "$argon2id$v=19$m=19456,t=2,p=1$dGxhc3RsYXM$c2Vjb25kIGhhc2g"),
];

fn main() -> Result {
    kuvert::blocking::block_on(run())?
}

async fn run() -> Result {
    let folder = tempfile::tempdir()?;
    let root = Arc::new(MemoryProvider::generate("root")?);
    let persons = Arc::new(MemoryProvider::generate("persons-2026-w47")?);
    let credentials = Arc::new(MemoryProvider::generate("credentials-2026-w47")?);

    // The service: it has all three wrapping keys.
    let options = SubjectsOptions::default().with_credentials_provider(credentials.clone());
    let store = store(folder.path())?;
    let service = Subjects::init(store, root.clone(), persons.clone(), options).await?;
    let accounts = service.scope("accounts");
    let database = make_database(&folder.path().join("accounts.sqlite"), &accounts).await?;
    let backup = folder.path().join("accounts-backup.sqlite");
    database.execute("VACUUM INTO ?", [backup.to_str()])?;

    // The backup role: by its rights in the KMS, or in the HSM, it has two of them.
    let its_keys: Arc<dyn KeyProvider> = Arc::new(AnyOf::new([root as _, persons as _])?);
    let role = Subjects::open(self::store(folder.path())?, its_keys, SubjectsOptions::default()).await?;
    let (emails, hashes) = try_all(&backup, &role.scope("accounts")).await?;
    println!("the backup role opens {emails} mail addresses and {hashes} password hashes of its backup");
    assert_eq!((emails, hashes), (2, 0));

    let (emails, hashes) = try_all(&backup, &accounts).await?;
    println!("the service opens {emails} mail addresses and {hashes} password hashes of it");
    assert_eq!((emails, hashes), (2, 2));

    // And nobody finds one by looking at the bytes.
    let bytes = std::fs::read(&backup)?;
    assert!(!bytes.windows(9).any(|window| window == b"$argon2id"));

    // Who is erased loses both.
    accounts.erase(&accounts.subject("1"), "2026-119").await?;
    let (emails, hashes) = try_all(&backup, &accounts).await?;
    println!("after the erasure of one of them: {emails} and {hashes}");
    assert_eq!((emails, hashes), (1, 1));
    Ok(())
}

/// How many addresses and how many hashes open. What does not open for another reason than these two is an error.
async fn try_all(database: &Path, accounts: &Scope) -> Result<(usize, usize)> {
    let database = Connection::open(database)?;
    let mut select = database.prepare("SELECT id, email, password_hash FROM accounts")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let mut counts = [0, 0];
    for row in rows {
        let (id, email, hash): (i64, Sealed<String>, Sealed<String>) = row?;
        let columns = [(email, "email"), (hash, "password_hash")];
        for (count, (sealed, column)) in counts.iter_mut().zip(columns) {
            match accounts.open(&sealed, Cell::new("accounts", column, id)).await {
                Ok(_) => *count += 1,
                Err(RecordError::Erased { .. }) => {}
                Err(error @ RecordError::EpochUnavailable { .. }) => println!("  {column} {id}: {error}"),
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok((counts[0], counts[1]))
}

async fn make_database(path: &Path, accounts: &Scope) -> Result<Connection> {
    let database = Connection::open(path)?;
    database
        .execute_batch("CREATE TABLE accounts (id INTEGER PRIMARY KEY, email BLOB, password_hash BLOB)")?;
    for (id, email, hash) in ACCOUNTS {
        let (name, cell) = (id.to_string(), |column| Cell::new("accounts", column, id));
        let email = accounts.subject(&name).seal(email, cell("email")).await?;
        let hash = accounts.credentials(&name).seal(hash, cell("password_hash")).await?;
        database.execute("INSERT INTO accounts VALUES (?, ?, ?)", params![id, email, hash])?;
    }
    Ok(database)
}

fn store(folder: &Path) -> Result<Arc<SqliteKeyStore>> {
    Ok(Arc::new(SqliteKeyStore::open_or_create(folder.join("keys.sqlite"), &SqliteOptions::default())?))
}
