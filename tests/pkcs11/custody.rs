//! Keys that are made and destroyed through the provider, and versions of one key.

use kuvert::blocking::block_on;
use kuvert::provider::pkcs11::{Pkcs11Failure, Pkcs11Wrap};
use kuvert::provider::{KeyCustodian as _, KeyProvider};
use kuvert::{EncryptionContext, Kuvert, ProviderErrorKind as Kind};

use crate::stage::{Stage, connect, staged};

/// What the other tool says about one key.
fn listed(stage: &Stage, label: &str, class: &str) -> String {
    let all = stage.tool("ours", ["--list-objects"]);
    let is_it =
        |object: &&str| object.contains(&format!("label:      {label}\n")) && object.starts_with(class);
    let objects = all.split_inclusive("\n").fold(Vec::<String>::new(), |mut objects, line| {
        match objects.last_mut() {
            Some(object) if line.starts_with("  ") => object.push_str(line),
            _ => objects.push(line.to_owned()),
        }
        objects
    });
    let found: Vec<&str> = objects.iter().map(String::as_str).filter(is_it).collect();
    assert!(found.len() <= 1, "{all}");
    found.first().map_or_else(String::new, |object| (*object).to_owned())
}

staged! {
    fn keys_that_are_made_here_never_leave_the_token(stage: &Stage) {
        stage.token("ours");
        for (label, wrap, class) in [
            ("gcm", Pkcs11Wrap::AesGcm, "Secret Key Object; AES length 32"),
            ("kwp", Pkcs11Wrap::AesKwp, "Secret Key Object; AES length 32"),
            ("rsa", Pkcs11Wrap::RsaOaepSha1, "Private Key Object; RSA"),
        ] {
            let builder = || {
                let builder = stage.builder(stage.module(), "ours", label, Some("01")).with_wrap(wrap);
                if wrap == Pkcs11Wrap::AesKwp { builder.with_mechanism(0x210a) } else { builder }
            };
            let custodian = builder().custodian().unwrap();
            assert_eq!(block_on(custodian.create_wrapping_key(label)).unwrap().unwrap(), format!("{label}/01"));
            let shown = listed(stage, label, class);
            for word in ["sensitive", "always sensitive", "never extractable", "local", "ID:         01"] {
                assert!(shown.contains(word), "{label}: {word:?} is not in {shown}");
            }
            assert!(!shown.contains(" extractable") || shown.contains("never extractable"), "{shown}");
            let taken = block_on(custodian.create_wrapping_key(label)).unwrap().unwrap_err();
            assert_eq!(taken.kind(), Kind::Misconfigured, "{taken}");
            // It seals and opens, and then no more.
            let provider = connect(builder());
            let report = block_on(provider.report()).unwrap();
            assert!(report.warnings.is_empty(), "{report:?}");
            let kuvert = Kuvert::new(provider.clone());
            let context = EncryptionContext::empty();
            let sealed = block_on(kuvert.seal(b"x", &context)).unwrap().unwrap();
            assert_eq!(block_on(kuvert.open(&sealed, &context)).unwrap().unwrap().as_slice(), b"x");
            block_on(provider.custodian().schedule_destruction(&format!("{label}/01"))).unwrap().unwrap();
            block_on(kuvert.open(&sealed, &context)).unwrap().unwrap_err();
            block_on(kuvert.seal(b"x", &context)).unwrap().unwrap_err();
            assert_eq!(listed(stage, label, class), "");
            assert_eq!(listed(stage, label, "Public Key Object"), "", "its public half stayed");
        }
    }

    fn names_that_no_key_can_have(stage: &Stage) {
        stage.token("ours");
        let custodian = stage.builder(stage.module(), "ours", "kek", Some("01")).custodian().unwrap();
        for name in ["", "/", "/01", "kek/", "kek/1", "kek/0x01", "a/b"] {
            let error = block_on(custodian.create_wrapping_key(name)).unwrap().unwrap_err();
            assert_eq!(error.kind(), Kind::Misconfigured, "{name}: {error}");
        }
        let long = format!("{}/01", "k".repeat(2046));
        assert!(block_on(custodian.create_wrapping_key(&long)).unwrap().is_err());
        for name in ["", "kek", "kek/01", "kek/zz"] {
            let error = block_on(custodian.schedule_destruction(name)).unwrap().unwrap_err();
            assert_eq!(error.kind(), Kind::NotFound, "{name}: {error}");
        }
    }

    fn a_new_version_seals_and_the_old_one_still_opens(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let of = |id| Kuvert::new(stage.provider("ours", "kek", id));
        let context = EncryptionContext::empty();
        let first = of("01");
        let old = block_on(first.seal(b"old", &context)).unwrap().unwrap();
        // Made while the first one runs, by somebody else.
        stage.aes("ours", "kek", "02");
        let second = of("02");
        let new = block_on(second.seal(b"new", &context)).unwrap().unwrap();
        for kuvert in [&first, &second] {
            assert_eq!(block_on(kuvert.open(&old, &context)).unwrap().unwrap().as_slice(), b"old");
            assert_eq!(block_on(kuvert.open(&new, &context)).unwrap().unwrap().as_slice(), b"new");
        }
        let info = stage.provider("ours", "kek", "02").describe();
        let keys: Vec<_> = info.keys.iter().map(|key| (key.id.as_str(), key.seals)).collect();
        assert_eq!(keys, [("kek/02", true), ("kek/01", false)]);
    }

    fn a_key_that_somebody_else_destroys_is_not_found(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let provider = stage.provider("ours", "kek", "01");
        let kuvert = Kuvert::new(provider.clone());
        let context = EncryptionContext::empty();
        let sealed = block_on(kuvert.seal(b"x", &context)).unwrap().unwrap();
        stage.tool("ours", ["--delete-object", "--type", "secrkey", "--label", "kek", "--id", "01"]);
        let error = block_on(provider.check()).unwrap().unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound, "{error}");
        let failure = std::error::Error::source(&error).unwrap().downcast_ref();
        assert!(matches!(failure, Some(Pkcs11Failure::NoKey { .. })), "{error}");
        assert_eq!(block_on(kuvert.open(&sealed, &context)).unwrap().unwrap_err().category(), kuvert::Category::KeyUnavailable);
    }
}
