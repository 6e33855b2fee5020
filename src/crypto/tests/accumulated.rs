//! XAES-256-GCM against the vectors of its specification: two spelled out, and the hash over many random ones.

use sha3::Shake128;
use sha3::digest::{ExtendableOutput, Update, XofReader};

use super::*;
use crate::crypto::aead::Aead;
use crate::crypto::xaes::Xaes;

for_each_backend!(published_vectors, accumulated_vectors);

fn published_vectors<B: Backend>() {
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

/// 10 000 iterations, or the million that the specification gives too with `KUVERT_TEST_LONG=1`.
fn accumulated_vectors<B: Backend>() {
    let ten_thousand = "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939";
    let a_million = "2163ae1445985a30b60585ee67daa55674df06901b890593e824b8a7c885ab15";
    assert_eq!(accumulate::<B>(10_000), hex(ten_thousand));
    if std::env::var_os("KUVERT_TEST_LONG").is_some_and(|value| value == "1") {
        assert_eq!(accumulate::<B>(1_000_000), hex(a_million));
    }
}

fn accumulate<B: Backend>(iterations: usize) -> Vec<u8> {
    let mut random = Shake128::default().finalize_xof();
    let mut hash = Shake128::default();
    let mut sealed = Vec::new();
    for _ in 0..iterations {
        let (mut key, mut nonce) = ([0; 32], [0; 24]);
        random.read(&mut key);
        random.read(&mut nonce);
        let plaintext = short_vector(&mut random);
        let aad = short_vector(&mut random);

        let subkey: Aead<B> = Xaes::new(&key).subkey(nonce.first_chunk().unwrap());
        sealed.resize(plaintext.len() + 16, 0);
        subkey.seal_to(nonce.last_chunk().unwrap(), &aad, &plaintext, &mut sealed);
        hash.update(&sealed);

        let mut opened = vec![0; plaintext.len()];
        subkey.open_to(nonce.last_chunk().unwrap(), &aad, &sealed, &mut opened).unwrap();
        assert_eq!(opened, plaintext);
    }
    let mut result = vec![0; 32];
    hash.finalize_xof().read(&mut result);
    result
}

/// One byte of length, then that many bytes.
fn short_vector(random: &mut impl XofReader) -> Vec<u8> {
    let mut len = [0];
    random.read(&mut len);
    let mut bytes = vec![0; usize::from(len[0])];
    random.read(&mut bytes);
    bytes
}
