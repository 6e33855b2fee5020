//! A PKCS#11 module that stands before a real one and does as it is told: any call can fail with any code, sleep or hang.
//!
//! Compiled by the tests with `rustc` alone, hence without a manifest and without dependencies; Linux and its kin on 64
//! bits. Every handle carries a stamp of the generation it was given out in, and one that is used in another is counted.
//! It can also play the ways in which vendors' modules choose IVs. That is simulated, after their documentation: no such
//! module was ever at hand.

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const CALLS: usize = 68;
const INITIALIZE: usize = 0;
const GET_TOKEN_INFO: usize = 6;
const GET_MECHANISM_LIST: usize = 7;
const OPEN_SESSION: usize = 12;
const LOGIN: usize = 18;
const LOGOUT: usize = 19;
const CREATE_OBJECT: usize = 20;
const DESTROY_OBJECT: usize = 22;
const GET_ATTRIBUTE_VALUE: usize = 24;
const FIND_OBJECTS: usize = 27;
const ENCRYPT_INIT: usize = 29;
const ENCRYPT: usize = 30;
const DECRYPT_INIT: usize = 33;
const DECRYPT: usize = 34;
const GENERATE_KEY: usize = 58;
const GENERATE_KEY_PAIR: usize = 59;
const WRAP_KEY: usize = 60;
const UNWRAP_KEY: usize = 61;

const OK: usize = 0;
const AES_GCM: usize = 0x1087;

#[repr(C)]
pub struct List {
    version: [u8; 2],
    calls: [usize; CALLS],
}

#[repr(C)]
struct Mechanism {
    number: usize,
    params: *mut c_void,
    len: usize,
}

#[repr(C)]
struct Gcm {
    iv: *mut u8,
    iv_len: usize,
    iv_bits: usize,
    aad: *mut u8,
    aad_len: usize,
    tag_bits: usize,
}

#[derive(Clone, Copy)]
enum Action {
    Fail(usize),
    Sleep(u64),
    Hang,
    /// Says that this much more was written.
    Stretch(usize),
    /// Flips a bit of what was written.
    Corrupt,
    /// Writes this much behind the end of the output.
    Overrun(usize),
}

struct Rule {
    call: usize,
    action: Action,
    skip: u64,
    times: u64,
}

struct State {
    rules: Vec<Rule>,
    permille: u64,
    random: u64,
    /// 0: from outside, 1: written over zeros, 12 and 16: appended.
    iv_mode: usize,
    /// By session, the IV to append.
    appended: HashMap<usize, Vec<u8>>,
    hidden: usize,
    flags: usize,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);
static RELEASED: Condvar = Condvar::new();
static REAL: AtomicUsize = AtomicUsize::new(0);
static COUNTS: [AtomicU64; CALLS] = [const { AtomicU64::new(0) }; CALLS];
static STALE: AtomicU64 = AtomicU64::new(0);
static HUNG: AtomicU64 = AtomicU64::new(0);
static LOADS: AtomicU64 = AtomicU64::new(0);
/// Generations of sessions and of objects.
static SESSIONS: AtomicUsize = AtomicUsize::new(1);
static OBJECTS: AtomicUsize = AtomicUsize::new(1);

extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn memcpy(to: *mut c_void, from: *const c_void, len: usize) -> *mut c_void;
}

fn state() -> MutexGuard<'static, Option<State>> {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    state.get_or_insert_with(|| State {
        rules: Vec::new(),
        permille: 0,
        random: 1,
        iv_mode: 0,
        appended: HashMap::new(),
        hidden: usize::MAX,
        flags: 0,
    });
    state
}

fn with<T>(change: impl FnOnce(&mut State) -> T) -> T {
    change(state().as_mut().unwrap())
}

type Call = extern "C" fn(usize, usize, usize, usize, usize, usize, usize, usize) -> usize;

/// More arguments than a function takes do no harm in the calling conventions of the systems that this is for.
fn real(call: usize, a: [usize; 8]) -> usize {
    let list = REAL.load(SeqCst) as *const List;
    let call: Call = unsafe { std::mem::transmute((*list).calls[call]) };
    call(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7])
}

extern "C" fn entry<const N: usize>(
    a: usize, b: usize, c: usize, d: usize, e: usize, f: usize, g: usize, h: usize,
) -> usize {
    COUNTS[N].fetch_add(1, SeqCst);
    let mut args = [a, b, c, d, e, f, g, h];
    let (mut stretch, mut corrupt, mut overrun) = (0, false, 0);
    match with(|state| state.next(N)) {
        Some(Action::Fail(code)) => return code,
        Some(Action::Sleep(millis)) => std::thread::sleep(Duration::from_millis(millis)),
        Some(Action::Hang) => {
            HUNG.fetch_add(1, SeqCst);
            let hangs = |state: &mut Option<State>| {
                state.as_ref().unwrap().rules.iter().any(|rule| matches!(rule.action, Action::Hang))
            };
            drop(RELEASED.wait_while(state(), hangs));
            HUNG.fetch_sub(1, SeqCst);
        }
        Some(Action::Stretch(by)) => stretch = by,
        Some(Action::Corrupt) => corrupt = true,
        Some(Action::Overrun(by)) => overrun = by,
        None => {}
    }
    if let Err(code) = unstamp(N, &mut args) {
        return code;
    }
    // Output and its length of the calls that give any.
    let output = if N == WRAP_KEY { (args[4], args[5]) } else { (args[3], args[4]) };
    let room = if overrun > 0 { unsafe { *(output.1 as *const usize) } } else { 0 };
    let code = unsafe { around(N, args) };
    if code != OK {
        return code;
    }
    unsafe {
        if overrun > 0 {
            // By the C library's call, which a sanitizer watches in code that it did not compile, too.
            let excess = vec![0x5a_u8; overrun];
            memcpy((output.0 + room) as *mut c_void, excess.as_ptr().cast(), overrun);
        }
        if stretch > 0 {
            *(output.1 as *mut usize) += stretch;
        }
        if corrupt {
            *(output.0 as *mut u8) ^= 1;
        }
        stamp(N, args);
    }
    OK
}

/// Calls the real module, or plays what another one does.
unsafe fn around(call: usize, args: [usize; 8]) -> usize {
    let mode = with(|state| state.iv_mode);
    match call {
        ENCRYPT_INIT if mode > 0 && (*(args[1] as *const Mechanism)).number == AES_GCM => {
            let gcm = &mut *((*(args[1] as *const Mechanism)).params as *mut Gcm);
            let chosen: Vec<u8> = with(|state| (0..mode.max(12)).map(|_| state.draw() as u8 | 1).collect());
            if mode == 1 {
                let given = std::slice::from_raw_parts_mut(gcm.iv, gcm.iv_len);
                if given.len() != 12 || given.iter().any(|byte| *byte != 0) {
                    return 0x71;
                }
                given.copy_from_slice(&chosen);
                return real(call, args);
            }
            with(|state| state.appended.insert(args[0], chosen.clone()));
            let mut own = Gcm {
                iv: chosen.as_ptr() as *mut u8,
                iv_len: chosen.len(),
                iv_bits: chosen.len() * 8,
                aad: gcm.aad,
                aad_len: gcm.aad_len,
                tag_bits: gcm.tag_bits,
            };
            let mut own = Mechanism {
                number: AES_GCM,
                params: (&mut own as *mut Gcm).cast(),
                len: std::mem::size_of::<Gcm>(),
            };
            let mut args = args;
            args[1] = &mut own as *mut Mechanism as usize;
            real(call, args)
        }
        ENCRYPT if mode > 1 => {
            let code = real(call, args);
            if let Some(iv) = with(|state| state.appended.remove(&args[0])).filter(|_| code == OK) {
                let len = &mut *(args[4] as *mut usize);
                std::ptr::copy_nonoverlapping(iv.as_ptr(), (args[3] as *mut u8).add(*len), iv.len());
                *len += iv.len();
            }
            code
        }
        _ => real(call, args),
    }
}

/// Takes the stamps off the handles of a call, and counts those that are of another generation.
fn unstamp(call: usize, args: &mut [usize; 8]) -> Result<(), usize> {
    let sessions = matches!(call, 13 | 15..=66);
    if sessions {
        take(&mut args[0], SESSIONS.load(SeqCst)).map_err(|()| 0xb3_usize)?;
    }
    let objects: &[usize] = match call {
        21 | DESTROY_OBJECT | 23 | GET_ATTRIBUTE_VALUE | 25 => &[1],
        ENCRYPT_INIT | DECRYPT_INIT | UNWRAP_KEY => &[2],
        WRAP_KEY => &[2, 3],
        _ => &[],
    };
    for place in objects {
        take(&mut args[*place], OBJECTS.load(SeqCst)).map_err(|()| 0x82_usize)?;
    }
    Ok(())
}

fn take(handle: &mut usize, generation: usize) -> Result<(), ()> {
    let given = *handle >> 32;
    *handle &= 0xffff_ffff;
    if given == generation {
        return Ok(());
    }
    STALE.fetch_add(1, SeqCst);
    Err(())
}

/// Puts stamps on the handles that a call gave out; begins a generation where handles change.
unsafe fn stamp(call: usize, args: [usize; 8]) {
    let mark = |place: usize, of: &AtomicUsize| *(place as *mut usize) |= of.load(SeqCst) << 32;
    match call {
        INITIALIZE => {
            SESSIONS.fetch_add(1, SeqCst);
            OBJECTS.fetch_add(1, SeqCst);
        }
        LOGIN | LOGOUT => {
            OBJECTS.fetch_add(1, SeqCst);
        }
        OPEN_SESSION => mark(args[4], &SESSIONS),
        FIND_OBJECTS => (0..*(args[3] as *const usize)).for_each(|n| mark(args[1] + n * 8, &OBJECTS)),
        CREATE_OBJECT | 21 => mark(args[3], &OBJECTS),
        GENERATE_KEY => mark(args[4], &OBJECTS),
        GENERATE_KEY_PAIR => {
            mark(args[6], &OBJECTS);
            mark(args[7], &OBJECTS);
        }
        UNWRAP_KEY => mark(args[7], &OBJECTS),
        GET_TOKEN_INFO => *((args[1] + 96) as *mut usize) |= with(|state| state.flags),
        GET_MECHANISM_LIST if args[1] != 0 => {
            let hidden = with(|state| state.hidden);
            let count = &mut *(args[2] as *mut usize);
            let list = std::slice::from_raw_parts_mut(args[1] as *mut usize, *count);
            if let Some(place) = list.iter().position(|number| *number == hidden) {
                list.swap(place, *count - 1);
                *count -= 1;
            }
        }
        _ => {}
    }
}

impl State {
    fn next(&mut self, call: usize) -> Option<Action> {
        let place = self.rules.iter_mut().position(|rule| {
            rule.call == call && {
                let now = rule.skip == 0;
                rule.skip = rule.skip.saturating_sub(1);
                now && rule.times > 0
            }
        });
        if let Some(place) = place {
            let rule = &mut self.rules[place];
            let action = rule.action;
            if rule.times != u64::MAX {
                rule.times -= 1;
            }
            if rule.times == 0 && !matches!(action, Action::Hang) {
                self.rules.remove(place);
            }
            return Some(action);
        }
        let faulty = matches!(
            call,
            OPEN_SESSION | FIND_OBJECTS | ENCRYPT_INIT | ENCRYPT | DECRYPT_INIT | DECRYPT
                | CREATE_OBJECT | WRAP_KEY | UNWRAP_KEY | GET_ATTRIBUTE_VALUE
        );
        if !faulty || self.permille == 0 || self.draw() % 1000 >= self.permille {
            return None;
        }
        // Codes after which things can be mended, and two after which nothing is known.
        let codes = [0xb3, 0xb0, 0x90, 0x91, 0x150, 0x82, 0x60, 0x101, 0x30, 0x32, 0xe0, 0x06, 0x05, 0x02, 0x31, 0xb1];
        Some(Action::Fail(codes[self.draw() as usize % codes.len()]))
    }

    fn draw(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

macro_rules! entries {
    ($($n:literal)*) => { [$(entry::<$n> as *const () as usize),*] };
}

#[no_mangle]
pub extern "C" fn C_GetFunctionList(list: *mut *const List) -> usize {
    static OWN: std::sync::OnceLock<List> = std::sync::OnceLock::new();
    LOADS.fetch_add(1, SeqCst);
    if REAL.load(SeqCst) == 0 && !set_up_by_environment() {
        return 5;
    }
    let own = OWN.get_or_init(|| List {
        version: [2, 40],
        calls: entries!(
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37
            38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67
        ),
    });
    unsafe { *list = own };
    0
}

/// In a program that knows nothing of this: the module behind it, and rules as numbers, five a rule.
fn set_up_by_environment() -> bool {
    let Ok(real) = std::env::var("KUVERT_SHIM_REAL") else { return false };
    let numbers = |name: &str| -> Vec<u64> {
        let text = std::env::var(name).unwrap_or_default();
        text.split_whitespace().map(|number| number.parse().unwrap()).collect()
    };
    for rule in numbers("KUVERT_SHIM_RULES").chunks_exact(5) {
        kuvert_shim_rule(rule[0] as usize, rule[1] as c_int, rule[2], rule[3], rule[4]);
    }
    if let [flags] = numbers("KUVERT_SHIM_FLAGS")[..] {
        kuvert_shim_flags(flags as usize);
    }
    let real = std::ffi::CString::new(real).unwrap();
    kuvert_shim_open(real.as_ptr()) == 0
}

/// Which module stands behind. 0 if it does.
#[no_mangle]
pub extern "C" fn kuvert_shim_open(path: *const c_char) -> c_int {
    unsafe {
        let library = dlopen(path, 2);
        if library.is_null() {
            return 1;
        }
        let get = dlsym(library, c"C_GetFunctionList".as_ptr());
        if get.is_null() {
            return 2;
        }
        let get: extern "C" fn(*mut usize) -> usize = std::mem::transmute(get);
        let mut list = 0;
        let code = get(&mut list);
        REAL.store(list, SeqCst);
        code as c_int
    }
}

/// From now on the call does this: 0 fail, 1 sleep, 2 hang, 3 stretch, 4 corrupt, 5 overrun.
#[no_mangle]
pub extern "C" fn kuvert_shim_rule(call: usize, kind: c_int, value: u64, skip: u64, times: u64) {
    let action = match kind {
        0 => Action::Fail(value as usize),
        1 => Action::Sleep(value),
        2 => Action::Hang,
        3 => Action::Stretch(value as usize),
        4 => Action::Corrupt,
        _ => Action::Overrun(value as usize),
    };
    with(|state| state.rules.push(Rule { call, action, skip, times }));
}

/// Forgets every rule; whoever hangs goes on.
#[no_mangle]
pub extern "C" fn kuvert_shim_clear() {
    with(|state| {
        state.rules.clear();
        state.permille = 0;
    });
    RELEASED.notify_all();
}

#[no_mangle]
pub extern "C" fn kuvert_shim_random(permille: u64, seed: u64) {
    with(|state| (state.permille, state.random) = (permille, seed | 1));
}

#[no_mangle]
pub extern "C" fn kuvert_shim_iv(mode: usize) {
    with(|state| state.iv_mode = mode);
}

#[no_mangle]
pub extern "C" fn kuvert_shim_hide(mechanism: usize) {
    with(|state| state.hidden = mechanism);
}

/// Flags that every token has beside its own.
#[no_mangle]
pub extern "C" fn kuvert_shim_flags(flags: usize) {
    with(|state| state.flags = flags);
}

#[no_mangle]
pub extern "C" fn kuvert_shim_count(call: usize) -> u64 {
    COUNTS[call].load(SeqCst)
}

/// How often somebody asked for the list of calls.
#[no_mangle]
pub extern "C" fn kuvert_shim_loads() -> u64 {
    LOADS.load(SeqCst)
}

/// Calls that hang now.
#[no_mangle]
pub extern "C" fn kuvert_shim_hung() -> u64 {
    HUNG.load(SeqCst)
}

/// Uses of a handle in another generation than its own.
#[no_mangle]
pub extern "C" fn kuvert_shim_stale() -> u64 {
    STALE.load(SeqCst)
}
