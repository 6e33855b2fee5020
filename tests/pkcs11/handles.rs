//! What must not be used twice or at the wrong time: handles after a login, a PIN that was refused, a module's file.

use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;

use kuvert::blocking::block_on;
use kuvert::provider::pkcs11::{Pkcs11Failure, Pkcs11Pin, Pkcs11Provider, Pkcs11Wrap};
use kuvert::provider::{AnyOf, KeyCustodian as _, KeyProvider, MemoryProvider};
use kuvert::{EncryptionContext, Kuvert, ProviderError, ProviderErrorKind as Kind};

use crate::calls::{KEY, failure, unwrap, wrap};
use crate::shim::{Call, Shim};
use crate::stage::{PIN, Stage, connect, staged};

fn refused(connected: Result<Pkcs11Provider, ProviderError>) {
    let error = connected.unwrap_err();
    assert_eq!(error.kind(), Kind::Credentials, "{error}");
    assert!(!error.to_string().contains("1111"), "{error}");
}

/// A key that nobody sees who is not logged in.
fn private(stage: &Stage) {
    let key =
        ["--keygen", "--key-type", "AES:32", "--label", "kek", "--id", "01", "--sensitive", "--private"];
    stage.tool("ours", key);
}

staged! {
    fn nobody_logs_in_while_a_handle_is_in_use(stage: &Stage) {
        stage.token("ours");
        private(stage);
        let shim = Shim::new(stage, "shim");
        let provider = connect(stage.builder(shim.path(), "ours", "kek", Some("01")).with_workers(2));
        let recipient = wrap(&provider).unwrap();
        let behind = cryptoki::context::Pkcs11::new(shim.behind()).unwrap();
        let slot = behind.get_slots_with_initialized_token().unwrap()[0];
        // Somebody logs out while a worker holds a key's handle and is just about to use it.
        shim.slow(Call::EncryptInit, 400);
        let before = (shim.count(Call::EncryptInit), shim.count(Call::Login));
        thread::scope(|scope| {
            let sealed = scope.spawn(|| wrap(&provider));
            while shim.count(Call::EncryptInit) == before.0 {
                thread::yield_now();
            }
            behind.open_ro_session(slot).unwrap().logout().unwrap();
            assert_eq!(unwrap(&provider, &recipient).unwrap().expose_bytes(), &KEY);
            let sealed = sealed.join().unwrap().unwrap();
            shim.clear();
            assert_eq!(unwrap(&provider, &sealed).unwrap().expose_bytes(), &KEY);
        });
        assert!(shim.count(Call::Login) > before.1);
        // A login gives every key another number, in this module: the other worker's was not used after it.
        assert_eq!(shim.stale(), 0);
    }

    fn a_login_that_was_lost_voids_every_handle_once_it_succeeds(stage: &Stage) {
        stage.token("ours");
        private(stage);
        let shim = Shim::new(stage, "shim");
        let pin = stage.file("own-pin", PIN.as_bytes(), 0o600);
        let builder = stage.builder(shim.path(), "ours", "kek", Some("01")).with_pin_file(&pin);
        let provider = connect(builder.with_workers(2));
        let recipient = wrap(&provider).unwrap();
        // Both workers have a session and the key's handle.
        shim.slow(Call::DecryptInit, 50);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| unwrap(&provider, &recipient).unwrap());
            }
        });
        shim.clear();
        let behind = cryptoki::context::Pkcs11::new(shim.behind()).unwrap();
        let slot = behind.get_slots_with_initialized_token().unwrap()[0];
        behind.open_ro_session(slot).unwrap().logout().unwrap();
        std::fs::write(&pin, "11111111").unwrap();
        assert_eq!(unwrap(&provider, &recipient).unwrap_err().kind(), Kind::Credentials);
        std::fs::write(&pin, PIN).unwrap();
        for _ in 0..10 {
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| assert_eq!(unwrap(&provider, &recipient).unwrap().expose_bytes(), &KEY));
                }
            });
        }
        assert_eq!(shim.stale(), 0);
    }

    fn handles_are_looked_up_again_once_a_key_was_destroyed(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        stage.aes("ours", "other", "01");
        let shim = Shim::new(stage, "shim");
        let ours = connect(stage.builder(shim.path(), "ours", "kek", Some("01")).with_workers(1));
        let other = connect(stage.builder(shim.path(), "ours", "other", Some("01")));
        let recipient = wrap(&ours).unwrap();
        let looks = |steps: &dyn Fn()| {
            let before = shim.count(Call::FindObjectsInit);
            steps();
            shim.count(Call::FindObjectsInit) - before
        };
        let use_it = || assert_eq!(unwrap(&ours, &recipient).unwrap().expose_bytes(), &KEY);
        assert_eq!(looks(&use_it), 0, "its handle is kept");
        block_on(other.custodian().schedule_destruction("other/01")).unwrap().unwrap();
        // The token may give the number to another key.
        assert_eq!(looks(&use_it), 1);
        assert_eq!(looks(&use_it), 0);
    }

    fn a_destroyed_rsa_key_seals_no_more_whatever_became_of_its_public_half(stage: &Stage) {
        stage.token("ours");
        stage.rsa("ours", "pair", "10");
        let shim = Shim::new(stage, "shim");
        let builder = || stage.builder(shim.path(), "ours", "pair", Some("10")).with_wrap(Pkcs11Wrap::RsaOaepSha1);
        let provider = connect(builder());
        wrap(&provider).unwrap();
        // The private half is gone when the token is: it goes on after a reset.
        shim.fail_after(Call::FindObjectsInit, 0x30, 1);
        block_on(provider.custodian().schedule_destruction("pair/10")).unwrap().unwrap();
        assert_eq!(wrap(&provider).unwrap_err().kind(), Kind::NotFound);
        let left = stage.tool("ours", ["--list-objects"]);
        assert!(!left.contains("pair"), "{left}");
        let again = block_on(provider.custodian().schedule_destruction("pair/10")).unwrap().unwrap_err();
        assert_eq!(again.kind(), Kind::NotFound);
        // The same where it never comes back: nothing is sealed for a key that is gone.
        stage.rsa("ours", "pair", "10");
        let provider = connect(builder().with_deadline(Duration::from_millis(600)));
        shim.fail(Call::DestroyObject, 0x30);
        assert!(block_on(provider.custodian().schedule_destruction("pair/10")).unwrap().is_err());
        shim.clear();
        wrap(&provider).unwrap();
        shim.fail_after(Call::DestroyObject, 0x06, 1);
        block_on(provider.custodian().schedule_destruction("pair/10")).unwrap().ok();
        assert_eq!(wrap(&provider).unwrap_err().kind(), Kind::NotFound);
    }

    fn two_wrong_pins_are_each_tried_once(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let shim = Shim::new(stage, "shim");
        let builder = |pin: &'static str| {
            let builder = stage.builder(shim.path(), "ours", "kek", Some("01"));
            block_on(builder.with_pin(move || Some(Pkcs11Pin::new(pin))).connect()).unwrap()
        };
        for _ in 0..3 {
            refused(builder("11111111"));
            refused(builder("22222222"));
        }
        assert_eq!(shim.count(Call::Login), 2);
        wrap(&builder(PIN).unwrap()).unwrap();
        assert_eq!(shim.count(Call::Login), 3);
    }

    fn a_vendors_own_answer_to_a_pin_is_a_refusal(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let shim = Shim::new(stage, "shim");
        shim.fail(Call::Login, 0x8000_0017);
        let builder = || stage.builder(shim.path(), "ours", "kek", Some("01"));
        for _ in 0..3 {
            refused(block_on(builder().connect()).unwrap());
        }
        assert_eq!(shim.count(Call::Login), 1);
    }

    fn a_login_of_somebody_else_s_is_as_good_and_proves_no_pin(stage: &Stage) {
        stage.token("ours");
        private(stage);
        let shim = Shim::new(stage, "shim");
        let theirs = cryptoki::context::Pkcs11::new(shim.behind()).unwrap();
        theirs.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
        let slot = theirs.get_slots_with_initialized_token().unwrap()[0];
        let session = theirs.open_ro_session(slot).unwrap();
        session.login(UserType::User, Some(&AuthPin::from(PIN))).unwrap();
        // USER_ALREADY_LOGGED_IN is fine, whatever the PIN: the token did not look at it.
        let wrong = stage.builder(shim.path(), "ours", "kek", Some("01"));
        let provider = connect(wrong.with_pin(|| Some(Pkcs11Pin::new("11111111"))));
        let recipient = wrap(&provider).unwrap();
        assert_eq!(unwrap(&provider, &recipient).unwrap().expose_bytes(), &KEY);
        // Once it is over, the PIN is tried, and refused.
        session.logout().unwrap();
        refused(unwrap(&provider, &recipient).map(|_| provider.clone()));
        assert_eq!(shim.count(Call::Login), 2);
    }

    fn a_refused_pin_is_no_denial_and_another_key_is_asked(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let shim = Shim::new(stage, "shim");
        let pin = stage.file("own-pin", PIN.as_bytes(), 0o600);
        let builder = || stage.builder(shim.path(), "ours", "kek", Some("01")).with_pin_file(&pin);
        let safe: Arc<dyn KeyProvider> = Arc::new(MemoryProvider::generate("safe").unwrap());
        let over = |token: Pkcs11Provider| {
            Kuvert::new(AnyOf::new([Arc::new(token) as Arc<dyn KeyProvider>, Arc::clone(&safe)]).unwrap())
        };
        let context = EncryptionContext::empty();
        let sealed = block_on(over(connect(builder())).seal(b"x", &context)).unwrap().unwrap();
        std::fs::write(&pin, "11111111").unwrap();
        // Another connection, in which nobody is logged in.
        let elsewhere = Shim::new(stage, "elsewhere");
        let lazy = || {
            let builder = stage.builder(elsewhere.path(), "ours", "kek", Some("01")).with_pin_file(&pin);
            builder.with_wrap(Pkcs11Wrap::AesGcm).build().unwrap()
        };
        let error = wrap(&lazy()).unwrap_err();
        assert!(error.kind() == Kind::Credentials && !error.is_retryable(), "{error}");
        let opened = block_on(over(lazy()).open(&sealed, &context)).unwrap().unwrap();
        assert_eq!(opened.as_slice(), b"x");
        assert_eq!(elsewhere.count(Call::Login), 1);
        // What the token denies is the last word.
        std::fs::write(&pin, PIN).unwrap();
        let denied = lazy();
        wrap(&denied).unwrap();
        elsewhere.fail(Call::DecryptInit, 0x200);
        let error = block_on(over(denied).open(&sealed, &context)).unwrap().unwrap_err();
        assert!(error.to_string().contains("access denied"), "{error}");
    }

    fn a_callback_that_panics_costs_its_call_and_no_worker(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let is_broken = Arc::new(AtomicBool::new(true));
        let asked = Arc::clone(&is_broken);
        let builder = stage.builder(stage.module(), "ours", "kek", Some("01")).with_workers(1);
        let builder = builder.with_wrap(Pkcs11Wrap::AesGcm).with_pin(move || {
            assert!(!asked.load(Ordering::SeqCst), "a panic in the program's callback, as planned");
            Some(Pkcs11Pin::new(PIN))
        });
        let provider = builder.build().unwrap();
        panic::set_hook(Box::new(|_| {}));
        for _ in 0..3 {
            let error = wrap(&provider).unwrap_err();
            assert!(matches!(failure(&error), Pkcs11Failure::PinCallback), "{error}");
        }
        drop(panic::take_hook());
        is_broken.store(false, Ordering::SeqCst);
        let recipient = wrap(&provider).unwrap();
        assert_eq!(unwrap(&provider, &recipient).unwrap().expose_bytes(), &KEY);
    }

    fn a_module_that_cannot_be_initialised_is_loaded_once(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let shim = Shim::new(stage, "shim");
        shim.fail(Call::Initialize, 0x05);
        let builder = stage.builder(shim.path(), "ours", "kek", Some("01")).with_wrap(Pkcs11Wrap::AesGcm);
        let provider = builder.with_deadline(Duration::MAX).with_quiesce(Duration::MAX).build().unwrap();
        let mut loads = None;
        for _ in 0..5 {
            assert_eq!(wrap(&provider).unwrap_err().kind(), Kind::Unavailable);
            assert_eq!(*loads.get_or_insert(shim.loads()), shim.loads());
        }
        shim.clear();
        let recipient = wrap(&provider).unwrap();
        assert_eq!(unwrap(&provider, &recipient).unwrap().expose_bytes(), &KEY);
        assert_eq!(loads, Some(shim.loads()));
    }
}
