//! The crypto floor through every backend that is compiled in.

mod accumulated;
mod faces;
mod planted;
mod wycheproof;

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Backend, aead, kdf, key_wrap, xaes};
use crate::crypto::differential::differential;

/// Runs generic test bodies once for each backend compiled in, each as a test of its own.
macro_rules! for_each_backend {
    ($($body:ident),+ $(,)?) => {
        $(mod $body {
            #[cfg(feature = "aws-lc")]
            #[test]
            fn aws_lc() {
                super::$body::<crate::crypto::aws_lc::AwsLc>();
            }
            #[cfg(feature = "ring")]
            #[test]
            fn ring() {
                super::$body::<crate::crypto::ring::Ring>();
            }
            #[cfg(feature = "portable")]
            #[test]
            fn portable() {
                super::$body::<crate::crypto::rust_crypto::RustCrypto>();
            }
        })+
    };
}
use for_each_backend;

fn hex(text: &str) -> Vec<u8> {
    assert_eq!(text.len() % 2, 0);
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

proptest::proptest! {
    // Lengths around the points where the libraries change to another loop come from the fixed test below; this one
    // is for what nobody thought of.
    #[test]
    fn backends_agree(data in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..1200)) {
        differential(&data);
    }
}

#[test]
fn backends_agree_at_every_length_up_to_two_blocks_of_the_widest_loop() {
    let data: Vec<u8> = (0..2300_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    (0..1100).chain([1535, 1536, 1537, 2047, 2048, 2049, 4096, 8191, 9000]).for_each(|len| {
        differential(&data[..len]);
    });
}

#[test]
fn backends_agree_on_what_fuzzing_kept() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !fuzz.exists() {
        println!("skipped: a published package has no corpora");
        return;
    }
    let inputs: Vec<PathBuf> =
        fs::read_dir(fuzz.join("corpus/differential")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(inputs.len() >= 10, "only {} inputs", inputs.len());
    inputs.iter().for_each(|path| differential(&fs::read(path).unwrap()));
}

#[test]
fn equality_sees_every_byte_and_the_length() {
    let a = [7; 33];
    assert!(super::equal(&a, &[7; 33]));
    assert!(super::equal(&[], &[]));
    assert!(!super::equal(&a, &[7; 32]));
    for at in 0..33 {
        for bit in 0..8 {
            let mut b = a;
            b[at] ^= 1 << bit;
            assert!(!super::equal(&a, &b));
        }
    }
}

#[test]
fn the_system_gives_different_bytes_each_time() {
    let (mut a, mut b) = ([0; 32], [0; 32]);
    super::random::fill(&mut a).unwrap();
    super::random::fill(&mut b).unwrap();
    assert!(a != b && a != [0; 32] && b != [0; 32]);
    super::random::fill(&mut []).unwrap();
}

#[test]
fn nothing_of_a_key_is_shown() {
    let key = aead::AeadKey::new(&[7; 32]);
    let derive = xaes::XaesKey::new(&[7; 32]);
    assert_eq!(format!("{key:?} {derive:?}"), "AeadKey(..) XaesKey(..)");
}

#[test]
#[should_panic(expected = "numbers its blocks with one byte")]
fn hkdf_has_an_end() {
    kdf::hkdf_expand(&[7; 32], &[], &mut vec![0; 255 * 64 + 1]);
}

#[test]
fn the_chosen_backend_stands_behind_the_plain_names() {
    let wrapped = key_wrap::wrap(&[1; 32], &[2; 32]);
    assert_eq!(key_wrap::unwrap(&[1; 32], &wrapped).unwrap().expose_bytes(), &[2; 32]);
    // From FIPS 180-4's examples, the second one cut in two parts.
    let abc = hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(kdf::sha256(&[b"a", b"", b"bc"]).as_slice(), abc);
    assert_eq!(kdf::hmac_sha512(b"k", &[b"a", b"bc"]), kdf::hmac_sha512(b"k", &[b"abc"]));
}
