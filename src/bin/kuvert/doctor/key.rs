//! One key that was given: what it is called, and whether it opens and seals now.

use kuvert::blocking::block_on;
use kuvert::provider::{KeyInfo, KeyProvider};
use kuvert::{Category, ProviderError};

use super::place::Place;
use crate::failure::Failure;
use crate::keys::{self, KeyName, Role};
use crate::{names, remedy};

pub(super) struct KeyFinding {
    /// As it was given.
    pub(super) name: String,
    pub(super) keys: Vec<KeyInfo>,
    pub(super) opens: Result<(), Failure>,
    /// Nobody needs it for opening, so that it does not count.
    pub(super) seals: Result<(), Failure>,
    /// What does not work although the whole does.
    pub(super) problems: Vec<String>,
}

impl KeyFinding {
    /// Asks the key, with these pairs for AWS KMS, if it may be used.
    pub(super) fn of(key: &KeyName, pairs: &[(String, String)]) -> Self {
        let mut finding =
            Self { name: key.shown(), keys: Vec::new(), opens: Ok(()), seals: Ok(()), problems: Vec::new() };
        finding.opens = finding.try_for(key, pairs, Role::Opens);
        // Only a key service has two rights.
        finding.seals =
            if key.has_rights() { finding.try_for(key, pairs, Role::Seals) } else { again(&finding.opens) };
        if finding.opens.is_ok() {
            finding.problems.extend(keys::warnings(key).iter().map(|warning| names::shown(warning)));
        }
        finding
    }

    fn try_for(&mut self, key: &KeyName, pairs: &[(String, String)], role: Role) -> Result<(), Failure> {
        let provider = keys::for_check(key, pairs, role)?;
        let health = block_on(provider.check());
        if role == Role::Opens {
            // A token tells which keys it has once it was asked.
            self.keys = provider.describe().keys;
        }
        let health = health
            .map_err(|error| Failure::new(Category::Usage, error.to_string()))?
            .map_err(|error| failure(&error))?;
        self.problems.extend(health.problems().iter().map(|problem| failure(problem).lines()));
        Ok(())
    }

    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.keys.iter().filter_map(|key| Place::of(&key.id))
    }
}

/// As opening would end.
fn failure(error: &ProviderError) -> Failure {
    remedy::advise(Failure::new(Category::KeyUnavailable, error.to_string()), [error])
}

fn again(opens: &Result<(), Failure>) -> Result<(), Failure> {
    opens.as_ref().copied().map_err(|failure| Failure::new(failure.category(), failure.message()))
}
