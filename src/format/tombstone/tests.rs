//! Chains: what they say, and every way to change one.

use super::*;

fn link(reference: u64) -> Link {
    Link { reference, time: 1_795_000_000 + reference, code: 1, request: [5; 32] }
}

fn key() -> ChainKey {
    ChainKey::of_tombstones(Secret::copy_from(&[3; 64]))
}

fn chain(count: u64) -> Vec<[u8; LINK_LEN]> {
    let mut previous = FIRST;
    let mut links = Vec::new();
    for reference in 1..=count {
        links.push(key().append(&previous, &link(reference)));
        previous = mac_of(&links[links.len() - 1]);
    }
    links
}

fn first_bad<'a>(links: impl IntoIterator<Item = &'a [u8; LINK_LEN]>) -> Option<u64> {
    let key = key();
    let mut walk = key.walk();
    links.into_iter().find_map(|bytes| walk.next(bytes).err()).map(|bad| bad.number)
}

#[test]
fn a_chain_says_what_was_put_in() {
    let (links, key) = (chain(5), key());
    let mut walk = key.walk();
    for (bytes, reference) in links.iter().zip(1..) {
        assert!(walk.next(bytes) == Ok(link(reference)));
        assert!(decode(bytes) == link(reference));
        assert_eq!((walk.number(), walk.head()), (reference, mac_of(bytes)));
    }
    let mut later = key.walk_after(3, mac_of(&links[2]));
    assert!(later.next(&links[3]).is_ok() && later.number() == 4);
}

#[test]
fn every_flipped_bit_is_found_at_its_link() {
    let links = chain(3);
    assert_eq!(first_bad(&links), None);
    for at in 0..LINK_LEN {
        for bit in 0..8 {
            let mut changed = links.clone();
            changed[1][at] ^= 1 << bit;
            assert_eq!(first_bad(&changed), Some(2), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn a_link_belongs_where_it_was_put() {
    let links = chain(4);
    assert_eq!(first_bad(&links[1..]), Some(1));
    assert_eq!(first_bad([&links[0], &links[2]]), Some(2));
    assert_eq!(first_bad([&links[0], &links[1], &links[1]]), Some(3));
    // After a bad link nothing is believed, not even what belongs behind the last good one.
    let key = key();
    let mut walk = key.walk();
    assert!(walk.next(&links[0]).is_ok() && walk.next(&links[2]).is_err());
    assert!(walk.next(&links[1]).is_ok(), "the walk stands where it stood");
}

#[test]
fn a_chain_of_one_kind_is_none_of_the_other() {
    let receipts = ChainKey::of_receipts(Secret::copy_from(&[3; 64]));
    assert_eq!(receipts.walk().next(&chain(1)[0]), Err(BadLink { number: 1 }));
}
