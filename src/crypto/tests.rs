//! The crypto floor through every backend that is compiled in.

use super::*;
use crate::crypto::aead::Aead;
use crate::crypto::xaes::Xaes;

/// Runs a generic test body once for each backend compiled in, each as a test of its own.
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

fn hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2));
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

for_each_backend!(published_xaes_vectors);

fn published_xaes_vectors<B: Backend>() {
    let nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX";
    // The first key's L has its top bit clear, the second one's set.
    for (key, aad, sealed) in [
        ([1; 32], "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
        ([3; 32], "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
    ] {
        let (first, second) = (nonce.first_chunk().unwrap(), nonce.last_chunk().unwrap());
        let subkey: Aead<B> = Xaes::new(&key).subkey(first);
        let mut out = [0; 28];
        subkey.seal_to(second, aad.as_bytes(), b"XAES-256-GCM", &mut out);
        assert_eq!(out.as_slice(), hex(sealed));
        let mut plaintext = [0; 12];
        subkey.open_to(second, aad.as_bytes(), &out, &mut plaintext).unwrap();
        assert_eq!(&plaintext, b"XAES-256-GCM");
    }
}
