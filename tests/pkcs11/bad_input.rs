//! What people get wrong: paths, tokens, keys, mechanisms, PIN files. Each is told as what it is, with what there is instead.

use std::error::Error as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use kuvert::blocking::block_on;
use kuvert::provider::KeyProvider;
use kuvert::provider::pkcs11::{
    GcmIv, Pkcs11Builder, Pkcs11ConfigError, Pkcs11Failure, Pkcs11Fault, Pkcs11Pin, Pkcs11Provider,
    Pkcs11Wrap,
};
use kuvert::{DataKey, ProviderError, ProviderErrorKind as Kind, Recipient, RecipientType};

use crate::shim::{Call, Shim};
use crate::stage::{PIN, Stage, connect, staged, wrap_context};

#[track_caller]
fn refused(builder: Pkcs11Builder) -> ProviderError {
    block_on(builder.connect()).unwrap().unwrap_err()
}

fn failure(error: &ProviderError) -> &Pkcs11Failure {
    error.source().unwrap().downcast_ref().unwrap_or_else(|| panic!("{error}"))
}

/// Asserts which failure it is, and what its text says.
macro_rules! assert_refused {
    ($builder:expr, $kind:ident, $pattern:pat, $($said:expr),*) => {
        let error = refused($builder);
        assert_eq!(error.kind(), Kind::$kind, "{error}");
        assert!(matches!(failure(&error), $pattern), "{error:?}");
        for said in [$($said),*] {
            assert!(error.to_string().contains(said), "{said:?} is not in: {error}");
        }
        assert!(!format!("{error} {error:?}").contains(PIN));
    };
}

fn unwrap(provider: &Pkcs11Provider, recipient: &Recipient) -> Result<Option<DataKey>, ProviderError> {
    block_on(provider.unwrap_data_key(recipient, &wrap_context())).unwrap()
}

staged! {
    fn modules_that_are_none(stage: &Stage) {
        stage.token("ours");
        let text = stage.file("text.so", b"no library at all", 0o755);
        let folder = stage.folder().to_owned();
        let missing = stage.folder().join("missing.so");
        let at = |path: &Path| stage.builder(path, "ours", "kek", Some("01"));
        assert_refused!(at(&missing), Misconfigured, Pkcs11Failure::Module { .. }, "missing.so", "no such file");
        assert_refused!(at(&text), Misconfigured, Pkcs11Failure::Module { .. }, "text.so", "cannot be loaded");
        assert_refused!(at(&folder), Misconfigured, Pkcs11Failure::Module { .. }, "cannot be loaded");
        let library = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6", "/usr/lib64/libm.so.6"];
        let library = library.iter().map(Path::new).find(|path| path.exists()).unwrap();
        assert_refused!(at(library), Misconfigured, Pkcs11Failure::Module { .. }, "libm", "no PKCS#11 module");
        // A right one after wrong ones.
        stage.aes("ours", "kek", "01");
        connect(at(stage.module()));
    }

    fn a_module_that_cannot_be_initialised_is_tried_again(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let shim = Shim::new(stage, "shim");
        shim.fail(Call::Initialize, 0x05);
        let builder = || stage.builder(shim.path(), "ours", "kek", Some("01"));
        assert_refused!(builder(), Unavailable, Pkcs11Failure::Call { .. }, "CKR_GENERAL_ERROR (0x5) in C_Initialize");
        shim.clear();
        connect(builder());
    }

    fn no_token_and_two_tokens(stage: &Stage) {
        let at = |token: &str| stage.builder(stage.module(), token, "kek", Some("01"));
        stage.token("kuvert-prod");
        stage.token("kuvert-prod-2");
        stage.aes("kuvert-prod-2", "kek", "01");
        assert_refused!(at("kuvert"), Unavailable, Pkcs11Failure::NoToken { .. }, "token=\"kuvert\"", "\"kuvert-prod\" (serial ", "\"kuvert-prod-2\"");
        connect(at("kuvert-prod-2"));
        let all = Pkcs11Provider::from_uri(&format!(
            "pkcs11:model=SoftHSM%20v2;object=kek?module-path={}&pin-source=file:{}",
            stage.module().display(), stage.pin_file().display()
        )).unwrap();
        assert_refused!(all, Misconfigured, Pkcs11Failure::SeveralTokens { .. }, "\"kuvert-prod\" (serial ", "\"kuvert-prod-2\"", "serial=");
        // By serial number it is one of them.
        let report = block_on(connect(at("kuvert-prod-2")).report()).unwrap().token.unwrap();
        let one = Pkcs11Provider::from_uri(&format!(
            "pkcs11:serial={};object=kek?module-path={}&pin-source=file:{}",
            report.serial, stage.module().display(), stage.pin_file().display()
        )).unwrap();
        connect(one);
        assert_eq!((report.label.as_str(), report.is_pin_locked), ("kuvert-prod-2", false));
    }

    fn no_key_and_two_keys(stage: &Stage) {
        stage.token("ours");
        let at = |label: &str, id: Option<&str>| stage.builder(stage.module(), "ours", label, id);
        assert_refused!(at("kek", Some("01")), NotFound, Pkcs11Failure::NoKey { .. }, "no key kek/01", "none");
        stage.aes("ours", "kek", "01");
        connect(at("kek", None));
        stage.aes("ours", "kek", "02");
        assert_refused!(at("kek", Some("03")), NotFound, Pkcs11Failure::NoKey { .. }, "no key kek/03", "kek/01", "kek/02");
        assert_refused!(at("ke", Some("01")), NotFound, Pkcs11Failure::NoKey { .. }, "ke/01");
        assert_refused!(at("kek", None), Misconfigured, Pkcs11Failure::SeveralKeys { .. }, "kek/01", "kek/02", "id=");
        // Two that have all in common.
        stage.aes("ours", "kek", "02");
        assert_refused!(at("kek", Some("02")), Misconfigured, Pkcs11Failure::SeveralKeys { .. }, "kek/02, kek/02");
        connect(at("kek", Some("01")));
    }

    fn keys_that_must_not_be_used(stage: &Stage) {
        stage.token("ours");
        let at = |label: &str| stage.builder(stage.module(), "ours", label, Some("01"));
        stage.tool("ours", ["--keygen", "--key-type", "AES:16", "--label", "short", "--id", "01"]);
        assert_refused!(at("short"), Misconfigured, Pkcs11Failure::UnfitKey { .. }, "short/01", "256 bits");
        stage.tool("ours", ["--keypairgen", "--key-type", "rsa:1024", "--label", "weak", "--id", "01"]);
        let weak = at("weak").with_wrap(Pkcs11Wrap::RsaOaepSha1);
        assert_refused!(weak, Misconfigured, Pkcs11Failure::UnfitKey { .. }, "weak/01", "2048");
        stage.aes("ours", "aes", "01");
        let other = at("aes").with_wrap(Pkcs11Wrap::RsaOaepSha1);
        assert_refused!(other, Misconfigured, Pkcs11Failure::UnfitKey { .. }, "aes/01", "another sort");
        // What is only a warning.
        stage.tool("ours", ["--keygen", "--key-type", "AES:32", "--label", "loose", "--id", "01", "--extractable"]);
        let report = block_on(connect(at("loose")).report()).unwrap();
        assert!(report.warnings.iter().any(|warning| warning.contains("loose/01: it is extractable")), "{report:?}");
        let report = block_on(connect(at("aes")).report()).unwrap();
        assert_eq!(report.warnings, [""; 0]);
        assert_eq!((report.key.as_deref(), report.mechanism), (Some("aes/01"), Some(0x1087)));
    }

    fn mechanisms_that_the_token_does_not_have(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        stage.rsa("ours", "rsa", "01");
        let at = |label: &str| stage.builder(stage.module(), "ours", label, Some("01"));
        let kwp = at("kek").with_wrap(Pkcs11Wrap::AesKwp);
        assert_refused!(kwp, Misconfigured, Pkcs11Failure::NoMechanism { wanted: 0x210b, .. }, "0x210b", "0x210a is the same", "it offers: ", " 0x1087");
        let unknown = at("kek").with_mechanism(0x8000_0042);
        assert_refused!(unknown, Misconfigured, Pkcs11Failure::NoMechanism { .. }, "0x80000042", "it offers: ");
        // One that the token has for something else: SHA-256.
        assert_refused!(at("kek").with_mechanism(0x250), Misconfigured, Pkcs11Failure::NoMechanism { .. }, "0x250");
        // SoftHSM knows OAEP with SHA-1 only, and says so when it is used. Nothing is used in its place.
        let error = refused(at("rsa").with_deadline(Duration::from_secs(20)));
        assert_eq!(error.kind(), Kind::Misconfigured, "{error}");
        let shim = Shim::new(stage, "shim");
        shim.hide(0x1087);
        let hidden = stage.builder(shim.path(), "ours", "kek", Some("01"));
        assert_refused!(hidden, Misconfigured, Pkcs11Failure::NoMechanism { wanted: 0x1087, .. }, "0x1087");
    }

    fn one_aes_key_is_for_one_type(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let at = || stage.builder(stage.module(), "ours", "kek", Some("01"));
        let kwp = || at().with_wrap(Pkcs11Wrap::AesKwp).with_mechanism(0x210a);
        let gcm = connect(at());
        let second = connect(at());
        assert_refused!(kwp(), Misconfigured, Pkcs11Failure::TwoTypes { .. }, "\"kek\"", "one type only");
        drop(gcm);
        assert_refused!(kwp(), Misconfigured, Pkcs11Failure::TwoTypes { .. }, "\"kek\"");
        drop(second);
        // Nobody uses it any more.
        connect(kwp());
    }

    fn pins_that_are_none(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let at = || stage.builder(stage.module(), "ours", "kek", Some("01"));
        let loose = stage.file("loose", PIN.as_bytes(), 0o640);
        assert_refused!(at().with_pin_file(&loose), Misconfigured, Pkcs11Failure::LoosePinFile { mode: 0o640, .. }, "chmod 600", "loose");
        let missing = stage.folder().join("missing");
        assert_refused!(at().with_pin_file(&missing), Misconfigured, Pkcs11Failure::PinFile { .. }, "missing");
        let empty = stage.file("empty", b"\n", 0o600);
        assert_refused!(at().with_pin_file(&empty), Misconfigured, Pkcs11Failure::BadPin, "PIN");
        assert_refused!(at().with_pin(|| None), Unavailable, Pkcs11Failure::PinCallback, "PIN");
        assert_refused!(at().with_pin(|| Some(Pkcs11Pin::new(""))), Misconfigured, Pkcs11Failure::BadPin, "PIN");
        let none = format!("pkcs11:token=ours;object=kek;id=%01?module-path={}", stage.module().display());
        assert_refused!(Pkcs11Provider::from_uri(&none).unwrap(), Misconfigured, Pkcs11Failure::NoPin, "pin-source=file:");
        // None of them was shown to the token: the right one works at once.
        connect(at());
    }

    fn a_configuration_tells_all_its_faults(stage: &Stage) {
        let faults = |error: Pkcs11ConfigError| error.faults().to_vec();
        let build = |uri: &str| Pkcs11Provider::from_uri(uri).unwrap().build();
        assert_eq!(
            faults(build("pkcs11:token=x").unwrap_err()),
            [Pkcs11Fault::NoModule, Pkcs11Fault::NoObject, Pkcs11Fault::NoId, Pkcs11Fault::NoWrap]
        );
        let builder = Pkcs11Provider::from_uri("pkcs11:object=k;id=%01?module-path=lib.so").unwrap();
        let builder = builder.with_wrap(Pkcs11Wrap::AesKwp).with_iv(GcmIv::InPlace).with_workers(0).with_init_args("a\0b");
        let all = [Pkcs11Fault::RelativeModule, Pkcs11Fault::Zero, Pkcs11Fault::IvWithoutGcm, Pkcs11Fault::InitArgs];
        assert_eq!(builder.faults(), all);
        let error = refused(builder);
        assert_eq!(error.kind(), Kind::Misconfigured);
        let said = error.to_string();
        assert!(said.lines().count() == 5 && said.contains("module-path is not absolute"), "{said}");
        assert!(!stage.folder().join("nothing was loaded").exists());
    }

    fn what_is_built_without_the_token_finds_it_later(stage: &Stage) {
        let builder = stage.builder(stage.module(), "ours", "kek", Some("01"));
        let builder = builder.with_wrap(Pkcs11Wrap::AesGcm).with_deadline(Duration::from_secs(2));
        let provider = builder.build().unwrap();
        assert_eq!(provider.describe().keys[0].id, "kek/01");
        let key = DataKey::copy_from(&[1; 32]);
        let error = block_on(provider.wrap_data_key(&key, &wrap_context())).unwrap().unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let mut tries = 0;
        let wrapped = loop {
            match block_on(provider.wrap_data_key(&key, &wrap_context())).unwrap() {
                Ok(wrapped) => break wrapped,
                Err(error) => assert_eq!(error.kind(), Kind::Unavailable, "{error}"),
            }
            tries += 1;
            assert!(tries < 100);
        };
        assert_eq!(unwrap(&provider, &wrapped[0]).unwrap().unwrap().expose_bytes(), &[1; 32]);
    }

    fn what_names_no_key_of_ours_costs_no_call(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let shim = Shim::new(stage, "shim");
        let provider = connect(stage.builder(shim.path(), "ours", "kek", Some("01")));
        let calls = || [Call::FindObjectsInit, Call::DecryptInit].map(|call| shim.count(call)).iter().sum::<u64>();
        let before = calls();
        let named = |of, id: &[u8], params: &[u8]| Recipient::new(of, id, params, vec![1; 60]);
        let gcm = RecipientType::HSM_AES_GCM;
        for recipient in [
            named(RecipientType::AES_KWP, b"kek/01", b""),
            named(RecipientType::RSA_OAEP_SHA256, b"kek/01", b""),
            named(gcm, b"kek", b""),
            named(gcm, b"kek/1", b""),
            named(gcm, b"kek/0G", b""),
            named(gcm, b"kek/01/", b""),
            named(gcm, b"KEK/01", b""),
            named(gcm, b"\xff/01", b""),
            named(gcm, b"", b""),
            named(gcm, b"kek/01", b"x"),
            named(RecipientType(0x9000), b"kek/01", b""),
        ] {
            assert!(unwrap(&provider, &recipient).unwrap().is_none(), "{recipient:?}");
        }
        assert_eq!(calls(), before);
        // A version that nobody knows is looked for once, and then not again for a while.
        assert!(unwrap(&provider, &named(gcm, b"kek/07", b"")).unwrap().is_none());
        let looked = calls();
        assert!(looked > before);
        for id in 0..50 {
            assert!(unwrap(&provider, &named(gcm, format!("kek/{:02x}", id + 8).as_bytes(), b"")).unwrap().is_none());
        }
        assert_eq!(calls(), looked);
    }

    fn fixtures_are_readable_by_their_owner_only(stage: &Stage) {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(stage.pin_file()).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
