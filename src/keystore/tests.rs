//! What the contract says of the store in memory beside the suite.

use super::*;
use crate::executor::block_on;

fn epoch(reference: u64, class: EpochClass) -> EpochRow {
    EpochRow { reference, class, state: EpochState::Open, opened: 1, closed: None, envelope: vec![1] }
}

fn row(reference: u64, name: u8, version: u32) -> SubjectRow {
    let (pseudonym, scope, sealed_key) = ([name; 32], [0; 16], [name; SEALED_KEY_LEN]);
    SubjectRow { reference, pseudonym, scope, version, epoch: 7, sealed_key }
}

fn tombstone(reference: u64) -> Tombstone {
    let mut bytes = [9; TOMBSTONE_LEN];
    bytes[..8].copy_from_slice(&reference.to_be_bytes());
    bytes[8..16].copy_from_slice(&500_u64.to_be_bytes());
    Tombstone { reference, bytes }
}

fn with_three() -> MemoryKeyStore {
    let store = MemoryKeyStore::new();
    block_on(async {
        assert!(store.create(b"root", &[epoch(7, EpochClass::Subjects)]).await.unwrap());
        for name in 1..=3 {
            let inserted = store.insert(&row(u64::from(name), name, 1), None, Names::StayErased).await;
            assert_eq!(inserted.unwrap(), Inserted::Done);
        }
    })
    .unwrap();
    store
}

fn burial(reference: u64, name: u8) -> Burial {
    Burial { tombstones: vec![tombstone(reference)], names: vec![[name; 32]], ..Burial::default() }
}

#[test]
fn an_erasure_goes_with_the_callers_transaction_or_not_at_all() {
    let store = with_three();
    block_on(async {
        let mut dropped = store.begin();
        assert_eq!(store.erase_in(&mut dropped, &burial(1, 1)).await.unwrap(), Buried::Done);
        assert!(matches!(store.get(&[1]).await.unwrap()[..], [Lookup::Row(_)]));
        drop(dropped);
        assert!(matches!(store.get(&[1]).await.unwrap()[..], [Lookup::Row(_)]));

        let mut transaction = store.begin();
        assert_eq!(store.erase_in(&mut transaction, &burial(1, 1)).await.unwrap(), Buried::Done);
        let again = store.erase_in(&mut transaction, &burial(2, 2)).await.unwrap();
        assert_eq!(again, Buried::Behind { last: 1 });
        transaction.commit().unwrap();
        assert_eq!(store.get(&[1]).await.unwrap(), [Lookup::Erased { since: 500 }]);
        assert!(store.unremoved(10).await.unwrap().is_empty());
        assert!(matches!(store.get(&[2]).await.unwrap()[..], [Lookup::Row(_)]));
    })
    .unwrap();
}

#[test]
fn of_two_transactions_one_is_told_to_begin_anew() {
    let store = with_three();
    let other = MemoryKeyStore::new();
    block_on(async {
        let (mut one, mut two) = (store.begin(), store.begin());
        assert_eq!(store.erase_in(&mut one, &burial(1, 1)).await.unwrap(), Buried::Done);
        assert_eq!(store.erase_in(&mut two, &burial(2, 2)).await.unwrap(), Buried::Done);
        let foreign = other.erase_in(&mut two, &burial(2, 2)).await.unwrap_err();
        assert_eq!(foreign.kind, crate::error::KeyStoreErrorKind::Misuse);
        one.commit().unwrap();
        assert_eq!(two.commit().unwrap_err().kind, crate::error::KeyStoreErrorKind::Busy);
        assert!(matches!(store.get(&[2]).await.unwrap()[..], [Lookup::Row(_)]));
    })
    .unwrap();
}
