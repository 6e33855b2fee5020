//! Wraps and unwraps in a PKCS#11 token, through one worker and four, against the module's bare calls; and the cache.
//!
//! The token is SoftHSM's, in a folder of its own. Its module reads the folder's name from the environment, so this
//! program makes the token and starts itself again. Where a part of it is missing, nothing is measured, and it says so.

#![allow(unsafe_code, reason = "the bare side is the calls of a C library")]

mod support;

use std::{
    env,
    future::{Future, poll_fn},
    hint::black_box,
    path::{Path, PathBuf},
    pin::Pin,
    process::{Command, ExitCode, Stdio},
    ptr,
    sync::{Arc, Mutex},
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use cryptoki::{context::Pkcs11, object::Attribute};
use cryptoki_sys as ck;
use kuvert::{
    DataKey, Recipient,
    blocking::block_on,
    provider::{
        CacheOptions, Cached, KeyProvider, WrapContext,
        pkcs11::{Pkcs11Pin, Pkcs11Provider},
    },
};
use support::{Bench, Line};

fn main() -> ExitCode {
    let Some(module) = MODULES.iter().map(Path::new).find(|path| path.exists()) else {
        println!("hsm: not measured, SoftHSM is missing (package softhsm2)");
        return ExitCode::SUCCESS;
    };
    if env::var_os("SOFTHSM2_CONF").is_none() || env::var_os(STAGED).is_none() {
        return staged(module);
    }
    let mut bench = Bench::from_args();
    bench.yardstick();
    through_workers(&mut bench, module);
    bench.finish();
    ExitCode::SUCCESS
}

/// Makes a token and a key, and runs this program again to measure with them.
fn staged(module: &Path) -> ExitCode {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let settings = folder.path().join("softhsm2.conf");
    let tokens = folder.path().join("tokens");
    std::fs::create_dir(&tokens).expect("a folder for tokens");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    );
    std::fs::write(&settings, text).expect("a file beside it");
    let module = module.to_str().expect("one of ours");
    let token = ["--init-token", "--free", "--label", "bench", "--so-pin", PIN, "--pin", PIN];
    let key = ["--module", module, "--token-label", "bench", "--login", "--pin", PIN, "--keygen"];
    let named = ["--key-type", "AES:32", "--label", "kek", "--id", "01", "--sensitive"];
    for (program, args) in [("softhsm2-util", &token[..]), ("pkcs11-tool", &[&key[..], &named[..]].concat())]
    {
        let mut tool = Command::new(program);
        tool.args(args).env("SOFTHSM2_CONF", &settings).stdout(Stdio::null()).stderr(Stdio::null());
        if !tool.status().is_ok_and(|status| status.success()) {
            println!("hsm: not measured, {program} is missing or fails (packages softhsm2 and opensc)");
            return ExitCode::SUCCESS;
        }
    }
    let mut again = Command::new(env::current_exe().expect("this program"));
    again.args(env::args_os().skip(1)).env("SOFTHSM2_CONF", &settings).env(STAGED, "1");
    match again.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn through_workers(bench: &mut Bench, module: &Path) {
    let context = WrapContext::new([7; 12], [("table".to_owned(), "customers".to_owned())]);
    let key = DataKey::copy_from(&[5; 32]);
    for (workers, wrap, unwrap) in
        [(1, "hsm-wrap-one", "hsm-unwrap-one"), (4, "hsm-wrap-four", "hsm-unwrap-four")]
    {
        let provider = provider(module, workers, false);
        let bare = Bare::new(module, workers);
        let recipients = wraps(&provider, &key, &context);
        bench.compare(
            Line::wall(wrap, 0),
            || bare.on_all(&|seat| seat.wrap()),
            || {
                drop(black_box(wraps(&provider, &key, &context)));
            },
        );
        bench.compare(
            Line::wall(unwrap, 0),
            || bare.on_all(&|seat| seat.unwrap(recipients[0].wrap())),
            || {
                unwraps(&provider, &recipients, &context);
            },
        );
    }
    let bare = Bare::new(module, 1);
    let verified = provider(module, 1, true);
    let recipients = wraps(&verified, &key, &context);
    let both = |seat: &Seat| {
        seat.wrap();
        seat.unwrap(recipients[0].wrap());
    };
    bench.compare(
        Line::wall("hsm-wrap-verified", 0),
        || bare.on_all(&both),
        || {
            drop(black_box(wraps(&verified, &key, &context)));
        },
    );
    cached(bench, &bare, provider(module, 1, false), &context);
}

/// One key of a hundred is not there: the others are one key, which stays.
fn cached(bench: &mut Bench, bare: &Bare, provider: Pkcs11Provider, context: &WrapContext) {
    let key = DataKey::copy_from(&[6; 32]);
    let cold: Vec<Recipient> = (0..COLD / CALLS).flat_map(|_| wraps(&provider, &key, context)).collect();
    let hot = wraps(&provider, &key, context).remove(0);
    let age = Duration::from_secs(60 * 60);
    // So few keys that a cold one is gone when its turn comes again.
    let options = CacheOptions::default().with_soft_age(age).with_max_age(age).with_max_entries(COLD / 4);
    let cache = Cached::new(provider, options);
    let open = |recipient: &Recipient| {
        let opened = block_on(cache.unwrap_data_key(recipient, context)).expect("not nested");
        drop(black_box(opened.expect("the token has the key")));
    };
    let mut turn = 0;
    let seat = &bare.seats[0];
    let hundred = || (0..100).for_each(|_| seat.unwrap(hot.wrap()));
    bench.compare(Line::wall("hsm-cached", 0), hundred, || {
        turn = (turn + 1) % cold.len();
        open(&cold[turn]);
        (0..99).for_each(|_| open(&hot));
    });
}

fn provider(module: &Path, workers: u8, verify: bool) -> Pkcs11Provider {
    let uri = format!("pkcs11:token=bench;object=kek;id=%01?module-path={}", module.display());
    let builder = Pkcs11Provider::from_uri(&uri).expect("a good URI").with_workers(workers);
    let builder = builder.with_pin(|| Some(Pkcs11Pin::new(PIN))).with_verify_wraps(verify);
    block_on(builder.connect()).expect("not nested").expect("the token was just made")
}

/// As many wraps under way at once.
fn wraps(provider: &Pkcs11Provider, key: &DataKey, context: &WrapContext) -> Vec<Recipient> {
    let calls = (0..CALLS).map(|_| provider.wrap_data_key(key, context)).collect();
    let wraps = all(calls).into_iter();
    wraps.flat_map(|wrap| wrap.expect("the token has the key")).collect()
}

fn unwraps(provider: &Pkcs11Provider, recipients: &[Recipient], context: &WrapContext) {
    let calls = recipients.iter().map(|recipient| provider.unwrap_data_key(recipient, context)).collect();
    for key in all(calls) {
        black_box(key.expect("the token has the key").expect("it wrapped it"));
    }
}

type Call<'c, T> = Pin<Box<dyn Future<Output = T> + Send + 'c>>;

/// The answers of calls that are under way at once. Only who was woken is polled again, as by any executor.
fn all<T>(calls: Vec<Call<'_, T>>) -> Vec<T> {
    let mut answers = Vec::with_capacity(calls.len());
    let woken =
        Arc::new(Woken { numbers: Mutex::new((0..calls.len()).collect()), waiting: Mutex::default() });
    let waker = |number| Waker::from(Arc::new(One { number, all: Arc::clone(&woken) }));
    let mut calls: Vec<_> =
        calls.into_iter().enumerate().map(|(number, call)| Some((call, waker(number)))).collect();
    let everything = poll_fn(|cx| {
        *woken.waiting.lock().expect("nobody panics") = Some(cx.waker().clone());
        let numbers = std::mem::take(&mut *woken.numbers.lock().expect("nobody panics"));
        for number in numbers {
            let Some((call, waker)) = &mut calls[number] else { continue };
            if let Poll::Ready(answer) = call.as_mut().poll(&mut Context::from_waker(waker)) {
                answers.push(answer);
                calls[number] = None;
            }
        }
        if answers.len() == calls.len() { Poll::Ready(()) } else { Poll::Pending }
    });
    block_on(everything).expect("not nested");
    answers
}

/// Who was woken since the last look, and who looks.
struct Woken {
    numbers: Mutex<Vec<usize>>,
    waiting: Mutex<Option<Waker>>,
}

struct One {
    number: usize,
    all: Arc<Woken>,
}

impl Wake for One {
    fn wake(self: Arc<Self>) {
        self.all.numbers.lock().expect("nobody panics").push(self.number);
        let waiting = self.all.waiting.lock().expect("nobody panics").take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

/// The module's own calls, in as many sessions as the other side has workers.
struct Bare {
    seats: Vec<Seat>,
}

struct Seat {
    list: &'static ck::CK_FUNCTION_LIST,
    session: ck::CK_SESSION_HANDLE,
    key: ck::CK_OBJECT_HANDLE,
}

impl Bare {
    /// In the module that a provider has initialised and logged in to.
    fn new(module: &Path, seats: u8) -> Self {
        let context = Pkcs11::new(module).expect("SoftHSM");
        let slot = context.get_slots_with_initialized_token().expect("initialised")[0];
        let list = list(module);
        let seat = |_| {
            let session = context.open_ro_session_no_drop(slot).expect("there is room");
            let key = session.find_objects(&[Attribute::Label(b"kek".to_vec())]).expect("logged in")[0];
            Seat { list, session: session.handle(), key: key.handle() }
        };
        Self { seats: (0..seats).map(seat).collect() }
    }

    /// All calls, each thread an equal share of them.
    fn on_all(&self, call: &(dyn Fn(&Seat) + Sync)) {
        thread::scope(|scope| {
            for seat in &self.seats {
                scope.spawn(move || (0..CALLS / self.seats.len()).for_each(|_| call(seat)));
            }
        });
    }
}

impl Seat {
    fn wrap(&self) {
        let (init, call) = (self.list.C_EncryptInit, self.list.C_Encrypt);
        // A token's caller draws the IV, whatever else it does.
        let mut iv = [0; 12];
        getrandom::fill(&mut iv).expect("random bytes");
        self.once(init.expect("SoftHSM has it"), call.expect("SoftHSM has it"), &mut iv, &mut [5; 32]);
    }

    fn unwrap(&self, wrap: &[u8]) {
        let (init, call) = (self.list.C_DecryptInit, self.list.C_Decrypt);
        let (iv, sealed) = wrap.split_at(12);
        let (mut iv, mut sealed) = (iv.to_vec(), sealed.to_vec());
        self.once(init.expect("SoftHSM has it"), call.expect("SoftHSM has it"), &mut iv, &mut sealed);
    }

    fn once(&self, init: Init, call: Crypt, iv: &mut [u8], input: &mut [u8]) {
        let mut params = ck::CK_GCM_PARAMS {
            pIv: iv.as_mut_ptr(),
            ulIvLen: iv.len() as ck::CK_ULONG,
            ulIvBits: iv.len() as ck::CK_ULONG * 8,
            pAAD: ptr::null_mut(),
            ulAADLen: 0,
            ulTagBits: 128,
        };
        let mut mechanism = ck::CK_MECHANISM {
            mechanism: ck::CKM_AES_GCM,
            pParameter: ptr::from_mut(&mut params).cast(),
            ulParameterLen: size_of::<ck::CK_GCM_PARAMS>() as ck::CK_ULONG,
        };
        let mut output = [0; 64];
        let mut len = output.len() as ck::CK_ULONG;
        // SAFETY: all that is pointed to lives until both calls are over, with the lengths that are said.
        let codes = unsafe {
            let begun = init(self.session, &mut mechanism, self.key);
            (
                begun,
                call(
                    self.session,
                    input.as_mut_ptr(),
                    input.len() as ck::CK_ULONG,
                    output.as_mut_ptr(),
                    &mut len,
                ),
            )
        };
        assert_eq!(codes, (ck::CKR_OK, ck::CKR_OK));
        black_box(output);
    }
}

type Init =
    unsafe extern "C" fn(ck::CK_SESSION_HANDLE, *mut ck::CK_MECHANISM, ck::CK_OBJECT_HANDLE) -> ck::CK_RV;
type Crypt = unsafe extern "C" fn(
    ck::CK_SESSION_HANDLE,
    *mut u8,
    ck::CK_ULONG,
    *mut u8,
    *mut ck::CK_ULONG,
) -> ck::CK_RV;

fn list(module: &Path) -> &'static ck::CK_FUNCTION_LIST {
    // SAFETY: SoftHSM, which is loaded already.
    let library = Box::leak(Box::new(unsafe { ck::Pkcs11::new(PathBuf::from(module)) }.expect("SoftHSM")));
    let mut list = ptr::null_mut();
    let get = *library.C_GetFunctionList.as_ref().expect("a PKCS#11 module");
    // SAFETY: `list` is a place for the answer, which stays as long as the module is loaded: for ever.
    unsafe {
        assert_eq!(get(&mut list), ck::CKR_OK);
        &*list
    }
}

/// Calls of one round, all under way at once.
const CALLS: usize = 64;
const COLD: usize = 4096;
const PIN: &str = "48151623";
const STAGED: &str = "KUVERT_BENCH_STAGED";
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];
