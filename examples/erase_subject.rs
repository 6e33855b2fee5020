//! A person asks to be erased: what is done, and what becomes of every copy that was made before.
//!
//! `cargo run --example erase_subject --features sqlite`
//!
//! A database of people with sealed columns, backed up every night; beside it the key store, with backups of its own. Anna is
//! erased. Then every older copy is restored, one after the other, and everybody's data is tried. The wrapping keys are
//! played by keys in memory; with feature `aws-kms` or `pkcs11` they would be a KMS's or an HSM's.

#[path = "shared/region.rs"]
mod region;

use kuvert::clock::{Clock, TestClock};
use kuvert::keystore::{EpochClass, SqliteKeyStore, SqliteOptions};
use kuvert::provider::{AnyOf, KeyProvider, MemoryProvider};
use kuvert::subjects::{FileAnchor, Receipt, RollOptions};
use kuvert::{Cell, EncryptionContext, Kuvert, RecordError, Scope, Sealed, Subjects, SubjectsOptions};
use region::Region;
use rusqlite::{Connection, params};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

const PEOPLE: [(i64, &str, &str); 3] = [
    (1, "Anna Ek", "anna@example.se"),
    (2, "Bo Lind", "bo@example.se"),
    (3, "Carin Alm", "carin@example.se"),
];
const DAY: Duration = Duration::from_secs(24 * 3600);

fn main() -> Result {
    kuvert::blocking::block_on(run())?
}

async fn run() -> Result {
    let place = Place::new()?;
    println!("Monday: three people, sealed in a database of their own");
    let subjects = Subjects::init(
        place.store("keys.sqlite")?,
        place.root.clone(),
        place.first_week.clone(),
        place.options(),
    )
    .await?;
    let people = subjects.scope("people");
    let live = place.make_database(&people).await?;
    assert_eq!(opens(&live, &people).await?, ["Anna", "Bo", "Carin"]);

    println!("Monday night: both are backed up, apart from each other");
    let data_backup = place.back_up_data(&live).await?;
    let keys_of_monday = place.back_up_keys(&subjects, "keys-monday.kuvert").await?;

    println!("Tuesday: request 2026-118, erase Anna");
    place.clock.advance(DAY);
    let receipt = people.erase(&people.subject("1"), "2026-118").await?;
    place.show(&receipt);
    assert_eq!(opens(&live, &people).await?, ["Bo", "Carin"]);
    // The application deletes the row as well; what was sealed in it is of no use to anybody by now.
    live.execute("DELETE FROM people WHERE id = 1", [])?;

    println!("Somebody restores Monday's data, in which Anna still stands");
    let old_data = place.restore_data(&data_backup).await?;
    assert_eq!(opens(&old_data, &people).await?, ["Bo", "Carin"]);
    let samples = column_of_anna(&old_data)?;
    let proof = people.prove_erased(&samples).await?;
    println!("  {} of her values tried, {} erased", proof.tried, proof.erased);
    assert!(proof.holds());

    println!("Somebody restores Monday's key store, in which Anna's key still stands");
    let restored = place.restore_keys(&keys_of_monday, "restored-1.sqlite").await?;
    let reconciled = Subjects::open(restored, place.keys_of_today()?, place.options()).await?;
    println!("  opened with the tombstones at the anchor, it erases her again by itself");
    assert_eq!(opens(&old_data, &reconciled.scope("people")).await?, ["Bo", "Carin"]);

    println!("Next Monday: a new epoch, a verified backup, and the first week's wrapping key is destroyed");
    place.clock.advance(6 * DAY);
    let (mut moved, mut keys) = (0, Vec::new());
    // The first week's key wraps the epoch of credentials as well, though nobody has any here.
    for class in [EpochClass::Subjects, EpochClass::Credentials] {
        let options = RollOptions::default().with_class(class);
        let roll = subjects.roll_epoch(place.second_week.clone(), options).await?;
        moved += roll.moved;
        keys.extend(roll.keys);
    }
    let keys_of_next_monday = place.back_up_keys(&subjects, "keys-next-monday.kuvert").await?;
    let verified = Subjects::check_backup(
        File::open(&keys_of_next_monday)?,
        place.backups.opening(),
        &*place.keys_of_today()?,
    )
    .await?;
    println!("  {moved} keys moved; the backup holds {}", verified.report().keys);
    subjects.destroy_epoch_keys(&keys, &*place.first_week, &verified).await?;
    assert_eq!(subjects.confirm_destruction(&*place.first_week).await?, 1);
    let receipt = people.erase(&people.subject("1"), "2026-118").await?;
    place.show(&receipt);
    assert!(receipt.irrevocable.is_some());

    println!("Somebody restores Monday's key store once more, and leaves the anchor out");
    let restored = place.restore_keys(&keys_of_monday, "restored-2.sqlite").await?;
    let without_anchor = SubjectsOptions::default().with_clock(Arc::new(place.clock.clone()));
    let refused = Subjects::open(restored, place.keys_of_today()?, without_anchor).await;
    println!("  {}", refused.err().ok_or("it must not open: Anna's key is in it")?);

    println!("The disk breaks; the newest backups are restored");
    let restored = place.restore_keys(&keys_of_next_monday, "restored-3.sqlite").await?;
    let subjects = Subjects::open(restored, place.keys_of_today()?, place.options()).await?;
    assert_eq!(opens(&old_data, &subjects.scope("people")).await?, ["Bo", "Carin"]);
    let chains = subjects.verify_receipts().await?;
    println!("  {} tombstone, {} irrevocable: the chain is whole", chains.tombstones, chains.irrevocable);
    Ok(())
}

/// Tries every row of a database, and gives the first names of those whose data opens.
async fn opens(database: &Connection, people: &Scope) -> Result<Vec<String>> {
    let mut select = database.prepare("SELECT id, name, email FROM people ORDER BY id")?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let (mut opened, mut erased) = (Vec::new(), 0);
    for row in rows {
        let (id, name, email): (i64, Sealed<String>, Sealed<String>) = row?;
        let name = people.open(&name, Cell::new("people", "name", id)).await;
        let email = people.open(&email, Cell::new("people", "email", id)).await;
        match (name, email) {
            (Ok(name), Ok(email)) => {
                let expected = PEOPLE[usize::try_from(id - 1)?];
                assert_eq!((name.as_str(), email.as_str()), (expected.1, expected.2));
                opened.push(name.split(' ').next().unwrap_or_default().to_owned());
            }
            (Err(RecordError::Erased { .. }), Err(RecordError::Erased { .. })) => erased += 1,
            (name, email) => return Err(format!("row {id}: {name:?}, {email:?}").into()),
        }
    }
    println!("  opens: {}; erased: {erased}", opened.join(", "));
    Ok(opened)
}

fn column_of_anna(database: &Connection) -> Result<Vec<Sealed<String>>> {
    let both = database.query_row("SELECT name, email FROM people WHERE id = 1", [], |row| {
        Ok(vec![row.get(0)?, row.get(1)?])
    })?;
    Ok(both)
}

/// The folder, the wrapping keys, and the time.
struct Place {
    folder: tempfile::TempDir,
    clock: TestClock,
    root: Arc<Region>,
    first_week: Arc<Region>,
    second_week: Arc<Region>,
    /// Wraps the keys of backups, which outlive the weeks.
    backups: Kuvert,
}

impl Place {
    fn new() -> Result<Self> {
        Ok(Self {
            folder: tempfile::tempdir()?,
            clock: TestClock::starting_at(std::time::SystemTime::now()),
            root: Region::new("root"),
            first_week: Region::new("2026-w47"),
            second_week: Region::new("2026-w48"),
            backups: Kuvert::new(MemoryProvider::generate("backups")?),
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self, name: &str) -> Result<Arc<SqliteKeyStore>> {
        Ok(Arc::new(SqliteKeyStore::open_or_create(self.path(name), &SqliteOptions::default())?))
    }

    /// With the second place for tombstones: not on the disk of the key store, if it were not an example.
    fn options(&self) -> SubjectsOptions {
        SubjectsOptions::default()
            .with_anchor(Arc::new(FileAnchor::new(self.path("tombstones.anchor"))))
            .with_clock(Arc::new(self.clock.clone()))
    }

    /// All wrapping keys; one that was destroyed says so itself.
    fn keys_of_today(&self) -> Result<Arc<dyn KeyProvider>> {
        let keys = [self.root.clone() as _, self.first_week.clone() as _, self.second_week.clone() as _];
        Ok(Arc::new(AnyOf::new(keys)?))
    }

    async fn make_database(&self, people: &Scope) -> Result<Connection> {
        let database = Connection::open(self.path("people.sqlite"))?;
        database.execute_batch("CREATE TABLE people (id INTEGER PRIMARY KEY, name BLOB, email BLOB)")?;
        for (id, name, email) in PEOPLE {
            let person = people.subject(id.to_string());
            let name = person.seal(name, Cell::new("people", "name", id)).await?;
            let email = person.seal(email, Cell::new("people", "email", id)).await?;
            database.execute("INSERT INTO people VALUES (?, ?, ?)", params![id, name, email])?;
        }
        Ok(database)
    }

    async fn back_up_data(&self, database: &Connection) -> Result<PathBuf> {
        let (copy, sealed) = (self.path("copy.sqlite"), self.path("people-monday.kuvert"));
        database.execute("VACUUM INTO ?", [copy.to_str()])?;
        self.backups.seal_file(&copy, &sealed, &of_monday()?).await?;
        std::fs::remove_file(copy)?;
        Ok(sealed)
    }

    async fn restore_data(&self, sealed: &Path) -> Result<Connection> {
        let restored = self.path("people-restored.sqlite");
        self.backups.open_file(sealed, &restored, &of_monday()?).await?;
        Ok(Connection::open(restored)?)
    }

    async fn back_up_keys(&self, subjects: &Subjects, name: &str) -> Result<PathBuf> {
        let (file, _) = subjects.backup(self.backups.sealing(), File::create_new(self.path(name))?).await?;
        file.sync_all()?;
        Ok(self.path(name))
    }

    async fn restore_keys(&self, backup: &Path, name: &str) -> Result<Arc<SqliteKeyStore>> {
        let store = self.store(name)?;
        Subjects::restore(&*store, File::open(backup)?, self.backups.opening()).await?;
        Ok(store)
    }

    fn show(&self, receipt: &Receipt) {
        println!("  receipt: {} key, {:?}", receipt.keys.len(), receipt.state(self.clock.wall()));
        for limit in receipt.not_covered() {
            println!("    does not cover {limit}");
        }
    }
}

fn of_monday() -> Result<EncryptionContext> {
    Ok(EncryptionContext::new([("database", "people"), ("day", "monday")])?)
}
