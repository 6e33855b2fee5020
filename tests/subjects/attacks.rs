//! Whoever can write to the key store or the anchor, and tries more than to delete.

use std::{fs, sync::Arc};

use kuvert::{
    Cell, RecordError, Sealed, SubjectError, Subjects, SubjectsOptions,
    keystore::{
        Entry, EpochState, KeyStore, MemoryKeyStore, RECEIPT_LEN, SubjectRow, TOMBSTONE_LEN, Tombstone,
    },
    provider::MemoryProvider,
    subjects::{Anchor, FileAnchor, MemoryAnchor},
};

use crate::world::wait;

/// A small store in memory, whose every entry can be exchanged.
struct Victim {
    keys: Arc<MemoryProvider>,
    store: Arc<MemoryKeyStore>,
    /// Of `person:0`, `person:1` and so on in `people`; the first three are erased.
    records: Vec<Sealed<String>>,
    /// Of `person:0` in another scope.
    elsewhere: Sealed<String>,
}

fn cell(id: usize) -> Cell<'static> {
    Cell::new("people", "value", i64::try_from(id).expect("few enough"))
}

impl Victim {
    fn new() -> Self {
        Self::under(Arc::new(MemoryProvider::generate("both").unwrap()))
    }

    fn under(keys: Arc<MemoryProvider>) -> Self {
        Self::with(keys, SubjectsOptions::default())
    }

    fn with(keys: Arc<MemoryProvider>, options: SubjectsOptions) -> Self {
        let store = Arc::new(MemoryKeyStore::new());
        let subjects = wait(Subjects::init(store.clone(), keys.clone(), keys.clone(), options)).unwrap();
        let scope = subjects.scope("people");
        let seal = |id: usize| {
            let text = format!("value {id}");
            wait(scope.subject(format!("person:{id}")).seal(text.as_str(), cell(id))).unwrap()
        };
        let records: Vec<_> = (0..6).map(seal).collect();
        let elsewhere = wait(subjects.scope("others").subject("person:0").seal("value", cell(0))).unwrap();
        for id in 0..3 {
            let request = format!("request {id}");
            wait(scope.erase(&scope.subject(format!("person:{id}")), request.as_str())).unwrap();
        }
        Self { keys, store, records, elsewhere }
    }

    fn entries(&self) -> Vec<Entry> {
        let mut snapshot = wait(self.store.snapshot()).unwrap();
        let mut all = Vec::new();
        loop {
            let page = wait(snapshot.next(100)).unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    /// Opens a store of these entries.
    fn open(&self, entries: &[Entry]) -> Result<Subjects, SubjectError> {
        self.open_with(entries, SubjectsOptions::default())
    }

    fn open_with(&self, entries: &[Entry], options: SubjectsOptions) -> Result<Subjects, SubjectError> {
        let store = MemoryKeyStore::new();
        wait(store.load(entries, Some(100)))?;
        wait(Subjects::open(Arc::new(store), self.keys.clone(), options))
    }

    /// What opening a record of `people` says in a store of these entries.
    fn try_record(&self, entries: &[Entry], id: usize) -> Result<String, RecordError> {
        let scope = self.open(entries).unwrap().scope("people");
        wait(scope.open(&self.records[id], cell(id))).map(|text| text.clone())
    }

    fn reference(&self, id: usize) -> u64 {
        self.records[id].claimed_reference().expect("a record")
    }
}

fn row(entries: &mut [Entry], reference: u64) -> &mut SubjectRow {
    let rows = entries.iter_mut().filter_map(|entry| match entry {
        Entry::Subject(row) => Some(row),
        _ => None,
    });
    rows.into_iter().find(|row| row.reference == reference).expect("a row")
}

#[test]
fn an_untouched_copy_opens() {
    let victim = Victim::new();
    let entries = victim.entries();
    for id in 0..6 {
        let tried = victim.try_record(&entries, id);
        match id {
            0..3 => assert!(matches!(tried, Err(RecordError::Erased { .. })), "{tried:?}"),
            _ => assert_eq!(tried.unwrap(), format!("value {id}")),
        }
    }
}

#[test]
fn rows_that_were_swapped_are_told() {
    let victim = Victim::new();
    let (one, other) = (victim.reference(3), victim.reference(4));
    let swaps: [fn(&mut SubjectRow, &mut SubjectRow); 4] = [
        |one, other| std::mem::swap(&mut one.sealed_key, &mut other.sealed_key),
        |one, other| std::mem::swap(&mut one.pseudonym, &mut other.pseudonym),
        |one, _| one.version += 1,
        |one, _| one.scope[0] ^= 1,
    ];
    for (number, swap) in swaps.into_iter().enumerate() {
        let mut entries = victim.entries();
        let (mut first, mut second) = (row(&mut entries, one).clone(), row(&mut entries, other).clone());
        swap(&mut first, &mut second);
        *row(&mut entries, one) = first;
        *row(&mut entries, other) = second;
        let tried = victim.try_record(&entries, 3);
        assert!(
            matches!(tried, Err(RecordError::KeyDamaged { reference }) if reference == one),
            "{number}: {tried:?}"
        );
        // Nobody else suffers.
        assert_eq!(victim.try_record(&entries, 5).unwrap(), "value 5");
    }
}

#[test]
fn a_row_of_another_scope_opens_nothing_in_this_one() {
    let victim = Victim::new();
    let foreign = victim.elsewhere.claimed_reference().expect("a record");
    let mut entries = victim.entries();
    let scope = victim.open(&entries).unwrap().scope("people");
    let refused = wait(scope.open(&victim.elsewhere, cell(0))).map(drop);
    assert!(matches!(refused, Err(RecordError::OtherOwner { .. })), "{refused:?}");
    // Moved here by whoever writes rows: the scope is sealed into the key.
    let here = row(&mut entries, victim.reference(3)).scope;
    row(&mut entries, foreign).scope = here;
    let scope = victim.open(&entries).unwrap().scope("people");
    let refused = wait(scope.open(&victim.elsewhere, cell(0))).map(drop);
    assert!(matches!(refused, Err(RecordError::KeyDamaged { .. })), "{refused:?}");
}

#[test]
fn a_retired_row_put_back_stays_erased_while_its_tombstone_is_there() {
    // The row of somebody erased, kept from before and inserted again behind the tombstone's back.
    let keys = Arc::new(MemoryProvider::generate("both").unwrap());
    let store = Arc::new(MemoryKeyStore::new());
    let options = SubjectsOptions::default();
    let subjects = wait(Subjects::init(store.clone(), keys.clone(), keys.clone(), options)).unwrap();
    let scope = subjects.scope("people");
    let sealed = wait(scope.subject("person:0").seal("value", cell(0))).unwrap();
    let reference = sealed.claimed_reference().unwrap();
    let victim = Victim { keys, store, records: vec![sealed.clone()], elsewhere: sealed };
    let kept = row(&mut victim.entries(), reference).clone();
    wait(scope.erase(&scope.subject("person:0"), "request")).unwrap();
    let mut entries = victim.entries();
    let place = entries.iter().position(|entry| !matches!(entry, Entry::Root(_) | Entry::Epoch(_))).unwrap();
    entries.insert(place, Entry::Subject(kept));
    match victim.open(&entries) {
        Ok(opened) => {
            let tried = wait(opened.scope("people").open(&victim.records[0], cell(0))).map(drop);
            assert!(matches!(tried, Err(RecordError::Erased { .. })), "{tried:?}");
        }
        Err(error) => assert!(matches!(error, SubjectError::Store(_)), "{error:?}"),
    }
}

#[test]
fn envelopes_of_another_store_or_role_are_refused() {
    let keys = Arc::new(MemoryProvider::generate("both").unwrap());
    let (victim, other) = (Victim::under(keys.clone()), Victim::under(keys));
    let (ours, theirs) = (victim.entries(), other.entries());
    let envelope = |entries: &[Entry], place: usize| match &entries[place] {
        Entry::Root(envelope) => envelope.clone(),
        Entry::Epoch(row) => row.envelope.clone(),
        _ => panic!("a root and two epochs come first"),
    };
    // Root, epoch of persons, epoch of credentials: each in the place of each, and the other store's as well.
    for place in 0..3 {
        for (entries, from) in [(&ours, 0), (&ours, 1), (&ours, 2), (&theirs, 0), (&theirs, 1), (&theirs, 2)]
        {
            let (exchanged, is_own) =
                (envelope(entries, from), std::ptr::eq(entries, &ours) && from == place);
            let mut changed = ours.clone();
            match &mut changed[place] {
                Entry::Root(envelope) => *envelope = exchanged,
                Entry::Epoch(row) => row.envelope = exchanged,
                _ => unreachable!("as above"),
            }
            let tried = victim.open(&changed).map_err(|error| error.to_string()).and_then(|opened| {
                let scope = opened.scope("people");
                wait(scope.open(&victim.records[3], cell(3))).map_err(|error| error.to_string())?;
                wait(scope.credentials("person:3").seal("hash", cell(3))).map_err(|error| error.to_string())
            });
            assert_eq!(tried.is_ok(), is_own, "envelope {from} in the place of {place}: {tried:?}");
        }
    }
}

#[test]
fn an_epoch_that_is_said_to_be_of_the_other_class_is_refused() {
    let victim = Victim::new();
    let mut entries = victim.entries();
    let classes: Vec<_> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Epoch(row) => Some(row.class),
            _ => None,
        })
        .collect();
    for (entry, class) in entries[1..3].iter_mut().zip(classes.into_iter().rev()) {
        let Entry::Epoch(row) = entry else { panic!("epochs come second") };
        assert_eq!(row.state, EpochState::Open);
        row.class = class;
    }
    assert!(victim.open(&entries).is_err());
}

/// Every bit of every tombstone and every receipt.
#[test]
fn every_flipped_bit_of_the_chains_is_found() {
    let victim = Victim::new();
    let entries = victim.entries();
    let (mut stones, mut receipts) = (0, 0);
    for place in 0..entries.len() {
        let (chain, number) = match &entries[place] {
            Entry::Tombstone(_) => {
                stones += 1;
                ("tombstones", stones)
            }
            Entry::Receipt(_) => {
                receipts += 1;
                ("receipts", receipts)
            }
            _ => continue,
        };
        for bit in 0..8 * TOMBSTONE_LEN {
            let mut changed = entries.clone();
            match &mut changed[place] {
                Entry::Tombstone(stone) => flip(stone, bit),
                Entry::Receipt(bytes) => bytes[bit / 8] ^= 1 << (bit % 8),
                _ => unreachable!("as above"),
            }
            let opened = victim.open(&changed).map(drop);
            let told = match &opened {
                Err(SubjectError::ChainTampered { chain: told, number: at }) => {
                    *told == chain && *at == number
                }
                // A time in the far future is none that a store takes.
                Err(SubjectError::Store(_)) => chain == "tombstones" && bit == FIRST_BIT_OF_THE_TIME,
                _ => false,
            };
            assert!(told, "{chain} {number}, bit {bit}: {opened:?}");
        }
    }
    assert_eq!((stones, receipts), (3, 6));
    assert_eq!(RECEIPT_LEN, TOMBSTONE_LEN);
}

/// As bits are counted here, within each byte from its last.
const FIRST_BIT_OF_THE_TIME: usize = 8 * 8 + 7;

fn flip(stone: &mut Tombstone, bit: usize) {
    stone.bytes[bit / 8] ^= 1 << (bit % 8);
    // An attacker keeps the column in step.
    stone.reference = u64::from_be_bytes(*stone.bytes.first_chunk().unwrap());
}

#[test]
fn links_that_are_left_out_swapped_repeated_or_of_another_store_are_found() {
    let keys = Arc::new(MemoryProvider::generate("both").unwrap());
    let (victim, other) = (Victim::under(keys.clone()), Victim::under(keys));
    let (ours, theirs) = (victim.entries(), other.entries());
    for is_link in [
        |entry: &Entry| matches!(entry, Entry::Tombstone(_)),
        |entry: &Entry| matches!(entry, Entry::Receipt(_)),
    ] {
        let first = ours.iter().position(is_link).unwrap();
        let foreign = theirs.iter().find(|entry| is_link(entry)).unwrap().clone();
        let edit = |edit: &dyn Fn(&mut Vec<Entry>)| {
            let mut changed = ours.clone();
            edit(&mut changed);
            victim.open(&changed).map(drop)
        };
        for opened in [
            edit(&|entries| drop(entries.remove(first))),
            edit(&|entries| drop(entries.remove(first + 1))),
            edit(&|entries| entries.swap(first, first + 1)),
            edit(&|entries| entries[first] = foreign.clone()),
        ] {
            assert!(matches!(opened, Err(SubjectError::ChainTampered { .. })), "{opened:?}");
        }
        // Said twice: a store does not even take a tombstone so.
        assert!(edit(&|entries| entries.insert(first, entries[first].clone())).is_err());
    }
}

/// Tombstones at the end are what only an anchor can miss.
#[test]
fn tombstones_cut_off_the_end_come_back_from_the_anchor() {
    let keys = Arc::new(MemoryProvider::generate("both").unwrap());
    let anchor = Arc::new(MemoryAnchor::new());
    let options = || SubjectsOptions::default().with_anchor(anchor.clone());
    let victim = Victim::with(keys, options());
    let ends = |entries: &mut Vec<Entry>, keep: usize| {
        let mut seen = 0;
        entries.retain(|entry| match entry {
            Entry::Tombstone(_) => {
                seen += 1;
                seen <= keep
            }
            Entry::Receipt(_) | Entry::Grave(_) => false,
            _ => true,
        });
    };
    for keep in 0..3 {
        let mut entries = victim.entries();
        ends(&mut entries, keep);
        let blind = wait(victim.open(&entries).unwrap().verify_receipts()).unwrap();
        assert_eq!(
            blind.tombstones, keep as u64,
            "a chain that ends early is whole to whoever has no anchor"
        );
        let opened = victim.open_with(&entries, options()).unwrap();
        assert_eq!(wait(opened.verify_receipts()).unwrap().tombstones, 3);
        let tried = wait(opened.scope("people").open(&victim.records[2], cell(2))).map(drop);
        assert!(matches!(tried, Err(RecordError::Erased { .. })), "{tried:?}");
    }
}

/// An anchor cut at every place, and one with each of its bytes changed, beside the newest store and an empty-handed one.
#[test]
fn a_damaged_or_truncated_anchor_never_brings_anybody_back() {
    let folder = tempfile::tempdir().unwrap();
    let (file, keys) = (folder.path().join("anchor"), Arc::new(MemoryProvider::generate("both").unwrap()));
    let options = || SubjectsOptions::default().with_anchor(Arc::new(FileAnchor::new(&file)));
    let victim = Victim::with(keys, options());
    let (entries, whole) = (victim.entries(), fs::read(&file).unwrap());
    let judge = |what: String| match victim.open_with(&entries, options()) {
        Ok(opened) => {
            assert_eq!(wait(opened.verify_receipts()).unwrap().tombstones, 3, "{what}");
            assert_eq!(fs::read(&file).unwrap(), whole, "{what}: not mended");
        }
        Err(error) => assert!(
            matches!(
                error,
                SubjectError::Anchor(_) | SubjectError::OtherAnchor | SubjectError::Diverged { .. }
            ),
            "{what}: {error:?}"
        ),
    };
    for len in 0..whole.len() {
        fs::write(&file, &whole[..len]).unwrap();
        judge(format!("cut to {len}"));
    }
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 0x10;
        fs::write(&file, &changed).unwrap();
        judge(format!("byte {place} changed"));
        // What stays is told by the next one, too: nothing of it was believed.
        fs::write(&file, &whole).unwrap();
    }
}

#[test]
fn another_stores_anchor_is_refused() {
    let keys = Arc::new(MemoryProvider::generate("both").unwrap());
    let theirs = Arc::new(MemoryAnchor::new());
    let other = SubjectsOptions::default().with_anchor(theirs.clone());
    drop(Victim::with(keys.clone(), other.clone()));
    let victim = Victim::under(keys);
    let opened = victim.open_with(&victim.entries(), other).map(drop);
    assert!(matches!(opened, Err(SubjectError::OtherAnchor)), "{opened:?}");
    assert_eq!(wait(theirs.head()).unwrap().tombstones, 3);
}
