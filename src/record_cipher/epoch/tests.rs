//! Sealed subject keys: their rows, their nonces, and the order of faults.

use std::collections::HashSet;

use super::*;
use crate::format::record::decode;

const PLACE: SubjectPlace = SubjectPlace { scope: [1; 16], pseudonym: [2; 32], reference: 3, version: 4 };

fn cipher(reference: u64) -> EpochCipher {
    EpochCipher::new(&Secret::copy_from(&[9; 32]), reference)
}

#[test]
fn a_sealed_key_opens_in_its_row_and_in_no_other() {
    let (cipher, key) = (cipher(7), SubjectKey::generate().unwrap());
    let sealed = cipher.seal(&PLACE, &key).unwrap();
    assert_eq!(cipher.open(&PLACE, &sealed).unwrap().expose(), key.expose());
    for other in [
        SubjectPlace { scope: [0; 16], ..PLACE },
        SubjectPlace { pseudonym: [0; 32], ..PLACE },
        SubjectPlace { reference: 0, ..PLACE },
        SubjectPlace { version: 0, ..PLACE },
    ] {
        assert_eq!(cipher.open(&other, &sealed).unwrap_err(), SealedKeyFault::Tampered);
    }
    assert_eq!(self::cipher(8).open(&PLACE, &sealed).unwrap_err(), SealedKeyFault::OtherEpoch);
}

#[test]
fn many_keys_have_as_many_nonces_and_few_subkeys() {
    let (cipher, key) = (cipher(7), SubjectKey::generate().unwrap());
    let places: Vec<_> = (0..9000).map(|reference| SubjectPlace { reference, ..PLACE }).collect();
    let sealed = cipher.seal_many(places.iter().map(|place| (*place, &key))).unwrap();
    let nonces: Vec<_> = sealed.iter().map(|sealed| decode(sealed, 32).unwrap().nonce).collect();
    assert_eq!(nonces.iter().collect::<HashSet<_>>().len(), 9000, "a nonce was used twice");
    let subkeys: HashSet<_> = nonces.iter().map(|nonce| nonce.first_half).collect();
    assert_eq!(subkeys.len(), 3, "4096 keys for each subkey, and no more");
    for (place, sealed) in places.iter().zip(&sealed).step_by(97) {
        assert_eq!(cipher.open(place, sealed).unwrap().expose(), key.expose());
    }
    assert!(cipher.seal_many(std::iter::empty()).unwrap().is_empty());
}

#[test]
fn faults_are_told_in_the_order_of_the_format() {
    let (cipher, key) = (cipher(7), SubjectKey::generate().unwrap());
    let sealed = cipher.seal(&PLACE, &key).unwrap();
    let open = |bytes: &[u8]| cipher.open(&PLACE, bytes).unwrap_err();
    assert_eq!(open(&[]), SealedKeyFault::Truncated);
    assert_eq!(open(&[0; 80]), SealedKeyFault::Truncated);
    assert_eq!(open(&[0; 81]), SealedKeyFault::Malformed);
    assert_eq!(open(&[sealed.as_slice(), &[0]].concat()), SealedKeyFault::Malformed);
    for at in 0..81 {
        let mut bytes = sealed;
        bytes[at] ^= 0x40;
        let expected = match at {
            0 => SealedKeyFault::Malformed,
            1..=8 => SealedKeyFault::OtherEpoch,
            _ => SealedKeyFault::Tampered,
        };
        assert_eq!(open(&bytes), expected, "at {at}");
    }
}
