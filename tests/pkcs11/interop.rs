//! The same key in a token and in a key file: what one seals, the other opens. So the token's mechanism is RFC 5649.

use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256};

use kuvert::blocking::block_on;
use kuvert::provider::pkcs11::Pkcs11Wrap;
use kuvert::provider::{KeyProvider, MemoryProvider};
use kuvert::{EncryptionContext, Kuvert, RecipientType};

use crate::kryoptic;
use crate::stage::{Stage, connect, staged};

const KEY: [u8; 32] = *b"a key that is known to two sides";

/// A key file with one key, written down from the manual.
fn key_file(stage: &Stage, id: &str) -> MemoryProvider {
    let mut hash = Sha256::new();
    for part in [&b"kuvert-key-v1"[..], id.as_bytes(), &KEY] {
        hash.update(part);
    }
    let checked = [&KEY[..], &hash.finalize()[..4]].concat();
    let line = format!("# by hand\nkuvert-key-v1:{id}:{}\n", Base64::encode_string(&checked));
    MemoryProvider::from_key_file(stage.file("key-file", line.as_bytes(), 0o600)).unwrap()
}

/// A message of each opens with the other.
fn assert_same(token: impl KeyProvider + 'static, file: impl KeyProvider + 'static) {
    let context = EncryptionContext::new([("table", "users")]).unwrap();
    let (token, file) = (Kuvert::new(token), Kuvert::new(file));
    let plaintext = b"opens on either side".as_slice();
    for (seals, opens) in [(&token, &file), (&file, &token), (&token, &token)] {
        let sealed = block_on(seals.seal(plaintext, &context)).unwrap().unwrap();
        assert_eq!(block_on(opens.open(&sealed, &context)).unwrap().unwrap().as_slice(), plaintext);
    }
}

staged! {
    fn an_imported_key_wraps_like_a_key_file_on_softhsm(stage: &Stage) {
        stage.token("ours");
        stage.import("ours", "kek", "01", &KEY);
        let builder = stage.builder(stage.module(), "ours", "kek", Some("01"));
        let provider = connect(builder.with_wrap(Pkcs11Wrap::AesKwp).with_mechanism(0x210a));
        assert_eq!(provider.describe().keys[0].id, "kek/01");
        assert_eq!(provider.describe().keys[0].recipient_type, RecipientType::AES_KWP);
        assert_same(provider, key_file(stage, "kek/01"));
    }

    fn an_imported_key_wraps_like_a_key_file_on_kryoptic(stage: &Stage) {
        let Some(token) = kryoptic::token(stage) else { return };
        stage.import_into(&token, "kek", "01", &KEY);
        let provider = connect(token.builder(stage, "kek", "01").with_wrap(Pkcs11Wrap::AesKwp));
        assert_same(provider, key_file(stage, "kek/01"));
    }

    fn another_key_of_the_same_name_opens_nothing(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let builder = stage.builder(stage.module(), "ours", "kek", Some("01"));
        let provider = connect(builder.with_wrap(Pkcs11Wrap::AesKwp).with_mechanism(0x210a));
        let context = EncryptionContext::empty();
        let sealed = block_on(Kuvert::new(key_file(stage, "kek/01")).seal(b"x", &context)).unwrap().unwrap();
        let refused = block_on(Kuvert::new(provider).open(&sealed, &context)).unwrap().unwrap_err();
        assert_eq!(refused.category(), kuvert::Category::WrongKey, "{refused}");
    }
}
