//! Every row of the table of codes, through a module that fails as it is told: what is renewed, and what the caller is
//! told when that does not help.

use std::time::Duration;

use kuvert::blocking::block_on;
use kuvert::provider::KeyProvider;
use kuvert::provider::pkcs11::{
    GcmIv, Pkcs11Builder, Pkcs11Failure, Pkcs11Provider, Pkcs11State, Pkcs11Wrap,
};
use kuvert::{DataKey, ProviderError, ProviderErrorKind as Kind, Recipient, RecipientType};

use crate::calls::{KEY, failure, unwrap, wrap};
use crate::kryoptic;
use crate::shim::{Call, Shim};
use crate::stage::{PIN, Stage, connect, staged, wrap_context};

/// A provider with one worker over a shim, and what it made.
struct Scene {
    shim: Shim,
    provider: Pkcs11Provider,
    recipient: Recipient,
}

impl Scene {
    fn new(stage: &Stage) -> Self {
        Self::of(stage, |builder| builder.with_deadline(Duration::from_secs(20)))
    }

    fn of(stage: &Stage, set_up: impl FnOnce(Pkcs11Builder) -> Pkcs11Builder) -> Self {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let shim = Shim::new(stage, "shim");
        let builder = stage.builder(shim.path(), "ours", "kek", Some("01")).with_workers(1);
        let provider = connect(set_up(builder));
        let recipient = wrap(&provider).unwrap();
        Self { shim, provider, recipient }
    }

    fn unwrap(&self) -> Result<DataKey, ProviderError> {
        unwrap(&self.provider, &self.recipient)
    }

    fn generation(&self) -> u64 {
        block_on(self.provider.report()).unwrap().generation
    }

    /// One failure with this code is made good, by so many resets.
    #[track_caller]
    fn is_mended(&self, call: Call, code: u64, resets: u64) {
        let before = self.generation();
        self.shim.fail_times(call, code, 1);
        let key = self.unwrap().unwrap_or_else(|error| panic!("0x{code:x} in {call:?}: {error}"));
        assert_eq!(key.expose_bytes(), &KEY);
        assert_eq!(self.generation() - before, resets, "0x{code:x} in {call:?}");
        assert_eq!(self.shim.stale(), 0, "0x{code:x} in {call:?}");
    }

    /// Failing for good with this code, it is told as this, after at most so many calls.
    #[track_caller]
    fn is_told(&self, call: Call, code: u64, kind: Kind, calls: u64) {
        let (count, generation) = (self.shim.count(call), self.generation());
        self.shim.fail(call, code);
        let error = self.unwrap().unwrap_err();
        self.shim.clear();
        assert_eq!(error.kind(), kind, "0x{code:x} in {call:?}: {error}");
        assert_eq!(error.is_retryable(), kind.is_retryable());
        assert!(
            self.shim.count(call) - count <= calls,
            "0x{code:x}: {} calls",
            self.shim.count(call) - count
        );
        assert_eq!(self.generation(), generation, "0x{code:x}: no reset was due");
        // And afterwards it works as if nothing had been.
        assert_eq!(self.unwrap().unwrap().expose_bytes(), &KEY, "0x{code:x} in {call:?}");
    }
}

staged! {
    fn lost_sessions_are_opened_anew(stage: &Stage) {
        let scene = Scene::new(stage);
        // SESSION_HANDLE_INVALID, SESSION_CLOSED, OPERATION_ACTIVE, OPERATION_NOT_INITIALIZED, BUFFER_TOO_SMALL
        for code in [0xb3, 0xb0, 0x90, 0x91, 0x150] {
            scene.is_mended(Call::DecryptInit, code, 0);
            scene.is_mended(Call::Decrypt, code, 0);
            // The login is somebody's session too, hence one try more where it is opened anew.
            scene.is_told(Call::DecryptInit, code, Kind::Unavailable, 2);
        }
    }

    fn lost_keys_are_found_again(stage: &Stage) {
        let scene = Scene::new(stage);
        // OBJECT_HANDLE_INVALID, KEY_HANDLE_INVALID, UNWRAPPING_KEY_HANDLE_INVALID
        for code in [0x82, 0x60, 0xf0] {
            let before = scene.shim.count(Call::FindObjectsInit);
            scene.is_mended(Call::DecryptInit, code, 0);
            assert!(scene.shim.count(Call::FindObjectsInit) > before);
            scene.is_told(Call::DecryptInit, code, Kind::NotFound, 2);
        }
    }

    fn a_lost_login_is_made_again(stage: &Stage) {
        let scene = Scene::new(stage);
        let before = scene.shim.count(Call::Login);
        scene.is_mended(Call::DecryptInit, 0x101, 0);
        assert_eq!(scene.shim.count(Call::Login) - before, 1);
        scene.is_told(Call::DecryptInit, 0x101, Kind::Unavailable, 2);
    }

    fn a_lost_connection_is_made_anew(stage: &Stage) {
        let scene = Scene::new(stage);
        // DEVICE_REMOVED, TOKEN_NOT_PRESENT, TOKEN_NOT_RECOGNIZED, CRYPTOKI_NOT_INITIALIZED, SLOT_ID_INVALID
        for code in [0x32, 0xe0, 0xe1, 0x190, 0x03] {
            scene.is_mended(Call::DecryptInit, code, 1);
        }
        // Not in an unwrap, these three mean the same.
        for code in [0x30, 0x05, 0x06] {
            let before = scene.generation();
            scene.shim.fail_times(Call::EncryptInit, code, 1);
            wrap(&scene.provider).unwrap();
            assert_eq!(scene.generation() - before, 1, "0x{code:x}");
        }
        assert_eq!(scene.shim.stale(), 0);
    }

    fn a_connection_that_stays_lost_is_told_before_the_deadline(stage: &Stage) {
        let set_up = |builder: Pkcs11Builder| builder.with_deadline(Duration::from_secs(2));
        let Scene { shim, provider, recipient } = Scene::of(stage, set_up);
        shim.fail(Call::DecryptInit, 0x32);
        let error = unwrap(&provider, &recipient).unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        assert!(error.to_string().contains("CKR_DEVICE_REMOVED (0x32) in C_DecryptInit"), "{error}");
        // Each further one waited longer: it was not hammered.
        let resets = block_on(provider.report()).unwrap().generation;
        assert!((2..12).contains(&resets), "{resets}");
        shim.clear();
        shim.fail(Call::Initialize, 0x30);
        shim.fail_times(Call::DecryptInit, 0x32, 1);
        let error = unwrap(&provider, &recipient).unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        assert_eq!(block_on(provider.report()).unwrap().state, Pkcs11State::Down);
        shim.clear();
        let mut tries = 0;
        while let Err(error) = unwrap(&provider, &recipient) {
            assert_eq!(error.kind(), Kind::Unavailable, "{error}");
            tries += 1;
            assert!(tries < 1000, "it never came back");
        }
        assert_eq!(block_on(provider.report()).unwrap().state, Pkcs11State::Up);
        assert_eq!(shim.stale(), 0);
    }

    fn a_full_token_is_waited_for_and_not_reset(stage: &Stage) {
        let scene = Scene::new(stage);
        // HOST_MEMORY, DEVICE_MEMORY, SESSION_COUNT
        for code in [0x02, 0x31, 0xb1] {
            scene.is_mended(Call::DecryptInit, code, 0);
        }
    }

    fn a_token_that_stays_full_is_told_as_full(stage: &Stage) {
        let set_up = |builder: Pkcs11Builder| builder.with_deadline(Duration::from_secs(1));
        let Scene { shim, provider, recipient } = Scene::of(stage, set_up);
        let generation = || block_on(provider.report()).unwrap().generation;
        for code in [0x02, 0x31, 0xb1] {
            let before = (shim.count(Call::DecryptInit), generation());
            shim.fail(Call::DecryptInit, code);
            let error = unwrap(&provider, &recipient).unwrap_err();
            shim.clear();
            assert_eq!(error.kind(), Kind::Throttled, "0x{code:x}: {error}");
            // Each pause is longer than the one before.
            let calls = shim.count(Call::DecryptInit) - before.0;
            assert!((2..9).contains(&calls), "0x{code:x}: {calls} calls in a second");
            assert_eq!(generation(), before.1, "0x{code:x}: a reset does not make room");
            assert_eq!(unwrap(&provider, &recipient).unwrap().expose_bytes(), &KEY);
        }
    }

    fn lost_keys_are_found_again_by_calls_that_name_them_otherwise(stage: &Stage) {
        let set_up = |builder: Pkcs11Builder| builder.with_wrap(Pkcs11Wrap::AesKwp).with_mechanism(0x210a);
        let Scene { shim, provider, recipient } = Scene::of(stage, set_up);
        // WRAPPING_KEY_HANDLE_INVALID, UNWRAPPING_KEY_HANDLE_INVALID
        for (call, code) in [(Call::WrapKey, 0x113), (Call::UnwrapKey, 0xf0)] {
            let again = || match call {
                Call::WrapKey => wrap(&provider).map(drop),
                _ => unwrap(&provider, &recipient).map(|key| assert_eq!(key.expose_bytes(), &KEY)),
            };
            let before = shim.count(Call::FindObjectsInit);
            shim.fail_times(call, code, 1);
            again().unwrap();
            assert!(shim.count(Call::FindObjectsInit) > before, "0x{code:x}");
            shim.fail(call, code);
            assert_eq!(again().unwrap_err().kind(), Kind::NotFound, "0x{code:x}");
            shim.clear();
            again().unwrap();
        }
        assert_eq!(shim.stale(), 0);
    }

    fn an_answer_that_nobody_knows_costs_the_session_and_nothing_else(stage: &Stage) {
        let scene = Scene::new(stage);
        for code in [0x8000_0001, 0x7fff_0000] {
            let before = [Call::OpenSession, Call::Login, Call::Finalize].map(|call| scene.shim.count(call));
            scene.is_told(Call::Decrypt, code, Kind::Other, 1);
            let after = [Call::OpenSession, Call::Login, Call::Finalize].map(|call| scene.shim.count(call));
            assert_eq!(after, [before[0] + 1, before[1], before[2]], "0x{code:x}");
        }
    }

    fn refused_wraps_are_told_at_once(stage: &Stage) {
        let scene = Scene::new(stage);
        // ENCRYPTED_DATA_INVALID and _LEN_RANGE, WRAPPED_KEY_INVALID and _LEN_RANGE, DATA_INVALID and _LEN_RANGE,
        // AEAD_DECRYPT_FAILED
        for code in [0x40, 0x41, 0x110, 0x112, 0x20, 0x21, 0x42] {
            scene.is_told(Call::Decrypt, code, Kind::Rejected, 1);
        }
        // The same codes in a wrap are nobody's bad wrap.
        for code in [0x40, 0x110, 0x21] {
            scene.shim.fail(Call::Encrypt, code);
            let error = wrap(&scene.provider).unwrap_err();
            assert_eq!(error.kind(), Kind::Other, "{error}");
            scene.shim.clear();
        }
    }

    fn what_may_be_a_bad_wrap_or_a_dead_token_is_found_out(stage: &Stage) {
        let scene = Scene::new(stage);
        // GENERAL_ERROR, DEVICE_ERROR, FUNCTION_FAILED
        for code in [0x05, 0x30, 0x06] {
            // Once: it was nothing.
            scene.is_mended(Call::Decrypt, code, 0);
            // Again and again, while a wrap of our own is undone: it is the wrap.
            let before = scene.generation();
            scene.shim.fail_times(Call::Decrypt, code, 2);
            scene.shim.fail_after(Call::Decrypt, code, 1);
            let error = scene.unwrap().unwrap_err();
            assert_eq!(error.kind(), Kind::Rejected, "0x{code:x}: {error}");
            assert_eq!(scene.generation(), before, "0x{code:x}");
            // Our own fails as well: it was the token.
            scene.shim.fail_times(Call::Decrypt, code, 3);
            assert_eq!(scene.unwrap().unwrap().expose_bytes(), &KEY, "0x{code:x}");
            assert_eq!(scene.generation() - before, 1, "0x{code:x}");
        }
    }

    fn a_bad_wrap_costs_no_reset(stage: &Stage) {
        let scene = Scene::new(stage);
        let generation = scene.generation();
        for bit in 0..100 {
            let mut bytes = scene.recipient.wrap().to_vec();
            bytes[bit % 60] ^= 1 << (bit % 8);
            let damaged = Recipient::new(RecipientType::HSM_AES_GCM, "kek/01", Vec::new(), bytes);
            assert_eq!(unwrap(&scene.provider, &damaged).unwrap_err().kind(), Kind::Rejected);
        }
        assert_eq!(scene.generation(), generation);
        let report = block_on(scene.provider.report()).unwrap();
        assert!(report.last_failure.is_none(), "{report:?}");
    }

    fn what_is_set_up_wrongly_is_told_at_once(stage: &Stage) {
        let scene = Scene::new(stage);
        // MECHANISM_INVALID, MECHANISM_PARAM_INVALID, ARGUMENTS_BAD, KEY_FUNCTION_NOT_PERMITTED,
        // KEY_TYPE_INCONSISTENT, KEY_SIZE_RANGE
        for code in [0x70, 0x71, 0x07, 0x68, 0x63, 0x62] {
            scene.is_told(Call::DecryptInit, code, Kind::Misconfigured, 1);
        }
        // FUNCTION_REJECTED, ACTION_PROHIBITED
        for code in [0x200, 0x1b] {
            scene.is_told(Call::DecryptInit, code, Kind::AccessDenied, 1);
        }
        // A vendor's code, and one that nobody knows.
        for code in [0x8000_0001, 0x7fff_0000] {
            scene.is_told(Call::DecryptInit, code, Kind::Other, 1);
        }
    }

    fn every_answer_about_the_pin_is_the_last_one(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        // PIN_INCORRECT, PIN_INVALID, PIN_LEN_RANGE, PIN_EXPIRED, PIN_LOCKED, USER_PIN_NOT_INITIALIZED
        for code in [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0x102] {
            let shim = Shim::new(stage, &format!("pin-{code:x}"));
            let builder = || stage.builder(shim.path(), "ours", "kek", Some("01"));
            shim.fail(Call::Login, code);
            for _ in 0..5 {
                let error = block_on(builder().connect()).unwrap().unwrap_err();
                assert_eq!(error.kind(), Kind::Credentials, "{error}");
                match failure(&error) {
                    Pkcs11Failure::PinRefused { code: found } => assert!(*found == code && code != 0xa4),
                    failure => assert!(matches!(failure, Pkcs11Failure::PinLocked { .. }) && code == 0xa4, "{failure}"),
                }
            }
            assert_eq!(shim.count(Call::Login), 1, "0x{code:x}");
        }
    }

    fn a_token_that_is_about_to_lock_is_left_alone(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        // USER_PIN_FINAL_TRY, USER_PIN_LOCKED
        for (flags, said) in [(0x20000, "one more wrong PIN"), (0x40000, "is locked")] {
            let shim = Shim::new(stage, &format!("flags-{flags:x}"));
            shim.flags(flags);
            let builder = stage.builder(shim.path(), "ours", "kek", Some("01"));
            let error = block_on(builder.connect()).unwrap().unwrap_err();
            assert_eq!(error.kind(), Kind::Credentials);
            assert!(error.to_string().contains(said) && !error.to_string().contains(PIN), "{error}");
            assert_eq!(shim.count(Call::Login), 0);
            // Low, it may still be tried.
            shim.flags(0x10000);
        }
    }

    fn a_wrap_with_a_short_tag_is_never_shown_to_the_token(stage: &Stage) {
        let scene = Scene::new(stage);
        let calls = |shim: &Shim| shim.count(Call::DecryptInit) + shim.count(Call::Decrypt) + shim.count(Call::EncryptInit);
        let before = calls(&scene.shim);
        for len in (0..60).chain([61, 62, 63, 65, 72, 1024]) {
            let wrap = [scene.recipient.wrap(), &[0; 1024]].concat()[..len].to_vec();
            let short = Recipient::new(RecipientType::HSM_AES_GCM, "kek/01", Vec::new(), wrap);
            assert_eq!(unwrap(&scene.provider, &short).unwrap_err().kind(), Kind::Rejected, "{len}");
        }
        assert_eq!(calls(&scene.shim), before);
        // The detector: a whole one is shown to it.
        scene.unwrap().unwrap();
        assert!(calls(&scene.shim) > before);
    }

    fn whoever_chooses_the_iv_is_never_guessed(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        for (mode, iv, len) in [(0, GcmIv::Host, 60), (1, GcmIv::InPlace, 60), (12, GcmIv::Appended12, 60), (16, GcmIv::Appended16, 64)] {
            let shim = Shim::new(stage, &format!("iv-{mode}"));
            shim.choose_iv(mode);
            let builder = |iv| stage.builder(shim.path(), "ours", "kek", Some("01")).with_iv(iv);
            let provider = connect(builder(iv));
            let (one, other) = (wrap(&provider).unwrap(), wrap(&provider).unwrap());
            assert_eq!(one.wrap().len(), len);
            assert_ne!(one.wrap()[..12], other.wrap()[..12], "an IV came twice");
            assert_eq!(unwrap(&provider, &one).unwrap().expose_bytes(), &KEY);
            for wrong in [GcmIv::Host, GcmIv::InPlace, GcmIv::Appended12, GcmIv::Appended16] {
                if wrong == iv {
                    continue;
                }
                let error = block_on(builder(wrong).connect()).unwrap().unwrap_err();
                assert_eq!(error.kind(), Kind::Misconfigured, "{iv:?} taken for {wrong:?}: {error}");
            }
        }
    }

    fn whoever_chooses_the_iv_is_never_guessed_on_another_token(stage: &Stage) {
        let Some(token) = kryoptic::token(stage) else { return };
        token.aes("kek", "01");
        for (mode, iv, len) in [(1, GcmIv::InPlace, 60), (12, GcmIv::Appended12, 60), (16, GcmIv::Appended16, 64)] {
            let shim = Shim::over(stage, &format!("iv-{mode}"), &token.module);
            shim.choose_iv(mode);
            let builder = |iv| token.builder_over(stage, shim.path(), "kek", "01").with_iv(iv);
            let provider = connect(builder(iv));
            let recipient = wrap(&provider).unwrap();
            assert_eq!(recipient.wrap().len(), len);
            assert_eq!(unwrap(&provider, &recipient).unwrap().expose_bytes(), &KEY);
            let error = block_on(builder(GcmIv::Host).connect()).unwrap().unwrap_err();
            assert_eq!(error.kind(), Kind::Misconfigured, "{iv:?} taken for ours: {error}");
        }
    }

    fn wrong_answers_are_found_before_anything_is_sealed(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let shim = Shim::new(stage, "gcm");
        let provider = connect(stage.builder(shim.path(), "ours", "kek", Some("01")));
        for call in [Call::Encrypt, Call::Decrypt] {
            shim.corrupt(call);
            let error = wrap(&provider).unwrap_err();
            assert_eq!(error.kind(), Kind::Misconfigured, "{call:?}: {error}");
            shim.clear();
        }
        shim.stretch(Call::Encrypt, 8);
        assert_eq!(wrap(&provider).unwrap_err().kind(), Kind::Misconfigured);
        shim.clear();
        // Nobody looks: this is what `verify_wraps` is for.
        let careless = connect(stage.builder(shim.path(), "ours", "kek", Some("01")).with_verify_wraps(false));
        shim.corrupt(Call::Encrypt);
        let bad = wrap(&careless).unwrap();
        shim.clear();
        assert_eq!(unwrap(&provider, &bad).unwrap_err().kind(), Kind::Rejected);

        stage.aes("ours", "kwp", "01");
        let shim = Shim::new(stage, "kwp");
        let builder = stage.builder(shim.path(), "ours", "kwp", Some("01"));
        let provider = connect(builder.with_wrap(Pkcs11Wrap::AesKwp).with_mechanism(0x210a));
        // What a module gives whose number stands for PKCS#7 padding.
        shim.stretch(Call::WrapKey, 8);
        let error = wrap(&provider).unwrap_err();
        assert!(error.to_string().contains("not RFC 5649"), "{error}");
    }

    fn a_token_with_one_session_is_shared(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let shim = Shim::new(stage, "shim");
        let provider = connect(stage.builder(shim.path(), "ours", "kek", Some("01")).with_workers(4));
        let recipient = wrap(&provider).unwrap();
        // The anchor and one worker have theirs.
        shim.fail(Call::OpenSession, 0xb1);
        let context = wrap_context();
        let calls: Vec<_> = (0..200).map(|_| provider.unwrap_data_key(&recipient, &context)).collect();
        std::thread::scope(|scope| {
            let threads: Vec<_> = calls.into_iter().map(|call| scope.spawn(|| block_on(call).unwrap())).collect();
            for thread in threads {
                assert_eq!(thread.join().unwrap().unwrap().unwrap().expose_bytes(), &KEY);
            }
        });
        // Each of the others tried twice and then left it to the one.
        assert!(shim.count(Call::OpenSession) <= 2 + 3 * 2, "{}", shim.count(Call::OpenSession));
        assert_eq!(shim.stale(), 0);
    }

    fn what_is_put_into_a_session_for_a_wrap_is_taken_out_again(stage: &Stage) {
        let set_up = |builder: Pkcs11Builder| builder.with_wrap(Pkcs11Wrap::AesKwp).with_mechanism(0x210a);
        let Scene { shim, provider, recipient } = Scene::of(stage, set_up);
        let made = || shim.count(Call::CreateObject) + shim.count(Call::UnwrapKey);
        assert_eq!(made(), shim.count(Call::DestroyObject));
        for (call, unwraps) in [(Call::WrapKey, false), (Call::GetAttributeValue, true)] {
            let before = shim.count(Call::DestroyObject);
            shim.fail(call, 0x8000_0001);
            if unwraps {
                unwrap(&provider, &recipient).unwrap_err();
            } else {
                wrap(&provider).unwrap_err();
            }
            shim.clear();
            assert!(shim.count(Call::DestroyObject) > before, "{call:?}");
            unwrap(&provider, &recipient).unwrap();
        }
        assert_eq!(made(), shim.count(Call::DestroyObject));
    }

    fn the_token_takes_part_in_making_keys_where_it_is_asked_to(stage: &Stage) {
        stage.token("ours");
        stage.aes("ours", "kek", "01");
        let shim = Shim::new(stage, "shim");
        let builder = || stage.builder(shim.path(), "ours", "kek", Some("01"));
        let make = |provider: &Pkcs11Provider| block_on(provider.generate_data_key(&wrap_context())).unwrap();
        let plain = connect(builder());
        make(&plain).unwrap();
        assert_eq!(shim.count(Call::GenerateRandom), 0);
        let mixed = connect(builder().with_token_randomness(true));
        let (one, other) = (make(&mixed).unwrap(), make(&mixed).unwrap());
        assert_eq!(shim.count(Call::GenerateRandom), 2);
        assert_ne!(one.key.expose_bytes(), other.key.expose_bytes());
        assert_eq!(unwrap(&mixed, &one.recipients[0]).unwrap().expose_bytes(), one.key.expose_bytes());
        // Without its part there is no key; RANDOM_NO_RNG.
        shim.fail(Call::GenerateRandom, 0x121);
        assert_eq!(make(&mixed).unwrap_err().kind(), Kind::Other);
    }
}
