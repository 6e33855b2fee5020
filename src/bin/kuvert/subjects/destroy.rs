//! `kuvert subjects roll --destroy`: the end of a wrapping key, and of every older copy of the key store with it.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use kuvert::provider::{KeyCustodian, WrapContext};
use kuvert::subjects::{KeyToDestroy, VerifiedBackup};
use kuvert::{Category, Header, ProviderError, ProviderErrorKind as Kind, Subjects};
use serde_json::{Value, json};

use super::store::{Opened, wait};
use super::{Done, census, failed_json, failure, good, line, roll};
use crate::args::RollArguments;
use crate::failure::Failure;
use crate::keys::{self, Custody, KeyName};
use crate::source::Source;
use crate::{names, remedy, times};

pub(super) fn run(arguments: &RollArguments) -> Result<Done, Failure> {
    // All of them first, so that none is destroyed where another one cannot be.
    let parsed = keys::parse(&arguments.destroy)?;
    let custodies = parsed.iter().map(custody).collect::<Result<Vec<_>, _>>()?;
    let opened = Opened::new(&arguments.store, &[])?;
    let waiting = opened.done(opened.subjects.keys_to_destroy())?;
    let mut chosen: Vec<KeyToDestroy> = Vec::new();
    for (key, custody) in parsed.iter().zip(&custodies) {
        let own: Vec<_> = waiting.iter().filter(|key| key.id == custody.id).cloned().collect();
        // One destruction serves every epoch that the key has wrapped.
        let Some(first) = own.first() else { return Err(not_waiting(key, &waiting)) };
        check_it_is_that_key(&opened, custody, &own, &key.shown())?;
        if !chosen.contains(first) {
            chosen.push(first.clone());
        }
    }
    let checked = backup(arguments, &opened)?;
    let each = Each { custodies, told: Mutex::default() };
    opened.done(opened.subjects.destroy_epoch_keys(&chosen, &each, &checked))?;
    let told = each.told.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(report(chosen.iter().zip(told)))
}

fn report<'k>(told: impl Iterator<Item = (&'k KeyToDestroy, Result<SystemTime, ProviderError>)>) -> Done {
    let (mut lines, mut objects, mut failed) = (Vec::new(), Vec::new(), None::<Failure>);
    for (key, told) in told {
        match told {
            Ok(gone) => {
                let gone = times::unix(gone);
                lines.push(format!("{}: gone for good from {} on", roll::shown(key), times::utc(gone)));
                objects.push(destroyed(key, Some(gone)));
            }
            // It was told before this call, which was interrupted, or is repeated.
            Err(error) if error.kind() == Kind::PendingDeletion => {
                lines.push(format!("{}: waits for its end already", roll::shown(key)));
                objects.push(destroyed(key, None));
            }
            Err(error) => {
                if let Some(before) = failed.replace(not_destroyed(key, &error)) {
                    before.print();
                }
            }
        }
    }
    if !lines.is_empty() {
        let next = "after that: 'kuvert subjects receipts --confirm KEY' makes the receipts irrevocable";
        lines.push(line("next", next));
    }
    let mut json = failed.as_ref().map_or_else(|| good(json!({})), failed_json);
    json["destroyed"] = json!(objects);
    Done { text: lines.join("\n"), json: vec![json], warnings: Vec::new(), failure: failed }
}

// fmt: T-31
fn backup(arguments: &RollArguments, opened: &Opened) -> Result<VerifiedBackup, Failure> {
    let source = Source::open(arguments.backup.as_deref())?;
    let name = source.name().to_owned();
    let checked = wait(Subjects::check_backup(source, &opened.keys.handle(), &*opened.keys.provider))?;
    checked.map_err(|error| failure::of(&error, &name, &opened.keys.ids))
}

/// Asks each key's own custodian, and keeps what came of it: one that fails does not keep the others.
#[derive(Debug)]
struct Each {
    custodies: Vec<Custody>,
    told: Mutex<Vec<Result<SystemTime, ProviderError>>>,
}

#[kuvert::async_trait]
impl KeyCustodian for Each {
    async fn create_wrapping_key(&self, _: &str) -> Result<String, ProviderError> {
        Err(ProviderError::new(Kind::Misconfigured, "kuvert").with_source("it is here to destroy only"))
    }

    async fn schedule_destruction(&self, id: &str) -> Result<SystemTime, ProviderError> {
        let told = match self.custodies.iter().find(|custody| custody.id == id) {
            Some(custody) => custody.custodian.schedule_destruction(id).await,
            None => Err(ProviderError::new(Kind::NotFound, "kuvert").with_key_id(id)),
        };
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(told);
        Ok(SystemTime::UNIX_EPOCH)
    }
}

/// Two tokens may have keys of one name: the one to be destroyed is the one that opens what it is said to have wrapped.
fn check_it_is_that_key(
    opened: &Opened,
    custody: &Custody,
    keys: &[KeyToDestroy],
    shown: &str,
) -> Result<(), Failure> {
    let Some(holder) = &custody.holder else { return Ok(()) };
    let told = |error| failure::of_store(&error, &opened.name);
    for row in wait(opened.store.epochs())?.map_err(told)? {
        let Some(key) = keys.iter().find(|key| key.epoch == row.reference) else { continue };
        let (Ok(header), Some(core)) = (Header::of_envelope(&row.envelope), row.envelope.first_chunk())
        else {
            continue;
        };
        let pairs = header.claimed_context().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let context = WrapContext::new(*core, pairs);
        for recipient in census::leaves(&row.envelope) {
            if recipient.recipient_type() != key.recipient_type || recipient.id_lossy() != key.id {
                continue;
            }
            match wait(holder.unwrap_data_key(&recipient, &context))? {
                Ok(Some(_)) => {}
                Err(error) if !matches!(error.kind(), Kind::Rejected) => {
                    return Err(not_destroyed(key, &error));
                }
                Ok(None) | Err(_) => {
                    let what = format!("{shown}: it is another key of that name, and was left as it is");
                    return Err(Failure::new(Category::Refused, what)
                        .advise("it does not open the epoch: is it the right token?"));
                }
            }
        }
    }
    Ok(())
}

fn not_destroyed(key: &KeyToDestroy, error: &ProviderError) -> Failure {
    let failure = Failure::new(Category::KeyUnavailable, format!("{}: {error}", roll::shown(key)));
    match error.kind() {
        Kind::AccessDenied => failure
            .advise("whoever runs this needs the right to destroy it: kms:ScheduleKeyDeletion in AWS KMS"),
        Kind::NotFound => failure.advise(
            "if it was destroyed before, 'kuvert subjects receipts --confirm KEY' is next; else: is it the right place?",
        ),
        _ => remedy::advise(failure, [error]),
    }
}

fn custody(key: &KeyName) -> Result<Custody, Failure> {
    match keys::custody(key)? {
        Some(custody) => Ok(custody),
        None => Err(Failure::new(
            Category::Refused,
            format!("{}: nobody can say that no copy of a key file exists", key.shown()),
        )
        .advise("delete every copy of it yourself, also in backups; its receipts never become irrevocable")),
    }
}

fn not_waiting(key: &KeyName, waiting: &[KeyToDestroy]) -> Failure {
    let failure = Failure::new(
        Category::Refused,
        format!("{}: it is not the wrapping key of a retired epoch, or it is gone already", key.shown()),
    );
    let shown: Vec<String> = waiting.iter().map(roll::shown).collect();
    let advice = if shown.is_empty() { "none is waiting".to_owned() } else { shown.join(", ") };
    failure.advise(format!("keys that may be destroyed: {}", names::shown(&advice)))
}

fn destroyed(key: &KeyToDestroy, gone: Option<u64>) -> Value {
    let mut object = roll::key_json(key);
    object["gone"] = json!(gone);
    object
}
