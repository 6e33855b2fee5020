//! The table: versions of subjects' keys, and which of them go. The lanes: names told apart that have one print, room, and
//! threads without a lane of their own.

use std::sync::Arc;

use super::{Cache, NameKey, Want, lanes::Lanes};
use crate::{
    format::subject::{SubjectKey, SubjectPlace},
    secret::Secret,
    subjects::{SubjectsOptions, key::Key},
};

const SCOPE: [u8; 16] = [1; 16];

fn key(reference: u64, good_until: u64) -> Arc<Key> {
    key_of([9; 32], reference, good_until)
}

fn key_of(pseudonym: [u8; 32], reference: u64, good_until: u64) -> Arc<Key> {
    let place = SubjectPlace { scope: SCOPE, pseudonym, reference, version: 1 };
    Arc::new(Key::new(place, &SubjectKey::new(Secret::copy_from(&[5; 32])), good_until, 1 << 32))
}

fn name(name: &str) -> NameKey<'_> {
    NameKey { scope: &SCOPE, kind: 0, name: name.as_bytes() }
}

#[test]
fn names_of_one_print_are_told_apart() {
    let lanes = Lanes::new(10);
    let put = |reference, print, text: &str| {
        lanes.with_key(&key(reference, 100), Some((print, &name(text))), 0, |_| ()).unwrap();
    };
    let find = |print, wanted: &NameKey<'_>| lanes.with_name(print, wanted, 0, |hot| hot.key.reference());
    put(1, 7, "anna");
    assert_eq!(find(7, &name("anna")), Some(1));
    assert_eq!(find(7, &name("bo")), None);
    assert_eq!(find(7, &NameKey { kind: 1, ..name("anna") }), None);
    assert_eq!(find(7, &NameKey { scope: &[2; 16], ..name("anna") }), None);
    assert_eq!(find(8, &name("anna")), None);
    put(2, 7, "bo");
    assert_eq!([find(7, &name("anna")), find(7, &name("bo"))], [None, Some(2)]);
    assert_eq!(lanes.with_reference(1, 0, |hot| hot.key.reference()), Some(1));
    // Another version of one name.
    put(3, 7, "bo");
    assert_eq!(find(7, &name("bo")), Some(3));
    lanes.forget_names(|key| key.reference() == 3);
    assert_eq!(find(7, &name("bo")), None);
    assert_eq!(lanes.with_reference(3, 0, |_| ()), Some(()));
}

#[test]
fn a_lane_has_room_for_so_many_and_the_unused_go() {
    let lanes = Lanes::new(4);
    let put = |reference: u64| {
        let text = format!("{reference}");
        lanes.with_key(&key(reference, 100), Some((reference, &name(&text))), 0, |_| ()).unwrap();
    };
    (1..=4).for_each(put);
    let is_there = |reference| lanes.with_reference(reference, 0, |_| ()).is_some();
    assert!((1..=4).all(is_there));
    put(5);
    let left = (1..=5).filter(|reference| is_there(*reference)).count();
    assert_eq!(left, 4);
    assert!(is_there(5));
    for reference in 10..100 {
        put(reference);
        assert!(is_there(reference));
    }
}

#[test]
fn what_is_revoked_or_too_old_is_not_used() {
    let lanes = Lanes::new(4);
    let (one, other) = (key(1, 100), key(2, 100));
    for key in [&one, &other] {
        lanes.with_key(key, None, 0, |_| ()).unwrap();
    }
    assert_eq!(lanes.with_reference(1, 99, |_| ()), Some(()));
    assert_eq!(lanes.with_reference(1, 100, |_| ()), None);
    assert_eq!(lanes.with_reference(1, 0, |_| ()), None, "it is gone");
    // The one who loaded it may use it once, whatever its age; nobody may once it is revoked.
    assert_eq!(lanes.with_key(&one, None, 100, |_| ()), Some(()));
    assert_eq!(lanes.with_reference(1, 100, |_| ()), None);
    other.revoke();
    assert_eq!(lanes.with_reference(2, 0, |_| ()), None);
    assert_eq!(lanes.with_key(&other, None, 0, |_| ()), None);
}

#[test]
fn whoever_finds_all_lanes_taken_works_without_one() {
    fn nest(lanes: &Lanes, key: &Arc<Key>, depth: usize) -> usize {
        if depth == 0 {
            return 0;
        }
        1 + lanes.with_key(key, None, 0, |_| nest(lanes, key, depth - 1)).unwrap()
    }
    assert_eq!(nest(&Lanes::new(4), &key(1, 100), 70), 70);
}

#[test]
fn prints_are_keyed_and_count_every_part() {
    let [one, other] = [0, 1].map(|_| Cache::new(&SubjectsOptions::default()));
    let print = one.print(&name("anna"));
    assert_eq!(one.print(&name("anna")), print);
    assert_ne!(other.print(&name("anna")), print);
    assert_ne!(one.print(&name("bo")), print);
    assert_ne!(one.print(&NameKey { kind: 1, ..name("anna") }), print);
    assert_ne!(one.print(&NameKey { scope: &[2; 16], ..name("anna") }), print);
}

/// Of four versions of one subject and one of another's, by reference and by subject, in every order of two.
#[test]
fn what_is_evicted_goes_with_all_its_versions_and_nothing_else_does() {
    let of = |subject: u8| [subject; 32];
    for first in 1..=4 {
        for second in 1..=4 {
            let cache = Cache::new(&SubjectsOptions::default());
            for version in 1..=4 {
                cache.put_newest(&key_of(of(1), version, 100), cache.evictions(), 0);
            }
            cache.put_newest(&key_of(of(2), 5, 100), cache.evictions(), 0);
            cache.evict(&[first, second, 77], &[of(3)]);
            let left: Vec<u64> = (1..=5).filter(|version| ![first, second].contains(version)).collect();
            assert_eq!(kept(&cache, 0), left);
            let newest = (first != 4 && second != 4).then_some(4);
            assert_eq!([cache.peek_newest(&of(1), 0), cache.peek_newest(&of(2), 0)], [newest, Some(5)]);
            cache.evict(&[], &[of(1)]);
            assert_eq!(kept(&cache, 0), [5]);
            assert_eq!([cache.peek_newest(&of(1), 0), cache.peek_newest(&of(2), 0)], [None, Some(5)]);
            assert_eq!(cache.stats().entries, 1);
        }
    }
}

#[test]
fn what_is_past_its_age_is_tidied_away_and_the_rest_is_still_found() {
    let cache = Cache::new(&SubjectsOptions::default());
    for (version, until) in [(1, 10), (2, 100), (3, 10), (4, 100)] {
        cache.put_newest(&key(version, until), cache.evictions(), 0);
    }
    cache.tidy(10);
    assert_eq!((kept(&cache, 10), cache.stats().entries), (vec![2, 4], 2));
    let again = key(2, 200);
    cache.put_newest(&again, cache.evictions(), 10);
    cache.evict(&[4], &[]);
    assert_eq!((kept(&cache, 100), cache.peek_newest(&[9; 32], 100)), (vec![2], Some(2)));
    cache.evict(&[], &[[9; 32]]);
    assert!(kept(&cache, 0).is_empty() && again.is_revoked());
}

/// Which of the first references are found.
fn kept(cache: &Cache, now: u64) -> Vec<u64> {
    let is_kept = |reference: &u64| {
        let mut answers = [None];
        drop(cache.enter(&[Want::Reference(*reference)], &[0], &mut answers, now));
        answers[0].take().is_some()
    };
    (1..=5).filter(is_kept).collect()
}
