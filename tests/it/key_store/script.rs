//! Writes without end, each a function of its number and of what is in the store: two stores that did as many of them are
//! the same.

use kuvert::keystore::{
    Burial, Buried, EpochClass, Hold, Inserted, Joint, JointEnds, KeyStore, Names, Pseudonym, RECEIPT_LEN,
    ResealedKey, SEALED_KEY_LEN, SubjectRow,
};

use super::{FIRST, epoch, run, tombstone};

/// Does the write of this number: exactly one call that writes.
pub(super) fn step(store: &dyn KeyStore, number: u64) {
    if number == 0 {
        assert!(run(store.create(b"root envelope", &[epoch(FIRST)])));
        return;
    }
    let open = *run(store.epochs())
        .iter()
        .filter(|epoch| epoch.class == EpochClass::Subjects)
        .map(|epoch| &epoch.reference)
        .next_back()
        .expect("one");
    let [a, b] = [number * 64, number * 64 + 1].map(name);
    match number % 11 {
        1 | 4 => {
            let rows: Vec<SubjectRow> = (0..20).map(|of| row(number * 64 + of, open)).collect();
            let answers = run(store.insert_many(&rows, Names::StayErased));
            assert!(answers.iter().all(|answer| *answer == Inserted::Done), "{number}: {answers:?}");
        }
        2 => {
            let mut joint_row = row(number * 64, open);
            let members = if a < b { vec![a, b] } else { vec![b, a] };
            let joint = Joint { pseudonym: name(number * 64 + 5), ends: JointEnds::WithTheLast, members };
            joint_row.pseudonym = joint.pseudonym;
            assert_eq!(run(store.insert(&joint_row, Some(&joint), Names::StayErased)), Inserted::Done);
        }
        3 => {
            let hold = Hold { pseudonym: name((number - 2) * 64), case: [1; 32], since: number };
            assert!(run(store.hold(&hold)));
        }
        // Of what came two or three steps before, a part.
        5 | 6 => {
            let from = if number % 11 == 5 { number - 1 } else { number - 5 };
            let rows: Vec<SubjectRow> = (1..7).map(|of| row(from * 64 + of, open)).collect();
            let last = run(store.tombstones(0, usize::MAX)).len() as u64;
            let mut burial = Burial { after: last, ..Burial::default() };
            burial.tombstones = rows.iter().map(|row| tombstone(row.reference)).collect();
            burial.names = rows.iter().map(|row| row.pseudonym).collect();
            assert_eq!(run(store.bury(&burial)), Buried::Done, "{number}");
        }
        7 => drop(run(store.remove(&run(store.unremoved(7))))),
        8 => {
            let last = run(store.receipts(0, usize::MAX)).len() as u64;
            let receipts = [[u8::try_from(number % 251).expect("small"); RECEIPT_LEN]; 3];
            assert!(run(store.append_receipts(last, &receipts)));
        }
        9 => assert!(run(store.begin_epoch(&epoch(number), open))),
        10 => {
            let before = run(store.epochs()).iter().rev().nth(1).expect("two").reference;
            let rows = run(store.scan(before, 0, 30));
            let sealed_key = [u8::try_from(number % 241).expect("small"); SEALED_KEY_LEN];
            let keys: Vec<ResealedKey> =
                rows.iter().map(|row| ResealedKey { reference: row.reference, sealed_key }).collect();
            assert_eq!(run(store.reseal(before, open, &keys)), Some(keys.len()));
        }
        _ => {
            let old = run(store.root()).expect("created");
            assert!(run(store.replace_envelope(None, &old, &number.to_be_bytes())));
        }
    }
}

fn name(of: u64) -> Pseudonym {
    let mut name = [0x11; 32];
    name[..8].copy_from_slice(&of.wrapping_mul(ODD).to_be_bytes());
    name[8..16].copy_from_slice(&of.to_be_bytes());
    name
}

fn row(of: u64, epoch: u64) -> SubjectRow {
    let sealed_key = [u8::try_from(of % 256).expect("small"); SEALED_KEY_LEN];
    let reference = (of << 1).wrapping_mul(ODD) | 1;
    SubjectRow { reference, pseudonym: name(of), scope: [2; 16], version: 1, epoch, sealed_key }
}

/// Spreads small numbers.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
