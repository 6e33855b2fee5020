//! What a provider is built from, and everything that is wrong with it, told at once.
//!
//! No call and no file is needed to say so: what only the token knows is found out by connecting. Section "Keys in a
//! hardware security module" of the [operations manual](crate::manual::operations).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::custodian::Pkcs11Custodian;
use super::options::{GcmIv, Pkcs11Options, Pkcs11Wrap};
use super::pin::{PinSource, Pkcs11Pin};
use super::shared::Shared;
use super::uri::{Pkcs11Uri, Pkcs11UriError};
use super::{NAME, Pkcs11Provider};
use crate::clock::{Clock, SystemClock};
use crate::error::{Category, ProviderError, ProviderErrorKind};

/// Builds a [`Pkcs11Provider`]. No method fails; [`connect`](Self::connect) and [`build`](Self::build) say all that is
/// wrong.
#[must_use]
pub struct Pkcs11Builder {
    uri: Pkcs11Uri,
    pin: PinSource,
    options: Pkcs11Options,
    clock: Arc<dyn Clock>,
}

impl Pkcs11Builder {
    /// A key in a token, and defaults for everything else: see [`Pkcs11Options`].
    pub fn new(uri: Pkcs11Uri) -> Self {
        let pin = uri.pin_file().map_or(PinSource::None, |path| PinSource::File(path.to_owned()));
        Self { uri, pin, options: Pkcs11Options::default(), clock: Arc::new(SystemClock) }
    }

    /// What a configuration says.
    ///
    /// # Errors
    ///
    /// If its URI is none.
    pub fn from_options(options: Pkcs11Options) -> Result<Self, Pkcs11UriError> {
        let mut builder = Self::new(options.uri.parse()?);
        if let Some(path) = &options.pin_file {
            builder.pin = PinSource::File(path.clone());
        }
        builder.options = options;
        Ok(builder)
    }

    /// Reads the PIN from this file, which only its owner may read, at every login.
    pub fn with_pin_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.pin = PinSource::File(path.into());
        self
    }

    /// Takes the PIN from the program, at every login, on a thread of the provider's. `None` if there is none now.
    pub fn with_pin(mut self, pin: impl Fn() -> Option<Pkcs11Pin> + Send + Sync + 'static) -> Self {
        self.pin = PinSource::Callback(Arc::new(pin));
        self
    }

    /// Wraps like this, and not like what suits the key.
    pub fn with_wrap(mut self, wrap: Pkcs11Wrap) -> Self {
        self.options.wrap = Some(wrap);
        self
    }

    /// Says who chooses the IV of AES-GCM.
    pub fn with_iv(mut self, iv: GcmIv) -> Self {
        self.options.iv = iv;
        self
    }

    /// Uses the mechanism of this number, where the token has another one for the same format.
    pub fn with_mechanism(mut self, number: u64) -> Self {
        self.options.mechanism = Some(number);
        self
    }

    /// Whether every wrap that the token makes is unwrapped at once and compared.
    pub fn with_verify_wraps(mut self, verify_wraps: bool) -> Self {
        self.options.verify_wraps = verify_wraps;
        self
    }

    /// Whether the token takes part in making data keys: its random bytes and the operating system's are mixed, so that
    /// neither source alone decides. For rules that ask for it; costs one call more.
    pub fn with_token_randomness(mut self, token_randomness: bool) -> Self {
        self.options.token_randomness = token_randomness;
        self
    }

    /// As many threads, with a session each, make calls at once. One is right for a module that cannot do two things at
    /// a time, such as a client of a remote one.
    pub fn with_workers(mut self, workers: u8) -> Self {
        self.options.workers = workers;
        self
    }

    /// As many calls may wait for a thread; the next one is told [`ProviderErrorKind::Throttled`].
    pub fn with_queue(mut self, queue: usize) -> Self {
        self.options.queue = queue;
        self
    }

    /// The longest a call may take, with waiting.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.options.deadline = deadline;
        self
    }

    /// The longest to wait for calls under way before the module is reset.
    pub fn with_quiesce(mut self, quiesce: Duration) -> Self {
        self.options.quiesce = quiesce;
        self
    }

    /// What the module's vendor wants to be told when it is initialised. The first provider of a module decides.
    pub fn with_init_args(mut self, text: impl Into<String>) -> Self {
        self.options.init_args = Some(text.into());
        self
    }

    /// Counts time by another clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Loads the module, finds token and key, logs in, and tries the key.
    ///
    /// # Errors
    ///
    /// [`ProviderErrorKind::Misconfigured`] for everything that [`build`](Self::build) refuses, and for what the token
    /// shows to be wrong; else why the token could not be asked.
    pub async fn connect(self) -> Result<Pkcs11Provider, ProviderError> {
        let provider = self
            .provider(&[], false)
            .map_err(|error| ProviderError::new(ProviderErrorKind::Misconfigured, NAME).with_source(error))?;
        provider.connect().await?;
        Ok(provider)
    }

    /// A provider that asks the token at its first call, for programs that have to start while the token is away.
    ///
    /// What stands in messages must be known without the token: the key's id and how it wraps.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the configuration.
    pub fn build(self) -> Result<Pkcs11Provider, Pkcs11ConfigError> {
        let unknown = [
            self.uri.id().is_none().then_some(Pkcs11Fault::NoId),
            self.options.wrap.is_none().then_some(Pkcs11Fault::NoWrap),
        ];
        self.provider(&unknown, true)
    }

    /// A provider that opens, and asks the token at its first call: unlike with [`build`](Self::build), neither the
    /// key's id nor how it wraps has to be known. One that is to seal is made by `build` or [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the configuration.
    pub fn build_to_open(self) -> Result<Pkcs11Provider, Pkcs11ConfigError> {
        self.provider(&[], false)
    }

    /// Who creates and destroys keys in the token, without one being there already.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the configuration.
    pub fn custodian(self) -> Result<Pkcs11Custodian, Pkcs11ConfigError> {
        self.for_the_token().map(Pkcs11Custodian::over)
    }

    /// A provider that is asked for what needs no key of the configuration.
    pub(super) fn for_the_token(mut self) -> Result<Pkcs11Provider, Pkcs11ConfigError> {
        if self.uri.object().is_none() {
            // Its keys are named in each call.
            self.uri = self.uri.with_any_object();
        }
        self.provider(&[], true)
    }

    /// Everything that is wrong, as far as it can be seen from here.
    #[must_use]
    pub fn faults(&self) -> Vec<Pkcs11Fault> {
        let mut faults = Vec::new();
        match self.uri.module_path() {
            None => faults.push(Pkcs11Fault::NoModule),
            Some(path) if !path.is_absolute() => faults.push(Pkcs11Fault::RelativeModule),
            Some(_) => {}
        }
        if self.uri.object().is_none() {
            faults.push(Pkcs11Fault::NoObject);
        }
        if self.options.workers == 0 || self.options.queue == 0 || self.options.deadline.is_zero() {
            faults.push(Pkcs11Fault::Zero);
        }
        if self.options.iv != GcmIv::Host && !matches!(self.options.wrap, None | Some(Pkcs11Wrap::AesGcm)) {
            faults.push(Pkcs11Fault::IvWithoutGcm);
        }
        if self.options.init_args.as_ref().is_some_and(|text| text.contains('\0')) {
            faults.push(Pkcs11Fault::InitArgs);
        }
        faults
    }

    /// Whether there is a PIN where it is looked for; what a callback gives is not asked for.
    #[cfg(feature = "serde")]
    pub(crate) fn check_pin(&self) -> Result<(), super::Pkcs11Failure> {
        if matches!(self.pin, PinSource::File(_)) { self.pin.read().map(drop) } else { Ok(()) }
    }

    /// The provider, unless anything is wrong: with the configuration, or besides for what it is to be.
    fn provider(
        self,
        besides: &[Option<Pkcs11Fault>],
        is_lazy: bool,
    ) -> Result<Pkcs11Provider, Pkcs11ConfigError> {
        let mut faults = self.faults();
        faults.extend(besides.iter().flatten());
        if !faults.is_empty() {
            return Err(Pkcs11ConfigError { faults });
        }
        Ok(Pkcs11Provider::over(Shared::new(self.options, self.uri, self.pin, self.clock, is_lazy)))
    }
}

impl fmt::Debug for Pkcs11Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Builder")
            .field("uri", &format_args!("{}", self.uri))
            .field("pin", &self.pin)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// One fault of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Pkcs11Fault {
    /// The module's file is not named.
    #[error("the URI names no module: add ?module-path=PATH")]
    NoModule,
    /// It is named by a path that depends on where the program was started.
    #[error("module-path is not absolute")]
    RelativeModule,
    /// No key is named.
    #[error("the URI names no key: add object=LABEL")]
    NoObject,
    /// The key's id is not named, where it has to be known without the token.
    #[error("the URI names no id: add id=%01, or connect at once")]
    NoId,
    /// How to wrap is not said, where it has to be known without the token.
    #[error("wrap is not set: set it, or connect at once")]
    NoWrap,
    /// No workers, no queue or no time.
    #[error("workers, queue and deadline are at least one")]
    Zero,
    /// An IV mode for a wrap that has no IV.
    #[error("iv is set, and the wrap is not aes-gcm")]
    IvWithoutGcm,
    /// A text that no C library can be given.
    #[error("init_args has a zero byte")]
    InitArgs,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pkcs11ConfigError {
    faults: Vec<Pkcs11Fault>,
}

impl Pkcs11ConfigError {
    /// One after the other.
    #[must_use]
    pub fn faults(&self) -> &[Pkcs11Fault] {
        &self.faults
    }

    /// [`Category::Usage`].
    #[must_use]
    pub const fn category(&self) -> Category {
        Category::Usage
    }
}

impl fmt::Display for Pkcs11ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the PKCS#11 provider is misconfigured")?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for Pkcs11ConfigError {}
