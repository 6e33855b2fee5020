//! Both anchors: what they keep, what a crash may tear, and what they refuse.

use std::fs;

use super::*;
use crate::{error::Category, subjects::testing::block_on};

const STORE: u64 = 7;

fn stone(number: u8) -> [u8; TOMBSTONE_LEN] {
    [number; TOMBSTONE_LEN]
}

fn file() -> (tempfile::TempDir, FileAnchor) {
    let folder = tempfile::tempdir().unwrap();
    let anchor = FileAnchor::new(folder.path().join("anchor"));
    fs::write(anchor.path(), []).unwrap();
    (folder, anchor)
}

fn append(anchor: &dyn Anchor, after: u64, numbers: &[u8]) -> Result<bool, AnchorError> {
    let stones: Vec<_> = numbers.iter().map(|number| stone(*number)).collect();
    block_on(anchor.append(STORE, after, &stones))
}

fn all(anchor: &dyn Anchor) -> Vec<u8> {
    let stones = block_on(anchor.tombstones(0, 1000)).unwrap();
    assert_eq!(block_on(anchor.head()).unwrap().tombstones, stones.len() as u64);
    stones.iter().map(|stone| stone[0]).collect()
}

#[test]
fn both_keep_what_they_are_given_and_compare_first() {
    let (_folder, file) = file();
    let memory = MemoryAnchor::new();
    for anchor in [&file as &dyn Anchor, &memory] {
        assert_eq!(block_on(anchor.head()).unwrap(), AnchorHead::default());
        assert!(all(anchor).is_empty());
        assert!(append(anchor, 0, &[1, 2, 3]).unwrap());
        assert!(!append(anchor, 0, &[9]).unwrap() && !append(anchor, 2, &[9]).unwrap());
        assert!(!append(anchor, 4, &[9]).unwrap());
        assert!(append(anchor, 3, &[4]).unwrap());
        assert_eq!(all(anchor), [1, 2, 3, 4]);
        assert_eq!(block_on(anchor.head()).unwrap(), AnchorHead::new(Some(STORE), 4));
        assert_eq!(block_on(anchor.tombstones(1, 2)).unwrap(), [stone(2), stone(3)]);
        assert!(block_on(anchor.tombstones(4, 2)).unwrap().is_empty());
        assert!(block_on(anchor.tombstones(u64::MAX, 2)).unwrap().is_empty());
        let foreign = block_on(anchor.append(STORE + 1, 4, &[stone(5)])).unwrap_err();
        assert_eq!(foreign.category(), Category::Malformed);
        assert_eq!(all(anchor), [1, 2, 3, 4]);
    }
    let again = FileAnchor::new(file.path());
    assert_eq!(all(&again), [1, 2, 3, 4]);
}

#[test]
fn a_file_is_made_by_the_beginning_of_an_anchor_and_by_nothing_else() {
    let (_folder, anchor) = file();
    fs::remove_file(anchor.path()).unwrap();
    let errors = [
        block_on(anchor.head()).map(drop),
        block_on(anchor.tombstones(0, 1)).map(drop),
        append(&anchor, 0, &[1]).map(drop),
        append(&anchor, 1, &[]).map(drop),
    ];
    for error in errors {
        let error = error.expect_err("there is no file");
        assert!(error.to_string().contains("no such file"), "{error}");
        assert!(error.category() == Category::Io && !error.is_busy());
    }
    assert!(!anchor.path().exists());
    for _ in 0..2 {
        assert!(append(&anchor, 0, &[]).unwrap());
        assert_eq!(block_on(anchor.head()).unwrap(), AnchorHead::new(Some(STORE), 0));
    }
    assert!(append(&anchor, 0, &[1]).unwrap() && !append(&anchor, 0, &[]).unwrap());
}

/// Cut at every byte, and with the last bytes zero or garbage: what was appended before stands, and more can be.
#[test]
fn a_torn_tail_is_left_out_and_written_over() {
    let (_folder, anchor) = file();
    assert!(append(&anchor, 0, &[1, 2]).unwrap());
    let before = fs::read(anchor.path()).unwrap();
    assert!(append(&anchor, 2, &[3, 4]).unwrap());
    let whole = fs::read(anchor.path()).unwrap();
    for cut in before.len()..whole.len() {
        let kept = 2 + (cut - before.len()) / 118;
        for tail in [Vec::new(), vec![0; whole.len() - cut], vec![0xa5; whole.len() - cut]] {
            let torn = [&whole[..cut], &tail].concat();
            if torn == whole {
                continue; // What was lost is just what stands there.
            }
            fs::write(anchor.path(), torn).unwrap();
            assert_eq!(all(&anchor), [1, 2, 3, 4][..kept], "cut at {cut}");
            assert!(append(&anchor, kept as u64, &[8]).unwrap());
            let mut expected = [1, 2, 3, 4][..kept].to_vec();
            expected.push(8);
            assert_eq!(all(&anchor), expected);
        }
    }
    for cut in 0..32 {
        fs::write(anchor.path(), &whole[..cut]).unwrap();
        assert!(all(&anchor).is_empty());
        assert!(append(&anchor, 0, &[1]).unwrap());
        assert_eq!(all(&anchor), [1]);
    }
}

#[test]
fn damage_before_the_last_entry_is_told() {
    let (_folder, anchor) = file();
    assert!(append(&anchor, 0, &[1, 2, 3]).unwrap());
    let whole = fs::read(anchor.path()).unwrap();
    for at in 0..whole.len() - 118 {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(anchor.path(), damaged).unwrap();
        let error = block_on(anchor.tombstones(0, 10)).expect_err("damage");
        assert_eq!(error.category(), Category::Malformed, "at {at}");
    }
    fs::write(anchor.path(), "something else altogether, which is no anchor").unwrap();
    assert!(block_on(anchor.head()).is_err());
    assert!(append(&anchor, 0, &[1]).is_err(), "nobody's file is written over");
}

#[test]
fn two_at_once_never_append_after_the_same() {
    let (_folder, anchor) = file();
    let won: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let anchor = anchor.clone();
                scope.spawn(move || {
                    let mut won = 0;
                    for _ in 0..50 {
                        let Ok(head) = block_on(anchor.head()) else { continue };
                        match append(&anchor, head.tombstones, &[number]) {
                            Ok(done) => won += usize::from(done),
                            Err(error) => assert!(error.is_busy(), "{error}"),
                        }
                    }
                    won
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(all(&anchor).len(), won);
    assert!(won > 0);
}
