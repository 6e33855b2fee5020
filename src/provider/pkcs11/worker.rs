//! A worker: one thread, one session, one job at a time; and what it does when a call fails.
//!
//! A failed call costs the session it was made in. What else is renewed, the key's handle, the login or the whole module,
//! says the table of codes; each is tried once, a reset for as long as somebody waits. It must not know what a job is
//! beyond that. Section "Keys in a hardware security module" of the [operations manual](crate::manual::operations).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use cryptoki_sys as ck;

use super::codes::{self, Fault, Purpose, Step};
use super::failure::{Pkcs11Failure, wide};
use super::keys;
use super::login;
use super::method::Trouble;
use super::module::{Generation, Module, Pass, Patience, Stamped};
use super::queue::Job;
use super::raw::Target;
use super::shared::Shared;
use super::task::{Answer, Task, different};
use super::token::Token;
use crate::error::ProviderErrorKind as Kind;

/// What a thread has while it lives.
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    place: usize,
    seat: Option<Seat>,
    handles: HashMap<Vec<u8>, Stamped<ObjectHandle>>,
}

/// A session in the token, and the token as it was found then.
struct Seat {
    session: Stamped<Session>,
    token: Token,
    is_writing: bool,
}

/// What was renewed for this job already.
#[derive(Default)]
struct Tried {
    session: bool,
    key: bool,
    login: bool,
    verify: u32,
    doubts: u32,
    pauses: u32,
}

type Asked = Job<Task, Result<Answer, Pkcs11Failure>>;

/// What to do about trouble.
enum Next {
    Again,
    Pause(Pkcs11Failure),
    LogIn,
    Reset(Pkcs11Failure),
    Fail(Pkcs11Failure),
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, place: usize) -> Self {
        Self { shared, place, seat: None, handles: HashMap::new() }
    }

    /// Does jobs until there are no more.
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        // However this ends: a thread that is counted and not there would be waited for.
        let seat = shared.queue.seat(self.place);
        while let Some(job) = self.shared.queue.take(self.place, &*self.shared.clock) {
            let answer = self.work(&job);
            let mut job = Some(job);
            if answer.as_ref().is_err_and(is_full) {
                // The token has no session for one more: whoever has one does it, and there is one worker less.
                job = job.take().and_then(|job| self.shared.queue.hand_back(self.place, job));
            }
            let Some(job) = job else { return seat.given_up() };
            self.shared.queue.rest(self.place);
            job.answer(answer);
        }
        self.discard_session();
        drop(seat);
    }

    fn work(&mut self, job: &Asked) -> Result<Answer, Pkcs11Failure> {
        let shared = Arc::clone(&self.shared);
        let module = shared.module()?;
        let patience = Patience { clock: &*shared.clock, until: job.until, quiesce: shared.options.quiesce };
        let (mut tried, mut last) = (Tried::default(), None);
        loop {
            if patience.clock.now() >= job.until || !job.is_wanted() {
                return Err(last.unwrap_or(Pkcs11Failure::Deadline));
            }
            let broken = module.generation();
            let (next, seen) = match module.enter(patience) {
                Ok(pass) => match self.attempt(&pass, &job.task) {
                    Ok(answer) => {
                        module.succeeded();
                        return Ok(answer);
                    }
                    Err(trouble) => (self.next(&pass, trouble, &mut tried), pass.generation),
                },
                Err(failure @ (Pkcs11Failure::Wedged | Pkcs11Failure::Deadline)) => return Err(failure),
                // The last reset failed.
                Err(failure) => (Next::Reset(failure), broken),
            };
            let next = match next {
                Next::LogIn => self.log_in(&module, seen, patience),
                other => other,
            };
            match next {
                Next::Again | Next::LogIn => {}
                // If time runs out in the pause, this is why.
                Next::Pause(failure) => last = Some(self.pause(&mut tried, job.until, failure)?),
                Next::Reset(failure) => {
                    module.note(patience.clock, &failure);
                    match module.reset(seen.connection, patience) {
                        Ok(()) => tried.login = false,
                        Err(wedged @ Pkcs11Failure::Wedged) => return Err(wedged),
                        // What the call said tells more than that it could not be helped.
                        Err(_) => return Err(failure),
                    }
                    last = Some(failure);
                }
                Next::Fail(failure) => {
                    if failure.kind() != Kind::Rejected {
                        module.note(patience.clock, &failure);
                    }
                    return Err(failure);
                }
            }
        }
    }

    /// The session of this generation, with a login, opened if need be.
    pub(super) fn session(
        &mut self,
        pass: &Pass<'_>,
        is_writing: bool,
    ) -> Result<(&Session, &Token), Trouble> {
        let is_valid =
            |seat: &Seat| seat.session.in_connection(pass).is_some() && (seat.is_writing || !is_writing);
        if !self.seat.as_ref().is_some_and(is_valid) {
            self.close(pass);
            let token = Token::find(pass, &self.shared.uri)?;
            pass.module.logins.ensure(pass, &token, &self.shared.pin)?;
            let session = token.open_session(pass, is_writing)?;
            self.seat = Some(Seat { session: Stamped::new(pass, session), token, is_writing });
        }
        let seat = self.seat.as_ref().and_then(|seat| Some((seat.session.in_connection(pass)?, &seat.token)));
        seat.ok_or_else(|| Fault::code(ck::CKR_SESSION_HANDLE_INVALID, "C_OpenSession").into())
    }

    /// The handles of the key of this id, for a call of this pass.
    pub(super) fn target(&mut self, pass: &Pass<'_>, id: &[u8]) -> Result<Target, Trouble> {
        let shared = Arc::clone(&self.shared);
        let known = self.handles.get(id).and_then(|handle| handle.in_login(pass)).copied();
        let (session, _) = self.session(pass, false)?;
        let on = session.handle();
        if let Some(handle) = known {
            return Ok(Target { session: on, key: handle.handle() });
        }
        let handle = match keys::only(session, shared.wrap().sort(), &shared.label, id) {
            Ok(handle) => handle,
            // Private keys are not there for who is not logged in.
            Err(failure) => return Err(unless_logged_out(session, failure)),
        };
        self.handles.insert(id.to_vec(), Stamped::new(pass, handle));
        Ok(Target { session: on, key: handle.handle() })
    }

    /// Decides about a failed attempt, and forgets what can no longer be relied on.
    fn next(&mut self, pass: &Pass<'_>, trouble: Trouble, tried: &mut Tried) -> Next {
        let (fault, purpose) = match trouble {
            // The session had no part in it.
            Trouble::Failure(failure @ Pkcs11Failure::NoToken { .. }) => {
                return self.token_is_missing(failure);
            }
            Trouble::Failure(failure) => {
                self.forget(pass);
                return Next::Fail(failure);
            }
            Trouble::Call(fault, purpose) => (fault, purpose),
        };
        self.forget(pass);
        let failure = Pkcs11Failure::from(fault);
        let once = |tried: &mut bool| !std::mem::replace(tried, true);
        if purpose == Purpose::Verify {
            // What the token just wrapped it refuses; or it died in between, but not each time.
            let is_refused = codes::kind(fault.code, Purpose::Unwrap) == Kind::Rejected;
            let is_doubtful = codes::step(fault.code, Purpose::Unwrap) == Step::Canary;
            tried.verify += u32::from(is_doubtful);
            if is_refused || tried.verify > 4 {
                return Next::Fail(different());
            }
        }
        match codes::step(fault.code, purpose) {
            Step::NewSession if once(&mut tried.session) => Next::Again,
            Step::FindAgain if once(&mut tried.key) => Next::Again,
            Step::LogIn if once(&mut tried.login) => Next::LogIn,
            // A seat of another worker's is as good: see `leave_to_others`.
            Step::BackOff if is_full(&failure) && tried.pauses > 0 && self.shared.queue.counts().0 > 1 => {
                Next::Fail(failure)
            }
            Step::BackOff => Next::Pause(failure),
            Step::Reconnect => Next::Reset(failure),
            Step::Canary => self.doubt(pass, failure, tried),
            Step::Fail(Kind::Rejected) => Next::Fail(Pkcs11Failure::BadWrap),
            Step::NewSession | Step::FindAgain | Step::LogIn | Step::Fail(_) => Next::Fail(failure),
        }
    }

    /// A code that may mean a bad wrap or a dead token: tried again in another session, then after a wrap of our own, and
    /// only if that is undone and this one is still refused, it is bad.
    fn doubt(&mut self, pass: &Pass<'_>, failure: Pkcs11Failure, tried: &mut Tried) -> Next {
        tried.doubts += 1;
        match tried.doubts {
            1 => Next::Again,
            2 if self.canary(pass).is_ok() => Next::Again,
            2 => {
                self.forget(pass);
                tried.doubts = 0;
                Next::Reset(failure)
            }
            _ => Next::Fail(Pkcs11Failure::BadWrap),
        }
    }

    /// A token that was there is looked for anew, which takes a reset in most modules; one that never was, only once
    /// somebody changed something.
    fn token_is_missing(&self, failure: Pkcs11Failure) -> Next {
        if self.shared.catalogue().is_some() || self.shared.is_lazy {
            Next::Reset(failure)
        } else {
            Next::Fail(failure)
        }
    }

    /// Logs in, with nobody else in the module.
    fn log_in(&self, module: &Module, seen: Generation, patience: Patience<'_>) -> Next {
        let shared = &self.shared;
        let logged_in = module.log_in_anew(seen, patience, |pass| {
            let token = Token::find(pass, &shared.uri)?;
            module.logins.renew(pass, &token, &shared.pin)
        });
        match logged_in {
            Ok(()) => Next::Again,
            Err(failure) if failure.kind() == Kind::Unavailable => Next::Reset(failure),
            Err(failure) => Next::Fail(failure),
        }
    }

    /// Whether the key that seals still wraps and unwraps: then it was the wrap, and not the token.
    pub(super) fn canary(&mut self, pass: &Pass<'_>) -> Result<(), Trouble> {
        let Some(catalogue) = self.shared.catalogue() else {
            return Err(Fault::code(ck::CKR_GENERAL_ERROR, "the canary").into());
        };
        let target = self.target(pass, &catalogue.sealing().id)?;
        self.shared.round_trip(pass, &catalogue, target)
    }

    /// Nothing of a session in which a call failed is used again.
    fn forget(&mut self, pass: &Pass<'_>) {
        self.handles.clear();
        self.close(pass);
    }

    /// Closes the session, if it is of this generation; else its number may be somebody else's by now.
    fn close(&mut self, pass: &Pass<'_>) {
        if let Some(seat) = self.seat.take() {
            if let Some(session) = seat.session.take_in_connection(pass) {
                // One that is void cannot be closed, which is what was wanted.
                drop(session.close());
            }
        }
    }

    /// At the end.
    fn discard_session(&mut self) {
        let Some(module) = self.shared.loaded_module() else { return };
        let clock = Arc::clone(&self.shared.clock);
        let patience = Patience { clock: &*clock, until: clock.now(), quiesce: Duration::ZERO };
        if let Ok(pass) = module.enter(patience) {
            self.close(&pass);
        }
    }

    /// Waits for the token to have room again, and gives the failure back; unless nobody would wait for that any more.
    fn pause(
        &self,
        tried: &mut Tried,
        until: Instant,
        failure: Pkcs11Failure,
    ) -> Result<Pkcs11Failure, Pkcs11Failure> {
        let clock = &*self.shared.clock;
        let end = clock.now() + PAUSE.saturating_mul(1 << tried.pauses.min(6));
        tried.pauses += 1;
        if end >= until {
            return Err(failure);
        }
        while clock.now() < end && !self.shared.queue.is_closed() {
            std::thread::sleep(LOOK);
        }
        Ok(failure)
    }
}

/// Tells a key that is not there from one that is not shown to who is not logged in.
fn unless_logged_out(session: &Session, failure: Pkcs11Failure) -> Trouble {
    match login::is_logged_in(session) {
        Ok(false) if matches!(failure, Pkcs11Failure::NoKey { .. }) => {
            Fault::code(ck::CKR_USER_NOT_LOGGED_IN, "C_FindObjects").into()
        }
        _ => failure.into(),
    }
}

/// As [`unless_logged_out`], for a list that is empty.
pub(super) fn is_logged_out(session: &Session, token: &Token) -> bool {
    token.wants_login() && matches!(login::is_logged_in(session), Ok(false))
}

fn is_full(failure: &Pkcs11Failure) -> bool {
    matches!(failure, Pkcs11Failure::Call { code, .. } if *code == wide(ck::CKR_SESSION_COUNT))
}

/// The module, loaded at the first use.
impl Shared {
    fn module(&self) -> Result<Arc<Module>, Pkcs11Failure> {
        if let Some(module) = self.loaded_module() {
            return Ok(module);
        }
        let path = self.uri.module_path().unwrap_or_else(|| std::path::Path::new(""));
        let module = Module::open(path, self.options.init_args.as_deref())?;
        Ok(Arc::clone(self.module.get_or_init(|| module)))
    }

    pub(super) fn loaded_module(&self) -> Option<Arc<Module>> {
        self.module.get().cloned()
    }
}

/// The first wait for a token that is full; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(20);
/// How often a thread that waits looks at the clock.
const LOOK: Duration = Duration::from_millis(2);
