//! Modules, one for each file in the process, and what is common to all who use one: is it up, since when, who is inside.
//!
//! A module is initialised once a process, so finalising it voids the sessions and handles of everybody. Every call is
//! made within a [`Pass`], which says of which generation the module is; a reset waits until nobody has one. Knows no
//! keys. Section "Keys in a hardware security module" of the [operations manual](crate::manual::operations).

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use cryptoki::context::Pkcs11;
use cryptoki_sys as ck;

use super::codes::Fault;
use super::failure::Pkcs11Failure;
use super::login::Logins;
use super::raw::{self, Calls};
use crate::clock::Clock;
use crate::crypto::random;
use crate::fork;

/// A loaded module.
pub(super) struct Module {
    path: PathBuf,
    pub(super) context: Pkcs11,
    pub(super) calls: Calls,
    init_text: Option<&'static CStr>,
    /// Somebody else in this process initialised it, and must not have it finalised under their feet.
    is_adopted: bool,
    state: Mutex<State>,
    changed: Condvar,
    pub(super) logins: Logins,
    /// Labels of AES keys by token, each with the type of recipients it is used for, and how many use it.
    claims: Mutex<HashMap<(String, String), (u16, usize)>>,
}

/// Of which connection, and of which login in it, a handle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation {
    /// Counts initialisations: sessions of another one are void.
    pub(super) connection: u64,
    /// Counts logins, and keys that were destroyed: key handles of another one are void, too.
    pub(super) login: u64,
}

struct State {
    generation: Generation,
    inside: usize,
    resetting: Option<Instant>,
    /// The last reset could not be begun, since a call did not come back.
    is_wedged: bool,
    /// The last reset did not succeed: the module is not initialised.
    broken: Option<Pkcs11Failure>,
    /// Resets since a call last succeeded.
    failures: u32,
    not_before: Option<Instant>,
    last: Option<(Instant, Pkcs11Failure)>,
}

/// The right to be in a call of the module. While there is one, the module is not reset.
pub(super) struct Pass<'m> {
    pub(super) module: &'m Module,
    pub(super) generation: Generation,
}

/// A handle with the generation that it is of: nobody gets at it in another one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamped<T> {
    generation: Generation,
    handle: T,
}

impl<T> Stamped<T> {
    pub(super) fn new(pass: &Pass<'_>, handle: T) -> Self {
        Self { generation: pass.generation, handle }
    }

    /// A session: valid as long as the module is not initialised anew.
    pub(super) fn in_connection(&self, pass: &Pass<'_>) -> Option<&T> {
        (self.generation.connection == pass.generation.connection).then_some(&self.handle)
    }

    /// As [`in_connection`](Self::in_connection), for good.
    pub(super) fn take_in_connection(self, pass: &Pass<'_>) -> Option<T> {
        (self.generation.connection == pass.generation.connection).then_some(self.handle)
    }

    /// A key: valid as long as nobody logs in anew, either.
    pub(super) fn in_login(&self, pass: &Pass<'_>) -> Option<&T> {
        (self.generation == pass.generation).then_some(&self.handle)
    }
}

/// What is known of a module without asking it.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) generation: Generation,
    pub(super) is_up: bool,
    pub(super) is_wedged: bool,
    pub(super) last: Option<(Instant, Pkcs11Failure)>,
}

/// How long to wait for what.
#[derive(Clone, Copy)]
pub(super) struct Patience<'c> {
    pub(super) clock: &'c dyn Clock,
    /// Nobody waits for the job any more after that.
    pub(super) until: Instant,
    /// The longest to wait for calls under way before a reset.
    pub(super) quiesce: Duration,
}

impl Module {
    /// The module in this file, loaded and initialised once a process.
    pub(super) fn open(path: &Path, init_text: Option<&str>) -> Result<Arc<Self>, Pkcs11Failure> {
        let failed = |what| Pkcs11Failure::Module { path: path.to_owned(), what };
        if !path.is_absolute() {
            return Err(failed("name it by its absolute path"));
        }
        is_ours()?;
        let real = path.canonicalize().map_err(|_| failed("there is no such file"))?;
        let place = {
            let mut modules =
                MODULES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(modules.entry(real.clone()).or_default())
        };
        // Of this one file only: another module's loading, which may hang, must not keep anybody.
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = &place.module {
            return Ok(Arc::clone(module));
        }
        let (calls, context) = match &place.loaded {
            Some(loaded) => loaded.clone(),
            None => {
                let calls = Calls::load(&real).map_err(failed)?;
                let context = Pkcs11::new(&real).map_err(|_| failed("it is no PKCS#11 module"))?;
                place.loaded.insert((calls, context)).clone()
            }
        };
        let init_text = init_text.and_then(|text| place.text(text));
        let is_adopted = match initialize(&context, init_text) {
            Ok(()) => false,
            Err(fault) if fault.code == ck::CKR_CRYPTOKI_ALREADY_INITIALIZED => true,
            Err(fault) => return Err(fault.into()),
        };
        let module = Arc::new(Self {
            path: real,
            context,
            calls,
            init_text,
            is_adopted,
            state: Mutex::new(State::new()),
            changed: Condvar::new(),
            logins: Logins::default(),
            claims: Mutex::default(),
        });
        place.module = Some(Arc::clone(&module));
        Ok(module)
    }

    /// Waits while the module is reset, and then lets the caller in.
    pub(super) fn enter(&self, patience: Patience<'_>) -> Result<Pass<'_>, Pkcs11Failure> {
        let mut state = self.lock();
        loop {
            if state.is_wedged && state.inside > 0 {
                return Err(Pkcs11Failure::Wedged);
            }
            state.is_wedged = false;
            if state.resetting.is_none() {
                if let Some(broken) = &state.broken {
                    return Err(broken.clone());
                }
                state.inside += 1;
                return Ok(Pass { module: self, generation: state.generation });
            }
            state = self.wait(state, patience)?;
        }
    }

    /// Finalises and initialises the module, unless somebody has since this generation. Waits its turn: the more often
    /// it did not help, the longer.
    pub(super) fn reset(&self, seen: u64, patience: Patience<'_>) -> Result<(), Pkcs11Failure> {
        let mut state = self.lock();
        loop {
            if state.resetting.is_some() {
                state = self.wait(state, patience)?;
                continue;
            }
            if state.generation.connection != seen {
                return Ok(());
            }
            if state.is_wedged && state.inside > 0 {
                return Err(Pkcs11Failure::Wedged);
            }
            let now = patience.clock.now();
            match state.not_before.filter(|then| *then > now) {
                None => break,
                // Nobody will be there to see it.
                Some(then) if then >= patience.until => {
                    let last =
                        state.broken.clone().or_else(|| state.last.clone().map(|(_, failure)| failure));
                    return Err(last.unwrap_or(Pkcs11Failure::Deadline));
                }
                Some(_) => state = self.wait(state, patience)?,
            }
        }
        let alone = self.empty(state, patience)?;
        let renewed = self.renew();
        let now = patience.clock.now();
        let mut state = self.lock();
        state.generation.connection += 1;
        state.back_off(now);
        state.broken = renewed.err().map(Pkcs11Failure::from);
        let answer = state.broken.clone().map_or(Ok(()), Err);
        drop(state);
        drop(alone);
        answer
    }

    /// Logs in anew, unless somebody has since this generation. Nobody else is inside meanwhile: some modules number
    /// keys anew at a login, and a handle that was looked up before it may be another key's right after.
    pub(super) fn log_in_anew(
        &self,
        seen: Generation,
        patience: Patience<'_>,
        log_in: impl FnOnce(&Pass<'_>) -> Result<(), Pkcs11Failure>,
    ) -> Result<(), Pkcs11Failure> {
        let mut state = self.lock();
        while state.resetting.is_some() {
            state = self.wait(state, patience)?;
        }
        if state.generation != seen {
            return Ok(());
        }
        let alone = self.empty(state, patience)?;
        self.lock().inside += 1;
        let pass = Pass { module: self, generation: seen };
        let answer = log_in(&pass);
        drop(pass);
        self.void_keys();
        drop(alone);
        answer
    }

    /// Waits until nobody is inside, and lets nobody in: without the lock, so that others can see that and do not wait
    /// for ever.
    fn empty<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
        patience: Patience<'_>,
    ) -> Result<Alone<'s>, Pkcs11Failure> {
        let begun = patience.clock.now();
        state.resetting = Some(begun);
        while state.inside > 0 {
            if patience.clock.now().saturating_duration_since(begun) >= patience.quiesce {
                state.resetting = None;
                state.is_wedged = true;
                state.note(patience.clock, &Pkcs11Failure::Wedged);
                self.changed.notify_all();
                return Err(Pkcs11Failure::Wedged);
            }
            state = self.slice(state);
        }
        Ok(Alone(self))
    }

    /// Void sessions and handles; no more than that happens where the module is somebody else's, and still initialised.
    fn renew(&self) -> Result<(), Fault> {
        self.logins.forget();
        if !self.is_adopted {
            // It may be finalised already, or unable to say so: what counts is whether it can be initialised.
            self.calls.finalize().ok();
        }
        // Whoever initialised an adopted one may have finalised it since.
        match initialize(&self.context, self.init_text) {
            Err(fault) if fault.code == ck::CKR_CRYPTOKI_ALREADY_INITIALIZED => Ok(()),
            other => other,
        }
    }

    /// A call did what it should: the next reset need not wait.
    pub(super) fn succeeded(&self) {
        let mut state = self.lock();
        (state.failures, state.not_before) = (0, None);
    }

    /// Remembers a failure, for reports.
    pub(super) fn note(&self, clock: &dyn Clock, failure: &Pkcs11Failure) {
        self.lock().note(clock, failure);
    }

    /// Voids the key handles of everybody: they may be other keys' after a login, or once a key is destroyed.
    pub(super) fn void_keys(&self) {
        self.lock().generation.login += 1;
    }

    pub(super) fn generation(&self) -> Generation {
        self.lock().generation
    }

    pub(super) fn condition(&self) -> Condition {
        let state = self.lock();
        Condition {
            generation: state.generation,
            is_up: state.resetting.is_none() && state.broken.is_none(),
            is_wedged: state.is_wedged && state.inside > 0,
            last: state.last.clone(),
        }
    }

    /// Takes an AES key for one type of recipients, until [`release`](Self::release).
    // fmt: Z-13
    pub(super) fn claim(&self, token: &str, label: &str, of: u16) -> Result<(), Pkcs11Failure> {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let (used, users) = claims.entry((token.to_owned(), label.to_owned())).or_insert((of, 0));
        if *used != of {
            return Err(Pkcs11Failure::TwoTypes { label: label.to_owned() });
        }
        *users += 1;
        Ok(())
    }

    pub(super) fn release(&self, token: &str, label: &str) {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (token.to_owned(), label.to_owned());
        if let Some((_, users)) = claims.get_mut(&key) {
            *users -= 1;
            if *users == 0 {
                claims.remove(&key);
            }
        }
    }

    /// Waits a little for the module to change, if there is time.
    fn wait<'s>(
        &self,
        state: MutexGuard<'s, State>,
        patience: Patience<'_>,
    ) -> Result<MutexGuard<'s, State>, Pkcs11Failure> {
        let now = patience.clock.now();
        if now >= patience.until {
            let longest = patience.quiesce.saturating_mul(2);
            let hangs = |since: Instant| now.saturating_duration_since(since) > longest;
            return Err(match state.resetting {
                Some(since) if hangs(since) => Pkcs11Failure::Wedged,
                _ => Pkcs11Failure::Deadline,
            });
        }
        Ok(self.slice(state))
    }

    /// Time is what the caller's clock says; that it has passed is looked for now and then.
    fn slice<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed.wait_timeout(state, SLICE).unwrap_or_else(PoisonError::into_inner).0
    }

    // Nothing that can panic runs under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new() -> Self {
        Self {
            generation: Generation { connection: 1, login: 1 },
            inside: 0,
            resetting: None,
            is_wedged: false,
            broken: None,
            failures: 0,
            not_before: None,
            last: None,
        }
    }

    /// The first reset after a success comes at once; every further one later, and not at the same time as others'.
    fn back_off(&mut self, now: Instant) {
        let doubled = FIRST_WAIT.saturating_mul(1 << self.failures.min(16)).min(LONGEST_WAIT);
        let mut jitter = [0];
        // Without random bytes all wait equally long.
        drop(random::fill(&mut jitter));
        self.not_before = Some(now + doubled / 2 + doubled * u32::from(jitter[0]) / 510);
        self.failures += 1;
    }

    fn note(&mut self, clock: &dyn Clock, failure: &Pkcs11Failure) {
        self.last = Some((clock.now(), failure.clone()));
    }
}

/// Nobody else is in the module, until this is dropped.
struct Alone<'m>(&'m Module);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.lock().resetting = None;
        self.0.changed.notify_all();
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.module.lock();
        state.inside -= 1;
        if state.inside == 0 {
            drop(state);
            self.module.changed.notify_all();
        }
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Whether this process may have modules: one that was forked from a process with modules may not. Neither side knows what
/// the other does with a module, and a lock of its own may be held by a thread that only the parent has.
fn is_ours() -> Result<(), Pkcs11Failure> {
    let own = fork::generation();
    match OWNER.compare_exchange(NOBODY, own, Ordering::Relaxed, Ordering::Relaxed) {
        Err(owner) if owner != own => Err(Pkcs11Failure::Forked),
        _ => Ok(()),
    }
}

fn initialize(context: &Pkcs11, text: Option<&'static CStr>) -> Result<(), Fault> {
    context.initialize(raw::initialize_args(text)).map_err(|error| Fault::of(&error, "C_Initialize"))
}

/// A module's place: empty until it was loaded. What is loaded stays so: if it cannot be initialised, which may be tried
/// at every call, nothing is loaded again.
#[derive(Default)]
struct Place {
    loaded: Option<(Calls, Pkcs11)>,
    text: Option<&'static CStr>,
    module: Option<Arc<Module>>,
}

impl Place {
    /// The text, which never goes away: modules keep the pointer.
    fn text(&mut self, text: &str) -> Option<&'static CStr> {
        let text = CString::new(text).ok()?;
        if self.text != Some(&*text) {
            self.text = Some(Box::leak(text.into_boxed_c_str()));
        }
        self.text
    }
}

/// By the file's real path. Nothing is ever taken out: a module stays loaded.
static MODULES: OnceLock<Mutex<HashMap<PathBuf, Arc<Mutex<Place>>>>> = OnceLock::new();

/// The process, by its generation, that loads modules.
static OWNER: AtomicU64 = AtomicU64::new(NOBODY);
/// No generation is zero.
const NOBODY: u64 = 0;

/// How often somebody who waits looks at the clock.
const SLICE: Duration = Duration::from_millis(5);
/// Between a first reset that did not help and the second.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Between resets of which none helps.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
