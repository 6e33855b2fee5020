//! What a provider and its workers have in common: the configuration, the queue, and what was found in the token.
//!
//! Starts workers as they are needed and gives every call one deadline. It must not know what a failure means. Section
//! "Keys in a hardware security module" of the [operations manual](crate::manual::operations).

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::catalogue::Catalogue;
use super::failure::{Pkcs11Failure, wide};
use super::health::{Pkcs11Report, Pkcs11State, TokenFacts};
use super::keys;
use super::module::{Generation, Module};
use super::options::{Pkcs11Options, Pkcs11Wrap};
use super::pin::PinSource;
use super::queue::{Queue, Refusal};
use super::task::{Answer, Task};
use super::uri::Pkcs11Uri;
use super::worker::Worker;
use crate::clock::{Clock, within};
use crate::fork;
use crate::format::stanza::RecipientType;

pub(super) struct Shared {
    pub(super) options: Pkcs11Options,
    pub(super) uri: Pkcs11Uri,
    pub(super) label: String,
    pub(super) pin: PinSource,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) queue: Queue<Task, Result<Answer, Pkcs11Failure>>,
    pub(super) module: OnceLock<Arc<Module>>,
    /// Whether it was built without asking the token.
    pub(super) is_lazy: bool,
    catalogue: Mutex<Option<Arc<Catalogue>>>,
    /// When the token was last asked for keys that a recipient named and nobody knew.
    looked: Mutex<Option<Instant>>,
    claimed: Mutex<Option<(Arc<Module>, String)>>,
    /// Names of keys that were destroyed through this provider: they are gone at once, public halves included.
    destroyed: Mutex<HashSet<String>>,
    process: u64,
    pub(super) wraps: AtomicU64,
    pub(super) unwraps: AtomicU64,
    is_closed: AtomicBool,
}

impl Shared {
    pub(super) fn new(
        mut options: Pkcs11Options,
        uri: Pkcs11Uri,
        pin: PinSource,
        clock: Arc<dyn Clock>,
        is_lazy: bool,
    ) -> Self {
        // So that it can be added to any time.
        options.deadline = options.deadline.min(LONGEST_DEADLINE);
        let queue = Queue::new(options.queue.max(1), usize::from(options.workers.max(1)));
        Self {
            label: uri.object().unwrap_or_default().to_owned(),
            options,
            uri,
            pin,
            clock,
            queue,
            module: OnceLock::new(),
            is_lazy,
            catalogue: Mutex::default(),
            looked: Mutex::default(),
            claimed: Mutex::default(),
            destroyed: Mutex::default(),
            process: fork::generation(),
            wraps: AtomicU64::new(0),
            unwraps: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Has a worker do something, within the deadline. Whoever stops waiting leaves nothing behind but a call that is
    /// under way.
    pub(super) async fn ask(self: &Arc<Self>, task: Task) -> Result<Answer, Pkcs11Failure> {
        self.same_process()?;
        let (now, deadline) = (self.clock.now(), self.options.deadline);
        // A little earlier, so that a worker that gives up can still say why; one that does not is in a call that hangs.
        let patience = deadline - (deadline / 8).min(MARGIN);
        let until = now + patience;
        let taken = self.queue.put(task, now, until, deadline).map_err(|refusal| match refusal {
            Refusal::Full => Pkcs11Failure::QueueFull,
            Refusal::Closed => Pkcs11Failure::Closed,
            Refusal::Stuck => Pkcs11Failure::Wedged,
        })?;
        if let Some(place) = taken.start {
            match self.start(place) {
                // Somebody is there to do it.
                Err(_) if self.queue.counts().0 > 0 => {}
                started => started?,
            }
        }
        match within(&*self.clock, deadline, taken.reply).await {
            Some(Some(answer)) => answer,
            // Nobody began with it: it was taken up too late, or never will be.
            Some(None) if !self.is_closed.load(Ordering::SeqCst) && self.clock.now() >= until => {
                Err(Pkcs11Failure::Deadline)
            }
            Some(None) => Err(Pkcs11Failure::Closed),
            None if self.queue.is_stuck(self.clock.now(), patience) => Err(Pkcs11Failure::Wedged),
            None => Err(Pkcs11Failure::Deadline),
        }
    }

    /// In a forked child there are no workers, and the queue's lock may be held by nobody.
    pub(super) fn same_process(&self) -> Result<(), Pkcs11Failure> {
        if self.process == fork::generation() { Ok(()) } else { Err(Pkcs11Failure::Forked) }
    }

    fn start(self: &Arc<Self>, place: usize) -> Result<(), Pkcs11Failure> {
        let worker = Worker::new(Arc::clone(self), place);
        let started = thread::Builder::new().name("kuvert-pkcs11".into()).spawn(move || worker.run());
        started.map(drop).map_err(|error| {
            self.queue.end(place);
            Pkcs11Failure::Thread { source: Arc::new(error) }
        })
    }

    pub(super) fn catalogue(&self) -> Option<Arc<Catalogue>> {
        if self.same_process().is_err() {
            // Whoever holds the lock is not in this process, and never lets it go.
            return self.catalogue.try_lock().ok().and_then(|catalogue| catalogue.clone());
        }
        self.catalogue.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn keep(&self, catalogue: Catalogue) -> Arc<Catalogue> {
        let catalogue = Arc::new(catalogue);
        *self.catalogue.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&catalogue));
        catalogue
    }

    pub(super) fn restore(&self, before: Option<Arc<Catalogue>>) {
        *self.catalogue.lock().unwrap_or_else(PoisonError::into_inner) = before;
    }

    /// Whether the keys were found in this generation of the module.
    pub(super) fn is_current(&self, generation: Generation) -> bool {
        self.catalogue().is_some_and(|catalogue| catalogue.connection == generation.connection)
    }

    /// Whether the module was reset since the keys were found: the token may be another one by now.
    pub(super) fn is_outdated(&self) -> bool {
        let module = self.loaded_module();
        self.catalogue().is_some() && module.is_some_and(|module| !self.is_current(module.generation()))
    }

    /// How keys wrap: as was found, else as is configured.
    pub(super) fn wrap(&self) -> Pkcs11Wrap {
        self.known_wrap().unwrap_or(Pkcs11Wrap::AesGcm)
    }

    fn known_wrap(&self) -> Option<Pkcs11Wrap> {
        self.catalogue().map(|catalogue| catalogue.method.wrap).or(self.options.wrap)
    }

    /// Whether it is time to look for keys that nobody knew: at most now and then, since anybody can name one.
    pub(super) fn may_look(&self) -> bool {
        let now = self.clock.now();
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = looked.is_none_or(|last| now.saturating_duration_since(last) >= LOOK_AGAIN);
        if is_time {
            *looked = Some(now);
        }
        is_time
    }

    /// The types of recipients that may be this provider's.
    pub(super) fn types(&self) -> impl Iterator<Item = RecipientType> {
        let known = self.known_wrap();
        let any =
            [Pkcs11Wrap::AesKwp, Pkcs11Wrap::AesGcm, Pkcs11Wrap::RsaOaepSha256, Pkcs11Wrap::RsaOaepSha1];
        any.into_iter()
            .filter(move |wrap| known.is_none_or(|known| known == *wrap))
            .map(Pkcs11Wrap::recipient_type)
    }

    /// The name of the key that seals, as far as it is known.
    pub(super) fn key_name(&self) -> String {
        match (self.catalogue(), self.uri.id()) {
            (Some(catalogue), _) => catalogue.sealing().name.clone(),
            (None, Some(id)) => keys::name_of(&self.label, id),
            (None, None) => self.label.clone(),
        }
    }

    /// How things stand, with what the token said of itself.
    pub(super) fn report(&self, token: Option<TokenFacts>) -> Pkcs11Report {
        if let Err(forked) = self.same_process() {
            return self.report_of_a_child(forked);
        }
        let (now, catalogue) = (self.clock.now(), self.catalogue());
        let condition = self.loaded_module().map(|module| module.condition());
        let (workers, waiting) = self.queue.counts();
        let is_wedged = condition.as_ref().is_some_and(|condition| condition.is_wedged)
            || self.queue.is_stuck(now, self.options.deadline);
        let is_up = condition.as_ref().is_some_and(|condition| condition.is_up) && token.is_some();
        let last = condition.as_ref().and_then(|condition| condition.last.clone());
        Pkcs11Report {
            state: match (is_wedged, is_up) {
                (true, _) => Pkcs11State::Wedged,
                (false, true) => Pkcs11State::Up,
                (false, false) => Pkcs11State::Down,
            },
            generation: condition.map_or(0, |condition| condition.generation.connection),
            last_failure: last.map(|(when, failure)| (failure, now.saturating_duration_since(when))),
            workers,
            waiting,
            key: catalogue.as_ref().map(|catalogue| catalogue.sealing().name.clone()),
            mechanism: catalogue.as_ref().map(|catalogue| wide(catalogue.method.number)),
            wraps: self.wraps.load(Ordering::Relaxed),
            unwraps: self.unwraps.load(Ordering::Relaxed),
            warnings: catalogue.map_or_else(Vec::new, |catalogue| self.warnings(&catalogue)),
            token,
        }
    }

    /// Without any lock, which a thread of the parent's may have held.
    fn report_of_a_child(&self, forked: Pkcs11Failure) -> Pkcs11Report {
        Pkcs11Report {
            state: Pkcs11State::Down,
            generation: 0,
            last_failure: Some((forked, Duration::ZERO)),
            workers: 0,
            waiting: 0,
            key: None,
            mechanism: None,
            wraps: self.wraps.load(Ordering::Relaxed),
            unwraps: self.unwraps.load(Ordering::Relaxed),
            warnings: Vec::new(),
            token: None,
        }
    }

    fn warnings(&self, catalogue: &Catalogue) -> Vec<String> {
        let mut warnings = catalogue.warnings.clone();
        let wraps = self.wraps.load(Ordering::Relaxed);
        if catalogue.method.wrap == Pkcs11Wrap::AesGcm && wraps >= MANY_WRAPS {
            warnings.push(format!(
                "key {}: {wraps} wraps by AES-GCM in this process, and 2^32 are the most: make a new version",
                catalogue.sealing().name
            ));
        }
        warnings
    }

    pub(super) fn note_destroyed(&self, name: &str) {
        self.destroyed.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }

    pub(super) fn note_created(&self, name: &str) {
        self.destroyed.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// That the key was not destroyed through this provider.
    pub(super) fn exists(&self, name: &str) -> Result<(), Pkcs11Failure> {
        if self.destroyed.lock().unwrap_or_else(PoisonError::into_inner).contains(name) {
            return Err(Pkcs11Failure::NoKey { wanted: name.to_owned(), present: Vec::new() });
        }
        Ok(())
    }

    /// Takes the key for this type of recipients, until the provider is dropped.
    pub(super) fn claim(&self, module: &Module, token: &str, wrap: Pkcs11Wrap) -> Result<(), Pkcs11Failure> {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        if claimed.is_none() && !self.is_closed.load(Ordering::SeqCst) {
            module.claim(token, &self.label, wrap.recipient_type().0)?;
            *claimed = self.loaded_module().map(|module| (module, token.to_owned()));
        }
        Ok(())
    }

    /// The end of the provider. Its workers end by themselves, each once it is out of its call.
    pub(super) fn close(&self) {
        if self.same_process().is_err() {
            return;
        }
        self.is_closed.store(true, Ordering::SeqCst);
        self.queue.close();
        let claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((module, token)) = claimed {
            module.release(&token, &self.label);
        }
    }
}

/// Half of what AES-GCM with random IVs bears under one key.
const MANY_WRAPS: u64 = 1 << 31;
/// As good as none.
const LONGEST_DEADLINE: Duration = Duration::from_secs(366 * 24 * 3600);
/// The most by which a worker gives up before its caller does.
const MARGIN: Duration = Duration::from_millis(250);
/// Between two looks for keys that a recipient names and nobody knows.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
