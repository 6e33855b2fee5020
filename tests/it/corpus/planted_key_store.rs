//! What the target of key stores must find: writes that a crash takes away, doubles, or leaves half done.

use kuvert::blocking::block_on;
use kuvert::keystore::{Entry, KeyStore, MemoryKeyStore};

use super::{
    bodies::key_store::{Lab, check},
    planted::finds,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    LosesTheLastTombstone,
    LosesAHold,
    ForgetsEverything,
    BringsAGraveBack,
    CountsAnew,
}

/// A store in memory whose crashes do harm.
struct Broken {
    store: MemoryKeyStore,
    fault: Fault,
}

impl Lab for Broken {
    fn store(&self) -> &dyn KeyStore {
        &self.store
    }

    fn crash(&mut self) {
        let Ok(mut snapshot) = block_on(self.store.snapshot()).unwrap() else { return };
        let mut entries = block_on(snapshot.next(usize::MAX)).unwrap().unwrap();
        let last = |is_it: fn(&Entry) -> bool| entries.iter().rposition(is_it);
        let harmed = match self.fault {
            Fault::LosesTheLastTombstone => last(|entry| matches!(entry, Entry::Tombstone(_))),
            Fault::LosesAHold => last(|entry| matches!(entry, Entry::Hold(_))),
            Fault::BringsAGraveBack => last(|entry| matches!(entry, Entry::Grave(_))),
            Fault::None | Fault::ForgetsEverything | Fault::CountsAnew => None,
        };
        let Some(place) = harmed else {
            match self.fault {
                Fault::ForgetsEverything => self.store = MemoryKeyStore::new(),
                Fault::CountsAnew => self.reload(&entries, 0),
                _ => {}
            }
            return;
        };
        entries.remove(place);
        self.reload(&entries, snapshot.change() - 1);
    }
}

impl Broken {
    fn reload(&mut self, entries: &[Entry], change: u64) {
        self.store = MemoryKeyStore::new();
        block_on(self.store.load(entries, Some(change))).unwrap().unwrap();
    }
}

fn finds_it(fault: Fault) -> bool {
    finds("key_store", |script| check(script, &mut Broken { store: MemoryKeyStore::new(), fault }))
}

#[test]
fn harm_of_crashes_to_key_stores_is_found() {
    assert!(!finds_it(Fault::None));
    for fault in [
        Fault::LosesTheLastTombstone,
        Fault::LosesAHold,
        Fault::ForgetsEverything,
        Fault::BringsAGraveBack,
        Fault::CountsAnew,
    ] {
        assert!(finds_it(fault), "{fault:?} is not found");
    }
}
