//! From `-k`, `--to` and `KUVERT_KEYS` to a key provider.

mod config;
mod explain;
#[cfg(feature = "pkcs11")]
pub(crate) mod hsm;
#[cfg(not(feature = "pkcs11"))]
#[path = "keys/no_hsm.rs"]
pub(crate) mod hsm;
#[cfg(feature = "https")]
mod kms;
#[cfg(not(feature = "https"))]
#[path = "keys/no_kms.rs"]
mod kms;
mod missing;
mod name;
mod opens;

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kuvert::ProviderError;
#[cfg(feature = "sqlite")]
use kuvert::provider::KeyCustodian;
use kuvert::provider::{
    AllOf, AnyOf, AnyOfOptions, CacheOptions, Cached, KeyProvider, MemoryProvider, Observed,
};

pub(crate) use self::explain::{explain, kms_names, recipients};
pub(crate) use self::kms::is_about_credentials;
pub(crate) use self::missing::Missing;
pub(crate) use self::name::KeyName;
use self::opens::Opens;
use crate::failure::Failure;
use crate::names;

/// Who can destroy a key, and the id by which envelopes name it.
#[cfg(feature = "sqlite")]
#[derive(Debug)]
pub(crate) struct Custody {
    pub(crate) id: String,
    pub(crate) custodian: Arc<dyn KeyCustodian>,
    /// What opens with it, where other keys may have that id, too.
    pub(crate) holder: Option<Arc<dyn KeyProvider>>,
}

/// Of one key; none of a key file, which anybody may have a copy of.
#[cfg(feature = "sqlite")]
pub(crate) fn custody(key: &KeyName) -> Result<Option<Custody>, Failure> {
    match key {
        KeyName::File(_) => Ok(None),
        KeyName::Kms(arn) => kms::custody(arn).map(Some),
        KeyName::Hsm(key) => hsm::custody(key).map(Some),
        KeyName::Config(_) => Err(Failure::usage(
            "a configuration describes how keys are used, not which is destroyed: name the key itself",
        )),
    }
}

/// How the keys of one call go together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner<'a> {
    /// Whether they are the shares of one recipient.
    pub(crate) all_of: bool,
    /// Names of context pairs that AWS KMS is told.
    pub(crate) kms_context: &'a [String],
}

/// What a provider for one key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Opens,
    Seals,
    Both,
}

/// Keys that open, and what they are called.
pub(crate) struct Opening {
    pub(crate) provider: Arc<dyn KeyProvider>,
    /// For messages about keys that were not given.
    pub(crate) ids: String,
}

/// The keys that were given with `-k`, or else by the environment; at least one.
pub(crate) fn given(keys: &[OsString]) -> Result<Vec<KeyName>, Failure> {
    let given = if keys.is_empty() { name::from_environment() } else { keys.to_vec() };
    if given.is_empty() {
        return Err(Failure::usage(
            "no key was given: name a key file with -k KEY, or in the variable KUVERT_KEYS",
        )
        .advise("'kuvert keygen -o KEYFILE' makes one"));
    }
    parse(&given)
}

pub(crate) fn parse(keys: &[OsString]) -> Result<Vec<KeyName>, Failure> {
    keys.iter().map(|key| KeyName::parse(key)).collect()
}

/// Whatever opens with any of these keys, or with all of them.
// fmt: T-18
pub(crate) fn opening(keys: &[KeyName], manner: Manner<'_>) -> Result<Opening, Failure> {
    if manner.all_of {
        let members = each(keys, manner, Role::Opens)?;
        let ids = ids(&members);
        return Ok(Opening { provider: all_of(members)?, ids: format!("all of {ids}") });
    }
    let files: Vec<&Path> = keys.iter().filter_map(KeyName::file).collect();
    let mut members: Vec<Arc<dyn KeyProvider>> = Vec::new();
    if !files.is_empty() {
        // As one, so that a name that two keys share is found. They come first: asking them costs no call.
        members.push(Arc::new(MemoryProvider::from_key_files(files)?));
    }
    for key in keys.iter().filter(|key| key.file().is_none()) {
        members.push(one(key, manner, Role::Opens)?);
    }
    let ids = ids(&members);
    let provider = match <[_; 1]>::try_from(members) {
        Ok([member]) => member,
        Err(members) => {
            let members = members.into_iter().map(|member| Arc::new(Opens(member)) as Arc<dyn KeyProvider>);
            let any_of = AnyOf::new(members)
                .and_then(|any_of| any_of.with_options(any_of_options(keys)))
                .map_err(misfit)?;
            Arc::new(any_of)
        }
    };
    Ok(Opening { provider, ids })
}

impl Opening {
    /// Keeps unwrapped keys, so that a file that is read twice costs one call. Failures are not kept.
    pub(crate) fn cached(self) -> Self {
        let options =
            CacheOptions::default().with_negative_age(Duration::ZERO).with_retry_after(Duration::ZERO);
        Self { provider: Arc::new(Cached::from_arc(self.provider, options)), ..self }
    }
}

/// What seals for each of these keys, or so that all of them are needed. Fewer will do with `min`.
// fmt: T-15
pub(crate) fn sealing(
    keys: &[KeyName],
    manner: Manner<'_>,
    min: Option<NonZeroUsize>,
    missing: &Arc<Missing>,
) -> Result<Arc<dyn KeyProvider>, Failure> {
    manner.check(keys)?;
    if let Some(min) = min.filter(|min| min.get() > keys.len()) {
        let given = names::counted(keys.len(), "key");
        return Err(Failure::usage(format!("--min is {min}, and there is {given}")));
    }
    let members = each(keys, manner, Role::Seals)?;
    if manner.all_of {
        return all_of(members);
    }
    match <[_; 1]>::try_from(members) {
        Ok([member]) => Ok(member),
        Err(members) => {
            // Each tells how it fails; the whole, who gave no answer in time.
            let observed =
                |member| Arc::new(Observed::new(member, Arc::clone(missing))) as Arc<dyn KeyProvider>;
            let mut options = any_of_options(keys);
            // A program that seals one message has the time to wait for the others.
            options.grace = options.deadline;
            options.min = min.map(NonZeroUsize::get);
            let any_of =
                AnyOf::new(members.into_iter().map(observed)).and_then(|any_of| any_of.with_options(options));
            Ok(Arc::new(any_of.map_err(misfit)?.with_observer(Arc::clone(missing) as _)))
        }
    }
}

/// A provider for each of these keys, or one for all of them together: each is to be able to open.
pub(crate) fn new_recipients(
    keys: &[KeyName],
    manner: Manner<'_>,
) -> Result<Vec<Arc<dyn KeyProvider>>, Failure> {
    let each = each(keys, manner, Role::Both)?;
    if manner.all_of { Ok(vec![all_of(each)?]) } else { Ok(each) }
}

/// A provider for one key alone.
pub(crate) fn one(key: &KeyName, manner: Manner<'_>, role: Role) -> Result<Arc<dyn KeyProvider>, Failure> {
    match key {
        KeyName::File(path) => Ok(Arc::new(MemoryProvider::from_key_files([path])?)),
        KeyName::Kms(arn) => kms::provider(arn, manner.kms_context, &[], role),
        KeyName::Hsm(key) => hsm::provider(key, role),
        KeyName::Config(path) => config::provider(path),
    }
}

/// The same, for asking whether it works: with the pairs that the key's policy may want to see.
pub(crate) fn for_check(
    key: &KeyName,
    pairs: &[(String, String)],
    role: Role,
) -> Result<Arc<dyn KeyProvider>, Failure> {
    match key {
        KeyName::Kms(arn) => kms::provider(arn, &[], pairs, role),
        KeyName::File(_) | KeyName::Hsm(_) | KeyName::Config(_) => {
            one(key, Manner { all_of: false, kms_context: &[] }, role)
        }
    }
}

/// What an operator should know about a key, whether or not it works.
pub(crate) fn warnings(key: &KeyName) -> Vec<String> {
    match key {
        KeyName::Hsm(key) => hsm::warnings(key),
        KeyName::File(_) | KeyName::Kms(_) | KeyName::Config(_) => Vec::new(),
    }
}

impl Manner<'_> {
    /// Names for KMS are a slip where there is no KMS.
    pub(crate) fn check(&self, keys: &[KeyName]) -> Result<(), Failure> {
        let is_idle = !self.kms_context.is_empty() && !keys.iter().any(|key| matches!(key, KeyName::Kms(_)));
        if is_idle {
            return Err(Failure::usage("--kms-context belongs to keys of AWS KMS, and none is given"));
        }
        Ok(())
    }
}

/// A deadline within which a token has told why it does not answer.
fn any_of_options(keys: &[KeyName]) -> AnyOfOptions {
    let mut options = AnyOfOptions::default();
    for key in keys {
        if let KeyName::Hsm(key) = key {
            options.deadline = options.deadline.max(key.deadline() + Duration::from_secs(1));
        }
    }
    options
}

fn each(keys: &[KeyName], manner: Manner<'_>, role: Role) -> Result<Vec<Arc<dyn KeyProvider>>, Failure> {
    keys.iter().map(|key| one(key, manner, role)).collect()
}

fn all_of(members: Vec<Arc<dyn KeyProvider>>) -> Result<Arc<dyn KeyProvider>, Failure> {
    let all_of = AllOf::new(members).map_err(|error| Failure::new(error.category(), error.to_string()))?;
    Ok(Arc::new(all_of))
}

/// Keys that cannot stand side by side.
fn misfit(error: ProviderError) -> Failure {
    Failure::new(error.category(), error.to_string())
        .advise("each -k becomes a recipient of its own: give each key once")
}

fn ids(members: &[Arc<dyn KeyProvider>]) -> String {
    let keys = members.iter().flat_map(|member| member.describe().keys);
    let mut ids: Vec<String> = keys.map(|key| names::shown(&key.id)).collect();
    // A key in a token may be of several types before the token was asked.
    ids.dedup();
    ids.join(", ")
}
