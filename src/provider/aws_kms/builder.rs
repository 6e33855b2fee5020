//! Setting the provider up: all options, and every fault of them at once.
//!
//! Nothing here calls anybody: what is wrong in a configuration is told without a network.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::{error, fmt};

use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;

use super::calls::Key;
use super::connection::Connection;
use super::context::Names;
use super::options::AwsKmsRole as Role;
use super::runtime::Calls;
use super::state::KnownState;
use super::{AwsKmsProvider, NAME, Shared};
use crate::clock::{Clock, SystemClock};
use crate::crypto::rsa;
use crate::error::{Category, ProviderError, ProviderErrorKind};
use crate::provider::arn::{ArnError, KeyArn};

/// What an [`AwsKmsProvider`] is built from.
#[derive(Clone)]
#[must_use = "nothing is set up before `build`"]
pub struct AwsKmsBuilder {
    clients: Vec<Client>,
    sealing: Option<String>,
    opening: Vec<String>,
    public_keys: Vec<(String, Vec<u8>)>,
    context: Vec<String>,
    readable_context: Vec<String>,
    probe_context: Vec<(String, String)>,
    role: Role,
    mixes: bool,
    client_retries: bool,
    deadline: Duration,
    clock: Arc<dyn Clock>,
}

impl AwsKmsBuilder {
    pub(super) fn new() -> Self {
        Self {
            clients: Vec::new(),
            sealing: None,
            opening: Vec::new(),
            public_keys: Vec::new(),
            context: Vec::new(),
            readable_context: Vec::new(),
            probe_context: Vec::new(),
            role: Role::SealAndOpen,
            mixes: false,
            client_retries: true,
            deadline: DEADLINE,
            clock: Arc::new(SystemClock),
        }
    }

    /// Adds the client for one region: the one that the client itself is configured with.
    pub fn with_client(mut self, client: Client) -> Self {
        self.clients.push(client);
        self
    }

    /// The key that wraps new data keys, by its full ARN. It also opens, unless this is to
    /// [seal only](Self::seal_only).
    pub fn with_sealing_key(mut self, arn: impl Into<String>) -> Self {
        self.sealing = Some(arn.into());
        self
    }

    /// Adds a key that opens, by its full ARN. Whatever a message names beside the keys given here and the sealing
    /// key is never called.
    ///
    /// A multi-Region key opens what any of its replicas has sealed; the one given here is the one that is called.
    pub fn with_opening_key(mut self, arn: impl Into<String>) -> Self {
        self.opening.push(arn.into());
        self
    }

    /// Says that the key of this ARN is an RSA key, and pins its public half (a SubjectPublicKeyInfo in DER), which
    /// [`fetch_public_key`](super::fetch_public_key) gets once.
    ///
    /// Sealing to it is done here, without any call. The key has to be given as sealing or opening key as well.
    ///
    /// # Security
    ///
    /// Whoever can change the pinned key in the configuration reads what is sealed afterwards: guard it as you guard
    /// the program. KMS binds no context to an RSA key's wraps, and anybody who has the public key can seal to it.
    pub fn with_public_key(mut self, arn: impl Into<String>, spki_der: impl Into<Vec<u8>>) -> Self {
        self.public_keys.push((arn.into(), spki_der.into()));
        self
    }

    /// Names pairs of the encryption context that are passed to KMS, which checks them when it unwraps and writes
    /// them, in clear, to CloudTrail. None unless said; symmetric keys only. (Kuvert binds all pairs in any case.)
    ///
    /// Sealing under a context that lacks one of them is refused. When opening, a recipient that was sealed with other
    /// names than these, or [readable](Self::with_readable_kms_context) ones, does not match.
    ///
    /// # Security
    ///
    /// No personal data: nothing can be erased from CloudTrail.
    pub fn with_kms_context<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.context.extend(names.into_iter().map(Into::into));
        self
    }

    /// Names pairs that may be passed to KMS when opening, and are not when sealing: those of older messages.
    pub fn with_readable_kms_context<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.readable_context.extend(names.into_iter().map(Into::into));
        self
    }

    /// Pairs that [`check`](crate::provider::KeyProvider::check) passes to KMS, where a key's policy asks for some.
    pub fn with_probe_context<N: Into<String>, V: Into<String>>(
        mut self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.probe_context.extend(pairs.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Makes a provider without any right to open: it opens nothing, whatever is asked of it.
    pub const fn seal_only(self) -> Self {
        self.with_role(Role::SealOnly)
    }

    /// Makes a provider that refuses to seal; it needs no sealing key.
    pub const fn open_only(self) -> Self {
        self.with_role(Role::OpenOnly)
    }

    /// Says what the provider is for.
    pub const fn with_role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Has KMS take part in making data keys: 32 bytes of its `GenerateDataKey` are mixed, by HKDF, with 32 of the
    /// operating system's, so that neither alone decides. Costs a second call for each data key.
    pub const fn with_kms_randomness(mut self, mixes: bool) -> Self {
        self.mixes = mixes;
        self
    }

    /// Whether the clients given here may make a second attempt themselves, if they are set up so (those of `client_for`
    /// are). They may unless this says `false`; under [`Guarded`](crate::provider::Guarded), which repeats calls itself,
    /// say so: otherwise each of its attempts is two.
    pub const fn with_client_retries(mut self, allowed: bool) -> Self {
        self.client_retries = allowed;
        self
    }

    /// How long any one call of the provider may take, whatever the client's own time-outs are. 3 s unless said.
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Counts the deadline by another clock.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks everything and builds the provider. No call is made.
    ///
    /// # Errors
    ///
    /// [`AwsKmsConfigError`] with every fault that there is.
    pub fn build(self) -> Result<AwsKmsProvider, AwsKmsConfigError> {
        let mut faults = Vec::new();
        let (names, readable) = self.names(&mut faults);
        let clients = self.clients_by_region(&mut faults);
        let mut public_keys = self.public_keys_by_arn(&mut faults);
        let keys = self.keys(&clients, &mut public_keys, &mut faults);
        faults.extend(public_keys.into_keys().map(|arn| AwsKmsFault::UnusedPublicKey { arn }));
        let sealing = keys.iter().find(|key| key.seals);
        if self.mixes && sealing.is_some_and(|key| key.public.is_some()) {
            faults.push(AwsKmsFault::Contradiction(
                "the sealing key is an RSA key, which makes no data keys: no randomness of KMS",
            ));
        }
        if !names.is_empty() && sealing.is_some_and(|key| key.public.is_some()) {
            faults.push(AwsKmsFault::Contradiction(
                "the sealing key is an RSA key, to which KMS binds no context: pass it none",
            ));
        }
        if self.deadline.is_zero() {
            faults.push(AwsKmsFault::Contradiction("the deadline is zero, so that no call could succeed"));
        }
        if logs_secrets() {
            faults.push(AwsKmsFault::LogsSecrets);
        }
        if !faults.is_empty() {
            return Err(AwsKmsConfigError { faults });
        }
        let calls = Calls::new(Arc::clone(&self.clock), self.deadline);
        let probe_context =
            (!self.probe_context.is_empty()).then(|| self.probe_context.into_iter().collect());
        let shared = Shared {
            keys: keys.into_iter().map(Arc::new).collect(),
            names,
            readable,
            probe_context,
            role: self.role,
            mixes: self.mixes,
            calls,
        };
        Ok(AwsKmsProvider { shared: Arc::new(shared) })
    }

    fn names(&self, faults: &mut Vec<AwsKmsFault>) -> (Names, Names) {
        let names: Names = self.context.iter().cloned().collect();
        let mut readable = names.clone();
        readable.extend(self.readable_context.iter().cloned());
        faults.extend(names.fault().or(readable.fault()).map(AwsKmsFault::Context));
        (names, readable)
    }

    fn clients_by_region(&self, faults: &mut Vec<AwsKmsFault>) -> BTreeMap<String, Arc<Connection>> {
        let mut clients = BTreeMap::new();
        for client in &self.clients {
            let Some(region) = client.config().region() else {
                faults.push(AwsKmsFault::ClientWithoutRegion);
                continue;
            };
            let region = region.to_string();
            let client = if self.client_retries { client.clone() } else { without_retries(client) };
            if clients.insert(region.clone(), Arc::new(Connection::new(client))).is_some() {
                faults.push(AwsKmsFault::TwoClients { region });
            }
        }
        clients
    }

    fn public_keys_by_arn(&self, faults: &mut Vec<AwsKmsFault>) -> BTreeMap<String, rsa::PublicKey> {
        let mut keys = BTreeMap::new();
        for (arn, der) in &self.public_keys {
            match rsa::PublicKey::from_spki(der) {
                Err(what) => faults.push(AwsKmsFault::PublicKey { arn: arn.clone(), what }),
                Ok(key) => {
                    if keys.insert(arn.clone(), key).is_some() {
                        let what = "it is given twice";
                        faults.push(AwsKmsFault::PublicKey { arn: arn.clone(), what });
                    }
                }
            }
        }
        keys
    }

    fn keys(
        &self,
        clients: &BTreeMap<String, Arc<Connection>>,
        public_keys: &mut BTreeMap<String, rsa::PublicKey>,
        faults: &mut Vec<AwsKmsFault>,
    ) -> Vec<Key> {
        let opens = self.role != Role::SealOnly;
        match (self.role, &self.sealing, self.opening.is_empty()) {
            (Role::OpenOnly, Some(_), _) => faults.push(AwsKmsFault::Contradiction(
                "a sealing key is given to a provider that only opens: give it as an opening key",
            )),
            (Role::OpenOnly, None, true) => {
                faults.push(AwsKmsFault::Contradiction("a provider that only opens has no opening key"));
            }
            (Role::SealOnly, _, false) => faults
                .push(AwsKmsFault::Contradiction("opening keys are given to a provider that only seals")),
            (Role::SealAndOpen | Role::SealOnly, None, _) => faults.push(AwsKmsFault::Contradiction(
                "no sealing key is given: give one, or make it a provider that only opens",
            )),
            _ => {}
        }
        let named = self.sealing.iter().map(|arn| (arn, true));
        let mut keys: Vec<Key> = Vec::new();
        for (text, seals) in named.chain(self.opening.iter().map(|arn| (arn, false))) {
            let arn = match KeyArn::parse(text) {
                Ok(arn) => arn,
                Err(fault) => {
                    faults.push(AwsKmsFault::Key(fault));
                    continue;
                }
            };
            // Whoever seals with a key and lists it as one that opens means the same key.
            if keys.iter().any(|key| key.arn == arn) {
                continue;
            }
            let public = public_keys.remove(text);
            let makes_calls = opens || public.is_none();
            let connection = match clients.get(arn.region()).map(Arc::clone) {
                Some(connection) => Some(connection),
                None if !makes_calls => None,
                // The key stays: what else is wrong with it is told as well.
                None => {
                    faults.push(AwsKmsFault::NoClient { region: arn.region().to_owned() });
                    None
                }
            };
            keys.push(Key { arn, connection, public, seals, opens, state: KnownState::default() });
        }
        keys
    }
}

/// Without the values of probe pairs, which may be a tenant's, and without clients and keys, which are long.
impl fmt::Debug for AwsKmsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsKmsBuilder")
            .field("sealing", &self.sealing)
            .field("opening", &self.opening)
            .field("kms_context", &self.context)
            .field("role", &self.role)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

fn without_retries(client: &Client) -> Client {
    Client::from_conf(client.config().to_builder().retry_config(RetryConfig::disabled()).build())
}

/// Everything that is wrong with the configuration of an [`AwsKmsProvider`].
#[derive(Debug)]
pub struct AwsKmsConfigError {
    faults: Vec<AwsKmsFault>,
}

impl AwsKmsConfigError {
    /// The faults, at least one.
    #[must_use]
    pub fn faults(&self) -> &[AwsKmsFault] {
        &self.faults
    }

    /// [`Category::Usage`].
    #[must_use]
    pub const fn category(&self) -> Category {
        Category::Usage
    }
}

impl fmt::Display for AwsKmsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the AWS KMS provider is set up wrongly")?;
        for (n, fault) in self.faults.iter().enumerate() {
            write!(f, "{} {fault}", if n == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl error::Error for AwsKmsConfigError {}

impl From<AwsKmsConfigError> for ProviderError {
    /// As [`ProviderErrorKind::Misconfigured`].
    fn from(error: AwsKmsConfigError) -> Self {
        Self::new(ProviderErrorKind::Misconfigured, NAME).with_source(error)
    }
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AwsKmsFault {
    /// A key is not named by its full ARN.
    #[error(transparent)]
    Key(ArnError),
    /// A client is not configured with a region.
    #[error("a client has no region: build it with one")]
    ClientWithoutRegion,
    /// Two clients are of the same region.
    #[error("two clients are given for region {region}")]
    TwoClients {
        /// The region.
        region: String,
    },
    /// There is a key and no client for its region.
    #[error("no client is given for region {region}, in which a key is")]
    NoClient {
        /// The region.
        region: String,
    },
    /// A pinned public key is of no use.
    #[error("the public key of {arn:?} cannot be used: {what}")]
    PublicKey {
        /// The key's name, as it was given.
        arn: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A public key is pinned for a key that neither seals nor opens.
    #[error("a public key is given for {arn:?}, which is neither the sealing key nor an opening key")]
    UnusedPublicKey {
        /// The key's name, as it was given.
        arn: String,
    },
    /// The names of context pairs for KMS cannot be written into a message.
    #[error("{0}")]
    Context(&'static str),
    /// Two options do not go together, or one is missing.
    #[error("{0}")]
    Contradiction(&'static str),
    /// The environment has the SDK print data keys.
    #[error(
        "the environment variable LOG_SENSITIVE_BODIES is set, with which the SDK writes data keys to its logs: \
         unset it"
    )]
    LogsSecrets,
}

/// Whether the SDK would print the bodies of answers that hold data keys.
fn logs_secrets() -> bool {
    std::env::var_os("LOG_SENSITIVE_BODIES")
        .is_some_and(|value| !value.is_empty() && !value.eq_ignore_ascii_case("false") && value != "0")
}

const DEADLINE: Duration = Duration::from_secs(3);
