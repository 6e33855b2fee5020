//! What happens to a token while a service runs: it hangs, is pulled out, is locked, its PIN changes, the process forks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use kuvert::blocking::block_on;
use kuvert::clock::{Clock as _, SystemClock, TestClock};
use kuvert::provider::KeyProvider;
use kuvert::provider::pkcs11::{Pkcs11Failure, Pkcs11Pin, Pkcs11State, Pkcs11Wrap};
use kuvert::{ProviderError, ProviderErrorKind as Kind};

use crate::calls::{KEY, failure, unwrap, wrap};
use crate::shim::{Call, Shim};
use crate::stage::{PIN, SO_PIN, Stage, connect, run, staged, wrap_context};

fn ours(stage: &Stage) {
    stage.token("ours");
    stage.aes("ours", "kek", "01");
}

staged! {
    fn a_module_that_hangs_is_wedged_while_everybody_else_goes_on(stage: &Stage) {
        ours(stage);
        let shim = Shim::new(stage, "shim");
        let deadline = Duration::from_secs(1);
        let builder = stage.builder(shim.path(), "ours", "kek", Some("01"));
        let provider = connect(builder.with_workers(2).with_deadline(deadline));
        let recipient = wrap(&provider).unwrap();
        shim.hang(Call::DecryptInit);
        // The executor does something else meanwhile: both on one thread.
        let ticks = AtomicUsize::new(0);
        block_on(async {
            let mut call = provider.unwrap_data_key(&recipient, &WRAP_CONTEXT);
            let answer = std::future::poll_fn(|cx| {
                ticks.fetch_add(1, Ordering::Relaxed);
                call.as_mut().poll(cx)
            });
            assert_eq!(answer.await.unwrap_err().kind(), Kind::Timeout);
            SystemClock.sleep(Duration::from_millis(1)).await;
        }).unwrap();
        assert!(ticks.into_inner() < 10, "it was polled without a reason");
        // The second worker is there, and hangs as well; from then on nobody waits.
        assert_eq!(unwrap(&provider, &recipient).unwrap_err().kind(), Kind::Timeout);
        for _ in 0..100 {
            let error = unwrap(&provider, &recipient).unwrap_err();
            assert!(matches!(failure(&error), Pkcs11Failure::Wedged), "{error}");
            assert!(error.is_retryable() && error.to_string().contains("restart the process"));
        }
        assert_eq!(shim.hung(), 2);
        assert_eq!(block_on(provider.report()).unwrap().state, Pkcs11State::Wedged);
        // It comes back after all.
        shim.clear();
        shim.settle();
        assert_eq!(unwrap(&provider, &recipient).unwrap().expose_bytes(), &KEY);
        assert_eq!(block_on(provider.report()).unwrap().state, Pkcs11State::Up);
    }

    fn no_reset_is_made_under_a_call_that_hangs(stage: &Stage) {
        ours(stage);
        let shim = Shim::new(stage, "shim");
        let builder = stage.builder(shim.path(), "ours", "kek", Some("01")).with_workers(2);
        let builder = builder.with_deadline(Duration::from_secs(2)).with_quiesce(Duration::from_millis(50));
        let provider = connect(builder);
        let recipient = wrap(&provider).unwrap();
        let resets = shim.count(Call::Finalize);
        shim.hang_once(Call::DecryptInit);
        assert_eq!(unwrap(&provider, &recipient).unwrap_err().kind(), Kind::Timeout);
        shim.fail_times(Call::DecryptInit, 0x32, 1);
        let error = unwrap(&provider, &recipient).unwrap_err();
        assert!(matches!(failure(&error), Pkcs11Failure::Wedged), "{error}");
        assert_eq!(shim.count(Call::Finalize), resets, "it was finalised under a running call");
        assert_eq!(block_on(provider.report()).unwrap().state, Pkcs11State::Wedged);
        let error = wrap(&provider).unwrap_err();
        assert!(matches!(failure(&error), Pkcs11Failure::Wedged), "{error}");
        shim.clear();
        shim.settle();
        assert_eq!(unwrap(&provider, &recipient).unwrap().expose_bytes(), &KEY);
    }

    fn a_slow_call_is_waited_for(stage: &Stage) {
        ours(stage);
        let shim = Shim::new(stage, "shim");
        let provider = connect(stage.builder(shim.path(), "ours", "kek", Some("01")));
        let recipient = wrap(&provider).unwrap();
        shim.slow(Call::Decrypt, 400);
        let start = Instant::now();
        assert_eq!(unwrap(&provider, &recipient).unwrap().expose_bytes(), &KEY);
        assert!(start.elapsed() >= Duration::from_millis(400), "it was not slow");
    }

    fn a_call_that_is_taken_up_too_late_is_out_of_time_and_not_closed(stage: &Stage) {
        ours(stage);
        let shim = Shim::new(stage, "shim");
        let clock = TestClock::new();
        let builder = stage.builder(shim.path(), "ours", "kek", Some("01")).with_workers(1);
        let deadline = Duration::from_secs(8);
        let provider = connect(builder.with_clock(Arc::new(clock.clone())).with_deadline(deadline));
        let recipient = wrap(&provider).unwrap();
        shim.hang_once(Call::DecryptInit);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let mut first = provider.unwrap_data_key(&recipient, &WRAP_CONTEXT);
        assert!(first.as_mut().poll(&mut cx).is_pending());
        while shim.hung() == 0 {
            thread::yield_now();
        }
        let mut second = provider.unwrap_data_key(&recipient, &WRAP_CONTEXT);
        assert!(second.as_mut().poll(&mut cx).is_pending());
        // A moment before the deadline, when a worker would have no time for it any more.
        clock.advance(Duration::from_millis(7900));
        shim.clear();
        assert_eq!(block_on(first).unwrap().unwrap().unwrap().expose_bytes(), &KEY);
        let error = block_on(second).unwrap().unwrap_err();
        assert!(matches!(failure(&error), Pkcs11Failure::Deadline), "{error}");
        assert!(error.is_retryable());
        assert_eq!(unwrap(&provider, &recipient).unwrap().expose_bytes(), &KEY);
    }

    fn a_dropped_call_leaves_nothing_behind(stage: &Stage) {
        ours(stage);
        let shim = Shim::new(stage, "shim");
        let provider = connect(stage.builder(shim.path(), "ours", "kek", Some("01")).with_workers(1));
        let recipient = wrap(&provider).unwrap();
        shim.hang(Call::DecryptInit);
        let mut calls: Vec<_> =
            (0..50).map(|_| provider.unwrap_data_key(&recipient, &WRAP_CONTEXT)).collect();
        for call in &mut calls {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(call.as_mut().poll(&mut cx).is_pending());
        }
        while shim.hung() == 0 {
            thread::yield_now();
        }
        drop(calls);
        let before = shim.count(Call::DecryptInit);
        shim.clear();
        assert_eq!(unwrap(&provider, &recipient).unwrap().expose_bytes(), &KEY);
        // The one that was in its call, and ours: nobody began the others.
        assert_eq!(shim.count(Call::DecryptInit) - before, 1);
    }

    fn a_token_that_is_pulled_out_and_put_back_is_found_again(stage: &Stage) {
        ours(stage);
        let builder = stage.builder(stage.module(), "ours", "kek", Some("01"));
        let provider = connect(builder.with_deadline(Duration::from_secs(3)));
        let recipient = wrap(&provider).unwrap();
        let (here, there) = (stage.folder().join("tokens"), stage.folder().join("away"));
        let token = fs::read_dir(&here).unwrap().next().unwrap().unwrap().file_name();
        fs::rename(here.join(&token), &there).unwrap();
        for _ in 0..3 {
            let error = unwrap(&provider, &recipient).unwrap_err();
            assert!(error.is_retryable(), "{error}");
            assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        }
        assert_eq!(block_on(provider.report()).unwrap().state, Pkcs11State::Down);
        assert!(block_on(provider.check()).unwrap().is_err());
        fs::rename(&there, here.join(&token)).unwrap();
        let mut tries = 0;
        while let Err(error) = unwrap(&provider, &recipient) {
            assert_eq!(error.kind(), Kind::Unavailable, "{error}");
            thread::sleep(Duration::from_millis(10));
            tries += 1;
            assert!(tries < 4000, "it was never found again");
        }
        assert_eq!(unwrap(&provider, &recipient).unwrap().expose_bytes(), &KEY);
        block_on(provider.check()).unwrap().unwrap();
    }

    fn a_token_that_is_replaced_is_sealed_to_from_then_on(stage: &Stage) {
        // Two of the same name, of which one is in the cupboard.
        let (here, cupboard) = (stage.folder().join("tokens"), stage.folder().join("cupboard"));
        fs::create_dir(&cupboard).unwrap();
        let put = |from: &std::path::Path, to: &std::path::Path| {
            for token in fs::read_dir(from).unwrap() {
                let token = token.unwrap();
                fs::rename(token.path(), to.join(token.file_name())).unwrap();
            }
        };
        stage.token("ours");
        stage.rsa("ours", "kek", "01");
        put(&here, &cupboard);
        let spare = stage.folder().join("spare");
        fs::create_dir(&spare).unwrap();
        stage.token("ours");
        stage.rsa("ours", "kek", "01");
        let shim = Shim::new(stage, "shim");
        let builder = || stage.builder(shim.path(), "ours", "kek", Some("01")).with_wrap(Pkcs11Wrap::RsaOaepSha1);
        let provider = connect(builder());
        let old = wrap(&provider).unwrap();
        assert_eq!(unwrap(&provider, &old).unwrap().expose_bytes(), &KEY);
        put(&here, &spare);
        put(&cupboard, &here);
        shim.fail_times(Call::DecryptInit, 0x32, 1);
        assert_eq!(unwrap(&provider, &old).unwrap_err().kind(), Kind::Rejected);
        let new = wrap(&provider).unwrap();
        assert_eq!(unwrap(&provider, &new).unwrap().expose_bytes(), &KEY);
    }

    fn sealing_to_an_rsa_key_goes_on_without_the_token(stage: &Stage) {
        stage.token("ours");
        stage.rsa("ours", "kek", "01");
        let builder = stage.builder(stage.module(), "ours", "kek", Some("01")).with_wrap(Pkcs11Wrap::RsaOaepSha1);
        let provider = connect(builder.with_deadline(Duration::from_secs(3)));
        let (here, away) = (stage.folder().join("tokens"), stage.folder().join("away"));
        fs::rename(&here, &away).unwrap();
        let sealed: Vec<_> = (0..3).map(|_| wrap(&provider).unwrap()).collect();
        assert_eq!(unwrap(&provider, &sealed[0]).unwrap_err().kind(), Kind::Unavailable);
        assert_eq!(wrap(&provider).unwrap().id(), b"kek/01");
        fs::rename(&away, &here).unwrap();
        let mut tries = 0;
        while unwrap(&provider, &sealed[2]).is_err() {
            thread::sleep(Duration::from_millis(10));
            tries += 1;
            assert!(tries < 4000, "it was never found again");
        }
    }

    fn a_refused_pin_is_never_tried_again(stage: &Stage) {
        ours(stage);
        let shim = Shim::new(stage, "shim");
        let pin = stage.file("wrong-pin", b"11111111", 0o600);
        let builder = || stage.builder(shim.path(), "ours", "kek", Some("01")).with_pin_file(&pin);
        for _ in 0..10 {
            let error = block_on(builder().connect()).unwrap().unwrap_err();
            assert_eq!(error.kind(), Kind::Credentials, "{error}");
            assert!(!format!("{error} {error:?}").contains("11111111"));
        }
        assert_eq!(shim.count(Call::Login), 1, "of ten providers");
        // By somebody else's hand, too: the latch is the token's.
        let other = stage.builder(shim.path(), "ours", "kek", Some("01"));
        let callback = other.with_pin(|| Some(Pkcs11Pin::new("11111111")));
        assert_eq!(block_on(callback.connect()).unwrap().unwrap_err().kind(), Kind::Credentials);
        assert_eq!(shim.count(Call::Login), 1);
        // The file is mended: the next call finds another PIN in it.
        fs::write(&pin, format!("{PIN}\n")).unwrap();
        wrap(&connect(builder())).unwrap();
        assert_eq!(shim.count(Call::Login), 2);
    }

    fn a_pin_that_changes_is_read_at_the_next_login(stage: &Stage) {
        ours(stage);
        let shim = Shim::new(stage, "shim");
        let pin = stage.file("changing-pin", PIN.as_bytes(), 0o600);
        let asked = Arc::new(AtomicUsize::new(0));
        let provider = connect(stage.builder(shim.path(), "ours", "kek", Some("01")).with_pin_file(&pin));
        let recipient = wrap(&provider).unwrap();
        stage.tool("ours", ["--change-pin", "--new-pin", "99990000"]);
        fs::write(&pin, "99990000").unwrap();
        shim.fail_times(Call::DecryptInit, 0x32, 1);
        assert_eq!(unwrap(&provider, &recipient).unwrap().expose_bytes(), &KEY);
        // From a callback the same, asked once a login.
        let counted = Arc::clone(&asked);
        let builder = stage.builder(stage.module(), "ours", "kek", Some("01")).with_pin(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            Some(Pkcs11Pin::new("99990000"))
        });
        let provider = connect(builder);
        for _ in 0..10 {
            unwrap(&provider, &recipient).unwrap();
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert!(!format!("{provider:?}").contains("9999"));
    }

    fn a_token_that_locks_is_told_and_opened_by_hand(stage: &Stage) {
        ours(stage);
        let shim = Shim::new(stage, "shim");
        shim.fail(Call::Login, 0xa4);
        let builder = || stage.builder(shim.path(), "ours", "kek", Some("01"));
        let lazy = builder().with_wrap(Pkcs11Wrap::AesGcm).build().unwrap();
        for _ in 0..3 {
            assert_eq!(wrap(&lazy).unwrap_err().kind(), Kind::Credentials);
        }
        assert_eq!(shim.count(Call::Login), 1);
        // Somebody unlocked it, and the PIN stayed the same.
        run("softhsm2-util", ["--show-slots"]);
        shim.clear();
        assert_eq!(wrap(&lazy).unwrap_err().kind(), Kind::Credentials);
        block_on(lazy.retry_pin()).unwrap();
        wrap(&lazy).unwrap();
        assert_eq!(shim.count(Call::Login), 2);
        assert_ne!(PIN, SO_PIN);
    }

    fn a_forked_child_waits_for_no_lock_of_its_parent_s_threads(stage: &Stage) {
        ours(stage);
        let builder = || stage.builder(stage.module(), "ours", "kek", Some("01"));
        let provider = connect(builder());
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for place in 0..5 {
                let (provider, is_over) = (&provider, &is_over);
                // Nearly always somebody has each of the locks.
                scope.spawn(move || while !is_over.load(Ordering::Relaxed) {
                    match place {
                        0 => drop(block_on(provider.report()).unwrap()),
                        1 => drop(connect(builder())),
                        _ => drop(provider.describe()),
                    }
                });
            }
            let ended = |_| {
                // SAFETY: the child uses its copy of memory only, and leaves by `_exit`.
                let child = unsafe { libc::fork() };
                if child == 0 {
                    // SAFETY: kills this process if it hangs.
                    unsafe { libc::alarm(20) };
                    let is_told = provider.describe().provider == "pkcs11";
                    let report = block_on(provider.report()).unwrap();
                    let is_forked = matches!(report.last_failure, Some((Pkcs11Failure::Forked, _)));
                    let is_refused = |error: &ProviderError| matches!(failure(error), Pkcs11Failure::Forked);
                    let built = block_on(builder().connect()).unwrap().is_err_and(|error| is_refused(&error));
                    let asked = block_on(provider.check()).unwrap().is_err_and(|error| is_refused(&error));
                    let good = is_told && is_forked && built && asked && report.state == Pkcs11State::Down;
                    // SAFETY: ends this process at once; the parent's harness must not run on here.
                    unsafe { libc::_exit(i32::from(!good)) };
                }
                let mut status = 0;
                // SAFETY: `child` is this process's own, and `status` has room for the answer.
                let waited = unsafe { libc::waitpid(child, &mut status, 0) };
                (waited != child || status != 0).then_some(status)
            };
            let first_bad = (0..40).find_map(ended);
            is_over.store(true, Ordering::Relaxed);
            assert_eq!(first_bad, None, "a child hung, or was told something else");
        });
    }

    fn a_forked_child_does_not_touch_the_module(stage: &Stage) {
        ours(stage);
        let shim = Shim::new(stage, "shim");
        let builder = || stage.builder(shim.path(), "ours", "kek", Some("01"));
        let provider = connect(builder());
        let recipient = wrap(&provider).unwrap();
        // SAFETY: the child uses its copy of memory only, and leaves by `_exit`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: kills this process if it hangs.
            unsafe { libc::alarm(30) };
            let refused = |error: &ProviderError| {
                error.kind() == Kind::Misconfigured && matches!(failure(error), Pkcs11Failure::Forked)
            };
            let before = shim.count(Call::GetTokenInfo) + shim.count(Call::DecryptInit);
            let used = unwrap(&provider, &recipient).is_err_and(|error| refused(&error));
            let sealed = wrap(&provider).is_err_and(|error| refused(&error));
            let built = block_on(builder().connect()).unwrap().is_err_and(|error| refused(&error));
            let after = shim.count(Call::GetTokenInfo) + shim.count(Call::DecryptInit);
            drop(provider);
            let code = [used, sealed, built, before == after].iter().position(|good| !good);
            // SAFETY: ends this process at once; the parent's harness must not run on here.
            unsafe { libc::_exit(code.map_or(0, |place| i32::try_from(place).unwrap() + 1)) };
        }
        let mut status = 0;
        // SAFETY: `child` is this process's own, and `status` has room for the answer.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "the child's check number {}", status >> 8);
        assert_eq!(unwrap(&provider, &recipient).unwrap().expose_bytes(), &KEY);
    }

    fn somebody_else_logs_out(stage: &Stage) {
        ours(stage);
        let provider = stage.provider("ours", "kek", "01");
        let recipient = wrap(&provider).unwrap();
        // A library of the same program, in the same module.
        let module = cryptoki::context::Pkcs11::new(stage.module()).unwrap();
        let slot = module.get_slots_with_initialized_token().unwrap()[0];
        for _ in 0..3 {
            let session = module.open_ro_session(slot).unwrap();
            session.logout().unwrap();
            assert_eq!(unwrap(&provider, &recipient).unwrap().expose_bytes(), &KEY);
            wrap(&provider).unwrap();
        }
        assert_eq!(block_on(provider.report()).unwrap().generation, 1, "no reset was due");
    }

    fn a_module_that_somebody_else_initialised_is_never_finalised(stage: &Stage) {
        ours(stage);
        let shim = Shim::new(stage, "shim");
        let module = cryptoki::context::Pkcs11::new(shim.path()).unwrap();
        let args = cryptoki::context::CInitializeArgs::new(cryptoki::context::CInitializeFlags::OS_LOCKING_OK);
        module.initialize(args).unwrap();
        let slot = module.get_slots_with_initialized_token().unwrap()[0];
        let theirs = module.open_ro_session(slot).unwrap();
        let provider = connect(stage.builder(shim.path(), "ours", "kek", Some("01")));
        let recipient = wrap(&provider).unwrap();
        shim.fail_times(Call::DecryptInit, 0x32, 1);
        assert_eq!(unwrap(&provider, &recipient).unwrap().expose_bytes(), &KEY);
        assert_eq!(shim.count(Call::Finalize), 0);
        theirs.get_session_info().unwrap();
        // They do it themselves: then it is initialised again.
        drop(theirs);
        module.finalize().unwrap();
        assert_eq!(unwrap(&provider, &recipient).unwrap().expose_bytes(), &KEY);
        assert_eq!((shim.count(Call::Finalize), shim.stale()), (1, 0));
    }
}

static WRAP_CONTEXT: std::sync::LazyLock<kuvert::provider::WrapContext> =
    std::sync::LazyLock::new(wrap_context);
