//! Wrapping keys in a PKCS#11 token: a hardware security module, a smart card, or software that behaves like one.
//!
//! Data keys are made here and wrapped in the token; to an RSA key they are wrapped here, too, with its public half. Knows
//! recipients and data keys, and nothing of messages. Section "Keys in a hardware security module" of the
//! [operations manual](crate::manual::operations); types 0x0001 to 0x0004 of the [format](crate::manual::format).

mod builder;
mod catalogue;
mod codes;
mod custodian;
mod failure;
mod health;
mod keys;
mod login;
mod method;
mod module;
mod options;
mod pin;
mod queue;
mod raw;
mod shared;
mod survey;
mod task;
mod token;
mod uri;
mod worker;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;

pub use self::builder::{Pkcs11Builder, Pkcs11ConfigError, Pkcs11Fault};
pub use self::custodian::Pkcs11Custodian;
pub use self::failure::Pkcs11Failure;
pub use self::health::{Pkcs11Report, Pkcs11State, TokenFacts};
pub use self::options::{GcmIv, Pkcs11Options, Pkcs11Wrap};
pub use self::pin::Pkcs11Pin;
pub use self::survey::{KeyEntry, Pkcs11Surveyor, TokenEntry, TokenSurvey, UnreadableSlot};
pub use self::uri::{Pkcs11Uri, Pkcs11UriError, UriFault};

use self::catalogue::{Catalogue, Version};
use self::shared::Shared;
use self::task::{Answer, Task};
use super::{
    GeneratedKey, Health, KeyInfo, KeyProvider, ProviderInfo, WrapContext, random_data_key, two_sources,
};
use crate::error::ProviderError;
use crate::format::stanza::Recipient;
use crate::secret::DataKey;

/// Seals with one key of a PKCS#11 token, and opens with every key of the same label: versions of it, told apart by
/// their ids.
///
/// Works without any async runtime: calls are made by threads of its own, each with one session. A module that hangs
/// costs one of them and a caller the deadline. What fails is renewed: sessions, handles, the login, and the whole module
/// by finalising and initialising it. A PIN that a token refuses is tried once.
///
/// A module is loaded and initialised once a process and stays, with the token logged in, until the process ends. A
/// process forked from one that uses a module must not use it.
///
/// # Security
///
/// The module is a library that runs in this process and sees every data key that goes through it. The token keeps its
/// wrapping key in; whoever has the PIN can still wrap and unwrap. A login is the whole process's: while one provider has
/// the token logged in, its PIN is not looked at for another one. A key that is extractable or not sensitive, or an
/// RSA key below 3072 bits, is a warning in the [report](Self::report).
///
/// # Examples
///
/// ```no_run
/// use kuvert::{EncryptionContext, Kuvert, provider::pkcs11::Pkcs11Provider};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let provider = Pkcs11Provider::from_uri(
///     "pkcs11:token=prod;object=kuvert-kek;id=%01\
///      ?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/run/secrets/pin",
/// )?
/// .connect()
/// .await?;
/// let context = EncryptionContext::new([("table", "users")])?;
/// let sealed = Kuvert::new(provider).seal(b"anna@example.se", &context).await?;
/// # Ok(()) }
/// ```
///
/// A configuration is refused as a whole, with all of its faults:
///
/// ```
/// use kuvert::provider::pkcs11::{Pkcs11Fault, Pkcs11Provider};
///
/// let error = Pkcs11Provider::from_uri("pkcs11:token=prod")?.build().unwrap_err();
/// assert!(matches!(error.faults(), [Pkcs11Fault::NoModule, Pkcs11Fault::NoObject, ..]), "{error}");
/// # Ok::<(), kuvert::provider::pkcs11::Pkcs11UriError>(())
/// ```
#[derive(Clone)]
pub struct Pkcs11Provider {
    shared: Arc<Shared>,
    /// The last one closes the queue.
    _open: Arc<CloseOnDrop>,
}

impl Pkcs11Provider {
    /// Begins with what a PKCS#11 URI (RFC 7512) says.
    ///
    /// # Errors
    ///
    /// [`Pkcs11UriError`], with the place of the fault.
    pub fn from_uri(uri: &str) -> Result<Pkcs11Builder, Pkcs11UriError> {
        Ok(Pkcs11Builder::new(uri.parse()?))
    }

    fn over(shared: Shared) -> Self {
        let shared = Arc::new(shared);
        let open = Arc::new(CloseOnDrop(Arc::clone(&shared)));
        Self { shared, _open: open }
    }

    /// Finds the token and its keys, logs in, and tries the key that seals. What else is done does so by itself.
    async fn connect(&self) -> Result<Arc<Catalogue>, ProviderError> {
        match self.shared.catalogue() {
            Some(catalogue) => Ok(catalogue),
            None => self.look().await,
        }
    }

    /// Finds the keys again.
    async fn look(&self) -> Result<Arc<Catalogue>, ProviderError> {
        self.ask(Task::Connect, None).await?;
        self.shared.catalogue().ok_or_else(|| Pkcs11Failure::Closed.into_error())
    }

    async fn ask(&self, task: Task, key: Option<&str>) -> Result<Answer, ProviderError> {
        let answer = self.shared.ask(task).await;
        answer.map_err(|failure| self.error(failure, key))
    }

    fn error(&self, failure: Pkcs11Failure, key: Option<&str>) -> ProviderError {
        match key {
            Some(key) => failure.into_error().with_key_id(key),
            None => failure.into_error().with_key_id(self.shared.key_name()),
        }
    }

    /// The key that a recipient names, if it is one of ours.
    async fn version(&self, recipient: &Recipient) -> Result<Option<Arc<Catalogue>>, ProviderError> {
        // fmt: Z-10
        let Ok(name) = std::str::from_utf8(recipient.id()) else { return Ok(None) };
        let is_ours = keys::parts_of(name).is_some_and(|(label, _)| label == self.shared.label);
        if !is_ours || self.shared.types().all(|of| of != recipient.recipient_type()) {
            return Ok(None);
        }
        let mut catalogue = self.connect().await?;
        if catalogue.method.wrap.recipient_type() != recipient.recipient_type() {
            return Ok(None);
        }
        // A version that was made since. Anybody can name one, so this is not done for each.
        if catalogue.named(recipient.id()).is_none() && self.shared.may_look() {
            catalogue = self.look().await?;
        }
        Ok(catalogue.named(recipient.id()).is_some().then_some(catalogue))
    }

    /// How the token and its keys fare. Asks the token, and says what is known if it does not answer.
    pub async fn report(&self) -> Pkcs11Report {
        let token = match self.shared.ask(Task::Report).await {
            Ok(Answer::Facts(facts)) => Some(*facts),
            _ => None,
        };
        self.shared.report(token)
    }

    /// Lets a PIN be tried again that the token refused: after somebody unlocked the token by hand. A PIN that was
    /// changed needs no such thing.
    pub async fn retry_pin(&self) {
        // Without a token nothing was refused.
        drop(self.shared.ask(Task::Forgive).await);
    }

    /// Who creates and destroys keys in the same token.
    #[must_use]
    pub fn custodian(&self) -> Pkcs11Custodian {
        Pkcs11Custodian::over(self.clone())
    }
}

#[async_trait]
impl KeyProvider for Pkcs11Provider {
    async fn wrap_data_key(&self, key: &DataKey, _: &WrapContext) -> Result<Vec<Recipient>, ProviderError> {
        self.shared.same_process().map_err(Pkcs11Failure::into_error)?;
        let mut catalogue = self.connect().await?;
        if catalogue.sealing().public.is_some() && self.shared.is_outdated() {
            // Wrapped here, it would be for the token that was there before. While there is none, nobody knows better.
            catalogue = self.look().await.unwrap_or(catalogue);
        }
        let sealing: &Version = catalogue.sealing();
        self.shared.exists(&sealing.name).map_err(|failure| self.error(failure, Some(&sealing.name)))?;
        let wrap = match sealing.wrap_here(catalogue.method.wrap, key) {
            Some(wrap) => wrap.map_err(|failure| self.error(failure, Some(&sealing.name)))?,
            None => {
                let task = Task::Wrap { id: sealing.id.clone(), key: DataKey::copy_from(key.expose_bytes()) };
                match self.ask(task, Some(&sealing.name)).await? {
                    Answer::Wrapped(wrap) => wrap,
                    _ => return Err(self.error(Pkcs11Failure::Closed, None)),
                }
            }
        };
        self.shared.wraps.fetch_add(1, Ordering::Relaxed);
        let of = catalogue.method.wrap.recipient_type();
        Ok(vec![Recipient::new(of, sealing.name.as_str(), Vec::new(), wrap)])
    }

    async fn generate_data_key(&self, context: &WrapContext) -> Result<GeneratedKey, ProviderError> {
        let mut key = random_data_key()?;
        if self.shared.options.token_randomness {
            match self.ask(Task::Random, None).await? {
                Answer::Key(theirs) => key = two_sources::mix(&key, &theirs),
                _ => return Err(self.error(Pkcs11Failure::Closed, None)),
            }
        }
        let recipients = self.wrap_data_key(&key, context).await?;
        Ok(GeneratedKey { key, recipients })
    }

    async fn unwrap_data_key(
        &self,
        recipient: &Recipient,
        _: &WrapContext,
    ) -> Result<Option<DataKey>, ProviderError> {
        self.shared.same_process().map_err(Pkcs11Failure::into_error)?;
        if !recipient.params().is_empty() {
            return Ok(None);
        }
        let Some(catalogue) = self.version(recipient).await? else { return Ok(None) };
        let Some(version) = catalogue.named(recipient.id()) else { return Ok(None) };
        self.shared.exists(&version.name).map_err(|failure| self.error(failure, Some(&version.name)))?;
        if !catalogue.method.fits(recipient.wrap(), version.modulus()) {
            return match version.modulus() {
                // fmt: Z-5
                Some(_) if version.public.is_some() => Ok(None),
                _ => Err(self.error(Pkcs11Failure::BadWrap, Some(&version.name))),
            };
        }
        let task = Task::Unwrap { id: version.id.clone(), wrap: recipient.wrap().to_vec() };
        match self.ask(task, Some(&version.name)).await? {
            Answer::Key(key) => {
                self.shared.unwraps.fetch_add(1, Ordering::Relaxed);
                Ok(Some(key))
            }
            _ => Err(self.error(Pkcs11Failure::Closed, None)),
        }
    }

    /// Finds the token and its keys again, and wraps and unwraps a key of no use with the one that seals: what a token
    /// says of itself goes on being good when it is gone.
    async fn check(&self) -> Result<Health, ProviderError> {
        self.ask(Task::Probe, None).await.map(|_| Health::good())
    }

    fn describe(&self) -> ProviderInfo {
        let info = ProviderInfo::new(NAME).with_key_destruction(true);
        let key = |of, id: &str| KeyInfo::new(of, id).with_version_of(self.shared.label.as_str());
        let Some(catalogue) = self.shared.catalogue() else {
            // Whatever the token may turn out to have; what seals was configured.
            let (name, seals) = (self.shared.key_name(), self.shared.is_lazy);
            return self
                .shared
                .types()
                .fold(info, |info, of| info.with_key(key(of, &name).with_sealing(seals)));
        };
        let of = catalogue.method.wrap.recipient_type();
        catalogue.versions().iter().enumerate().fold(info, |info, (place, version)| {
            info.with_key(key(of, &version.name).with_sealing(place == 0))
        })
    }
}

impl fmt::Debug for Pkcs11Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Provider")
            .field("uri", &format_args!("{}", self.shared.uri))
            .field("pin", &self.shared.pin)
            .finish_non_exhaustive()
    }
}

/// Ends the workers with the last copy of a provider.
struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The provider's name in errors and descriptions.
const NAME: &str = "pkcs11";
