//! What each backend's face promises: both ways in and both ways out agree, and a failed open leaves zeros.

use super::*;
use crate::crypto::AuthFailed;
use crate::crypto::aead::Aead;

for_each_backend!(
    in_place_and_slice_to_slice_agree,
    a_failed_open_leaves_zeros,
    every_part_is_authenticated,
    key_wrap_takes_only_32_bytes,
    every_changed_bit_of_a_wrap_fails,
);

const LENGTHS: [usize; 12] = [0, 1, 15, 16, 17, 64, 255, 256, 767, 768, 1024, 16_384];

fn in_place_and_slice_to_slice_agree<B: Backend>() {
    let key = Aead::<B>::new(&[5; 32]);
    for len in LENGTHS {
        let plaintext: Vec<u8> = (0_u8..251).cycle().take(len).collect();
        let (mut in_place, mut tag) = (plaintext.clone(), [0; 16]);
        key.seal_in_place(&[9; 12], b"aad", &mut in_place, &mut tag);
        let mut sealed = vec![0xaa; len + 16];
        key.seal_to(&[9; 12], b"aad", &plaintext, &mut sealed);
        assert_eq!(sealed[..len], in_place);
        assert_eq!(sealed[len..], tag);

        key.open_in_place(&[9; 12], b"aad", &mut in_place, &tag).unwrap();
        let mut opened = vec![0xaa; len];
        key.open_to(&[9; 12], b"aad", &sealed, &mut opened).unwrap();
        assert_eq!(in_place, plaintext);
        assert_eq!(opened, plaintext);
    }
}

fn a_failed_open_leaves_zeros<B: Backend>() {
    let key = Aead::<B>::new(&[5; 32]);
    for len in LENGTHS {
        let mut sealed = vec![0; len + 16];
        key.seal_to(&[9; 12], b"", &vec![0x55; len], &mut sealed);
        sealed[len + 15] ^= 1;

        let mut opened = vec![0xaa; len];
        assert_eq!(key.open_to(&[9; 12], b"", &sealed, &mut opened), Err(AuthFailed));
        assert_eq!(opened, vec![0; len]);

        let (in_out, tag) = sealed.split_last_chunk_mut().unwrap();
        assert_eq!(key.open_in_place(&[9; 12], b"", in_out, tag), Err(AuthFailed));
        assert_eq!(in_out, vec![0; len]);
    }
}

fn every_part_is_authenticated<B: Backend>() {
    let key = Aead::<B>::new(&[5; 32]);
    let mut sealed = [0; 16 + 40];
    key.seal_to(&[9; 12], b"aad", &[1; 40], &mut sealed);
    let mut out = [0; 40];
    let mut opens = |key: &Aead<B>, nonce: &[u8; 12], aad: &[u8], sealed: &[u8]| {
        key.open_to(nonce, aad, sealed, &mut out).is_ok()
    };
    assert!(opens(&key, &[9; 12], b"aad", &sealed));
    assert!(!opens(&Aead::new(&[6; 32]), &[9; 12], b"aad", &sealed));
    assert!(!opens(&key, &[8; 12], b"aad", &sealed));
    for other in [&b""[..], b"aa", b"aad\0", b"bad"] {
        assert!(!opens(&key, &[9; 12], other, &sealed));
    }
    for at in 0..sealed.len() {
        let mut changed = sealed;
        changed[at] ^= 0x80;
        assert!(!opens(&key, &[9; 12], b"aad", &changed));
    }
}

fn key_wrap_takes_only_32_bytes<B: Backend>() {
    let kek = [3; 32];
    let wrapped = key_wrap::wrap_by::<B>(&kek, &[4; 32]);
    assert_eq!(key_wrap::unwrap_by::<B>(&kek, &wrapped).unwrap().expose_bytes(), &[4; 32]);
    for len in [0, 8, 16, 24, 32, 39] {
        assert!(key_wrap::unwrap_by::<B>(&kek, &wrapped[..len]).is_err());
    }
    assert!(key_wrap::unwrap_by::<B>(&kek, &[&wrapped[..], &[0; 8]].concat()).is_err());
    // Valid wraps of the right length, of keys that are too short: the padding hides up to seven bytes.
    for short in 25..32 {
        let mut wrapped = [0; 40];
        B::wrap_key(&kek, &[4; 32][..short], &mut wrapped);
        assert!(key_wrap::unwrap_by::<B>(&kek, &wrapped).is_err());
    }
}

fn every_changed_bit_of_a_wrap_fails<B: Backend>() {
    let wrapped = key_wrap::wrap_by::<B>(&[3; 32], &[4; 32]);
    for bit in 0..320 {
        let mut changed = wrapped;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(key_wrap::unwrap_by::<B>(&[3; 32], &changed).is_err());
        let mut kek = [3; 32];
        kek[bit / 8 % 32] ^= 1 << (bit % 8);
        assert!(key_wrap::unwrap_by::<B>(&kek, &wrapped).is_err());
    }
}
